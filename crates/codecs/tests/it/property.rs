//! What must hold for any frame. The tests here run it on damaged vectors, the fuzz targets on whatever the fuzzer
//! finds. An input is [`PREFIX`] bytes that become the attributes, then the frame.

#![expect(deprecated, reason = "retired transfer syntaxes are still found in archives")]

use dicom_dictionary_std::uids;
use dokuei_codecs::{CodecError, FrameSpec, Limits, Photometric, Representation, decode_within};

/// Bytes before the frame: transfer syntax, rows (2), columns (2), Bits Allocated, Bits Stored, photometric
/// interpretation with the sign and the planes in its upper bits.
pub(crate) const PREFIX: usize = 8;

const JPEG: &[&str] = &[
    uids::JPEG_BASELINE8_BIT,
    uids::JPEG_EXTENDED12_BIT,
    uids::JPEG_SPECTRAL_SELECTION_NON_HIERARCHICAL68,
    uids::JPEG_FULL_PROGRESSION_NON_HIERARCHICAL1012,
    uids::JPEG_LOSSLESS,
    uids::JPEG_LOSSLESS_SV1,
];
const JPEG_LS: &[&str] = &[uids::JPEGLS_LOSSLESS, uids::JPEGLS_NEAR_LOSSLESS];
const RLE: &[&str] = &[uids::RLE_LOSSLESS];
const NATIVE: &[&str] = &[
    uids::IMPLICIT_VR_LITTLE_ENDIAN,
    uids::EXPLICIT_VR_BIG_ENDIAN,
    uids::ENCAPSULATED_UNCOMPRESSED_EXPLICIT_VR_LITTLE_ENDIAN,
];
const DEFLATED: &[&str] = &[uids::DEFLATED_IMAGE_FRAME_COMPRESSION];
const JPEG_2000: &[&str] = &[uids::JPEG2000_LOSSLESS, uids::JPEG2000];
const HTJ2K: &[&str] = &[uids::HTJ2K_LOSSLESS, uids::HTJ2K_LOSSLESS_RPCL, uids::HTJ2K];
const JPEG_XL: &[&str] = &[uids::JPEGXL_LOSSLESS, uids::JPEGXLJPEG_RECOMPRESSION, uids::JPEGXL];

/// Each fuzz target with its transfer syntaxes.
pub(crate) const TARGETS: &[(&str, &[&str])] = &[
    ("jpeg", JPEG),
    ("jpeg_ls", JPEG_LS),
    ("rle", RLE),
    ("native", NATIVE),
    ("deflated", DEFLATED),
    ("jpeg_2000", JPEG_2000),
    ("htj2k", HTJ2K),
    ("jpeg_xl", JPEG_XL),
];

const ALLOCATED: [u16; 6] = [8, 16, 32, 1, 12, 64];
const PHOTOMETRIC: [Photometric; 14] = [
    Photometric::Monochrome2,
    Photometric::Rgb,
    Photometric::YbrFull422,
    Photometric::YbrFull,
    Photometric::YbrRct,
    Photometric::YbrIct,
    Photometric::Monochrome1,
    Photometric::PaletteColor,
    Photometric::Xyb,
    Photometric::Argb,
    Photometric::Cmyk,
    Photometric::Hsv,
    Photometric::YbrPartial422,
    Photometric::YbrPartial420,
];
/// Samples of a frame at most: what a decoder may take for it stays far below what a fuzzer is given.
const LIMITS: Limits = Limits { samples: 1 << 20 };

/// Decodes the input by one of a target's transfer syntaxes: there is an answer, it has as many samples as the
/// attributes say, and no decoder of ours panics. Those of others may, behind their guard.
pub(crate) fn frame(target: &str, input: &[u8]) {
    let Some((_, syntaxes)) = TARGETS.iter().find(|(name, _)| *name == target) else { return };
    let Some((prefix, data)) = input.split_first_chunk::<PREFIX>() else { return };
    let (syntax, spec) = attributes(*prefix, syntaxes);
    let ours = !matches!(target, "jpeg_2000" | "htj2k" | "jpeg_xl");
    match decode_within(syntax, &spec, data, &LIMITS) {
        Ok(frame) => {
            let expected = u64::from(spec.rows) * u64::from(spec.columns) * u64::from(spec.samples_per_pixel);
            assert_eq!(frame.samples.len() as u64, expected);
        }
        Err(error) => assert!(!ours || !matches!(error, CodecError::Panicked { .. }), "{error}"),
    }
}

fn attributes<'a>(prefix: [u8; PREFIX], syntaxes: &[&'a str]) -> (&'a str, FrameSpec) {
    let [syntax, r0, r1, c0, c1, allocated, stored, rest] = prefix;
    let photometric = PHOTOMETRIC[usize::from(rest & 0x1F) % PHOTOMETRIC.len()];
    let stored = u16::from(stored);
    let representation = match rest >> 6 {
        0 | 3 => Representation::Unsigned,
        1 => Representation::Signed,
        _ => Representation::Float,
    };
    let spec = FrameSpec {
        rows: u16::from_le_bytes([r0, r1]).into(),
        columns: u16::from_le_bytes([c0, c1]).into(),
        samples_per_pixel: photometric.samples_per_pixel(),
        bits_allocated: ALLOCATED[usize::from(allocated) % ALLOCATED.len()],
        bits_stored: stored,
        high_bit: stored.saturating_sub(1),
        representation,
        planar: rest & 0x20 != 0,
        photometric,
    };
    (syntaxes[usize::from(syntax) % syntaxes.len()], spec)
}

/// The target and the input that stand for a frame; `None` for attributes that no prefix has.
pub(crate) fn input(transfer_syntax: &str, spec: &FrameSpec, data: &[u8]) -> Option<(&'static str, Vec<u8>)> {
    let found = |(name, syntaxes): &(&'static str, &[&str])| {
        syntaxes.iter().position(|syntax| *syntax == transfer_syntax).map(|at| (*name, at))
    };
    let (target, syntax) = TARGETS.iter().find_map(found)?;
    let [r0, r1] = u16::try_from(spec.rows).ok()?.to_le_bytes();
    let [c0, c1] = u16::try_from(spec.columns).ok()?.to_le_bytes();
    let allocated = ALLOCATED.iter().position(|bits| *bits == spec.bits_allocated)?;
    let photometric = PHOTOMETRIC.iter().position(|photometric| *photometric == spec.photometric)?;
    let kind = match spec.representation {
        Representation::Unsigned => 0,
        Representation::Signed => 1,
        Representation::Float => 2,
    };
    let rest = u8::try_from(photometric).ok()? | u8::from(spec.planar) << 5 | kind << 6;
    let [syntax, allocated] = [syntax, allocated].map(|index| u8::try_from(index).unwrap_or(0));
    let prefix = [syntax, r0, r1, c0, c1, allocated, u8::try_from(spec.bits_stored).ok()?, rest];
    let same =
        attributes(prefix, TARGETS.iter().find(|(name, _)| *name == target)?.1) == (transfer_syntax, spec.clone());
    same.then(|| (target, [&prefix[..], data].concat()))
}
