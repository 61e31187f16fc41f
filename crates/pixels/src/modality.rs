use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;

use crate::attributes::{PixelAttributes, number};
use crate::cast;
use crate::error::PixelError;
use crate::functional;
use crate::lut::LookupTable;

/// What turns stored values into modality units (PS3.3 C.11.1).
#[derive(Debug, Clone, PartialEq)]
pub enum ModalityTransform {
    /// Stored values are modality units.
    Identity,
    /// units = slope x stored + intercept.
    Rescale {
        /// Rescale Slope, not 0.
        slope: f64,
        /// Rescale Intercept.
        intercept: f64,
    },
    /// Modality LUT Sequence.
    Table(LookupTable),
}

impl ModalityTransform {
    /// The transform of one frame. Rescale Slope and Intercept of its functional groups (PS3.3 C.7.6.16.2.9)
    /// go before those of the whole image; a Modality LUT Sequence goes before both.
    pub(crate) fn read(dataset: &Dataset, frame: u32, attributes: &PixelAttributes) -> Result<Self, PixelError> {
        if let Some(item) = LookupTable::item_of(dataset, tags::MODALITY_LUT_SEQUENCE) {
            return LookupTable::read(item, attributes.is_signed()).map(Self::Table);
        }
        let group = functional::group(dataset, frame, tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE);
        let source = group.unwrap_or(dataset);
        let slope = number(source, tags::RESCALE_SLOPE, "RescaleSlope")?.unwrap_or(1.0);
        let intercept = number(source, tags::RESCALE_INTERCEPT, "RescaleIntercept")?.unwrap_or(0.0);
        if slope == 0.0 {
            return Err(PixelError::RescaleSlopeZero);
        }
        let is_identity = (slope - 1.0).abs() < f64::EPSILON && intercept.abs() < f64::EPSILON;
        Ok(if is_identity { Self::Identity } else { Self::Rescale { slope, intercept } })
    }

    /// Modality units of a stored value.
    #[must_use]
    pub fn apply(&self, stored: f64) -> f64 {
        match self {
            Self::Identity => stored,
            Self::Rescale { slope, intercept } => slope * stored + intercept,
            Self::Table(table) => f64::from(table.at(cast::nearest(stored))),
        }
    }

    /// The smallest and the largest result the attributes allow.
    pub(crate) fn range(&self, attributes: &PixelAttributes) -> (f64, f64) {
        let (low, high) = attributes.stored_range();
        match self {
            Self::Identity => (low, high),
            Self::Rescale { .. } => {
                let (a, b) = (self.apply(low), self.apply(high));
                (a.min(b), a.max(b))
            }
            Self::Table(table) => (0.0, table.maximum()),
        }
    }
}

/// Rescale Type (0028,1054): the unit of the result, such as `HU`.
pub(crate) fn unit(dataset: &Dataset, frame: u32) -> Option<String> {
    if let Some(item) = LookupTable::item_of(dataset, tags::MODALITY_LUT_SEQUENCE) {
        return item.text(tags::MODALITY_LUT_TYPE);
    }
    let group = functional::group(dataset, frame, tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE);
    group.unwrap_or(dataset).text(tags::RESCALE_TYPE)
}
