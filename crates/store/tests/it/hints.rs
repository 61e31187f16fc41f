//! What modalities and archives say of studies, as the store keeps it.

use std::io;

use dokuei_store::{
    Changes, HintKind, HintUpdate, Hinted, JobKind, Lease, NamedImage, NewHint, Progress, SettleReason, Step, Store,
    StoreReader, StoredUnit, UnitId, UnitLevel, Updated,
};
use dokuei_types::{InstanceId, Uid};

use crate::support::{BEFORE_HINTS, Bench, START, instance_of, one_lease, send};
use crate::work::{member, result, stage, trace};

const DAY: i64 = 86_400_000;
/// A hint that says nothing.
const NOTHING: Hinted = Hinted { in_progress: 0, images: 0, missing: 0, unnamed: 0, by: None };

fn uid(text: &str) -> Uid {
    Uid::new(text).unwrap()
}

fn images(instances: &[&str]) -> Vec<NamedImage> {
    instances.iter().map(|instance| NamedImage { series: uid("1.2.3.1"), sop_instance: uid(instance) }).collect()
}

/// A performed procedure step of the study 1.2.3, in progress.
fn step(sop_instance: &str) -> NewHint {
    NewHint {
        kind: HintKind::Mpps,
        sop_instance: uid(sop_instance),
        peer_ae: "CR_ROOM_1".into(),
        progress: Progress::InProgress,
        studies: vec![uid("1.2.3")],
        images: Vec::new(),
        gone: Vec::new(),
    }
}

fn notification(sop_instance: &str, available: &[&str], gone: &[&str]) -> NewHint {
    let gone = gone.iter().map(|instance| uid(instance)).collect();
    let (kind, progress) = (HintKind::Availability, Progress::Completed);
    NewHint { kind, progress, images: images(available), gone, ..step(sop_instance) }
}

fn update(store: &Store, sop_instance: &str, progress: Progress, instances: &[&str]) -> Updated {
    let update = HintUpdate { progress: Some(progress), images: Some(images(instances)) };
    store.update_hint(&uid(sop_instance), update).unwrap()
}

/// An image that comes, and that the route waits with.
fn arrive(store: &Store, sop_instance: &str) -> InstanceId {
    let instance = send(store, sop_instance, sop_instance.as_bytes()).unwrap().instance;
    let lease = one_lease(store, JobKind::Match);
    store.apply(Changes::complete(&lease).join(member(instance)).decide(instance, trace())).unwrap();
    instance
}

/// The study, which is the first that a route waits for.
fn unit(reader: &StoreReader) -> StoredUnit {
    reader.unit(UnitId(1)).unwrap().unwrap()
}

fn hinted(store: &Store) -> Hinted {
    store.reader().hinted(&unit(store.reader()), &HintKind::ALL).unwrap()
}

fn of_series(store: &Store, series: &str) -> Hinted {
    let study = unit(store.reader());
    let series = StoredUnit { level: UnitLevel::Series, uid: series.into(), study: Some(study.uid.clone()), ..study };
    store.reader().hinted(&series, &HintKind::ALL).unwrap()
}

fn next(store: &Store) -> i64 {
    store.next_job_at(JobKind::Settle).unwrap().unwrap() - START
}

#[test]
fn a_step_has_its_study_looked_at_when_it_ends_and_when_the_last_of_its_images_is_here() {
    let bench = Bench::new();
    let store = bench.open();
    assert!(store.add_hint(step("1.9")).unwrap().is_some());
    assert_eq!(store.next_job_at(JobKind::Settle).unwrap(), None, "nothing waits yet");
    arrive(&store, "1.1");
    assert_eq!((hinted(&store), next(&store)), (Hinted { in_progress: 1, ..NOTHING }, 10_000));
    bench.clock.advance_ms(1_000);
    assert!(matches!(update(&store, "1.9", Progress::Completed, &["1.1", "1.2", "1.3", "1.1"]), Updated::Recorded(_)));
    let by = Some(HintKind::Mpps);
    assert_eq!((hinted(&store), next(&store)), (Hinted { images: 3, missing: 2, by, ..NOTHING }, 1_000));
    let waiting = unit(store.reader());
    let lease = one_lease(&store, JobKind::Settle);
    store.apply(Changes::retry(&lease, START + 20_000, "2 are missing").heed(&waiting)).unwrap();
    assert_eq!(next(&store), 20_000);
    arrive(&store, "1.2");
    assert_eq!((hinted(&store).missing, next(&store)), (1, 11_000), "one more is missing");
    bench.clock.advance_ms(1_000);
    arrive(&store, "1.3");
    assert_eq!((hinted(&store).missing, next(&store)), (0, 2_000));
    arrive(&store, "1.4");
    assert_eq!((hinted(&store).unnamed, next(&store)), (1, 12_000), "one that nobody has named");
    let counted = store.reader().hinted(&unit(store.reader()), &[HintKind::Availability]).unwrap();
    assert_eq!(counted, NOTHING, "only those of the kinds asked for");
}

#[test]
fn a_step_changes_until_it_has_ended_and_is_there_once() {
    let bench = Bench::new();
    let store = bench.open();
    let first = store.add_hint(step("1.9")).unwrap().unwrap();
    assert_eq!(store.add_hint(step("1.9")).unwrap(), None);
    assert!(store.add_hint(notification("1.8", &["1.1"], &[])).unwrap().is_some());
    assert_eq!(update(&store, "1.7", Progress::Completed, &[]), Updated::Unknown);
    assert_eq!(update(&store, "1.8", Progress::Completed, &[]), Updated::Unknown, "a notification is no step");
    assert_eq!(update(&store, "1.9", Progress::InProgress, &["1.1"]), Updated::Recorded(first));
    let progress = HintUpdate { progress: Some(Progress::Discontinued), images: None };
    assert_eq!(store.update_hint(&uid("1.9"), progress).unwrap(), Updated::Recorded(first));
    assert_eq!(update(&store, "1.9", Progress::Completed, &["1.1"]), Updated::Final);
}

#[test]
fn a_step_that_was_discontinued_says_nothing() {
    let bench = Bench::new();
    let store = bench.open();
    store.add_hint(step("1.9")).unwrap();
    arrive(&store, "1.1");
    bench.clock.advance_ms(1_000);
    update(&store, "1.9", Progress::Discontinued, &["1.1", "1.2"]);
    assert_eq!((hinted(&store), next(&store)), (NOTHING, 1_000), "it is looked at all the same");
}

#[test]
fn a_series_that_a_completed_step_names_waits_for_no_other_step() {
    let bench = Bench::new();
    let store = bench.open();
    arrive(&store, "1.1");
    for number in ["1.8", "1.9"] {
        store.add_hint(step(number)).unwrap();
    }
    update(&store, "1.9", Progress::Completed, &["1.1"]);
    let by = Some(HintKind::Mpps);
    assert_eq!(hinted(&store), Hinted { in_progress: 1, images: 1, by, ..NOTHING });
    assert_eq!(of_series(&store, "1.2.3.1"), Hinted { images: 1, by, ..NOTHING });
    assert_eq!(of_series(&store, "1.2.3.2"), Hinted { in_progress: 1, ..NOTHING }, "it may be of the other one");
    update(&store, "1.8", Progress::InProgress, &["1.2"]);
    assert_eq!(of_series(&store, "1.2.3.1").in_progress, 1, "the other one goes on with it");
}

#[test]
fn what_an_archive_has_is_known_until_it_says_otherwise_and_ours_is_here() {
    let bench = Bench::new();
    let store = bench.open();
    let instance = arrive(&store, "1.1");
    let unit = unit(store.reader());
    let lease = one_settled(&bench, &store, &unit);
    store.apply(Changes::complete(&lease).result(result(instance), vec![stage(&store, "sr", "1.5")])).unwrap();
    store.add_hint(notification("1.8", &["1.1", "1.2", "1.5"], &[])).unwrap();
    let by = Some(HintKind::Availability);
    let mut expected = Hinted { images: 3, missing: 1, by, ..NOTHING };
    assert_eq!(hinted(&store), expected, "1.5 is what we have made");
    store.add_hint(step("1.9")).unwrap();
    update(&store, "1.9", Progress::Completed, &["1.1", "1.2"]);
    expected.by = Some(HintKind::Mpps);
    assert_eq!(hinted(&store), expected, "what both name counts once");
    store.add_hint(notification("1.7", &[], &["1.2", "1.5"])).unwrap();
    expected.images = 2;
    assert_eq!(hinted(&store), expected, "what a step has made was made all the same");
}

/// Settles the unit, and leases the work on its image.
fn one_settled(bench: &Bench, store: &Store, unit: &StoredUnit) -> Lease {
    bench.clock.advance_ms(10_000);
    let lease = one_lease(store, JobKind::Settle);
    let detail = "all 3 images here";
    store.apply(Changes::complete(&lease).settle_because(unit.id, SettleReason::Availability, detail)).unwrap();
    let lease = one_lease(store, JobKind::Analyze);
    let shown = store.reader().show(instance_of(&lease)).unwrap().unwrap().units.remove(0);
    assert_eq!((shown.reason, shown.detail.as_deref()), (Some(SettleReason::Availability), Some(detail)));
    lease
}

#[test]
fn a_sign_that_comes_while_a_unit_is_judged_is_not_missed() {
    let bench = Bench::new();
    let store = bench.open();
    arrive(&store, "1.1");
    store.add_hint(step("1.9")).unwrap();
    let retried = |meanwhile: &dyn Fn()| {
        let before = unit(store.reader());
        let lease = one_lease(&store, JobKind::Settle);
        meanwhile();
        store.apply(Changes::retry(&lease, START + 20_000, "in progress").heed(&before)).unwrap();
        next(&store)
    };
    let ends = || {
        update(&store, "1.9", Progress::Completed, &["1.1"]);
    };
    let comes = || {
        arrive(&store, "1.2");
    };
    assert_eq!(retried(&ends), 0);
    assert_eq!(retried(&comes), 0);
    assert_eq!(retried(&|| {}), 20_000);
}

#[test]
fn hints_are_durable_or_refused() {
    let bench = Bench::new();
    let store = bench.open();
    arrive(&store, "1.1");
    bench.disk.fail_at(Step::Transaction, io::ErrorKind::Other);
    assert!(store.add_hint(step("1.9")).is_err());
    bench.disk.heal();
    let synced = || std::mem::take(&mut *bench.disk.durable.lock().unwrap()).contains(&"index.sqlite".to_owned());
    synced();
    assert!(store.add_hint(step("1.9")).unwrap().is_some(), "nothing of it was kept");
    assert!(synced(), "before it is answered");
    update(&store, "1.9", Progress::Completed, &["1.1", "1.2"]);
    assert!(synced(), "before it is answered");
    drop(store);
    let store = bench.open();
    assert_eq!((hinted(&store).images, hinted(&store).missing, next(&store)), (2, 1, 0));
    assert_eq!(update(&store, "1.9", Progress::Completed, &[]), Updated::Final);
}

/// SOP Instance UIDs, more than one transaction takes.
fn many(prefix: &str) -> Vec<String> {
    (0..1_200).map(|number| format!("{prefix}.{number}")).collect()
}

fn texts(uids: &[String]) -> Vec<&str> {
    uids.iter().map(String::as_str).collect()
}

/// Fails at each of the transactions that `record` takes, opens the store anew now and then, and has `check` look at what is
/// left; then lets it come through.
fn interrupt(bench: &Bench, transactions: u64, record: &dyn Fn(&Store) -> bool, check: &dyn Fn(&Store)) -> Store {
    let mut store = bench.open();
    for passes in 0..transactions {
        bench.disk.fail_after(passes, Step::Transaction, io::ErrorKind::Other);
        assert!(!record(&store), "after {passes} transactions");
        bench.disk.heal();
        check(&store);
        drop(store);
        store = bench.open();
        check(&store);
    }
    bench.disk.steps.lock().unwrap().clear();
    assert!(record(&store));
    let steps = std::mem::take(&mut *bench.disk.steps.lock().unwrap());
    assert_eq!(steps.iter().filter(|(step, _)| *step == Step::Transaction).count() as u64, transactions);
    store
}

#[test]
fn many_images_take_effect_together() {
    let bench = Bench::new();
    arrive(&bench.open(), "1.1.7");
    let named = many("1.1");
    let notify = |store: &Store| store.add_hint(notification("1.8", &texts(&named), &[])).is_ok_and(|id| id.is_some());
    let store = interrupt(&bench, 5, &notify, &|store| {
        assert_eq!(hinted(store), NOTHING);
        assert_eq!(update(store, "1.8", Progress::Completed, &[]), Updated::Unknown);
    });
    let by = Some(HintKind::Availability);
    assert_eq!((hinted(&store), next(&store)), (Hinted { images: 1_200, missing: 1_199, by, ..NOTHING }, 0));
    assert!(!notify(&store), "it is there once");
    drop(store);

    let gone = |store: &Store| store.add_hint(notification("1.7", &[], &texts(&named))).is_ok();
    let store = interrupt(&bench, 5, &gone, &|store| assert_eq!(hinted(store).in_progress, 0));
    assert_eq!(hinted(&store), Hinted { unnamed: 1, by, ..NOTHING });
}

#[test]
fn the_images_of_a_step_are_replaced_in_parts_while_it_is_in_progress() {
    let bench = Bench::new();
    let (first, second) = (many("1.1"), many("1.2"));
    let mut mixed = texts(&second);
    mixed.extend(&texts(&first)[..600]);
    {
        let store = bench.open();
        arrive(&store, "1.1.7");
        store.add_hint(step("1.9")).unwrap();
        update(&store, "1.9", Progress::InProgress, &texts(&first));
    }
    let end = |store: &Store| {
        let update = HintUpdate { progress: Some(Progress::Completed), images: Some(images(&mixed)) };
        store.update_hint(&uid("1.9"), update).is_ok()
    };
    let in_progress = Hinted { in_progress: 1, ..NOTHING };
    let mut store = bench.open();
    // Each try goes a part further than the one before: what is recorded is not recorded again.
    for passes in [0, 1, 1, 1, 1, 1, 0] {
        bench.disk.fail_after(passes, Step::Transaction, io::ErrorKind::Other);
        assert!(!end(&store));
        bench.disk.heal();
        assert_eq!(hinted(&store), in_progress);
        drop(store);
        store = bench.open();
        assert_eq!(hinted(&store), in_progress);
        assert_eq!(of_series(&store, "1.2.3.1"), in_progress);
    }
    assert!(end(&store));
    let by = Some(HintKind::Mpps);
    assert_eq!(hinted(&store), Hinted { images: 1_800, missing: 1_799, by, ..NOTHING });
}

#[test]
fn what_is_old_or_too_much_is_forgotten() {
    let bench = Bench::new();
    let store = bench.open();
    arrive(&store, "1.1");
    store.add_hint(step("1.7")).unwrap();
    bench.clock.advance_ms(6 * DAY);
    store.add_hint(step("1.8")).unwrap();
    assert_eq!(hinted(&store).in_progress, 2);
    bench.clock.advance_ms(2 * DAY);
    update(&store, "1.8", Progress::InProgress, &["1.1"]);
    assert_eq!(hinted(&store).in_progress, 1, "the first is eight days old");

    let index = rusqlite::Connection::open(bench.dir.path().join("index.sqlite")).unwrap();
    index.execute("UPDATE hint SET named = 500000", []).unwrap();
    store.add_hint(NewHint { images: images(&["1.1"]), ..step("1.9") }).unwrap();
    assert_eq!(hinted(&store).in_progress, 1, "it names too much: only the new one is kept");
    index.execute("UPDATE sqlite_sequence SET seq = 30000 WHERE name = 'hint'", []).unwrap();
    store.add_hint(step("1.10")).unwrap();
    assert_eq!(hinted(&store).in_progress, 1, "too many hints");
    let images: i64 = index.query_row("SELECT count(*) FROM hint_image", [], |row| row.get(0)).unwrap();
    assert_eq!(images, 0, "and nothing is left of them");
}

#[test]
fn a_unit_that_waited_before_there_were_hints_heeds_them() {
    let bench = Bench::new();
    let store = bench.open();
    let instance = arrive(&store, "1.1");
    store.close();
    drop(store);
    let index = rusqlite::Connection::open(bench.dir.path().join("index.sqlite")).unwrap();
    index.execute_batch(BEFORE_HINTS).unwrap();
    drop(index);
    let store = bench.open();
    assert_eq!(next(&store), 10_000);
    store.add_hint(step("1.9")).unwrap();
    update(&store, "1.9", Progress::Completed, &["1.1"]);
    assert_eq!((hinted(&store).images, hinted(&store).missing, next(&store)), (1, 0, 0));
    let lease = one_lease(&store, JobKind::Settle);
    store.apply(Changes::complete(&lease).settle(UnitId(1), SettleReason::Mpps)).unwrap();
    let shown = store.reader().show(instance).unwrap().unwrap();
    assert_eq!((shown.units[0].reason, shown.units[0].detail.clone()), (Some(SettleReason::Mpps), None));
}
