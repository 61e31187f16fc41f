//! Power cuts: a child process is killed at a step of its work, then what its disk had not made durable is lost or torn,
//! and the store opens what is left. Instances arrive meanwhile, hints come in parts, a study settles. Disks read in pieces
//! of any size, and are interrupted. What senders, disk and clock do follows from a seed; how the child's threads take
//! turns does not.

mod child;
mod damage;
mod disk;
mod hint;
mod payload;
mod wal;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dokuei_store::{
    ArrivalKind, Changes, Integrity, JobKind, ManualClock, SettleReason, Store, StoreConfig, StoreError, Subject,
    TaskEnd, VersionPolicy,
};
use dokuei_testkit::{Random, Seed, replayed};
use dokuei_types::DeclineReason;

use crate::support::{LEASE, START, data_set, files, send};
use hint::{Hint, Promise};
use payload::Payload;

/// Cases in a row; more with this in the environment.
const CASES: u64 = 64;
const CASES_VARIABLE: &str = "DOKUEI_CASES";

#[test]
fn what_was_acknowledged_survives_a_power_cut() {
    let cases = std::env::var(CASES_VARIABLE).map_or(CASES, |cases| cases.parse().unwrap());
    let all = replayed().map_or(0..cases, |case| case..case + 1);
    let next = AtomicU64::new(all.start);
    let work = || {
        let mut heard = Heard::default();
        while let case = next.fetch_add(1, Ordering::Relaxed)
            && all.contains(&case)
        {
            let seed = Seed::of(case);
            heard.add(survive(case));
            drop(seed);
        }
        heard
    };
    let mut heard = Heard::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        workers.into_iter().for_each(|worker| heard.add(worker.join().expect("the case above survives")));
    });
    let Heard { acknowledged, refused, matched, settled, hints } = heard;
    let hints: BTreeSet<_> = hints.values().collect();
    let shows = [&acknowledged, &refused, &matched, &settled].iter().all(|heard| !heard.is_empty()) && hints.len() == 2;
    assert!(shows || all.count() < 20, "the cases show nothing");
}

/// What children were told before they died.
#[derive(Default)]
struct Heard {
    acknowledged: BTreeSet<Payload>,
    refused: BTreeSet<Payload>,
    /// Work on them was done.
    matched: BTreeSet<Payload>,
    /// The study they are of had settled with them.
    settled: BTreeSet<Payload>,
    /// What was promised last of each hint.
    hints: BTreeMap<Hint, Promise>,
}

impl Heard {
    fn add(&mut self, other: Self) {
        self.acknowledged.extend(other.acknowledged);
        self.refused.extend(other.refused);
        self.matched.extend(other.matched);
        self.settled.extend(other.settled);
        self.hints.extend(other.hints);
    }
}

/// One to three power cuts in a row on one folder.
fn survive(case: u64) -> Heard {
    let mut random = Random::new(case);
    // In memory where there is some: what a power cut takes is played anyway.
    let memory = Some(Path::new("/dev/shm")).filter(|memory| memory.is_dir());
    let folder = memory.map_or_else(tempfile::tempdir, tempfile::tempdir_in).unwrap();
    let policy = child::POLICIES[random.below(child::POLICIES.len())].1;
    let mut heard = Heard::default();
    let lives = 0..=random.below(3) as u64;
    for life in lives.clone() {
        run_child(folder.path(), case, life, policy, &mut heard);
        damage::power_cut(folder.path(), &mut random);
    }
    let hints: Vec<Hint> = lives.flat_map(|life| child::hints_of(child::seed(case, life))).collect();
    check(case, &folder.path().join(child::DATA), policy, &heard, &hints);
    heard
}

fn run_child(folder: &Path, case: u64, life: u64, policy: VersionPolicy, heard: &mut Heard) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "power::child::child", "--nocapture"])
        .env(child::FOLDER_VARIABLE, folder)
        .env(child::CASE_VARIABLE, format!("{case} {life} {}", child::name(policy)))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        assert!(!line.contains("panicked"), "the child fails by itself: {line}");
        let mut words = line.split(' ');
        let what = words.next();
        if let Some(promise) = what.and_then(Promise::parse) {
            let hint = Hint(words.next().unwrap().parse().unwrap());
            heard.hints.entry(hint).and_modify(|known| *known = promise.max(*known)).or_insert(promise);
            continue;
        }
        match (what, Payload::parse(&mut words)) {
            (Some("stored"), Some(payload)) => heard.acknowledged.insert(payload),
            (Some("refused"), Some(payload)) => heard.refused.insert(payload),
            (Some("matched"), Some(payload)) => heard.matched.insert(payload),
            (Some("settled"), Some(payload)) => heard.settled.insert(payload),
            _ => continue,
        };
    }
    child.wait().unwrap();
}

fn check(case: u64, dir: &Path, policy: VersionPolicy, heard: &Heard, hints: &[Hint]) {
    let clock = Arc::new(ManualClock::at(START + 10 * 365 * 86_400_000));
    let config = || StoreConfig {
        disk_free_min: 0,
        segment_bytes: 4 << 20,
        versions: policy,
        clock: Arc::clone(&clock) as _,
        disk: Arc::new(disk::ReadingDisk::new(case)),
        ..StoreConfig::new(dir)
    };
    let store = Store::open(config()).unwrap();
    let first = stored(&store, policy);
    for payload in &heard.acknowledged {
        assert!(first.contains_key(payload), "{payload:?} was acknowledged and is lost");
    }
    for payload in &heard.matched {
        let shown = store.reader().show(first[payload][0]).unwrap().unwrap();
        assert!(shown.end.is_some(), "the work on {payload:?} was done and is forgotten");
    }
    for payload in &heard.settled {
        let shown = store.reader().show(first[payload][0]).unwrap().unwrap();
        assert!(
            shown.units.iter().all(|unit| unit.reason.is_some()),
            "the study of {payload:?} had settled and waits again"
        );
    }
    hints.iter().for_each(|hint| hint.check(&store, heard.hints.get(hint).copied()));
    let own_files = files(dir);
    assert!(!own_files.iter().any(|path| path.contains("/incoming/")), "{own_files:?}");
    let large = store.reader().newest(100_000).unwrap().iter().filter(|it| it.size_bytes > 1_200_000).count();
    assert_eq!(own_files.len(), large, "files of nobody: {own_files:?}");
    // Senders come again with what they were told is stored, and that is no news; where the last that came counts, of that.
    let is_last = |payload: &&Payload| {
        let of_it = first.iter().filter(|(other, _)| other.number == payload.number);
        policy != VersionPolicy::Replace || of_it.filter_map(|(_, ids)| ids.last()).max() == first[payload].last()
    };
    for payload in heard.acknowledged.iter().filter(is_last) {
        let indexed = send(&store, &payload.uid(), &payload.bytes()).unwrap();
        let last = *first[payload].last().unwrap();
        assert_eq!((indexed.kind, indexed.instance), (ArrivalKind::Duplicate, last), "{payload:?}");
    }
    for payload in &heard.refused {
        match send(&store, &payload.uid(), &payload.bytes()) {
            Ok(_) => {}
            Err(StoreError::OtherBytes { .. }) => assert_eq!(policy, VersionPolicy::Refuse),
            Err(error) => panic!("{payload:?}: {error}"),
        }
    }
    drop(store);
    let store = Store::open(config()).unwrap();
    let again = stored(&store, policy);
    assert!(first.iter().all(|(payload, ids)| again[payload].starts_with(ids)), "another open, other instances");
    finish(&store, &clock);
    let here: BTreeSet<String> = again.keys().map(|payload| payload.uid()).collect();
    hints.iter().for_each(|hint| hint.check_missing(&store, &here));
    let counts = store.reader().counts().unwrap();
    assert_eq!(counts.instances.get("open"), None, "work that nobody resumes");
    assert_eq!(store.queue_depth(), 0);
}

/// Does all that is left to do.
fn finish(store: &Store, clock: &ManualClock) {
    for kind in [JobKind::Match, JobKind::Settle, JobKind::Analyze] {
        // Jobs that were cut short wait a while, and studies for more images.
        clock.advance_ms(60_000);
        loop {
            let leases = store.lease(kind, 100, LEASE).unwrap();
            if leases.is_empty() {
                break;
            }
            for lease in leases {
                let changes = match lease.subject {
                    Subject::Instance(instance) => {
                        let stored = store.reader().instance(instance).unwrap().unwrap();
                        child::matched(&lease, Payload::of(&stored.sop_instance, &data_set(store, instance)))
                    }
                    Subject::Unit(unit) => Changes::complete(&lease).settle(unit, SettleReason::Cap),
                    Subject::Task(task, _) => {
                        let declined = TaskEnd::Declined(DeclineReason::NoPixels("no pixels".into()));
                        Changes::complete(&lease).finish(task, declined)
                    }
                };
                store.apply(changes).unwrap();
            }
        }
    }
}

/// All that the index holds: each whole, and none of them twice, unless another had taken its place before it came again.
fn stored(store: &Store, policy: VersionPolicy) -> BTreeMap<Payload, Vec<dokuei_types::InstanceId>> {
    let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let mut instances = store.reader().newest(100_000).unwrap();
    instances.sort_by_key(|instance| instance.id);
    let mut last = BTreeMap::new();
    for instance in instances {
        let bytes = data_set(store, instance.id);
        let payload = Payload::of(&instance.sop_instance, &bytes);
        assert!(payload.bytes() == bytes, "half of {payload:?} is in the index");
        let checked = store.reader().check_bytes(instance.id).unwrap();
        assert!(checked.iter().all(|file| file.integrity == Integrity::Intact), "{payload:?}: {checked:?}");
        let is_news = last.insert(payload.number, payload) != Some(payload);
        let ids = all.entry(payload).or_default();
        assert!(ids.is_empty() || policy == VersionPolicy::Replace && is_news, "{payload:?} is there twice");
        ids.push(instance.id);
    }
    all
}
