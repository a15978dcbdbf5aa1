//! Log lines, to the error stream.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// The filter that a text describes.
pub(crate) fn filter(text: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::builder().parse(text)
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
