//! Reading the parameters of a rule from its extension.

use crate::extension::Extension;
use crate::vector::DType;

/// An extension does not describe the rule asked for. Blame: the caller.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ParameterError {
    /// The extension names other code.
    #[error("expected the extension {expected:?}, found {found:?}")]
    Name {
        /// The rule's `name/version`.
        expected: &'static str,
        /// The extension's.
        found: String,
    },
    /// The rule has no such parameter.
    #[error("{rule} has no parameter {parameter:?}")]
    Unknown {
        /// The rule's `name/version`.
        rule: &'static str,
        /// The parameter.
        parameter: String,
    },
    /// A parameter is outside its bounds.
    #[error("{rule}: {parameter} is {found}, expected {expected}")]
    Bounds {
        /// The rule's `name/version`.
        rule: &'static str,
        /// The parameter.
        parameter: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it is.
        found: f64,
    },
}

/// Checks that `extension` names `rule` and has no parameters beside `known`.
pub(in crate::vector) fn check(
    extension: &Extension,
    rule: &'static str,
    known: &[&str],
) -> Result<(), ParameterError> {
    if extension.name() != rule {
        return Err(ParameterError::Name { expected: rule, found: extension.name().into() });
    }
    let names = extension.parameters().iter().map(|(name, _)| name);
    match names.into_iter().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(ParameterError::Unknown { rule, parameter: name.clone() }),
    }
}

/// A decay: a parameter in [0, 1), or its default where it is absent.
pub(super) fn decay(
    extension: &Extension,
    rule: &'static str,
    parameter: &'static str,
    default: f64,
) -> Result<f64, ParameterError> {
    let found = extension.parameter(parameter).unwrap_or(default);
    if (0.0..1.0).contains(&found) {
        return Ok(found);
    }
    Err(ParameterError::Bounds { rule, parameter, expected: "at least 0 and below 1", found })
}

/// A positive finite parameter, or its default where it is absent.
pub(super) fn positive(
    extension: &Extension,
    rule: &'static str,
    parameter: &'static str,
    default: f64,
) -> Result<f64, ParameterError> {
    let found = extension.parameter(parameter).unwrap_or(default);
    if found > 0.0 && found.is_finite() {
        return Ok(found);
    }
    Err(ParameterError::Bounds { rule, parameter, expected: "finite and above 0", found })
}

/// Whether a rule of real arithmetic can work on this type.
pub(super) fn is_real(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F64)
}

/// The two methods of [`UpdateRule`](crate::vector::UpdateRule) that a rule of real arithmetic
/// has, both by its generic `apply_real`.
macro_rules! apply_reals {
    () => {
        fn apply_f32(&self, context: &ApplyContext, rows: &mut RowsMut<'_, f32>) {
            self.apply_real(context, rows);
        }

        fn apply_f64(&self, context: &ApplyContext, rows: &mut RowsMut<'_, f64>) {
            self.apply_real(context, rows);
        }
    };
}
pub(super) use apply_reals;
