use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;

use super::{copy_codes, copy_if_valid, copy_measure, copy_or_empty, copy_sequence};

/// Type 2 of General Study (PS3.3 C.7.2.1).
const REQUIRED: [(Tag, VR); 5] = [
    (tags::STUDY_DATE, VR::DA),
    (tags::STUDY_TIME, VR::TM),
    (tags::ACCESSION_NUMBER, VR::SH),
    (tags::REFERRING_PHYSICIAN_NAME, VR::PN),
    (tags::STUDY_ID, VR::SH),
];

/// General Study and Patient Study (PS3.3 C.7.2.2).
const OPTIONAL: [(Tag, VR); 2] = [(tags::STUDY_DESCRIPTION, VR::LO), (tags::PATIENT_AGE, VR::AS)];

/// Copies the study: a result belongs to the study that was analysed and to no other.
pub(super) fn put(data: &mut Dataset, source: &Dataset) {
    if let Some(study) = source.uid(tags::STUDY_INSTANCE_UID) {
        data.put_text(tags::STUDY_INSTANCE_UID, VR::UI, study.as_str());
    }
    for (tag, vr) in REQUIRED {
        copy_or_empty(source, data, tag, vr);
    }
    for (tag, vr) in OPTIONAL {
        copy_if_valid(source, data, tag, vr);
    }
    copy_measure(source, data, tags::PATIENT_SIZE);
    copy_measure(source, data, tags::PATIENT_WEIGHT);
    copy_sequence(source, data, tags::ISSUER_OF_ACCESSION_NUMBER_SEQUENCE);
    copy_codes(source, data, tags::PROCEDURE_CODE_SEQUENCE);
}
