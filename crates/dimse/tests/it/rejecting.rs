//! Who gets no association: each rejection with its result, source and reason (PS3.8 § 9.3.4).

use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dicom_dictionary_std::uids;
use dicom_ul::pdu::{AssociationRQ, Pdu, UserIdentity, UserIdentityType, UserVariableItem};
use dokuei_dimse::{AcceptPolicy, AssociationObserver, Observed, Peer};

use crate::support::{CT, EXPLICIT, Node, OneUser, Script, ae, bytes_of, proposed, request, until};

/// Result, source and reason.
type Rejection = [u8; 3];

const NO_REASON: Rejection = [1, 1, 1];
const APPLICATION_CONTEXT: Rejection = [1, 1, 2];
const CALLING_AE: Rejection = [1, 1, 3];
const CALLED_AE: Rejection = [1, 1, 7];
const USER: Rejection = [1, 2, 1];
const PROTOCOL_VERSION: Rejection = [1, 2, 2];
const CONGESTION: Rejection = [2, 3, 1];
const LOCAL_LIMIT: Rejection = [2, 3, 2];

fn ct() -> AssociationRQ {
    request(vec![proposed(1, CT, EXPLICIT)], 0)
}

fn changed(change: impl FnOnce(&mut AssociationRQ)) -> AssociationRQ {
    let mut request = ct();
    change(&mut request);
    request
}

async fn check(node: &Node, request: &AssociationRQ, expected: Rejection) {
    check_bytes(node, &bytes_of(&request.clone().into()), expected).await;
}

async fn check_bytes(node: &Node, request: &[u8], [result, source, reason]: Rejection) {
    let before = node.counters.snapshot().rejected;
    let mut script = Script::connect(node.address).await;
    script.send(request).await;
    let expected = vec![3, 0, 0, 0, 0, 4, 0, result, source, reason];
    assert_eq!(script.bytes().await, Some(expected), "{}", request.escape_ascii());
    assert_eq!(node.counters.snapshot().rejected, before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_agreed_is_rejected_for_good() {
    let listed = Peer { ae_title: ae("PEER"), network: None };
    let node = Node::start(|config| config.accept = AcceptPolicy::Listed(vec![listed]));
    check(&node, &changed(|request| request.protocol_version = 2), PROTOCOL_VERSION).await;
    check(&node, &changed(|request| request.application_context_name = "1.2".into()), APPLICATION_CONTEXT).await;
    check(&node, &changed(|request| request.called_ae_title = "OTHER".into()), CALLED_AE).await;
    check(&node, &changed(|request| request.calling_ae_title = "STRANGER".into()), CALLING_AE).await;
    for maximum in [1, 5, 6, 7] {
        let too_short = changed(|request| request.user_variables = vec![UserVariableItem::MaxLength(maximum)]);
        check(&node, &too_short, NO_REASON).await;
    }
    assert!(Script::connect(node.address).await.associate(&ct()).await.presentation_contexts.len() == 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_may_be_so_empty_that_it_names_nobody_and_nothing() {
    let node = Node::start(|_| {});
    // The fixed fields alone: no application context, no presentation context, no user information.
    let mut fixed = vec![1, 0, 0, 0, 0, 68, 0, 1, 0, 0];
    fixed.extend_from_slice(b"NODE            PEER            ");
    fixed.resize(6 + 68, 0);
    check_bytes(&node, &fixed, APPLICATION_CONTEXT).await;
    for (title, expected) in [(10..26, CALLED_AE), (26..42, CALLING_AE)] {
        let mut blank = bytes_of(&ct().into());
        blank[title].fill(b' ');
        check_bytes(&node, &blank, expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_was_rejected_is_waited_for_but_not_for_ever() {
    let node = Node::start(|config| config.timeouts.closing = Duration::from_millis(30));
    let mut script = Script::connect(node.address).await;
    script.send(&bytes_of(&changed(|request| request.called_ae_title = "OTHER".into()).into())).await;
    assert!(matches!(script.pdu().await, Some(Pdu::AssociationRJ(_))));
    script.check_closed().await;
    until("it is counted off", || node.counters.snapshot().half_open == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn crowds_are_rejected_for_now() {
    for (in_total, of_a_peer) in [(2, 64), (64, 2)] {
        let node = Node::start(|config| {
            config.limits.associations = in_total;
            config.limits.associations_per_peer = of_a_peer;
        });
        let (mut first, _second) = (Script::associated(node.address).await, Script::associated(node.address).await);
        check(&node, &ct(), LOCAL_LIMIT).await;
        first.release().await;
        drop(first);
        until("the released association is counted off", || node.counters.snapshot().open == 1).await;
        drop(Script::associated(node.address).await);
    }
}

/// Heard before hundreds of megabytes are sent in vain; C-ECHO goes on telling that the node is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_storage_without_room_turns_instances_away_and_no_echo() {
    let node = Node::start(|_| {});
    node.memory.congested.store(true, SeqCst);
    check(&node, &ct(), CONGESTION).await;
    node.check_alive().await;
    check(&node, &changed(|request| request.called_ae_title = "OTHER".into()), CALLED_AE).await;
    node.memory.congested.store(false, SeqCst);
    drop(Script::associated(node.address).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_users_are_required_only_they_get_in() {
    let node = Node::start(|config| config.users = Some(Arc::new(OneUser)));
    let with = |kind: UserIdentityType, response, passcode: &str| {
        changed(|request| {
            let identity = UserIdentity::new(response, kind, b"Jo".to_vec(), passcode.into());
            request.user_variables.push(UserVariableItem::UserIdentityItem(identity));
        })
    };
    check(&node, &ct(), USER).await;
    check(&node, &with(UserIdentityType::Username, true, ""), USER).await;
    check(&node, &with(UserIdentityType::UsernamePassword, true, "simsim"), USER).await;
    check(&node, &with(UserIdentityType::Jwt, true, "sesame"), USER).await;
    let response = UserVariableItem::Unknown(0x59, vec![0, 0]);
    for wanted in [true, false] {
        let request = with(UserIdentityType::UsernamePassword, wanted, "sesame");
        let answer = Script::connect(node.address).await.associate(&request).await;
        assert_eq!(answer.user_variables.contains(&response), wanted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_config_holds_for_the_next_association() {
    let node = Node::start(|_| {});
    drop(Script::associated(node.address).await);
    node.config.send_modify(|config| {
        let mut changed = config.as_ref().clone();
        changed.accept = AcceptPolicy::Listed(vec![]);
        *config = Arc::new(changed);
    });
    check(&node, &ct(), CALLING_AE).await;
}

/// Beyond 128 contexts IDs have to repeat or be even, and no peer could tell what an answer is about: each ID is
/// answered once.
#[tokio::test(flavor = "multi_thread")]
async fn more_contexts_than_there_are_ids_are_no_reason_to_reject() {
    let node = Node::start(|_| {});
    let contexts = (0..=u16::from(u8::MAX) * 2).map(|n| {
        let sop_class = if n < 256 { CT } else { uids::MR_IMAGE_STORAGE };
        proposed(u8::try_from(n % 256).unwrap(), sop_class, EXPLICIT)
    });
    let only_once = proposed(255, uids::MR_IMAGE_STORAGE, EXPLICIT);
    let contexts: Vec<_> = contexts.filter(|context| context.id != 255).chain([only_once]).collect();
    assert_eq!(contexts.len(), 511);
    let mut script = Script::connect(node.address).await;
    let answer = script.associate(&request(contexts, 0)).await;
    assert_eq!(answer.presentation_contexts.len(), 256);
    let accepted: Vec<u8> = answer
        .presentation_contexts
        .iter()
        .filter(|context| context.reason == dicom_ul::pdu::PresentationContextResultReason::Acceptance)
        .map(|context| context.id)
        .collect();
    assert_eq!(accepted, [255]);
    script.release().await;
}

#[derive(Debug, Default)]
struct Heard(Mutex<Vec<String>>);

impl AssociationObserver for Heard {
    fn observe(&self, association: &Observed<'_>) {
        let Observed { association, calling_ae, called_ae, what, .. } = association;
        self.0.lock().unwrap().push(format!("{association} {calling_ae} to {called_ae}: {what:?}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observer_hears_of_each_association() {
    let heard = Arc::new(Heard::default());
    let observer = Arc::clone(&heard);
    let node = Node::start(|config| config.observer = Some(observer));
    check(&node, &changed(|request| request.called_ae_title = "OTHER".into()), CALLED_AE).await;
    let mut script = Script::connect(node.address).await;
    script.associate(&ct()).await;
    drop(script);
    until("the end of the association is heard of", || heard.0.lock().unwrap().len() == 3).await;
    let heard = heard.0.lock().unwrap();
    assert!(heard[0].contains("to OTHER: Refused(\"") && heard[0].contains("called AE"), "{heard:?}");
    assert!(heard[1].ends_with(": Opened") && heard[2].ends_with(": Closed"), "{heard:?}");
    assert_eq!(heard[1].split(' ').next(), heard[2].split(' ').next());
}
