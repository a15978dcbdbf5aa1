//! Which rows a worker trains on, and in which order.
//!
//! Everything here is a pure function of (rows, rank, size, seed), so that every driver hands
//! every worker the same batches. I1: the shares of all ranks partition the rows. I2: the
//! batches of a share partition it, and all but the last have the same size.

use std::ops::Range;

use archipelago::rng::Rng;

use super::error::DataError;

/// Data that consists of rows.
pub trait Examples {
    /// How many rows.
    fn rows(&self) -> usize;
}

/// The rows of one worker.
///
/// ```
/// use archipelago_workloads::data::{Share, digits};
/// let data = digits()?;
/// let share = Share::strided(&data, 1, 4)?;
/// assert_eq!(share.rows()[..3], [1, 5, 9]);
/// assert_eq!(share.total(), 1797);
/// # Ok::<(), archipelago_workloads::data::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Share<'a, D> {
    data: &'a D,
    rows: Vec<usize>,
    rank: u32,
    size: u32,
}

impl<'a, D: Examples> Share<'a, D> {
    /// Rows `rank`, `rank + size`, `rank + 2 size`, ...: even parts of sorted data too.
    ///
    /// # Errors
    /// `Shape` when `rank` is not below `size`.
    pub fn strided(data: &'a D, rank: u32, size: u32) -> Result<Self, DataError> {
        check(rank, size)?;
        let rows = (rank as usize..data.rows()).step_by(size as usize).collect();
        Ok(Self { data, rows, rank, size })
    }

    /// One run of consecutive rows: skewed parts of sorted data.
    ///
    /// # Errors
    /// `Shape` when `rank` is not below `size`.
    pub fn contiguous(data: &'a D, rank: u32, size: u32) -> Result<Self, DataError> {
        check(rank, size)?;
        let bound = |rank: u32| {
            let place = data.rows() as u128 * u128::from(rank) / u128::from(size);
            // At most `rows`, because the rank is at most the size.
            place as usize
        };
        Ok(Self { data, rows: (bound(rank)..bound(rank + 1)).collect(), rank, size })
    }

    /// The data that the rows index.
    pub fn data(&self) -> &'a D {
        self.data
    }

    /// The rows, in the order of the data.
    pub fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// Rows of all shares together.
    pub fn total(&self) -> usize {
        self.data.rows()
    }

    /// How many shares there are.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Batches in one pass of the largest share: the ticks of an epoch, the same for all ranks.
    pub fn epoch_ticks(&self, batch: usize) -> u64 {
        self.total().div_ceil(self.size as usize).div_ceil(batch.max(1)) as u64
    }

    /// The share's rows in an order drawn from `seed` and cut into batches.
    pub fn batches(&self, seed: u64, batch: usize) -> Batches {
        let mut rows = self.rows.clone();
        Rng::named(seed, &format!("batches of worker {}", self.rank)).shuffle(&mut rows);
        Batches { rows, batch: batch.max(1) }
    }
}

fn check(rank: u32, size: u32) -> Result<(), DataError> {
    if rank < size {
        return Ok(());
    }
    let expected = format!("below the number of shares, {size}");
    Err(DataError::Shape { what: "rank", expected, found: rank.to_string() })
}

/// A worker's batches, used in a cycle. A batch keeps its rows from epoch to epoch, so what is
/// derived from them (its list of keys) is made once.
#[derive(Clone, Debug)]
pub struct Batches {
    rows: Vec<usize>,
    batch: usize,
}

impl Batches {
    /// How many batches; 0 when the share is empty.
    pub fn count(&self) -> usize {
        self.rows.len().div_ceil(self.batch)
    }

    /// Which batch the iteration uses: `iteration` modulo the number; `None` without batches.
    pub fn index(&self, iteration: u64) -> Option<usize> {
        let index = iteration.checked_rem(self.count() as u64)?;
        usize::try_from(index).ok()
    }

    /// The rows of a batch; empty when there is no such batch.
    pub fn rows(&self, index: usize) -> &[usize] {
        let Range { start, end } = self.span(index);
        &self.rows[start..end]
    }

    fn span(&self, index: usize) -> Range<usize> {
        let start = index.saturating_mul(self.batch).min(self.rows.len());
        start..(start + self.batch).min(self.rows.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Count(usize);

    impl Examples for Count {
        fn rows(&self) -> usize {
            self.0
        }
    }

    #[test]
    fn a_rank_beyond_the_size_is_refused() {
        assert!(Share::strided(&Count(5), 2, 2).is_err());
        assert!(Share::contiguous(&Count(5), 0, 0).is_err());
    }

    proptest! {
        #[test]
        fn shares_and_batches_partition_the_rows(
            rows in 0_usize..200,
            size in 1_u32..9,
            batch in 0_usize..20,
            seed: u64,
        ) {
            let data = Count(rows);
            for cut in [Share::strided, Share::contiguous] {
                let mut seen = vec![0; rows];
                for rank in 0..size {
                    let share = cut(&data, rank, size).unwrap();
                    let batches = share.batches(seed, batch);
                    prop_assert!(batches.count() as u64 <= share.epoch_ticks(batch));
                    for index in 0..batches.count() {
                        prop_assert!(!batches.rows(index).is_empty());
                        for &row in batches.rows(index) {
                            seen[row] += 1;
                        }
                    }
                    prop_assert_eq!(batches.index(0).is_none(), share.rows().is_empty());
                    let again = share.batches(seed, batch);
                    prop_assert_eq!(again.rows(0), batches.rows(0));
                }
                prop_assert!(seen.iter().all(|&count| count == 1));
            }
        }
    }
}
