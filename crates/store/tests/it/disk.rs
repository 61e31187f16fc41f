use std::io::ErrorKind;
use std::sync::atomic::Ordering;

use dokuei_store::{Durability, Fault, NewObject, Step, Store, StoreConfig, StoreError};
use dokuei_types::Uid;

use crate::support::{Bench, arrival, files, send};

#[test]
fn success_comes_after_file_folder_and_index_in_this_order() {
    let bench = Bench::new();
    let store = bench.open();
    bench.disk.steps.lock().unwrap().clear();
    send(&store, "1.2.3.4", b"bytes").unwrap();
    let steps: Vec<_> = bench.disk.steps.lock().unwrap().iter().map(|(step, _)| *step).collect();
    let order =
        [Step::Create, Step::Write, Step::SyncFile, Step::Rename, Step::SyncFolder, Step::Transaction, Step::Answer];
    assert_eq!(steps, order);
}

#[test]
fn without_fsync_nothing_is_synced() {
    let bench = Bench::new();
    let store = Store::open(StoreConfig { durability: Durability::Os, ..bench.config() }).unwrap();
    send(&store, "1.2.3.4", b"bytes").unwrap();
    let steps = bench.disk.steps.lock().unwrap();
    assert!(!steps.iter().any(|(step, _)| matches!(step, Step::SyncFile | Step::SyncFolder)), "{steps:?}");
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
    assert!(store.reader().instance(kept.instance()).unwrap().unwrap().path.exists());
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
    for step in [Step::Create, Step::Write, Step::SyncFile, Step::Rename, Step::SyncFolder, Step::Transaction] {
        for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
            let bench = Bench::new();
            let store = bench.open();
            let kept = send(&store, "1.2.3.4", b"bytes").unwrap();
            bench.disk.fail_at(step, kind);
            let error = send(&store, "1.2.3.5", b"more").unwrap_err();
            assert_eq!(error.fault(), Fault::Resources, "{step:?}: {error}");
            assert_eq!(matches!(error, StoreError::DiskFull { .. }), kind == ErrorKind::StorageFull, "{step:?}");
            bench.disk.heal();
            assert_eq!(files(bench.dir.path()).len(), 1, "{step:?}");
            assert_eq!(store.queue_depth(), 1, "{step:?}");
            send(&store, "1.2.3.5", b"more").unwrap();
            assert!(store.reader().instance(kept.instance()).unwrap().unwrap().path.exists());
        }
    }
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
    let store = Store::open(StoreConfig { durability: Durability::Os, ..bench.config() }).unwrap();
    for number in 0..3 {
        send(&store, &format!("1.2.{number}"), b"bytes").unwrap();
    }
    let folders = std::fs::read_dir(bench.dir.path().join("objects")).unwrap().count();
    assert_eq!(folders, 1, "one sync covers what arrives together");
}
