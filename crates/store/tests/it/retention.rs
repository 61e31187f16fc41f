//! What is kept no longer goes, and nothing else.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dokuei_store::{
    ArrivalKind, Changes, Decision, DeliveryEnd, Disk, FreeSpace, Holding, Integrity, JobKind, NewCommitment,
    NewObject, NewResult, Priority, RealDisk, Removed, Retention, Step, Store, StoreConfig, TaskEnd,
};
use dokuei_types::{DimseStatus, InstanceId, Uid};

use crate::support::{Bench, LEASE, START, data_set, disk_use, files, model, one_lease, send, task};

const DAY: Duration = Duration::from_secs(86_400);
const WEEK: Retention = Retention { images: Some(Duration::from_secs(7 * 86_400)), results: None, free: None };

fn days(bench: &Bench, count: i64) {
    bench.clock.advance_ms(count * 86_400_000);
}

/// No rule matched it: its work has ended.
fn end(store: &Store) {
    let lease = one_lease(store, JobKind::Match);
    let decision = Decision { trace: Box::default(), declined: None };
    store.apply(Changes::complete(&lease).decide(crate::support::instance_of(&lease), decision)).unwrap();
}

/// Reported, with an object that waits for the PACS.
fn report(store: &Store, instance: InstanceId) {
    let matching = one_lease(store, JobKind::Match);
    store.apply(Changes::complete(&matching).begin(task(instance), None)).unwrap();
    let lease = one_lease(store, JobKind::Analyze);
    let dokuei_store::Subject::Task(number, _) = lease.subject else { panic!("{lease:?}") };
    let [class, uid, series] = ["1.2.840.10008.5.1.4.1.1.88.33", "2.25.7", "2.25.8"].map(|uid| Uid::new(uid).unwrap());
    let object = NewObject {
        role: "sr",
        sop_class: &class,
        sop_instance: &uid,
        series: &series,
        transfer_syntax: "1.2.840.10008.1.2.1",
        bytes: b"a report",
    };
    let result = NewResult { instance, model: model(), findings: serde_json::Value::Null, made_at: START };
    let changes = Changes::complete(&lease)
        .result(result, vec![store.stage(&object).unwrap()])
        .finish(number, TaskEnd::Reported(Box::new(model())))
        .send_result(instance, &model(), "sr", "pacs", Priority::Routine);
    store.apply(changes).unwrap();
}

fn deliver(store: &Store) {
    for lease in store.lease_deliveries("pacs", 10, LEASE).unwrap() {
        let stored = DeliveryEnd::Stored {
            status: DimseStatus::SUCCESS,
            sop_class: String::new(),
            comment: None,
            confirm_at: None,
        };
        store.apply(Changes::delivered(&lease, stored)).unwrap();
    }
}

#[test]
fn an_old_instance_goes_and_is_known_still() {
    let bench = Bench::new();
    let store = bench.open();
    let before = disk_use(bench.dir.path());
    let small = send(&store, "1.2.3.4", &[7; 500_000]).unwrap().instance;
    end(&store);
    let large = send(&store, "1.2.3.5", &[8; 3_000_000]).unwrap().instance;
    end(&store);
    days(&bench, 6);
    assert_eq!(store.remove_old(&WEEK, 10).unwrap(), Removed::default(), "a day too early");
    assert_eq!(data_set(&store, small), [7; 500_000]);
    days(&bench, 1);
    assert_eq!(store.remove_old(&Retention::default(), 10).unwrap(), Removed::default(), "for ever");
    let new = send(&store, "1.2.3.6", b"new").unwrap().instance;
    end(&store);
    assert_eq!(store.remove_old(&WEEK, 1).unwrap(), Removed { images: 1, objects: 0 }, "as many as asked for");
    assert_eq!(store.remove_old(&WEEK, 10).unwrap(), Removed { images: 1, objects: 0 });
    assert_eq!(store.remove_old(&WEEK, 10).unwrap(), Removed::default());
    for gone in [small, large] {
        let shown = store.reader().show(gone).unwrap().unwrap();
        assert_eq!(shown.removed_at, Some(START + 7 * 86_400_000));
        assert_eq!((shown.removed_why.as_deref(), shown.end.is_some()), (Some("age"), true));
        assert_eq!(store.reader().check_bytes(gone).unwrap()[0].integrity, Integrity::Removed);
    }
    assert!(files(bench.dir.path()).is_empty(), "the file of its own");
    let segments = disk_use(bench.dir.path());
    assert!(segments < before + 5_000_000, "{before} {segments}: the space of the records is given back");
    assert_eq!(data_set(&store, new), b"new");
    drop(store);
    let store = bench.open();
    assert_eq!(data_set(&store, new), b"new");
    assert!(store.reader().show(small).unwrap().unwrap().removed_at.is_some());
}

#[test]
fn space_that_a_failing_disk_does_not_give_back_comes_back_at_the_next_open() {
    let bench = Bench::new();
    let store = bench.open();
    send(&store, "1.2.3.4", &[7; 900_000]).unwrap();
    end(&store);
    let kept = send(&store, "1.2.3.5", b"beside it, and in work").unwrap().instance;
    days(&bench, 7);
    bench.disk.reads_fail.store(true, Ordering::SeqCst);
    assert_eq!(store.remove_old(&WEEK, 10).unwrap(), Removed { images: 1, objects: 0 });
    drop(store);
    let segment = bench.dir.path().join("segments/00000001.log");
    let in_use = || std::fs::metadata(&segment).unwrap().blocks() * 512;
    assert!(in_use() > 900_000);
    bench.disk.reads_fail.store(false, Ordering::SeqCst);
    let store = bench.open();
    assert!(in_use() < 500_000, "{}", in_use());
    assert_eq!(data_set(&store, kept), b"beside it, and in work");
}

#[test]
fn nothing_goes_before_everything_of_it_has_arrived() {
    let bench = Bench::new();
    let store = bench.open();
    let instance = send(&store, "1.2.3.4", b"an image").unwrap().instance;
    let policy = Retention { images: Some(DAY), results: Some(3 * DAY), free: None };
    days(&bench, 10);
    assert_eq!(store.remove_old(&policy, 10).unwrap(), Removed::default(), "not decided on");
    report(&store, instance);
    days(&bench, 10);
    assert_eq!(store.remove_old(&policy, 10).unwrap(), Removed::default(), "not delivered");
    deliver(&store);
    assert_eq!(store.remove_old(&policy, 10).unwrap(), Removed::default(), "just now");
    days(&bench, 1);
    assert_eq!(store.remove_old(&policy, 10).unwrap(), Removed { images: 1, objects: 0 });
    let removed_at = || store.reader().show(instance).unwrap().unwrap().results[0].objects[0].removed_at;
    assert_eq!(removed_at(), None);
    days(&bench, 2);
    assert_eq!(store.remove_old(&policy, 10).unwrap(), Removed { images: 0, objects: 1 });
    assert_eq!(removed_at(), Some(START + 23 * 86_400_000));
    assert!(files(bench.dir.path()).is_empty());
    assert_eq!(store.remove_old(&policy, 10).unwrap(), Removed::default());
}

#[test]
fn what_failed_is_kept() {
    let bench = Bench::new();
    let store = bench.open();
    let instance = send(&store, "1.2.3.4", b"an image").unwrap().instance;
    store.apply(Changes::bury(&one_lease(&store, JobKind::Match), "a defect")).unwrap();
    days(&bench, 1_000);
    assert_eq!(store.remove_old(&WEEK, 10).unwrap(), Removed::default());
    assert_eq!(data_set(&store, instance), b"an image");
}

#[test]
fn a_disk_that_fills_loses_the_oldest_first() {
    let bench = Bench::new();
    let store = bench.open();
    let all = ["1.2.3.4", "1.2.3.5", "1.2.3.6"].map(|uid| {
        let instance = send(&store, uid, uid.as_bytes()).unwrap().instance;
        end(&store);
        days(&bench, 1);
        instance
    });
    let policy =
        Retention { images: None, results: None, free: Some(FreeSpace { bytes: 1 << 30, images_at_least: 2 * DAY }) };
    assert_eq!(store.remove_old(&policy, 10).unwrap(), Removed::default(), "there is room");
    bench.disk.free_bytes.store((1 << 30) - 7, Ordering::SeqCst);
    assert_eq!(store.remove_old(&policy, 10).unwrap(), Removed { images: 1, objects: 0 }, "no more than is missing");
    assert_eq!(store.reader().show(all[0]).unwrap().unwrap().removed_why.as_deref(), Some("space"));
    assert_eq!(store.remove_old(&policy, 10).unwrap(), Removed { images: 1, objects: 0 }, "the last is too young");
    assert_eq!(data_set(&store, all[2]), b"1.2.3.6");
}

#[test]
fn what_was_begun_is_finished_at_the_next_open() {
    let bench = Bench::new();
    let store = bench.open();
    let instance = send(&store, "1.2.3.4", &[9; 3_000_000]).unwrap().instance;
    end(&store);
    drop(store);
    let index = rusqlite::Connection::open(bench.dir.path().join("index.sqlite")).unwrap();
    index.execute("UPDATE instance SET removed_at = 1, removed_why = 'age'", []).unwrap();
    drop(index);
    assert_eq!(files(bench.dir.path()).len(), 1);
    let store = bench.open();
    assert!(files(bench.dir.path()).is_empty());
    assert_eq!(store.reader().show(instance).unwrap().unwrap().removed_at, Some(1));
}

#[test]
fn what_comes_again_is_kept_again() {
    let bench = Bench::new();
    let store = bench.open();
    let first = send(&store, "1.2.3.4", b"an image").unwrap();
    end(&store);
    days(&bench, 7);
    store.remove_old(&WEEK, 10).unwrap();
    let request = NewCommitment {
        transaction_uid: Uid::new("1.9").unwrap(),
        peer_ae: "CR_ROOM_1".into(),
        called_ae: "DOKUEI".into(),
        referenced: vec![(Uid::new("1.2.840.10008.5.1.4.1.1.1").unwrap(), Uid::new("1.2.3.4").unwrap())],
    };
    let asked = store.ask_commitment(request).unwrap();
    assert_eq!(store.commitment(asked).unwrap().unwrap().1, [Holding::Absent]);
    let again = send(&store, "1.2.3.4", b"an image").unwrap();
    assert_eq!((again.instance, again.kind), (first.instance, ArrivalKind::Restored));
    assert_eq!(data_set(&store, first.instance), b"an image");
    assert_eq!(store.commitment(asked).unwrap().unwrap().1, [Holding::Held]);
    assert!(store.lease(JobKind::Match, 10, LEASE).unwrap().is_empty(), "what was found out still holds");
    assert_eq!(store.remove_old(&WEEK, 10).unwrap(), Removed::default(), "its time begins anew");
    drop(store);
    let store = bench.open();
    assert_eq!(data_set(&store, first.instance), b"an image");
    assert_eq!(send(&store, "1.2.3.4", b"an image").unwrap().kind, ArrivalKind::Duplicate);
}

#[test]
fn a_segment_of_which_nothing_is_kept_goes_and_its_number_with_it() {
    let bench = Bench::new();
    let mut sent = 0;
    for round in 0..3 {
        let store = bench.open();
        for _ in 0..12 {
            sent += 1;
            send(&store, &format!("1.2.3.{sent}"), &vec![round; 900_000]).unwrap();
            end(&store);
        }
        days(&bench, 7);
        while store.remove_old(&WEEK, 5).unwrap() != Removed::default() {}
        drop(store);
        let store = bench.open();
        days(&bench, 7);
        store.remove_old(&WEEK, 5).unwrap();
    }
    let kept = bench.open();
    let last = send(&kept, "1.2.4", b"the last").unwrap().instance;
    drop(kept);
    // What a crash would leave: the index knows nothing of the last.
    let index = rusqlite::Connection::open(bench.dir.path().join("index.sqlite")).unwrap();
    let newest: i64 = index.query_row("SELECT max(segment) FROM instance", [], |row| row.get(0)).unwrap();
    let others: i64 =
        index.query_row("SELECT count(*) FROM instance WHERE segment = ?1", [newest], |row| row.get(0)).unwrap();
    assert_eq!(others, 1, "no number is used twice");
    assert!(std::fs::read_dir(bench.dir.path().join("segments")).unwrap().count() < 12, "empty segments go");
    drop(index);
    assert_eq!(data_set(&bench.open(), last), b"the last");
}

/// A disk before whose next read something happens.
#[derive(Default)]
struct Meddling(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Disk for Meddling {
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        RealDisk.free_bytes(path)
    }

    fn before(&self, _step: Step, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn read_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let meddle = self.0.lock().unwrap().take();
        meddle.into_iter().for_each(|meddle| meddle());
        RealDisk.read_at(file, buffer, offset)
    }
}

#[test]
fn what_is_removed_while_it_is_checked_is_not_damaged() {
    let bench = Bench::new();
    let disk = Arc::new(Meddling::default());
    let store = Store::open(StoreConfig { disk: Arc::clone(&disk) as _, ..bench.config() }).unwrap();
    let instance = send(&store, "1.2.3.4", &[7; 900_000]).unwrap().instance;
    end(&store);
    days(&bench, 7);
    let removing = store.clone();
    *disk.0.lock().unwrap() = Some(Box::new(move || {
        assert_eq!(removing.remove_old(&WEEK, 10).unwrap().images, 1);
    }));
    assert_eq!(store.reader().check_bytes(instance).unwrap()[0].integrity, Integrity::Removed);
}

#[test]
fn damage_is_found() {
    let bench = Bench::new();
    let store = bench.open();
    let intact = send(&store, "1.2.3.4", b"an image").unwrap().instance;
    let damaged = send(&store, "1.2.3.5", &[5; 3_000_000]).unwrap().instance;
    let missing = send(&store, "1.2.3.6", &[6; 3_000_000]).unwrap().instance;
    let file = |instance| store.reader().instance(instance).unwrap().unwrap().file.path;
    let mut bytes = std::fs::read(file(damaged)).unwrap();
    bytes[2_000_000] ^= 1;
    std::fs::write(file(damaged), bytes).unwrap();
    std::fs::remove_file(file(missing)).unwrap();
    for (instance, expected) in
        [(intact, Integrity::Intact), (damaged, Integrity::Damaged), (missing, Integrity::Missing)]
    {
        assert_eq!(store.reader().check_bytes(instance).unwrap()[0].integrity, expected);
    }
    // What the sender has still is taken in place of what is lost.
    for (uid, bytes, kind) in [
        ("1.2.3.4", b"an image".to_vec(), ArrivalKind::Duplicate),
        ("1.2.3.5", vec![5; 3_000_000], ArrivalKind::Restored),
        ("1.2.3.6", vec![6; 3_000_000], ArrivalKind::Restored),
        ("1.2.3.6", vec![6; 3_000_000], ArrivalKind::Duplicate),
    ] {
        let again = send(&store, uid, &bytes).unwrap();
        assert_eq!(again.kind, kind, "{uid}");
        assert_eq!(store.reader().check_bytes(again.instance).unwrap()[0].integrity, Integrity::Intact);
        assert_eq!(store.reader().end(again.instance).unwrap(), None, "its work waits as before");
    }
}
