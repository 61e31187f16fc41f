use dicom_core::VR;
use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;

use super::Basis;

/// Content Identification (PS3.3 Table 10-12) of what shows regions. Its creator is no person, so the name stays empty.
pub(crate) fn put(data: &mut Dataset, basis: &Basis<'_>) {
    data.put_text(tags::CONTENT_LABEL, VR::CS, "AI_REGIONS");
    let model = basis.input.model;
    let description = format!("{} {}: regions, not verified", model.name, model.version);
    basis.put(data, tags::CONTENT_DESCRIPTION, VR::LO, &description);
    data.put_bytes(tags::CONTENT_CREATOR_NAME, VR::PN, []);
}
