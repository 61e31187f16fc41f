//! Whose result it is: copied byte for byte, whatever the character set.

use dicom_dictionary_std::tags;
use dokuei_dataset::{Dataset, Tag, VR};
use dokuei_results::{CaptureStyle, SourceImage, SourcePicture, SrClass, secondary_capture, structured_report};

use crate::fixtures::{self, Setup, finding, picture_and_map, read};

/// Both objects made from a source.
fn results(header: &Dataset) -> [Dataset; 2] {
    results_by(&Setup::new(), header)
}

fn results_by(setup: &Setup, header: &Dataset) -> [Dataset; 2] {
    let findings = [finding("pneumonia", 0.9, 1)];
    let sources = [SourceImage::analysed(header, None, &findings)];
    let input = setup.input(&sources);
    let (data, map) = picture_and_map();
    let picture = SourcePicture::Gray { rows: fixtures::ROWS.into(), columns: fixtures::COLUMNS.into(), data: &data };
    let capture = secondary_capture(&input, 0, &picture, &[Some(&map)], &CaptureStyle::default()).unwrap();
    let report = structured_report(&input, SrClass::Comprehensive3D, std::slice::from_ref(&capture)).unwrap();
    [read(&report), read(&capture.unwrap())]
}

const COPIED: [Tag; 17] = [
    tags::SPECIFIC_CHARACTER_SET,
    tags::PATIENT_NAME,
    tags::PATIENT_ID,
    tags::ISSUER_OF_PATIENT_ID,
    tags::PATIENT_BIRTH_DATE,
    tags::PATIENT_SEX,
    tags::PATIENT_AGE,
    tags::STUDY_DATE,
    tags::STUDY_TIME,
    tags::STUDY_ID,
    tags::STUDY_DESCRIPTION,
    tags::ACCESSION_NUMBER,
    tags::REFERRING_PHYSICIAN_NAME,
    tags::STUDY_INSTANCE_UID,
    tags::PATIENT_SIZE,
    tags::PATIENT_WEIGHT,
    tags::TIMEZONE_OFFSET_FROM_UTC,
];

/// Texts of our own: they must be ASCII, with nothing that a set changes.
fn own_texts(data: &Dataset) -> Vec<Vec<u8>> {
    let mut texts: Vec<Vec<u8>> = [
        tags::SERIES_DESCRIPTION,
        tags::MANUFACTURER,
        tags::MANUFACTURER_MODEL_NAME,
        tags::IMAGE_COMMENTS,
        tags::DERIVATION_DESCRIPTION,
    ]
    .iter()
    .filter_map(|tag| data.bytes(*tag).map(<[u8]>::to_vec))
    .collect();
    for item in fixtures::items(data) {
        texts.extend(item.bytes(tags::TEXT_VALUE).map(<[u8]>::to_vec));
        for code in item.items(tags::CONCEPT_CODE_SEQUENCE) {
            texts.extend(code.bytes(tags::CODE_MEANING).map(<[u8]>::to_vec));
        }
    }
    assert!(texts.len() > 4);
    texts
}

fn check_set(set: &str, name: &[u8], description: &[u8]) {
    let mut header = fixtures::cr("charset");
    header.put_text(tags::SPECIFIC_CHARACTER_SET, VR::CS, set);
    header.put_bytes(tags::PATIENT_NAME, VR::PN, name);
    header.put_bytes(tags::STUDY_DESCRIPTION, VR::LO, description);
    let mut setup = Setup::new();
    setup.model.vendor = "M\u{fc}ller ~ \u{80ba}\u{708e}".into();
    for data in results_by(&setup, &header) {
        for tag in COPIED {
            // Odd values are padded on the way out, so compare without padding.
            let trimmed = |data: &Dataset| data.bytes(tag).map(|b| b.trim_ascii_end().to_vec());
            assert_eq!(trimmed(&data), trimmed(&header), "{tag} in {set:?}");
        }
        if set == "ISO_IR 192" {
            continue;
        }
        for text in own_texts(&data) {
            assert!(text.is_ascii() && !text.contains(&0x1b), "{set}: {text:?}");
            let jis = set.starts_with("ISO_IR 13") || set.starts_with("ISO 2022 IR 13");
            assert!(!(jis && (text.contains(&b'~') || text.contains(&b'\\'))), "{set}: {text:?}");
        }
    }
}

#[test]
fn names_come_back_in_every_character_set() {
    // Yamada Tarou in JIS X 0208 (PS3.5 § H.3.1), with half-width katakana (§ H.3.2), Hong Gildong (§ I.2),
    // Wang Xiaodong in GB18030 (§ J.3) and GBK, whose trail bytes hold 0x5C as in U+8C9D.
    check_set(
        "\\ISO 2022 IR 87",
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        b"\x1b$B6;It\x1b(B",
    );
    check_set(
        "ISO 2022 IR 13\\ISO 2022 IR 87",
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J",
        b"\xb7\xae\xb3\xcc\xde",
    );
    check_set("ISO_IR 13", b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3", b"CHEST");
    check_set("\\ISO 2022 IR 149", b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7", b"CHEST");
    check_set("GB18030", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=", b"\x81\x5c\x95\x5c");
    check_set("GBK", b"\x90\x5c^\x81\x5c", b"CHEST");
    check_set("ISO_IR 100", b"M\xfcller^J\xf6rg", b"Thorax \xfcbersicht");
    check_set("ISO_IR 144", b"\xbb\xee\xda\x63\x65\xdc\xd1\x79\x70\xd3", b"CHEST");
    check_set("ISO_IR 192", "山田^太郎".as_bytes(), "胸部正面".as_bytes());
    check_set("ISO_IR 126", b"\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", b"CHEST");
}

#[test]
fn a_source_without_a_set_stays_without_unless_own_text_needs_one() {
    let mut header = fixtures::cr("no-set");
    header.remove(tags::SPECIFIC_CHARACTER_SET);
    header.put_text(tags::PATIENT_NAME, VR::PN, "Doe^Jane");
    for data in results(&header) {
        assert!(!data.contains(tags::SPECIFIC_CHARACTER_SET));
    }
    let mut setup = Setup::new();
    setup.model.vendor = "M\u{fc}ller".into();
    for data in results_by(&setup, &header) {
        assert_eq!(data.text(tags::SPECIFIC_CHARACTER_SET).as_deref(), Some("ISO_IR 192"));
        let item = &data.items(tags::CONTRIBUTING_EQUIPMENT_SEQUENCE)[0];
        assert_eq!(item.bytes(tags::MANUFACTURER).map(<[u8]>::trim_ascii_end), Some("Müller".as_bytes()));
    }
    // Undeclared bytes of some set must not be turned into broken UTF-8.
    header.put_bytes(tags::PATIENT_NAME, VR::PN, *b"M\xfcller^J\xf6rg");
    for data in results_by(&setup, &header) {
        assert!(!data.contains(tags::SPECIFIC_CHARACTER_SET));
        assert_eq!(data.bytes(tags::PATIENT_NAME).map(<[u8]>::trim_ascii_end), Some(&b"M\xfcller^J\xf6rg"[..]));
        assert!(own_texts(&data).iter().all(|text| text.is_ascii()));
    }
}

#[test]
fn times_are_in_the_zone_of_the_source() {
    let mut header = fixtures::cr("zone");
    for (zone, date, time) in
        [(None, "20261121", "101530"), (Some("-0800"), "20261120", "171530"), (Some("+1300"), "20261121", "141530")]
    {
        if let Some(zone) = zone {
            header.put_text(tags::TIMEZONE_OFFSET_FROM_UTC, VR::SH, zone);
        }
        for data in results(&header) {
            assert_eq!(data.text(tags::TIMEZONE_OFFSET_FROM_UTC).as_deref(), zone);
            assert_eq!(data.text(tags::CONTENT_DATE).as_deref(), Some(date));
            assert_eq!(data.text(tags::CONTENT_TIME).as_deref(), Some(time));
            assert_eq!(data.text(tags::STUDY_TIME).as_deref(), Some("101000"), "copied as it is");
        }
    }
}

#[test]
fn nothing_of_the_scanner_and_nothing_invented() {
    let mut header = fixtures::published("bare");
    header.put_bytes(Tag(0x0009, 0x0010), VR::LO, *b"PRIVATE ");
    header.remove(tags::PATIENT_SEX);
    header.remove(tags::REFERRING_PHYSICIAN_NAME);
    for data in results(&header) {
        for tag in [tags::PATIENT_SEX, tags::REFERRING_PHYSICIAN_NAME, tags::ACCESSION_NUMBER] {
            assert_eq!(data.bytes(tag), Some(&b""[..]), "type 2 is empty: {tag}");
        }
        assert!(!data.contains(Tag(0x0009, 0x0010)));
        assert!(!data.contains(tags::ACQUISITION_DATE));
        assert!(!data.contains(tags::REFERENCED_REQUEST_SEQUENCE));
        assert_eq!(data.text(tags::MANUFACTURER).as_deref(), Some("Dokuei"));
        assert_ne!(data.text(tags::IMAGE_COMMENTS).as_deref(), Some("of the scanner"));
    }
}

#[test]
fn the_request_is_named_in_both() {
    let header = fixtures::cr("request");
    let [report, capture] = results(&header);
    let [request] = report.items(tags::REFERENCED_REQUEST_SEQUENCE) else { panic!("one request") };
    assert_eq!(request.text(tags::REQUESTED_PROCEDURE_ID).as_deref(), Some("RP0001"));
    assert_eq!(request.text(tags::ACCESSION_NUMBER).as_deref(), Some("ACC-0001"));
    assert_eq!(capture.items(tags::REQUEST_ATTRIBUTES_SEQUENCE), header.items(tags::REQUEST_ATTRIBUTES_SEQUENCE));
}
