//! Command sets (PS3.7 § 6.3): Implicit VR Little Endian, whatever the data set's transfer syntax.

use std::io;

use dicom_dictionary_std::tags;
use dokuei_dataset::Tag;

use super::{broken, take, text};

/// Command Field of the requests (PS3.7 § E.1); a response has the highest bit set too.
pub(crate) const C_STORE_RQ: u16 = 0x0001;
pub(crate) const C_ECHO_RQ: u16 = 0x0030;
pub(crate) const RESPONSE: u16 = 0x8000;

/// Command Data Set Type (PS3.7 § E.1): none follows, and any other value.
const NO_DATA_SET: u16 = 0x0101;
const DATA_SET: u16 = 0x0000;

/// What a request or response says, as far as storage needs it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Command<'a> {
    pub(crate) field: u16,
    pub(crate) message_id: u16,
    pub(crate) responds_to: u16,
    pub(crate) status: u16,
    pub(crate) sop_class: &'a str,
    pub(crate) sop_instance: &'a str,
}

/// C-STORE-RQ (PS3.7 § 9.3.1.1) of medium priority.
pub(crate) fn c_store_rq(sop_class: &str, sop_instance: &str, message_id: u16) -> Vec<u8> {
    let mut elements = Vec::new();
    put_uid(&mut elements, tags::AFFECTED_SOP_CLASS_UID, sop_class);
    put_u16(&mut elements, tags::COMMAND_FIELD, C_STORE_RQ);
    put_u16(&mut elements, tags::MESSAGE_ID, message_id);
    put_u16(&mut elements, tags::PRIORITY, 0);
    put_u16(&mut elements, tags::COMMAND_DATA_SET_TYPE, DATA_SET);
    put_uid(&mut elements, tags::AFFECTED_SOP_INSTANCE_UID, sop_instance);
    with_group_length(&elements)
}

/// The response of success to C-STORE (PS3.7 § 9.3.1.2) and C-ECHO (§ 9.3.5.2).
pub(crate) fn success(request: &Command) -> Vec<u8> {
    let mut elements = Vec::new();
    put_uid(&mut elements, tags::AFFECTED_SOP_CLASS_UID, request.sop_class);
    put_u16(&mut elements, tags::COMMAND_FIELD, request.field | RESPONSE);
    put_u16(&mut elements, tags::MESSAGE_ID_BEING_RESPONDED_TO, request.message_id);
    put_u16(&mut elements, tags::COMMAND_DATA_SET_TYPE, NO_DATA_SET);
    put_u16(&mut elements, tags::STATUS, 0);
    if !request.sop_instance.is_empty() {
        put_uid(&mut elements, tags::AFFECTED_SOP_INSTANCE_UID, request.sop_instance);
    }
    with_group_length(&elements)
}

impl<'a> Command<'a> {
    pub(crate) fn parse(mut bytes: &'a [u8]) -> io::Result<Self> {
        // A response without a status is none of success.
        let mut command = Command { status: u16::MAX, ..Command::default() };
        while !bytes.is_empty() {
            let tag = Tag(le16(take(&mut bytes, 2)?), le16(take(&mut bytes, 2)?));
            let length = usize::from(le16(take(&mut bytes, 2)?)) + (usize::from(le16(take(&mut bytes, 2)?)) << 16);
            let value = take(&mut bytes, length)?;
            match tag {
                tags::AFFECTED_SOP_CLASS_UID => command.sop_class = text(value)?,
                tags::AFFECTED_SOP_INSTANCE_UID => command.sop_instance = text(value)?,
                tags::COMMAND_FIELD => command.field = le16(value),
                tags::MESSAGE_ID => command.message_id = le16(value),
                tags::MESSAGE_ID_BEING_RESPONDED_TO => command.responds_to = le16(value),
                tags::STATUS => command.status = le16(value),
                Tag(0, _) => {}
                _ => return Err(broken(format!("{tag} in a command set"))),
            }
        }
        Ok(command)
    }
}

fn with_group_length(elements: &[u8]) -> Vec<u8> {
    let length = u32::try_from(elements.len()).unwrap_or(u32::MAX);
    let mut command = Vec::with_capacity(elements.len() + 12);
    put(&mut command, tags::COMMAND_GROUP_LENGTH, &length.to_le_bytes());
    command.extend_from_slice(elements);
    command
}

fn put_u16(out: &mut Vec<u8>, tag: Tag, value: u16) {
    put(out, tag, &value.to_le_bytes());
}

fn put_uid(out: &mut Vec<u8>, tag: Tag, uid: &str) {
    let mut value = uid.as_bytes().to_vec();
    value.resize(uid.len().next_multiple_of(2), 0);
    put(out, tag, &value);
}

fn put(out: &mut Vec<u8>, tag: Tag, value: &[u8]) {
    out.extend_from_slice(&tag.group().to_le_bytes());
    out.extend_from_slice(&tag.element().to_le_bytes());
    out.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(value);
}

/// The first two bytes; zero where there are fewer.
fn le16(bytes: &[u8]) -> u16 {
    bytes.first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_and_its_response_are_read_as_they_were_written() {
        let request = c_store_rq("1.2.840.10008.5.1.4.1.1.2", "2.25.77", 9);
        let request = Command::parse(&request).unwrap();
        assert_eq!((request.field, request.message_id), (C_STORE_RQ, 9));
        assert_eq!((request.sop_class, request.sop_instance), ("1.2.840.10008.5.1.4.1.1.2", "2.25.77"));

        let response = success(&request);
        let response = Command::parse(&response).unwrap();
        assert_eq!((response.field, response.responds_to, response.status), (0x8001, 9, 0));
        assert_eq!(response.sop_instance, "2.25.77");
    }

    #[test]
    fn a_response_without_a_status_is_no_success() {
        assert_ne!(Command::parse(&[]).unwrap().status, 0);
    }

    #[test]
    fn a_length_beyond_the_end_is_refused() {
        assert!(Command::parse(&[0, 0, 0, 1, 200, 0, 0, 0, 1]).is_err());
    }
}
