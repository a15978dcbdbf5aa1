//! Two descriptions of one name, compared field by field.

use std::borrow::Cow;
use std::fmt::{Debug, Display};

use crate::error::SpecError;

/// `Mismatch` when a field of what exists as `name` is another one than was asked for.
pub(super) fn same<T: PartialEq + Display>(
    name: &str,
    field: &'static str,
    expected: &T,
    found: &T,
) -> Result<(), SpecError> {
    if expected == found { Ok(()) } else { Err(mismatch(name, field, [expected, found])) }
}

/// As [`same`], for what is shown as it is written in code.
pub(super) fn same_shown<T: PartialEq + Debug>(
    name: &str,
    field: &'static str,
    expected: &T,
    found: &T,
) -> Result<(), SpecError> {
    if expected == found {
        return Ok(());
    }
    Err(mismatch(name, field, [format!("{expected:?}"), format!("{found:?}")]))
}

/// The error of two descriptions of the table `name`.
pub(super) fn mismatch(
    name: &str,
    field: impl Into<Cow<'static, str>>,
    [expected, found]: [impl ToString; 2],
) -> SpecError {
    let (expected, found) = (expected.to_string(), found.to_string());
    SpecError::Mismatch { name: name.into(), field: field.into(), expected, found }
}
