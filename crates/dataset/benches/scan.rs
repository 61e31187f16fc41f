//! What scanning a data set costs: a header of 100 elements, and pixel data by the PDV.
//!
//! `cargo bench -p dokuei-dataset`

use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry, VirtualVr};
use dicom_dictionary_std::{StandardDataDictionary, tags, uids};
use dokuei_dataset::{Dataset, Encoding, Limits, Scan, Tag, VR, read_header, write_dataset};

/// What a receiver puts into its index.
const WANTED: &[Tag] = &[
    tags::SPECIFIC_CHARACTER_SET,
    tags::SOP_CLASS_UID,
    tags::SOP_INSTANCE_UID,
    tags::ACCESSION_NUMBER,
    tags::MODALITY,
    tags::STUDY_DESCRIPTION,
    tags::BODY_PART_EXAMINED,
    tags::STUDY_INSTANCE_UID,
    tags::SERIES_INSTANCE_UID,
    tags::ROWS,
    tags::COLUMNS,
];
/// Bytes of the pixel data: a CT image's, and a long multi-frame's.
const PIXELS: [usize; 2] = [512 << 10, 250 << 20];
/// Bytes of a PDV as DCMTK and as our own sender writes them.
const PDVS: [usize; 2] = [16 << 10, 128 << 10];
/// Times each figure is measured; the least counts.
const ROUNDS: usize = 20;

fn main() {
    let header = header();
    let limits = Limits { value_bytes: 1024, ..Limits::default() };
    for (encoding, syntax) in [
        (Encoding::ExplicitLittle, uids::EXPLICIT_VR_LITTLE_ENDIAN),
        (Encoding::ImplicitLittle, uids::IMPLICIT_VR_LITTLE_ENDIAN),
    ] {
        let bytes = write_dataset(&header, encoding);
        let scanned = scan(syntax, &limits, &[&bytes]);
        let scan_ns = least(1000, || assert_eq!(scan(syntax, &limits, &[&bytes]), scanned));
        let read_ns = least(1000, || assert!(read_header(black_box(&bytes), 0, syntax, &limits).is_ok()));
        eprintln!(
            "{encoding:?}: header of {scanned} elements, {} bytes: scan {scan_ns:.0} ns, read {read_ns:.0} ns",
            bytes.len()
        );
    }
    for (size, pdv) in PIXELS.into_iter().flat_map(|size| PDVS.map(|pdv| (size, pdv))) {
        let mut image = header.clone();
        image.put_bytes(tags::PIXEL_DATA, VR::OW, vec![0; size]);
        let bytes = write_dataset(&image, Encoding::ExplicitLittle);
        let pieces: Vec<&[u8]> = bytes.chunks(pdv).collect();
        let ns = least(1, || assert!(scan(uids::EXPLICIT_VR_LITTLE_ENDIAN, &limits, &pieces) > 0));
        eprintln!("{size} bytes of pixels in PDVs of {pdv}: {ns:.0} ns, {:.0} GB/s", bytes.len() as f64 / ns);
    }
    let deflated = deflate(&write_dataset(&noisy(&header), Encoding::ExplicitLittle));
    let pieces: Vec<&[u8]> = deflated.chunks(PDVS[0]).collect();
    let ns = least(1, || assert!(scan(uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, &limits, &pieces) > 0));
    eprintln!("deflated, {} bytes: {:.2} GB/s", deflated.len(), deflated.len() as f64 / ns);
}

/// Elements found in a data set that must pass.
fn scan(syntax: &str, limits: &Limits, pieces: &[&[u8]]) -> usize {
    let mut scan = Scan::new(syntax, WANTED, limits);
    for piece in pieces {
        scan.push(black_box(piece));
    }
    let scanned = black_box(scan.finish());
    if scanned.verdict.is_ok() { scanned.elements } else { 0 }
}

/// Nanoseconds of one call, over `calls` at a time.
fn least(calls: u32, work: impl Fn()) -> f64 {
    let time = |_| {
        let start = Instant::now();
        (0..calls).for_each(|_| work());
        start.elapsed().as_nanos() as f64 / f64::from(calls)
    };
    (0..ROUNDS).map(time).fold(f64::MAX, f64::min)
}

/// A hundred elements as a CT image has them: UIDs, texts, numbers, a sequence with codes.
fn header() -> Dataset {
    let mut code = Dataset::new();
    code.put_text(tags::CODE_VALUE, VR::SH, "T-D3000");
    code.put_text(tags::CODING_SCHEME_DESIGNATOR, VR::SH, "SRT");
    code.put_text(tags::CODE_MEANING, VR::LO, "Chest");
    let mut data = Dataset::new();
    data.put_items(tags::PROCEDURE_CODE_SEQUENCE, vec![code.clone(), code]);
    for tag in WANTED {
        match *tag {
            tags::ROWS | tags::COLUMNS => data.put_u16(*tag, &[512]),
            tags::SOP_CLASS_UID | tags::SOP_INSTANCE_UID | tags::STUDY_INSTANCE_UID | tags::SERIES_INSTANCE_UID => {
                data.put_text(*tag, VR::UI, "2.25.329800735698586629295641978511506172918");
            }
            _ => data.put_text(*tag, VR::LO, "CHEST"),
        }
    }
    // Acquisition attributes, all texts of numbers.
    let numbers = (0x0010..=u16::MAX)
        .map(|element| Tag(0x0018, element))
        .filter(|tag| StandardDataDictionary.by_tag(*tag).is_some_and(|entry| entry.vr() == VirtualVr::Exact(VR::DS)));
    for tag in numbers.take(80) {
        data.put_text(tag, VR::DS, "1.25");
    }
    data
}

/// With pixels that deflate to about half, as images do.
fn noisy(header: &Dataset) -> Dataset {
    let mut state = 1_u32;
    let cell = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        [(state >> 24).to_le_bytes()[0], 4]
    };
    let mut image = header.clone();
    image.put_bytes(tags::PIXEL_DATA, VR::OW, (0..4 << 20).flat_map(cell).collect::<Vec<u8>>());
    image
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory takes bytes");
    encoder.finish().expect("memory takes bytes")
}
