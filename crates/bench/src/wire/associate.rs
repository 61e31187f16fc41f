//! A-ASSOCIATE-RQ and A-ASSOCIATE-AC (PS3.8 § 9.3.2, § 9.3.3), written and read.

use std::io;

use dicom_dictionary_std::uids;

use super::pdu::{ASSOCIATE_AC, ASSOCIATE_RQ};
use super::{broken, pdu, take, text};

/// Implementation Class UID of the benchmark's own two sides (PS3.7 § D.3.3.2).
const IMPLEMENTATION_CLASS_UID: &str = "2.25.146743230064614038177079407274946733281";

const APPLICATION_CONTEXT_ITEM: u8 = 0x10;
const CONTEXT_RQ_ITEM: u8 = 0x20;
const CONTEXT_AC_ITEM: u8 = 0x21;
const ABSTRACT_SYNTAX_ITEM: u8 = 0x30;
const TRANSFER_SYNTAX_ITEM: u8 = 0x40;
const USER_INFORMATION_ITEM: u8 = 0x50;
const MAXIMUM_LENGTH_ITEM: u8 = 0x51;
const IMPLEMENTATION_ITEM: u8 = 0x52;
const WINDOW_ITEM: u8 = 0x53;

/// What stands before the items: protocol version, two AE titles, reserved bytes.
const FIXED_BYTES: usize = 68;

/// What a side says of itself (PS3.7 Annex D).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UserInformation {
    /// Longest P-DATA-TF it takes (PS3.8 § D.1); 0 is no limit.
    pub(crate) pdu_length_max_bytes: u32,
    /// Maximum Number Operations Invoked of the Asynchronous Operations Window (PS3.7 § D.3.3.3).
    pub(crate) window: Option<u16>,
}

/// An A-ASSOCIATE-RQ as the acceptor reads it.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    fixed: &'a [u8],
    /// Presentation context ID and the transfer syntaxes proposed for it.
    contexts: Vec<(u8, Vec<&'a str>)>,
    pub(crate) user: UserInformation,
}

/// An A-ASSOCIATE-AC as the requestor reads it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// IDs of the presentation contexts with result 0, acceptance.
    pub(crate) contexts: Vec<u8>,
    pub(crate) user: UserInformation,
}

/// Asks for one context with ID 1 for `sop_class` in Explicit VR Little Endian.
pub(crate) fn request(called: &str, calling: &str, sop_class: &str, user: UserInformation) -> Vec<u8> {
    let mut body = vec![0, 1, 0, 0];
    body.extend_from_slice(format!("{called:16.16}{calling:16.16}").as_bytes());
    body.extend_from_slice(&[0; 32]);
    put_item(&mut body, APPLICATION_CONTEXT_ITEM, uids::DICOM_APPLICATION_CONTEXT.as_bytes());
    let mut context = vec![1, 0, 0, 0];
    put_item(&mut context, ABSTRACT_SYNTAX_ITEM, sop_class.as_bytes());
    put_item(&mut context, TRANSFER_SYNTAX_ITEM, uids::EXPLICIT_VR_LITTLE_ENDIAN.as_bytes());
    put_item(&mut body, CONTEXT_RQ_ITEM, &context);
    put_item(&mut body, USER_INFORMATION_ITEM, &user_information(user));
    let mut out = Vec::new();
    pdu::put(&mut out, ASSOCIATE_RQ, &body);
    out
}

/// Accepts every context in the first transfer syntax proposed for it.
pub(crate) fn accept(request: &Request, user: UserInformation) -> Vec<u8> {
    let mut body = request.fixed.to_vec();
    put_item(&mut body, APPLICATION_CONTEXT_ITEM, uids::DICOM_APPLICATION_CONTEXT.as_bytes());
    for (id, transfer_syntaxes) in &request.contexts {
        let mut context = vec![*id, 0, 0, 0];
        let chosen = transfer_syntaxes.first().copied().unwrap_or_default();
        put_item(&mut context, TRANSFER_SYNTAX_ITEM, chosen.as_bytes());
        put_item(&mut body, CONTEXT_AC_ITEM, &context);
    }
    put_item(&mut body, USER_INFORMATION_ITEM, &user_information(user));
    let mut out = Vec::new();
    pdu::put(&mut out, ASSOCIATE_AC, &body);
    out
}

impl<'a> Request<'a> {
    pub(crate) fn parse(mut body: &'a [u8]) -> io::Result<Self> {
        let fixed = take(&mut body, FIXED_BYTES)?;
        let mut request = Self { fixed, contexts: Vec::new(), user: UserInformation::default() };
        while let Some((kind, item)) = next_item(&mut body)? {
            match kind {
                CONTEXT_RQ_ITEM => request.contexts.push(proposed(item)?),
                USER_INFORMATION_ITEM => request.user = UserInformation::parse(item)?,
                _ => {}
            }
        }
        Ok(request)
    }

    /// The transfer syntax accepted for a context.
    pub(crate) fn transfer_syntax(&self, context: u8) -> &'a str {
        let proposed = self.contexts.iter().find(|(id, _)| *id == context);
        proposed.and_then(|(_, transfer_syntaxes)| transfer_syntaxes.first().copied()).unwrap_or_default()
    }
}

fn proposed(mut item: &[u8]) -> io::Result<(u8, Vec<&str>)> {
    let id = take(&mut item, 4)?[0];
    let mut transfer_syntaxes = Vec::new();
    while let Some((kind, value)) = next_item(&mut item)? {
        if kind == TRANSFER_SYNTAX_ITEM {
            transfer_syntaxes.push(text(value)?);
        }
    }
    Ok((id, transfer_syntaxes))
}

impl Accepted {
    pub(crate) fn parse(mut body: &[u8]) -> io::Result<Self> {
        take(&mut body, FIXED_BYTES)?;
        let mut accepted = Self { contexts: Vec::new(), user: UserInformation::default() };
        while let Some((kind, item)) = next_item(&mut body)? {
            match (kind, item) {
                (CONTEXT_AC_ITEM, [id, _, 0, ..]) => accepted.contexts.push(*id),
                (USER_INFORMATION_ITEM, _) => accepted.user = UserInformation::parse(item)?,
                _ => {}
            }
        }
        Ok(accepted)
    }
}

impl UserInformation {
    fn parse(mut item: &[u8]) -> io::Result<Self> {
        let mut user = Self::default();
        while let Some((kind, value)) = next_item(&mut item)? {
            match (kind, value) {
                (MAXIMUM_LENGTH_ITEM, [a, b, c, d]) => user.pdu_length_max_bytes = u32::from_be_bytes([*a, *b, *c, *d]),
                (WINDOW_ITEM, [a, b, _, _]) => user.window = Some(u16::from_be_bytes([*a, *b])),
                _ => {}
            }
        }
        Ok(user)
    }
}

fn user_information(user: UserInformation) -> Vec<u8> {
    let mut item = Vec::new();
    put_item(&mut item, MAXIMUM_LENGTH_ITEM, &user.pdu_length_max_bytes.to_be_bytes());
    put_item(&mut item, IMPLEMENTATION_ITEM, IMPLEMENTATION_CLASS_UID.as_bytes());
    if let Some(window) = user.window {
        // Invoked by the requestor as often as asked, performed by it one at a time.
        let [a, b] = window.to_be_bytes();
        put_item(&mut item, WINDOW_ITEM, &[a, b, 0, 1]);
    }
    item
}

fn put_item(out: &mut Vec<u8>, kind: u8, value: &[u8]) {
    out.extend_from_slice(&[kind, 0]);
    out.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(value);
}

fn next_item<'a>(bytes: &mut &'a [u8]) -> io::Result<Option<(u8, &'a [u8])>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let [kind, _, high, low] = take(bytes, 4)? else { return Err(broken("an item without its header")) };
    let length = u16::from_be_bytes([*high, *low]);
    Ok(Some((*kind, take(bytes, usize::from(length))?)))
}

#[cfg(test)]
mod tests {
    use super::super::pdu::PduReader;
    use super::*;

    #[test]
    fn a_request_is_accepted_as_it_was_made() {
        let asked = UserInformation { pdu_length_max_bytes: 16384, window: Some(8) };
        let bytes = request("CALLED", "CALLING", uids::CT_IMAGE_STORAGE, asked);
        let mut reader = PduReader::new(&bytes[..], 4096);
        let pdu = reader.next().unwrap();
        assert_eq!(pdu.kind, ASSOCIATE_RQ);
        let request = Request::parse(pdu.body).unwrap();
        assert_eq!(request.user, asked);
        assert_eq!(request.transfer_syntax(1), uids::EXPLICIT_VR_LITTLE_ENDIAN);

        let said = UserInformation { pdu_length_max_bytes: 0, window: None };
        let bytes = accept(&request, said);
        let mut reader = PduReader::new(&bytes[..], 4096);
        let pdu = reader.next().unwrap();
        assert_eq!(pdu.kind, ASSOCIATE_AC);
        assert_eq!(Accepted::parse(pdu.body).unwrap(), Accepted { contexts: vec![1], user: said });
    }
}
