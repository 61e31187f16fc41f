//! What TID 1410 and TID 1501 have in common.

use dokuei_types::{Finding, Uid};

use super::tid4019::algorithm;
use crate::codes::{self, Concept};
use crate::header::Basis;
use crate::tree::{Item, Relationship, Value};

/// A Measurement Group with its tracking identifiers, which readers expect as the first two items.
pub(super) fn measurement_group(template: &'static str, identifier: String, uid: Uid) -> Item {
    Item::heading(codes::MEASUREMENT_GROUP, Some(template))
        .with(Item::new(Relationship::HasObsContext, codes::TRACKING_IDENTIFIER, Value::Text(identifier)))
        .with(Item::new(Relationship::HasObsContext, codes::TRACKING_UNIQUE_IDENTIFIER, Value::Uid(uid)))
}

/// The finding as asserted; only for a probability that reaches the marking threshold.
pub(super) fn asserted(finding: &Finding) -> Item {
    Item::new(Relationship::Contains, codes::FINDING, Value::Code(Concept::from(&finding.concept)))
}

/// Finding Site and the algorithm.
pub(super) fn site_and_algorithm(basis: &Basis<'_>, finding: &Finding) -> Vec<Item> {
    let site = finding
        .site
        .as_ref()
        .map(|site| Item::new(Relationship::HasConceptMod, codes::FINDING_SITE, Value::Code(Concept::from(site))));
    site.into_iter().chain(algorithm(basis, Some(finding))).collect()
}

/// The confidence band.
pub(super) fn band(finding: &Finding) -> Item {
    let category = Value::Code(codes::assessment(finding.band));
    Item::new(Relationship::Contains, codes::ASSESSMENT_CATEGORY, category)
}
