//! The page as a person reads it.

use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::{Dataset, VR};
use dokuei_results::{Object, PagePicture, ResultError, SourceImage, SourcePicture, result_page};
use dokuei_types::{DeclineReason, Finding};

use crate::fixtures::{self, COLUMNS, ROWS, Setup, finding, picture_and_map, uid};
use crate::pdf::{self, Page};

const USE: &str = "Research on chest radiographs of adults.";

fn made(sources: &[SourceImage<'_>], shown: usize) -> Object {
    let (data, _) = picture_and_map();
    let picture = SourcePicture::Gray { rows: ROWS.into(), columns: COLUMNS.into(), data: &data };
    let shown = Some(PagePicture { source: shown, picture });
    result_page(&Setup::new().input(sources), shown, USE).unwrap()
}

fn page(object: &Object) -> Page {
    let data = fixtures::read(object);
    let length = usize::try_from(data.int(tags::ENCAPSULATED_DOCUMENT_LENGTH).unwrap()).unwrap();
    pdf::read(&data.bytes(tags::ENCAPSULATED_DOCUMENT).unwrap()[..length])
}

fn positive() -> [Finding; 2] {
    [finding("pneumonia", 0.873, 2), finding("pleural-effusion", 0.1234, 0)]
}

#[test]
fn attributes_say_what_it_is() {
    let header = fixtures::cr("page");
    let object = made(&[SourceImage::analysed(&header, None, &positive())], 0);
    assert_eq!(object.sop_class, uid(uids::ENCAPSULATED_PDF_STORAGE));
    let data = fixtures::read(&object);
    for (tag, value) in [
        (tags::MODALITY, "DOC"),
        (tags::SERIES_NUMBER, "9006"),
        (tags::MIME_TYPE_OF_ENCAPSULATED_DOCUMENT, "application/pdf"),
        (tags::BURNED_IN_ANNOTATION, "YES"),
        (tags::VERIFICATION_FLAG, "UNVERIFIED"),
        (tags::CONVERSION_TYPE, "WSD"),
        (tags::PATIENT_ID, "SYN-page"),
    ] {
        assert_eq!(data.text(tag).as_deref(), Some(value), "{tag}");
    }
    let [source] = data.items(tags::SOURCE_INSTANCE_SEQUENCE) else { panic!("one source") };
    assert_eq!(source.uid(tags::REFERENCED_SOP_INSTANCE_UID), header.uid(tags::SOP_INSTANCE_UID));
}

#[test]
fn it_says_whom_what_how_sure_and_what_not() {
    let header = fixtures::cr("page-text");
    let text = page(&made(&[SourceImage::analysed(&header, None, &positive())], 0)).text();
    for line in [
        "Output of an algorithm. Not verified by a physician. Not for diagnosis.",
        "Sintética Ana",
        "SYN-page-text (EXAMPLE)",
        "1970-01-01, F",
        "2026-11-21, XR CHEST PA",
        "ACC-0001",
        "Pneumonia 87.3 %, High (2 regions marked, threshold 50.0 %)",
        "Pleural effusion 12.3 %, Low (not marked, threshold 50.0 %)",
        "cxr-test 1.4.0, Example Project, for research",
        "SHA-256 9f86d081884c7d65...",
        "2026-11-21 10:15:30 by dokuei 0.1.0 (DOKUEI)",
        "Intended use: Research on chest radiographs of adults.",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
    }
}

#[test]
fn outlines_are_the_models_on_the_picture_and_numbered_as_their_finding() {
    let header = fixtures::cr("page-outline");
    let findings = [finding("other", 0.1, 0), finding("pneumonia", 0.9, 2), finding("pleural-effusion", 0.7, 1)];
    let page = page(&made(&[SourceImage::analysed(&header, None, &findings)], 0));
    let [left, bottom, width, height] = page.picture.unwrap();
    // The fixture's pixels are 0.4 mm high and 0.3 mm wide.
    let aspect = f64::from(COLUMNS) * 0.3 / (f64::from(ROWS) * 0.4);
    assert!((width / height - aspect).abs() < 1e-3, "{width} {height}");
    assert!(left > 0.0 && bottom > 0.0 && left + width < 595.0 && bottom + height < 842.0);
    // A dark and a light line each.
    assert_eq!(page.lines.len(), 6);
    let regions = findings.iter().flat_map(|finding| &finding.regions);
    for (drawn, region) in page.lines.iter().step_by(2).zip(regions) {
        assert_eq!(drawn.len(), region.outline.len());
        for ([x, y], vertex) in drawn.iter().zip(&region.outline) {
            let column = (x - left) / width * f64::from(COLUMNS);
            let row = (bottom + height - y) / height * f64::from(ROWS);
            assert!((column - f64::from(vertex[0])).abs() < 0.05 && (row - f64::from(vertex[1])).abs() < 0.05);
        }
    }
    let numbers: Vec<&str> = page.texts.iter().map(|(_, text)| text.as_str()).filter(|text| text.len() == 1).collect();
    assert_eq!(numbers, ["1", "1", "2", "1", "2"], "three regions, then the list");
    let (data, _) = picture_and_map();
    assert_eq!(page.samples, Some((COLUMNS.into(), ROWS.into(), data)));
}

#[test]
fn a_patient_is_readable_in_the_character_set_of_the_source() {
    let check = |set: &str, name: &[u8], shown: &[&str], fonts: &str| {
        let mut header = fixtures::cr("page-names");
        header.put_text(tags::SPECIFIC_CHARACTER_SET, VR::CS, set);
        header.put_bytes(tags::PATIENT_NAME, VR::PN, name);
        let page = page(&made(&[SourceImage::analysed(&header, None, &positive())], 0));
        let line = page.texts.iter().find(|(_, text)| text.starts_with(shown[0]));
        let (used, text) = line.unwrap_or_else(|| panic!("{shown:?}\n{}", page.text()));
        assert_eq!(*text, shown.join("   "));
        assert_eq!(used, fonts);
    };
    check("ISO_IR 100", b"M\xfcller^J\xfcrgen", &["Müller Jürgen"], "L");
    check("ISO_IR 144", b"\xbb\xee\xda\xe1\xd5\xdc\xd1\xe3\xe0\xd3", &["Люксембург"], "L");
    check("ISO_IR 126", b"\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", &["Διονυσιος"], "L");
    let japanese = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B";
    check("\\ISO 2022 IR 87", japanese, &["Yamada Tarou", "山田 太郎", "やまだ たろう"], "LCLCLCLC");
    check("GB18030", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab", &["Wang XiaoDong", "王 小东"], "LCLC");
    let korean = b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf";
    check("\\ISO 2022 IR 149", korean, &["Hong Gildong", "洪 吉洞", "홍 길동"], "LCLCLCLC");
    check("ISO_IR 192", "Nguyễn^Ăn".as_bytes(), &["Nguyễn Ăn"], "L");
    // From right to left, as it is drawn.
    check("ISO_IR 138", b"\xf9\xf8\xe5\xef^\xe3\xe1\xe5\xf8\xe4", &["הרובד ןורש"], "SLS");
    check("ISO_IR 127", b"\xe2\xc8\xc7\xe6\xea^\xe6\xd2\xc7\xd1", &["رازن ينابق"], "SLS");
    check("ISO_IR 166", b"\xbe\xd4\xc1\xbe\xec\xaa\xb9\xa1", &["พิมพ์ชนก"], "S");
    check("ISO_IR 192", "Kumar^Raj=कुमार".as_bytes(), &["Kumar Raj"], "L");
    check("ISO_IR 192", "कुमार".as_bytes(), &["(in a script that this page has no letters for)"], "L");
}

#[test]
fn frames_and_what_did_not_run_are_told_apart() {
    let header = fixtures::multi_frame("page-frames");
    let findings = [finding("pneumonia", 0.9, 1)];
    let reason = DeclineReason::Criteria("view is lateral".into());
    let sources = [
        SourceImage::declined(&header, Some(1), &reason),
        SourceImage::analysed(&header, Some(2), &findings),
        SourceImage::failed(&header, Some(3), "time limit of 30 s"),
    ];
    let text = page(&made(&sources, 1)).text();
    for line in [
        "Frame 1: the algorithm did not run (model's criteria: view is lateral)",
        "Frame 2: Pneumonia 90.0 %, High (1 region marked, threshold 50.0 %)",
        "Frame 3: the algorithm failed (time limit of 30 s)",
        "Frame 2",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
    }
}

#[test]
fn long_lists_and_long_texts_stay_on_the_page() {
    let mut header = fixtures::cr("page-long");
    header.put_text(tags::STUDY_DESCRIPTION, VR::LO, &"W".repeat(64));
    let findings: Vec<Finding> = (0..40).map(|number| finding(&format!("other {number}"), 0.9, 1)).collect();
    let object = made(&[SourceImage::analysed(&header, None, &findings)], 0);
    let page = page(&object);
    let text = page.text();
    assert!(text.contains("and 27 more, in the report"), "{text}");
    assert!(text.contains("WWW..."), "{text}");
    assert!(page.picture.unwrap()[3] > 150.0);
}

#[test]
fn the_same_again_is_the_same_and_small() {
    let header = fixtures::cr("page-repeat");
    let findings = positive();
    let sources = [SourceImage::analysed(&header, None, &findings)];
    let object = made(&sources, 0);
    assert_eq!(object, made(&sources, 0));
    assert!(object.bytes.len() < 40_000, "{} bytes", object.bytes.len());
    let setup = Setup::new();
    let plain = result_page(&setup.input(&sources), None, "").unwrap();
    assert!(page(&plain).picture.is_none() && !page(&plain).text().contains("Intended use"));
    let short = PagePicture { source: 0, picture: SourcePicture::Gray { rows: 2, columns: 2, data: &[0; 3] } };
    let error = result_page(&setup.input(&sources), Some(short), "").unwrap_err();
    assert!(matches!(error, ResultError::Samples { what: "picture", .. }), "{error}");
}

#[test]
fn a_header_that_is_bare_makes_a_page() {
    let mut header = Dataset::new();
    for (tag, value) in [
        (tags::STUDY_INSTANCE_UID, "1.2"),
        (tags::SERIES_INSTANCE_UID, "1.3"),
        (tags::SOP_INSTANCE_UID, "1.4"),
        (tags::SOP_CLASS_UID, uids::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE),
    ] {
        header.put_text(tag, VR::UI, value);
    }
    let text = page(&made(&[SourceImage::analysed(&header, None, &positive())], 0)).text();
    assert!(text.contains("Patient\n-\nPatient ID\n-\n"), "{text}");
}
