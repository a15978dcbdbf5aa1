//! Which update rules go with which global policies: SPEC section 8, cell by cell.

use archipelago::node::Registry;
use archipelago::rules::{Adagrad, Adam, Add, Assign, Momentum, Sgd};
use archipelago::spec::Combine;
use archipelago::vector::Mirrored;
use archipelago::{Asp, Bsp, Eventual, Extension, Ssp, TablePolicy, TableSpec};

const SPEC: &str = include_str!("../../SPEC.md");

/// The word of a cell: exact, approximate or refused.
fn cell(rule: &str, combine: &str, column: usize) -> &'static str {
    let section = SPEC.split("\n## 8. ").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let of_rule = |line: &&str| {
        let first = line.split('|').nth(1).unwrap();
        first.contains(&format!("`{rule}`")) && (!first.contains("with") || first.contains(combine))
    };
    let found: Vec<_> = rows.filter(of_rule).collect();
    assert_eq!(found.len(), 1, "{rule} with {combine}: {found:?}");
    found[0].split('|').nth(column + 2).unwrap().trim()
}

#[test]
fn every_cell_of_the_table_is_what_the_registry_does() {
    let rules: [(&str, Extension); 6] = [
        ("Add", Add.into()),
        ("Assign", Assign.into()),
        ("Sgd", Sgd.into()),
        ("Momentum", Momentum { beta: 0.9 }.into()),
        ("Adagrad", Adagrad::default().into()),
        ("Adam", Adam::default().into()),
    ];
    let mean = Combine::WeightedMean { round_weight: 2.0 };
    let deltas: [Extension; 3] =
        [Ssp { staleness: 1 }.into(), Eventual.into(), Asp::default().into()];
    let registry = Registry::built_in();
    for (name, rule) in rules {
        for (combine, words) in [(Combine::Sum, "Sum"), (mean, "WeightedMean")] {
            let spec = TableSpec::dense("w", 9).rule(rule.clone()).combine(combine);
            let resolved = |global: Extension| {
                registry.resolve(&spec, &TablePolicy::local(Bsp).global(global))
            };
            assert_eq!(cell(name, words, 0), "exact");
            assert!(resolved(Bsp.into()).is_ok(), "{name}");
            for global in &deltas {
                let found = match resolved(global.clone()) {
                    Err(error) => {
                        assert!(error.to_string().contains("no sum of what it has gained"));
                        "refused"
                    },
                    Ok(code) if code.rule.mirrored() == Mirrored::Exact => match combine {
                        Combine::Sum => "exact",
                        _ => "approximate",
                    },
                    Ok(_) => "approximate",
                };
                assert_eq!(cell(name, words, 1), found, "{name}, {words}, {global}");
            }
            let local = TablePolicy::local(Eventual).global(Bsp);
            assert!(registry.resolve(&spec, &local).is_err(), "rounds are what is exchanged");
        }
    }
}
