use std::ops::RangeInclusive;

use dicom_dictionary_std::tags;
use dokuei_dataset::{Dataset, Tag};

use crate::attributes::PixelAttributes;

/// Stored values that are no part of the image (PS3.3 C.7.5.1.1.2): Pixel Padding Value alone, or all from it
/// to Pixel Padding Range Limit, both included and in either order. Colour images have none.
pub(crate) fn read(dataset: &Dataset, attributes: &PixelAttributes) -> Option<RangeInclusive<f64>> {
    if !attributes.is_grey() {
        return None;
    }
    let (value, limit) = if attributes.is_float() {
        if attributes.bits_allocated == 32 {
            (tags::FLOAT_PIXEL_PADDING_VALUE, tags::FLOAT_PIXEL_PADDING_RANGE_LIMIT)
        } else {
            (tags::DOUBLE_FLOAT_PIXEL_PADDING_VALUE, tags::DOUBLE_FLOAT_PIXEL_PADDING_RANGE_LIMIT)
        }
    } else {
        (tags::PIXEL_PADDING_VALUE, tags::PIXEL_PADDING_RANGE_LIMIT)
    };
    let read = |tag| {
        if attributes.is_float() { dataset.float(tag) } else { stored(dataset, tag, attributes.is_signed()) }
    };
    let (value, limit) = (read(value)?, read(limit));
    let limit = limit.unwrap_or(value);
    Some(value.min(limit)..=value.max(limit))
}

/// A 16-bit number with the sign of the pixels, whatever VR it came under.
fn stored(dataset: &Dataset, tag: Tag, signed: bool) -> Option<f64> {
    let &bytes = dataset.bytes(tag)?.first_chunk()?;
    Some(if signed { f64::from(i16::from_le_bytes(bytes)) } else { f64::from(u16::from_le_bytes(bytes)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dokuei_codecs::{Photometric, Representation};

    fn attributes(representation: Representation) -> PixelAttributes {
        PixelAttributes {
            rows: 1,
            columns: 1,
            frames: 1,
            samples_per_pixel: 1,
            bits_allocated: 16,
            bits_stored: 16,
            high_bit: 15,
            representation,
            planar: false,
            photometric: Photometric::Monochrome2,
        }
    }

    #[test]
    fn one_value_a_range_in_either_order_and_the_sign_of_the_pixels() {
        let mut data = Dataset::new();
        assert_eq!(read(&data, &attributes(Representation::Unsigned)), None);
        data.put_u16(tags::PIXEL_PADDING_VALUE, &[63536]);
        assert_eq!(read(&data, &attributes(Representation::Signed)), Some(-2000.0..=-2000.0));
        assert_eq!(read(&data, &attributes(Representation::Unsigned)), Some(63536.0..=63536.0));
        data.put_u16(tags::PIXEL_PADDING_RANGE_LIMIT, &[63530]);
        assert_eq!(read(&data, &attributes(Representation::Unsigned)), Some(63530.0..=63536.0));
    }
}
