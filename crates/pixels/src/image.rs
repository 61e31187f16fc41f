use dicom_dictionary_std::{tags, uids};
use dokuei_codecs::{DecodedFrame, Photometric};
use dokuei_dataset::{Dataset, Header, ReadAt};

use crate::attributes::PixelAttributes;
use crate::error::PixelError;
use crate::fragments::FragmentIndex;
use crate::grey::{self, GreyFrame};
use crate::levels::exposed_region;
use crate::limits::Limits;
use crate::modality::ModalityTransform;
use crate::native::{BIG_ENDIAN, NativeFrames};
use crate::palette::Palette;
use crate::voi::VoiTransform;
use crate::{colour, geometry, padding, voi};

/// The percentiles that become black and white where an image says nothing.
const DEFAULT_PERCENTILES: [f64; 2] = [0.5, 99.5];

/// The pixels of a data set, frame by frame. Nothing is decoded until a frame is asked for, and never more
/// than that frame is held in memory.
pub struct Image<'a> {
    dataset: &'a Dataset,
    source: &'a dyn ReadAt,
    transfer_syntax: &'a str,
    attributes: PixelAttributes,
    frames: Frames,
}

#[derive(Debug)]
enum Frames {
    Native(NativeFrames),
    Encapsulated(FragmentIndex),
}

/// A decoded frame, ready for the transforms of its kind.
pub(crate) enum Content {
    Grey(GreyFrame),
    Colour(DecodedFrame),
    Palette(DecodedFrame, Palette),
}

impl<'a> Image<'a> {
    /// Checks everything that can be checked before a decoder runs: the attributes, alone and against each
    /// other, the limits, the transfer syntax, and that the bytes of every frame can be found.
    ///
    /// # Errors
    /// [`PixelError::NoPixels`] without pixel data; [`PixelError::Missing`], [`PixelError::Attribute`] and
    /// [`PixelError::Unsupported`] for attributes; [`PixelError::Length`], [`PixelError::Encapsulation`] and
    /// [`PixelError::Fragments`] when frames are not there; [`PixelError::Limit`]; [`PixelError::Read`].
    pub fn open(header: &'a Header, file: &'a dyn ReadAt, limits: &Limits) -> Result<Self, PixelError> {
        let element = header.pixels.as_ref().ok_or(PixelError::NoPixels)?;
        let dataset = &header.dataset;
        let transfer_syntax = header.transfer_syntax.as_str();
        let source = header.source(file);
        let attributes = PixelAttributes::read(dataset, element, limits)?;
        let frames = match element.length {
            Some(length) if is_native(transfer_syntax) => {
                Frames::Native(NativeFrames::locate(header, element, length, &attributes, source)?)
            }
            None if !is_native(transfer_syntax) => {
                if !dokuei_codecs::supports(transfer_syntax) {
                    let value = transfer_syntax.to_owned();
                    return Err(PixelError::Unsupported { keyword: "TransferSyntaxUID", value });
                }
                let index = FragmentIndex::build(source, element.offset, attributes.frames, dataset, limits)?;
                Frames::Encapsulated(index)
            }
            _ if !dokuei_codecs::supports(transfer_syntax) => {
                let value = transfer_syntax.to_owned();
                return Err(PixelError::Unsupported { keyword: "TransferSyntaxUID", value });
            }
            _ => {
                let fault = "native data in a compressed transfer syntax or the reverse";
                return Err(PixelError::Encapsulation { fault, offset: element.offset });
            }
        };
        Ok(Self { dataset, source, transfer_syntax, attributes, frames })
    }

    /// Number of Frames, at least 1.
    #[must_use]
    pub fn frames(&self) -> u32 {
        self.attributes.frames
    }

    /// Rows of every frame.
    #[must_use]
    pub fn rows(&self) -> u32 {
        self.attributes.rows
    }

    /// Columns of every frame.
    #[must_use]
    pub fn columns(&self) -> u32 {
        self.attributes.columns
    }

    /// The attributes that describe the pixels.
    #[must_use]
    pub fn attributes(&self) -> &PixelAttributes {
        &self.attributes
    }

    /// The data set the pixels belong to.
    #[must_use]
    pub fn dataset(&self) -> &'a Dataset {
        self.dataset
    }

    /// The stored values of one frame (index from 0), before any transform.
    ///
    /// # Errors
    /// [`PixelError::FrameIndex`], [`PixelError::Read`], [`PixelError::Codec`], and
    /// [`PixelError::Decoded`] when what comes out is not what the attributes announce.
    pub fn frame(&self, index: u32) -> Result<DecodedFrame, PixelError> {
        if index >= self.attributes.frames {
            return Err(PixelError::FrameIndex { index, frames: self.attributes.frames });
        }
        let decoded = match &self.frames {
            Frames::Native(native) => {
                let bytes = native.read(self.source, index)?;
                dokuei_codecs::decode(native.transfer_syntax, &native.spec, &bytes)
            }
            Frames::Encapsulated(fragments) => {
                let bytes = fragments.read(self.source, index)?;
                dokuei_codecs::decode(self.transfer_syntax, &self.attributes.frame_spec(), &bytes)
            }
        };
        let decoded = decoded.map_err(|source| PixelError::Codec { index, source })?;
        self.expect(index, &decoded)?;
        Ok(decoded)
    }

    fn expect(&self, index: u32, decoded: &DecodedFrame) -> Result<(), PixelError> {
        let attributes = &self.attributes;
        let samples = attributes.pixels().saturating_mul(usize::from(attributes.samples_per_pixel));
        let actual = (decoded.rows, decoded.columns, decoded.samples_per_pixel, decoded.samples.len());
        let expected = (attributes.rows, attributes.columns, attributes.samples_per_pixel, samples);
        if actual == expected {
            return Ok(());
        }
        let words = |(rows, columns, samples, _)| format!("{rows} rows, {columns} columns, {samples} samples");
        Err(PixelError::Decoded { index, actual: words(actual), expected: words(expected) })
    }

    /// What the image offers for a frame (index from 0), best first: VOI LUTs, then windows in their order.
    ///
    /// # Errors
    /// Those of a malformed modality transform.
    pub fn voi_transforms(&self, frame: u32) -> Result<Vec<VoiTransform>, PixelError> {
        if !self.attributes.is_grey() {
            return Ok(Vec::new());
        }
        let modality = ModalityTransform::read(self.dataset, frame, &self.attributes)?;
        let (low, _) = modality.range(&self.attributes);
        Ok(voi::offered(self.dataset, frame, low < 0.0))
    }

    pub(crate) fn pixel_aspect(&self, frame: u32) -> f64 {
        geometry::pixel_aspect(self.dataset, frame)
    }

    pub(crate) fn content(&self, index: u32) -> Result<Content, PixelError> {
        let attributes = &self.attributes;
        if attributes.photometric == Photometric::PaletteColor {
            let palette = Palette::read(self.dataset, attributes.is_signed())?;
            return Ok(Content::Palette(self.frame(index)?, palette));
        }
        if !attributes.is_grey() {
            return self.frame(index).map(Content::Colour);
        }
        let modality = ModalityTransform::read(self.dataset, index, attributes)?;
        let shape = self.dataset.text(tags::PRESENTATION_LUT_SHAPE);
        Ok(Content::Grey(GreyFrame {
            rows: attributes.rows as usize,
            columns: attributes.columns as usize,
            samples: self.frame(index)?.samples,
            modality,
            padding: padding::read(self.dataset, attributes),
            // Both say the same of one image (PS3.3 C.8.11.3.1.2), so they do not cancel out.
            inverted: attributes.photometric == Photometric::Monochrome1 || shape.as_deref() == Some("INVERSE"),
        }))
    }

    /// The VOI transform a grey frame is shown with: the first it offers, or the default.
    pub(crate) fn voi_of(&self, frame: u32, content: &Content, percentiles: Option<[f64; 2]>) -> VoiTransform {
        let Content::Grey(grey) = content else {
            let (low, high) = self.attributes.stored_range();
            return VoiTransform::Range { low, high };
        };
        let (low, high) = grey.modality.range(&self.attributes);
        if let Some(first) = voi::offered(self.dataset, frame, low < 0.0).into_iter().next() {
            return first;
        }
        if self.attributes.bits_stored <= 8 {
            return VoiTransform::Range { low, high };
        }
        let region = exposed_region(self.dataset, grey.rows, grey.columns);
        let [from, to] = percentiles.unwrap_or(DEFAULT_PERCENTILES);
        let found = grey.levels(region.as_ref()).without_borders().percentiles(from, to);
        let (low, high) = found.unwrap_or((low, high));
        VoiTransform::Range { low, high }
    }
}

impl std::fmt::Debug for Image<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Image")
            .field("transfer_syntax", &self.transfer_syntax)
            .field("attributes", &self.attributes)
            .finish_non_exhaustive()
    }
}

impl Content {
    /// Applies a function of the colour, 0 to 1 each, to every pixel; grey has none.
    pub(crate) fn colours<T: Copy + Default>(
        &self,
        attributes: &PixelAttributes,
        of: impl Fn([f32; 3]) -> T,
    ) -> Vec<T> {
        match self {
            Self::Grey(_) => Vec::new(),
            Self::Colour(frame) => colour::map(frame, attributes.bits_stored, of),
            Self::Palette(frame, palette) => grey::map(&frame.samples, |stored| of(palette.colour(stored))),
        }
    }
}

/// Native pixel data has a length, every other syntax encapsulates it (PS3.5 Annex A).
fn is_native(transfer_syntax: &str) -> bool {
    matches!(
        transfer_syntax,
        uids::IMPLICIT_VR_LITTLE_ENDIAN
            | uids::EXPLICIT_VR_LITTLE_ENDIAN
            | BIG_ENDIAN
            | uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
    )
}
