//! Whether two images are of one patient, as far as their headers can say.

use std::fmt;

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;

/// Why two images cannot be taken for those of one patient; never what their headers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// One of them has no Patient ID (0010,0020).
    NoPatientId,
    /// The attribute differs.
    Differs(&'static str),
    /// Neither birth date nor name is in both: an ID alone may be a placeholder.
    IdAlone,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPatientId => f.write_str("no Patient ID"),
            Self::Differs(name) => write!(f, "another {name}"),
            Self::IdAlone => f.write_str("neither birth date nor name beside the Patient ID"),
        }
    }
}

/// Whether two images say of themselves that they are of two patients: their Patient IDs differ, or the issuers of these, where
/// both have one.
#[must_use]
pub fn other_patient(one: &Dataset, other: &Dataset) -> bool {
    [tags::PATIENT_ID, tags::ISSUER_OF_PATIENT_ID].into_iter().any(|tag| {
        let [one, other] = [one, other].map(|header| trimmed(header.bytes(tag).unwrap_or_default()));
        !one.is_empty() && !other.is_empty() && one != other
    })
}

/// Takes two images for those of one patient where Patient ID and issuer are equal byte for byte, birth date, sex and name do
/// not contradict each other, and birth date or name is in both.
///
/// # Errors
/// The first [`Doubt`].
pub fn same_patient(one: &Dataset, other: &Dataset) -> Result<(), Doubt> {
    let bytes = |header: &Dataset, tag: Tag| trimmed(header.bytes(tag).unwrap_or_default()).to_vec();
    let ids = [one, other].map(|header| bytes(header, tags::PATIENT_ID));
    if ids.iter().any(Vec::is_empty) {
        return Err(Doubt::NoPatientId);
    }
    let equal = |read: &dyn Fn(&Dataset) -> Vec<u8>| read(one) == read(other);
    if !equal(&|header| bytes(header, tags::PATIENT_ID)) {
        return Err(Doubt::Differs("Patient ID"));
    }
    if !equal(&|header| bytes(header, tags::ISSUER_OF_PATIENT_ID)) || !equal(&universal_entity) {
        return Err(Doubt::Differs("Issuer of Patient ID"));
    }
    let text = |tag: Tag| one.text(tag).zip(other.text(tag));
    let births = text(tags::PATIENT_BIRTH_DATE);
    if births.as_ref().is_some_and(|(one, other)| digits(one) != digits(other)) {
        return Err(Doubt::Differs("Patient's Birth Date"));
    }
    if text(tags::PATIENT_SEX).is_some_and(|(one, other)| one != other) {
        return Err(Doubt::Differs("Patient's Sex"));
    }
    let names = text(tags::PATIENT_NAME).map(|(one, other)| compare_names(&one, &other));
    match names.flatten() {
        Some(false) => Err(Doubt::Differs("Patient's Name")),
        None if births.is_none() => Err(Doubt::IdAlone),
        _ => Ok(()),
    }
}

/// Universal Entity ID (0040,0032) of the Issuer of Patient ID Qualifiers (PS3.3 Table 10-18).
fn universal_entity(header: &Dataset) -> Vec<u8> {
    let item = header.items(tags::ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE).first();
    let id = item.and_then(|item| item.bytes(tags::UNIVERSAL_ENTITY_ID)).unwrap_or_default();
    trimmed(id).to_vec()
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    let is_padding = |byte: &u8| matches!(byte, b' ' | 0);
    let begin = bytes.iter().position(|byte| !is_padding(byte)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|byte| !is_padding(byte)).map_or(begin, |last| last.saturating_add(1));
    bytes.get(begin..end).unwrap_or_default()
}

/// A date of DICOM or, with dots, of ACR-NEMA 300.
fn digits(date: &str) -> String {
    date.chars().filter(char::is_ascii_digit).collect()
}

/// Whether two names agree in every component group (alphabetic, ideographic, phonetic; PS3.5 § 6.2.1.1) that both have;
/// `None` when they have none in common.
fn compare_names(one: &str, other: &str) -> Option<bool> {
    let groups = |name: &str| name.split('=').map(group).collect::<Vec<_>>();
    let (one, other) = (groups(one), groups(other));
    let common = one.iter().zip(&other).filter(|(one, other)| !one.is_empty() && !other.is_empty());
    common.map(|(one, other)| one == other).reduce(|all, one| all && one)
}

/// The parts of a group without what different systems write differently: case, spaces, empty components at the end.
fn group(group: &str) -> Vec<String> {
    let part = |part: &str| part.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let mut parts: Vec<String> = group.split('^').map(part).collect();
    while parts.last().is_some_and(String::is_empty) {
        parts.pop();
    }
    parts
}

#[cfg(test)]
mod tests {
    use dicom_core::VR;

    use super::*;

    fn patient(changes: &[(Tag, VR, &str)]) -> Dataset {
        let mut header = Dataset::new();
        for (tag, vr, text) in [
            (tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192"),
            (tags::PATIENT_ID, VR::LO, "4711"),
            (tags::ISSUER_OF_PATIENT_ID, VR::LO, "HOSPITAL"),
            (tags::PATIENT_BIRTH_DATE, VR::DA, "19700101"),
            (tags::PATIENT_SEX, VR::CS, "F"),
            (tags::PATIENT_NAME, VR::PN, "Doe^Jane"),
        ]
        .iter()
        .chain(changes)
        {
            header.put_text(*tag, *vr, text);
        }
        header
    }

    fn check(changes: &[(Tag, VR, &str)], expected: Result<(), Doubt>) {
        let (one, other) = (patient(&[]), patient(changes));
        assert_eq!((same_patient(&one, &other), same_patient(&other, &one)), (expected, expected), "{changes:?}");
    }

    #[test]
    fn the_same_person_written_otherwise() {
        check(&[], Ok(()));
        check(&[(tags::PATIENT_NAME, VR::PN, "DOE^JANE^^")], Ok(()));
        check(&[(tags::PATIENT_NAME, VR::PN, "Doe ^Jane=道^ジェーン")], Ok(()));
        check(&[(tags::PATIENT_NAME, VR::PN, "=道^ジェーン")], Ok(()));
        check(&[(tags::PATIENT_NAME, VR::PN, "")], Ok(()));
        check(&[(tags::PATIENT_BIRTH_DATE, VR::DA, "")], Ok(()));
        check(&[(tags::PATIENT_BIRTH_DATE, VR::DA, "1970.01.01")], Ok(()));
        check(&[(tags::PATIENT_SEX, VR::CS, "")], Ok(()));
        check(&[(tags::PATIENT_ID, VR::LO, " 4711 ")], Ok(()));
    }

    #[test]
    fn another_person_under_the_same_id() {
        check(&[(tags::PATIENT_ID, VR::LO, "4712")], Err(Doubt::Differs("Patient ID")));
        check(&[(tags::PATIENT_ID, VR::LO, "04711")], Err(Doubt::Differs("Patient ID")));
        check(&[(tags::ISSUER_OF_PATIENT_ID, VR::LO, "OTHER")], Err(Doubt::Differs("Issuer of Patient ID")));
        check(&[(tags::ISSUER_OF_PATIENT_ID, VR::LO, "")], Err(Doubt::Differs("Issuer of Patient ID")));
        check(&[(tags::PATIENT_BIRTH_DATE, VR::DA, "19700110")], Err(Doubt::Differs("Patient's Birth Date")));
        check(&[(tags::PATIENT_SEX, VR::CS, "M")], Err(Doubt::Differs("Patient's Sex")));
        check(&[(tags::PATIENT_NAME, VR::PN, "Doe^John")], Err(Doubt::Differs("Patient's Name")));
        check(&[(tags::PATIENT_NAME, VR::PN, "Jane^Doe")], Err(Doubt::Differs("Patient's Name")));
    }

    #[test]
    fn issuers_are_also_told_by_their_universal_id() {
        let with = |id: &str| {
            let mut item = Dataset::new();
            item.put_text(tags::UNIVERSAL_ENTITY_ID, VR::UT, id);
            let mut header = patient(&[]);
            header.put_items(tags::ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE, vec![item]);
            header
        };
        assert_eq!(same_patient(&with("1.2.3"), &with("1.2.3")), Ok(()));
        assert_eq!(same_patient(&with("1.2.3"), &with("1.2.4")), Err(Doubt::Differs("Issuer of Patient ID")));
        assert_eq!(same_patient(&with("1.2.3"), &patient(&[])), Err(Doubt::Differs("Issuer of Patient ID")));
    }

    #[test]
    fn an_id_alone_tells_nobody() {
        let without = |removed: &[Tag]| {
            let mut header = patient(&[]);
            removed.iter().for_each(|tag| drop(header.remove(*tag)));
            header
        };
        let nameless = without(&[tags::PATIENT_NAME, tags::PATIENT_BIRTH_DATE]);
        assert_eq!(same_patient(&nameless, &nameless), Err(Doubt::IdAlone));
        let anonymous = without(&[tags::PATIENT_ID]);
        assert_eq!(same_patient(&anonymous, &anonymous), Err(Doubt::NoPatientId));
        assert_eq!(same_patient(&without(&[tags::PATIENT_NAME]), &patient(&[])), Ok(()));
        let name_only = without(&[tags::PATIENT_BIRTH_DATE]);
        assert_eq!(same_patient(&name_only, &patient(&[])), Ok(()));
        let ideographic =
            patient(&[(tags::PATIENT_NAME, VR::PN, "=道^ジェーン"), (tags::PATIENT_BIRTH_DATE, VR::DA, "")]);
        assert_eq!(same_patient(&ideographic, &patient(&[])), Err(Doubt::IdAlone), "no group in common");
    }

    #[test]
    fn another_patient_has_another_id_or_issuer() {
        for (changes, expected) in [
            (&[(tags::PATIENT_NAME, VR::PN, "Doe^Joan")][..], false),
            (&[(tags::PATIENT_ID, VR::LO, "4711 ")], false),
            (&[(tags::PATIENT_ID, VR::LO, "")], false),
            (&[(tags::ISSUER_OF_PATIENT_ID, VR::LO, "")], false),
            (&[(tags::PATIENT_ID, VR::LO, "4712")], true),
            (&[(tags::ISSUER_OF_PATIENT_ID, VR::LO, "CLINIC")], true),
        ] {
            let (one, other) = (patient(&[]), patient(changes));
            assert_eq!((other_patient(&one, &other), other_patient(&other, &one)), (expected, expected), "{changes:?}");
        }
    }
}
