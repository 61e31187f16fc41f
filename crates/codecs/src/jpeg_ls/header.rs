//! Marker segments (T.87 Annex C).

use super::parameters::{Parameters, Presets};
use super::{CODEC, damaged};
use crate::{CodecError, FrameSpec};

/// How the components of a scan alternate (T.87 § C.2.3, ILV).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Interleave {
    None,
    Line,
    Sample,
}

/// One scan, ready to decode.
pub(super) struct ScanHeader {
    pub(super) precision: u8,
    pub(super) interleave: Interleave,
    /// Indices of the components in the frame.
    pub(super) components: Vec<usize>,
    pub(super) parameters: Parameters,
    /// Where the coded data begin.
    pub(super) position: usize,
}

/// Reads segments up to the next scan.
pub(super) struct Header<'a> {
    data: &'a [u8],
    position: usize,
    precision: u8,
    ids: Vec<u8>,
    coded: Vec<bool>,
    presets: Presets,
}

impl<'a> Header<'a> {
    pub(super) fn new(data: &'a [u8]) -> Result<Self, CodecError> {
        let start = data.windows(3).position(|bytes| bytes == [0xFF, 0xD8, 0xFF]);
        let position = start.ok_or_else(|| damaged("no start of image"))? + 2;
        Ok(Self { data, position, precision: 0, ids: Vec::new(), coded: Vec::new(), presets: Presets::default() })
    }

    pub(super) fn seek(&mut self, position: usize) {
        self.position = position;
    }

    /// The next scan; the frame header before it is compared with the attributes.
    pub(super) fn next_scan(&mut self, spec: &FrameSpec) -> Result<ScanHeader, CodecError> {
        loop {
            let (marker, body) = self.segment()?;
            match marker {
                0xF7 => self.frame(body, spec)?,
                0xF8 => self.presets(body)?,
                0xDA => return self.scan(body),
                0xDD if body.iter().any(|byte| *byte != 0) => {
                    return Err(CodecError::unsupported(CODEC, "restart intervals"));
                }
                0xE8 if body.starts_with(b"mrfx") && body.get(4).is_some_and(|transform| *transform != 0) => {
                    return Err(CodecError::unsupported(CODEC, "a colour transform outside the standard"));
                }
                0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCF => return Err(damaged("another JPEG process")),
                _ => {}
            }
        }
    }

    fn segment(&mut self) -> Result<(u8, &'a [u8]), CodecError> {
        let ends = || damaged("the data ends before the last scan");
        let rest = self.data.get(self.position..).ok_or_else(ends)?;
        // Behind FF a value below 80 is stuffed data of a scan that ended before it.
        let at = rest.windows(2).position(|pair| pair[0] == 0xFF && (0x80..0xFF).contains(&pair[1]));
        let at = at.ok_or_else(ends)?;
        let marker = rest[at + 1];
        if marker == 0xD9 {
            return Err(damaged("the image ends before all components are coded"));
        }
        let rest = &rest[at + 2..];
        if (0xD0..=0xD8).contains(&marker) {
            self.position += at + 2;
            return Ok((marker, &[]));
        }
        let length = rest.first_chunk::<2>().map(|bytes| usize::from(u16::from_be_bytes(*bytes)));
        let body = length.and_then(|length| rest.get(2..length));
        let body = body.ok_or_else(|| damaged("a marker segment runs over the end"))?;
        self.position += at + 4 + body.len();
        Ok((marker, body))
    }

    fn frame(&mut self, body: &[u8], spec: &FrameSpec) -> Result<(), CodecError> {
        let short = || damaged("a frame header is cut short");
        if !self.ids.is_empty() {
            return Err(damaged("two frame headers"));
        }
        let ([precision, rows @ .., count], rest) = body.split_first_chunk::<6>().ok_or_else(short)?;
        let [high, low, wide, narrow] = *rows;
        let (rows, columns) = (u16::from_be_bytes([high, low]), u16::from_be_bytes([wide, narrow]));
        spec.expect_codestream(CODEC, rows.into(), columns.into(), (*count).into())?;
        if !(2..=16).contains(precision) {
            return Err(damaged(format!("a precision of {precision} bits")));
        }
        if *precision > 8 && spec.bits_allocated <= 8 {
            let (found, expected) = (u64::from(*precision), u64::from(spec.bits_allocated));
            return Err(CodecError::Mismatch { codec: CODEC, property: "bits", found, expected });
        }
        let triples = rest.as_chunks::<3>().0.get(..usize::from(*count)).ok_or_else(short)?;
        if triples.iter().any(|[_, sampling, _]| *sampling != triples[0][1]) {
            return Err(CodecError::unsupported(CODEC, "subsampling"));
        }
        self.precision = *precision;
        self.ids = triples.iter().map(|[id, ..]| *id).collect();
        self.coded = vec![false; self.ids.len()];
        Ok(())
    }

    /// LSE (T.87 § C.2.4.1): 1 sets parameters, 2 and 3 are mapping tables, 4 a size over 65535.
    fn presets(&mut self, body: &[u8]) -> Result<(), CodecError> {
        match body.split_first() {
            Some((1, values)) => {
                self.presets = Presets::read(values)?;
                Ok(())
            }
            Some((2 | 3, _)) => Err(CodecError::unsupported(CODEC, "mapping tables")),
            Some((4, _)) => Err(CodecError::unsupported(CODEC, "oversize images")),
            _ => Err(damaged("an unknown parameter segment")),
        }
    }

    fn scan(&mut self, body: &[u8]) -> Result<ScanHeader, CodecError> {
        let short = || damaged("a scan header is cut short");
        if self.ids.is_empty() {
            return Err(damaged("a scan before the frame header"));
        }
        let (count, rest) = body.split_first().ok_or_else(short)?;
        let (selectors, rest) = rest.split_at_checked(usize::from(*count) * 2).ok_or_else(short)?;
        let [near, interleave, point_transform] = *rest.first_chunk::<3>().ok_or_else(short)?;
        let mut components = Vec::new();
        for [id, table] in selectors.as_chunks::<2>().0 {
            let index = self.ids.iter().position(|known| known == id);
            let index = index.ok_or_else(|| damaged("a scan of an unknown component"))?;
            if std::mem::replace(&mut self.coded[index], true) {
                return Err(damaged("a component is coded twice"));
            }
            if *table != 0 {
                return Err(CodecError::unsupported(CODEC, "mapping tables"));
            }
            components.push(index);
        }
        let interleave = match (interleave, components.len()) {
            (_, 0) => return Err(damaged("a scan without components")),
            (0..=2, 1) => Interleave::None,
            (1, _) => Interleave::Line,
            (2, _) => Interleave::Sample,
            _ => return Err(damaged("an impossible interleave mode")),
        };
        if point_transform != 0 {
            return Err(CodecError::unsupported(CODEC, "a point transform"));
        }
        let parameters = Parameters::new(self.precision, near, &self.presets)?;
        Ok(ScanHeader { precision: self.precision, interleave, components, parameters, position: self.position })
    }
}
