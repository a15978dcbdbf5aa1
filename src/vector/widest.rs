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
    if is_x86_feature_detected!("avx512f") {
        #[expect(unsafe_code, reason = "calls code compiled for a detected feature")]
        // SAFETY: the feature that `on_avx512` is compiled for was detected just above.
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

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
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

    #[test]
    #[expect(unsafe_code, reason = "calls code compiled for a detected feature")]
    fn every_instruction_set_gives_the_same_bits() {
        let mut rng = crate::rng::Rng::new(3);
        let values: Vec<f32> = (0..1003).map(|_| rng.unit() as f32 - 0.5).collect();
        let expected = Formula(&values).run();
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the feature was detected just above.
            assert_eq!(unsafe { on_avx2(Formula(&values)) }, expected);
        }
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the feature was detected just above.
            assert_eq!(unsafe { on_avx512(Formula(&values)) }, expected);
        }
        assert_eq!(on_widest(Formula(&values)), expected);
    }
}
