use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use dokuei_dataset::{Dataset, Element, Value};

/// Copies a value byte for byte where the source has one. `vr` is the attribute's, since a sender that does
/// not know it writes UN.
pub(crate) fn copy(from: &Dataset, to: &mut Dataset, tag: Tag, vr: VR) {
    if let Some(bytes) = from.bytes(tag)
        && !blank(bytes)
    {
        to.put_bytes(tag, vr, unpadded(bytes, vr));
    }
}

/// Copies a value that nothing depends on, and only if it is one: what a sender got wrong about an optional
/// attribute is not repeated.
pub(crate) fn copy_if_valid(from: &Dataset, to: &mut Dataset, tag: Tag, vr: VR) {
    if from.bytes(tag).is_some_and(|bytes| is_valid(unpadded(bytes, vr), vr)) {
        copy(from, to, tag, vr);
    }
}

/// Copies an attribute of type 2: empty where the source has none. Dates and times in the form of ACR-NEMA 300
/// (`1994.11.05`, `11:20:00`), which old senders use, are written in today's (PS3.5 § 6.2, DA and TM).
pub(crate) fn copy_or_empty(from: &Dataset, to: &mut Dataset, tag: Tag, vr: VR) {
    let bytes = unpadded(from.bytes(tag).filter(|bytes| !blank(bytes)).unwrap_or_default(), vr);
    let separator = match vr {
        VR::DA if has_form(bytes, b"nnnn.nn.nn") => b'.',
        VR::TM if has_form(bytes, b"nn:nn:nn") => b':',
        _ => return to.put_bytes(tag, vr, bytes),
    };
    let bytes: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != separator).collect();
    to.put_bytes(tag, vr, bytes);
}

/// Whether a value begins with a form in which `n` is a digit, and then has at most a fraction.
fn has_form(bytes: &[u8], form: &[u8]) -> bool {
    let Some((value, rest)) = bytes.split_at_checked(form.len()) else { return false };
    let begins = value.iter().zip(form).all(|(byte, n)| if *n == b'n' { byte.is_ascii_digit() } else { byte == n });
    begins && rest.iter().all(|byte| byte.is_ascii_digit() || b". ".contains(byte))
}

/// Copies a measure of the body, which is never 0.
pub(crate) fn copy_measure(from: &Dataset, to: &mut Dataset, tag: Tag) {
    if from.float(tag).is_some_and(|value| value > 0.0) {
        copy_if_valid(from, to, tag, VR::DS);
    }
}

/// Copies a code sequence: those of its items that are whole codes (PS3.3 § 8.2).
pub(crate) fn copy_codes(from: &Dataset, to: &mut Dataset, tag: Tag) {
    let codes = codes(from.items(tag));
    if !codes.is_empty() {
        to.put_items(tag, codes);
    }
}

/// The items that have a value, a scheme and a meaning.
pub(crate) fn codes(items: &[Dataset]) -> Vec<Dataset> {
    let has = |item: &Dataset, tag| item.bytes(tag).is_some_and(|bytes| !blank(bytes));
    let mut items = public(items);
    items.retain(|item| {
        let short = has(item, tags::CODE_VALUE) || has(item, tags::LONG_CODE_VALUE);
        has(item, tags::CODE_MEANING)
            && (short && has(item, tags::CODING_SCHEME_DESIGNATOR) || has(item, tags::URN_CODE_VALUE))
    });
    items
}

/// Copies a sequence where the source has items, without private elements.
pub(crate) fn copy_sequence(from: &Dataset, to: &mut Dataset, tag: Tag) {
    let items = public(from.items(tag));
    if !items.is_empty() {
        to.put_items(tag, items);
    }
}

/// The items without private elements, group lengths, values that were never read, and without sequences and
/// items that are empty then.
pub(crate) fn public(items: &[Dataset]) -> Vec<Dataset> {
    items.iter().map(public_item).filter(|item| !item.is_empty()).collect()
}

/// Recursion is bounded by the depth the reader allows.
fn public_item(item: &Dataset) -> Dataset {
    let mut copy = Dataset::new();
    for element in item.iter() {
        let Tag(group, number) = element.tag;
        if group % 2 == 1 || number == 0 {
            continue;
        }
        let value = match &element.value {
            Value::Bytes(bytes) => Value::Bytes(unpadded(bytes, element.vr).to_vec()),
            Value::Items(items) => match public(items) {
                items if items.is_empty() => continue,
                items => Value::Items(items),
            },
            Value::Omitted { .. } => continue,
        };
        // Of type 1C wherever it is (PS3.3 § 8.8): not said rather than empty.
        if element.tag == tags::CODING_SCHEME_VERSION && matches!(&value, Value::Bytes(bytes) if blank(bytes)) {
            continue;
        }
        copy.put(Element { tag: element.tag, vr: element.vr, value });
    }
    copy
}

/// Whether every value of a text keeps to its VR (PS3.5 § 6.2), of those VRs that have a form.
fn is_valid(bytes: &[u8], vr: VR) -> bool {
    bytes.split(|byte| *byte == b'\\').all(|value| {
        let value = value.trim_ascii();
        let digits = |text: &[u8]| text.iter().all(u8::is_ascii_digit);
        match vr {
            VR::AS => matches!(value, [number @ .., b'D' | b'W' | b'M' | b'Y'] if number.len() == 3 && digits(number)),
            VR::CS => {
                let is_allowed = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b" _".contains(byte);
                value.len() <= 16 && value.iter().all(is_allowed)
            }
            VR::DS => {
                let number = std::str::from_utf8(value).ok().and_then(|text| text.parse::<f64>().ok());
                value.len() <= 16 && number.is_some_and(f64::is_finite)
            }
            VR::TM => {
                let whole = value.split(|byte| *byte == b'.').next().unwrap_or_default();
                matches!(whole.len(), 2 | 4 | 6) && digits(whole)
            }
            _ => true,
        }
    })
}

/// A text without the zeros that some senders pad with; the writer pads with what the VR asks for (PS3.5 § 6.2).
fn unpadded(bytes: &[u8], vr: VR) -> &[u8] {
    let is_text = matches!(
        vr,
        VR::AE
            | VR::AS
            | VR::CS
            | VR::DA
            | VR::DS
            | VR::DT
            | VR::IS
            | VR::LO
            | VR::LT
            | VR::PN
            | VR::SH
            | VR::ST
            | VR::TM
            | VR::UC
            | VR::UT
    );
    let zeros = if is_text { bytes.iter().rev().take_while(|byte| **byte == 0).count() } else { 0 };
    bytes.get(..bytes.len() - zeros).unwrap_or(bytes)
}

fn blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b' ' | 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_keeps_bytes_and_leaves_private_elements() {
        let mut item = Dataset::new();
        item.put_bytes(tags::CODE_MEANING, VR::LO, *b"\x1b$B;3\x1b(B ");
        item.put_bytes(Tag(0x0009, 0x0010), VR::LO, *b"PRIVATE ");
        item.put_bytes(Tag(0x0008, 0x0000), VR::UL, [4, 0, 0, 0]);
        let mut from = Dataset::new();
        from.put_items(tags::PROCEDURE_CODE_SEQUENCE, vec![item, Dataset::new()]);
        let mut to = Dataset::new();
        copy_sequence(&from, &mut to, tags::PROCEDURE_CODE_SEQUENCE);
        let [item] = to.items(tags::PROCEDURE_CODE_SEQUENCE) else { panic!("one item") };
        assert_eq!(item.bytes(tags::CODE_MEANING), Some(&b"\x1b$B;3\x1b(B "[..]));
        assert_eq!(item.len(), 1);
    }

    #[test]
    fn what_a_sender_got_wrong_is_not_repeated() {
        let check = |value: &str, vr, expected| assert_eq!(is_valid(value.as_bytes(), vr), expected, "{value}");
        check("056Y", VR::AS, true);
        check("45", VR::AS, false);
        check("56Y ", VR::AS, false);
        check("CHEST", VR::CS, true);
        check("L\\F ", VR::CS, true);
        check("Chest", VR::CS, false);
        check("1.75", VR::DS, true);
        check("0.19431099999999998", VR::DS, false);
        check("tall", VR::DS, false);
        check("101530.25", VR::TM, true);
        check("10:15", VR::TM, false);
    }

    #[test]
    fn dates_and_times_of_old_are_written_in_todays_form() {
        let check = |vr, value: &str, expected: &str| {
            let mut from = Dataset::new();
            from.put_text(tags::STUDY_DATE, vr, value);
            let mut to = Dataset::new();
            copy_or_empty(&from, &mut to, tags::STUDY_DATE, vr);
            assert_eq!(to.text(tags::STUDY_DATE).unwrap_or_default(), expected);
        };
        check(VR::DA, "1994.11.05", "19941105");
        check(VR::TM, "11:20:00.25", "112000.25");
        check(VR::DA, "19941105", "19941105");
        check(VR::DA, "5.11.1994", "5.11.1994");
        check(VR::TM, "11:20", "11:20");
        check(VR::PN, "1994.11.05", "1994.11.05");
    }

    #[test]
    fn zeros_behind_a_text_and_sequences_without_items_are_not_copied() {
        let mut item = Dataset::new();
        item.put_bytes(tags::PATIENT_ID, VR::LO, *b"OTHER\0");
        item.put_items(tags::SCHEDULED_PROTOCOL_CODE_SEQUENCE, Vec::new());
        item.put_bytes(tags::CODING_SCHEME_VERSION, VR::SH, []);
        let mut from = Dataset::new();
        from.put_bytes(tags::PATIENT_ID, VR::LO, *b"A 1\0\0\0");
        from.put_items(tags::OTHER_PATIENT_I_DS_SEQUENCE, vec![item]);
        let mut to = Dataset::new();
        copy_or_empty(&from, &mut to, tags::PATIENT_ID, VR::LO);
        copy_sequence(&from, &mut to, tags::OTHER_PATIENT_I_DS_SEQUENCE);
        from.put_bytes(tags::PATIENT_AGE, VR::AS, *b"056Y\0\0");
        copy_if_valid(&from, &mut to, tags::PATIENT_AGE, VR::AS);
        assert_eq!(to.bytes(tags::PATIENT_ID), Some(&b"A 1"[..]));
        assert_eq!(to.bytes(tags::PATIENT_AGE), Some(&b"056Y"[..]));
        let item = &to.items(tags::OTHER_PATIENT_I_DS_SEQUENCE)[0];
        assert_eq!((item.bytes(tags::PATIENT_ID), item.len()), (Some(&b"OTHER"[..]), 1));
    }

    #[test]
    fn nobody_weighs_nothing() {
        let copied = |value: &str| {
            let mut from = Dataset::new();
            from.put_text(tags::PATIENT_WEIGHT, VR::DS, value);
            let mut to = Dataset::new();
            copy_measure(&from, &mut to, tags::PATIENT_WEIGHT);
            to.text(tags::PATIENT_WEIGHT)
        };
        assert_eq!(copied("62.5").as_deref(), Some("62.5"));
        assert_eq!([copied("0"), copied("0.000 "), copied("-1"), copied("heavy")], [None, None, None, None]);
    }

    #[test]
    fn half_a_code_is_none() {
        let mut whole = Dataset::new();
        whole.put_text(tags::CODE_VALUE, VR::SH, "1");
        whole.put_text(tags::CODING_SCHEME_DESIGNATOR, VR::SH, "99X");
        whole.put_text(tags::CODE_MEANING, VR::LO, "one");
        let mut half = whole.clone();
        half.put_text(tags::CODE_MEANING, VR::LO, " ");
        assert_eq!(codes(&[half, whole.clone()]), [whole]);
    }

    #[test]
    fn type_2_is_empty_rather_than_absent_and_type_3_absent_rather_than_empty() {
        let mut from = Dataset::new();
        from.put_bytes(tags::PATIENT_ID, VR::UN, *b"A\\1 ");
        from.put_bytes(tags::PATIENT_AGE, VR::AS, *b"    ");
        let mut to = Dataset::new();
        copy_or_empty(&from, &mut to, tags::PATIENT_ID, VR::LO);
        copy_or_empty(&from, &mut to, tags::ACCESSION_NUMBER, VR::SH);
        copy(&from, &mut to, tags::PATIENT_AGE, VR::AS);
        assert_eq!(to.get(tags::PATIENT_ID).map(|e| e.vr), Some(VR::LO));
        assert_eq!(to.bytes(tags::PATIENT_ID), Some(&b"A\\1 "[..]));
        assert_eq!(to.bytes(tags::ACCESSION_NUMBER), Some(&b""[..]));
        assert!(!to.contains(tags::PATIENT_AGE));
    }
}
