//! Every limit of the system, with its unit in its name and its relations checked at compile time.

use std::time::Duration;

/// The least `block_elements` of a table.
pub const BLOCK_ELEMENTS_MIN: u32 = 64;
/// The largest, and the default: 256 KiB of f32, which fits the second-level cache of a core.
pub const BLOCK_ELEMENTS_MAX: u32 = 65_536;
/// Slots of a table unless its spec says otherwise.
pub const SLOTS_DEFAULT: u32 = 1024;
/// The most slots of a table.
pub const SLOTS_MAX: u32 = 65_536;
/// Elements of one row.
pub const WIDTH_MAX: u32 = 65_536;
/// Keys of one sparse frame.
pub const FRAME_KEYS_MAX: usize = 4_096;
/// Elements of one sparse frame, except that one row always fits.
pub const FRAME_ELEMENTS_MAX: usize = 65_536;

/// Rows of `width` elements of one sparse frame, or of one part of a walk; at least one.
pub fn frame_rows_max(width: u32) -> usize {
    (FRAME_ELEMENTS_MAX / (width.max(1) as usize)).clamp(1, FRAME_KEYS_MAX)
}

/// Bytes of a table's, group's, extension's or parameter's name.
pub const NAME_BYTES_MAX: usize = 255;
/// Parameters of an extension.
pub const PARAMETERS_MAX: usize = 64;
/// Parameters of a global policy or a significance function.
pub const GLOBAL_PARAMETERS_MAX: usize = 24;
/// Tensors of one table.
pub const TENSORS_MAX: usize = 2_048;
/// Dimensions of a tensor.
pub const DIMENSIONS_MAX: usize = 8;
/// Bytes of a text on the wire: what is wrong with a table, with both descriptions in words.
pub const TEXT_BYTES_MAX: usize = 64 << 10;
/// Tables and groups created, changes and drops, since a cluster began.
pub const CATALOG_ENTRIES_MAX: usize = 65_536;
/// Changes of one table that are not forgotten.
pub const TABLE_CHANGES_MAX: usize = 4_096;
/// Bytes of a table's description with all its changes, which one answer has to hold: there is room
/// for changes of any table that can be described.
pub const TABLE_BYTES_MAX: usize = 952 << 10;
/// Bytes of one change: its policies' parameters, and some.
pub const CHANGE_BYTES_MAX: usize =
    (PARAMETERS_MAX + 2 * GLOBAL_PARAMETERS_MAX) * (NAME_BYTES_MAX + 12) + 1_024;
/// How far behind the last tick that the keeper has heard of a change begins: nobody comes there
/// before every server knows of it (SPEC section 9).
pub const CHANGE_AHEAD: u64 = 2 * TICKS_PENDING_MAX as u64 + 2;
/// How far behind the last tick heard of any member a change may begin. Until it has begun none can
/// begin before it, and it cannot be withdrawn: this bounds for how long.
pub const CHANGE_AHEAD_MAX: u64 = 65_536;
/// Requests for tables and groups that wait at the keeper until every server holds what they name.
pub const ASKS_MAX: usize = 1_024;
/// Bytes of the tables in one answer to a list of tables, unless it is a single one.
pub const LISTED_BYTES_MAX: usize = 64 << 10;
/// Elements of one shard that are looked at together, from outside every group.
pub const LOOK_ELEMENTS_MAX: u64 = 1 << 30;
/// Workers of one group.
pub const GROUP_SIZE_MAX: u32 = 4_096;
/// Requests of one origin that may be unanswered; also the outcomes a window keeps.
pub const INFLIGHT_MAX: usize = 1_024;
/// Bytes of values that one worker process may have under way, pushed or asked for: twice what a
/// link of 1 Gbit/s holds in 80 ms, and little enough to be moved while it is in a cache.
pub const INFLIGHT_BYTES_MAX: usize = 16 << 20;
/// Bytes that a process keeps for the values of later frames.
pub const POOL_BYTES_MAX: usize = 64 << 20;
/// Ticks that one origin may have sent and that a server has not yet counted.
pub const TICKS_PENDING_MAX: usize = 16;
/// Ranges that a shard's clock keeps for one worker.
pub const CLOCK_RANGES_MAX: usize = 65_536;
/// Bytes that a Bsp shard stashes for workers that are not next in fold order.
pub const BSP_STASH_BYTES_MAX: usize = 256 << 20;
/// The least weight of a contribution: what is divided by it still fits an f32.
pub const WEIGHT_MIN: f64 = 1e-30;
/// The largest weight of a contribution.
pub const WEIGHT_MAX: f64 = 1e30;
/// Whether a weight lies within [`WEIGHT_MIN`] and [`WEIGHT_MAX`]; NaN does not.
pub fn allows_weight(weight: f64) -> bool {
    (WEIGHT_MIN..=WEIGHT_MAX).contains(&weight)
}

/// Tables of one store.
pub const TABLES_MAX: usize = 4_096;
/// Groups of one store, finished ones included.
pub const GROUPS_MAX: usize = 4_096;
/// Bytes of one wire frame, header included: the largest block with its keys, and some.
pub const FRAME_BYTES_MAX: usize = 1 << 20;
/// Calls whose handshake has not begun, kept by one process until it gets to them.
pub const CALLS_WAITING_MAX: usize = 1_024;
/// Handshakes, with their hellos, under way at one process.
pub const HANDSHAKES_MAX: usize = 256;
/// Handshakes that one process begins in a second, beyond as many in a burst. One costs about a
/// millisecond of the thread that also serves, so that a flood takes a quarter of it.
pub const HANDSHAKES_PER_SECOND_MAX: u32 = 256;
/// Peers connected to one process.
pub const PEERS_MAX: usize = 8_192;
/// Links that one connection carries: nodes of one process. A process with more has more
/// connections. Also the links that a connection begins in a second, beyond as many in a burst.
pub const CONNECTION_LINKS_MAX: usize = 64;
/// Bytes that all peers of a process may take together, as long as they are few enough for
/// `PEER_SHARE_BYTES_MIN`: received and not read, sent and not acknowledged, waiting to be sent.
pub const PEERS_BYTES_MAX: usize = 1 << 30;
/// Bytes that one peer may take of each of these kinds, however few there are: what a worker may
/// have under way.
pub const PEER_SHARE_BYTES_MAX: usize = INFLIGHT_BYTES_MAX;
/// However many there are: slow, but nobody is stuck.
pub const PEER_SHARE_BYTES_MIN: usize = 64 << 10;
/// How long a stream may take nothing of what is sent before its peer loses its connection.
pub const PEER_STALL_MAX: Duration = Duration::from_secs(30);
/// How long a handshake with its hellos may take.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// How long a process that ends waits for its farewells to leave.
pub const FAREWELL_MAX: Duration = Duration::from_secs(1);
/// How long the next call waits after one that failed: the first time, and at most.
pub const CALL_AGAIN_MIN: Duration = Duration::from_millis(50);
/// The longest such wait.
pub const CALL_AGAIN_MAX: Duration = Duration::from_secs(5);
/// Messages of one kind, control or data, that have arrived and wait for the node.
pub const INBOX_MESSAGES_MAX: usize = 64;
/// Bytes that wait to be sent to one peer. Nothing more is read from a worker long before, so only
/// answers to what had arrived by then are added. A peer above loses its connection.
pub const PEER_QUEUE_BYTES_MAX: usize = 128 << 20;
/// Servers in a static list.
pub const SERVERS_MAX: usize = 1_024;
/// Virtual nodes of a server of weight 1 on the ring.
pub const VIRTUAL_NODES: u32 = 128;
/// Points of a ring: virtual nodes of all servers, each with as many as its weight says.
pub const RING_POINTS_MAX: usize = 1 << 20;
/// Events of a history kept in memory.
pub const HISTORY_EVENTS_MAX: usize = 16 << 20;
/// A worker that nobody has heard of for this long is declared dead.
pub const WORKER_SILENCE_MAX: Duration = Duration::from_secs(30);
/// A server that a worker cannot reach for this long is no longer waited for.
pub const SERVER_AWAY_MAX: Duration = Duration::from_secs(30);
/// How often a worker that has nothing else to say sends a heartbeat.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);
/// How long a wait lasts unless the caller says otherwise.
pub const WAIT_MAX: Duration = Duration::from_secs(300);

/// Data centres of one system.
pub const DATA_CENTRES_MAX: usize = 64;
/// How long a data centre may be silent, unless a policy says otherwise, before nobody waits for
/// it.
pub const DATA_CENTRE_SILENCE_MAX: Duration = Duration::from_secs(30);
/// The shortest silence that a policy may name.
pub const DATA_CENTRE_SILENCE_MIN: Duration = Duration::from_millis(100);
/// How often a server tells another data centre that it lives, when it has nothing else to say.
pub const MIRROR_HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);
/// How long a barrier holds up reads at most, unless a policy says otherwise.
pub const BARRIER_MAX: Duration = Duration::from_secs(10);
/// Barriers that one data centre may have at one shard; further ones are not set.
pub const BARRIERS_MAX: usize = 4_096;
/// Ranges of keys that one barrier names; a longer list is told by its ends.
pub const BARRIER_RANGES_MAX: usize = 1_024;
/// Ranges of all barriers that one data centre may have at one shard; of further ones each counts
/// from its first key to its last.
pub const BARRIERS_RANGES_MAX: usize = 65_536;
/// How often a server looks at least whether waits for other data centres have to end.
pub const MIRROR_LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// Bytes that one shard of copies in step holds of ticks that are not settled. Only somebody who
/// does not wait for its data centre tells it more.
pub const MIRROR_STASH_BYTES_MAX: usize = 256 << 20;
/// Bytes that one shard of copies in step holds of the next two ticks of one other data centre, at
/// least: more where it takes more to tell twice of all rows of a dense shard.
pub const MIRROR_STASH_SHARE_BYTES_MIN: usize = 256 << 20;
/// What each delta is taken to cost besides its bytes, on the way.
pub const MIRROR_DELTA_BYTES: usize = 64;
/// What a delta that is held is taken to cost besides its bytes: its own structure and its place.
pub const MIRROR_HELD_DELTA_BYTES: usize = 192;
/// Ticks that have to end before a data centre that was lost, and comes no nearer in that time, is
/// taken for one that only ticks more slowly.
pub const MIRROR_SLOWER_TICKS_MIN: u64 = 8;
/// For how many times the longest silence of a policy others may stand still until such a one has
/// caught up. Nobody waits for one that needs longer.
pub const MIRROR_CATCH_UP_SILENCES_MAX: u64 = 4;
/// The last tick that another data centre may speak of: at one a nanosecond 146 years.
pub const MIRROR_TICK_MAX: u64 = 1 << 62;
/// Clocks of one slot that wait for marks; further ones count with the last of them.
pub const MIRROR_CLOCKS_MAX: usize = 65_536;
/// Weights of rounds that one shard of copies in step holds of ticks that are not settled, besides
/// its own and those of the next two ticks.
pub const MIRROR_WEIGHTS_MAX: usize = 65_536;
/// Clocks with weights of rounds that had no update for the other side, kept until it is known to
/// have heard of them: two are enough for one that is waited for.
pub const MIRROR_IDLE_CLOCKS_MAX: usize = 1_024;
/// Blocks or sparse slots whose values one server asks for at a time, at the end of training.
pub const ASSIGNS_MAX: usize = 8;
/// Bytes of updates, and of values at the end, sent to a server of another data centre and not
/// confirmed: at least, before its link was measured.
pub const MIRROR_INFLIGHT_BYTES_MIN: usize = 64 << 10;
/// The same at most: what a link of 1 Gbit/s holds in 64 ms.
pub const MIRROR_INFLIGHT_BYTES_MAX: usize = 8 << 20;

const _: () =
    assert!(MIRROR_HEARTBEAT_INTERVAL.as_nanos() * 4 < DATA_CENTRE_SILENCE_MAX.as_nanos());
const _: () = assert!(BARRIER_RANGES_MAX < BARRIERS_RANGES_MAX);
const _: () = assert!(MIRROR_INFLIGHT_BYTES_MIN < MIRROR_INFLIGHT_BYTES_MAX);
const _: () = assert!(BLOCK_ELEMENTS_MIN.is_power_of_two() && BLOCK_ELEMENTS_MAX.is_power_of_two());
const _: () = assert!(BLOCK_ELEMENTS_MIN < BLOCK_ELEMENTS_MAX);
const _: () = assert!(WIDTH_MAX as usize <= FRAME_ELEMENTS_MAX, "one row fits one frame");
const _: () = assert!(
    FRAME_BYTES_MAX >= 8 * (FRAME_ELEMENTS_MAX + FRAME_KEYS_MAX) + 4096,
    "a full frame of 8-byte elements fits one wire frame"
);
const _: () = assert!(
    SERVERS_MAX * VIRTUAL_NODES as usize <= RING_POINTS_MAX,
    "servers of weight 1 fit the ring"
);
const _: () = assert!(
    PEER_QUEUE_BYTES_MAX >= PEER_SHARE_BYTES_MAX + (INBOX_MESSAGES_MAX + 9) * FRAME_BYTES_MAX,
    "a full peer and the answers to all that has arrived fit"
);
const _: () = assert!(4 * TEXT_BYTES_MAX < FRAME_BYTES_MAX, "any refusal fits one frame");
const _: () = assert!(
    2 * (PARAMETERS_MAX + GLOBAL_PARAMETERS_MAX) * (NAME_BYTES_MAX + 12) + 4096 < TEXT_BYTES_MAX,
    "a table's description without tensors fits one frame, many times"
);
const _: () = assert!(
    TENSORS_MAX * (NAME_BYTES_MAX + 8 * DIMENSIONS_MAX + 41) + TEXT_BYTES_MAX
        < TABLE_BYTES_MAX - 4 * CHANGE_BYTES_MAX,
    "a table's description with all tensors and some changes, however large, fits one frame"
);
const _: () = assert!(TABLE_BYTES_MAX + LISTED_BYTES_MAX < FRAME_BYTES_MAX);
const _: () = assert!(CHANGE_AHEAD < CHANGE_AHEAD_MAX);
const _: () = assert!(INFLIGHT_MAX > TICKS_PENDING_MAX);
const _: () = assert!(INFLIGHT_BYTES_MAX >= 8 * FRAME_BYTES_MAX);
const _: () = assert!(POOL_BYTES_MAX >= INFLIGHT_BYTES_MAX);
const _: () = assert!(HEARTBEAT_INTERVAL.as_nanos() * 4 < WORKER_SILENCE_MAX.as_nanos());
const _: () = assert!(HISTORY_EVENTS_MAX > INFLIGHT_MAX);
