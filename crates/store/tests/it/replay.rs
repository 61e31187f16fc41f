//! What a replay sets going again, and what it leaves alone.

use std::time::Duration;

use dokuei_store::{
    Changes, CommitmentEnd, DeliveryEnd, Filter, JobKind, NewCommitment, NewResult, Priority, Replay, ReplayItem,
    Replayed, Retention, Store, StoreReader, Subject, TaskEnd,
};
use dokuei_types::{DimseStatus, InstanceId, Uid};

use crate::support::{Bench, LEASE, START, model, object, one_lease, send, task};

const HOUR: i64 = 3_600_000;

fn stored() -> DeliveryEnd {
    DeliveryEnd::Stored { status: DimseStatus::SUCCESS, sop_class: "1.2".into(), comment: None, confirm_at: None }
}

fn dead() -> DeliveryEnd {
    DeliveryEnd::Dead { status: Some(DimseStatus::CANNOT_UNDERSTAND), reason: "not understood".into() }
}

/// An original sent to the PACS and to an archive, with what came of it.
fn sent(store: &Store, sop_instance: &str, at_pacs: &DeliveryEnd, at_archive: &DeliveryEnd) -> InstanceId {
    let instance = send(store, sop_instance, sop_instance.as_bytes()).unwrap().instance;
    let lease = one_lease(store, JobKind::Match);
    let changes = Changes::complete(&lease);
    let changes = ["pacs", "archive"]
        .iter()
        .fold(changes, |changes, place| changes.send_original(instance, place, Priority::Routine));
    store.apply(changes).unwrap();
    for (place, end) in [("pacs", at_pacs), ("archive", at_archive)] {
        let leases = store.lease_deliveries(place, 10, LEASE).unwrap();
        store.apply(Changes::delivered(&leases[0], end.clone())).unwrap();
    }
    instance
}

fn part(filter: Filter, failed_only: bool) -> Replay {
    Replay::Part { filter, failed_only }
}

fn to(destination: &str) -> Filter {
    Filter { destination: Some(destination.into()), ..Filter::default() }
}

fn beside(bench: &Bench) -> StoreReader {
    Store::attach(bench.dir.path()).unwrap()
}

#[test]
fn a_part_is_that_of_a_destination_a_time_and_instances() {
    let bench = Bench::new();
    let store = bench.open();
    let ids = [("1.2.1", stored()), ("1.2.2", dead()), ("1.2.3", stored())].map(|(uid, at_pacs)| {
        bench.clock.advance_ms(HOUR);
        sent(&store, uid, &at_pacs, &stored())
    });
    let [first, second, third] = ids;
    let list = |replay: &Replay| -> Vec<_> {
        let listed = beside(&bench).set_going(replay, true).unwrap().listed;
        listed.into_iter().map(|item| (item.instance.unwrap(), item.what)).collect()
    };
    let deliver = |place: &str| format!("deliver original to {place}");
    let all = list(&part(to("pacs"), false));
    assert_eq!(all, ids.map(|id| (id, deliver("pacs"))), "what was sent and what was given up");
    assert_eq!(list(&part(to("pacs"), true)), [(second, deliver("pacs"))]);
    assert_eq!(list(&part(to("archive"), true)), []);
    let since = Filter { since: Some(START + 3 * HOUR), ..to("archive") };
    assert_eq!(list(&part(since, false)), [(third, deliver("archive"))]);
    let before = Filter { until: Some(START + 2 * HOUR), ..Filter::default() };
    assert_eq!(list(&part(before, false)), [(first, deliver("pacs")), (first, deliver("archive"))]);
    let of = Filter { instances: Some(vec![second, third]), ..to("pacs") };
    assert_eq!(list(&part(of.clone(), true)), [(second, deliver("pacs"))]);
    assert_eq!(store.waiting_destinations().unwrap(), [""; 0], "nothing has changed");

    let replayed = beside(&bench).set_going(&part(of, false), false).unwrap();
    assert_eq!(replayed, Replayed { deliveries: 1, sent_again: 1, ..Replayed::default() });
    assert_eq!(store.waiting_destinations().unwrap(), ["pacs"]);
    let leases = store.lease_deliveries("pacs", 10, LEASE).unwrap();
    assert_eq!(leases.iter().map(|lease| lease.instance).collect::<Vec<_>>(), [second, third]);
}

#[test]
fn what_was_given_up_is_listed_by_the_same_parts() {
    let bench = Bench::new();
    let store = bench.open();
    let first = sent(&store, "1.2.1", &dead(), &dead());
    bench.clock.advance_ms(HOUR);
    let second = sent(&store, "1.2.2", &dead(), &stored());
    let id = store
        .ask_commitment(NewCommitment {
            transaction_uid: Uid::new("1.9").unwrap(),
            peer_ae: "CR_ROOM_1".into(),
            called_ae: "DOKUEI".into(),
            referenced: Vec::new(),
        })
        .unwrap();
    store.end_commitment(id, CommitmentEnd::Dead { reason: "no address".into() }).unwrap();
    let failed = |filter: &Filter| -> Vec<_> {
        let letters = store.reader().failed(filter, 10).unwrap();
        letters.into_iter().map(|letter| (letter.instance, letter.what)).collect()
    };
    let deliver = |id, place: &str| (Some(id), format!("deliver original to {place}"));
    let tell = (None, "tell CR_ROOM_1 what is committed to".to_owned());
    let all = [deliver(first, "pacs"), deliver(first, "archive"), deliver(second, "pacs"), tell.clone()];
    assert_eq!(failed(&Filter::default()), all);
    assert_eq!(store.reader().counts().unwrap().dead_letters, 4);
    assert_eq!(failed(&to("archive")), [deliver(first, "archive")]);
    let late = Filter { since: Some(START + HOUR), ..Filter::default() };
    assert_eq!(failed(&late), [deliver(second, "pacs"), tell.clone()]);

    let replayed = beside(&bench).set_going(&part(late, true), true).unwrap();
    let listed = [
        ReplayItem { instance: Some(second), what: "deliver original to pacs".into() },
        ReplayItem { instance: None, what: tell.1 },
    ];
    assert_eq!((replayed.listed, store.due_commitments(10).unwrap()), (listed.to_vec(), Vec::new()));
    let replayed = beside(&bench).set_going(&part(Filter::default(), true), false).unwrap();
    assert_eq!(replayed, Replayed { deliveries: 3, commitments: 1, ..Replayed::default() });
    assert_eq!(store.due_commitments(10).unwrap(), [id]);
    assert_eq!(failed(&Filter::default()), []);
}

#[test]
fn what_is_no_longer_kept_is_refused_and_the_rest_goes() {
    let bench = Bench::new();
    let store = bench.open();
    let instance = send(&store, "1.2.3.4", b"bytes").unwrap().instance;
    let matching = one_lease(&store, JobKind::Match);
    let changes = Changes::complete(&matching).send_original(instance, "pacs", Priority::Routine);
    store.apply(changes.begin(task(instance), None)).unwrap();
    let lease = one_lease(&store, JobKind::Analyze);
    let Subject::Task(number, _) = lease.subject else { panic!("{lease:?}") };
    let result = NewResult { instance, model: model(), findings: serde_json::Value::Null, made_at: START };
    let uid = Uid::new("2.25.7").unwrap();
    let changes = Changes::complete(&lease)
        .result(result, vec![store.stage(&object("sr", &uid)).unwrap()])
        .finish(number, TaskEnd::Reported(Box::new(model())))
        .send_result(instance, &model(), "sr", "pacs", Priority::Routine);
    store.apply(changes).unwrap();
    for lease in store.lease_deliveries("pacs", 10, LEASE).unwrap() {
        store.apply(Changes::delivered(&lease, stored())).unwrap();
    }
    let day = Retention { images: Some(Duration::from_secs(86_400)), ..Retention::default() };
    bench.clock.advance_ms(25 * HOUR);
    assert_eq!(store.remove_old(&day, 10).unwrap().images, 1);

    for replay in [Replay::Instances(vec![instance]), part(to("pacs"), false)] {
        let replayed = beside(&bench).set_going(&replay, true).unwrap();
        let refused: Vec<_> = replayed.refused.iter().map(|it| (it.what.as_str(), it.removed_why.as_str())).collect();
        assert_eq!(refused, [("deliver original to pacs", "age")]);
        assert_eq!(replayed.refused[0].removed_at, START + 25 * HOUR);
        assert_eq!((replayed.sent_again, replayed.listed[0].what.as_str()), (1, "deliver sr to pacs"));
    }
    let again = beside(&bench).set_going(&Replay::Analyze(vec![instance]), false).unwrap();
    assert_eq!((again.matched_again, again.refused[0].what.as_str()), (0, "match"));
    assert_eq!(beside(&bench).replay(&[instance]).unwrap().sent_again, 1);
    let leases = store.lease_deliveries("pacs", 10, LEASE).unwrap();
    assert_eq!(leases.iter().map(|lease| lease.role.as_str()).collect::<Vec<_>>(), ["sr"]);
}
