//! The house rules as a test: who imports whom, which names a room may not know, budgets, and
//! SPEC.md against the tree. Each rule is itself tested against a planted violation.
//!
//! The rules are in `tests/tidy/`; ARCHITECTURE.md says why they are what they are. Everything
//! found is printed at once, one line each: `path:line: rule: what was found, what to do`.

#[path = "tidy/bans.rs"]
mod bans;
#[path = "tidy/house.rs"]
mod house;
#[path = "tidy/scan.rs"]
mod scan;
#[path = "tidy/spec.rs"]
mod spec;
#[path = "tidy/style.rs"]
mod style;

use std::fs;
use std::path::Path;

use scan::Source;
use spec::Spec;

/// One broken rule at one place.
pub(crate) struct Violation {
    path: String,
    line: usize,
    rule: &'static str,
    what: String,
}

pub(crate) fn violation(
    path: &str,
    line: usize,
    rule: &'static str,
    what: impl Into<String>,
) -> Violation {
    Violation { path: path.into(), line, rule, what: what.into() }
}

/// The folders with source under the rules.
const FOLDERS: [&str; 10] = [
    "src",
    "tests",
    "benches",
    "examples",
    "client",
    "workloads",
    "ps-server",
    "fuzz/src",
    "fuzz/tests",
    "fuzz/fuzz_targets",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    for folder in FOLDERS {
        collect(&root().join(folder), folder, &mut found);
    }
    found
}

/// Reads every Rust file below a folder, in order of name, build output left out.
fn collect(folder: &Path, path: &str, found: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let mut entries: Vec<_> = entries.filter_map(Result::ok).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{path}/{name}");
        if entry.path().is_dir() && name != "target" && !name.starts_with('.') {
            collect(&entry.path(), &path, found);
        } else if name.ends_with(".rs") {
            let bytes = fs::read(entry.path()).expect("a file just listed can be read");
            found.push(Source::new(&path, &String::from_utf8_lossy(&bytes)));
        }
    }
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_default()
}

#[test]
fn the_tree_is_tidy() {
    let sources = sources();
    let spec = Spec::parse(&read("SPEC.md"));
    let mut found = Vec::new();
    for source in &sources {
        found.extend(house::check(source));
        found.extend(style::check(source));
        found.extend(spec.check_citations(source));
    }
    found.extend(style::stale_entries(&sources));
    found.extend(spec.check(&sources));
    let report: Vec<_> =
        found.iter().map(|v| format!("{}:{}: {}: {}", v.path, v.line, v.rule, v.what)).collect();
    let count = report.len();
    assert!(report.is_empty(), "{count} to tidy up:\n{}", report.join("\n"));
}

#[test]
fn the_whole_tree_is_read() {
    let sources = sources();
    let read = |path: &str| sources.iter().any(|source| source.path == path);
    assert!(read("src/lib.rs") && read("src/node/worker/mod.rs") && read("tests/tidy.rs"));
    assert!(read("workloads/src/lib.rs") && read("ps-server/src/main.rs"));
}

/// The house in ARCHITECTURE.md and the table that the rules use are one.
#[test]
fn the_drawn_house_is_the_enforced_one() {
    let drawing = read("ARCHITECTURE.md");
    for (row, rooms) in house::HOUSE.iter().enumerate() {
        let is_row = |line: &&str| line.split_whitespace().next() == Some(&row.to_string());
        let drawn = drawing.lines().find(is_row).unwrap_or_default();
        let words: Vec<_> = drawn.split_whitespace().skip(1).collect();
        let named = words.get(..rooms.len()).unwrap_or_default();
        assert_eq!(named, *rooms, "row {row} in ARCHITECTURE.md: {drawn:?}");
    }
}
