use std::io::{self, Read};
use std::sync::Arc;

use dicom_core::{Tag, VR};
use dicom_dictionary_std::{tags, uids};

use crate::data_set::{Dataset, Element, Value};
use crate::read_at::ReadAt;
use crate::{Encoding, dictionary_vr};

const ITEM: Tag = Tag(0xFFFE, 0xE000);
const ITEM_DELIMITER: Tag = Tag(0xFFFE, 0xE00D);
const SEQUENCE_DELIMITER: Tag = Tag(0xFFFE, 0xE0DD);
const UNDEFINED: u32 = 0xFFFF_FFFF;

/// What the reader holds and how deep it goes.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Sequences inside sequences.
    pub depth: usize,
    /// Elements, items counted.
    pub elements: usize,
    /// Bytes of one value; a larger one is [`Value::Omitted`].
    pub value_bytes: u64,
    /// Bytes of all values held together; what comes after is [`Value::Omitted`].
    pub total_bytes: u64,
    /// Bytes of a deflated data set once inflated (PS3.5 § A.5).
    pub inflated_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 64, elements: 200_000, value_bytes: 1 << 20, total_bytes: 64 << 20, inflated_bytes: 1 << 30 }
    }
}

/// Why bytes are not a data set we read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The medium failed.
    #[error("read at byte {offset}")]
    Read {
        /// Where.
        offset: u64,
        /// What it said.
        source: io::Error,
    },
    /// The bytes end inside an element.
    #[error("the data set ends inside {tag} at byte {offset}")]
    Truncated {
        /// The element or the last one before it.
        tag: Tag,
        /// Where the missing bytes should have been.
        offset: u64,
    },
    /// An element claims more bytes than its surroundings have.
    #[error("{tag} at byte {offset} claims {length} bytes where {available} are left")]
    Length {
        /// The element.
        tag: Tag,
        /// Where its value begins.
        offset: u64,
        /// What it claims.
        length: u64,
        /// What is there.
        available: u64,
    },
    /// A tag where the encoding allows another one only.
    #[error("{tag} cannot stand at byte {offset}")]
    Misplaced {
        /// The tag.
        tag: Tag,
        /// Where it stands.
        offset: u64,
    },
    /// More nesting than [`Limits::depth`].
    #[error("sequences nested deeper than {0}")]
    Depth(usize),
    /// More elements than [`Limits::elements`].
    #[error("more than {0} elements")]
    Elements(usize),
    /// More than [`Limits::inflated_bytes`].
    #[error("inflates to more than {0} bytes")]
    Inflated(u64),
    /// The deflated stream is broken.
    #[error("inflate the data set")]
    Inflate {
        /// What the decoder said.
        source: io::Error,
    },
    /// Nothing there that looks like a data set.
    #[error("not a DICOM data set")]
    NotDicom,
}

/// Where the pixel data of a data set lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PixelElement {
    /// Pixel Data, Float Pixel Data or Double Float Pixel Data.
    pub tag: Tag,
    /// OB, OW, OF or OD.
    pub vr: VR,
    /// First byte of the value, in [`Header::source`].
    pub offset: u64,
    /// Bytes of native pixel data; `None` when encapsulated (PS3.5 § A.4).
    pub length: Option<u64>,
}

/// A data set up to its pixel data.
#[derive(Debug, Clone)]
pub struct Header {
    /// UID of the transfer syntax it was sent in.
    pub transfer_syntax: String,
    /// The elements before the pixel data.
    pub dataset: Dataset,
    /// The pixel data, where there is any.
    pub pixels: Option<PixelElement>,
    encoding: Encoding,
    inflated: Option<Arc<[u8]>>,
}

impl Header {
    /// What offsets refer to: the file itself, or the inflated copy of a deflated data set.
    #[must_use]
    pub fn source<'a>(&'a self, file: &'a dyn ReadAt) -> &'a dyn ReadAt {
        self.inflated.as_ref().map_or(file, |bytes| bytes as &dyn ReadAt)
    }

    /// How the elements really are encoded, which is not always what the transfer syntax says.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }
}

/// Reads a data set up to its pixel data (PS3.5 § 7).
///
/// A data set whose first element shows the other VR encoding than its transfer syntax is read as what it is.
///
/// # Errors
/// [`ReadError`] when the bytes cannot be a data set, or go beyond `limits`.
pub fn read_header(
    file: &dyn ReadAt,
    data_set_offset: u64,
    transfer_syntax: &str,
    limits: &Limits,
) -> Result<Header, ReadError> {
    let inflated: Option<Arc<[u8]>> = match transfer_syntax {
        uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN => Some(inflate(file, data_set_offset, limits)?.into()),
        _ => None,
    };
    let (source, start) = match &inflated {
        Some(bytes) => (bytes as &dyn ReadAt, 0),
        None => (file, data_set_offset),
    };
    let encoding = sniff(source, start, Encoding::of(transfer_syntax))?;
    let mut reader = Reader::new(source, start, encoding, limits);
    reader.run()?;
    let (dataset, pixels) = (reader.root, reader.pixels);
    Ok(Header { transfer_syntax: transfer_syntax.to_owned(), dataset, pixels, encoding, inflated })
}

fn inflate(file: &dyn ReadAt, offset: u64, limits: &Limits) -> Result<Vec<u8>, ReadError> {
    let stream = Window::new(file, offset);
    let mut inflated = Vec::new();
    flate2::read::DeflateDecoder::new(stream)
        .take(limits.inflated_bytes.saturating_add(1))
        .read_to_end(&mut inflated)
        .map_err(|source| ReadError::Inflate { source })?;
    if inflated.len() as u64 > limits.inflated_bytes {
        return Err(ReadError::Inflated(limits.inflated_bytes));
    }
    Ok(inflated)
}

/// The VR encoding the first element shows. An implicit length that spells two capitals would be over
/// 16 MiB, which no first element of a data set is.
fn sniff(source: &dyn ReadAt, start: u64, declared: Encoding) -> Result<Encoding, ReadError> {
    let mut head = [0; 8];
    if source.size().saturating_sub(start) < 8 {
        return if source.size() <= start { Err(ReadError::NotDicom) } else { Ok(declared) };
    }
    source.read_exact_at(&mut head, start).map_err(|source| ReadError::Read { offset: start, source })?;
    let [g0, g1, _, _, v0, v1, ..] = head;
    let shows_vr = VR::from_binary([v0, v1]).is_some();
    Ok(match declared {
        Encoding::ImplicitLittle if shows_vr => Encoding::ExplicitLittle,
        Encoding::ExplicitLittle if !shows_vr && u16::from_le_bytes([g0, g1]) <= 0x0040 => Encoding::ImplicitLittle,
        other => other,
    })
}

/// Sequential reading over [`ReadAt`] through a buffer of a few kilobytes.
struct Window<'a> {
    source: &'a dyn ReadAt,
    size: u64,
    position: u64,
    buffer: Vec<u8>,
    buffer_start: u64,
}

const WINDOW_BYTES: u64 = 16 << 10;

impl<'a> Window<'a> {
    fn new(source: &'a dyn ReadAt, position: u64) -> Self {
        Self { source, size: source.size(), position, buffer: Vec::new(), buffer_start: 0 }
    }

    /// The next `N` bytes, not consumed; `None` when fewer are left.
    fn peek<const N: usize>(&mut self) -> io::Result<Option<[u8; N]>> {
        if self.size.saturating_sub(self.position) < N as u64 {
            return Ok(None);
        }
        let buffered = self.buffer_start..self.buffer_start + self.buffer.len() as u64;
        if !(buffered.contains(&self.position) && self.position + N as u64 <= buffered.end) {
            self.refill()?;
        }
        let at = usize::try_from(self.position - self.buffer_start).unwrap_or(usize::MAX);
        Ok(self.buffer.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied())
    }

    fn refill(&mut self) -> io::Result<()> {
        let length = WINDOW_BYTES.min(self.size.saturating_sub(self.position));
        self.buffer.resize(usize::try_from(length).unwrap_or(0), 0);
        self.buffer_start = self.position;
        self.source.read_exact_at(&mut self.buffer, self.position)
    }

    /// Consumes `length` bytes that are known to be there.
    fn take_bytes(&mut self, length: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.source.read_exact_at(&mut bytes, self.position)?;
        self.position += length;
        Ok(bytes)
    }
}

impl Read for Window<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let length = buf.len().min(left);
        let Some(target) = buf.get_mut(..length) else { return Ok(0) };
        self.source.read_exact_at(target, self.position)?;
        self.position += length as u64;
        Ok(length)
    }
}

/// An open sequence or item, innermost last.
enum Open {
    Sequence { tag: Tag, end: Option<u64>, encoding: Encoding, items: Vec<Dataset> },
    Item { end: Option<u64>, encoding: Encoding, elements: Dataset },
}

impl Open {
    fn end(&self) -> Option<u64> {
        match self {
            Self::Sequence { end, .. } | Self::Item { end, .. } => *end,
        }
    }
}

struct Reader<'a> {
    window: Window<'a>,
    encoding: Encoding,
    limits: &'a Limits,
    open: Vec<Open>,
    root: Dataset,
    pixels: Option<PixelElement>,
    elements: usize,
    held_bytes: u64,
    last_tag: Tag,
}

/// What stands before a value.
struct ElementHeader {
    tag: Tag,
    vr: VR,
    length: u32,
}

impl<'a> Reader<'a> {
    fn new(source: &'a dyn ReadAt, start: u64, encoding: Encoding, limits: &'a Limits) -> Self {
        Self {
            window: Window::new(source, start),
            encoding,
            limits,
            open: Vec::new(),
            root: Dataset::new(),
            pixels: None,
            elements: 0,
            held_bytes: 0,
            last_tag: Tag(0, 0),
        }
    }

    fn run(&mut self) -> Result<(), ReadError> {
        loop {
            self.close_ended();
            let more = match self.open.last() {
                Some(Open::Sequence { .. }) => self.item()?,
                Some(Open::Item { .. }) => self.element()?,
                None if self.left() == 0 => false,
                None => self.element()?,
            };
            if !more {
                return Ok(());
            }
        }
    }

    /// Where the innermost thing of defined length ends, or the bytes do.
    fn end(&self) -> u64 {
        self.open.iter().rev().find_map(Open::end).unwrap_or(self.window.size)
    }

    fn left(&self) -> u64 {
        self.end().saturating_sub(self.window.position)
    }

    fn close_ended(&mut self) {
        while self.open.last().and_then(Open::end).is_some_and(|end| self.window.position >= end) {
            self.close();
        }
    }

    /// Puts the innermost open thing where it belongs.
    fn close(&mut self) {
        match self.open.pop() {
            Some(Open::Item { elements, .. }) => {
                if let Some(Open::Sequence { items, .. }) = self.open.last_mut() {
                    items.push(elements);
                }
            }
            Some(Open::Sequence { tag, items, .. }) => {
                self.put(Element { tag, vr: VR::SQ, value: Value::Items(items) });
            }
            None => {}
        }
    }

    fn put(&mut self, element: Element) {
        match self.open.last_mut() {
            Some(Open::Item { elements, .. }) => elements.put(element),
            _ => self.root.put(element),
        }
    }

    fn current_encoding(&self) -> Encoding {
        match self.open.last() {
            Some(Open::Sequence { encoding, .. } | Open::Item { encoding, .. }) => *encoding,
            None => self.encoding,
        }
    }

    fn count(&mut self) -> Result<(), ReadError> {
        self.elements += 1;
        if self.elements > self.limits.elements { Err(ReadError::Elements(self.limits.elements)) } else { Ok(()) }
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        let offset = self.window.position;
        let truncated = ReadError::Truncated { tag: self.last_tag, offset };
        if self.left() < N as u64 {
            return Err(truncated);
        }
        let bytes = self.window.peek::<N>().map_err(|source| ReadError::Read { offset, source })?;
        self.window.position += N as u64;
        bytes.ok_or(truncated)
    }

    /// Reads an item header or the end of a sequence (PS3.5 § 7.5).
    fn item(&mut self) -> Result<bool, ReadError> {
        let offset = self.window.position;
        let encoding = self.current_encoding();
        let [g0, g1, e0, e1, l0, l1, l2, l3] = self.fixed::<8>()?;
        let tag = Tag(u16_of([g0, g1], encoding), u16_of([e0, e1], encoding));
        let length = u32_of([l0, l1, l2, l3], encoding);
        match tag {
            ITEM => {
                self.count()?;
                let end = self.end_of(tag, length)?;
                self.open.push(Open::Item { end, encoding, elements: Dataset::new() });
                Ok(true)
            }
            SEQUENCE_DELIMITER => {
                self.close();
                Ok(true)
            }
            tag => Err(ReadError::Misplaced { tag, offset }),
        }
    }

    /// Reads one element; `false` when the data set is over.
    fn element(&mut self) -> Result<bool, ReadError> {
        let offset = self.window.position;
        let top = self.open.is_empty();
        // Trailing padding of a byte or two after the last element is seen in practice.
        if top && self.left() < 8 {
            return Ok(false);
        }
        let ElementHeader { tag, vr, length } = self.element_header()?;
        match tag {
            ITEM_DELIMITER if !top => {
                self.close();
                return Ok(true);
            }
            // A sequence delimiter may close an item too: writers forget the inner one.
            SEQUENCE_DELIMITER if !top => {
                self.close();
                self.close();
                return Ok(true);
            }
            // Items and delimiters without a sequence around them are seen in old files: stepped over.
            tag if tag.group() == 0xFFFE && top => {
                self.count()?;
                self.window.position += u64::from(length).min(if length == UNDEFINED { 0 } else { self.left() });
                return Ok(true);
            }
            tag if tag.group() == 0xFFFE => return Err(ReadError::Misplaced { tag, offset }),
            _ => {}
        }
        self.count()?;
        self.last_tag = tag;
        if top && matches!(tag, tags::PIXEL_DATA | tags::FLOAT_PIXEL_DATA | tags::DOUBLE_FLOAT_PIXEL_DATA) {
            let length = (length != UNDEFINED).then_some(u64::from(length));
            self.pixels = Some(PixelElement { tag, vr, offset: self.window.position, length });
            return Ok(false);
        }
        self.value(tag, vr, length)?;
        Ok(true)
    }

    fn element_header(&mut self) -> Result<ElementHeader, ReadError> {
        let encoding = self.current_encoding();
        let [g0, g1, e0, e1, a, b, c, d] = self.fixed::<8>()?;
        let tag = Tag(u16_of([g0, g1], encoding), u16_of([e0, e1], encoding));
        let implicit_length = u32_of([a, b, c, d], encoding);
        let signed = self.root.has_signed_pixels();
        if tag.group() == 0xFFFE || encoding == Encoding::ImplicitLittle {
            return Ok(ElementHeader { tag, vr: dictionary_vr(tag, signed), length: implicit_length });
        }
        match VR::from_binary([a, b]) {
            Some(vr) if has_short_length(vr) => {
                Ok(ElementHeader { tag, vr, length: u32::from(u16_of([c, d], encoding)) })
            }
            Some(vr) => {
                let length = u32_of(self.fixed::<4>()?, encoding);
                Ok(ElementHeader { tag, vr, length })
            }
            // A VR of a later edition has the long form (PS3.5 § 7.1.2, note on future VRs).
            None if a.is_ascii_uppercase() && b.is_ascii_uppercase() => {
                let length = u32_of(self.fixed::<4>()?, encoding);
                Ok(ElementHeader { tag, vr: VR::UN, length })
            }
            // Some writers leave single elements implicit.
            None => Ok(ElementHeader { tag, vr: dictionary_vr(tag, signed), length: implicit_length }),
        }
    }

    fn value(&mut self, tag: Tag, vr: VR, length: u32) -> Result<(), ReadError> {
        let undefined = length == UNDEFINED;
        match vr {
            VR::OB | VR::OW if undefined => return self.skip_fragments(tag, vr),
            // Undefined length under UN is a sequence in implicit VR (PS3.5 § 6.2.2, note 4).
            VR::UN if undefined && self.current_encoding() != Encoding::ImplicitLittle => {
                return self.open_sequence(tag, length, Encoding::ImplicitLittle);
            }
            _ if vr == VR::SQ || undefined => return self.open_sequence(tag, length, self.current_encoding()),
            _ => {}
        }
        let length = u64::from(length);
        if length > self.left() {
            return Err(self.length_error(tag, length));
        }
        // Group lengths say nothing that is not seen (PS3.5 § 7.2).
        if tag.element() == 0 && self.open.is_empty() {
            self.window.position += length;
            return Ok(());
        }
        let value = if length > self.limits.value_bytes || self.held_bytes + length > self.limits.total_bytes {
            self.window.position += length;
            Value::Omitted { length }
        } else {
            self.held_bytes += length;
            let offset = self.window.position;
            let mut bytes = self.window.take_bytes(length).map_err(|source| ReadError::Read { offset, source })?;
            if self.current_encoding() == Encoding::ExplicitBig {
                swap(&mut bytes, vr);
            }
            Value::Bytes(bytes)
        };
        self.put(Element { tag, vr, value });
        Ok(())
    }

    fn open_sequence(&mut self, tag: Tag, length: u32, encoding: Encoding) -> Result<(), ReadError> {
        if self.open.len() >= self.limits.depth * 2 {
            return Err(ReadError::Depth(self.limits.depth));
        }
        let end = self.end_of(tag, length)?;
        self.open.push(Open::Sequence { tag, end, encoding, items: Vec::new() });
        Ok(())
    }

    fn end_of(&self, tag: Tag, length: u32) -> Result<Option<u64>, ReadError> {
        if length == UNDEFINED {
            return Ok(None);
        }
        let length = u64::from(length);
        if length > self.left() {
            return Err(self.length_error(tag, length));
        }
        Ok(Some(self.window.position + length))
    }

    fn length_error(&self, tag: Tag, length: u64) -> ReadError {
        ReadError::Length { tag, offset: self.window.position, length, available: self.left() }
    }

    /// Steps over encapsulated pixel data inside an item, such as a compressed icon.
    fn skip_fragments(&mut self, tag: Tag, vr: VR) -> Result<(), ReadError> {
        let start = self.window.position;
        let encoding = self.current_encoding();
        loop {
            let offset = self.window.position;
            let [g0, g1, e0, e1, l0, l1, l2, l3] = self.fixed::<8>()?;
            let found = Tag(u16_of([g0, g1], encoding), u16_of([e0, e1], encoding));
            let length = u64::from(u32_of([l0, l1, l2, l3], encoding));
            self.count()?;
            match found {
                ITEM if length <= self.left() => self.window.position += length,
                ITEM => return Err(self.length_error(tag, length)),
                SEQUENCE_DELIMITER => break,
                tag => return Err(ReadError::Misplaced { tag, offset }),
            }
        }
        let length = self.window.position - start;
        self.put(Element { tag, vr, value: Value::Omitted { length } });
        Ok(())
    }
}

fn u16_of(bytes: [u8; 2], encoding: Encoding) -> u16 {
    if encoding == Encoding::ExplicitBig { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
}

fn u32_of(bytes: [u8; 4], encoding: Encoding) -> u32 {
    if encoding == Encoding::ExplicitBig { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
}

/// Whether the length field after an explicit VR has 16 bits (PS3.5 § 7.1.2).
pub(crate) fn has_short_length(vr: VR) -> bool {
    matches!(
        vr,
        VR::AE
            | VR::AS
            | VR::AT
            | VR::CS
            | VR::DA
            | VR::DS
            | VR::DT
            | VR::FL
            | VR::FD
            | VR::IS
            | VR::LO
            | VR::LT
            | VR::PN
            | VR::SH
            | VR::SL
            | VR::SS
            | VR::ST
            | VR::TM
            | VR::UI
            | VR::UL
            | VR::US
    )
}

/// Exchanges the byte order of a value's numbers (PS3.5 § 7.3).
pub(crate) fn swap(bytes: &mut [u8], vr: VR) {
    let unit = match vr {
        VR::US | VR::SS | VR::OW | VR::AT => 2,
        VR::UL | VR::SL | VR::FL | VR::OF | VR::OL => 4,
        VR::FD | VR::OD | VR::UV | VR::SV | VR::OV => 8,
        _ => return,
    };
    for number in bytes.chunks_exact_mut(unit) {
        number.reverse();
    }
}
