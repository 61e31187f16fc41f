//! The inverse DCT (T.81 § A.3.3) in integers.
//!
//! The factorisation is that of Loeffler, Ligtenberg and Moschytz (1989) with 11 multiplications per row
//! of eight, constants scaled by 2^13, and the rounding of the two passes chosen as in the reference
//! implementation of the Independent JPEG Group, so that decoded samples are the same as those of the
//! libraries behind most viewers, bit for bit.

/// Place of each zigzag position in a block of 8 rows.
#[rustfmt::skip]
pub(super) const ZIGZAG: [usize; 64] = [
     0,  1,  8, 16,  9,  2,  3, 10, 17, 24, 32, 25, 18, 11,  4,  5,
    12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13,  6,  7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

const SCALE_BITS: u32 = 13;

/// A constant in fixed point.
const fn fixed(value: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "constants below 4 times 2^13")]
    let scaled = (value * (1 << SCALE_BITS) as f64 + 0.5) as i64;
    scaled
}

/// Turns coefficients into samples of one precision.
pub(super) struct Transform {
    /// Fraction bits kept between the passes.
    kept_bits: u32,
    middle: i64,
    max: i64,
}

impl Transform {
    pub(super) fn new(precision: u8) -> Self {
        let max = (1_i64 << precision) - 1;
        Self { kept_bits: if precision > 8 { 1 } else { 2 }, middle: 1 << (precision - 1), max }
    }

    /// The 64 samples of a block of dequantised coefficients, both row by row.
    pub(super) fn samples(&self, block: &[i32; 64]) -> [u16; 64] {
        if block[1..].iter().all(|coefficient| *coefficient == 0) {
            return [self.flat(block[0]); 64];
        }
        let mut work = [0_i64; 64];
        for column in 0..8 {
            let mut line = [0; 8];
            for (row, value) in line.iter_mut().enumerate() {
                // Far above what any image needs; keeps hostile values from overflowing.
                *value = i64::from(block[row * 8 + column].clamp(-(1 << 20), 1 << 20));
            }
            let line = one_dimension(line, SCALE_BITS - self.kept_bits);
            for (row, value) in line.into_iter().enumerate() {
                work[row * 8 + column] = value;
            }
        }
        let mut samples = [0; 64];
        for (row, out) in work.as_chunks::<8>().0.iter().zip(samples.as_chunks_mut::<8>().0) {
            // A division by 8 normalises both passes together.
            for (value, sample) in one_dimension(*row, SCALE_BITS + self.kept_bits + 3).into_iter().zip(out) {
                *sample = self.limited(value + self.middle);
            }
        }
        samples
    }

    fn flat(&self, dc: i32) -> u16 {
        let scaled = i64::from(dc.clamp(-(1 << 20), 1 << 20)) << self.kept_bits;
        let bits = self.kept_bits + 3;
        self.limited(((scaled + (1 << (bits - 1))) >> bits) + self.middle)
    }

    fn limited(&self, value: i64) -> u16 {
        // `max` is at most 12 bits.
        u16::try_from(value.clamp(0, self.max)).unwrap_or_default()
    }
}

/// Eight coefficients to eight values, scaled by sqrt(8) and divided by 2^`shift` with rounding.
#[inline]
fn one_dimension(input: [i64; 8], shift: u32) -> [i64; 8] {
    const C_0_298: i64 = fixed(0.298_631_336);
    const C_0_390: i64 = fixed(0.390_180_644);
    const C_0_541: i64 = fixed(0.541_196_100);
    const C_0_765: i64 = fixed(0.765_366_865);
    const C_0_899: i64 = fixed(0.899_976_223);
    const C_1_175: i64 = fixed(1.175_875_602);
    const C_1_501: i64 = fixed(1.501_321_110);
    const C_1_847: i64 = fixed(1.847_759_065);
    const C_1_961: i64 = fixed(1.961_570_560);
    const C_2_053: i64 = fixed(2.053_119_869);
    const C_2_562: i64 = fixed(2.562_915_447);
    const C_3_072: i64 = fixed(3.072_711_026);
    let [s0, s1, s2, s3, s4, s5, s6, s7] = input;
    // Even half: a rotation of coefficients 2 and 6, and the sum and difference of 0 and 4.
    let turn = (s2 + s6) * C_0_541;
    let (low, high) = (turn - s6 * C_1_847, turn + s2 * C_0_765);
    let (sum, difference) = ((s0 + s4) << SCALE_BITS, (s0 - s4) << SCALE_BITS);
    let even = [sum + high, difference + low, difference - low, sum - high];
    // Odd half: three rotations that share their sums.
    let shared = (s7 + s3 + s5 + s1) * C_1_175;
    let outer = -(s7 + s1) * C_0_899;
    let inner = -(s5 + s3) * C_2_562;
    let left = shared - (s7 + s3) * C_1_961;
    let right = shared - (s5 + s1) * C_0_390;
    let odd = [
        s1 * C_1_501 + outer + right,
        s3 * C_3_072 + inner + left,
        s5 * C_2_053 + inner + right,
        s7 * C_0_298 + outer + left,
    ];
    let round = 1 << (shift - 1);
    std::array::from_fn(|index| {
        let value = if index < 4 { even[index] + odd[index] } else { even[7 - index] - odd[7 - index] };
        (value + round) >> shift
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition (T.81 § A.3.3) in floating point.
    fn reference(block: &[i32; 64], middle: f64) -> Vec<f64> {
        let scale = |index: usize| if index == 0 { 0.5_f64.sqrt() } else { 1.0 };
        let wave =
            |at: usize, frequency: usize| ((2 * at + 1) as f64 * frequency as f64 * std::f64::consts::PI / 16.0).cos();
        let sample = |x: usize, y: usize| -> f64 {
            let terms = (0..64).map(|index| {
                let (u, v) = (index % 8, index / 8);
                scale(u) * scale(v) * f64::from(block[index]) * wave(x, u) * wave(y, v)
            });
            terms.sum::<f64>() / 4.0 + middle
        };
        (0..64).map(|index| sample(index % 8, index / 8)).collect()
    }

    fn worst(precision: u8, amplitude: i32) -> f64 {
        let mut seed = 1_u32;
        let mut random = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8).cast_signed() % (2 * amplitude + 1) - amplitude
        };
        let transform = Transform::new(precision);
        let middle = f64::from(1 << (precision - 1));
        let mut worst = 0.0_f64;
        for _ in 0..200 {
            let block: [i32; 64] = std::array::from_fn(|_| random());
            for (sample, exact) in transform.samples(&block).into_iter().zip(reference(&block, middle)) {
                let exact = exact.clamp(0.0, 2.0 * middle - 1.0);
                worst = worst.max((f64::from(sample) - exact).abs());
            }
        }
        worst
    }

    #[test]
    fn samples_are_within_rounding_of_the_definition() {
        assert!(worst(8, 40) < 0.6, "{}", worst(8, 40));
        assert!(worst(12, 600) < 0.8, "{}", worst(12, 600));
    }

    #[test]
    fn flat_blocks_and_hostile_values() {
        let transform = Transform::new(8);
        let mut block = [0; 64];
        block[0] = 80;
        assert_eq!(transform.samples(&block), [138; 64]);
        assert_eq!(transform.samples(&[i32::MAX; 64]).len(), 64);
        assert_eq!(transform.samples(&[i32::MIN; 64]).len(), 64);
    }
}
