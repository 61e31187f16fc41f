//! Reading A-ASSOCIATE-RQ (PS3.8 § 9.3.2) and A-ASSOCIATE-AC (PS3.8 § 9.3.3).
//!
//! The body of both, after the PDU header:
//!
//! ```text
//!  0..2   protocol version, one bit each     36..68  reserved
//!  2..4   reserved                           68..    items: type, reserved, length (2 bytes), value
//!  4..20  called AE title                            10 application context
//! 20..36  calling AE title                           20 presentation context proposed {30, 40...}
//!                                                    21 presentation context result {40}
//!                                                    50 user information {51 to 59, PS3.7 Annex D}
//! ```
//!
//! Items of unknown type are skipped, as the standard asks (PS3.8 § 9.3.1). An item must end where
//! the one around it ends, at the latest.

use dicom_ul::pdu::{
    AssociationAC, AssociationRQ, PresentationContextProposed, PresentationContextResult,
    PresentationContextResultReason, UserVariableItem,
};

use super::user_items;
use super::{PduKind, ProtocolError};

/// Bytes before the first item.
const FIXED: usize = 68;

/// Reads the body (all but the PDU header) of an A-ASSOCIATE-RQ.
///
/// Texts come trimmed of the spaces and NULs that pad them. A missing application context is an empty
/// text, for the acceptor to reject.
///
/// # Errors
/// [`ProtocolError::Item`] when an item does not fit where it is.
pub fn read_request(body: &[u8]) -> Result<AssociationRQ, ProtocolError> {
    let parts = Parts::read(PduKind::AssociateRequest, body, 0x20, proposed)?;
    Ok(AssociationRQ {
        protocol_version: parts.version,
        calling_ae_title: parts.calling,
        called_ae_title: parts.called,
        application_context_name: parts.application_context,
        presentation_contexts: parts.contexts,
        user_variables: parts.user_variables,
    })
}

/// Reads the body (all but the PDU header) of an A-ASSOCIATE-AC, as [`read_request`] does.
///
/// # Errors
/// [`ProtocolError::Item`] when an item does not fit where it is.
pub fn read_accept(body: &[u8]) -> Result<AssociationAC, ProtocolError> {
    let parts = Parts::read(PduKind::AssociateAccept, body, 0x21, result)?;
    Ok(AssociationAC {
        protocol_version: parts.version,
        calling_ae_title: parts.calling,
        called_ae_title: parts.called,
        application_context_name: parts.application_context,
        presentation_contexts: parts.contexts,
        user_variables: parts.user_variables,
    })
}

/// What both PDUs are made of; only their presentation contexts differ (PS3.8 § 9.3.2, § 9.3.3).
struct Parts<C> {
    version: u16,
    called: String,
    calling: String,
    application_context: String,
    contexts: Vec<C>,
    user_variables: Vec<UserVariableItem>,
}

impl<C> Parts<C> {
    /// Items of a type that is not known are stepped over (PS3.8 § 9.3.1).
    fn read(
        kind: PduKind,
        body: &[u8],
        context_item: u8,
        context: impl Fn(Items<'_>) -> Result<C, ProtocolError>,
    ) -> Result<Self, ProtocolError> {
        let (Some(fixed), Some(rest)) = (body.get(..FIXED), body.get(FIXED..)) else {
            return Err(ProtocolError::Item { kind, what: "shorter than its fixed fields" });
        };
        let mut parts = Self {
            version: fixed.first_chunk().copied().map_or(0, u16::from_be_bytes),
            called: text(fixed.get(4..20).unwrap_or_default()),
            calling: text(fixed.get(20..36).unwrap_or_default()),
            application_context: String::new(),
            contexts: Vec::new(),
            user_variables: Vec::new(),
        };
        let mut items = Items { kind, rest };
        while let Some((item, value)) = items.next()? {
            match item {
                0x10 => parts.application_context = text(value),
                0x50 => parts.user_variables = user_variables(items.of(value))?,
                item if item == context_item => parts.contexts.push(context(items.of(value))?),
                _ => {}
            }
        }
        Ok(parts)
    }
}

/// Walks items of type, reserved, length, value.
struct Items<'a> {
    kind: PduKind,
    rest: &'a [u8],
}

impl<'a> Items<'a> {
    fn of(&self, value: &'a [u8]) -> Items<'a> {
        Items { kind: self.kind, rest: value }
    }

    fn error(&self, what: &'static str) -> ProtocolError {
        ProtocolError::Item { kind: self.kind, what }
    }

    fn next(&mut self) -> Result<Option<(u8, &'a [u8])>, ProtocolError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let Some((&[kind, _, high, low], after)) = self.rest.split_first_chunk() else {
            return Err(self.error("item header cut off"));
        };
        let Some((value, rest)) = after.split_at_checked(usize::from(u16::from_be_bytes([high, low]))) else {
            return Err(self.error("item reaches past its end"));
        };
        self.rest = rest;
        Ok(Some((kind, value)))
    }

    /// The first byte of a presentation context item, and the third; the items follow.
    fn context_header(&mut self) -> Result<(u8, u8), ProtocolError> {
        let Some((&[id, _, reason, _], rest)) = self.rest.split_first_chunk() else {
            return Err(self.error("presentation context cut off"));
        };
        self.rest = rest;
        Ok((id, reason))
    }
}

fn proposed(mut items: Items<'_>) -> Result<PresentationContextProposed, ProtocolError> {
    let (id, _) = items.context_header()?;
    let mut context = PresentationContextProposed { id, abstract_syntax: String::new(), transfer_syntaxes: Vec::new() };
    while let Some((kind, value)) = items.next()? {
        match kind {
            0x30 => context.abstract_syntax = text(value),
            0x40 => context.transfer_syntaxes.push(text(value)),
            _ => {}
        }
    }
    Ok(context)
}

fn result(mut items: Items<'_>) -> Result<PresentationContextResult, ProtocolError> {
    let (id, reason) = items.context_header()?;
    let reason = match reason {
        0 => PresentationContextResultReason::Acceptance,
        1 => PresentationContextResultReason::UserRejection,
        3 => PresentationContextResultReason::AbstractSyntaxNotSupported,
        4 => PresentationContextResultReason::TransferSyntaxesNotSupported,
        _ => PresentationContextResultReason::NoReason,
    };
    let mut context = PresentationContextResult { id, reason, transfer_syntax: String::new() };
    while let Some((kind, value)) = items.next()? {
        if kind == 0x40 && context.transfer_syntax.is_empty() {
            context.transfer_syntax = text(value);
        }
    }
    Ok(context)
}

/// The sub-items of the user information.
fn user_variables(mut items: Items<'_>) -> Result<Vec<UserVariableItem>, ProtocolError> {
    let mut variables = Vec::new();
    while let Some((kind, value)) = items.next()? {
        variables.push(user_items::read(kind, value).map_err(|what| items.error(what))?);
    }
    Ok(variables)
}

/// The default repertoire is ASCII; what is not becomes U+FFFD and then matches nothing.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_matches([' ', '\0']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed() -> Vec<u8> {
        let mut body = vec![0, 1, 0, 0];
        body.extend_from_slice(b"CALLED          CALLING         ");
        body.resize(FIXED, 0);
        body
    }

    fn item(kind: u8, value: &[u8]) -> Vec<u8> {
        let mut item = vec![kind, 0];
        item.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        item.extend_from_slice(value);
        item
    }

    #[test]
    fn unknown_items_are_skipped_at_every_level() {
        let context = [&[7, 0, 0, 0][..], &item(0x30, b"1.2\0"), &item(0x77, b"?"), &item(0x40, b"1.2.3")].concat();
        let user = [item(0x51, &[0, 0, 1, 0]), item(0x53, &[0, 1, 0, 1])].concat();
        let body =
            [fixed(), item(0x99, b"new"), item(0x10, b"1.2.840"), item(0x20, &context), item(0x50, &user)].concat();
        let request = read_request(&body).unwrap();
        assert_eq!((request.called_ae_title.as_str(), request.calling_ae_title.as_str()), ("CALLED", "CALLING"));
        let context = &request.presentation_contexts[0];
        assert_eq!((context.id, context.abstract_syntax.as_str()), (7, "1.2"));
        assert_eq!(context.transfer_syntaxes, ["1.2.3"]);
        assert_eq!(
            request.user_variables,
            [UserVariableItem::MaxLength(256), UserVariableItem::Unknown(0x53, vec![0, 1, 0, 1])]
        );
    }

    #[test]
    fn a_rejected_context_may_name_no_transfer_syntax() {
        let body = [fixed(), item(0x21, &[1, 0, 3, 0]), item(0x21, &[3, 0, 200, 0])].concat();
        let results = read_accept(&body).unwrap().presentation_contexts;
        assert_eq!(results[0].reason, PresentationContextResultReason::AbstractSyntaxNotSupported);
        assert_eq!(results[1].reason, PresentationContextResultReason::NoReason);
    }

    #[test]
    fn items_that_reach_too_far_are_refused() {
        let role_past_end = item(0x50, &item(0x54, &[0xFF, 0xFF, b'1']));
        for broken in [vec![0x10], vec![0x10, 0, 0, 9, b'1'], item(0x20, &[1, 0]), role_past_end] {
            let body = [fixed(), broken].concat();
            assert!(matches!(read_request(&body), Err(ProtocolError::Item { .. })), "{body:02X?}");
        }
        assert!(matches!(read_request(&fixed()[..67]), Err(ProtocolError::Item { .. })));
    }
}
