//! Seeded randomness: `SplitMix64`, chosen because its few lines are a stable format of their own.
//!
//! Row init is a function of these bits, so they are part of a table's meaning and must not change
//! with a library's version; golden values below hold them still. Not for secrets.

/// A stream of random numbers; the same seed gives the same stream for ever.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A stream of its own for `name` under this seed: adding one stream never shifts another.
    pub fn named(seed: u64, name: &str) -> Self {
        let mut state = mix(seed ^ 0x6172_6368_6970_656c);
        for byte in name.bytes() {
            state = mix(state ^ u64::from(byte));
        }
        Self { state }
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GAMMA);
        finish(self.state)
    }

    /// A number in `0..bound`; 0 when `bound` is 0. Bias is below bound / 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in [0, 1), a multiple of 2^-53.
    pub fn unit(&mut self) -> f64 {
        unit(self.next_u64())
    }

    /// True with the given probability (0 never, 1 always).
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Puts `items` in random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = self.below(i as u64 + 1) as usize;
            items.swap(i, j);
        }
    }
}

/// 64 well-mixed bits of `value`: the finaliser of `SplitMix64`, a bijection on u64.
pub fn mix(value: u64) -> u64 {
    finish(value.wrapping_add(GAMMA))
}

/// The top 53 bits of `bits` as a number in [0, 1).
pub fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

fn finish(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_values_of_splitmix64() {
        let mut rng = Rng::new(1_234_567);
        assert_eq!(rng.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(rng.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn named_streams_differ_and_stay_in_range() {
        assert_ne!(Rng::named(1, "a").next_u64(), Rng::named(1, "b").next_u64());
        let mut rng = Rng::new(7);
        assert!((0..1000).all(|_| rng.below(10) < 10 && rng.unit() < 1.0));
    }
}
