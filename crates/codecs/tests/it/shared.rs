//! Every decodable file of the shared collection against the digest another toolkit computed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use dicom_dictionary_std::{tags, uids};
use dokuei_codecs::{CodecError, DecodedFrame, FrameSpec, Representation, Samples, decode, native_frame, supports};
use dokuei_dataset::{Header, Limits, PixelElement, ReadAt, VR, read_file};
use dokuei_testkit::{mutated, real_dicom};
use sha2::{Digest, Sha256};

use crate::property;

struct Row {
    file: String,
    transfer_syntax: String,
    verdict: String,
    digest: String,
}

fn manifest(folder: &Path) -> Vec<Row> {
    let pick = |row: &BTreeMap<String, String>, name: &str| row.get(name).cloned().unwrap_or_default();
    let rows = dokuei_testkit::manifest(folder).into_iter();
    rows.map(|row| Row {
        file: pick(&row, "file"),
        transfer_syntax: pick(&row, "ts"),
        verdict: pick(&row, "dec"),
        digest: pick(&row, "pixsha"),
    })
    .collect()
}

fn spec_of(header: &Header, pixels: &PixelElement) -> Option<FrameSpec> {
    let int = |tag| header.dataset.int(tag).and_then(|value| u16::try_from(value).ok());
    let float = pixels.tag == tags::FLOAT_PIXEL_DATA || pixels.tag == tags::DOUBLE_FLOAT_PIXEL_DATA;
    let allocated = int(tags::BITS_ALLOCATED)?;
    let stored = int(tags::BITS_STORED).unwrap_or(allocated);
    Some(FrameSpec {
        rows: int(tags::ROWS)?.into(),
        columns: int(tags::COLUMNS)?.into(),
        samples_per_pixel: int(tags::SAMPLES_PER_PIXEL).unwrap_or(1),
        bits_allocated: allocated,
        bits_stored: stored,
        high_bit: int(tags::HIGH_BIT).unwrap_or(stored - 1),
        representation: match int(tags::PIXEL_REPRESENTATION) {
            _ if float => Representation::Float,
            Some(1) => Representation::Signed,
            _ => Representation::Unsigned,
        },
        planar: int(tags::PLANAR_CONFIGURATION) == Some(1),
        photometric: header.dataset.text(tags::PHOTOMETRIC_INTERPRETATION)?.parse().ok()?,
    })
}

fn read(source: &dyn ReadAt, offset: u64, length: u64) -> Vec<u8> {
    let length = length.min(source.size().saturating_sub(offset));
    let mut bytes = vec![0; usize::try_from(length).unwrap()];
    source.read_exact_at(&mut bytes, offset).unwrap();
    bytes
}

/// Fragments of an encapsulated element (PS3.5 § A.4); the first is the offset table.
fn fragments(source: &dyn ReadAt, mut offset: u64) -> Vec<Vec<u8>> {
    let mut fragments = Vec::new();
    while offset + 8 <= source.size() {
        let head = read(source, offset, 8);
        if head[..4] != [0xFE, 0xFF, 0x00, 0xE0] {
            break;
        }
        let length = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
        fragments.push(read(source, offset + 8, length));
        offset += 8 + length;
    }
    fragments
}

/// The first frame's bytes: all fragments of a single frame, those up to the second offset of several.
fn first_frame(header: &Header, pixels: &PixelElement, source: &dyn ReadAt, spec: &FrameSpec, ts: &str) -> Vec<u8> {
    let Some(length) = pixels.length else {
        let fragments = fragments(source, pixels.offset);
        let Some((table, data)) = fragments.split_first() else { return Vec::new() };
        let frames = header.dataset.int(tags::NUMBER_OF_FRAMES).unwrap_or(1);
        if frames == 1 {
            return data.concat();
        }
        let Some(end) = table.get(4..8) else { return up_to_end_of_image(data) };
        let end = u32::from_le_bytes([end[0], end[1], end[2], end[3]]) as usize;
        let mut frame = Vec::new();
        let mut at = 0;
        for fragment in data.iter().take_while(|fragment| {
            let before = at < end;
            at += fragment.len() + 8;
            before
        }) {
            frame.extend_from_slice(fragment);
        }
        return frame;
    };
    let place = native_frame(spec, pixels.vr == VR::OW, 0).unwrap();
    place.align(ts, read(source, pixels.offset + place.offset, place.length.min(length)))
}

/// Without an offset table a frame's last fragment shows by its end-of-image marker.
fn up_to_end_of_image(data: &[Vec<u8>]) -> Vec<u8> {
    let ends = |fragment: &Vec<u8>| fragment.ends_with(&[0xFF, 0xD9]) || fragment.ends_with(&[0xFF, 0xD9, 0]);
    let starts = data.iter().filter(|fragment| fragment.starts_with(&[0xFF, 0xD8])).count();
    let last = if starts == data.len() { 0 } else { data.iter().position(ends).unwrap_or(0) };
    data.get(..=last).unwrap_or_default().concat()
}

/// The transfer syntax, attributes and bytes of the first frame, which are none for attributes that cannot be;
/// `None` without pixels.
fn read_first(path: &Path) -> Option<(String, FrameSpec, Vec<u8>)> {
    let file = fs::read(path).unwrap();
    let (meta, header) = read_file(&file, &Limits::default()).ok()?;
    let pixels = header.pixels.as_ref()?;
    let spec = spec_of(&header, pixels)?;
    let data = match spec.check(&dokuei_codecs::Limits::default()) {
        Ok(()) => first_frame(&header, pixels, header.source(&file), &spec, &meta.transfer_syntax),
        Err(_) => Vec::new(),
    };
    Some((meta.transfer_syntax, spec, data))
}

/// The first frame's bytes and what becomes of them; `None` without pixels.
fn decode_first(path: &Path) -> Option<(Vec<u8>, Result<DecodedFrame, CodecError>)> {
    let (transfer_syntax, spec, data) = read_first(path)?;
    let outcome = decode(&transfer_syntax, &spec, &data);
    Some((data, outcome))
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Whether the digest is that of these samples. Some toolkits keep the byte order of the file, or choose
/// a container of one byte by the codestream's depth.
fn matches(samples: &Samples, expected: &str) -> bool {
    let little = samples.to_le_bytes();
    let width = little.len() / samples.len().max(1);
    let big: Vec<u8> = little.chunks_exact(width.max(1)).flat_map(|value| value.iter().rev().copied()).collect();
    digest(&little) == expected
        || digest(&big) == expected
        || narrowed(samples).is_some_and(|bytes| digest(&bytes) == expected)
}

fn narrowed(samples: &Samples) -> Option<Vec<u8>> {
    match samples {
        Samples::U16(values) => values.iter().map(|value| u8::try_from(*value).ok()).collect(),
        _ => None,
    }
}

/// Whether the codestream may be lossy: then the last bit is left to the decoder's arithmetic, and
/// subsampled colour to its filter. A lossless transfer syntax is no proof against a DCT.
fn may_differ(transfer_syntax: &str, data: &[u8]) -> bool {
    let process = data.windows(2).find(|pair| pair[0] == 0xFF && matches!(pair[1], 0xC0..=0xC3));
    let is_dct = process.is_some_and(|marker| marker[1] != 0xC3);
    match transfer_syntax {
        uids::JPEG2000 | uids::HTJ2K => true,
        uids::JPEG_BASELINE8_BIT | uids::JPEG_EXTENDED12_BIT | uids::JPEG_LOSSLESS | uids::JPEG_LOSSLESS_SV1 => is_dct,
        _ => false,
    }
}

#[test]
fn first_frames_equal_what_another_toolkit_decoded() {
    let Some(folder) = real_dicom() else { return };
    let (mut equal, mut lossy, mut wrong) = (0, Vec::new(), Vec::new());
    for row in manifest(&folder).iter().filter(|row| row.verdict == "ok") {
        let line = |what: &str| format!("{} {} {what}", row.file, row.transfer_syntax);
        match decode_first(&folder.join(&row.file)) {
            Some((data, Ok(frame))) => match matches(&frame.samples, &row.digest) {
                true => equal += 1,
                false if may_differ(&row.transfer_syntax, &data) => {
                    lossy.push(line("differs, lossy"));
                }
                false => wrong.push(line("differs")),
            },
            Some((_, Err(error))) => wrong.push(line(&error.to_string())),
            None => wrong.push(line("was not read")),
        }
    }
    println!("{equal} equal, {} lossy:\n{}", lossy.len(), lossy.join("\n"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(equal >= 199, "{equal} files are too few");
}

#[test]
fn every_file_has_an_answer() {
    let Some(folder) = real_dicom() else { return };
    for row in manifest(&folder).iter().filter(|row| row.verdict != "ok") {
        let answer = match decode_first(&folder.join(&row.file)) {
            None => "has no pixels".to_owned(),
            Some((_, Ok(frame))) => format!("decodes: {} x {} {}", frame.rows, frame.columns, frame.photometric),
            Some((_, Err(error))) => {
                assert!(!matches!(error, CodecError::Panicked { .. }), "{}: {error}", row.file);
                format!("{:?}", error.decline_reason())
            }
        };
        if !answer.starts_with("has") {
            println!("{} {} {}: {answer}", row.file, row.transfer_syntax, supports(&row.transfer_syntax));
        }
    }
}

#[test]
fn damaged_frames_of_real_files_get_an_answer() {
    let Some(folder) = real_dicom() else { return };
    let mut inputs: BTreeMap<&str, Vec<Vec<u8>>> = BTreeMap::new();
    for row in manifest(&folder).iter().filter(|row| row.verdict == "ok") {
        let Some((transfer_syntax, spec, data)) = read_first(&folder.join(&row.file)) else { continue };
        // Small ones are damaged as well as large ones, and sooner.
        let small = data.len() < 24_000 && spec.rows * spec.columns <= 256 * 256;
        if let Some((target, input)) = property::input(&transfer_syntax, &spec, &data).filter(|_| small) {
            inputs.entry(target).or_default().push(input);
        }
    }
    assert!(inputs.len() > 4, "{:?}", inputs.keys());
    for (target, inputs) in inputs {
        mutated(target, &inputs, 4, |input| property::frame(target, input));
    }
}
