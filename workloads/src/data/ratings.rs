//! Ratings of items by users, and the text that holds them.

use std::io::Read;
use std::path::Path;

use archipelago::rng::Rng;

use super::error::{DataError, Place};
use super::share::Examples;
use super::source::{Source, finite, whole};

/// How a file of ratings is written: one rating a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RatingFormat {
    /// `user,item,rating` below one line of names.
    Csv,
    /// `user::item::rating::time` without a header, as MovieLens and `MovieTweetings` have it; the
    /// time is skipped.
    Dat,
}

impl RatingFormat {
    fn separator(self) -> &'static str {
        match self {
            Self::Csv => ",",
            Self::Dat => "::",
        }
    }

    fn fields(self) -> usize {
        match self {
            Self::Csv => 3,
            Self::Dat => 4,
        }
    }
}

/// Ratings, user by user. A row of it is a user with all its ratings.
///
/// Users and items are numbered from 0 in the order of their numbers in the file. I1: `offsets`
/// has one entry more than there are users, starts at 0, never falls and ends at the number of
/// ratings. I2: the items of a user ascend strictly and lie below `items`. I3: values are finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Ratings {
    offsets: Vec<usize>,
    rated: Vec<u32>,
    values: Vec<f32>,
    items: usize,
}

/// The ratings of one user.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UserRatings<'a> {
    /// The items it has rated, ascending.
    pub items: &'a [u32],
    /// What it has given them.
    pub values: &'a [f32],
}

/// A rating as it stands in a file.
struct Line {
    user: u64,
    item: u64,
    value: f32,
    line: u64,
}

impl Ratings {
    /// Reads a file, plain or gzip. Blank lines are skipped; the order of lines does not matter.
    ///
    /// # Errors
    /// `Text` for a wrong number of fields, a number that does not parse or is not finite, and an
    /// item that a user has rated twice; `Empty`, `Gzip`, `Io`.
    pub fn open(path: impl AsRef<Path>, format: RatingFormat) -> Result<Self, DataError> {
        Self::load(Source::open(path.as_ref())?, format)
    }

    /// As [`open`](Self::open), from any reader; `name` stands in errors.
    ///
    /// ```
    /// use archipelago_workloads::data::{RatingFormat, Ratings};
    /// let text = &b"7::204::8::0\n7::99::6.5::0\n9::99::1::0\n"[..];
    /// let data = Ratings::read("inline", text, RatingFormat::Dat)?;
    /// assert_eq!((data.users(), data.items(), data.count()), (2, 2, 3));
    /// assert_eq!(data.user(0).values, [6.5, 8.0]);
    /// # Ok::<(), archipelago_workloads::data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// As there.
    pub fn read(name: &str, reader: impl Read, format: RatingFormat) -> Result<Self, DataError> {
        Self::load(Source::new(name, reader)?, format)
    }

    fn load(mut source: Source<'_>, format: RatingFormat) -> Result<Self, DataError> {
        let (mut lines, mut line) = (Vec::new(), Vec::new());
        if format == RatingFormat::Csv {
            source.next_line(&mut line)?;
        }
        while source.next_line(&mut line)? {
            if !line.trim_ascii().is_empty() {
                lines.push(parse(&source, &line, format)?);
            }
        }
        if lines.is_empty() {
            return Err(DataError::empty(source.name()));
        }
        lines.sort_unstable_by_key(|line| (line.user, line.item, line.line));
        check_pairs(source.name(), &lines)?;
        Ok(Self::sorted(&lines))
    }

    fn sorted(lines: &[Line]) -> Self {
        let mut names: Vec<u64> = lines.iter().map(|line| line.item).collect();
        names.sort_unstable();
        names.dedup();
        // Every name is found: the list was made of them.
        let place = |item| names.binary_search(&item).unwrap_or_else(|place| place) as u32;
        let mut offsets = vec![0];
        for ratings in lines.chunk_by(|a, b| a.user == b.user) {
            offsets.push(offsets.last().map_or(0, |end| end + ratings.len()));
        }
        Self {
            offsets,
            rated: lines.iter().map(|line| place(line.item)).collect(),
            values: lines.iter().map(|line| line.value).collect(),
            items: names.len(),
        }
    }

    /// Draws ratings into a held-out set, each with probability `share`. Both sets keep all users
    /// and items: who is left with no rating has none.
    #[must_use]
    pub fn split(&self, seed: u64, share: f64) -> (Self, Self) {
        let mut rng = Rng::named(seed, "held-out ratings");
        let none = || Self { offsets: vec![0], rated: vec![], values: vec![], items: self.items };
        let (mut kept, mut held) = (none(), none());
        for user in 0..self.users() {
            let UserRatings { items, values } = self.user(user);
            for (&item, &value) in items.iter().zip(values) {
                let part = if rng.chance(share) { &mut held } else { &mut kept };
                part.rated.push(item);
                part.values.push(value);
            }
            for part in [&mut kept, &mut held] {
                part.offsets.push(part.values.len());
            }
        }
        (kept, held)
    }

    /// How many users.
    pub fn users(&self) -> usize {
        self.offsets.len() - 1
    }

    /// How many items.
    pub fn items(&self) -> usize {
        self.items
    }

    /// How many ratings.
    pub fn count(&self) -> usize {
        self.values.len()
    }

    /// The mean rating; 0 without ratings.
    pub fn mean(&self) -> f64 {
        let sum: f64 = self.values.iter().map(|&value| f64::from(value)).sum();
        sum / self.values.len().max(1) as f64
    }

    /// The ratings of one user.
    ///
    /// # Panics
    /// When there are not that many users.
    pub fn user(&self, user: usize) -> UserRatings<'_> {
        let span = self.offsets[user]..self.offsets[user + 1];
        UserRatings { items: &self.rated[span.clone()], values: &self.values[span] }
    }
}

impl Examples for Ratings {
    fn rows(&self) -> usize {
        self.users()
    }
}

fn parse(source: &Source<'_>, line: &[u8], format: RatingFormat) -> Result<Line, DataError> {
    let Ok(text) = std::str::from_utf8(line) else {
        return Err(source.text(1, "text in UTF-8", line));
    };
    let fields: Vec<&[u8]> =
        text.split(format.separator()).map(|field| field.trim().as_bytes()).collect();
    if fields.len() != format.fields() {
        let expected = format!("{} fields separated by {:?}", format.fields(), format.separator());
        return Err(source.text(fields.len().min(format.fields()) as u64, expected, line));
    }
    let number = |field: usize| {
        let found = whole(fields[field]);
        found.ok_or_else(|| source.text(field as u64 + 1, "a whole number", fields[field]))
    };
    let value = finite(fields[2]);
    Ok(Line {
        user: number(0)?,
        item: number(1)?,
        value: value.ok_or_else(|| source.text(3, "a finite number", fields[2]))?,
        line: source.line(),
    })
}

/// Refuses the second rating that a user gives an item.
fn check_pairs(file: &str, sorted: &[Line]) -> Result<(), DataError> {
    let twice = |[a, b]: &&[Line; 2]| (a.user, a.item) == (b.user, b.item);
    let Some([first, second]) = sorted.array_windows().find(twice) else {
        return Ok(());
    };
    Err(DataError::Text {
        place: Place { file: file.into(), line: second.line, column: 2 },
        expected: format!("an item that user {} has not rated in line {}", first.user, first.line),
        found: format!("{}", second.item),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str, format: RatingFormat) -> Result<Ratings, String> {
        Ratings::read("f", text.as_bytes(), format).map_err(|error| error.to_string())
    }

    #[test]
    fn lines_in_any_order_become_users() {
        let csv = "user,item,rating\n9,30,-2.5\r\n\n4,10,1\n9, 10 ,7\n";
        let data = read(csv, RatingFormat::Csv).unwrap();
        assert_eq!((data.users(), data.items(), data.count()), (2, 2, 3));
        assert_eq!(data.user(0), UserRatings { items: &[0], values: &[1.0] });
        assert_eq!(data.user(1), UserRatings { items: &[0, 1], values: &[7.0, -2.5] });
        assert!((data.mean() - 5.5 / 3.0).abs() < 1e-12);
        let dat = "4::0010::1::5\n9::10::7::5\n9::30::-2.5::6\n";
        assert_eq!(read(dat, RatingFormat::Dat).unwrap(), data);
    }

    #[test]
    fn every_fault_is_named_with_its_place() {
        use RatingFormat::{Csv, Dat};
        for (text, format, message) in [
            ("user,item,rating\n", Csv, "f: expected at least one row, found none"),
            ("h\n1,2", Csv, r#"f:2:2: expected 3 fields separated by ",", found "1,2""#),
            ("1::2::3", Dat, r#"f:1:3: expected 4 fields separated by "::", found "1::2::3""#),
            ("h\n-1,2,3", Csv, r#"f:2:1: expected a whole number, found "-1""#),
            ("h\n1,2.5,3", Csv, r#"f:2:2: expected a whole number, found "2.5""#),
            ("1::2::nan::4", Dat, r#"f:1:3: expected a finite number, found "nan""#),
            (
                "1::7::1::0\n2::7::1::0\n1::7::2::0",
                Dat,
                "f:3:2: expected an item that user 1 has not rated in line 1, found 7",
            ),
        ] {
            assert_eq!(read(text, format).unwrap_err(), message, "{text:?}");
        }
        assert!(Ratings::read("f", &b"h\n\xff,1,1"[..], Csv).is_err());
    }

    #[test]
    fn a_split_keeps_every_rating_once() {
        let lines: String = (0..500).map(|i| format!("{}::{}::{i}::0\n", i / 9, i % 9)).collect();
        let data = read(&lines, RatingFormat::Dat).unwrap();
        let (kept, held) = data.split(3, 0.1);
        assert_eq!((kept.users(), held.items()), (data.users(), data.items()));
        assert!((20..90).contains(&held.count()), "{}", held.count());
        let mut values = [kept.values.clone(), held.values.clone()].concat();
        values.sort_unstable_by(f32::total_cmp);
        assert!(values.iter().enumerate().all(|(i, value)| *value == i as f32));
        assert_eq!(data.split(3, 0.1), (kept, held));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_what_loads_is_sound(
            bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..100),
                "([0-3]::[0-3]::[0-9.-]{1,3}::1\n){0,5}".prop_map(String::into_bytes),
                "([0-3],[0-3],[0-9.-]{1,3}\n){0,5}".prop_map(String::into_bytes),
            ],
        ) {
            for format in [RatingFormat::Csv, RatingFormat::Dat] {
                if let Ok(data) = Ratings::read("f", &bytes[..], format) {
                    for user in (0..data.users()).map(|user| data.user(user)) {
                        prop_assert!(user.items.array_windows().all(|[a, b]| a < b));
                        prop_assert!(user.items.iter().all(|&i| (i as usize) < data.items()));
                        prop_assert!(user.values.iter().all(|value| value.is_finite()));
                    }
                }
            }
        }
    }
}
