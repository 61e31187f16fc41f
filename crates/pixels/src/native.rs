//! Frames of native pixel data (PS3.5 § 8.1.1 and § 8.2): where each one lies and what its bytes mean.
//! They follow each other without padding; the codec of native data knows about frames that begin inside
//! a byte or inside a big endian word.

use dicom_dictionary_std::uids;
use dokuei_codecs::{FrameSpec, Photometric, native_frame};
use dokuei_dataset::{Encoding, Header, PixelElement, ReadAt, VR};

use crate::attributes::PixelAttributes;
use crate::error::PixelError;

#[expect(deprecated, reason = "retired, and still sent")]
pub(crate) const BIG_ENDIAN: &str = uids::EXPLICIT_VR_BIG_ENDIAN;

#[derive(Debug)]
pub(crate) struct NativeFrames {
    /// First byte of the value.
    offset: u64,
    /// Bytes of the value that are there.
    length: u64,
    /// The element's VR is OW.
    words: bool,
    /// How the bytes of a cell are ordered, as a transfer syntax.
    pub(crate) transfer_syntax: &'static str,
    /// The interpretation the bytes really have.
    pub(crate) spec: FrameSpec,
}

impl NativeFrames {
    /// Checks that every frame is there. Bytes behind the last one are padding.
    pub(crate) fn locate(
        header: &Header,
        element: &PixelElement,
        length: u64,
        attributes: &PixelAttributes,
        source: &dyn ReadAt,
    ) -> Result<Self, PixelError> {
        let length = length.min(source.size().saturating_sub(element.offset));
        if length == 0 {
            return Err(PixelError::NoPixels);
        }
        let transfer_syntax = match header.encoding() {
            Encoding::ExplicitBig => BIG_ENDIAN,
            Encoding::ImplicitLittle | Encoding::ExplicitLittle => uids::EXPLICIT_VR_LITTLE_ENDIAN,
        };
        let mut frames = Self {
            offset: element.offset,
            length,
            words: element.vr == VR::OW,
            transfer_syntax,
            spec: attributes.frame_spec(),
        };
        // Some writers say 422 of chrominance that is not halved; the size of the data tells.
        if attributes.photometric == Photometric::YbrFull422 {
            frames.spec.photometric = Photometric::YbrFull;
            if frames.needed_bytes(attributes.frames)? > length {
                frames.spec.photometric = Photometric::YbrFull422;
            }
        }
        let expected_bytes = frames.needed_bytes(attributes.frames)?;
        if length < expected_bytes {
            return Err(PixelError::Length { expected_bytes, actual_bytes: length });
        }
        Ok(frames)
    }

    /// Bytes up to the end of the last of `frames` frames, without padding.
    fn needed_bytes(&self, frames: u32) -> Result<u64, PixelError> {
        let index = frames.saturating_sub(1);
        let last = native_frame(&self.spec, false, index).map_err(|source| PixelError::Codec { index, source })?;
        Ok(last.offset.saturating_add(last.length))
    }

    /// The bytes of one frame, as [`dokuei_codecs::decode`] wants them.
    pub(crate) fn read(&self, source: &dyn ReadAt, index: u32) -> Result<Vec<u8>, PixelError> {
        let frame =
            native_frame(&self.spec, self.words, index).map_err(|source| PixelError::Codec { index, source })?;
        let available = self.length.saturating_sub(frame.offset);
        let mut bytes = vec![0; usize::try_from(frame.length.min(available)).unwrap_or(usize::MAX)];
        let offset = self.offset.saturating_add(frame.offset);
        source.read_exact_at(&mut bytes, offset).map_err(|source| PixelError::Read { offset, source })?;
        Ok(frame.align(self.transfer_syntax, bytes))
    }
}
