use std::sync::Arc;

use cel::Value;
use dicom_core::VR;
use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry, UidDictionary};
use dicom_dictionary_std::{StandardDataDictionary, StandardSopClassDictionary, tags};
use dokuei_dataset::{Dataset, Tag};

/// What conditions see of an instance: its header and how it came.
#[derive(Debug, Clone)]
pub struct Attributes {
    pub(crate) dataset: Arc<Dataset>,
    pub(crate) calling_ae: String,
    pub(crate) called_ae: String,
    pub(crate) transfer_syntax: String,
}

impl Attributes {
    /// The attributes of an instance; an AE title is empty where none was involved.
    #[must_use]
    pub fn new(dataset: Arc<Dataset>, calling_ae: &str, called_ae: &str, transfer_syntax: &str) -> Self {
        let [calling_ae, called_ae, transfer_syntax] = [calling_ae, called_ae, transfer_syntax].map(str::to_owned);
        Self { dataset, calling_ae, called_ae, transfer_syntax }
    }

    /// The header.
    #[must_use]
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }
}

/// What a name in a condition stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variable {
    /// An attribute's text, or its values joined by a backslash.
    Text(Tag),
    /// The values of a multi-valued attribute.
    Texts(Tag),
    /// An integer.
    Int(Tag),
    /// A number.
    Float(Tag),
    /// The numbers of a multi-valued attribute.
    Floats(Tag),
    /// The name of the SOP Class UID (PS3.6 Annex A).
    SopClassName,
    /// Patient's Age (0010,1010) in whole years, or worked out from birth and study date.
    AgeYears,
    /// Whether that age is known.
    AgeKnown,
    /// Number of Frames (0028,0008); 1 where an image does not say.
    Frames,
    /// AE title of the sender.
    CallingAe,
    /// AE title it called.
    CalledAe,
    /// Transfer Syntax UID of the data set.
    TransferSyntax,
}

/// Names of our own, and the short names that the config's examples use.
const OWN: [(&str, Variable, &str); 9] = [
    ("body_part", Variable::Text(tags::BODY_PART_EXAMINED), "Body Part Examined (0018,0015)"),
    ("sop_class", Variable::Text(tags::SOP_CLASS_UID), "SOP Class UID (0008,0016)"),
    ("sop_class_name", Variable::SopClassName, "the name of the SOP class in PS3.6"),
    ("patient_age_years", Variable::AgeYears, "Patient's Age in whole years, or worked out from the dates"),
    ("patient_age_known", Variable::AgeKnown, "whether that age can be told; where it cannot, it is 0"),
    ("number_of_frames", Variable::Frames, "Number of Frames (0028,0008), 1 where an image does not say"),
    ("calling_ae", Variable::CallingAe, "AE title of the sender"),
    ("called_ae", Variable::CalledAe, "AE title it called"),
    ("transfer_syntax", Variable::TransferSyntax, "Transfer Syntax UID of the data set"),
];

/// Attributes that conditions are mostly about: for help, and to guess what a misspelt name meant.
const COMMON: [(&str, &str); 42] = [
    ("modality", "Modality"),
    ("study_description", "StudyDescription"),
    ("series_description", "SeriesDescription"),
    ("protocol_name", "ProtocolName"),
    ("view_position", "ViewPosition"),
    ("image_type", "ImageType"),
    ("photometric_interpretation", "PhotometricInterpretation"),
    ("rows", "Rows"),
    ("columns", "Columns"),
    ("bits_stored", "BitsStored"),
    ("bits_allocated", "BitsAllocated"),
    ("samples_per_pixel", "SamplesPerPixel"),
    ("pixel_spacing", "PixelSpacing"),
    ("imager_pixel_spacing", "ImagerPixelSpacing"),
    ("presentation_intent_type", "PresentationIntentType"),
    ("patient_sex", "PatientSex"),
    ("patient_id", "PatientID"),
    ("patient_name", "PatientName"),
    ("patient_position", "PatientPosition"),
    ("patient_orientation", "PatientOrientation"),
    ("laterality", "Laterality"),
    ("image_laterality", "ImageLaterality"),
    ("manufacturer", "Manufacturer"),
    ("manufacturer_model_name", "ManufacturerModelName"),
    ("station_name", "StationName"),
    ("institution_name", "InstitutionName"),
    ("institutional_department_name", "InstitutionalDepartmentName"),
    ("referring_physician_name", "ReferringPhysicianName"),
    ("device_serial_number", "DeviceSerialNumber"),
    ("software_versions", "SoftwareVersions"),
    ("accession_number", "AccessionNumber"),
    ("study_instance_uid", "StudyInstanceUID"),
    ("series_instance_uid", "SeriesInstanceUID"),
    ("sop_instance_uid", "SOPInstanceUID"),
    ("study_date", "StudyDate"),
    ("series_number", "SeriesNumber"),
    ("instance_number", "InstanceNumber"),
    ("slice_thickness", "SliceThickness"),
    ("kvp", "KVP"),
    ("convolution_kernel", "ConvolutionKernel"),
    ("contrast_bolus_agent", "ContrastBolusAgent"),
    ("burned_in_annotation", "BurnedInAnnotation"),
];

/// Attributes with more than one value (VM above 1 in PS3.6): lists in conditions.
const LISTS: [Tag; 14] = [
    tags::IMAGE_TYPE,
    tags::SOFTWARE_VERSIONS,
    tags::PATIENT_ORIENTATION,
    tags::CONVOLUTION_KERNEL,
    tags::SCAN_OPTIONS,
    tags::SEQUENCE_VARIANT,
    tags::MODALITIES_IN_STUDY,
    tags::SPECIFIC_CHARACTER_SET,
    tags::PIXEL_SPACING,
    tags::IMAGER_PIXEL_SPACING,
    tags::WINDOW_CENTER,
    tags::WINDOW_WIDTH,
    tags::IMAGE_POSITION_PATIENT,
    tags::IMAGE_ORIENTATION_PATIENT,
];

/// The names conditions are mostly written with, and what each stands for. Any other standard attribute
/// has its keyword in snake case as its name.
#[must_use]
pub fn rule_variables() -> Vec<(&'static str, String)> {
    let own = OWN.iter().map(|(name, _, meaning)| (*name, (*meaning).to_owned()));
    let common = COMMON.iter().map(|(name, keyword)| {
        let tag = StandardDataDictionary.by_name(keyword).map(|entry| entry.tag());
        (*name, tag.map_or_else(|| (*keyword).to_owned(), |tag| format!("{keyword} {tag}")))
    });
    own.chain(common).collect()
}

impl Variable {
    /// What `name` stands for; `None` for a name that nothing has.
    pub(crate) fn named(name: &str) -> Option<Self> {
        if let Some((_, variable, _)) = OWN.iter().find(|(own, ..)| *own == name) {
            return Some(*variable);
        }
        let entry = keywords(name).into_iter().find_map(|keyword| StandardDataDictionary.by_name(&keyword))?;
        let tag = entry.tag();
        let list = LISTS.contains(&tag);
        Some(match entry.vr().relaxed() {
            VR::IS | VR::US | VR::SS | VR::UL | VR::SL | VR::UV | VR::SV if !list => Self::Int(tag),
            VR::DS | VR::FL | VR::FD if list => Self::Floats(tag),
            VR::DS | VR::FL | VR::FD => Self::Float(tag),
            _ if list => Self::Texts(tag),
            _ => Self::Text(tag),
        })
    }

    /// Whether its value tells who a patient is, or names a person: what the Patient modules (PS3.3 § C.7.1.1, § C.2.2,
    /// § C.2.3) hold but sex, age and measures, and names.
    pub(crate) fn names_a_patient(self) -> bool {
        const MEASURES: [Tag; 4] = [tags::PATIENT_SEX, tags::PATIENT_AGE, tags::PATIENT_SIZE, tags::PATIENT_WEIGHT];
        let (Self::Text(tag) | Self::Texts(tag) | Self::Int(tag) | Self::Float(tag) | Self::Floats(tag)) = self else {
            return false;
        };
        let is_name = || StandardDataDictionary.by_tag(tag).is_some_and(|entry| entry.vr().relaxed() == VR::PN);
        (tag.group() == tags::PATIENT_ID.group() && !MEASURES.contains(&tag)) || is_name()
    }

    /// Its value for one instance; what is absent is empty: `''`, `0` or `[]`.
    pub(crate) fn value(self, of: &Attributes) -> Value {
        let data = &of.dataset;
        match self {
            Self::Text(tag) => text(data, tag).into(),
            Self::Texts(tag) => list(data.texts(tag)),
            Self::Int(tag) => Value::Int(data.int(tag).unwrap_or_default()),
            Self::Float(tag) => Value::Float(data.float(tag).unwrap_or_default()),
            Self::Floats(tag) => Value::List(Arc::new(data.floats(tag).into_iter().map(Value::Float).collect())),
            Self::SopClassName => sop_class_name(data).into(),
            Self::AgeKnown => Value::Bool(age_years(data).is_some()),
            Self::AgeYears => Value::Int(age_years(data).unwrap_or_default()),
            Self::Frames => Value::Int(data.int(tags::NUMBER_OF_FRAMES).unwrap_or(1)),
            Self::CallingAe => of.calling_ae.as_str().into(),
            Self::CalledAe => of.called_ae.as_str().into(),
            Self::TransferSyntax => of.transfer_syntax.as_str().into(),
        }
    }
}

/// The attribute that `tag('…')` names: a keyword, or group and element in hexadecimal.
pub(crate) fn attribute(name: &str) -> Option<Tag> {
    let bare = name.trim().trim_start_matches('(').trim_end_matches(')');
    if let Some((group, element)) = bare.split_once(',') {
        let [group, element] = [group, element].map(|digits| {
            let digits = digits.trim();
            (digits.len() == 4).then(|| u16::from_str_radix(digits, 16).ok()).flatten()
        });
        return Some(Tag(group?, element?));
    }
    if let Some(entry) = StandardDataDictionary.by_name(bare) {
        return Some(entry.tag());
    }
    keywords(bare).into_iter().find_map(|keyword| StandardDataDictionary.by_name(&keyword)).map(|entry| entry.tag())
}

/// An attribute as text, whatever its VR; numbers are joined by a backslash too.
pub(crate) fn text(data: &Dataset, tag: Tag) -> String {
    let numeric = matches!(
        data.get(tag).map(|element| element.vr),
        Some(VR::US | VR::SS | VR::UL | VR::SL | VR::UV | VR::SV | VR::FL | VR::FD | VR::AT)
    );
    if !numeric {
        return data.text(tag).unwrap_or_default();
    }
    let ints = data.ints(tag);
    let numbers: Vec<String> = if ints.is_empty() {
        data.floats(tag).iter().map(ToString::to_string).collect()
    } else {
        ints.iter().map(ToString::to_string).collect()
    };
    numbers.join("\\")
}

pub(crate) fn list(values: Vec<String>) -> Value {
    Value::List(Arc::new(values.into_iter().map(Value::from).collect()))
}

fn sop_class_name(data: &Dataset) -> String {
    let uid = data.uid(tags::SOP_CLASS_UID);
    let entry = uid.as_ref().and_then(|uid| StandardSopClassDictionary.by_uid(uid.as_str()));
    entry.map(|entry| entry.name.to_owned()).unwrap_or_default()
}

fn age_years(data: &Dataset) -> Option<i64> {
    if let Some(age) = data.text(tags::PATIENT_AGE)
        && let Some((unit_at, unit)) = age.char_indices().last()
        && let Ok(count) = age.get(..unit_at).unwrap_or_default().parse::<i64>()
    {
        match unit {
            'Y' => return Some(count),
            'M' => return Some(count / 12),
            'W' => return Some(count / 52),
            'D' => return Some(count / 365),
            _ => {}
        }
    }
    let day = |tag| data.text(tag).and_then(|text| text.get(..8)?.parse::<i64>().ok());
    let (birth, study) = (day(tags::PATIENT_BIRTH_DATE)?, day(tags::STUDY_DATE)?);
    // YYYYMMDD as numbers: the difference holds the whole years in front of four digits.
    study.checked_sub(birth).filter(|span| *span >= 0).map(|span| span / 10_000)
}

/// The keywords that a name in snake case may stand for: each word with a capital, or all capitals.
fn keywords(name: &str) -> Vec<String> {
    /// Longer names than any keyword has words, and a bound for the work.
    const WORDS_MAX: usize = 10;
    let words: Vec<&str> = name.split('_').collect();
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if !plain || words.len() > WORDS_MAX || words.iter().any(|word| word.is_empty()) {
        return Vec::new();
    }
    let mut candidates = vec![String::new()];
    for word in words {
        let capital = word.get(..1).unwrap_or_default().to_ascii_uppercase() + word.get(1..).unwrap_or_default();
        // Only short words are acronyms: UID, ID, SOP, KVP, LUT, VOI, HL7.
        let upper = (word.len() <= 4 && word.len() > 1).then(|| word.to_ascii_uppercase());
        candidates = candidates
            .iter()
            .flat_map(|start| {
                [Some(capital.as_str()), upper.as_deref()]
                    .into_iter()
                    .flatten()
                    .map(move |word| format!("{start}{word}"))
            })
            .collect();
    }
    candidates
}

/// Known names that are close to a misspelt one, the closest first, at most three.
pub(crate) fn close_names(name: &str) -> Vec<&'static str> {
    let known = OWN.iter().map(|(own, ..)| *own).chain(COMMON.iter().map(|(common, _)| *common));
    let mut close: Vec<(usize, &str)> = known
        .map(|known| (distance(name, known), known))
        .filter(|(distance, known)| *distance <= 1 + known.len() / 4 || (known.starts_with(name) && name.len() >= 3))
        .collect();
    close.sort_unstable();
    close.into_iter().take(3).map(|(_, known)| known).collect()
}

/// Insertions, deletions and replacements between two words (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i.saturating_add(1);
        let mut next = vec![left];
        for (y, above) in b.iter().zip(row.iter().skip(1)) {
            let replaced = diagonal.saturating_add(usize::from(x != *y));
            left = replaced.min(above.saturating_add(1)).min(left.saturating_add(1));
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_the_keyword_in_snake_case() {
        for (name, tag) in [
            ("modality", tags::MODALITY),
            ("body_part", tags::BODY_PART_EXAMINED),
            ("body_part_examined", tags::BODY_PART_EXAMINED),
            ("study_instance_uid", tags::STUDY_INSTANCE_UID),
            ("sop_class_uid", tags::SOP_CLASS_UID),
            ("patient_id", tags::PATIENT_ID),
            ("kvp", tags::KVP),
            ("voi_lut_function", tags::VOILUT_FUNCTION),
            ("x_ray_tube_current", tags::X_RAY_TUBE_CURRENT),
        ] {
            let found = match Variable::named(name) {
                Some(Variable::Text(tag) | Variable::Int(tag) | Variable::Float(tag)) => Some(tag),
                _ => None,
            };
            assert_eq!(found, Some(tag), "{name}");
        }
        for name in ["Modality", "modalty", "", "_", "a__b", "rows_", "x".repeat(500).as_str()] {
            assert_eq!(Variable::named(name), None, "{name}");
        }
        assert!(rule_variables().iter().all(|(name, _)| Variable::named(name).is_some()));
    }

    #[test]
    fn what_is_absent_is_empty() {
        let none = Attributes::new(Arc::default(), "", "", "");
        for (name, value) in [
            ("modality", Value::from("")),
            ("rows", Value::Int(0)),
            ("kvp", Value::Float(0.0)),
            ("image_type", list(Vec::new())),
            ("number_of_frames", Value::Int(1)),
            ("patient_age_years", Value::Int(0)),
            ("patient_age_known", Value::Bool(false)),
            ("sop_class_name", Value::from("")),
        ] {
            assert_eq!(Variable::named(name).unwrap().value(&none), value, "{name}");
        }
    }

    #[test]
    fn age_from_the_attribute_or_from_the_dates() {
        let age = |fields: &[(Tag, VR, &str)]| {
            let mut data = Dataset::new();
            fields.iter().for_each(|(tag, vr, text)| data.put_text(*tag, *vr, text));
            age_years(&data)
        };
        assert_eq!(age(&[(tags::PATIENT_AGE, VR::AS, "045Y")]), Some(45));
        assert_eq!(age(&[(tags::PATIENT_AGE, VR::AS, "018M")]), Some(1));
        assert_eq!(age(&[(tags::PATIENT_AGE, VR::AS, "old")]), None);
        let dates = [(tags::PATIENT_BIRTH_DATE, VR::DA, "19800615"), (tags::STUDY_DATE, VR::DA, "20240614")];
        assert_eq!(age(&dates), Some(43));
    }

    #[test]
    fn tags_by_number_and_by_keyword() {
        for name in ["0018,0015", "(0018,0015)", "BodyPartExamined", "body_part_examined"] {
            assert_eq!(attribute(name), Some(tags::BODY_PART_EXAMINED), "{name}");
        }
        assert_eq!(attribute("0019,10AB"), Some(Tag(0x0019, 0x10AB)));
        for name in ["", "18,15", "BodyPart", "0018,001G", "0018,0015,"] {
            assert_eq!(attribute(name), None, "{name}");
        }
    }

    #[test]
    fn misspelt_names_are_guessed() {
        assert_eq!(close_names("modalty").first(), Some(&"modality"));
        assert_eq!(close_names("studydescription").first(), Some(&"study_description"));
        assert!(close_names("bodypart").contains(&"body_part"));
        assert!(close_names("quite_something_else").is_empty());
    }
}
