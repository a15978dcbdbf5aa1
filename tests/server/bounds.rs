//! What a server refuses because it would be too much, and what it keeps room for.

use archipelago::spec::{TableChange, TensorSpec};
use archipelago::wire::table_entry_bytes;
use archipelago::{Init, Ssp};

use super::*;

#[test]
fn only_so_many_requests_wait() {
    let mut asked = Asked::new(1, Bsp);
    let slot = asked.slot(true);
    let rows = PullRows::Block(asked.rows(slot));
    let most = limits::INFLIGHT_MAX as u64;
    for sequence in 1..=most + 1 {
        let header = asked.header(sequence, 1, 5);
        let rows = rows.clone();
        let message = Message::Pull { table: TABLE, header, slot, own: None, rows };
        let sent = asked.ask(message).pop().unwrap();
        let refused = matches!(sent, Message::PullAnswer { result: Err(Refusal::Limit), .. });
        assert_eq!(refused, sequence > most, "{sent:?}");
    }
    assert_eq!(asked.node.waiting(), limits::INFLIGHT_MAX);
}

/// Code with parameters as many and as long as there may be.
fn large(name: &str) -> Extension {
    let names = (0..limits::PARAMETERS_MAX).map(|at| (format!("{at:0>255}"), 0.5));
    names.fold(Extension::new(name), |it, (name, value)| it.with(name, value))
}

fn with_large() -> Registry {
    let registry = Registry::built_in().rule("large/1", |_| Ok(Arc::new(Sgd)));
    registry.policy("large/1", |_| Ok(Arc::new(Ssp { staleness: 1 })))
}

/// The table with tensors as many, and names as long, as there may be.
fn largest() -> TableSpec {
    let init = Init::Uniform { seed: 9, low: -0.5, high: 0.5 };
    let tensor = |at| TensorSpec::new(format!("{at:0>255}"), [1; 8]).init(init);
    let name = "w".repeat(limits::NAME_BYTES_MAX);
    TableSpec::tensors(name, (0..limits::TENSORS_MAX).map(tensor)).rule(large("large/1"))
}

fn change(request: u64, name: String, change: TableChange) -> Message {
    Message::ChangeTable { request, name, change: Box::new(change) }
}

fn result_of_change(sent: &[Message]) -> Option<&Result<Tick, CatalogRefusal>> {
    sent.iter().find_map(|message| match message {
        Message::TableChanged { result, .. } => Some(result),
        _ => None,
    })
}

#[test]
fn the_largest_table_that_can_be_created_can_be_changed() {
    let mut asked = keeper(1, &with_large());
    let (spec, policy) = (largest(), TablePolicy::local(large("large/1")));
    let (name, hyper) = (spec.name.clone(), Hyper::default());
    let described = Box::new(Described { spec, policy: policy.clone(), hyper });
    let sent = asked.ask(Message::EnsureTable { request: 1, described });
    let [Message::TableEnsured { result: Ok(entry), .. }] = &sent[..] else { panic!("{sent:?}") };
    assert!(table_entry_bytes(entry) > 770_000, "{}", table_entry_bytes(entry));
    let refused = (1..100).find_map(|from| {
        let change_to = TableChange::default().policy(policy.clone().allow_non_finite());
        let sent = asked.ask(change(2 + from, name.clone(), change_to.from(Tick(from))));
        Some(from).zip(result_of_change(&sent)?.clone().err())
    });
    let (from, refused) = refused.unwrap();
    let CatalogRefusal::Described(SpecError::Limit { limit, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert!(from > 8 && limit == limits::TABLE_BYTES_MAX as u64, "{from}");
    let listed = asked.ask(Message::ListTables { request: 1, from: TableId(0) });
    let listed = archipelago::wire::encoded_len(&listed[0]);
    assert!(listed > limits::TABLE_BYTES_MAX - limits::CHANGE_BYTES_MAX, "{listed}");
    assert!(listed < limits::FRAME_BYTES_MAX, "{listed}");
}

/// What a table falls back to may be larger than what it falls back from.
#[test]
fn a_change_has_room_to_be_taken_back() {
    let mut taken_back = 0;
    for changes in 40..60 {
        let registry = with_large().policy("mine/1", |_| Ok(Arc::new(Ssp { staleness: 3 })));
        let mut asked = keeper(2, &registry);
        let spec = TableSpec::dense("w", 9);
        let (policy, hyper) = (TablePolicy::local(large("large/1")), Hyper::default());
        let described = Box::new(Described { spec, policy: policy.clone(), hyper });
        asked.ask(Message::EnsureTable { request: 1, described });
        asked.ask_from(held(1, 1).0, held(1, 1).1);
        let mut version = 1;
        for from in 1..=changes {
            let to = [policy.clone(), policy.clone().allow_non_finite()];
            let to = TableChange::default().policy(to[from as usize % 2].clone()).from(Tick(from));
            let sent = asked.ask(change(1 + from, "w".into(), to));
            if result_of_change(&sent).is_none() {
                version += 1;
                asked.ask_from(held(1, version).0, held(1, version).1);
            }
        }
        let settled = asked.node.plan().table(TABLE).unwrap().table.last_terms();
        let mine = TablePolicy::local(Extension::new("mine/1"));
        let to = TableChange::default().policy(mine).from(Tick(100));
        let sent = asked.ask(change(100, "w".into(), to));
        if let Some(Err(refused)) = result_of_change(&sent) {
            let limit = matches!(refused, CatalogRefusal::Described(SpecError::Limit { .. }));
            assert!(limit, "{changes} changes: {refused:?}");
            continue;
        }
        let (version, server) = (CatalogVersion(version + 1), ServerId(1));
        let result = Err(CatalogRefusal::Busy);
        asked.ask_from(Peer::Server(server), Message::CatalogHeld { version, server, result });
        let last = asked.node.plan().table(TABLE).unwrap().table.last_terms();
        assert_eq!((last.from, last.policy), (Tick(100), settled.policy), "{changes} changes");
        taken_back += 1;
    }
    assert!((1..20).contains(&taken_back), "{taken_back} of 20");
}
