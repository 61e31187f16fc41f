use dicom_dictionary_std::uids;

/// The codec family behind a transfer syntax (PS3.5 Annex A).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    NativeLittle,
    NativeBig,
    DeflatedFrame,
    Rle,
    Jpeg,
    JpegLs,
    Jpeg2000,
    JpegXl,
}

/// Whether frames of this transfer syntax can be decoded. An answer of `true` is about the syntax: a
/// single codestream may still use a feature we lack, such as arithmetic coding.
#[must_use]
pub fn supports(transfer_syntax: &str) -> bool {
    codec_of(transfer_syntax).is_some()
}

#[expect(deprecated, reason = "retired transfer syntaxes are still found in archives")]
pub(crate) fn codec_of(transfer_syntax: &str) -> Option<Codec> {
    Some(match transfer_syntax.trim_end_matches([' ', '\0']) {
        uids::IMPLICIT_VR_LITTLE_ENDIAN
        | uids::EXPLICIT_VR_LITTLE_ENDIAN
        | uids::ENCAPSULATED_UNCOMPRESSED_EXPLICIT_VR_LITTLE_ENDIAN
        | uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN => Codec::NativeLittle,
        uids::EXPLICIT_VR_BIG_ENDIAN => Codec::NativeBig,
        uids::DEFLATED_IMAGE_FRAME_COMPRESSION => Codec::DeflatedFrame,
        uids::RLE_LOSSLESS => Codec::Rle,
        uids::JPEG_BASELINE8_BIT
        | uids::JPEG_EXTENDED12_BIT
        | uids::JPEG_SPECTRAL_SELECTION_NON_HIERARCHICAL68
        | uids::JPEG_FULL_PROGRESSION_NON_HIERARCHICAL1012
        | uids::JPEG_LOSSLESS
        | uids::JPEG_LOSSLESS_SV1 => Codec::Jpeg,
        uids::JPEGLS_LOSSLESS | uids::JPEGLS_NEAR_LOSSLESS => Codec::JpegLs,
        uids::JPEG2000_LOSSLESS
        | uids::JPEG2000
        | uids::JPEG2000MC_LOSSLESS
        | uids::JPEG2000MC
        | uids::HTJ2K_LOSSLESS
        | uids::HTJ2K_LOSSLESS_RPCL
        | uids::HTJ2K => Codec::Jpeg2000,
        uids::JPEGXL_LOSSLESS | uids::JPEGXLJPEG_RECOMPRESSION | uids::JPEGXL => Codec::JpegXl,
        _ => return None,
    })
}

/// Names a transfer syntax that is not supported, for the message a person reads.
#[expect(deprecated, reason = "retired transfer syntaxes are still found in archives")]
pub(crate) fn name_of(transfer_syntax: &str) -> String {
    let uid = transfer_syntax.trim_end_matches([' ', '\0']);
    let family = match uid {
        _ if uid.starts_with(uids::MPEG2MPML) || uid.starts_with(uids::MPEG2MPHL) => "MPEG-2 video",
        _ if [uids::MPEG4HP41, uids::MPEG4HP41BD, uids::MPEG4HP422D, uids::MPEG4HP423D, uids::MPEG4HP42STEREO]
            .iter()
            .any(|video| uid.starts_with(video)) =>
        {
            "MPEG-4 video"
        }
        uids::HEVCMP51 | uids::HEVCM10P51 => "HEVC video",
        uids::JPIP_REFERENCED
        | uids::JPIP_REFERENCED_DEFLATE
        | uids::JPIPHTJ2K_REFERENCED
        | uids::JPIPHTJ2K_REFERENCED_DEFLATE => "JPIP reference",
        uids::SMPTEST211020_UNCOMPRESSED_PROGRESSIVE_ACTIVE_VIDEO
        | uids::SMPTEST211020_UNCOMPRESSED_INTERLACED_ACTIVE_VIDEO
        | uids::SMPTEST211030PCM_DIGITAL_AUDIO => "SMPTE ST 2110 stream",
        uids::JPEG_EXTENDED35
        | uids::JPEG_SPECTRAL_SELECTION_NON_HIERARCHICAL79
        | uids::JPEG_FULL_PROGRESSION_NON_HIERARCHICAL1113
        | uids::JPEG_LOSSLESS_NON_HIERARCHICAL15 => "JPEG with arithmetic coding (retired)",
        uids::JPEG_EXTENDED_HIERARCHICAL1618
        | uids::JPEG_EXTENDED_HIERARCHICAL1719
        | uids::JPEG_SPECTRAL_SELECTION_HIERARCHICAL2022
        | uids::JPEG_SPECTRAL_SELECTION_HIERARCHICAL2123
        | uids::JPEG_FULL_PROGRESSION_HIERARCHICAL2426
        | uids::JPEG_FULL_PROGRESSION_HIERARCHICAL2527
        | uids::JPEG_LOSSLESS_HIERARCHICAL28
        | uids::JPEG_LOSSLESS_HIERARCHICAL29 => "hierarchical JPEG (retired)",
        _ => "unknown transfer syntax",
    };
    format!("{family} {uid}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_supported_and_video_is_named() {
        assert!(supports(uids::IMPLICIT_VR_LITTLE_ENDIAN));
        assert!(supports("1.2.840.10008.1.2.4.70\0"));
        assert!(!supports(uids::MPEG4HP41F));
        assert_eq!(name_of(uids::MPEG4HP41F), "MPEG-4 video 1.2.840.10008.1.2.4.102.1");
        assert!(name_of(uids::JPIP_REFERENCED).starts_with("JPIP"));
    }
}
