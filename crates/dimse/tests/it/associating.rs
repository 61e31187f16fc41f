//! Who gets an association, and what is agreed, on the wire.

use std::time::Duration;

use dicom_dictionary_std::uids;
use dicom_ul::pdu::{
    AbortRQServiceProviderReason, AbortRQSource, Pdu, PresentationContextResultReason, UserVariableItem,
};

use crate::support::{CT, EXPLICIT, Node, Script, bytes_of, proposed, request, until};

#[tokio::test(flavor = "multi_thread")]
async fn one_hundred_and_twenty_eight_contexts_with_every_transfer_syntax() {
    let node = Node::start(|_| {});
    let contexts = (0..128u8)
        .map(|n| {
            let mut context = proposed(n * 2 + 1, if n == 0 { uids::VERIFICATION } else { CT }, EXPLICIT);
            context.transfer_syntaxes.extend((1..60).map(|n| format!("1.2.840.10008.1.2.4.{n}")));
            context
        })
        .collect();
    let mut script = Script::connect(node.address).await;
    let answer = script.associate(&request(contexts, 16384)).await;
    assert_eq!(answer.presentation_contexts.len(), 128);
    assert!(
        answer
            .presentation_contexts
            .iter()
            .all(|context| context.reason == PresentationContextResultReason::Acceptance)
    );
    assert!(answer.user_variables.contains(&UserVariableItem::ImplementationVersionName("TEST_1".into())));
    script.release().await;
    assert_eq!(node.counters.snapshot().accepted, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_accepted_context_is_an_answer_too() {
    let node = Node::start(|_| {});
    let mut script = Script::connect(node.address).await;
    let find = uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND;
    let answer = script.associate(&request(vec![proposed(1, find, EXPLICIT)], 0)).await;
    assert_eq!(answer.presentation_contexts[0].reason, PresentationContextResultReason::AbstractSyntaxNotSupported);
    script.release().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_ask_is_dropped_in_time() {
    let node = Node::start(|config| {
        config.timeouts.artim = Duration::from_millis(50);
        config.timeouts.closing = Duration::from_millis(50);
    });
    let mut silent = Script::connect(node.address).await;
    let mut halting = Script::connect(node.address).await;
    halting.send(&[1, 0, 0, 0, 1, 0, 0]).await;
    silent.check_closed().await;
    halting.check_closed().await;
    until("half-open connections are counted off", || node.counters.snapshot().half_open == 0).await;
    node.check_alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_half_open_connection_gives_way() {
    let node = Node::start(|config| config.limits.half_open = 3);
    let mut idle = Vec::new();
    for count in 1..=3 {
        idle.push(Script::connect(node.address).await);
        until("it is accepted", || node.counters.snapshot().half_open == count).await;
    }
    let mut newest = Script::associated(node.address).await;
    idle[0].check_closed().await;
    newest.release().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_aborted_as_by_the_user() {
    let node = Node::start(|config| config.limits.associate_request_bytes = 4096);
    for bytes in [
        bytes_of(&Pdu::ReleaseRQ),              // wrong type
        vec![2, 0, 0, 0, 0, 0],                 // wrong type
        vec![3, 0, 0, 0, 0, 4, 0, 1, 1, 1],     // wrong type
        bytes_of(&Pdu::ReleaseRP),              // wrong type
        bytes_of(&Pdu::PData { data: vec![] }), // wrong type
        vec![1, 0, 0, 0, 0x10, 1],              // too long
        vec![1, 0, 0, 0, 0, 2, 0, 1],           // too short for what it is
        vec![0x99, 0, 0, 0, 0, 0],              // no PDU at all
    ] {
        let mut script = Script::connect(node.address).await;
        script.send(&bytes).await;
        script.check_aborted(AbortRQSource::ServiceUser).await;
    }
    let mut aborting = Script::connect(node.address).await;
    aborting.send(&bytes_of(&Pdu::AbortRQ { source: AbortRQSource::ServiceUser })).await;
    aborting.check_closed().await;
    let mut tls = Script::connect(node.address).await;
    tls.send(&[0x16, 3, 1, 2, 0, 1, 0, 1]).await;
    tls.check_closed().await;
    node.check_alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_request_is_unexpected() {
    let node = Node::start(|_| {});
    let mut script = Script::associated(node.address).await;
    script.send(&bytes_of(&request(vec![], 0).into())).await;
    let unexpected = AbortRQSource::ServiceProvider(AbortRQServiceProviderReason::UnexpectedPdu);
    script.check_aborted(unexpected).await;
    until("it is counted", || node.counters.snapshot().aborted == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_association_is_known_by_its_address_until_it_is_over() {
    let node = Node::start(|_| {});
    let mut script = Script::connect(node.address).await;
    let peer = script.stream.local_addr().unwrap();
    assert!(!node.counters.is_open(peer), "a connection is no association");
    script.associate(&request(vec![proposed(1, CT, EXPLICIT)], 0)).await;
    until("it is open", || node.counters.is_open(peer)).await;
    let _other = Script::associated(node.address).await;
    script.release().await;
    until("it is over", || !node.counters.is_open(peer)).await;
    until("the other one is open", || node.counters.snapshot().open == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn titles_and_reserved_bytes_come_back_as_they_came() {
    let node = Node::start(|_| {});
    let mut script = Script::connect(node.address).await;
    let mut sent = bytes_of(&Pdu::AssociationRQ(request(vec![proposed(1, CT, EXPLICIT)], 0)));
    sent[10..26].copy_from_slice(b"  NODE          ");
    sent[26..42].copy_from_slice(b" PEER           ");
    sent[42..74].fill(7);
    script.send(&sent).await;
    let answer = script.bytes().await.unwrap();
    assert_eq!((answer[0], &answer[10..74]), (2, &sent[10..74]));
}
