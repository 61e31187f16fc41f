//! Colour scales, computed.
//!
//! A scale is a path through OKLab (B. Ottosson, 2020), a space in which equal distances look equally
//! different, given as lightness, chroma and hue of a parameter. The path is brought into the sRGB gamut by
//! lowering chroma, measured, and cut into 255 steps of equal length: so each step of the map is an equal step
//! for the eye.

use std::sync::LazyLock;

use super::canvas::{Colour, byte};

/// The colours a map is drawn in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColourScale {
    /// From violet over red and orange to gold, lightness rising all the way: it reads the same in
    /// grey and to colour-blind eyes.
    #[default]
    Ember,
    /// From blue over green and yellow to red, for sites that are used to it. Its lightness does not rise all
    /// the way.
    BlueRed,
}

impl ColourScale {
    /// The colour of a map value of 0 to 1; values outside are taken for the nearer end, NaN for 0.
    pub(super) fn colour(self, value: f32) -> Colour {
        self.table()[usize::from(byte(value * 255.0))]
    }

    fn table(self) -> &'static [Colour; 256] {
        static EMBER: LazyLock<[Colour; 256]> = LazyLock::new(|| even_steps(ember));
        static BLUE_RED: LazyLock<[Colour; 256]> = LazyLock::new(|| even_steps(blue_red));
        match self {
            Self::Ember => &EMBER,
            Self::BlueRed => &BLUE_RED,
        }
    }
}

/// Lightness 0 to 1, chroma, hue in degrees.
type Lch = [f32; 3];
/// OKLab.
type Lab = [f32; 3];

fn ember(t: f32) -> Lch {
    let lightness = 0.36 + 0.50 * t;
    let chroma = 0.16 + 0.05 * (std::f32::consts::PI * t).sin();
    let hue = 305.0 + 130.0 * t;
    [lightness, chroma, hue]
}

/// Knots at even parameters, joined by straight lines in lightness, chroma and hue.
fn blue_red(t: f32) -> Lch {
    const KNOTS: [Lch; 5] =
        [[0.46, 0.22, 264.0], [0.76, 0.13, 210.0], [0.84, 0.20, 145.0], [0.88, 0.18, 95.0], [0.62, 0.24, 28.0]];
    let position = t.clamp(0.0, 1.0) * 4.0;
    let index = super::canvas::index(position).min(3);
    let rest = position - index as f32;
    std::array::from_fn(|i| KNOTS[index][i] + (KNOTS[index + 1][i] - KNOTS[index][i]) * rest)
}

fn even_steps(path: fn(f32) -> Lch) -> [Colour; 256] {
    const SAMPLES: usize = 2048;
    let points: Vec<Lab> = (0..=SAMPLES).map(|i| in_gamut(path(i as f32 / SAMPLES as f32))).collect();
    let mut lengths = vec![0.0f32];
    for pair in points.windows(2) {
        let step = (0..3).map(|i| (pair[1][i] - pair[0][i]).powi(2)).sum::<f32>().sqrt();
        lengths.push(lengths[lengths.len() - 1] + step);
    }
    let total = lengths[SAMPLES];
    std::array::from_fn(|step| {
        let wanted = total * step as f32 / 255.0;
        let index = lengths.partition_point(|length| *length < wanted).min(SAMPLES);
        srgb(points[index])
    })
}

/// The colour of this lightness and hue with as much of the chroma as sRGB can show.
fn in_gamut([lightness, chroma, hue]: Lch) -> Lab {
    let (sin, cos) = hue.to_radians().sin_cos();
    let at = |chroma: f32| [lightness, chroma * cos, chroma * sin];
    let fits = |chroma: f32| linear(at(chroma)).iter().all(|v| (-1e-4..=1.0001).contains(v));
    if fits(chroma) {
        return at(chroma);
    }
    let (mut low, mut high) = (0.0, chroma);
    for _ in 0..20 {
        let middle = (low + high) / 2.0;
        if fits(middle) { low = middle } else { high = middle }
    }
    at(low)
}

/// OKLab to linear sRGB.
fn linear([lightness, a, b]: Lab) -> [f32; 3] {
    let l = (lightness + 0.396_337_78 * a + 0.215_803_76 * b).powi(3);
    let m = (lightness - 0.105_561_346 * a - 0.063_854_17 * b).powi(3);
    let s = (lightness - 0.089_484_18 * a - 1.291_485_5 * b).powi(3);
    [
        4.076_741_7 * l - 3.307_711_6 * m + 0.230_969_94 * s,
        -1.268_438 * l + 2.609_757_4 * m - 0.341_319_38 * s,
        -0.004_196_086_3 * l - 0.703_418_6 * m + 1.707_614_7 * s,
    ]
}

/// With the transfer function of IEC 61966-2-1.
fn srgb(lab: Lab) -> Colour {
    linear(lab).map(|value| {
        let value = value.clamp(0.0, 1.0);
        let encoded = if value <= 0.003_130_8 { 12.92 * value } else { 1.055 * value.powf(1.0 / 2.4) - 0.055 };
        byte(encoded * 255.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The inverse of [`srgb`], written on its own from the published matrices.
    fn lab(colour: Colour) -> Lab {
        let [r, g, b] = colour.map(|byte| {
            let value = f32::from(byte) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        });
        let l = (0.412_221_46 * r + 0.536_332_55 * g + 0.051_445_995 * b).cbrt();
        let m = (0.211_903_5 * r + 0.680_699_5 * g + 0.107_396_96 * b).cbrt();
        let s = (0.088_302_46 * r + 0.281_718_85 * g + 0.629_978_7 * b).cbrt();
        [
            0.210_454_26 * l + 0.793_617_8 * m - 0.004_072_047 * s,
            1.977_998_5 * l - 2.428_592_2 * m + 0.450_593_7 * s,
            0.025_904_037 * l + 0.782_771_77 * m - 0.808_675_77 * s,
        ]
    }

    #[test]
    fn ember_rises_in_lightness() {
        let table = ColourScale::Ember.table();
        // Over eight steps, so that rounding to bytes does not hide or feign a fall.
        for pair in table.windows(9) {
            assert!(lab(pair[8])[0] > lab(pair[0])[0], "{pair:?}");
        }
        assert!(lab(table[0])[0] < 0.4 && lab(table[255])[0] > 0.84);
    }

    #[test]
    fn steps_are_even_to_the_eye() {
        for scale in [ColourScale::Ember, ColourScale::BlueRed] {
            let steps: Vec<f32> = scale
                .table()
                .chunks_exact(16)
                .map(|chunk| (lab(chunk[0]), lab(chunk[15])))
                .map(|(from, to)| (0..3).map(|i| (to[i] - from[i]).powi(2)).sum::<f32>().sqrt())
                .collect();
            let mean = steps.iter().sum::<f32>() / steps.len() as f32;
            assert!(steps.iter().all(|step| (step / mean - 1.0).abs() < 0.25), "{scale:?} {steps:?}");
        }
    }

    #[test]
    fn ends_look_as_named() {
        let [r, g, b] = ColourScale::BlueRed.colour(0.0);
        assert!(b > 180 && r < 90 && g < 120);
        let [r, g, b] = ColourScale::BlueRed.colour(1.0);
        assert!(r > 200 && g < 90 && b < 90);
        assert_eq!(ColourScale::Ember.colour(f32::NAN), ColourScale::Ember.colour(0.0));
        assert_eq!(ColourScale::Ember.colour(7.0), ColourScale::Ember.colour(1.0));
    }
}
