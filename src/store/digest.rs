//! A stable digest of what a slot holds.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::vector::Element;

/// `SipHash-1-3` with 128 bits over little-endian bytes: equal on every machine.
#[derive(Default)]
pub(super) struct Digest {
    hasher: SipHasher13,
}

impl Digest {
    pub(super) fn number(&mut self, number: u64) {
        self.hasher.write(&number.to_le_bytes());
    }

    pub(super) fn elements<T: Element>(&mut self, elements: &[T]) {
        let bytes: &[u8] = bytemuck::cast_slice(elements);
        if cfg!(target_endian = "little") {
            return self.hasher.write(bytes);
        }
        for element in bytes.rchunks(size_of::<T>()).rev() {
            for byte in element.iter().rev() {
                self.hasher.write(&[*byte]);
            }
        }
    }

    pub(super) fn finish(&self) -> u128 {
        self.hasher.finish128().as_u128()
    }
}
