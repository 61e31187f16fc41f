//! What people read of the objects that are made to be looked at.

use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::{Dataset, VR};
use dokuei_results::{
    CaptureStyle, Object, SourceImage, SourcePicture, SrClass, key_object_note, object_text, presentation_state,
    report_text, result_page, secondary_capture, structured_report,
};

use crate::fixtures::{self, COLUMNS, ROWS, Setup, finding, picture_and_map, read};

/// What every kind says between its first line and its own.
const CIRCUMSTANCES: &str = "\
Patient    Sint\u{e9}tica Ana, ID SYN-words
Study      2026-11-21 10:10:00, XR CHEST PA, accession ACC-0001
Made       2026-11-21 10:15:30 by dokuei 0.1.0
";

fn check(object: &Object, kind: &str, expected: &str) {
    assert_eq!(object_text(&read(object)).unwrap(), format!("{kind} (research)\n{CIRCUMSTANCES}\n{expected}"));
}

#[test]
fn every_kind_says_of_whom_by_what_and_of_which_image() {
    let (setup, header) = (Setup::new(), fixtures::cr("words"));
    let findings = [finding("pneumonia", 0.873, 1)];
    let sources = [SourceImage::analysed(&header, None, &findings)];
    let input = setup.input(&sources);
    let source = header.text(tags::SOP_INSTANCE_UID).unwrap();
    let model = "Processing Equipment: Example Project cxr-test 1.4.0";

    let (data, map) = picture_and_map();
    let picture = SourcePicture::Gray { rows: ROWS.into(), columns: COLUMNS.into(), data: &data };
    let capture = secondary_capture(&input, 0, &picture, &[Some(&map)], &CaptureStyle::default()).unwrap().unwrap();
    let derived = "cxr-test 1.4.0: class activation map over the source image as displayed";
    let expected = format!(
        "Series Description: AI heat map: pneumonia (unverified)\nDerivation Description: {derived}\n\
         Image Comments: AI output, not verified, not for diagnosis, not for measurement\n{model}\nSource: {source}\n"
    );
    check(&capture, "Secondary Capture", &expected);

    let state = presentation_state(&input).unwrap().unwrap();
    let expected = format!(
        "Series Description: AI regions: pneumonia (unverified)\nContent Label: AI_REGIONS\n\
         Content Description: cxr-test 1.4.0: regions, not verified\n{model}\nImage: {source}\n  \
         Text: Pneumonia 87.3 % (High); AI, not verified\n  \
         Graphic: polyline of 5 points, columns 20 to 60, rows 90 to 130\n"
    );
    check(&state, "Grayscale Softcopy Presentation State", &expected);

    let page = result_page(&input, None, "Research.").unwrap();
    let expected = format!(
        "Series Description: AI result page: pneumonia (unverified)\nDocument Title: AI result (unverified)\n{model}\n\
         Source: {source}\n"
    );
    check(&page, "Encapsulated PDF", &expected);

    // It is a document, and read as one.
    let note = read(&key_object_note(&input).unwrap().unwrap());
    let text = report_text(&note);
    assert!(text.starts_with(&format!("Of Interest (Key Object Selection; research)\n{CIRCUMSTANCES}")), "{text}");
    assert!(text.ends_with(&format!("\nImage: {source}\n")), "{text}");
    let report = read(&structured_report(&input, SrClass::Enhanced, &[]).unwrap());
    assert_eq!([object_text(&note), object_text(&report)], [None, None]);
}

#[test]
fn what_commands_a_terminal_is_not_repeated() {
    let mut object = Dataset::new();
    assert_eq!(object_text(&object), None, "an object without a class");
    object.put_text(tags::SOP_CLASS_UID, VR::UI, uids::SECONDARY_CAPTURE_IMAGE_STORAGE);
    object.put_bytes(tags::IMAGE_COMMENTS, VR::LT, *b"first\r\nsecond \x1b[31mred");
    let text = object_text(&object).unwrap();
    assert!(text.ends_with("\n\nImage Comments: first; second  [31mred\n"), "{text:?}");
    assert!(text.chars().all(|character| character == '\n' || !character.is_control()));
}
