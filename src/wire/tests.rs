//! Properties of whole frames, and golden bytes.

use bytes::Bytes;
use proptest::prelude::*;

use super::arbitrary::Any;
use super::*;
use crate::consistency::Ssp;
use crate::error::{FrameError, Loss, SpecError, WaitFor, WaitReason};
use crate::extension::Extension;
use crate::id::{
    CatalogVersion, DataCentre, GroupId, Incarnation, Mark, Origin, Rank, RecordVersion, Sequence,
    ServerId, SlotIndex, TableId, Tick,
};
use crate::key::{Key, KeyRange};
use crate::limits;
use crate::rng::Rng;
use crate::schedule::Schedule;
use crate::spec::{
    CatalogEntry, ChangeEntry, Combine, Described, GroupEntry, GroupRecord, GroupSpec, Hyper, Init,
    Member, MemberEnd, Shape, TableChange, TablePolicy, TableSpec, TensorSpec, Terms,
};
use crate::time::Instant;
use crate::vector::DType;

fn encoded(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(message, &mut bytes).unwrap();
    bytes
}

proptest! {
    #[test]
    fn messages_come_back_and_lengths_are_known(seed: u64) {
        let mut any = Any(Rng::new(seed));
        let (first, second) = (any.message(), any.message());
        let mut stream = encoded(&first);
        prop_assert_eq!(stream.len(), encoded_len(&first));
        prop_assert_eq!(&decode(&stream).unwrap(), &first);
        prop_assert_eq!(&decode_shared(&Bytes::from(stream.clone())).unwrap(), &first);
        prop_assert_eq!(sized(&first).unwrap_or(stream.len()), stream.len());

        let consumed = stream.len();
        encode(&second, &mut stream).unwrap();
        prop_assert_eq!(split(&stream).unwrap(), Some((first, consumed)));
        prop_assert_eq!(decode(&stream[consumed..]).unwrap(), second);
    }

    #[test]
    fn damage_is_an_error(seed: u64) {
        let mut frame = encoded(&Any(Rng::new(seed)).message());
        for length in 0..frame.len() {
            prop_assert!(decode(&frame[..length]).is_err());
            prop_assert_eq!(split(&frame[..length]), Ok(None));
        }
        for bit in 0..frame.len() * 8 {
            frame[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(decode(&frame).is_err(), "bit {}", bit);
            frame[bit / 8] ^= 1 << (bit % 8);
        }
    }

    /// The checksum would hide most of the decoder, so it is made right here.
    #[test]
    fn any_payload_decodes_to_its_only_encoding(
        kind in 0_u8..0x48,
        payload in prop::collection::vec(prop_oneof![0_u8..4, any::<u8>()], 0..90),
    ) {
        let frame = framed(kind, &payload);
        if let Ok(message) = decode(&frame) {
            prop_assert_eq!(encoded(&message), frame);
        }
        prop_assert!(decode(&payload).is_err(), "no magic, no message");
    }
}

fn framed(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
    let sum = crc32fast::hash(&[&[kind], &length[..], payload].concat());
    let header = [&[0xc1, 0xa2, 1, kind], &length[..], &sum.to_le_bytes()].concat();
    [&header, payload].concat()
}

#[test]
fn a_header_is_judged_before_its_payload_arrives() {
    let mut header = encoded(&Any(Rng::new(1)).message())[..HEADER_BYTES].to_vec();
    header[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    let too_large = matches!(split(&header), Err(FrameError::TooLarge { .. }));
    assert!(too_large, "{:?}", split(&header));
    header[2] = 2;
    assert!(split(&header[..3]).is_err(), "another version");
    let unknown = FrameError::Malformed { field: "kind of message", found: 0x7f };
    assert_eq!(decode(&framed(0x7f, &[])), Err(unknown));
}

#[test]
fn a_cut_element_is_refused() {
    let frame = encoded(&Message::PullAnswer {
        table: TableId(0),
        sequence: Sequence(1),
        result: Ok(PullResult {
            oldest: Tick(0),
            newest: Tick(0),
            keys: None,
            next: None,
            values: Payload::from_slice(&[1.0_f32]),
        }),
    });
    let (fields, values) = frame[HEADER_BYTES..].split_at(frame.len() - HEADER_BYTES - 8);
    assert_eq!(values[..4], [4, 0, 0, 0]);
    let cut = [fields, &[3, 0, 0, 0], &values[4..7]].concat();
    let field = "bytes of a payload";
    let malformed = FrameError::Malformed { field, found: 3 };
    assert_eq!(decode(&framed(0x24, &cut)), Err(malformed));
}

#[test]
fn what_no_reader_accepts_is_not_written() {
    let push = |rows, values| Message::Push {
        table: TableId(0),
        header: Any(Rng::new(0)).header(),
        slot: SlotIndex(0),
        previous: None,
        rows,
        values,
    };
    let full = (0..=limits::FRAME_KEYS_MAX as u64).map(Key).collect::<Vec<_>>();
    let block = RowsNamed::Block(KeyRange::single(Key(0)));
    let large = Payload::from_slice(&vec![0_i64; limits::FRAME_ELEMENTS_MAX + 1]);
    let cut = Payload { dtype: DType::F32, bytes: Bytes::from_static(&[0; 5]) };
    let mut out = vec![7];
    for (rows, values) in [
        (RowsNamed::Keys(full.clone()), Payload::empty(DType::F32)),
        (RowsNamed::Keys(vec![Key(2), Key(2)]), Payload::empty(DType::F32)),
        (block.clone(), large),
        (block, cut),
    ] {
        assert!(encode(&push(rows, values), &mut out).is_err());
        assert_eq!(out, [7]);
    }
    let widest = Payload::from_slice(&vec![0_i64; limits::FRAME_ELEMENTS_MAX]);
    let largest = push(RowsNamed::Keys(full[1..].to_vec()), widest);
    assert_eq!(decode(&encoded(&largest)), Ok(largest));
}

#[test]
fn refusals_keep_their_numbers_as_errors() {
    let origin = Any(Rng::new(3)).origin();
    let text = |refusal: Refusal| refusal.into_error("w", origin, Tick(4)).to_string();
    let bits = f64::NEG_INFINITY.to_bits();
    let refusal = Refusal::NonFinite { key: Key(5), element: 6, bits };
    assert!(text(refusal).starts_with("table \"w\", key 5, element 6: -infinity pushed"));
    assert!(text(Refusal::Weight { found: -1.0 }).starts_with("table \"w\", tick 4: weight -1"));
    assert!(text(Refusal::UnknownGroup { group: GroupId(9) }).starts_with("group 9 is unknown"));
    let removed = Refusal::Removed { why: Loss::Silent }.into_error("w", origin, Tick(4));
    assert!(
        removed.retry_may_help()
            && !Refusal::Limit.into_error("w", origin, Tick(4)).retry_may_help()
    );
}

/// One frame of each family, with every struct that messages are made of.
#[test]
fn golden_frames() {
    let mut expected = include_str!("golden.txt").lines();
    let all = golden_requests().into_iter().chain(golden_answers()).chain(golden_catalog());
    let all = all.chain(golden_changes()).chain(golden_mirror());
    for message in all {
        let bytes = encoded(&message);
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(Some(hex.as_str()), expected.next(), "{message:?}");
    }
    assert_eq!(expected.next(), None);
}

const GOLDEN_ORIGIN: Origin =
    Origin { group: GroupId(1), rank: Rank(2), incarnation: Incarnation(3) };

fn golden_requests() -> [Message; 2] {
    let (origin, tick, table) = (GOLDEN_ORIGIN, Tick(4), TableId(7));
    let (sequence, settled_below) = (Sequence(9), Sequence(8));
    let header = Header { origin, sequence, settled_below, tick };
    let touched = vec![(SlotIndex(1), Sequence(7)), (SlotIndex(6), Sequence(9))];
    let tables = vec![TickTable { table, weight: Some(32.0), touched }];
    let push = Message::Push {
        table,
        header,
        slot: SlotIndex(6),
        previous: Some(Sequence(5)),
        rows: RowsNamed::Keys(vec![Key(5), Key(6), Key(300)]),
        values: Payload::from_slice(&[1.0_f32, -2.0, 0.5]),
    };
    [push, Message::Ticked { origin, tick, settled_below, tables }]
}

fn golden_answers() -> [Message; 3] {
    let (table, sequence, tick) = (TableId(7), Sequence(9), Tick(4));
    let served = PullResult {
        oldest: Tick(3),
        newest: tick,
        keys: Some(vec![Key(5), Key(6), Key(300)]),
        next: Some(Key(u64::MAX)),
        values: Payload::from_slice(&[-1_i64]),
    };
    let (who, since, what) = (Some(Rank(1)), Instant(1_000), WaitFor::StashFull);
    let reason = WaitReason { who, tick, since, what };
    let last = vec![(ServerId(5), table, Tick(3))];
    let end = MemberEnd::Removed { why: Loss::Silent, last };
    let member = Member { origin: GOLDEN_ORIGIN, start: Tick(1), end };
    let record = GroupRecord {
        group: GroupId(1),
        version: RecordVersion(2),
        size: 4,
        members: vec![member],
    };
    [
        Message::PullAnswer { table, sequence, result: Ok(served) },
        Message::Deferred { table, sequence, reason },
        Message::Record(record),
    ]
}

fn golden_catalog() -> [Message; 3] {
    let tensor = TensorSpec::new("a", [2, 3]).init(Init::Constant(0.5));
    let mut spec = TableSpec::sparse("w", 3)
        .slots(16)
        .init(Init::Uniform { seed: 9, low: -0.5, high: 0.5 })
        .rule(Extension::new("momentum/1").with("beta", 0.9).with("alpha", 1.0))
        .combine(Combine::WeightedMean { round_weight: 4.5 });
    spec.tensors = vec![TensorSpec { first: Key(5), ..tensor }];
    let policy = TablePolicy::local(Ssp { staleness: 2 });
    let hyper = Hyper::rate(Schedule::Linear { from: 1.0, to: 0.5, ticks: 7 });
    let described = Box::new(Described { spec, policy, hyper });
    let group = GroupSpec { name: "train".into(), size: 4 };
    let entry = CatalogEntry::Group(GroupEntry { id: GroupId(1), spec: group });
    let error = SpecError::UnknownExtension {
        name: "w".into(),
        kind: "update rule".into(),
        extension: "mine/1".into(),
        known: "add/1".into(),
    };
    let (version, server) = (CatalogVersion(3), ServerId(5));
    let result = Err(CatalogRefusal::Described(error));
    [
        Message::EnsureTable { request: 8, described },
        Message::CatalogEntry { version, entry },
        Message::CatalogHeld { version, server, result },
    ]
}

fn golden_mirror() -> [Message; 5] {
    let (table, slot, sequence) = (TableId(7), SlotIndex(5), Sequence(9));
    let (mark, tick) = (Mark(300), Tick(4));
    let delta = Delta {
        rows: RowsNamed::Keys(vec![Key(3), Key(8)]),
        positions: Some(Positions::new(&[0, 5]).unwrap()),
        values: Trimmed::from_slice(&[1.5_f32, -2.0]),
    };
    let (previous, weight, marks) = (Some(Tick(3)), Some(2.5), vec![(slot, mark)]);
    let ranges = vec![KeyRange::new(Key(3), Key(8)).unwrap()];
    [
        MirrorMessage::Update { slot, sequence, tick, mark: Some(mark), delta },
        MirrorMessage::Confirm { slot, sequence, result: Ok(()) },
        MirrorMessage::Clock { previous, tick, weight, ended: false, marks },
        MirrorMessage::Barrier { slot, mark, ranges },
        MirrorMessage::Arrived { slot, pieces: 9 },
    ]
    .map(|message| Message::Mirror { table, of: DataCentre(2), message })
}

fn golden_changes() -> [Message; 5] {
    let policy = TablePolicy::local(Ssp { staleness: 2 });
    let hyper = Hyper::rate(Schedule::Constant(0.5));
    let terms = Terms { from: Tick(9), policy: policy.clone(), hyper };
    let change = Box::new(TableChange { policy: Some(policy), hyper: None, from: Some(Tick(9)) });
    let entry = ChangeEntry { table: TableId(7), terms: Box::new(terms) };
    let (earliest, found) = (Tick(44), Tick(9));
    let error = SpecError::TooEarly { table: "w".into(), earliest, found };
    let (name, version) = ("w".into(), CatalogVersion(4));
    [
        Message::ChangeTable { request: 8, name, change },
        Message::TableChanged { request: 8, result: Err(CatalogRefusal::Described(error)) },
        Message::CatalogEntry { version, entry: CatalogEntry::Change(entry) },
        Message::CatalogEntry { version, entry: CatalogEntry::Drop(TableId(7)) },
        Message::Withheld { server: Some(ServerId(5)) },
    ]
}

#[test]
fn a_description_has_one_encoding_and_its_texts_are_bounded() {
    let [ensure, ..] = golden_catalog();
    let frame = encoded(&ensure);
    let payload = frame[HEADER_BYTES..].to_vec();
    // The parameters of the rule, in the other order.
    let text = |name: &str| [&(name.len() as u32).to_le_bytes(), name.as_bytes()].concat();
    let alpha = [text("alpha"), 1.0_f64.to_le_bytes().to_vec()].concat();
    let beta = [text("beta"), 0.9_f64.to_le_bytes().to_vec()].concat();
    let written = [&alpha[..], &beta].concat();
    let at = payload.windows(written.len()).position(|part| part == written).unwrap();
    let mut turned = payload;
    turned[at..at + written.len()].copy_from_slice(&[&beta[..], &alpha].concat());
    let found = 5;
    let malformed = FrameError::Malformed { field: "order of parameters", found };
    assert_eq!(decode(&framed(0x09, &turned)), Err(malformed));

    let asked = |tensors, dimensions| {
        let tensor = TensorSpec { shape: Shape(vec![1; dimensions]), ..TensorSpec::new("t", []) };
        let [Message::EnsureTable { request, mut described }, ..] = golden_catalog() else {
            unreachable!("the first is a table");
        };
        described.spec.tensors = vec![tensor; tensors];
        encode(&Message::EnsureTable { request, described }, &mut Vec::new())
    };
    let (tensors, dimensions) = (limits::TENSORS_MAX, limits::DIMENSIONS_MAX);
    assert_eq!(asked(tensors, dimensions), Ok(()));
    for (tensors, dimensions) in [(tensors + 1, 1), (1, dimensions + 1)] {
        let refused = asked(tensors, dimensions);
        assert!(matches!(refused, Err(FrameError::TooLarge { .. })), "{refused:?}");
    }

    let long = |bytes| GroupSpec { name: "n".repeat(bytes), size: 1 };
    let asked = |bytes| Message::EnsureGroup { request: 1, spec: long(bytes) };
    let most = asked(limits::TEXT_BYTES_MAX);
    assert_eq!(decode(&encoded(&most)), Ok(most));
    let too_long = encode(&asked(limits::TEXT_BYTES_MAX + 1), &mut Vec::new());
    assert!(matches!(too_long, Err(FrameError::TooLarge { field: "text", .. })));
    // What a server refuses with is cut, and stays text.
    let what = format!("a{}", "\u{e9}".repeat(limits::TEXT_BYTES_MAX));
    let error = SpecError::Planned { name: "w".into(), what };
    let result = Err(CatalogRefusal::of(error.into()));
    let refused = Message::TableEnsured { request: 1, result };
    assert_eq!(decode(&encoded(&refused)), Ok(refused));
}

#[test]
fn the_largest_tick_and_record_are_as_large_as_said() {
    let origin = GOLDEN_ORIGIN;
    // Slots that are as far apart as can be, and sequences as far apart as numbers go.
    let far = |at: u32| (SlotIndex(at % 2 * 0xffff), Sequence(u64::from(at % 2) << 63));
    let touched: Vec<_> = (1..=100).map(far).collect();
    let table = |id| TickTable { table: TableId(id), weight: Some(1.0), touched: touched.clone() };
    let (tick, settled_below) = (Tick(1), Sequence(1));
    let tables = (0..3).map(table).collect();
    let ticked = Message::Ticked { origin, tick, settled_below, tables };
    assert_eq!(encoded_len(&ticked), tick_bytes_max(3, 300));

    let last = (0..7).map(|at| (ServerId(at), TableId(at), Tick(9))).collect();
    let end = MemberEnd::Removed { why: Loss::Silent, last };
    let members = vec![Member { origin, start: Tick(1), end }; 5];
    let record = GroupRecord { size: 5, members, ..GroupRecord::default() };
    assert_eq!(encoded_len(&Message::Record(record)), record_bytes_max(5, 7));
}

/// The size by the functions that need no message, where there is one.
fn sized(message: &Message) -> Option<usize> {
    Some(match message {
        Message::Push { previous, rows, values, .. } => {
            let keys = match rows {
                RowsNamed::Block(_) => None,
                RowsNamed::Keys(keys) => Some(keys.as_slice()),
            };
            push_bytes(*previous, keys, values.dtype, values.len_elements())
        },
        Message::Pull { own, rows, .. } => {
            let rows = match rows {
                PullRows::Block(_) => RowsSize::Block,
                PullRows::Keys(keys) => RowsSize::Keys(keys),
                PullRows::Walk { .. } => RowsSize::Walk,
            };
            pull_bytes(*own, rows)
        },
        Message::PullAnswer { result: Ok(r), .. } => {
            pull_answer_bytes(r.keys.as_deref(), r.next, r.values.dtype, r.values.len_elements())
        },
        Message::Ticked { tables, .. } => tick_bytes(tables),
        _ => return None,
    })
}
