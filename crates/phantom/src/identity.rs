use dokuei_types::{Uid, derived_uid};

use crate::draw::{Draw, Part};
use crate::radiograph::Radiograph;
use crate::spec::{OpacitySpec, Sex};

/// Who a computed radiograph pretends to show, and in which study.
///
/// Nobody real: Patient ID starts with `PHANTOM-`, Quality Control Subject (0010,0200) is YES and
/// Patient Comments (0010,4000) say what it is.
#[derive(Debug, Clone, PartialEq)]
pub struct DicomIdentity {
    /// Patient's Name (0010,0010).
    pub name: PersonName,
    /// How names are encoded: Specific Character Set (0008,0005).
    pub character_set: CharacterSet,
    /// Patient ID (0010,0020).
    pub patient_id: String,
    /// Patient's Birth Date (0010,0030), `YYYYMMDD`.
    pub birth_date: String,
    /// Patient's Sex (0010,0040).
    pub sex: Sex,
    /// Patient's Age (0010,1010) in years.
    pub age_years: u16,
    /// Study Date (0008,0020) and all other dates, `YYYYMMDD`.
    pub date: String,
    /// Study Time (0008,0030) and all other times, `HHMMSS`.
    pub time: String,
    /// Accession Number (0008,0050), at most 16 characters.
    pub accession_number: String,
    /// Study Description (0008,1030).
    pub study_description: String,
    /// Institution Name (0008,0080).
    pub institution: String,
    /// Station Name (0008,1010).
    pub station: String,
    /// Which SOP class and modality to write.
    pub image_class: ImageClass,
    /// Study Instance UID (0020,000D).
    pub study_instance: Uid,
    /// Series Instance UID (0020,000E).
    pub series_instance: Uid,
    /// SOP Instance UID (0008,0018).
    pub sop_instance: Uid,
}

/// The component groups of a person's name (PS3.5 § 6.2.1.1), each as `family^given`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PersonName {
    /// In single-byte characters.
    pub alphabetic: String,
    /// In ideographs; empty when there is none.
    pub ideographic: String,
    /// In phonetic characters; empty when there is none.
    pub phonetic: String,
}

/// The character sets names are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CharacterSet {
    /// The default repertoire; nothing but ASCII.
    Ascii,
    /// Latin alphabet No. 1, `ISO_IR 100`.
    Latin1,
    /// Japanese with code extensions, `\ISO 2022 IR 87`.
    Japanese,
    /// UTF-8, `ISO_IR 192`.
    Utf8,
}

/// The kind of radiograph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageClass {
    /// Digital X-Ray Image Storage - For Presentation, modality DX (PS3.3 § A.26).
    DigitalXRay,
    /// Computed Radiography Image Storage, modality CR (PS3.3 § A.2).
    ComputedRadiography,
}

/// The year in which every picture is said to be taken: fixed, so that a seed always gives the same bytes.
const STUDY_YEAR: u64 = 2024;

const FEMALE: [(&str, &str, &str, CharacterSet); 6] = [
    ("Phantom^Ada", "", "", CharacterSet::Ascii),
    ("Suzuki^Hanako", "鈴木^花子", "すずき^はなこ", CharacterSet::Japanese),
    ("Schröder^Jette", "", "", CharacterSet::Latin1),
    ("Phantom^Beatrice", "", "", CharacterSet::Ascii),
    ("Satou^Yuki", "佐藤^由紀", "さとう^ゆき", CharacterSet::Japanese),
    ("Nováková^Tereza", "", "", CharacterSet::Utf8),
];
const MALE: [(&str, &str, &str, CharacterSet); 6] = [
    ("Yamada^Tarou", "山田^太郎", "やまだ^たろう", CharacterSet::Japanese),
    ("Phantom^Karl", "", "", CharacterSet::Ascii),
    ("Lefèvre^Rémi", "", "", CharacterSet::Latin1),
    ("Tanaka^Ichirou", "田中^一郎", "たなか^いちろう", CharacterSet::Japanese),
    ("Phantom^Omar", "", "", CharacterSet::Ascii),
    ("Øster^Łukasz", "", "", CharacterSet::Utf8),
];

impl DicomIdentity {
    /// An invented identity that follows from the radiograph's seed and findings.
    ///
    /// The same specification always gives the same UIDs, and different ones different UIDs.
    #[must_use]
    pub fn of(radiograph: &Radiograph) -> Self {
        let truth = &radiograph.truth;
        let mut draw = Draw::new(truth.seed, Part::Identity);
        let names = match truth.sex {
            Sex::Female => FEMALE,
            Sex::Male => MALE,
        };
        let (alphabetic, ideographic, phonetic, character_set) = names[draw.pick(names.len())];
        let day = |draw: &mut Draw| (1 + draw.pick(12), 1 + draw.pick(28));
        let (birth, taken) = (day(&mut draw), day(&mut draw));
        // Born later in the year than the picture is taken: the birthday is still to come.
        let year = STUDY_YEAR - u64::from(truth.age_years) - u64::from(birth > taken);
        let case = case(radiograph);
        let uid = |role: &str| derived_uid(&["phantom", role, &case]);
        let institution =
            if character_set == CharacterSet::Japanese { "ファントム病院" } else { "Phantom Hospital" };
        Self {
            name: PersonName {
                alphabetic: alphabetic.into(),
                ideographic: ideographic.into(),
                phonetic: phonetic.into(),
            },
            character_set,
            patient_id: format!("PHANTOM-{:06}", truth.seed % 1_000_000),
            birth_date: format!("{:04}{:02}{:02}", year, birth.0, birth.1),
            sex: truth.sex,
            age_years: truth.age_years,
            date: format!("{STUDY_YEAR}{:02}{:02}", taken.0, taken.1),
            time: format!("{:02}{:02}{:02}", 7 + draw.pick(12), draw.pick(60), draw.pick(60)),
            accession_number: format!("PH{:010}", draw.pick(9_999_999_999)),
            study_description: "Chest PA".into(),
            institution: institution.into(),
            station: "PHANTOM1".into(),
            image_class: if draw.chance(0.25) { ImageClass::ComputedRadiography } else { ImageClass::DigitalXRay },
            study_instance: uid("study"),
            series_instance: uid("series"),
            sop_instance: uid("image"),
        }
    }
}

/// Everything of the specification that changes pixels, as text.
fn case(radiograph: &Radiograph) -> String {
    let opacity = radiograph.truth.opacity.as_ref().map_or(String::new(), |o| {
        let OpacitySpec { side, zone, pattern, radius_mm, filling } = o.spec;
        format!("{}/{}/{}/{radius_mm}/{filling}", side.as_str(), zone.as_str(), pattern.as_str())
    });
    format!(
        "{}/{}x{}/{}/{}/{opacity}",
        radiograph.truth.seed, radiograph.columns, radiograph.rows, radiograph.bits_stored, radiograph.monochrome1
    )
}

impl PersonName {
    /// The groups joined by `=`, empty ones at the end left out.
    #[must_use]
    pub fn joined(&self) -> String {
        let text = format!("{}={}={}", self.alphabetic, self.ideographic, self.phonetic);
        text.trim_end_matches('=').to_owned()
    }
}

impl CharacterSet {
    /// The value of Specific Character Set (0008,0005); `None` for the default repertoire.
    #[must_use]
    pub fn term(self) -> Option<&'static str> {
        match self {
            Self::Ascii => None,
            Self::Latin1 => Some("ISO_IR 100"),
            Self::Japanese => Some("\\ISO 2022 IR 87"),
            Self::Utf8 => Some("ISO_IR 192"),
        }
    }

    /// Encodes a value; what the set lacks becomes `?`.
    ///
    /// Code extensions return to ASCII before each `^`, `=` and backslash (PS3.5 § 6.1.2.5.3).
    #[must_use]
    pub fn encode(self, text: &str) -> Vec<u8> {
        match self {
            Self::Utf8 => text.as_bytes().to_vec(),
            Self::Ascii => text.chars().map(|c| if c.is_ascii() { narrow(c) } else { b'?' }).collect(),
            Self::Latin1 => text.chars().map(narrow).collect(),
            Self::Japanese => japanese(text),
        }
    }
}

fn narrow(c: char) -> u8 {
    u8::try_from(u32::from(c)).unwrap_or(b'?')
}

fn japanese(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for part in text.split_inclusive(['^', '=', '\\']) {
        let (part, delimiter) = match part.char_indices().last() {
            Some((at, c @ ('^' | '=' | '\\'))) => (&part[..at], Some(c)),
            _ => (part, None),
        };
        // The encoder ends every run of JIS X 0208 with the escape back to ASCII.
        out.extend_from_slice(&encoding_rs::ISO_2022_JP.encode(part).0);
        out.extend(delimiter.map(narrow));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn japanese_names_are_those_of_the_standard() {
        // PS3.5 § H.3.1, example 1.
        let expected: &[u8] = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B";
        assert_eq!(CharacterSet::Japanese.encode("Yamada^Tarou=山田^太郎=やまだ^たろう"), expected);
    }

    #[test]
    fn names_join_without_empty_groups() {
        let name = PersonName { alphabetic: "Phantom^Ada".into(), ..PersonName::default() };
        assert_eq!(name.joined(), "Phantom^Ada");
        assert_eq!(CharacterSet::Latin1.encode("Rémi Ł"), b"R\xe9mi ?");
    }
}
