//! Log lines, to the error stream.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// The filter that a text describes.
pub(crate) fn filter(text: &str) -> Result<EnvFilter, String> {
    // A word alone would be taken for a module, of which everything is logged.
    let no_level = |word: &&str| !word.contains('=') && word.parse::<LevelFilter>().is_err();
    if let Some(word) = text.split(',').map(str::trim).find(no_level) {
        return Err(format!(
            "expected error, warn, info, debug, trace or MODULE=LEVEL, found {word:?}"
        ));
    }
    EnvFilter::builder().parse(text).map_err(|error| error.to_string())
}

/// Starts to log what `asked` lets through, or else the environment (`RUST_LOG`), or else
/// `default`. A program that logs already keeps its own way.
pub(crate) fn start(asked: Option<&str>, default: &str) {
    let environment = || EnvFilter::try_from_default_env().ok();
    let chosen = asked.and_then(|text| filter(text).ok()).or_else(environment);
    let chosen = chosen.unwrap_or_else(|| EnvFilter::new(default));
    let log = tracing_subscriber::fmt().with_env_filter(chosen).with_writer(std::io::stderr);
    // Fails only where a subscriber is there already.
    drop(log.try_init());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_or_modules_with_levels_and_nothing_else() {
        for text in ["warn", "off", "info,archipelago::transport=debug", "archipelago=trace"] {
            assert!(filter(text).is_ok(), "{text}");
        }
        for text in ["loud", "info,quiet", "archipelago=loud"] {
            assert!(filter(text).is_err(), "{text:?}");
        }
    }
}
