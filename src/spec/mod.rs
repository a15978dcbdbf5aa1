//! Schema: what a table is (`TableSpec`), how it behaves (`TablePolicy`) and the numbers that
//! change while it is trained (`Hyper`). Plain data; code is named, never held.

mod catalog;
mod group;
mod handle;
mod policy;
mod same;
mod table;
mod tensor;
mod terms;

pub use catalog::{CatalogEntry, ChangeEntry, Described, GroupEntry, TableEntry};
pub use group::{GroupRecord, GroupSpec, Member, MemberEnd};
pub use handle::Table;
pub(crate) use policy::SILENCE;
pub use policy::{AckLevel, FoldOrder, Hyper, TablePolicy};
pub use table::{Combine, Init, Layout, TableSpec};
pub use tensor::{Shape, TensorSpec};
pub use terms::{TableChange, Terms};
