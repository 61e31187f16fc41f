//! Images whose bytes were removed, and that an archive sends again.

use std::time::Duration;

use dokuei_store::{
    ArrivalKind, Awaited, Changes, DeliveryEnd, Filter, IndexEntry, Indexed, JobKind, Priority, Replay, Replayed,
    Retention, Store, StoreConfig, VersionPolicy,
};
use dokuei_types::{DimseStatus, End, InstanceId};

use crate::support::{Bench, LEASE, commit_with, data_set, entry, instance_of, one_lease, send};
use crate::work::trace;

/// An image that was sent to the PACS, and whose bytes were removed.
fn removed(store: &Store) -> InstanceId {
    let instance = send(store, "1.1", b"bytes").unwrap().instance;
    let lease = one_lease(store, JobKind::Match);
    store.apply(Changes::complete(&lease).send_original(instance, "pacs", Priority::Routine)).unwrap();
    deliver(store, instance);
    remove(store);
    instance
}

/// The PACS gets an original.
fn deliver(store: &Store, instance: InstanceId) {
    let lease = store.lease_deliveries("pacs", 10, LEASE).unwrap().remove(0);
    assert_eq!((lease.instance, lease.alternatives[0].removed_at), (instance, None));
    let status = DimseStatus::SUCCESS;
    let stored = DeliveryEnd::Stored { status, sop_class: "1.2".into(), comment: None, confirm_at: None };
    store.apply(Changes::delivered(&lease, stored)).unwrap();
}

fn remove(store: &Store) {
    let retention = Retention { images: Some(Duration::ZERO), ..Retention::default() };
    assert_eq!(store.remove_old(&retention, 10).unwrap().images, 1);
}

/// What the archive sends on demand.
fn come(store: &Store, bytes: &[u8]) -> Indexed {
    let committed = commit_with(store, "1.1", bytes, IndexEntry { is_again: true, ..entry() }).unwrap();
    store.indexed(committed).unwrap()
}

fn replay(store: &Store, replay: &Replay) -> Replayed {
    store.reader().set_going_from_archive(replay, false).unwrap()
}

fn end(store: &Store, instance: InstanceId) -> Option<End> {
    store.reader().end(instance).unwrap()
}

/// The one job that asks the archive; done with once the image is here.
fn resume(store: &Store, instance: InstanceId) {
    let lease = one_lease(store, JobKind::Retrieve);
    assert_eq!(instance_of(&lease), instance);
    store.apply(Changes::complete(&lease).resume(instance)).unwrap();
    assert_eq!(store.lease(JobKind::Retrieve, 10, LEASE).unwrap(), []);
}

#[test]
fn an_image_whose_bytes_were_removed_is_refused_or_asked_for() {
    let bench = Bench::new();
    let store = bench.open();
    let instance = removed(&store);
    let all = Replay::Instances(vec![instance]);
    let refused = store.reader().set_going(&all, false).unwrap().refused;
    assert_eq!((refused.len(), refused[0].is_image, refused[0].what.as_str()), (1, true, "deliver original to pacs"));
    let listed = store.reader().set_going_from_archive(&all, true).unwrap();
    assert_eq!(listed.listed[0].what, "retrieve, then deliver original to pacs");
    assert_eq!(end(&store, instance), Some(End::Forwarded), "nothing has changed");

    assert_eq!(replay(&store, &all), Replayed { retrieved: 1, ..Replayed::default() });
    assert_eq!(end(&store, instance), None);
    assert_eq!(replay(&store, &all), Replayed { in_work: 1, ..Replayed::default() });
    let part =
        Replay::Part { filter: Filter { destination: Some("pacs".into()), ..Filter::default() }, failed_only: false };
    assert_eq!(replay(&store, &part).retrieved, 1);
    let shown = store.reader().show(instance).unwrap().unwrap();
    assert_eq!(shown.deliveries[0].state, "stored", "what was delivered is not forgotten");
    drop(store);

    // A node that was killed meanwhile asks again.
    let store = bench.open();
    let Awaited::Removed(image) = store.awaited(instance).unwrap() else { panic!("it is not here") };
    assert_eq!((image.stored.sop_instance.as_str(), image.patient), ("1.1", None));
    let lease = one_lease(&store, JobKind::Retrieve);
    store.apply(Changes::bury(&lease, "the archive has none of it")).unwrap();
    assert_eq!(end(&store, instance), Some(End::Forwarded), "what came of it still did");
    let letters = store.reader().failed(&Filter::default(), 10).unwrap();
    assert_eq!((letters[0].what.as_str(), letters[0].reason.as_str()), ("retrieve", "the archive has none of it"));
    assert_eq!(replay(&store, &all), Replayed { jobs: 1, ..Replayed::default() });
    let came = come(&store, b"bytes");
    assert_eq!((came.instance, came.kind), (instance, ArrivalKind::Restored));
    assert_eq!(store.awaited(instance).unwrap(), Awaited::Here(instance));
    resume(&store, instance);
    deliver(&store, instance);
    assert_eq!(store.lease_deliveries("pacs", 10, LEASE).unwrap(), [], "once");
    assert_eq!(end(&store, instance), Some(End::Forwarded));
}

#[test]
fn the_rules_are_asked_once_it_is_here() {
    let bench = Bench::new();
    let store = bench.open();
    let instance = removed(&store);
    assert_eq!(replay(&store, &Replay::Analyze(vec![instance])).retrieved, 1);
    assert_eq!(store.lease(JobKind::Match, 10, LEASE).unwrap(), []);
    come(&store, b"bytes");
    resume(&store, instance);
    let lease = one_lease(&store, JobKind::Match);
    assert_eq!(instance_of(&lease), instance);
    store.apply(Changes::complete(&lease).decide(instance, trace())).unwrap();
    assert_eq!(end(&store, instance), Some(End::Forwarded));
}

#[test]
fn what_an_archive_encodes_anew_stands_in_as_a_version() {
    let bench = Bench::new();
    let store = bench.open();
    let instance = removed(&store);
    for replayed in [Replay::Instances(vec![instance]), Replay::Analyze(vec![instance])] {
        replay(&store, &replayed);
        // The first of them is in work then.
        let came = (end(&store, instance).is_none()).then(|| come(&store, b"other"));
        let Awaited::Here(other) = store.awaited(instance).unwrap() else { panic!("{came:?}") };
        assert_ne!(other, instance);
        resume(&store, instance);
        match &replayed {
            Replay::Instances(_) => deliver(&store, other),
            _ => {
                let lease = one_lease(&store, JobKind::Match);
                assert_eq!(instance_of(&lease), other);
                store.apply(Changes::complete(&lease).decide(other, trace())).unwrap();
            }
        }
        assert_eq!((end(&store, instance), end(&store, other)), (Some(End::Forwarded), Some(End::Forwarded)));
        let shown = store.reader().show(instance).unwrap().unwrap();
        assert_eq!((shown.removed_at.is_some(), shown.deliveries[0].state), (true, "stored"), "its own story stays");
        assert_eq!(data_set(&store, other), b"other");
        let shown = store.reader().show(other).unwrap().unwrap();
        assert_eq!((shown.version, shown.stands_in), (2, true));
    }
    // The rules see it as sent by whoever sent the first.
    let other = store.reader().find("1.1").unwrap().into_iter().max().unwrap();
    let stored = store.reader().instance(other).unwrap().unwrap();
    let index = rusqlite::Connection::open(bench.dir.path().join("index.sqlite")).unwrap();
    index.execute("UPDATE instance SET calling_ae = 'ARCHIVE' WHERE id = ?1", [other.0]).unwrap();
    let stored = dokuei_store::StoredInstance { calling_ae: "ARCHIVE".into(), ..stored };
    assert_eq!(store.reader().as_sent(stored).unwrap().calling_ae, "CR_ROOM_1");

    // Gone again, and sent again: it is the same version.
    remove(&store);
    assert!(matches!(store.awaited(instance).unwrap(), Awaited::Removed(_)));
    assert_eq!(come(&store, b"other").kind, ArrivalKind::Restored);
    assert_eq!(store.awaited(instance).unwrap(), Awaited::Here(other));

    // A sender has another version: the archive has that one.
    let third = send(&store, "1.1", b"third").unwrap().instance;
    assert_eq!(store.awaited(instance).unwrap(), Awaited::Replaced(third));
}

#[test]
fn a_version_that_stands_in_is_told_from_the_log_and_replaces_nothing() {
    let bench = Bench::new();
    let open = || Store::open(StoreConfig { versions: VersionPolicy::Replace, ..bench.config() }).unwrap();
    let store = open();
    let instance = removed(&store);
    replay(&store, &Replay::Analyze(vec![instance]));
    let committed = commit_with(&store, "1.1", b"other", IndexEntry { is_again: true, ..entry() }).unwrap();
    drop(committed);
    drop(store);
    let store = open();
    let Awaited::Here(other) = store.awaited(instance).unwrap() else { panic!("it came") };
    let outcomes: Vec<String> =
        store.reader().show(instance).unwrap().unwrap().arrivals.into_iter().map(|arrival| arrival.outcome).collect();
    assert_eq!(outcomes, ["new", "superseded"]);
    assert_eq!(end(&store, other), None, "until it is said what it is for");
    bench.clock.advance_ms(10_000);
    resume(&store, instance);
    assert_eq!(instance_of(&one_lease(&store, JobKind::Match)), other);
}
