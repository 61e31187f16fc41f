//! The secondary capture as a receiver gets it.

use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::{Dataset, Limits, VR, read_file};
use dokuei_results::{
    CaptureStyle, ColourScale, Language, Object, ResultError, RgbPicture, SourceImage, SourcePicture, capture_picture,
    secondary_capture,
};

use crate::fixtures::{self, COLUMNS, ROWS, Setup, finding, picture_and_map, read, uid};

fn made(header: &Dataset, style: &CaptureStyle) -> (Object, RgbPicture) {
    let setup = Setup::new();
    let findings = [finding("pneumonia", 0.873, 1), finding("other", 0.2, 0)];
    let sources = [SourceImage::analysed(header, None, &findings)];
    let (data, map) = picture_and_map();
    let picture = SourcePicture::Gray { rows: ROWS.into(), columns: COLUMNS.into(), data: &data };
    let maps = [Some(map.as_slice()), None];
    let input = setup.input(&sources);
    let object = secondary_capture(&input, 0, &picture, &maps, style).unwrap().unwrap();
    let picture = capture_picture(&input, 0, &picture, &maps, style).unwrap().unwrap();
    (object, picture)
}

#[test]
fn attributes_say_what_it_is() {
    let header = fixtures::cr("sc");
    let (object, _) = made(&header, &CaptureStyle::default());
    assert_eq!(object.sop_class, uid(uids::SECONDARY_CAPTURE_IMAGE_STORAGE));
    let data = read(&object);
    for (tag, value) in [
        (tags::MODALITY, "OT"),
        (tags::CONVERSION_TYPE, "WSD"),
        (tags::IMAGE_TYPE, "DERIVED\\SECONDARY"),
        (tags::SERIES_NUMBER, "9002"),
        (tags::SERIES_DESCRIPTION, "AI heat map: pneumonia (unverified)"),
        (tags::BURNED_IN_ANNOTATION, "NO"),
        (tags::LOSSY_IMAGE_COMPRESSION, "00"),
        (tags::BODY_PART_EXAMINED, "CHEST"),
        (tags::PATIENT_ORIENTATION, "L\\F"),
    ] {
        assert_eq!(data.text(tag).as_deref(), Some(value), "{tag}");
    }
    assert!(!data.contains(tags::PIXEL_SPACING) && !data.contains(tags::IMAGER_PIXEL_SPACING));
    assert_eq!(data.int(tags::COLUMNS), header.int(tags::COLUMNS));
    assert!(data.int(tags::ROWS) > header.int(tags::ROWS), "the caption stands below");
    let source = &data.items(tags::SOURCE_IMAGE_SEQUENCE)[0];
    assert_eq!(source.uid(tags::REFERENCED_SOP_INSTANCE_UID), header.uid(tags::SOP_INSTANCE_UID));
    assert_eq!(source.text(tags::SPATIAL_LOCATIONS_PRESERVED).as_deref(), Some("YES"));
    let code = &data.items(tags::DERIVATION_CODE_SEQUENCE)[0];
    assert_eq!(code.text(tags::CODE_VALUE).as_deref(), Some("130402"));
    let series = &data.items(tags::REFERENCED_SERIES_SEQUENCE)[0];
    assert_eq!(series.uid(tags::SERIES_INSTANCE_UID), header.uid(tags::SERIES_INSTANCE_UID));
}

#[test]
fn what_the_source_admits_stays_admitted() {
    let mut header = fixtures::published("lossy");
    header.put_text(tags::BURNED_IN_ANNOTATION, VR::CS, "YES");
    let data = read(&made(&header, &CaptureStyle::default()).0);
    assert_eq!(data.text(tags::LOSSY_IMAGE_COMPRESSION).as_deref(), Some("01"));
    assert_eq!(data.text(tags::LOSSY_IMAGE_COMPRESSION_METHOD).as_deref(), Some("ISO_10918_1"));
    assert_eq!(data.float(tags::LOSSY_IMAGE_COMPRESSION_RATIO), Some(12.5));
    assert_eq!(data.text(tags::BURNED_IN_ANNOTATION).as_deref(), Some("YES"));
}

#[test]
fn the_body_part_is_the_sources_or_follows_from_the_finding() {
    let mut header = fixtures::published("body part");
    header.remove(tags::BODY_PART_EXAMINED);
    let data = read(&made(&header, &CaptureStyle::default()).0);
    assert_eq!(data.text(tags::BODY_PART_EXAMINED).as_deref(), Some("CHEST"), "the finding is in the lung");
    assert!(!data.contains(tags::LATERALITY));

    let setup = Setup::new();
    let findings = [dokuei_types::Finding { site: None, ..finding("pneumonia", 0.9, 1) }];
    let sources = [SourceImage::analysed(&header, None, &findings)];
    let (data, _) = picture_and_map();
    let picture = SourcePicture::Gray { rows: ROWS.into(), columns: COLUMNS.into(), data: &data };
    let object = secondary_capture(&setup.input(&sources), 0, &picture, &[None], &CaptureStyle::default()).unwrap();
    let data = read(&object.unwrap());
    assert!(!data.contains(tags::BODY_PART_EXAMINED));
    assert_eq!(data.bytes(tags::LATERALITY), Some(&b""[..]), "without a body part it is asked for");
}

#[test]
fn a_side_is_said_of_what_may_be_paired_alone() {
    for (part, side, expected) in [
        (Some("CHEST"), Some("L"), (Some("CHEST"), None)),
        (Some("HIP"), Some("R"), (Some("HIP"), Some("R"))),
        (Some("HIP"), None, (Some("HIP"), Some(""))),
        (Some("LEFT HIP"), None, (Some("LEFT HIP"), Some(""))),
        (Some("WHOLE BODY"), None, (Some("WHOLEBODY"), None)),
        // A side without a part: the part is not the chest that the model is about.
        (None, Some("R"), (None, Some("R"))),
    ] {
        let mut header = fixtures::published("laterality");
        for (tag, value) in [(tags::BODY_PART_EXAMINED, part), (tags::LATERALITY, side)] {
            header.remove(tag);
            if let Some(value) = value {
                header.put_text(tag, VR::CS, value);
            }
        }
        let data = read(&made(&header, &CaptureStyle::default()).0);
        let bytes = |tag| data.bytes(tag).map(|bytes| String::from_utf8_lossy(bytes).trim_end().to_owned());
        let found = (bytes(tags::BODY_PART_EXAMINED), bytes(tags::LATERALITY));
        assert_eq!((found.0.as_deref(), found.1.as_deref()), expected, "{part:?} {side:?}");
    }
}

#[test]
fn pixels_are_the_picture() {
    let header = fixtures::cr("pixels");
    let (object, picture) = made(&header, &CaptureStyle::default());
    assert_eq!(picture.columns, u32::from(COLUMNS));
    let (_, header) = read_file(&object.bytes, &Limits::default()).unwrap();
    let pixels = header.pixels.unwrap();
    let start = usize::try_from(pixels.offset).unwrap();
    assert_eq!(&object.bytes[start..start + picture.data.len()], picture.data.as_slice());
    assert_eq!(pixels.length, Some(picture.data.len() as u64));
}

#[test]
fn anatomy_shows_through_and_is_whole_where_the_model_saw_nothing() {
    let header = fixtures::cr("blend");
    let (source, map) = picture_and_map();
    for scale in [ColourScale::Ember, ColourScale::BlueRed] {
        let (_, picture) = made(&header, &CaptureStyle { scale, ..CaptureStyle::default() });
        let pixels = picture.data.as_chunks::<3>().0;
        // Nothing is drawn over what the model saw nothing in, the caption neither.
        for ((pixel, gray), value) in pixels.iter().zip(&source).zip(&map) {
            assert!(*value >= 0.001 || *pixel == [*gray; 3], "{scale:?}: {pixel:?} over {gray}");
        }
        // Two rows of the ramp under the same map value still differ.
        let at = |row: usize, column: usize| i32::from(pixels[row * usize::from(COLUMNS) + column][1]);
        assert!(at(118, 40) > at(102, 40), "{scale:?}");
    }
    let [ember, blue] = [ColourScale::Ember, ColourScale::BlueRed]
        .map(|scale| made(&header, &CaptureStyle { scale, ..CaptureStyle::default() }).1);
    assert_ne!(ember.data, blue.data);
}

#[test]
fn the_caption_alone_depends_on_the_language() {
    let header = fixtures::cr("language");
    let [english, japanese] = [Language::English, Language::Japanese]
        .map(|language| made(&header, &CaptureStyle { language, ..CaptureStyle::default() }));
    let source = usize::from(ROWS) * usize::from(COLUMNS) * 3;
    assert_eq!(english.1.data[..source], japanese.1.data[..source]);
    assert_ne!(english.1.data[source..], japanese.1.data[source..]);
    let [english, japanese] = [english, japanese].map(|(object, _)| read(&object));
    for tag in [tags::SERIES_DESCRIPTION, tags::DERIVATION_DESCRIPTION, tags::IMAGE_COMMENTS] {
        assert_eq!(english.bytes(tag), japanese.bytes(tag), "texts of the header stay ASCII: {tag}");
    }
}

#[test]
fn colour_sources_and_maps_without_a_finding_are_taken() {
    let setup = Setup::new();
    let header = fixtures::cr("rgb");
    let findings = [finding("pneumonia", 0.9, 1)];
    let sources = [SourceImage::analysed(&header, None, &findings)];
    let (gray, _) = picture_and_map();
    let rgb: Vec<u8> = gray.iter().flat_map(|g| [*g; 3]).collect();
    let (rows, columns) = (ROWS.into(), COLUMNS.into());
    let style = CaptureStyle::default();
    let input = setup.input(&sources);
    let make = |picture: SourcePicture<'_>| capture_picture(&input, 0, &picture, &[None], &style).unwrap();
    let from_gray = make(SourcePicture::Gray { rows, columns, data: &gray });
    assert!(from_gray.is_some(), "an outline without a map is still worth a picture");
    assert_eq!(from_gray, make(SourcePicture::Rgb { rows, columns, data: &rgb }));
}

#[test]
fn sizes_that_contradict_are_refused() {
    let setup = Setup::new();
    let header = fixtures::cr("sizes");
    let findings = [finding("pneumonia", 0.9, 1)];
    let sources = [SourceImage::analysed(&header, None, &findings)];
    let input = setup.input(&sources);
    let check = |rows: u32, columns: u32, bytes: usize, map: usize| {
        let (data, map) = (vec![0; bytes], vec![0.0; map]);
        let picture = SourcePicture::Gray { rows, columns, data: &data };
        secondary_capture(&input, 0, &picture, &[Some(&map)], &CaptureStyle::default()).unwrap_err()
    };
    let pixels = usize::from(ROWS) * usize::from(COLUMNS);
    let samples = |error: ResultError, wanted: &str| match error {
        ResultError::Samples { what, .. } => assert_eq!(what, wanted),
        other => panic!("{other}"),
    };
    samples(check(ROWS.into(), COLUMNS.into(), pixels - 1, pixels), "picture");
    samples(check(COLUMNS.into(), ROWS.into(), pixels, pixels), "picture");
    samples(check(ROWS.into(), COLUMNS.into(), pixels, pixels + 1), "map");
    assert!(matches!(check(70_000, 1, 70_000, 1), ResultError::PictureTooLarge { rows: 70_000, columns: 1 }));
}
