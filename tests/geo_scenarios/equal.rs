//! Copies are equal: at every tick, or at the end, or to rounding; and what makes no difference.

use archipelago::consistency::Precision;
use archipelago::node::Peer;
use archipelago::rules::{Adagrad, Adam, Add, Momentum, Sgd};
use archipelago::sim::LinkProfile;
use archipelago::spec::Combine;
use archipelago::{Asp, Bsp, Eventual, Extension, Ssp, TableSpec};

use crate::play::{Play, Site, copies, copy, millis};

pub(crate) fn policies() -> [Extension; 8] {
    [
        Bsp.into(),
        Ssp { staleness: 0 }.into(),
        Ssp { staleness: 2 }.into(),
        Eventual.into(),
        Asp::new(0.05).into(),
        Asp { precision: Precision::Bf16, ..Asp::new(0.05) }.into(),
        Asp { staleness: 0, ..Asp::new(0.2) }.into(),
        Asp { staleness: 1, ..Asp::new(0.0) }.into(),
    ]
}

fn uneven() -> [Site; 3] {
    [Site::new(1, 2), Site::new(4, 2), Site::new(2, 2)]
}

fn counts() -> TableSpec {
    TableSpec::dense("n", 300).block_elements(64).slots(5).dtype::<i64>().rule(Add)
}

#[test]
fn at_the_end_all_copies_are_equal_under_every_policy() {
    for global in policies() {
        copy(&Play::new(global).run(1));
    }
}

/// Law 7: the sum is what one data centre with all workers would hold, whatever is cut off.
#[test]
fn deltas_that_are_cut_take_fewer_bytes_and_lose_nothing() {
    let spec = TableSpec::dense("w", 4096).block_elements(1024).slots(5).dtype::<f64>().rule(Add);
    let one = Play::new(Extension::new("off/1")).spec(spec.clone()).sites([Site::new(3, 6)]);
    let expected = copy(&one.run(4));
    let [whole, cut] = [Precision::Full, Precision::Bf16].map(|precision| {
        let play = Play::new(Asp { precision, ..Asp::new(0.05) }).spec(spec.clone());
        let (outcome, here) = (play.run(4), play.servers(0));
        assert_eq!(copy(&outcome), expected, "{precision:?}");
        let is_here = |peer: &Peer| match peer {
            Peer::Server(server) => Some(here.contains(server)),
            Peer::Worker(_) => None,
        };
        let told = outcome
            .traffic
            .iter()
            .filter(|((from, to), _)| (is_here(from), is_here(to)) == (Some(true), Some(false)));
        told.map(|(_, traffic)| traffic.data_bytes).sum::<u64>()
    });
    assert!(cut < whole * 3 / 4, "{cut} bytes instead of {whole}");
}

/// Law 7: of integers the sum is what one data centre with all workers would hold.
#[test]
fn what_all_have_pushed_is_in_every_copy_once() {
    let sparse = TableSpec::sparse("n", 3).slots(8).dtype::<i64>().rule(Add);
    for spec in [counts(), sparse] {
        let one = Play::new(Extension::new("off/1")).spec(spec.clone()).sites([Site::new(3, 6)]);
        let expected = copy(&one.run(1));
        for global in policies() {
            let locals: &[Extension] = match global.name() {
                "bsp/1" => &[Bsp.into()],
                _ => &[Bsp.into(), Ssp { staleness: 1 }.into(), Eventual.into()],
            };
            for local in locals {
                let play = Play::new(global.clone()).local(local.clone()).spec(spec.clone());
                assert_eq!(copy(&play.run(2)), expected, "{global}, {local}");
                assert_eq!(copy(&play.sites(uneven()).run(3)), expected, "{global}, {local}");
            }
        }
    }
}

#[test]
fn under_bsp_neither_links_nor_servers_nor_seeds_change_a_bit() {
    let mean = Combine::WeightedMean { round_weight: 6.0 };
    let dense = TableSpec::dense("w", 300).block_elements(64).slots(5);
    let wide = TableSpec::dense("w", 70).width(5).block_elements(64).slots(9).dtype::<f64>();
    let sparse = TableSpec::sparse("w", 3).slots(16).combine(mean);
    for spec in [
        dense.clone().rule(Momentum { beta: 0.9 }).combine(mean),
        wide.rule(Adagrad::default()),
        sparse.rule(Adam::default()),
    ] {
        let play = Play::new(Bsp).spec(spec);
        let expected = copy(&play.run(1));
        let hostile = Play { wan: LinkProfile::hostile().latency(millis(30)), ..play.clone() };
        let skewed = play.clone().sites(uneven()).wan(millis(5), 200_000);
        for (seed, play) in [(2, &play), (3, &hostile), (4, &hostile), (5, &skewed)] {
            assert_eq!(copy(&play.run(seed)), expected, "seed {seed}, {}", play.spec.rule);
        }
    }
}

/// Law 6.3.
#[test]
fn threshold_zero_in_step_is_global_bsp_to_rounding() {
    let in_step = Asp { staleness: 0, ..Asp::new(0.0) };
    let rules: [Extension; 3] = [Add.into(), Sgd.into(), Momentum { beta: 0.9 }.into()];
    for rule in rules {
        let spec = TableSpec::dense("w", 300).block_elements(64).slots(5).dtype::<f64>();
        let play = |global: Extension| Play::new(global).spec(spec.clone().rule(rule.clone()));
        let (exact, rounded) = (play(Bsp.into()).run(1), play(in_step.into()).run(1));
        copy(&rounded);
        for (exact, rounded) in exact.results.iter().zip(&rounded.results) {
            let (Some(Ok(exact)), Some(Ok(rounded))) = (exact, rounded) else { unreachable!() };
            assert!(exact.iter().any(|x| x.abs() > 0.1));
            let worst = exact.iter().zip(rounded).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(worst < 1e-13, "{rule}: {worst}");
        }
    }
}

#[test]
fn in_step_nothing_depends_on_links_or_seeds_whatever_the_threshold() {
    for threshold in [0.0, 0.1, 1.0] {
        let play = Play::new(Asp { staleness: 0, ..Asp::new(threshold) });
        let expected = play.run(1);
        let hostile = Play { wan: LinkProfile::hostile().latency(millis(30)), ..play.clone() };
        let slow = play.clone().wan(millis(5), 50_000);
        for (seed, play) in [(2, &play), (3, &hostile), (4, &slow)] {
            let outcome = play.run(seed);
            assert_eq!(copy(&outcome), copy(&expected), "seed {seed}, threshold {threshold}");
            assert_eq!(outcome.results, expected.results, "what was read, seed {seed}");
        }
    }
}

/// Whether a history is recorded changes neither what is sent, nor when, nor any value.
#[test]
fn a_history_changes_nothing() {
    for global in policies() {
        for seed in 0..3 {
            let mut play = Play::new(global.clone()).wan(millis(30), 60_000).ticks(30);
            play = play.cut_off(1, millis(400), millis(2000));
            let run = |record| {
                let outcome = Play { record, ..play.clone() }.play(seed);
                (outcome.report(), copies(&outcome), outcome.results)
            };
            assert_eq!(run(true), run(false), "{global}, seed {seed}");
        }
    }
}
