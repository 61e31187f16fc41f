//! Outlines of regions, checked and brought inside their image: what report, presentation state, page and
//! segmentation draw is the same area.

use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;
use dokuei_types::{Finding, Region};

use crate::ResultError;
use crate::header::Basis;

/// `[column, row]` vertices in pixels of the source, inside it, the first not repeated.
pub(crate) type Outline = Vec<[f32; 2]>;

/// Whether a finding has regions that count.
pub(crate) fn is_located(finding: &Finding) -> bool {
    finding.is_marked() && !finding.regions.is_empty()
}

/// The outline of one region of a finding in source `index`.
///
/// # Errors
/// [`ResultError::Region`]: fewer than three vertices, one that is not a number, or no area inside the image.
pub(crate) fn of_region(
    basis: &Basis<'_>,
    index: usize,
    finding: &Finding,
    region: usize,
) -> Result<Outline, ResultError> {
    let size = basis.input.sources.get(index).map_or([f32::MAX; 2], |source| image_size(source.header));
    let inside = finding.regions.get(region).and_then(|region| inside(region, size));
    inside.ok_or_else(|| ResultError::Region { finding: finding.name.clone(), region })
}

/// The upright rectangle around an outline, its first vertex repeated at the end.
pub(crate) fn rectangle(outline: &[[f32; 2]]) -> Outline {
    let ([left, top], [right, bottom]) = corners(outline);
    vec![[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
}

/// An outline with its first vertex repeated at the end.
pub(crate) fn closed(mut outline: Outline) -> Outline {
    outline.extend(outline.first().copied());
    outline
}

/// Upper left and lower right corner of the rectangle around some vertices.
pub(crate) fn corners(vertices: &[[f32; 2]]) -> ([f32; 2], [f32; 2]) {
    vertices.iter().fold(([f32::MAX; 2], [f32::MIN; 2]), |([left, top], [right, bottom]), [x, y]| {
        ([left.min(*x), top.min(*y)], [right.max(*x), bottom.max(*y)])
    })
}

/// Columns and rows of an image; where it does not say, nothing is out of bounds.
fn image_size(header: &Dataset) -> [f32; 2] {
    [tags::COLUMNS, tags::ROWS].map(|tag| {
        let size = header.int(tag).and_then(|size| u16::try_from(size).ok()).filter(|size| *size > 0);
        size.map_or(f32::MAX, f32::from)
    })
}

/// The outline pulled into the image: a map scaled back to the source may end a fraction of a pixel outside.
/// `None` when nothing of it is inside.
fn inside(region: &Region, [columns, rows]: [f32; 2]) -> Option<Outline> {
    if region.outline.len() < 3 || region.outline.as_flattened().iter().any(|c| !c.is_finite()) {
        return None;
    }
    let outline: Outline = region.outline.iter().map(|[x, y]| [x.clamp(0.0, columns), y.clamp(0.0, rows)]).collect();
    let ([left, top], [right, bottom]) = corners(&outline);
    (left < right && top < bottom).then_some(outline)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(outline: &[[f32; 2]]) -> Region {
        Region { outline: outline.to_vec(), peak: 1.0 }
    }

    #[test]
    fn outlines_are_inside_and_rectangles_closed() {
        let outline = inside(&region(&[[-0.5, 2.25], [8.0, 1.5], [10.5, 9.0]]), [10.0, 8.0]).unwrap();
        assert_eq!(outline, [[0.0, 2.25], [8.0, 1.5], [10.0, 8.0]]);
        assert_eq!(rectangle(&outline), [[0.0, 1.5], [10.0, 1.5], [10.0, 8.0], [0.0, 8.0], [0.0, 1.5]]);
        assert_eq!(closed(outline), [[0.0, 2.25], [8.0, 1.5], [10.0, 8.0], [0.0, 2.25]]);
    }

    #[test]
    fn what_is_no_area_is_refused() {
        let check = |outline: &[[f32; 2]]| assert_eq!(inside(&region(outline), [9.0; 2]), None);
        check(&[[1.0, 1.0], [2.0, 2.0]]);
        check(&[[1.0, 1.0], [f32::NAN, 2.0], [3.0, 4.0]]);
        check(&[[20.0, 20.0], [30.0, 20.0], [30.0, 30.0]]);
        check(&[[1.0, 1.0], [3.0, 1.0], [2.0, 1.0]]);
    }
}
