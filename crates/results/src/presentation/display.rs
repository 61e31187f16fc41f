//! How the pixels themselves are shown: as the source asks. A presentation state replaces all that the image
//! says of its display (PS3.4 § N.2), so each of it is repeated.

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;

use super::{Kind, Marked, icc_profile};
use crate::decimal::decimals;
use crate::header::{copy, copy_if_valid, functional_group, reference_item};

/// Black as PCS values (PS3.3 C.10.7.1.1).
const BLACK: [u16; 3] = [0, 0x8080, 0x8080];

pub(super) fn put(data: &mut Dataset, kind: Kind, marked: &[Marked<'_>]) {
    let Some(first) = marked.first() else { return };
    shutter(data, kind, first.header);
    match kind {
        Kind::Grayscale => {
            modality_lut(data, first);
            voi_luts(data, marked);
            presentation_lut(data, first.header);
        }
        Kind::Color => icc_profile::put(data, first.header),
    }
    data.put_items(tags::DISPLAYED_AREA_SELECTION_SEQUENCE, marked.iter().map(displayed_area).collect());
}

/// Display Shutter (PS3.3 C.7.6.11) with the value it is filled with (C.11.12): black.
fn shutter(data: &mut Dataset, kind: Kind, header: &Dataset) {
    const SHUTTER: [(Tag, VR); 8] = [
        (tags::SHUTTER_SHAPE, VR::CS),
        (tags::SHUTTER_LEFT_VERTICAL_EDGE, VR::IS),
        (tags::SHUTTER_RIGHT_VERTICAL_EDGE, VR::IS),
        (tags::SHUTTER_UPPER_HORIZONTAL_EDGE, VR::IS),
        (tags::SHUTTER_LOWER_HORIZONTAL_EDGE, VR::IS),
        (tags::CENTER_OF_CIRCULAR_SHUTTER, VR::IS),
        (tags::RADIUS_OF_CIRCULAR_SHUTTER, VR::IS),
        (tags::VERTICES_OF_THE_POLYGONAL_SHUTTER, VR::IS),
    ];
    for (tag, vr) in SHUTTER {
        copy_if_valid(header, data, tag, vr);
    }
    if data.contains(tags::SHUTTER_SHAPE) {
        data.put_u16(tags::SHUTTER_PRESENTATION_VALUE, &[0]);
        if kind == Kind::Color {
            data.put_u16(tags::SHUTTER_PRESENTATION_COLOR_CIE_LAB_VALUE, &BLACK);
        }
    }
}

/// Modality LUT (PS3.3 C.11.1). Rescale Type is of type 1 here; US is "unspecified".
fn modality_lut(data: &mut Dataset, first: &Marked<'_>) {
    if let Some(table) = first.header.items(tags::MODALITY_LUT_SEQUENCE).first() {
        data.put_items(tags::MODALITY_LUT_SEQUENCE, vec![table.clone()]);
        return;
    }
    let group = group(first, tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE).unwrap_or(first.header);
    if group.float(tags::RESCALE_SLOPE).is_none() || group.float(tags::RESCALE_INTERCEPT).is_none() {
        return;
    }
    for tag in [tags::RESCALE_INTERCEPT, tags::RESCALE_SLOPE] {
        data.put_text(tag, VR::DS, &decimals(group, tag, 1));
    }
    data.put_text(tags::RESCALE_TYPE, VR::LO, "US");
    copy(group, data, tags::RESCALE_TYPE, VR::LO);
}

/// Softcopy VOI LUT (PS3.3 C.11.8).
fn voi_luts(data: &mut Dataset, marked: &[Marked<'_>]) {
    let items: Vec<Dataset> = marked.iter().filter_map(voi_lut).collect();
    if !items.is_empty() {
        data.put_items(tags::SOFTCOPY_VOILUT_SEQUENCE, items);
    }
}

/// An item of it for one frame: the first table of the source, else its first window; `None`
/// where it has neither.
fn voi_lut(frame: &Marked<'_>) -> Option<Dataset> {
    let mut item = Dataset::new();
    if let Some(table) = frame.header.items(tags::VOILUT_SEQUENCE).first() {
        item.put_items(tags::VOILUT_SEQUENCE, vec![table.clone()]);
    } else {
        let usable = |group: &&Dataset| {
            let [center, width] = [tags::WINDOW_CENTER, tags::WINDOW_WIDTH].map(|tag| group.float(tag));
            center.is_some_and(f64::is_finite) && width.is_some_and(|width| width > 0.0)
        };
        let groups = [group(frame, tags::FRAME_VOILUT_SEQUENCE), Some(frame.header)];
        let group = groups.into_iter().flatten().find(usable)?;
        for tag in [tags::WINDOW_CENTER, tags::WINDOW_WIDTH] {
            item.put_text(tag, VR::DS, &decimals(group, tag, 1));
        }
        copy_if_valid(group, &mut item, tags::VOILUT_FUNCTION, VR::CS);
    }
    item.put_items(tags::REFERENCED_IMAGE_SEQUENCE, vec![reference_item(frame.reference)]);
    Some(item)
}

/// Softcopy Presentation LUT (PS3.3 C.11.6), which takes the place of Photometric Interpretation.
fn presentation_lut(data: &mut Dataset, header: &Dataset) {
    let inverse = header.text(tags::PHOTOMETRIC_INTERPRETATION).as_deref() == Some("MONOCHROME1");
    data.put_text(tags::PRESENTATION_LUT_SHAPE, VR::CS, if inverse { "INVERSE" } else { "IDENTITY" });
}

/// An item of Displayed Area (PS3.3 C.10.4): the whole image as large as it fits.
fn displayed_area(frame: &Marked<'_>) -> Dataset {
    let size = |tag| frame.header.int(tag).and_then(|n| i32::try_from(n).ok()).filter(|n| *n > 0).unwrap_or(1);
    let corner = |[column, row]: [i32; 2]| [column.to_le_bytes(), row.to_le_bytes()].concat();
    let mut item = Dataset::new();
    item.put_items(tags::REFERENCED_IMAGE_SEQUENCE, vec![reference_item(frame.reference)]);
    item.put_bytes(tags::DISPLAYED_AREA_TOP_LEFT_HAND_CORNER, VR::SL, corner([1, 1]));
    let last = [size(tags::COLUMNS), size(tags::ROWS)];
    item.put_bytes(tags::DISPLAYED_AREA_BOTTOM_RIGHT_HAND_CORNER, VR::SL, corner(last));
    item.put_text(tags::PRESENTATION_SIZE_MODE, VR::CS, "SCALE TO FIT");
    let is_spacing = |tag: &Tag| matches!(*frame.header.floats(*tag), [row, column] if row > 0.0 && column > 0.0);
    match [tags::PIXEL_SPACING, tags::IMAGER_PIXEL_SPACING].into_iter().find(is_spacing) {
        Some(spacing) => {
            item.put_text(tags::PRESENTATION_PIXEL_SPACING, VR::DS, &decimals(frame.header, spacing, 2));
        }
        None => {
            let ratio = match *frame.header.ints(tags::PIXEL_ASPECT_RATIO) {
                [vertical, horizontal] if vertical > 0 && horizontal > 0 => format!("{vertical}\\{horizontal}"),
                _ => "1\\1".to_owned(),
            };
            item.put_text(tags::PRESENTATION_PIXEL_ASPECT_RATIO, VR::IS, &ratio);
        }
    }
    item
}

/// The functional group of an enhanced image.
fn group<'a>(frame: &Marked<'a>, sequence: Tag) -> Option<&'a Dataset> {
    functional_group(frame.header, frame.reference.frame, sequence)
}
