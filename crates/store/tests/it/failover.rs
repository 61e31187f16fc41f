//! What one destination cannot take goes to another, once.

use dokuei_store::{
    Changes, DeliveryEnd, DeliveryLease, Failover, Filter, JobKind, NewResult, Priority, REJECTION, Replay, Store,
};
use dokuei_types::{DimseStatus, End, InstanceId, Uid};

use crate::support::{BEFORE_HINTS, Bench, LEASE, START, commit, instance_of, model, object, one_lease, send};

const MINUTE: i64 = 60_000;

/// An original for these destinations.
fn forwarded(store: &Store, sop_instance: &str, places: &[&str]) -> InstanceId {
    let instance = send(store, sop_instance, sop_instance.as_bytes()).unwrap().instance;
    let lease = one_lease(store, JobKind::Match);
    let send = |changes: Changes, place: &&str| changes.send_original(instance, place, Priority::Routine);
    store.apply(places.iter().fold(Changes::complete(&lease), send)).unwrap();
    instance
}

fn lease(store: &Store, destination: &str, limit: usize) -> Vec<DeliveryLease> {
    store.lease_deliveries(destination, limit, LEASE).unwrap()
}

fn instances(leases: &[DeliveryLease]) -> Vec<InstanceId> {
    leases.iter().map(|lease| lease.instance).collect()
}

fn fail(store: &Store, lease: &DeliveryLease) {
    let retry = DeliveryEnd::Retry { at: START, status: None, reason: "connection refused".into() };
    store.apply(Changes::delivered(lease, retry)).unwrap();
}

fn arrive(store: &Store, lease: &DeliveryLease) {
    let status = DimseStatus::SUCCESS;
    let stored = DeliveryEnd::Stored { status, sop_class: "1.2".into(), comment: None, confirm_at: None };
    store.apply(Changes::delivered(lease, stored)).unwrap();
}

/// From the PACS to a backup, what fails since before `failing_before`.
fn failover(failing_before: i64) -> Failover {
    Failover {
        from: "pacs".into(),
        to: "backup".into(),
        to_ae: Some("BACKUP".into()),
        unreached_since: None,
        failing_before,
        urgent_failing_before: failing_before,
        reason: "connection refused".into(),
    }
}

#[test]
fn what_has_failed_for_long_enough_goes_elsewhere_in_order_and_after_a_restart() {
    let bench = Bench::new();
    let store = bench.open();
    let ids = ["1.2.1", "1.2.2", "1.2.3"].map(|uid| forwarded(&store, uid, &["pacs"]));
    // One is tried, and the others wait for as long.
    fail(&store, &lease(&store, "pacs", 1)[0]);
    let unreached = |before| Failover { unreached_since: Some(START), ..failover(before) };
    assert_eq!(store.fail_over(unreached(START - 1)).unwrap(), 0, "not yet");
    drop(store);
    bench.clock.advance_ms(10 * MINUTE);
    let store = bench.open();
    assert_eq!(store.fail_over(failover(START)).unwrap(), 3);
    assert_eq!(store.waiting_destinations().unwrap(), ["backup"]);
    let leases = lease(&store, "backup", 10);
    assert_eq!(instances(&leases), ids);
    assert_eq!(store.reader().end(ids[0]).unwrap(), None);
    leases.iter().for_each(|lease| arrive(&store, lease));
    assert_eq!(store.reader().end(ids[0]).unwrap(), Some(End::Forwarded));

    let shown = store.reader().show(ids[0]).unwrap().unwrap().deliveries;
    let said: Vec<_> = shown.iter().map(|it| (it.destination.as_str(), it.state, it.attempts)).collect();
    assert_eq!(said, [("pacs", "elsewhere", 1), ("backup", "stored", 1)]);
    assert_eq!((shown[0].moved_to.as_deref(), shown[1].moved_from.as_deref()), (Some("backup"), Some("pacs")));
    assert_eq!(shown[0].reason.as_deref(), Some("connection refused"));
    let counts = store.reader().counts().unwrap();
    let [pacs, backup] = ["pacs", "backup"].map(|name| counts.destinations[name]);
    assert_eq!((pacs.elsewhere, pacs.stored, pacs.waiting, pacs.dead), (3, 0, 0, 0));
    assert_eq!((backup.elsewhere, backup.stored, counts.dead_letters), (0, 3, 0));
}

#[test]
fn however_much_waits_goes_in_order() {
    let bench = Bench::new();
    let store = bench.open();
    for number in 0..1_100 {
        commit(&store, &format!("1.2.{number}"), b"bytes").unwrap();
    }
    let matching = store.lease(JobKind::Match, 2_000, LEASE).unwrap();
    let original = |lease| Changes::complete(lease).send_original(instance_of(lease), "pacs", Priority::Routine);
    let expected: Vec<_> = matching.iter().map(instance_of).collect();
    store.apply_all(matching.iter().map(original).collect()).into_iter().for_each(|applied| drop(applied.unwrap()));
    fail(&store, &lease(&store, "pacs", 1)[0]);
    let unreached = Failover { unreached_since: Some(START), ..failover(START) };
    assert_eq!(store.fail_over(unreached).unwrap(), 1_100);
    assert_eq!(instances(&lease(&store, "backup", 2_000)), expected);
}

#[test]
fn nothing_goes_twice_unless_it_is_asked_for() {
    let bench = Bench::new();
    let store = bench.open();
    let both = forwarded(&store, "1.2.1", &["backup", "pacs"]);
    let one = forwarded(&store, "1.2.2", &["pacs"]);
    lease(&store, "backup", 10).iter().for_each(|lease| arrive(&store, lease));
    lease(&store, "pacs", 10).iter().for_each(|lease| fail(&store, lease));
    assert_eq!(store.fail_over(failover(START)).unwrap(), 2);
    let leases = lease(&store, "backup", 10);
    assert_eq!(instances(&leases), [one], "the other one is there already");
    leases.iter().for_each(|lease| arrive(&store, lease));
    assert_eq!(store.fail_over(failover(START)).unwrap(), 0);
    assert_eq!(lease(&store, "pacs", 10), [], "the first one is not sent them as well");

    let beside = Store::attach(bench.dir.path()).unwrap();
    let part = |destination: Option<&str>| Replay::Part {
        filter: Filter { destination: destination.map(str::to_owned), ..Filter::default() },
        failed_only: false,
    };
    let would = |replay: &Replay| beside.set_going(replay, true).unwrap().listed.len();
    assert_eq!((would(&part(None)), would(&Replay::Instances(vec![both, one]))), (2, 2), "where they are");
    assert_eq!(beside.set_going(&part(Some("pacs")), false).unwrap().sent_again, 2);
    assert_eq!(instances(&lease(&store, "pacs", 10)), [both, one]);
    assert_eq!(store.reader().show(one).unwrap().unwrap().deliveries[0].moved_to, None);
}

#[test]
fn a_destination_that_is_reached_again_fails_anew() {
    let bench = Bench::new();
    let store = bench.open();
    forwarded(&store, "1.2.1", &["pacs"]);
    fail(&store, &lease(&store, "pacs", 1)[0]);
    store.reached_again("pacs").unwrap();
    assert_eq!(store.fail_over(failover(START)).unwrap(), 0);
    bench.clock.advance_ms(MINUTE);
    fail(&store, &lease(&store, "pacs", 1)[0]);
    assert_eq!(store.fail_over(failover(START)).unwrap(), 0);
    assert_eq!(store.fail_over(failover(START + MINUTE)).unwrap(), 1);
}

#[test]
fn an_image_does_not_go_back_to_its_sender_and_a_note_goes_nowhere_else() {
    let bench = Bench::new();
    let store = bench.open();
    forwarded(&store, "1.2.1", &["pacs"]);
    fail(&store, &lease(&store, "pacs", 1)[0]);
    let to_sender = Failover { to_ae: Some("CR_ROOM_1".into()), ..failover(START) };
    assert_eq!(store.fail_over(to_sender).unwrap(), 0);

    let instance = send(&store, "1.2.2", b"bytes").unwrap().instance;
    let matching = one_lease(&store, JobKind::Match);
    let result = NewResult { instance, model: model(), findings: serde_json::Value::Null, made_at: START };
    let staged = vec![store.stage(&object("sr", &Uid::new("2.25.7").unwrap())).unwrap()];
    let changes = Changes::complete(&matching).result(result, staged);
    store.apply(changes.send_result(instance, &model(), "sr", "pacs", Priority::Routine)).unwrap();
    lease(&store, "pacs", 10).iter().for_each(|lease| arrive(&store, lease));
    let beside = Store::attach(bench.dir.path()).unwrap();
    let result = beside.show(instance).unwrap().unwrap().results[0].id;
    beside.withdraw(result, &object(REJECTION, &Uid::new("2.25.9").unwrap())).unwrap();
    lease(&store, "pacs", 10).iter().for_each(|lease| fail(&store, lease));
    assert_eq!(store.fail_over(failover(START)).unwrap(), 0);
}

#[test]
fn a_folder_from_before_failover_goes_on() {
    let bench = Bench::new();
    let store = bench.open();
    let instance = forwarded(&store, "1.2.1", &["pacs"]);
    drop(store);
    let index = rusqlite::Connection::open(bench.dir.path().join("index.sqlite")).unwrap();
    for column in ["failing_since", "moved_to", "moved_from"] {
        index.execute_batch(&format!("ALTER TABLE delivery DROP COLUMN {column}")).unwrap();
    }
    index.execute_batch(BEFORE_HINTS).unwrap();
    index.execute_batch("DROP TABLE closed; UPDATE layout SET version = 5").unwrap();
    drop(index);
    let store = bench.open();
    fail(&store, &lease(&store, "pacs", 1)[0]);
    assert_eq!(store.fail_over(failover(START)).unwrap(), 1);
    assert_eq!(instances(&lease(&store, "backup", 10)), [instance]);
}
