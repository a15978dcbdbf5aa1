//! Replays a corpus and mutates it for a while; a failing input is printed.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use archipelago::rng::Rng;

pub(crate) fn smoke(target: &str, run: fn(&[u8])) -> io::Result<()> {
    let corpus = corpus(target)?;
    assert!(!corpus.is_empty(), "the corpus of {target} is missing");
    for seed in &corpus {
        Printed(seed).run(run);
    }
    let start = now();
    let mut rng = Rng::named(0, target);
    while now().duration_since(start) < TARGET_TIME {
        // Reading the clock once per batch keeps it out of the profile.
        for _ in 0..100 {
            let mutant = mutated(&corpus, &mut rng);
            Printed(&mutant).run(run);
        }
    }
    Ok(())
}

fn corpus(target: &str) -> io::Result<Vec<Vec<u8>>> {
    // This crate's folder, or the one that holds it.
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let found = folders.find_map(|it| Some(it.join("fuzz/corpus")).filter(|it| it.is_dir()));
    let folder = found.unwrap_or_default().join(target);
    let entries: io::Result<Vec<_>> = folder.read_dir()?.collect();
    let mut paths: Vec<_> = entries?.iter().map(fs::DirEntry::path).collect();
    paths.sort();
    paths.iter().map(fs::read).collect()
}

/// A seed with one to eight changes: a flipped bit, an edge value, a cut, a repeat, a splice.
fn mutated(corpus: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut data = pick(corpus, rng).clone();
    for _ in 0..=rng.below(8) {
        let at = rng.below(data.len() as u64 + 1) as usize;
        match (rng.below(6), data.get_mut(at)) {
            (0 | 1, Some(byte)) => *byte ^= 1 << rng.below(8),
            (2, Some(byte)) => *byte = *pick(&[0, 1, 0x7f, 0x80, 0xff], rng),
            (3, _) => data.truncate(at),
            (4, _) => data.extend_from_within(at..),
            _ => {
                let other = pick(corpus, rng);
                let from = rng.below(other.len() as u64 + 1) as usize;
                data.truncate(at);
                data.extend_from_slice(&other[from..]);
            },
        }
        data.truncate(INPUT_BYTES_MAX);
    }
    data
}

fn pick<'a, T>(items: &'a [T], rng: &mut Rng) -> &'a T {
    &items[rng.below(items.len() as u64) as usize]
}

/// An input that is printed when its run panics.
struct Printed<'a>(&'a [u8]);

impl Printed<'_> {
    fn run(&self, target: fn(&[u8])) {
        target(self.0);
    }
}

impl Drop for Printed<'_> {
    #[expect(clippy::print_stdout, reason = "the test harness shows it when the test fails")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let hex: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
            println!("failing input: {hex}");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the budget of a test is real time")]
fn now() -> Instant {
    Instant::now()
}

/// Of each target: all together take less than half a minute.
const TARGET_TIME: Duration = Duration::from_secs(2);
const INPUT_BYTES_MAX: usize = 4_096;
