//! The structure of an encoded data set (PS3.5 § 7), header by header: the one place that knows which tag may
//! stand where, how long its value is, and where what is open ends. Whoever walks brings the bytes: the reader
//! fetches them, the scan gets them pushed.

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

use crate::Encoding;
use crate::read::{Limits, ReadError};
use crate::vr::{dictionary_vr, has_short_length, named_vr};

const ITEM: Tag = Tag(0xFFFE, 0xE000);
const ITEM_DELIMITER: Tag = Tag(0xFFFE, 0xE00D);
const SEQUENCE_DELIMITER: Tag = Tag(0xFFFE, 0xE0DD);
const DELIMITERS: u16 = 0xFFFE;
const UNDEFINED: u32 = 0xFFFF_FFFF;

/// Bytes of the longest header: tag, VR, two reserved bytes, length (PS3.5 Table 7.1-1).
pub(crate) const HEADER_MAX: usize = 12;
/// Bytes of every other header: tag and the rest.
const HEADER: usize = 8;

/// What stands at a place of the data set. The walk is behind its header then, and before its value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// What was opened last is over.
    Close(Level),
    /// An item begins.
    Item,
    /// A sequence begins.
    Sequence,
    /// Encapsulated pixel data inside an item begins.
    Fragments,
    /// The pixel data of the data set; encapsulated when it has no length.
    Pixels { tag: Tag, vr: VR, length: Option<u64> },
    /// A value.
    Value { tag: Tag, vr: VR, length: u64 },
    /// Bytes that are part of `tag` and no value of it: a fragment, a group length, a stray item.
    Skip { tag: Tag, length: u64 },
}

/// A step; none where the bytes are too few. One type for all, since each conversion is a copy at every element.
type Stepped = Result<Option<Step>, ReadError>;

/// What a [`Level`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sequence,
    Item,
    /// The encapsulated pixel data of the data set (PS3.5 § A.4).
    Pixels,
    /// What is encapsulated like it elsewhere, such as a compressed icon.
    Fragments(VR),
}

/// Something that is open.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Level {
    pub(crate) kind: Kind,
    pub(crate) tag: Tag,
    /// First byte of what it holds.
    pub(crate) start: u64,
    /// Where it ends, or where what is around it does.
    bound: u64,
    has_length: bool,
    encoding: Encoding,
}

/// A walk over one data set. It holds the open sequences and items, and nothing of what they contain.
#[derive(Debug)]
pub(crate) struct Walk {
    open: Vec<Level>,
    /// Of all that had a length, what reached furthest.
    furthest: Option<Level>,
    position: u64,
    /// Where the bytes end; `u64::MAX` when nobody knows yet.
    size: u64,
    encoding: Encoding,
    sniffed: bool,
    depth_max: usize,
    elements_max: usize,
    elements: usize,
    last_tag: Tag,
    /// Whether Pixel Representation is 1, as far as was seen; decides the VR of some attributes.
    pub(crate) signed_pixels: bool,
}

impl Walk {
    /// A walk that begins at byte `position` of `size` in all.
    pub(crate) fn new(position: u64, size: Option<u64>, declared: Encoding, limits: &Limits) -> Self {
        Self {
            open: Vec::new(),
            furthest: None,
            position,
            size: size.unwrap_or(u64::MAX),
            encoding: declared,
            sniffed: false,
            depth_max: limits.depth.saturating_mul(2),
            elements_max: limits.elements,
            elements: 0,
            last_tag: Tag(0, 0),
            signed_pixels: false,
        }
    }

    /// The byte the next step begins at.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Steps over the value behind the last header.
    pub(crate) fn advance(&mut self, length: u64) {
        self.position = self.position.saturating_add(length);
    }

    /// Whether the walk is between elements of the data set itself, not inside one.
    pub(crate) fn at_top(&self) -> bool {
        self.open.is_empty()
    }

    /// How the next element is encoded.
    pub(crate) fn encoding(&self) -> Encoding {
        self.open.last().map_or(self.encoding, |level| level.encoding)
    }

    /// How the data set itself is encoded.
    pub(crate) fn root_encoding(&self) -> Encoding {
        self.encoding
    }

    /// Elements so far, items counted.
    pub(crate) fn elements(&self) -> usize {
        self.elements
    }

    /// Bytes left in the innermost thing that has a length, or in all.
    pub(crate) fn left(&self) -> u64 {
        self.open.last().map_or(self.size, |level| level.bound).saturating_sub(self.position)
    }

    /// The sequence or item that claims more than the `size` bytes that came, whether it is still open or a
    /// delimiter closed it before.
    pub(crate) fn overrun(&self, size: u64) -> Option<ReadError> {
        let level = self.furthest.filter(|level| level.bound > size)?;
        Some(ReadError::Length {
            tag: level.tag,
            offset: level.start,
            length: level.bound.saturating_sub(level.start),
            available: size.saturating_sub(level.start),
        })
    }

    /// What the bytes from [`position`](Self::position) on begin with; `None` when they are too few to say, which
    /// twelve never are.
    ///
    /// # Errors
    /// [`ReadError`] when nothing of the kind may stand there.
    pub(crate) fn step(&mut self, bytes: &[u8]) -> Stepped {
        if let Some(level) = self.open.pop_if(|level| level.has_length && self.position >= level.bound) {
            return Ok(Some(Step::Close(level)));
        }
        if !self.at_top() {
            self.room(HEADER)?;
        }
        let Some(head) = bytes.first_chunk::<HEADER>() else { return Ok(None) };
        if !self.sniffed {
            self.sniffed = true;
            self.encoding = sniff(*head, self.encoding);
        }
        match self.open.last().map(|level| level.kind) {
            None => self.element(head, bytes, true),
            Some(Kind::Item) => self.element(head, bytes, false),
            Some(Kind::Sequence) => self.item(*head),
            Some(Kind::Pixels) => self.fragment(*head, true),
            Some(Kind::Fragments(_)) => self.fragment(*head, false),
        }
    }

    /// Whether the data set may end here, `rest` being what follows the last whole header or value.
    ///
    /// Padding of a byte or two behind the last element is seen in practice, and so is encapsulated pixel data
    /// without its delimiter.
    ///
    /// # Errors
    /// [`ReadError::Truncated`] when something is cut off, [`ReadError::NotDicom`] when nothing ever began.
    pub(crate) fn finish(&self, rest: &[u8]) -> Result<(), ReadError> {
        if !self.sniffed {
            return Err(ReadError::NotDicom);
        }
        let padding = rest.len() <= 2 || (rest.len() < HEADER && rest.iter().all(|&byte| byte == 0));
        match self.open.as_slice() {
            [] if padding => Ok(()),
            [Level { kind: Kind::Pixels, .. }] if rest.is_empty() => Ok(()),
            _ => Err(self.truncated()),
        }
    }

    pub(crate) fn truncated(&self) -> ReadError {
        ReadError::Truncated { tag: self.last_tag, offset: self.position }
    }

    fn room(&self, bytes: usize) -> Result<(), ReadError> {
        if self.left() < bytes as u64 { Err(self.truncated()) } else { Ok(()) }
    }

    fn count(&mut self) -> Result<(), ReadError> {
        self.elements += 1;
        if self.elements > self.elements_max { Err(ReadError::Elements(self.elements_max)) } else { Ok(()) }
    }

    /// An item header or the end of a sequence (PS3.5 § 7.5).
    fn item(&mut self, head: [u8; HEADER]) -> Stepped {
        let encoding = self.encoding();
        let (tag, length) = tag_and_length(head, encoding);
        let offset = self.position;
        match tag {
            ITEM => {
                self.count()?;
                self.advance(HEADER as u64);
                self.push(Kind::Item, tag, length, encoding)?;
                Ok(Some(Step::Item))
            }
            SEQUENCE_DELIMITER => self.close_behind_header(),
            tag => Err(ReadError::Misplaced { tag, offset }),
        }
    }

    fn element(&mut self, head: &[u8; HEADER], bytes: &[u8], top: bool) -> Stepped {
        let encoding = self.encoding();
        let (tag, implicit_length) = tag_and_length(*head, encoding);
        if tag.group() == DELIMITERS {
            return self.delimiter(tag, implicit_length, top);
        }
        let [.., a, b, c, d] = *head;
        let explicit = if encoding == Encoding::ImplicitLittle { None } else { named_vr([a, b]) };
        let (vr, length, header) = match explicit {
            Some(vr) if has_short_length(vr) => (vr, u32::from(u16_of([c, d], encoding)), HEADER),
            // Some writers leave single elements implicit. A VR of a later edition has the long form (PS3.5 § 7.1.2).
            None if encoding == Encoding::ImplicitLittle || !(a.is_ascii_uppercase() && b.is_ascii_uppercase()) => {
                (dictionary_vr(tag, self.signed_pixels), implicit_length, HEADER)
            }
            long => {
                if !top {
                    self.room(HEADER_MAX)?;
                }
                let Some(&[.., l0, l1, l2, l3]) = bytes.first_chunk::<HEADER_MAX>() else { return Ok(None) };
                (long.unwrap_or(VR::UN), u32_of([l0, l1, l2, l3], encoding), HEADER_MAX)
            }
        };
        self.count()?;
        self.last_tag = tag;
        self.advance(header as u64);
        if top && matches!(tag, tags::PIXEL_DATA | tags::FLOAT_PIXEL_DATA | tags::DOUBLE_FLOAT_PIXEL_DATA) {
            return self.pixels(tag, vr, length);
        }
        self.value(tag, vr, length)
    }

    /// A tag of group FFFE where an element may stand.
    fn delimiter(&mut self, tag: Tag, length: u32, top: bool) -> Stepped {
        match tag {
            ITEM_DELIMITER if !top => self.close_behind_header(),
            // It may close an item too, since writers forget the inner delimiter: the sequence meets it again.
            SEQUENCE_DELIMITER if !top => self.close(),
            // Items and delimiters without a sequence around them are seen in old files: stepped over.
            tag if top => {
                self.count()?;
                self.advance(HEADER as u64);
                Ok(Some(Step::Skip { tag, length: if length == UNDEFINED { 0 } else { u64::from(length) } }))
            }
            tag => Err(ReadError::Misplaced { tag, offset: self.position }),
        }
    }

    fn pixels(&mut self, tag: Tag, vr: VR, length: u32) -> Stepped {
        if length == UNDEFINED {
            self.push(Kind::Pixels, tag, length, self.encoding())?;
        }
        Ok(Some(Step::Pixels { tag, vr, length: (length != UNDEFINED).then_some(u64::from(length)) }))
    }

    fn value(&mut self, tag: Tag, vr: VR, length: u32) -> Stepped {
        let encoding = self.encoding();
        let undefined = length == UNDEFINED;
        match vr {
            VR::OB | VR::OD | VR::OF | VR::OL | VR::OV | VR::OW if undefined => {
                self.push(Kind::Fragments(vr), tag, length, encoding)?;
                return Ok(Some(Step::Fragments));
            }
            // Undefined length under UN is a sequence in implicit VR (PS3.5 § 6.2.2).
            VR::UN if undefined => return self.sequence(tag, length, Encoding::ImplicitLittle),
            _ if vr == VR::SQ || undefined => return self.sequence(tag, length, encoding),
            _ => {}
        }
        let length = self.fitting(tag, length)?;
        // Group lengths say nothing that is not seen (PS3.5 § 7.2).
        if tag.element() == 0 && self.at_top() {
            return Ok(Some(Step::Skip { tag, length }));
        }
        Ok(Some(Step::Value { tag, vr, length }))
    }

    fn sequence(&mut self, tag: Tag, length: u32, encoding: Encoding) -> Stepped {
        if self.open.len() >= self.depth_max {
            return Err(ReadError::Depth(self.depth_max / 2));
        }
        self.push(Kind::Sequence, tag, length, encoding)?;
        Ok(Some(Step::Sequence))
    }

    /// A fragment, or the end of what is encapsulated (PS3.5 § A.4).
    fn fragment(&mut self, head: [u8; HEADER], pixels: bool) -> Stepped {
        let (found, length) = tag_and_length(head, self.encoding());
        let offset = self.position;
        match found {
            ITEM => {
                // Fragments of the pixel data are not counted: nobody builds anything of them here.
                if !pixels {
                    self.count()?;
                }
                self.advance(HEADER as u64);
                let tag = self.last_tag;
                if length == UNDEFINED {
                    return Err(self.length_error(tag, length));
                }
                Ok(Some(Step::Skip { tag, length: self.fitting(tag, length)? }))
            }
            SEQUENCE_DELIMITER => self.close_behind_header(),
            // A forgotten delimiter: the data set goes on.
            _ if pixels => self.close(),
            tag => Err(ReadError::Misplaced { tag, offset }),
        }
    }

    fn push(&mut self, kind: Kind, tag: Tag, length: u32, encoding: Encoding) -> Result<(), ReadError> {
        let has_length = length != UNDEFINED;
        let start = self.position;
        let bound = match has_length {
            true => start.saturating_add(self.fitting(tag, length)?),
            false => start.saturating_add(self.left()),
        };
        let level = Level { kind, tag, start, bound, has_length, encoding };
        if has_length && self.furthest.is_none_or(|furthest| furthest.bound < bound) {
            self.furthest = Some(level);
        }
        self.open.push(level);
        Ok(())
    }

    fn close_behind_header(&mut self) -> Stepped {
        self.advance(HEADER as u64);
        self.close()
    }

    fn close(&mut self) -> Stepped {
        let level = self.open.pop().ok_or_else(|| self.truncated())?;
        Ok(Some(Step::Close(level)))
    }

    fn fitting(&self, tag: Tag, length: u32) -> Result<u64, ReadError> {
        if u64::from(length) > self.left() { Err(self.length_error(tag, length)) } else { Ok(u64::from(length)) }
    }

    fn length_error(&self, tag: Tag, length: u32) -> ReadError {
        ReadError::Length { tag, offset: self.position, length: u64::from(length), available: self.left() }
    }
}

/// The VR encoding the first element shows. An implicit length that spells two capitals would be over
/// 16 MiB, which no first element of a data set is.
fn sniff(head: [u8; HEADER], declared: Encoding) -> Encoding {
    let [g0, g1, _, _, v0, v1, ..] = head;
    let shows_vr = named_vr([v0, v1]).is_some();
    match declared {
        Encoding::ImplicitLittle if shows_vr => Encoding::ExplicitLittle,
        Encoding::ExplicitLittle if !shows_vr && u16::from_le_bytes([g0, g1]) <= 0x0040 => Encoding::ImplicitLittle,
        other => other,
    }
}

fn tag_and_length([g0, g1, e0, e1, l0, l1, l2, l3]: [u8; HEADER], encoding: Encoding) -> (Tag, u32) {
    (Tag(u16_of([g0, g1], encoding), u16_of([e0, e1], encoding)), u32_of([l0, l1, l2, l3], encoding))
}

fn u16_of(bytes: [u8; 2], encoding: Encoding) -> u16 {
    if encoding == Encoding::ExplicitBig { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
}

fn u32_of(bytes: [u8; 4], encoding: Encoding) -> u32 {
    if encoding == Encoding::ExplicitBig { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
}
