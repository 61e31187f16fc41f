//! Multi-frame Functional Groups and Multi-frame Dimension (PS3.3 C.7.6.16, C.7.6.17, with the macros of A.51.5).

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;

use super::Frame;
use super::plane::{self, Plane};
use crate::codes;
use crate::header::{Basis, copy_or_empty, source_item};
use crate::tree::code_item;

/// The one stack: the sources in which something is marked, in their order.
const STACK: &str = "1";

pub(super) fn put(data: &mut Dataset, basis: &Basis<'_>, frames: &[Frame<'_>]) {
    // Of one source, its number says nothing.
    let stacked = basis.references.len() > 1;
    dimensions(data, basis, stacked);
    data.put_text(tags::NUMBER_OF_FRAMES, VR::IS, &frames.len().to_string());

    let mut places: Vec<usize> = frames.iter().map(|frame| frame.index).collect();
    places.sort_unstable();
    places.dedup();
    let mut items: Vec<Dataset> = frames
        .iter()
        .map(|frame| {
            let place = stacked.then(|| places.partition_point(|place| *place < frame.index) + 1);
            let mut item = Dataset::new();
            item.put_items(tags::FRAME_CONTENT_SEQUENCE, vec![content(frame, place)]);
            item.put_items(tags::DERIVATION_IMAGE_SEQUENCE, vec![derivation(basis, frame)]);
            item.put_items(tags::SEGMENT_IDENTIFICATION_SEQUENCE, vec![segment(frame)]);
            item
        })
        .collect();
    let mut shared = Dataset::new();
    if let Some(planes) = plane::of(frames) {
        frame_of_reference(data, frames);
        located(&mut shared, &mut items, &planes);
    }
    data.put_items(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, vec![shared]);
    data.put_items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, items);
}

/// By segment, and by source where there are several.
fn dimensions(data: &mut Dataset, basis: &Basis<'_>, stacked: bool) {
    let organization = basis.uid(&basis.references, &["segmentation", "dimensions"]);
    let mut item = Dataset::new();
    item.put_text(tags::DIMENSION_ORGANIZATION_UID, VR::UI, organization.as_str());
    data.put_items(tags::DIMENSION_ORGANIZATION_SEQUENCE, vec![item.clone()]);
    let index = |pointer: Tag, group: Tag, label: &str| {
        let mut item = item.clone();
        item.put_bytes(tags::DIMENSION_INDEX_POINTER, VR::AT, attribute(pointer));
        item.put_bytes(tags::FUNCTIONAL_GROUP_POINTER, VR::AT, attribute(group));
        item.put_text(tags::DIMENSION_DESCRIPTION_LABEL, VR::LO, label);
        item
    };
    let mut indices =
        vec![index(tags::REFERENCED_SEGMENT_NUMBER, tags::SEGMENT_IDENTIFICATION_SEQUENCE, "Segment Number")];
    if stacked {
        indices.push(index(tags::IN_STACK_POSITION_NUMBER, tags::FRAME_CONTENT_SEQUENCE, "Source"));
    }
    data.put_items(tags::DIMENSION_INDEX_SEQUENCE, indices);
}

/// A value of VR AT (PS3.5 § 6.2).
fn attribute(Tag(group, element): Tag) -> Vec<u8> {
    [group, element].into_iter().flat_map(u16::to_le_bytes).collect()
}

/// Frame Content (PS3.3 C.7.6.16.2.2).
fn content(frame: &Frame<'_>, place: Option<usize>) -> Dataset {
    let mut item = Dataset::new();
    let mut values = vec![u32::from(frame.segment)];
    if let Some(place) = place {
        item.put_text(tags::STACK_ID, VR::SH, STACK);
        let place = u32::try_from(place).unwrap_or(u32::MAX);
        item.put_u32(tags::IN_STACK_POSITION_NUMBER, &[place]);
        values.push(place);
    }
    item.put_u32(tags::DIMENSION_INDEX_VALUES, &values);
    item
}

/// Derivation Image (PS3.3 C.7.6.16.2.6) with the codes of A.51.5.1.
fn derivation(basis: &Basis<'_>, frame: &Frame<'_>) -> Dataset {
    let mut item = Dataset::new();
    item.put_items(tags::SOURCE_IMAGE_SEQUENCE, vec![source_item(frame.reference, &basis.envelope.text)]);
    item.put_items(tags::DERIVATION_CODE_SEQUENCE, vec![code_item(&codes::SEGMENTATION, &basis.envelope.text)]);
    item
}

/// Segmentation (PS3.3 C.8.20.3.1).
fn segment(frame: &Frame<'_>) -> Dataset {
    let mut item = Dataset::new();
    item.put_u16(tags::REFERENCED_SEGMENT_NUMBER, &[frame.segment]);
    item
}

/// Frame of Reference (PS3.3 C.7.4.1).
fn frame_of_reference(data: &mut Dataset, frames: &[Frame<'_>]) {
    if let Some(first) = frames.first() {
        copy_or_empty(first.header, data, tags::FRAME_OF_REFERENCE_UID, VR::UI);
        copy_or_empty(first.header, data, tags::POSITION_REFERENCE_INDICATOR, VR::LO);
    }
}

/// Plane Position, Plane Orientation and Pixel Measures: what is the same of all frames among the shared groups.
fn located(shared: &mut Dataset, items: &mut [Dataset], planes: &[Plane]) {
    let Some(first) = planes.first() else { return };
    let is_common = planes.iter().all(|plane| plane.grid == first.grid);
    if is_common {
        first.grid.put(shared);
    }
    for (item, plane) in items.iter_mut().zip(planes) {
        item.put_items(tags::PLANE_POSITION_SEQUENCE, vec![plane.position.clone()]);
        if !is_common {
            plane.grid.put(item);
        }
    }
}
