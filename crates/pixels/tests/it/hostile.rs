//! Whatever the attributes say, the answer is an image or an error, within bounded memory.

use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::VR;
use dokuei_pixels::{PixelError, prepare};
use dokuei_types::DeclineReason;
use proptest::prelude::*;

use crate::object::{Object, spec};

fn check(object: &Object, expected: impl Fn(&PixelError) -> bool) {
    let error = object.refused();
    assert!(expected(&error), "{error:?}");
}

fn attribute(keyword: &'static str) -> impl Fn(&PixelError) -> bool {
    move |error| matches!(error, PixelError::Attribute { keyword: k, .. } if *k == keyword)
}

fn grey() -> Object {
    Object::grey((2, 2), (16, 12), &[0; 8])
}

#[test]
fn attributes_that_contradict_are_refused_by_name() {
    check(&grey().set_u16(tags::ROWS, 0), attribute("Rows"));
    check(&grey().set_u16(tags::COLUMNS, 0), attribute("Columns"));
    check(&grey().set_u16(tags::SAMPLES_PER_PIXEL, 3), attribute("SamplesPerPixel"));
    check(&grey().set_u16(tags::BITS_STORED, 17), attribute("BitsStored"));
    check(&grey().set_u16(tags::HIGH_BIT, 16), attribute("HighBit"));
    check(&grey().set_u16(tags::HIGH_BIT, 3), attribute("HighBit"));
    check(&grey().set_u16(tags::PIXEL_REPRESENTATION, 2), attribute("PixelRepresentation"));
    check(&grey().set(tags::NUMBER_OF_FRAMES, VR::IS, "0"), attribute("NumberOfFrames"));
    check(&grey().set(tags::NUMBER_OF_FRAMES, VR::IS, "-1"), attribute("NumberOfFrames"));
    check(&grey().set(tags::NUMBER_OF_FRAMES, VR::IS, "99999999999"), attribute("NumberOfFrames"));
    check(
        &Object::colour((1, 1), "RGB", &[0; 3]).set_u16(tags::PLANAR_CONFIGURATION, 7),
        attribute("PlanarConfiguration"),
    );
    let unsupported = |e: &PixelError| matches!(e, PixelError::Unsupported { .. });
    check(&grey().set_u16(tags::BITS_ALLOCATED, 24), unsupported);
    check(&grey().set(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "INFRARED"), unsupported);
    check(&grey().native(uids::MPEG4HP41, vec![0; 8]), unsupported);
    let malformed = |e: &PixelError| matches!(e, PixelError::Encapsulation { .. });
    check(&grey().native(uids::RLE_LOSSLESS, vec![0; 8]), malformed);
    check(&grey().encapsulated(uids::EXPLICIT_VR_LITTLE_ENDIAN, vec![vec![0; 8]]), malformed);
}

#[test]
fn missing_attributes_are_named() {
    for (tag, name) in [
        (tags::ROWS, "Rows"),
        (tags::BITS_ALLOCATED, "BitsAllocated"),
        (tags::PIXEL_REPRESENTATION, "PixelRepresentation"),
        (tags::PHOTOMETRIC_INTERPRETATION, "PhotometricInterpretation"),
    ] {
        let object = grey().with(|data| drop(data.remove(tag)));
        check(&object, |e| matches!(e, PixelError::Missing { keyword } if *keyword == name));
    }
}

#[test]
fn pixel_data_may_be_longer_and_not_shorter() {
    // 3 x 3 bytes need no padding byte, and may have one, and a whole frame more.
    for bytes in [9, 10, 18] {
        assert_eq!(Object::grey((3, 3), (8, 8), &vec![1; bytes]).picture(0), [1; 9]);
    }
    check(&Object::grey((3, 3), (8, 8), &[1; 8]), |e| {
        matches!(e, PixelError::Length { expected_bytes: 9, actual_bytes: 8 })
    });
    let frames = Object::grey((3, 3), (8, 8), &[1; 18]).set(tags::NUMBER_OF_FRAMES, VR::IS, "3");
    check(&frames, |e| matches!(e, PixelError::Length { expected_bytes: 27, .. }));
}

#[test]
fn no_pixels_are_no_pixels() {
    for object in
        [grey().native(uids::EXPLICIT_VR_LITTLE_ENDIAN, vec![]), grey().encapsulated(uids::RLE_LOSSLESS, vec![])]
    {
        let error = object.refused();
        assert!(matches!(error.decline_reason(), DeclineReason::NoPixels(_)), "{error:?}");
    }
}

#[test]
fn sizes_beyond_the_limits_are_refused_before_memory_is_taken() {
    let huge = Object::grey((65535, 65535), (32, 32), &[0; 4]);
    check(&huge, |e| matches!(e, PixelError::Limit { .. }));
    assert!(matches!(huge.refused().decline_reason(), DeclineReason::Limit(_)));
    let many = grey().set(tags::NUMBER_OF_FRAMES, VR::IS, "2147483647");
    check(&many, |e| matches!(e, PixelError::Limit { .. }));
}

fn photometric() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "MONOCHROME1",
        "MONOCHROME2",
        "PALETTE COLOR",
        "RGB",
        "YBR_FULL",
        "YBR_FULL_422",
        "YBR_PARTIAL_422",
        "YBR_PARTIAL_420",
        "YBR_ICT",
        "YBR_RCT",
        "XYB",
        "HSV",
        "ARGB",
        "CMYK",
        "",
        "X",
    ])
}

#[expect(deprecated, reason = "retired, and still sent")]
fn syntax() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        uids::IMPLICIT_VR_LITTLE_ENDIAN,
        uids::EXPLICIT_VR_LITTLE_ENDIAN,
        uids::EXPLICIT_VR_BIG_ENDIAN,
        uids::RLE_LOSSLESS,
        uids::JPEG_BASELINE8_BIT,
        uids::JPEG_LOSSLESS_SV1,
        uids::JPEGLS_LOSSLESS,
        uids::JPEG2000_LOSSLESS,
        uids::HTJ2K,
        uids::JPEGXL,
        uids::DEFLATED_IMAGE_FRAME_COMPRESSION,
        uids::ENCAPSULATED_UNCOMPRESSED_EXPLICIT_VR_LITTLE_ENDIAN,
    ])
}

/// Mostly small and plausible, sometimes anything.
fn number() -> impl Strategy<Value = u16> {
    prop_oneof![8 => 0_u16..20, 1 => any::<u16>(), 1 => prop::sample::select(vec![1_u16, 8, 16, 32, 64])]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    #[test]
    fn any_attributes_end_in_an_image_or_an_error(
        numbers in prop::array::uniform8(number()),
        photometric in photometric(),
        syntax in syntax(),
        frames in "[0-9]{0,3}",
        numbers_text in "[-+0-9.eE\\\\]{0,9}",
        lut in prop::array::uniform3(number()),
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        float in 0..4_u8,
        encapsulated: bool,
    ) {
        let [rows, columns, allocated, stored, high, representation, samples, planar] = numbers;
        let mut object = Object::grey((rows, columns), (allocated, stored), &bytes)
            .set_u16(tags::HIGH_BIT, high)
            .set_u16(tags::PIXEL_REPRESENTATION, representation % 3)
            .set_u16(tags::SAMPLES_PER_PIXEL, samples % 5)
            .set_u16(tags::PLANAR_CONFIGURATION, planar % 3)
            .set(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, photometric)
            .set(tags::NUMBER_OF_FRAMES, VR::IS, &frames)
            .set(tags::WINDOW_CENTER, VR::DS, &numbers_text)
            .set(tags::WINDOW_WIDTH, VR::DS, &numbers_text)
            .set(tags::RESCALE_SLOPE, VR::DS, &numbers_text)
            .set(tags::PIXEL_ASPECT_RATIO, VR::IS, &numbers_text)
            .with(|data| for (descriptor, table) in [
                (tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::SEGMENTED_RED_PALETTE_COLOR_LOOKUP_TABLE_DATA),
                (tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA),
                (tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA),
            ] {
                data.put_u16(descriptor, &lut);
                data.put_bytes(table, VR::OW, bytes.clone());
            });
        object.syntax = syntax;
        match float {
            0 => object.element = (tags::FLOAT_PIXEL_DATA, VR::OF),
            1 => object.element = (tags::DOUBLE_FLOAT_PIXEL_DATA, VR::OD),
            _ => {}
        }
        if encapsulated {
            let half = bytes.len() / 2;
            object = object.encapsulated(syntax, vec![bytes[..half].to_vec(), bytes[half..].to_vec()]);
        }
        let spec = spec((5, 4), "channels = 3\ngeometry = \"crop\"\nresampling = \"bicubic\"");
        for frame in 0..2 {
            if let Ok(prepared) = object.open(|image| prepare(image, frame, &spec)) {
                prop_assert!(prepared.tensor.iter().all(|v| (0.0..=1.0).contains(v)), "{:?}", prepared.tensor);
            }
            match object.open(|image| image.picture(frame)) {
                Ok(_) => {}
                Err(error) => prop_assert!(!error.decline_reason().to_string().is_empty()),
            }
        }
    }
}
