//! The area under the ROC curve: how often a positive image has a higher score than a negative one, ties half.
//!
//! Each image has a placement: a positive one the share of negatives below it, a negative one the share of
//! positives above it. The area is the mean of the positives' placements, and of the negatives'. Its variance
//! follows from how placements scatter (DeLong, DeLong, Clarke-Pearson, Biometrics 1988;44:837); with many
//! images of a patient, from how the sums of patients scatter (Obuchowski, Biometrics 1997;53:567), which is the
//! same where each has one. The difference of two scores on the same images has the differences of placements.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::Case;
use crate::normal::{Z_95, two_sided};

/// An area under the ROC curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Auroc {
    /// 0 to 1; 0.5 is chance.
    pub value: f64,
    /// 95 % interval. `None` where no variance can be had: fewer than two patients in a class, or classes that the
    /// score tells apart without a mistake.
    pub interval: Option<[f64; 2]>,
}

/// Two scores of the same images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Paired {
    /// The first score's area.
    pub first: Auroc,
    /// The second score's area.
    pub second: Auroc,
    /// The second area less the first.
    pub difference: f64,
    /// 95 % interval of the difference; `None` where no variance can be had.
    pub interval: Option<[f64; 2]>,
    /// How likely a difference of this size or more is between scores that are equally good (two-sided).
    pub p: Option<f64>,
}

/// The area of a score; `None` where a class is missing.
#[must_use]
pub fn auroc(cases: &[Case]) -> Option<Auroc> {
    let scores: Vec<f64> = cases.iter().map(|case| case.score).collect();
    let placements = placements(cases, &scores);
    let value = area(cases, &placements)?;
    Some(Auroc { value, interval: logit_interval(value, variance(cases, &placements, value)) })
}

/// The areas of two scores of the same images and their difference; `cases` have the first score, `second` has the
/// other for each of them. `None` where a class is missing.
#[must_use]
pub fn paired(cases: &[Case], second: &[f64]) -> Option<Paired> {
    let scores: Vec<f64> = cases.iter().map(|case| case.score).collect();
    let (of_first, of_second) = (placements(cases, &scores), placements(cases, second));
    let (first, second) = (area(cases, &of_first)?, area(cases, &of_second)?);
    let gaps: Vec<f64> = of_second.iter().zip(&of_first).map(|(second, first)| second - first).collect();
    let difference = second - first;
    let error = variance(cases, &gaps, difference).map(f64::sqrt);
    let with_interval = |value, placements: &[f64]| Auroc {
        value,
        interval: logit_interval(value, variance(cases, placements, value)),
    };
    Some(Paired {
        first: with_interval(first, &of_first),
        second: with_interval(second, &of_second),
        difference,
        interval: error.map(|error| [difference - Z_95 * error, difference + Z_95 * error]),
        p: error.map(|error| two_sided(difference / error)),
    })
}

/// One for each case, 0 to 1.
fn placements(cases: &[Case], scores: &[f64]) -> Vec<f64> {
    let negatives = cases.iter().filter(|case| !case.positive).count() as f64;
    let positives = cases.len() as f64 - negatives;
    let mut order: Vec<usize> = (0..cases.len().min(scores.len())).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let mut placements = vec![0.0; cases.len()];
    let (mut negatives_below, mut positives_below) = (0.0, 0.0);
    for tied in order.chunk_by(|a, b| scores[*a] == scores[*b]) {
        let positives_tied = tied.iter().filter(|index| cases[**index].positive).count() as f64;
        let negatives_tied = tied.len() as f64 - positives_tied;
        for index in tied {
            placements[*index] = if cases[*index].positive {
                (negatives_below + negatives_tied / 2.0) / negatives
            } else {
                (positives - positives_below - positives_tied / 2.0) / positives
            };
        }
        negatives_below += negatives_tied;
        positives_below += positives_tied;
    }
    placements
}

/// The mean placement of the positives; `None` where a class is missing.
fn area(cases: &[Case], placements: &[f64]) -> Option<f64> {
    let of_positives = || cases.iter().zip(placements).filter(|(case, _)| case.positive);
    let positives = of_positives().count();
    if positives == 0 || positives == cases.len() {
        return None;
    }
    Some(of_positives().map(|(_, placement)| placement).sum::<f64>() / positives as f64)
}

/// What a patient's images of one class add up to.
#[derive(Default, Clone, Copy)]
struct Sum {
    images: usize,
    /// Placements less the area.
    excess: f64,
}

/// The variance of the mean placement, the images of a patient taken together.
fn variance(cases: &[Case], placements: &[f64], mean: f64) -> Option<f64> {
    let mut patients: BTreeMap<usize, [Sum; 2]> = BTreeMap::new();
    for (case, placement) in cases.iter().zip(placements) {
        let sum = &mut patients.entry(case.patient).or_default()[usize::from(case.positive)];
        sum.images += 1;
        sum.excess += placement - mean;
    }
    let sums: Vec<[Sum; 2]> = patients.into_values().collect();
    let of_class = |class: usize| -> Option<f64> {
        let images = sums.iter().map(|sum| sum[class].images).sum::<usize>() as f64;
        let squares = sums.iter().map(|sum| sum[class].excess.powi(2)).sum::<f64>();
        Some(spread(sums.iter().filter(|sum| sum[class].images > 0).count())? * squares / (images * images))
    };
    let images = |class: usize| sums.iter().map(|sum| sum[class].images).sum::<usize>() as f64;
    let products = sums.iter().map(|sum| sum[0].excess * sum[1].excess).sum::<f64>();
    let between = spread(sums.len())? * products / (images(0) * images(1));
    let variance = of_class(0)? + of_class(1)? + 2.0 * between;
    (variance > 0.0).then_some(variance)
}

/// n / (n - 1), by which a sample's own mean makes its scatter look smaller.
fn spread(count: usize) -> Option<f64> {
    (count > 1).then(|| count as f64 / (count as f64 - 1.0))
}

/// Symmetric in the logit, so that it stays within 0 and 1.
fn logit_interval(value: f64, variance: Option<f64>) -> Option<[f64; 2]> {
    let room = value * (1.0 - value);
    let reach = variance.filter(|_| room > 0.0)?.sqrt() * Z_95 / room;
    let logit = (value / (1.0 - value)).ln();
    Some([logit - reach, logit + reach].map(|z| 1.0 / (1.0 + (-z).exp())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cases(positives: &[f64], negatives: &[f64]) -> Vec<Case> {
        let of = |scores: &[f64], positive| scores.iter().map(move |score| (*score, positive)).collect::<Vec<_>>();
        let all = of(positives, true).into_iter().chain(of(negatives, false)).enumerate();
        all.map(|(patient, (score, positive))| Case { score, positive, patient }).collect()
    }

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found} instead of {expected}");
    }

    #[test]
    fn pairs_are_counted_and_ties_are_half() {
        // Pairs won: 0.35 against 0.1; 0.8 against both. 3 of 4.
        close(auroc(&cases(&[0.35, 0.8], &[0.1, 0.4])).unwrap().value, 0.75);
        // (1,1) half, (1,0), (2,1), (2,0): 3.5 of 4.
        close(auroc(&cases(&[1.0, 2.0], &[1.0, 0.0])).unwrap().value, 0.875);
        close(auroc(&cases(&[0.5; 3], &[0.5; 4])).unwrap().value, 0.5);
        assert_eq!(auroc(&cases(&[1.0], &[])), None);
        assert_eq!(auroc(&cases(&[], &[1.0])), None);
    }

    #[test]
    fn delongs_variance_by_hand() {
        // Placements of the positives 1/2 and 1, of the negatives 1 and 1/2: each scatters by 1/8, so the variance is
        // 1/8/2 + 1/8/2 = 1/8. In the logit: ln 3 ± 1.959964 · sqrt(1/8) / (3/16).
        let Auroc { value, interval } = auroc(&cases(&[0.35, 0.8], &[0.1, 0.4])).unwrap();
        close(value, 0.75);
        let reach = Z_95 * 0.125_f64.sqrt() / 0.1875;
        let expected = [3.0_f64.ln() - reach, 3.0_f64.ln() + reach].map(|z| 1.0 / (1.0 + (-z).exp()));
        let [low, high] = interval.unwrap();
        close(low, expected[0]);
        close(high, expected[1]);
        assert!((low - 0.069_3).abs() < 1e-4 && (high - 0.991_8).abs() < 1e-4);
    }

    #[test]
    fn classes_without_overlap_have_no_interval() {
        assert_eq!(auroc(&cases(&[3.0, 4.0], &[1.0, 2.0])), Some(Auroc { value: 1.0, interval: None }));
        let one_patient_a_class = auroc(&cases(&[3.0], &[1.0])).unwrap();
        assert_eq!(one_patient_a_class.interval, None);
    }

    #[test]
    fn the_same_images_twice_say_no_more() {
        let once = cases(&[0.35, 0.8, 0.6], &[0.1, 0.4, 0.7]);
        let twice = [once.clone(), once.clone()].concat();
        let (once, twice) = (auroc(&once).unwrap(), auroc(&twice).unwrap());
        close(twice.value, once.value);
        for (twice, once) in twice.interval.unwrap().into_iter().zip(once.interval.unwrap()) {
            close(twice, once);
        }
    }

    #[test]
    fn both_classes_of_a_patient_are_taken_together() {
        // Two patients with a positive and a negative image each; all placements less the area 0.75 are ±0.25.
        // Patient 0: positive 0.35 (1/2), negative 0.4 (1/2). Patient 1: positive 0.8 (1), negative 0.1 (1).
        // Sums: 2/1 · (2 · 0.0625) / 4 = 0.0625 for each class, and 2/1 · (2 · 0.0625) / 4 between them, twice.
        let mut four = cases(&[0.35, 0.8], &[0.4, 0.1]);
        four[2].patient = 0;
        four[3].patient = 1;
        let placements = placements(&four, &[0.35, 0.8, 0.4, 0.1]);
        close(variance(&four, &placements, 0.75).unwrap(), 0.0625 + 0.0625 + 2.0 * 0.0625);
    }

    #[test]
    fn paired_differences() {
        // First score: 3 of 4 pairs, second: all. Placements' differences: positives 1/2 and 0, negatives 0 and 1/2,
        // mean 1/4; they scatter by 1/8 in each class, so the variance is 1/8.
        let four = cases(&[0.35, 0.8], &[0.1, 0.4]);
        let found = paired(&four, &[0.9, 0.8, 0.1, 0.4]).unwrap();
        close(found.difference, 0.25);
        close(found.interval.unwrap()[0], 0.25 - Z_95 * 0.125_f64.sqrt());
        close(found.p.unwrap(), two_sided(0.25 / 0.125_f64.sqrt()));
        assert_eq!(found.first, auroc(&four).unwrap());
        let same = paired(&four, &[0.35, 0.8, 0.1, 0.4]).unwrap();
        assert_eq!((same.difference, same.interval, same.p), (0.0, None, None));
    }
}
