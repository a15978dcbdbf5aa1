//! What the files hold, said before training, so that a wrong column is seen at once.

use anyhow::ensure;
use archipelago_workloads::data::{DenseData, SparseData};

/// More classes than this are unusual.
const CLASSES_USUAL_MAX: usize = 1000;
/// Fewer rows of a class than this teach little.
const CLASS_ROWS_USUAL_MIN: usize = 10;
/// How many classes are listed one by one.
const CLASSES_LISTED_MAX: usize = 12;

/// A data set in figures.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    rows: usize,
    features: u64,
    /// The smallest and the largest value.
    range: (f32, f32),
    /// Name and rows of every class.
    classes: Vec<(String, usize)>,
}

impl Summary {
    pub(crate) fn of_dense(data: &DenseData) -> Self {
        let mut counts = vec![0; data.classes() as usize];
        for &label in data.labels() {
            counts[label as usize] += 1;
        }
        let name = |(class, count): (usize, usize)| (class.to_string(), count);
        Self {
            rows: data.rows(),
            features: data.features() as u64,
            range: range((0..data.rows()).flat_map(|row| data.row(row))),
            classes: counts.into_iter().enumerate().map(name).collect(),
        }
    }

    pub(crate) fn of_sparse(data: &SparseData) -> Self {
        let positive = data.labels().iter().filter(|&&label| label > 0.0).count();
        let negative = data.rows() - positive;
        Self {
            rows: data.rows(),
            features: data.features(),
            range: range((0..data.rows()).flat_map(|row| data.row(row).values)),
            classes: vec![("-1".into(), negative), ("+1".into(), positive)],
        }
    }

    /// Names and shares: `0: 9.9 %, 1: 10.1 %`.
    fn shares(&self) -> String {
        let share = |(name, rows): &(String, usize)| {
            format!("{name}: {:.1} %", 100.0 * *rows as f64 / self.rows.max(1) as f64)
        };
        let mut words: Vec<_> = self.classes.iter().take(CLASSES_LISTED_MAX).map(share).collect();
        if self.classes.len() > CLASSES_LISTED_MAX {
            words.push(format!("{} more", self.classes.len() - CLASSES_LISTED_MAX));
        }
        words.join(", ")
    }
}

fn range<'a>(values: impl Iterator<Item = &'a f32>) -> (f32, f32) {
    let widen = |(low, high): (f32, f32), value: &f32| (low.min(*value), high.max(*value));
    values.fold((f32::INFINITY, f32::NEG_INFINITY), widen)
}

/// What to say of two data sets that go by these names, warnings last.
///
/// # Errors
/// So many classes for so few rows that the labels cannot be classes.
pub(crate) fn notes(
    (train_name, train): (&str, &Summary),
    (test_name, test): (&str, &Summary),
) -> anyhow::Result<Vec<String>> {
    let (rows, classes) = (train.rows, train.classes.len());
    let mut notes = vec![
        format!(
            "{train_name}: {rows} rows, {} features, {classes} classes ({})",
            train.features,
            train.shares()
        ),
        format!("{test_name}: {} rows", test.rows),
    ];
    let (low, high) = train.range;
    if low <= high {
        let values = format!("values from {low} to {high}, used as they are");
        notes.push(format!("{train_name}: {values}: features are not scaled"));
    }
    notes.extend(warn_of_classes(train_name, train)?);
    notes.extend(warn_of_unseen((train_name, train), (test_name, test)));
    Ok(notes)
}

fn warn_of_classes(name: &str, train: &Summary) -> anyhow::Result<Vec<String>> {
    let (rows, classes) = (train.rows, train.classes.len());
    let text = format!(
        "{name}: {classes} classes in {rows} rows: the class has to be in the first column, \
         numbered from 0"
    );
    let (many, rare) = (classes > CLASSES_USUAL_MAX, classes > rows / CLASS_ROWS_USUAL_MIN);
    ensure!(!(many && rare), "{text}");
    let mut warnings = Vec::new();
    if many || (rare && classes > 2) {
        warnings.push(format!("warning: {text}"));
    }
    if train.classes.iter().filter(|(_, rows)| *rows > 0).count() == 1 {
        warnings.push(format!("warning: {name}: all rows are of one class"));
    }
    Ok(warnings)
}

fn warn_of_unseen(
    (train_name, train): (&str, &Summary),
    (test_name, test): (&str, &Summary),
) -> Option<String> {
    let pairs = train.classes.iter().zip(&test.classes);
    let unseen = pairs.filter(|((_, train), (_, test))| *train == 0 && *test > 0);
    let (names, rows): (Vec<_>, Vec<_>) =
        unseen.map(|((name, _), (_, rows))| (name.as_str(), *rows)).unzip();
    let listed = names[..names.len().min(CLASSES_LISTED_MAX)].join(", ");
    (!names.is_empty()).then(|| {
        format!(
            "warning: {test_name}: {} rows are of {} classes without a row in {train_name} \
             ({listed}): they cannot be learned",
            rows.iter().sum::<usize>(),
            names.len()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(labels: Vec<u32>) -> Summary {
        let classes = labels.iter().max().map_or(0, |label| label + 1);
        let data = DenseData::new(1, classes, vec![0.5; labels.len()], labels);
        Summary::of_dense(&data.expect("sound"))
    }

    fn said(labels: Vec<u32>) -> Vec<String> {
        let summary = summary(labels);
        notes(("a", &summary), ("b", &summary)).expect("good data")
    }

    #[test]
    fn rows_features_classes_and_shares_are_said() {
        let notes = said([vec![0; 15], vec![1; 25]].concat());
        assert_eq!(notes[0], "a: 40 rows, 1 features, 2 classes (0: 37.5 %, 1: 62.5 %)");
        assert_eq!(notes[1], "b: 40 rows");
        assert_eq!(
            notes[2],
            "a: values from 0.5 to 0.5, used as they are: features are not scaled"
        );
        assert_eq!(notes.len(), 3);
        let data = SparseData::read_libsvm("f", &b"+1 3:-2\n-1 1:4\n-1\n-1\n"[..]).expect("sound");
        let summary = Summary::of_sparse(&data);
        assert_eq!(summary.shares(), "-1: 75.0 %, +1: 25.0 %");
        assert_eq!((summary.features, summary.range), (3, (-2.0, 4.0)));
    }

    #[test]
    fn labels_that_are_no_classes_are_noticed() {
        let rare = said((0..29).map(|row| row % 3).collect());
        assert_eq!(rare[3].split(':').nth(2), Some(" 3 classes in 29 rows"), "{rare:?}");
        assert_eq!(said((0..30).map(|row| row % 3).collect()).len(), 3);
        let many = said((0..10_010).map(|row| row % 1001).collect());
        assert!(many[3].contains("1001 classes in 10010 rows"), "{many:?}");
        assert!(many[0].ends_with("11: 0.1 %, 989 more)"), "{many:?}");
        let absurd = summary((0..10_000).map(|row| row % 1001).collect());
        let error = notes(("a", &absurd), ("b", &absurd)).expect_err("absurd").to_string();
        assert!(error.contains("1001 classes in 10000 rows: the class has to be"), "{error}");
        assert!(said(vec![1; 30])[3].contains("all rows are of one class"));
    }

    #[test]
    fn classes_that_only_the_test_has_are_named() {
        // Nobody has a row of class 2.
        let train = summary([vec![0; 20], vec![3; 20]].concat());
        let test = summary(vec![0, 1, 3, 1]);
        let notes = notes(("a", &train), ("b", &test)).expect("good data");
        let expected = "warning: b: 2 rows are of 1 classes without a row in a (1): they cannot \
            be learned";
        assert_eq!(notes.last().map(String::as_str), Some(expected));
    }
}
