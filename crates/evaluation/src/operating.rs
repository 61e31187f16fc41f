use serde::Serialize;

use crate::{Case, Proportion, proportion};

/// What calling everything from a limit on positive does.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Operating {
    /// Scores from here on count as positive.
    pub limit: f64,
    /// Positive images from the limit on.
    pub true_positives: usize,
    /// Negative images from the limit on.
    pub false_positives: usize,
    /// Positive images below.
    pub false_negatives: usize,
    /// Negative images below.
    pub true_negatives: usize,
    /// Share of the positive images from the limit on.
    pub sensitivity: Option<Proportion>,
    /// Share of the negative images below.
    pub specificity: Option<Proportion>,
    /// Share of positives among the images from the limit on, as the cases are mixed.
    pub ppv: Option<Proportion>,
    /// Share of negatives among the images below, as the cases are mixed.
    pub npv: Option<Proportion>,
    /// The same where another share of all images is positive.
    pub at: Vec<Predictive>,
}

/// Predictive values where a stated share of images is positive.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Predictive {
    /// That share, 0 to 1.
    pub prevalence: f64,
    /// Share of positives among the images from the limit on.
    pub ppv: Option<f64>,
    /// Share of negatives among the images below.
    pub npv: Option<f64>,
}

/// What a limit does with the cases, and would do at each of `prevalences` (0 to 1).
#[must_use]
pub fn operating(cases: &[Case], limit: f64, prevalences: &[f64]) -> Operating {
    let called = |case: &Case| case.score >= limit;
    let count = |positive: bool, above: bool| {
        cases.iter().filter(|case| case.positive == positive && called(case) == above).count()
    };
    let share = |among: &dyn Fn(&Case) -> bool, holds: &dyn Fn(&Case) -> bool| {
        proportion(cases.iter().filter(|case| among(case)).map(|case| (holds(case), case.patient)))
    };
    let (positive, negative) = (|case: &Case| case.positive, |case: &Case| !case.positive);
    let below = |case: &Case| !called(case);
    let sensitivity = share(&positive, &called);
    let specificity = share(&negative, &below);
    let at = |prevalence: f64| {
        let rates = sensitivity.zip(specificity).map(|(sensitivity, specificity)| {
            let (missed, alarmed) = (1.0 - sensitivity.value, 1.0 - specificity.value);
            let ppv = posterior(sensitivity.value, alarmed, prevalence);
            (ppv, posterior(specificity.value, missed, 1.0 - prevalence))
        });
        let (ppv, npv) = rates.unwrap_or_default();
        Predictive { prevalence, ppv, npv }
    };
    Operating {
        limit,
        true_positives: count(true, true),
        false_positives: count(false, true),
        false_negatives: count(true, false),
        true_negatives: count(false, false),
        sensitivity,
        specificity,
        ppv: share(&called, &positive),
        npv: share(&below, &negative),
        at: prevalences.iter().map(|prevalence| at(*prevalence)).collect(),
    }
}

/// Of those a rule picks, the share that has what `prevalence` of all have, when it picks these shares of those with
/// and without it (Bayes); `None` where it picks nobody.
pub(crate) fn posterior(of_those_with: f64, of_those_without: f64, prevalence: f64) -> Option<f64> {
    let (right, wrong) = (of_those_with * prevalence, of_those_without * (1.0 - prevalence));
    (right + wrong > 0.0).then(|| right / (right + wrong))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ten() -> Vec<Case> {
        // From 0.5 on: 3 of 4 positives, 2 of 6 negatives.
        let scores = [0.9, 0.7, 0.5, 0.2, 0.8, 0.6, 0.4, 0.3, 0.1, 0.0];
        scores.iter().zip(0..).map(|(score, patient)| Case { score: *score, positive: patient < 4, patient }).collect()
    }

    #[test]
    fn a_limit_belongs_to_those_above() {
        let found = operating(&ten(), 0.5, &[0.1]);
        let counts = (found.true_positives, found.false_positives, found.false_negatives, found.true_negatives);
        assert_eq!(counts, (3, 2, 1, 4));
        let value = |share: Option<Proportion>| share.unwrap().value;
        assert_eq!((value(found.sensitivity), value(found.specificity)), (0.75, 4.0 / 6.0));
        assert_eq!((value(found.ppv), value(found.npv)), (0.6, 0.8));
        // 0.75 · 0.1 / (0.75 · 0.1 + 1/3 · 0.9) = 0.2; 2/3 · 0.9 / (2/3 · 0.9 + 0.25 · 0.1) = 0.96.
        let at = found.at[0];
        assert!((at.ppv.unwrap() - 0.2).abs() < 1e-12 && (at.npv.unwrap() - 0.96).abs() < 1e-12);
    }

    #[test]
    fn shares_of_nothing_are_none() {
        let found = operating(&ten(), 2.0, &[0.1]);
        assert_eq!((found.ppv, found.at[0].ppv, found.true_positives), (None, None, 0));
        assert_eq!(found.at[0].npv, Some(0.9));
        assert_eq!(operating(&ten()[..4], 0.5, &[0.1]).at[0], Predictive { prevalence: 0.1, ppv: None, npv: None });
    }
}
