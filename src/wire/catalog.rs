//! How tables and groups are described on the wire, and why one is not created.
//!
//! Invariants: as of the room; and what is decoded here is only well-formed, not checked: whoever
//! creates a table or group checks its description (SPEC law 14.5).

#![deny(clippy::indexing_slicing, clippy::cast_possible_truncation)]

use std::borrow::Cow;

use super::field::{Field, Listed, Sink, Source, put_count, unknown};
use super::layout::{Choice, choice, choices_as_fields, records};
use crate::error::{AccessError, Error, FrameError, GroupError, SpecError};
use crate::extension::Extension;
use crate::id::ServerId;
use crate::limits;
use crate::schedule::Schedule;
use crate::spec::{
    CatalogEntry, ChangeEntry, Combine, Described, FoldOrder, GroupEntry, GroupSpec, Hyper, Init,
    Layout, Shape, TableChange, TableEntry, TablePolicy, TableSpec, TensorSpec, Terms,
};

/// Why a table or group is not created or found.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum CatalogRefusal {
    /// The description is out of bounds, differs from what exists, or needs code that the server
    /// lacks.
    Described(SpecError),
    /// A group needs a table first.
    NeedsTable {
        /// The group's name.
        group: String,
    },
    /// Only the keeper creates.
    NotKeeper {
        /// Whom to ask.
        keeper: ServerId,
    },
    /// The keeper has too many such requests open.
    Busy,
    /// There is no such table.
    UnknownTable {
        /// The name asked for.
        table: String,
    },
    /// The table was dropped.
    Dropped {
        /// Its name.
        table: String,
    },
}

impl CatalogRefusal {
    /// The refusal of an error, its texts cut to what a frame may hold.
    pub fn of(error: Error) -> Self {
        match error {
            Error::Spec(error) => Self::Described(cut(error)),
            Error::Group(GroupError::NeedsTable { group }) => Self::NeedsTable { group },
            Error::Access(AccessError::UnknownTable { table }) => Self::UnknownTable { table },
            Error::Access(AccessError::Dropped { table }) => Self::Dropped { table },
            // Creating has no other errors; the words of one would still tell what happened.
            other => Self::Described(SpecError::Planned {
                name: String::new(),
                what: fitting(other.to_string()),
            }),
        }
    }

    /// The refusal in the caller's words.
    pub fn into_error(self) -> Error {
        match self {
            Self::Described(error) => error.into(),
            Self::NeedsTable { group } => GroupError::NeedsTable { group }.into(),
            Self::UnknownTable { table } => AccessError::UnknownTable { table }.into(),
            Self::Dropped { table } => AccessError::Dropped { table }.into(),
            Self::NotKeeper { keeper } => SpecError::Field {
                table: "cluster".into(),
                field: "keeper".into(),
                expected: keeper.to_string(),
                found: "another server".into(),
            }
            .into(),
            Self::Busy => SpecError::Limit {
                what: "requests for tables and groups that wait at the keeper".into(),
                limit: limits::ASKS_MAX as u64,
                found: limits::ASKS_MAX as u64 + 1,
            }
            .into(),
        }
    }
}

fn cut(error: SpecError) -> SpecError {
    match error {
        SpecError::Field { table, field, expected, found } => {
            let (table, field) = (fitting(table), fitting(field.into_owned()).into());
            SpecError::Field { table, field, expected: fitting(expected), found: fitting(found) }
        },
        SpecError::Mismatch { name, field, expected, found } => {
            let (name, field) = (fitting(name), fitting(field.into_owned()).into());
            SpecError::Mismatch { name, field, expected: fitting(expected), found: fitting(found) }
        },
        SpecError::UnknownExtension { name, kind, extension, known } => {
            let (name, kind) = (fitting(name), fitting(kind.into_owned()).into());
            let (extension, known) = (fitting(extension), fitting(known));
            SpecError::UnknownExtension { name, kind, extension, known }
        },
        SpecError::Planned { name, what } => {
            SpecError::Planned { name: fitting(name), what: fitting(what) }
        },
        SpecError::TooEarly { table, earliest, found } => {
            SpecError::TooEarly { table: fitting(table), earliest, found }
        },
        SpecError::TooLate { table, latest, found } => {
            SpecError::TooLate { table: fitting(table), latest, found }
        },
        SpecError::Limit { what, limit, found } => {
            SpecError::Limit { what: fitting(what.into_owned()).into(), limit, found }
        },
    }
}

/// The text, or as much of its beginning as a text may have.
fn fitting(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(limits::TEXT_BYTES_MAX));
    text
}

choice! { CatalogRefusal, "refusal of a table or group",
    0 => Described(error),
    1 => NeedsTable { group },
    2 => NotKeeper { keeper },
    3 => Busy,
    4 => UnknownTable { table },
    5 => Dropped { table },
}

choice! { SpecError, "error of a description",
    0 => Field { table, field, expected, found },
    1 => Mismatch { name, field, expected, found },
    2 => UnknownExtension { name, kind, extension, known },
    3 => Planned { name, what },
    4 => Limit { what, limit, found },
    5 => TooEarly { table, earliest, found },
    6 => TooLate { table, latest, found },
}

choice! { CatalogEntry, "entry of the catalog",
    0 => Table(entry),
    1 => Group(entry),
    2 => Change(entry),
    3 => Drop(table),
}

choice! { Layout, "layout",
    0 => Dense,
    1 => Sparse,
}

choice! { Init, "init",
    0 => Zero,
    1 => Constant(value),
    2 => Uniform { seed, low, high },
}

choice! { Combine, "combine",
    0 => Sum,
    1 => WeightedMean { round_weight },
}

choice! { FoldOrder, "fold order",
    0 => Worker,
    1 => Arrival,
}

choice! { Schedule, "schedule",
    0 => Constant(value),
    1 => InverseSqrt { initial },
    2 => Linear { from, to, ticks },
}

choices_as_fields!(
    CatalogRefusal,
    SpecError,
    CatalogEntry,
    Layout,
    Init,
    Combine,
    FoldOrder,
    Schedule
);

records! {
    TableSpec {
        name, domain, width, dtype, layout, block_elements, slots, init, rule, combine, tensors
    }
    TensorSpec { name, shape, first, init }
    TablePolicy { local, global, significance, fold, non_finite, bsp_stash_bytes_max }
    Hyper { rate }
    Described { spec, policy, hyper }
    Terms { from, policy, hyper }
    TableChange { policy, hyper, from }
    TableEntry { id, described, changes }
    ChangeEntry { table, terms }
    GroupSpec { name, size }
    GroupEntry { id, spec }
}

impl<T: Field> Field for Box<T> {
    fn put(&self, sink: &mut impl Sink) {
        (**self).put(sink);
    }

    fn take(source: &mut Source<'_>) -> Result<Self, FrameError> {
        Ok(Self::new(T::take(source)?))
    }
}

impl Field for bool {
    fn put(&self, sink: &mut impl Sink) {
        u8::from(*self).put(sink);
    }

    fn take(source: &mut Source<'_>) -> Result<Self, FrameError> {
        match u8::take(source)? {
            0 => Ok(false),
            1 => Ok(true),
            tag => Err(unknown("yes or no", tag)),
        }
    }
}

impl Field for usize {
    fn put(&self, sink: &mut impl Sink) {
        (*self as u64).put(sink);
    }

    fn take(source: &mut Source<'_>) -> Result<Self, FrameError> {
        let found = u64::take(source)?;
        Self::try_from(found)
            .map_err(|_beyond| FrameError::Malformed { field: "number of bytes", found })
    }
}

impl Field for String {
    fn put(&self, sink: &mut impl Sink) {
        put_count(self.len(), sink);
        sink.raw(self.as_bytes());
    }

    fn take(source: &mut Source<'_>) -> Result<Self, FrameError> {
        Ok(source.reader.text(limits::TEXT_BYTES_MAX)?.to_owned())
    }
}

impl Field for Cow<'static, str> {
    fn put(&self, sink: &mut impl Sink) {
        put_count(self.len(), sink);
        sink.raw(self.as_bytes());
    }

    fn take(source: &mut Source<'_>) -> Result<Self, FrameError> {
        Ok(Self::Owned(String::take(source)?))
    }
}

impl Field for Extension {
    fn put(&self, sink: &mut impl Sink) {
        put_count(self.name().len(), sink);
        sink.raw(self.name().as_bytes());
        put_count(self.parameters().len(), sink);
        for (name, value) in self.parameters() {
            name.put(sink);
            value.put(sink);
        }
    }

    /// Parameters ascend strictly by name, so that an extension has one encoding.
    fn take(source: &mut Source<'_>) -> Result<Self, FrameError> {
        let mut extension = Self::new(String::take(source)?);
        let count = source.reader.count("parameters", 4 + 8, limits::PARAMETERS_MAX)?;
        for _ in 0..count {
            let (name, value) = <(String, f64)>::take(source)?;
            let last = extension.parameters().last();
            if last.is_some_and(|(last, _)| *last >= name) {
                let found = name.len() as u64;
                return Err(FrameError::Malformed { field: "order of parameters", found });
            }
            extension = extension.with(name, value);
        }
        Ok(extension)
    }
}

impl Field for Shape {
    fn put(&self, sink: &mut impl Sink) {
        put_count(self.0.len(), sink);
        for dimension in &self.0 {
            dimension.put(sink);
        }
    }

    fn take(source: &mut Source<'_>) -> Result<Self, FrameError> {
        let count = source.reader.count("dimensions", 8, limits::DIMENSIONS_MAX)?;
        let dimensions = (0..count).map(|_| Field::take(source));
        Ok(Self(dimensions.collect::<Result<_, _>>()?))
    }
}

impl Listed for TensorSpec {
    const NAME: &'static str = "tensors";
    const BYTES_MIN: usize = 4 + 4 + 8 + 1;
    const COUNT_MAX: usize = limits::TENSORS_MAX;
}

impl Listed for TableEntry {
    const NAME: &'static str = "tables";
    /// The number, and of the description what has a fixed size.
    const BYTES_MIN: usize = 4 + 4 + 16 + 4;
    const COUNT_MAX: usize = limits::TABLES_MAX;
}

impl Listed for Terms {
    const NAME: &'static str = "changes of a table";
    /// The tick, and of the policy and the numbers what has a fixed size.
    const BYTES_MIN: usize = 8 + 4 + 4 + 1 + 1 + 8 + 1 + 8;
    const COUNT_MAX: usize = limits::TABLE_CHANGES_MAX;
}

/// Bytes that a table takes in a list of tables.
pub fn table_entry_bytes(entry: &TableEntry) -> usize {
    let mut count = super::field::Count::default();
    entry.put(&mut count);
    count.0
}

/// Bytes that a change takes in a table's description.
pub fn terms_bytes(terms: &Terms) -> usize {
    let mut count = super::field::Count::default();
    terms.put(&mut count);
    count.0
}

impl super::Message {
    /// Refuses texts that no reader would accept.
    pub(super) fn check_texts(&self) -> Result<(), FrameError> {
        match self {
            Self::EnsureTable { described, .. } => check_described(described),
            Self::EnsureGroup { spec, .. } => check_text(&spec.name),
            Self::CatalogEntry { entry: CatalogEntry::Table(entry), .. } => {
                check_described(&entry.described)
            },
            Self::CatalogEntry { entry: CatalogEntry::Group(entry), .. } => {
                check_text(&entry.spec.name)
            },
            Self::CatalogEntry { entry: CatalogEntry::Change(entry), .. } => {
                check_extension(&entry.terms.policy.local)
            },
            Self::ChangeTable { name, change, .. } => {
                check_text(name)?;
                change.policy.iter().try_for_each(|policy| check_extension(&policy.local))
            },
            Self::DropTable { name, .. } => check_text(name),
            // What exists was checked when it was created, and refusals are cut.
            _ => Ok(()),
        }
    }
}

fn check_described(described: &Described) -> Result<(), FrameError> {
    check_text(&described.spec.name)?;
    check_count("tensors", limits::TENSORS_MAX, described.spec.tensors.len())?;
    for TensorSpec { name, shape, .. } in &described.spec.tensors {
        check_text(name)?;
        check_count("dimensions", limits::DIMENSIONS_MAX, shape.0.len())?;
    }
    check_extension(&described.spec.rule)?;
    check_extension(&described.policy.local)
}

fn check_extension(extension: &Extension) -> Result<(), FrameError> {
    check_text(extension.name())?;
    check_count("parameters", limits::PARAMETERS_MAX, extension.parameters().len())?;
    extension.parameters().iter().try_for_each(|(name, _)| check_text(name))
}

fn check_text(text: &str) -> Result<(), FrameError> {
    check_count("text", limits::TEXT_BYTES_MAX, text.len())
}

fn check_count(field: &'static str, limit: usize, found: usize) -> Result<(), FrameError> {
    if found <= limit {
        return Ok(());
    }
    Err(FrameError::TooLarge { field, limit, found })
}
