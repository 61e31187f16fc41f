//! Segment Sequence (PS3.3 C.8.20.2): what each segment is and how it was found.

use dicom_core::VR;
use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;
use dokuei_types::{Code, Finding};

use super::Frame;
use crate::codes::{self, Concept};
use crate::header::Basis;
use crate::templates::{algorithm_parameters, or_unknown, percent};
use crate::tree::code_item;

/// Colours that colour-blind people tell apart (Okabe and Ito), in CIELab as PS3.3 C.10.7.1.1 has it: L*, a*, b*.
const COLOURS: [[i32; 3]; 7] =
    [[71, 20, 75], [69, -17, -36], [58, -45, 12], [90, -8, 75], [55, 45, 64], [61, 38, -10], [45, -9, -42]];

/// One item a segment, numbered from 1.
pub(super) fn items(basis: &Basis<'_>, segments: &[&Finding], frames: &[Frame<'_>]) -> Vec<Dataset> {
    let numbered = (1..).zip(segments).zip(COLOURS.iter().cycle());
    numbered
        .map(|((number, finding), colour)| {
            let mut item = described(basis, number, finding);
            item.put_u16(tags::RECOMMENDED_DISPLAY_CIE_LAB_VALUE, &encoded(*colour));
            let own: Vec<&Frame<'_>> = frames.iter().filter(|frame| frame.segment == number).collect();
            track(&mut item, basis, &own);
            item
        })
        .collect()
}

/// Segment Description (PS3.3 C.8.20.4.1).
fn described(basis: &Basis<'_>, number: u16, finding: &Finding) -> Dataset {
    let mut item = Dataset::new();
    item.put_u16(tags::SEGMENT_NUMBER, &[number]);
    basis.put(&mut item, tags::SEGMENT_LABEL, VR::LO, &finding.concept.meaning);
    let percent = percent(finding.probability, finding.marking_threshold);
    let description = format!("Certainty {percent} % ({}), found by an algorithm, not verified", finding.band.as_str());
    basis.put(&mut item, tags::SEGMENT_DESCRIPTION, VR::ST, &description);
    let coded = |concept: &Concept| vec![code_item(concept, &basis.envelope.text)];
    let of_model = |code: &Code| coded(&Concept::from(code));
    if let Some(site) = &finding.site {
        item.put_items(tags::ANATOMIC_REGION_SEQUENCE, of_model(site));
    }
    item.put_items(tags::SEGMENTED_PROPERTY_CATEGORY_CODE_SEQUENCE, coded(&codes::MORPHOLOGICALLY_ABNORMAL));
    item.put_items(tags::SEGMENTED_PROPERTY_TYPE_CODE_SEQUENCE, of_model(&finding.concept));
    item.put_text(tags::SEGMENT_ALGORITHM_TYPE, VR::CS, "AUTOMATIC");
    basis.put(&mut item, tags::SEGMENT_ALGORITHM_NAME, VR::LO, or_unknown(&basis.input.model.name));
    item.put_items(tags::SEGMENTATION_ALGORITHM_IDENTIFICATION_SEQUENCE, vec![algorithm(basis, finding)]);
    item
}

/// Algorithm Identification (PS3.3 Table 10-19): what TID 4019 says in the report.
fn algorithm(basis: &Basis<'_>, finding: &Finding) -> Dataset {
    let model = basis.input.model;
    let mut item = Dataset::new();
    let family = code_item(&codes::ARTIFICIAL_INTELLIGENCE, &basis.envelope.text);
    item.put_items(tags::ALGORITHM_FAMILY_CODE_SEQUENCE, vec![family]);
    basis.put(&mut item, tags::ALGORITHM_NAME, VR::LO, or_unknown(&model.name));
    basis.put(&mut item, tags::ALGORITHM_VERSION, VR::LO, or_unknown(&model.version));
    let parameters = algorithm_parameters(basis, Some(finding)).join("\n");
    basis.put(&mut item, tags::ALGORITHM_PARAMETERS, VR::LT, &parameters);
    if !model.vendor.is_empty() {
        basis.put(&mut item, tags::ALGORITHM_SOURCE, VR::LO, &model.vendor);
    }
    item
}

/// The tracking of the report, where the segment is one region of it: no group of the report is about several.
fn track(item: &mut Dataset, basis: &Basis<'_>, frames: &[&Frame<'_>]) {
    let [frame] = frames else { return };
    if frame.finding.regions.len() == 1 {
        let (id, uid) = basis.region_tracking(frame.index, &frame.finding.name, 0);
        basis.put(item, tags::TRACKING_ID, VR::UT, &id);
        item.put_text(tags::TRACKING_UID, VR::UI, uid.as_str());
    }
}

/// 0 to 100 and -128 to 127 over all of 16 bits.
fn encoded([lightness, a, b]: [i32; 3]) -> [u16; 3] {
    let whole = i32::from(u16::MAX);
    [lightness * whole / 100, (a + 128) * 257, (b + 128) * 257].map(|value| u16::try_from(value).unwrap_or(u16::MAX))
}
