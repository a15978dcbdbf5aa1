//! `remote_sparse_push`, `remote_sparse_pull`: 1 M sorted random keys of 16 f32 in one call.

use archipelago::spec::AckLevel;
use archipelago::{KeyList, TableSpec, rng};

use crate::bare;
use crate::dense::plan;
use crate::race::{Contestant, Outcome, Plan, race_here};
use crate::report::{Aim, Report, Row};
use crate::store::Cluster;

const WIDTH: usize = 16;
/// What a key costs on the way: itself and its row. A pull sends the one and receives the other.
const KEY_BYTES: usize = size_of::<u64>();
const ROW_BYTES: usize = WIDTH * size_of::<f32>();

pub(crate) fn rows(report: &mut Report, smoke: bool) -> Outcome {
    let keys = if smoke { 10_000 } else { 1 << 20 };
    for (push, name) in [(true, "remote_sparse_push"), (false, "remote_sparse_pull")] {
        if !report.wants(name) {
            continue;
        }
        let seconds = measure(push, keys, plan(smoke, keys * ROW_BYTES))?;
        let rate = |seconds: f64| keys as f64 / seconds / 1e6;
        report.row(&Row {
            name: name.into(),
            value: rate(seconds[0]),
            limit: rate(seconds[1].min(seconds[2])),
            unit: "Mkeys/s",
            aim: Aim::AtLeast(0.40),
            note: String::new(),
        });
    }
    Ok(())
}

fn measure(push: bool, count: usize, plan: Plan) -> Outcome<Vec<f64>> {
    let cluster = Cluster::start()?;
    let (member, table) = cluster.member(TableSpec::sparse("e", u32::try_from(WIDTH)?))?;
    let keys = KeyList::from_unsorted((0..count as u64).map(rng::mix).collect());
    let mut values = vec![0.0_f32; keys.len() * WIDTH];
    let stamp = member.push(&table, &keys, &values)?;
    member.wait(stamp, AckLevel::Admitted)?;
    let (mut one, mut many) = (bare::Client::start(1)?, bare::Client::start(8)?);
    // A pull's keys go the other way at the same time; the longer way is counted.
    let bytes = count * if push { KEY_BYTES + ROW_BYTES } else { ROW_BYTES };
    let store: Contestant<'_> = match push {
        true => Box::new(|| {
            let stamp = member.push(&table, &keys, &values)?;
            Ok(member.wait(stamp, AckLevel::Admitted)?)
        }),
        false => Box::new(|| Ok(member.pull(&table, &keys, &mut values).map(drop)?)),
    };
    race_here(plan, vec![store, one.call(push, bytes), many.call(push, bytes)])
}
