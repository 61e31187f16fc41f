//! The journal: what happens to instances, for an audit trail.

use std::time::Duration;

use dokuei_store::{
    Changes, Confirmation, Decision, DeliveryEnd, Filter, JOURNAL_WORDS, JobKind, NewResult, Priority, REJECTION,
    Replay, Retention, Store, StoreConfig, TaskEnd,
};
use dokuei_types::{DeclineReason, DimseStatus, InstanceId, Uid};

use crate::support::{Bench, LEASE, START, model, object, one_lease, raw, send, task};

fn open(bench: &Bench) -> Store {
    Store::open(StoreConfig { journal: true, ..bench.config() }).unwrap()
}

/// What the journal says, a word and its details a line.
fn said(store: &Store) -> Vec<String> {
    let entries = store.reader().journal(0, 1_000).unwrap();
    assert!(entries.windows(2).all(|pair| pair[0].id < pair[1].id));
    assert!(entries.iter().all(|entry| JOURNAL_WORDS.contains(&entry.what.as_str())), "{entries:?}");
    entries.iter().map(|entry| format!("{} {}", entry.what, entry.detail)).collect()
}

fn analysed(store: &Store) -> InstanceId {
    let instance = send(store, "1.2.3.4", b"bytes").unwrap().instance;
    let lease = one_lease(store, JobKind::Match);
    let trace = serde_json::json!([{ "route": "chest", "matched": true }, { "route": "ct", "matched": false }]);
    let decision = Decision { trace: raw(&trace), declined: None };
    let changes = Changes::complete(&lease).decide(instance, decision).begin(task(instance), Some(LEASE));
    let begun = store.apply(changes).unwrap();
    let dokuei_store::Subject::Task(number, _) = begun.leases[0].subject else { panic!("{begun:?}") };
    let result = NewResult { instance, model: model(), findings: serde_json::json!([]), made_at: START };
    let staged = vec![store.stage(&object("sr", &Uid::new("1.1").unwrap())).unwrap()];
    let changes = Changes::complete(&begun.leases[0])
        .result(result, staged)
        .finish(number, TaskEnd::Reported(Box::new(model())))
        .send_result(instance, &model(), "sr", "pacs", Priority::Routine);
    store.apply(changes).unwrap();
    instance
}

#[test]
fn every_hop_of_an_instance_is_told_once_and_forgotten_when_it_is_said_so() {
    let bench = Bench::new();
    let store = open(&bench);
    let instance = analysed(&store);
    send(&store, "1.2.3.4", b"bytes").unwrap();
    let lease = store.lease_deliveries("pacs", 1, LEASE).unwrap().remove(0);
    let (status, confirm_at) = (DimseStatus(0xB000), Some(START));
    let stored = DeliveryEnd::Stored { status, sop_class: "1.1".into(), comment: None, confirm_at };
    store.apply(Changes::delivered(&lease, stored)).unwrap();
    let asked = store.inquire("pacs", 1, LEASE).unwrap().unwrap();
    store.apply(Changes::confirmed(&asked.objects[0], &asked.transaction_uid, Confirmation::Kept)).unwrap();
    let came = r#"{"bytes":5,"called_ae":"DOKUEI","calling_ae":"CR_ROOM_1","outcome":"#;
    let expected = [
        format!(r#"received {came}"new","peer":"127.0.0.1:50000"}}"#),
        r#"decided {"kind":null,"routes":["chest"]}"#.to_owned(),
        r#"result {"model":"lungs","version":"1.0","weights":"ab"}"#.to_owned(),
        r#"analysed {"kind":null,"model":"lungs","route":"chest"}"#.to_owned(),
        format!(r#"received {came}"duplicate","peer":"127.0.0.1:50000"}}"#),
        r#"sent {"attempts":1,"destination":"pacs","role":"sr","sop_class":"1.1","status":"B000"}"#.to_owned(),
        r#"confirmed {"attempts":1,"destination":"pacs","role":"sr","sop_class":"1.1","status":"B000"}"#.to_owned(),
    ];
    assert_eq!(said(&store), expected);
    let first = store.reader().journal(0, 1).unwrap().remove(0);
    assert_eq!((first.instance, first.at, first.study.as_deref()), (instance, START, Some("1.2.3")));

    // Withdrawn beside the node, then removed for its age.
    let beside = Store::attach(bench.dir.path()).unwrap();
    let result = beside.show(instance).unwrap().unwrap().results[0].id;
    beside.withdraw(result, &object(REJECTION, &Uid::new("1.9").unwrap())).unwrap();
    let note = store.lease_deliveries("pacs", 1, LEASE).unwrap().remove(0);
    store.apply(Changes::delivered(&note, DeliveryEnd::Dead { status: None, reason: "a name".into() })).unwrap();
    let told = said(&store);
    assert_eq!(
        told[expected.len()..],
        [
            r#"withdrawn {"model":"lungs","version":"1.0"}"#,
            r#"given_up {"attempts":1,"destination":"pacs","role":"rejection","sop_class":null,"status":null}"#
        ]
    );
    store.forget_journal(store.reader().newest_entry().unwrap()).unwrap();
    assert!(said(&store).is_empty());
    assert_eq!(store.reader().newest_entry().unwrap(), 0);
}

#[test]
fn what_is_sent_again_on_demand_was_not_missing() {
    let bench = Bench::new();
    let store = open(&bench);
    analysed(&store);
    let lease = store.lease_deliveries("pacs", 1, LEASE).unwrap().remove(0);
    let (status, confirm_at) = (DimseStatus::SUCCESS, Some(START));
    let stored = DeliveryEnd::Stored { status, sop_class: "1.1".into(), comment: None, confirm_at };
    store.apply(Changes::delivered(&lease, stored)).unwrap();
    let before = said(&store);
    let filter = Filter { destination: Some("pacs".into()), ..Filter::default() };
    let beside = Store::attach(bench.dir.path()).unwrap();
    assert_eq!(beside.set_going(&Replay::Part { filter, failed_only: false }, false).unwrap().sent_again, 1);
    assert_eq!(said(&store), before);
}

#[test]
fn reasons_are_told_by_their_kind_alone_and_removals_too() {
    let bench = Bench::new();
    let store = open(&bench);
    let instance = send(&store, "1.2.3.4", b"bytes").unwrap().instance;
    let lease = one_lease(&store, JobKind::Match);
    let reason = DeclineReason::Criteria("patient_name = 'Test^Patient'".into());
    let declined = Decision { trace: raw(&serde_json::json!([])), declined: Some(reason.clone()) };
    let begun =
        store.apply(Changes::complete(&lease).decide(instance, declined).begin(task(instance), Some(LEASE))).unwrap();
    let dokuei_store::Subject::Task(number, _) = begun.leases[0].subject else { panic!("{begun:?}") };
    store.apply(Changes::complete(&begun.leases[0]).finish(number, TaskEnd::Declined(reason))).unwrap();
    bench.clock.advance_ms(86_400_000);
    let retention = Retention { images: Some(Duration::from_secs(60)), ..Retention::default() };
    store.remove_old(&retention, 10).unwrap();
    assert_eq!(
        said(&store)[1..],
        [
            r#"decided {"kind":"criteria","routes":[]}"#,
            r#"declined {"kind":"criteria","model":"lungs","route":"chest"}"#,
            r#"removed {"why":"age"}"#,
        ]
    );
}

#[test]
fn numbers_are_never_given_again_and_without_a_trail_there_is_no_journal() {
    let bench = Bench::new();
    let store = open(&bench);
    send(&store, "1.2.3.4", b"bytes").unwrap();
    let last = store.reader().newest_entry().unwrap();
    store.forget_journal(last).unwrap();
    store.close();
    drop(store);
    let store = open(&bench);
    send(&store, "1.2.3.5", b"bytes").unwrap();
    assert!(store.reader().newest_entry().unwrap() > last);
    store.close();
    drop(store);
    let store = bench.open();
    send(&store, "1.2.3.6", b"bytes").unwrap();
    assert!(said(&store).is_empty());
}
