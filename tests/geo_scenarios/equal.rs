//! Copies are equal: at every tick, or at the end, or to rounding.

use archipelago::{Asp, Bsp, Eventual, Extension, Ssp};

use crate::play::{Play, copy};

fn policies() -> [Extension; 7] {
    [
        Bsp.into(),
        Ssp { staleness: 0 }.into(),
        Ssp { staleness: 2 }.into(),
        Eventual.into(),
        Asp::new(0.05).into(),
        Asp { staleness: 0, ..Asp::new(0.2) }.into(),
        Asp { staleness: 1, ..Asp::new(0.0) }.into(),
    ]
}

#[test]
fn at_the_end_all_copies_are_equal_under_every_policy() {
    for global in policies() {
        copy(&Play::new(global).run(1));
    }
}
