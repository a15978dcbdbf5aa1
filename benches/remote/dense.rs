//! `remote_push`, `remote_pull`: one call moves `size` bytes of consecutive rows.

use archipelago::TableSpec;
use archipelago::spec::AckLevel;

use crate::bare;
use crate::race::{Contestant, Outcome, Plan, race_here};
use crate::report::{Aim, Report, Row};
use crate::store::Cluster;

const SIZES: [usize; 6] = [4 << 10, 64 << 10, 1 << 20, 16 << 20, 64 << 20, 1 << 30];
/// The least size with an aim: below, the price of a call shows.
const AIM_BYTES_MIN: usize = 1 << 20;

pub(crate) fn rows(report: &mut Report, smoke: bool) -> Outcome {
    for (push, name) in [(true, "remote_push"), (false, "remote_pull")] {
        for bytes in SIZES.into_iter().take(if smoke { 3 } else { SIZES.len() }) {
            let name = format!("{name}/{}", size_name(bytes));
            if !report.wants(&name) {
                continue;
            }
            let seconds = measure(push, bytes, plan(smoke, bytes))?;
            let rate = |seconds: f64| bytes as f64 / seconds / 1e9;
            let (one, many) = (rate(seconds[1]), rate(seconds[2]));
            report.row(&Row {
                name,
                value: rate(seconds[0]),
                limit: one.max(many),
                unit: "GB/s",
                aim: if bytes < AIM_BYTES_MIN { Aim::None } else { Aim::AtLeast(0.85) },
                note: format!("bare, 1 stream {one:.3}, 8 streams {many:.3}"),
            });
        }
    }
    Ok(())
}

/// Longer rounds than in one process, because the scheduler takes part; fewer of large sizes.
pub(crate) fn plan(smoke: bool, bytes: usize) -> Plan {
    let mut plan = Plan::new(smoke);
    if !smoke {
        plan.round = std::time::Duration::from_millis(100);
        plan.rounds = if bytes >= 1 << 30 { 5 } else { 11 };
    }
    plan
}

/// As the rows are named: `4KiB`.
fn size_name(bytes: usize) -> String {
    match bytes {
        0..0x10_0000 => format!("{}KiB", bytes >> 10),
        0x10_0000..0x4000_0000 => format!("{}MiB", bytes >> 20),
        _ => format!("{}GiB", bytes >> 30),
    }
}

/// Seconds per call of the store, and of bare connections of one stream and of eight.
fn measure(push: bool, bytes: usize, plan: Plan) -> Outcome<Vec<f64>> {
    let cluster = Cluster::start()?;
    let elements = bytes / size_of::<f32>();
    let (member, table) = cluster.member(TableSpec::dense("w", elements as u64))?;
    let mut values = vec![0.0_f32; elements];
    // No untouched page is measured.
    let stamp = member.push(&table, .., &values)?;
    member.wait(stamp, AckLevel::Admitted)?;
    let mut bare = [bare::Client::start(1)?, bare::Client::start(8)?];
    let [one, many] = &mut bare;
    let store: Contestant<'_> = match push {
        true => Box::new(|| {
            let stamp = member.push(&table, .., &values)?;
            Ok(member.wait(stamp, AckLevel::Admitted)?)
        }),
        false => Box::new(|| Ok(member.pull(&table, .., &mut values).map(drop)?)),
    };
    race_here(plan, vec![store, one.call(push, bytes), many.call(push, bytes)])
}
