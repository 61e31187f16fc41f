//! From masses along the rays to what a digital detector and its processing make of them.

use crate::attenuation::Beam;
use crate::draw::{Draw, Part, mix, normal_from};
use crate::plane::Plane;
use crate::vector::whole;

/// How the picture is taken and processed.
pub(crate) struct Exposure {
    pub(crate) kvp: f32,
    pub(crate) beam: Beam,
    /// Photons the detector uses, per mm², where nothing is in the way.
    pub(crate) quanta_per_mm2: f32,
    /// Scatter that passes the grid, against the blurred primary.
    pub(crate) scatter: f32,
    /// Blur of focal spot and scintillator, mm (one sigma).
    pub(crate) blur_mm: f32,
    /// How much the processing takes from the slow parts of the picture, 0 to 1.
    pub(crate) compression: f32,
    /// How much it adds to fine detail.
    pub(crate) sharpening: f32,
    /// Where the window ends, against the range of the body: below 0 cuts into the lungs' dark end ...
    pub(crate) floor: f32,
    /// ... and below 1 into the abdomen.
    pub(crate) ceiling: f32,
    /// Bend of the tone curve: above 1 darkens lungs.
    pub(crate) gamma: f32,
    noise_seed: u64,
}

impl Exposure {
    pub(crate) fn new(seed: u64) -> Self {
        let mut draw = Draw::new(seed, Part::Exposure);
        // The first draws of this stream belong to the specification.
        let noise_seed = draw.bits() ^ draw.bits().rotate_left(17) ^ draw.bits();
        let kvp = draw.between(100.0, 133.0).round();
        Self {
            kvp,
            beam: Beam::new(kvp, draw.between(2.8, 4.0)),
            quanta_per_mm2: 4.0e5 * (draw.between(-0.7, 0.7)).exp(),
            scatter: draw.between(0.20, 0.38),
            blur_mm: draw.between(0.14, 0.24),
            compression: draw.between(0.25, 0.50),
            sharpening: draw.between(0.5, 1.1),
            floor: draw.between(-0.08, 0.10),
            ceiling: draw.between(0.88, 1.15),
            gamma: draw.between(0.85, 1.35),
            noise_seed,
        }
    }

    /// Scattered radiation at each place of a coarse picture of the primary.
    pub(crate) fn scattered(&self, primary: &Plane, soft: &Plane, spacing_mm: f32) -> Plane {
        let mut source = primary.clone();
        for (value, mass) in source.data.iter_mut().zip(&soft.data) {
            // Nothing scatters in air.
            *value *= self.scatter * (1.0 - (-mass / 6.0).exp());
        }
        // Scatter from near the detector is narrower than that from the back of the patient.
        let (near, far) = (source.blurred(14.0 / spacing_mm), source.blurred(48.0 / spacing_mm));
        let mut result = near;
        for (value, wide) in result.data.iter_mut().zip(&far.data) {
            *value = 0.35 * *value + 0.65 * wide;
        }
        result
    }

    /// Adds quantum and electronic noise to one row of detector signal.
    pub(crate) fn add_noise(&self, row: usize, line: &mut [f32], spacing_mm: f32) {
        let quanta = self.quanta_per_mm2 * spacing_mm * spacing_mm;
        let electronic = 6.0 / quanta;
        let row_seed = mix(self.noise_seed ^ (row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for (column, value) in line.iter_mut().enumerate() {
            let bits = mix(row_seed.wrapping_add((column as u64).wrapping_mul(0xd1b5_4a32_d192_ed03)));
            let deviation = (value.max(0.0) / quanta + electronic * electronic).sqrt();
            *value += deviation * normal_from(bits);
        }
    }
}

/// The value below which `part` of the values lie; 0 when there are none.
pub(crate) fn quantile(values: &mut [f32], part: f32) -> f32 {
    if values.is_empty() {
        return 0.0;
    }
    let index = whole(part * (values.len() - 1) as f32);
    *values.select_nth_unstable_by(index, f32::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_the_deviation_of_its_quanta() {
        let exposure = Exposure::new(3);
        let mut line = vec![0.25; 40_000];
        exposure.add_noise(5, &mut line, 0.2);
        let mean = line.iter().sum::<f32>() / line.len() as f32;
        let variance = line.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / line.len() as f32;
        let expected = 0.25 / (exposure.quanta_per_mm2 * 0.04);
        assert!((mean - 0.25).abs() < 1e-3);
        assert!((variance / expected - 1.0).abs() < 0.05, "{variance} {expected}");
    }

    #[test]
    fn quantiles_are_ordered() {
        let mut values: Vec<f32> = (0..101).map(|i| (i * 37 % 101) as f32).collect();
        assert_eq!(quantile(&mut values, 0.5), 50.0);
        assert_eq!(quantile(&mut [], 0.5), 0.0);
    }
}
