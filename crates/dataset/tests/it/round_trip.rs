use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::{
    Dataset, Encoding, Limits, MetaFields, VR, Value, file_meta, read_file, read_header, write_dataset,
};
use proptest::prelude::*;

use crate::EXPLICIT_VR_BIG_ENDIAN;

fn syntax(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::ImplicitLittle => uids::IMPLICIT_VR_LITTLE_ENDIAN,
        Encoding::ExplicitLittle => uids::EXPLICIT_VR_LITTLE_ENDIAN,
        Encoding::ExplicitBig => EXPLICIT_VR_BIG_ENDIAN,
    }
}

fn example() -> Dataset {
    let mut code = Dataset::new();
    code.put_text(tags::CODE_VALUE, VR::SH, "T-D3000");
    let mut request = Dataset::new();
    request.put_items(tags::REQUESTED_PROCEDURE_CODE_SEQUENCE, vec![code.clone(), code]);
    request.put_text(tags::REQUESTED_PROCEDURE_ID, VR::SH, "RP1");
    let mut data = Dataset::new();
    data.put_text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 100");
    data.put_bytes(tags::PATIENT_NAME, VR::PN, *b"Buc^J\xE9r\xF4me");
    data.put_items(tags::REQUEST_ATTRIBUTES_SEQUENCE, vec![request]);
    data.put_items(tags::PROCEDURE_CODE_SEQUENCE, vec![]);
    data.put_u16(tags::ROWS, &[2]);
    data.put_u16(tags::COLUMNS, &[2]);
    data.put_f32(tags::RECOMMENDED_DISPLAY_FRAME_RATE_IN_FLOAT, &[1.5]);
    data
}

#[test]
fn what_is_written_is_read_in_every_encoding() {
    for encoding in [Encoding::ImplicitLittle, Encoding::ExplicitLittle, Encoding::ExplicitBig] {
        let bytes = write_dataset(&example(), encoding);
        let header = read_header(&bytes, 0, syntax(encoding), &Limits::default()).unwrap();
        assert_eq!(header.encoding(), encoding);
        assert_eq!(header.dataset.text(tags::PATIENT_NAME).unwrap(), "Buc^Jérôme");
        assert_eq!(header.dataset.int(tags::ROWS), Some(2));
        let request = &header.dataset.items(tags::REQUEST_ATTRIBUTES_SEQUENCE)[0];
        assert_eq!(request.items(tags::REQUESTED_PROCEDURE_CODE_SEQUENCE).len(), 2);
        assert_eq!(write_dataset(&header.dataset, encoding), bytes);
    }
}

#[test]
fn a_wrong_transfer_syntax_is_seen_through() {
    let explicit = write_dataset(&example(), Encoding::ExplicitLittle);
    let implicit = write_dataset(&example(), Encoding::ImplicitLittle);
    for (bytes, declared, is) in [
        (explicit, uids::IMPLICIT_VR_LITTLE_ENDIAN, Encoding::ExplicitLittle),
        (implicit, uids::EXPLICIT_VR_LITTLE_ENDIAN, Encoding::ImplicitLittle),
    ] {
        let header = read_header(&bytes, 0, declared, &Limits::default()).unwrap();
        assert_eq!(header.encoding(), is);
        assert_eq!(header.dataset.int(tags::COLUMNS), Some(2));
    }
}

#[test]
fn the_reader_stops_at_the_pixel_data_and_says_where_it_is() {
    let mut data = example();
    data.put_bytes(tags::PIXEL_DATA, VR::OW, [1, 2, 3, 4, 5, 6, 7, 8]);
    let meta = file_meta(&MetaFields {
        sop_class: uids::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE,
        sop_instance: "1.2.3",
        transfer_syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN,
        source_ae: Some("CR_ROOM_1"),
        sending_ae: None,
        receiving_ae: Some("DOKUEI"),
    });
    let file = [meta, write_dataset(&data, Encoding::ExplicitLittle)].concat();
    let (meta, header) = read_file(&file, &Limits::default()).unwrap();
    assert_eq!(meta.sop_instance.unwrap().as_str(), "1.2.3");
    let pixels = header.pixels.clone().unwrap();
    assert_eq!(pixels.length, Some(8));
    let mut first = [0; 2];
    header.source(&file).read_exact_at(&mut first, pixels.offset).unwrap();
    assert_eq!(first, [1, 2]);
    assert!(!header.dataset.contains(tags::PIXEL_DATA));

    let theirs = dicom_object::from_reader(&file[..]).unwrap();
    assert_eq!(theirs.element(tags::ROWS).unwrap().to_int::<u16>().unwrap(), 2);
}

#[test]
fn a_deflated_data_set_is_inflated_up_to_its_limit() {
    use std::io::Write;
    let mut data = example();
    data.put_bytes(tags::PIXEL_DATA, VR::OW, vec![0; 100_000]);
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&write_dataset(&data, Encoding::ExplicitLittle)).unwrap();
    let deflated = encoder.finish().unwrap();
    let syntax = uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN;
    let header = read_header(&deflated, 0, syntax, &Limits::default()).unwrap();
    let pixels = header.pixels.clone().unwrap();
    assert_eq!(pixels.length, Some(100_000));
    assert!(header.source(&deflated).size() >= pixels.offset + 100_000);
    let small = Limits { inflated_bytes: 50_000, ..Limits::default() };
    assert_eq!(read_header(&deflated, 0, syntax, &small).unwrap_err().to_string(), "inflates to more than 50000 bytes");
}

fn any_text() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(0x20u8..0x7F, 0..40).prop_map(|mut text| {
        if text.len() % 2 == 1 {
            text.push(b' ');
        }
        text
    })
}

fn any_dataset() -> impl Strategy<Value = Dataset> {
    let leaf = proptest::collection::vec((1u16..200, any_text()), 1..6).prop_map(|elements| {
        let mut data = Dataset::new();
        for (element, text) in elements {
            data.put_bytes(dokuei_dataset::Tag(0x0010, element * 2), VR::LT, text);
        }
        data
    });
    leaf.prop_recursive(4, 40, 3, |inner| {
        proptest::collection::vec(inner, 0..3).prop_map(|items| {
            let mut data = Dataset::new();
            data.put_items(tags::REQUEST_ATTRIBUTES_SEQUENCE, items);
            data
        })
    })
}

proptest! {
    #[test]
    fn decode_of_encode_is_identity(mut data in any_dataset()) {
        data.put_u16(tags::ROWS, &[1]);
        data.put_text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192");
        for encoding in [Encoding::ExplicitLittle, Encoding::ExplicitBig] {
            let bytes = write_dataset(&data, encoding);
            let header = read_header(&bytes, 0, syntax(encoding), &Limits::default()).unwrap();
            for element in header.dataset.iter() {
                if let Value::Bytes(bytes) = &element.value {
                    prop_assert_eq!(Some(bytes.as_slice()), data.bytes(element.tag));
                }
            }
            prop_assert_eq!(write_dataset(&header.dataset, encoding), bytes);
        }
    }
}
