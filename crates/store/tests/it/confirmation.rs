//! Deliveries that count only once their destination has confirmed them.

use std::time::Duration;

use dokuei_store::{Changes, Confirmation, DeliveryEnd, Due, Inquiry, JobKind, Priority, Store, StoreError};
use dokuei_types::{DimseStatus, End, InstanceId, Uid};

use crate::support::{Bench, LEASE, START, one_lease, send};

const PATIENCE: Duration = Duration::from_secs(3_600);

/// Stored at the destination, to be confirmed from now on.
fn stored(store: &Store, sop_instance: &str) -> InstanceId {
    let instance = send(store, sop_instance, sop_instance.as_bytes()).unwrap().instance;
    let lease = one_lease(store, JobKind::Match);
    store.apply(Changes::complete(&lease).send_original(instance, "pacs", Priority::Routine)).unwrap();
    deliver(store);
    instance
}

fn deliver(store: &Store) {
    for lease in store.lease_deliveries("pacs", 10, LEASE).unwrap() {
        let (status, confirm_at) = (DimseStatus::SUCCESS, Some(store.clock().now_ms()));
        let end = DeliveryEnd::Stored { status, sop_class: "1.2".into(), comment: None, confirm_at };
        store.apply(Changes::delivered(&lease, end)).unwrap();
    }
}

fn ask(store: &Store) -> Inquiry {
    store.inquire("pacs", 10, PATIENCE).unwrap().unwrap()
}

fn answer(store: &Store, inquiry: &Inquiry, index: usize, end: Confirmation) -> Result<(), StoreError> {
    store.apply(Changes::confirmed(&inquiry.objects[index], &inquiry.transaction_uid, end)).map(drop)
}

#[test]
fn what_is_stored_ends_when_it_is_confirmed() {
    let bench = Bench::new();
    let store = bench.open();
    let [first, second] = ["1.2.1", "1.2.2"].map(|uid| stored(&store, uid));
    let inquiry = ask(&store);
    let named: Vec<_> = inquiry.objects.iter().map(|object| object.sop_instance.as_str()).collect();
    assert_eq!(named, ["1.2.1", "1.2.2"]);
    assert_eq!(store.reader().end(first).unwrap(), None);
    assert_eq!(store.inquire("pacs", 10, PATIENCE).unwrap(), None, "it is being asked");
    assert_eq!(store.next_inquiry_at("pacs").unwrap(), Some(START + 3_600_000));
    answer(&store, &inquiry, 0, Confirmation::Kept).unwrap();
    assert_eq!(store.reader().end(first).unwrap(), Some(End::Forwarded));
    assert_eq!(store.reader().end(second).unwrap(), None);
    let counts = store.reader().counts().unwrap().destinations["pacs"];
    assert_eq!((counts.stored, counts.confirmed, counts.unconfirmed), (2, 1, 1));
    let shown = store.reader().show(first).unwrap().unwrap();
    assert_eq!((shown.deliveries[0].state, shown.deliveries[0].confirmed_at), ("stored", Some(START)));
    let twice = answer(&store, &inquiry, 0, Confirmation::Dead { reason: String::new() });
    assert!(matches!(twice, Err(StoreError::LeaseLost { .. })), "{twice:?}");
}

#[test]
fn an_answer_is_to_the_last_question_and_a_restart_forgets_none() {
    let bench = Bench::new();
    let store = bench.open();
    let instance = stored(&store, "1.2.1");
    let first = ask(&store);
    drop(store);
    let store = bench.open();
    assert_eq!(store.inquiry(&first.transaction_uid).unwrap().len(), 1);
    bench.clock.advance_ms(3_600_000);
    let second = ask(&store);
    assert_eq!(second.objects[0].asked, 1);
    assert_eq!(store.inquiry(&first.transaction_uid).unwrap(), []);
    assert!(answer(&store, &first, 0, Confirmation::Kept).is_err());
    answer(&store, &second, 0, Confirmation::Kept).unwrap();
    assert_eq!(store.reader().end(instance).unwrap(), Some(End::Forwarded));
    assert_eq!(store.inquiry(&Uid::random()).unwrap(), []);
}

#[test]
fn what_is_missing_is_sent_again_and_what_is_refused_is_a_dead_letter_until_replayed() {
    let bench = Bench::new();
    let store = bench.open();
    let instance = stored(&store, "1.2.1");
    let again = START + 5_000;
    answer(&store, &ask(&store), 0, Confirmation::Missing { at: again, reason: "not there".into() }).unwrap();
    assert_eq!(store.next_delivery_at("pacs", Due::All).unwrap(), Some(again));
    bench.clock.advance_ms(5_000);
    deliver(&store);
    let inquiry = ask(&store);
    assert_eq!(inquiry.objects[0].asked, 0, "another copy, another beginning");
    answer(&store, &inquiry, 0, Confirmation::Again { at: again + 1, reason: "busy".into() }).unwrap();
    assert_eq!(store.next_inquiry_at("pacs").unwrap(), Some(again + 1));
    bench.clock.advance_ms(1);
    answer(&store, &ask(&store), 0, Confirmation::Dead { reason: "never".into() }).unwrap();
    assert_eq!(store.reader().end(instance).unwrap(), Some(End::Failed { reason: "pacs: never".into() }));
    store.replay(&[instance]).unwrap();
    deliver(&store);
    answer(&store, &ask(&store), 0, Confirmation::Kept).unwrap();
    assert_eq!(store.reader().end(instance).unwrap(), Some(End::Forwarded));
}

#[test]
fn what_nobody_asks_about_any_more_counts_as_it_is() {
    let bench = Bench::new();
    let store = bench.open();
    let instance = stored(&store, "1.2.1");
    assert_eq!(store.waiting_destinations().unwrap(), ["pacs"]);
    assert_eq!(store.waive_confirmation("pacs").unwrap(), 1);
    assert_eq!(store.reader().end(instance).unwrap(), Some(End::Forwarded));
    assert_eq!(store.inquire("pacs", 10, PATIENCE).unwrap(), None);
}
