//! What the node wrote is known again; what it received is not taken for that.

use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::VR;
use dokuei_results::{
    CaptureStyle, ObjectReference, PagePicture, RejectReason, SourceImage, SourcePicture, SrClass, Withdrawal,
    key_object_note, made_by_algorithm, presentation_state, rejection_note, result_page, secondary_capture,
    structured_report, written_by_us,
};

use crate::fixtures::{self, Setup, finding, picture_and_map, read};
use crate::real::headers;

#[test]
fn own_results_are_known_and_sources_are_not() {
    let mut setup = Setup::new();
    // A site may rename the node; the results stay ours.
    setup.node.manufacturer = "Some Hospital".into();
    setup.node.model_name = "reader".into();
    for header in [
        fixtures::cr("guard"),
        fixtures::dx("guard"),
        fixtures::published("guard"),
        fixtures::multi_frame("guard"),
        fixtures::us("guard"),
    ] {
        assert!(!written_by_us(&header) && !made_by_algorithm(&header));
        let findings = [finding("pneumonia", 0.9, 1)];
        let frame = header.contains(tags::NUMBER_OF_FRAMES).then_some(1);
        let sources = [SourceImage::analysed(&header, frame, &findings)];
        let (data, map) = picture_and_map();
        let (rows, columns) = (fixtures::ROWS.into(), fixtures::COLUMNS.into());
        let picture = SourcePicture::Gray { rows, columns, data: &data };
        let input = setup.input(&sources);
        let capture = secondary_capture(&input, 0, &picture, &[Some(&map)], &CaptureStyle::default()).unwrap();
        let report = structured_report(&input, SrClass::Enhanced, std::slice::from_ref(&capture)).unwrap();
        let shown = PagePicture { source: 0, picture };
        let others = [
            presentation_state(&input).unwrap().unwrap(),
            key_object_note(&input).unwrap().unwrap(),
            result_page(&input, Some(shown), "").unwrap(),
        ];
        let withdrawn = ObjectReference {
            sop_class: report.sop_class.clone(),
            sop_instance: report.sop_instance.clone(),
            series_instance: report.series_instance.clone(),
        };
        let rejection = rejection_note(&Withdrawal {
            object: &read(&report),
            objects: &[withdrawn],
            node: &setup.node,
            made_at: &setup.made_at,
            reason: RejectReason::Quality,
            comment: "",
        });
        for object in [report, capture.unwrap(), rejection.unwrap()].into_iter().chain(others) {
            let mut data = read(&object);
            assert!(written_by_us(&data) && made_by_algorithm(&data));
            // Without our own mark they still look like what they are.
            data.remove(tags::MANUFACTURER_DEVICE_CLASS_UID);
            assert!(!written_by_us(&data) && made_by_algorithm(&data));
        }
    }
}

#[test]
fn no_real_acquisition_is_taken_for_a_result() {
    let mut images = 0;
    let mut results = 0;
    for (_, data) in headers() {
        let modality = data.text(tags::MODALITY).unwrap_or_default();
        assert!(!written_by_us(data));
        if matches!(modality.as_str(), "CR" | "DX" | "CT" | "MR" | "US" | "XA" | "NM" | "RF" | "MG") {
            images += 1;
            assert!(!made_by_algorithm(data), "{:?} {:?}", data.text(tags::SOP_INSTANCE_UID), modality);
        }
        if modality == "SEG" {
            results += 1;
            assert!(made_by_algorithm(data));
        }
    }
    let skipped = images + results == 0;
    assert!(skipped || images > 50 && results > 5, "{images} images, {results} segmentations");
}

#[test]
fn a_published_radiograph_is_an_image() {
    let mut header = fixtures::published("rsna-like");
    assert!(!made_by_algorithm(&header));
    header.put_text(tags::IMAGE_TYPE, VR::CS, "DERIVED\\SECONDARY");
    assert!(!made_by_algorithm(&header));
    header.put_text(tags::SOP_CLASS_UID, VR::UI, uids::SEGMENTATION_STORAGE);
    assert!(made_by_algorithm(&header));
}
