//! Budgets and banned words: lengths of lines, functions and files; headers; `unsafe`; leftovers.

use crate::scan::{Source, behind_group};
use crate::{Violation, violation};

const COLUMNS_MAX: usize = 100;
const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 800;
const FILE_LINES_WITHOUT_REASON_MAX: usize = 500;

/// Functions over the budget, `path::name`. The list only shrinks.
const LONG_FUNCTIONS: [&str; 0] = [];

/// Files over 500 lines, with the reason. An entry that is no longer needed fails.
const LONG_FILES: [(&str, &str); 0] = [];

/// Where `unsafe` may stand.
const UNSAFE_ROOMS: [&str; 2] = ["src/os/", "src/vector/"];

const LEFTOVER_MACROS: [(&str, &str); 3] = [
    ("todo", "finish it or refuse with a typed error"),
    ("unimplemented", "finish it or refuse with a typed error"),
    ("dbg", "use tracing or remove it"),
];

/// Words that comments may not hold either, in lower case.
const LEFTOVER_WORDS: [(&str, &str); 3] = [
    ("fixme", "fix it"),
    ("for now", "say what holds, and what is planned"),
    ("design section", "cite SPEC.md, the design notes are not part of this repository"),
];

/// Everything this file knows against one source.
pub(crate) fn check(source: &Source) -> Vec<Violation> {
    let mut found = lines(source);
    found.extend(header(source));
    found.extend(file_length(source, &LONG_FILES));
    found.extend(leftovers(source));
    found.extend(unsafe_code(source));
    found.extend(functions(source, &LONG_FUNCTIONS));
    found
}

/// Entries of the two lists that name nothing over the budget any more.
pub(crate) fn stale_entries(sources: &[Source]) -> Vec<Violation> {
    let length = |path: &str| {
        let source = sources.iter().find(|source| source.path == path);
        source.map_or(0, |source| source.raw.lines().count())
    };
    let files = LONG_FILES.iter().map(|(path, _)| *path);
    let short = files.filter(|path| length(path) <= FILE_LINES_WITHOUT_REASON_MAX);
    let long: Vec<String> = sources.iter().flat_map(long_functions).map(|f| f.name).collect();
    let gone = LONG_FUNCTIONS.into_iter().filter(|name| !long.iter().any(|held| held == name));
    let what = |name: &str| format!("`{name}` keeps its budget now, take it off the list");
    short
        .chain(gone)
        .map(|name| violation("tests/tidy/style.rs", 1, "stale entry", what(name)))
        .collect()
}

fn lines(source: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    for (index, line) in source.raw.lines().enumerate() {
        let columns = line.chars().count();
        if columns > COLUMNS_MAX {
            let what = format!("{columns} columns, break it at {COLUMNS_MAX}");
            found.push(violation(&source.path, index + 1, "line length", what));
        }
        if let Some(c) = line.chars().find(|c| !c.is_ascii()) {
            let what = format!("U+{:04X}, write it in ASCII or as an escape", u32::from(c));
            found.push(violation(&source.path, index + 1, "ascii", what));
        }
    }
    found
}

fn header(source: &Source) -> Option<Violation> {
    let first = source.raw.lines().next().unwrap_or_default();
    let what = "no `//!` on the first line, say what the file is for and what it does not do";
    (!first.starts_with("//!")).then(|| violation(&source.path, 1, "header", what))
}

fn file_length(source: &Source, listed: &[(&str, &str)]) -> Option<Violation> {
    let count = source.raw.lines().count();
    let reasoned = listed.iter().any(|(path, _)| *path == source.path);
    let what = if count > FILE_LINES_MAX {
        format!("{count} lines, move a part out: {FILE_LINES_MAX} is the end")
    } else if count > FILE_LINES_WITHOUT_REASON_MAX && !reasoned {
        format!("{count} lines, move a part out or give the reason in LONG_FILES")
    } else {
        return None;
    };
    Some(violation(&source.path, 1, "file length", what))
}

fn leftovers(source: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    for pair in source.tokens.windows(2) {
        let rule = LEFTOVER_MACROS.iter().find(|(name, _)| *name == pair[0].text);
        if let Some((name, instead)) = rule.filter(|_| pair[1].text == "!") {
            let what = format!("`{name}!`, {instead}");
            found.push(violation(&source.path, pair[0].line, "leftover", what));
        }
    }
    for (index, line) in source.text.lines().enumerate() {
        let line = line.to_lowercase();
        for (word, instead) in LEFTOVER_WORDS.iter().filter(|(word, _)| line.contains(word)) {
            let what = format!("`{word}`, {instead}");
            found.push(violation(&source.path, index + 1, "leftover", what));
        }
    }
    found
}

fn unsafe_code(source: &Source) -> Vec<Violation> {
    if UNSAFE_ROOMS.iter().any(|room| source.path.starts_with(room)) {
        return Vec::new();
    }
    let what = "`unsafe`, only os and vector may: move it there behind a safe function";
    let tokens = source.tokens.iter().filter(|token| token.text == "unsafe");
    tokens.map(|token| violation(&source.path, token.line, "unsafe", what)).collect()
}

struct Long {
    name: String,
    line: usize,
    lines: usize,
}

fn functions(source: &Source, listed: &[&str]) -> Vec<Violation> {
    let found = long_functions(source).into_iter();
    found
        .filter(|long| !listed.contains(&long.name.as_str()))
        .map(|long| {
            let Long { name, line, lines } = long;
            let what = format!("`{name}` has {lines} lines, keep to {FUNCTION_LINES_MAX}");
            violation(&source.path, line, "function length", what)
        })
        .collect()
}

/// Functions with a body whose lines, from `fn` to the last brace, exceed the budget.
fn long_functions(source: &Source) -> Vec<Long> {
    let mut found = Vec::new();
    for (index, pair) in source.tokens.windows(2).enumerate() {
        // `fn(` is a type.
        if pair[0].text != "fn" || pair[1].text == "(" {
            continue;
        }
        let Some(open) = body(source, index + 2) else {
            continue;
        };
        let end = behind_group(&source.tokens, open) - 1;
        let lines = source.line_at(end) + 1 - pair[0].line;
        if lines > FUNCTION_LINES_MAX {
            found.push(Long {
                name: format!("{}::{}", source.path, pair[1].text),
                line: pair[0].line,
                lines,
            });
        }
    }
    found
}

/// The brace that opens the body of the function whose signature goes on at `at`.
fn body(source: &Source, mut at: usize) -> Option<usize> {
    loop {
        match source.tokens.get(at)?.text.as_str() {
            "{" => return Some(at),
            ";" => return None,
            "(" | "[" => at = behind_group(&source.tokens, at),
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in a file with a proper header.
    fn found(path: &str, body: &str) -> Vec<String> {
        let found = check(&Source::new(path, &format!("//! A file.\n{body}")));
        let shown = found.iter().map(|v| format!("{}: {}: {}", v.line, v.rule, v.what));
        shown.collect()
    }

    fn caught(body: &str, words: &str) {
        let found = found("src/node/a.rs", body);
        assert!(found.len() == 1 && found[0].contains(words), "{body}: found {found:?}");
    }

    fn clean(body: &str) {
        assert_eq!(found("src/node/a.rs", body), Vec::<String>::new(), "{body}");
    }

    #[test]
    fn long_lines_and_foreign_letters() {
        caught(&format!("// {}", "x".repeat(98)), "2: line length: 101 columns");
        clean(&format!("// {}", "x".repeat(97)));
        caught("// caf\u{e9}", "2: ascii: U+00E9");
    }

    #[test]
    fn a_file_says_what_it_is_for() {
        let bare = check(&Source::new("src/node/a.rs", "fn f() {}\n//! late"));
        assert_eq!(bare.len(), 1);
        assert_eq!((bare[0].line, bare[0].rule), (1, "header"));
    }

    #[test]
    fn leftovers_of_building() {
        caught("fn f() { todo!() }", "leftover: `todo!`");
        caught("fn f() { unimplemented!() }", "`unimplemented!`");
        caught("fn f() { dbg!(1); }", "`dbg!`");
        caught("// FIXME later", "`fixme`");
        caught("/// Refused for now.", "`for now`");
        caught("// see DESIGN section 5", "cite SPEC.md");
        clean("fn todo() -> &'static str { \"todo!(), for now\" } // todo list");
    }

    #[test]
    fn unsafe_stays_in_two_rooms() {
        caught("fn f() { unsafe { g() } }", "2: unsafe");
        for path in ["tests/a.rs", "benches/a.rs", "fuzz/a.rs", "ps-server/src/a.rs", "src/os.rs"] {
            assert_eq!(found(path, "unsafe impl A for B {}").len(), 1, "{path}");
        }
        assert!(found("src/vector/kernels.rs", "fn f() { unsafe { g() } }").is_empty());
        clean("#![forbid(unsafe_code)] // unsafe\nconst A: &str = \"unsafe\";");
    }

    #[test]
    fn functions_keep_their_budget() {
        let function =
            |lines: usize| format!("fn f(a: [u8; 2]) {{\n{}}}", "g();\n".repeat(lines - 2));
        caught(&function(71), "2: function length: `src/node/a.rs::f` has 71 lines");
        clean(&function(70));
        clean(&format!("trait T {{ fn f(); }}\nstatic F: fn() = g;\n{}", "\n".repeat(80)));
        let source = Source::new("src/a.rs", &function(71));
        assert!(functions(&source, &["src/a.rs::f"]).is_empty());
        assert_eq!(functions(&source, &["src/b.rs::f"]).len(), 1);
    }

    #[test]
    fn files_keep_their_budget() {
        let file = |lines: usize| Source::new("src/a.rs", &"//! a\n".repeat(lines));
        let caught = |lines, listed: &[(&str, &str)]| file_length(&file(lines), listed).is_some();
        let listed = [("src/a.rs", "one state machine")];
        assert!(!caught(500, &[]) && caught(501, &[]));
        assert!(!caught(800, &listed) && caught(801, &listed));
    }
}
