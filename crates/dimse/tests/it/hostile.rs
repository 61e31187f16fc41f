//! Peers that break the protocol, stall, lie, and vanish: each gets its answer, and the node goes on.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use dicom_dictionary_std::tags;
use dicom_ul::pdu::{AbortRQServiceProviderReason as Reason, AbortRQSource, Pdu};
use dokuei_dimse::message::{CommandWriter, NO_DATA_SET, store_request};

use crate::support::{
    CT, EXPLICIT, Node, Script, bytes_of, data_pdu, proposed, request, store_pdus, uid, until, value,
};

async fn check(what: &str, bytes: Vec<u8>, reason: Reason) {
    let node = Node::start(|config| config.limits.pdu_length = 4096);
    let mut script = Script::associated(node.address).await;
    script.send(&bytes).await;
    assert_eq!(script.pdu().await, Some(Pdu::AbortRQ { source: AbortRQSource::ServiceProvider(reason) }), "{what}");
    until("it is counted", || node.counters.snapshot().aborted == 1).await;
    node.check_alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn breaches_of_the_protocol_are_aborted_with_their_reason() {
    let store = store_request(1, &uid(CT), &uid("1.2.3"));
    let response = CommandWriter::default()
        .number(tags::COMMAND_FIELD, 0x8001)
        .number(tags::COMMAND_DATA_SET_TYPE, NO_DATA_SET)
        .finish();
    let command = |bytes: &[u8]| data_pdu(vec![value(1, true, true, bytes)]);
    check("unknown PDU", vec![0x55, 0, 0, 0, 0, 4, 0, 0, 0, 0], Reason::UnrecognizedPdu).await;
    check("A-ASSOCIATE-AC", vec![2, 0, 0, 0, 0, 4, 0, 0, 0, 0], Reason::UnexpectedPdu).await;
    check("A-RELEASE-RP", bytes_of(&Pdu::ReleaseRP), Reason::UnexpectedPdu).await;
    check("PDU longer than agreed", vec![4, 0, 0, 0, 0x10, 2], Reason::InvalidPduParameter).await;
    check("PDU of 4 GiB", vec![4, 0, 0xFF, 0xFF, 0xFF, 0xFF], Reason::InvalidPduParameter).await;
    check("value that reaches past its PDU", vec![4, 0, 0, 0, 0, 8, 0, 0, 0, 99, 1, 3], Reason::InvalidPduParameter)
        .await;
    check("value too short", vec![4, 0, 0, 0, 0, 6, 0, 0, 0, 1, 1, 3], Reason::InvalidPduParameter).await;
    check("context nobody accepted", data_pdu(vec![value(3, true, true, &store)]), Reason::InvalidPduParameter).await;
    check("data before a command", data_pdu(vec![value(1, false, true, b"x")]), Reason::UnexpectedPduParameter).await;
    check("two commands", [command(&store), command(&store)].concat(), Reason::UnexpectedPduParameter).await;
    check("no command set", command(&[1, 2, 3]), Reason::InvalidPduParameter).await;
    check("A-ASSOCIATE-RJ", vec![3, 0, 0, 0, 0, 4, 0, 1, 1, 1], Reason::UnexpectedPdu).await;
    check("A-RELEASE-RQ of five bytes", vec![5, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0], Reason::InvalidPduParameter).await;
    check("A-ABORT of 4 GiB", vec![7, 0, 0xFF, 0xFF, 0xFF, 0xFF], Reason::InvalidPduParameter).await;
    check("a rest too short for a value", vec![4, 0, 0, 0, 0, 5], Reason::InvalidPduParameter).await;
    check("a response", command(&response), Reason::UnexpectedPduParameter).await;
    check("release within a message", [command(&store), bytes_of(&Pdu::ReleaseRQ)].concat(), Reason::UnexpectedPdu)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_stays_in_its_context() {
    let node = Node::start(|_| {});
    let mut script = Script::connect(node.address).await;
    script.associate(&request(vec![proposed(1, CT, EXPLICIT), proposed(3, CT, EXPLICIT)], 0)).await;
    let command = store_request(1, &uid(CT), &uid("1.2.3"));
    script.send(&data_pdu(vec![value(1, true, true, &command), value(3, false, true, b"data")])).await;
    script.check_aborted(AbortRQSource::ServiceProvider(Reason::UnexpectedPduParameter)).await;
    until("what was begun is discarded", || node.memory.discarded.load(SeqCst) == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_set_without_end_is_cut_off() {
    let node = Node::start(|config| config.limits.command_set_bytes = 8192);
    let mut script = Script::associated(node.address).await;
    let endless = data_pdu(vec![value(1, true, false, &[0; 4000])]);
    script.send(&[&endless[..], &endless, &endless].concat()).await;
    script.check_aborted(AbortRQSource::ServiceProvider(Reason::InvalidPduParameter)).await;
    node.check_alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stalls_within_a_message_is_aborted_and_what_came_is_discarded() {
    let node = Node::start(|config| config.timeouts.within_message = Duration::from_millis(50));
    let mut script = Script::associated(node.address).await;
    let message = store_pdus(1, 1, "1.2.3", &[7; 1000]);
    script.send(&message[..message.len() - 1]).await;
    script.check_aborted(AbortRQSource::ServiceUser).await;
    until("the instance is discarded", || node.memory.discarded.load(SeqCst) == 1).await;
    assert!(node.memory.kept().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_trickles_is_aborted_though_never_silent() {
    let node = Node::start(|config| {
        config.timeouts.within_message = Duration::from_millis(100);
        config.limits.bytes_per_second_min = 1_000_000;
    });
    let mut script = Script::associated(node.address).await;
    let message = store_pdus(1, 1, "1.2.3", &[7; 100_000]);
    let (mut reader, mut writer) = script.stream.split();
    let trickle = async {
        for byte in message {
            if tokio::io::AsyncWriteExt::write_all(&mut writer, &[byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    };
    let mut answer = [0; 10];
    tokio::select! {
        read = tokio::io::AsyncReadExt::read_exact(&mut reader, &mut answer) => { read.unwrap(); }
        () = trickle => panic!("the node took it all"),
    }
    assert_eq!(answer, [7, 0, 0, 0, 0, 4, 0, 0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_idle_for_too_long_is_aborted() {
    let node = Node::start(|config| config.timeouts.between_messages = Duration::from_millis(50));
    let mut script = Script::associated(node.address).await;
    script.check_aborted(AbortRQSource::ServiceUser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_vanishes_leaves_nothing_behind() {
    let node = Node::start(|_| {});
    let message = store_pdus(1, 1, "1.2.3", &[7; 1000]);
    for cut in [0, 3, 20, message.len() / 2, message.len() - 1] {
        let mut script = Script::associated(node.address).await;
        script.send(&message[..cut]).await;
    }
    let mut aborting = Script::associated(node.address).await;
    aborting.send(&bytes_of(&Pdu::AbortRQ { source: AbortRQSource::ServiceUser })).await;
    aborting.check_closed().await;
    until("all are over", || {
        let counters = node.counters.snapshot();
        counters.open == 0 && counters.aborted == 6
    })
    .await;
    assert!(node.memory.kept().is_empty());
    node.check_alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_no_responses_is_given_up() {
    let node = Node::start(|config| {
        config.timeouts.within_message = Duration::from_millis(100);
        config.timeouts.closing = Duration::from_millis(50);
    });
    let mut script = Script::associated(node.address).await;
    let messages: Vec<u8> = (0..500u16).flat_map(|id| store_pdus(1, id, "1.2.3", b"x")).collect();
    loop {
        let sent = tokio::time::timeout(
            Duration::from_secs(5),
            tokio::io::AsyncWriteExt::write_all(&mut script.stream, &messages),
        );
        if !matches!(sent.await, Ok(Ok(()))) {
            break;
        }
    }
    until("it is over", || node.counters.snapshot().open == 0).await;
    node.check_alive().await;
}
