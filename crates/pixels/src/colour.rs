//! Colour samples to red, green and blue, 0 to 1 (PS3.3 C.7.6.3.1.2).
//!
//! With n bits, M = 2^n - 1 and chrominance zero at 2^(n-1):
//! R = Y + 1.402 Cr, G = Y - 0.344136 Cb - 0.714136 Cr, B = Y + 1.772 Cb.
//! The partial range (retired) first stretches Y from 16..235 and the chrominances from 16..240 (for 8 bits).

use dokuei_codecs::{DecodedFrame, Photometric, Samples};

use crate::cast;

/// Luminance of a colour, as television and every grey conversion of photographs weigh it (ITU-R BT.601).
pub(crate) fn luminance([red, green, blue]: [f32; 3]) -> f32 {
    0.299 * red + 0.587 * green + 0.114 * blue
}

/// Applies a function of the colour to every pixel of a frame with three samples.
pub(crate) fn map<T>(frame: &DecodedFrame, bits_stored: u16, of: impl Fn([f32; 3]) -> T) -> Vec<T> {
    let space = Space::of(frame.photometric, bits_stored);
    match &frame.samples {
        Samples::U8(values) => {
            let table: Vec<f32> = (0..=u8::MAX).map(|code| space.unit(f64::from(code))).collect();
            let unit = |v: u8| table.get(usize::from(v)).copied().unwrap_or_default();
            values.as_chunks().0.iter().map(|&pixel: &[u8; 3]| of(space.rgb(pixel.map(unit)))).collect()
        }
        Samples::I8(values) => pixels(values, &space, of),
        Samples::U16(values) => pixels(values, &space, of),
        Samples::I16(values) => pixels(values, &space, of),
        Samples::U32(values) => pixels(values, &space, of),
        Samples::I32(values) => pixels(values, &space, of),
        Samples::F32(values) => pixels(values, &space, of),
        Samples::F64(values) => pixels(values, &space, of),
    }
}

fn pixels<S: Copy + Into<f64>, T>(values: &[S], space: &Space, of: impl Fn([f32; 3]) -> T) -> Vec<T> {
    values.as_chunks().0.iter().map(|pixel: &[S; 3]| of(space.rgb(pixel.map(|v| space.unit(v.into()))))).collect()
}

struct Space {
    /// 2^bits - 1.
    maximum: f64,
    /// Chrominance zero, as a part of `maximum`.
    zero: f32,
    coding: Coding,
}

enum Coding {
    Rgb,
    Full,
    Partial,
}

impl Space {
    fn of(photometric: Photometric, bits_stored: u16) -> Self {
        let maximum = f64::from(bits_stored).exp2() - 1.0;
        let coding = match photometric {
            Photometric::YbrFull | Photometric::YbrFull422 | Photometric::YbrIct | Photometric::YbrRct => Coding::Full,
            Photometric::YbrPartial422 | Photometric::YbrPartial420 => Coding::Partial,
            _ => Coding::Rgb,
        };
        let zero = cast::single(f64::from(bits_stored.saturating_sub(1)).exp2() / maximum);
        Self { maximum, zero, coding }
    }

    fn unit(&self, sample: f64) -> f32 {
        cast::single(sample / self.maximum)
    }

    fn rgb(&self, [y, cb, cr]: [f32; 3]) -> [f32; 3] {
        let (y, cb, cr) = match self.coding {
            Coding::Rgb => return [y, cb, cr],
            Coding::Full => (y, cb - self.zero, cr - self.zero),
            Coding::Partial => {
                let black = self.zero / 8.0;
                let (luminance, chrominance) = (219.0 / 255.0, 224.0 / 255.0);
                ((y - black) / luminance, (cb - self.zero) / chrominance, (cr - self.zero) / chrominance)
            }
        };
        [y + 1.402 * cr, y - 0.344_136 * cb - 0.714_136 * cr, y + 1.772 * cb].map(|v| v.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(photometric: Photometric, sample: [u8; 3], expected: [u8; 3]) {
        let samples = Samples::U8(sample.to_vec());
        let frame = DecodedFrame { rows: 1, columns: 1, samples_per_pixel: 3, photometric, samples };
        let rgb = map(&frame, 8, |colour| colour.map(|v| cast::byte(f64::from(v))));
        assert_eq!(rgb, [expected], "{photometric} {sample:?}");
    }

    #[test]
    fn known_colours() {
        check(Photometric::Rgb, [1, 2, 3], [1, 2, 3]);
        for full in [Photometric::YbrFull, Photometric::YbrFull422] {
            check(full, [100, 128, 128], [100, 100, 100]);
            check(full, [76, 85, 255], [254, 0, 0]);
            check(full, [150, 44, 21], [0, 255, 1]);
            check(full, [29, 255, 107], [0, 0, 254]);
        }
        for partial in [Photometric::YbrPartial422, Photometric::YbrPartial420] {
            check(partial, [16, 128, 128], [0, 0, 0]);
            check(partial, [235, 128, 128], [255, 255, 255]);
            check(partial, [81, 90, 240], [254, 0, 0]);
        }
    }

    #[test]
    fn sixteen_bits_are_scaled_by_bits_stored() {
        let samples = Samples::U16(vec![4095, 0, 2048]);
        let frame = DecodedFrame { rows: 1, columns: 1, samples_per_pixel: 3, photometric: Photometric::Rgb, samples };
        assert_eq!(map(&frame, 12, |c| c.map(|v| cast::byte(f64::from(v)))), [[255, 0, 128]]);
    }

    #[test]
    fn luminance_of_white_is_one() {
        assert!((luminance([1.0; 3]) - 1.0).abs() < 1e-6);
        assert!((luminance([0.0, 1.0, 0.0]) - 0.587).abs() < 1e-6);
    }
}
