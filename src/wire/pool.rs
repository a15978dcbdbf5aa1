//! Memory for the values of frames, used again and again.
//!
//! A frame of a block takes hundreds of KiB. Fresh memory of that size comes from the system page
//! by page, zeroed, and goes back when it is freed: several times the cost of moving the values.
//! So whoever makes frames keeps what it has used.
//!
//! Invariants: I1 nothing read from a [`Room`] was written by an earlier user of its memory, unless
//! the caller shows bytes that it has not written; I2 a pool keeps at most `POOL_BYTES_MAX`.

use std::collections::BTreeMap;

use bytemuck::{Pod, Zeroable};
use bytes::Bytes;

use crate::limits;
use crate::sync::{Arc, Mutex};

/// What wide loads like, and every element needs.
pub const ROOM_ALIGNMENT: usize = 64;
/// Below this the allocator is as fast.
const POOLED_BYTES_MIN: usize = 16 << 10;
/// Sizes per doubling: at most an eighth of a room is unused.
const SIZES_PER_DOUBLING: usize = 8;

/// Rooms to be used again. Cheap to clone: clones share them.
#[derive(Clone, Debug, Default)]
pub struct Pool(Arc<Mutex<Shelves>>);

#[derive(Debug, Default)]
struct Shelves {
    /// Free memory, by its length in lines.
    free: BTreeMap<usize, Vec<Vec<Line>>>,
    lines: usize,
}

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; ROOM_ALIGNMENT]);

const _: () = assert!(align_of::<Line>() == ROOM_ALIGNMENT);

impl Pool {
    /// Memory of at least `bytes` bytes, aligned to [`ROOM_ALIGNMENT`]. What it holds is of no
    /// meaning until it is written.
    pub fn room(&self, bytes: usize) -> Room {
        let lines = if bytes < POOLED_BYTES_MIN {
            bytes.div_ceil(ROOM_ALIGNMENT)
        } else {
            let step = bytes.next_power_of_two() / (2 * SIZES_PER_DOUBLING);
            bytes.next_multiple_of(step) / ROOM_ALIGNMENT
        };
        let held = self.0.lock().take(lines);
        let lines = held.unwrap_or_else(|| bytemuck::zeroed_vec(lines));
        Room { lines, pool: self.clone() }
    }
}

impl Shelves {
    fn take(&mut self, lines: usize) -> Option<Vec<Line>> {
        let found = self.free.get_mut(&lines)?.pop()?;
        self.lines -= found.len();
        Some(found)
    }

    fn put(&mut self, lines: Vec<Line>) {
        let bytes = (self.lines + lines.len()) * ROOM_ALIGNMENT;
        let pooled = lines.len() * ROOM_ALIGNMENT >= POOLED_BYTES_MIN;
        if pooled && bytes <= limits::POOL_BYTES_MAX {
            self.lines += lines.len();
            self.free.entry(lines.len()).or_default().push(lines);
        }
    }
}

/// Memory of a pool. Dropped, also as the last of the bytes that it became, it goes back there.
#[derive(Debug)]
pub struct Room {
    lines: Vec<Line>,
    pool: Pool,
}

impl Room {
    /// All bytes of the room.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.lines)
    }

    /// The room as bytes to be shared. Cost: one small allocation.
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Room {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.lines)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.pool.0.lock().put(std::mem::take(&mut self.lines));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_used_again_once_its_last_bytes_are_gone() {
        let pool = Pool::default();
        let mut room = pool.room(300_000);
        room.bytes_mut().fill(7);
        let (at, bytes) = (room.as_ref().as_ptr(), room.freeze());
        assert_eq!(at as usize % ROOM_ALIGNMENT, 0);
        let part = bytes.slice(1..9);
        drop(bytes);
        assert_ne!(pool.room(300_000).as_ref().as_ptr(), at, "a part is still held");
        assert_eq!(*part, [7; 8]);
        drop(part);
        assert!((0..2).any(|_| pool.clone().room(299_999).as_ref().as_ptr() == at));
    }

    #[test]
    fn a_pool_is_bounded_and_small_rooms_are_not_kept() {
        let pool = Pool::default();
        drop(pool.room(100));
        assert_eq!(pool.0.lock().lines, 0);
        let rooms: Vec<_> = (0..5).map(|_| pool.room(limits::POOL_BYTES_MAX / 3)).collect();
        drop(rooms);
        let kept = pool.0.lock().lines * ROOM_ALIGNMENT;
        assert!(kept > 0 && kept <= limits::POOL_BYTES_MAX, "{kept}");
    }

    #[test]
    fn little_is_wasted() {
        let pool = Pool::default();
        for bytes in [0, 1, 64, 16 << 10, (256 << 10) + 100, (1 << 20) - 1, 1 << 20] {
            let room = pool.room(bytes).as_ref().len();
            assert!(room >= bytes && room <= bytes + bytes / 8 + 64, "{room} for {bytes}");
        }
    }
}
