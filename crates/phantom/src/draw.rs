use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Seeded draws for one part of the phantom.
///
/// Every part has a stream of its own, so that changing how one is drawn, or leaving it out, moves
/// nothing else: the same seed with and without an opacity is the same person.
pub(crate) struct Draw(ChaCha8Rng);

/// The parts that draw independently of each other.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    Patient = 1,
    Solids = 2,
    Skeleton = 3,
    Vessels = 4,
    Opacity = 5,
    Texture = 6,
    Exposure = 7,
    Identity = 8,
}

impl Draw {
    pub(crate) fn new(seed: u64, part: Part) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(part as u64);
        Self(generator)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in `0..1`.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / 16_777_216.0
    }

    pub(crate) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Standard normal, never beyond ±3.
    pub(crate) fn normal(&mut self) -> f32 {
        normal_from(self.bits()).clamp(-3.0, 3.0)
    }

    /// Normal around `mean`, cut at two standard deviations so that no patient is a monster.
    pub(crate) fn around(&mut self, mean: f32, deviation: f32) -> f32 {
        mean + deviation * self.normal().clamp(-2.0, 2.0)
    }

    pub(crate) fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    pub(crate) fn sign(&mut self) -> f32 {
        if self.chance(0.5) { 1.0 } else { -1.0 }
    }

    /// One of `0..count`; 0 when `count` is 0.
    pub(crate) fn pick(&mut self, count: usize) -> usize {
        let wide = u128::from(self.0.next_u64()) * count as u128;
        usize::try_from(wide >> 64).unwrap_or(0)
    }
}

/// Standard normal, near enough, from 64 random bits: four uniforms of 16 bits.
pub(crate) fn normal_from(bits: u64) -> f32 {
    let sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
    // Four uniforms on 0..65536 have mean 131 070 and deviation 65 536 / sqrt(3).
    (sum as f32 - 131_070.0) * (1.732_050_8 / 65_536.0)
}

/// Scatters the bits of a counter, so that neighbours have nothing in common.
pub(crate) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_differ() {
        let first_of = |part| Draw::new(7, part).bits();
        assert_eq!(first_of(Part::Solids), first_of(Part::Solids));
        assert_ne!(first_of(Part::Solids), first_of(Part::Vessels));
    }

    #[test]
    fn draws_keep_their_range() {
        let mut draw = Draw::new(1, Part::Patient);
        for _ in 0..10_000 {
            assert!((0.0..1.0).contains(&draw.unit()));
            assert!(draw.pick(3) < 3);
            assert!((8.0..=12.0).contains(&draw.around(10.0, 1.0)));
        }
    }
}
