use ndarray::Array2;

use crate::cast;
use crate::colour;
use crate::error::PixelError;
use crate::image::{Content, Image};
use crate::modality;
use crate::voi::VoiTransform;

/// One frame in modality units.
#[derive(Debug, Clone, PartialEq)]
pub struct Intensities {
    /// `[rows, columns]`, the result of the modality transform (PS3.3 C.11.1). For colour, the luminance: in
    /// sample values for true colour, 0 to 255 for a palette.
    pub values: Array2<f32>,
    /// The lowest value is white: MONOCHROME1, or Presentation LUT Shape INVERSE.
    pub inverted: bool,
    /// Where the values are no part of the image (Pixel Padding Value); `None` when the image has none.
    pub padding: Option<Array2<bool>>,
    /// What the image asks to be shown with, or the default where it says nothing
    /// ([`Intensity::Voi`](crate::Intensity::Voi)).
    pub window: VoiTransform,
    /// The unit of `values` (Rescale Type or Modality LUT Type), such as `HU`.
    pub unit: Option<String>,
}

/// One frame as a person sees it, row by row, 8 bits a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Picture {
    /// 0 black to 255 white; `rows` x `columns` bytes.
    Gray {
        /// Rows of the source frame.
        rows: u32,
        /// Columns of the source frame.
        columns: u32,
        /// One byte a pixel.
        data: Vec<u8>,
    },
    /// Red, green, blue; `rows` x `columns` x 3 bytes.
    Rgb {
        /// Rows of the source frame.
        rows: u32,
        /// Columns of the source frame.
        columns: u32,
        /// Three bytes a pixel.
        data: Vec<u8>,
    },
}

impl Image<'_> {
    /// One frame (index from 0) in modality units.
    ///
    /// # Errors
    /// As [`frame`](Self::frame), and for a modality transform or palette that cannot be used:
    /// [`PixelError::RescaleSlopeZero`], [`PixelError::LookupTable`], [`PixelError::Missing`].
    pub fn intensities(&self, index: u32) -> Result<Intensities, PixelError> {
        let content = self.content(index)?;
        let window = self.voi_of(index, &content, None);
        let (_, maximum) = self.attributes().stored_range();
        let maximum = cast::single(maximum);
        let (values, padding, inverted, window) = match &content {
            Content::Grey(grey) => {
                let values = crate::grey::map(&grey.samples, |stored| cast::single(grey.modality.apply(stored)));
                let padding = grey.padding.is_some();
                let padding = padding.then(|| crate::grey::map(&grey.samples, |stored| grey.is_padding(stored)));
                (values, padding, grey.inverted, window)
            }
            Content::Colour(_) => {
                let values = content.colours(self.attributes(), |rgb| colour::luminance(rgb) * maximum);
                (values, None, false, window)
            }
            Content::Palette(..) => {
                let values = content.colours(self.attributes(), |rgb| colour::luminance(rgb) * 255.0);
                (values, None, false, VoiTransform::Range { low: 0.0, high: 255.0 })
            }
        };
        Ok(Intensities {
            values: self.array(index, values)?,
            inverted,
            padding: padding.map(|mask| self.array(index, mask)).transpose()?,
            window,
            unit: modality::unit(self.dataset(), index),
        })
    }

    /// One frame (index from 0) at its own matrix, as the image asks to be shown: modality, VOI and palette
    /// transforms applied, high is white whatever the photometric interpretation, padding black. Where the
    /// image says nothing, the same default as for a model ([`Intensity::Voi`](crate::Intensity::Voi)), so
    /// that a person sees what a model saw.
    ///
    /// # Errors
    /// As [`intensities`](Self::intensities).
    pub fn picture(&self, index: u32) -> Result<Picture, PixelError> {
        let content = self.content(index)?;
        let voi = self.voi_of(index, &content, None);
        Ok(self.shown(&content, &voi))
    }

    /// As [`picture`](Self::picture), by a VOI transform of the caller's choice; colour has none and stays.
    ///
    /// # Errors
    /// As [`intensities`](Self::intensities).
    pub fn picture_with(&self, index: u32, voi: &VoiTransform) -> Result<Picture, PixelError> {
        Ok(self.shown(&self.content(index)?, voi))
    }

    fn shown(&self, content: &Content, voi: &VoiTransform) -> Picture {
        let (rows, columns) = (self.rows(), self.columns());
        if let Content::Grey(grey) = content {
            return Picture::Gray { rows, columns, data: grey.shown(voi, cast::byte) };
        }
        let pixels = content.colours(self.attributes(), |rgb| rgb.map(|sample| cast::byte(f64::from(sample))));
        Picture::Rgb { rows, columns, data: pixels.into_flattened() }
    }

    fn array<T>(&self, index: u32, values: Vec<T>) -> Result<Array2<T>, PixelError> {
        let shape = (self.rows() as usize, self.columns() as usize);
        let actual = format!("{} values", values.len());
        Array2::from_shape_vec(shape, values).map_err(|_| PixelError::Decoded {
            index,
            actual,
            expected: format!("{} values", self.attributes().pixels()),
        })
    }
}
