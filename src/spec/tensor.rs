//! Named tensors: the parts of a dense table that a model calls by name. Plain data.
//!
//! Where they lie is part of the table's description. Servers hold it, so that every worker means
//! the same rows by a name, in whatever order its program names the tensors.
//!
//! Invariants, of a description that was checked: I1 tensors stand in the order of their names,
//! and their keys in the same order, without overlap; I2 as placed here, a tensor touches as many
//! blocks as its elements need, not one more.

use std::fmt;

use super::same::mismatch;
use super::{Init, Layout, TableSpec};
use crate::error::SpecError;
use crate::key::{Key, KeyRange};
use crate::limits;

/// The dimensions of a tensor, the slowest first. None at all: one element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape(pub Vec<u64>);

impl Shape {
    /// The product of the dimensions, as far as u64 counts.
    pub fn elements(&self) -> u64 {
        self.0.iter().fold(1, |product, dimension| product.saturating_mul(*dimension))
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl From<&[usize]> for Shape {
    fn from(dimensions: &[usize]) -> Self {
        Self(dimensions.iter().map(|dimension| *dimension as u64).collect())
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dimensions: [usize; N]) -> Self {
        Self::from(&dimensions[..])
    }
}

/// A tensor of a table: its name, where its elements lie, and how they start.
///
/// ```
/// use archipelago::{Init, TableSpec};
/// use archipelago::spec::TensorSpec;
///
/// let weights = TensorSpec::new("fc.weight", [10, 64]);
/// let weights = weights.init(Init::Uniform { seed: 1, low: -0.1, high: 0.1 });
/// let bias = TensorSpec::new("fc.bias", [10]);
/// let spec = TableSpec::tensors("model", [weights.clone(), bias.clone()]);
/// assert_eq!(spec, TableSpec::tensors("model", [bias, weights]), "the order of naming is free");
/// assert_eq!((spec.tensors[1].name.as_str(), spec.tensors[1].first.0), ("fc.weight", 10));
/// spec.check()?;
/// # Ok::<(), archipelago::error::SpecError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TensorSpec {
    /// Its name, unique in its table.
    pub name: String,
    /// Its dimensions.
    pub shape: Shape,
    /// The row of its first element; one row an element, the last dimension fastest.
    pub first: Key,
    /// The value of its untouched elements.
    pub init: Init,
}

impl TensorSpec {
    /// A tensor that starts with zeros. Its table places it.
    pub fn new(name: impl Into<String>, shape: impl Into<Shape>) -> Self {
        Self { name: name.into(), shape: shape.into(), first: Key(0), init: Init::Zero }
    }

    /// Sets the value of untouched elements.
    #[must_use]
    pub fn init(mut self, init: Init) -> Self {
        self.init = init;
        self
    }

    /// The rows of its elements; `None` when there are none, or more than keys.
    pub fn keys(&self) -> Option<KeyRange> {
        KeyRange::from_count(self.first, self.shape.elements())
    }

    /// What two descriptions have to agree on, in words.
    fn in_words(&self) -> String {
        format!("{} at key {}, init {:?}", self.shape, self.first, self.init)
    }
}

/// Places tensors from key 0 on, in the order of their names: one behind the other, except that
/// one begins a new block where it would otherwise touch a block more than its elements need. So
/// small ones share blocks, and all gaps together are smaller than all tensors. Returns the rows.
pub(super) fn place(tensors: &mut [TensorSpec], block_rows: u64) -> u64 {
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let mut end = 0_u64;
    for tensor in tensors {
        let elements = tensor.shape.elements();
        let tail = elements.saturating_sub(1) % block_rows + 1;
        if end % block_rows + tail > block_rows {
            end = end.next_multiple_of(block_rows);
        }
        tensor.first = Key(end);
        end = end.saturating_add(elements).min(ROWS_MAX);
    }
    end
}

/// Beyond it `check` refuses a dense table, so that placing need not count further.
const ROWS_MAX: u64 = 1 << 62;

/// The tensors that lie in a range, with the rows that do.
pub(super) fn within(
    tensors: &[TensorSpec],
    range: KeyRange,
) -> impl Iterator<Item = (&TensorSpec, KeyRange)> {
    let last = |tensor: &TensorSpec| tensor.keys().map(|keys| keys.last());
    let before = tensors.partition_point(|tensor| last(tensor) < Some(range.first()));
    let begun = tensors[before..].iter().take_while(move |tensor| tensor.first <= range.last());
    begun.filter_map(move |tensor| Some((tensor, tensor.keys()?.intersect(&range)?)))
}

/// Checks the tensors of a table, its other fields being checked.
pub(super) fn check(spec: &TableSpec) -> Result<(), SpecError> {
    let tensors = &spec.tensors;
    let plain = spec.layout == Layout::Dense && spec.width == 1;
    let found = format!("{} of width {}", spec.layout.name(), spec.width);
    spec.field(tensors.is_empty() || plain, "table of tensors", "dense of width 1", found)?;
    let (most, count) = (limits::TENSORS_MAX, tensors.len());
    spec.field(count <= most, "number of tensors", "at most 2048", count)?;
    tensors.iter().try_for_each(|tensor| check_one(spec, tensor))?;
    for [before, tensor] in tensors.array_windows() {
        let follows = before.name < tensor.name
            && before.keys().is_some_and(|keys| keys.last() < tensor.first);
        let field = format!("tensor {:?}", tensor.name);
        let expected = format!("a name and keys behind those of {:?}", before.name);
        spec.field(follows, field, &expected, tensor.in_words())?;
    }
    Ok(())
}

fn check_one(spec: &TableSpec, tensor: &TensorSpec) -> Result<(), SpecError> {
    let field = |good, part: &str, expected: &str, found: String| {
        spec.field(good, format!("{part} of tensor {:?}", tensor.name), expected, found)
    };
    let (bytes, shape) = (tensor.name.len(), &tensor.shape);
    let fits = bytes > 0 && bytes <= limits::NAME_BYTES_MAX;
    field(fits, "name", "1 to 255 bytes", bytes.to_string())?;
    let fits = shape.0.len() <= limits::DIMENSIONS_MAX && !shape.0.contains(&0);
    field(fits, "shape", "at most 8 dimensions, none of them 0", shape.to_string())?;
    let inside = tensor.keys().is_some_and(|keys| spec.domain.covers(&keys));
    field(inside, "place", &format!("inside the domain {}", spec.domain), tensor.in_words())?;
    let found = format!("{:?}", tensor.init);
    field(spec.allows(&tensor.init), "init", "numbers that the type holds, low <= high", found)
}

/// Checks that another description of the table `name` has the same tensors.
pub(super) fn check_same(
    name: &str,
    expected: &[TensorSpec],
    found: &[TensorSpec],
) -> Result<(), SpecError> {
    let differ = |at: &usize| expected.get(*at) != found.get(*at);
    let Some(at) = (0..expected.len().max(found.len())).find(differ) else { return Ok(()) };
    let both = [expected.get(at), found.get(at)];
    // Both are in order, so that the lower name is the one that the other side lacks.
    let Some(tensor) = both.iter().flatten().map(|tensor| &tensor.name).min() else {
        return Ok(());
    };
    let words = both.map(|one| {
        let named = one.filter(|one| one.name == *tensor);
        named.map_or_else(|| "none".into(), TensorSpec::in_words)
    });
    Err(mismatch(name, format!("tensor {tensor:?}"), words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn model(tensors: &[(&str, &[usize])]) -> TableSpec {
        let tensors = tensors.iter().map(|(name, shape)| TensorSpec::new(*name, *shape));
        TableSpec::tensors("model", tensors)
    }

    proptest! {
        #[test]
        fn no_tensor_touches_more_blocks_than_it_needs(
            sizes in prop::collection::vec(1_usize..500, 1..40),
            log in 6_u32..9,
        ) {
            let named = sizes.iter().enumerate();
            let named = named.map(|(i, size)| TensorSpec::new(format!("t{i:03}"), [*size]));
            let spec = TableSpec::tensors("model", named).block_elements(1 << log);
            spec.check().unwrap();
            let block = spec.block_rows();
            for tensor in &spec.tensors {
                let keys = tensor.keys().unwrap();
                let touched = keys.last().0 / block - keys.first().0 / block + 1;
                prop_assert_eq!(touched, tensor.shape.elements().div_ceil(block));
            }
            let elements: u64 = sizes.iter().map(|size| *size as u64).sum();
            prop_assert!(spec.rows() < 2 * elements);
        }
    }

    #[test]
    fn the_first_tensor_that_differs_is_named() {
        let spec = model(&[("b", &[4]), ("d", &[2, 3])]);
        let differs = |tensors: &[(&str, &[usize])]| {
            spec.check_same(&model(tensors)).unwrap_err().to_string()
        };
        let turned = differs(&[("b", &[4]), ("d", &[3, 2])]);
        assert!(turned.contains("tensor \"d\" [2, 3] at key 4"), "{turned}");
        assert!(turned.contains("found [3, 2] at key 4"), "{turned}");
        let missing = differs(&[("b", &[4])]);
        assert!(missing.contains("tensor \"d\" [2, 3]") && missing.contains("found none"));
        let more = differs(&[("a", &[9]), ("b", &[4]), ("d", &[2, 3])]);
        assert!(more.contains("tensor \"a\" none, found [9] at key 0"), "{more}");
        assert!(spec.check_same(&model(&[("d", &[2, 3]), ("b", &[4])])).is_ok());
        assert_ne!(spec.hash(), model(&[("b", &[4]), ("d", &[3, 2])]).hash());
    }

    #[test]
    fn what_cannot_be_a_model_is_refused() {
        let refused = |spec: TableSpec, words: &str| {
            let error = spec.check().unwrap_err().to_string();
            assert!(error.contains(words), "{words:?} in {error:?}");
        };
        refused(model(&[]), "at least 1 of each");
        refused(model(&[("", &[1])]), "name of tensor \"\"");
        refused(model(&[("a", &[2]), ("a", &[2])]), "a name and keys behind those of \"a\"");
        refused(model(&[("a", &[2, 0])]), "shape of tensor \"a\" is [2, 0]");
        refused(model(&[("a", &[1; 9])]), "at most 8 dimensions");
        refused(model(&[("a", &[usize::MAX, 2])]), "at most 2^48 elements");
        refused(model(&[("a", &[2])]).width(2), "dense of width 1");
        let mut elsewhere = model(&[("a", &[2])]);
        elsewhere.tensors[0].first = Key(1);
        refused(elsewhere, "inside the domain");
        let low = Init::Uniform { seed: 1, low: 2.0, high: 1.0 };
        let spec = TableSpec::tensors("model", [TensorSpec::new("a", [2]).init(low)]);
        refused(spec, "init of tensor \"a\"");
        assert!(model(&[("a", &[])]).check().is_ok(), "a scalar is one element");
    }

    #[test]
    fn every_tensor_starts_with_its_own_init() {
        let ones = TensorSpec::new("a", [3]).init(Init::Constant(1.0));
        let seed = 5;
        let noise = TensorSpec::new("b", [2]).init(Init::Uniform { seed, low: 2.0, high: 3.0 });
        let spec = TableSpec::tensors("model", [ones, noise, TensorSpec::new("c", [70])]);
        let spec = spec.block_elements(64);
        let mut whole = vec![9.0_f32; spec.rows() as usize];
        spec.fill_init(Key(0), &mut whole);
        assert_eq!(whole[..3], [1.0; 3]);
        assert!(whole[3..5].iter().all(|x| (2.0..3.0).contains(x)) && whole[3] != whole[4]);
        assert!(whole[5..].iter().all(|x| *x == 0.0), "gaps and zeros");
        for cut in 1..whole.len() {
            let mut rest = vec![9.0_f32; whole.len() - cut];
            spec.fill_init(Key(cut as u64), &mut rest);
            assert_eq!(rest, whole[cut..], "from {cut} on");
        }
    }
}
