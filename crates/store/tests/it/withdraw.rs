//! Results that are taken back.

use dokuei_store::{
    Changes, DeliveryEnd, DeliveryLease, JobKind, NewResult, Priority, REJECTION, Staged, Store, StoreReader, TaskEnd,
    Withdrawn,
};
use dokuei_types::{DimseStatus, End, InstanceId, Uid};

use crate::support::{Bench, LEASE, START, model, object, one_lease, send, task};

fn stage(store: &Store, role: &str, uid: &str) -> Staged {
    store.stage(&object(role, &Uid::new(uid).unwrap())).unwrap()
}

/// An instance with a report and a picture on their way to two destinations.
fn reported(store: &Store) -> InstanceId {
    let instance = send(store, "1.2.3.4", b"bytes").unwrap().instance;
    let lease = one_lease(store, JobKind::Match);
    let begun = store.apply(Changes::complete(&lease).begin(task(instance), Some(LEASE))).unwrap();
    let [lease] = begun.leases.as_slice() else { panic!("{begun:?}") };
    let dokuei_store::Subject::Task(number, _) = lease.subject else { panic!("{lease:?}") };
    let result = NewResult { instance, model: model(), findings: serde_json::json!([]), made_at: START };
    let objects = vec![stage(store, "sr", "1.1"), stage(store, "sc", "1.2")];
    let mut changes =
        Changes::complete(lease).result(result, objects).finish(number, TaskEnd::Reported(Box::new(model())));
    for destination in ["pacs", "archive"] {
        for role in ["sr", "sc"] {
            changes = changes.send_result(instance, &model(), role, destination, Priority::Routine);
        }
    }
    store.apply(changes).unwrap();
    instance
}

fn lease(store: &Store, destination: &str) -> Vec<DeliveryLease> {
    store.lease_deliveries(destination, 10, LEASE).unwrap()
}

fn stored() -> DeliveryEnd {
    DeliveryEnd::Stored { status: DimseStatus::SUCCESS, sop_class: "1.1".into(), comment: None, confirm_at: None }
}

fn withdraw(reader: &StoreReader, instance: InstanceId) -> Option<Withdrawn> {
    let result = reader.show(instance).unwrap().unwrap().results[0].id;
    reader.withdraw(result, &object(REJECTION, &Uid::new("1.9").unwrap())).unwrap()
}

#[test]
fn a_note_goes_where_the_result_went_and_the_rest_stops() {
    let bench = Bench::new();
    let store = bench.open();
    let instance = reported(&store);
    // The PACS has both; the archive was never reached.
    for lease in lease(&store, "pacs") {
        store.apply(Changes::delivered(&lease, stored())).unwrap();
    }
    let beside = Store::attach(bench.dir.path()).unwrap();
    assert_eq!(withdraw(&beside, instance), Some(Withdrawn { destinations: 1, stopped: 2 }));
    assert_eq!(withdraw(&beside, instance), None, "once is enough");

    let shown = beside.show(instance).unwrap().unwrap();
    assert!(shown.results[0].withdrawn && shown.end.is_none());
    assert!(shown.results[0].objects.iter().all(|object| object.file.path.exists()), "no file is removed");
    assert_eq!(lease(&store, "archive"), []);
    let note = lease(&store, "pacs");
    let [note] = note.as_slice() else { panic!("{note:?}") };
    assert_eq!((note.role.as_str(), note.alternatives[0].sop_instance.as_str()), (REJECTION, "1.9"));
    assert_eq!(note.alternatives[0].file.read().unwrap(), REJECTION.as_bytes());
    store.apply(Changes::delivered(note, stored())).unwrap();
    assert_eq!(store.reader().end(instance).unwrap(), Some(End::Reported));

    // Neither a replay nor another route sends it again.
    assert_eq!(store.replay(&[instance]).unwrap().sent_again, 1);
    assert_eq!(lease(&store, "pacs").iter().map(|lease| lease.role.as_str()).collect::<Vec<_>>(), [REJECTION]);
    let again = beside.match_again(&[instance]).unwrap();
    assert_eq!((again.in_work, again.matched_again), (1, 0));
    bench.clock.advance_ms(61_000);
    store.apply(Changes::delivered(&lease(&store, "pacs")[0], stored())).unwrap();
    assert_eq!(beside.match_again(&[instance]).unwrap().matched_again, 1);
    let matching = one_lease(&store, JobKind::Match);
    store
        .apply(Changes::complete(&matching).send_result(instance, &model(), "sr", "archive", Priority::Routine))
        .unwrap();
    assert_eq!(lease(&store, "archive"), []);
}

#[test]
fn what_is_being_sent_is_followed_by_the_note_and_not_tried_again() {
    let bench = Bench::new();
    let store = bench.open();
    let instance = reported(&store);
    let sending = lease(&store, "pacs");
    let beside = Store::attach(bench.dir.path()).unwrap();
    assert_eq!(withdraw(&beside, instance), Some(Withdrawn { destinations: 1, stopped: 2 }));
    let retry = DeliveryEnd::Retry { at: START, status: None, reason: "no answer".into() };
    store.apply(Changes::delivered(&sending[0], retry)).unwrap();
    store.apply(Changes::delivered(&sending[1], stored())).unwrap();
    let roles: Vec<String> = lease(&store, "pacs").into_iter().map(|lease| lease.role).collect();
    assert_eq!(roles, [REJECTION]);
}

#[test]
fn a_withdrawal_survives_the_owner_and_leaves_no_orphan_behind() {
    let bench = Bench::new();
    let store = bench.open();
    let instance = reported(&store);
    for lease in lease(&store, "pacs") {
        store.apply(Changes::delivered(&lease, stored())).unwrap();
    }
    drop(store);
    let beside = Store::attach(bench.dir.path()).unwrap();
    withdraw(&beside, instance).unwrap();
    withdraw(&beside, instance);
    let store = bench.open();
    let shown = store.reader().show(instance).unwrap().unwrap();
    assert!(shown.results[0].withdrawn && shown.results[0].objects.iter().all(|object| object.file.path.exists()));
    assert_eq!(lease(&store, "pacs").len(), 1);
    let kept = std::fs::read_dir(bench.dir.path().join("results/withdrawals")).unwrap().count();
    assert_eq!(kept, 1, "the second note is gone again");
}
