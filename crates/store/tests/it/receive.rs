use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use dokuei_store::{ArrivalKind, JobKind, Store, StoreConfig, StoreError, VersionPolicy};
use dokuei_types::InstanceId;

use crate::support::{Bench, arrival, entry, files, send};

#[test]
fn what_is_stored_is_the_part_10_file_as_received() {
    let bench = Bench::new();
    let store = bench.open();
    let data_set: Vec<u8> = (0..1_000_000_u32).map(|i| i.to_le_bytes()[0]).collect();
    let committed = send(&store, "1.2.3.4", &data_set).unwrap();
    assert_eq!(committed.kind(), ArrivalKind::New);
    let stored = store.reader().instance(committed.instance()).unwrap().unwrap();
    let bytes = std::fs::read(&stored.path).unwrap();
    assert_eq!(&bytes[..4], b"META");
    assert_eq!(&bytes[4..], data_set);
    assert_eq!((stored.data_set_offset, stored.size_bytes), (4, 1_000_000));
    assert!(!stored.path.to_string_lossy().contains("1.2.3.4"), "named by us, never by the peer");
    assert_eq!(stored.study.as_deref(), Some("1.2.3"));
}

#[test]
fn the_header_can_be_read_before_the_commit() {
    let bench = Bench::new();
    let store = bench.open();
    let mut incoming = store.receive(arrival("1.2.3.4")).unwrap();
    incoming.write(b"header").unwrap();
    let file = incoming.reopen().unwrap();
    let mut bytes = [0; 6];
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, incoming.data_set_offset()).unwrap();
    assert_eq!(&bytes, b"header");
    incoming.write(b" and more").unwrap();
    assert_eq!(incoming.size(), 15);
}

#[test]
fn dropped_without_commit_leaves_nothing() {
    let bench = Bench::new();
    let store = bench.open();
    let mut incoming = store.receive(arrival("1.2.3.4")).unwrap();
    incoming.write(&[7; 300_000]).unwrap();
    assert_eq!(files(bench.dir.path()).len(), 1);
    drop(incoming);
    assert_eq!(files(bench.dir.path()).len(), 0);
    assert_eq!(store.queue_depth(), 0);
}

#[test]
fn the_same_bytes_again_are_a_success_without_a_second_copy_or_second_work() {
    let bench = Bench::new();
    let store = bench.open();
    let first = send(&store, "1.2.3.4", b"bytes").unwrap();
    let second = send(&store, "1.2.3.4", b"bytes").unwrap();
    assert_eq!((second.kind(), second.instance()), (ArrivalKind::Duplicate, first.instance()));
    assert_eq!(files(bench.dir.path()).len(), 1);
    assert_eq!(store.queue_depth(), 1);
    let shown = store.reader().show(first.instance()).unwrap().unwrap();
    let outcomes: Vec<_> = shown.arrivals.iter().map(|arrival| arrival.outcome.as_str()).collect();
    assert_eq!(outcomes, ["new", "duplicate"]);
}

#[test]
fn other_bytes_are_a_further_version_and_the_first_one_stays() {
    let bench = Bench::new();
    let store = bench.open();
    let first = send(&store, "1.2.3.4", b"bytes").unwrap();
    let second = send(&store, "1.2.3.4", b"other").unwrap();
    assert_eq!(second.kind(), ArrivalKind::Version(2));
    assert_ne!(second.instance(), first.instance());
    assert_eq!(send(&store, "1.2.3.4", b"bytes").unwrap().instance(), first.instance());
    assert_eq!(send(&store, "1.2.3.4", b"other").unwrap().instance(), second.instance());
    assert_eq!(files(bench.dir.path()).len(), 2);
    assert_eq!(store.lease(JobKind::Match, 10, crate::support::LEASE).unwrap().len(), 2);
    assert_eq!(store.reader().find("1.2.3.4").unwrap(), [first.instance(), second.instance()]);
}

#[test]
fn other_bytes_are_refused_and_recorded_when_the_policy_says_so() {
    let bench = Bench::new();
    let store = Store::open(StoreConfig { versions: VersionPolicy::Refuse, ..bench.config() }).unwrap();
    let first = send(&store, "1.2.3.4", b"bytes").unwrap();
    assert!(matches!(send(&store, "1.2.3.4", b"other"), Err(StoreError::OtherBytes { .. })));
    assert_eq!(files(bench.dir.path()).len(), 1);
    let shown = store.reader().show(first.instance()).unwrap().unwrap();
    assert_eq!(shown.arrivals.last().map(|arrival| arrival.outcome.as_str()), Some("refused"));
}

#[test]
fn sixteen_senders_at_once_share_transactions_and_lose_nothing() {
    let bench = Bench::new();
    let store = bench.open();
    // Every fourth object is sent by two senders at the same time.
    let owner = |sender: u32, number: u32| if number.is_multiple_of(4) { sender / 2 } else { sender };
    let run = |sender| {
        for number in 0..25 {
            let uid = format!("1.{}.{number}.{}", owner(sender, number), number % 4);
            send(&store, &uid, uid.as_bytes()).unwrap();
        }
    };
    std::thread::scope(|scope| (0..16).for_each(|sender| drop(scope.spawn(move || run(sender)))));
    let distinct = 8 * 7 + 16 * 18;
    assert_eq!(files(bench.dir.path()).len(), distinct);
    assert_eq!(store.queue_depth(), distinct as u64);
    assert_eq!(store.reader().counts().unwrap().instances["open"], distinct as u64);
    let transactions =
        bench.disk.steps.lock().unwrap().iter().filter(|(step, _)| *step == dokuei_store::Step::Transaction).count();
    assert!(transactions < 16 * 25, "{transactions} transactions for 400 commits: nothing was shared");
}

#[test]
fn one_folder_has_one_owner() {
    let bench = Bench::new();
    let store = bench.open();
    let error = Store::open(bench.config()).err().unwrap();
    assert!(matches!(&error, StoreError::Locked { .. }), "{error}");
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    drop(store);
    bench.open();
}

#[test]
fn a_folder_given_up_is_free_even_while_processes_are_being_started() {
    let bench = Bench::new();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Between fork and exec a child holds everything that is open here, the lock's file too.
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                Command::new("true").status().unwrap();
            }
        });
        let opened: Vec<_> = (0..100).map(|_| Store::open(bench.config()).map(drop)).collect();
        stop.store(true, Ordering::Relaxed);
        opened.into_iter().for_each(Result::unwrap);
    });
}

#[test]
fn a_newer_layout_is_left_alone() {
    let bench = Bench::new();
    drop(bench.open());
    let index = rusqlite::Connection::open(bench.dir.path().join("index.sqlite")).unwrap();
    index.execute("UPDATE layout SET version = 99", []).unwrap();
    drop(index);
    assert!(matches!(Store::open(bench.config()), Err(StoreError::NewerLayout { found: 99, .. })));
}

#[test]
fn a_folder_without_a_store_says_so() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Store::attach(dir.path()), Err(StoreError::Absent { .. })));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "looking makes nothing");
}

#[test]
fn beside_a_running_node_everything_can_be_read() {
    let bench = Bench::new();
    let store = bench.open();
    let committed = send(&store, "1.2.3.4", b"bytes").unwrap();
    let beside = Store::attach(bench.dir.path()).unwrap();
    assert_eq!(beside.find("1.2.3").unwrap(), [committed.instance()]);
    assert_eq!(beside.find("no such").unwrap(), []);
    assert!(beside.show(InstanceId(99)).unwrap().is_none());
    let shown = beside.show(committed.instance()).unwrap().unwrap();
    assert_eq!(shown.end, None);
    assert_eq!(shown.sha256, "277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9");
}

#[test]
fn attributes_survive_as_given() {
    let bench = Bench::new();
    let store = bench.open();
    let committed = send(&store, "1.2.3.4", b"bytes").unwrap();
    let stored = store.reader().instance(committed.instance()).unwrap().unwrap();
    assert_eq!(stored.attributes, entry().attributes);
}
