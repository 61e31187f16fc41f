//! Native pixel data (PS3.5 § 8.1 and § 8.2): cells one after the other, no codec.

use crate::bits::{skip_bits, unpack_ones, unpack_twelves};
use crate::samples::{Cell, from_le_bytes, pack};
use crate::syntax::{Codec, codec_of};
use crate::{CodecError, FrameSpec, Limits, Photometric, Samples};

const CODEC: &str = "native";

/// Where one frame lies in the value of a native pixel data element.
///
/// Frames follow each other without padding, so one may begin inside a byte (Bits Allocated 1) or
/// inside a 16-bit word of a big endian OW element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NativeFrame {
    /// First byte to read, counted from the start of the value.
    pub offset: u64,
    /// Bytes to read. The last frame of a big endian value may have one byte less.
    pub length: u64,
    words: bool,
    skip_bytes: usize,
    skip_bits: u8,
}

/// Finds frame `index` (from 0) in native pixel data. `words` says that the element's VR is OW.
///
/// # Errors
/// [`CodecError::Attribute`] and [`CodecError::TooLarge`], as [`decode`](crate::decode()).
pub fn native_frame(spec: &FrameSpec, words: bool, index: u32) -> Result<NativeFrame, CodecError> {
    spec.check(&Limits { samples: u64::MAX })?;
    let words = words && spec.bits_allocated <= 8;
    let bits = cell_bits(spec);
    let start = bits * u64::from(index);
    let first = start / 8;
    let end = (start + bits).div_ceil(8);
    let (offset, end) = if words { (first & !1, end.next_multiple_of(2)) } else { (first, end) };
    Ok(NativeFrame {
        offset,
        length: end - offset,
        words,
        skip_bytes: usize::from(first > offset),
        skip_bits: (start % 8).to_le_bytes()[0],
    })
}

impl NativeFrame {
    /// Turns the bytes read at [`offset`](Self::offset) into what [`decode`](crate::decode()) takes: the
    /// frame begins with the first bit of the first byte, and 8-bit samples stand in their own order.
    #[must_use]
    pub fn align(&self, transfer_syntax: &str, mut bytes: Vec<u8>) -> Vec<u8> {
        if self.words && codec_of(transfer_syntax) == Some(Codec::NativeBig) {
            // Bytes fill a word from its low end (PS3.5 Annex D), whatever order the word is sent in.
            bytes.as_chunks_mut::<2>().0.iter_mut().for_each(|word| word.swap(0, 1));
        }
        bytes.drain(..self.skip_bytes.min(bytes.len()));
        skip_bits(&mut bytes, self.skip_bits);
        bytes
    }
}

/// Bits of one frame.
fn cell_bits(spec: &FrameSpec) -> u64 {
    if is_subsampled(spec) {
        // Two luminances and one pair of chrominances for two pixels.
        return u64::from(spec.rows) * u64::from(spec.columns).next_multiple_of(2) * 2 * u64::from(spec.bits_allocated);
    }
    spec.samples() as u64 * u64::from(spec.bits_allocated)
}

fn is_subsampled(spec: &FrameSpec) -> bool {
    matches!(spec.photometric, Photometric::YbrFull422 | Photometric::YbrPartial422)
        && matches!(spec.bits_allocated, 8 | 16)
}

/// Decodes native bytes. Bytes behind the frame are padding and ignored.
pub(crate) fn decode(spec: &FrameSpec, data: &[u8], big_endian: bool) -> Result<(Samples, Photometric), CodecError> {
    let count = spec.samples();
    if is_subsampled(spec) && !is_full_anyway(spec, data) {
        let bytes = take(spec, data, cell_bits(spec))?;
        let cells = swapped(spec, bytes, big_endian);
        return Ok((from_le_bytes(spec, expand_422(spec, &cells)), full_resolution(spec.photometric)));
    }
    let bytes = take(spec, data, count as u64 * u64::from(spec.bits_allocated))?;
    let samples = match spec.bits_allocated {
        1 => Samples::U8(interleaved(spec, unpack_ones(bytes, count))),
        12 => {
            let cells = unpack_twelves(bytes, count);
            let bytes = cells.iter().flat_map(|cell| cell.to_le_bytes()).collect();
            let words = interleaved(spec, bytes);
            let words: Vec<u16> = words.as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b)).collect();
            pack(spec, Cell::of_cell(spec), &words)
        }
        _ => from_le_bytes(spec, interleaved(spec, swapped(spec, bytes, big_endian))),
    };
    Ok((samples, full_resolution(spec.photometric)))
}

/// What an interpretation is called once every pixel has all its samples.
pub(crate) fn full_resolution(photometric: Photometric) -> Photometric {
    match photometric {
        Photometric::YbrFull422 => Photometric::YbrFull,
        other => other,
    }
}

/// Some writers say YBR_FULL_422 and store every chrominance; the length gives them away.
fn is_full_anyway(spec: &FrameSpec, data: &[u8]) -> bool {
    data.len() >= spec.samples() * usize::from(spec.bits_allocated / 8)
}

fn take<'a>(spec: &FrameSpec, data: &'a [u8], bits: u64) -> Result<&'a [u8], CodecError> {
    let expected_bytes = bits.div_ceil(8);
    usize::try_from(expected_bytes).ok().and_then(|length| data.get(..length)).ok_or(CodecError::TooShort {
        codec: if spec.bits_allocated == 1 { "native one-bit" } else { CODEC },
        found_bytes: data.len() as u64,
        expected_bytes,
    })
}

fn swapped(spec: &FrameSpec, bytes: &[u8], big_endian: bool) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if big_endian {
        bytes.chunks_exact_mut(spec.container_bytes()).for_each(<[u8]>::reverse);
    }
    bytes
}

/// Undoes Planar Configuration 1 (PS3.3 C.7.6.3.1.3): `bytes` holds whole cells of the container's width.
pub(crate) fn interleaved(spec: &FrameSpec, bytes: Vec<u8>) -> Vec<u8> {
    let width = spec.container_bytes();
    let planes = usize::from(spec.samples_per_pixel);
    if !spec.planar || planes == 1 || bytes.len() != spec.samples() * width {
        return bytes;
    }
    let mut pixels = vec![0; bytes.len()];
    for (plane, cells) in bytes.chunks_exact(spec.pixels() * width).enumerate() {
        let slots = pixels.chunks_exact_mut(planes * width);
        for (pixel, cell) in slots.zip(cells.chunks_exact(width)) {
            pixel[plane * width..][..width].copy_from_slice(cell);
        }
    }
    pixels
}

/// Gives both pixels of a pair their common chrominance: Y1 Y2 Cb Cr become Y1 Cb Cr Y2 Cb Cr
/// (PS3.3 C.7.6.3.1.2). An odd last column has its pair's second luminance as padding.
fn expand_422(spec: &FrameSpec, cells: &[u8]) -> Vec<u8> {
    let width = spec.container_bytes();
    let columns = spec.columns as usize;
    let row_bytes = columns.next_multiple_of(2) * 2 * width;
    let mut full = Vec::with_capacity(spec.samples() * width);
    for row in cells.chunks_exact(row_bytes) {
        let end = full.len() + columns * 3 * width;
        for pair in row.chunks_exact(4 * width) {
            let (luminances, chrominances) = pair.split_at(2 * width);
            for luminance in luminances.chunks_exact(width) {
                full.extend_from_slice(luminance);
                full.extend_from_slice(chrominances);
            }
        }
        full.truncate(end);
    }
    full
}

#[cfg(test)]
mod tests {
    use dicom_dictionary_std::uids;

    use super::*;
    use crate::spec::tests::grey;

    fn colour(rows: u32, columns: u32, photometric: Photometric, planar: bool) -> FrameSpec {
        FrameSpec { samples_per_pixel: 3, photometric, planar, ..grey(rows, columns, 8, 8) }
    }

    #[test]
    fn planes_become_pixels() {
        let spec = colour(1, 2, Photometric::Rgb, true);
        let (samples, _) = decode(&spec, &[1, 2, 3, 4, 5, 6, 0], false).unwrap();
        assert_eq!(samples, Samples::U8(vec![1, 3, 5, 2, 4, 6]));
    }

    #[test]
    fn shared_chrominance_is_given_to_both() {
        let spec = colour(2, 3, Photometric::YbrFull422, false);
        let data = [1, 2, 30, 40, 3, 0, 31, 41, 5, 6, 32, 42, 7, 0, 33, 43];
        let (samples, photometric) = decode(&spec, &data, false).unwrap();
        assert_eq!(photometric, Photometric::YbrFull);
        let expected = [1, 30, 40, 2, 30, 40, 3, 31, 41, 5, 32, 42, 6, 32, 42, 7, 33, 43];
        assert_eq!(samples, Samples::U8(expected.to_vec()));
    }

    #[test]
    fn big_endian_cells_are_turned() {
        let (samples, _) = decode(&grey(1, 2, 16, 16), &[1, 2, 3, 4], true).unwrap();
        assert_eq!(samples, Samples::U16(vec![0x0102, 0x0304]));
        let (samples, _) = decode(&grey(1, 1, 32, 32), &[1, 2, 3, 4], true).unwrap();
        assert_eq!(samples, Samples::U32(vec![0x0102_0304]));
        let spec = FrameSpec { representation: crate::Representation::Float, ..grey(1, 1, 64, 64) };
        let (samples, _) = decode(&spec, &1.5_f64.to_be_bytes(), true).unwrap();
        assert_eq!(samples, Samples::F64(vec![1.5]));
    }

    #[test]
    fn a_frame_too_short_is_refused() {
        let error = decode(&grey(2, 2, 16, 12), &[0; 7], false).unwrap_err();
        assert_eq!(error, CodecError::TooShort { codec: "native", found_bytes: 7, expected_bytes: 8 });
    }

    #[test]
    fn frames_that_begin_inside_a_byte_are_found() {
        let spec = grey(3, 3, 1, 1);
        let frame = native_frame(&spec, false, 1).unwrap();
        assert_eq!((frame.offset, frame.length), (1, 2));
        let bytes = frame.align(uids::EXPLICIT_VR_LITTLE_ENDIAN, vec![0b1111_1110, 0b0000_0001]);
        let (samples, _) = decode(&spec, &bytes, false).unwrap();
        assert_eq!(samples, Samples::U8(vec![1, 1, 1, 1, 1, 1, 1, 1, 0]));
    }

    #[test]
    #[expect(deprecated, reason = "big endian is retired and still found")]
    fn frames_that_begin_inside_a_big_endian_word_are_found() {
        let spec = grey(1, 3, 8, 8);
        let frame = native_frame(&spec, true, 1).unwrap();
        assert_eq!((frame.offset, frame.length), (2, 4));
        // Two frames 1 2 3 and 4 5 6 as words 0201 0403 0605, sent high byte first.
        let bytes = frame.align(uids::EXPLICIT_VR_BIG_ENDIAN, vec![4, 3, 6, 5]);
        assert_eq!(bytes, [4, 5, 6]);
        assert_eq!(native_frame(&grey(1, 3, 16, 16), true, 1).unwrap().offset, 6);
    }

    #[test]
    fn twelve_bit_cells_are_unpacked() {
        let (samples, _) = decode(&grey(1, 2, 12, 12), &[0x23, 0x61, 0x45], false).unwrap();
        assert_eq!(samples, Samples::U16(vec![0x123, 0x456]));
    }
}
