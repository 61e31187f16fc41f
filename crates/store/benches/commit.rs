//! Instances a second that the store takes, without a network: `cargo bench -p dokuei-store`, or with `-- 4096` those of
//! one size alone.
//!
//! Threads commit one instance after the other; rules that take no time say of each that none matched, or that it waits
//! for its study, of 100 instances. `behind` is how long the index needs afterwards to know them all.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench for people")]

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use dokuei_store::{
    Arrival, Changes, Comparable, Decision, Durability, IndexEntry, NewMember, Priority, SendTo, Store, StoreConfig,
    StoredInstance, UnitLevel,
};
use dokuei_types::{AeTitle, Uid};
use serde_json::value::to_raw_value;

const RUN: Duration = Duration::from_secs(1);
/// What arrives at a time, as from a network buffer.
const PIECE: usize = 128 << 10;
/// Instances of a study.
const STUDY: u64 = 100;

fn main() {
    let only: Option<usize> = std::env::args().find_map(|argument| argument.parse().ok());
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    println!(
        "{:<6} {:>9} {:>8} {:>5} {:>11} {:>9} {:>9}",
        "", "bytes", "threads", "rule", "instances/s", "MB/s", "behind"
    );
    for durability in [Durability::Fsync, Durability::Os] {
        for bytes in [4 << 10, 512 << 10, 10 << 20].into_iter().filter(|bytes| only.is_none_or(|only| only == *bytes)) {
            for threads in [1, 4, 16] {
                for waits in [false, true] {
                    measure(folder.path(), durability, bytes, threads, waits);
                }
            }
        }
    }
}

fn measure(folder: &Path, durability: Durability, bytes: usize, threads: usize, waits: bool) {
    let rule = if waits { "waits" } else { "none" };
    let data_dir = folder.join(format!("{durability:?}-{bytes}-{threads}-{rule}"));
    let config = StoreConfig { durability, disk_free_min: 1 << 30, queue_max: u64::MAX, ..StoreConfig::new(data_dir) };
    let store = Store::open(config).unwrap();
    let patient = store.patient("4711", "").unwrap();
    store.decide_with(move |stored, _| {
        let values = serde_json::json!({ "modality": "CT" });
        let condition = serde_json::json!({ "when": "modality in ['CR', 'DX']", "matched": false, "values": values });
        let trace = serde_json::json!([{ "route": "chest radiographs", "matched": false, "conditions": [condition] }]);
        let mut changes = Changes::unleased().comparable(stored.id, Comparable { patient, taken_at: 0 });
        if waits {
            changes = changes.join(member(stored));
        }
        Some(changes.decide(stored.id, Decision { trace: to_raw_value(&trace).unwrap(), declined: None }))
    });
    let data_set = vec![7; bytes];
    commit(&store, "1.2.0", "0", &data_set);
    let count = AtomicU64::new(0);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for thread in 1..=threads {
            let (store, data_set, count) = (&store, &data_set, &count);
            scope.spawn(move || {
                let times = (0_u64..).take_while(|_| began.elapsed() < RUN);
                times.for_each(|number| {
                    commit(store, &format!("1.2.{thread}.{}", number / STUDY), &number.to_string(), data_set);
                    count.fetch_add(1, Ordering::Relaxed);
                });
            });
        }
    });
    let seconds = began.elapsed().as_secs_f64();
    let ended = Instant::now();
    let count = count.into_inner() as f64;
    while store.reader().counts().unwrap().instances.values().sum::<u64>() as f64 <= count {
        std::thread::sleep(Duration::from_millis(1));
    }
    println!(
        "{:<6} {bytes:>9} {threads:>8} {rule:>5} {:>11.0} {:>9.0} {:>6.0} ms",
        format!("{durability:?}").to_lowercase(),
        count / seconds,
        count * bytes as f64 / seconds / 1e6,
        ended.elapsed().as_secs_f64() * 1e3
    );
}

fn member(stored: &StoredInstance) -> NewMember {
    NewMember {
        instance: stored.id,
        route: "chest".to_owned(),
        level: UnitLevel::Study,
        uid: Uid::new(stored.study.as_deref().unwrap()).unwrap(),
        models: vec!["cxr-pneumonia".to_owned()],
        send: vec![SendTo { destination: "pacs".to_owned(), roles: vec!["sr".to_owned(), "sc".to_owned()] }],
        priority: Priority::default(),
        settle_after: Duration::from_secs(60),
        settle_at_most: Duration::from_secs(600),
    }
}

fn commit(store: &Store, study: &str, number: &str, data_set: &[u8]) {
    let uid = |text: &str| Uid::new(text).unwrap();
    let arrival = Arrival {
        calling_ae: AeTitle::new("CT_1").unwrap(),
        called_ae: AeTitle::new("DOKUEI").unwrap(),
        peer_addr: "127.0.0.1:50000".into(),
        sop_class: uid("1.2.840.10008.5.1.4.1.1.2"),
        sop_instance: uid(&format!("{study}.1.{number}")),
        transfer_syntax: uid("1.2.840.10008.1.2.1"),
        file_meta: vec![0; 400],
    };
    let mut incoming = store.receive(arrival).unwrap();
    data_set.chunks(PIECE).for_each(|piece| incoming.write(piece).unwrap());
    let entry = IndexEntry {
        study: Some(uid(study)),
        series: Some(uid(&format!("{study}.1"))),
        attributes: to_raw_value(&serde_json::json!({ "modality": "CT", "rows": 512, "columns": 512 })).unwrap(),
        header_bytes: Some(1 << 10),
        ..IndexEntry::default()
    };
    let (answer, answered) = mpsc::sync_channel(1);
    incoming.commit(entry, move |outcome| answer.send(outcome.map(drop)).unwrap());
    answered.recv().unwrap().unwrap();
}
