use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use dicom_dictionary_std::uids;
use dokuei_dataset::{
    Dataset, Encoding, Limits, ReadAt, ReadError, Tag, VR, Value, read_file, read_file_meta, read_header, write_dataset,
};
use proptest::prelude::*;

use crate::EXPLICIT_VR_BIG_ENDIAN;

fn check(bytes: &[u8], transfer_syntax: &str) -> Result<Dataset, ReadError> {
    read_header(&bytes.to_vec(), 0, transfer_syntax, &Limits::default()).map(|header| header.dataset)
}

#[test]
fn a_hundred_thousand_nested_sequences_end_at_the_limit() {
    let level = [0x40, 0, 0x75, 2, b'S', b'Q', 0, 0, 255, 255, 255, 255, 0xFE, 0xFF, 0, 0xE0, 255, 255, 255, 255];
    let error = check(&level.repeat(100_000), uids::EXPLICIT_VR_LITTLE_ENDIAN).unwrap_err();
    assert_eq!(error.to_string(), "sequences nested deeper than 64");
}

#[test]
fn a_length_over_what_is_there_is_named() {
    let bytes = [0x10, 0, 0x10, 0, b'O', b'B', 0, 0, 0xFE, 0xFF, 0xFF, 0xFF, 1, 2];
    let error = check(&bytes, uids::EXPLICIT_VR_LITTLE_ENDIAN).unwrap_err();
    assert!(matches!(error, ReadError::Length { length: 0xFFFF_FFFE, available: 2, .. }), "{error}");
}

#[test]
fn a_value_over_the_limit_stays_where_it_is() {
    let mut data = Dataset::new();
    data.put_bytes(Tag(0x0009, 0x1001), VR::OB, vec![7; 5000]);
    data.put_bytes(Tag(0x0010, 0x0010), VR::PN, *b"A^B ");
    let bytes = write_dataset(&data, Encoding::ExplicitLittle);
    let limits = Limits { value_bytes: 4096, ..Limits::default() };
    let header = read_header(&bytes, 0, uids::EXPLICIT_VR_LITTLE_ENDIAN, &limits).unwrap();
    assert_eq!(header.dataset.get(Tag(0x0009, 0x1001)).unwrap().value, Value::Omitted { length: 5000 });
    assert_eq!(header.dataset.bytes(Tag(0x0010, 0x0010)), Some(&b"A^B "[..]));
}

#[test]
fn text_is_not_dicom() {
    let error = read_file(&b"Nothing of the kind, whatever its length may be.".repeat(10), &Limits::default());
    assert!(matches!(error.unwrap_err(), ReadError::NotDicom));
    assert!(matches!(read_file(&Vec::new(), &Limits::default()).unwrap_err(), ReadError::NotDicom));
}

/// Counts how often it is read.
struct Counting(Vec<u8>, AtomicUsize);

impl ReadAt for Counting {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.read_exact_at(buf, offset)
    }
}

#[test]
fn meta_information_without_end_is_given_up() {
    let element = [2, 0, 0x10, 0, b'U', b'I', 0, 0];
    let file = Counting([vec![0; 128], b"DICM".to_vec(), element.repeat(10_000)].concat(), AtomicUsize::new(0));
    let _meta = read_file_meta(&file, &Limits::default());
    assert!(file.1.load(Ordering::Relaxed) < 200);
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..2000), which in 0usize..4) {
        let syntaxes = [
            uids::IMPLICIT_VR_LITTLE_ENDIAN,
            uids::EXPLICIT_VR_LITTLE_ENDIAN,
            EXPLICIT_VR_BIG_ENDIAN,
            uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
        ];
        let _read = check(&bytes, syntaxes[which]);
        let _file = read_file(&bytes, &Limits::default());
    }

    #[test]
    fn broken_data_sets_are_answered(at in 0usize..400, byte: u8, cut in 0usize..400) {
        let mut item = Dataset::new();
        item.put_bytes(Tag(0x0008, 0x0100), VR::SH, *b"CODE");
        let mut data = Dataset::new();
        data.put_items(Tag(0x0040, 0x0275), vec![item.clone(), item]);
        data.put_bytes(Tag(0x0010, 0x0010), VR::PN, *b"A^B ");
        for encoding in [Encoding::ImplicitLittle, Encoding::ExplicitLittle, Encoding::ExplicitBig] {
            let mut bytes = write_dataset(&data, encoding);
            if let Some(target) = bytes.get_mut(at) { *target = byte; }
            bytes.truncate(cut.max(1));
            let _read = check(&bytes, uids::EXPLICIT_VR_LITTLE_ENDIAN);
        }
    }
}

#[test]
fn an_item_outside_any_sequence_is_stepped_over() {
    let mut data = Dataset::new();
    data.put_bytes(Tag(0x0008, 0x0060), VR::CS, *b"CR");
    let mut bytes = write_dataset(&data, Encoding::ExplicitLittle);
    bytes.extend_from_slice(&[0xFE, 0xFF, 0, 0xE0, 2, 0, 0, 0, 9, 9]);
    let mut rest = Dataset::new();
    rest.put_bytes(Tag(0x0010, 0x0010), VR::PN, *b"A^B ");
    bytes.extend_from_slice(&write_dataset(&rest, Encoding::ExplicitLittle));
    let read = check(&bytes, uids::EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
    assert_eq!(read.bytes(Tag(0x0010, 0x0010)), Some(&b"A^B "[..]));
}
