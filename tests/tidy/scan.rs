//! Reads Rust source well enough to judge it: comments and literals told apart from code, tokens,
//! and every path that the code names.
//!
//! It does not parse Rust. It knows `use` trees, inline modules and matching brackets, which is
//! all that the rules need, and has no dependency that could itself break the rules.

use std::mem;

/// One file, in the views that the rules need. All views have the same lines and columns.
pub(crate) struct Source {
    /// From the root of the workspace, with `/`.
    pub(crate) path: String,
    /// As it is.
    pub(crate) raw: String,
    /// Code and comments; string and character literals blanked.
    pub(crate) text: String,
    /// Code alone, as tokens.
    pub(crate) tokens: Vec<Token>,
}

/// A word, a number, `::`, or one other character.
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// A path that the code names, use trees flattened: `use a::{b, c::*}` is `a::b` and `a::c::*`.
#[derive(Debug, PartialEq)]
pub(crate) struct Path {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
    /// The inline modules around it, outermost first.
    pub(crate) inside: Vec<String>,
}

impl Source {
    pub(crate) fn new(path: &str, raw: &str) -> Self {
        let (text, code) = Scrubber::new(raw).run();
        Self { path: path.into(), raw: raw.into(), text, tokens: tokenize(&code) }
    }

    /// The line of a token, or the last line.
    pub(crate) fn line_at(&self, token: usize) -> usize {
        self.tokens.get(token).map_or(1, |token| token.line)
    }
}

/// What a character belongs to.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

/// Walks the characters once and writes both views.
struct Scrubber {
    chars: Vec<char>,
    at: usize,
    text: String,
    code: String,
}

impl Scrubber {
    fn new(raw: &str) -> Self {
        Self {
            chars: raw.chars().collect(),
            at: 0,
            text: String::with_capacity(raw.len()),
            code: String::with_capacity(raw.len()),
        }
    }

    fn run(mut self) -> (String, String) {
        while let Some(c) = self.peek(0) {
            match (c, self.peek(1)) {
                ('/', Some('/')) => self.line_comment(),
                ('/', Some('*')) => self.block_comment(),
                ('"', _) => self.string(),
                ('r', Some('"' | '#')) => self.raw_string(),
                ('\'', _) => self.quote(),
                _ => self.take(1, Kind::Code),
            }
        }
        (self.text, self.code)
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn take(&mut self, count: usize, kind: Kind) {
        for _ in 0..count {
            let Some(c) = self.peek(0) else { return };
            let shown = |visible: bool| if visible || c == '\n' { c } else { ' ' };
            self.text.push(shown(kind != Kind::Literal));
            self.code.push(shown(kind == Kind::Code));
            self.at += 1;
        }
    }

    fn line_comment(&mut self) {
        while self.peek(0).is_some_and(|c| c != '\n') {
            self.take(1, Kind::Comment);
        }
    }

    /// Block comments nest.
    fn block_comment(&mut self) {
        let mut depth = 0;
        while let Some(c) = self.peek(0) {
            match (c, self.peek(1)) {
                ('/', Some('*')) => depth += 1,
                ('*', Some('/')) => depth -= 1,
                _ => {
                    self.take(1, Kind::Comment);
                    continue;
                },
            }
            self.take(2, Kind::Comment);
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self) {
        self.take(1, Kind::Literal);
        while let Some(c) = self.peek(0) {
            self.take(if c == '\\' { 2 } else { 1 }, Kind::Literal);
            if c == '"' {
                return;
            }
        }
    }

    /// `r"..."`, `r#"..."#`, also behind `b` and `c`; `r#name` is a word.
    fn raw_string(&mut self) {
        let hashes = (1..).take_while(|&ahead| self.peek(ahead) == Some('#')).count();
        if self.peek(1 + hashes) != Some('"') {
            return self.take(1, Kind::Code);
        }
        self.take(2 + hashes, Kind::Literal);
        while let Some(c) = self.peek(0) {
            self.take(1, Kind::Literal);
            if c == '"' && (0..hashes).all(|ahead| self.peek(ahead) == Some('#')) {
                return self.take(hashes, Kind::Literal);
            }
        }
    }

    /// A character literal or a lifetime; neither is of interest.
    fn quote(&mut self) {
        if self.peek(1) == Some('\\') {
            self.take(3, Kind::Literal);
            while self.peek(0).is_some_and(|c| c != '\'') {
                self.take(1, Kind::Literal);
            }
            self.take(1, Kind::Literal);
        } else if self.peek(2) == Some('\'') {
            self.take(3, Kind::Literal);
        } else {
            self.take(1, Kind::Literal);
            while self.peek(0).is_some_and(is_word) {
                self.take(1, Kind::Literal);
            }
        }
    }
}

/// Whether the character can be part of a word.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn tokenize(code: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let word = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let end = match word {
                0 if rest.starts_with("::") => 2,
                0 => first.len_utf8(),
                _ => word,
            };
            tokens.push(Token { text: rest[..end].into(), line: index + 1 });
            rest = rest[end..].trim_start();
        }
    }
    tokens
}

/// Every path that the tokens name, single words included.
pub(crate) fn paths(tokens: &[Token]) -> Vec<Path> {
    let mut walk = Walk { tokens, at: 0, depth: 0, inside: Vec::new(), paths: Vec::new() };
    walk.run();
    walk.paths
}

/// The index behind the bracket that closes the one at `open`.
pub(crate) fn behind_group(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            _ => {},
        }
        if depth == 0 {
            return index + 1;
        }
    }
    tokens.len()
}

struct Walk<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
    /// Inline modules, each with the depth of its braces.
    inside: Vec<(String, usize)>,
    paths: Vec<Path>,
}

impl<'a> Walk<'a> {
    fn run(&mut self) {
        while self.at < self.tokens.len() {
            match (self.word(0), self.word(1), self.word(2)) {
                // `use<..>` is a capture list, not an import.
                ("use", next, _) if next != "<" => {
                    self.at += 1;
                    self.use_tree(&mut Vec::new());
                },
                ("mod", name, "{") => {
                    self.depth += 1;
                    self.inside.push((name.into(), self.depth));
                    self.at += 3;
                },
                ("{", ..) => self.open(),
                ("}", ..) => self.close(),
                (word, ..) if word.starts_with(is_word) => self.chain(),
                _ => self.at += 1,
            }
        }
    }

    fn word(&self, ahead: usize) -> &'a str {
        let token = self.tokens.get(self.at + ahead);
        token.map_or("", |token| token.text.as_str())
    }

    fn open(&mut self) {
        self.depth += 1;
        self.at += 1;
    }

    fn close(&mut self) {
        if self.inside.last().is_some_and(|(_, at)| *at == self.depth) {
            self.inside.pop();
        }
        self.depth = self.depth.saturating_sub(1);
        self.at += 1;
    }

    fn chain(&mut self) {
        let mut segments = vec![self.word(0).to_owned()];
        let line = self.tokens[self.at].line;
        self.at += 1;
        while self.word(0) == "::" && self.word(1).starts_with(is_word) {
            segments.push(self.word(1).into());
            self.at += 2;
        }
        self.emit(segments, line);
    }

    /// One tree, from its first word to the `,`, `}` or `;` behind it.
    fn use_tree(&mut self, prefix: &mut Vec<String>) {
        let held = prefix.len();
        let mut leaf = true;
        while !matches!(self.word(0), "" | "," | "}" | ";") {
            match self.word(0) {
                "{" => {
                    leaf = false;
                    self.use_group(prefix);
                },
                "::" => self.at += 1,
                "as" => self.at += 2,
                word => {
                    prefix.push(word.to_owned());
                    self.at += 1;
                },
            }
        }
        if leaf {
            let line = self.tokens[self.at.min(self.tokens.len()) - 1].line;
            self.emit(prefix.clone(), line);
        }
        prefix.truncate(held);
    }

    fn use_group(&mut self, prefix: &mut Vec<String>) {
        self.at += 1;
        while !matches!(self.word(0), "" | "}" | ";") {
            if self.word(0) == "," {
                self.at += 1;
            } else {
                self.use_tree(prefix);
            }
        }
        self.at += 1;
    }

    fn emit(&mut self, mut segments: Vec<String>, line: usize) {
        // `use a::{self}` names `a`; `self::b` keeps its first word.
        if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
            segments.pop();
        }
        let inside = self.inside.iter().map(|(name, _)| name.clone()).collect();
        self.paths.push(Path { segments: mem::take(&mut segments), line, inside });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(raw: &str) -> Vec<String> {
        let source = Source::new("src/a.rs", raw);
        let paths = paths(&source.tokens);
        let joined = paths.iter().map(|path| path.segments.join("::"));
        joined.filter(|path| path.contains("::")).collect()
    }

    #[test]
    fn literals_and_comments_are_told_apart_from_code() {
        let raw =
            "a(\"x // \\\" y\", 'q', '\\'', b\"z\", r#\"w\"# ); // c::d\n/* /* e */ */ f::<'g>";
        let source = Source::new("src/a.rs", raw);
        let words: Vec<_> = source.tokens.iter().map(|t| t.text.as_str()).collect();
        let shown: String = words.concat();
        assert_eq!(shown, "a(,,,b,);f::<>");
        assert!(source.text.contains("// c::d") && !source.text.contains('w'));
        assert_eq!(source.tokens.last().map(|t| t.line), Some(2));
    }

    #[test]
    fn use_trees_are_flattened() {
        let raw = "use crate::{a::b, c::{self, d as e, *}};\npub use ::std::fs;";
        let expected = ["crate::a::b", "crate::c", "crate::c::d", "crate::c::*", "std::fs"];
        assert_eq!(named(raw), expected);
    }

    #[test]
    fn paths_in_code_are_found() {
        let raw =
            "fn f() -> impl A + use<'a> { <b::C as d::E>::g(h::i!()) } type T = $crate::j::K;";
        assert_eq!(named(raw), ["b::C", "d::E", "h::i", "crate::j::K"]);
    }

    #[test]
    fn inline_modules_are_known() {
        let source = Source::new("src/a.rs", "mod m { fn f() { x::y } mod n { p::q } } r::s");
        let paths = paths(&source.tokens);
        let inside = |name: &str| {
            let path = paths.iter().find(|path| path.segments[0] == name);
            path.map(|path| path.inside.join("::"))
        };
        assert_eq!(inside("x").as_deref(), Some("m"));
        assert_eq!(inside("p").as_deref(), Some("m::n"));
        assert_eq!(inside("r").as_deref(), Some(""));
    }
}
