//! One frame's bytes become samples, whatever the transfer syntax (PS3.5 § 8.2 and Annex A).
//!
//! [`decode()`] takes what a frame holds (native bytes, or its joined fragments) and the attributes that
//! describe it, and returns the stored values. It never reads data sets, never does I/O, never panics,
//! and never allocates more than a small multiple of what [`FrameSpec`] announces: attributes are
//! checked before any decoder runs, and so is what the codestream's own header says of size, components
//! and depth.
//!
//! Samples come out as the codec gives them. Colour is not converted, except where the codec itself
//! owns the transform (JPEG 2000, JPEG XL), and [`DecodedFrame::photometric`] says what the samples are
//! now. Turning that into a picture is the work of the `pixels` crate.

mod bits;
mod decode;
mod deflated;
mod error;
mod jpeg;
mod jpeg_2000;
mod jpeg_ls;
mod jpeg_xl;
mod native;
mod photometric;
mod rle;
mod samples;
mod spec;
mod syntax;

pub use decode::{decode, decode_within};
pub use error::CodecError;
pub use native::{NativeFrame, native_frame};
pub use photometric::{Photometric, UnknownPhotometric};
pub use samples::{DecodedFrame, Samples};
pub use spec::{FrameSpec, Limits, Representation};
pub use syntax::supports;
