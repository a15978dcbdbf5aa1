//! Orders to stop: from the terminal, from the system, and from a parent that has gone.

use tokio::sync::oneshot;

/// Ctrl-C and, on Unix, SIGTERM; and the end of the standard input, where that is asked for.
pub(crate) struct Signals {
    input: Option<oneshot::Receiver<()>>,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

/// What a process ends with that was stopped by Ctrl-C, as a shell says of it.
pub(crate) const INTERRUPTED: u8 = 130;
/// And by SIGTERM.
pub(crate) const TERMINATED: u8 = 143;

impl Signals {
    #[cfg(unix)]
    pub(crate) fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let (terminate, interrupt) = (SignalKind::terminate(), SignalKind::interrupt());
        Ok(Self { input: None, terminate: signal(terminate)?, interrupt: signal(interrupt)? })
    }

    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self { input: None })
    }

    /// From now on the end of the standard input is an order too: it comes when the process at
    /// the other end of the pipe is gone, however it went.
    pub(crate) fn obey_input(&mut self) -> std::io::Result<()> {
        let (open, closed) = oneshot::channel();
        std::thread::Builder::new().name("input".into()).spawn(move || {
            // An input that cannot be read has ended, too.
            drop(std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink()));
            drop::<oneshot::Sender<()>>(open);
        })?;
        self.input = Some(closed);
        Ok(())
    }

    /// Waits for the next one; what a process that ends by it ends with.
    #[cfg(unix)]
    pub(crate) async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.terminate.recv() => TERMINATED,
            _ = self.interrupt.recv() => INTERRUPTED,
            () = ended(&mut self.input) => TERMINATED,
        }
    }

    /// Waits for the next one; what a process that ends by it ends with.
    #[cfg(not(unix))]
    pub(crate) async fn next(&mut self) -> u8 {
        tokio::select! {
            Ok(()) = tokio::signal::ctrl_c() => INTERRUPTED,
            () = ended(&mut self.input) => TERMINATED,
        }
    }
}

/// Once; where nobody waits for the input, never.
async fn ended(input: &mut Option<oneshot::Receiver<()>>) {
    match input {
        Some(closed) => drop(closed.await),
        None => std::future::pending().await,
    }
    *input = None;
}
