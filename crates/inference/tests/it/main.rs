//! Packages made in memory with networks small enough to compute by hand.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod bundled;
mod familiarity;
mod load;
mod manifest;
mod onnx;
mod package;
mod run;

use dokuei_dataset::{Dataset, Encoding, VR, read_header, write_dataset};
use dokuei_pixels::{Filter, Fit, Image, InputSpec, Intensity, Prepared, prepare};
use ndarray::Array4;

/// A tensor as if prepared from a black source frame of 80 x 80 pixels.
fn prepared(tensor: Array4<f32>) -> Prepared {
    Prepared { tensor, ..frame(80, 80) }
}

/// A black frame, prepared for a tensor of 8 x 8.
fn frame(rows: u16, columns: u16) -> Prepared {
    use dicom_dictionary_std::{tags, uids};
    let mut header = Dataset::new();
    header.put_text(tags::SOP_CLASS_UID, VR::UI, uids::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE);
    header.put_u16(tags::SAMPLES_PER_PIXEL, &[1]);
    header.put_text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2");
    header.put_u16(tags::ROWS, &[rows]);
    header.put_u16(tags::COLUMNS, &[columns]);
    header.put_u16(tags::BITS_ALLOCATED, &[8]);
    header.put_u16(tags::BITS_STORED, &[8]);
    header.put_u16(tags::HIGH_BIT, &[7]);
    header.put_u16(tags::PIXEL_REPRESENTATION, &[0]);
    header.put_bytes(tags::PIXEL_DATA, VR::OB, vec![0; usize::from(rows) * usize::from(columns)]);
    let bytes = write_dataset(&header, Encoding::ExplicitLittle);
    let header = read_header(&bytes, 0, uids::EXPLICIT_VR_LITTLE_ENDIAN, &dokuei_dataset::Limits::default()).unwrap();
    let image = Image::open(&header, &bytes, &dokuei_pixels::Limits::default()).unwrap();
    let spec = InputSpec {
        channels: 1,
        height: 8,
        width: 8,
        geometry: Fit::Pad,
        resampling: Filter::Bilinear,
        intensity: Intensity::FullRange,
        percentiles: None,
        mean: Vec::new(),
        scale: Vec::new(),
    };
    prepare(&image, 0, &spec).unwrap()
}
