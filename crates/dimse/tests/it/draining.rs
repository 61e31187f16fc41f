//! Shutdown: what is in progress is finished, what is not is ended, and nothing waits for ever.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use dicom_ul::pdu::AbortRQSource;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Node, PATIENCE, Script, store_pdus, until};

#[tokio::test(flavor = "multi_thread")]
async fn the_instance_in_progress_is_finished_and_answered() {
    let node = Node::start(|_| {});
    node.memory.hold_commits();
    let mut idle = Script::associated(node.address).await;
    let mut sending = Script::associated(node.address).await;
    let mut receiving = Script::associated(node.address).await;
    let half_open = TcpStream::connect(node.address).await.unwrap();
    let (first, second) = (store_pdus(1, 1, "1.2.1", b"first"), store_pdus(1, 2, "1.2.2", b"second"));
    sending.send(&first).await;
    let (begin, end) = second.split_at(second.len() - 2);
    receiving.send(begin).await;
    until("the first waits for its commit", || node.memory.committing.load(SeqCst) == 1).await;
    until("the second has begun", || node.memory.begun.load(SeqCst) == 2).await;
    until("the fourth is accepted", || node.counters.snapshot().connections == 4).await;

    node.shutdown.cancel();
    idle.check_aborted(AbortRQSource::ServiceUser).await;
    assert!(!node.served.is_finished());
    receiving.send(end).await;
    node.memory.commits.add_permits(2);
    assert_eq!(sending.status(1).await, 0);
    assert_eq!(receiving.status(2).await, 0);
    sending.check_aborted(AbortRQSource::ServiceUser).await;
    receiving.check_aborted(AbortRQSource::ServiceUser).await;
    drop((idle, sending, receiving));
    timeout(PATIENCE, node.served).await.expect("drained").unwrap();
    assert_eq!(node.memory.kept().len(), 2);
    drop(half_open);
    assert!(TcpStream::connect(node.address).await.is_err(), "nothing listens any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_finish_is_broken_off() {
    let node = Node::start(|config| {
        config.timeouts.drain = Duration::from_millis(50);
        config.timeouts.closing = Duration::from_millis(50);
    });
    node.memory.hold_commits();
    let mut stuck = Script::associated(node.address).await;
    stuck.send(&store_pdus(1, 1, "1.2.1", b"data")).await;
    until("it waits for its commit", || node.memory.committing.load(SeqCst) == 1).await;
    node.shutdown.cancel();
    timeout(PATIENCE, node.served).await.expect("drained").unwrap();
    stuck.check_aborted(AbortRQSource::ServiceUser).await;
    assert_eq!(node.memory.discarded.load(SeqCst), 1);
    assert!(node.memory.kept().is_empty());
}
