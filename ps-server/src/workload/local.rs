//! Local policies as the command line writes them.

use std::fmt;
use std::str::FromStr;

use archipelago::{Bsp, Eventual, Extension, Ssp};

/// A local policy: `bsp`, `ssp:N` or `eventual`, in upper or lower case.
///
/// ```
/// use ps_server::Local;
/// assert_eq!("ssp:2".parse(), Ok(Local::Ssp(2)));
/// assert_eq!("BSP".parse(), Ok(Local::Bsp));
/// assert!("ssp".parse::<Local>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    /// Bulk synchronous parallel.
    Bsp,
    /// Stale synchronous parallel with this staleness.
    Ssp(u64),
    /// Eventual consistency.
    Eventual,
}

impl From<Local> for Extension {
    fn from(local: Local) -> Self {
        match local {
            Local::Bsp => Bsp.into(),
            Local::Ssp(staleness) => Ssp { staleness }.into(),
            Local::Eventual => Eventual.into(),
        }
    }
}

impl FromStr for Local {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        match lower.split_once(':') {
            None if lower == "bsp" => Ok(Self::Bsp),
            None if lower == "eventual" => Ok(Self::Eventual),
            Some(("ssp", staleness)) => staleness
                .parse()
                .map(Self::Ssp)
                .map_err(|_error| format!("ssp:N needs a whole number, found {staleness:?}")),
            _ => Err(format!("expected bsp, ssp:N or eventual, found {text:?}")),
        }
    }
}

impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bsp => f.write_str("bsp"),
            Self::Ssp(staleness) => write!(f, "ssp:{staleness}"),
            Self::Eventual => f.write_str("eventual"),
        }
    }
}
