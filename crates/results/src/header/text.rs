use dicom_core::VR;
use dicom_dictionary_std::tags;
use dokuei_dataset::{Dataset, Value};

/// What own text may be made of, so that it is right in the character set the object has from its source.
///
/// ASCII is valid in every set but JIS X 0201 (ISO_IR 13), whose `\` and `~` are a yen sign and an overline
/// (PS3.5 § 6.1.2.3). Other characters are written only where the set is UTF-8, or where the source declares
/// none and needs none, so that UTF-8 can be declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OwnText {
    repertoire: Repertoire,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repertoire {
    /// ISO_IR 192 in the source.
    Utf8,
    /// No set in the source, and its texts are ASCII.
    Undeclared,
    Ascii,
    /// ASCII without `\` and `~`.
    JisRoman,
}

impl OwnText {
    pub(crate) fn of(source: &Dataset) -> Self {
        let declared = source.bytes(tags::SPECIFIC_CHARACTER_SET).unwrap_or_default();
        let declared = String::from_utf8_lossy(declared);
        let terms: Vec<&str> = declared.split('\\').map(|term| term.trim_matches([' ', '\0'])).collect();
        let repertoire = match terms.as_slice() {
            ["ISO_IR 192"] => Repertoire::Utf8,
            [""] if is_ascii(source) => Repertoire::Undeclared,
            ["ISO_IR 13" | "ISO 2022 IR 13", ..] => Repertoire::JisRoman,
            _ => Repertoire::Ascii,
        };
        Self { repertoire }
    }

    /// The text in the characters allowed, with what the VR forbids taken out and cut to what it holds
    /// (PS3.5 § 6.2).
    pub(crate) fn fit(self, text: &str, vr: VR) -> String {
        let prose = matches!(vr, VR::ST | VR::LT | VR::UT);
        let mut out = String::with_capacity(text.len());
        for character in text.chars() {
            match character {
                '\n' if prose => out.push_str("\r\n"),
                '\\' if !prose || self.repertoire == Repertoire::JisRoman => out.push('/'),
                '~' if self.repertoire == Repertoire::JisRoman => out.push('-'),
                _ if character.is_control() => out.push(' '),
                _ if character.is_ascii() || self.is_wide() => out.push(character),
                _ => out.push_str(in_ascii(character)),
            }
        }
        let limit = match vr {
            VR::SH | VR::CS | VR::AE => 16,
            VR::LO | VR::PN => 64,
            VR::ST => 1024,
            VR::LT => 10_240,
            _ => usize::MAX,
        };
        let cut: String = out.chars().take(limit).collect();
        cut.trim_end().to_owned()
    }

    fn is_wide(self) -> bool {
        matches!(self.repertoire, Repertoire::Utf8 | Repertoire::Undeclared)
    }

    /// Declares the set: the source's bytes, or UTF-8 where own text needs it and the source has none.
    pub(crate) fn declare(self, data: &mut Dataset, source: &Dataset) {
        super::copy(source, data, tags::SPECIFIC_CHARACTER_SET, VR::CS);
        if self.repertoire == Repertoire::Undeclared && !is_ascii(data) {
            data.put_text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192");
        }
    }
}

/// The nearest ASCII spelling of what names and sentences are written with.
fn in_ascii(character: char) -> &'static str {
    match character {
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{b7}' => "-",
        '\u{2018}' | '\u{2019}' => "'",
        '\u{201c}' | '\u{201d}' => "\"",
        '\u{2026}' => "...",
        '\u{2264}' => "<=",
        '\u{2265}' => ">=",
        '\u{d7}' => "x",
        '\u{a0}' => " ",
        'à'..='å' => "a",
        'ç' => "c",
        'è'..='ë' => "e",
        'ì'..='ï' => "i",
        'ñ' => "n",
        'ò'..='ö' | 'ø' => "o",
        'ù'..='ü' => "u",
        'À'..='Å' => "A",
        'Ç' => "C",
        'È'..='Ë' => "E",
        'Ñ' => "N",
        'Ò'..='Ö' | 'Ø' => "O",
        'Ù'..='Ü' => "U",
        'ß' => "ss",
        _ => "?",
    }
}

/// Whether every text of a data set is ASCII without escape sequences; recursion is bounded by the reader.
fn is_ascii(data: &Dataset) -> bool {
    data.iter().all(|element| match &element.value {
        Value::Items(items) => items.iter().all(is_ascii),
        Value::Bytes(bytes) if is_text(element.vr) => bytes.iter().all(|b| b.is_ascii() && *b != 0x1b),
        Value::Bytes(_) | Value::Omitted { .. } => true,
    })
}

/// The VRs that Specific Character Set applies to (PS3.5 § 6.1.2.2), and UN, which may be any of them.
fn is_text(vr: VR) -> bool {
    matches!(vr, VR::LO | VR::LT | VR::PN | VR::SH | VR::ST | VR::UC | VR::UN | VR::UT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(set: Option<&str>) -> OwnText {
        let mut source = Dataset::new();
        if let Some(set) = set {
            source.put_text(tags::SPECIFIC_CHARACTER_SET, VR::CS, set);
        }
        OwnText::of(&source)
    }

    #[test]
    fn own_text_stays_valid_in_the_set_of_the_source() {
        let text = "Müller \u{2265} 5 ~ 肺炎";
        assert_eq!(own(Some("ISO_IR 192")).fit(text, VR::LO), text);
        assert_eq!(own(Some("ISO_IR 100")).fit(text, VR::LO), "Muller >= 5 ~ ??");
        assert_eq!(own(Some("\\ISO 2022 IR 87")).fit(text, VR::LO), "Muller >= 5 ~ ??");
        assert_eq!(own(Some("ISO_IR 13 ")).fit("a~b", VR::UT), "a-b");
        assert_eq!(own(Some("ISO 2022 IR 13\\ISO 2022 IR 87")).fit("a\\b", VR::UT), "a/b");
    }

    #[test]
    fn a_value_never_splits_or_overflows() {
        assert_eq!(own(None).fit("a\\b\tc", VR::LO), "a/b c");
        assert_eq!(own(None).fit("a\\b", VR::UT), "a\\b");
        assert_eq!(own(None).fit(&"x".repeat(70), VR::LO).len(), 64);
        assert_eq!(own(None).fit(&"x".repeat(70), VR::SH).len(), 16);
    }

    #[test]
    fn utf8_is_declared_only_where_nothing_copied_contradicts() {
        let mut source = Dataset::new();
        let mut data = Dataset::new();
        data.put_text(tags::MANUFACTURER, VR::LO, "Müller");
        OwnText::of(&source).declare(&mut data, &source);
        assert_eq!(data.text(tags::SPECIFIC_CHARACTER_SET).as_deref(), Some("ISO_IR 192"));

        source.put_bytes(tags::PATIENT_NAME, VR::PN, *b"M\xfcller");
        assert_eq!(OwnText::of(&source).fit("Müller", VR::LO), "Muller");
        let mut data = Dataset::new();
        OwnText::of(&source).declare(&mut data, &source);
        assert!(!data.contains(tags::SPECIFIC_CHARACTER_SET));
    }
}
