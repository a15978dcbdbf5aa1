//! What is sent, and when to look again.

use super::super::ShardEngine;
use crate::consistency::{MirrorAdmit, MirrorRead};
use crate::id::{DataCentre, ServerId};
use crate::node::mirror::{Lane, Letter, LineId, Seen};
use crate::node::sabotage::Sabotage;
use crate::time::{Duration, Instant};
use crate::vector::Element;
use crate::wire::MirrorMessage;

impl<T: Element> ShardEngine<T> {
    /// A connection to a server elsewhere is up, for the first time or again.
    pub(in crate::node::shard::engine) fn connect(&mut self, now: Instant, to: ServerId) {
        let Some(mirror) = &mut self.mirror else { return };
        mirror.now = mirror.now.max(now);
        if let Some(neighbour) = mirror.neighbours.get_mut(&to) {
            neighbour.connected(mirror.terms_hash);
        }
        mirror.lanes_to_mut(to).for_each(Lane::connected);
        mirror.hush_lost();
    }

    /// The next thing to send to a server elsewhere; updates and values only while there is `room`.
    pub(in crate::node::shard::engine) fn next_letter(
        &mut self,
        now: Instant,
        to: ServerId,
        room: bool,
    ) -> Option<Letter> {
        let mirror = self.mirror.as_mut()?;
        mirror.now = mirror.now.max(now);
        let here = mirror.here;
        if let Some((of, message)) = mirror.neighbours.get_mut(&to)?.next(here) {
            return Some(Letter { of, message, data: None });
        }
        let lines = mirror.lines_to(to);
        lines.into_iter().find_map(|line| self.next_of_line(now, line, room))
    }

    fn next_of_line(&mut self, now: Instant, line: LineId, room: bool) -> Option<Letter> {
        let width = self.width();
        self.tell_values(line, room);
        let mirror = self.mirror.as_mut()?;
        // What was pushed before a clock that was told leaves behind one that names it.
        let late = mirror.pass.as_ref().is_some_and(|pass| pass.tick == mirror.passed);
        let room = room && !late;
        let (message, data) = mirror.lanes.get_mut(&line)?.next::<T>(now, room, width)?;
        let update = matches!(message, MirrorMessage::Update { .. });
        mirror.stats.updates_told += u64::from(update);
        if let Some(neighbour) = mirror.neighbours.get_mut(&line.0) {
            neighbour.last = Some(line.1);
        }
        self.record_told(line, &message);
        Some(Letter { of: line.1, message, data })
    }

    /// Ends what has lasted too long, and says that this server lives; when to look again.
    pub(in crate::node::shard::engine) fn look_at_time(&mut self, now: Instant) -> Option<Instant> {
        let mirror = self.mirror.as_mut()?;
        mirror.now = mirror.now.max(now);
        let silence_max = mirror.silence_max;
        let data_centres: Vec<_> = mirror.sources.keys().copied().collect();
        let changed = data_centres.into_iter().map(|it| self.watch(it, now));
        let changed = changed.fold(false, |any, changed| any | changed);
        let mirror = self.mirror.as_mut()?;
        let silences = mirror.sources.values().filter_map(|it| it.deadline(silence_max));
        let next = silences.min();
        mirror.lanes.values_mut().for_each(|lane| lane.release_late(now));
        let silent = mirror.lost_groups();
        let lanes = mirror.lanes.values_mut().filter(|lane| !silent.contains(&lane.feed));
        let beats = lanes.filter_map(|lane| lane.heartbeat(now, silence_max));
        let next = beats.chain(next).min();
        if changed {
            self.source_changed();
        }
        next
    }

    /// Looks whether somebody waits in vain for a data centre, or may wait for it again. Whether
    /// anything has changed.
    pub(super) fn watch(&mut self, data_centre: DataCentre, now: Instant) -> bool {
        let endless = self.place.switch.breaks(Sabotage::WaitForTheLost);
        let Some(mirror) = &mut self.mirror else { return false };
        let silence_max = if endless { Duration::MAX } else { mirror.silence_max };
        let Some(source) = mirror.sources.get_mut(&data_centre) else { return false };
        let counted = source.counts();
        // Whoever comes back is waited for once that holds up nobody who reads next.
        let slowest = Some((source.counted_everywhere(), data_centre));
        let next = MirrorRead { tick: mirror.passed.next(), slowest, now };
        let near = mirror.policy.admit(&next) == MirrorAdmit::Serve;
        let changed = source.on_time(now, silence_max, Seen { here: mirror.passed, near });
        let (counts, silent_seconds) = (source.counts(), source.silent(now).as_secs());
        let number = data_centre.0;
        match (counted, counts) {
            (true, false) => tracing::warn!(
                data_centre = number,
                silent_seconds,
                "a data centre is silent: nobody waits for it any more"
            ),
            (false, true) => tracing::info!(data_centre = number, "a data centre is back"),
            (true, true) | (false, false) => {},
        }
        self.record_news(data_centre);
        self.standing_seen(data_centre, counted);
        changed
    }

    /// What follows from whether a data centre counts, when it was otherwise before.
    pub(super) fn standing_seen(&mut self, data_centre: DataCentre, counted: bool) {
        let counts = self.mirror.as_ref().is_some_and(|mirror| mirror.counts(data_centre));
        if counted != counts {
            self.ending_stands(counts);
            self.record_standing(data_centre, counted);
        }
    }
}
