//! What metrics tell: how often something came about, and what is unfinished.

use std::io::ErrorKind;

use dokuei_store::{
    Changes, Decision, DeliveryEnd, JobKind, Occurrence, Priority, Step, Store, Totals, Undelivered, Unfinished,
};
use dokuei_types::DeclineReason;

use crate::delivery::stored;
use crate::support::{Bench, LEASE, START, commit, instance_of, send};

fn delivery(outcome: &'static str) -> Occurrence {
    Occurrence::Delivery { destination: "pacs".into(), outcome }
}

fn deliver(store: &Store, ends: impl IntoIterator<Item = DeliveryEnd>) {
    let leases = store.lease_deliveries("pacs", 10, LEASE).unwrap();
    for (lease, end) in leases.iter().zip(ends) {
        store.apply(Changes::delivered(lease, end)).unwrap();
    }
}

#[test]
fn what_came_about_is_counted_and_what_waits_is_found() {
    let bench = Bench::new();
    let store = bench.open();
    assert_eq!((store.totals(), store.unfinished().unwrap()), (Totals::new(), Unfinished::default()));
    for (uid, bytes) in [("1.2.1", b"a"), ("1.2.1", b"a"), ("1.2.1", b"b"), ("1.2.2", b"a"), ("1.2.3", b"a")] {
        send(&store, uid, bytes).unwrap();
    }
    assert_eq!(store.unfinished().unwrap().jobs["match"], 4);
    for (number, lease) in store.lease(JobKind::Match, 10, LEASE).unwrap().iter().enumerate() {
        let declined = (number == 3).then(|| DeclineReason::Codec("MPEG".into()));
        let decision = Decision { trace: Box::default(), declined: declined.clone() };
        let changes = Changes::complete(lease).decide(instance_of(lease), decision);
        store
            .apply(match declined {
                None => changes.send_original(instance_of(lease), "pacs", Priority::Routine),
                Some(_) => changes,
            })
            .unwrap();
    }
    bench.clock.advance_ms(5_000);
    let (status, reason) = (None, String::new());
    let retry = DeliveryEnd::Retry { at: START + 60_000, status, reason: reason.clone() };
    deliver(&store, [stored(), retry, DeliveryEnd::Dead { status, reason }]);
    let counted = [
        (Occurrence::Arrival("duplicate"), 1),
        (Occurrence::Arrival("new"), 3),
        (Occurrence::Arrival("superseded"), 1),
        (Occurrence::End { end: "declined", reason: Some("codec") }, 1),
        (Occurrence::End { end: "failed", reason: None }, 1),
        (Occurrence::End { end: "forwarded", reason: None }, 1),
        (delivery("given_up"), 1),
        (delivery("retried"), 1),
        (delivery("stored"), 1),
    ];
    assert_eq!(store.totals(), Totals::from(counted));
    let undelivered = Undelivered { waiting: 1, dead: 1, oldest_queued_at: Some(START), ..Undelivered::default() };
    let destinations = [("pacs".to_owned(), undelivered)].into();
    assert_eq!(
        store.unfinished().unwrap(),
        Unfinished { instances: 1, failed: 1, destinations, ..Unfinished::default() }
    );
}

#[test]
fn what_the_index_hears_at_the_second_attempt_is_counted_once() {
    let bench = Bench::new();
    let store = bench.open();
    bench.disk.fail_at(Step::Transaction, ErrorKind::StorageFull);
    let committed = commit(&store, "1.2.1", b"a").unwrap();
    while bench.disk.steps.lock().unwrap().iter().all(|(step, _)| *step != Step::Transaction) {
        std::thread::yield_now();
    }
    bench.disk.heal();
    store.indexed(committed).unwrap();
    assert_eq!(store.totals(), Totals::from([(Occurrence::Arrival("new"), 1)]));
}
