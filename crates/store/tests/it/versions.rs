//! Other bytes under a SOP Instance UID that is known.

use dokuei_store::{
    ArrivalKind, Changes, DeliveryEnd, Fetched, Filter, IndexEntry, JobKind, Lease, Priority, Store, StoreConfig,
    StoreError, Subject, TaskEnd, VersionPolicy,
};
use dokuei_types::{DeclineReason, End, Uid};

use crate::support::{Bench, LEASE, START, commit_with, data_set, entry, instance_of, model, one_lease, send, task};
use crate::work::{end, result, stage, trace, traced};
use crate::{delivery, prior};

#[test]
fn a_later_version_follows_the_earlier_ones_and_their_results() {
    let bench = Bench::new();
    let store = bench.open();
    let first = send(&store, "1.2.3.4", b"bytes").unwrap().instance;
    let second = send(&store, "1.2.3.4", b"other").unwrap().instance;
    let moved = IndexEntry { study: Some(Uid::new("1.2.4").unwrap()), ..entry() };
    let third = commit_with(&store, "1.2.3.4", b"elsewhere", moved).and_then(|it| store.indexed(it)).unwrap().instance;
    let in_work = |instance| store.reader().is_earlier_version_in_work(instance, "lungs").unwrap();
    let leases = store.lease(JobKind::Match, 10, LEASE).unwrap();
    let begun = Changes::complete(&leases[0]).begin(task(first), None);
    store.apply(begun).unwrap();
    assert_eq!([first, second, third].map(in_work), [false, true, true]);
    assert!(!store.reader().is_earlier_version_in_work(second, "bones").unwrap());
    let lease = one_lease(&store, JobKind::Analyze);
    let Subject::Task(number, _) = lease.subject else { panic!("{lease:?}") };
    let made = Changes::complete(&lease).result(result(first), vec![stage(&store, "sr", "1.1")]);
    store.apply(made.finish(number, TaskEnd::Reported(Box::new(model())))).unwrap();
    assert_eq!([first, second, third].map(in_work), [false; 3]);
    let earlier = |instance| {
        let results = store.reader().earlier_results(instance, &model()).unwrap();
        results.iter().map(|one| (one.instance, one.is_in_study, one.objects.len())).collect::<Vec<_>>()
    };
    assert_eq!([first, second, third].map(earlier), [vec![], vec![(first, true, 1)], vec![(first, false, 1)]]);
}

#[test]
fn what_is_left_to_do_for_a_replaced_instance_is_not_done() {
    let bench = Bench::new();
    let store = Store::open(StoreConfig { versions: VersionPolicy::Replace, ..bench.config() }).unwrap();
    let replaced =
        |instance| matches!(end(&store, instance), Some(End::Declined { reason: DeclineReason::Replaced(_) }));

    // Not looked at by any route.
    let new = send(&store, "1.1", b"bytes").unwrap().instance;
    send(&store, "1.1", b"other").unwrap();
    assert!(replaced(new));
    // In work by a model, and waiting to be sent.
    let busy = send(&store, "1.2", b"bytes").unwrap().instance;
    let of = |instance| move |lease: &Lease| instance_of(lease) == instance;
    let leases = store.lease(JobKind::Match, 10, LEASE).unwrap();
    let lease = leases.iter().find(|lease| of(busy)(lease)).unwrap();
    let changes = Changes::complete(lease).decide(busy, trace()).begin(task(busy), None);
    store.apply(changes.send_original(busy, "pacs", Priority::Routine)).unwrap();
    let working = one_lease(&store, JobKind::Analyze);
    let before = store.queue_depth();
    let next = send(&store, "1.2", b"other").unwrap();
    assert_eq!(next.kind, ArrivalKind::Version(2));
    assert_eq!(store.queue_depth(), before, "one job less, one more");
    assert!(replaced(busy));
    let Subject::Task(number, _) = working.subject else { panic!("{working:?}") };
    let made = Changes::complete(&working).result(result(busy), vec![stage(&store, "sr", "1.1")]);
    let late = store.apply(made.finish(number, TaskEnd::Reported(Box::new(model()))));
    assert!(matches!(late, Err(StoreError::LeaseLost { .. })), "{late:?}");
    let shown = store.reader().show(busy).unwrap().unwrap();
    assert_eq!((shown.deliveries.len(), shown.results.len()), (0, 0));
    assert_eq!(shown.decision, Some(traced()), "what the routes said of it is still known");
    assert_eq!(shown.arrivals.last().unwrap().outcome, "replaced");
    assert_eq!(data_set(&store, busy), b"bytes", "its bytes stay");
    // The later one has all its work before it, and an end of its own.
    assert_eq!(end(&store, next.instance), None);
    // What has ended well stays as it ended.
    let lease = store.lease(JobKind::Match, 10, LEASE).unwrap();
    let lease = lease.iter().find(|lease| of(next.instance)(lease)).unwrap();
    store.apply(Changes::complete(lease).decide(next.instance, trace())).unwrap();
    send(&store, "1.2", b"a third").unwrap();
    assert_eq!(end(&store, next.instance), Some(End::NoRuleMatched));
}

#[test]
fn what_is_being_sent_of_a_replaced_instance_is_sent_or_not_but_not_tried_again() {
    let bench = Bench::new();
    let store = Store::open(StoreConfig { versions: VersionPolicy::Replace, ..bench.config() }).unwrap();
    for ends_well in [true, false] {
        let uid = if ends_well { "1.1" } else { "1.2" };
        let first = send(&store, uid, b"bytes").unwrap().instance;
        let lease = store.lease(JobKind::Match, 10, LEASE).unwrap().pop().unwrap();
        store.apply(Changes::complete(&lease).send_original(first, "pacs", Priority::Routine)).unwrap();
        let sending = store.lease_deliveries("pacs", 10, LEASE).unwrap().pop().unwrap();
        send(&store, uid, b"other").unwrap();
        assert_eq!(end(&store, first), None, "it may arrive yet");
        let missed = DeliveryEnd::Retry { at: START, status: None, reason: "no answer".into() };
        let outcome = if ends_well { delivery::stored() } else { missed };
        store.apply(Changes::delivered(&sending, outcome)).unwrap();
        assert!(matches!(end(&store, first), Some(End::Declined { reason: DeclineReason::Replaced(_) })));
        let shown = store.reader().show(first).unwrap().unwrap();
        assert_eq!(shown.deliveries.len(), usize::from(ends_well));
        for lease in store.lease(JobKind::Match, 10, LEASE).unwrap() {
            store.apply(Changes::complete(&lease)).unwrap();
        }
    }
}

#[test]
fn an_earlier_version_does_not_follow_a_later_one_to_where_that_is() {
    let bench = Bench::new();
    let store = bench.open();
    let missed = || DeliveryEnd::Retry { at: START, status: None, reason: "no answer".into() };
    let dead = || DeliveryEnd::Dead { status: None, reason: "refused".into() };
    // What comes of the earlier one, before or after the later one is there.
    let cases = [("1.1", missed(), true), ("1.2", missed(), false), ("1.3", dead(), true), ("1.4", dead(), false)];
    for (uid, outcome, is_before) in cases {
        let [first, second] = [b"bytes", b"other"].map(|bytes| {
            let instance = send(&store, uid, bytes).unwrap().instance;
            let lease = one_lease(&store, JobKind::Match);
            let decided = Changes::complete(&lease).decide(instance, trace());
            let queued = ["pacs", "archive"]
                .into_iter()
                .fold(decided, |changes, destination| changes.send_original(instance, destination, Priority::Routine));
            store.apply(queued).unwrap();
            instance
        });
        let sending = store.lease_deliveries("pacs", 10, LEASE).unwrap();
        let [earlier, later] = sending.as_slice() else { panic!("{sending:?}") };
        assert_eq!((earlier.instance, later.instance), (first, second));
        let ends = [Changes::delivered(earlier, outcome), Changes::delivered(later, delivery::stored())];
        let ends: Vec<_> = if is_before { ends.into() } else { ends.into_iter().rev().collect() };
        ends.into_iter().for_each(|end| drop(store.apply(end).unwrap()));
        assert_eq!(store.lease_deliveries("pacs", 10, LEASE).unwrap(), [], "{uid}");
        assert_eq!(store.reader().failed(&Filter::default(), 10).unwrap().len(), 0, "{uid}");
        // To where the later one is not, both go.
        assert_eq!(end(&store, first), None);
        for lease in store.lease_deliveries("archive", 10, LEASE).unwrap() {
            store.apply(Changes::delivered(&lease, delivery::stored())).unwrap();
        }
        assert_eq!([first, second].map(|instance| end(&store, instance)), [Some(End::Forwarded), Some(End::Forwarded)]);
    }
}

#[test]
fn what_comes_again_after_other_bytes_takes_their_place() {
    let bench = Bench::new();
    let store = Store::open(StoreConfig { versions: VersionPolicy::Replace, ..bench.config() }).unwrap();
    let [first, second, third] = [b"bytes", b"other", b"bytes"].map(|bytes| send(&store, "1.1", bytes).unwrap());
    assert_eq!([second.kind, third.kind], [ArrivalKind::Version(2), ArrivalKind::Version(3)]);
    for replaced in [first, second] {
        let end = end(&store, replaced.instance);
        assert!(matches!(end, Some(End::Declined { reason: DeclineReason::Replaced(_) })), "{end:?}");
    }
    assert_eq!((end(&store, third.instance), data_set(&store, third.instance)), (None, b"bytes".to_vec()));
    assert_eq!(send(&store, "1.1", b"bytes").unwrap().kind, ArrivalKind::Duplicate);
}

#[test]
fn what_was_fetched_to_be_compared_with_replaces_nothing() {
    let bench = Bench::new();
    let store = Store::open(StoreConfig { versions: VersionPolicy::Replace, ..bench.config() }).unwrap();
    let sent = send(&store, "1.1", b"bytes").unwrap().instance;
    let fetched = Fetched { route: "chest".into(), models: vec!["lungs".into()], priority: Priority::Routine };
    let entry = IndexEntry { fetched: Some(fetched), ..entry() };
    let copy = commit_with(&store, "1.1", b"as the archive has it", entry).and_then(|it| store.indexed(it)).unwrap();
    assert_eq!(copy.kind, ArrivalKind::Version(2));
    assert_eq!(end(&store, sent), None, "its work goes on");
    assert_eq!(store.lease(JobKind::Match, 10, LEASE).unwrap().len(), 1);
    let shown = store.reader().show(sent).unwrap().unwrap();
    assert_eq!(shown.arrivals.last().unwrap().outcome, "superseded");
}

#[test]
fn what_was_fetched_to_be_compared_with_has_its_work_when_it_is_sent() {
    let bench = Bench::new();
    let store = bench.open();
    let copy = prior::fetch(&store, "1.1");
    assert_eq!(store.lease(JobKind::Match, 10, LEASE).unwrap(), [], "no route takes it");
    let sent = send(&store, "1.1", b"1.1").unwrap();
    assert_eq!((sent.kind, sent.instance), (ArrivalKind::Duplicate, copy));
    assert_eq!(instance_of(&one_lease(&store, JobKind::Match)), copy);
    assert_eq!(store.reader().fetched_for(copy).unwrap(), None);
    // Fetched once more it stays what it is.
    prior::fetch(&store, "1.1");
    assert_eq!(store.reader().fetched_for(copy).unwrap(), None);
}
