//! The ring: every server at many points of a circle of 64-bit hashes.
//!
//! Wire format: a hash is SipHash-2-4 (64 bits) under the key `"archipelago ring"` of one byte,
//! `N` for a virtual node or `S` for a slot, and two little-endian u32: (server, replica) or
//! (table, slot).

use std::hash::Hasher;

use siphasher::sip::SipHasher24;

use crate::error::SpecError;
use crate::id::{ServerId, SlotIndex, TableId};
use crate::limits;

/// Why a list of servers makes no ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RingError {
    /// There is no server.
    #[error("a placement needs at least one server")]
    Empty,
    /// A server is named twice.
    #[error("{server} is named twice")]
    Duplicate {
        /// The server.
        server: ServerId,
    },
    /// A server of weight 0 could own nothing.
    #[error("{server} has weight 0, expected at least 1: leave it out instead")]
    ZeroWeight {
        /// The server.
        server: ServerId,
    },
    /// Too many servers.
    #[error("{found} servers, the limit is {}", limits::SERVERS_MAX)]
    TooMany {
        /// How many were named.
        found: usize,
    },
    /// The weights are too large together.
    #[error(
        "the weights sum to {found}, the limit is {}: divide them by a common factor",
        WEIGHTS_MAX
    )]
    Weights {
        /// Their sum.
        found: u64,
    },
}

impl From<RingError> for SpecError {
    fn from(error: RingError) -> Self {
        Self::Field {
            table: "placement".into(),
            field: "servers".into(),
            expected: "distinct servers with weights of at least 1, within the limits".into(),
            found: error.to_string(),
        }
    }
}

/// Servers on a circle of hashes, each at `virtual_nodes` x weight points.
///
/// ```
/// use archipelago::id::ServerId;
/// use archipelago::placement::Ring;
/// let ring = Ring::new(&[(ServerId(0), 1), (ServerId(1), 2)])?;
/// assert_eq!(ring.servers().len(), 2);
/// # Ok::<(), archipelago::placement::RingError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Ring {
    /// By id.
    servers: Vec<(ServerId, u32)>,
    /// In order of hash, then of server and replica.
    points: Vec<Point>,
}

/// A virtual node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Point {
    hash: u64,
    /// Index into the ring's servers.
    server: u32,
}

impl Ring {
    /// The ring of these servers and weights, whatever their order.
    ///
    /// # Errors
    /// No server, one named twice, a weight of 0, too many servers or too much weight.
    pub fn new(servers: &[(ServerId, u32)]) -> Result<Self, RingError> {
        let mut servers = servers.to_vec();
        servers.sort_unstable();
        check(&servers)?;
        let mut points = Vec::new();
        for (server, &(id, weight)) in (0..).zip(&servers) {
            let replicas = 0..weight * limits::VIRTUAL_NODES;
            points
                .extend(replicas.map(|replica| Point { hash: hash(b'N', id.0, replica), server }));
        }
        points.sort_unstable();
        Ok(Self { servers, points })
    }

    /// The servers and their weights, by id.
    pub fn servers(&self) -> &[(ServerId, u32)] {
        &self.servers
    }

    /// How many points the ring has.
    pub(super) fn points(&self) -> usize {
        self.points.len()
    }

    /// The server at a point, as an index into `servers`.
    pub(super) fn server_at(&self, point: usize) -> usize {
        self.points[point].server as usize
    }

    /// The first point at or after a hash, clockwise.
    pub(super) fn point_after(&self, hash: u64) -> usize {
        let after = self.points.partition_point(|point| point.hash < hash);
        after % self.points.len()
    }
}

/// The point of a slot on the circle.
pub(super) fn slot_hash(table: TableId, slot: SlotIndex) -> u64 {
    hash(b'S', table.0, slot.0)
}

fn check(sorted: &[(ServerId, u32)]) -> Result<(), RingError> {
    if sorted.is_empty() {
        return Err(RingError::Empty);
    }
    let found = sorted.len();
    if found > limits::SERVERS_MAX {
        return Err(RingError::TooMany { found });
    }
    if let Some([(server, _), _]) = sorted.array_windows().find(|[a, b]| a.0 == b.0) {
        return Err(RingError::Duplicate { server: *server });
    }
    if let Some(&(server, _)) = sorted.iter().find(|(_, weight)| *weight == 0) {
        return Err(RingError::ZeroWeight { server });
    }
    let found = sorted.iter().map(|(_, weight)| u64::from(*weight)).sum();
    if found > WEIGHTS_MAX {
        return Err(RingError::Weights { found });
    }
    Ok(())
}

fn hash(kind: u8, a: u32, b: u32) -> u64 {
    let mut hasher = SipHasher24::new_with_key(b"archipelago ring");
    hasher.write(&[kind]);
    hasher.write(&a.to_le_bytes());
    hasher.write(&b.to_le_bytes());
    hasher.finish()
}

const WEIGHTS_MAX: u64 = limits::RING_POINTS_MAX as u64 / limits::VIRTUAL_NODES as u64;

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(servers: &[(u32, u32)]) -> RingError {
        let servers: Vec<_> = servers.iter().map(|&(id, w)| (ServerId(id), w)).collect();
        Ring::new(&servers).unwrap_err()
    }

    /// From a second implementation of SipHash-2-4, checked against its paper's vector.
    #[test]
    fn golden_hashes() {
        assert_eq!(hash(b'N', 0, 0), 0xfe30_1248_8cf7_c3be);
        assert_eq!(hash(b'N', 1, 127), 0x909d_bd67_da86_0b78);
        assert_eq!(slot_hash(TableId(0), SlotIndex(0)), 0x0ca0_aac3_958b_d766);
        assert_eq!(slot_hash(TableId(7), SlotIndex(u32::MAX)), 0x7254_5812_b61e_d6aa);
    }

    #[test]
    fn wrong_lists_are_named() {
        let server = ServerId(3);
        assert_eq!(refused(&[]), RingError::Empty);
        assert_eq!(refused(&[(3, 1), (1, 1), (3, 2)]), RingError::Duplicate { server });
        assert_eq!(refused(&[(1, 1), (3, 0)]), RingError::ZeroWeight { server });
        let found = u64::from(u32::MAX) + 1;
        assert_eq!(refused(&[(1, 1), (3, u32::MAX)]), RingError::Weights { found });
        let many: Vec<_> = (0..1025).map(|id| (id, 1)).collect();
        assert_eq!(refused(&many), RingError::TooMany { found: 1025 });
    }
}
