//! Which requests have had to wait: each counts once, however often it is looked at.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::{Origin, Sequence};
use crate::limits;
use crate::spec::GroupRecord;
use crate::wire::Header;

/// Requests of each origin that have waited and may be unanswered, at most `INFLIGHT_MAX`.
#[derive(Debug, Default)]
pub(super) struct Waited {
    by_origin: BTreeMap<Origin, BTreeSet<Sequence>>,
}

impl Waited {
    /// A request has to wait; whether that is new.
    pub(super) fn is_first(&mut self, header: &Header) -> bool {
        let waited = self.by_origin.entry(header.origin).or_default();
        if waited.contains(&header.sequence) {
            return false;
        }
        *waited = waited.split_off(&header.settled_below);
        waited.insert(header.sequence);
        if waited.len() > limits::INFLIGHT_MAX {
            waited.pop_first();
        }
        true
    }

    /// Forgets those who are not of their group any more, or never were.
    pub(super) fn hold_record(&mut self, record: &GroupRecord) {
        let members = &record.members;
        let is_member =
            |origin: &Origin| members.binary_search_by_key(origin, |it| it.origin).is_ok();
        self.by_origin.retain(|origin, _| origin.group != record.group || is_member(origin));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{GroupId, RecordVersion, Tick};

    fn header(sequence: u64, settled_below: u64) -> Header {
        let (sequence, settled_below) = (Sequence(sequence), Sequence(settled_below));
        Header { origin: Origin::default(), sequence, settled_below, tick: Tick(1) }
    }

    #[test]
    fn a_request_counts_once_however_often_it_is_looked_at() {
        let mut waited = Waited::default();
        let mut counted = 0;
        for _ in 0..100 {
            for sequence in [7, 3, 5] {
                counted += u64::from(waited.is_first(&header(sequence, 2)));
            }
        }
        assert_eq!(counted, 3);
        assert!(waited.is_first(&header(8, 8)));
        assert_eq!(waited.by_origin[&Origin::default()].len(), 1, "what is settled is forgotten");
    }

    #[test]
    fn what_is_kept_of_an_origin_is_bounded_and_goes_with_it() {
        let mut waited = Waited::default();
        for sequence in 1..=2 * limits::INFLIGHT_MAX as u64 {
            assert!(waited.is_first(&header(sequence, 1)));
        }
        assert_eq!(waited.by_origin[&Origin::default()].len(), limits::INFLIGHT_MAX);
        let (group, version) = (GroupId(0), RecordVersion::default());
        waited.hold_record(&GroupRecord { group, version, size: 1, members: Vec::new() });
        assert!(waited.by_origin.is_empty());
    }
}
