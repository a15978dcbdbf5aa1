//! The end of training: a unit's values, piece by piece, until all have come.

use super::delta::held_bytes;
use crate::wire::{Delta, Refusal, RowsNamed};

/// The pieces of one unit that have come, in order from the first.
#[derive(Debug, Default)]
pub(in crate::node) struct Pieces {
    come: Vec<Delta>,
    /// What they take together.
    bytes: usize,
}

impl Pieces {
    /// What they take in memory.
    pub(in crate::node) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a piece, while all of them take no more than `room` bytes; all of them, once the last
    /// has come. One that is not the next is of those that were asked for before: it is left out.
    /// Cost: this piece.
    ///
    /// # Errors
    /// `Shape` for what no copy is made of, `Limit` when they are too many: what has come is gone.
    pub(in crate::node) fn take(
        &mut self,
        (piece, last): (u32, bool),
        delta: Delta,
        room: usize,
    ) -> Result<Option<Vec<Delta>>, Refusal> {
        if piece == 0 {
            *self = Self::default();
        }
        if self.come.len() != piece as usize {
            return Ok(None);
        }
        let bytes = self.bytes + held_bytes(&delta);
        let fits = bytes <= room || self.come.is_empty();
        let checked = check(&delta, piece == 0 && last);
        if let Err(refusal) = checked.and(if fits { Ok(()) } else { Err(Refusal::Limit) }) {
            *self = Self::default();
            return Err(refusal);
        }
        self.bytes = bytes;
        self.come.push(delta);
        Ok(last.then(|| std::mem::take(self).come))
    }
}

/// A block comes in one piece. Of a sparse slot each piece names rows, but for the only one of a
/// slot without any. All elements come, zeros too.
fn check(delta: &Delta, only: bool) -> Result<(), Refusal> {
    let found = delta.values.len() as u64;
    let fits = match &delta.rows {
        RowsNamed::Block(_) => only,
        RowsNamed::Keys(keys) => only || !keys.is_empty(),
    };
    if fits && delta.positions.is_none() {
        Ok(())
    } else {
        Err(Refusal::Shape { expected: 1, found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Key, KeyRange};
    use crate::wire::{Positions, Trimmed};

    const ROOM: usize = 1 << 20;

    fn rows(keys: &[u64], values: &[f32]) -> Delta {
        let rows = RowsNamed::Keys(keys.iter().copied().map(Key).collect());
        Delta { rows, positions: None, values: Trimmed::from_slice(values) }
    }

    #[test]
    fn pieces_are_taken_in_order_and_come_out_with_the_last() {
        let (mut pieces, one) = (Pieces::default(), |key| rows(&[key], &[1.0]));
        let mut take = |at, delta| pieces.take(at, delta, ROOM);
        assert_eq!(take((1, true), one(9)), Ok(None), "of those asked for before");
        assert_eq!(take((0, false), one(1)), Ok(None));
        assert_eq!(take((0, false), one(2)), Ok(None), "told anew");
        assert_eq!(take((1, true), one(3)), Ok(Some(vec![one(2), one(3)])));
        assert_eq!(take((0, true), rows(&[], &[])), Ok(Some(vec![rows(&[], &[])])));
        assert_eq!(pieces.bytes, 0);
    }

    #[test]
    fn pieces_that_no_copy_is_made_of_are_refused() {
        let range = KeyRange::from_count(Key(0), 1).unwrap();
        let block = Delta { rows: RowsNamed::Block(range), ..rows(&[], &[1.0]) };
        let mut pieces = Pieces::default();
        let mut take = |at, delta| pieces.take(at, delta, ROOM);
        assert!(take((0, true), block.clone()).is_ok());
        let few = Some(Positions::new(&[]).unwrap());
        for (last, wrong) in [
            (false, rows(&[], &[])),
            (false, block),
            (true, Delta { positions: few, ..rows(&[1], &[]) }),
        ] {
            assert!(matches!(take((0, last), wrong), Err(Refusal::Shape { .. })));
        }
        assert_eq!(take((0, false), rows(&[1], &[1.0])), Ok(None));
        assert!(take((1, true), rows(&[], &[])).is_err());
        assert_eq!(take((2, true), rows(&[2], &[1.0])), Ok(None), "they begin anew");
    }

    /// Also tiny ones: each takes memory beside its elements.
    #[test]
    fn pieces_without_end_are_refused() {
        let one = rows(&[1], &[1.0]);
        let mut pieces = Pieces { come: vec![one.clone()], bytes: ROOM - held_bytes(&one) };
        assert_eq!(pieces.take((1, false), one.clone(), ROOM), Ok(None));
        assert_eq!(pieces.bytes, ROOM);
        assert_eq!(pieces.take((2, false), one.clone(), ROOM), Err(Refusal::Limit));
        assert!(pieces.come.is_empty());
        assert!(held_bytes(&rows(&[], &[])) > 0);
    }
}
