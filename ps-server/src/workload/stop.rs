//! Ctrl-C while workers train against servers: they leave, then the process ends.

use std::io::Write;

use archipelago::sync::Arc;
use tokio::sync::watch;

use crate::signals::Signals;

/// A command was told to stop, and has done so in good order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stopped before the end: the workers of this process have left their group")]
pub struct Stopped {
    /// What the process ends with.
    pub exit_code: u8,
}

/// Whether to stop, as everybody sees it who waits for something.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    told: watch::Receiver<Option<Stopped>>,
    /// Kept, so that a stop without signals is never told.
    _teller: Arc<watch::Sender<Option<Stopped>>>,
}

impl Stop {
    /// Nobody says so: Ctrl-C ends the process as it ends any other.
    pub(crate) fn never() -> Self {
        let (teller, told) = watch::channel(None);
        Self { told, _teller: Arc::new(teller) }
    }

    /// Said by Ctrl-C or SIGTERM; said twice, the process ends at once. The first is answered on
    /// the standard error with `answer`, where the end may take long.
    pub(crate) fn by_signals(answer: Option<&'static str>) -> anyhow::Result<Self> {
        let (teller, told) = watch::channel(None);
        let teller = Arc::new(teller);
        let tell = Arc::clone(&teller);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut signals = runtime.block_on(async { Signals::new() })?;
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            runtime.block_on(async {
                let exit_code = signals.next().await;
                tell.send_replace(Some(Stopped { exit_code }));
                if let Some(answer) = answer {
                    // Nobody may be there to read it: that is no reason not to stop.
                    drop(writeln!(std::io::stderr(), "{answer}"));
                }
                std::process::exit(i32::from(signals.next().await));
            });
        })?;
        Ok(Self { told, _teller: teller })
    }

    /// Whether that has been said already.
    pub(crate) fn said(&self) -> Option<Stopped> {
        *self.told.borrow()
    }

    /// Runs a future to its end, unless told to stop; it is dropped then.
    pub(crate) async fn or<F: Future>(&self, future: F) -> Result<F::Output, Stopped> {
        tokio::select! {
            biased;
            stopped = self.told() => Err(stopped),
            output = future => Ok(output),
        }
    }

    async fn told(&self) -> Stopped {
        let mut told = self.told.clone();
        loop {
            let stopped = *told.borrow_and_update();
            if let Some(stopped) = stopped {
                return stopped;
            }
            if told.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
