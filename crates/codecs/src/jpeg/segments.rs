//! Marker segments (T.81 § B.1.1) and the small ones' contents.

use super::damaged;
use crate::CodecError;

/// Walks over the marker segments of a codestream.
pub(super) struct Segments<'a> {
    data: &'a [u8],
    position: usize,
}

impl<'a> Segments<'a> {
    /// Starts behind the start-of-image marker, which may have padding before it.
    pub(super) fn new(data: &'a [u8]) -> Result<Self, CodecError> {
        let start = data.windows(3).position(|bytes| bytes == [0xFF, 0xD8, 0xFF]);
        let start = start.ok_or_else(|| damaged("no start of image"))?;
        Ok(Self { data, position: start + 2 })
    }

    /// Where the last segment ended: the entropy-coded data of a scan header begins there.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// Goes on from another place: behind the entropy-coded data.
    pub(super) fn seek(&mut self, position: usize) {
        self.position = position;
    }

    /// The next marker with the contents of its segment; `None` at the end of the image, marked or not.
    pub(super) fn next(&mut self) -> Result<Option<(u8, &'a [u8])>, CodecError> {
        loop {
            let rest = self.data.get(self.position..).unwrap_or_default();
            let found = rest.windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0xFF));
            let Some(at) = found else { return Ok(None) };
            let marker = rest[at + 1];
            self.position += at + 2;
            match marker {
                0xD9 => return Ok(None),
                // Stand-alone markers: TEM, RSTn, SOI.
                0x01 | 0xD0..=0xD8 => {}
                _ => return self.body().map(|body| Some((marker, body))),
            }
        }
    }

    fn body(&mut self) -> Result<&'a [u8], CodecError> {
        let rest = self.data.get(self.position..).unwrap_or_default();
        let length = rest.first_chunk::<2>().map(|bytes| usize::from(u16::from_be_bytes(*bytes)));
        let body = length.and_then(|length| rest.get(2..length));
        let body = body.ok_or_else(|| damaged("a marker segment runs over the end"))?;
        self.position += body.len() + 2;
        Ok(body)
    }
}

/// What an Adobe APP14 segment says of three components.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Adobe {
    Untransformed,
    Ycc,
}

impl Adobe {
    /// Reads the transform byte; a segment cut short (seen in the wild) says nothing.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        if !body.starts_with(b"Adobe") {
            return None;
        }
        match body.get(11)? {
            0 => Some(Self::Untransformed),
            1 => Some(Self::Ycc),
            _ => None,
        }
    }
}

/// Quantisation tables in zigzag order (T.81 § B.2.4.1).
pub(super) fn read_quantisation(mut body: &[u8], tables: &mut [Option<[u16; 64]>; 4]) -> Result<(), CodecError> {
    let short = || damaged("a quantisation table is cut short");
    while let Some((head, rest)) = body.split_first() {
        let wide = head >> 4 != 0;
        let slot = tables.get_mut(usize::from(head & 15)).ok_or_else(|| damaged("a fifth quantisation table"))?;
        let mut table = [0; 64];
        let size = if wide { 128 } else { 64 };
        let (values, tail) = rest.split_at_checked(size).ok_or_else(short)?;
        for (index, value) in table.iter_mut().enumerate() {
            *value = if wide {
                u16::from_be_bytes([values[2 * index], values[2 * index + 1]])
            } else {
                values[index].into()
            };
        }
        *slot = Some(table);
        body = tail;
    }
    Ok(())
}

/// The restart interval in minimum coded units, 0 for none (T.81 § B.2.4.4).
pub(super) fn read_restart_interval(body: &[u8]) -> Result<u32, CodecError> {
    let bytes = body.first_chunk::<2>().ok_or_else(|| damaged("a restart interval is cut short"))?;
    Ok(u16::from_be_bytes(*bytes).into())
}
