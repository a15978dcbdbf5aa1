//! `resident_dense`, `resident_sparse`: pages that a table keeps in memory, against the bytes of
//! its values. Each is measured in a process of its own: this program, started again.

use std::process::{Command, Stdio};

use archipelago::{Eventual, Hyper, KeyList, Store, TablePolicy, TableSpec, rng};

use crate::race::Outcome;
use crate::report::{Aim, Report, Row};

const CHILD: &str = "--resident-child";
const WIDTH: usize = 16;
const BLOCK: usize = 65_536;

pub(crate) fn rows(report: &mut Report, smoke: bool) -> Outcome {
    let names = match smoke {
        false => [("resident_dense/1GiB", 1.05), ("resident_sparse/10M", 1.60)],
        true => [("resident_dense/8MiB", 1.05), ("resident_sparse/100k", 1.60)],
    };
    for (name, aim) in names {
        if !report.wants(name) {
            continue;
        }
        let (resident, raw) = in_child(name, smoke)?;
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        // A smoke run is too small for its overhead to mean anything.
        let aim = if smoke { Aim::None } else { Aim::AtMost(aim) };
        report.row(&Row {
            name: name.into(),
            value: mebibytes(resident),
            limit: mebibytes(raw),
            unit: "MiB",
            aim,
            note: String::new(),
        });
    }
    Ok(())
}

/// The row that this process was started to measure, if it was.
pub(crate) fn child(words: &mut impl Iterator<Item = String>) -> Option<(String, bool)> {
    (words.next()? == CHILD).then_some(())?;
    Some((words.next()?, words.next().as_deref() == Some("smoke")))
}

fn in_child(name: &str, smoke: bool) -> Outcome<(u64, u64)> {
    let size = if smoke { "smoke" } else { "full" };
    let output = Command::new(std::env::current_exe()?)
        .args([CHILD, name, size])
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let mut numbers = text.split_whitespace().map(str::parse::<u64>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(resident)), Some(Ok(raw))) => Ok((resident, raw)),
        _ => Err(format!("{name}: expected two numbers, found {text:?}").into()),
    }
}

/// In the child: prints bytes resident and bytes of values.
pub(crate) fn measure(name: &str, smoke: bool) -> Outcome {
    let dense = name.starts_with("resident_dense");
    let raw = match (dense, smoke) {
        (true, false) => 1 << 30,
        (true, true) => 8 << 20,
        (false, false) => 10_000_000 * WIDTH * size_of::<f32>(),
        (false, true) => 100_000 * WIDTH * size_of::<f32>(),
    };
    let values = vec![1.0_f32; BLOCK];
    let before = resident_bytes()?;
    let store = Store::in_memory();
    if dense {
        fill_dense(&store, raw / size_of::<f32>(), &values)?;
    } else {
        fill_sparse(&store, raw / size_of::<f32>() / WIDTH, &values)?;
    }
    println!("{} {raw}", resident_bytes()?.saturating_sub(before));
    drop(store);
    Ok(())
}

fn fill_dense(store: &Store, elements: usize, values: &[f32]) -> Outcome {
    let spec = TableSpec::dense("w", elements as u64);
    let table = store.ensure_table(spec, TablePolicy::local(Eventual), Hyper::default())?;
    let me = store.group("g", 1)?.join_blocking()?;
    for start in (0..elements).step_by(BLOCK) {
        me.push(&table, start as u64..(start + BLOCK) as u64, values)?;
    }
    Ok(me.finish()?)
}

fn fill_sparse(store: &Store, rows: usize, values: &[f32]) -> Outcome {
    let spec = TableSpec::sparse("e", u32::try_from(WIDTH)?);
    let table = store.ensure_table(spec, TablePolicy::local(Eventual), Hyper::default())?;
    let me = store.group("g", 1)?.join_blocking()?;
    let batch = BLOCK / WIDTH;
    for start in (0..rows).step_by(batch) {
        let end = rows.min(start + batch);
        let keys = KeyList::from_unsorted((start as u64..end as u64).map(rng::mix).collect());
        me.push(&table, &keys, &values[..keys.len() * WIDTH])?;
    }
    Ok(me.finish()?)
}

/// Bytes of this process in memory.
fn resident_bytes() -> Outcome<u64> {
    const PAGE_BYTES: u64 = 4096;
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages = text.split_whitespace().nth(1);
    Ok(pages.ok_or("statm has no second field")?.parse::<u64>()? * PAGE_BYTES)
}
