//! Several operations at a time (PS3.7 § D.3.3.3): read ahead as far as agreed, answered as they become durable.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use dicom_ul::pdu::{AbortRQSource, Pdu, UserVariableItem};

use crate::support::{CT, EXPLICIT, Node, Script, bytes_of, proposed, request, store_pdus, until};

/// `count` C-STORE requests, message n for instance 1.2.n.
fn messages(count: u16) -> Vec<u8> {
    (1..=count).flat_map(|id| store_pdus(1, id, &format!("1.2.{id}"), b"data")).collect()
}

async fn check_agreed(limit: u16, asked: [u8; 4], expected: [u8; 4]) {
    let node = Node::start(|config| config.limits.operations_window = limit);
    let mut request = request(vec![proposed(1, CT, EXPLICIT)], 0);
    request.user_variables.push(UserVariableItem::Unknown(0x53, asked.to_vec()));
    let answer = Script::connect(node.address).await.associate(&request).await;
    let item = answer.user_variables.iter().find(|item| matches!(item, UserVariableItem::Unknown(0x53, _)));
    assert_eq!(item, Some(&UserVariableItem::Unknown(0x53, expected.to_vec())), "{asked:?} with {limit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_are_agreed_than_are_asked_for_and_than_we_allow() {
    check_agreed(16, [0, 5, 0, 5], [0, 5, 0, 1]).await;
    check_agreed(16, [1, 0, 0, 0], [0, 16, 0, 1]).await;
    check_agreed(16, [0, 0, 0, 0], [0, 16, 0, 1]).await;
    check_agreed(16, [0, 1, 0, 1], [0, 1, 0, 1]).await;
    check_agreed(1, [0, 5, 0, 1], [0, 1, 0, 1]).await;
    check_agreed(300, [0, 0, 0, 1], [1, 44, 0, 1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_ask_is_served_one_by_one() {
    let node = Node::start(|_| {});
    let mut script = Script::connect(node.address).await;
    let answer = script.associate(&request(vec![proposed(1, CT, EXPLICIT)], 0)).await;
    assert!(!answer.user_variables.iter().any(|item| matches!(item, UserVariableItem::Unknown(0x53, _))));
    script.send(&messages(20)).await;
    for id in 1..=20 {
        assert_eq!(script.status(id).await, 0);
    }
    script.release().await;
    assert_eq!(node.memory.most_at_a_time.load(SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_sends_more_than_agreed_is_read_no_further() {
    let node = Node::start(|_| {});
    node.memory.hold_commits();
    let mut script = Script::associated_with_window(node.address, 4).await;
    script.send(&messages(40)).await;
    until("the window is full", || node.memory.committing.load(SeqCst) == 4).await;
    node.memory.commits.add_permits(40);
    let mut answered: Vec<u16> = Vec::new();
    for _ in 0..40 {
        answered.push(script.command().await.responds_to().unwrap());
    }
    answered.sort_unstable();
    assert_eq!(answered, (1..=40).collect::<Vec<u16>>());
    script.release().await;
    assert_eq!(node.memory.most_at_a_time.load(SeqCst), 4);
    assert_eq!(node.counters.snapshot().instances, 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_come_as_instances_become_durable() {
    let node = Node::start(|_| {});
    let mut script = Script::associated_with_window(node.address, 3).await;
    node.memory.hold("1.2.1");
    node.memory.hold("1.2.2");
    script.send(&messages(3)).await;
    assert_eq!(script.status(3).await, 0);
    node.memory.let_go("1.2.2");
    assert_eq!(script.status(2).await, 0);

    // Within a message of which the end is still missing, too.
    let next = store_pdus(1, 4, "1.2.4", b"data");
    let (begin, end) = next.split_at(next.len() - 1);
    script.send(begin).await;
    until("the next has begun", || node.memory.begun.load(SeqCst) == 4).await;
    node.memory.let_go("1.2.1");
    assert_eq!(script.status(1).await, 0);
    script.send(end).await;
    assert_eq!(script.status(4).await, 0);
    script.release().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_answered_after_everything_else() {
    let node = Node::start(|_| {});
    node.memory.hold_commits();
    let mut script = Script::associated_with_window(node.address, 8).await;
    script.send(&[messages(3), bytes_of(&Pdu::ReleaseRQ)].concat()).await;
    until("all three wait", || node.memory.committing.load(SeqCst) == 3).await;
    node.memory.commits.add_permits(3);
    for _ in 0..3 {
        assert_eq!(script.command().await.status().unwrap().0, 0);
    }
    assert_eq!(script.pdu().await, Some(Pdu::ReleaseRP));
    assert_eq!(node.counters.snapshot().aborted, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_discards_what_is_not_durable_yet() {
    let node = Node::start(|_| {});
    let mut script = Script::associated_with_window(node.address, 8).await;
    node.memory.hold("1.2.2");
    node.memory.hold("1.2.3");
    script.send(&messages(3)).await;
    assert_eq!(script.status(1).await, 0);
    until("two wait", || node.memory.committing.load(SeqCst) == 3).await;
    script.send(&bytes_of(&Pdu::AbortRQ { source: AbortRQSource::ServiceUser })).await;
    script.check_closed().await;
    until("both are discarded", || node.memory.discarded.load(SeqCst) == 2).await;
    until("it is counted", || node.counters.snapshot().aborted == 1).await;
    assert_eq!(node.memory.kept().len(), 1);
    assert_eq!(node.counters.snapshot().instances, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_vanishes_discards_what_is_not_durable_yet() {
    let node = Node::start(|_| {});
    node.memory.hold_commits();
    let mut script = Script::associated_with_window(node.address, 8).await;
    script.send(&messages(3)).await;
    until("all three wait", || node.memory.committing.load(SeqCst) == 3).await;
    drop(script);
    until("all are discarded", || node.memory.discarded.load(SeqCst) == 3).await;
    assert!(node.memory.kept().is_empty());
    node.memory.commits.add_permits(1);
    node.check_alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_waits_for_what_is_outstanding() {
    let node = Node::start(|_| {});
    node.memory.hold_commits();
    let mut script = Script::associated_with_window(node.address, 8).await;
    script.send(&messages(3)).await;
    until("all three wait", || node.memory.committing.load(SeqCst) == 3).await;
    node.shutdown.cancel();
    node.memory.commits.add_permits(3);
    for _ in 0..3 {
        assert_eq!(script.command().await.status().unwrap().0, 0);
    }
    script.check_aborted(AbortRQSource::ServiceUser).await;
    drop(script);
    node.served.await.unwrap();
    assert_eq!(node.memory.kept().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_takes_no_further_message_of_one_that_never_pauses() {
    let node = Node::start(|config| config.timeouts.closing = Duration::from_millis(50));
    node.memory.hold_commits();
    let mut script = Script::associated_with_window(node.address, 2).await;
    script.send(&messages(100)).await;
    until("the window is full", || node.memory.committing.load(SeqCst) == 2).await;
    node.shutdown.cancel();
    node.memory.commits.add_permits(1000);
    for _ in 0..2 {
        assert_eq!(script.command().await.status().unwrap().0, 0);
    }
    script.check_aborted(AbortRQSource::ServiceUser).await;
    drop(script);
    node.served.await.unwrap();
    assert_eq!(node.memory.kept().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_hangs_is_answered_for_each_by_itself() {
    let node = Node::start(|config| config.timeouts.commit = Duration::from_millis(30));
    let mut script = Script::associated_with_window(node.address, 8).await;
    node.memory.hold("1.2.1");
    node.memory.hold("1.2.2");
    script.send(&messages(3)).await;
    let mut statuses = [0; 3];
    for _ in 0..3 {
        let response = script.command().await;
        statuses[usize::from(response.responds_to().unwrap()) - 1] = response.status().unwrap().0;
    }
    assert_eq!(statuses, [0xA700, 0xA700, 0]);
    script.release().await;
    assert_eq!(node.memory.discarded.load(SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_does_not_wait_for_those_before_it() {
    let node = Node::start(|_| {});
    node.memory.hold("1.2.1");
    let mut script = Script::associated_with_window(node.address, 8).await;
    script.send(&messages(1)).await;
    until("the first waits", || node.memory.committing.load(SeqCst) == 1).await;
    node.memory.refuse_begin.store(true, SeqCst);
    script.send(&store_pdus(1, 2, "1.2.2", b"data")).await;
    assert_eq!(script.status(2).await, 0xA700);
    node.memory.let_go("1.2.1");
    assert_eq!(script.status(1).await, 0);
    script.release().await;
}
