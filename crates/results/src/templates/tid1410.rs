//! TID 1410, Planar ROI Measurements and Qualitative Evaluations: a finding with a region, one group a region.
//!
//! The region is the upright rectangle around the marked area. An activation map is too coarse for more, and
//! viewers that load a report's regions for editing take rectangles and no other polygon; the outline itself is
//! in the secondary capture.

use dicom_dictionary_std::tags;
use dokuei_types::{Finding, Region};

use super::group::{asserted, band, measurement_group, site_and_algorithm, tracking};
use super::tid300::{self, certainty, selected_from};
use crate::ResultError;
use crate::codes;
use crate::header::{Basis, Reference};
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
    let size = image_size(basis, index);
    let mut groups = Vec::with_capacity(finding.regions.len());
    for (number, region) in finding.regions.iter().enumerate() {
        let outline = rectangle(region, size)
            .ok_or_else(|| ResultError::Region { finding: finding.name.clone(), region: number })?;
        let (identifier, uid) =
            tracking(basis, index, &format!("{}/region-{}", finding.name, number.saturating_add(1)));
        let mut group = measurement_group("1410", identifier, uid)
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

/// Columns and rows of the source; where it does not say, nothing is out of bounds.
fn image_size(basis: &Basis<'_>, index: usize) -> [f32; 2] {
    let Some(header) = basis.input.sources.get(index).map(|source| source.header) else {
        return [f32::MAX; 2];
    };
    [tags::COLUMNS, tags::ROWS].map(|tag| {
        let size = header.int(tag).and_then(|size| u16::try_from(size).ok()).filter(|size| *size > 0);
        size.map_or(f32::MAX, f32::from)
    })
}

/// The rectangle around an outline, its first vertex repeated at the end, pulled into the image: a map scaled
/// back to the source may end a fraction of a pixel outside. `None` when nothing of it is inside.
fn rectangle(region: &Region, [columns, rows]: [f32; 2]) -> Option<Vec<[f32; 2]>> {
    if region.outline.len() < 3 || region.outline.as_flattened().iter().any(|c| !c.is_finite()) {
        return None;
    }
    let bounds = |axis: usize, size: f32| {
        let along = region.outline.iter().filter_map(|vertex| vertex.get(axis)).map(|c| c.clamp(0.0, size));
        along.fold([f32::MAX, f32::MIN], |[low, high], c| [low.min(c), high.max(c)])
    };
    let ([left, right], [top, bottom]) = (bounds(0, columns), bounds(1, rows));
    let is_area = left < right && top < bottom;
    is_area.then(|| vec![[left, top], [right, top], [right, bottom], [left, bottom], [left, top]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(outline: &[[f32; 2]]) -> Region {
        Region { outline: outline.to_vec(), peak: 1.0 }
    }

    #[test]
    fn rectangles_are_closed_and_inside() {
        let outline = [[-0.5, 2.25], [8.0, 1.5], [10.5, 9.0]];
        let expected = [[0.0, 1.5], [10.0, 1.5], [10.0, 8.0], [0.0, 8.0], [0.0, 1.5]];
        assert_eq!(rectangle(&region(&outline), [10.0, 8.0]).unwrap(), expected);
    }

    #[test]
    fn what_is_no_area_is_refused() {
        let check = |outline: &[[f32; 2]]| assert_eq!(rectangle(&region(outline), [9.0; 2]), None);
        check(&[[1.0, 1.0], [2.0, 2.0]]);
        check(&[[1.0, 1.0], [f32::NAN, 2.0], [3.0, 4.0]]);
        check(&[[20.0, 20.0], [30.0, 20.0], [30.0, 30.0]]);
        check(&[[1.0, 1.0], [3.0, 1.0], [2.0, 1.0]]);
    }
}
