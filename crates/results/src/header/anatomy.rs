//! What says where in the body an image is, for objects with a General Series or General Image module.

use dicom_core::VR;
use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;
use dokuei_types::Finding;

use super::copy_if_valid;

/// Finding sites of chest radiographs (SNOMED CT): lung, thorax, chest.
const CHEST: [&str; 3] = ["39607008", "51185008", "816094009"];

/// Body parts that are not paired, by their defined terms (PS3.16 Annex L).
const UNPAIRED: [&str; 39] = [
    "ABDOMEN",
    "ABDOMENPELVIS",
    "AORTA",
    "BLADDER",
    "BRAIN",
    "CHEST",
    "CHESTABDOMEN",
    "CHESTABDPELVIS",
    "COCCYX",
    "COLON",
    "CSPINE",
    "ESOPHAGUS",
    "FACE",
    "HEAD",
    "HEADNECK",
    "HEART",
    "JAW",
    "LARYNX",
    "LIVER",
    "LSPINE",
    "MAXILLA",
    "MEDIASTINUM",
    "NECK",
    "NECKCHEST",
    "NOSE",
    "PANCREAS",
    "PELVIS",
    "PENIS",
    "PHARYNX",
    "PROSTATE",
    "SKULL",
    "SPINE",
    "SPLEEN",
    "SSPINE",
    "STERNUM",
    "STOMACH",
    "TSPINE",
    "UTERUS",
    "WHOLEBODY",
];

/// Body Part Examined and Laterality of General Series (PS3.3 C.7.3.1). A body part that may be paired needs a
/// laterality, which may be empty; one that is not has none.
pub(crate) fn put_in_series(data: &mut Dataset, header: &Dataset, findings: &[Finding]) {
    put_body_part(data, header, findings);
    let part = data.text(tags::BODY_PART_EXAMINED).unwrap_or_default();
    if !UNPAIRED.contains(&part.as_str()) {
        data.put_bytes(tags::LATERALITY, VR::CS, []);
        copy_if_valid(header, data, tags::LATERALITY, VR::CS);
    }
}

/// Body Part Examined alone, for a Segmentation: where each segment is stands in its own Anatomic Region Sequence, so the
/// series has no laterality. Where the source says nothing of the place, the site of the findings does.
pub(crate) fn put_body_part(data: &mut Dataset, header: &Dataset, findings: &[Finding]) {
    copy_if_valid(header, data, tags::BODY_PART_EXAMINED, VR::CS);
    let mut sites = findings.iter().filter_map(|finding| finding.site.as_ref());
    let in_chest = sites.any(|site| site.scheme == "SCT" && CHEST.contains(&site.value.as_str()));
    let said = [tags::BODY_PART_EXAMINED, tags::LATERALITY, tags::IMAGE_LATERALITY];
    let is_silent = said.into_iter().all(|tag| header.text(tag).is_none())
        && header.items(tags::ANATOMIC_REGION_SEQUENCE).is_empty();
    if in_chest && is_silent {
        data.put_text(tags::BODY_PART_EXAMINED, VR::CS, "CHEST");
    }
    // Some senders put a space into a defined term, as in WHOLE BODY.
    let part = data.text(tags::BODY_PART_EXAMINED).unwrap_or_default();
    let joined = part.replace(' ', "");
    if joined != part && UNPAIRED.contains(&joined.as_str()) {
        data.put_text(tags::BODY_PART_EXAMINED, VR::CS, &joined);
    }
}

/// Patient Orientation of General Image (PS3.3 C.7.6.1), which is type 2C.
pub(crate) fn put_in_image(data: &mut Dataset, header: &Dataset) {
    data.put_bytes(tags::PATIENT_ORIENTATION, VR::CS, []);
    copy_if_valid(header, data, tags::PATIENT_ORIENTATION, VR::CS);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_laterality_is_said_of_what_may_be_paired_alone() {
        let check = |part: &[u8], laterality: &[u8], expected: [Option<&[u8]>; 2]| {
            let mut header = Dataset::new();
            header.put_bytes(tags::BODY_PART_EXAMINED, VR::CS, part);
            header.put_bytes(tags::LATERALITY, VR::CS, laterality);
            let mut data = Dataset::new();
            put_in_series(&mut data, &header, &[]);
            let written = [tags::BODY_PART_EXAMINED, tags::LATERALITY].map(|tag| data.bytes(tag));
            assert_eq!(written, expected, "{}", part.escape_ascii());
            let mut data = Dataset::new();
            put_body_part(&mut data, &header, &[]);
            assert_eq!((data.bytes(tags::BODY_PART_EXAMINED), data.contains(tags::LATERALITY)), (expected[0], false));
        };
        check(b"HIP ", b"", [Some(b"HIP "), Some(b"")]);
        check(b"KNEE", b"R ", [Some(b"KNEE"), Some(b"R ")]);
        check(b"", b"L ", [None, Some(b"L ")]);
        check(b"CHEST ", b"R ", [Some(b"CHEST "), None]);
        check(b"HEART\0", b"", [Some(b"HEART"), None]);
        check(b"WHOLE BODY", b"", [Some(b"WHOLEBODY "), None]);
        check(b"LEFT HIP", b"", [Some(b"LEFT HIP"), Some(b"")]);
    }
}
