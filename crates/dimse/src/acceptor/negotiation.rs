//! From an A-ASSOCIATE-RQ to the answer (PS3.8 § 7.1, PS3.7 Annex D); no sockets.

use std::net::SocketAddr;

use dicom_dictionary_std::uids;
use dicom_ul::pdu::{
    AssociationAC, AssociationRQ, Pdu, PresentationContextProposed, PresentationContextResult,
    PresentationContextResultReason as Reason, UserVariableItem, write_pdu,
};
use dokuei_types::{AeTitle, Uid};

use super::user_information::{
    User, UserInformation, agreed_window, class_answers, identify, is_said_to_be_storage, window_answer,
};
use crate::config::{ListenerConfig, TransferSyntaxChoice};
use crate::message::ContextSet;
use crate::pdu::{Rejection, SendLimit};
use crate::sop_class::{AbstractSyntax, TransferSyntax, is_for_storage};

/// A presentation context both sides agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedContext {
    /// Odd, 1 to 255.
    pub id: u8,
    /// Abstract syntax, for storage the SOP class.
    pub abstract_syntax: Uid,
    /// The transfer syntax chosen.
    pub transfer_syntax: Uid,
}

/// What was agreed, and the PDU that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// The peer's AE title.
    pub calling_ae: AeTitle,
    /// The AE title it called.
    pub called_ae: AeTitle,
    /// The accepted contexts; there may be none.
    pub contexts: Vec<AcceptedContext>,
    /// The longest fragment the peer takes.
    pub send_limit: SendLimit,
    /// Operations the peer may have outstanding at a time; 1 unless it asked for more.
    pub operations_window: u16,
    /// The user, where only known ones may associate.
    pub user: Option<String>,
    /// The peer's Implementation Class UID, as sent.
    pub implementation_class_uid: Option<String>,
    /// The peer's Implementation Version Name, as sent.
    pub implementation_version_name: Option<String>,
    /// The A-ASSOCIATE-AC.
    pub answer: Vec<u8>,
}

impl Negotiated {
    /// The accepted context with this ID.
    #[must_use]
    pub fn context(&self, id: u8) -> Option<&AcceptedContext> {
        self.contexts.iter().find(|context| context.id == id)
    }

    /// Whether instances may be sent, rather than messages of other services alone.
    pub(crate) fn is_for_storage(&self) -> bool {
        self.contexts.iter().any(|context| is_for_storage(context.abstract_syntax.as_str()))
    }

    pub(crate) fn ids(&self) -> ContextSet {
        self.contexts.iter().map(|context| context.id).collect()
    }
}

/// Decides about a request. Limits that depend on other associations are the listener's to check.
///
/// # Errors
/// The [`Rejection`] to answer.
pub fn negotiate(request: &AssociationRQ, peer: SocketAddr, config: &ListenerConfig) -> Result<Negotiated, Rejection> {
    if request.protocol_version & 1 == 0 {
        return Err(Rejection::PROTOCOL_VERSION);
    }
    if request.application_context_name != uids::DICOM_APPLICATION_CONTEXT {
        return Err(Rejection::APPLICATION_CONTEXT);
    }
    let called_ae = AeTitle::new(&request.called_ae_title).map_err(|_none| Rejection::CALLED_AE)?;
    if called_ae != config.ae_title {
        return Err(Rejection::CALLED_AE);
    }
    let calling_ae = AeTitle::new(&request.calling_ae_title).map_err(|_none| Rejection::CALLING_AE)?;
    if !config.accept.allows(&calling_ae, peer.ip()) {
        return Err(Rejection::CALLING_AE);
    }
    let variables = &request.user_variables;
    let about = UserInformation::of(variables);
    // A peer that can take no fragment can take no response either.
    let send_limit = SendLimit::of_peer(about.maximum_length).map_err(|_none| Rejection::NO_REASON)?;
    let user = identify(variables, config)?;

    let answers = answer_contexts(request, config);
    let contexts: Vec<AcceptedContext> = answers.iter().filter_map(Answer::accepted).collect();
    let window = agreed_window(variables, config);
    let mut user_variables = vec![
        UserVariableItem::MaxLength(config.limits.pdu_length),
        UserVariableItem::ImplementationClassUID(config.implementation.class_uid.to_string()),
    ];
    user_variables.extend(window.map(window_answer));
    user_variables.extend(class_answers(variables, &contexts));
    user_variables.push(UserVariableItem::ImplementationVersionName(config.implementation.version_name.clone()));
    user_variables.extend(user.as_ref().and_then(User::answer));
    Ok(Negotiated {
        calling_ae,
        called_ae,
        answer: write_answer(request, &answers, user_variables)?,
        contexts,
        send_limit,
        operations_window: window.unwrap_or(1),
        user: user.map(|user| user.name),
        implementation_class_uid: about.class_uid,
        implementation_version_name: about.version_name,
    })
}

struct Answer<'a> {
    proposed: &'a PresentationContextProposed,
    result: Result<(Uid, Uid), Reason>,
}

impl Answer<'_> {
    fn accepted(&self) -> Option<AcceptedContext> {
        let (abstract_syntax, transfer_syntax) = self.result.clone().ok()?;
        Some(AcceptedContext { id: self.proposed.id, abstract_syntax, transfer_syntax })
    }
}

/// One answer for each ID, in the order of the request. IDs are odd (PS3.8 § 7.1.1.13); an even one is
/// refused, and so is one that is proposed twice with different content, since nobody could tell which
/// is meant.
fn answer_contexts<'a>(request: &'a AssociationRQ, config: &ListenerConfig) -> Vec<Answer<'a>> {
    let mut answers: Vec<Answer<'a>> = Vec::new();
    for context in &request.presentation_contexts {
        if let Some(earlier) = answers.iter_mut().find(|answer| answer.proposed.id == context.id) {
            if earlier.proposed != context {
                earlier.result = Err(Reason::NoReason);
            }
            continue;
        }
        let result = if context.id & 1 == 0 { Err(Reason::NoReason) } else { choose(context, request, config) };
        answers.push(Answer { proposed: context, result });
    }
    answers
}

fn choose(
    context: &PresentationContextProposed,
    request: &AssociationRQ,
    config: &ListenerConfig,
) -> Result<(Uid, Uid), Reason> {
    let service = AbstractSyntax::of(&context.abstract_syntax);
    let supported = match service {
        AbstractSyntax::Verification | AbstractSyntax::Storage => true,
        AbstractSyntax::StorageCommitment => config.commitment.is_some(),
        AbstractSyntax::ProcedureStep | AbstractSyntax::Availability => config.procedures.is_some(),
        AbstractSyntax::Unknown => {
            config.store_private_sop_classes || said_to_be_storage(&context.abstract_syntax, request)
        }
        AbstractSyntax::Other => false,
    };
    let abstract_syntax =
        Uid::new(&context.abstract_syntax).ok().filter(|_uid| supported).ok_or(Reason::AbstractSyntaxNotSupported)?;
    let can_be_read = |uid: &str| [uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN].contains(&uid);
    let storable: Vec<Uid> = context
        .transfer_syntaxes
        .iter()
        .filter(|uid| match TransferSyntax::of(uid) {
            _ if service.is_read() => can_be_read(uid),
            TransferSyntax::Storable => true,
            TransferSyntax::Private => config.store_private_transfer_syntaxes,
            TransferSyntax::Other => false,
        })
        .filter_map(|uid| Uid::new(uid).ok())
        .collect();
    let preferred = match &config.transfer_syntaxes {
        TransferSyntaxChoice::PeerOrder => None,
        TransferSyntaxChoice::Prefer(list) => list.iter().find(|uid| storable.contains(uid)),
    };
    // In the order of the peer, but what leaves an image that nobody here can look at comes last.
    let readable = || storable.iter().find(|uid| is_readable(uid.as_str()));
    let chosen = preferred.or_else(readable).or(storable.first()).ok_or(Reason::TransferSyntaxesNotSupported)?;
    Ok((abstract_syntax, chosen.clone()))
}

/// Whether the pixels are in the data set, in an encoding of the standard: private ones are known to their makers alone, and
/// with JPIP the pixels are elsewhere.
fn is_readable(transfer_syntax: &str) -> bool {
    let referenced = [
        uids::JPIP_REFERENCED,
        uids::JPIP_REFERENCED_DEFLATE,
        uids::JPIPHTJ2K_REFERENCED,
        uids::JPIPHTJ2K_REFERENCED_DEFLATE,
    ];
    TransferSyntax::of(transfer_syntax) == TransferSyntax::Storable && !referenced.contains(&transfer_syntax)
}

/// A class we do not know but the peer does.
fn said_to_be_storage(abstract_syntax: &str, request: &AssociationRQ) -> bool {
    let said = is_said_to_be_storage(abstract_syntax, &request.user_variables);
    if said {
        tracing::info!(abstract_syntax, "SOP class taken for storage, as the peer says it is");
    }
    said
}

fn write_answer(
    request: &AssociationRQ,
    answers: &[Answer<'_>],
    user_variables: Vec<UserVariableItem>,
) -> Result<Vec<u8>, Rejection> {
    let answer = Pdu::AssociationAC(AssociationAC {
        protocol_version: 1,
        calling_ae_title: request.calling_ae_title.clone(),
        called_ae_title: request.called_ae_title.clone(),
        application_context_name: uids::DICOM_APPLICATION_CONTEXT.to_owned(),
        presentation_contexts: answers.iter().map(context_result).collect(),
        user_variables,
    });
    let mut bytes = Vec::new();
    match write_pdu(&mut bytes, &answer) {
        Ok(()) => Ok(bytes),
        Err(error) => {
            tracing::error!(%error, "A-ASSOCIATE-AC could not be written");
            Err(Rejection::NO_REASON)
        }
    }
}

fn context_result(answer: &Answer<'_>) -> PresentationContextResult {
    let (reason, transfer_syntax) = match &answer.result {
        Ok((_, transfer_syntax)) => (Reason::Acceptance, transfer_syntax.to_string()),
        // Not significant, but some peers read it (PS3.8 § 9.3.3.2).
        Err(reason) => (reason.clone(), uids::IMPLICIT_VR_LITTLE_ENDIAN.to_owned()),
    };
    PresentationContextResult { id: answer.proposed.id, reason, transfer_syntax }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AcceptPolicy, Implementation, Peer};
    use crate::pdu::read_accept;

    const IMPLICIT: &str = uids::IMPLICIT_VR_LITTLE_ENDIAN;
    const EXPLICIT: &str = uids::EXPLICIT_VR_LITTLE_ENDIAN;
    const PRIVATE: &str = "1.2.840.113619.4.26";

    fn config() -> ListenerConfig {
        let implementation = Implementation { class_uid: Uid::new("1.2.3").unwrap(), version_name: "TEST 1".into() };
        ListenerConfig::new(AeTitle::new("NODE").unwrap(), implementation)
    }

    fn context(id: u8, abstract_syntax: &str, transfer_syntaxes: &[&str]) -> PresentationContextProposed {
        PresentationContextProposed {
            id,
            abstract_syntax: abstract_syntax.into(),
            transfer_syntaxes: transfer_syntaxes.iter().map(|uid| (*uid).to_owned()).collect(),
        }
    }

    fn request(contexts: Vec<PresentationContextProposed>) -> AssociationRQ {
        AssociationRQ {
            protocol_version: 1,
            calling_ae_title: "PEER".into(),
            called_ae_title: "NODE".into(),
            application_context_name: uids::DICOM_APPLICATION_CONTEXT.into(),
            presentation_contexts: contexts,
            user_variables: vec![UserVariableItem::MaxLength(16384)],
        }
    }

    fn peer() -> SocketAddr {
        "10.1.2.3:4567".parse().unwrap()
    }

    fn check_rejected(change: impl Fn(&mut AssociationRQ, &mut ListenerConfig), expected: Rejection) {
        let (mut request, mut config) = (request(vec![]), config());
        change(&mut request, &mut config);
        assert_eq!(negotiate(&request, peer(), &config).map(|_| ()), Err(expected));
    }

    #[test]
    fn rejections_have_their_source_and_reason() {
        check_rejected(|rq, _| rq.protocol_version = 2, Rejection::PROTOCOL_VERSION);
        check_rejected(|rq, _| rq.application_context_name = "1.2".into(), Rejection::APPLICATION_CONTEXT);
        check_rejected(|rq, _| rq.called_ae_title = "OTHER".into(), Rejection::CALLED_AE);
        check_rejected(|rq, _| rq.called_ae_title = String::new(), Rejection::CALLED_AE);
        check_rejected(|rq, _| rq.calling_ae_title = String::new(), Rejection::CALLING_AE);
        check_rejected(|_, config| config.accept = AcceptPolicy::Listed(vec![]), Rejection::CALLING_AE);
        check_rejected(
            |_, config| {
                let network = Some("10.9.0.0/16".parse().unwrap());
                let ae_title = AeTitle::new("PEER").unwrap();
                config.accept = AcceptPolicy::Listed(vec![Peer { ae_title, network }]);
            },
            Rejection::CALLING_AE,
        );
        check_rejected(|rq, _| rq.user_variables = vec![UserVariableItem::MaxLength(5)], Rejection::NO_REASON);
    }

    #[test]
    fn any_bits_of_the_version_beside_the_first_are_ignored() {
        let mut request = request(vec![]);
        request.protocol_version = 0x00FF;
        assert!(negotiate(&request, peer(), &config()).is_ok());
    }

    fn check_context(config: &ListenerConfig, proposed: PresentationContextProposed, expected: Result<&str, Reason>) {
        let negotiated = negotiate(&request(vec![proposed.clone()]), peer(), config).unwrap();
        let answer = read_accept(&negotiated.answer[6..]).unwrap();
        assert_eq!(answer.presentation_contexts.len(), 1);
        let result = &answer.presentation_contexts[0];
        assert_eq!(result.id, proposed.id);
        match expected {
            Ok(transfer_syntax) => {
                assert_eq!((&result.reason, result.transfer_syntax.as_str()), (&Reason::Acceptance, transfer_syntax));
                let context = negotiated.context(proposed.id).unwrap();
                assert_eq!(context.transfer_syntax.as_str(), transfer_syntax);
            }
            Err(reason) => {
                assert_eq!(result.reason, reason);
                assert!(negotiated.contexts.is_empty());
            }
        }
    }

    #[test]
    fn contexts_are_answered_one_by_one() {
        let mut config = config();
        let ct = uids::CT_IMAGE_STORAGE;
        check_context(&config, context(1, uids::VERIFICATION, &[IMPLICIT]), Ok(IMPLICIT));
        check_context(&config, context(255, ct, &[PRIVATE, EXPLICIT, IMPLICIT]), Ok(EXPLICIT));
        check_context(&config, context(1, ct, &[PRIVATE]), Err(Reason::TransferSyntaxesNotSupported));
        check_context(&config, context(1, ct, &[]), Err(Reason::TransferSyntaxesNotSupported));
        check_context(&config, context(2, ct, &[EXPLICIT]), Err(Reason::NoReason));
        check_context(&config, context(1, PRIVATE, &[EXPLICIT]), Err(Reason::AbstractSyntaxNotSupported));
        let find = uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND;
        check_context(&config, context(1, find, &[EXPLICIT]), Err(Reason::AbstractSyntaxNotSupported));
        check_context(&config, context(1, "not a uid", &[EXPLICIT]), Err(Reason::AbstractSyntaxNotSupported));

        config.store_private_sop_classes = true;
        config.store_private_transfer_syntaxes = true;
        check_context(&config, context(1, PRIVATE, &[EXPLICIT]), Ok(EXPLICIT));
        check_context(&config, context(1, ct, &[PRIVATE, EXPLICIT, IMPLICIT]), Ok(EXPLICIT));
        check_context(&config, context(1, ct, &[uids::JPIP_REFERENCED, PRIVATE, IMPLICIT]), Ok(IMPLICIT));
        check_context(&config, context(1, ct, &[PRIVATE]), Ok(PRIVATE));
        check_context(&config, context(1, find, &[EXPLICIT]), Err(Reason::AbstractSyntaxNotSupported));
        check_context(&config, context(1, "not a uid", &[EXPLICIT]), Err(Reason::AbstractSyntaxNotSupported));

        config.transfer_syntaxes = TransferSyntaxChoice::Prefer(vec![Uid::new(IMPLICIT).unwrap()]);
        check_context(&config, context(1, ct, &[EXPLICIT, IMPLICIT]), Ok(IMPLICIT));
        check_context(&config, context(1, ct, &[EXPLICIT]), Ok(EXPLICIT));
    }

    #[test]
    fn storage_commitment_is_accepted_where_somebody_commits_in_a_syntax_that_is_read() {
        let commitment = uids::STORAGE_COMMITMENT_PUSH_MODEL;
        let mut config = config();
        check_context(&config, context(1, commitment, &[EXPLICIT]), Err(Reason::AbstractSyntaxNotSupported));
        config.commitment = Some(std::sync::Arc::new(Committing));
        check_context(&config, context(1, commitment, &[uids::JPEG2000, IMPLICIT, EXPLICIT]), Ok(IMPLICIT));
        check_context(&config, context(1, commitment, &[uids::JPEG2000]), Err(Reason::TransferSyntaxesNotSupported));
    }

    #[derive(Debug)]
    struct Committing;

    impl crate::CommitmentService for Committing {
        fn request(&self, _: crate::Notice) -> crate::Pending<Result<crate::Ticket, crate::Refusal>> {
            Box::pin(std::future::ready(Ok(crate::Ticket(1))))
        }
        fn result(&self, _: crate::Ticket) -> crate::Pending<Option<crate::CommitmentResult>> {
            Box::pin(std::future::ready(None))
        }
        fn told(&self, _: crate::Ticket, _: bool) {}
        fn reported(&self, _: crate::Notice) -> crate::Pending<Result<(), crate::Refusal>> {
            Box::pin(std::future::ready(Ok(())))
        }
    }

    #[test]
    fn an_id_is_answered_once() {
        let ct = context(1, uids::CT_IMAGE_STORAGE, &[EXPLICIT]);
        let mr = context(1, uids::MR_IMAGE_STORAGE, &[EXPLICIT]);
        let same = negotiate(&request(vec![ct.clone(), ct.clone()]), peer(), &config()).unwrap();
        assert_eq!(same.contexts.len(), 1);
        let differing = negotiate(&request(vec![ct, mr]), peer(), &config()).unwrap();
        assert!(differing.contexts.is_empty());
        assert_eq!(read_accept(&differing.answer[6..]).unwrap().presentation_contexts.len(), 1);
    }

    #[test]
    fn the_answer_says_who_we_are_and_nothing_that_was_not_asked() {
        let request = request(vec![context(1, uids::CT_IMAGE_STORAGE, &[EXPLICIT])]);
        let negotiated = negotiate(&request, peer(), &config()).unwrap();
        assert_eq!((negotiated.operations_window, negotiated.user), (1, None));
        let answer = read_accept(&negotiated.answer[6..]).unwrap();
        assert_eq!(
            answer.user_variables,
            [
                UserVariableItem::MaxLength(128 * 1024),
                UserVariableItem::ImplementationClassUID("1.2.3".into()),
                UserVariableItem::ImplementationVersionName("TEST 1".into()),
            ]
        );
    }

    #[test]
    fn a_class_we_do_not_know_is_stored_when_the_peer_says_that_it_can_be() {
        let said = |service: &str, general: &str| {
            let prefixed = |text: &str| [&u16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat();
            let list = if general.is_empty() { vec![] } else { prefixed(general) };
            let list = [&u16::try_from(list.len()).unwrap().to_be_bytes(), &list[..]].concat();
            UserVariableItem::Unknown(0x57, [prefixed(PRIVATE), prefixed(service), list].concat())
        };
        let ct = uids::CT_IMAGE_STORAGE;
        let find = uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND;
        for (item, accepted) in
            [(said(uids::STORAGE, ""), true), (said("", ct), true), (said("1.2.3", find), false), (said("", ""), false)]
        {
            for (abstract_syntax, expected) in [(PRIVATE, accepted), ("1.2.840.113619.4.27", false), (find, false)] {
                let mut request = request(vec![context(1, abstract_syntax, &[EXPLICIT])]);
                request.user_variables.push(item.clone());
                let negotiated = negotiate(&request, peer(), &config()).unwrap();
                assert_eq!(negotiated.contexts.len(), usize::from(expected), "{abstract_syntax} {item:?}");
                let answer = read_accept(&negotiated.answer[6..]).unwrap();
                assert_eq!(answer.user_variables.len(), 3, "it has no answer of its own");
            }
        }
    }
}
