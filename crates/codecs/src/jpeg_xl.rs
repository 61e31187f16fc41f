//! JPEG XL (ISO/IEC 18181), bare or in its container: lossless, lossy and recompressed JPEG.
//!
//! The decoding is `jxl-oxide`'s. Here are the guards around it: the image header is compared with the
//! attributes before anything is rendered, memory is metered, and the decoder runs on a thread of its own.

use jxl_oxide::image::BitDepth;
use jxl_oxide::{AllocTracker, InitializeResult, JxlImage, JxlThreadPool, PixelFormat};

use crate::decode::isolated;
use crate::samples::{Cell, pack};
use crate::{CodecError, FrameSpec, Photometric, Samples};

const CODEC: &str = "JPEG XL";

/// Bytes fed at a time until the image header is known; nothing is rendered meanwhile.
const HEADER_STEP_BYTES: usize = 4096;

fn damaged(detail: impl Into<String>) -> CodecError {
    CodecError::damaged(CODEC, detail)
}

/// Decodes one image. Bytes behind its end are ignored.
pub(crate) fn decode(spec: &FrameSpec, data: &[u8]) -> Result<(Samples, Photometric), CodecError> {
    let (cell, values) = isolated(CODEC, || values(spec, data))??;
    let photometric = if spec.samples_per_pixel == 3 { Photometric::Rgb } else { spec.photometric };
    Ok((pack(spec, cell, &values), photometric))
}

fn values(spec: &FrameSpec, data: &[u8]) -> Result<(Cell, Vec<u32>), CodecError> {
    // Modular buffers are 32-bit, rendered ones float, and filters hold a few copies of each.
    let budget = spec.samples().saturating_mul(48).saturating_add(64 << 20);
    let builder = JxlImage::builder().pool(JxlThreadPool::none()).alloc_tracker(AllocTracker::with_limit(budget));
    let told = |error: Box<dyn std::error::Error + Send + Sync>| damaged(error.to_string());
    let mut reader = builder.build_uninit();
    let mut rest = data;
    let mut image = loop {
        let step = rest.get(..HEADER_STEP_BYTES).unwrap_or(rest);
        let consumed = reader.feed_bytes(step).map_err(told)?;
        if consumed == 0 {
            return Err(damaged("the data ends inside the header"));
        }
        rest = rest.get(consumed..).unwrap_or_default();
        match reader.try_init().map_err(told)? {
            InitializeResult::Initialized(image) => break image,
            InitializeResult::NeedMoreData(more) => reader = more,
        }
    };
    let precision = check(spec, &image)?;
    image.feed_bytes(rest).map_err(told)?;
    if !image.is_loading_done() {
        return Err(damaged("the data ends inside the image"));
    }
    let render = image.render_frame(0).map_err(told)?;
    let mut stream = render.stream_no_alpha();
    if stream.width() != spec.columns
        || stream.height() != spec.rows
        || stream.channels() != spec.samples_per_pixel.into()
    {
        return Err(damaged("the rendered image has another shape"));
    }
    let mut floats = vec![0.0_f32; spec.samples()];
    stream.write_to_buffer(&mut floats);
    // Rendered values run from 0 to 1 over the full range of the depth.
    let top = f64::from((1_u32 << precision) - 1);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 24 bits")]
    let integer = |value: f32| (f64::from(value) * top).round().clamp(0.0, top) as u32;
    // What is coded in XYB is never lossless.
    let cell = Cell::of_codec(spec, precision).coded_with_loss(image.image_header().metadata.xyb_encoded);
    Ok((cell, floats.into_iter().map(integer).collect()))
}

/// Compares the image header with the attributes and returns the depth in bits.
fn check(spec: &FrameSpec, image: &JxlImage) -> Result<u8, CodecError> {
    let components = match image.pixel_format() {
        PixelFormat::Gray | PixelFormat::Graya => 1,
        PixelFormat::Rgb | PixelFormat::Rgba => 3,
        PixelFormat::Cmyk | PixelFormat::Cmyka => 4,
    };
    spec.expect_codestream(CODEC, image.height(), image.width(), components)?;
    let BitDepth::IntegerSample { bits_per_sample } = image.image_header().metadata.bit_depth else {
        return Err(CodecError::unsupported(CODEC, "float samples"));
    };
    // A float carries 24 bits exactly.
    let precision = u8::try_from(bits_per_sample).ok().filter(|bits| (1..=24).contains(bits));
    let precision = precision.ok_or_else(|| CodecError::unsupported(CODEC, format!("{bits_per_sample} bits")))?;
    if usize::from(precision).div_ceil(8) > spec.container_bytes() {
        let (found, expected) = (u64::from(precision), u64::from(spec.bits_allocated));
        return Err(CodecError::Mismatch { codec: CODEC, property: "bits", found, expected });
    }
    Ok(precision)
}
