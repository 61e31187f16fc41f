use dicom_core::VR;
use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;
use dokuei_types::{ContentQualification, Uid};

use super::Basis;

/// SOP Common (PS3.3 C.12.1) without the character set, which depends on every text of the object.
pub(super) fn put(data: &mut Dataset, basis: &Basis<'_>, class: &str, instance: &Uid) {
    data.put_text(tags::SOP_CLASS_UID, VR::UI, class);
    data.put_text(tags::SOP_INSTANCE_UID, VR::UI, instance.as_str());
    data.put_text(tags::INSTANCE_CREATION_DATE, VR::DA, &basis.time.date);
    data.put_text(tags::INSTANCE_CREATION_TIME, VR::TM, &basis.time.time);
    data.put_text(tags::CONTENT_DATE, VR::DA, &basis.time.date);
    data.put_text(tags::CONTENT_TIME, VR::TM, &basis.time.time);
    if let Some(offset) = &basis.time.offset {
        data.put_text(tags::TIMEZONE_OFFSET_FROM_UTC, VR::SH, offset);
    }
    let qualification = match basis.input.model.qualification {
        ContentQualification::Product => "PRODUCT",
        ContentQualification::Research => "RESEARCH",
    };
    data.put_text(tags::CONTENT_QUALIFICATION, VR::CS, qualification);
}
