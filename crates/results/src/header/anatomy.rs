//! What says where in the body an image is, for objects with a General Series or General Image module.

use dicom_core::VR;
use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;

use super::copy_if_valid;

/// Body Part Examined and Laterality of General Series (PS3.3 C.7.3.1): the one decides whether the other is
/// needed, which may then be empty.
pub(crate) fn put_in_series(data: &mut Dataset, header: &Dataset) {
    copy_if_valid(header, data, tags::BODY_PART_EXAMINED, VR::CS);
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
