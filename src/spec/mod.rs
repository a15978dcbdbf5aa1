//! Schema: what a table is (`TableSpec`), how it behaves (`TablePolicy`) and the numbers that
//! change while it is trained (`Hyper`). Plain data; code is named, never held.

mod group;
mod policy;
mod same;
mod table;

pub use group::{GroupRecord, Member, MemberEnd};
pub use policy::{AckLevel, FoldOrder, Hyper, TablePolicy};
pub use table::{Combine, Init, Layout, Table, TableSpec};
