//! RLE compression (PS3.5 Annex G): a header of 16 little endian words (segment count, then offsets),
//! then one PackBits segment per byte plane, high bytes first, samples one after the other.

use crate::samples::from_le_bytes;
use crate::{CodecError, FrameSpec, Photometric, Samples, native};

const CODEC: &str = "RLE";
const HEADER_BYTES: usize = 64;

/// Decodes every byte plane straight to its place among the pixels.
pub(crate) fn decode(spec: &FrameSpec, data: &[u8]) -> Result<(Samples, Photometric), CodecError> {
    if spec.bits_allocated == 12 {
        return Err(CodecError::unsupported(CODEC, "12 bits allocated"));
    }
    let segments = segments(data)?;
    if spec.bits_allocated == 1 {
        // The packed bits are the one byte plane (PS3.5 § 8.2.2).
        expect_segments(segments.len(), 1)?;
        let mut packed = vec![0; spec.samples().div_ceil(8)];
        unpack(segments[0], &mut packed, 0, 1)?;
        return native::decode(spec, &packed, false);
    }
    let width = spec.container_bytes();
    let samples = usize::from(spec.samples_per_pixel);
    expect_segments(segments.len(), samples * width)?;
    let mut bytes = vec![0; spec.samples() * width];
    for (index, segment) in segments.iter().enumerate() {
        let place = index / width * width + (width - 1 - index % width);
        unpack(segment, &mut bytes, place, samples * width)?;
    }
    Ok((from_le_bytes(spec, bytes), native::full_resolution(spec.photometric)))
}

fn expect_segments(found: usize, expected: usize) -> Result<(), CodecError> {
    if found == expected {
        return Ok(());
    }
    let (found, expected) = (found as u64, expected as u64);
    Err(CodecError::Mismatch { codec: CODEC, property: "segments", found, expected })
}

/// Cuts the data into its segments; each ends where the next one begins.
fn segments(data: &[u8]) -> Result<Vec<&[u8]>, CodecError> {
    let header = data.get(..HEADER_BYTES).ok_or(CodecError::TooShort {
        codec: CODEC,
        found_bytes: data.len() as u64,
        expected_bytes: HEADER_BYTES as u64,
    })?;
    let words: Vec<usize> = header.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b) as usize).collect();
    let count = words[0];
    if count == 0 || count >= words.len() {
        return Err(CodecError::damaged(CODEC, format!("the header counts {count} segments")));
    }
    let mut ends = words[2..=count].to_vec();
    ends.push(data.len());
    let ranges = words[1..=count].iter().zip(ends);
    let cut = |(start, end): (&usize, usize)| {
        let segment = (*start >= HEADER_BYTES).then(|| data.get(*start..end)).flatten();
        segment.ok_or_else(|| CodecError::damaged(CODEC, format!("a segment from byte {start} to {end}")))
    };
    ranges.map(cut).collect()
}

/// Undoes PackBits (PS3.5 § G.3.2), writing every `step`th byte from `first` on until the plane is full.
/// What follows in the segment is padding.
fn unpack(segment: &[u8], plane: &mut [u8], first: usize, step: usize) -> Result<(), CodecError> {
    let wanted = plane.len() / step;
    let mut slots = plane.iter_mut().skip(first).step_by(step);
    let mut written = 0;
    let mut rest = segment;
    while written < wanted {
        let short = || CodecError::damaged(CODEC, format!("a segment ends after {written} of {wanted} bytes"));
        let (control, tail) = rest.split_first().ok_or_else(short)?;
        let control = usize::from(*control);
        match control {
            0..=127 => {
                let (literal, tail) = tail.split_at(tail.len().min(control + 1));
                if literal.is_empty() {
                    return Err(short());
                }
                literal.iter().zip(slots.by_ref()).for_each(|(byte, slot)| *slot = *byte);
                // A literal cut short by the end of the segment leaves nothing to go on with.
                written += literal.len();
                rest = tail;
            }
            128 => rest = tail,
            _ => {
                let (byte, tail) = tail.split_first().ok_or_else(short)?;
                slots.by_ref().take(257 - control).for_each(|slot| *slot = *byte);
                written += 257 - control;
                rest = tail;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::tests::grey;

    fn frame(segments: &[&[u8]]) -> Vec<u8> {
        let mut header = vec![segments.len()];
        let mut at = HEADER_BYTES;
        for segment in segments {
            header.push(at);
            at += segment.len();
        }
        header.resize(16, 0);
        let mut data: Vec<u8> = header.iter().flat_map(|word| u32::try_from(*word).unwrap().to_le_bytes()).collect();
        segments.iter().for_each(|segment| data.extend_from_slice(segment));
        data
    }

    #[test]
    fn literal_runs_replicate_runs_and_padding() {
        let data = frame(&[&[2, 10, 20, 30, 128, 254, 7, 0]]);
        assert_eq!(decode(&grey(2, 3, 8, 8), &data).unwrap().0, Samples::U8(vec![10, 20, 30, 7, 7, 7]));
    }

    #[test]
    fn high_bytes_come_first() {
        let data = frame(&[&[1, 0x12, 0x34], &[1, 0x56, 0x78]]);
        assert_eq!(decode(&grey(1, 2, 16, 16), &data).unwrap().0, Samples::U16(vec![0x1256, 0x3478]));
        let data = frame(&[&[0, 1], &[0, 2], &[0, 3], &[0, 4]]);
        assert_eq!(decode(&grey(1, 1, 32, 32), &data).unwrap().0, Samples::U32(vec![0x0102_0304]));
    }

    #[test]
    fn colours_are_interleaved_whatever_planar_says() {
        let spec =
            FrameSpec { samples_per_pixel: 3, planar: true, photometric: Photometric::YbrFull, ..grey(1, 2, 8, 8) };
        let data = frame(&[&[1, 1, 2], &[1, 3, 4], &[1, 5, 6]]);
        let (samples, photometric) = decode(&spec, &data).unwrap();
        assert_eq!(samples, Samples::U8(vec![1, 3, 5, 2, 4, 6]));
        assert_eq!(photometric, Photometric::YbrFull);
    }

    #[test]
    fn packed_bits_are_one_plane() {
        let data = frame(&[&[255, 0b0101_0101, 0]]);
        assert_eq!(decode(&grey(2, 5, 1, 1), &data).unwrap().0, Samples::U8(vec![1, 0, 1, 0, 1, 0, 1, 0, 1, 0]));
    }

    #[test]
    fn damage_is_told() {
        let spec = grey(2, 3, 8, 8);
        assert!(matches!(decode(&spec, &[0; 9]), Err(CodecError::TooShort { .. })));
        assert!(matches!(decode(&spec, &frame(&[&[2, 1, 2, 3]])), Err(CodecError::Damaged { .. })));
        assert!(matches!(decode(&spec, &frame(&[&[5, 1, 2, 3]])), Err(CodecError::Damaged { .. })));
        assert!(matches!(decode(&spec, &frame(&[&[0, 1], &[0, 2]])), Err(CodecError::Mismatch { .. })));
        let mut data = frame(&[&[2, 1, 2, 3]]);
        data[4..8].copy_from_slice(&[0xFF; 4]);
        assert!(matches!(decode(&spec, &data), Err(CodecError::Damaged { .. })));
        data[0..4].copy_from_slice(&[0xFF; 4]);
        assert!(matches!(decode(&spec, &data), Err(CodecError::Damaged { .. })));
    }
}
