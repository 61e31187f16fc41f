//! Command sets (PS3.7 § 6.3): elements of group 0000 in Implicit VR Little Endian, whatever the
//! transfer syntax of the context.
//!
//! ```text
//!  0..2  group, 0000      4..8  length of the value
//!  2..4  element          8..   the value, even
//! ```

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dokuei_types::{DimseStatus, Uid};

/// Command Data Set Type (0000,0800): no data set follows. Every other value means that one does.
pub const NO_DATA_SET: u16 = 0x0101;

/// Why bytes are no command set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// An element that ends after the set does.
    #[error("element {0} is cut off")]
    Truncated(Tag),
    /// Fewer than eight bytes where an element has to begin.
    #[error("element header is cut off")]
    Header,
    /// An element of another group than 0000.
    #[error("element {0} is not of group 0000")]
    Group(Tag),
    /// An element that every message must have is missing or has another length than two.
    #[error("element {0} is missing or not a number")]
    Number(Tag),
}

/// A command set that has been checked: its elements fit, and Command Field and Command Data Set Type
/// are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandSet {
    bytes: Vec<u8>,
    field: u16,
    data_set_type: u16,
}

impl CommandSet {
    /// Checks the bytes of a whole command set.
    ///
    /// # Errors
    /// [`CommandError`] when an element does not fit, or the two without which a message cannot be
    /// delimited are missing.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, CommandError> {
        let mut elements = Elements(&bytes);
        while elements.next()?.is_some() {}
        let mut set = Self { bytes, field: 0, data_set_type: 0 };
        set.field = set.number(tags::COMMAND_FIELD).ok_or(CommandError::Number(tags::COMMAND_FIELD))?;
        set.data_set_type =
            set.number(tags::COMMAND_DATA_SET_TYPE).ok_or(CommandError::Number(tags::COMMAND_DATA_SET_TYPE))?;
        Ok(set)
    }

    /// Command Field (0000,0100).
    #[must_use]
    pub fn field(&self) -> u16 {
        self.field
    }

    /// Whether a data set follows (Command Data Set Type).
    #[must_use]
    pub fn has_data_set(&self) -> bool {
        self.data_set_type != NO_DATA_SET
    }

    /// Message ID (0000,0110).
    #[must_use]
    pub fn message_id(&self) -> Option<u16> {
        self.number(tags::MESSAGE_ID)
    }

    /// Message ID Being Responded To (0000,0120).
    #[must_use]
    pub fn responds_to(&self) -> Option<u16> {
        self.number(tags::MESSAGE_ID_BEING_RESPONDED_TO)
    }

    /// Status (0000,0900).
    #[must_use]
    pub fn status(&self) -> Option<DimseStatus> {
        self.number(tags::STATUS).map(DimseStatus)
    }

    /// The first element with this tag, padding included.
    #[must_use]
    pub fn bytes(&self, tag: Tag) -> Option<&[u8]> {
        let mut elements = Elements(&self.bytes);
        while let Ok(Some((found, value))) = elements.next() {
            if found == tag {
                return Some(value);
            }
        }
        None
    }

    /// An unsigned 16-bit value.
    #[must_use]
    pub fn number(&self, tag: Tag) -> Option<u16> {
        let value: [u8; 2] = self.bytes(tag)?.try_into().ok()?;
        Some(u16::from_le_bytes(value))
    }

    /// A UID; `None` when absent or none.
    #[must_use]
    pub fn uid(&self, tag: Tag) -> Option<Uid> {
        Uid::new(std::str::from_utf8(self.bytes(tag)?).ok()?).ok()
    }

    /// A text, trimmed; characters outside ASCII and control characters become `?`, since the sender's
    /// character set is not known here. Empty when absent.
    #[must_use]
    pub fn text(&self, tag: Tag) -> String {
        let bytes = self.bytes(tag).unwrap_or_default();
        let text: String =
            bytes.iter().map(|byte| if matches!(byte, b' '..=b'~' | 0) { char::from(*byte) } else { '?' }).collect();
        text.trim_matches([' ', '\0']).to_owned()
    }
}

struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    fn next(&mut self) -> Result<Option<(Tag, &'a [u8])>, CommandError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let Some((&[g0, g1, e0, e1, length @ ..], after)) = self.0.split_first_chunk::<8>() else {
            return Err(CommandError::Header);
        };
        let tag = Tag(u16::from_le_bytes([g0, g1]), u16::from_le_bytes([e0, e1]));
        if tag.group() != tags::COMMAND_FIELD.group() {
            return Err(CommandError::Group(tag));
        }
        let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
        let (value, rest) = after.split_at_checked(length).ok_or(CommandError::Truncated(tag))?;
        self.0 = rest;
        Ok(Some((tag, value)))
    }
}

/// Builds a command set; elements are to be put in ascending order of their tags.
#[derive(Debug, Default)]
pub struct CommandWriter {
    elements: Vec<u8>,
}

impl CommandWriter {
    /// An unsigned 16-bit value.
    #[must_use]
    pub fn number(self, tag: Tag, value: u16) -> Self {
        self.value(tag, &value.to_le_bytes(), 0)
    }

    /// A UID.
    #[must_use]
    pub fn uid(self, tag: Tag, uid: &Uid) -> Self {
        self.value(tag, uid.as_str().as_bytes(), 0)
    }

    /// A text of at most 64 bytes of ASCII (VR LO); what is longer is cut, what is not ASCII becomes `?`.
    #[must_use]
    pub fn text(self, tag: Tag, text: &str) -> Self {
        let ascii: Vec<u8> = text
            .chars()
            .take(64)
            .map(|c| match u8::try_from(c) {
                Ok(byte @ b' '..=b'~') if byte != b'\\' => byte,
                _ => b'?',
            })
            .collect();
        self.value(tag, &ascii, b' ')
    }

    fn value(mut self, tag: Tag, value: &[u8], padding: u8) -> Self {
        let padded = value.len().saturating_add(value.len() & 1);
        self.elements.extend_from_slice(&tag.group().to_le_bytes());
        self.elements.extend_from_slice(&tag.element().to_le_bytes());
        self.elements.extend_from_slice(&u32::try_from(padded).unwrap_or(u32::MAX).to_le_bytes());
        self.elements.extend_from_slice(value);
        if padded > value.len() {
            self.elements.push(padding);
        }
        self
    }

    /// The whole set, Command Group Length (0000,0000) first.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        let length = u32::try_from(self.elements.len()).unwrap_or(u32::MAX);
        let mut set = Self::default().value(tags::COMMAND_GROUP_LENGTH, &length.to_le_bytes(), 0).elements;
        set.extend_from_slice(&self.elements);
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let uid = Uid::new("1.2.3").unwrap();
        let bytes = CommandWriter::default()
            .uid(tags::AFFECTED_SOP_CLASS_UID, &uid)
            .number(tags::COMMAND_FIELD, 0x8001)
            .number(tags::COMMAND_DATA_SET_TYPE, NO_DATA_SET)
            .number(tags::STATUS, 0xA700)
            .text(tags::ERROR_COMMENT, "no room \\ für mehr")
            .finish();
        assert_eq!(bytes[..12], [0, 0, 0, 0, 4, 0, 0, 0, u8::try_from(bytes.len() - 12).unwrap(), 0, 0, 0]);
        let set = CommandSet::parse(bytes).unwrap();
        assert_eq!((set.field(), set.has_data_set()), (0x8001, false));
        assert_eq!(set.uid(tags::AFFECTED_SOP_CLASS_UID), Some(uid));
        assert_eq!(set.status(), Some(DimseStatus::OUT_OF_RESOURCES));
        assert_eq!(set.text(tags::ERROR_COMMENT), "no room ? f?r mehr");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let field = [0, 0, 0, 1, 2, 0, 0, 0, 0x30, 0];
        let cases = [
            (vec![0; 7], CommandError::Header),
            (vec![8, 0, 0x18, 0, 0, 0, 0, 0], CommandError::Group(Tag(8, 0x18))),
            (vec![0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF], CommandError::Truncated(tags::COMMAND_FIELD)),
            (vec![], CommandError::Number(tags::COMMAND_FIELD)),
            (field.to_vec(), CommandError::Number(tags::COMMAND_DATA_SET_TYPE)),
        ];
        for (bytes, error) in cases {
            assert_eq!(CommandSet::parse(bytes.clone()), Err(error), "{bytes:02X?}");
        }
    }
}
