//! What a table is: the immutable part, hashed and stored with the data.

use std::borrow::Cow;
use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

use super::same::{same, same_shown};
use super::{TensorSpec, tensor};
use crate::codec::Writer;
use crate::error::SpecError;
use crate::extension::Extension;
use crate::key::{Key, KeyRange};
use crate::limits;
use crate::rng;
use crate::vector::{DType, Element};

/// How rows come to exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Every key of the domain exists from the start.
    Dense,
    /// Rows appear on their first push; missing ones read as the init.
    Sparse,
}

impl Layout {
    /// The name used in errors.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Sparse => "sparse",
        }
    }
}

/// How the contributions of a round are merged.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Combine {
    /// Their sum.
    Sum,
    /// Their sum divided by the sum of the weights of the members that pushed to the table in
    /// the round. Where a round is a single push the divisor is `round_weight`, so that n
    /// workers do not multiply the learning rate by n.
    WeightedMean {
        /// The weight that all workers together push per iteration: > 0 and finite.
        round_weight: f64,
    },
}

impl Combine {
    /// What a sum of contributions is divided by, whose weights add up to `weight` where all of
    /// them are known; `None` for a sum.
    pub(crate) fn denominator(&self, weight: Option<f64>) -> Option<f64> {
        match self {
            Self::Sum => None,
            Self::WeightedMean { round_weight } => Some(weight.unwrap_or(*round_weight)),
        }
    }
}

/// The value of a row that nobody has pushed to: a pure function of (seed, table, key).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Init {
    /// Zero.
    Zero,
    /// The same number everywhere.
    Constant(f64),
    /// Uniform in [low, high), from integer hashes, so equal on every machine.
    Uniform {
        /// The seed.
        seed: u64,
        /// The least value.
        low: f64,
        /// The bound above.
        high: f64,
    },
}

/// What a table is. Immutable; two descriptions of one table must be equal.
///
/// ```
/// use archipelago::{Combine, Init, TableSpec, rules::Sgd};
/// let spec = TableSpec::dense("layer1", 64 * 10)
///     .width(10)
///     .init(Init::Uniform { seed: 1, low: -0.1, high: 0.1 })
///     .combine(Combine::WeightedMean { round_weight: 128.0 })
///     .rule(Sgd);
/// assert_eq!(spec.rows(), 640);
/// spec.check()?;
/// # Ok::<(), archipelago::error::SpecError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TableSpec {
    /// The table's name, unique in its store.
    pub name: String,
    /// The keys that may exist.
    pub domain: KeyRange,
    /// Elements per row.
    pub width: u32,
    /// The type of the elements.
    pub dtype: DType,
    /// How rows come to exist.
    pub layout: Layout,
    /// Elements of a dense block; a power of two.
    pub block_elements: u32,
    /// Slots that the domain is cut into; fewer when it has fewer blocks.
    pub slots: u32,
    /// The value of untouched rows.
    pub init: Init,
    /// The update rule.
    pub rule: Extension,
    /// How contributions are merged.
    pub combine: Combine,
    /// Names for parts of a dense table of width 1, in order; none for most tables.
    pub tensors: Vec<TensorSpec>,
}

impl TableSpec {
    /// A dense f32 table of `rows` rows, keys 0 to `rows` - 1, of width 1, added to by pushes.
    pub fn dense(name: impl Into<String>, rows: u64) -> Self {
        Self {
            name: name.into(),
            // `rows` = 0 is refused by `check`: the width of such a table stays 0.
            domain: KeyRange::from_count(Key(0), rows).unwrap_or(KeyRange::single(Key(0))),
            width: u32::from(rows > 0),
            dtype: DType::F32,
            layout: Layout::Dense,
            block_elements: limits::BLOCK_ELEMENTS_MAX,
            slots: limits::SLOTS_DEFAULT,
            init: Init::Zero,
            rule: Extension::new("add/1"),
            combine: Combine::Sum,
            tensors: Vec::new(),
        }
    }

    /// A dense f32 table that holds these tensors, placed in the order of their names: one row an
    /// element, added to by pushes.
    pub fn tensors(name: impl Into<String>, tensors: impl IntoIterator<Item = TensorSpec>) -> Self {
        let tensors = tensors.into_iter().collect();
        Self { tensors, ..Self::dense(name, 0) }.placed()
    }

    /// With its tensors, if any, on the grid of its blocks.
    fn placed(mut self) -> Self {
        // A grid that `check` refuses leaves them where they are.
        if self.tensors.is_empty() || !self.block_elements.is_power_of_two() {
            return self;
        }
        let rows = tensor::place(&mut self.tensors, self.block_elements.into());
        Self { domain: KeyRange::from_count(Key(0), rows).unwrap_or(self.domain), width: 1, ..self }
    }

    /// A sparse f32 table over every u64 key.
    pub fn sparse(name: impl Into<String>, width: u32) -> Self {
        Self { layout: Layout::Sparse, domain: KeyRange::ALL, width, ..Self::dense(name, 1) }
    }

    /// Sets the keys that may exist.
    #[must_use]
    pub fn domain(mut self, domain: KeyRange) -> Self {
        self.domain = domain;
        self
    }

    /// Sets the elements per row.
    #[must_use]
    pub fn width(mut self, width: u32) -> Self {
        // A table without rows is refused whatever its width.
        self.width = if self.width == 0 { 0 } else { width };
        self
    }

    /// Sets the element type.
    #[must_use]
    pub fn dtype<T: Element>(mut self) -> Self {
        self.dtype = T::DTYPE;
        self
    }

    /// Sets the elements of a block: a power of two from 64 to 65,536.
    #[must_use]
    pub fn block_elements(mut self, elements: u32) -> Self {
        self.block_elements = elements;
        self.placed()
    }

    /// Sets the number of slots, the unit of placement.
    #[must_use]
    pub fn slots(mut self, slots: u32) -> Self {
        self.slots = slots;
        self
    }

    /// Sets the value of untouched rows.
    #[must_use]
    pub fn init(mut self, init: Init) -> Self {
        self.init = init;
        self
    }

    /// Sets the update rule.
    #[must_use]
    pub fn rule(mut self, rule: impl Into<Extension>) -> Self {
        self.rule = rule.into();
        self
    }

    /// Sets how contributions are merged. The default, `Sum`, adds up the gradients of all workers:
    /// a step then grows with their number, as if each worker added its own learning rate. With
    /// `WeightedMean` it does not.
    #[must_use]
    pub fn combine(mut self, combine: Combine) -> Self {
        self.combine = combine;
        self
    }

    /// Rows of the domain, as far as u64 counts.
    pub fn rows(&self) -> u64 {
        u64::try_from(self.domain.count()).unwrap_or(u64::MAX)
    }

    /// Rows of one block of a dense table: `block_elements` / width, at least 1.
    pub fn block_rows(&self) -> u64 {
        u64::from((self.block_elements / self.width.max(1)).max(1))
    }

    /// The 128-bit hash of the whole spec, by which processes agree that they mean the same table.
    pub fn hash(&self) -> u128 {
        let mut w = Writer::default();
        w.text(&self.name);
        w.u64(self.domain.first().0);
        w.u64(self.domain.last().0);
        w.u32(self.width);
        w.text(self.dtype.name());
        w.text(self.layout.name());
        w.u32(self.block_elements);
        w.u32(self.slots);
        w.text(&format!("{:?}", self.init));
        w.text(&self.rule.to_string());
        w.text(&format!("{:?}", self.combine));
        for TensorSpec { name, shape, first, init } in &self.tensors {
            w.text(name);
            w.text(&shape.to_string());
            w.u64(first.0);
            w.text(&format!("{init:?}"));
        }
        let mut hasher = SipHasher24::new();
        hasher.write(&w.finish());
        hasher.finish128().as_u128()
    }

    /// Whether every row starts with zeros.
    pub fn starts_at_zero(&self) -> bool {
        self.init == Init::Zero && self.tensors.iter().all(|tensor| tensor.init == Init::Zero)
    }

    /// Fills `out`, whole rows from `first` on, with the init.
    pub fn fill_init<T: Element>(&self, first: Key, out: &mut [T]) {
        self.fill(self.init, first, out);
        let Some(range) = KeyRange::from_count(first, out.len() as u64) else { return };
        for (tensor, keys) in tensor::within(&self.tensors, range) {
            let [start, end] = [keys.first(), keys.last()].map(|key| (key.0 - first.0) as usize);
            self.fill(tensor.init, keys.first(), &mut out[start..=end]);
        }
    }

    fn fill<T: Element>(&self, init: Init, first: Key, out: &mut [T]) {
        match init {
            Init::Zero => out.fill(T::default()),
            Init::Constant(value) => out.fill(T::from_f64(value)),
            Init::Uniform { seed, low, high } => {
                let table = self.name_hash();
                for (i, row) in out.chunks_mut(self.width as usize).enumerate() {
                    let key = first.0.wrapping_add(i as u64);
                    let bits = rng::mix(seed ^ rng::mix(table ^ rng::mix(key)));
                    for (element, value) in row.iter_mut().enumerate() {
                        let unit = rng::unit(rng::mix(bits ^ element as u64));
                        *value = T::from_f64(low + (high - low) * unit);
                    }
                }
            },
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// The first field outside its bounds.
    pub fn check(&self) -> Result<(), SpecError> {
        let bytes = self.name.len();
        self.field(bytes > 0 && bytes <= limits::NAME_BYTES_MAX, "name", "1 to 255 bytes", bytes)?;
        let rows_or_width = "number of rows (keys), or the width,";
        self.field(self.width > 0, rows_or_width, "at least 1 of each", self.width)?;
        self.field(self.width <= limits::WIDTH_MAX, "width", "1 to 65536", self.width)?;
        let block = self.block_elements;
        let bounds = limits::BLOCK_ELEMENTS_MIN..=limits::BLOCK_ELEMENTS_MAX;
        let fits = bounds.contains(&block) && block.is_power_of_two();
        self.field(fits, "block_elements", "a power of two from 64 to 65536", block)?;
        let slots = self.slots > 0 && self.slots <= limits::SLOTS_MAX;
        self.field(slots, "slots", "1 to 65536", self.slots)?;
        let elements = self.domain.count() * u128::from(self.width);
        let fits = self.layout == Layout::Sparse || elements <= 1 << 48;
        self.field(fits, "domain", "at most 2^48 elements when dense", elements)?;
        self.check_numbers()?;
        tensor::check(self)
    }

    /// Checks that another description of this table is the same.
    ///
    /// # Errors
    /// `Mismatch` naming the first field that differs.
    pub fn check_same(&self, found: &Self) -> Result<(), SpecError> {
        let name = &self.name;
        same(name, "name", name, &found.name)?;
        // Where tensors lie follows from the blocks, and the domain from both.
        same(name, "block_elements", &self.block_elements, &found.block_elements)?;
        tensor::check_same(name, &self.tensors, &found.tensors)?;
        same(name, "domain", &self.domain, &found.domain)?;
        same(name, "width", &self.width, &found.width)?;
        same(name, "dtype", &self.dtype.name(), &found.dtype.name())?;
        same(name, "layout", &self.layout.name(), &found.layout.name())?;
        same(name, "slots", &self.slots, &found.slots)?;
        same_shown(name, "init", &self.init, &found.init)?;
        same(name, "rule", &self.rule, &found.rule)?;
        same_shown(name, "combine", &self.combine, &found.combine)
    }

    fn check_numbers(&self) -> Result<(), SpecError> {
        let found = format!("{:?}", self.init);
        self.field(
            self.allows(&self.init),
            "init",
            "numbers that the type holds, low <= high",
            found,
        )?;
        if let Some((name, value)) = self.lost_parameter() {
            let expected = format!("parameters that {} holds", self.dtype.name());
            self.field(false, "rule", &expected, format!("{name} = {value:e}"))?;
        }
        if let Combine::WeightedMean { round_weight } = self.combine {
            let fits = limits::allows_weight(round_weight);
            self.field(fits, "round_weight", "between 1e-30 and 1e30", round_weight)?;
        }
        Ok(())
    }

    /// Whether a rate or a rule's parameter is finite and other than 0 in the table's type if it
    /// is so at all.
    pub fn keeps(&self, value: f64) -> bool {
        let rounded = self.rounded(value);
        rounded.is_finite() == value.is_finite() && (rounded == 0.0) == (value == 0.0)
    }

    /// A rate or a rule's parameter as the rule will use it.
    fn rounded(&self, value: f64) -> f64 {
        match self.dtype {
            DType::F32 => f64::from(value as f32),
            DType::F64 | DType::I64 => value,
        }
    }

    /// The first parameter of the update rule that rounding to the table's type would turn into
    /// another kind of number: 0, an infinity, or a decay that no longer decays.
    fn lost_parameter(&self) -> Option<&(String, f64)> {
        let lost = |value: f64| !self.keeps(value) || (value < 1.0) != (self.rounded(value) < 1.0);
        self.rule.parameters().iter().find(|(_, value)| lost(*value))
    }

    /// Whether an init yields numbers of the table's type.
    pub(super) fn allows(&self, init: &Init) -> bool {
        match *init {
            Init::Zero => true,
            Init::Constant(value) => self.holds(value),
            Init::Uniform { low, high, .. } => {
                self.holds(low) && self.holds(high) && low <= high && (high - low).is_finite()
            },
        }
    }

    /// Whether a number is finite in the table's type, and whole where that is whole.
    fn holds(&self, value: f64) -> bool {
        match self.dtype {
            DType::F32 => (value as f32).is_finite(),
            DType::F64 => value.is_finite(),
            DType::I64 => value.is_finite() && value.fract() == 0.0,
        }
    }

    pub(super) fn field(
        &self,
        good: bool,
        field: impl Into<Cow<'static, str>>,
        expected: &str,
        found: impl ToString,
    ) -> Result<(), SpecError> {
        if good {
            return Ok(());
        }
        Err(SpecError::Field {
            table: self.name.clone(),
            field: field.into(),
            expected: expected.into(),
            found: found.to_string(),
        })
    }

    fn name_hash(&self) -> u64 {
        let mut hasher = SipHasher24::new();
        hasher.write(self.name.as_bytes());
        hasher.finish128().h1
    }
}
