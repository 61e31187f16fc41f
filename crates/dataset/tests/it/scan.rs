use std::fs::File;
use std::io::{Read, Write};

use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::{
    Dataset, Encoding, Limits, MetaFields, ReadError, Scan, Scanned, Tag, VR, Value, file_meta, read_file,
    read_file_meta, scan_file, write_dataset,
};
use dokuei_testkit::{Random, mutated, real_dicom};

use crate::EXPLICIT_VR_BIG_ENDIAN;
use crate::property::{self, SYNTAXES, WANTED, agrees};

const EXPLICIT: &str = uids::EXPLICIT_VR_LITTLE_ENDIAN;

fn image() -> Dataset {
    let mut code = Dataset::new();
    code.put_text(tags::CODE_VALUE, VR::SH, "T-D3000");
    let mut request = Dataset::new();
    request.put_items(tags::REQUESTED_PROCEDURE_CODE_SEQUENCE, vec![code.clone(), code]);
    let mut data = Dataset::new();
    data.put_text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 100");
    data.put_text(tags::SOP_INSTANCE_UID, VR::UI, "1.2.3");
    data.put_text(tags::MODALITY, VR::CS, "CR");
    data.put_bytes(tags::PATIENT_NAME, VR::PN, *b"Buc^J\xE9r\xF4me");
    data.put_bytes(Tag(0x0009, 0x0010), VR::LO, *b"PRIVATE ");
    data.put_bytes(Tag(0x0009, 0x1001), VR::OB, vec![1; 40]);
    data.put_items(tags::REQUEST_ATTRIBUTES_SEQUENCE, vec![request]);
    data.put_u16(tags::ROWS, &[2]);
    data.put_u16(tags::PIXEL_REPRESENTATION, &[1]);
    data.put_bytes(tags::SMALLEST_IMAGE_PIXEL_VALUE, VR::SS, [0xFE, 0xFF]);
    data
}

fn with_pixels(mut data: Dataset) -> Dataset {
    data.put_bytes(tags::PIXEL_DATA, VR::OW, vec![0; 600]);
    data.put_bytes(tags::DATA_SET_TRAILING_PADDING, VR::OB, vec![0; 30]);
    data
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A value of undefined length: header in explicit little endian, then items, then perhaps the delimiter.
fn encapsulated(tag: Tag, vr: &[u8; 2], items: &[&[u8]], delimited: bool) -> Vec<u8> {
    let mut bytes = [tag.group().to_le_bytes(), tag.element().to_le_bytes(), *vr, [0, 0]].concat();
    bytes.extend_from_slice(&[0xFF; 4]);
    for item in items {
        bytes.extend_from_slice(&[0xFE, 0xFF, 0x00, 0xE0]);
        bytes.extend_from_slice(&u32::try_from(item.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(item);
    }
    if delimited {
        bytes.extend_from_slice(&[0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]);
    }
    bytes
}

/// Valid data sets behind the two bytes that [`property::data_set`] takes off.
fn valid() -> Vec<Vec<u8>> {
    let plain = with_pixels(image());
    let explicit = write_dataset(&plain, Encoding::ExplicitLittle);
    let fragments = encapsulated(tags::PIXEL_DATA, b"OB", &[&[], &[1; 50], &[2; 20]], true);
    // PS3.5 § 6.2.2: a sequence in implicit VR.
    let unknown = encapsulated(Tag(0x0009, 0x1002), b"UN", &[&[8, 0, 0, 1, 2, 0, 0, 0, b'A', b' ']], true);
    let compressed = [write_dataset(&image(), Encoding::ExplicitLittle), unknown, fragments].concat();
    let sets = [
        (0, write_dataset(&plain, Encoding::ImplicitLittle)),
        (1, explicit.clone()),
        (1, compressed),
        (2, write_dataset(&plain, Encoding::ExplicitBig)),
        (3, deflate(&explicit)),
    ];
    sets.into_iter().map(|(syntax, bytes)| [vec![syntax, 6], bytes].concat()).collect()
}

fn check(transfer_syntax: &str, bytes: &[u8]) -> Scanned {
    [1, 2, 3, 7, 12, 100]
        .map(|piece| agrees(transfer_syntax, bytes, piece, &Limits::default()))
        .into_iter()
        .next()
        .unwrap()
}

fn refused(bytes: &[u8]) -> String {
    check(EXPLICIT, bytes).verdict.unwrap_err().to_string()
}

#[test]
fn valid_data_sets_pass_and_give_what_is_wanted() {
    for input in valid() {
        let [syntax, _, bytes @ ..] = input.as_slice() else { panic!() };
        let scanned = check(SYNTAXES[usize::from(*syntax)], bytes);
        assert!(scanned.verdict.is_ok(), "{syntax}: {:?}", scanned.verdict);
        assert_eq!(scanned.dataset.text(tags::PATIENT_NAME).unwrap(), "Buc^Jérôme");
        assert_eq!(scanned.dataset.uid(tags::SOP_INSTANCE_UID).unwrap().as_str(), "1.2.3");
        assert_eq!(scanned.dataset.int(tags::ROWS), Some(2));
        assert_eq!(scanned.dataset.get(tags::SMALLEST_IMAGE_PIXEL_VALUE).unwrap().vr, VR::SS);
        assert!(!scanned.dataset.contains(tags::PIXEL_REPRESENTATION), "nobody asked for it");
        assert!(!scanned.dataset.contains(tags::REQUEST_ATTRIBUTES_SEQUENCE));
    }
}

#[test]
fn items_count_as_elements_and_fragments_of_the_image_do_not() {
    let bytes = write_dataset(&with_pixels(image()), Encoding::ExplicitLittle);
    // 12 of the data set, and three items with a sequence and two codes.
    assert_eq!(check(EXPLICIT, &bytes).elements, 12 + 3 + 3);
    let bytes = encapsulated(tags::PIXEL_DATA, b"OB", &[&[0_u8; 4] as &[u8]; 1000], true);
    assert_eq!(check(EXPLICIT, &bytes).elements, 1);
}

#[test]
fn every_cut_is_told() {
    for input in valid() {
        let [syntax, _, bytes @ ..] = input.as_slice() else { panic!() };
        let mut passed = Vec::new();
        for end in 0..bytes.len() {
            let scanned = agrees(SYNTAXES[usize::from(*syntax)], &bytes[..end], 64, &Limits::default());
            if scanned.verdict.is_ok() {
                passed.push(end);
            }
        }
        // Whole elements are a data set, with a byte or two of padding; a cut there is nobody's to see.
        assert!(passed.len() <= 14 * 3, "{syntax}: {passed:?}");
    }
}

#[test]
fn a_deflated_data_set_is_refused_at_every_cut() {
    let bytes = deflate(&write_dataset(&image(), Encoding::ExplicitLittle));
    for end in 0..bytes.len() {
        let scanned = agrees(SYNTAXES[3], &bytes[..end], 64, &Limits::default());
        assert!(scanned.verdict.is_err(), "{end}");
    }
    // Padded to even length (PS3.5 § A.5).
    assert!(check(SYNTAXES[3], &[bytes, vec![0]].concat()).verdict.is_ok());
}

#[test]
fn what_is_cut_off_is_named() {
    let bytes = write_dataset(&with_pixels(image()), Encoding::ExplicitLittle);
    let pixels = bytes.len() - (12 + 30) - 600;
    assert_eq!(
        refused(&bytes[..pixels + 100]),
        format!("(7FE0,0010) at byte {pixels} claims 600 bytes where 100 are left")
    );
    assert_eq!(refused(&bytes[..pixels - 1]), format!("the data set ends inside (0008,0100) at byte {}", pixels - 12));
    assert_eq!(refused(&[]), "not a DICOM data set");
    assert_eq!(refused(b"12345"), "not a DICOM data set");
}

#[test]
fn lengths_hold_inside_what_is_around_them() {
    let sequence = |sequence: u8, item: u8, value: u8| {
        let mut bytes = vec![0x40, 0, 0x75, 2, b'S', b'Q', 0, 0, sequence, 0, 0, 0];
        bytes.extend_from_slice(&[0xFE, 0xFF, 0, 0xE0, item, 0, 0, 0]);
        bytes.extend_from_slice(&[8, 0, 0, 1, b'S', b'H', value, 0, b'A', b'B', b'C', b'D']);
        bytes
    };
    assert!(check(EXPLICIT, &sequence(20, 12, 4)).verdict.is_ok());
    assert_eq!(refused(&sequence(20, 12, 5)), "(0008,0100) at byte 28 claims 5 bytes where 4 are left");
    assert_eq!(refused(&sequence(20, 13, 4)), "(FFFE,E000) at byte 20 claims 13 bytes where 12 are left");
    assert_eq!(refused(&sequence(21, 12, 4)), "(0040,0275) at byte 12 claims 21 bytes where 20 are left");
    assert_eq!(refused(&sequence(20, 11, 4)), "(0008,0100) at byte 28 claims 4 bytes where 3 are left");
}

#[test]
fn a_lying_length_is_told_where_a_delimiter_ends_the_sequence_before() {
    let mut bytes = vec![0x40, 0, 0x75, 2, b'S', b'Q', 0, 0, 0, 0, 0, 0xF0];
    bytes.extend_from_slice(&[0xFE, 0xFF, 0x00, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE, 0xFF, 0x0D, 0xE0, 0, 0, 0, 0]);
    bytes.extend_from_slice(&[0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]);
    assert_eq!(refused(&bytes), "(0040,0275) at byte 12 claims 4026531840 bytes where 24 are left");
    bytes[8..12].copy_from_slice(&24_u32.to_le_bytes());
    assert!(check(EXPLICIT, &bytes).verdict.is_ok());
}

#[test]
fn fragments_are_checked_one_by_one() {
    let whole = encapsulated(tags::PIXEL_DATA, b"OB", &[&[], &[9; 10]], true);
    assert!(check(EXPLICIT, &whole).verdict.is_ok());
    assert!(check(EXPLICIT, &whole[..whole.len() - 8]).verdict.is_ok(), "writers forget the delimiter");
    assert_eq!(refused(&whole[..whole.len() - 9]), "(7FE0,0010) at byte 28 claims 10 bytes where 9 are left");
    assert_eq!(refused(&whole[..whole.len() - 3]), "the data set ends inside (7FE0,0010) at byte 38");
    let next = [8, 0, 0x60, 0, b'C', b'S', 2, 0, b'M', b'R'];
    assert!(check(EXPLICIT, &[&whole[..whole.len() - 8], &next].concat()).verdict.is_ok());
    // Elsewhere nobody is seen to forget it.
    let private = encapsulated(Tag(0x0009, 0x1001), b"OB", &[&[], &[9; 10]], false);
    assert_eq!(refused(&private), "the data set ends inside (0009,1001) at byte 38");
    assert_eq!(refused(&[&private[..], &next].concat()), "(0008,0060) cannot stand at byte 38");
    // Every VR of bytes or numbers without limit may be encapsulated (PS3.5 § 7.1.2).
    for vr in [b"OB", b"OD", b"OF", b"OL", b"OV", b"OW"] {
        let private = encapsulated(Tag(0x0009, 0x1001), vr, &[&[], &[9; 10]], true);
        assert!(check(EXPLICIT, &private).verdict.is_ok());
    }
    let mut undefined = whole.clone();
    undefined[24..28].fill(0xFF);
    assert!(refused(&undefined).contains("claims 4294967295 bytes"));
    let icon = encapsulated(tags::PIXEL_DATA, b"OB", &[&[], &[9; 10]], false);
    let nested = encapsulated(Tag(0x0088, 0x0200), b"SQ", &[&icon], true);
    assert_eq!(refused(&nested), "the data set ends inside (7FE0,0010) at byte 58");
}

#[test]
fn nothing_behind_the_pixel_data_is_kept_and_all_of_it_is_checked() {
    let mut bytes = write_dataset(&with_pixels(image()), Encoding::ExplicitLittle);
    bytes.extend_from_slice(&[8, 0, 0x18, 0, b'U', b'I', 6, 0]);
    assert!(check(EXPLICIT, &[&bytes[..], b"6.6.6\0"].concat()).verdict.is_ok());
    let scanned = check(EXPLICIT, &[&bytes[..], b"6.6.6\0"].concat());
    assert_eq!(scanned.dataset.uid(tags::SOP_INSTANCE_UID).unwrap().as_str(), "1.2.3");
    assert!(refused(&[&bytes[..], b"6.6"].concat()).contains("claims 6 bytes where 3 are left"));
}

#[test]
fn limits_hold() {
    let level = [0x40, 0, 0x75, 2, b'S', b'Q', 0, 0, 255, 255, 255, 255, 0xFE, 0xFF, 0, 0xE0, 255, 255, 255, 255];
    assert_eq!(refused(&level.repeat(100_000)), "sequences nested deeper than 64");
    assert_eq!(refused(&[8, 0, 0x60, 0, b'C', b'S', 0, 0].repeat(200_001)), "more than 200000 elements");

    let limits = Limits { value_bytes: 10, total_bytes: 14, ..Limits::default() };
    let bytes = write_dataset(&image(), Encoding::ExplicitLittle);
    let scanned = agrees(EXPLICIT, &bytes, 5, &limits);
    // Specific Character Set has ten bytes, the UID six, of which four fit.
    assert_eq!(scanned.dataset.bytes(tags::SPECIFIC_CHARACTER_SET), Some(&b"ISO_IR 100"[..]));
    assert_eq!(scanned.dataset.get(tags::SOP_INSTANCE_UID).unwrap().value, Value::Omitted { length: 6 });
    assert_eq!(scanned.dataset.get(Tag(0x0009, 0x1001)).unwrap().value, Value::Omitted { length: 40 });
    assert_eq!(scanned.dataset.text(tags::MODALITY).unwrap(), "CR");
}

#[test]
fn a_deflated_stream_that_stops_short_has_one_verdict_however_it_came() {
    // Runs across the end of the decoder's window of 32 KiB: it keeps output to itself when the input is used up there.
    let mut data = image();
    let runs = (0..40_000_u32).map(|i| if i % 300 == 0 { u8::try_from(i / 300).unwrap() } else { 0 });
    data.put_bytes(tags::PIXEL_DATA, VR::OW, runs.collect::<Vec<_>>());
    let deflated = deflate(&write_dataset(&data, Encoding::ExplicitLittle));
    for end in 1..=deflated.len() {
        let stopped = &deflated[..end];
        let verdict = |pieces: &mut dyn Iterator<Item = &[u8]>| {
            property::scan(uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, pieces, &Limits::default()).verdict
        };
        let whole = verdict(&mut [stopped].into_iter());
        let bytewise = verdict(&mut stopped.chunks(1));
        assert_eq!(format!("{whole:?}"), format!("{bytewise:?}"), "{end} bytes");
        assert_eq!(whole.is_ok(), end == deflated.len());
    }
}

#[test]
fn every_deflated_transfer_syntax_is_inflated() {
    let bytes = deflate(&write_dataset(&image(), Encoding::ExplicitLittle));
    for syntax in [uids::JPIP_REFERENCED_DEFLATE, uids::JPIPHTJ2K_REFERENCED_DEFLATE] {
        assert_eq!(check(syntax, &bytes).dataset.text(tags::MODALITY).unwrap(), "CR");
    }
}

#[test]
fn deflate_bombs_are_refused_by_size_and_by_ratio() {
    let mut data = image();
    data.put_bytes(tags::PIXEL_DATA, VR::OW, vec![0; 66 << 20]);
    let bomb = deflate(&write_dataset(&data, Encoding::ExplicitLittle));
    let refused = |limits: &Limits| {
        let mut scan = Scan::new(SYNTAXES[3], WANTED, limits);
        scan.push(&bomb);
        scan.finish().verdict.unwrap_err()
    };
    assert!(matches!(refused(&Limits::default()), ReadError::InflatedRatio { ratio: 500, .. }));
    let small = Limits { inflated_bytes: 1 << 20, ..Limits::default() };
    assert!(matches!(refused(&small), ReadError::Inflated(limit) if limit == 1 << 20));
    let generous = Limits { inflated_ratio: 2000, ..Limits::default() };
    let mut scan = Scan::new(SYNTAXES[3], WANTED, &generous);
    scan.push(&bomb);
    assert!(scan.finish().verdict.is_ok());
}

#[test]
fn the_last_of_two_elements_with_one_tag_counts() {
    let mut bytes = write_dataset(&image(), Encoding::ExplicitLittle);
    bytes.extend_from_slice(&[8, 0, 0x60, 0, b'C', b'S', 2, 0, b'M', b'R']);
    assert_eq!(check(EXPLICIT, &bytes).dataset.text(tags::MODALITY).unwrap(), "MR");
    bytes.extend_from_slice(&[8, 0, 0x60, 0, b'S', b'Q', 0, 0, 0, 0, 0, 0]);
    assert!(!check(EXPLICIT, &bytes).dataset.contains(tags::MODALITY));
}

#[test]
fn damaged_data_sets_are_answered_alike_by_scan_and_reader() {
    mutated("data_set", &valid(), 1500, property::data_set);
}

#[test]
fn damaged_files_are_answered_alike_by_scan_and_reader() {
    let files: Vec<Vec<u8>> = valid()
        .into_iter()
        .map(|input| {
            let meta = file_meta(&MetaFields {
                sop_class: uids::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE,
                sop_instance: "1.2.3",
                transfer_syntax: SYNTAXES[usize::from(input[0])],
                source_ae: Some("CR_ROOM_1"),
                sending_ae: None,
                receiving_ae: None,
            });
            [&meta, &input[2..]].concat()
        })
        .collect();
    for file in &files {
        assert!(scan_file(file, WANTED, &Limits::default()).unwrap().1.verdict.is_ok());
    }
    // Without the preamble, where more depends on the first bytes.
    let bare = files.iter().map(|file| file[132..].to_vec());
    mutated("file", &files.iter().cloned().chain(bare).collect::<Vec<_>>(), 300, property::file);
}

#[test]
fn real_files_pass_where_they_can_be_read() {
    let Some(folder) = real_dicom() else { return };
    let limits = Limits::default();
    let mut random = Random::new(1);
    let mut passed = 0;
    let (mut sets, mut files) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = Vec::new();
        File::open(&path).unwrap().read_to_end(&mut bytes).unwrap();
        let Ok(meta) = read_file_meta(&bytes, &limits) else { continue };
        let offset = usize::try_from(meta.data_set_offset).unwrap();
        let piece = 1 + random.below(5000);
        let scanned = agrees(&meta.transfer_syntax, &bytes[offset..], piece, &limits);
        let read = read_file(&bytes, &limits);
        assert_eq!(scanned.verdict.is_ok(), read.is_ok(), "{}: {:?}", path.display(), scanned.verdict);
        passed += usize::from(read.is_ok());
        if bytes.len() < 8000 {
            let syntax = SYNTAXES.iter().position(|syntax| *syntax == meta.transfer_syntax).unwrap_or(1);
            sets.push([&[u8::try_from(syntax).unwrap(), 99], &bytes[offset..]].concat());
            files.push(bytes);
        }
    }
    assert!(passed > 200 && files.len() > 50, "{passed} {}", files.len());
    mutated("data_set", &sets, 5, property::data_set);
    mutated("file", &files, 5, property::file);
}

#[test]
fn big_endian_numbers_are_turned() {
    let bytes = write_dataset(&image(), Encoding::ExplicitBig);
    assert_eq!(check(EXPLICIT_VR_BIG_ENDIAN, &bytes).dataset.bytes(tags::ROWS), Some(&[2, 0][..]));
}
