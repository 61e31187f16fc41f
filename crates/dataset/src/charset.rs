use dicom_core::VR;
use dicom_dictionary_std::tags;
use encoding_rs as er;

use crate::data_set::Dataset;

/// The character sets a data set's texts are in (PS3.3 C.12.1.1.2, PS3.5 § 6.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CharacterSets {
    initial: Charset,
    /// More than one value, or a term with code extensions: escape sequences switch sets (PS3.5 § 6.1.2.5).
    extended: bool,
}

/// What a byte, or a pair of them, stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Charset {
    /// ISO 646; bytes over 127 are shown as Latin-1, since senders forget to declare it.
    Ascii,
    Latin1,
    /// JIS X 0201: half-width katakana over 127.
    Jis0201,
    /// A set encoding_rs decodes whole: single bytes, or multi-byte without escape sequences.
    Whole(&'static er::Encoding),
    /// JIS X 0208 in G0, two bytes.
    Jis0208,
    /// JIS X 0212 in G0, two bytes.
    Jis0212,
}

impl CharacterSets {
    /// The sets Specific Character Set (0008,0005) declares; the default repertoire when it is absent.
    #[must_use]
    pub fn of(dataset: &Dataset) -> Self {
        let declared = dataset.bytes(tags::SPECIFIC_CHARACTER_SET).unwrap_or_default();
        let declared = String::from_utf8_lossy(declared);
        let mut terms = declared.split('\\').map(|term| term.trim_matches([' ', '\0']));
        let first = terms.next().unwrap_or_default();
        Self { initial: charset(first), extended: first.starts_with("ISO 2022") || terms.next().is_some() }
    }

    /// Decodes a value field. What cannot be decoded becomes U+FFFD; nothing fails.
    ///
    /// The VR decides where code extensions end (PS3.5 § 6.1.2.5.3): at control characters always, at a
    /// backslash where it separates values, and at `^` and `=` in a person's name.
    #[must_use]
    pub fn decode(&self, bytes: &[u8], vr: VR) -> String {
        if let Some(text) = plain(bytes) {
            return text.to_owned();
        }
        if !takes_character_set(vr) {
            return bytes.iter().map(|&byte| char::from(byte)).collect();
        }
        match (self.extended, self.initial) {
            (false, Charset::Whole(encoding)) => encoding.decode_without_bom_handling(bytes).0.into_owned(),
            _ => self.decode_extended(bytes, vr),
        }
    }

    fn decode_extended(&self, bytes: &[u8], vr: VR) -> String {
        let mut out = String::new();
        let mut state = State::new(self.initial);
        let mut rest = bytes;
        while let Some((&first, tail)) = rest.split_first() {
            if first == 0x1B
                && self.extended
                && let Some((escape, length)) = escape(tail)
            {
                state.designate(escape);
                rest = tail.get(length..).unwrap_or_default();
                continue;
            }
            // Two-byte G0 sets use the codes of the delimiters too; only control characters end them.
            if first < 0x20 || (!state.g0_has_two_bytes() && ends_extension(first, vr)) {
                state = State::new(self.initial);
                out.push(char::from(first));
                rest = tail;
                continue;
            }
            rest = state.one(first, tail, &mut out);
        }
        out
    }
}

/// The text of a value field that is the same in every character set: all have ISO 646 in them, and without an escape
/// sequence nothing else can be meant.
pub(crate) fn plain(bytes: &[u8]) -> Option<&str> {
    let is_plain = bytes.iter().all(|byte| byte.is_ascii() && *byte != 0x1B);
    if is_plain { std::str::from_utf8(bytes).ok() } else { None }
}

/// The VRs whose values are in the Specific Character Set (PS3.5 § 6.1.2.2).
fn takes_character_set(vr: VR) -> bool {
    matches!(vr, VR::SH | VR::LO | VR::ST | VR::LT | VR::PN | VR::UC | VR::UT | VR::UN)
}

fn ends_extension(byte: u8, vr: VR) -> bool {
    match byte {
        b'\\' => !matches!(vr, VR::ST | VR::LT | VR::UT),
        b'^' | b'=' => vr == VR::PN,
        _ => false,
    }
}

/// A defined term of Specific Character Set (PS3.3 Tables C.12-2 to C.12-5).
fn charset(term: &str) -> Charset {
    let number = ["ISO 2022 IR ", "ISO_IR "].into_iter().find_map(|kind| term.strip_prefix(kind)).unwrap_or(term);
    match number {
        "100" => Charset::Latin1,
        "101" => Charset::Whole(er::ISO_8859_2),
        "109" => Charset::Whole(er::ISO_8859_3),
        "110" => Charset::Whole(er::ISO_8859_4),
        "144" => Charset::Whole(er::ISO_8859_5),
        "127" => Charset::Whole(er::ISO_8859_6),
        "126" => Charset::Whole(er::ISO_8859_7),
        "138" => Charset::Whole(er::ISO_8859_8),
        "148" => Charset::Whole(er::WINDOWS_1254),
        "203" => Charset::Whole(er::ISO_8859_15),
        "166" => Charset::Whole(er::WINDOWS_874),
        "13" => Charset::Jis0201,
        "192" => Charset::Whole(er::UTF_8),
        "GB18030" => Charset::Whole(er::GB18030),
        "GBK" => Charset::Whole(er::GBK),
        // Sets of two bytes that only escape sequences reach start in the default repertoire.
        _ => Charset::Ascii,
    }
}

/// What an escape sequence changes.
#[derive(Clone, Copy)]
enum Escape {
    G0(Charset),
    G1(Charset),
}

/// The escape sequence after ESC and its length (PS3.3 Tables C.12-3 and C.12-4).
fn escape(bytes: &[u8]) -> Option<(Escape, usize)> {
    Some(match bytes {
        [b'$', b'B', ..] => (Escape::G0(Charset::Jis0208), 2),
        [b'$', b'(', b'D', ..] => (Escape::G0(Charset::Jis0212), 3),
        [b'$', b')', b'C', ..] => (Escape::G1(Charset::Whole(er::EUC_KR)), 3),
        [b'$', b')', b'A', ..] => (Escape::G1(Charset::Whole(er::GBK)), 3),
        [b'(', b'B', ..] => (Escape::G0(Charset::Ascii), 2),
        [b'(', b'J', ..] => (Escape::G0(Charset::Jis0201), 2),
        [b')', b'I', ..] => (Escape::G1(Charset::Jis0201), 2),
        [b'-', b'A', ..] => (Escape::G1(Charset::Latin1), 2),
        [b'-', b'B', ..] => (Escape::G1(Charset::Whole(er::ISO_8859_2)), 2),
        [b'-', b'C', ..] => (Escape::G1(Charset::Whole(er::ISO_8859_3)), 2),
        [b'-', b'D', ..] => (Escape::G1(Charset::Whole(er::ISO_8859_4)), 2),
        [b'-', b'F', ..] => (Escape::G1(Charset::Whole(er::ISO_8859_7)), 2),
        [b'-', b'G', ..] => (Escape::G1(Charset::Whole(er::ISO_8859_6)), 2),
        [b'-', b'H', ..] => (Escape::G1(Charset::Whole(er::ISO_8859_8)), 2),
        [b'-', b'L', ..] => (Escape::G1(Charset::Whole(er::ISO_8859_5)), 2),
        [b'-', b'M', ..] => (Escape::G1(Charset::Whole(er::WINDOWS_1254)), 2),
        [b'-', b'T', ..] => (Escape::G1(Charset::Whole(er::WINDOWS_874)), 2),
        [b'-', b'b', ..] => (Escape::G1(Charset::Whole(er::ISO_8859_15)), 2),
        _ => return None,
    })
}

/// The sets in use: G0 for bytes below 128, G1 for the others.
struct State {
    g0: Charset,
    g1: Charset,
}

impl State {
    fn new(initial: Charset) -> Self {
        let g0 = if initial == Charset::Jis0201 { Charset::Jis0201 } else { Charset::Ascii };
        Self { g0, g1: initial }
    }

    fn designate(&mut self, escape: Escape) {
        match escape {
            Escape::G0(set) => self.g0 = set,
            Escape::G1(set) => self.g1 = set,
        }
    }

    fn g0_has_two_bytes(&self) -> bool {
        matches!(self.g0, Charset::Jis0208 | Charset::Jis0212)
    }

    /// Decodes the character that `first` begins; gives back what follows it.
    fn one<'a>(&self, first: u8, tail: &'a [u8], out: &mut String) -> &'a [u8] {
        let second = tail.first().copied().unwrap_or_default();
        let after_pair = tail.get(1..).unwrap_or_default();
        if first < 0x80 {
            return match self.g0 {
                Charset::Jis0208 if first > 0x20 => {
                    push(er::EUC_JP, &[first | 0x80, second | 0x80], out);
                    after_pair
                }
                Charset::Jis0212 if first > 0x20 => {
                    push(er::EUC_JP, &[0x8F, first | 0x80, second | 0x80], out);
                    after_pair
                }
                _ => {
                    out.push(char::from(first));
                    tail
                }
            };
        }
        match self.g1 {
            Charset::Whole(set) if set == er::EUC_KR || set == er::GBK => {
                push(set, &[first, second], out);
                after_pair
            }
            Charset::Whole(set) => {
                push(set, &[first], out);
                tail
            }
            Charset::Jis0201 => {
                // 0xA1 to 0xDF are U+FF61 to U+FF9F in the same order.
                let katakana = (0xA1..=0xDF).contains(&first).then(|| u32::from(first) - 0xA1 + 0xFF61);
                out.push(katakana.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER));
                tail
            }
            _ => {
                out.push(char::from(first));
                tail
            }
        }
    }
}

fn push(encoding: &'static er::Encoding, bytes: &[u8], out: &mut String) {
    out.push_str(&encoding.decode_without_bom_handling(bytes).0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(declared: &str, bytes: &[u8], expected: &str) {
        let mut data = Dataset::new();
        data.put_text(tags::SPECIFIC_CHARACTER_SET, VR::CS, declared);
        data.put_bytes(tags::PATIENT_NAME, VR::PN, bytes);
        assert_eq!(data.text(tags::PATIENT_NAME).unwrap(), expected, "{declared}");
    }

    /// The names of PS3.5 Annexes H, I, J and K.
    #[test]
    fn the_names_of_the_standard() {
        check(
            "\\ISO 2022 IR 87",
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
        );
        check(
            "ISO 2022 IR 13\\ISO 2022 IR 87",
            b"\xD4\xCF\xC0\xDE^\xC0\xDB\xB3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
            "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
        );
        check(
            "\\ISO 2022 IR 149",
            b"Hong^Gildong=\x1b$)C\xFB\xF3^\x1b$)C\xD1\xCE\xD4\xD7=\x1b$)C\xC8\xAB^\x1b$)C\xB1\xE6\xB5\xBF",
            "Hong^Gildong=洪^吉洞=홍^길동",
        );
        check("GB18030", b"Wang^XiaoDong=\xCD\xF5^\xD0\xA1\xB6\xAB=", "Wang^XiaoDong=王^小东=");
        check("ISO_IR 192", "Wang^XiaoDong=王^小東=".as_bytes(), "Wang^XiaoDong=王^小東=");
        check("ISO_IR 144", b"\xBB\xEE\xDA\xE1\xD5\xDC\xD1\xE3\xE0\xD3", "Люксембург");
        check("ISO_IR 100", b"Buc^J\xE9r\xF4me", "Buc^Jérôme");
        check("ISO_IR 126", b"\xC4\xE9\xEF\xED\xF5\xF3\xE9\xEF\xF2", "Διονυσιος");
    }

    #[test]
    fn a_backslash_as_second_byte_separates_nothing() {
        let mut data = Dataset::new();
        data.put_text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "GBK");
        // U+4E57 is 81 5C in GBK.
        data.put_bytes(tags::OTHER_PATIENT_NAMES, VR::PN, *b"A\x81\x5C\\B");
        assert_eq!(data.texts(tags::OTHER_PATIENT_NAMES), ["A乗", "B"]);
        data.put_text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "\\ISO 2022 IR 87");
        // U+8868 is 49 3D in JIS X 0208 and U+FF3C is 21 40; 3D is the code of `=`.
        data.put_bytes(tags::OTHER_PATIENT_NAMES, VR::PN, *b"\x1b$BI=\x1b(B\\B");
        assert_eq!(data.texts(tags::OTHER_PATIENT_NAMES), ["表", "B"]);
    }

    #[test]
    fn garbage_is_shown_not_refused() {
        check("\\ISO 2022 IR 87", b"A\x1b$B\x21", "A\u{FFFD}");
        check("NO SUCH SET", b"J\xE9", "Jé");
    }
}
