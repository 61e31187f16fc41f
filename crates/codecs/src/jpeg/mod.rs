//! JPEG (ISO/IEC 10918-1, ITU-T T.81): sequential DCT of 8 and 12 bits, progressive DCT of both, and
//! lossless, all with Huffman coding.
//!
//! What the codestream says of its own process counts, not the transfer syntax: lossless transfer
//! syntaxes are found in front of baseline data. Hierarchical processes and arithmetic coding (retired)
//! are not supported.
//!
//! A codestream is a row of marker segments (Annex B). Tables and the frame header are read as they
//! come; the frame header is compared with the attributes before anything is allocated; each scan is
//! decoded on the spot. Data that ends inside a scan is refused: half an image is no image.

mod bit_reader;
mod dct;
mod frame;
mod huffman;
mod lossless;
mod planes;
mod progressive;
mod scan;
mod segments;
mod upsample;

use self::bit_reader::BitReader;
use self::frame::{Frame, Process};
use self::planes::Planes;
use self::scan::Scan;
use self::segments::{Adobe, Segments};
use crate::samples::{Cell, pack};
use crate::{CodecError, FrameSpec, Photometric, Samples, native};

pub(crate) const CODEC: &str = "JPEG";

/// More scans than any encoder makes; a bound on the work that a few bytes can ask for.
const SCANS_MAX: usize = 200;

/// Tables in force, replaced by DHT, DQT and DRI segments between scans.
#[derive(Default)]
struct Tables {
    dc: [Option<huffman::Table>; 4],
    ac: [Option<huffman::Table>; 4],
    quantisation: [Option<[u16; 64]>; 4],
    restart_interval: u32,
}

pub(crate) fn damaged(detail: impl Into<String>) -> CodecError {
    CodecError::damaged(CODEC, detail)
}

/// Decodes one codestream. Bytes before its start and behind its end are ignored.
pub(crate) fn decode(spec: &FrameSpec, data: &[u8]) -> Result<(Samples, Photometric), CodecError> {
    let mut segments = Segments::new(data)?;
    let mut tables = Tables::default();
    let mut adobe = None;
    let mut has_jfif = false;
    let mut picture: Option<(Frame, Planes)> = None;
    let mut scans = 0;
    while let Some((marker, body)) = segments.next()? {
        match marker {
            0xC0..=0xC3 => {
                if picture.is_some() {
                    return Err(damaged("two frame headers"));
                }
                let frame = Frame::read(marker, body, spec)?;
                let planes = Planes::new(&frame);
                picture = Some((frame, planes));
            }
            0xC4 => huffman::read_tables(body, &mut tables.dc, &mut tables.ac)?,
            0xC5..=0xC7 | 0xDE | 0xDF => return Err(CodecError::unsupported(CODEC, "a hierarchical process")),
            0xC8..=0xCF => return Err(CodecError::unsupported(CODEC, "arithmetic coding")),
            0xDA => {
                let (frame, planes) = picture.as_mut().ok_or_else(|| damaged("a scan before the frame header"))?;
                scans += 1;
                if scans > SCANS_MAX {
                    return Err(damaged("too many scans"));
                }
                let scan = Scan::read(body, frame)?;
                let mut reader = BitReader::new(data, segments.position());
                decode_scan(frame, planes, &scan, &tables, &mut reader)?;
                segments.seek(reader.position());
            }
            0xDB => segments::read_quantisation(body, &mut tables.quantisation)?,
            0xDD => tables.restart_interval = segments::read_restart_interval(body)?,
            0xE0 => has_jfif |= body.starts_with(b"JFIF\0"),
            0xEE => adobe = Adobe::read(body).or(adobe),
            _ => {}
        }
    }
    let (frame, planes) = picture.ok_or_else(|| damaged("no frame header"))?;
    let photometric = photometric(spec, &frame, adobe, has_jfif);
    let cell = Cell::of_codec(spec, frame.precision).coded_with_loss(frame.process != Process::Lossless);
    let raw = planes.finish(&frame, &tables.quantisation)?;
    Ok((pack(spec, cell, &raw), photometric))
}

fn decode_scan(
    frame: &Frame,
    planes: &mut Planes,
    scan: &Scan,
    tables: &Tables,
    reader: &mut BitReader,
) -> Result<(), CodecError> {
    match (frame.process, planes) {
        (Process::Sequential, Planes::Dct(planes)) => scan::decode_sequential(frame, planes, scan, tables, reader),
        (Process::Progressive, Planes::Coefficients(planes)) => {
            progressive::decode(frame, planes, scan, tables, reader)
        }
        (Process::Lossless, Planes::Lossless(planes)) => lossless::decode(frame, planes, scan, tables, reader),
        _ => Err(damaged("a scan of another process")),
    }
}

/// What three components are. The codestream's own word comes first: the Adobe marker, then component
/// names, then subsampling, which no encoder does to RGB; only then JFIF, which many writers of RGB leave in,
/// and that only as far as the data set leaves it open.
fn photometric(spec: &FrameSpec, frame: &Frame, adobe: Option<Adobe>, has_jfif: bool) -> Photometric {
    if frame.components.len() != 3 {
        return spec.photometric;
    }
    let names: Vec<u8> = frame.components.iter().map(|component| component.id).collect();
    let ybr = match adobe {
        Some(Adobe::Ycc) => true,
        Some(Adobe::Untransformed) if frame.process == Process::Lossless => {
            return native::full_resolution(spec.photometric);
        }
        Some(Adobe::Untransformed) => false,
        None if names == *b"RGB" => false,
        None if frame.is_subsampled() => true,
        None if spec.photometric.is_ybr() => true,
        None if spec.photometric == Photometric::Rgb => has_jfif && frame.process != Process::Lossless,
        None => return spec.photometric,
    };
    match (ybr, spec.photometric) {
        (true, Photometric::YbrPartial422 | Photometric::YbrPartial420) => Photometric::YbrPartial422,
        (true, _) => Photometric::YbrFull,
        (false, _) => Photometric::Rgb,
    }
}
