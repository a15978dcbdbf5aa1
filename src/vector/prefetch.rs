//! Hints to the caches.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{_MM_HINT_T0 as INNER, _MM_HINT_T1 as OUTER, _mm_prefetch};

#[cfg(not(target_arch = "x86_64"))]
const INNER: i32 = 0;
#[cfg(not(target_arch = "x86_64"))]
const OUTER: i32 = 1;

/// Asks for the cache line of `slice[index]`, to be read or written soon. Never changes a result,
/// and an index outside the slice is harmless. Does nothing on machines other than x86-64.
///
/// Random rows cost a memory latency each when they are touched one after the other; asked for
/// in batches of 64 they overlap, which is worth a factor of three.
#[inline(always)]
pub fn prefetch<T>(slice: &[T], index: usize) {
    hint::<INNER, T>(slice, index);
}

/// [`prefetch`] into the second-level cache, past the first: what is not needed so soon takes no
/// room there.
#[inline(always)]
pub(super) fn prefetch_outer<T>(slice: &[T], index: usize) {
    hint::<OUTER, T>(slice, index);
}

#[inline(always)]
fn hint<const HINT: i32, T>(slice: &[T], index: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        let address = slice.as_ptr().wrapping_add(index).cast();
        #[expect(unsafe_code, reason = "the intrinsic takes a raw pointer")]
        // SAFETY: a prefetch reads nothing that the program can see and never faults, whatever
        // the address; `wrapping_add` computes it without a claim that it is inside the slice.
        unsafe {
            _mm_prefetch::<HINT>(address);
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (slice, index);
}
