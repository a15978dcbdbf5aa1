//! Who waits at one place. A waker may poll its task at once, on the thread that wakes it, and
//! that calls back into the store: so wakers are taken out under a lock and woken without any.

use std::task::Waker;

/// The wakers of those who wait at one place.
#[derive(Debug, Default)]
pub(super) struct Parked(Vec<Waker>);

/// Wakers taken out.
#[derive(Default)]
#[must_use = "whoever was taken out waits for ever when not woken"]
pub(super) struct Woken(Vec<Waker>);

impl Parked {
    /// Keeps a waker until something changes.
    pub(super) fn park(&mut self, waker: &Waker) {
        if !self.0.iter().any(|held| held.will_wake(waker)) {
            self.0.push(waker.clone());
        }
    }

    /// Takes everybody out. Costs nothing when nobody waits.
    pub(super) fn take(&mut self) -> Woken {
        Woken(std::mem::take(&mut self.0))
    }
}

impl Woken {
    /// Wakes them. No lock of the store may be held.
    pub(super) fn wake(self) {
        for waker in self.0 {
            waker.wake();
        }
    }
}
