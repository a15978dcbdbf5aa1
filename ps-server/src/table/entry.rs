//! What trainings need, as an entry of a file of tables.

use std::fmt::Write;

use archipelago::{Extension, Hyper, TablePolicy, TableSpec};
use toml::Value;

use super::numbers::{combine_shown, init_shown, schedule_shown};
use crate::code::written;

/// A table as such a file has it.
///
/// # Errors
/// What no option says: tensors, and domains that do not begin with key 0.
pub(crate) fn file_entry(
    spec: &TableSpec,
    policy: &TablePolicy,
    hyper: &Hyper,
) -> anyhow::Result<String> {
    let mut text = String::from("[[table]]\n");
    let mut line = |key: &str, value: Value| writeln!(text, "{key} = {value}");
    let word = |extension: &Extension| Value::String(written(extension));
    line("name", Value::String(spec.name.clone()))?;
    match spec.layout {
        archipelago::Layout::Dense => {
            line("dense", Value::Integer(i64::try_from(spec.domain.count())?))?;
        },
        archipelago::Layout::Sparse => line("sparse", Value::Boolean(true))?,
    }
    line("width", Value::Integer(spec.width.into()))?;
    line("dtype", Value::String(spec.dtype.name().into()))?;
    line("rule", word(&spec.rule))?;
    line("local", word(&policy.local))?;
    line("global", word(&policy.global))?;
    line("significance", word(&policy.significance))?;
    line("rate", Value::String(schedule_shown(&hyper.rate)))?;
    line("combine", Value::String(combine_shown(spec.combine)))?;
    line("init", Value::String(init_shown(spec.init)))?;
    line("slots", Value::Integer(spec.slots.into()))?;
    line("block_elements", Value::Integer(spec.block_elements.into()))?;
    Ok(text)
}
