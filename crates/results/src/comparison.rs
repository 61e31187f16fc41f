//! A result beside an earlier one of the same patient and the same version of the model.

use std::fmt;

use dokuei_dataset::Dataset;
use dokuei_types::Finding;
use jiff::civil::Date;

use crate::templates::percent;

/// Percentage points up to which a certainty counts as unchanged. A convention: no statistics of repeated images are behind
/// it, and what is beyond need not be a change of the patient.
pub const UNCHANGED_WITHIN_POINTS: u16 = 10;

/// What reports say without one.
pub(crate) const NO_PRIOR: &str = "No earlier result was at hand to compare with.";

/// What a result is compared with.
#[derive(Debug, Clone, Copy, Default)]
pub enum Comparison<'a> {
    /// Nothing: nobody asked.
    #[default]
    NotAsked,
    /// Nothing: there is no earlier result that it could be compared with.
    NoPrior,
    /// An earlier image.
    Prior(Prior<'a>),
}

/// A single-frame image of the same patient that was taken before, in another study, and what the same version of the model
/// said of it.
#[derive(Debug, Clone, Copy)]
pub struct Prior<'a> {
    /// The image's header.
    pub header: &'a Dataset,
    /// What was said of it.
    pub findings: &'a [Finding],
}

impl<'a> Prior<'a> {
    /// What was said of the same condition as in `finding`.
    #[must_use]
    pub fn of(&self, finding: &Finding) -> Option<&'a Finding> {
        self.findings.iter().find(|known| known.name == finding.name && known.concept == finding.concept)
    }
}

/// From one certainty to a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    tenths: i32,
}

/// The word for a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trend {
    /// By more than [`UNCHANGED_WITHIN_POINTS`].
    Increased,
    /// By no more than [`UNCHANGED_WITHIN_POINTS`].
    Unchanged,
    /// By more than [`UNCHANGED_WITHIN_POINTS`].
    Decreased,
}

impl Trend {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Increased => "increased",
            Self::Unchanged => "unchanged",
            Self::Decreased => "decreased",
        }
    }
}

impl Change {
    /// The change between two probabilities of 0 to 1: the difference of what is shown of them, percent with one decimal, so
    /// that readers who subtract come to the same.
    #[must_use]
    pub fn between(earlier: f32, later: f32) -> Self {
        Self { tenths: tenths(later).saturating_sub(tenths(earlier)) }
    }

    /// In percentage points, with one decimal.
    #[must_use]
    pub fn points(self) -> f64 {
        f64::from(self.tenths) / 10.0
    }

    /// Its word.
    #[must_use]
    pub fn trend(self) -> Trend {
        let within = i32::from(UNCHANGED_WITHIN_POINTS).saturating_mul(10);
        match self.tenths {
            tenths if tenths > within => Trend::Increased,
            tenths if tenths < -within => Trend::Decreased,
            _ => Trend::Unchanged,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, points) = (self.trend().as_str(), self.points());
        match self.trend() {
            Trend::Unchanged => write!(f, "{word} within {UNCHANGED_WITHIN_POINTS} percentage points ({points:+.1})"),
            Trend::Increased | Trend::Decreased => write!(f, "{word} by {:.1} percentage points", points.abs()),
        }
    }
}

/// What was said of a finding before, and what became of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Changed<'a> {
    pub(crate) before: &'a Finding,
    /// When the earlier image was taken.
    pub(crate) date: Date,
    pub(crate) change: Change,
}

impl Changed<'_> {
    /// The certainty before, in percent.
    pub(crate) fn certainty(&self) -> String {
        percent(self.before.probability, self.before.marking_threshold)
    }
}

impl fmt::Display for Changed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} % on {}, {}", self.certainty(), self.date, self.change)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "probabilities give 0 to 1000, and the cast saturates")]
fn tenths(probability: f32) -> i32 {
    (f64::from(probability) * 1000.0).round() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_the_difference_of_what_is_shown() {
        let check = |earlier, later, points: f64, words: &str| {
            let change = Change::between(earlier, later);
            assert_eq!((change.points(), change.to_string().as_str()), (points, words));
        };
        check(0.341, 0.554, 21.3, "increased by 21.3 percentage points");
        check(0.9, 0.1, -80.0, "decreased by 80.0 percentage points");
        check(0.5, 0.6, 10.0, "unchanged within 10 percentage points (+10.0)");
        check(0.5, 0.6006, 10.1, "increased by 10.1 percentage points");
        check(0.6, 0.5, -10.0, "unchanged within 10 percentage points (-10.0)");
        check(0.3, 0.3, 0.0, "unchanged within 10 percentage points (+0.0)");
        // 34.04 and 55.36 are shown as 34.0 and 55.4.
        check(0.3404, 0.5536, 21.4, "increased by 21.4 percentage points");
    }
}
