//! A table's tensors by name, for a training function over any driver.
//!
//! It holds nothing of its own: names, shapes and places are those of the table's description,
//! which the servers hold. So workers agree by name, and one that only finds the table knows them.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{PushOptions, Seen, Stamp, Worker};
use crate::error::{Result, TensorError};
use crate::key::{Key, KeyList, KeyRange};
use crate::spec::{Shape, Table, TensorSpec};
use crate::vector::Element;

/// The tensors of a table by name. Cheap to clone.
///
/// ```
/// use archipelago::node::worker::TensorMap;
/// use archipelago::spec::TensorSpec;
/// use archipelago::{Bsp, Hyper, Result, Store, TablePolicy, TableSpec, Worker};
///
/// /// The same function runs against servers.
/// async fn train<W: Worker>(me: &W, model: &TensorMap) -> Result<()> {
///     let (mut weight, mut bias) = ([0.0_f32; 6], [0.0_f32; 2]);
///     for _ in 0..3 {
///         model.pull(me, [("weight", &mut weight[..]), ("bias", &mut bias[..])]).await?;
///         // Layer after layer, each while the gradient of the next one is computed.
///         model.push(me, [("bias", [2, 1].as_slice(), &[1.0_f32; 2][..])]).await?;
///         model.push(me, [("weight", &[0.5_f32; 6][..])]).await?;
///         me.tick().await?;
///     }
///     me.finish().await
/// }
///
/// let store = Store::in_memory();
/// let tensors = [TensorSpec::new("weight", [2, 3]), TensorSpec::new("bias", [2, 1])];
/// let spec = TableSpec::tensors("model", tensors);
/// let table = store.ensure_table(spec, TablePolicy::local(Bsp), Hyper::default())?;
/// let model = TensorMap::of(&table)?;
/// let me = store.group("train", 1)?.join_blocking()?;
/// me.run(async |me| train(me, &model).await)?;
/// let mut weight = [0.0_f32; 6];
/// store.read(&table, model.tensor("weight")?.keys().expect("it has elements"), &mut weight)?;
/// assert_eq!(weight, [1.5; 6]);
/// # Ok::<(), archipelago::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TensorMap {
    table: Table,
}

/// A tensor in a call: its name, its values, and the caller's shape where that is to be checked.
///
/// Made from `(name, values)` or `(name, shape, values)`.
#[derive(Clone, Debug)]
pub struct Named<'a, V> {
    name: &'a str,
    shape: Option<Shape>,
    values: V,
}

impl<'a, V> From<(&'a str, V)> for Named<'a, V> {
    fn from((name, values): (&'a str, V)) -> Self {
        Self { name, shape: None, values }
    }
}

impl<'a, S: Into<Shape>, V> From<(&'a str, S, V)> for Named<'a, V> {
    fn from((name, shape, values): (&'a str, S, V)) -> Self {
        Self { name, shape: Some(shape.into()), values }
    }
}

impl TensorMap {
    /// The tensors of a table.
    ///
    /// # Errors
    /// `Unnamed` when it has none.
    pub fn of(table: &Table) -> Result<Self, TensorError> {
        if table.spec().tensors.is_empty() {
            return Err(TensorError::Unnamed { table: table.name().into() });
        }
        Ok(Self { table: table.clone() })
    }

    /// The table that holds them.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// All of them, in the order of their names and keys.
    pub fn tensors(&self) -> &[TensorSpec] {
        &self.table.spec().tensors
    }

    /// The tensor of that name.
    ///
    /// # Errors
    /// `Unknown`, with the names that there are.
    pub fn tensor(&self, name: &str) -> Result<&TensorSpec, TensorError> {
        let tensors = self.tensors();
        let found = tensors.binary_search_by(|tensor| tensor.name.as_str().cmp(name));
        found.map(|at| &tensors[at]).map_err(|_place| TensorError::Unknown {
            table: self.table.name().into(),
            tensor: name.into(),
            known: shown(tensors),
        })
    }

    /// The tensor that a key belongs to, and which of its elements it is. A push that met its
    /// deadline names its first key that was not pushed.
    pub fn locate(&self, key: u64) -> Option<(&TensorSpec, u64)> {
        let tensors = self.tensors();
        let at = tensors.partition_point(|tensor| tensor.first.0 <= key).checked_sub(1)?;
        let keys = tensors[at].keys().filter(|keys| keys.contains(Key(key)))?;
        Some((&tensors[at], key - keys.first().0))
    }

    /// Reads tensors into slices of the caller, all at the same time, at the current tick. What it
    /// reflects is that of all of them together.
    ///
    /// # Errors
    /// `Unknown`, `Shape`, `Length`: then nothing was sent. Those of [`Worker::pull`].
    pub fn pull<'a, W: Worker, T: Element, N: Into<Named<'a, &'a mut [T]>>>(
        &'a self,
        me: &'a W,
        tensors: impl IntoIterator<Item = N>,
    ) -> impl Future<Output = Result<Seen>> + Send {
        let parts = self.places(tensors, |values| values.len());
        async move {
            let pulls = parts?.into_iter();
            let pulls = pulls.map(|(keys, values)| Box::pin(me.pull(&self.table, keys, values)));
            let seen = Together { open: pulls.collect(), seen: None }.ended().await?;
            Ok(seen.unwrap_or_else(|| Seen::nothing(me.current_tick())))
        }
    }

    /// Contributes to tensors, in the order given. Like [`Worker::push`] it returns once all
    /// chunks are in the send window, while they travel: pushed one by one as a backward pass
    /// yields them, they travel while the next gradient is computed.
    ///
    /// # Errors
    /// `Unknown`, `Shape`, `Length`: then nothing was sent. Those of [`Worker::push`]; when it was
    /// interrupted, all tensors before the one that [`locate`](Self::locate) finds were pushed.
    pub fn push<'a, W: Worker, T: Element, N: Into<Named<'a, &'a [T]>>>(
        &'a self,
        me: &'a W,
        tensors: impl IntoIterator<Item = N>,
    ) -> impl Future<Output = Result<Stamp>> + Send {
        self.push_with(me, tensors, PushOptions::default())
    }

    /// As [`push`](Self::push), with a weight and edges for all of it.
    ///
    /// # Errors
    /// As there.
    pub fn push_with<'a, W: Worker, T: Element, N: Into<Named<'a, &'a [T]>>>(
        &'a self,
        me: &'a W,
        tensors: impl IntoIterator<Item = N>,
        options: PushOptions<'a>,
    ) -> impl Future<Output = Result<Stamp>> + Send {
        let parts = self.places(tensors, |values| values.len());
        async move {
            let mut all: Option<Stamp> = None;
            for (keys, values) in parts? {
                let one = me.push_with(&self.table, keys, values, options).await?;
                all = Some(Stamp { first: all.map_or(one.first, |all| all.first), ..one });
            }
            if let Some(all) = all {
                return Ok(all);
            }
            let (none, values): (_, &[T]) = (KeyList::default(), &[]);
            me.push_with(&self.table, &none, values, options).await
        }
    }

    /// Where the tensors of a call lie, once all of them are known to fit.
    fn places<'a, V, N: Into<Named<'a, V>>>(
        &self,
        tensors: impl IntoIterator<Item = N>,
        len: impl Fn(&V) -> usize,
    ) -> Result<Vec<(KeyRange, V)>, TensorError> {
        let place = |named: N| {
            let named = named.into();
            let keys = self.check(named.name, named.shape, len(&named.values))?;
            Ok((keys, named.values))
        };
        tensors.into_iter().map(place).collect()
    }

    fn check(
        &self,
        name: &str,
        shape: Option<Shape>,
        found: usize,
    ) -> Result<KeyRange, TensorError> {
        let tensor = self.tensor(name)?;
        let (expected, elements) = (&tensor.shape, tensor.shape.elements());
        let (table, tensor_name) = (self.table.name().to_owned(), name.to_owned());
        if let Some(Shape(found)) = shape.filter(|shape| shape != expected) {
            let expected = expected.0.clone();
            return Err(TensorError::Shape { table, tensor: tensor_name, expected, found });
        }
        let keys = tensor.keys().filter(|_| found as u64 == elements);
        keys.ok_or_else(|| TensorError::Length {
            table,
            tensor: tensor_name,
            shape: expected.0.clone(),
            elements,
            found: found as u64,
        })
    }
}

/// The first names of a list, for an error.
fn shown(tensors: &[TensorSpec]) -> String {
    let first = tensors.iter().take(SHOWN_MAX).map(|tensor| format!("{:?}", tensor.name));
    let first = first.collect::<Vec<_>>().join(", ");
    match tensors.len().saturating_sub(SHOWN_MAX) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// Names that an error shows.
const SHOWN_MAX: usize = 20;

/// Pulls under way at the same time. Dropped, they end.
struct Together<F> {
    open: Vec<Pin<Box<F>>>,
    seen: Option<Seen>,
}

impl<F: Future<Output = Result<Seen>>> Together<F> {
    /// What they all reflect, or the first error.
    async fn ended(mut self) -> Result<Option<Seen>> {
        poll_fn(|context| self.poll(context)).await
    }

    /// Each is polled each time: an answer wakes the task, not one of its parts.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Seen>>> {
        let mut failed = None;
        self.open.retain_mut(|pull| match pull.as_mut().poll(context) {
            Poll::Pending => true,
            Poll::Ready(Ok(one)) => {
                self.seen = Some(one.joined(self.seen));
                false
            },
            Poll::Ready(Err(error)) => {
                failed.get_or_insert(error);
                false
            },
        });
        match failed {
            Some(error) => Poll::Ready(Err(error)),
            None if self.open.is_empty() => Poll::Ready(Ok(self.seen)),
            None => Poll::Pending,
        }
    }
}
