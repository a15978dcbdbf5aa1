//! The request window of one origin at one shard (law 2): each request is applied once, whatever
//! is sent again. It does not apply anything and does not know what an answer means.
//!
//! With `E` the stored entries (sequence, slot, answer), `low` the `settled_below` of the origin
//! and `head(s)` the last sequence recorded for slot `s`:
//! - I1 (once) `E` holds a sequence at most once, in ascending order.
//! - I2 (settled) `q >= low` for every `q` in `E`, and `low` never goes back.
//! - I3 (chain) `q <= head(s)` for every `(q, s)` in `E`; `head(s)` never goes back and outlives
//!   the entries that `settle` drops.
//! - I4 (bounded) `|E| <= INFLIGHT_MAX`; heads are bounded by the slots of the shard.
//!
//! Why nothing is applied twice: a request is `Fresh` only above `low` and above its slot's head,
//! and `record` moves the head to it. Why nothing is lost: it is `Fresh` only directly behind the
//! head that it names, so no earlier request to the slot can be skipped.

use std::collections::VecDeque;

use crate::id::{Sequence, SlotIndex};
use crate::limits::INFLIGHT_MAX;

/// What the window knows of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowCheck<A> {
    /// Never recorded, and next in its slot's chain: it may be applied now.
    Fresh,
    /// Recorded; this was the answer.
    Answered(A),
    /// The origin has had its answer; nothing is kept and nothing may be applied.
    Settled,
    /// An earlier request to the slot has not arrived, or the request is misnumbered: it names a
    /// head that it does not follow. Either way it may not be applied.
    Gap,
}

/// An outcome that the window refused. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WindowError {
    /// More outcomes than an origin may have unanswered.
    #[error("{found} outcomes in one window, the limit is {limit}")]
    Full {
        /// [`INFLIGHT_MAX`].
        limit: usize,
        /// Outcomes that would be held.
        found: usize,
    },
    /// The origin has settled this sequence.
    #[error("{sequence} is below {settled_below}, where all is settled")]
    Settled {
        /// The sequence named.
        sequence: Sequence,
        /// The lowest that is not settled.
        settled_below: Sequence,
    },
    /// A slot's chain only grows.
    #[error("{sequence} of {slot} is not above {head}, the last one recorded there")]
    NotAboveHead {
        /// The sequence named.
        sequence: Sequence,
        /// Its slot.
        slot: SlotIndex,
        /// The head of the slot's chain.
        head: Sequence,
    },
    /// A sequence has one outcome.
    #[error("{sequence} already has an outcome")]
    Recorded {
        /// The sequence named.
        sequence: Sequence,
    },
    /// Two windows to join both hold a chain of this slot.
    #[error("{slot} is in both windows")]
    SlotInBoth {
        /// The lowest such slot.
        slot: SlotIndex,
    },
}

/// The outcomes and chains of one origin at one shard. `A` is the stored answer.
///
/// In order, a request costs a search of the slot and a push; nothing is allocated once the window
/// has grown to its working size.
///
/// ```
/// use archipelago::clock::{Window, WindowCheck};
/// use archipelago::id::{Sequence, SlotIndex};
/// let mut window = Window::new();
/// let slot = SlotIndex(3);
/// assert_eq!(window.check(Sequence(7), slot, Some(Sequence(1))), WindowCheck::Gap);
/// assert_eq!(window.check(Sequence(1), slot, None), WindowCheck::Fresh);
/// window.record(Sequence(1), slot, "applied")?;
/// assert_eq!(window.check(Sequence(1), slot, None), WindowCheck::Answered("applied"));
/// assert_eq!(window.check(Sequence(7), slot, Some(Sequence(1))), WindowCheck::Fresh);
/// window.settle(Sequence(2));
/// assert_eq!(window.check(Sequence(1), slot, None), WindowCheck::Settled);
/// # Ok::<(), archipelago::clock::WindowError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window<A> {
    settled_below: Sequence,
    entries: VecDeque<Entry<A>>,
    /// Ascending by slot.
    heads: Vec<(SlotIndex, Sequence)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry<A> {
    sequence: Sequence,
    slot: SlotIndex,
    answer: A,
}

impl<A> Default for Window<A> {
    fn default() -> Self {
        Self { settled_below: Sequence::default(), entries: VecDeque::new(), heads: Vec::new() }
    }
}

impl<A: Clone> Window<A> {
    /// The window of an origin that has sent nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What is known of a request that names `previous` as its origin's last one to the slot.
    /// Cost: a binary search of the slots; of the outcomes too when it is not the newest.
    pub fn check(
        &self,
        sequence: Sequence,
        slot: SlotIndex,
        previous: Option<Sequence>,
    ) -> WindowCheck<A> {
        if sequence < self.settled_below {
            return WindowCheck::Settled;
        }
        if let Ok(index) = self.position(sequence) {
            return WindowCheck::Answered(self.entries[index].answer.clone());
        }
        let head = self.head(slot);
        if head == previous && head < Some(sequence) {
            WindowCheck::Fresh
        } else {
            WindowCheck::Gap
        }
    }

    /// Drops the outcomes below the origin's lowest unanswered sequence. A lower one than before,
    /// from a request that was overtaken, says nothing new.
    pub fn settle(&mut self, settled_below: Sequence) {
        self.settled_below = self.settled_below.max(settled_below);
        while self.entries.front().is_some_and(|entry| entry.sequence < self.settled_below) {
            self.entries.pop_front();
        }
    }

    /// Keeps the outcome of a request that was just applied, and moves its slot's head to it.
    /// Whoever applies first asks [`is_full`](Self::is_full).
    ///
    /// # Errors
    /// `Full`, `Settled`, `NotAboveHead`, `Recorded`.
    pub fn record(
        &mut self,
        sequence: Sequence,
        slot: SlotIndex,
        answer: A,
    ) -> Result<(), WindowError> {
        if self.is_full() {
            return Err(full(self.len() + 1));
        }
        if sequence < self.settled_below {
            let settled_below = self.settled_below;
            return Err(WindowError::Settled { sequence, settled_below });
        }
        let Err(index) = self.position(sequence) else {
            return Err(WindowError::Recorded { sequence });
        };
        self.move_head(sequence, slot)?;
        let entry = Entry { sequence, slot, answer };
        self.entries.insert(index, entry);
        Ok(())
    }

    /// The last sequence recorded for a slot.
    pub fn head(&self, slot: SlotIndex) -> Option<Sequence> {
        self.heads.get(self.head_index(slot).ok()?).map(|(_, head)| *head)
    }

    /// The origin's lowest sequence that is not settled.
    pub fn settled_below(&self) -> Sequence {
        self.settled_below
    }

    /// How many outcomes are kept.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no outcome is kept; chains may still have heads.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether `record` would be refused for want of room.
    pub fn is_full(&self) -> bool {
        self.entries.len() >= INFLIGHT_MAX
    }

    /// The stored outcomes by sequence: what is written with the shard's data.
    pub fn outcomes(&self) -> impl ExactSizeIterator<Item = (Sequence, SlotIndex, &A)> {
        self.entries.iter().map(|entry| (entry.sequence, entry.slot, &entry.answer))
    }

    /// The heads of the chains by slot.
    pub fn heads(&self) -> &[(SlotIndex, Sequence)] {
        &self.heads
    }

    /// Takes the outcomes and chains of some slots out, numbers unchanged, for another shard.
    #[must_use]
    pub fn take_slots(&mut self, slots: &[SlotIndex]) -> Self {
        let mut slots = slots.to_vec();
        slots.sort_unstable();
        let named = |slot: &SlotIndex| slots.binary_search(slot).is_ok();
        let entries = std::mem::take(&mut self.entries);
        let (taken, kept) = entries.into_iter().partition(|entry| named(&entry.slot));
        self.entries = kept;
        let heads = std::mem::take(&mut self.heads);
        let (taken_heads, kept_heads) = heads.into_iter().partition(|(slot, _)| named(slot));
        self.heads = kept_heads;
        Self { settled_below: self.settled_below, entries: taken, heads: taken_heads }
    }

    /// Joins the window that the same origin had for other slots, numbers unchanged. What either
    /// knew to be settled is settled: `settled_below` speaks for the origin, not for a shard.
    ///
    /// # Errors
    /// `SlotInBoth`, `Recorded` when a sequence is in both, `Full`. Whoever may want `other` back
    /// after an error keeps a copy.
    pub fn absorb(&mut self, mut other: Self) -> Result<(), WindowError> {
        let mut slots = other.heads.iter().map(|(slot, _)| *slot);
        if let Some(slot) = slots.find(|slot| self.head_index(*slot).is_ok()) {
            return Err(WindowError::SlotInBoth { slot });
        }
        let mut sequences = other.entries.iter().map(|entry| entry.sequence);
        if let Some(sequence) = sequences.find(|sequence| self.position(*sequence).is_ok()) {
            return Err(WindowError::Recorded { sequence });
        }
        let settled_below = self.settled_below.max(other.settled_below);
        other.settle(settled_below);
        let live = self.entries.iter().filter(|entry| entry.sequence >= settled_below).count();
        if live + other.len() > INFLIGHT_MAX {
            return Err(full(live + other.len()));
        }
        self.settle(settled_below);
        self.entries.extend(other.entries);
        self.entries.make_contiguous().sort_unstable_by_key(|entry| entry.sequence);
        self.heads.extend(other.heads);
        self.heads.sort_unstable();
        Ok(())
    }

    /// Where an outcome is, or where it belongs.
    fn position(&self, sequence: Sequence) -> Result<usize, usize> {
        match self.entries.back() {
            Some(newest) if sequence <= newest.sequence => {
                self.entries.binary_search_by_key(&sequence, |entry| entry.sequence)
            },
            _ => Err(self.entries.len()),
        }
    }

    fn head_index(&self, slot: SlotIndex) -> Result<usize, usize> {
        self.heads.binary_search_by_key(&slot, |(slot, _)| *slot)
    }

    fn move_head(&mut self, sequence: Sequence, slot: SlotIndex) -> Result<(), WindowError> {
        match self.head_index(slot) {
            Ok(index) if self.heads[index].1 < sequence => self.heads[index].1 = sequence,
            Ok(index) => {
                let head = self.heads[index].1;
                return Err(WindowError::NotAboveHead { sequence, slot, head });
            },
            Err(index) => self.heads.insert(index, (slot, sequence)),
        }
        Ok(())
    }
}

fn full(found: usize) -> WindowError {
    WindowError::Full { limit: INFLIGHT_MAX, found }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    /// The model: everything kept in maps, every rule as law 2 says it.
    #[derive(Default)]
    struct Model {
        low: Sequence,
        outcomes: BTreeMap<Sequence, u32>,
        heads: BTreeMap<SlotIndex, Sequence>,
    }

    impl Model {
        fn check(&self, sequence: Sequence, slot: SlotIndex, previous: u64) -> WindowCheck<u32> {
            let previous = (previous > 0).then_some(Sequence(previous));
            let head = self.heads.get(&slot).copied();
            match self.outcomes.get(&sequence) {
                _ if sequence < self.low => WindowCheck::Settled,
                Some(answer) => WindowCheck::Answered(*answer),
                None if head == previous && head.is_none_or(|h| h < sequence) => WindowCheck::Fresh,
                None => WindowCheck::Gap,
            }
        }

        fn record(&mut self, sequence: Sequence, slot: SlotIndex, answer: u32) -> bool {
            let above = self.heads.get(&slot).is_none_or(|head| *head < sequence);
            let legal = above && sequence >= self.low && !self.outcomes.contains_key(&sequence);
            if legal {
                self.outcomes.insert(sequence, answer);
                self.heads.insert(slot, sequence);
            }
            legal
        }
    }

    proptest! {
        #[test]
        fn any_calls_match_the_model(
            calls in prop::collection::vec((0..4_u8, 1..30_u64, 0..4_u32, 0..30_u64), 1..80),
        ) {
            let (mut window, mut model) = (Window::new(), Model::default());
            for (answer, (call, sequence, slot, previous)) in (0..).zip(calls) {
                let (sequence, slot) = (Sequence(sequence), SlotIndex(slot));
                match call {
                    0 => {
                        let low = Sequence(previous / 2);
                        window.settle(low);
                        model.low = model.low.max(low);
                        let low = model.low;
                        model.outcomes.retain(|sequence, _| *sequence >= low);
                    },
                    1 => {
                        let mut moved = window.take_slots(&[SlotIndex(9), slot]);
                        prop_assert!(window.head(slot).is_none());
                        prop_assert!(moved.outcomes().all(|(_, of, _)| of == slot));
                        std::mem::swap(&mut window, &mut moved);
                        window.absorb(moved).unwrap();
                    },
                    _ => {
                        let legal = model.record(sequence, slot, answer);
                        prop_assert_eq!(window.record(sequence, slot, answer).is_ok(), legal);
                    },
                }
                for asked in 1..30 {
                    let asked = Sequence(asked);
                    for previous in [previous, window.head(slot).map_or(0, |head| head.0)] {
                        let named = (previous > 0).then_some(Sequence(previous));
                        let expected = model.check(asked, slot, previous);
                        prop_assert_eq!(window.check(asked, slot, named), expected);
                    }
                }
                prop_assert_eq!(window.len(), model.outcomes.len());
                prop_assert!(window.heads().iter().copied().eq(model.heads.clone()));
            }
        }
    }

    /// An origin, two shards and a network that delivers anything at any time, any number of times.
    struct Run {
        requests: Vec<(SlotIndex, Option<Sequence>)>,
        answered: Vec<bool>,
        applied: Vec<usize>,
        windows: [Window<usize>; 2],
        moved: BTreeSet<SlotIndex>,
    }

    impl Run {
        fn new(slots: &[u32]) -> Self {
            let mut last = BTreeMap::new();
            let number = (1..).map(Sequence);
            let requests = slots.iter().map(|slot| SlotIndex(*slot)).zip(number);
            Self {
                requests: requests.map(|(slot, n)| (slot, last.insert(slot, n))).collect(),
                answered: vec![false; slots.len()],
                applied: vec![0; slots.len()],
                windows: [Window::new(), Window::new()],
                moved: BTreeSet::new(),
            }
        }

        fn deliver(&mut self, index: usize, settles: bool, answer_arrives: bool) {
            let (slot, previous) = self.requests[index];
            let sequence = Sequence(index as u64 + 1);
            let window = &mut self.windows[usize::from(self.moved.contains(&slot))];
            if settles {
                let unanswered = self.answered.iter().take_while(|done| **done).count();
                window.settle(Sequence(unanswered as u64 + 1));
            }
            match window.check(sequence, slot, previous) {
                WindowCheck::Fresh => {
                    self.applied[index] += 1;
                    assert!(previous.is_none_or(|p| self.applied[p.0 as usize - 1] == 1));
                    window.record(sequence, slot, index).unwrap();
                },
                WindowCheck::Answered(stored) => assert_eq!(stored, index),
                WindowCheck::Settled => assert!(self.answered[index], "settled, never answered"),
                WindowCheck::Gap => {
                    let earlier = previous.expect("the first of a slot has no gap before it");
                    assert_eq!(self.applied[earlier.0 as usize - 1], 0);
                    return;
                },
            }
            assert_eq!(self.applied[index], 1);
            self.answered[index] |= answer_arrives;
        }

        /// Hands a slot to the other shard.
        fn hand_over(&mut self, slot: SlotIndex) {
            let [left, right] = &mut self.windows;
            if self.moved.remove(&slot) {
                left.absorb(right.take_slots(&[slot])).unwrap();
            } else {
                right.absorb(left.take_slots(&[slot])).unwrap();
                self.moved.insert(slot);
            }
        }
    }

    proptest! {
        #[test]
        fn each_request_is_applied_exactly_once(
            slots in prop::collection::vec(0..5_u32, 1..24),
            events in prop::collection::vec(
                (any::<prop::sample::Index>(), any::<bool>(), any::<bool>(), 0..8_u8),
                0..120,
            ),
        ) {
            let mut run = Run::new(&slots);
            for (at, settles, answer_arrives, event) in events {
                let index = at.index(slots.len());
                match event {
                    0 => run.hand_over(run.requests[index].0),
                    _ => run.deliver(index, settles, answer_arrives),
                }
            }
            (0..slots.len()).for_each(|index| run.deliver(index, true, true));
            prop_assert!(run.applied.iter().all(|times| *times == 1), "{:?}", run.applied);
            prop_assert!(run.answered.iter().all(|done| *done));
        }
    }

    #[test]
    fn a_window_holds_no_more_than_an_origin_may_have_in_flight() {
        let mut window = Window::new();
        for sequence in 1..=INFLIGHT_MAX as u64 {
            window.record(Sequence(2 * sequence), SlotIndex(0), ()).unwrap();
        }
        assert!(window.is_full());
        let mut other = Window::new();
        other.record(Sequence(3), SlotIndex(1), ()).unwrap();
        assert_eq!(window.absorb(other.clone()), Err(full(INFLIGHT_MAX + 1)));
        let next = Sequence(1 << 40);
        assert_eq!(window.record(next, SlotIndex(0), ()), Err(full(INFLIGHT_MAX + 1)));
        window.settle(Sequence(3));
        assert_eq!(window.absorb(other), Ok(()));
        window.settle(Sequence(4));
        assert_eq!(window.record(next, SlotIndex(0), ()), Ok(()));
        assert_eq!(window.head(SlotIndex(1)), Some(Sequence(3)), "chains outlive outcomes");
    }
}
