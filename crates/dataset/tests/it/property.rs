//! What must hold for any bytes. The tests here run it on damaged data sets and real files, the fuzz targets on
//! whatever the fuzzer finds.

use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::{
    Dataset, Encoding, Limits, ReadError, Scan, Scanned, Tag, Value, read_file, read_file_meta, read_header, scan_file,
    write_dataset,
};

/// Explicit VR Big Endian, whose dictionary constant is deprecated.
const EXPLICIT_VR_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

/// What an input of [`data_set`] chooses from.
pub(crate) const SYNTAXES: [&str; 4] = [
    uids::IMPLICIT_VR_LITTLE_ENDIAN,
    uids::EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
];

/// Texts, numbers, one whose VR depends on Pixel Representation, sequences, and one that is often private.
pub(crate) const WANTED: &[Tag] = &[
    tags::SPECIFIC_CHARACTER_SET,
    tags::SOP_INSTANCE_UID,
    tags::MODALITY,
    tags::PATIENT_NAME,
    tags::STUDY_INSTANCE_UID,
    tags::REQUEST_ATTRIBUTES_SEQUENCE,
    tags::ROWS,
    tags::SMALLEST_IMAGE_PIXEL_VALUE,
    Tag(0x0009, 0x1001),
];

/// A data set behind two bytes that choose its transfer syntax and how it is cut into pieces.
pub(crate) fn data_set(input: &[u8]) {
    let [syntax, cut, bytes @ ..] = input else { return };
    let limits = Limits { inflated_bytes: 4 << 20, total_bytes: 4 << 20, ..Limits::default() };
    agrees(SYNTAXES[usize::from(*syntax) % SYNTAXES.len()], bytes, usize::from(*cut) + 1, &limits);
}

/// A file, from its preamble on.
pub(crate) fn file(input: &[u8]) {
    let limits = Limits { inflated_bytes: 4 << 20, ..Limits::default() };
    let bytes = input.to_vec();
    let meta = read_file_meta(&bytes, &limits);
    let read = read_file(&bytes, &limits);
    match scan_file(&bytes, WANTED, &limits) {
        Err(_) => assert!(meta.is_err() && read.is_err()),
        Ok((found, scanned)) => {
            assert_eq!(found.data_set_offset, meta.unwrap().data_set_offset);
            assert!(scanned.verdict.is_err() || read.is_ok(), "{read:?}");
        }
    }
}

/// Scans the bytes whole and in pieces, reads them, and compares; the scan of the whole.
pub(crate) fn agrees(transfer_syntax: &str, bytes: &[u8], piece: usize, limits: &Limits) -> Scanned {
    let whole = scan(transfer_syntax, [bytes].into_iter(), limits);
    let cut = scan(transfer_syntax, bytes.chunks(piece), limits);
    // How much comes out of a broken deflated stream before the fault is seen depends on the pieces.
    let inflates = |scanned: &Scanned| !matches!(scanned.verdict, Err(ReadError::Inflate { .. }));
    if inflates(&whole) && inflates(&cut) {
        assert_eq!(format!("{:?}", whole.verdict), format!("{:?}", cut.verdict));
        assert_eq!((&whole.dataset, whole.elements), (&cut.dataset, cut.elements));
    }
    assert_eq!(whole.verdict.is_ok(), cut.verdict.is_ok());

    match (&whole.verdict, read_header(&bytes.to_vec(), 0, transfer_syntax, limits)) {
        (Err(_), Err(_)) => {}
        // The reader never comes to what is behind the pixel data, nor to its end; values it need not fill.
        (Err(_), Ok(header)) => read_alike(&header.dataset),
        (Ok(()), Ok(header)) => {
            read_alike(&header.dataset);
            let kept = |tag: &&Tag| header.dataset.bytes(**tag).is_some() || whole.dataset.contains(**tag);
            for tag in WANTED.iter().filter(kept) {
                assert_eq!(whole.dataset.get(*tag), header.dataset.get(*tag), "{tag}");
            }
        }
        (Ok(()), Err(error)) => panic!("the scan lets pass what cannot be read: {error}"),
    }
    whole
}

pub(crate) fn scan<'a>(transfer_syntax: &str, pieces: impl Iterator<Item = &'a [u8]>, limits: &Limits) -> Scanned {
    let mut scan = Scan::new(transfer_syntax, WANTED, limits);
    pieces.for_each(|piece| scan.push(piece));
    scan.finish()
}

/// Every way to look at a value has an answer, and what is written of it can be read again.
fn read_alike(dataset: &Dataset) {
    for element in dataset.iter() {
        let _looked_at = (dataset.texts(element.tag), dataset.uid(element.tag));
        let _numbers = (dataset.ints(element.tag), dataset.floats(element.tag));
    }
    let written = write_dataset(dataset, Encoding::ExplicitLittle);
    let scanned = scan(uids::EXPLICIT_VR_LITTLE_ENDIAN, [written.as_slice()].into_iter(), &Limits::default());
    let nothing = dataset.iter().all(|element| matches!(element.value, Value::Omitted { .. }));
    assert!(nothing || scanned.verdict.is_ok(), "{:?}", scanned.verdict);
    assert!(!nothing || matches!(scanned.verdict, Err(ReadError::NotDicom)));
}
