//! `tick_time`, `tick_bytes`: what a tick costs a server by the number of data centres: the pass,
//! telling everybody and hearing from everybody.

use std::hint::black_box;
use std::rc::Rc;
use std::time::Instant;

use archipelago::id::{DataCentre, ServerId};
use archipelago::node::{Plan, Registry};
use archipelago::placement::{Site, Sites};
use archipelago::rules::Add;
use archipelago::spec::Init;
use archipelago::{Asp, Eventual, Hyper, TablePolicy, TableSpec};

use crate::apply::plain_scatter;
use crate::pass::{VALUE, stream};
use crate::race::{Outcome, median};
use crate::report::{Aim, Report, Row};
use crate::sea::{Sea, Spent};
use crate::{BLOCK, SIGNIFICANT_PERCENT, scattered};

const DATA_CENTRES: [u32; 4] = [2, 4, 8, 16];
/// The least that a told element takes: its value, and a position of one byte.
const TOLD_BYTES: usize = size_of::<f32>() + 1;

/// How updates reach all others.
struct Way {
    name: &'static str,
    sites: fn(Vec<Site>) -> Outcome<Sites>,
}

/// Direct: every server tells the owner of a slot in every other data centre.
const WAYS: [Way; 1] = [Way { name: "direct", sites: |sites| Ok(Sites::new(sites)?) }];

pub(crate) fn rows(report: &mut Report, smoke: bool) -> Outcome {
    for way in WAYS {
        for count in DATA_CENTRES {
            row(report, smoke, &way, count)?;
        }
    }
    Ok(())
}

fn row(report: &mut Report, smoke: bool, way: &Way, count: u32) -> Outcome {
    let [time, bytes] = ["tick_time", "tick_bytes"].map(|it| format!("{it}/{}/{count}", way.name));
    let wanted = [&time, &bytes].map(|name| report.wants(name));
    if wanted == [false; 2] {
        return Ok(());
    }
    let elements = if smoke { 1 << 16 } else { 1 << 22 };
    let (spent, by_hand) = measure(way, count, elements, if smoke { 2 } else { 9 })?;
    let others = (count - 1) as usize;
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
        let told = elements * SIGNIFICANT_PERCENT as usize / 100 * others;
        report.row(&Row {
            name: bytes,
            value: median(spent.iter().map(|spent| spent.bytes as f64).collect()) / 1e6,
            limit: (told * TOLD_BYTES) as f64 / 1e6,
            unit: "MB",
            aim: Aim::None,
            note: format!("{} messages", spent[0].messages),
        });
    }
    Ok(())
}

/// What ticks cost the first server, and by hand: one of each in turn.
fn measure(
    way: &Way,
    count: u32,
    elements: usize,
    rounds: usize,
) -> Outcome<(Vec<Spent>, Vec<f64>)> {
    let more = scattered(elements, VALUE / 50.0, 1.0 / 16.0);
    let less = scattered(elements, -VALUE / 50.0, 1.0 / 16.0);
    let mut by_hand = ByHand::new(&more, count as usize - 1);
    let mut sea = Sea::new(plans(way, count, elements)?, &Rc::new([more, less]))?;
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
    Ok((spent, seconds))
}

fn plans(way: &Way, count: u32, elements: usize) -> Outcome<Vec<Plan>> {
    let site = |here| Site { name: format!("dc{here}"), servers: vec![ServerId(here)] };
    let sites = (way.sites)((0..count).map(site).collect())?;
    let policy = TablePolicy::local(Eventual).global(Asp::default());
    let spec = TableSpec::dense("w", elements as u64).init(Init::Constant(VALUE)).rule(Add);
    let plan = |here| {
        let tables = vec![(spec.clone(), policy.clone(), Hyper::default())];
        let plan = Plan::new(&[ServerId(here)], tables, &[1], &Registry::built_in())?;
        Ok(plan.of_data_centre(&sites, DataCentre(here))?)
    };
    (0..count).map(plan).collect()
}

/// The same traffic through the memory without nodes: values and residuals are read and residuals
/// written; what is told is copied once for every other data centre; what is heard from each is
/// added.
struct ByHand {
    values: Vec<f32>,
    residuals: Vec<f32>,
    words: Vec<u64>,
    /// What is told, block by block: positions and values.
    told: Vec<(Vec<u32>, Vec<f32>)>,
    /// For each other data centre.
    lanes: Vec<Vec<u8>>,
}

impl ByHand {
    fn new(pushed: &[f32], others: usize) -> Self {
        let told = pushed.chunks(BLOCK).map(|block| {
            let chosen = (0..).zip(block).filter(|(_, value)| **value > 1.0);
            chosen.map(|(at, value): (u32, &f32)| (at, *value)).unzip()
        });
        let told: Vec<(Vec<u32>, Vec<f32>)> = told.collect();
        let bytes = told.iter().map(|(_, values)| values.len() * TOLD_BYTES).sum();
        Self {
            values: pushed.to_vec(),
            residuals: pushed.to_vec(),
            words: vec![0; pushed.len().div_ceil(64)],
            told,
            lanes: vec![vec![1; bytes]; others],
        }
    }

    /// The seconds that it took.
    fn tick(&mut self) -> f64 {
        let letter = self.lanes[0].clone();
        let begun = Instant::now();
        stream(&self.values, &mut self.residuals, &mut self.words);
        for lane in &mut self.lanes {
            lane.copy_from_slice(&letter);
            black_box(lane);
        }
        for _ in 0..self.lanes.len() {
            for (values, (positions, heard)) in self.values.chunks_mut(BLOCK).zip(&self.told) {
                plain_scatter(values, positions, heard);
            }
            black_box(&self.values);
        }
        begun.elapsed().as_secs_f64()
    }
}
