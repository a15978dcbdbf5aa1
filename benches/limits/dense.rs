//! `dense_pull`, `dense_push_unchecked`, `dense_push`: one call moves `size` bytes per thread.

use std::cell::RefCell;
use std::rc::Rc;

use archipelago::vector::kernels;
use archipelago::{Eventual, Hyper, Store, Table, TablePolicy, TableSpec};

use crate::race::{Contestant, Outcome, Plan, race};
use crate::report::{Aim, Report, Row};

/// Bytes per call and thread.
pub(crate) const SIZES: [usize; 6] = [4 << 10, 64 << 10, 256 << 10, 4 << 20, 64 << 20, 1 << 30];
/// The least size with an aim: below, the price of a call shows.
pub(crate) const AIM_BYTES_MIN: usize = 256 << 10;

/// Elements of a block of the store.
const BLOCK: usize = 65_536;

#[derive(Clone, Copy)]
enum What {
    Pull,
    PushUnchecked,
    Push,
}

pub(crate) fn rows(report: &mut Report, smoke: bool) -> Outcome {
    for (what, name, aim) in [
        (What::Pull, "dense_pull", 0.90),
        (What::PushUnchecked, "dense_push_unchecked", 0.90),
        (What::Push, "dense_push", 0.75),
    ] {
        for bytes in sizes(smoke) {
            for threads in [1, 2] {
                let name = format!("{name}/{}/{threads}", size_name(bytes));
                if !report.wants(&name) {
                    continue;
                }
                let seconds = measure(what, bytes, threads, Plan::new(smoke))?;
                let (value, limit) = (seconds[0], seconds[1].min(seconds[2]));
                let by_hand = seconds.get(3).map(|two| limit / two);
                let note =
                    by_hand.map(|ratio| format!("a check, then an axpy, by hand: {ratio:.3}"));
                let rate = |seconds: f64| (bytes * threads) as f64 / seconds / 1e9;
                report.row(&Row {
                    name,
                    value: rate(value),
                    limit: rate(limit),
                    unit: "GB/s",
                    aim: aim_from(bytes, aim),
                    note: note.unwrap_or_default(),
                });
            }
        }
    }
    Ok(())
}

/// The sizes of a run.
pub(crate) fn sizes(smoke: bool) -> impl Iterator<Item = usize> {
    SIZES.into_iter().take(if smoke { 3 } else { SIZES.len() })
}

/// The aim, where the size has one.
pub(crate) fn aim_from(bytes: usize, aim: f64) -> Aim {
    if bytes < AIM_BYTES_MIN { Aim::None } else { Aim::AtLeast(aim) }
}

/// As the rows are named: `4KiB`.
pub(crate) fn size_name(bytes: usize) -> String {
    match bytes {
        0..0x10_0000 => format!("{}KiB", bytes >> 10),
        0x10_0000..0x4000_0000 => format!("{}MiB", bytes >> 20),
        _ => format!("{}GiB", bytes >> 30),
    }
}

/// Seconds per call of the store, then of two ways to do the least; for a checked push also of the
/// two passes that a block takes when it must be applied whole or not at all.
fn measure(what: What, bytes: usize, threads: usize, plan: Plan) -> Outcome<Vec<f64>> {
    let elements = bytes / size_of::<f32>();
    // A thread's rows begin on a shard of their own, so at least one block apart.
    let apart = elements.max(BLOCK);
    let spec = TableSpec::dense("w", (apart * threads) as u64);
    let policy = TablePolicy::local(Eventual);
    let policy = match what {
        What::PushUnchecked => policy.allow_non_finite(),
        What::Pull | What::Push => policy,
    };
    let store = Store::in_memory();
    let table = store.ensure_table(spec, policy, Hyper::default())?;
    let group = store.group("g", u32::try_from(threads)?)?;
    let members: Vec<_> = (0..threads).map(|_| group.join_blocking()).collect::<Result<_, _>>()?;
    for member in &members {
        fill(&table, apart * threads, |range, values| {
            Ok(member.push(&table, range, values).map(drop)?)
        })?;
    }
    let prepare = |thread: usize| {
        let rows = (thread * apart) as u64..(thread * apart + elements) as u64;
        let member = &members[thread];
        let table = &table;
        match what {
            What::Pull => {
                pulls(elements, move |out| Ok(member.pull(table, rows.clone(), out).map(drop)?))
            },
            What::PushUnchecked | What::Push => {
                let checked = matches!(what, What::Push);
                pushes(elements, checked, move |values| {
                    Ok(member.push(table, rows.clone(), values).map(drop)?)
                })
            },
        }
    };
    race(threads, plan, &prepare)
}

/// Writes every row once, in blocks, so that no untouched page is measured.
fn fill(
    table: &Table,
    elements: usize,
    push: impl Fn(std::ops::Range<u64>, &[f32]) -> Outcome,
) -> Outcome {
    let block = table.spec().block_elements as usize;
    let values = vec![1.0_f32; block];
    for start in (0..elements).step_by(block) {
        let end = elements.min(start + block);
        push(start as u64..end as u64, &values[..end - start])?;
    }
    Ok(())
}

/// The store's pull, a memcpy and a copy past the caches, all into the same place.
fn pulls<'a>(elements: usize, pull: impl Fn(&mut [f32]) -> Outcome + 'a) -> Vec<Contestant<'a>> {
    let out = Rc::new(RefCell::new(vec![2.0_f32; elements]));
    let source = vec![1.0_f32; elements];
    let (copied, past_caches) = (Rc::clone(&out), Rc::clone(&out));
    let also_source = source.clone();
    vec![
        Box::new(move || pull(&mut out.borrow_mut())),
        Box::new(move || {
            copied.borrow_mut().copy_from_slice(&source);
            std::hint::black_box(&copied);
            Ok(())
        }),
        Box::new(move || {
            kernels::copy_part(&mut past_caches.borrow_mut(), &also_source, usize::MAX);
            std::hint::black_box(&past_caches);
            Ok(())
        }),
    ]
}

/// The store's push and two axpys of the same values: the library's kernel over the whole slice,
/// and the loop that anybody would write. The faster one is the limit.
fn pushes<'a>(
    elements: usize,
    checked: bool,
    push: impl Fn(&[f32]) -> Outcome + 'a,
) -> Vec<Contestant<'a>> {
    let values = Rc::new(vec![1e-6_f32; elements]);
    let y = Rc::new(RefCell::new(vec![1.0_f32; elements]));
    let (x, kernel_x, plain_x) = (Rc::clone(&values), Rc::clone(&values), Rc::clone(&values));
    let (kernel_y, plain_y) = (Rc::clone(&y), Rc::clone(&y));
    let mut contestants: Vec<Contestant<'a>> = vec![
        Box::new(move || push(&x)),
        Box::new(move || {
            kernels::add_assign(&mut kernel_y.borrow_mut()[..], &kernel_x[..]);
            std::hint::black_box(&kernel_y);
            Ok(())
        }),
        Box::new(move || {
            plain_axpy(&mut plain_y.borrow_mut(), &plain_x);
            std::hint::black_box(&plain_y);
            Ok(())
        }),
    ];
    if checked {
        contestants.push(Box::new(move || {
            for (y, x) in y.borrow_mut().chunks_mut(BLOCK).zip(values.chunks(BLOCK)) {
                if kernels::all_finite(x) {
                    kernels::add_assign(y, x);
                }
            }
            Ok(())
        }));
    }
    contestants
}

/// `y += x`.
#[inline(never)]
fn plain_axpy(y: &mut [f32], x: &[f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += x;
    }
}
