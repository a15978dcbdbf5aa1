//! Files of tables that exist from the start: `[[table]]` with the options of `table create`.

use std::path::{Path, PathBuf};

use archipelago::node::Registry;
use archipelago::{Hyper, TablePolicy, TableSpec};
use clap::{Args, Command, FromArgMatches};
use toml::{Table, Value};

use super::arguments::TableOptions;
use crate::files;

/// A file of tables says something else.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableFileError {
    /// It is not TOML.
    #[error("{}: {problem}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where, and what.
        problem: String,
    },
    /// It holds something else than tables.
    #[error("{}: expected [[table]], with a `name` in each, found {found}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What there is.
        found: String,
    },
    /// A table's options do not fit together.
    #[error("{}: table {table:?}: {problem}", path.display())]
    Options {
        /// The file.
        path: PathBuf,
        /// The table.
        table: String,
        /// What is wrong.
        problem: String,
    },
}

/// The tables of a file, in its order.
///
/// # Errors
/// See [`TableFileError`]; a file that cannot be read.
pub(crate) fn read(
    path: &Path,
    registry: &Registry,
) -> anyhow::Result<Vec<(TableSpec, TablePolicy, Hyper)>> {
    of_text(&files::read_text(path)?, path, registry)
}

fn of_text(
    text: &str,
    path: &Path,
    registry: &Registry,
) -> anyhow::Result<Vec<(TableSpec, TablePolicy, Hyper)>> {
    let form = |found: String| TableFileError::Form { path: path.into(), found };
    let syntax = |error: toml::de::Error| TableFileError::Syntax {
        path: path.into(),
        problem: error.to_string(),
    };
    let whole: Table = text.parse().map_err(syntax)?;
    if let Some(other) = whole.keys().find(|key| *key != "table") {
        return Err(form(format!("`{other}`")).into());
    }
    let listed = whole.get("table").and_then(Value::as_array);
    let listed = listed.ok_or_else(|| form("none".into()))?;
    let described = listed.iter().map(|one| {
        let one = one.as_table().ok_or_else(|| form(one.to_string()))?;
        let name = one.get("name").and_then(Value::as_str);
        let name = name.ok_or_else(|| form("one without".into()))?;
        described(name, one, registry).map_err(|problem| {
            // What the library says of a table names it, too.
            let named = format!("table {name:?}: ");
            let problem = problem.strip_prefix(&named).unwrap_or(&problem).to_owned();
            let (path, table) = (path.into(), name.into());
            TableFileError::Options { path, table, problem }.into()
        })
    });
    described.collect()
}

/// A table's options are read as those of `table create` are, so that both mean the same.
fn described(
    name: &str,
    options: &Table,
    registry: &Registry,
) -> Result<(TableSpec, TablePolicy, Hyper), String> {
    let mut words = Vec::new();
    for (key, value) in options.iter().filter(|(key, _)| *key != "name") {
        let flag = format!("--{}", key.replace('_', "-"));
        match value {
            Value::String(text) => words.push(format!("{flag}={text}")),
            Value::Integer(number) => words.push(format!("{flag}={number}")),
            Value::Float(number) => words.push(format!("{flag}={number}")),
            Value::Boolean(true) => words.push(flag),
            Value::Boolean(false) => {},
            other => return Err(format!("`{key}` is {other}: expected a text or a number")),
        }
    }
    words.extend(["--".to_owned(), name.to_owned()]);
    let command = Command::new("table").no_binary_name(true).disable_help_flag(true);
    let parsed = TableOptions::augment_args(command).try_get_matches_from(words);
    let parsed = parsed.and_then(|matches| TableOptions::from_arg_matches(&matches));
    // What follows is the usage of a command that there is not.
    let brief = |text: String| text.split("\n\nUsage").next().unwrap_or_default().to_owned();
    let options = parsed.map_err(|error| brief(error.to_string()))?;
    options.described(registry).map_err(|error| format!("{error:#}"))
}

#[cfg(test)]
mod tests {
    use super::super::entry::file_entry;
    use super::*;

    fn tables(text: &str) -> Result<Vec<(TableSpec, TablePolicy, Hyper)>, String> {
        let read = of_text(text, Path::new("t.toml"), &Registry::built_in());
        read.map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn what_is_written_is_read_again() {
        let text = "[[table]]\nname = \"w\"\ndense = 650\nwidth = 64\nrule = \"momentum:0.5\"\n\
            global = \"asp:0.02,staleness=3\"\nsignificance = \"absolute\"\n\
            rate = \"inverse-sqrt:0.1\"\ncombine = \"mean:64\"\n\
            init = \"uniform:1:-0.125:0.125\"\nslots = 7\nblock_elements = 256\n\
            [[table]]\nname = \"-v\"\nsparse = true\nlocal = \"ssp:2\"\nrate = 0.5\n";
        let read = tables(text).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].1.global.to_string(), "asp/1(staleness=3, threshold=0.02)");
        assert_eq!(read[0].1.significance.to_string(), "absolute/1");
        assert_eq!(read[1].1.significance.to_string(), "relative/1");
        assert_eq!(read[1].0.name, "-v");
        let again = read.iter().map(|(spec, policy, hyper)| file_entry(spec, policy, hyper));
        let again = again.collect::<anyhow::Result<String>>().unwrap();
        assert_eq!(tables(&again), Ok(read));
    }

    #[test]
    fn mistakes_name_the_table_and_the_option() {
        let one = |lines: &str| format!("[[table]]\nname = \"w\"\n{lines}");
        for (text, words) in [
            ("[[table]\n".to_owned(), "t.toml: TOML parse error"),
            ("x = 1\n".to_owned(), "found `x`"),
            (String::new(), "expected [[table]]"),
            ("[[table]]\ndense = 9\n".to_owned(), "one without"),
            (
                one("dense = 9\nglobl = \"asp\"\n"),
                "table \"w\": error: unexpected argument '--globl'",
            ),
            (
                one("dense = 9\nglobal = \"apps\"\n"),
                "unknown global policy `apps`: did you mean `asp`?",
            ),
            (
                one("dense = 9\nsignificance = \"relativ\"\n"),
                "unknown significance function `relativ`: did you mean `relative`?",
            ),
            (
                one("dense = 9\nrule = \"assign\"\nglobal = \"asp\"\n"),
                "no sum of what it has gained",
            ),
            (one("dense = [9]\n"), "`dense` is [9]"),
            (one("width = 9\n"), "--dense <ROWS>|--sparse"),
            (one("dense = 9\nservers = \"a:1\"\n"), "'--servers'"),
        ] {
            let error = tables(&text).unwrap_err();
            assert!(error.contains(words), "{words:?} in {error:?}");
            assert!(error.matches("table \"w\"").count() <= 1, "{error:?}");
        }
    }
}
