//! JPEG-LS (ISO/IEC 14495-1, ITU-T T.87), lossless and near-lossless: 2 to 16 bits, one to four
//! components, all three interleave modes.
//!
//! Written here because the available crates lack sample interleave, which is what whole-slide scanners
//! send. Mapping tables, subsampling and restart intervals are not supported; nobody in medicine writes
//! them.

mod bit_reader;
mod header;
mod parameters;
mod scan;

use self::header::Header;
use crate::samples::{Cell, pack};
use crate::{CodecError, FrameSpec, Photometric, Samples, native};

pub(crate) const CODEC: &str = "JPEG-LS";

fn damaged(detail: impl Into<String>) -> CodecError {
    CodecError::damaged(CODEC, detail)
}

/// Decodes one codestream. Bytes before its start and behind its end are ignored.
pub(crate) fn decode(spec: &FrameSpec, data: &[u8]) -> Result<(Samples, Photometric), CodecError> {
    let mut header = Header::new(data)?;
    let mut samples = Vec::new();
    let (mut precision, mut lossy) = (0, false);
    let mut done = 0;
    while done < usize::from(spec.samples_per_pixel) {
        let scan = header.next_scan(spec)?;
        if samples.is_empty() {
            precision = scan.precision;
            samples = vec![0_u16; spec.samples()];
        }
        lossy |= scan.parameters.is_lossy();
        let position = scan::decode(spec, &scan, data, &mut samples)?;
        header.seek(position);
        done += scan.components.len();
    }
    let photometric = native::full_resolution(spec.photometric);
    let cell = Cell::of_codec_signed_at(spec, precision).coded_with_loss(lossy);
    Ok((pack(spec, cell, &samples), photometric))
}
