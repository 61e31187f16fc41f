use dicom_core::VR;
use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;
use dokuei_types::{ContentQualification, Uid};

use super::Envelope;

/// SOP Common (PS3.3 C.12.1) without the character set, which depends on every text of the object.
pub(super) fn put(data: &mut Dataset, envelope: &Envelope<'_>, class: &str, instance: &Uid) {
    data.put_text(tags::SOP_CLASS_UID, VR::UI, class);
    data.put_text(tags::SOP_INSTANCE_UID, VR::UI, instance.as_str());
    data.put_text(tags::INSTANCE_CREATION_DATE, VR::DA, &envelope.time.date);
    data.put_text(tags::INSTANCE_CREATION_TIME, VR::TM, &envelope.time.time);
    if let Some(offset) = &envelope.time.offset {
        data.put_text(tags::TIMEZONE_OFFSET_FROM_UTC, VR::SH, offset);
    }
}

/// Content Qualification: whether the algorithm's output may be used as a product or is research.
pub(super) fn put_qualification(data: &mut Dataset, qualification: ContentQualification) {
    let qualification = match qualification {
        ContentQualification::Product => "PRODUCT",
        ContentQualification::Research => "RESEARCH",
    };
    data.put_text(tags::CONTENT_QUALIFICATION, VR::CS, qualification);
}

/// Content Date and Time, which every object but a presentation state has: the start of the analysis.
pub(super) fn put_content_time(data: &mut Dataset, envelope: &Envelope<'_>) {
    data.put_text(tags::CONTENT_DATE, VR::DA, &envelope.time.date);
    data.put_text(tags::CONTENT_TIME, VR::TM, &envelope.time.time);
}
