//! The queue of what will happen, by time and then by the order of scheduling.

use std::collections::BTreeMap;

use crate::time::Instant;

/// Events to come.
#[derive(Debug)]
pub(super) struct Queue<E> {
    events: BTreeMap<(Instant, u64), E>,
    scheduled: u64,
}

impl<E> Queue<E> {
    pub(super) fn new() -> Self {
        Self { events: BTreeMap::new(), scheduled: 0 }
    }

    /// Schedules an event.
    pub(super) fn push(&mut self, at: Instant, event: E) {
        self.events.insert((at, self.scheduled), event);
        self.scheduled += 1;
    }

    /// Takes the next event.
    pub(super) fn pop(&mut self) -> Option<(Instant, E)> {
        self.events.pop_first().map(|((at, _), event)| (at, event))
    }

    /// When the next event happens.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.events.first_key_value().map(|((at, _), _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_times_keep_the_order_of_scheduling() {
        let mut queue = Queue::new();
        for (at, name) in [(5, 'c'), (1, 'a'), (5, 'd'), (1, 'b')] {
            queue.push(Instant(at), name);
        }
        assert_eq!(queue.next_at(), Some(Instant(1)));
        let order: String = std::iter::from_fn(|| queue.pop()).map(|(_, name)| name).collect();
        assert_eq!(order, "abcd");
    }
}
