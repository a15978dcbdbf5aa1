//! Runs a kernel in the widest instruction set of the machine.
//!
//! Releases are built for baseline x86-64, whose vectors hold 16 bytes. A [`Kernel`]'s body is
//! plain safe Rust; it is inlined into functions that are compiled for wider vectors, one of
//! which is chosen at run time. No instruction set used here contracts a product and a sum, so
//! the choice never changes a bit.

/// A loop over slices. `run` must be `#[inline(always)]`, or it keeps the baseline's vectors.
pub(super) trait Kernel {
    type Output;
    fn run(self) -> Self::Output;
}

/// Runs the kernel. The detection is cached by the standard library: one load and one test.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(super) fn on_widest<K: Kernel>(kernel: K) -> K::Output {
    if has_avx512() {
        #[expect(unsafe_code, reason = "calls code compiled for detected features")]
        // SAFETY: the features that `on_avx512` is compiled for were detected just above.
        return unsafe { on_avx512(kernel) };
    }
    if is_x86_feature_detected!("avx2") {
        #[expect(unsafe_code, reason = "calls code compiled for a detected feature")]
        // SAFETY: the feature that `on_avx2` is compiled for was detected just above.
        return unsafe { on_avx2(kernel) };
    }
    kernel.run()
}

/// Runs the kernel.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub(super) fn on_widest<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

/// The base, and what converts whole numbers of 64 bits to floats: a pass that does so is faster by
/// a third with it. All processors but one early family have both or neither.
#[cfg(target_arch = "x86_64")]
#[inline]
fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq")
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq")]
fn on_avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn on_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use std::fmt::Debug;

    use super::*;

    /// Everything a rule may compute, where a contraction or a reciprocal would show.
    struct Formula<'a>(&'a [f32]);

    impl Kernel for Formula<'_> {
        type Output = Vec<u32>;

        #[inline(always)]
        fn run(self) -> Vec<u32> {
            let formula = |x: &f32| x - 0.1 * (0.9 * x + 0.3 * x * x) / ((x * x).sqrt() + 1e-3);
            self.0.iter().map(|x| formula(x).to_bits()).collect()
        }
    }

    /// Of 64 bits to 53: each rounds.
    struct Convert<'a>(&'a [i64]);

    impl Kernel for Convert<'_> {
        type Output = Vec<u64>;

        #[inline(always)]
        fn run(self) -> Vec<u64> {
            self.0.iter().map(|x| (*x as f64).to_bits()).collect()
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let mut rng = crate::rng::Rng::new(3);
        let values: Vec<f32> = (0..1003).map(|_| rng.unit() as f32 - 0.5).collect();
        let mut wholes: Vec<i64> = (0..1003).map(|_| rng.next_u64() as i64).collect();
        wholes.extend([i64::MIN, i64::MAX, -1, 0, (1 << 53) + 1, (1 << 53) + 3]);
        on_each(|| Formula(&values));
        on_each(|| Convert(&wholes));
    }

    /// Runs a kernel in each instruction set of the machine and compares.
    #[expect(unsafe_code, reason = "calls code compiled for detected features")]
    fn on_each<K: Kernel<Output: Debug + PartialEq>>(kernel: impl Fn() -> K) {
        let expected = kernel().run();
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the feature was detected just above.
            assert_eq!(unsafe { on_avx2(kernel()) }, expected);
        }
        if has_avx512() {
            // SAFETY: the features were detected just above.
            assert_eq!(unsafe { on_avx512(kernel()) }, expected);
        }
        assert_eq!(on_widest(kernel()), expected);
    }
}
