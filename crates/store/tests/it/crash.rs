//! A child process dies at each step in turn; its parent then opens what it left.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use dokuei_store::{
    Changes, DeliveryEnd, Disk, Durability, JobKind, NewObject, NewResult, Priority, RealDisk, Step, Store,
    StoreConfig, Subject, TaskEnd,
};
use dokuei_testkit::DeadlyDisk;
use dokuei_types::{DimseStatus, End, Uid};

use crate::support::{LEASE, arrival, files, instance_of, model, send, task};

const DIR: &str = "DOKUEI_CRASH_DIR";
const AT: &str = "DOKUEI_CRASH_AT";
/// Set where nobody waits for the disk: what a process has written outlives it all the same.
const UNSYNCED: &str = "DOKUEI_CRASH_UNSYNCED";
const INSTANCES: usize = 2;

/// One that goes into a segment, one that gets a file of its own.
fn data_set(number: usize) -> Vec<u8> {
    format!("data set {number} ").repeat(if number == 0 { 1_000 } else { 150_000 }).into_bytes()
}

/// Sends, analyses and delivers; says on stdout what it was told is stored.
#[test]
fn child() {
    let (Ok(dir), Ok(at)) = (std::env::var(DIR), std::env::var(AT)) else { return };
    let disk = DeadlyDisk::at(at.parse().unwrap());
    let durability = if std::env::var_os(UNSYNCED).is_some() { Durability::Os } else { Durability::Fsync };
    let sizes = StoreConfig { segment_bytes: 4 << 20, preallocate_bytes: 8 << 20, ..StoreConfig::new(dir) };
    let store = Store::open(StoreConfig { disk_free_min: 0, durability, disk, ..sizes }).unwrap();
    for number in 0..INSTANCES {
        send(&store, &format!("1.2.{number}"), &data_set(number)).unwrap();
        // Straight to the pipe: the test harness keeps what is printed until the end.
        writeln!(io::stderr(), "stored {number}").unwrap();
        work(&store);
    }
    writeln!(io::stderr(), "alive").unwrap();
}

/// Everything that is due: match, analyse, deliver.
fn work(store: &Store) {
    for lease in store.lease(JobKind::Match, 10, LEASE).unwrap() {
        let instance = instance_of(&lease);
        store
            .apply(Changes::complete(&lease).begin(task(instance), None).send_original(
                instance,
                "pacs",
                Priority::Routine,
            ))
            .unwrap();
    }
    for lease in store.lease(JobKind::Analyze, 10, LEASE).unwrap() {
        let Subject::Task(number, instance) = lease.subject else { panic!("{lease:?}") };
        let uid = Uid::new(&format!("2.25.{instance}")).unwrap();
        let object = NewObject {
            role: "sr",
            sop_class: &uid,
            sop_instance: &uid,
            series: &uid,
            transfer_syntax: "1.2.840.10008.1.2.1",
            bytes: uid.as_str().as_bytes(),
        };
        let staged = store.stage(&object).unwrap();
        let result = NewResult { instance, model: model(), findings: serde_json::json!([]), made_at: 0 };
        let changes = Changes::complete(&lease)
            .result(result, vec![staged])
            .finish(number, TaskEnd::Reported(Box::new(model())))
            .send_result(instance, &model(), "sr", "pacs", Priority::Routine);
        store.apply(changes).unwrap();
    }
    for lease in store.lease_deliveries("pacs", 10, LEASE).unwrap() {
        let end = DeliveryEnd::Stored {
            status: DimseStatus::SUCCESS,
            sop_class: "1.2".into(),
            comment: None,
            confirm_at: None,
        };
        store.apply(Changes::delivered(&lease, end)).unwrap();
    }
}

/// Runs the child until it dies at step `at`; what it was told is stored, and whether it lived.
fn run(dir: &Path, at: usize, durability: Durability) -> (Vec<usize>, bool) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .envs((durability == Durability::Os).then_some((UNSYNCED, "1")))
        .args(["--exact", "crash::child", "--nocapture"])
        .env(DIR, dir)
        .env(AT, at.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: Vec<String> = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap).collect();
    child.wait().unwrap();
    let stored = lines.iter().filter_map(|line| line.strip_prefix("stored ")?.parse().ok()).collect();
    (stored, lines.iter().any(|line| line == "alive"))
}

#[test]
fn acknowledged_means_recoverable_at_every_step() {
    die_at_every_step(Durability::Fsync, 30);
}

#[test]
fn acknowledged_means_recoverable_at_every_step_without_fsync() {
    die_at_every_step(Durability::Os, 20);
}

fn die_at_every_step(durability: Durability, steps: usize) {
    let mut lived = false;
    for at in 1..200 {
        let dir = tempfile::tempdir().unwrap();
        let (acknowledged, alive) = run(dir.path(), at, durability);
        check(dir.path(), at, &acknowledged, durability);
        if alive {
            assert!(at > steps, "the child has fewer steps than it should: {at}");
            lived = true;
            break;
        }
    }
    assert!(lived, "the child never lived to the end");
}

fn check(dir: &Path, at: usize, acknowledged: &[usize], durability: Durability) {
    let store = Store::open(StoreConfig { disk_free_min: 0, durability, ..StoreConfig::new(dir) }).unwrap();
    assert!(!unfinished_is_left(dir), "step {at}");
    assert!(
        dir.join("segments").read_dir().unwrap().count() <= INSTANCES,
        "step {at}: segments without a record are left"
    );
    for number in acknowledged {
        let found = store.reader().find(&format!("1.2.{number}")).unwrap();
        let [instance] = found.as_slice() else { panic!("step {at}: {number} is lost") };
        let stored = store.reader().instance(*instance).unwrap().unwrap();
        assert!(crate::support::data_set(&store, stored.id) == data_set(*number), "step {at}");
    }
    // The senders come again with what they were not told is stored, and with what they were.
    for number in 0..INSTANCES {
        send(&store, &format!("1.2.{number}"), &data_set(number)).unwrap();
    }
    work(&store);
    work(&store);
    let newest = store.reader().newest(10).unwrap();
    assert_eq!(newest.len(), INSTANCES, "step {at}");
    for instance in newest {
        let shown = store.reader().show(instance.id).unwrap().unwrap();
        assert_eq!(shown.end, Some(End::Reported), "step {at}");
        assert_eq!((shown.results.len(), shown.deliveries.len()), (1, 2), "step {at}");
        assert!(shown.results[0].objects[0].file.path.exists(), "step {at}");
    }
    drop(store);
    let own = usize::from(durability == Durability::Fsync);
    assert_eq!(files(dir).len(), INSTANCES + own, "step {at}: files that nothing names are left");
}

/// A disk that does not give whole blocks of the log, which are read where its end is looked for.
struct Blockless;

impl Disk for Blockless {
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        RealDisk.free_bytes(path)
    }

    fn before(&self, _step: Step, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn read_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if buffer.len() == 4096 { Err(io::ErrorKind::Other.into()) } else { RealDisk.read_at(file, buffer, offset) }
    }
}

#[test]
fn what_was_begun_behind_a_record_is_cut_off_though_the_first_try_fails() {
    let (dir, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config = |dir: &Path| StoreConfig { disk_free_min: 0, durability: Durability::Os, ..StoreConfig::new(dir) };
    let store = Store::open(config(dir.path())).unwrap();
    let kept = send(&store, "1.2.0", &data_set(1)).unwrap().instance;
    let mut incoming = store.receive(arrival("1.2.1")).unwrap();
    incoming.write(&data_set(1)).unwrap();
    // What a kill leaves.
    let copied = Command::new("cp").arg("-R").arg(dir.path().join(".")).arg(killed.path()).status().unwrap();
    assert!(copied.success() && unfinished_is_left(killed.path()));
    let config = config(killed.path());
    assert!(Store::open(StoreConfig { disk: Arc::new(Blockless), ..config.clone() }).is_err());
    let store = Store::open(config).unwrap();
    assert!(!unfinished_is_left(killed.path()));
    assert!(crate::support::data_set(&store, kept) == data_set(1));
}

/// Whether any segment still says that one of its records is being written.
fn unfinished_is_left(dir: &Path) -> bool {
    let segments = dir.join("segments").read_dir().unwrap();
    segments.into_iter().any(|entry| {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        bytes.windows(8).step_by(4096).any(|begin| begin == b"DKIGROW1")
    })
}
