//! JPEG 2000 (ISO/IEC 15444-1, ITU-T T.800) and its high-throughput block coder (15444-15), bare or
//! inside JP2 boxes.
//!
//! The decoding is `hayro-jpeg2000`'s for Part 1 and that of its fork `dicom-toolkit-jpeg2000` for
//! high-throughput blocks, which the former lacks; the fork in turn puts lossy coefficients at the lower
//! end of their interval instead of its middle. Here are the guards around both: the main header is read
//! and compared with the attributes first, and the decoder runs on a thread of its own.
//!
//! The fork must be built without its feature `openjph-htj2k`: that decoder gives wrong samples for the
//! block sizes other encoders use. A test vector shows it.

use std::borrow::Cow;

use crate::decode::isolated;
use crate::samples::{Cell, pack};
use crate::{CodecError, FrameSpec, Photometric, Samples, native};

const CODEC: &str = "JPEG 2000";

/// SOC and SIZ: how every codestream begins.
const START: [u8; 4] = [0xFF, 0x4F, 0xFF, 0x51];

/// EOC.
const END: [u8; 2] = [0xFF, 0xD9];

/// Packets of the whole image; a bound on the work that a small header can ask for.
const PACKETS_MAX: u64 = 1 << 22;

/// What the main header says (T.800 § A.5.1 and § A.6.1).
#[derive(Debug, PartialEq, Eq)]
struct Header {
    precision: u8,
    signed: bool,
    /// The codec undoes a component transform.
    transformed: bool,
    high_throughput: bool,
    /// The 9-7 wavelet, which is not reversible.
    lossy: bool,
}

fn damaged(detail: impl Into<String>) -> CodecError {
    CodecError::damaged(CODEC, detail)
}

/// Decodes one codestream. Bytes behind its end are ignored.
pub(crate) fn decode(spec: &FrameSpec, data: &[u8]) -> Result<(Samples, Photometric), CodecError> {
    // Boxes around the codestream say nothing that the attributes do not.
    let start = data.windows(START.len()).position(|bytes| bytes == START);
    let codestream = start.map(|start| &data[start..]).ok_or_else(|| damaged("no start of codestream"))?;
    let header = Header::read(codestream, spec)?;
    let codestream = ended(codestream);
    let values = isolated(CODEC, || {
        if header.high_throughput { high_throughput(&codestream, &header) } else { part_1(&codestream, &header) }
    })??;
    if values.len() != spec.samples() {
        return Err(damaged("the decoder gave another number of samples"));
    }
    let cell = if header.signed == spec.is_signed() {
        Cell::of_codec(spec, header.precision)
    } else {
        Cell::of_codec_signed_at(spec, header.precision)
    };
    Ok((pack(spec, cell.coded_with_loss(header.lossy), &values), photometric(spec, &header)))
}

/// Some writers leave out the end-of-codestream marker, which the decoder insists on.
fn ended(codestream: &[u8]) -> Cow<'_, [u8]> {
    let tail = &codestream[codestream.len().saturating_sub(4)..];
    if tail.windows(2).any(|pair| pair == END) {
        return Cow::Borrowed(codestream);
    }
    Cow::Owned([codestream, &END].concat())
}

/// Samples of a codestream with the block coder of Part 1, signed ones in two's complement.
fn part_1(codestream: &[u8], header: &Header) -> Result<Vec<u32>, CodecError> {
    let settings =
        hayro_jpeg2000::DecodeSettings { resolve_palette_indices: false, strict: true, target_resolution: None };
    let told = |error: hayro_jpeg2000::DecodeError| damaged(error.to_string());
    let image = hayro_jpeg2000::Image::new(codestream, &settings).map_err(told)?;
    let mut context = hayro_jpeg2000::DecoderContext::default();
    let decoded = image.decode(&mut context).map_err(told)?;
    let planes: Vec<&[f32]> = decoded.components().iter().map(hayro_jpeg2000::ComponentData::samples).collect();
    let pixels = planes.iter().map(|plane| plane.len()).min().unwrap_or(0);
    let top = f64::from((1_u32 << header.precision) - 1);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 24 bits")]
    let value = |sample: f32| header.unshifted(f64::from(sample).round().clamp(0.0, top) as u32);
    Ok((0..pixels).flat_map(|pixel| planes.iter().map(move |plane| value(plane[pixel]))).collect())
}

/// Samples of a codestream with the block coder of Part 15, signed ones in two's complement.
fn high_throughput(codestream: &[u8], header: &Header) -> Result<Vec<u32>, CodecError> {
    if header.precision > 16 {
        return Err(CodecError::unsupported(CODEC, format!("{} bits of high throughput", header.precision)));
    }
    let settings = dicom_toolkit_jpeg2000::DecodeSettings {
        resolve_palette_indices: false,
        strict: true,
        target_resolution: None,
    };
    let told = |error: dicom_toolkit_jpeg2000::DecodeError| damaged(error.to_string());
    let image = dicom_toolkit_jpeg2000::Image::new(codestream, &settings).map_err(told)?;
    let raw = image.decode_native().map_err(told)?;
    Ok(if raw.bytes_per_sample == 1 {
        raw.data.iter().map(|byte| header.unshifted(u32::from(*byte))).collect()
    } else {
        let words = raw.data.as_chunks::<2>().0.iter();
        words.map(|word| header.unshifted(u16::from_le_bytes(*word).into())).collect()
    })
}

/// ICT and RCT exist only inside the codestream; without the transform the components are RGB.
fn photometric(spec: &FrameSpec, header: &Header) -> Photometric {
    match spec.photometric {
        Photometric::YbrIct | Photometric::YbrRct => Photometric::Rgb,
        Photometric::YbrFull422 if header.transformed => Photometric::Rgb,
        other => native::full_resolution(other),
    }
}

impl Header {
    /// Both decoders shift signed samples up by half their range, as if they were unsigned.
    fn unshifted(&self, sample: u32) -> u32 {
        sample.wrapping_sub(if self.signed { 1 << (self.precision - 1) } else { 0 })
    }

    fn read(codestream: &[u8], spec: &FrameSpec) -> Result<Self, CodecError> {
        let short = || damaged("the main header is cut short");
        let mut header = None;
        let mut components = 0;
        let mut tiles = 1;
        let mut rest = &codestream[2..];
        loop {
            let (marker, tail) = rest.split_first_chunk::<2>().ok_or_else(short)?;
            let length = tail.first_chunk::<2>().map(|bytes| usize::from(u16::from_be_bytes(*bytes)));
            match marker {
                // The first tile-part ends the main header.
                [0xFF, 0x90] => break,
                [0xFF, 0x30..=0x3F] => {
                    rest = tail;
                    continue;
                }
                _ => {}
            }
            let body = length.and_then(|length| tail.get(2..length)).ok_or_else(short)?;
            match marker {
                [0xFF, 0x51] => {
                    let (size, count) = Size::read(body)?;
                    size.check(spec)?;
                    header = Some(size.header());
                    (components, tiles) = (count, size.tiles()?);
                }
                [0xFF, 0x52] => {
                    let header = header.as_mut().ok_or_else(|| damaged("coding style before size"))?;
                    coding_style(body, header, components, tiles, spec)?;
                }
                _ => {}
            }
            rest = &tail[body.len() + 2..];
        }
        header.ok_or_else(short)
    }
}

/// Reads COD and bounds the packets it leads to.
fn coding_style(
    body: &[u8],
    header: &mut Header,
    components: u64,
    tiles: u64,
    spec: &FrameSpec,
) -> Result<(), CodecError> {
    let head = body.first_chunk::<10>().ok_or_else(|| damaged("the coding style is cut short"))?;
    let [style, _, layers_high, layers_low, transform, levels, _, _, block_style, wavelet] = *head;
    header.transformed = transform != 0;
    header.high_throughput = block_style & 0x40 != 0;
    header.lossy = wavelet == 0;
    let layers = u64::from(u16::from_be_bytes([layers_high, layers_low]));
    if layers == 0 || levels > 32 {
        return Err(damaged(format!("{layers} layers of {levels} decompositions")));
    }
    let mut precincts = 0_u64;
    for level in 0..=levels {
        // Exponents per resolution, lowest first; without them a precinct covers 2^15 samples.
        let exponents = if style & 1 == 0 { Some(0xFF) } else { body.get(10 + usize::from(level)).copied() };
        let exponents = exponents.ok_or_else(|| damaged("precinct sizes are cut short"))?;
        let down = u32::from(levels - level);
        let across = |size: u32, exponent: u8| u64::from(size >> down.min(31)).div_ceil(1 << exponent).max(1);
        precincts += across(spec.columns, exponents & 15) * across(spec.rows, exponents >> 4);
    }
    // Each tile adds at most a precinct per edge and resolution.
    let packets = (precincts + tiles * (u64::from(levels) + 1)) * components * layers;
    if packets > PACKETS_MAX {
        return Err(CodecError::unsupported(CODEC, format!("{packets} packets")));
    }
    Ok(())
}

/// SIZ.
struct Size {
    /// Xsiz to YTOsiz.
    grid: [u32; 8],
    components: Vec<[u8; 3]>,
}

impl Size {
    fn read(body: &[u8]) -> Result<(Self, u64), CodecError> {
        let short = || damaged("the image size is cut short");
        let (head, rest) = body.split_first_chunk::<36>().ok_or_else(short)?;
        let words = &head[2..34];
        let mut grid = [0; 8];
        for (slot, bytes) in grid.iter_mut().zip(words.as_chunks::<4>().0) {
            *slot = u32::from_be_bytes(*bytes);
        }
        let count = usize::from(u16::from_be_bytes([head[34], head[35]]));
        let components = rest.as_chunks::<3>().0.get(..count).filter(|list| !list.is_empty()).ok_or_else(short)?;
        Ok((Self { grid, components: components.to_vec() }, count as u64))
    }

    fn check(&self, spec: &FrameSpec) -> Result<(), CodecError> {
        let [right, bottom, left, top, tile_wide, tile_high, tile_left, tile_top] = self.grid;
        let (columns, rows) = (right.saturating_sub(left), bottom.saturating_sub(top));
        let count = u32::try_from(self.components.len()).unwrap_or(u32::MAX);
        spec.expect_codestream(CODEC, rows, columns, count)?;
        if tile_wide == 0 || tile_high == 0 || tile_left > left || tile_top > top {
            return Err(damaged("impossible tiles"));
        }
        if self.components.iter().any(|[_, across, down]| (*across, *down) != (1, 1)) {
            return Err(CodecError::unsupported(CODEC, "subsampling"));
        }
        if self.components.iter().any(|[depth, ..]| *depth != self.components[0][0]) {
            return Err(CodecError::unsupported(CODEC, "components of different depth"));
        }
        let precision = self.header().precision;
        // A float carries 24 bits exactly.
        if precision > 24 {
            return Err(CodecError::unsupported(CODEC, format!("{precision} bits")));
        }
        if usize::from(precision).div_ceil(8) > spec.container_bytes() {
            let (found, expected) = (u64::from(precision), u64::from(spec.bits_allocated));
            return Err(CodecError::Mismatch { codec: CODEC, property: "bits", found, expected });
        }
        Ok(())
    }

    fn tiles(&self) -> Result<u64, CodecError> {
        let [right, bottom, _, _, tile_wide, tile_high, tile_left, tile_top] = self.grid;
        let across = u64::from((right - tile_left).div_ceil(tile_wide));
        let down = u64::from((bottom - tile_top).div_ceil(tile_high));
        let tiles = across * down;
        if tiles > 65_535 {
            return Err(damaged(format!("{tiles} tiles")));
        }
        Ok(tiles)
    }

    fn header(&self) -> Header {
        let depth = self.components[0][0];
        let (precision, signed) = ((depth & 0x7F).saturating_add(1), depth & 0x80 != 0);
        Header { precision, signed, transformed: false, high_throughput: false, lossy: false }
    }
}
