//! The pixel pipeline: from a data set's header and bytes to stored values, modality units, a person's picture
//! and a model's tensor (PS3.3 C.7.6.3, C.11). It never does I/O beyond reading the bytes it is given, and
//! knows no model by name.
//!
//! | step | from | to | where |
//! |---|---|---|---|
//! | [`Image::open`] | attributes | checked attributes, the place of every frame | `attributes`, `native`, `fragments` |
//! | [`Image::frame`] | bytes | stored values | `dokuei-codecs` |
//! | modality transform | stored values | modality units | `modality` |
//! | VOI transform, polarity | modality units | 0 black to 1 white | `voi`, `grey` |
//! | palette, colour | stored values | red, green, blue | `palette`, `colour` |
//! | [`prepare()`] | 0 to 1 | the tensor, and the way back | `resample`, `geometry` |
//!
//! Everything a peer can choose is checked before memory is taken or a decoder runs; no input panics.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![cfg_attr(test, allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests fail by panicking"))]

mod attributes;
mod cast;
mod colour;
mod error;
mod fragments;
mod functional;
mod geometry;
mod grey;
mod image;
mod input;
mod levels;
mod limits;
mod lut;
mod modality;
mod native;
mod padding;
mod palette;
mod picture;
mod prepare;
mod resample;
mod voi;

pub use attributes::PixelAttributes;
pub use dokuei_codecs::{DecodedFrame, Photometric, Representation, Samples};
pub use error::PixelError;
pub use geometry::Geometry;
pub use image::Image;
pub use input::{Filter, Fit, InputSpec, Intensity, SpecError};
pub use limits::Limits;
pub use lut::LookupTable;
pub use modality::ModalityTransform;
pub use picture::{Intensities, Picture};
pub use prepare::{Prepared, prepare};
pub use voi::{VoiFunction, VoiTransform};
