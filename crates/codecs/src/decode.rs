use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use crate::syntax::{Codec, codec_of, name_of};
use crate::{
    CodecError, DecodedFrame, FrameSpec, Limits, Photometric, Representation, Samples, deflated, jpeg, jpeg_2000,
    jpeg_ls, jpeg_xl, native, rle,
};

/// Stack for decoders that recurse; theirs is bounded by the format, not by the caller's thread.
const STACK_BYTES: usize = 16 << 20;

/// Decodes one frame with the default [`Limits`].
///
/// `data` is the frame's native bytes (see [`NativeFrame`](crate::NativeFrame) where the frame does not
/// begin with a byte or word), or its joined fragments; padding behind it is ignored. Native bytes of a
/// deflated data set come inflated. Big endian cells are turned here, according to `transfer_syntax`.
///
/// # Errors
/// [`CodecError`] says whose fault it is; [`CodecError::decline_reason`] puts it into a record.
pub fn decode(transfer_syntax: &str, spec: &FrameSpec, data: &[u8]) -> Result<DecodedFrame, CodecError> {
    decode_within(transfer_syntax, spec, data, &Limits::default())
}

/// As [`decode`], with the caller's limits.
///
/// # Errors
/// As [`decode`].
pub fn decode_within(
    transfer_syntax: &str,
    spec: &FrameSpec,
    data: &[u8],
    limits: &Limits,
) -> Result<DecodedFrame, CodecError> {
    let codec = codec_of(transfer_syntax)
        .ok_or_else(|| CodecError::Unsupported { syntax: name_of(transfer_syntax), feature: "any image".to_owned() })?;
    spec.check(limits)?;
    let outcome = catch_unwind(AssertUnwindSafe(|| run(codec, spec, data)));
    let (samples, photometric) = outcome.unwrap_or(Err(CodecError::Panicked { codec: codec.name() }))?;
    debug_assert_eq!(samples.len(), spec.samples());
    let FrameSpec { rows, columns, samples_per_pixel, .. } = *spec;
    Ok(DecodedFrame { rows, columns, samples_per_pixel, photometric, samples })
}

fn run(codec: Codec, spec: &FrameSpec, data: &[u8]) -> Result<(Samples, Photometric), CodecError> {
    match codec {
        Codec::NativeLittle => return native::decode(spec, data, false),
        Codec::NativeBig => return native::decode(spec, data, true),
        Codec::DeflatedFrame => return deflated::decode(spec, data),
        Codec::Rle => return rle::decode(spec, data),
        _ => {}
    }
    if spec.representation == Representation::Float {
        return Err(CodecError::unsupported(codec.name(), "float samples"));
    }
    match codec {
        Codec::JpegLs => jpeg_ls::decode(spec, data),
        Codec::Jpeg2000 => jpeg_2000::decode(spec, data),
        Codec::JpegXl => jpeg_xl::decode(spec, data),
        _ => jpeg::decode(spec, data),
    }
}

impl Codec {
    fn name(self) -> &'static str {
        match self {
            Self::NativeLittle | Self::NativeBig => "native",
            Self::DeflatedFrame => "deflate",
            Self::Rle => "RLE",
            Self::Jpeg => jpeg::CODEC,
            Self::JpegLs => jpeg_ls::CODEC,
            Self::Jpeg2000 => "JPEG 2000",
            Self::JpegXl => "JPEG XL",
        }
    }
}

/// Runs somebody else's decoder on a thread with a stack of known size; a panic stays there.
pub(crate) fn isolated<T: Send>(codec: &'static str, work: impl FnOnce() -> T + Send) -> Result<T, CodecError> {
    thread::scope(|scope| {
        let builder = thread::Builder::new().name(format!("decode {codec}")).stack_size(STACK_BYTES);
        let handle =
            builder.spawn_scoped(scope, work).map_err(|_| CodecError::Exhausted { codec, resource: "thread" })?;
        handle.join().map_err(|_| CodecError::Panicked { codec })
    })
}

#[cfg(test)]
mod tests {
    use dicom_dictionary_std::uids;

    use super::*;
    use crate::spec::tests::grey;

    #[test]
    fn a_decoder_that_panics_is_contained() {
        let error = isolated("test", || -> u8 { panic!("on purpose") }).unwrap_err();
        assert_eq!(error, CodecError::Panicked { codec: "test" });
    }

    #[test]
    fn video_is_refused_by_name() {
        let error = decode(uids::MPEG2MPML, &grey(4, 4, 8, 8), &[]).unwrap_err();
        assert!(error.to_string().contains("MPEG-2 video"), "{error}");
        assert!(matches!(error.decline_reason(), dokuei_types::DeclineReason::Codec(_)));
    }

    #[test]
    fn limits_hold_before_any_decoder() {
        let error = decode_within(uids::JPEG2000, &grey(9, 9, 8, 8), &[], &Limits { samples: 80 }).unwrap_err();
        assert_eq!(error, CodecError::TooLarge { samples: 81, limit: 80 });
    }
}
