use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;

use super::{copy_codes, copy_if_valid, copy_or_empty, copy_sequence};

/// Type 2 of the Patient module (PS3.3 C.7.1.1).
const REQUIRED: [(Tag, VR); 4] = [
    (tags::PATIENT_NAME, VR::PN),
    (tags::PATIENT_ID, VR::LO),
    (tags::PATIENT_BIRTH_DATE, VR::DA),
    (tags::PATIENT_SEX, VR::CS),
];

/// What else tells one patient from another, or says that the patient must not be known.
const OPTIONAL: [(Tag, VR); 13] = [
    (tags::ISSUER_OF_PATIENT_ID, VR::LO),
    (tags::TYPE_OF_PATIENT_ID, VR::CS),
    (tags::PATIENT_BIRTH_TIME, VR::TM),
    (tags::OTHER_PATIENT_NAMES, VR::PN),
    (tags::QUALITY_CONTROL_SUBJECT, VR::CS),
    (tags::PATIENT_SPECIES_DESCRIPTION, VR::LO),
    (tags::PATIENT_SEX_NEUTERED, VR::CS),
    (tags::PATIENT_BREED_DESCRIPTION, VR::LO),
    (tags::RESPONSIBLE_PERSON, VR::PN),
    (tags::RESPONSIBLE_PERSON_ROLE, VR::CS),
    (tags::RESPONSIBLE_ORGANIZATION, VR::LO),
    (tags::PATIENT_IDENTITY_REMOVED, VR::CS),
    (tags::DEIDENTIFICATION_METHOD, VR::LO),
];

const SEQUENCES: [Tag; 3] = [
    tags::ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE,
    tags::OTHER_PATIENT_I_DS_SEQUENCE,
    tags::BREED_REGISTRATION_SEQUENCE,
];

const CODES: [Tag; 3] = [
    tags::PATIENT_SPECIES_CODE_SEQUENCE,
    tags::PATIENT_BREED_CODE_SEQUENCE,
    tags::DEIDENTIFICATION_METHOD_CODE_SEQUENCE,
];

/// Clinical Trial Subject (PS3.3 C.7.1.3), whole or not at all: its parts require each other.
const CLINICAL_TRIAL: [(Tag, VR); 7] = [
    (tags::CLINICAL_TRIAL_SPONSOR_NAME, VR::LO),
    (tags::CLINICAL_TRIAL_PROTOCOL_ID, VR::LO),
    (tags::CLINICAL_TRIAL_PROTOCOL_NAME, VR::LO),
    (tags::CLINICAL_TRIAL_SITE_ID, VR::LO),
    (tags::CLINICAL_TRIAL_SITE_NAME, VR::LO),
    (tags::CLINICAL_TRIAL_SUBJECT_ID, VR::LO),
    (tags::CLINICAL_TRIAL_SUBJECT_READING_ID, VR::LO),
];

/// Copies the Patient module.
pub(super) fn put(data: &mut Dataset, source: &Dataset) {
    for (tag, vr) in REQUIRED {
        copy_or_empty(source, data, tag, vr);
    }
    for (tag, vr) in OPTIONAL {
        copy_if_valid(source, data, tag, vr);
    }
    for tag in SEQUENCES {
        copy_sequence(source, data, tag);
    }
    for tag in CODES {
        copy_codes(source, data, tag);
    }
    animal(data);
    removed_identity(data);
    other_ids(data, source);
    if source.contains(tags::CLINICAL_TRIAL_SPONSOR_NAME) {
        for (tag, vr) in CLINICAL_TRIAL {
            if source.contains(tag) {
                copy_or_empty(source, data, tag, vr);
            }
        }
    }
}

/// Of type 2C for animals, which are told by their species (PS3.3 C.7.1.1, C.7.2.2).
fn animal(data: &mut Dataset) {
    if !data.contains(tags::PATIENT_SPECIES_DESCRIPTION) && !data.contains(tags::PATIENT_SPECIES_CODE_SEQUENCE) {
        return;
    }
    for tag in [tags::PATIENT_BREED_CODE_SEQUENCE, tags::BREED_REGISTRATION_SEQUENCE] {
        if !data.contains(tag) {
            data.put_items(tag, Vec::new());
        }
    }
    for (tag, vr) in [
        (tags::PATIENT_SEX_NEUTERED, VR::CS),
        (tags::PATIENT_BREED_DESCRIPTION, VR::LO),
        (tags::RESPONSIBLE_PERSON, VR::PN),
        (tags::RESPONSIBLE_ORGANIZATION, VR::LO),
    ] {
        if !data.contains(tag) {
            data.put_bytes(tag, vr, []);
        }
    }
}

/// Who removed an identity has to say how (type 1C): what a sender left out is said to be left out.
fn removed_identity(data: &mut Dataset) {
    let is_removed = data.text(tags::PATIENT_IDENTITY_REMOVED).as_deref() == Some("YES");
    let is_said =
        data.contains(tags::DEIDENTIFICATION_METHOD) || data.contains(tags::DEIDENTIFICATION_METHOD_CODE_SEQUENCE);
    if is_removed && !is_said {
        data.put_text(tags::DEIDENTIFICATION_METHOD, VR::LO, "Not stated by the source");
    }
}

/// Other Patient IDs (0010,1000) is retired: its values go into the sequence that replaced it, where the source
/// has not filled that itself. Values that are not ASCII may hold a backslash that separates nothing, and stay
/// behind.
#[expect(deprecated, reason = "retired in the standard, and modalities still send it")]
fn other_ids(data: &mut Dataset, source: &Dataset) {
    let Some(values) = source.bytes(tags::OTHER_PATIENT_I_DS) else { return };
    if data.contains(tags::OTHER_PATIENT_I_DS_SEQUENCE) || !values.is_ascii() || values.contains(&0x1b) {
        return;
    }
    let items: Vec<Dataset> = values
        .split(|byte| *byte == b'\\')
        .map(|value| value.trim_ascii_end())
        .filter(|value| !value.is_empty())
        .map(|value| {
            let mut item = Dataset::new();
            item.put_bytes(tags::PATIENT_ID, VR::LO, value);
            item.put_text(tags::TYPE_OF_PATIENT_ID, VR::CS, "TEXT");
            item
        })
        .collect();
    if !items.is_empty() {
        data.put_items(tags::OTHER_PATIENT_I_DS_SEQUENCE, items);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_identity_says_how_or_that_nobody_said() {
        let method = |source: &Dataset| {
            let mut data = Dataset::new();
            put(&mut data, source);
            data.text(tags::DEIDENTIFICATION_METHOD)
        };
        let mut source = Dataset::new();
        assert_eq!(method(&source), None);
        source.put_text(tags::PATIENT_IDENTITY_REMOVED, VR::CS, "YES");
        assert_eq!(method(&source).as_deref(), Some("Not stated by the source"));
        source.put_text(tags::DEIDENTIFICATION_METHOD, VR::LO, "Profile X");
        assert_eq!(method(&source).as_deref(), Some("Profile X"));
    }

    #[test]
    fn what_animals_need_is_empty_rather_than_absent() {
        let mut source = Dataset::new();
        let mut person = Dataset::new();
        put(&mut person, &source);
        assert!(!person.contains(tags::PATIENT_BREED_CODE_SEQUENCE));
        source.put_text(tags::PATIENT_SPECIES_DESCRIPTION, VR::LO, "Canine");
        source.put_text(tags::RESPONSIBLE_PERSON, VR::PN, "Owner^Olga");
        let mut dog = Dataset::new();
        put(&mut dog, &source);
        for tag in [tags::PATIENT_BREED_DESCRIPTION, tags::PATIENT_SEX_NEUTERED] {
            assert_eq!((dog.bytes(tag), person.contains(tag)), (Some(&b""[..]), false));
        }
        assert_eq!(dog.text(tags::RESPONSIBLE_PERSON).as_deref(), Some("Owner^Olga"));
        assert!(dog.contains(tags::PATIENT_BREED_CODE_SEQUENCE) && dog.contains(tags::BREED_REGISTRATION_SEQUENCE));
    }

    #[test]
    #[expect(deprecated, reason = "retired in the standard, and modalities still send it")]
    fn retired_other_ids_go_into_the_sequence() {
        let ids = |source: &Dataset| {
            let mut data = Dataset::new();
            put(&mut data, source);
            assert!(!data.contains(tags::OTHER_PATIENT_I_DS));
            let items = data.items(tags::OTHER_PATIENT_I_DS_SEQUENCE).iter();
            items.filter_map(|item| item.text(tags::PATIENT_ID)).collect::<Vec<_>>()
        };
        let mut source = Dataset::new();
        source.put_text(tags::OTHER_PATIENT_I_DS, VR::LO, "A-1\\B-2 ");
        assert_eq!(ids(&source), ["A-1", "B-2"]);
        let mut item = Dataset::new();
        item.put_text(tags::PATIENT_ID, VR::LO, "C-3");
        source.put_items(tags::OTHER_PATIENT_I_DS_SEQUENCE, vec![item]);
        assert_eq!(ids(&source), ["C-3"], "what the sender says in the sequence holds");
        source.remove(tags::OTHER_PATIENT_I_DS_SEQUENCE);
        source.put_bytes(tags::OTHER_PATIENT_I_DS, VR::LO, *b"\x81\x5c");
        assert!(ids(&source).is_empty());
    }
}
