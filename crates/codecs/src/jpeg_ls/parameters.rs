//! Coding parameters and what follows from them (T.87 § A.2.1 and § C.2.4.1.1).

use super::damaged;
use crate::CodecError;

/// Parameters of an LSE segment; 0 stands for the default.
#[derive(Default)]
pub(super) struct Presets {
    max: i32,
    thresholds: [i32; 3],
    reset: i32,
}

impl Presets {
    pub(super) fn read(values: &[u8]) -> Result<Self, CodecError> {
        let words = values.first_chunk::<10>().ok_or_else(|| damaged("a parameter segment is cut short"))?;
        let word = |index: usize| i32::from(u16::from_be_bytes([words[2 * index], words[2 * index + 1]]));
        Ok(Self { max: word(0), thresholds: [word(1), word(2), word(3)], reset: word(4) })
    }
}

/// Parameters of a scan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameters {
    /// MAXVAL: the largest sample.
    pub(super) max: i32,
    /// NEAR: the largest difference to the original, 0 for lossless.
    pub(super) near: i32,
    /// T1 to T3: gradients are quantised there.
    pub(super) thresholds: [i32; 3],
    /// RESET: contexts are halved when they reach it.
    pub(super) reset: i32,
    /// RANGE: number of different prediction errors.
    pub(super) range: i32,
    /// qbpp: bits of a prediction error.
    pub(super) error_bits: u32,
    /// LIMIT: the longest code.
    pub(super) limit: u32,
}

impl Parameters {
    pub(super) fn new(precision: u8, near: u8, presets: &Presets) -> Result<Self, CodecError> {
        let top = (1 << precision) - 1;
        let max = if presets.max == 0 { top } else { presets.max };
        let near = i32::from(near);
        if max > top || near > max / 2 {
            return Err(damaged(format!("a largest sample of {max} with near {near}")));
        }
        let defaults = default_thresholds(max, near);
        let mut thresholds = [0; 3];
        for ((slot, preset), default) in thresholds.iter_mut().zip(presets.thresholds).zip(defaults) {
            *slot = if preset == 0 { default } else { preset };
        }
        let [t1, t2, t3] = thresholds;
        let reset = if presets.reset == 0 { 64 } else { presets.reset };
        if t1 <= near || t2 < t1 || t3 < t2 || t3 > max || reset < 3 {
            return Err(damaged("impossible thresholds"));
        }
        let range = (max + 2 * near) / (2 * near + 1) + 1;
        let sample_bits = ceil_log2(max + 1).max(2);
        Ok(Self {
            max,
            near,
            thresholds,
            reset,
            range,
            error_bits: ceil_log2(range),
            limit: 2 * (sample_bits + sample_bits.max(8)),
        })
    }

    pub(super) fn is_lossy(&self) -> bool {
        self.near > 0
    }
}

/// T.87 § C.2.4.1.1.1.
fn default_thresholds(max: i32, near: i32) -> [i32; 3] {
    let clamped = |value: i32, low: i32| if value > max || value < low { low } else { value };
    let basic = if max >= 128 {
        let factor = (max.min(4095) + 128) / 256;
        [factor + 2, factor * 4 + 3, factor * 17 + 4]
    } else {
        let factor = 256 / (max + 1);
        [(3 / factor).max(2), (7 / factor).max(3), (21 / factor).max(4)]
    };
    let t1 = clamped(basic[0] + 3 * near, near + 1);
    let t2 = clamped(basic[1] + 5 * near, t1);
    [t1, t2, clamped(basic[2] + 7 * near, t2)]
}

fn ceil_log2(value: i32) -> u32 {
    value.max(1).unsigned_abs().next_power_of_two().trailing_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_standard() {
        // T.87 table C.3.
        assert_eq!(default_thresholds(255, 0), [3, 7, 21]);
        assert_eq!(default_thresholds(4095, 0), [18, 67, 276]);
        assert_eq!(default_thresholds(65535, 0), [18, 67, 276]);
        let parameters = Parameters::new(8, 2, &Presets::default()).unwrap();
        assert_eq!((parameters.range, parameters.error_bits, parameters.limit), (52, 6, 32));
        assert_eq!(parameters.thresholds, [9, 17, 35]);
    }

    #[test]
    fn impossible_parameters_are_refused() {
        assert!(Parameters::new(8, 128, &Presets::default()).is_err());
        let presets = Presets { max: 256, ..Presets::default() };
        assert!(Parameters::new(8, 0, &presets).is_err());
        let presets = Presets { thresholds: [9, 8, 7], ..Presets::default() };
        assert!(Parameters::new(8, 0, &presets).is_err());
    }
}
