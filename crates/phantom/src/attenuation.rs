//! How much X-ray gets through: mass attenuation coefficients and the spectrum of the tube.
//!
//! Coefficients in cm²/g follow the tables of Hubbell and Seltzer (NISTIR 5632) for these tissues, near enough for
//! the look of a radiograph and not meant for dosimetry. Every ray carries three masses per area; a tissue between two of these
//! (spongy bone, breast, air-filled lung) is a mixture of them.

/// The photon energies that stand for the spectrum, in keV.
const ENERGIES_KEV: [f32; ENERGIES] = [40.0, 60.0, 80.0, 100.0];
const ENERGIES: usize = 4;

const SOFT_TISSUE: [f32; ENERGIES] = [0.2688, 0.2048, 0.1823, 0.1693];
const ADIPOSE: [f32; ENERGIES] = [0.2396, 0.1974, 0.1800, 0.1688];
const CORTICAL_BONE: [f32; ENERGIES] = [0.6655, 0.3148, 0.2229, 0.1855];
const ALUMINIUM: [f32; ENERGIES] = [0.5685, 0.2778, 0.2018, 0.1704];
const ALUMINIUM_DENSITY: f32 = 2.699;

/// Density of muscle, blood and organs, g/cm³.
pub(crate) const SOFT_DENSITY: f32 = 1.05;
/// Density of fat, g/cm³.
pub(crate) const FAT_DENSITY: f32 = 0.95;
/// Density of compact bone, g/cm³.
pub(crate) const BONE_DENSITY: f32 = 1.92;

/// The spectrum as a weight for each energy, already times what the detector makes of a photon.
#[derive(Clone, Copy)]
pub(crate) struct Beam {
    weights: [f32; ENERGIES],
}

impl Beam {
    /// A tungsten tube at `kvp` behind `filter_mm` of aluminium, seen by a caesium iodide detector that
    /// integrates energy. The weights add up to 1.
    pub(crate) fn new(kvp: f32, filter_mm: f32) -> Self {
        let mut weights = [0.0; ENERGIES];
        for (i, weight) in weights.iter_mut().enumerate() {
            let energy = ENERGIES_KEV[i];
            // Kramers: photons per energy go with kVp/E - 1; the last bin ends at the tube voltage.
            let photons = (kvp / energy - 1.0).max(0.0);
            let filtered = photons * (-ALUMINIUM[i] * ALUMINIUM_DENSITY * filter_mm * 0.1).exp();
            // 0.6 mm of CsI stops nearly all at 40 keV and about half at 100 keV.
            let absorbed = 1.0 - (-(60.0 / energy).powi(3) * 2.0).exp();
            *weight = filtered * absorbed * energy;
        }
        let total: f32 = weights.iter().sum();
        Self { weights: weights.map(|w| w / total) }
    }

    /// The part of the signal that passes, unscattered, through these masses per area (g/cm²).
    pub(crate) fn transmitted(&self, soft: f32, fat: f32, bone: f32) -> f32 {
        let mut signal = 0.0;
        for i in 0..ENERGIES {
            let depth = SOFT_TISSUE[i] * soft + ADIPOSE[i] * fat + CORTICAL_BONE[i] * bone;
            signal += self.weights[i] * (-depth).exp();
        }
        signal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_harder_beam_passes_more_and_shows_less_bone() {
        let (soft, hard) = (Beam::new(80.0, 3.0), Beam::new(130.0, 3.0));
        assert!((soft.transmitted(0.0, 0.0, 0.0) - 1.0).abs() < 1e-5);
        assert!(hard.transmitted(20.0, 0.0, 0.0) > soft.transmitted(20.0, 0.0, 0.0));
        let contrast = |beam: &Beam| (beam.transmitted(15.0, 0.0, 0.0) / beam.transmitted(15.0, 0.0, 1.0)).ln();
        assert!(contrast(&soft) > contrast(&hard));
        assert!((0.15..0.6).contains(&contrast(&hard)));
    }

    #[test]
    fn fat_is_more_lucent_than_muscle() {
        let beam = Beam::new(120.0, 3.0);
        assert!(beam.transmitted(0.0, 5.0, 0.0) > beam.transmitted(5.0, 0.0, 0.0));
    }
}
