//! `sparse_pull`, `sparse_push`: batches of random keys of a table of random keys.
//!
//! The limit is written by hand: arrays as large as the store's index and rows, cut into the same
//! slots; per key one line names the next, both are asked for in groups of 64, then the row is
//! copied or added to. It searches nothing, checks nothing and locks nothing.

use std::cell::RefCell;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use archipelago::rng::{self, Rng};
use archipelago::sync::Mutex;
use archipelago::vector::prefetch;
use archipelago::{Eventual, Hyper, KeyList, Store, TablePolicy, TableSpec};
use dashmap::DashMap;

use crate::race::{Contestant, Outcome, Plan, race};
use crate::report::{Aim, Report, Row};

const WIDTH: usize = 16;
/// Elements of a row: one cache line.
type Line = [f32; WIDTH];
/// Keys whose misses overlap.
const GROUP: usize = 64;
/// Batches that a thread cycles through, so that none is still in a cache.
const BATCHES: usize = 16;
/// The slots of a table by default.
const SLOT_BITS: u32 = 10;

#[derive(Clone, Copy)]
struct Size {
    rows: usize,
    batch: usize,
}

pub(crate) fn rows(report: &mut Report, smoke: bool) -> Outcome {
    let names = ["sparse_pull", "sparse_push"];
    let wanted: Vec<_> = [1, 2]
        .into_iter()
        .filter(|threads| names.iter().any(|n| wants(report, n, *threads)))
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let size = match smoke {
        false => Size { rows: 10_000_000, batch: 64 << 10 },
        true => Size { rows: 20_000, batch: 4 << 10 },
    };
    for threads in wanted {
        eprintln!("   filling three tables of {} rows", size.rows);
        let field = Field::new(size, threads)?;
        for (name, push) in [("sparse_pull", false), ("sparse_push", true)] {
            if wants(report, name, threads) {
                report_both(report, name, threads, &field, push, Plan::new(smoke))?;
            }
        }
    }
    Ok(())
}

fn wants(report: &Report, name: &str, threads: usize) -> bool {
    report.wants(&format!("{name}/{threads}"))
        || report.wants(&format!("{name}_vs_dashmap/{threads}"))
}

fn report_both(
    report: &mut Report,
    name: &str,
    threads: usize,
    field: &Field,
    push: bool,
    plan: Plan,
) -> Outcome {
    let seconds = race(threads, plan, &|thread| field.contestants(thread, push))?;
    let rate = |seconds: f64| (field.size.batch * threads) as f64 / seconds / 1e6;
    let over_dashmap = if threads == 1 { 2.0 } else { 3.0 };
    for (name, against, aim) in [
        (name.to_owned(), seconds[1], 0.70),
        (format!("{name}_vs_dashmap"), seconds[2], over_dashmap),
    ] {
        report.row(&Row {
            name: format!("{name}/{threads}"),
            value: rate(seconds[0]),
            limit: rate(against),
            unit: "Mkeys/s",
            aim: Aim::AtLeast(aim),
            note: String::new(),
        });
    }
    Ok(())
}

type Member =
    archipelago::Blocking<archipelago::embed::EmbedWorker, archipelago::embed::ThreadPark>;
type Map = DashMap<u64, Line, BuildHasherDefault<Mix>>;

/// The same rows three times, and the batches of each thread.
struct Field {
    size: Size,
    table: archipelago::Table,
    members: Vec<Member>,
    map: Map,
    /// One part per thread: threads own disjoint slots, as they do in the store.
    limits: Vec<Arc<Mutex<Limit>>>,
    batches: Vec<Vec<Arc<KeyList>>>,
}

impl Field {
    fn new(size: Size, threads: usize) -> Outcome<Self> {
        let store = Store::in_memory();
        let table = store.ensure_table(
            TableSpec::sparse("e", u32::try_from(WIDTH)?),
            TablePolicy::local(Eventual),
            Hyper::default(),
        )?;
        let group = store.group("g", u32::try_from(threads)?)?;
        let members = (0..threads).map(|_| group.join_blocking()).collect::<Result<Vec<_>, _>>()?;
        let map = Map::default();
        let values = vec![1.0_f32; size.batch * WIDTH];
        for start in (0..size.rows).step_by(size.batch) {
            let end = size.rows.min(start + size.batch);
            let keys = KeyList::from_unsorted((start as u64..end as u64).map(rng::mix).collect());
            members[0].push(&table, &keys, &values[..keys.len() * WIDTH])?;
            for key in keys.iter() {
                map.insert(key.0, [1.0; WIDTH]);
            }
        }
        let batches = (0..threads).map(|thread| batches(size, threads, thread));
        let limits = (0..threads).map(|_| Arc::new(Mutex::new(Limit::new(size.rows))));
        Ok(Self { size, table, members, map, limits: limits.collect(), batches: batches.collect() })
    }

    /// The store, the limit, dashmap.
    fn contestants(&self, thread: usize, push: bool) -> Vec<Contestant<'_>> {
        let batch = self.size.batch;
        let values = Arc::new(vec![1e-6_f32; batch * WIDTH]);
        let out = std::rc::Rc::new(RefCell::new(vec![0.0_f32; batch * WIDTH]));
        let cycle = || self.batches[thread].iter().cycle();
        let (member, limit) = (&self.members[thread], &self.limits[thread]);
        let ((mut own, mut by_hand), mut mapped) = ((cycle(), cycle()), cycle());
        let next = |keys: Option<&'_ Arc<KeyList>>| keys.cloned().ok_or("no batches");
        if push {
            let (x, y, z) = (Arc::clone(&values), Arc::clone(&values), values);
            return vec![
                Box::new(move || {
                    let keys = next(own.next())?;
                    Ok(member.push(&self.table, &*keys, &x[..]).map(drop)?)
                }),
                Box::new(move || {
                    let keys = next(by_hand.next())?;
                    limit.lock().push(&keys, &y);
                    Ok(())
                }),
                Box::new(move || {
                    for (key, row) in next(mapped.next())?.iter().zip(z.chunks_exact(WIDTH)) {
                        if let Some(mut held) = self.map.get_mut(&key.0) {
                            add(&mut held, row);
                        }
                    }
                    Ok(())
                }),
            ];
        }
        let (x, y, z) = (out.clone(), out.clone(), out);
        vec![
            Box::new(move || {
                let keys = next(own.next())?;
                Ok(member.pull(&self.table, &*keys, &mut x.borrow_mut()).map(drop)?)
            }),
            Box::new(move || {
                let keys = next(by_hand.next())?;
                limit.lock().pull(&keys, &mut y.borrow_mut());
                Ok(())
            }),
            Box::new(move || {
                let mut out = z.borrow_mut();
                for (key, row) in next(mapped.next())?.iter().zip(out.chunks_exact_mut(WIDTH)) {
                    if let Some(held) = self.map.get(&key.0) {
                        row.copy_from_slice(&*held);
                    }
                }
                Ok(())
            }),
        ]
    }
}

/// Random keys of the table, from the thread's own part of the key space.
fn batches(size: Size, threads: usize, thread: usize) -> Vec<Arc<KeyList>> {
    let mut random = Rng::named(thread as u64, "batches");
    let mine = |key: &u64| (u128::from(*key) * threads as u128) >> 64 == thread as u128;
    let mut batch = || {
        let mut keys = std::collections::BTreeSet::new();
        while keys.len() < size.batch.min(size.rows / threads / 2) {
            let key = rng::mix(random.below(size.rows as u64));
            keys.extend(Some(key).filter(mine));
        }
        keys.into_iter().collect()
    };
    (0..BATCHES).map(|_| Arc::new(KeyList::from_unsorted(batch()))).collect()
}

/// The least that a batch costs: a line that names a row, then the row.
struct Limit {
    slot_entries: u64,
    /// Four to a line, as in the store's index.
    index: Vec<[u64; 2]>,
    rows: Vec<Line>,
}

impl Limit {
    fn new(rows: usize) -> Self {
        let slots = 1_u64 << SLOT_BITS;
        let slot_rows = (rows as u64).div_ceil(slots);
        // The store's index of a slot doubles when four of five entries are taken.
        let slot_entries = (slot_rows * 5 / 4).next_power_of_two();
        let mut random = Rng::named(0, "limit");
        let entries = (0..slots).flat_map(|slot| (0..slot_entries).map(move |_| slot));
        let index = entries.map(|slot| [0, slot * slot_rows + random.below(slot_rows)]).collect();
        Self { slot_entries, index, rows: vec![[1.0; WIDTH]; (slots * slot_rows) as usize] }
    }

    fn pull(&self, keys: &KeyList, out: &mut [f32]) {
        for (keys, out) in keys.chunks(GROUP).zip(out.chunks_mut(GROUP * WIDTH)) {
            let rows = self.find(keys);
            for (row, out) in rows.iter().zip(out.chunks_exact_mut(WIDTH)) {
                out.copy_from_slice(&self.rows[*row]);
            }
        }
    }

    fn push(&mut self, keys: &KeyList, values: &[f32]) {
        for (keys, values) in keys.chunks(GROUP).zip(values.chunks(GROUP * WIDTH)) {
            let rows = self.find(keys);
            for (row, values) in rows.iter().zip(values.chunks_exact(WIDTH)) {
                add(&mut self.rows[*row], values);
            }
        }
    }

    /// The rows of a group, asked for.
    #[inline(always)]
    fn find(&self, keys: &[archipelago::key::Key]) -> [usize; GROUP] {
        let mut homes = [0; GROUP];
        for (home, key) in homes.iter_mut().zip(keys) {
            let within = (u128::from(rng::mix(key.0)) * u128::from(self.slot_entries)) >> 64;
            *home = ((key.0 >> (64 - SLOT_BITS)) * self.slot_entries) as usize + within as usize;
            prefetch(&self.index, *home);
        }
        let mut rows = [0; GROUP];
        for (row, home) in rows.iter_mut().zip(&homes[..keys.len()]) {
            *row = self.index[*home][1] as usize;
            prefetch(&self.rows, *row);
        }
        rows
    }
}

#[inline(always)]
fn add(row: &mut Line, values: &[f32]) {
    for (row, value) in row.iter_mut().zip(values) {
        *row += value;
    }
}

/// The store's own hash of a key.
#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = rng::mix(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = rng::mix(number);
    }
}
