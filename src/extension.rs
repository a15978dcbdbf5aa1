//! Names of code: update rules, policies, filters and significance functions as plain data.
//!
//! A schema never holds code. It names it as `name/version` with numeric parameters, and the
//! registry of `node` resolves the name when a table is created.

use std::fmt;

use crate::limits;

/// The name, version and parameters of an extension.
///
/// ```
/// use archipelago::Extension;
/// let momentum = Extension::new("momentum/1").with("beta", 0.9);
/// assert_eq!(momentum.to_string(), "momentum/1(beta=0.9)");
/// assert_eq!(momentum.parameter("beta"), Some(0.9));
/// let large = Extension::new("asp/1").with("threshold", 1e300);
/// assert_eq!(large.to_string(), "asp/1(threshold=1e300)");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Extension {
    name: String,
    parameters: Vec<(String, f64)>,
}

impl Extension {
    /// An extension without parameters; `name` has the form `name/version`.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), parameters: Vec::new() }
    }

    /// Sets a parameter. Parameters are kept in order of name, so that equal ones compare equal.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: f64) -> Self {
        let name = name.into();
        match self.parameters.binary_search_by(|(held, _)| held.cmp(&name)) {
            Ok(at) => self.parameters[at].1 = value,
            Err(at) => self.parameters.insert(at, (name, value)),
        }
        self
    }

    /// `name/version`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value of a parameter, if it was given.
    pub fn parameter(&self, name: &str) -> Option<f64> {
        let at = self.parameters.binary_search_by(|(held, _)| held.as_str().cmp(name));
        at.ok().map(|at| self.parameters[at].1)
    }

    /// Refuses parameters that are not among those known.
    ///
    /// # Errors
    /// What was expected instead of the first one that is not.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), String> {
        let unknown = self.parameters.iter().find(|(name, _)| !known.contains(&name.as_str()));
        match unknown {
            None => Ok(()),
            Some((name, _)) if known.is_empty() => Err(format!("no parameter, not {name:?}")),
            Some((name, _)) => Err(format!("no parameter {name:?}: {}", known.join(", "))),
        }
    }

    /// A parameter that is 1 or 0, where it is not given 0.
    ///
    /// # Errors
    /// What was expected.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, String> {
        match self.parameter(name) {
            None | Some(0.0) => Ok(false),
            Some(1.0) => Ok(true),
            Some(_) => Err(format!("{name}: 0 or 1")),
        }
    }

    /// A parameter that is a whole number.
    ///
    /// # Errors
    /// What was expected.
    pub(crate) fn whole(&self, name: &str, default: u64) -> Result<u64, String> {
        match self.parameter(name) {
            None => Ok(default),
            Some(value) if value >= 0.0 && value.fract() == 0.0 && value <= WHOLE_MAX as f64 => {
                Ok(value as u64)
            },
            Some(_) => Err(format!("{name}: a whole number from 0 to 2^53")),
        }
    }

    /// Whether its names and the number of its parameters are within their limits.
    pub fn is_bounded(&self) -> bool {
        let fits = |name: &str| !name.is_empty() && name.len() <= limits::NAME_BYTES_MAX;
        fits(&self.name)
            && self.parameters.len() <= limits::PARAMETERS_MAX
            && self.parameters.iter().all(|(name, _)| fits(name))
    }

    /// All parameters, in order of name.
    pub fn parameters(&self) -> &[(String, f64)] {
        &self.parameters
    }
}

/// Whole numbers up to here are exact in the f64 that carries a parameter.
pub(crate) const WHOLE_MAX: u64 = 1 << 53;

/// The longest number that is shown without an exponent.
const PLAIN_MAX: usize = 24;

impl fmt::Display for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (i, (name, value)) in self.parameters.iter().enumerate() {
            write!(f, "{}{name}=", if i == 0 { "(" } else { ", " })?;
            // Hundreds of digits say no more than a few.
            let plain = value.to_string();
            if plain.len() > PLAIN_MAX { write!(f, "{value:e}")? } else { f.write_str(&plain)? }
        }
        f.write_str(if self.parameters.is_empty() { "" } else { ")" })
    }
}
