//! Data files, plain or gzip.

use archipelago_workloads::data::{CsvOptions, DenseData, SparseData};

/// The first byte picks the format; for IDX the second one says where images end and labels begin.
pub fn data_file(data: &[u8]) {
    let Some((format, file)) = data.split_first() else { return };
    match format % 3 {
        0 => {
            if let Ok(data) = SparseData::read_libsvm("fuzz", file) {
                check_sparse(&data);
            }
        },
        1 => {
            if let Ok(data) = DenseData::read_csv("fuzz", file, CsvOptions::default()) {
                check_dense(&data);
            }
        },
        _ => {
            let Some((place, files)) = file.split_first() else { return };
            let (images, labels) = files.split_at(files.len().min((*place).into()));
            if let Ok(data) = DenseData::read_idx(("images", images), ("labels", labels)) {
                check_dense(&data);
            }
        },
    }
}

fn check_sparse(data: &SparseData) {
    for row in (0..data.rows()).map(|row| data.row(row)) {
        assert!(row.indices.array_windows().all(|[a, b]| a < b), "{row:?}");
        assert!(row.indices.iter().all(|index| u64::from(*index) < data.features()), "{row:?}");
        assert!(row.values.iter().all(|value| value.is_finite()) && row.label.abs() == 1.0);
    }
}

fn check_dense(data: &DenseData) {
    assert_eq!(data.labels().len(), data.rows());
    assert!(data.labels().iter().all(|label| *label < data.classes()));
    for row in (0..data.rows()).map(|row| data.row(row)) {
        assert!(row.len() == data.features() && row.iter().all(|value| value.is_finite()));
    }
}
