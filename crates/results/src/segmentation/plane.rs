//! Where frames lie in the patient, as far as their sources say.

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;

use super::Frame;
use crate::decimal::decimals;
use crate::header::functional_group;

/// The place of a frame: items of the macros of PS3.3 C.7.6.16.2.
pub(super) struct Plane {
    /// Of Plane Position (Patient).
    pub(super) position: Dataset,
    pub(super) grid: Grid,
}

/// What most frames of an image have in common.
#[derive(PartialEq)]
pub(super) struct Grid {
    /// Of Plane Orientation (Patient).
    orientation: Dataset,
    /// Of Pixel Measures.
    measures: Dataset,
}

impl Grid {
    pub(super) fn put(&self, groups: &mut Dataset) {
        groups.put_items(tags::PLANE_ORIENTATION_SEQUENCE, vec![self.orientation.clone()]);
        groups.put_items(tags::PIXEL_MEASURES_SEQUENCE, vec![self.measures.clone()]);
    }
}

/// The planes of all frames, which a Segmentation has where it has a Frame of Reference and else must not have
/// (PS3.3 A.51.5). `None` unless every source says its own, in the same Frame of Reference: a projection has none.
pub(super) fn of(frames: &[Frame<'_>]) -> Option<Vec<Plane>> {
    let frame_of_reference = |frame: &Frame<'_>| frame.header.uid(tags::FRAME_OF_REFERENCE_UID);
    let first = frame_of_reference(frames.first()?)?;
    let is_same = |frame: &Frame<'_>| frame_of_reference(frame).as_ref() == Some(&first);
    frames.iter().map(|frame| plane(frame).filter(|_| is_same(frame))).collect()
}

fn plane(frame: &Frame<'_>) -> Option<Plane> {
    let position = item(frame, tags::PLANE_POSITION_SEQUENCE, tags::IMAGE_POSITION_PATIENT, 3)?;
    let orientation = item(frame, tags::PLANE_ORIENTATION_SEQUENCE, tags::IMAGE_ORIENTATION_PATIENT, 6)?;
    let mut measures = item(frame, tags::PIXEL_MEASURES_SEQUENCE, tags::PIXEL_SPACING, 2)?;
    if measures.floats(tags::PIXEL_SPACING).iter().any(|mm| *mm <= 0.0) {
        return None;
    }
    // Validators and highdicom refuse Pixel Measures without it, and an image may have it empty.
    let thickness = item(frame, tags::PIXEL_MEASURES_SEQUENCE, tags::SLICE_THICKNESS, 1)?;
    measures.put(thickness.get(tags::SLICE_THICKNESS)?.clone());
    Some(Plane { position, grid: Grid { orientation, measures } })
}

/// An item with `count` numbers of an attribute, which a single image has in its header and a frame in the functional
/// group `sequence`.
fn item(frame: &Frame<'_>, sequence: Tag, tag: Tag, count: usize) -> Option<Dataset> {
    let (header, number) = (frame.header, frame.reference.frame);
    let group = functional_group(header, number, sequence).or_else(|| number.is_none().then_some(header))?;
    let values = group.floats(tag);
    if values.len() != count || !values.iter().all(|value| value.is_finite()) {
        return None;
    }
    let mut item = Dataset::new();
    item.put_text(tag, VR::DS, &decimals(group, tag, count));
    Some(item)
}
