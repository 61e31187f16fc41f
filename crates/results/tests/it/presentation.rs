//! The presentation state as a viewer gets it, of images in grey.

use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::{Dataset, VR};
use dokuei_results::{SourceImage, SrClass, presentation_state, structured_report};
use dokuei_types::{Finding, derived_uid};

use crate::fixtures::{self, COLUMNS, ROWS, Setup, children, finding, groups, read, uid};

fn made(sources: &[SourceImage<'_>]) -> Option<Dataset> {
    let object = presentation_state(&Setup::new().input(sources)).unwrap()?;
    assert_eq!(object.sop_class, uid(uids::GRAYSCALE_SOFTCOPY_PRESENTATION_STATE_STORAGE));
    Some(read(&object))
}

pub(crate) fn positive() -> [Finding; 2] {
    [finding("pneumonia", 0.873, 2), finding("other", 0.2, 0)]
}

pub(crate) fn graphics(data: &Dataset) -> Vec<&Dataset> {
    let annotations = data.items(tags::GRAPHIC_ANNOTATION_SEQUENCE).iter();
    annotations.flat_map(|annotation| annotation.items(tags::GRAPHIC_OBJECT_SEQUENCE)).collect()
}

pub(crate) fn texts(data: &Dataset) -> Vec<&Dataset> {
    let annotations = data.items(tags::GRAPHIC_ANNOTATION_SEQUENCE).iter();
    annotations.flat_map(|annotation| annotation.items(tags::TEXT_OBJECT_SEQUENCE)).collect()
}

#[test]
fn outlines_are_the_models_in_pixels_of_the_source() {
    let header = fixtures::cr("pr");
    let findings = positive();
    let data = made(&[SourceImage::analysed(&header, None, &findings)]).unwrap();
    let graphics = graphics(&data);
    assert_eq!(graphics.len(), 2);
    for (graphic, region) in graphics.iter().zip(&findings[0].regions) {
        let mut expected: Vec<f64> = region.outline.as_flattened().iter().copied().map(f64::from).collect();
        expected.extend_from_within(..2);
        assert_eq!(graphic.floats(tags::GRAPHIC_DATA), expected);
        assert_eq!(graphic.int(tags::NUMBER_OF_GRAPHIC_POINTS), i64::try_from(expected.len() / 2).ok());
        for (tag, value) in
            [(tags::GRAPHIC_ANNOTATION_UNITS, "PIXEL"), (tags::GRAPHIC_TYPE, "POLYLINE"), (tags::GRAPHIC_FILLED, "N")]
        {
            assert_eq!(graphic.text(tag).as_deref(), Some(value));
        }
        for point in expected.as_chunks::<2>().0 {
            assert!((0.0..=f64::from(COLUMNS)).contains(&point[0]) && (0.0..=f64::from(ROWS)).contains(&point[1]));
        }
    }
}

#[test]
fn an_outline_over_the_edge_is_pulled_in() {
    let header = fixtures::cr("pr-edge");
    let mut findings = [finding("pneumonia", 0.9, 1)];
    findings[0].regions[0].outline = vec![[-2.0, -1.0], [170.0, 10.0], [90.0, 210.5]];
    let data = made(&[SourceImage::analysed(&header, None, &findings)]).unwrap();
    let expected = [0.0, 0.0, 160.0, 10.0, 90.0, 200.0, 0.0, 0.0];
    assert_eq!(graphics(&data)[0].floats(tags::GRAPHIC_DATA), expected);
}

#[test]
fn each_region_is_tracked_as_in_the_report() {
    let setup = Setup::new();
    let header = fixtures::cr("pr-tracking");
    let findings = positive();
    let sources = [SourceImage::analysed(&header, None, &findings)];
    let data = made(&sources).unwrap();
    let report = read(&structured_report(&setup.input(&sources), SrClass::Enhanced, &[]).unwrap());
    let reported: Vec<[Option<String>; 2]> = groups(&report)
        .into_iter()
        .filter(|group| !children(group, "111030").is_empty())
        .map(|group| {
            [("112039", tags::TEXT_VALUE), ("112040", tags::UID)].map(|(code, tag)| children(group, code)[0].text(tag))
        })
        .collect();
    let tracked = |items: Vec<&Dataset>| -> Vec<[Option<String>; 2]> {
        items.into_iter().map(|item| [tags::TRACKING_ID, tags::TRACKING_UID].map(|tag| item.text(tag))).collect()
    };
    assert_eq!(tracked(graphics(&data)), reported);
    assert_eq!(tracked(texts(&data)), reported);
    assert_eq!(reported[0][0].as_deref(), Some("pneumonia/region-1"));
}

#[test]
fn texts_say_what_and_that_nobody_verified_it() {
    let header = fixtures::cr("pr-text");
    let findings = [finding("pneumonia", 0.873, 1), finding("pleural-effusion", 0.61, 0)];
    let data = made(&[SourceImage::analysed(&header, None, &findings)]).unwrap();
    let said: Vec<String> = texts(&data).iter().map(|text| text.text(tags::UNFORMATTED_TEXT_VALUE).unwrap()).collect();
    let expected =
        ["Pneumonia 87.3 % (High)\r\nAI, not verified", "Pleural effusion 61.0 % (Medium)\r\nAI, not verified"];
    assert_eq!(said, expected);
    let [at_region, in_corner] = texts(&data)[..] else { panic!("two texts") };
    assert_eq!(at_region.floats(tags::ANCHOR_POINT), [20.0, 90.5]);
    assert_eq!(at_region.text(tags::ANCHOR_POINT_ANNOTATION_UNITS).as_deref(), Some("PIXEL"));
    assert_eq!(in_corner.text(tags::BOUNDING_BOX_ANNOTATION_UNITS).as_deref(), Some("DISPLAY"));
}

#[test]
fn every_layer_that_is_used_is_defined() {
    let header = fixtures::cr("pr-layer");
    let data = made(&[SourceImage::analysed(&header, None, &positive())]).unwrap();
    let names = |tag| -> Vec<_> { data.items(tag).iter().map(|item| item.text(tags::GRAPHIC_LAYER)).collect() };
    assert_eq!(names(tags::GRAPHIC_LAYER_SEQUENCE), [Some("AI".to_owned())]);
    assert_eq!(names(tags::GRAPHIC_ANNOTATION_SEQUENCE), [Some("AI".to_owned())]);
}

#[test]
fn the_pixels_are_shown_as_the_source_asks() {
    let mut header = fixtures::dx("pr-display");
    header.put_text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME1");
    header.put_text(tags::WINDOW_CENTER, VR::DS, "2048.50\\100");
    header.put_text(tags::WINDOW_WIDTH, VR::DS, "4000\\90");
    header.put_text(tags::VOILUT_FUNCTION, VR::CS, "SIGMOID");
    header.put_text(tags::SHUTTER_SHAPE, VR::CS, "RECTANGULAR");
    header.put_text(tags::SHUTTER_LEFT_VERTICAL_EDGE, VR::IS, "5");
    let data = made(&[SourceImage::analysed(&header, None, &positive())]).unwrap();
    for (tag, value) in [
        (tags::MODALITY, "PR"),
        (tags::SERIES_NUMBER, "9003"),
        (tags::PRESENTATION_LUT_SHAPE, "INVERSE"),
        (tags::RESCALE_SLOPE, "1"),
        (tags::RESCALE_INTERCEPT, "0"),
        (tags::RESCALE_TYPE, "US"),
        (tags::SHUTTER_LEFT_VERTICAL_EDGE, "5"),
        (tags::CONTENT_LABEL, "AI_REGIONS"),
        (tags::PRESENTATION_CREATION_DATE, "20261121"),
    ] {
        assert_eq!(data.text(tag).as_deref(), Some(value), "{tag}");
    }
    assert_eq!(data.int(tags::SHUTTER_PRESENTATION_VALUE), Some(0));
    let window = &data.items(tags::SOFTCOPY_VOILUT_SEQUENCE)[0];
    assert_eq!(window.text(tags::WINDOW_CENTER).as_deref(), Some("2048.50"));
    assert_eq!(window.text(tags::WINDOW_WIDTH).as_deref(), Some("4000"));
    assert_eq!(window.text(tags::VOILUT_FUNCTION).as_deref(), Some("SIGMOID"));
    let area = &data.items(tags::DISPLAYED_AREA_SELECTION_SEQUENCE)[0];
    assert_eq!(area.ints(tags::DISPLAYED_AREA_TOP_LEFT_HAND_CORNER), [1, 1]);
    assert_eq!(area.ints(tags::DISPLAYED_AREA_BOTTOM_RIGHT_HAND_CORNER), [i64::from(COLUMNS), i64::from(ROWS)]);
    assert_eq!(area.text(tags::PRESENTATION_PIXEL_SPACING), header.text(tags::IMAGER_PIXEL_SPACING));

    let mut long = header.clone();
    long.put_text(tags::IMAGER_PIXEL_SPACING, VR::DS, "0.19431099999999998\\0.2");
    let data = made(&[SourceImage::analysed(&long, None, &positive())]).unwrap();
    let area = &data.items(tags::DISPLAYED_AREA_SELECTION_SEQUENCE)[0];
    assert_eq!(area.text(tags::PRESENTATION_PIXEL_SPACING).as_deref(), Some("0.194311\\0.2"), "as its VR allows");

    let plain = made(&[SourceImage::analysed(&fixtures::published("pr-plain"), None, &positive())]).unwrap();
    assert_eq!(plain.text(tags::PRESENTATION_LUT_SHAPE).as_deref(), Some("IDENTITY"));
    assert!(plain.items(tags::SOFTCOPY_VOILUT_SEQUENCE).is_empty() && !plain.contains(tags::RESCALE_SLOPE));
    let area = &plain.items(tags::DISPLAYED_AREA_SELECTION_SEQUENCE)[0];
    assert_eq!(area.text(tags::PRESENTATION_PIXEL_ASPECT_RATIO).as_deref(), Some("1\\1"));
}

#[test]
fn a_table_goes_before_a_window() {
    let mut header = fixtures::cr("pr-table");
    let mut table = Dataset::new();
    table.put_u16(tags::LUT_DESCRIPTOR, &[4, 0, 8]);
    table.put_u16(tags::LUT_DATA, &[0, 80, 160, 255]);
    header.put_items(tags::VOILUT_SEQUENCE, vec![table.clone()]);
    let data = made(&[SourceImage::analysed(&header, None, &positive())]).unwrap();
    let item = &data.items(tags::SOFTCOPY_VOILUT_SEQUENCE)[0];
    assert_eq!(item.items(tags::VOILUT_SEQUENCE), [table]);
    assert!(!item.contains(tags::WINDOW_CENTER));
}

#[test]
fn frames_are_named_and_images_referenced_once() {
    let header = fixtures::multi_frame("pr-frames");
    let (found, clear) = ([finding("pneumonia", 0.9, 1)], [finding("pneumonia", 0.1, 0)]);
    let sources = [
        SourceImage::analysed(&header, Some(1), &found),
        SourceImage::analysed(&header, Some(2), &clear),
        SourceImage::analysed(&header, Some(3), &found),
    ];
    let data = made(&sources).unwrap();
    let [series] = data.items(tags::REFERENCED_SERIES_SEQUENCE) else { panic!("one series") };
    assert_eq!(series.uid(tags::SERIES_INSTANCE_UID), header.uid(tags::SERIES_INSTANCE_UID));
    let [image] = series.items(tags::REFERENCED_IMAGE_SEQUENCE) else { panic!("one image") };
    assert_eq!(image.uid(tags::REFERENCED_SOP_INSTANCE_UID), header.uid(tags::SOP_INSTANCE_UID));
    assert_eq!(image.ints(tags::REFERENCED_FRAME_NUMBER), [1, 3]);
    let drawn: Vec<i64> = data
        .items(tags::GRAPHIC_ANNOTATION_SEQUENCE)
        .iter()
        .map(|annotation| {
            annotation.items(tags::REFERENCED_IMAGE_SEQUENCE)[0].int(tags::REFERENCED_FRAME_NUMBER).unwrap()
        })
        .collect();
    assert_eq!(drawn, [1, 3]);
}

#[test]
fn there_is_none_without_a_marked_finding_or_without_a_class_for_the_pixels() {
    let header = fixtures::cr("pr-none");
    assert_eq!(made(&[SourceImage::analysed(&header, None, &[finding("pneumonia", 0.2, 0)])]), None);
    let mut other = header.clone();
    for photometric in ["CMYK", ""] {
        other.put_text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, photometric);
        assert_eq!(made(&[SourceImage::analysed(&other, None, &positive())]), None);
    }
}

#[test]
fn the_same_again_is_the_same_and_another_model_another() {
    let header = fixtures::cr("pr-repeat");
    let findings = positive();
    let sources = [SourceImage::analysed(&header, None, &findings)];
    let make = |setup: &Setup| presentation_state(&setup.input(&sources)).unwrap().unwrap();
    let mut other = Setup::new();
    other.model.device_uid = derived_uid(&["other"]);
    other.model.version = "2.0.0".into();
    let (first, again, other) = (make(&Setup::new()), make(&Setup::new()), make(&other));
    assert_eq!(first, again);
    assert!(first.sop_instance != other.sop_instance && first.series_instance != other.series_instance);
}
