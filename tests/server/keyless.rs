//! A server that owns no slot of a table has a shard of it all the same.

use archipelago::id::{Rank, RecordVersion};
use archipelago::spec::{Member, MemberEnd};

use super::*;

/// A server may own no slot of a table: what it has closed lets nobody start later.
#[test]
fn a_shard_without_keys_closes_no_round_before_all_have_ended_it() {
    let ids = [ServerId(0), ServerId(1)];
    let spec = TableSpec::dense("w", 9);
    let tables = vec![(spec, TablePolicy::local(Bsp), Hyper::default())];
    let plan = Plan::new(&ids, tables, &[2], &Registry::built_in()).unwrap();
    let owner = plan.owner(TABLE, SlotIndex(0)).unwrap();
    let without = ids.into_iter().find(|server| *server != owner).unwrap();
    let options = ServerOptions::default();
    let node = ServerNode::new(plan.clone(), without, Instant::EPOCH, options).unwrap();
    let mut asked = Asked { node, plan, origin: Origin::default() };
    let member = |rank| {
        let origin = Origin { rank: Rank(rank), incarnation: Incarnation(1), ..asked.origin };
        Member { origin, start: Tick(1), end: MemberEnd::Active }
    };
    let members = vec![member(0), member(1)];
    let (origin, settled_below) = (members[0].origin, Sequence(1));
    let keeper = Peer::Server(asked.plan.keeper());
    let closed = |asked: &mut Asked, version| {
        let (version, members) = (RecordVersion(version), members.clone());
        let record = GroupRecord { version, size: 2, members, ..GroupRecord::default() };
        let sent = asked.ask_from(keeper, Message::Record(record));
        let of = |message: &Message| match message {
            Message::RecordHeld { closed, .. } => Some(*closed),
            _ => None,
        };
        sent.iter().find_map(of)
    };
    assert_eq!(closed(&mut asked, 1), Some(Tick(0)));
    asked.ask(Message::Ticked { origin, tick: Tick(1), settled_below, tables: Vec::new() });
    assert_eq!(closed(&mut asked, 2), Some(Tick(0)), "the other has not ended tick 1");
}
