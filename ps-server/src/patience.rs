//! A sign of life while a file is read, or servers have not answered yet.

use std::io::Write;
#[cfg(feature = "workloads")]
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// Nothing is said of what takes less.
const SILENCE_MAX: Duration = Duration::from_secs(2);

/// Runs `work`, which waits for `whom`, at most so long. When it lasts over two seconds the error
/// stream says so, then again whenever it has lasted twice as long.
pub(crate) fn waiting<T>(whom: &str, most: Duration, work: impl FnOnce() -> T) -> T {
    let say = |lasted: Duration| {
        let (lasted, most) = (lasted.as_secs(), most.as_secs_f64());
        drop(writeln!(
            std::io::stderr(),
            "waiting for {whom}: no answer yet after {lasted} s (up to {most} s)"
        ));
    };
    patiently(SILENCE_MAX, say, work)
}

/// Runs `work`, which reads a file. When it lasts over two seconds the error stream says so, then
/// again whenever it has lasted twice as long.
#[cfg(feature = "workloads")]
pub(crate) fn loading<T>(path: &Path, work: impl FnOnce() -> T) -> T {
    let file = path.display().to_string();
    let size = path.metadata().ok().filter(std::fs::Metadata::is_file);
    let size = size.map_or(String::new(), |size| format!(" ({:.1} MB)", size.len() as f64 / 1e6));
    let say = |lasted: Duration| {
        let seconds = lasted.as_secs();
        // Nobody is there to be told of a closed error stream.
        drop(writeln!(std::io::stderr(), "loading {file}{size}: {seconds} s so far"));
    };
    patiently(SILENCE_MAX, say, work)
}

/// Calls `say` once `work` has lasted `after`, then whenever it has lasted twice as long.
fn patiently<T>(after: Duration, say: impl Fn(Duration) + Send, work: impl FnOnce() -> T) -> T {
    std::thread::scope(|scope| {
        // Dropped with this closure, even by a panic of `work`: the thread then ends.
        let (_working, ended) = mpsc::channel::<()>();
        scope.spawn(move || {
            let (mut lasted, mut step) = (Duration::ZERO, after);
            while ended.recv_timeout(step) == Err(RecvTimeoutError::Timeout) {
                lasted += step;
                say(lasted);
                step = lasted;
            }
        });
        work()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_work_is_spoken_of_and_short_work_is_not() {
        let (said, heard) = mpsc::channel();
        let say = |lasted| said.send(lasted).expect("heard");
        let after = Duration::from_millis(5);
        let first = patiently(after, say, || [(); 3].map(|()| heard.recv().expect("said")));
        assert_eq!(first, [after, 2 * after, 4 * after]);
        let silent = |_| panic!("spoken of");
        assert_eq!(patiently(Duration::from_secs(3600), silent, || 7), 7);
    }
}
