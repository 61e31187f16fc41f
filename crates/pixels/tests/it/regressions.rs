//! What dicom-pixeldata 0.10.1 gets wrong, and that we do not. When one of its halves fails, the library has
//! been mended and the reason for our own transforms has become smaller.

use dicom_dictionary_std::{tags, uids};
use dicom_pixeldata::{PhotometricInterpretation, PixelDecoder};
use dokuei_dataset::{Dataset, VR};
use dokuei_pixels::PixelError;

use crate::encode;
use crate::object::{Object, le, spec};

/// What the library's array path gives, or its error.
fn array(object: &Object) -> Result<Vec<f32>, String> {
    let file = dicom_object::from_reader(object.bytes().as_slice()).map_err(|e| e.to_string())?;
    let decoded = file.decode_pixel_data().map_err(|e| e.to_string())?;
    decoded.to_ndarray::<f32>().map(|a| a.into_iter().collect()).map_err(|e| e.to_string())
}

#[test]
fn a_modality_lut_is_applied() {
    let object = Object::grey((1, 3), (8, 8), &[0, 1, 2]).with(|data| {
        let mut item = Dataset::new();
        item.put_u16(tags::LUT_DESCRIPTOR, &[3, 0, 16]);
        item.put_bytes(tags::LUT_DATA, VR::OW, le(&[100, 200, 300]));
        data.put_items(tags::MODALITY_LUT_SEQUENCE, vec![item]);
    });
    assert_eq!(array(&object).unwrap(), [0.0, 1.0, 2.0], "the library ignores it");
    assert_eq!(object.values(0), [100.0, 200.0, 300.0]);
}

#[test]
fn a_palette_is_applied() {
    let object = Object::grey((1, 2), (8, 8), &[1, 0])
        .set(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "PALETTE COLOR")
        .with(|data| {
            for (descriptor, table) in [
                (tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA),
                (tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA),
                (tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA),
            ] {
                data.put_u16(descriptor, &[2, 0, 8]);
                data.put_bytes(table, VR::OW, [40_u8, 200]);
            }
        });
    assert_eq!(array(&object).unwrap(), [1.0, 0.0], "the library gives the indices");
    assert_eq!(object.picture(0), [200, 200, 200, 40, 40, 40]);
}

#[test]
fn integers_of_32_bits_are_read() {
    let bytes: Vec<u8> = [7_u32, 1 << 24].iter().flat_map(|v| v.to_le_bytes()).collect();
    let object = Object::grey((1, 2), (32, 32), &bytes);
    assert!(array(&object).is_err(), "the library refuses them");
    assert_eq!(object.values(0), [7.0, 16_777_216.0]);
}

#[test]
fn float_pixel_data_is_read() {
    let bytes: Vec<u8> = [0.5_f32, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let mut object = Object::grey((1, 2), (32, 32), &bytes);
    object.element = (tags::FLOAT_PIXEL_DATA, VR::OF);
    assert!(array(&object).is_err(), "the library refuses it");
    assert_eq!(object.values(0), [0.5, -2.0]);
}

#[test]
fn monochrome1_is_white_first_in_the_tensor() {
    let object = Object::grey((1, 2), (8, 8), &[0, 255]).set(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME1");
    assert_eq!(array(&object).unwrap(), [0.0, 255.0], "the library's array is not inverted");
    assert_eq!(object.tensor(0, &spec((1, 2), "")), [1.0, 0.0]);
}

#[test]
fn ybr_full_in_rle_is_converted() {
    let ybr = [76, 85, 255, 100, 128, 128];
    let object =
        Object::colour((1, 2), "YBR_FULL", &[]).encapsulated(uids::RLE_LOSSLESS, vec![encode::rle(&ybr, 3, 1)]);
    let file = dicom_object::from_reader(object.bytes().as_slice()).unwrap();
    let decoded = file.decode_pixel_data().unwrap();
    assert_eq!(decoded.photometric_interpretation(), &PhotometricInterpretation::Rgb, "the library's label");
    assert_eq!(decoded.data(), ybr, "and what is in it");
    assert_eq!(object.picture(0), [254, 0, 0, 100, 100, 100]);
}

#[test]
fn planar_colour_is_read() {
    let object = Object::colour((1, 2), "RGB", &[1, 2, 3, 4, 5, 6]).set_u16(tags::PLANAR_CONFIGURATION, 1);
    assert!(array(&object).is_err(), "the library's array path refuses it");
    assert_eq!(object.picture(0), [1, 3, 5, 2, 4, 6]);
}

/// The library would build a table of 2^31 entries, so it is not asked here.
#[test]
fn more_bits_stored_than_allocated_are_refused() {
    let object = Object::grey((1, 1), (16, 16), &[0, 0]).set_u16(tags::BITS_STORED, 31).set_u16(tags::HIGH_BIT, 30);
    assert!(matches!(object.refused(), PixelError::Attribute { keyword: "BitsStored", .. }));
    let none = Object::grey((1, 1), (16, 16), &[0, 0]).set_u16(tags::BITS_STORED, 0);
    assert!(matches!(none.refused(), PixelError::Attribute { keyword: "BitsStored", .. }));
}

#[test]
fn a_codestream_larger_than_its_header_is_refused() {
    let jpeg = encode::jpeg_lossless(&[9; 16 * 16], (16, 16), 8);
    let object = Object::grey((8, 8), (8, 8), &[]).encapsulated(uids::JPEG_LOSSLESS_SV1, vec![jpeg]);
    let library = std::panic::catch_unwind(|| array(&object));
    assert!(library.is_err(), "the library panics: {library:?}");
    let error = object.refused();
    assert!(matches!(error, PixelError::Codec { index: 0, .. }), "{error:?}");
    assert!(matches!(error.decline_reason(), dokuei_types::DeclineReason::Malformed(_)));
}
