//! Whose result it is: copied byte for byte, whatever the character set.

use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::{Dataset, Encoding, Limits, Tag, VR, read_header, write_dataset};
use dokuei_results::{
    CaptureStyle, SourceImage, SourcePicture, SrClass, report_text, secondary_capture, structured_report,
};
use dokuei_testkit::{PERSON_NAMES, PersonName};

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

/// Fills every text that is copied with the same bytes, at the top level and in sequences.
fn named(name: &PersonName) -> Dataset {
    let mut header = fixtures::cr("charset");
    header.remove(tags::SPECIFIC_CHARACTER_SET);
    if !name.set.is_empty() {
        header.put_text(tags::SPECIFIC_CHARACTER_SET, VR::CS, name.set);
    }
    for tag in [tags::PATIENT_NAME, tags::REFERRING_PHYSICIAN_NAME] {
        header.put_bytes(tag, VR::PN, name.bytes);
    }
    // As one component of a name, so that no set ends at a delimiter that an LO does not have.
    let words = name.bytes.split(|byte| *byte == b'^').next().unwrap();
    header.put_bytes(tags::STUDY_DESCRIPTION, VR::LO, words);
    let with = |tag, vr, bytes: &[u8]| {
        let mut item = Dataset::new();
        item.put_bytes(tag, vr, bytes);
        item
    };
    header.put_items(tags::OTHER_PATIENT_I_DS_SEQUENCE, vec![with(tags::ISSUER_OF_PATIENT_ID, VR::LO, words)]);
    let request = with(tags::REQUESTED_PROCEDURE_DESCRIPTION, VR::LO, words);
    header.put_items(tags::REQUEST_ATTRIBUTES_SEQUENCE, vec![request]);
    header
}

/// The value without its padding.
fn value(data: &Dataset, tag: Tag) -> Option<&[u8]> {
    data.bytes(tag).map(<[u8]>::trim_ascii_end)
}

#[test]
fn names_come_back_in_every_character_set() {
    for name in &PERSON_NAMES {
        let header = named(name);
        let mut setup = Setup::new();
        if !name.set.is_empty() {
            setup.model.vendor = "M\u{fc}ller ~ \u{80ba}\u{708e}".into();
        }
        let [report, capture] = results_by(&setup, &header);
        for data in [&report, &capture] {
            for tag in COPIED {
                assert_eq!(value(data, tag), value(&header, tag), "{tag} in {:?}", name.set);
            }
            assert_eq!(data.text(tags::PATIENT_NAME).as_deref(), Some(name.text), "{:?}", name.set);
            let in_items = |tag| &data.items(tag)[0];
            let words = value(&header, tags::STUDY_DESCRIPTION);
            assert_eq!(value(in_items(tags::OTHER_PATIENT_I_DS_SEQUENCE), tags::ISSUER_OF_PATIENT_ID), words);
            if name.set != "ISO_IR 192" {
                own_texts(data).iter().for_each(|text| check_own(text, name.set));
            }
        }
        let words = value(&header, tags::STUDY_DESCRIPTION);
        for item in
            [&report.items(tags::REFERENCED_REQUEST_SEQUENCE)[0], &capture.items(tags::REQUEST_ATTRIBUTES_SEQUENCE)[0]]
        {
            assert_eq!(value(item, tags::REQUESTED_PROCEDURE_DESCRIPTION), words, "{:?}", name.set);
        }
        let heading = format!("Patient    {}, ID SYN-charset", name.text.replace('^', " "));
        assert!(report_text(&report).lines().any(|line| line == heading), "{heading}\n{}", report_text(&report));
    }
}

/// ASCII, and without what JIS X 0201 has other characters for.
fn check_own(text: &[u8], set: &str) {
    assert!(text.is_ascii() && !text.contains(&0x1b), "{set}: {text:?}");
    let jis = matches!(set.split('\\').next(), Some("ISO_IR 13" | "ISO 2022 IR 13"));
    assert!(!(jis && (text.contains(&b'~') || text.contains(&b'\\'))), "{set}: {text:?}");
}

#[test]
fn the_encoding_of_the_source_makes_no_difference() {
    for name in &PERSON_NAMES {
        let header = named(name);
        let expected = results(&header);
        for (encoding, syntax) in [
            (Encoding::ImplicitLittle, uids::IMPLICIT_VR_LITTLE_ENDIAN),
            (Encoding::ExplicitBig, "1.2.840.10008.1.2.2"),
        ] {
            let bytes = write_dataset(&header, encoding);
            let read = read_header(&bytes, 0, syntax, &Limits::default()).unwrap();
            assert!(results(&read.dataset) == expected, "{syntax} {:?}", name.set);
        }
    }
}

#[test]
fn utf_8_is_not_declared_over_texts_whose_vr_a_sender_did_not_know() {
    let mut header = fixtures::cr("unknown");
    header.remove(tags::SPECIFIC_CHARACTER_SET);
    header.put_bytes(tags::PATIENT_NAME, VR::UN, *b"M\xfcller^J\xf6rg");
    let mut setup = Setup::new();
    setup.model.vendor = "M\u{fc}ller".into();
    for data in results_by(&setup, &header) {
        assert_eq!(value(&data, tags::PATIENT_NAME), Some(&b"M\xfcller^J\xf6rg"[..]));
        assert!(!data.contains(tags::SPECIFIC_CHARACTER_SET));
    }
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
fn issuers_and_other_ids_go_along_without_private_elements() {
    let item = |values: &[(Tag, VR, &[u8])]| {
        let mut item = Dataset::new();
        for (tag, vr, value) in values {
            item.put_bytes(*tag, *vr, *value);
        }
        item
    };
    let mut header = fixtures::cr("issuers");
    let issuer: &[(Tag, VR, &[u8])] = &[
        (tags::LOCAL_NAMESPACE_ENTITY_ID, VR::UT, b"HOSPITAL"),
        (tags::UNIVERSAL_ENTITY_ID, VR::UT, b"1.2.3.45"),
        (tags::UNIVERSAL_ENTITY_ID_TYPE, VR::CS, b"ISO "),
    ];
    let other = [(tags::PATIENT_ID, VR::LO, &b"OTHER-7 "[..]), (tags::TYPE_OF_PATIENT_ID, VR::CS, b"TEXT")];
    let sequences = [
        (tags::ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE, item(issuer)),
        (tags::ISSUER_OF_ACCESSION_NUMBER_SEQUENCE, item(issuer)),
        (tags::OTHER_PATIENT_I_DS_SEQUENCE, item(&other)),
    ];
    for (tag, item) in &sequences {
        let mut with_private = item.clone();
        with_private.put_bytes(Tag(0x0009, 0x0010), VR::LO, *b"PRIVATE ");
        header.put_items(*tag, vec![with_private]);
    }
    let [report, capture] = results(&header);
    for data in [&report, &capture] {
        for (tag, item) in &sequences {
            assert_eq!(data.items(*tag), std::slice::from_ref(item), "{tag}");
        }
    }
    let request = &report.items(tags::REFERENCED_REQUEST_SEQUENCE)[0];
    assert_eq!(request.items(tags::ISSUER_OF_ACCESSION_NUMBER_SEQUENCE), [item(issuer)]);
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
