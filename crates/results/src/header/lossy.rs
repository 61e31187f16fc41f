use dicom_core::VR;
use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;

use super::copy_if_valid;

/// Lossy Image Compression with its ratio and method, as far as the source says them: once lossy, always lossy
/// (PS3.3 C.7.6.1.1.5).
pub(crate) fn put(data: &mut Dataset, source: &Dataset) {
    if source.text(tags::LOSSY_IMAGE_COMPRESSION).as_deref() == Some("01") {
        data.put_text(tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "01");
        copy_if_valid(source, data, tags::LOSSY_IMAGE_COMPRESSION_RATIO, VR::DS);
        copy_if_valid(source, data, tags::LOSSY_IMAGE_COMPRESSION_METHOD, VR::CS);
    } else {
        data.put_text(tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "00");
    }
}
