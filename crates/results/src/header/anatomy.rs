//! What says where in the body an image is, for objects with a General Series or General Image module.

use dicom_core::VR;
use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;
use dokuei_types::Finding;

use super::copy_if_valid;

/// Finding sites of chest radiographs (SNOMED CT): lung, thorax, chest.
const CHEST: [&str; 3] = ["39607008", "51185008", "816094009"];

/// Body Part Examined and Laterality of General Series (PS3.3 C.7.3.1): the one decides whether the other is
/// needed, which may then be empty. Where the source does not say the body part, the site of the findings does.
pub(crate) fn put_in_series(data: &mut Dataset, header: &Dataset, findings: &[Finding]) {
    copy_if_valid(header, data, tags::BODY_PART_EXAMINED, VR::CS);
    let mut sites = findings.iter().filter_map(|finding| finding.site.as_ref());
    let in_chest = sites.any(|site| site.scheme == "SCT" && CHEST.contains(&site.value.as_str()));
    if in_chest && !data.contains(tags::BODY_PART_EXAMINED) {
        data.put_text(tags::BODY_PART_EXAMINED, VR::CS, "CHEST");
    }
    copy_if_valid(header, data, tags::LATERALITY, VR::CS);
    if !data.contains(tags::BODY_PART_EXAMINED) && !data.contains(tags::LATERALITY) {
        data.put_bytes(tags::LATERALITY, VR::CS, []);
    }
}

/// Patient Orientation of General Image (PS3.3 C.7.6.1), which is type 2C.
pub(crate) fn put_in_image(data: &mut Dataset, header: &Dataset) {
    data.put_bytes(tags::PATIENT_ORIENTATION, VR::CS, []);
    copy_if_valid(header, data, tags::PATIENT_ORIENTATION, VR::CS);
}
