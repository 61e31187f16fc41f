//! From a network's raw output to an honest probability.
//!
//! With z the raw element (for `none`: the logit ln(p / (1 - p)) of the given probability):
//! sigmoid p = 1 / (1 + e^-z); softmax p = e^z / sum of e^z. Temperature divides z (softmax: every
//! z) before that; Platt's scaling takes the logit after it, p' = sigmoid(a z + b); points map p.
//! Computed in 64 bits and rounded once.

use crate::manifest::{Activation, Calibration, FindingSpec};

/// Keeps the logit of a probability of 0 or 1 finite.
const PROBABILITY_EPSILON: f64 = 1e-7;

/// How far a probability may lie beyond 0 to 1 by rounding.
const ROUNDING: f32 = 1e-3;

/// Whether a raw element can be what the finding's activation says it is.
pub(crate) fn is_plausible(finding: &FindingSpec, raw: f32) -> bool {
    finding.activation != Activation::None || !raw.is_finite() || (-ROUNDING..=1.0 + ROUNDING).contains(&raw)
}

/// The calibrated probability of a finding, 0 to 1, or `None` when its index lies outside `output`.
pub(crate) fn probability(finding: &FindingSpec, output: &[f32]) -> Option<f32> {
    let raw = f64::from(*output.get(finding.index)?);
    let temperature = match &finding.calibration {
        Some(Calibration::Temperature(temperature)) => *temperature,
        _ => 1.0,
    };
    let z = match finding.activation {
        Activation::Sigmoid => raw / temperature,
        Activation::Softmax => softmax_logit(output, finding.index, temperature),
        Activation::None => logit(raw) / temperature,
    };
    let calibrated = match &finding.calibration {
        Some(Calibration::Platt(platt)) => sigmoid(platt.a * z + platt.b),
        Some(Calibration::Points(points)) => interpolate(points, plain(finding.activation, raw, z)),
        Some(Calibration::Temperature(_)) => sigmoid(z),
        None => plain(finding.activation, raw, z),
    };
    Some(to_f32(calibrated.clamp(0.0, 1.0)))
}

/// A probability that the graph gave stays as it was, not the way over its logit and back.
fn plain(activation: Activation, raw: f64, z: f64) -> f64 {
    match activation {
        Activation::None => raw.clamp(0.0, 1.0),
        Activation::Sigmoid | Activation::Softmax => sigmoid(z),
    }
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

fn logit(probability: f64) -> f64 {
    let p = probability.clamp(PROBABILITY_EPSILON, 1.0 - PROBABILITY_EPSILON);
    (p / (1.0 - p)).ln()
}

/// The logit of one class against all others: z_i - ln(sum over j != i of e^(z_j)).
fn softmax_logit(output: &[f32], index: usize, temperature: f64) -> f64 {
    let scaled = |value: &f32| f64::from(*value) / temperature;
    let others = || output.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, value)| scaled(value));
    let own = output.get(index).map_or(0.0, scaled);
    let largest = others().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        // A single class: certain, by the definition of softmax.
        return f64::INFINITY;
    }
    own - largest - others().map(|z| (z - largest).exp()).sum::<f64>().ln()
}

fn interpolate(points: &[[f64; 2]], x: f64) -> f64 {
    let after = points.partition_point(|point| point[0] <= x);
    match (after.checked_sub(1).and_then(|before| points.get(before)), points.get(after)) {
        (Some(low), Some(high)) => low[1] + (high[1] - low[1]) * (x - low[0]) / (high[0] - low[0]),
        (Some(edge), None) | (None, Some(edge)) => edge[1],
        (None, None) => x,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a probability between 0 and 1, rounded to 32 bits")]
fn to_f32(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Bands, Platt};
    use dokuei_types::{Band, Code};

    fn finding(activation: Activation, calibration: Option<Calibration>) -> FindingSpec {
        FindingSpec {
            name: "pneumonia".into(),
            index: 0,
            activation,
            calibration,
            concept: Code::new("233604007", "SCT", "Pneumonia"),
            site: None,
            bands: Bands { medium: 0.30, high: 0.65 },
            marking_threshold: 0.5,
        }
    }

    fn check(activation: Activation, calibration: Option<Calibration>, output: &[f32], expected: f32) {
        let p = probability(&finding(activation, calibration), output).unwrap();
        assert!((p - expected).abs() < 1e-6, "{p} instead of {expected}");
    }

    #[test]
    fn activations() {
        check(Activation::Sigmoid, None, &[0.0], 0.5);
        check(Activation::Sigmoid, None, &[3.0_f32.ln()], 0.75);
        check(Activation::Softmax, None, &[1.0, 1.0, 1.0, 1.0], 0.25);
        check(Activation::Softmax, None, &[1000.0, -1000.0], 1.0);
        check(Activation::None, None, &[0.3], 0.3);
        check(Activation::None, None, &[1.0005], 1.0);
        let none = finding(Activation::None, None);
        assert_eq!([-0.1, 0.0, 1.0005, 1.7].map(|raw| is_plausible(&none, raw)), [false, true, true, false]);
        assert!(is_plausible(&finding(Activation::Sigmoid, None), 20.0));
        assert_eq!(probability(&finding(Activation::None, None), &[]), None);
    }

    #[test]
    fn calibrations() {
        let platt = |a, b| Some(Calibration::Platt(Platt { a, b }));
        check(Activation::Sigmoid, platt(2.0, -1.0), &[0.5], 0.5);
        check(Activation::None, platt(1.0, 0.0), &[0.8], 0.8);
        check(Activation::None, platt(1.0, 0.0), &[0.0], 1e-7);
        check(Activation::Softmax, platt(1.0, 0.0), &[2.0, 2.0], 0.5);
        check(Activation::Sigmoid, Some(Calibration::Temperature(2.0)), &[2.0 * 3.0_f32.ln()], 0.75);
        let softened = 3.0_f32.sqrt() / (3.0_f32.sqrt() + 1.0);
        check(Activation::Softmax, Some(Calibration::Temperature(2.0)), &[3.0_f32.ln(), 0.0], softened);
        let points = || Some(Calibration::Points(vec![[0.1, 0.2], [0.5, 0.4], [0.9, 0.4]]));
        for (given, expected) in [(0.0, 0.2), (0.1, 0.2), (0.3, 0.3), (0.5, 0.4), (0.7, 0.4), (1.0, 0.4)] {
            check(Activation::None, points(), &[given], expected);
        }
    }

    #[test]
    fn no_calibration_reverses_an_order() {
        let calibrations = [
            None,
            Some(Calibration::Platt(Platt { a: 0.3, b: -1.5 })),
            Some(Calibration::Temperature(1.7)),
            Some(Calibration::Points(vec![[0.0, 0.0], [0.2, 0.35], [0.8, 0.6], [1.0, 1.0]])),
        ];
        for calibration in calibrations {
            for activation in [Activation::Sigmoid, Activation::Softmax] {
                let finding = finding(activation, calibration.clone());
                let rising: Vec<f32> =
                    (-80..=80_i16).map(|step| probability(&finding, &[f32::from(step) / 4.0, 0.25]).unwrap()).collect();
                assert!(rising.is_sorted(), "{calibration:?}");
                assert!(rising.iter().all(|p| (0.0..=1.0).contains(p)));
            }
        }
    }

    #[test]
    fn bands_begin_at_their_limits() {
        let finding = finding(Activation::None, None);
        let cases = [
            (0.0, Band::Low, false),
            (0.299, Band::Low, false),
            (0.30, Band::Medium, false),
            (0.499, Band::Medium, false),
            (0.50, Band::Medium, true),
            (0.649, Band::Medium, true),
            (0.65, Band::High, true),
            (1.0, Band::High, true),
        ];
        for (given, band, marked) in cases {
            let p = probability(&finding, &[given]).unwrap();
            assert_eq!((finding.bands.of(p), p >= finding.marking_threshold), (band, marked), "{given}");
        }
    }
}
