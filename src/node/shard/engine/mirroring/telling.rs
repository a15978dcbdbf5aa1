//! What is sent, and when to look again.

use super::super::ShardEngine;
use crate::id::ServerId;
use crate::node::mirror::Letter;
use crate::time::Instant;
use crate::vector::Element;
use crate::wire::MirrorMessage;

impl<T: Element> ShardEngine<T> {
    /// A connection to a server elsewhere is up, for the first time or again.
    pub(in crate::node::shard::engine) fn connect(&mut self, now: Instant, to: ServerId) {
        let Some(mirror) = &mut self.mirror else { return };
        mirror.now = mirror.now.max(now);
        if let Some(lane) = mirror.lanes.get_mut(&to) {
            lane.connected(mirror.terms_hash);
        }
    }

    /// The next thing to send to a server elsewhere; updates only while there is `room`.
    pub(in crate::node::shard::engine) fn next_letter(
        &mut self,
        now: Instant,
        to: ServerId,
        room: bool,
    ) -> Option<Letter> {
        let width = self.width();
        let mirror = self.mirror.as_mut()?;
        mirror.now = mirror.now.max(now);
        let letter = mirror.lanes.get_mut(&to)?.next::<T>(now, room, width)?;
        let update = matches!(letter.message, MirrorMessage::Update { .. });
        mirror.stats.updates_told += u64::from(update);
        Some(letter)
    }

    /// Ends what has lasted too long, and says that this server lives; when to look again.
    pub(in crate::node::shard::engine) fn look_at_time(&mut self, now: Instant) -> Option<Instant> {
        let mirror = self.mirror.as_mut()?;
        mirror.now = mirror.now.max(now);
        let (silence_max, passed) = (mirror.policy.silence_max(), mirror.passed);
        let mut changed = false;
        for (data_centre, source) in &mut mirror.sources {
            let counted = source.counts();
            changed |= source.on_time(now, silence_max, passed);
            let silent = source.silent(now).as_secs();
            match (counted, source.counts()) {
                (true, false) => tracing::warn!(
                    %data_centre, silent, "a data centre is silent: nobody waits for it any more"
                ),
                (false, true) => tracing::info!(%data_centre, "a data centre is back"),
                (true, true) | (false, false) => {},
            }
        }
        let silences = mirror.sources.values().filter_map(|it| it.deadline(silence_max));
        let next = silences.min();
        let beats = mirror.lanes.values_mut().filter_map(|lane| lane.heartbeat(now));
        let next = beats.chain(next).min();
        if changed {
            self.changes.any = true;
            self.mirror_settle();
        }
        next
    }
}
