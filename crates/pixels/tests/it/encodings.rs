//! The same pixels in any lossless encoding are the same image: same stored values, same tensor. Real files
//! stand for the codecs that have no encoder here.

use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::VR;

use crate::encode;
use crate::object::{Object, le, spec};

const ROWS: u16 = 24;
const COLUMNS: u16 = 20;

/// Two frames of 12 bits with slopes, edges and noise.
fn frames() -> [Vec<u16>; 2] {
    let mut state = 7_u32;
    [0_u32, 900].map(|offset| {
        let pixels = 0..u32::from(ROWS) * u32::from(COLUMNS);
        pixels
            .map(|i| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let edge = if i % u32::from(COLUMNS) > 9 { 1500 } else { 0 };
                u16::try_from((offset + i * 2 + edge + (state >> 26)) & 0xFFF).unwrap()
            })
            .collect()
    })
}

#[test]
fn every_lossless_encoding_gives_the_same_tensor() {
    let frames = frames();
    let object = Object::grey((ROWS, COLUMNS), (16, 12), &le(&frames.concat()))
        .set(tags::NUMBER_OF_FRAMES, VR::IS, "2")
        .set(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME1");
    let spec = spec((13, 11), "geometry = \"pad\"\nmean = [0.4]\nscale = [0.2]");
    let expected = [0, 1].map(|frame| object.tensor(frame, &spec));
    assert_ne!(expected[0], expected[1]);

    let big_endian: Vec<u8> = frames.concat().iter().flat_map(|v| v.to_be_bytes()).collect();
    #[expect(deprecated, reason = "retired, and still sent")]
    let others = [
        object.clone().native(uids::IMPLICIT_VR_LITTLE_ENDIAN, le(&frames.concat())),
        object.clone().native(uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, le(&frames.concat())),
        object.clone().native(uids::EXPLICIT_VR_BIG_ENDIAN, big_endian),
        object.clone().encapsulated(
            uids::ENCAPSULATED_UNCOMPRESSED_EXPLICIT_VR_LITTLE_ENDIAN,
            frames.iter().map(|f| le(f)).collect(),
        ),
        object.clone().encapsulated(uids::RLE_LOSSLESS, frames.iter().map(|f| encode::rle(&le(f), 1, 2)).collect()),
        object.clone().encapsulated(
            uids::JPEG_LOSSLESS_SV1,
            frames.iter().map(|f| encode::jpeg_lossless(f, (ROWS, COLUMNS), 12)).collect(),
        ),
    ];
    for other in others {
        assert_eq!([0, 1].map(|frame| other.tensor(frame, &spec)), expected, "{}", other.syntax);
    }
}

#[test]
fn bits_beside_the_stored_value_do_not_matter() {
    let frames = frames();
    let plain = Object::grey((ROWS, COLUMNS), (16, 12), &le(&frames[0]));
    let dirty: Vec<u16> = frames[0].iter().map(|v| v | 0xA000).collect();
    let dirty = Object::grey((ROWS, COLUMNS), (16, 12), &le(&dirty));
    let spec = spec((8, 8), "");
    assert_eq!(plain.tensor(0, &spec), dirty.tensor(0, &spec));
}
