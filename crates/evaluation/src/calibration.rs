use serde::Serialize;

use crate::Case;

/// Bins of equal width that probabilities are put into.
const BINS: usize = 10;

/// How far probabilities are from the shares of positives they announce.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Calibration {
    /// The share of positives that the cases were weighted to; their own where none was stated.
    pub prevalence: f64,
    /// Expected calibration error: the mean distance between a bin's mean probability and its share of positives.
    pub error: f64,
    /// Mean square of probability less label (Brier).
    pub brier: f64,
    /// The bins that have images.
    pub bins: Vec<Bin>,
}

/// The images with a probability in one tenth of the range.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bin {
    /// From this probability on.
    pub from: f64,
    /// How many images.
    pub images: usize,
    /// Their mean probability.
    pub mean_probability: f64,
    /// The share of them that is positive.
    pub positive: f64,
}

impl Bin {
    /// Whether a probability belongs here.
    #[must_use]
    pub fn holds(&self, probability: f64) -> bool {
        bin_of(probability) == bin_of(self.from)
    }
}

/// Compares probabilities with labels, where `prevalence` of all images are positive: images of each class are weighted
/// to it. `None` stands for the cases' own. `None` comes back where a class is missing, or without any case.
#[must_use]
pub fn calibration(cases: &[Case], prevalence: Option<f64>) -> Option<Calibration> {
    let positives = cases.iter().filter(|case| case.positive).count();
    let own = positives as f64 / cases.len() as f64;
    if prevalence.is_some() && (positives == 0 || positives == cases.len()) || cases.is_empty() {
        return None;
    }
    let prevalence = prevalence.unwrap_or(own);
    let weight = |case: &Case| match case.positive {
        true => prevalence / own,
        false => (1.0 - prevalence) / (1.0 - own),
    };
    let total: f64 = cases.iter().map(weight).sum();
    let (mut bins, mut error) = (Vec::new(), 0.0);
    for index in 0..BINS {
        let images: Vec<&Case> = cases.iter().filter(|case| bin_of(case.score) == index).collect();
        let mass: f64 = images.iter().map(|case| weight(case)).sum();
        if mass <= 0.0 {
            continue;
        }
        let mean =
            |value: &dyn Fn(&Case) -> f64| images.iter().map(|case| weight(case) * value(case)).sum::<f64>() / mass;
        let (mean_probability, positive) = (mean(&|case| case.score), mean(&label));
        error += mass / total * (mean_probability - positive).abs();
        bins.push(Bin { from: index as f64 / BINS as f64, images: images.len(), mean_probability, positive });
    }
    let brier = cases.iter().map(|case| weight(case) * (case.score - label(case)).powi(2)).sum::<f64>() / total;
    Some(Calibration { prevalence, error, brier, bins })
}

fn label(case: &Case) -> f64 {
    f64::from(u8::from(case.positive))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is held below BINS")]
fn bin_of(probability: f64) -> usize {
    ((probability * BINS as f64) as usize).min(BINS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cases(of: &[(f64, bool)]) -> Vec<Case> {
        of.iter().zip(0..).map(|(&(score, positive), patient)| Case { score, positive, patient }).collect()
    }

    #[test]
    fn the_gap_of_each_bin_by_its_size() {
        // Bin 0.2: mean 0.25, half positive, 4 images. Bin 0.9 (1.0 belongs to it): mean 0.95, all positive, 2 images.
        let six = [(0.2, true), (0.2, false), (0.3 - 1e-9, true), (0.3 - 1e-9, false), (0.9, true), (1.0, true)];
        let found = calibration(&cases(&six), None).unwrap();
        assert!((found.error - (4.0 / 6.0 * 0.25 + 2.0 / 6.0 * 0.05)).abs() < 1e-8, "{}", found.error);
        assert_eq!(found.bins.iter().map(|bin| bin.images).collect::<Vec<_>>(), [4, 2]);
        assert_eq!(found.bins[0].positive, 0.5);
        let brier = (0.64 + 0.04 + 0.49 + 0.09 + 0.01 + 0.0) / 6.0;
        assert!((found.brier - brier).abs() < 1e-8);
    }

    #[test]
    fn honest_at_one_prevalence_is_not_honest_at_another() {
        // Half of the images at 0.5 are positive: no error as they are. Were 1 in 10 positive, 0.5 would mean 0.1.
        let four = cases(&[(0.5, true), (0.5, false), (0.5, true), (0.5, false)]);
        assert_eq!(calibration(&four, None).unwrap().error, 0.0);
        let rare = calibration(&four, Some(0.1)).unwrap();
        assert!((rare.error - 0.4).abs() < 1e-12 && (rare.bins[0].positive - 0.1).abs() < 1e-12);
    }

    #[test]
    fn one_class_cannot_be_weighted() {
        let positives = cases(&[(0.5, true), (0.7, true)]);
        assert_eq!(calibration(&positives, Some(0.5)), None);
        assert_eq!(calibration(&[], None), None);
        assert!((calibration(&positives, None).unwrap().error - 0.4).abs() < 1e-12);
    }
}
