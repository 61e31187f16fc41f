//! What a peer is asked for: a level, an information model, and keys (PS3.4 § C.2, § C.6).

use std::str::FromStr;

use clap::ValueEnum;
use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_dictionary_std::{StandardDataDictionary, tags, uids};
use dokuei_dataset::{Dataset, Tag, VR};
use dokuei_dimse::Information;
use dokuei_types::Uid;

use crate::information;

/// Query/Retrieve Level (0008,0052).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    /// Patients.
    Patient,
    /// Studies.
    Study,
    /// Series of a study.
    Series,
    /// Instances of a series.
    Image,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Patient => "PATIENT",
            Self::Study => "STUDY",
            Self::Series => "SERIES",
            Self::Image => "IMAGE",
        }
    }

    /// What is always asked for: the level's unique key, and what tells one match from another.
    pub(crate) fn attributes(self) -> &'static [Tag] {
        match self {
            Self::Patient => &[tags::PATIENT_ID, tags::PATIENT_NAME, tags::PATIENT_BIRTH_DATE, tags::PATIENT_SEX],
            Self::Study => &[
                tags::STUDY_INSTANCE_UID,
                tags::STUDY_DATE,
                tags::STUDY_TIME,
                tags::ACCESSION_NUMBER,
                tags::PATIENT_ID,
                tags::PATIENT_NAME,
                tags::MODALITIES_IN_STUDY,
                tags::STUDY_DESCRIPTION,
                tags::NUMBER_OF_STUDY_RELATED_SERIES,
                tags::NUMBER_OF_STUDY_RELATED_INSTANCES,
            ],
            Self::Series => &[
                tags::SERIES_INSTANCE_UID,
                tags::MODALITY,
                tags::SERIES_NUMBER,
                tags::SERIES_DESCRIPTION,
                tags::NUMBER_OF_SERIES_RELATED_INSTANCES,
            ],
            Self::Image => &[tags::SOP_INSTANCE_UID, tags::SOP_CLASS_UID, tags::INSTANCE_NUMBER],
        }
    }
}

/// The information model that knows `level`, for C-FIND.
pub(crate) fn find_model(level: Level, patient_root: bool) -> Uid {
    known(if patient_root || level == Level::Patient {
        uids::PATIENT_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND
    } else {
        uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND
    })
}

/// A UID of the dictionary.
pub(crate) fn known(uid: &str) -> Uid {
    Uid::new(uid).expect("a UID of the dictionary")
}

/// An attribute, and what it has to match; anything when empty.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    pub(crate) tag: Tag,
    vr: VR,
    value: String,
}

impl Key {
    /// An attribute that is only asked for.
    pub(crate) fn any(tag: Tag) -> Self {
        Self { tag, vr: vr(tag), value: String::new() }
    }

    /// An attribute that has to have this value.
    pub(crate) fn of(tag: Tag, value: &str) -> Self {
        Self { value: value.to_owned(), ..Self::any(tag) }
    }

    fn put_into(&self, dataset: &mut Dataset) {
        match (self.vr, numbers::<u16>(&self.value), numbers::<u32>(&self.value)) {
            (VR::SQ, _, _) => dataset.put_items(self.tag, Vec::new()),
            (VR::US, Some(values), _) => dataset.put_u16(self.tag, &values),
            (VR::UL, _, Some(values)) => dataset.put_u32(self.tag, &values),
            _ => dataset.put_text(self.tag, self.vr, &self.value),
        }
    }
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let tag = StandardDataDictionary.parse_tag(name).ok_or_else(|| {
            format!("{name:?} is no attribute; write a keyword such as PatientID, or a tag such as 0010,0020")
        })?;
        if tag.group() < 8 || tag == tags::QUERY_RETRIEVE_LEVEL || tag == tags::SPECIFIC_CHARACTER_SET {
            return Err(format!("{name} cannot be asked for; --level chooses the level"));
        }
        let key = Self::of(tag, value);
        let can_match = match key.vr {
            VR::US => numbers::<u16>(value).is_some(),
            VR::UL => numbers::<u32>(value).is_some(),
            vr => is_text(vr),
        };
        if can_match || value.is_empty() {
            return Ok(key);
        }
        Err(format!("{name} ({}) cannot be matched with {value:?}", key.vr))
    }
}

/// The VR the dictionary gives an attribute (PS3.6).
fn vr(tag: Tag) -> VR {
    StandardDataDictionary.by_tag(tag).map_or(VR::UN, |entry| entry.vr().relaxed())
}

/// Whether a value of this VR is written as text (PS3.5 § 6.2).
pub(crate) fn is_text(vr: VR) -> bool {
    !matches!(
        vr,
        VR::AT
            | VR::FL
            | VR::FD
            | VR::OB
            | VR::OD
            | VR::OF
            | VR::OL
            | VR::OV
            | VR::OW
            | VR::SL
            | VR::SQ
            | VR::SS
            | VR::SV
            | VR::UL
            | VR::UN
            | VR::US
            | VR::UV
    )
}

/// Numbers with a backslash between them; none of an empty text.
fn numbers<T: FromStr>(text: &str) -> Option<Vec<T>> {
    if text.is_empty() { Some(Vec::new()) } else { text.split('\\').map(|number| number.parse().ok()).collect() }
}

/// The keyword of an attribute, or its tag.
pub(crate) fn name(tag: Tag) -> String {
    StandardDataDictionary.by_tag(tag).map_or_else(|| tag.to_string(), |entry| entry.alias().to_owned())
}

/// The identifier of a request (PS3.4 § C.4.1.1.3, § C.4.2.1.4, § C.4.3.1.3).
pub(crate) fn identifier(level: Level, keys: &[Key]) -> Information {
    let mut dataset = Dataset::new();
    dataset.put_text(tags::QUERY_RETRIEVE_LEVEL, VR::CS, level.as_str());
    keys.iter().for_each(|key| key.put_into(&mut dataset));
    if !keys.iter().all(|key| key.value.is_ascii()) {
        dataset.put_text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192");
    }
    information::written(&dataset)
}

#[cfg(test)]
mod tests {
    use dokuei_dataset::{Limits, read_header};

    use super::*;

    #[test]
    fn keys_are_keywords_or_tags_with_what_they_match() {
        for text in ["PatientID=47=11", "0010,0020=47=11", "(0010,0020)=47=11", "00100020=47=11"] {
            assert_eq!(text.parse(), Ok(Key::of(tags::PATIENT_ID, "47=11")), "{text}");
        }
        assert_eq!("StudyDate".parse(), Ok(Key::any(tags::STUDY_DATE)));
        assert_eq!("Rows=512".parse::<Key>().unwrap().vr, VR::US);
        for text in ["", "NoSuchThing", "Rows=many", "QueryRetrieveLevel=STUDY", "0000,0100", "PixelData=1", "=1"] {
            assert!(text.parse::<Key>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_identifier_says_its_level_and_its_character_set() {
        let keys = [
            Key::of(tags::PATIENT_NAME, "山田*"),
            Key::any(tags::STUDY_INSTANCE_UID),
            "Rows=512".parse().unwrap(),
            Key::any(tags::REQUEST_ATTRIBUTES_SEQUENCE),
        ];
        let identifier = identifier(Level::Series, &keys);
        for syntax in [uids::IMPLICIT_VR_LITTLE_ENDIAN, uids::EXPLICIT_VR_LITTLE_ENDIAN] {
            let bytes = identifier.in_syntax(&known(syntax)).to_vec();
            let dataset = read_header(&bytes, 0, syntax, &Limits::default()).unwrap().dataset;
            assert_eq!(dataset.text(tags::QUERY_RETRIEVE_LEVEL).as_deref(), Some("SERIES"));
            assert_eq!(dataset.text(tags::PATIENT_NAME).as_deref(), Some("山田*"));
            assert_eq!(dataset.bytes(tags::STUDY_INSTANCE_UID), Some(&b""[..]));
            assert_eq!(dataset.int(tags::ROWS), Some(512));
            assert!(dataset.contains(tags::REQUEST_ATTRIBUTES_SEQUENCE));
        }
    }

    #[test]
    fn patients_are_known_to_the_patient_root_alone() {
        let patient = known(uids::PATIENT_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND);
        let study = known(uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND);
        assert_eq!(find_model(Level::Patient, false), patient);
        assert_eq!(find_model(Level::Image, true), patient);
        assert_eq!(find_model(Level::Study, false), study);
    }
}
