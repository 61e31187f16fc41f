//! TID 1501, Measurement and Qualitative Evaluation Group: a finding without a region, one of an earlier
//! image, or an image the algorithm did not run on.

use dokuei_types::Finding;

use super::group::{asserted, band, measurement_group, site_and_algorithm};
use super::tid300::{self, certainty};
use super::tid1502;
use super::tid4019::algorithm;
use crate::codes;
use crate::header::{Basis, Earlier, Reference};
use crate::tree::{Item, Relationship, Value};

/// A finding below the marking threshold, which is not asserted, or above it without a region.
pub(super) fn finding(basis: &Basis<'_>, index: usize, image: &Reference, finding: &Finding) -> Item {
    let (identifier, uid) = basis.tracking(index, &finding.name);
    measurement_group("1501", identifier, uid)
        .with_all(tid1502::present(basis))
        .with_all(finding.is_marked().then(|| asserted(finding)))
        .with_all(site_and_algorithm(basis, finding))
        .with(certainty(finding, tid300::Basis::Image(image)))
        .with(band(finding))
        .with(source(image))
}

/// What the same version of the algorithm said of the earlier image, which the report does not assert again.
pub(super) fn earlier(basis: &Basis<'_>, earlier: &Earlier<'_>, finding: &Finding) -> Item {
    let (identifier, uid) = basis.earlier_tracking(earlier, &finding.name);
    measurement_group("1501", identifier, uid)
        .with(tid1502::earlier(earlier))
        .with_all(site_and_algorithm(basis, finding))
        .with(certainty(finding, tid300::Basis::Image(&earlier.reference)))
        .with(band(finding))
        .with(source(&earlier.reference))
}

/// That the algorithm has no result for an image, and why.
pub(super) fn not_analysed(basis: &Basis<'_>, index: usize, image: &Reference, why: String) -> Item {
    let (identifier, uid) = basis.tracking(index, &format!("{}/not-analysed", basis.input.model.name));
    measurement_group("1501", identifier, uid)
        .with_all(algorithm(basis, None))
        .with(Item::new(Relationship::Contains, codes::PROCESSING_SUMMARY, Value::Code(codes::NONE_SUCCEEDED)))
        .with(Item::new(Relationship::Contains, codes::COMMENT, Value::Text(why)))
        .with(source(image))
}

fn source(image: &Reference) -> Item {
    Item::new(Relationship::Contains, codes::SOURCE_OF_MEASUREMENT, Value::Image(image.clone()))
}
