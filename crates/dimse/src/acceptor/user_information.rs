//! The user information of an association (PS3.7 § D.3.3): what each item asks for, and what is answered.
//!
//! | item | asks for | answer |
//! |---|---|---|
//! | 51, 52, 55 | maximum length, implementation | our own |
//! | 53 | operations outstanding at a time | at most as many as our limit; 1 performed, since we invoke none |
//! | 54 | roles | SCU as proposed; SCP as proposed for storage commitment, whose results come from the provider (PS3.4 § J.3.3), else never |
//! | 56 | extended negotiation | for storage: level 2, signature level 3, no coercion (PS3.4 § B.3.1) |
//! | 57 | common extended negotiation | none (§ D.3.3.6); says which unknown classes are storage |
//! | 58 | user identity | item 59, where it is asked for and the user is known |

use dicom_dictionary_std::uids;
use dicom_ul::pdu::{RequestorRoles, UserIdentity, UserIdentityType, UserVariableItem};

use super::negotiation::AcceptedContext;
use crate::config::ListenerConfig;
use crate::pdu::{CommonExtended, OPERATIONS_WINDOW, Rejection, USER_IDENTITY_RESPONSE, operations_window};
use crate::sop_class::{AbstractSyntax, is_for_storage};

/// Level 2 (every attribute is kept), signature level 3 (every bit is), and nothing is coerced
/// (PS3.4 Table B.3-2): what [`StorageService`](crate::StorageService) promises.
const STORAGE_SUPPORT: [u8; 6] = [2, 0, 3, 0, 0, 0];

/// What a peer says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct UserInformation {
    pub(crate) maximum_length: u32,
    pub(crate) class_uid: Option<String>,
    pub(crate) version_name: Option<String>,
}

impl UserInformation {
    pub(crate) fn of(variables: &[UserVariableItem]) -> Self {
        let mut user = Self::default();
        for variable in variables {
            match variable {
                UserVariableItem::MaxLength(length) => user.maximum_length = *length,
                UserVariableItem::ImplementationClassUID(uid) => user.class_uid = Some(uid.clone()),
                UserVariableItem::ImplementationVersionName(name) => user.version_name = Some(name.clone()),
                UserVariableItem::Unknown(..)
                | UserVariableItem::SopClassExtendedNegotiationSubItem(..)
                | UserVariableItem::ScuScpRoleSelectionSubItem(..)
                | UserVariableItem::UserIdentityItem(_) => {}
            }
        }
        user
    }
}

/// The operations that may be outstanding (PS3.7 § D.3.3.3): 0 asks for as many as we like; `None` where the
/// peer does not ask, which means one.
pub(super) fn agreed_window(variables: &[UserVariableItem], config: &ListenerConfig) -> Option<u16> {
    let ours = config.limits.operations_window.max(1);
    variables.iter().find_map(operations_window).map(|[invoked, _performed]| match invoked {
        0 => ours,
        asked => asked.min(ours),
    })
}

/// The item that answers with `window`. We invoke no operations, so none of ours are asynchronous.
pub(super) fn window_answer(window: u16) -> UserVariableItem {
    let [high, low] = window.to_be_bytes();
    UserVariableItem::Unknown(OPERATIONS_WINDOW, vec![high, low, 0, 1])
}

/// A user that is known.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    response_requested: bool,
}

impl User {
    /// The item that says so, where it is asked for. It is empty for users with a name (PS3.7 § D.3.3.7.2).
    pub(super) fn answer(&self) -> Option<UserVariableItem> {
        self.response_requested.then(|| UserVariableItem::Unknown(USER_IDENTITY_RESPONSE, vec![0, 0]))
    }
}

/// Who the user is, where only known ones may associate. Tickets, assertions and tokens name none we know.
pub(super) fn identify(variables: &[UserVariableItem], config: &ListenerConfig) -> Result<Option<User>, Rejection> {
    let Some(users) = &config.users else { return Ok(None) };
    let known = variables.iter().find_map(identity).and_then(|identity| {
        let (name, passcode) = (identity.primary_field(), identity.secondary_field());
        let passcode = match identity.identity_type() {
            UserIdentityType::Username => None,
            UserIdentityType::UsernamePassword => Some(passcode.as_slice()),
            _ => return None,
        };
        let name = String::from_utf8(name).ok().filter(|name| users.recognizes(name, passcode))?;
        Some(User { name, response_requested: identity.positive_response_requested() })
    });
    if known.is_none() {
        // The peer is told no reason; whoever looks into it here needs one. The name may be a passcode misplaced.
        tracing::warn!("user identity is missing or not recognized");
    }
    known.map(Some).ok_or(Rejection::USER_IDENTITY)
}

/// Whether [`identify`] takes its time.
pub(super) fn takes_time(variables: &[UserVariableItem], config: &ListenerConfig) -> bool {
    let (Some(users), Some(identity)) = (&config.users, variables.iter().find_map(identity)) else { return false };
    identity.identity_type() == UserIdentityType::UsernamePassword
        && String::from_utf8(identity.primary_field())
            .is_ok_and(|name| !users.is_quick(&name, &identity.secondary_field()))
}

fn identity(variable: &UserVariableItem) -> Option<&UserIdentity> {
    match variable {
        UserVariableItem::UserIdentityItem(identity) => Some(identity),
        _ => None,
    }
}

/// Whether the peer says that this SOP class is stored like those we know: it names the Storage Service Class,
/// or a storage class it is a special kind of (PS3.4 § B.4.1.2).
pub(super) fn is_said_to_be_storage(sop_class: &str, variables: &[UserVariableItem]) -> bool {
    variables.iter().filter_map(CommonExtended::of).filter(|said| said.sop_class == sop_class).any(|said| {
        let is_storage = |uid: &String| AbstractSyntax::of(uid) == AbstractSyntax::Storage;
        said.service_class == uids::STORAGE || said.related_general.iter().any(is_storage)
    })
}

/// The answers to role selection and extended negotiation, one of each for a SOP class that was accepted
/// (PS3.7 § D.3.3.4, § D.3.3.5). What has no answer takes its default.
pub(super) fn class_answers(variables: &[UserVariableItem], contexts: &[AcceptedContext]) -> Vec<UserVariableItem> {
    let mut answers: Vec<UserVariableItem> = Vec::new();
    let accepted = |sop_class: &str| contexts.iter().any(|context| context.abstract_syntax.as_str() == sop_class);
    for variable in variables {
        let answer = match variable {
            UserVariableItem::ScuScpRoleSelectionSubItem(sop_class, proposed) if accepted(sop_class) => {
                let scp = proposed.scp && sop_class == uids::STORAGE_COMMITMENT_PUSH_MODEL;
                let roles = RequestorRoles { scu: proposed.scu, scp };
                UserVariableItem::ScuScpRoleSelectionSubItem(sop_class.clone(), roles)
            }
            UserVariableItem::SopClassExtendedNegotiationSubItem(sop_class, _)
                if accepted(sop_class) && is_for_storage(sop_class) =>
            {
                UserVariableItem::SopClassExtendedNegotiationSubItem(sop_class.clone(), STORAGE_SUPPORT.to_vec())
            }
            _ => continue,
        };
        if !answers.iter().any(|given| same_subject(given, &answer)) {
            answers.push(answer);
        }
    }
    answers
}

fn same_subject(one: &UserVariableItem, other: &UserVariableItem) -> bool {
    use UserVariableItem::{ScuScpRoleSelectionSubItem as Roles, SopClassExtendedNegotiationSubItem as Extended};
    match (one, other) {
        (Roles(one, _), Roles(other, _)) | (Extended(one, _), Extended(other, _)) => one == other,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Implementation, Users};
    use UserVariableItem::{
        ScuScpRoleSelectionSubItem as Roles, SopClassExtendedNegotiationSubItem as Extended, Unknown,
    };
    use dokuei_types::{AeTitle, Uid};
    use std::sync::Arc;

    const CT: &str = uids::CT_IMAGE_STORAGE;

    #[derive(Debug)]
    struct OneUser;

    impl Users for OneUser {
        fn recognizes(&self, name: &str, passcode: Option<&[u8]>) -> bool {
            name == "Jo" && passcode == Some(b"sesame")
        }

        fn is_quick(&self, _name: &str, passcode: &[u8]) -> bool {
            passcode == b"sesame"
        }
    }

    fn config(users: Option<Arc<dyn Users>>) -> ListenerConfig {
        let implementation = Implementation { class_uid: Uid::new("1.2.3").unwrap(), version_name: "TEST 1".into() };
        ListenerConfig { users, ..ListenerConfig::new(AeTitle::new("NODE").unwrap(), implementation) }
    }

    fn user(kind: UserIdentityType, response: bool, passcode: &str) -> UserVariableItem {
        UserVariableItem::UserIdentityItem(UserIdentity::new(response, kind, b"Jo".to_vec(), passcode.into()))
    }

    #[test]
    fn only_a_user_that_is_known_passes_where_one_is_required() {
        let required = config(Some(Arc::new(OneUser)));
        let check = |variables: &[UserVariableItem], known: bool| {
            let expected = if known { Ok(Some("Jo".to_owned())) } else { Err(Rejection::USER_IDENTITY) };
            assert_eq!(identify(variables, &required).map(|user| user.map(|user| user.name)), expected);
        };
        check(&[user(UserIdentityType::UsernamePassword, false, "sesame")], true);
        check(&[user(UserIdentityType::UsernamePassword, false, "simsim")], false);
        check(&[user(UserIdentityType::Username, false, "sesame")], false);
        check(&[user(UserIdentityType::Jwt, false, "sesame")], false);
        check(&[user(UserIdentityType::SamlAssertion, true, "sesame")], false);
        check(&[user(UserIdentityType::KerberosServiceTicket, true, "sesame")], false);
        check(&[], false);
    }

    #[test]
    fn a_known_user_is_confirmed_when_asked_and_others_are_never_looked_at() {
        let kind = UserIdentityType::UsernamePassword;
        let required = config(Some(Arc::new(OneUser)));
        let known = |response| identify(&[user(kind.clone(), response, "sesame")], &required).unwrap().unwrap();
        assert_eq!(known(true).answer(), Some(Unknown(0x59, vec![0, 0])));
        assert_eq!(known(false).answer(), None);
        assert_eq!(identify(&[user(kind.clone(), true, "simsim")], &config(None)), Ok(None));
    }

    #[test]
    fn each_class_that_was_accepted_is_answered_once() {
        let context = |id, uid: &str| AcceptedContext {
            id,
            abstract_syntax: Uid::new(uid).unwrap(),
            transfer_syntax: Uid::new(uids::IMPLICIT_VR_LITTLE_ENDIAN).unwrap(),
        };
        let commitment = uids::STORAGE_COMMITMENT_PUSH_MODEL;
        let contexts = [context(1, CT), context(3, uids::VERIFICATION), context(5, commitment)];
        let roles = |uid: &str, scu, scp| Roles(uid.into(), RequestorRoles { scu, scp });
        let asked = [
            roles(CT, true, true),
            roles(CT, true, true),
            roles(uids::MR_IMAGE_STORAGE, true, false),
            roles(uids::VERIFICATION, false, true),
            roles(commitment, false, true),
            Extended(CT.into(), vec![3, 0, 0, 0, 2, 0]),
            Extended(CT.into(), vec![]),
            Extended(uids::MR_IMAGE_STORAGE.into(), vec![3, 0, 0, 0, 2, 0]),
            Extended(uids::VERIFICATION.into(), vec![1]),
        ];
        let answers = [
            roles(CT, true, false),
            roles(uids::VERIFICATION, false, false),
            roles(commitment, false, true),
            Extended(CT.into(), STORAGE_SUPPORT.to_vec()),
        ];
        assert_eq!(class_answers(&asked, &contexts), answers);
    }
}
