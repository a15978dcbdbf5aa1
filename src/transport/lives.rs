//! Which life of each server a process knows.
//!
//! A server that is started again holds nothing of what it held. Taken for its former self it
//! would be sent what it cannot use, and tables of one number would differ between servers. Two
//! processes that claim one number would take each other's place again and again. So each server
//! draws a number when it starts and says it with its hello.
//!
//! I1: of each server at most one life is known; I2: it changes only while nothing has been
//! created that it could have lost.

use std::collections::BTreeMap;

use crate::id::ServerId;
use crate::sync::{Arc, Mutex};

/// The servers that this process has met.
#[derive(Debug, Default)]
pub(super) struct Lives {
    known: BTreeMap<ServerId, u64>,
    lost: Arc<Lost>,
}

/// A server that was started again, whose tables are lost: nobody can begin anything then. Also
/// for those who answer calls: a worker that were welcomed first and refused later would have
/// begun at the other servers.
#[derive(Debug, Default)]
pub(super) struct Lost(Mutex<Option<ServerId>>);

impl Lost {
    pub(super) fn server(&self) -> Option<ServerId> {
        *self.0.lock()
    }
}

/// What to make of a server that connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Met {
    /// The one that is known, or nobody's place is taken by it.
    Welcome,
    /// Its number belongs to another process, which is connected.
    Twice,
    /// It was started again, and has lost what this process reckons with.
    Anew,
}

impl Lives {
    /// Meets a server. `linked`: one of its number is connected. `holds`: there is something that
    /// it could have lost.
    pub(super) fn meet(&mut self, server: ServerId, life: u64, linked: bool, holds: bool) -> Met {
        match self.known.get(&server) {
            Some(known) if *known != life && linked => Met::Twice,
            Some(known) if *known != life && holds => Met::Anew,
            _ => {
                self.known.insert(server, life);
                self.lost.0.lock().take_if(|lost| *lost == server);
                Met::Welcome
            },
        }
    }

    /// What a server held that was started again is gone: nobody can begin anything any more.
    pub(super) fn lose(&self, server: ServerId) {
        *self.lost.0.lock() = Some(server);
    }

    pub(super) fn lost(&self) -> &Arc<Lost> {
        &self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: ServerId = ServerId(1);

    #[test]
    fn a_server_may_come_back_and_another_in_its_place_only_before_there_is_something_to_lose() {
        let mut lives = Lives::default();
        assert_eq!(lives.meet(SERVER, 7, false, true), Met::Welcome);
        assert_eq!(lives.meet(SERVER, 7, true, true), Met::Welcome, "a newer connection");
        assert_eq!(lives.meet(SERVER, 8, true, false), Met::Twice);
        assert_eq!((lives.meet(SERVER, 8, false, true), lives.lost().server()), (Met::Anew, None));
        lives.lose(SERVER);
        assert_eq!(lives.lost().server(), Some(SERVER));
        assert_eq!(
            (lives.meet(SERVER, 7, false, true), lives.lost().server()),
            (Met::Welcome, None)
        );
        assert_eq!(lives.meet(SERVER, 8, false, false), Met::Welcome);
        assert_eq!(lives.meet(SERVER, 7, false, true), Met::Anew, "it has lost its place");
    }
}
