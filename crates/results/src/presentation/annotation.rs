//! Graphic Annotation and Graphic Layer (PS3.3 C.10.5, C.10.7).

use dicom_core::VR;
use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;
use dokuei_types::Finding;

use super::Marked;
use crate::ResultError;
use crate::header::{Basis, reference_item};
use crate::outline::{self, Outline};
use crate::templates::percent;

/// The one layer everything is drawn in.
const LAYER: &str = "AI";
/// Amber as PCS values (PS3.3 C.10.7.1.1): L* 84, a* 10, b* 55.
const AMBER: [u16; 3] = [55_050, 35_466, 47_031];

pub(super) fn put(data: &mut Dataset, basis: &Basis<'_>, marked: &[Marked<'_>]) -> Result<(), ResultError> {
    let annotations = marked.iter().map(|frame| annotation(basis, frame)).collect::<Result<_, _>>()?;
    data.put_items(tags::GRAPHIC_ANNOTATION_SEQUENCE, annotations);
    let mut layer = Dataset::new();
    layer.put_text(tags::GRAPHIC_LAYER, VR::CS, LAYER);
    layer.put_text(tags::GRAPHIC_LAYER_ORDER, VR::IS, "1");
    layer.put_u16(tags::GRAPHIC_LAYER_RECOMMENDED_DISPLAY_CIE_LAB_VALUE, &AMBER);
    layer.put_text(tags::GRAPHIC_LAYER_DESCRIPTION, VR::LO, "Regions found by an algorithm, not verified");
    data.put_items(tags::GRAPHIC_LAYER_SEQUENCE, vec![layer]);
    Ok(())
}

/// What is drawn over one frame. A finding without a region has its text alone, in the corner.
fn annotation(basis: &Basis<'_>, frame: &Marked<'_>) -> Result<Dataset, ResultError> {
    let (mut graphics, mut texts) = (Vec::new(), Vec::new());
    let findings = basis.input.sources.get(frame.index).map(|source| source.findings()).unwrap_or_default();
    let mut lines_in_corner = Vec::new();
    for finding in findings.iter().filter(|finding| finding.is_marked()) {
        if finding.regions.is_empty() {
            lines_in_corner.push(label(finding, None));
        }
        for region in 0..finding.regions.len() {
            let outline = outline::of_region(basis, frame.index, finding, region)?;
            let (id, uid) = basis.region_tracking(frame.index, &finding.name, region);
            let track = |mut item: Dataset| {
                basis.put(&mut item, tags::TRACKING_ID, VR::UT, &id);
                item.put_text(tags::TRACKING_UID, VR::UI, uid.as_str());
                item
            };
            let several = (finding.regions.len() > 1).then_some(region);
            texts.push(track(text_at(basis, &outline, &label(finding, several))));
            graphics.push(track(graphic(outline)));
        }
    }
    if !lines_in_corner.is_empty() {
        texts.push(text_in_corner(basis, &lines_in_corner.join("\n")));
    }
    let mut item = Dataset::new();
    item.put_items(tags::REFERENCED_IMAGE_SEQUENCE, vec![reference_item(frame.reference)]);
    item.put_text(tags::GRAPHIC_LAYER, VR::CS, LAYER);
    item.put_items(tags::TEXT_OBJECT_SEQUENCE, texts);
    if !graphics.is_empty() {
        item.put_items(tags::GRAPHIC_OBJECT_SEQUENCE, graphics);
    }
    Ok(item)
}

fn label(finding: &Finding, region: Option<usize>) -> String {
    let percent = percent(finding.probability, finding.marking_threshold);
    let region = region.map(|index| format!(", region {}", index.saturating_add(1))).unwrap_or_default();
    format!("{} {percent} % ({}){region}\nAI, not verified", finding.concept.meaning, finding.band.as_str())
}

/// The outline, closed, in pixels from the outer corner of the first one.
fn graphic(outline: Outline) -> Dataset {
    let vertices = outline::closed(outline);
    let mut item = Dataset::new();
    item.put_text(tags::GRAPHIC_ANNOTATION_UNITS, VR::CS, "PIXEL");
    item.put_u16(tags::GRAPHIC_DIMENSIONS, &[2]);
    item.put_u16(tags::NUMBER_OF_GRAPHIC_POINTS, &[u16::try_from(vertices.len()).unwrap_or(u16::MAX)]);
    item.put_f32(tags::GRAPHIC_DATA, vertices.as_flattened());
    item.put_text(tags::GRAPHIC_TYPE, VR::CS, "POLYLINE");
    item.put_text(tags::GRAPHIC_FILLED, VR::CS, "N");
    item
}

/// Text anchored at the upper left corner of the rectangle around an outline.
fn text_at(basis: &Basis<'_>, outline: &[[f32; 2]], text: &str) -> Dataset {
    let (corner, _) = outline::corners(outline);
    let mut item = Dataset::new();
    item.put_text(tags::ANCHOR_POINT_ANNOTATION_UNITS, VR::CS, "PIXEL");
    basis.put(&mut item, tags::UNFORMATTED_TEXT_VALUE, VR::ST, text);
    item.put_f32(tags::ANCHOR_POINT, &corner);
    item.put_text(tags::ANCHOR_POINT_VISIBILITY, VR::CS, "N");
    item
}

/// Text in the upper left corner of what is displayed.
fn text_in_corner(basis: &Basis<'_>, text: &str) -> Dataset {
    let mut item = Dataset::new();
    item.put_text(tags::BOUNDING_BOX_ANNOTATION_UNITS, VR::CS, "DISPLAY");
    basis.put(&mut item, tags::UNFORMATTED_TEXT_VALUE, VR::ST, text);
    item.put_f32(tags::BOUNDING_BOX_TOP_LEFT_HAND_CORNER, &[0.02, 0.02]);
    item.put_f32(tags::BOUNDING_BOX_BOTTOM_RIGHT_HAND_CORNER, &[0.6, 0.12]);
    item.put_text(tags::BOUNDING_BOX_TEXT_HORIZONTAL_JUSTIFICATION, VR::CS, "LEFT");
    item
}
