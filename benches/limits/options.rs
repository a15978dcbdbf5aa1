//! What was asked for on the command line of a bench.

/// What was asked for on the command line.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) json: bool,
    /// Tiny sizes: shows that everything runs, not how fast.
    pub(crate) smoke: bool,
    pub(crate) filter: Option<String>,
}

impl Options {
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Self {
        let mut options = Self { json: false, smoke: false, filter: None };
        for word in words {
            match word.as_str() {
                "--json" => options.json = true,
                "--smoke" => options.smoke = true,
                // Cargo's own.
                "--bench" => {},
                _ => options.filter = Some(word),
            }
        }
        options
    }
}
