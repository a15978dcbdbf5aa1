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

    /// What a row is like: [`Cut::Skewed`] keeps rows of one kind together. All of one kind where
    /// the data says nothing else, so that they stay in their order.
    fn kind(&self, _row: usize) -> u32 {
        0
    }
}

/// How rows are cut into shares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cut {
    /// Shares alike, see [`Share::strided`].
    #[default]
    Even,
    /// Shares of one size that differ as much as they can: rows sorted by their kind (the label,
    /// where they have one; else as the file has them, where documents are sorted by newsgroup),
    /// then cut into runs.
    Skewed,
    /// Shares alike but of different size: a weight for every rank, such as 10 for the workers of
    /// a large data centre and 1 for those of a small one.
    Weighted(Vec<u32>),
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
    /// Rows of the largest share of all ranks.
    largest: usize,
}

impl<'a, D: Examples> Share<'a, D> {
    /// The rows of `rank` under a cut.
    ///
    /// # Errors
    /// `Shape` when `rank` is not below `size`, and for weights that are not one per rank or have
    /// no sum above 0 and below 2^32.
    pub fn new(data: &'a D, rank: u32, size: u32, cut: &Cut) -> Result<Self, DataError> {
        match cut {
            Cut::Even => Self::strided(data, rank, size),
            Cut::Skewed => {
                let mut share = Self::contiguous(data, rank, size)?;
                let mut order: Vec<usize> = (0..data.rows()).collect();
                order.sort_by_key(|&row| data.kind(row));
                share.rows.iter_mut().for_each(|row| *row = order[*row]);
                share.rows.sort_unstable();
                Ok(share)
            },
            Cut::Weighted(weights) => Self::weighted(data, rank, size, weights),
        }
    }

    /// Of every run of as many rows as the weights' sum, as many rows as the rank's weight.
    fn weighted(data: &'a D, rank: u32, size: u32, weights: &[u32]) -> Result<Self, DataError> {
        check(rank, size)?;
        if weights.len() != size as usize {
            let (expected, found) = (format!("one per share, {size}"), weights.len().to_string());
            return Err(DataError::Shape { what: "weights of shares", expected, found });
        }
        let sum = weights.iter().map(|&weight| u64::from(weight)).sum::<u64>();
        let Some(run) = u32::try_from(sum).ok().filter(|&run| run > 0) else {
            let expected = "a sum from 1 to 4294967295".into();
            return Err(DataError::Shape {
                what: "weights of shares",
                expected,
                found: sum.to_string(),
            });
        };
        let (runs, rest) = (data.rows() / run as usize, data.rows() % run as usize);
        let (mut begin, mut largest, mut own) = (0, 0, 0..0);
        for (index, &weight) in (0..).zip(weights) {
            let end = begin + weight as usize;
            largest = largest.max(runs * weight as usize + rest.clamp(begin, end) - begin);
            if index == rank {
                own = begin..end;
            }
            begin = end;
        }
        let rows = (0..data.rows()).filter(|row| own.contains(&(row % run as usize))).collect();
        Ok(Self { data, rows, rank, size, largest })
    }

    /// Rows `rank`, `rank + size`, `rank + 2 size`, ...: even parts of sorted data too.
    ///
    /// # Errors
    /// `Shape` when `rank` is not below `size`.
    pub fn strided(data: &'a D, rank: u32, size: u32) -> Result<Self, DataError> {
        check(rank, size)?;
        let rows = (rank as usize..data.rows()).step_by(size as usize).collect();
        Ok(Self { data, rows, rank, size, largest: data.rows().div_ceil(size as usize) })
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
        let rows = (bound(rank)..bound(rank + 1)).collect();
        Ok(Self { data, rows, rank, size, largest: data.rows().div_ceil(size as usize) })
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

    /// Whose share it is.
    pub fn rank(&self) -> u32 {
        self.rank
    }

    /// How many shares there are.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Batches in one pass of the largest share: the ticks of an epoch, the same for all ranks.
    pub fn epoch_ticks(&self, batch: usize) -> u64 {
        self.largest.div_ceil(batch.max(1)) as u64
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

    /// That many rows of five kinds.
    #[derive(Debug)]
    struct Count(usize);

    impl Examples for Count {
        fn rows(&self) -> usize {
            self.0
        }

        fn kind(&self, row: usize) -> u32 {
            row as u32 % 5
        }
    }

    fn shares(data: &Count, size: u32, cut: &Cut) -> Vec<Vec<usize>> {
        let rows = |rank| Share::new(data, rank, size, cut).unwrap().rows().to_vec();
        (0..size).map(rows).collect()
    }

    #[test]
    fn skewed_shares_hold_few_kinds() {
        let shares = shares(&Count(20), 5, &Cut::Skewed);
        assert_eq!(shares[1], [1, 6, 11, 16]);
        assert_eq!(shares[4], [4, 9, 14, 19]);
    }

    #[test]
    fn weighted_shares_are_as_large_as_their_weights() {
        let data = Count(100);
        let cut = Cut::Weighted(vec![10, 0, 1]);
        let shares = shares(&data, 3, &cut);
        assert_eq!((shares[0].len(), shares[1].len(), shares[2].len()), (91, 0, 9));
        assert_eq!(shares[2][..2], [10, 21]);
        assert_eq!(Share::new(&data, 2, 3, &cut).unwrap().epoch_ticks(10), 10);
        for weights in [vec![1, 1], vec![0; 3], vec![u32::MAX; 3]] {
            let error = Share::new(&data, 0, 3, &Cut::Weighted(weights)).unwrap_err().to_string();
            assert!(error.starts_with("weights of shares: expected"), "{error}");
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
            let weights = (0..size).map(|rank| seed as u32 % 7 + rank % 3).collect::<Vec<_>>();
            let weights = if weights.iter().all(|&weight| weight == 0) { vec![1] } else { weights };
            for cut in [Cut::Even, Cut::Skewed, Cut::Weighted(weights)] {
                let mut seen = vec![0; rows];
                for rank in 0..size {
                    let share = Share::new(&data, rank, size, &cut).unwrap();
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
