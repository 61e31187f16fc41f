use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use dokuei_store::{
    Changes, JobKind, Lease, ManualClock, SettleReason, Store, StoreConfig, StoreError, Subject, VersionPolicy,
};
use dokuei_testkit::Random;

use super::disk::PowerDisk;
use super::hint::Hint;
use super::payload::Payload;
use crate::support::{LEASE, START, commit, data_set, instance_of};
use crate::work::{member, trace};

pub(super) const FOLDER_VARIABLE: &str = "DOKUEI_POWER_FOLDER";
pub(super) const CASE_VARIABLE: &str = "DOKUEI_POWER_CASE";
/// The store's folder, and what is durable of it.
pub(super) const DATA: &str = "data";
pub(super) const SHADOW: &str = "shadow";

/// Lives of a case, with room to spare.
const LIVES_MAX: u64 = 16;
/// Hints of a life.
const HINTS: u64 = 3;

/// What may be done with other bytes under a known UID, by the name the child is told.
pub(super) const POLICIES: [(&str, VersionPolicy); 3] =
    [("keep", VersionPolicy::Keep), ("replace", VersionPolicy::Replace), ("refuse", VersionPolicy::Refuse)];

pub(super) fn name(policy: VersionPolicy) -> &'static str {
    POLICIES.iter().find(|(_, known)| *known == policy).unwrap().0
}

/// Receives from many senders and works on what it has, until its disk ends it; says on stderr what was promised.
#[test]
fn child() {
    let (Ok(folder), Ok(case)) = (std::env::var(FOLDER_VARIABLE), std::env::var(CASE_VARIABLE)) else { return };
    let mut words = case.split(' ');
    let mut number = || words.next().unwrap().parse::<u64>().unwrap();
    let (case, life) = (number(), number());
    let named = words.next().unwrap();
    let (_, versions) = *POLICIES.iter().find(|(name, _)| *name == named).unwrap();
    live(Path::new(&folder), seed(case, life), versions);
    std::process::abort();
}

pub(super) fn seed(case: u64, life: u64) -> u64 {
    case * LIVES_MAX + life
}

fn live(folder: &Path, seed: u64, versions: VersionPolicy) {
    let mut random = Random::new(seed);
    let disk = PowerDisk::new(folder, &mut random);
    let clock = Arc::new(ManualClock::at(START));
    let config = StoreConfig {
        disk_free_min: 0,
        segment_bytes: 4 << 20,
        versions,
        clock: Arc::clone(&clock) as _,
        disk: Arc::new(disk),
        ..StoreConfig::new(folder.join(DATA))
    };
    // A full disk may keep it from opening; then there is nothing to lose.
    let Ok(store) = Store::open(config) else { return };
    let (senders, done) = (4 + random.below(13), AtomicBool::new(false));
    // Few numbers for many senders: the same and other bytes meet, often at the same time.
    let (numbers, works) = ([6, 64][random.below(2)], random.below(4) > 0);
    let (ring, bell) = mpsc::sync_channel(1);
    let ringing = ring.clone();
    // One ring that waits is enough.
    store.listen(move || ringing.try_send(()).unwrap_or_default());
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..senders as u64)
            .map(|sender| {
                let (store, clock) = (&store, &clock);
                scope.spawn(move || send_some(store, clock, numbers, &mut Random::new(seed * 1_000 + sender)))
            })
            .collect();
        let (store, done) = (&store, &done);
        if works {
            scope.spawn(move || work(store, &bell, done));
        }
        if random.below(2) == 0 {
            scope.spawn(move || hints_of(seed).for_each(|hint| hint.say(store, |promise| say(promise, hint.0))));
        }
        all.into_iter().for_each(|sender| sender.join().unwrap());
        done.store(true, Ordering::SeqCst);
        ring.try_send(()).unwrap_or_default();
    });
    // One in four ends in an orderly way.
    if random.below(4) == 0 {
        store.close();
    }
}

fn send_some(store: &Store, clock: &ManualClock, numbers: usize, random: &mut Random) {
    for _ in 0..6 {
        let payload = Payload { number: random.below(numbers) as u32, version: 1 + random.below(2) as u8 };
        match commit(store, &payload.uid(), &payload.bytes()) {
            Ok(_) => say("stored", payload),
            Err(StoreError::OtherBytes { .. }) => say("refused", payload),
            Err(_) => {}
        }
        if random.below(8) == 0 {
            // All of them together are too little for a hint to be forgotten.
            clock.advance_ms(random.below(7_200_000) as i64 - 3_600_000);
        }
    }
}

/// The hints of a life, after those of the life before, which their peers say again.
pub(super) fn hints_of(seed: u64) -> impl Iterator<Item = Hint> {
    let before = if seed.is_multiple_of(LIVES_MAX) { seed } else { seed - 1 };
    (before * HINTS..(seed + 1) * HINTS).map(Hint)
}

fn work(store: &Store, bell: &mpsc::Receiver<()>, done: &AtomicBool) {
    let mut waiting = Vec::new();
    while bell.recv().is_ok() && !done.load(Ordering::SeqCst) {
        for lease in store.lease(JobKind::Match, 4, LEASE).unwrap_or_default() {
            let payload = store.reader().instance(instance_of(&lease)).unwrap().map(|stored| {
                let bytes = data_set(store, stored.id);
                Payload::of(&stored.sop_instance, &bytes)
            });
            let payload = payload.unwrap();
            if store.apply(matched(&lease, payload)).is_err() {
                continue;
            }
            match payload.is_waited_with() {
                true => waiting.push(payload),
                false => say("matched", payload),
            }
        }
        for lease in store.lease(JobKind::Settle, 1, LEASE).unwrap_or_default() {
            let Subject::Unit(unit) = lease.subject else { panic!("{lease:?}") };
            if store.apply(Changes::complete(&lease).settle(unit, SettleReason::Mpps)).is_ok() {
                waiting.drain(..).for_each(|payload| say("settled", payload));
            }
        }
    }
}

/// What the rules say: that nothing is done, or that the study is waited for.
pub(super) fn matched(lease: &Lease, payload: Payload) -> Changes {
    let instance = instance_of(lease);
    let changes = Changes::complete(lease).decide(instance, trace());
    if payload.is_waited_with() { changes.join(member(instance)) } else { changes }
}

/// In one write, so that it is said wholly or not at all.
fn say(what: impl Display, of: impl Display) {
    io::stderr().write_all(format!("{what} {of}\n").as_bytes()).unwrap();
}
