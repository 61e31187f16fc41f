//! The sub-items of the user information (PS3.7 § D.3.3), after their type, reserved byte and length:
//!
//! ```text
//! 51  maximum length, 4 bytes              56  {UID}, information of the service class
//! 52  implementation class UID             57  {SOP class UID} {service class UID} {{related UID}...}
//! 53  invoked, performed, 2 bytes each     58  type, response wanted, {primary} {secondary}
//! 54  {UID}, SCU role, SCP role            59  {response}
//! 55  implementation version name          {}  a length of 2 bytes and so many more
//! ```

use dicom_ul::pdu::{RequestorRoles, UserIdentity, UserIdentityType, UserVariableItem};

use super::associate::text;

/// Type of the asynchronous operations window (PS3.7 § D.3.3.3).
pub(crate) const OPERATIONS_WINDOW: u8 = 0x53;
/// Type of the common extended negotiation (PS3.7 § D.3.3.6).
const COMMON_EXTENDED: u8 = 0x57;
/// Type of the answer to the user identity (PS3.7 § D.3.3.7.2).
pub(crate) const USER_IDENTITY_RESPONSE: u8 = 0x59;

/// Reads a sub-item. Those dicom-ul has no type for are kept as they came, once they are known to be readable;
/// those of unknown type are kept unread, since they are to be ignored (PS3.8 § D.2).
pub(super) fn read(kind: u8, value: &[u8]) -> Result<UserVariableItem, &'static str> {
    let as_it_came = || UserVariableItem::Unknown(kind, value.to_vec());
    match kind {
        0x51 => {
            let length = value.first_chunk().ok_or("maximum length cut off")?;
            Ok(UserVariableItem::MaxLength(u32::from_be_bytes(*length)))
        }
        0x52 => Ok(UserVariableItem::ImplementationClassUID(text(value))),
        OPERATIONS_WINDOW => window(value).map(|_numbers| as_it_came()).ok_or("asynchronous operations window cut off"),
        0x54 => role(value).ok_or("role selection cut off"),
        0x55 => Ok(UserVariableItem::ImplementationVersionName(text(value))),
        0x56 => extended(value).ok_or("extended negotiation cut off"),
        COMMON_EXTENDED => {
            CommonExtended::read(value).map(|_said| as_it_came()).ok_or("common extended negotiation cut off")
        }
        0x58 => Ok(identity(value).ok_or("user identity cut off")?.unwrap_or_else(as_it_came)),
        _ => Ok(as_it_came()),
    }
}

/// The operations a requestor wants to invoke and perform at a time; 0 for any number.
pub(crate) fn operations_window(item: &UserVariableItem) -> Option<[u16; 2]> {
    match item {
        UserVariableItem::Unknown(OPERATIONS_WINDOW, value) => window(value),
        _ => None,
    }
}

fn window(value: &[u8]) -> Option<[u16; 2]> {
    let [a, b, c, d] = *value.first_chunk()?;
    Some([u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])])
}

/// What a requestor says of a SOP class.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CommonExtended {
    pub(crate) sop_class: String,
    pub(crate) service_class: String,
    /// The SOP classes it is a special kind of.
    pub(crate) related_general: Vec<String>,
}

impl CommonExtended {
    pub(crate) fn of(item: &UserVariableItem) -> Option<Self> {
        match item {
            UserVariableItem::Unknown(COMMON_EXTENDED, value) => Self::read(value),
            _ => None,
        }
    }

    fn read(value: &[u8]) -> Option<Self> {
        let (sop_class, rest) = prefixed(value)?;
        let (service_class, rest) = prefixed(rest)?;
        // Later versions of the item may add to its end.
        let (mut list, _reserved) = prefixed(rest)?;
        let mut related_general = Vec::new();
        while !list.is_empty() {
            let (uid, rest) = prefixed(list)?;
            related_general.push(text(uid));
            list = rest;
        }
        Some(Self { sop_class: text(sop_class), service_class: text(service_class), related_general })
    }
}

fn role(value: &[u8]) -> Option<UserVariableItem> {
    let (uid, rest) = prefixed(value)?;
    let [scu, scp] = *rest.first_chunk()?;
    Some(UserVariableItem::ScuScpRoleSelectionSubItem(text(uid), RequestorRoles { scu: scu != 0, scp: scp != 0 }))
}

fn extended(value: &[u8]) -> Option<UserVariableItem> {
    let (uid, information) = prefixed(value)?;
    Some(UserVariableItem::SopClassExtendedNegotiationSubItem(text(uid), information.to_vec()))
}

/// `None` inside for types that are not of the standard.
fn identity(value: &[u8]) -> Option<Option<UserVariableItem>> {
    let (&[kind, response], rest) = value.split_first_chunk()?;
    let (primary, rest) = prefixed(rest)?;
    let (secondary, _) = prefixed(rest)?;
    let kind = match kind {
        1 => UserIdentityType::Username,
        2 => UserIdentityType::UsernamePassword,
        3 => UserIdentityType::KerberosServiceTicket,
        4 => UserIdentityType::SamlAssertion,
        5 => UserIdentityType::Jwt,
        _ => return Some(None),
    };
    let identity = UserIdentity::new(response != 0, kind, primary.to_vec(), secondary.to_vec());
    Some(Some(UserVariableItem::UserIdentityItem(identity)))
}

/// A length of two bytes, as many bytes, and the rest.
fn prefixed(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: u8, value: &[u8], expected: &UserVariableItem) {
        assert_eq!(read(kind, value).as_ref(), Ok(expected));
    }

    #[test]
    fn items_are_read_as_they_are_laid_out() {
        let extended = UserVariableItem::SopClassExtendedNegotiationSubItem("1.2".into(), vec![3, 0]);
        check(0x56, b"\0\x041.2\0\x03\0", &extended);
        let identity = |response, kind, primary: &[u8], secondary: &[u8]| {
            let identity = UserIdentity::new(response, kind, primary.to_vec(), secondary.to_vec());
            UserVariableItem::UserIdentityItem(identity)
        };
        check(0x58, b"\x01\0\0\x02Jo\0\0", &identity(false, UserIdentityType::Username, b"Jo", b""));
        check(0x58, b"\x02\x01\0\x02Jo\0\x01x", &identity(true, UserIdentityType::UsernamePassword, b"Jo", b"x"));
        check(0x58, b"\x09\0\0\0\0\0", &UserVariableItem::Unknown(0x58, b"\x09\0\0\0\0\0".to_vec()));
        let window = read(0x53, &[0, 5, 1, 0]).unwrap();
        assert_eq!(operations_window(&window), Some([5, 256]));
    }

    #[test]
    fn a_class_may_have_any_number_of_general_ones() {
        let item = read(0x57, b"\0\x031.2\0\x031.3\0\x0A\0\x031.4\0\x031.5added later").unwrap();
        let said = CommonExtended::of(&item).unwrap();
        assert_eq!((said.sop_class.as_str(), said.service_class.as_str()), ("1.2", "1.3"));
        assert_eq!(said.related_general, ["1.4", "1.5"]);
        let none = read(0x57, b"\0\x031.2\0\0\0\0").unwrap();
        assert_eq!(CommonExtended::of(&none).unwrap().related_general, [""; 0]);
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        for (kind, value) in [
            (0x51, &b"\0\0\0"[..]),
            (0x53, b"\0\x05\0"),
            (0x54, b"\0\x031.2\x01"),
            (0x56, b"\0\x091.2"),
            (0x57, b"\0\x031.2\0\0"),
            (0x57, b"\0\x031.2\0\0\0\x02\0\x03"),
            (0x58, b"\x02"),
            (0x58, b"\x02\0\0\x09Jo"),
            (0x58, b"\x02\0\0\x02Jo\0\x09x"),
        ] {
            assert!(read(kind, value).is_err(), "{kind:02X} {value:?}");
        }
    }
}
