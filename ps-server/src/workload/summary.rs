//! What the files hold, said before training, so that a wrong column is seen at once.

use anyhow::ensure;
use archipelago_workloads::data::{DenseData, SparseData};

use crate::units::{counted, short};

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
    /// Name and rows of every class, up to the last one with rows.
    classes: Vec<(String, usize)>,
}

impl Summary {
    pub(crate) fn of_dense(data: &DenseData) -> Self {
        let last = data.labels().iter().max().copied();
        let mut counts = vec![0; last.map_or(0, |last| last as usize + 1)];
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

    /// The classes that have rows.
    fn held(&self) -> impl Iterator<Item = &(String, usize)> {
        self.classes.iter().filter(|(_, rows)| *rows > 0)
    }

    /// Rows of a class by its place.
    fn rows_of(&self, class: usize) -> usize {
        self.classes.get(class).map_or(0, |(_, rows)| *rows)
    }

    /// Names and shares of the classes that have rows: `0: 9.9 %, 1: 10.1 %`.
    fn shares(&self) -> String {
        let share = |(name, rows): &(String, usize)| {
            format!("{name}: {:.1} %", 100.0 * *rows as f64 / self.rows.max(1) as f64)
        };
        let mut words: Vec<_> = self.held().take(CLASSES_LISTED_MAX).map(share).collect();
        let more = self.held().skip(CLASSES_LISTED_MAX).count();
        words.extend((more > 0).then(|| format!("{more} more")));
        words.join(", ")
    }
}

const ROWS: [&str; 2] = ["row", "rows"];
const CLASSES: [&str; 2] = ["class", "classes"];

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
    let (rows, classes) = (train.rows, train.held().count());
    let mut notes = vec![
        format!(
            "{train_name}: {}, {}, {} ({})",
            counted(rows, ROWS),
            counted(train.features, ["feature", "features"]),
            counted(classes, CLASSES),
            train.shares()
        ),
        format!("{test_name}: {}", counted(test.rows, ROWS)),
    ];
    let (low, high) = train.range;
    if low <= high {
        let scaled = low >= -1.0 && high <= 1.0;
        let unscaled = if scaled { "" } else { ", used as they are: features are not scaled" };
        notes.push(format!(
            "{train_name}: values from {} to {}{unscaled}",
            short(low),
            short(high)
        ));
    }
    notes.extend(warn_of_classes(train_name, train)?);
    notes.extend(warn_of_gaps(train, test).map(|text| format!("warning: {train_name}: {text}")));
    notes.extend(warn_of_unseen((train_name, train), (test_name, test)));
    Ok(notes)
}

fn warn_of_classes(name: &str, train: &Summary) -> anyhow::Result<Vec<String>> {
    let (rows, classes) = (train.rows, train.classes.len());
    let numbers = match train.held().count() {
        held if held == classes => counted(held, CLASSES),
        held => {
            format!("{}, numbered up to {},", counted(held, CLASSES), classes.saturating_sub(1))
        },
    };
    let text = format!(
        "{name}: {numbers} in {}: the class has to be in the first column, numbered from 0",
        counted(rows, ROWS)
    );
    let (many, rare) = (classes > CLASSES_USUAL_MAX, classes > rows / CLASS_ROWS_USUAL_MIN);
    ensure!(!(many && rare), "{text}");
    let mut warnings = Vec::new();
    if many || (rare && classes > 2) {
        warnings.push(format!("warning: {text}"));
    }
    if train.held().count() == 1 {
        warnings.push(format!("warning: {name}: all rows are of one class"));
    }
    Ok(warnings)
}

/// Classes that neither file has: a model is trained for them all the same.
fn warn_of_gaps(train: &Summary, test: &Summary) -> Option<String> {
    let classes = train.classes.len().max(test.classes.len());
    let empty: Vec<_> =
        (0..classes).filter(|&class| train.rows_of(class) + test.rows_of(class) == 0).collect();
    let first = *empty.first()?;
    let more = match empty.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more below {classes}"),
    };
    // Two classes without names of numbers are LIBSVM's, of which one may be missing.
    let numbered = train.classes.get(first).is_none_or(|(name, _)| *name == first.to_string());
    numbered.then(|| {
        format!(
            "no row is of class {first}{more}: the model has {classes} classes, 0 to {}; number \
             them from 0 without gaps",
            classes - 1
        )
    })
}

fn warn_of_unseen(
    (train_name, train): (&str, &Summary),
    (test_name, test): (&str, &Summary),
) -> Option<String> {
    let classes = test.classes.iter().enumerate();
    let unseen = classes.filter(|(class, (_, rows))| *rows > 0 && train.rows_of(*class) == 0);
    let (names, rows): (Vec<_>, Vec<_>) =
        unseen.map(|(_, (name, rows))| (name.as_str(), *rows)).unzip();
    let rows: usize = rows.iter().sum();
    let are = if rows == 1 { "is" } else { "are" };
    let listed = names[..names.len().min(CLASSES_LISTED_MAX)].join(", ");
    (!names.is_empty()).then(|| {
        format!(
            "warning: {test_name}: {} {are} of {} without a row in {train_name} ({listed}): they \
             cannot be learned",
            counted(rows, ROWS),
            counted(names.len(), CLASSES)
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
        assert_eq!(notes[0], "a: 40 rows, 1 feature, 2 classes (0: 37.5 %, 1: 62.5 %)");
        assert_eq!(notes[1], "b: 40 rows");
        assert_eq!(notes[2], "a: values from 0.5 to 0.5");
        assert_eq!(notes.len(), 3);
        let data = SparseData::read_libsvm("f", &b"+1 3:-2\n-1 1:4\n-1\n-1\n"[..]).expect("sound");
        let summary = Summary::of_sparse(&data);
        assert_eq!(summary.shares(), "-1: 75.0 %, +1: 25.0 %");
        assert_eq!((summary.features, summary.range), (3, (-2.0, 4.0)));
        let notes = super::notes(("a", &summary), ("b", &summary)).expect("good data");
        assert_eq!(
            notes[2..],
            ["a: values from -2 to 4, used as they are: features are not scaled"]
        );
    }

    #[test]
    fn classes_that_no_file_has_are_noticed() {
        let from_one = said([vec![1; 20], vec![2; 20]].concat());
        assert_eq!(from_one[0], "a: 40 rows, 1 feature, 2 classes (1: 50.0 %, 2: 50.0 %)");
        assert_eq!(
            from_one[3..],
            ["warning: a: no row is of class 0: the model has 3 classes, 0 to 2; number them \
              from 0 without gaps"]
        );
        let few = said(vec![1, 2, 3]);
        assert!(few[3].contains("a: 3 classes, numbered up to 3, in 3 rows:"), "{few:?}");
        let gaps = said([vec![0; 40], vec![3; 40]].concat());
        assert!(gaps[3].contains("of class 1 and 1 more below 4:"), "{gaps:?}");
        let positive = SparseData::read_libsvm("f", &b"+1 1:1\n"[..]).expect("sound");
        let positive = Summary::of_sparse(&positive);
        let notes = notes(("a", &positive), ("b", &positive)).expect("good data");
        assert_eq!(notes[3..], ["warning: a: all rows are of one class"]);
    }

    #[test]
    fn classes_of_the_test_are_not_said_of_the_training_rows() {
        // Loading gives both files the classes of both.
        let train = DenseData::new(1, 3, vec![0.5], vec![0]).expect("sound");
        let (train, test) = (Summary::of_dense(&train), summary(vec![0, 1, 2]));
        let notes = notes(("a", &train), ("b", &test)).expect("good data");
        assert_eq!(notes[0], "a: 1 row, 1 feature, 1 class (0: 100.0 %)");
        assert!(!notes.iter().any(|note| note.contains("3 classes in 1 row")), "{notes:?}");
        assert!(notes[4].contains("b: 2 rows are of 2 classes without a row in a"), "{notes:?}");
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
        let gap = "warning: a: no row is of class 2: the model has 4 classes, 0 to 3; number \
            them from 0 without gaps";
        let unseen = "warning: b: 2 rows are of 1 class without a row in a (1): they cannot be \
            learned";
        assert!(notes.ends_with(&[gap.into(), unseen.into()]), "{notes:?}");
    }
}
