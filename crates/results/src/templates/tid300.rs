//! TID 300 Measurement, as it is used for the certainty of a finding, and the numbers in it.

use dokuei_types::Finding;

use crate::codes::{self, Concept};
use crate::decimal::decimal;
use crate::header::Reference;
use crate::tree::{Item, Relationship, Value};

/// What the certainty was read from.
pub(super) enum Basis<'a> {
    /// A region of an image: the outline again, since viewers look for it under the number.
    Region {
        outline: Vec<[f32; 2]>,
        image: &'a Reference,
    },
    Image(&'a Reference),
}

/// Certainty of Finding in percent, with the finding it is about: so a certainty can be stated of a condition
/// that the report does not assert.
pub(super) fn certainty(finding: &Finding, basis: Basis<'_>) -> Item {
    let number = Value::Number { value: percent(finding.probability, finding.marking_threshold), unit: codes::PERCENT };
    let source = match basis {
        Basis::Region { outline, image } => from(Value::Polyline(outline)).with(selected_from(image)),
        Basis::Image(image) => from(Value::Image(image.clone())),
    };
    Item::new(Relationship::Contains, codes::CERTAINTY_OF_FINDING, number)
        .with(Item::new(Relationship::HasConceptMod, codes::FINDING, Value::Code(Concept::from(&finding.concept))))
        .with(source)
}

fn from(value: Value) -> Item {
    Item::new(Relationship::InferredFrom, codes::SOURCE_OF_MEASUREMENT, value)
}

/// The image a region lies in.
pub(super) fn selected_from(image: &Reference) -> Item {
    Item::new(Relationship::SelectedFrom, codes::SOURCE, Value::Image(image.clone()))
}

/// A probability of 0 to 1 in percent with one decimal, or with more where one would say something else: that
/// the threshold is reached when it is not, or that the finding is impossible or certain.
pub(crate) fn percent(probability: f32, threshold: f32) -> String {
    let exact = f64::from(probability) * 100.0;
    let threshold = f64::from(threshold) * 100.0;
    let tells_the_truth = |text: &str| {
        let shown: f64 = text.parse().unwrap_or(exact);
        (shown >= threshold) == (exact >= threshold)
            && (shown <= 0.0) == (exact <= 0.0)
            && (shown >= 100.0) == (exact >= 100.0)
    };
    (1..6)
        .map(|decimals| format!("{exact:.decimals$}"))
        .find(|text| tells_the_truth(text))
        .unwrap_or_else(|| decimal(exact))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_has_one_decimal_unless_that_would_mislead() {
        let check = |probability, threshold, expected: &str| {
            assert_eq!(percent(probability, threshold), expected);
        };
        check(0.873, 0.5, "87.3");
        check(0.031, 0.5, "3.1");
        check(0.0, 0.5, "0.0");
        check(1.0, 0.5, "100.0");
        check(0.5, 0.5, "50.0");
        check(0.499_96, 0.5, "49.996");
        check(0.000_02, 0.5, "0.002");
        check(0.9999, 0.5, "99.99");
    }
}
