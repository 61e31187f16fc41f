//! Codestreams of other encoders against what other decoders make of them; see tests/data/README.md.

use std::fs;
use std::path::{Path, PathBuf};

use dokuei_codecs::{FrameSpec, Photometric, Representation, decode};

const ROWS: u32 = 19;
const COLUMNS: u32 = 27;

/// One codestream with its attributes and the samples it stands for.
pub(crate) struct Vector {
    name: String,
    pub(crate) transfer_syntax: String,
    pub(crate) spec: FrameSpec,
    pub(crate) data: Vec<u8>,
    becomes: Photometric,
    expected: Vec<i64>,
    tolerance: i64,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

pub(crate) fn all() -> Vec<Vector> {
    let list = fs::read_to_string(folder().join("vectors.txt")).unwrap();
    list.lines().filter(|line| !line.starts_with('#')).map(read).collect()
}

fn read(line: &str) -> Vector {
    let fields: Vec<&str> = line.split(' ').collect();
    let [name, transfer_syntax, samples, allocated, stored, signed, interpretation, becomes, tolerance] = fields[..]
    else {
        panic!("{line}")
    };
    let stored = stored.parse().unwrap();
    let spec = FrameSpec {
        rows: ROWS,
        columns: COLUMNS,
        samples_per_pixel: samples.parse().unwrap(),
        bits_allocated: allocated.parse().unwrap(),
        bits_stored: stored,
        high_bit: stored - 1,
        representation: if signed == "1" { Representation::Signed } else { Representation::Unsigned },
        planar: false,
        photometric: interpretation.parse().unwrap(),
    };
    let raw = fs::read(folder().join(format!("{name}.raw"))).unwrap();
    Vector {
        name: name.to_owned(),
        transfer_syntax: transfer_syntax.to_owned(),
        data: fs::read(folder().join(format!("{name}.bin"))).unwrap(),
        becomes: becomes.parse().unwrap(),
        expected: values(&raw, &spec),
        tolerance: tolerance.parse().unwrap(),
        spec,
    }
}

/// Little endian cells as numbers.
fn values(raw: &[u8], spec: &FrameSpec) -> Vec<i64> {
    let width = usize::from(spec.bits_allocated / 8);
    let number = |cell: &[u8]| {
        let sign = cell[width - 1] & 0x80 != 0 && spec.representation == Representation::Signed;
        let mut bytes = [if sign { 0xFF } else { 0 }; 8];
        bytes[..width].copy_from_slice(cell);
        i64::from_le_bytes(bytes)
    };
    raw.chunks_exact(width).map(number).collect()
}

#[test]
fn every_vector_decodes_to_what_others_decode() {
    let mut wrong = Vec::new();
    for vector in all() {
        let frame = match decode(&vector.transfer_syntax, &vector.spec, &vector.data) {
            Ok(frame) => frame,
            Err(error) => {
                wrong.push(format!("{}: {error}", vector.name));
                continue;
            }
        };
        let decoded = values(&frame.samples.to_le_bytes(), &vector.spec);
        let differences = decoded.iter().zip(&vector.expected).map(|(a, b)| (a - b).abs());
        let worst = differences.max().unwrap();
        if worst > vector.tolerance || decoded.len() != vector.expected.len() {
            wrong.push(format!("{}: differs by {worst}", vector.name));
        }
        if frame.photometric != vector.becomes {
            wrong.push(format!("{}: called {}", vector.name, frame.photometric));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn padding_behind_a_codestream_and_a_missing_end_marker_do_no_harm() {
    for vector in all() {
        let expected = decode(&vector.transfer_syntax, &vector.spec, &vector.data).unwrap();
        let mut padded = vector.data.clone();
        padded.extend([0; 3]);
        assert_eq!(decode(&vector.transfer_syntax, &vector.spec, &padded).as_ref(), Ok(&expected), "{}", vector.name);
        if vector.data.ends_with(&[0xFF, 0xD9]) {
            let cut = &vector.data[..vector.data.len() - 2];
            assert_eq!(decode(&vector.transfer_syntax, &vector.spec, cut).as_ref(), Ok(&expected), "{}", vector.name);
        }
    }
}

#[test]
fn attributes_that_contradict_the_codestream_are_refused() {
    for vector in all().iter().filter(|vector| !vector.name.starts_with("rle")) {
        for change in [
            |spec: &mut FrameSpec| spec.rows += 1,
            |spec: &mut FrameSpec| spec.columns -= 1,
            |spec: &mut FrameSpec| (spec.rows, spec.columns) = (9_000, 9_000),
            |spec: &mut FrameSpec| {
                let grey = spec.samples_per_pixel == 1;
                spec.samples_per_pixel = if grey { 3 } else { 1 };
                spec.photometric = if grey { Photometric::Rgb } else { Photometric::Monochrome2 };
            },
        ] {
            let mut spec = vector.spec.clone();
            change(&mut spec);
            let error = decode(&vector.transfer_syntax, &spec, &vector.data).unwrap_err();
            assert!(matches!(error, dokuei_codecs::CodecError::Mismatch { .. }), "{}: {error}", vector.name);
        }
    }
}

#[test]
fn deep_codestreams_do_not_fit_shallow_cells() {
    for vector in all().iter().filter(|vector| vector.spec.bits_allocated > 8 && !vector.name.starts_with("rle")) {
        let spec = FrameSpec { bits_allocated: 8, bits_stored: 8, high_bit: 7, ..vector.spec.clone() };
        assert!(decode(&vector.transfer_syntax, &spec, &vector.data).is_err(), "{}", vector.name);
    }
}

fn one(name: &str) -> Vector {
    all().into_iter().find(|vector| vector.name == name).unwrap()
}

#[test]
fn colour_is_called_what_the_codestream_says_it_is() {
    let called = |name: &str, claimed: Photometric| {
        let vector = one(name);
        let spec = FrameSpec { photometric: claimed, ..vector.spec };
        decode(&vector.transfer_syntax, &spec, &vector.data).unwrap().photometric
    };
    // Subsampled, or with a JFIF marker, is not RGB; the Adobe marker tells RGB from the rest.
    assert_eq!(called("jpeg_8_420", Photometric::Rgb), Photometric::YbrFull);
    assert_eq!(called("jpeg_8_444", Photometric::Rgb), Photometric::YbrFull);
    assert_eq!(called("jpeg_8_rgb", Photometric::YbrFull), Photometric::Rgb);
    assert_eq!(called("jpeg_8_scans", Photometric::YbrPartial422), Photometric::YbrPartial422);
    // A codestream without component transform has none to undo.
    assert_eq!(called("j2k_rgb_plain", Photometric::YbrRct), Photometric::Rgb);
    assert_eq!(called("j2k_rgb_plain", Photometric::YbrFull), Photometric::YbrFull);
    assert_eq!(called("jls_rgb_mode_2_near_0", Photometric::YbrFull), Photometric::YbrFull);
    assert_eq!(called("jxl_lossy_rgb", Photometric::YbrFull), Photometric::Rgb);
}

#[test]
fn pixel_representation_decides_over_the_sign_in_a_codestream() {
    for (name, representation, bits) in [
        ("j2k_16_signed", Representation::Unsigned, 16),
        ("j2k_12_signed", Representation::Unsigned, 12),
        ("j2k_12", Representation::Signed, 12),
        ("htj2k_16", Representation::Signed, 16),
        ("jpeg_lossless_12", Representation::Signed, 12),
        ("jls_12", Representation::Signed, 12),
    ] {
        let vector = one(name);
        let spec = FrameSpec { representation, ..vector.spec.clone() };
        let frame = decode(&vector.transfer_syntax, &spec, &vector.data).unwrap();
        let range = 1_i64 << bits;
        let turned = |value: i64| match representation {
            Representation::Signed => (value + range / 2).rem_euclid(range) - range / 2,
            _ => value.rem_euclid(range),
        };
        let expected: Vec<i64> = vector.expected.iter().map(|value| turned(*value)).collect();
        assert_eq!(values(&frame.samples.to_le_bytes(), &spec), expected, "{name}");
    }
}

#[test]
fn shallow_codestreams_fit_deep_cells() {
    let vector = one("jpeg_8_grey");
    let spec = FrameSpec { bits_allocated: 16, bits_stored: 12, high_bit: 11, ..vector.spec };
    let frame = decode(&vector.transfer_syntax, &spec, &vector.data).unwrap();
    assert_eq!(values(&frame.samples.to_le_bytes(), &spec), vector.expected);
}
