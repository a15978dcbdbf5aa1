//! Answers that the keeper keeps back until every server knows of a change of a table, and whom
//! those wait for who wait for the keeper.
//!
//! Who waits because a server has not confirmed what was created or changed is told which one, and
//! told anew when that changes, so that no wait is without an owner (law 9): the peers reach that
//! server themselves, and would look for the fault in vain. Invariant: of each peer as many answers
//! as it may have ticks unanswered and tables to write (law 12).

use std::collections::BTreeMap;

use super::groups::Letters;
use crate::id::{ServerId, TableId, Tick};
use crate::limits;
use crate::node::Peer;
use crate::wire::Message;

/// What is kept back, and what peers know of that.
#[derive(Debug, Default)]
pub(super) struct Withheld {
    peers: BTreeMap<Peer, OfPeer>,
}

#[derive(Debug, Default)]
struct OfPeer {
    answers: BTreeMap<Place, Message>,
    /// The server that the peer was told of.
    told: Option<ServerId>,
}

/// What an answer is for. Asked again, the newer answer replaces the older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Joined,
    Attached(TableId),
    Ticked(Tick),
}

impl OfPeer {
    fn tell(&mut self, server: Option<ServerId>, again: bool) -> Option<Message> {
        let differs = std::mem::replace(&mut self.told, server) != server;
        (differs || again).then_some(Message::Withheld { server })
    }
}

impl Place {
    fn of(message: &Message) -> Option<Self> {
        match message {
            Message::Joined { .. } => Some(Self::Joined),
            Message::Attached { table, .. } => Some(Self::Attached(*table)),
            Message::TickAnswer { tick, .. } => Some(Self::Ticked(*tick)),
            _ => None,
        }
    }
}

impl Withheld {
    /// Keeps an answer, and what its peer has to hear then: that it waits for this server. A peer
    /// that asks for more than it may is not answered; one that asks again is told again, since it
    /// may not have heard.
    pub(super) fn keep(
        &mut self,
        to: Peer,
        message: Message,
        server: Option<ServerId>,
    ) -> Option<Message> {
        let place = Place::of(&message)?;
        let held = self.peers.entry(to).or_default();
        let again = held.answers.contains_key(&place);
        let room = held.answers.len() < limits::TICKS_PENDING_MAX + limits::TABLES_MAX;
        if room || again {
            held.answers.insert(place, message);
        }
        held.tell(server, again)
    }

    /// All answers, those of a peer in order.
    pub(super) fn take(&mut self) -> Letters {
        let answers = self.peers.iter_mut().flat_map(|(peer, held)| {
            let answers = std::mem::take(&mut held.answers);
            answers.into_values().map(|message| (*peer, message))
        });
        answers.collect()
    }

    /// A peer has asked for something that the catalog keeps until it is settled.
    pub(super) fn ask(&mut self, peer: Peer) {
        self.peers.entry(peer).or_default().told = None;
    }

    /// What peers have to hear: that they wait for this server, or for none any more. Of those to
    /// whom no answer is withheld the catalog knows whether they still wait.
    pub(super) fn tell(
        &mut self,
        server: Option<ServerId>,
        asks: impl Fn(Peer) -> bool,
    ) -> Letters {
        let mut letters = Letters::new();
        self.peers.retain(|peer, held| {
            let waits = !held.answers.is_empty() || asks(*peer);
            let told = held.tell(server.filter(|_| waits), false);
            letters.extend(told.map(|message| (*peer, message)));
            waits
        });
        letters
    }

    /// The peer is gone.
    pub(super) fn forget(&mut self, peer: Peer) {
        self.peers.remove(&peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Peer = Peer::Worker(1);

    fn answer(tick: u64) -> Message {
        Message::TickAnswer { tick: Tick(tick), result: Ok(()) }
    }

    fn told(server: Option<u32>) -> Message {
        Message::Withheld { server: server.map(ServerId) }
    }

    #[test]
    fn peers_are_told_for_whom_they_wait_when_that_changes_and_when_they_ask_again() {
        let mut withheld = Withheld::default();
        let (second, third) = (Some(ServerId(2)), Some(ServerId(3)));
        assert_eq!(withheld.keep(ONE, answer(2), second), Some(told(Some(2))));
        assert_eq!(withheld.keep(ONE, answer(1), second), None, "known");
        assert_eq!(withheld.keep(ONE, answer(1), second), Some(told(Some(2))), "asked again");
        let other = Peer::Worker(2);
        assert_eq!(withheld.keep(other, answer(1), second), Some(told(Some(2))));
        let none = |_| false;
        assert_eq!(withheld.tell(second, none), []);
        assert_eq!(withheld.tell(third, none), [(ONE, told(Some(3))), (other, told(Some(3)))]);
        withheld.forget(other);
        assert_eq!(withheld.take(), [1, 2].map(|tick| (ONE, answer(tick))));
        assert_eq!(withheld.keep(ONE, answer(2), third), None, "still");
        assert_eq!(withheld.take(), [(ONE, answer(2))]);
        assert_eq!(withheld.tell(third, none), [(ONE, told(None))]);
        withheld.ask(other);
        assert_eq!(withheld.tell(third, |peer| peer == other), [(other, told(Some(3)))]);
        assert_eq!(withheld.tell(third, none), [(other, told(None))]);
        withheld.ask(other);
        assert_eq!((withheld.tell(None, none), withheld.peers.len()), (Vec::new(), 0), "at once");
    }

    /// With the most workers of a group it would take minutes if each looked at all others.
    #[test]
    fn each_peer_has_so_many_answers_and_no_more() {
        let (mut withheld, second) = (Withheld::default(), Some(ServerId(2)));
        let most = limits::TICKS_PENDING_MAX + limits::TABLES_MAX;
        for tick in 0..=most as u64 {
            withheld.keep(ONE, answer(tick), second);
        }
        let other = Message::Tables { request: 1, tables: Vec::new(), next: None };
        assert_eq!(withheld.keep(ONE, other, second), None, "never withheld");
        for token in 0..u64::from(limits::GROUP_SIZE_MAX) {
            for tick in 0..limits::TICKS_PENDING_MAX as u64 {
                withheld.keep(Peer::Worker(9 + token), answer(tick), second);
            }
        }
        let of_all = limits::GROUP_SIZE_MAX as usize * limits::TICKS_PENDING_MAX;
        assert_eq!(withheld.take().len(), most + of_all);
    }
}
