//! What goes wrong with named tensors.

/// A tensor is not what the table holds under its name. Blame: the caller. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// The table has rows without names.
    #[error("table {table:?} names no tensors: describe it with TableSpec::tensors")]
    Unnamed {
        /// The table.
        table: String,
    },
    /// No tensor of the table has the name.
    #[error("table {table:?} has no tensor {tensor:?}, it has {known}")]
    Unknown {
        /// The table.
        table: String,
        /// The name that was asked for.
        tensor: String,
        /// The names that there are, or the first of them.
        known: String,
    },
    /// The tensor has another shape.
    #[error("table {table:?}, tensor {tensor:?}: expected shape {expected:?}, found {found:?}")]
    Shape {
        /// The table.
        table: String,
        /// The tensor.
        tensor: String,
        /// The dimensions that the servers hold.
        expected: Vec<u64>,
        /// Those of the caller.
        found: Vec<u64>,
    },
    /// The slice does not hold the tensor's elements.
    #[error(
        "table {table:?}, tensor {tensor:?}: expected {elements} elements (shape {shape:?}), found \
         a slice of {found}"
    )]
    Length {
        /// The table.
        table: String,
        /// The tensor.
        tensor: String,
        /// Its dimensions.
        shape: Vec<u64>,
        /// Their product.
        elements: u64,
        /// The slice's length.
        found: u64,
    },
}
