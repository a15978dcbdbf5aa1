//! `tick_time`, `tick_bytes`: what a tick costs a server by the number of data centres: the pass,
//! telling others and hearing from them, everybody directly or in groups with hubs.

use std::hint::black_box;
use std::time::Instant;

use archipelago::id::{DataCentre, ServerId};
use archipelago::node::{Plan, Registry};
use archipelago::placement::{DataCentreServers, DataCentres, Feed, HubGroup, Overlay};
use archipelago::rules::Add;
use archipelago::spec::Init;
use archipelago::{Asp, Eventual, Hyper, TablePolicy, TableSpec};

use crate::apply::plain_scatter;
use crate::pass::{VALUE, stream};
use crate::race::{Outcome, median};
use crate::report::{Aim, Report, Row};
use crate::sea::{Pushed, Sea, Spent};
use crate::{BLOCK, scattered};

const DATA_CENTRES: [u32; 4] = [2, 4, 8, 16];
/// Most data centres of a group.
const GROUP_MAX: u32 = 4;
/// The least that a told element takes: its value, and a position of one byte.
const TOLD_BYTES: usize = size_of::<f32>() + 1;

/// How updates reach all others, and who is timed.
struct Way {
    name: &'static str,
    overlay: fn(u32) -> Outcome<Option<Overlay>>,
    timed: u32,
    /// The fewest data centres at which it differs from the ways before.
    least: u32,
}

/// Every server tells the owner of a slot in every other data centre, or one in its group alone.
const WAYS: [Way; 3] = [
    Way { name: "direct", overlay: |_| Ok(None), timed: 0, least: 2 },
    Way { name: "hub", overlay: |count| Ok(Some(groups(count)?)), timed: 0, least: 2 },
    Way { name: "member", overlay: |count| Ok(Some(groups(count)?)), timed: 1, least: 4 },
];

pub(crate) fn rows(report: &mut Report, smoke: bool) -> Outcome {
    for way in WAYS {
        for count in DATA_CENTRES.into_iter().filter(|count| *count >= way.least) {
            row(report, smoke, &way, count)?;
        }
    }
    Ok(())
}

/// Two groups, or more of [`GROUP_MAX`]; the first of each is its hub.
fn groups(count: u32) -> Outcome<Overlay> {
    let size = (count / 2).clamp(1, GROUP_MAX);
    let firsts = (0..count).step_by(size as usize);
    let group = |first: u32| HubGroup {
        members: (first..count.min(first + size)).map(DataCentre).collect(),
        hub: DataCentre(first),
    };
    Ok(Overlay::new(firsts.map(group).collect(), &[])?)
}

fn row(report: &mut Report, smoke: bool, way: &Way, count: u32) -> Outcome {
    let [time, bytes] = ["tick_time", "tick_bytes"].map(|it| format!("{it}/{}/{count}", way.name));
    let wanted = [&time, &bytes].map(|name| report.wants(name));
    if wanted == [false; 2] {
        return Ok(());
    }
    let elements = if smoke { 1 << 16 } else { 1 << 22 };
    let (spent, by_hand, least) = measure(way, count, elements, if smoke { 2 } else { 9 })?;
    let milliseconds = |of: fn(&Spent) -> f64| median(spent.iter().map(of).collect()) * 1e3;
    if wanted[0] {
        let parts: [fn(&Spent) -> f64; 3] = [|it| it.tell, |it| it.hear, |it| it.codec];
        let [tell, hear, codec] = parts.map(milliseconds);
        report.row(&Row {
            name: time,
            value: milliseconds(|spent| spent.tell + spent.hear + spent.codec),
            limit: median(by_hand) * 1e3,
            unit: "ms",
            aim: Aim::None,
            note: format!("pass and telling {tell:.2}, hearing {hear:.2}, codec {codec:.2}"),
        });
    }
    if wanted[1] {
        report.row(&Row {
            name: bytes,
            value: median(spent.iter().map(|spent| spent.bytes as f64).collect()) / 1e6,
            limit: least as f64 / 1e6,
            unit: "MB",
            aim: Aim::None,
            note: format!("{} messages", spent[0].messages),
        });
    }
    Ok(())
}

/// What ticks cost the timed server, and by hand: one of each in turn; and the fewest bytes.
fn measure(
    way: &Way,
    count: u32,
    elements: usize,
    rounds: usize,
) -> Outcome<(Vec<Spent>, Vec<f64>, usize)> {
    let pushed: Vec<Pushed> = (0..count).map(|here| pushes(here, elements)).collect();
    let data_centres = data_centres(way, count)?;
    let mut by_hand = ByHand::new(&pushed, &data_centres, way, count)?;
    let least = by_hand.lanes.iter().map(Vec::len).sum();
    let plans = plans(&data_centres, elements)?.into_iter().zip(pushed).collect();
    let mut sea = Sea::new(plans, way.timed as usize)?;
    let (mut spent, mut seconds) = (Vec::new(), Vec::new());
    // The first round only touches everything.
    for round in 0..=rounds {
        let tick = sea.tick()?;
        let lasted = by_hand.tick();
        if round > 0 {
            spent.push(tick);
            seconds.push(lasted);
        }
    }
    Ok((spent, seconds, least))
}

/// What the worker of a data centre pushes, significant at places of its own.
fn pushes(here: u32, elements: usize) -> Pushed {
    let signed = |value| scattered(here.into(), elements, value, 1.0 / 16.0);
    [signed(VALUE / 50.0), signed(-VALUE / 50.0)].into()
}

fn data_centres(way: &Way, count: u32) -> Outcome<DataCentres> {
    let listed =
        |here| DataCentreServers { name: format!("dc{here}"), servers: vec![ServerId(here)] };
    let data_centres = DataCentres::new((0..count).map(listed).collect())?;
    Ok(match (way.overlay)(count)? {
        Some(overlay) => data_centres.overlay(overlay)?,
        None => data_centres,
    })
}

fn plans(data_centres: &DataCentres, elements: usize) -> Outcome<Vec<Plan>> {
    let policy = TablePolicy::local(Eventual).global(Asp::default());
    let spec = TableSpec::dense("w", elements as u64).init(Init::Constant(VALUE)).rule(Add);
    let plan = |here: DataCentre| {
        let tables = vec![(spec.clone(), policy.clone(), Hyper::default())];
        let plan = Plan::new(&[ServerId(here.0)], tables, &[1], &Registry::built_in())?;
        Ok(plan.of_data_centre(data_centres, here)?)
    };
    data_centres.iter().map(|(here, _)| plan(here)).collect()
}

/// The same traffic through the memory without nodes: values and residuals are read and residuals
/// written; what is told is copied once for everybody who is told; what is heard is added.
struct ByHand {
    values: Vec<f32>,
    residuals: Vec<f32>,
    words: Vec<u64>,
    /// What is heard, block by block: positions and values.
    heard: Vec<Vec<(Vec<u32>, Vec<f32>)>>,
    letter: Vec<u8>,
    /// For everybody who is told.
    lanes: Vec<Vec<u8>>,
}

impl ByHand {
    fn new(pushed: &[Pushed], data_centres: &DataCentres, way: &Way, count: u32) -> Outcome<Self> {
        let here = DataCentre(way.timed);
        let overlay = (way.overlay)(count)?;
        // A group tells what any of its members does.
        let members = |of: DataCentre| {
            let groups = overlay.iter().flat_map(Overlay::groups);
            let group = groups.map(|group| group.members.clone()).find(|it| it.contains(&of));
            group.unwrap_or_else(|| vec![of])
        };
        let grouped = |of: DataCentre| !members(here).contains(&of);
        let (hearings, tellings) = data_centres.ways(here, false);
        let heard = hearings.iter().map(|hearing| {
            let from = if grouped(hearing.of) { members(hearing.of) } else { vec![hearing.of] };
            significant(pushed, &from)
        });
        let told = tellings.iter().map(|telling| {
            let from = match telling.feed {
                Feed::Own => vec![here],
                Feed::Group => members(here),
                Feed::Relayed(of) => members(of),
            };
            let blocks = significant(pushed, &from);
            vec![1; blocks.iter().map(|(_, values)| values.len() * TOLD_BYTES).sum()]
        });
        let elements = pushed[0][0].len();
        let lanes: Vec<Vec<u8>> = told.collect();
        Ok(Self {
            values: pushed[0][0].clone(),
            residuals: pushed[0][0].clone(),
            words: vec![0; elements.div_ceil(64)],
            heard: heard.collect(),
            letter: vec![2; lanes.iter().map(Vec::len).max().unwrap_or(0)],
            lanes,
        })
    }

    /// The seconds that it took.
    fn tick(&mut self) -> f64 {
        let begun = Instant::now();
        stream(&self.values, &mut self.residuals, &mut self.words);
        for lane in &mut self.lanes {
            let bytes = lane.len();
            lane.copy_from_slice(&self.letter[..bytes]);
            black_box(lane);
        }
        for blocks in &self.heard {
            for (values, (positions, heard)) in self.values.chunks_mut(BLOCK).zip(blocks) {
                plain_scatter(values, positions, heard);
            }
            black_box(&self.values);
        }
        begun.elapsed().as_secs_f64()
    }
}

/// What any of these data centres pushes that is significant, block by block.
fn significant(pushed: &[Pushed], from: &[DataCentre]) -> Vec<(Vec<u32>, Vec<f32>)> {
    let any = |at: usize| from.iter().any(|of| pushed[of.0 as usize][0][at] > 1.0);
    let block = |first: usize| {
        let places = (first..pushed[0][0].len().min(first + BLOCK)).filter(|at| any(*at));
        places.map(|at| ((at - first) as u32, VALUE as f32 / 50.0)).unzip()
    };
    (0..pushed[0][0].len()).step_by(BLOCK).map(block).collect()
}
