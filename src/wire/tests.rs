//! Properties of whole frames, and golden bytes.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::error::{FrameError, Loss, WaitFor, WaitReason};
use crate::id::{
    GroupId, Incarnation, Origin, Rank, RecordVersion, Sequence, ServerId, SlotIndex, TableId, Tick,
};
use crate::key::{Key, KeyList, KeyRange};
use crate::limits;
use crate::rng::Rng;
use crate::spec::{GroupRecord, Member, MemberEnd};
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
        kind in 0_u8..0x48, payload in prop::collection::vec(prop_oneof![0_u8..4, any::<u8>()], 0..90),
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
    let unknown = FrameError::Malformed {
        field: "kind of message",
        found: 0x7f,
    };
    assert_eq!(decode(&framed(0x7f, &[])), Err(unknown));
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
    let full = (0..=limits::FRAME_KEYS_MAX as u64)
        .map(Key)
        .collect::<Vec<_>>();
    let block = RowsNamed::Block(KeyRange::single(Key(0)));
    let large = Payload::from_slice(&vec![0_i64; limits::FRAME_ELEMENTS_MAX + 1]);
    let cut = Payload {
        dtype: DType::F32,
        bytes: Bytes::from_static(&[0; 5]),
    };
    let mut out = vec![7];
    for (rows, values) in [
        (RowsNamed::Keys(full.clone()), Payload::empty(DType::F32)),
        (
            RowsNamed::Keys(vec![Key(2), Key(2)]),
            Payload::empty(DType::F32),
        ),
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
    let refusal = Refusal::NonFinite {
        key: Key(5),
        element: 6,
        bits,
    };
    assert!(text(refusal).starts_with("table \"w\", key 5, element 6: -infinity pushed"));
    assert!(text(Refusal::Weight { found: -1.0 }).starts_with("table \"w\", tick 4: weight -1"));
    assert!(text(Refusal::UnknownGroup { group: GroupId(9) }).starts_with("group 9 is unknown"));
    let removed = Refusal::Removed { why: Loss::Silent }.into_error("w", origin, Tick(4));
    assert!(
        removed.retry_may_help()
            && !Refusal::Limit
                .into_error("w", origin, Tick(4))
                .retry_may_help()
    );
}

/// One frame of each family, and every struct that messages are made of.
#[test]
fn golden_frames() {
    let origin = Origin {
        group: GroupId(1),
        rank: Rank(2),
        incarnation: Incarnation(3),
    };
    let header = Header {
        origin,
        sequence: Sequence(9),
        settled_below: Sequence(8),
        tick: Tick(4),
    };
    let keys = KeyList::new(vec![5, 6, 300]).unwrap().to_vec();
    let golden = [
        Message::Push {
            table: TableId(7),
            header,
            slot: SlotIndex(6),
            previous: Some(Sequence(5)),
            rows: RowsNamed::Keys(keys.clone()),
            values: Payload::from_slice(&[1.0_f32, -2.0, 0.5]),
        },
        Message::Ticked {
            origin,
            tick: Tick(4),
            settled_below: Sequence(8),
            tables: vec![TickTable {
                table: TableId(7),
                weight: Some(32.0),
                touched: vec![(SlotIndex(1), Sequence(7)), (SlotIndex(6), Sequence(9))],
            }],
        },
        Message::PullAnswer {
            table: TableId(7),
            sequence: Sequence(9),
            result: Ok(PullResult {
                oldest: Tick(3),
                newest: Tick(4),
                keys: Some(keys),
                next: Some(Key(u64::MAX)),
                values: Payload::from_slice(&[-1_i64]),
            }),
        },
        Message::Deferred {
            table: TableId(7),
            sequence: Sequence(9),
            reason: WaitReason {
                who: Some(Rank(1)),
                tick: Tick(4),
                since: Instant(1_000),
                what: WaitFor::StashFull,
            },
        },
        Message::Record(GroupRecord {
            group: GroupId(1),
            version: RecordVersion(2),
            size: 4,
            members: vec![Member {
                origin,
                start: Tick(1),
                end: MemberEnd::Removed {
                    why: Loss::Silent,
                    last: vec![(ServerId(5), TableId(7), Tick(3))],
                },
            }],
        }),
    ];
    let mut expected = include_str!("golden.txt").lines();
    for message in &golden {
        let hex: String = encoded(message)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(Some(hex.as_str()), expected.next(), "{message:?}");
    }
    assert_eq!(expected.next(), None);
}

/// The size by the functions that need no message, where there is one.
fn sized(message: &Message) -> Option<usize> {
    Some(match message {
        Message::Push {
            previous,
            rows,
            values,
            ..
        } => {
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
        Message::PullAnswer { result: Ok(r), .. } => pull_answer_bytes(
            r.keys.as_deref(),
            r.next,
            r.values.dtype,
            r.values.len_elements(),
        ),
        Message::Ticked { tables, .. } => tick_bytes(tables),
        _ => return None,
    })
}

/// Arbitrary messages from a seed.
struct Any(Rng);

impl Any {
    fn u64(&mut self) -> u64 {
        let bits = self.0.below(65);
        self.0.next_u64().checked_shr(bits as u32).unwrap_or(0)
    }

    fn u32(&mut self) -> u32 {
        self.u64() as u32
    }

    fn one_of<T, const N: usize>(&mut self, items: [T; N]) -> T {
        let at = self.0.below(N as u64) as usize;
        items.into_iter().nth(at).unwrap()
    }

    fn list<T>(&mut self, item: impl Fn(&mut Self) -> T) -> Vec<T> {
        (0..self.0.below(4)).map(|_| item(self)).collect()
    }

    fn option<T>(&mut self, item: impl Fn(&mut Self) -> T) -> Option<T> {
        self.0.chance(0.5).then(|| item(self))
    }

    fn result<T>(&mut self, item: impl Fn(&mut Self) -> T) -> Result<T, Refusal> {
        if self.0.chance(0.5) {
            Ok(item(self))
        } else {
            Err(self.refusal())
        }
    }

    fn origin(&mut self) -> Origin {
        Origin {
            group: GroupId(self.u32()),
            rank: Rank(self.u32()),
            incarnation: Incarnation(self.u64()),
        }
    }

    fn header(&mut self) -> Header {
        Header {
            origin: self.origin(),
            sequence: Sequence(self.u64()),
            settled_below: Sequence(self.u64()),
            tick: Tick(self.u64()),
        }
    }

    fn range(&mut self) -> KeyRange {
        let (a, b) = (self.u64(), self.u64());
        KeyRange::new(Key(a.min(b)), Key(a.max(b))).unwrap()
    }

    fn keys(&mut self) -> Vec<Key> {
        KeyList::from_unsorted(self.list(Self::u64)).to_vec()
    }

    fn payload(&mut self) -> Payload {
        let bits = self.list(|any| any.0.next_u64() as i64);
        let dtype = self.one_of([DType::F32, DType::F64, DType::I64]);
        Payload {
            dtype,
            ..Payload::from_slice(&bits)
        }
    }

    fn loss(&mut self) -> Loss {
        self.one_of([Loss::Dropped, Loss::PeerDown, Loss::Silent])
    }

    fn refusal(&mut self) -> Refusal {
        let (key, tick, count) = (Key(self.u64()), Tick(self.u64()), self.u32());
        let hash = u128::from(self.u64()) << 64;
        let why = self.loss();
        self.one_of([
            Refusal::NonFinite {
                key,
                element: count,
                bits: tick.0,
            },
            Refusal::UnknownTable {
                table: TableId(count),
            },
            Refusal::SpecMismatch {
                expected: hash,
                found: hash ^ 1,
            },
            Refusal::DType {
                expected: DType::F32,
                found: DType::I64,
            },
            Refusal::Shape {
                expected: key.0,
                found: tick.0,
            },
            Refusal::OutsideDomain { key },
            Refusal::NotOwned {
                slot: SlotIndex(count),
            },
            Refusal::UnknownWorker,
            Refusal::StaleWorker {
                current: Incarnation(key.0),
            },
            Refusal::Removed { why },
            Refusal::Finished,
            Refusal::WriterTaken {
                writer: GroupId(count),
            },
            Refusal::Weight { found: -0.5 },
            Refusal::TickBackwards {
                expected: tick,
                found: tick.next(),
            },
            Refusal::GroupFull { size: count },
            Refusal::UnknownGroup {
                group: GroupId(count),
            },
            Refusal::WindowFull,
            Refusal::Limit,
        ])
    }

    fn answer(&mut self) -> Answer {
        let refused = Answer::Refused(self.refusal());
        self.one_of([Answer::Admitted, Answer::Applied, Answer::Settled, refused])
    }

    fn reason(&mut self) -> WaitReason {
        WaitReason {
            who: self.option(|any| Rank(any.u32())),
            tick: Tick(self.u64()),
            since: Instant(self.u64()),
            what: self.one_of([
                WaitFor::GroupForming,
                WaitFor::MemberTick,
                WaitFor::OwnPush,
                WaitFor::EarlierPush,
                WaitFor::StashFull,
                WaitFor::SendWindow,
                WaitFor::Answer,
            ]),
        }
    }

    fn rows(&mut self) -> (RowsNamed, PullRows) {
        let (range, keys, rows_max) = (self.range(), self.keys(), self.u32());
        self.one_of([
            (RowsNamed::Block(range), PullRows::Block(range)),
            (RowsNamed::Keys(keys.clone()), PullRows::Keys(keys)),
            (RowsNamed::Block(range), PullRows::Walk { range, rows_max }),
        ])
    }

    fn pulled(&mut self) -> PullResult {
        PullResult {
            oldest: Tick(self.u64()),
            newest: Tick(self.u64()),
            keys: self.option(Self::keys),
            next: self.option(|any| Key(any.u64())),
            values: self.payload(),
        }
    }

    fn tick_table(&mut self) -> TickTable {
        TickTable {
            table: TableId(self.u32()),
            weight: self.option(|any| any.0.unit()),
            touched: self.list(|any| (SlotIndex(any.u32()), Sequence(any.u64()))),
        }
    }

    fn record(&mut self) -> GroupRecord {
        GroupRecord {
            group: GroupId(self.u32()),
            version: RecordVersion(self.u64()),
            size: self.u32(),
            members: self.list(Self::member),
        }
    }

    fn member(&mut self) -> Member {
        let tick = Tick(self.u64());
        let why = self.loss();
        let last = self.list(|any| (ServerId(any.u32()), TableId(any.u32()), Tick(any.u64())));
        let removed = MemberEnd::Removed { why, last };
        Member {
            origin: self.origin(),
            start: tick,
            end: self.one_of([MemberEnd::Active, MemberEnd::Left { last: tick }, removed]),
        }
    }

    fn message(&mut self) -> Message {
        let (origin, header) = (self.origin(), self.header());
        let (group, table) = (GroupId(self.u32()), TableId(self.u32()));
        let (sequence, tick) = (Sequence(self.u64()), Tick(self.u64()));
        let (slot, server) = (SlotIndex(self.u32()), ServerId(self.u32()));
        let token = self.u64();
        if self.0.chance(0.4) {
            let (rows, pulled) = self.rows();
            let chained = self.option(|any| Sequence(any.u64()));
            let values = self.payload();
            return self.one_of([
                Message::Push {
                    table,
                    header,
                    slot,
                    previous: chained,
                    rows,
                    values,
                },
                Message::Pull {
                    table,
                    header,
                    slot,
                    own: chained,
                    rows: pulled,
                },
            ]);
        }
        let granted = JoinGrant {
            origin,
            size: group.0,
            start: tick,
        };
        let (joined, done) = (self.result(|_| granted), self.result(|_| ()));
        let (answer, result, reason) = (self.answer(), self.result(Self::pulled), self.reason());
        let tables = self.list(Self::tick_table);
        let (record, version) = (self.record(), RecordVersion(token));
        self.one_of([
            Message::Join { group, token },
            Message::Attach {
                origin,
                table,
                spec_hash: u128::from(token) << 9,
            },
            Message::Await {
                table,
                header,
                slot,
            },
            Message::Ticked {
                origin,
                tick,
                settled_below: sequence,
                tables,
            },
            Message::Leave { origin, last: tick },
            Message::Heartbeat { origin },
            Message::Joined {
                token,
                result: joined,
            },
            Message::Attached {
                table,
                result: done,
            },
            Message::PushAnswer {
                table,
                sequence,
                answer,
            },
            Message::PullAnswer {
                table,
                sequence,
                result,
            },
            Message::Deferred {
                table,
                sequence,
                reason,
            },
            Message::Resume { table, sequence },
            Message::TickAnswer { tick, result: done },
            Message::LeaveAnswer { result: done },
            Message::Record(record),
            Message::RecordHeld {
                group,
                version,
                server,
            },
            Message::Fence { origin },
            Message::Fenced {
                origin,
                server,
                last: vec![(table, tick)],
            },
        ])
    }
}
