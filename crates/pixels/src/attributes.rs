use std::fmt::Display;

use dicom_dictionary_std::tags;
use dokuei_codecs::{FrameSpec, Photometric, Representation};
use dokuei_dataset::{Dataset, PixelElement, Tag, VR};

use crate::{Limits, PixelError};

/// The attributes that describe pixel data (PS3.3 C.7.6.3), checked against each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PixelAttributes {
    /// Rows, 1 to 65,535.
    pub rows: u32,
    /// Columns, 1 to 65,535.
    pub columns: u32,
    /// Number of Frames, at least 1.
    pub frames: u32,
    /// Samples per Pixel, 1 or 3.
    pub samples_per_pixel: u16,
    /// Bits Allocated: 1, 8, 12 (retired), 16, 32, or 64 for doubles.
    pub bits_allocated: u16,
    /// Bits Stored, 1 to Bits Allocated.
    pub bits_stored: u16,
    /// High Bit, at least Bits Stored - 1, below Bits Allocated.
    pub high_bit: u16,
    /// Pixel Representation, or float where a float pixel data element holds the pixels.
    pub representation: Representation,
    /// Planar Configuration 1: one colour plane after the other.
    pub planar: bool,
    /// Photometric Interpretation as the data set says it.
    pub photometric: Photometric,
}

impl PixelAttributes {
    pub(crate) fn read(dataset: &Dataset, element: &PixelElement, limits: &Limits) -> Result<Self, PixelError> {
        let samples_per_pixel = required(dataset, tags::SAMPLES_PER_PIXEL, "SamplesPerPixel")?;
        let mut attributes = Self {
            rows: u32::from(required(dataset, tags::ROWS, "Rows")?),
            columns: u32::from(required(dataset, tags::COLUMNS, "Columns")?),
            frames: number_of_frames(dataset)?,
            samples_per_pixel,
            bits_allocated: required(dataset, tags::BITS_ALLOCATED, "BitsAllocated")?,
            bits_stored: 0,
            high_bit: 0,
            representation: Representation::Float,
            planar: samples_per_pixel > 1 && planar(dataset)?,
            photometric: photometric(dataset)?,
        };
        match element.tag {
            tags::FLOAT_PIXEL_DATA => attributes.read_float(32)?,
            tags::DOUBLE_FLOAT_PIXEL_DATA => attributes.read_float(64)?,
            _ => attributes.read_integer(dataset)?,
        }
        attributes.check(limits)?;
        Ok(attributes)
    }

    fn read_integer(&mut self, dataset: &Dataset) -> Result<(), PixelError> {
        let allocated = self.bits_allocated;
        if !matches!(allocated, 1 | 8 | 12 | 16 | 32) {
            return Err(PixelError::Unsupported { keyword: "BitsAllocated", value: allocated.to_string() });
        }
        let stored = required(dataset, tags::BITS_STORED, "BitsStored")?;
        if stored == 0 || stored > allocated {
            return Err(refused("BitsStored", stored, "must be from 1 to Bits Allocated"));
        }
        let lowest = stored.saturating_sub(1);
        let high = optional(dataset, tags::HIGH_BIT, "HighBit")?.unwrap_or(lowest);
        if high < lowest || high >= allocated {
            return Err(refused("HighBit", high, "must be from Bits Stored - 1 to below Bits Allocated"));
        }
        self.bits_stored = stored;
        self.high_bit = high;
        self.representation = match required(dataset, tags::PIXEL_REPRESENTATION, "PixelRepresentation")? {
            // A single bit has no sign to extend.
            1 if allocated > 1 => Representation::Signed,
            0 | 1 => Representation::Unsigned,
            other => return Err(refused("PixelRepresentation", other, "must be 0 or 1")),
        };
        Ok(())
    }

    /// Float images have no Bits Stored, High Bit or Pixel Representation (PS3.3 C.7.6.24 and C.7.6.25).
    fn read_float(&mut self, bits: u16) -> Result<(), PixelError> {
        if self.bits_allocated != bits {
            return Err(refused("BitsAllocated", self.bits_allocated, "is not the size of the float pixel data"));
        }
        self.bits_stored = bits;
        self.high_bit = bits.saturating_sub(1);
        Ok(())
    }

    fn check(&self, limits: &Limits) -> Result<(), PixelError> {
        for (keyword, value) in [("Rows", self.rows), ("Columns", self.columns)] {
            if value == 0 {
                return Err(refused(keyword, value, "must be at least 1"));
            }
        }
        if matches!(self.photometric, Photometric::Hsv | Photometric::Argb | Photometric::Cmyk) {
            let value = self.photometric.to_string();
            return Err(PixelError::Unsupported { keyword: "PhotometricInterpretation", value });
        }
        if self.samples_per_pixel != self.photometric.samples_per_pixel() {
            let rule = "does not go with the photometric interpretation";
            return Err(refused("SamplesPerPixel", self.samples_per_pixel, rule));
        }
        if self.is_float() && !self.is_grey() {
            let rule = "float pixel data is MONOCHROME1 or MONOCHROME2";
            return Err(refused("PhotometricInterpretation", self.photometric, rule));
        }
        at_most("pixels of a frame", limits.pixels_per_frame, self.pixels_u64())?;
        at_most("frames", u64::from(limits.frames), u64::from(self.frames))?;
        at_most("bytes of a decoded frame", limits.frame_bytes, self.decoded_bytes())
    }

    fn decoded_bytes(&self) -> u64 {
        let samples = self.pixels_u64().saturating_mul(u64::from(self.samples_per_pixel));
        samples.saturating_mul(u64::from(self.bits_allocated.div_ceil(8)))
    }

    /// Rows x Columns.
    #[must_use]
    pub fn pixels(&self) -> usize {
        usize::try_from(self.pixels_u64()).unwrap_or(usize::MAX)
    }

    fn pixels_u64(&self) -> u64 {
        u64::from(self.rows).saturating_mul(u64::from(self.columns))
    }

    /// One grey sample per pixel: not a palette, not colour.
    #[must_use]
    pub fn is_grey(&self) -> bool {
        self.photometric.is_monochrome()
    }

    pub(crate) fn is_float(&self) -> bool {
        self.representation == Representation::Float
    }

    pub(crate) fn is_signed(&self) -> bool {
        self.representation == Representation::Signed
    }

    /// The smallest and the largest stored value the attributes allow; 0 to 1 for floats, of which nothing is said.
    pub(crate) fn stored_range(&self) -> (f64, f64) {
        let levels = f64::from(self.bits_stored).exp2();
        match self.representation {
            Representation::Unsigned => (0.0, levels - 1.0),
            Representation::Signed => (-levels / 2.0, levels / 2.0 - 1.0),
            Representation::Float => (0.0, 1.0),
        }
    }

    pub(crate) fn frame_spec(&self) -> FrameSpec {
        FrameSpec {
            rows: self.rows,
            columns: self.columns,
            samples_per_pixel: self.samples_per_pixel,
            bits_allocated: self.bits_allocated,
            bits_stored: self.bits_stored,
            high_bit: self.high_bit,
            representation: self.representation,
            planar: self.planar,
            photometric: self.photometric,
        }
    }
}

fn photometric(dataset: &Dataset) -> Result<Photometric, PixelError> {
    let keyword = "PhotometricInterpretation";
    let text = dataset.text(tags::PHOTOMETRIC_INTERPRETATION).ok_or(PixelError::Missing { keyword })?;
    text.parse().map_err(|_| PixelError::Unsupported { keyword, value: text })
}

fn planar(dataset: &Dataset) -> Result<bool, PixelError> {
    match optional(dataset, tags::PLANAR_CONFIGURATION, "PlanarConfiguration")? {
        None | Some(0) => Ok(false),
        Some(1) => Ok(true),
        Some(other) => Err(refused("PlanarConfiguration", other, "must be 0 or 1")),
    }
}

fn number_of_frames(dataset: &Dataset) -> Result<u32, PixelError> {
    let keyword = "NumberOfFrames";
    if is_blank(dataset, tags::NUMBER_OF_FRAMES) {
        return Ok(1);
    }
    let value = dataset.int(tags::NUMBER_OF_FRAMES).ok_or(PixelError::Missing { keyword })?;
    match u32::try_from(value) {
        Ok(frames) if frames > 0 => Ok(frames),
        _ => Err(refused(keyword, value, "must be at least 1")),
    }
}

fn required(dataset: &Dataset, tag: Tag, keyword: &'static str) -> Result<u16, PixelError> {
    optional(dataset, tag, keyword)?.ok_or(PixelError::Missing { keyword })
}

fn optional(dataset: &Dataset, tag: Tag, keyword: &'static str) -> Result<Option<u16>, PixelError> {
    if is_blank(dataset, tag) {
        return Ok(None);
    }
    let value = dataset.int(tag).ok_or(PixelError::Missing { keyword })?;
    u16::try_from(value).map(Some).map_err(|_| refused(keyword, value, "must be from 0 to 65535"))
}

/// A finite number; `None` when the element is absent or empty.
pub(crate) fn number(dataset: &Dataset, tag: Tag, keyword: &'static str) -> Result<Option<f64>, PixelError> {
    if is_blank(dataset, tag) {
        return Ok(None);
    }
    match dataset.float(tag) {
        Some(value) if value.is_finite() => Ok(Some(value)),
        _ => Err(PixelError::Missing { keyword }),
    }
}

/// Absent, empty, or a number text of nothing but padding.
fn is_blank(dataset: &Dataset, tag: Tag) -> bool {
    let Some(element) = dataset.get(tag) else { return true };
    let is_text = matches!(element.vr, VR::IS | VR::DS);
    dataset
        .bytes(tag)
        .is_some_and(|bytes| bytes.is_empty() || is_text && bytes.iter().all(|byte| matches!(byte, b' ' | 0)))
}

fn refused(keyword: &'static str, value: impl Display, rule: &'static str) -> PixelError {
    PixelError::Attribute { keyword, value: value.to_string(), rule }
}

pub(crate) fn at_most(what: &'static str, limit: u64, actual: u64) -> Result<(), PixelError> {
    if actual > limit { Err(PixelError::Limit { what, limit, actual }) } else { Ok(()) }
}
