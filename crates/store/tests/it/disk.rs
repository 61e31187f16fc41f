use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use dokuei_store::{
    ArrivalKind, Changes, Disk, Durability, Fault, IndexEntry, JobKind, NewObject, Step, Store, StoreConfig,
    StoreError, SystemClock, VersionPolicy,
};
use dokuei_types::Uid;

use crate::support::{Bench, LEASE, arrival, commit, commit_with, data_set, entry, files, raw, send};
use crate::work::trace;

/// Larger than what a segment takes.
const LARGE: usize = 3 << 20;

fn steps(bench: &Bench) -> Vec<Step> {
    bench.disk.steps.lock().unwrap().drain(..).map(|(step, _)| step).collect()
}

#[test]
fn success_comes_after_record_or_file_folder_and_record() {
    let bench = Bench::new();
    let store = bench.open();
    send(&store, "1.2.3.3", b"first").unwrap();
    steps(&bench);
    let committed = commit(&store, "1.2.3.4", b"bytes").unwrap();
    assert_eq!(steps(&bench)[..3], [Step::Append, Step::SyncLog, Step::Answer]);
    // The index answers too, when it has got so far.
    store.indexed(committed).unwrap();
    steps(&bench);
    let committed = commit(&store, "1.2.3.5", &[0; LARGE]).unwrap();
    let mut seen = steps(&bench);
    // The index follows in its own time, and a large instance is written piece by piece.
    seen.retain(|step| *step != Step::Transaction);
    seen.dedup();
    let order = [
        Step::Create,
        Step::Write,
        Step::SyncFile,
        Step::Rename,
        Step::SyncFolder,
        Step::Append,
        Step::SyncLog,
        Step::Answer,
    ];
    assert_eq!(seen[seen.len() - order.len()..], order);
    store.indexed(committed).unwrap();
}

#[test]
fn without_fsync_nothing_is_synced() {
    let bench = Bench::new();
    let store = Store::open(StoreConfig { durability: Durability::Os, ..bench.config() }).unwrap();
    send(&store, "1.2.3.4", b"bytes").unwrap();
    send(&store, "1.2.3.5", &[0; LARGE]).unwrap();
    let steps = steps(&bench);
    let synced = |step: &Step| matches!(step, Step::SyncFile | Step::SyncFolder | Step::SyncLog);
    assert!(!steps.iter().any(synced), "{steps:?}");
}

#[test]
fn below_the_watermark_nothing_is_received_and_above_it_again() {
    let bench = Bench::new();
    let store = bench.open();
    let kept = send(&store, "1.2.3.4", b"bytes").unwrap();
    bench.disk.free_bytes.store(1 << 10, Ordering::SeqCst);
    bench.clock.advance_ms(2_000);
    let error = store.receive(arrival("1.2.3.5")).err().unwrap();
    assert!(matches!(error, StoreError::DiskLow { free_bytes: 1024, .. }), "{error}");
    assert_eq!(error.fault(), Fault::Resources);
    assert!(store.reader().instance(kept.instance).unwrap().unwrap().file.path.exists());
    bench.disk.free_bytes.store(1 << 40, Ordering::SeqCst);
    send(&store, "1.2.3.5", b"bytes").unwrap();
}

#[test]
fn a_large_object_stops_at_the_watermark_not_at_the_end_of_the_disk() {
    let bench = Bench::new();
    let store = bench.open();
    bench.disk.free_bytes.store(16 << 20, Ordering::SeqCst);
    let mut incoming = store.receive(arrival("1.2.3.4")).unwrap();
    let piece = vec![0_u8; 1 << 20];
    let mut written = 0;
    while written < 64 && incoming.write(&piece).is_ok() {
        bench.disk.free_bytes.fetch_sub(1 << 20, Ordering::SeqCst);
        written += 1;
    }
    assert!((8..16).contains(&written), "{written} MiB of 16");
    drop(incoming);
    assert_eq!(files(bench.dir.path()).len(), 0);
}

#[test]
fn a_failing_step_refuses_the_instance_keeps_the_rest_and_leaves_no_file() {
    let (synced, unsynced) = (Durability::Fsync, Durability::Os);
    for (step, len, durability) in [
        (Step::Create, LARGE, synced),
        (Step::Write, LARGE, synced),
        (Step::SyncFile, LARGE, synced),
        (Step::Rename, LARGE, synced),
        (Step::SyncFolder, LARGE, synced),
        (Step::Append, LARGE, synced),
        (Step::Append, 5, synced),
        (Step::SyncLog, 5, synced),
        (Step::Create, LARGE, unsynced),
        (Step::Append, LARGE, unsynced),
        (Step::Append, 5, unsynced),
    ] {
        for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
            let bench = Bench::new();
            let store = Store::open(StoreConfig { durability, ..bench.config() }).unwrap();
            let kept = send(&store, "1.2.3.4", b"bytes").unwrap();
            bench.disk.fail_at(step, kind);
            let error = send(&store, "1.2.3.5", &vec![1; len]).unwrap_err();
            assert_eq!(error.fault(), Fault::Resources, "{step:?}: {error}");
            assert_eq!(matches!(error, StoreError::DiskFull { .. }), kind == ErrorKind::StorageFull, "{step:?}");
            bench.disk.heal();
            assert_eq!(files(bench.dir.path()).len(), 0, "{step:?}");
            assert_eq!(store.queue_depth(), 1, "{step:?}");
            send(&store, "1.2.3.5", &vec![1; len]).unwrap();
            assert_eq!(data_set(&store, kept.instance), b"bytes");
        }
    }
}

/// A disk of so many bytes, of which the segments have theirs.
struct Small {
    segments: PathBuf,
    size: AtomicU64,
}

impl Disk for Small {
    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        let segments = std::fs::read_dir(&self.segments).into_iter().flatten().flatten();
        // One may go meanwhile.
        let used = segments.filter_map(|file| file.metadata().ok()).map(|file| file.blocks() * 512).sum();
        Ok(self.size.load(Ordering::SeqCst).saturating_sub(used))
    }

    fn before(&self, _step: Step, _path: &Path) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_is_kept_ready_for_a_burst_takes_no_room_from_what_arrives_on_a_small_disk() {
    const MIB: u64 = 1 << 20;
    let bench = Bench::new();
    let segments = bench.dir.path().join("segments");
    let disk = Arc::new(Small { segments: segments.clone(), size: AtomicU64::new(60 * MIB) });
    let config = StoreConfig {
        disk_free_min: 2 * MIB,
        segment_bytes: 4 * MIB,
        preallocate_bytes: 400 * MIB,
        disk: Arc::clone(&disk) as _,
        clock: Arc::new(SystemClock),
        ..bench.config()
    };
    let store = Store::open(config).unwrap();
    let begun = Instant::now();
    while disk.free_bytes(&segments).unwrap() >= 8 * MIB {
        assert!(begun.elapsed() < Duration::from_secs(60), "no segments are made ready");
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(300));
    assert!(disk.free_bytes(&segments).unwrap() >= 4 * MIB, "they leave twice the watermark");
    // Another program takes what was left.
    disk.size.store(40 * MIB, Ordering::SeqCst);
    let stored = (0..).take_while(|number| send(&store, &format!("1.2.{number}"), &[7; 900_000]).is_ok()).count();
    assert!((20..40).contains(&stored), "{stored} of 900 kB on a disk of 40 MiB");
}

#[test]
fn what_is_refused_while_the_disk_fails_leaves_no_segments_behind() {
    for durability in [Durability::Fsync, Durability::Os] {
        let bench = Bench::new();
        let store = Store::open(StoreConfig { durability, ..bench.config() }).unwrap();
        let kept = send(&store, "1.2.3.4", b"bytes").unwrap();
        let step = if durability == Durability::Fsync { Step::SyncLog } else { Step::Append };
        bench.disk.fail_at(step, ErrorKind::Other);
        for number in 0..20 {
            send(&store, &format!("1.2.4.{number}"), b"refused").unwrap_err();
        }
        bench.disk.heal();
        send(&store, "1.2.3.5", b"afterwards").unwrap();
        let segments = || std::fs::read_dir(bench.dir.path().join("segments")).unwrap();
        assert!(segments().count() <= 4, "{durability:?}: {} segments", segments().count());
        drop(store);
        let store = Store::open(StoreConfig { durability, ..bench.config() }).unwrap();
        assert_eq!(data_set(&store, kept.instance), b"bytes");
        assert_eq!(store.reader().newest(10).unwrap().len(), 2, "nothing of what was refused");
    }
}

#[test]
fn an_index_that_fails_hears_of_the_instance_as_soon_as_it_can() {
    for length in [5, LARGE] {
        let bench = Bench::new();
        let store = bench.open();
        bench.disk.fail_at(Step::Transaction, ErrorKind::StorageFull);
        let committed = commit(&store, "1.2.3.4", &vec![1; length]).unwrap();
        assert_eq!(store.reader().find("1.2.3.4").unwrap(), []);
        bench.disk.heal();
        let indexed = store.indexed(committed).unwrap();
        assert_eq!(data_set(&store, indexed.instance).len(), length);
    }
}

#[test]
fn what_the_index_never_heard_of_it_hears_from_the_log_at_the_next_open() {
    let bench = Bench::new();
    let store = bench.open();
    send(&store, "1.2.3.3", b"known").unwrap();
    bench.disk.fail_at(Step::Transaction, ErrorKind::StorageFull);
    commit(&store, "1.2.3.4", b"small").unwrap();
    commit(&store, "1.2.3.4", b"small").unwrap();
    commit(&store, "1.2.3.5", &[1; LARGE]).unwrap();
    drop(store);
    bench.disk.heal();
    for _ in 0..2 {
        let store = bench.open();
        let newest = store.reader().newest(10).unwrap();
        assert_eq!(newest.len(), 3);
        assert_eq!(store.queue_depth(), 3);
        assert_eq!(data_set(&store, newest[0].id), [1; LARGE]);
        assert_eq!(data_set(&store, newest[1].id), b"small");
        let arrivals = store.reader().show(newest[1].id).unwrap().unwrap().arrivals;
        assert_eq!(arrivals.len(), 2, "told once, however often it is opened");
    }
}

#[test]
fn what_was_acknowledged_under_one_policy_is_not_refused_by_the_next() {
    let bench = Bench::new();
    let store = bench.open();
    bench.disk.fail_at(Step::Transaction, ErrorKind::StorageFull);
    commit(&store, "1.2.3.4", b"bytes").unwrap();
    commit(&store, "1.2.3.4", b"other").unwrap();
    drop(store);
    bench.disk.heal();
    let store = Store::open(StoreConfig { versions: VersionPolicy::Refuse, ..bench.config() }).unwrap();
    assert_eq!(store.reader().newest(10).unwrap().len(), 2);
    assert!(matches!(send(&store, "1.2.3.4", b"third"), Err(StoreError::OtherBytes { .. })));
}

#[test]
fn a_transaction_that_failed_and_came_through_counts_once() {
    let bench = Bench::new();
    let store = bench.open();
    let rung = Arc::new(AtomicUsize::new(0));
    let bell = Arc::clone(&rung);
    store.listen(move || {
        bell.fetch_add(1, Ordering::SeqCst);
    });
    bench.disk.fail_at_files(Step::Answer, "index", ErrorKind::Other);
    let committed = commit(&store, "1.2.3.4", b"bytes").unwrap();
    assert!(store.lease(dokuei_store::JobKind::Settle, 1, crate::support::LEASE).is_err(), "in a later turn");
    bench.disk.heal();
    assert_eq!(store.indexed(committed).unwrap().kind, ArrivalKind::New);
    assert_eq!(store.queue_depth(), 1);
    assert_ne!(rung.load(Ordering::SeqCst), 0, "nobody was told that there is work");
}

#[test]
fn who_waits_for_the_index_hears_when_it_fails() {
    let bench = Bench::new();
    let store = Store::open(StoreConfig { versions: VersionPolicy::Refuse, ..bench.config() }).unwrap();
    bench.disk.fail_at(Step::Transaction, ErrorKind::StorageFull);
    let error = commit(&store, "1.2.3.4", b"bytes").unwrap_err();
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error}");
    bench.disk.heal();
    let again = send(&store, "1.2.3.4", b"bytes").unwrap();
    assert_eq!(again.kind, ArrivalKind::Duplicate, "the log had it");
}

#[test]
fn where_the_index_decides_it_is_durable_before_the_answer() {
    let bench = Bench::new();
    let store = Store::open(StoreConfig { versions: VersionPolicy::Refuse, ..bench.config() }).unwrap();
    // Otherwise another arrival that was refused may win when a power cut makes the index hear of both again.
    commit(&store, "1.2.3.4", b"bytes").unwrap();
    assert_eq!(bench.disk.durable.lock().unwrap().last().map(String::as_str), Some("index.sqlite"));
}

/// More arrivals wait for the index than it keeps in memory, whose headers it is to decide by: how many it does, once
/// `then` has been called.
fn decided_after_a_burst(bench: &Bench, durability: Durability, then: impl FnOnce()) -> usize {
    const HEADER: usize = 8 << 10;
    let store = Store::open(StoreConfig { durability, ..bench.config() }).unwrap();
    let objects: HashMap<_, _> =
        (0..1_200).map(|number| (format!("1.9.{number}"), pattern(number, HEADER + 512))).collect();
    let objects = Arc::new(objects);
    let (go, gone) = mpsc::channel();
    let (gone, decided, expected) = (Mutex::new(Some(gone)), Arc::<AtomicUsize>::default(), Arc::clone(&objects));
    let count = Arc::clone(&decided);
    store.decide_with(move |stored, header| {
        if let Some(gone) = gone.lock().unwrap().take() {
            gone.recv().unwrap();
        }
        assert!(header == &expected[&stored.sop_instance][..HEADER], "the header of another");
        count.fetch_add(1, Ordering::SeqCst);
        Some(Changes::unleased().decide(stored.id, trace()))
    });
    let entry = |uid: &str| IndexEntry {
        header_bytes: Some(HEADER as u64),
        attributes: raw(&serde_json::json!({ "of": uid })),
        ..entry()
    };
    for (uid, bytes) in objects.iter() {
        commit_with(&store, uid, bytes, entry(uid)).unwrap();
    }
    go.send(()).unwrap();
    then();
    let known = || store.reader().counts().unwrap().instances.values().sum::<u64>();
    while known() < objects.len() as u64 {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(store.lease(JobKind::Match, 1, LEASE).unwrap().is_empty(), "nothing is left to a job");
    for uid in objects.keys() {
        let found = store.reader().find(uid).unwrap();
        assert_eq!(store.reader().show(found[0]).unwrap().unwrap().attributes, serde_json::json!({ "of": uid }));
    }
    decided.load(Ordering::SeqCst)
}

#[test]
fn what_finds_no_room_to_wait_is_read_back() {
    for durability in [Durability::Fsync, Durability::Os] {
        assert_eq!(decided_after_a_burst(&Bench::new(), durability, || {}), 1_200, "{durability:?}");
    }
}

#[test]
fn what_cannot_be_read_back_waits_until_it_can() {
    let bench = Bench::new();
    bench.disk.reads_fail.store(true, Ordering::SeqCst);
    let heal = || {
        while bench.disk.failed_reads.load(Ordering::SeqCst) == 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
        bench.disk.reads_fail.store(false, Ordering::SeqCst);
    };
    let decided = decided_after_a_burst(&bench, Durability::Fsync, heal);
    assert!(decided > 1_200, "{decided}: those that were not to blame were tried again");
}

#[test]
fn a_long_description_is_found_again_too() {
    let bench = Bench::new();
    let store = bench.open();
    bench.disk.fail_at(Step::Transaction, ErrorKind::StorageFull);
    let long = serde_json::json!({ "study_description": "\u{1}".repeat(400_000) });
    commit_with(&store, "1.2.3.4", b"bytes", IndexEntry { attributes: raw(&long), ..entry() }).unwrap();
    drop(store);
    bench.disk.heal();
    let store = bench.open();
    let found = store.reader().newest(10).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(store.reader().show(found[0].id).unwrap().unwrap().attributes, long);
}

#[test]
fn of_what_the_index_knows_a_start_reads_no_more_than_the_head() {
    const BYTES: usize = 500_000;
    let bench = Bench::new();
    // One after the other in one segment.
    let open = || Store::open(StoreConfig { durability: Durability::Os, ..bench.config() }).unwrap();
    let store = open();
    send(&store, "1.2.3.4", &pattern(1, BYTES)).unwrap();
    bench.disk.fail_at(Step::Transaction, ErrorKind::StorageFull);
    commit(&store, "1.2.3.5", &pattern(2, BYTES)).unwrap();
    drop(store);
    bench.disk.heal();
    bench.disk.read.lock().unwrap().clear();
    let store = open();
    let read_within = |records: Range<u64>| {
        let read = bench.disk.read.lock().unwrap();
        read.iter().map(|read| read.end.min(records.end).saturating_sub(read.start.max(records.start))).sum::<u64>()
    };
    let known = read_within(4_096..BYTES as u64);
    assert!(known <= 8_192, "{known} bytes of what is known were read");
    let both = read_within(4_096..2 * BYTES as u64);
    assert!(both > BYTES as u64 / 2, "{both}: what is not known is read");
    assert_eq!(data_set(&store, store.reader().find("1.2.3.5").unwrap()[0]), pattern(2, BYTES));
}

#[test]
fn a_torn_record_is_passed_over_and_those_around_it_stay() {
    let bench = Bench::new();
    let store = bench.open();
    bench.disk.fail_at(Step::Transaction, ErrorKind::StorageFull);
    let records: Vec<_> = (0..3).map(|number| pattern(number, 20_000)).collect();
    for (number, bytes) in records.iter().enumerate() {
        commit(&store, &format!("1.2.{number}"), bytes).unwrap();
    }
    drop(store);
    bench.disk.heal();
    let segment = bench.dir.path().join("segments/00000001.log");
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.windows(100).position(|window| window == &records[1][5_000..5_100]).unwrap();
    bytes[middle / 512 * 512..][..512].fill(0);
    std::fs::write(&segment, bytes).unwrap();
    let store = bench.open();
    for (number, expected) in [(0, 1), (1, 0), (2, 1)] {
        assert_eq!(store.reader().find(&format!("1.2.{number}")).unwrap().len(), expected, "{number}");
    }
}

#[test]
fn a_segment_that_cannot_be_read_loses_nothing_more() {
    // Its first block, and its last record.
    for damaged in [0, 4_096 + 1_000] {
        let bench = Bench::new();
        let store = bench.open();
        let kept = send(&store, "1.2.3.4", &pattern(1, 3_000)).unwrap();
        drop(store);
        let segment = bench.dir.path().join("segments/00000001.log");
        let mut bytes = std::fs::read(&segment).unwrap();
        bytes[damaged..][..16].fill(0xFF);
        std::fs::write(&segment, &bytes).unwrap();
        let index = rusqlite::Connection::open(bench.dir.path().join("index.sqlite")).unwrap();
        index.execute("DELETE FROM segment", []).unwrap();
        drop(index);
        let store = bench.open();
        let left = std::fs::read(&segment).unwrap();
        assert!(left.len() > 4_096 && left == bytes[..left.len()], "{damaged}: {} bytes are left", left.len());
        assert!(bytes[left.len()..].iter().all(|byte| *byte == 0), "only what was never written goes");
        assert!(store.reader().instance(kept.instance).unwrap().is_some());
        send(&store, "1.2.3.5", b"more").unwrap();
    }
}

/// Bytes that occur nowhere else.
fn pattern(number: usize, len: usize) -> Vec<u8> {
    (0..len / 8).flat_map(|at| (number * len + at).to_le_bytes()).collect()
}

#[test]
fn too_deep_a_queue_refuses_before_the_first_byte() {
    let bench = Bench::new();
    let store = Store::open(StoreConfig { queue_max: 1, ..bench.config() }).unwrap();
    send(&store, "1.2.3.4", b"bytes").unwrap();
    assert!(matches!(store.receive(arrival("1.2.3.5")), Err(StoreError::QueueFull { depth: 1, max: 1 })));
}

#[test]
fn results_may_use_what_is_kept_free() {
    let bench = Bench::new();
    let store = bench.open();
    bench.disk.free_bytes.store(1 << 10, Ordering::SeqCst);
    bench.clock.advance_ms(2_000);
    let uid = Uid::new("1.2").unwrap();
    let object = NewObject {
        role: "sr",
        sop_class: &uid,
        sop_instance: &uid,
        series: &uid,
        transfer_syntax: "1.2.840.10008.1.2.1",
        bytes: b"report",
    };
    let staged = store.stage(&object).unwrap();
    assert_eq!(std::fs::read(staged.path()).unwrap(), b"report");
    drop(staged);
    assert_eq!(files(bench.dir.path()).len(), 0, "a result that nothing names is removed");
}

#[test]
fn folders_are_filled_one_after_the_other() {
    let bench = Bench::new();
    let store = bench.open();
    for number in 0..3 {
        send(&store, &format!("1.2.{number}"), &[0; LARGE]).unwrap();
    }
    let folders = std::fs::read_dir(bench.dir.path().join("objects")).unwrap().count();
    assert_eq!(folders, 1, "one sync covers what arrives together");
}
