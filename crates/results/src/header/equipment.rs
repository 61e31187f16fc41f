use dicom_core::VR;
use dicom_dictionary_std::tags;
use dokuei_dataset::{Dataset, IMPLEMENTATION_CLASS_UID};

use super::Envelope;

/// General Equipment (PS3.3 C.7.5.1): the node, never the scanner.
///
/// Manufacturer's Device Class UID is the product's and the same in every release: by it the node knows its
/// own results again whatever name a site gives it.
pub(super) fn put(data: &mut Dataset, envelope: &Envelope<'_>) {
    let node = envelope.node;
    envelope.put(data, tags::MANUFACTURER, VR::LO, &node.manufacturer);
    envelope.put(data, tags::MANUFACTURER_MODEL_NAME, VR::LO, &node.model_name);
    for (tag, vr, text) in [
        (tags::STATION_NAME, VR::SH, &node.ae_title),
        (tags::DEVICE_SERIAL_NUMBER, VR::LO, &node.serial_number),
        (tags::SOFTWARE_VERSIONS, VR::LO, &node.software_version),
    ] {
        if !text.is_empty() {
            envelope.put(data, tag, vr, text);
        }
    }
    data.put_text(tags::DEVICE_UID, VR::UI, node.device_uid.as_str());
    data.put_text(tags::MANUFACTURER_DEVICE_CLASS_UID, VR::UI, IMPLEMENTATION_CLASS_UID);
}
