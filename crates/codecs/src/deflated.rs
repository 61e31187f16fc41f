//! Deflated Image Frame Compression (PS3.5 Annex A, RFC 1951): a native frame behind a deflate stream.

use std::io::Read;

use flate2::bufread::DeflateDecoder;

use crate::{CodecError, FrameSpec, Photometric, Samples, native};

const CODEC: &str = "deflate";

/// Inflates no more than the frame needs, so a bomb costs nothing.
pub(crate) fn decode(spec: &FrameSpec, data: &[u8]) -> Result<(Samples, Photometric), CodecError> {
    let needed = native::native_frame(spec, false, 0)?.length;
    // One that announces shared chrominance may store all of it.
    let limit = needed.max(spec.samples() as u64 * u64::from(spec.bits_allocated).div_ceil(8));
    let mut bytes = Vec::new();
    DeflateDecoder::new(data)
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| CodecError::damaged(CODEC, error.to_string()))?;
    native::decode(spec, &bytes, false)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::spec::tests::grey;

    fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn inflates_one_frame_and_not_more() {
        let (samples, _) = decode(&grey(2, 2, 16, 16), &deflate(&[1, 0, 2, 0, 3, 0, 4, 0])).unwrap();
        assert_eq!(samples, Samples::U16(vec![1, 2, 3, 4]));
        let bomb = deflate(&vec![0; 1 << 24]);
        assert_eq!(decode(&grey(2, 2, 8, 8), &bomb).unwrap().0.len(), 4);
        let (samples, _) = decode(&grey(2, 5, 1, 1), &deflate(&[0xFF, 0x01])).unwrap();
        assert_eq!(samples, Samples::U8(vec![1, 1, 1, 1, 1, 1, 1, 1, 1, 0]));
    }

    #[test]
    fn damage_is_told() {
        assert!(matches!(decode(&grey(2, 2, 8, 8), &[0xFF; 9]), Err(CodecError::Damaged { .. })));
        assert!(matches!(decode(&grey(9, 9, 8, 8), &deflate(&[1])), Err(CodecError::TooShort { .. })));
    }
}
