use dicom_core::VR;
use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;

use super::Basis;
use crate::codes;
use crate::tree::code_item;

/// Contributing Equipment Sequence (PS3.3 C.12.1): the algorithm as a device of its own, as IHE's AI Results
/// profile asks for. Its Device UID changes with every release of the model.
pub(super) fn put(data: &mut Dataset, basis: &Basis<'_>) {
    let model = basis.input.model;
    let mut item = Dataset::new();
    item.put_items(
        tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE,
        vec![code_item(&codes::PROCESSING_EQUIPMENT, &basis.envelope.text)],
    );
    // Type 1, so a model without a vendor names itself.
    let vendor = if model.vendor.is_empty() { &model.name } else { &model.vendor };
    basis.put(&mut item, tags::MANUFACTURER, VR::LO, vendor);
    basis.put(&mut item, tags::MANUFACTURER_MODEL_NAME, VR::LO, &model.name);
    basis.put(&mut item, tags::SOFTWARE_VERSIONS, VR::LO, &model.version);
    item.put_text(tags::DEVICE_UID, VR::UI, model.device_uid.as_str());
    item.put_text(tags::CONTRIBUTION_DATE_TIME, VR::DT, &basis.envelope.time.date_time());
    let digest: String = model.weights_sha256.chars().take(16).collect();
    let description = format!("AI inference, not verified; weights SHA-256 {digest}...");
    basis.put(&mut item, tags::CONTRIBUTION_DESCRIPTION, VR::ST, &description);
    data.put_items(tags::CONTRIBUTING_EQUIPMENT_SEQUENCE, vec![item]);
}
