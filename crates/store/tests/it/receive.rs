use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use dokuei_store::{ArrivalKind, Durability, JobKind, Store, StoreConfig, StoreError, VersionPolicy};
use dokuei_types::InstanceId;

use crate::support::{Bench, arrival, data_set, disk_use, files, send};

/// Larger than what a segment takes.
const LARGE: usize = 3 << 20;

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

#[test]
fn what_is_stored_is_the_part_10_file_as_received() {
    for durability in [Durability::Fsync, Durability::Os] {
        let bench = Bench::new();
        let store = Store::open(StoreConfig { durability, ..bench.config() }).unwrap();
        for (number, len) in [1, 4_096, 60_000, 70_000, 1_000_000, LARGE].into_iter().enumerate() {
            let bytes = pattern(len);
            let sop_instance = format!("1.2.3.{number}");
            let indexed = send(&store, &sop_instance, &bytes).unwrap();
            assert_eq!(indexed.kind, ArrivalKind::New);
            let stored = store.reader().instance(indexed.instance).unwrap().unwrap();
            let mut file = Vec::new();
            stored.file.reader().unwrap().read_to_end(&mut file).unwrap();
            assert_eq!(&file[..4], b"META");
            assert!(file[4..] == bytes, "{len} bytes");
            assert_eq!((stored.data_set_offset, stored.size_bytes), (4, len as u64));
            assert!(!stored.file.path.to_string_lossy().contains(&sop_instance), "named by us, never by the peer");
            assert_eq!(stored.study.as_deref(), Some("1.2.3"));
        }
        let own = files(bench.dir.path());
        let expected = usize::from(durability == Durability::Fsync);
        assert_eq!(own.len(), expected, "only the large one has a file of its own, where it is synced");
        for file in own {
            let metadata = std::fs::metadata(file).unwrap();
            assert!(metadata.blocks() * 512 <= metadata.len() + (256 << 10), "what was set aside is given back");
        }
    }
}

#[test]
fn segments_follow_each_other() {
    let bench = Bench::new();
    let store = bench.open();
    let bytes = pattern(900_000);
    for number in 0..20 {
        send(&store, &format!("1.2.{number}"), &bytes).unwrap();
    }
    let segments = std::fs::read_dir(bench.dir.path().join("segments")).unwrap().count();
    assert!((5..=7).contains(&segments), "{segments} segments of 4 MiB for 20 records of 0.9 MB");
    drop(store);
    let store = bench.open();
    for id in store.reader().newest(100).unwrap().into_iter().map(|stored| stored.id) {
        assert!(data_set(&store, id) == bytes, "{id}");
    }
    assert_eq!(store.reader().newest(100).unwrap().len(), 20);
}

#[test]
fn dropped_without_commit_leaves_nothing() {
    let bench = Bench::new();
    let store = bench.open();
    let mut incoming = store.receive(arrival("1.2.3.4")).unwrap();
    incoming.write(&vec![7; LARGE]).unwrap();
    assert_eq!(files(bench.dir.path()).len(), 1);
    drop(incoming);
    assert_eq!(files(bench.dir.path()).len(), 0);
    assert_eq!(store.queue_depth(), 0);
}

#[test]
fn the_same_bytes_again_are_a_success_without_a_second_copy_or_second_work() {
    let bench = Bench::new();
    let store = bench.open();
    let bytes = pattern(LARGE);
    let first = send(&store, "1.2.3.4", &bytes).unwrap();
    let used = disk_use(bench.dir.path());
    let second = send(&store, "1.2.3.4", &bytes).unwrap();
    assert_eq!((second.kind, second.instance), (ArrivalKind::Duplicate, first.instance));
    assert_eq!(files(bench.dir.path()).len(), 1);
    assert_eq!(store.queue_depth(), 1);
    let slice = pattern(900_000);
    send(&store, "1.2.3.5", &slice).unwrap();
    for _ in 0..20 {
        send(&store, "1.2.3.5", &slice).unwrap();
    }
    assert!(disk_use(bench.dir.path()) < used + (12 << 20), "twenty duplicates would be 18 MB");
    let shown = store.reader().show(first.instance).unwrap().unwrap();
    let outcomes: Vec<_> = shown.arrivals.iter().map(|arrival| arrival.outcome.as_str()).collect();
    assert_eq!(outcomes, ["new", "duplicate"]);
}

#[test]
fn other_bytes_are_a_further_version_and_the_first_one_stays() {
    let bench = Bench::new();
    let store = bench.open();
    let first = send(&store, "1.2.3.4", b"bytes").unwrap();
    let second = send(&store, "1.2.3.4", b"other").unwrap();
    assert_eq!(second.kind, ArrivalKind::Version(2));
    assert_ne!(second.instance, first.instance);
    assert_eq!(send(&store, "1.2.3.4", b"bytes").unwrap().instance, first.instance);
    assert_eq!(send(&store, "1.2.3.4", b"other").unwrap().instance, second.instance);
    assert_eq!(
        (data_set(&store, first.instance), data_set(&store, second.instance)),
        (b"bytes".into(), b"other".into())
    );
    assert_eq!(store.lease(JobKind::Match, 10, crate::support::LEASE).unwrap().len(), 2);
    assert_eq!(store.reader().find("1.2.3.4").unwrap(), [first.instance, second.instance]);
}

#[test]
fn other_bytes_are_refused_and_recorded_when_the_policy_says_so() {
    let bench = Bench::new();
    let store = Store::open(StoreConfig { versions: VersionPolicy::Refuse, ..bench.config() }).unwrap();
    let first = send(&store, "1.2.3.4", b"bytes").unwrap();
    assert!(matches!(send(&store, "1.2.3.4", b"other"), Err(StoreError::OtherBytes { .. })));
    assert_eq!(data_set(&store, first.instance), b"bytes");
    assert_eq!(store.reader().newest(10).unwrap().len(), 1);
    let shown = store.reader().show(first.instance).unwrap().unwrap();
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
    assert_eq!(store.reader().newest(1_000).unwrap().len(), distinct);
    assert_eq!(store.queue_depth(), distinct as u64);
    assert_eq!(store.reader().counts().unwrap().instances["open"], distinct as u64);
    let transactions =
        bench.disk.steps.lock().unwrap().iter().filter(|(step, _)| *step == dokuei_store::Step::Transaction).count();
    assert!(transactions < 16 * 25, "{transactions} transactions for 400 commits: nothing was shared");
}

/// Many times two senders at once with the same UID; the kinds of arrival they hear of, sorted.
fn check_two_at_once(versions: VersionPolicy, len: usize, other_bytes: bool, expected: [&str; 2]) {
    let bench = Bench::new();
    let store = Store::open(StoreConfig { versions, ..bench.config() }).unwrap();
    let (first, mut second) = (pattern(len), pattern(len));
    second[0] = u8::from(other_bytes);
    for number in 0..10 {
        let uid = format!("1.2.9.{number}");
        let barrier = Barrier::new(2);
        let push = |bytes: &[u8]| {
            barrier.wait();
            match send(&store, &uid, bytes) {
                Ok(indexed) => format!("{:?}", indexed.kind),
                Err(StoreError::OtherBytes { .. }) => "refused".to_owned(),
                Err(error) => panic!("{error}"),
            }
        };
        let mut heard = std::thread::scope(|scope| {
            let other = scope.spawn(|| push(&second));
            [push(&first), other.join().unwrap()]
        });
        heard.sort();
        assert_eq!(heard, expected, "{versions:?}, {len} bytes");
        let kept: Vec<_> = store.reader().find(&uid).unwrap().into_iter().map(|id| data_set(&store, id)).collect();
        assert_eq!(kept.len(), if expected[1].starts_with("Version") { 2 } else { 1 });
        assert!(kept.iter().all(|bytes| *bytes == first || *bytes == second), "{versions:?}, {len} bytes");
    }
    let kept = store.reader().newest(100).unwrap().iter().filter(|stored| stored.size_bytes == LARGE as u64).count();
    assert_eq!(files(bench.dir.path()).len(), kept, "no file more, no file less");
}

#[test]
fn two_senders_at_once_with_one_uid_are_one_after_the_other() {
    for len in [1_000, LARGE] {
        for versions in [VersionPolicy::Keep, VersionPolicy::Replace, VersionPolicy::Refuse] {
            check_two_at_once(versions, len, false, ["Duplicate", "New"]);
        }
        for versions in [VersionPolicy::Keep, VersionPolicy::Replace] {
            check_two_at_once(versions, len, true, ["New", "Version(2)"]);
        }
        check_two_at_once(VersionPolicy::Refuse, len, true, ["New", "refused"]);
    }
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
    assert_eq!(beside.find("1.2.3").unwrap(), [committed.instance]);
    assert_eq!(beside.find("no such").unwrap(), []);
    assert!(beside.show(InstanceId(99)).unwrap().is_none());
    let shown = beside.show(committed.instance).unwrap().unwrap();
    assert_eq!(shown.end, None);
    assert_eq!(shown.xxh3, format!("{:032x}", twox_hash::XxHash3_128::oneshot(b"bytes")));
}

#[test]
fn attributes_survive_as_given() {
    let bench = Bench::new();
    let store = bench.open();
    let committed = send(&store, "1.2.3.4", b"bytes").unwrap();
    let shown = store.reader().show(committed.instance).unwrap().unwrap();
    assert_eq!(shown.attributes, serde_json::json!({ "modality": "CR" }));
}
