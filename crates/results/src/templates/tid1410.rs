//! TID 1410, Planar ROI Measurements and Qualitative Evaluations: a finding with a region, one group a region.
//!
//! The region is the upright rectangle around the marked area. An activation map is too coarse for more, and
//! viewers that load a report's regions for editing take rectangles and no other polygon; the outline itself is
//! in the secondary capture.

use dokuei_types::Finding;

use super::group::{asserted, band, measurement_group, site_and_algorithm};
use super::tid300::{self, certainty, selected_from};
use super::tid1502;
use crate::ResultError;
use crate::codes;
use crate::header::{Basis, Reference};
use crate::outline;
use crate::tree::{Item, Relationship, Value};

/// One group for each region. The certainty belongs to the finding, so the first group alone has it.
///
/// # Errors
/// [`ResultError::Region`]: an outline has fewer than three vertices, one that is not a number, or no area inside
/// the image.
pub(super) fn regions(
    basis: &Basis<'_>,
    index: usize,
    image: &Reference,
    finding: &Finding,
    heat_map: Option<&Reference>,
) -> Result<Vec<Item>, ResultError> {
    let mut groups = Vec::with_capacity(finding.regions.len());
    for number in 0..finding.regions.len() {
        let outline = outline::rectangle(&outline::of_region(basis, index, finding, number)?);
        let (identifier, uid) = basis.region_tracking(index, &finding.name, number);
        let mut group = measurement_group("1410", identifier, uid)
            .with_all(tid1502::present(basis))
            .with(asserted(finding))
            .with_all(site_and_algorithm(basis, finding));
        if number == 0 {
            group = group
                .with(certainty(finding, tid300::Basis::Region { outline: outline.clone(), image }))
                .with(band(finding));
        }
        group = group
            .with(Item::new(Relationship::Contains, codes::GEOMETRIC_PURPOSE, Value::Code(codes::BOUNDED_BY)))
            .with(
                Item::new(Relationship::Contains, codes::IMAGE_REGION, Value::Polyline(outline))
                    .with(selected_from(image)),
            );
        if let Some(heat_map) = heat_map {
            group = group.with(Item::new(
                Relationship::Contains,
                codes::ILLUSTRATION_OF_ROI,
                Value::Image(heat_map.clone()),
            ));
        }
        groups.push(group);
    }
    Ok(groups)
}
