use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use dokuei_store::{
    Arrival, Committed, Disk, IndexEntry, Indexed, JobKind, Lease, ManualClock, NewObject, NewTask, Priority, SendTo,
    Step, Store, StoreConfig, StoreError, Subject,
};
use dokuei_testkit::Random;
use dokuei_types::{AeTitle, ContentQualification, InstanceId, ModelIdentity, Uid};
use serde_json::value::{RawValue, to_raw_value};

/// The time at which every test begins.
pub(crate) const START: i64 = 1_800_000_000_000;
pub(crate) const LEASE: Duration = Duration::from_secs(60);
/// Makes of an index the one that it was before there were hints.
pub(crate) const BEFORE_HINTS: &str = "
    DROP TABLE hint_image; DROP TABLE hint_study; DROP TABLE hint; DROP INDEX unit_uid;
    ALTER TABLE unit DROP COLUMN signs; ALTER TABLE settled DROP COLUMN detail; UPDATE layout SET version = 6;";

/// A disk that counts its steps and may fail at one of them.
pub(crate) struct FakeDisk {
    pub(crate) free_bytes: AtomicU64,
    pub(crate) steps: Mutex<Vec<(Step, String)>>,
    fail: Mutex<Option<(Step, &'static str, io::ErrorKind)>>,
    /// So many more of those steps go well.
    passes: AtomicU64,
    /// Names of files that have become durable.
    pub(crate) durable: Mutex<Vec<String>>,
    /// Where bytes of files were read.
    pub(crate) read: Mutex<Vec<Range<u64>>>,
    pub(crate) reads_fail: AtomicBool,
    pub(crate) failed_reads: AtomicU64,
    random: Mutex<Random>,
}

impl FakeDisk {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            free_bytes: AtomicU64::new(1 << 40),
            steps: Mutex::default(),
            fail: Mutex::default(),
            passes: AtomicU64::new(0),
            durable: Mutex::default(),
            read: Mutex::default(),
            reads_fail: AtomicBool::new(false),
            failed_reads: AtomicU64::new(0),
            random: Mutex::new(Random::new(0)),
        })
    }

    pub(crate) fn fail_at(&self, step: Step, kind: io::ErrorKind) {
        self.fail_at_files(step, "", kind);
    }

    /// As [`fail_at`](Self::fail_at), for files whose names contain `name`.
    pub(crate) fn fail_at_files(&self, step: Step, name: &'static str, kind: io::ErrorKind) {
        *self.fail.lock().unwrap() = Some((step, name, kind));
    }

    /// As [`fail_at`](Self::fail_at), once so many of the steps have gone well.
    pub(crate) fn fail_after(&self, passes: u64, step: Step, kind: io::ErrorKind) {
        self.passes.store(passes, Ordering::SeqCst);
        self.fail_at(step, kind);
    }

    pub(crate) fn heal(&self) {
        *self.fail.lock().unwrap() = None;
    }
}

impl Disk for FakeDisk {
    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        Ok(self.free_bytes.load(Ordering::SeqCst))
    }

    fn before(&self, step: Step, path: &Path) -> io::Result<()> {
        let name = name(path);
        self.steps.lock().unwrap().push((step, name.clone()));
        match *self.fail.lock().unwrap() {
            Some((at, of, kind)) if at == step && name.contains(of) => {
                let passes =
                    self.passes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |passes| passes.checked_sub(1));
                passes.map(drop).map_err(|_| io::Error::from(kind))
            }
            _ => Ok(()),
        }
    }

    fn read_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self.reads_fail.load(Ordering::SeqCst) {
            true => {
                self.failed_reads.fetch_add(1, Ordering::SeqCst);
                Err(io::ErrorKind::Other.into())
            }
            false => {
                let count = read_some(&mut self.random.lock().unwrap(), file, buffer, offset)?;
                self.read.lock().unwrap().push(offset..offset + count as u64);
                Ok(count)
            }
        }
    }

    fn durable(&self, path: &Path, _bytes: Range<u64>) {
        self.durable.lock().unwrap().push(name(path));
    }
}

/// As a disk may read: some of what is asked for, or nothing for an interruption.
pub(crate) fn read_some(random: &mut Random, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    if random.below(4) == 0 {
        return Err(io::ErrorKind::Interrupted.into());
    }
    let some = 1 + random.below(buffer.len());
    file.read_at(&mut buffer[..some], offset)
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A store in a folder of its own, with a clock and a disk that the test owns.
pub(crate) struct Bench {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) disk: Arc<FakeDisk>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, clock: Arc::new(ManualClock::at(START)), disk: FakeDisk::new() }
    }

    pub(crate) fn config(&self) -> StoreConfig {
        StoreConfig {
            disk_free_min: 1 << 20,
            segment_bytes: 4 << 20,
            clock: Arc::clone(&self.clock) as _,
            disk: Arc::clone(&self.disk) as _,
            ..StoreConfig::new(self.dir.path())
        }
    }

    pub(crate) fn open(&self) -> Store {
        Store::open(self.config()).unwrap()
    }
}

pub(crate) fn arrival(sop_instance: &str) -> Arrival {
    Arrival {
        calling_ae: AeTitle::new("CR_ROOM_1").unwrap(),
        called_ae: AeTitle::new("DOKUEI").unwrap(),
        peer_addr: "127.0.0.1:50000".into(),
        sop_class: Uid::new("1.2.840.10008.5.1.4.1.1.1").unwrap(),
        sop_instance: Uid::new(sop_instance).unwrap(),
        transfer_syntax: Uid::new("1.2.840.10008.1.2.1").unwrap(),
        file_meta: b"META".to_vec(),
    }
}

/// JSON as it is written.
pub(crate) fn raw(json: &serde_json::Value) -> Box<RawValue> {
    to_raw_value(json).unwrap()
}

pub(crate) fn entry() -> IndexEntry {
    IndexEntry {
        study: Some(Uid::new("1.2.3").unwrap()),
        series: Some(Uid::new("1.2.3.1").unwrap()),
        attributes: raw(&serde_json::json!({ "modality": "CR" })),
        ..IndexEntry::default()
    }
}

pub(crate) fn send(store: &Store, sop_instance: &str, data_set: &[u8]) -> Result<Indexed, StoreError> {
    commit(store, sop_instance, data_set).and_then(|committed| store.indexed(committed))
}

/// As [`send`], without waiting for the index.
pub(crate) fn commit(store: &Store, sop_instance: &str, data_set: &[u8]) -> Result<Committed, StoreError> {
    commit_with(store, sop_instance, data_set, entry())
}

pub(crate) fn commit_with(
    store: &Store,
    sop_instance: &str,
    data_set: &[u8],
    entry: IndexEntry,
) -> Result<Committed, StoreError> {
    let mut incoming = store.receive(arrival(sop_instance))?;
    for piece in data_set.chunks((data_set.len() / 8).max(1_000)) {
        incoming.write(piece)?;
    }
    let (answer, answered) = mpsc::channel();
    incoming.commit(entry, move |outcome| answer.send(outcome).unwrap());
    answered.recv_timeout(Duration::from_secs(60)).expect("an answer in any case")
}

/// The data set of an instance, as it is on the disk.
pub(crate) fn data_set(store: &Store, instance: InstanceId) -> Vec<u8> {
    let stored = store.reader().instance(instance).unwrap().unwrap();
    let mut file = Vec::new();
    stored.file.reader().unwrap().read_to_end(&mut file).unwrap();
    assert_eq!(file.len() as u64, stored.data_set_offset + stored.size_bytes);
    file.split_off(usize::try_from(stored.data_set_offset).unwrap())
}

pub(crate) fn one_lease(store: &Store, kind: JobKind) -> Lease {
    let mut leases = store.lease(kind, 10, LEASE).unwrap();
    assert_eq!(leases.len(), 1, "{kind:?}");
    leases.remove(0)
}

pub(crate) fn instance_of(lease: &Lease) -> InstanceId {
    match lease.subject {
        Subject::Instance(instance) | Subject::Task(_, instance) => instance,
        Subject::Unit(unit) => panic!("unit {unit}"),
    }
}

pub(crate) fn model() -> ModelIdentity {
    ModelIdentity {
        name: "lungs".into(),
        version: "1.0".into(),
        vendor: "test".into(),
        device_uid: Uid::new("2.25.1").unwrap(),
        weights_sha256: "ab".into(),
        qualification: ContentQualification::Research,
    }
}

pub(crate) fn task(instance: InstanceId) -> NewTask {
    let send = vec![SendTo { destination: "pacs".into(), roles: vec!["sr".into(), "sc".into()] }];
    NewTask { instance, route: "chest".into(), model: "lungs".into(), send, priority: Priority::Routine }
}

/// Files below `dir`, without the index.
pub(crate) fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for root in ["incoming", "objects", "results"] {
        walk(&dir.join(root), &mut found);
    }
    found
}

fn walk(dir: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else {
            found.push(path.to_string_lossy().into_owned());
        }
    }
}

/// Bytes on the disk of segments and files.
pub(crate) fn disk_use(dir: &Path) -> u64 {
    let mut found = files(dir);
    walk(&dir.join("segments"), &mut found);
    found.iter().map(|path| std::fs::metadata(path).unwrap().blocks() * 512).sum()
}

/// An object of a result; one UID serves for all of its own.
pub(crate) fn object<'a>(role: &'a str, uid: &'a Uid) -> NewObject<'a> {
    NewObject {
        role,
        sop_class: uid,
        sop_instance: uid,
        series: uid,
        transfer_syntax: "1.2.840.10008.1.2.1",
        bytes: role.as_bytes(),
    }
}
