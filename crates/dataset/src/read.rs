use std::io;
use std::sync::Arc;

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

use crate::data_set::{Dataset, Element, Value};
use crate::inflate::Inflater;
use crate::read_at::ReadAt;
use crate::vr::swap;
use crate::walk::{HEADER_MAX, Kind, Level, Step, Walk};
use crate::window::Window;
use crate::{Encoding, is_deflated};

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
    /// Bytes inflated for each byte deflated, once 64 MiB are inflated. Blank images reach about 1,000 for a while,
    /// and only what is made to do so reaches it for long.
    pub inflated_ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 64,
            elements: 200_000,
            value_bytes: 1 << 20,
            total_bytes: 64 << 20,
            inflated_bytes: 1 << 30,
            inflated_ratio: 500,
        }
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
    /// More than [`Limits::inflated_ratio`].
    #[error("{deflated} bytes inflate to {inflated}, more than {ratio} to one")]
    InflatedRatio {
        /// Bytes read so far.
        deflated: u64,
        /// What they inflate to.
        inflated: u64,
        /// The limit.
        ratio: u64,
    },
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

impl ReadError {
    /// The error of a medium that may read them another time; otherwise what is wrong with the bytes.
    ///
    /// # Errors
    /// What it was.
    pub fn of_the_medium(self) -> Result<io::Error, Self> {
        match self {
            Self::Read { source, .. } if source.kind() != io::ErrorKind::UnexpectedEof => Ok(source),
            error => Err(error),
        }
    }
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
    let inflated: Option<Arc<[u8]>> = match is_deflated(transfer_syntax) {
        true => Some(inflate(file, data_set_offset, limits)?.into()),
        false => None,
    };
    let (source, start) = match &inflated {
        Some(bytes) => (bytes as &dyn ReadAt, 0),
        None => (file, data_set_offset),
    };
    let mut reader = Reader::new(source, start, Encoding::of(transfer_syntax), limits);
    let pixels = reader.run()?;
    let Reader { walk, root, .. } = reader;
    Ok(Header {
        transfer_syntax: transfer_syntax.to_owned(),
        dataset: root.into(),
        pixels,
        encoding: walk.root_encoding(),
        inflated,
    })
}

fn inflate(file: &dyn ReadAt, offset: u64, limits: &Limits) -> Result<Vec<u8>, ReadError> {
    let mut window = Window::new(file);
    let mut inflater = Inflater::new(limits);
    let mut inflated = Vec::new();
    let mut at = offset;
    loop {
        let piece = window.piece(at).map_err(|source| ReadError::Read { offset: at, source })?;
        if piece.is_empty() || inflater.ended() {
            return Ok(inflated);
        }
        at = at.saturating_add(piece.len() as u64);
        inflater.push(piece, |bytes| {
            inflated.extend_from_slice(bytes);
            Ok(())
        })?;
    }
}

/// The contents of an open sequence or item.
enum Open {
    Sequence(Vec<Dataset>),
    Item(Vec<Element>),
}

/// Builds what a [`Walk`] meets.
struct Reader<'a> {
    window: Window<'a>,
    walk: Walk,
    limits: &'a Limits,
    open: Vec<Open>,
    root: Vec<Element>,
    held_bytes: u64,
}

impl<'a> Reader<'a> {
    fn new(source: &'a dyn ReadAt, start: u64, declared: Encoding, limits: &'a Limits) -> Self {
        Self {
            window: Window::new(source),
            walk: Walk::new(start, Some(source.size()), declared, limits),
            limits,
            open: Vec::new(),
            root: Vec::new(),
            held_bytes: 0,
        }
    }

    fn run(&mut self) -> Result<Option<PixelElement>, ReadError> {
        loop {
            let offset = self.walk.position();
            let head = self.window.peek(offset, HEADER_MAX).map_err(|source| ReadError::Read { offset, source })?;
            let Some(step) = self.walk.step(head)? else { return self.walk.finish(head).map(|()| None) };
            match step {
                Step::Item => self.open.push(Open::Item(Vec::new())),
                Step::Sequence => self.open.push(Open::Sequence(Vec::new())),
                Step::Fragments => {}
                Step::Close(level) => self.close(&level),
                Step::Skip { length, .. } => self.walk.advance(length.min(self.walk.left())),
                Step::Value { tag, vr, length } => self.value(tag, vr, length)?,
                Step::Pixels { tag, vr, length } => {
                    return Ok(Some(PixelElement { tag, vr, offset: self.walk.position(), length }));
                }
            }
        }
    }

    /// Puts what was opened last where it belongs.
    fn close(&mut self, level: &Level) {
        if let Kind::Fragments(vr) = level.kind {
            let length = self.walk.position().saturating_sub(level.start);
            return self.put(Element { tag: level.tag, vr, value: Value::Omitted { length } });
        }
        match self.open.pop() {
            Some(Open::Item(elements)) => {
                if let Some(Open::Sequence(items)) = self.open.last_mut() {
                    items.push(elements.into());
                }
            }
            Some(Open::Sequence(items)) => {
                self.put(Element { tag: level.tag, vr: VR::SQ, value: Value::Items(items) });
            }
            None => {}
        }
    }

    fn value(&mut self, tag: Tag, vr: VR, length: u64) -> Result<(), ReadError> {
        let offset = self.walk.position();
        let value = if length > self.limits.value_bytes || self.held_bytes + length > self.limits.total_bytes {
            Value::Omitted { length }
        } else {
            self.held_bytes += length;
            let mut bytes = self.window.bytes(offset, length).map_err(|source| ReadError::Read { offset, source })?;
            if self.walk.encoding() == Encoding::ExplicitBig {
                swap(&mut bytes, vr);
            }
            Value::Bytes(bytes)
        };
        self.walk.advance(length);
        let element = Element { tag, vr, value };
        if tag == tags::PIXEL_REPRESENTATION && self.walk.at_top() {
            self.walk.signed_pixels = Dataset::from(vec![element.clone()]).has_signed_pixels();
        }
        self.put(element);
        Ok(())
    }

    fn put(&mut self, element: Element) {
        match self.open.last_mut() {
            Some(Open::Item(elements)) => elements.push(element),
            _ => self.root.push(element),
        }
    }
}
