use dokuei_store::{Changes, DeliveryEnd, DeliveryLease, Due, Filter, JobKind, ORIGINAL, Priority, Store, StoreError};
use dokuei_types::{DimseStatus, End, InstanceId};

use crate::support::{Bench, LEASE, START, one_lease, send};

fn forwarded(store: &Store, sop_instance: &str) -> InstanceId {
    let instance = send(store, sop_instance, sop_instance.as_bytes()).unwrap().instance;
    let lease = one_lease(store, JobKind::Match);
    store.apply(Changes::complete(&lease).send_original(instance, "pacs", Priority::Routine)).unwrap();
    instance
}

fn lease(store: &Store) -> Vec<DeliveryLease> {
    store.lease_deliveries("pacs", 10, LEASE).unwrap()
}

pub(crate) fn stored() -> DeliveryEnd {
    DeliveryEnd::Stored { status: DimseStatus::SUCCESS, sop_class: "1.2".into(), comment: None, confirm_at: None }
}

#[test]
fn a_delivered_original_is_forwarded() {
    let bench = Bench::new();
    let store = bench.open();
    let instance = forwarded(&store, "1.2.3.4");
    assert_eq!(store.reader().end(instance).unwrap(), None);
    let leases = lease(&store);
    let [one] = leases.as_slice() else { panic!("{leases:?}") };
    assert_eq!((one.role.as_str(), one.study.as_deref()), (ORIGINAL, Some("1.2.3")));
    assert_eq!(one.alternatives[0].sop_instance, "1.2.3.4");
    assert!(one.alternatives[0].file.path.exists());
    store.apply(Changes::delivered(one, stored())).unwrap();
    assert_eq!(store.reader().end(instance).unwrap(), Some(End::Forwarded));
    let counts = store.reader().counts().unwrap();
    assert_eq!((counts.destinations["pacs"].stored, counts.destinations["pacs"].waiting), (1, 0));
}

#[test]
fn what_waits_does_not_wait_for_the_clock_to_catch_up_once_it_was_set_back() {
    const HOURS: i64 = 2 * 3_600_000;
    let bench = Bench::new();
    let store = bench.open();
    forwarded(&store, "1.2.3.4");
    let retry = DeliveryEnd::Retry { at: START + 30_000, status: None, reason: "not reached".into() };
    store.apply(Changes::delivered(&lease(&store).remove(0), retry)).unwrap();
    bench.clock.advance_ms(-HOURS);
    // Any change: of itself it is noticed within a second.
    send(&store, "1.2.3.5", b"another").unwrap();
    assert_eq!(store.next_delivery_at("pacs", Due::All).unwrap(), Some(START - HOURS + 30_000));
    assert_eq!(lease(&store), []);
    drop(store);
    bench.clock.advance_ms(-HOURS);
    let store = bench.open();
    assert_eq!(store.next_delivery_at("pacs", Due::All).unwrap(), Some(START - 2 * HOURS + 30_000));
    bench.clock.advance_ms(30_000);
    assert_eq!(lease(&store).len(), 1);
}

#[test]
fn a_retry_waits_and_a_dead_letter_fails_the_instance_until_replayed() {
    let bench = Bench::new();
    let store = bench.open();
    let instance = forwarded(&store, "1.2.3.4");
    let one = lease(&store).remove(0);
    let retry = DeliveryEnd::Retry {
        at: START + 30_000,
        status: Some(DimseStatus::OUT_OF_RESOURCES),
        reason: "the PACS is full".into(),
    };
    store.apply(Changes::delivered(&one, retry)).unwrap();
    assert_eq!(lease(&store), []);
    assert_eq!(store.next_delivery_at("pacs", Due::All).unwrap(), Some(START + 30_000));
    bench.clock.advance_ms(30_000);
    let one = lease(&store).remove(0);
    assert_eq!(one.attempts, 1);
    let dead = DeliveryEnd::Dead { status: Some(DimseStatus::CANNOT_UNDERSTAND), reason: "not understood".into() };
    store.apply(Changes::delivered(&one, dead)).unwrap();
    assert_eq!(store.reader().end(instance).unwrap(), Some(End::Failed { reason: "pacs: not understood".into() }));
    let shown = store.reader().show(instance).unwrap().unwrap();
    assert_eq!((shown.deliveries[0].state, shown.deliveries[0].status.as_deref()), ("dead", Some("C000")));
    assert_eq!(store.reader().failed(&Filter::default(), 10).unwrap()[0].what, "deliver original to pacs");
    assert_eq!(store.replay(&[instance]).unwrap().deliveries, 1);
    assert_eq!(lease(&store)[0].attempts, 0);
}

#[test]
fn what_is_urgent_passes_closed_hours_and_the_rest_says_until_when_it_waits() {
    let bench = Bench::new();
    let store = bench.open();
    let routine = forwarded(&store, "1.2.3.4");
    let urgent = send(&store, "1.2.3.5", b"urgent").unwrap().instance;
    assert_eq!(store.next_delivery_at("pacs", Due::Urgent).unwrap(), None);
    let matching = one_lease(&store, JobKind::Match);
    store.apply(Changes::complete(&matching).send_original(urgent, "pacs", Priority::Urgent)).unwrap();
    store.close_destination("pacs", Some(START + 60_000)).unwrap();
    let next = |id| store.reader().show(id).unwrap().unwrap().deliveries[0].clone();
    assert_eq!((next(routine).closed_until, next(routine).next_at), (Some(START + 60_000), Some(START + 60_000)));
    assert_eq!((next(urgent).closed_until, next(urgent).next_at), (None, Some(START)));
    assert_eq!(store.reader().counts().unwrap().destinations["pacs"].closed_until, Some(START + 60_000));
    assert_eq!(store.next_delivery_at("pacs", Due::Urgent).unwrap(), Some(START));
    let leases = store.lease_due_deliveries("pacs", Due::Urgent, 10, LEASE).unwrap();
    assert_eq!(leases.iter().map(|it| (it.instance, it.is_urgent)).collect::<Vec<_>>(), [(urgent, true)]);
    store.close_destination("pacs", None).unwrap();
    assert_eq!((next(routine).closed_until, lease(&store)[0].instance), (None, routine));
    assert_eq!(store.reader().counts().unwrap().destinations["pacs"].closed_until, None);
}

#[test]
fn a_delivery_has_one_driver_at_a_time() {
    let bench = Bench::new();
    let store = bench.open();
    forwarded(&store, "1.2.3.4");
    let slow = lease(&store).remove(0);
    bench.clock.advance_ms(61_000);
    let fast = lease(&store).remove(0);
    assert!(matches!(store.apply(Changes::delivered(&slow, stored())), Err(StoreError::LeaseLost { .. })));
    store.apply(Changes::delivered(&fast, stored())).unwrap();
}

#[test]
fn a_batch_is_recorded_together_each_for_itself() {
    let bench = Bench::new();
    let store = bench.open();
    forwarded(&store, "1.2.3.4");
    forwarded(&store, "1.2.3.5");
    let leases = lease(&store);
    let mut wrong = leases[0].clone();
    wrong.fence += 1;
    let outcomes =
        store.apply_all(vec![Changes::delivered(&wrong, stored()), Changes::delivered(&leases[1], stored())]);
    assert!(outcomes[0].is_err() && outcomes[1].is_ok(), "{outcomes:?}");
}

#[test]
fn what_was_delivered_is_not_queued_again_but_replayed_on_demand() {
    let bench = Bench::new();
    let store = bench.open();
    let instance = forwarded(&store, "1.2.3.4");
    store.apply(Changes::delivered(&lease(&store)[0], stored())).unwrap();
    assert_eq!(store.replay(&[instance]).unwrap().sent_again, 1);
    let again = lease(&store).remove(0);
    store.apply(Changes::delivered(&again, stored()).send_original(instance, "pacs", Priority::Routine)).unwrap();
    assert_eq!(lease(&store), []);
    assert_eq!(store.reader().end(instance).unwrap(), Some(End::Forwarded));
}

#[test]
fn leases_of_a_dead_owner_are_cleared_and_do_not_count() {
    let bench = Bench::new();
    let store = bench.open();
    forwarded(&store, "1.2.3.4");
    lease(&store);
    drop(store);
    assert_eq!(lease(&bench.open()).len(), 1);
}

#[test]
fn a_destination_that_is_no_more_leaves_dead_letters() {
    let bench = Bench::new();
    let store = bench.open();
    let instance = forwarded(&store, "1.2.3.4");
    assert_eq!(store.waiting_destinations().unwrap(), ["pacs"]);
    assert_eq!(store.strand("pacs", "no longer configured").unwrap(), 1);
    assert!(matches!(store.reader().end(instance).unwrap(), Some(End::Failed { .. })));
    assert_eq!(store.waiting_destinations().unwrap(), [""; 0]);
}
