//! A strict reader of Prometheus' exposition format, version 0.0.4, with the rules of its naming.

#![expect(clippy::panic, reason = "a test fails by panicking")]
// Each test file uses a part.
#![allow(dead_code, reason = "shared by several test files, each of which uses a part")]

use std::collections::{BTreeMap, BTreeSet};

/// What a page holds: the value of every series, by name and labels as written.
pub(crate) struct Page {
    series: BTreeMap<String, f64>,
    /// The type of every family.
    families: BTreeMap<String, String>,
}

/// One family of a page.
#[derive(Default)]
struct Family {
    kind: String,
    help: bool,
    samples: usize,
}

impl Page {
    /// Reads a page; panics where it is not in the format.
    pub(crate) fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line ends");
        let (mut series, mut families) = (BTreeMap::new(), BTreeMap::<String, Family>::new());
        let (mut current, mut closed) = (String::new(), BTreeSet::new());
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                let [keyword, name, rest] = words(comment);
                if name != current {
                    assert!(closed.insert(name.to_owned()), "{name} comes in one piece: {line}");
                    current = name.to_owned();
                }
                let family = families.entry(name.into()).or_default();
                assert_eq!(family.samples, 0, "comments come first: {line}");
                match keyword {
                    "HELP" => assert!(!std::mem::replace(&mut family.help, true), "{line}"),
                    "TYPE" => {
                        assert!(family.kind.is_empty() && !rest.contains(' '), "{line}");
                        family.kind = rest.to_owned();
                    },
                    _ => panic!("a comment that is neither HELP nor TYPE: {line}"),
                }
                assert!(!rest.is_empty(), "{line}");
                continue;
            }
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
            let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
            let (base, labels) = name.split_once('{').map_or((name, ""), |(base, labels)| {
                (base, labels.strip_suffix('}').unwrap_or_else(|| panic!("{line}")))
            });
            check_labels(labels, line);
            let family = families.get_mut(&current).unwrap_or_else(|| panic!("{line}"));
            assert!(belongs(base, &current, &family.kind), "{line} is not of {current}");
            family.samples += 1;
            if family.kind != "gauge" {
                assert!(value >= 0.0, "{line}");
            }
            assert!(series.insert(name.to_owned(), value).is_none(), "twice: {line}");
        }
        families.iter().for_each(check_family);
        let families = families.into_iter().map(|(name, family)| (name, family.kind)).collect();
        Self { series, families }
    }

    /// The names of all families, with their types.
    pub(crate) fn families(&self) -> &BTreeMap<String, String> {
        &self.families
    }

    /// The names of all series, with their labels.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        self.series.keys().map(String::as_str).collect()
    }

    /// Panics where a counter is lower than on an earlier page, or is there no longer.
    pub(crate) fn check_follows(&self, before: &Self) {
        let counts = |name: &str| {
            let base = name.split('{').next().unwrap_or_default();
            ["_total", "_bucket", "_sum", "_count"].iter().any(|end| base.ends_with(end))
        };
        for (name, value) in before.series.iter().filter(|(name, _)| counts(name)) {
            assert!(self.value(name) >= *value, "{name} was {value}");
        }
    }

    /// The value of one series.
    pub(crate) fn value(&self, series: &str) -> f64 {
        let found = self.series.get(series);
        *found.unwrap_or_else(|| panic!("{series} in {:?}", self.series.keys()))
    }

    /// The value of one series; 0 where it is not there.
    pub(crate) fn value_or_zero(&self, series: &str) -> f64 {
        self.series.get(series).copied().unwrap_or_default()
    }

    /// The values of all series of a name, in order of labels.
    pub(crate) fn values(&self, name: &str) -> Vec<f64> {
        let of = |series: &str| series.split('{').next() == Some(name);
        self.series.iter().filter(|(series, _)| of(series)).map(|(_, value)| *value).collect()
    }
}

fn words(comment: &str) -> [&str; 3] {
    let mut words = comment.splitn(3, ' ');
    [(); 3].map(|()| words.next().unwrap_or_default())
}

/// Whether a sample of that name may stand in the family.
fn belongs(sample: &str, family: &str, kind: &str) -> bool {
    let suffix = sample.strip_prefix(family);
    match kind {
        "histogram" => matches!(suffix, Some("_bucket" | "_sum" | "_count")),
        _ => suffix == Some(""),
    }
}

fn check_family((name, family): (&String, &Family)) {
    assert!(family.help && !family.kind.is_empty(), "{name} has help and type");
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let plain = name.starts_with("archipelago_") && name.chars().all(legal);
    assert!(plain && !name.contains("__"), "{name}");
    assert!(matches!(&*family.kind, "counter" | "gauge" | "histogram"), "{name}");
    assert_eq!(name.ends_with("_total"), family.kind == "counter", "{name}");
    for wrong in ["_ms", "_millis", "_kb", "_sec", "_count", "_sum", "_bucket"] {
        assert!(!name.ends_with(wrong), "{name}: base units, and no suffix of a histogram");
    }
}

/// `name="value",..`: legal names, each once, values escaped.
fn check_labels(labels: &str, line: &str) {
    let (mut rest, mut names) = (labels, BTreeSet::new());
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{line}");
        assert!(names.insert(name), "a label twice: {line}");
        let mut escaped = false;
        let end = after.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let end = end.unwrap_or_else(|| panic!("a value ends: {line}"));
        rest = &after[end + 1..];
        if let Some(next) = rest.strip_prefix(',') {
            assert!(!next.is_empty(), "{line}");
            rest = next;
        } else {
            assert!(rest.is_empty(), "{line}");
        }
    }
}
