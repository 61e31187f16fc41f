use std::collections::BTreeSet;

use serde::Serialize;

use crate::operating::posterior;
use crate::{Auroc, Calibration, Case, Operating, auroc, calibration, operating};

/// Everything there is to say of one set of cases.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// Images.
    pub images: usize,
    /// Whose they are.
    pub patients: usize,
    /// Positive images.
    pub positives: usize,
    /// Negative images.
    pub negatives: usize,
    /// `None` where a class is missing.
    pub auroc: Option<Auroc>,
    /// As the cases are mixed, then at each stated prevalence.
    pub calibration: Vec<Calibration>,
    /// What each limit does.
    pub limits: Vec<Operating>,
    /// The images between the limits of the bands, lowest band first.
    pub bands: Vec<Cell>,
}

/// The images of one confidence band.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cell {
    /// Scores from here on, up to the next band.
    pub from: f64,
    /// Positive images.
    pub positives: usize,
    /// Negative images.
    pub negatives: usize,
    /// The share of positives in the band at each stated prevalence, in their order; `None` where the band is empty.
    pub positive_at: Vec<Option<f64>>,
}

impl Figures {
    /// Figures of cases. `bands` are the limits between confidence bands, rising; `limits` are all limits of interest;
    /// `prevalences` are shares of positives, 0 to 1, for which predictive values are wanted.
    #[must_use]
    pub fn of(cases: &[Case], bands: &[f64], limits: &[f64], prevalences: &[f64]) -> Self {
        let positives = cases.iter().filter(|case| case.positive).count();
        let stated = prevalences.iter().filter_map(|prevalence| calibration(cases, Some(*prevalence)));
        Self {
            images: cases.len(),
            patients: cases.iter().map(|case| case.patient).collect::<BTreeSet<_>>().len(),
            positives,
            negatives: cases.len() - positives,
            auroc: auroc(cases),
            calibration: calibration(cases, None).into_iter().chain(stated).collect(),
            limits: limits.iter().map(|limit| operating(cases, *limit, prevalences)).collect(),
            bands: cells(cases, bands, prevalences),
        }
    }
}

fn cells(cases: &[Case], bands: &[f64], prevalences: &[f64]) -> Vec<Cell> {
    let all = |positive: bool| cases.iter().filter(|case| case.positive == positive).count() as f64;
    let edges: Vec<f64> = std::iter::once(f64::NEG_INFINITY).chain(bands.iter().copied()).collect();
    let cell = |(index, from): (usize, &f64)| {
        let below = edges.get(index + 1).copied().unwrap_or(f64::INFINITY);
        let inside = |positive: bool| {
            cases.iter().filter(|case| case.positive == positive && (*from..below).contains(&case.score)).count()
        };
        let (positives, negatives) = (inside(true), inside(false));
        let share = |prevalence: &f64| {
            if all(true) == 0.0 || all(false) == 0.0 {
                return None;
            }
            posterior(positives as f64 / all(true), negatives as f64 / all(false), *prevalence)
        };
        let positive_at = prevalences.iter().map(share).collect();
        Cell { from: from.max(0.0), positives, negatives, positive_at }
    };
    edges.iter().enumerate().map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_hold_every_image_once() {
        let of = [(0.0, false), (0.29, true), (0.3, false), (0.64, true), (0.65, true), (1.0, true)];
        let cases: Vec<Case> =
            of.iter().map(|&(score, positive)| Case { score, positive, patient: usize::from(positive) }).collect();
        let figures = Figures::of(&cases, &[0.3, 0.65], &[0.3, 0.5, 0.65], &[0.5]);
        let counts: Vec<_> = figures.bands.iter().map(|cell| (cell.from, cell.positives, cell.negatives)).collect();
        assert_eq!(counts, [(0.0, 1, 1), (0.3, 1, 1), (0.65, 2, 0)]);
        // A quarter of the positives and half of the negatives are Low: at even odds a third is positive.
        assert!((figures.bands[0].positive_at[0].unwrap() - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!((figures.images, figures.patients, figures.positives, figures.negatives), (6, 2, 4, 2));
        assert_eq!((figures.limits.len(), figures.calibration.len()), (3, 2));
    }
}
