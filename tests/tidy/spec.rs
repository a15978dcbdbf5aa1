//! SPEC.md against the tree: what is cited exists, what is marked proved is a test that runs, and
//! a law with a proved clause is named by the code that keeps it.

use std::collections::{BTreeMap, BTreeSet};

use crate::scan::{Source, is_word};
use crate::{Violation, violation};

const SPEC: &str = "SPEC.md";
const LAWS: u32 = 14;

/// The numbers of the specification, and its clauses with their marks.
#[derive(Default)]
pub(crate) struct Spec {
    sections: BTreeSet<String>,
    /// Laws by number, with the line of the heading.
    laws: BTreeMap<u32, usize>,
    clauses: Vec<Clause>,
}

#[derive(Default)]
struct Clause {
    number: String,
    line: usize,
    text: String,
}

impl Spec {
    pub(crate) fn parse(raw: &str) -> Self {
        let mut spec = Self::default();
        let mut open = false;
        for (index, line) in raw.lines().enumerate() {
            let line_number = index + 1;
            if let Some(heading) = line.strip_prefix('#') {
                spec.heading(heading.trim_start_matches('#').trim(), line_number);
                open = false;
            } else if let Some((number, text)) = clause_start(line) {
                spec.clauses.push(Clause {
                    number: number.into(),
                    line: line_number,
                    text: text.into(),
                });
                open = true;
            } else if line.trim().is_empty() {
                open = false;
            } else if let Some(clause) = spec.clauses.last_mut().filter(|_| open) {
                clause.text.push(' ');
                clause.text.push_str(line.trim());
            }
        }
        spec
    }

    fn heading(&mut self, heading: &str, line: usize) {
        let law = heading.strip_prefix("Law ").map(|rest| numbers(rest, false));
        if let Some(number) = law.as_deref().and_then(|n| n.first()?.parse().ok()) {
            self.laws.insert(number, line);
        } else if let Some(number) = numbers(heading, false).first() {
            self.sections.insert(number.clone());
        }
    }

    fn has_law(&self, number: &str) -> bool {
        let law = number.parse().is_ok_and(|law| self.laws.contains_key(&law));
        law || self.clauses.iter().any(|clause| clause.number == number)
    }

    /// Everything wrong in SPEC.md itself or between it and the tree.
    pub(crate) fn check(&self, sources: &[Source]) -> Vec<Violation> {
        let mut found = self.complete();
        let mut numbers = BTreeSet::new();
        for clause in &self.clauses {
            if !numbers.insert(clause.number.as_str()) {
                let what = format!("clause {} stands twice, number it anew", clause.number);
                found.push(violation(SPEC, clause.line, "spec", what));
            }
            found.extend(clause.check(sources));
        }
        found.extend(self.uncited(sources));
        found
    }

    fn complete(&self) -> Vec<Violation> {
        let missing = (1..=LAWS).filter(|law| !self.laws.contains_key(law));
        let what = |law| format!("no heading `Law {law}`, state it");
        missing.map(|law| violation(SPEC, 1, "spec", what(law))).collect()
    }

    fn uncited(&self, sources: &[Source]) -> Vec<Violation> {
        let library = sources.iter().filter(|s| s.path.starts_with("src/"));
        let cited: BTreeSet<u32> = library
            .flat_map(citations)
            .filter(|cite| cite.law)
            .filter_map(|cite| cite.number.split('.').next()?.parse().ok())
            .collect();
        let proved = |law: &u32| {
            let prefix = format!("{law}.");
            let mut clauses = self.clauses.iter();
            clauses.any(|c| c.number.starts_with(&prefix) && !c.proofs().is_empty())
        };
        let missing = self.laws.iter().filter(|(law, _)| proved(law) && !cited.contains(law));
        let what = |law| format!("law {law} is proved but no file in src cites it, cite it there");
        missing.map(|(law, line)| violation(SPEC, *line, "spec", what(law))).collect()
    }

    /// Citations of laws and sections that do not exist.
    pub(crate) fn check_citations(&self, source: &Source) -> Vec<Violation> {
        let mut found = Vec::new();
        for cite in citations(source) {
            let exists = match cite.law {
                true => self.has_law(&cite.number),
                false => self.sections.contains(&cite.number),
            };
            if !exists {
                let kind = if cite.law { "law" } else { "SPEC section" };
                let what = format!("{kind} {} is not in SPEC.md, cite what is", cite.number);
                found.push(violation(&source.path, cite.line, "citation", what));
            }
        }
        found
    }
}

/// `- **4.2** text` as number and text; `M2` numbers a clause that belongs to no law.
fn clause_start(line: &str) -> Option<(&str, &str)> {
    let (number, text) = line.strip_prefix("- **")?.split_once("**")?;
    number.ends_with(|c: char| c.is_ascii_digit()).then_some((number, text))
}

impl Clause {
    /// The tests that prove it, `path::name` each.
    fn proofs(&self) -> Vec<&str> {
        let mark = self.text.split_once("[proved:").and_then(|(_, rest)| rest.split_once(']'));
        let names = mark.map_or("", |(names, _)| names);
        names.split(',').map(str::trim).filter(|name| !name.is_empty()).collect()
    }

    fn check(&self, sources: &[Source]) -> Vec<Violation> {
        let number = &self.number;
        let planned = self.text.contains("[planned]");
        if self.proofs().is_empty() != planned {
            let what = format!("clause {number} needs one of [proved: path::test] and [planned]");
            return vec![violation(SPEC, self.line, "spec", what)];
        }
        let missing = |proof: &&str| !proof_exists(proof, sources);
        let what = |proof| format!("clause {number} is proved by `{proof}`: no such test runs");
        let proofs = self.proofs().into_iter().filter(missing);
        proofs.map(|proof| violation(SPEC, self.line, "spec", what(proof))).collect()
    }
}

/// Whether `path::name` is a function marked `#[test]` and not ignored.
fn proof_exists(proof: &str, sources: &[Source]) -> bool {
    let Some((path, name)) = proof.rsplit_once("::") else {
        return false;
    };
    let mut sources = sources.iter();
    sources.find(|source| source.path == path).is_some_and(|source| is_test(source, name))
}

fn is_test(source: &Source, name: &str) -> bool {
    let tokens = &source.tokens;
    let mut names = tokens.windows(2).enumerate();
    names.any(|(at, pair)| {
        let before = tokens[..at].iter().rev();
        let attributes = || {
            let own = before.clone().take_while(|t| !matches!(t.text.as_str(), "{" | "}" | ";"));
            own.map(|token| token.text.as_str())
        };
        let named = pair[0].text == "fn" && pair[1].text == name;
        named && attributes().any(|word| word == "test") && !attributes().any(|w| w == "ignore")
    })
}

/// A law (`law 4`, `laws 1, 2 and 9`, `law 4.1`) or a section (`SPEC section 5`) that a comment
/// cites.
struct Citation {
    law: bool,
    number: String,
    line: usize,
}

fn citations(source: &Source) -> Vec<Citation> {
    let mut found = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        let lower = line.to_lowercase();
        for (words, law) in [("law ", true), ("laws ", true), ("spec section ", false)] {
            for (at, _) in lower.match_indices(words) {
                if lower[..at].ends_with(is_word) {
                    continue;
                }
                let numbers = numbers(&lower[at + words.len()..], words == "laws ");
                found.extend(numbers.into_iter().map(|number| Citation {
                    law,
                    number,
                    line: index + 1,
                }));
            }
        }
    }
    found
}

/// The number (`4` or `4.1`) that a text begins with, and with `many` those that follow.
fn numbers(mut text: &str, many: bool) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (number, rest) = text.split_at(end.unwrap_or(text.len()));
        let number = number.trim_end_matches('.');
        if number.is_empty() {
            return found;
        }
        found.push(number.to_owned());
        let next = [", ", " and ", " to "].iter().find_map(|join| rest.strip_prefix(join));
        match next.filter(|_| many) {
            Some(next) => text = next,
            None => return found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(law_four: &str) -> Spec {
        let mut raw = String::from("# Title\n## 5. Wire\n");
        for law in (1..=14).filter(|law| *law != 4) {
            raw.push_str(&format!("### Law {law}: name\n\n- **{law}.1** text [planned]\n"));
        }
        Spec::parse(&format!("{raw}### Law 4. BSP\n\n{law_four}\n\nOther text [planned]\n"))
    }

    fn tree() -> Vec<Source> {
        let tests = "#[test]\nfn kept() {}\nfn helper() {}\n#[test]\n#[ignore]\nfn skipped() {}";
        vec![Source::new("src/a.rs", "//! Keeps law 4."), Source::new("tests/laws.rs", tests)]
    }

    fn found(law_four: &str, words: &str) {
        let found = spec(law_four).check(&tree());
        let caught = found.len() == 1 && found[0].what.contains(words);
        assert!(
            caught,
            "{law_four}: found {:?}",
            found.iter().map(|v| &v.what).collect::<Vec<_>>()
        );
    }

    #[test]
    fn clauses_carry_one_mark_and_a_number_of_their_own() {
        assert!(spec("- **4.1** text\n  goes on [planned]").check(&tree()).is_empty());
        found("- **4.1** text", "needs one of");
        found("- **4.1** text [proved: tests/laws.rs::kept] [planned]", "needs one of");
        found("- **3.1** text [planned]", "stands twice");
        found("- **M1** text", "clause M1 needs one of");
    }

    #[test]
    fn proofs_are_tests_that_run() {
        let proved = |name: &str| format!("- **4.1** text\n  [proved: tests/laws.rs::{name}]");
        assert!(spec(&proved("kept")).check(&tree()).is_empty());
        found(&proved("gone"), "no such test runs");
        found(&proved("helper"), "no such test runs");
        found(&proved("skipped"), "no such test runs");
        found("- **4.1** text [proved: tests/no.rs::kept]", "no such test runs");
        found("- **4.1** a [proved: tests/laws.rs::kept, tests/laws.rs::gone]", "::gone`");
    }

    #[test]
    fn laws_are_complete_and_cited() {
        assert!(Spec::parse("### Law 1: a").complete().len() == 13);
        let proved = spec("- **4.1** text [proved: tests/laws.rs::kept]");
        let uncited = proved.check(&tree()[1..]);
        assert_eq!(uncited.len(), 1);
        assert!(uncited[0].what.contains("no file in src cites it"));
    }

    #[test]
    fn citations_exist() {
        let spec = spec("- **4.1** text [planned]");
        let missing = |raw: &str| {
            let source = Source::new("src/a.rs", raw);
            let found = spec.check_citations(&source);
            found.into_iter().map(|v| v.what).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(missing("// SPEC law 4, law 4.1. Laws 1, 2 and 14; SPEC section 5."), "");
        assert!(missing("// law 15").starts_with("law 15 is not"));
        assert!(missing("/* laws 2, 4.7 and 16 */").contains("law 4.7 is not"));
        assert!(missing("// laws 2, 4 and 16").starts_with("law 16 is not"));
        assert!(missing("// SPEC section 12").starts_with("SPEC section 12 is not"));
        assert_eq!(missing("const A: &str = \"law 99\"; // flaw 99, (OSDI'14 section 99)"), "");
    }
}
