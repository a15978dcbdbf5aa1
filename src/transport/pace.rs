//! How often something may be begun.

use tokio::time::{Duration, Instant, sleep_until};

/// So many a second, and as many at once after a pause.
#[derive(Debug)]
pub(super) struct Pace {
    each: Duration,
    burst: Duration,
    /// When everything begun so far would have been begun evenly.
    even: Instant,
}

impl Pace {
    pub(super) fn new(per_second: u32) -> Self {
        let each = Duration::from_secs(1) / per_second.max(1);
        Self { each, burst: Duration::from_secs(1), even: Instant::now() }
    }

    /// Waits until the next one may begin. May be given up: then nothing was begun.
    pub(super) async fn step(&mut self) {
        if let Some(later) = self.even.checked_sub(self.burst) {
            sleep_until(later).await;
        }
        self.even = self.even.max(Instant::now()) + self.each;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_what_follows_is_even() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (mut pace, began) = (Pace::new(100), Instant::now());
            for _ in 0..100 {
                pace.step().await;
            }
            let burst = began.elapsed();
            for _ in 0..20 {
                pace.step().await;
            }
            // Twenty steps of 10 ms, less what the burst itself has taken.
            let all = began.elapsed();
            assert!(all >= Duration::from_millis(150), "{all:?}, the burst {burst:?}");
        });
    }
}
