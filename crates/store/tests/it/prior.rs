//! Images of one patient, found again.

use dokuei_store::{
    Changes, Comparable, EarlierImage, Fetched, IndexEntry, JobKind, NewResult, Priority, Sought, Store, Subject,
    TaskEnd,
};
use dokuei_types::{DeclineReason, InstanceId, ModelIdentity, Uid};
use serde_json::json;

use crate::support::{Bench, LEASE, START, commit_with, entry, instance_of, model, object, one_lease, raw, send};

const DAY: i64 = 86_400;

/// An instance of a study, of a patient at a time, of which no model gives a result.
fn seen(store: &Store, sop_instance: &str, study: &str, attributes: serde_json::Value, of: Comparable) -> InstanceId {
    let study = Some(Uid::new(study).unwrap());
    let entry = IndexEntry { study, attributes: raw(&attributes), ..entry() };
    let committed = commit_with(store, sop_instance, sop_instance.as_bytes(), entry).unwrap();
    let instance = store.indexed(committed).unwrap().instance;
    store.apply(Changes::complete(&one_lease(store, JobKind::Match)).comparable(instance, of)).unwrap();
    instance
}

/// An instance with a result, of a patient at a time.
fn reported(store: &Store, sop_instance: &str, model: &ModelIdentity, of: Option<Comparable>) -> InstanceId {
    let instance = send(store, sop_instance, sop_instance.as_bytes()).unwrap().instance;
    let result =
        NewResult { instance, model: model.clone(), findings: serde_json::json!([sop_instance]), made_at: START };
    let uid = Uid::new(&format!("{sop_instance}.1")).unwrap();
    let objects = vec![store.stage(&object("sr", &uid)).unwrap()];
    let changes = Changes::complete(&one_lease(store, JobKind::Match)).result(result, objects);
    let changes = match of {
        Some(of) => changes.comparable(instance, of),
        None => changes,
    };
    store.apply(changes).unwrap();
    instance
}

fn of(store: &Store, patient_id: &str, issuer: &str, day: i64) -> Comparable {
    Comparable { patient: store.patient(patient_id, issuer).unwrap(), taken_at: day * DAY }
}

fn sought(this: &Comparable, since: i64) -> Sought<'static> {
    Sought { this: *this, since: since * DAY, other_than: Some("1.9"), attributes: &[] }
}

fn earlier(store: &Store, this: &Comparable, since: i64) -> Vec<InstanceId> {
    found(store, &sought(this, since))
}

fn found(store: &Store, sought: &Sought<'_>) -> Vec<InstanceId> {
    let found = store.reader().earlier_images(sought, 10).unwrap();
    found.into_iter().map(|found| found.instance).collect()
}

#[test]
fn the_latest_earlier_images_of_the_same_patient_are_found() {
    let bench = Bench::new();
    let store = bench.open();
    let by = |version: &str| ModelIdentity { version: version.into(), ..model() };
    let add = |uid: &str, model: &ModelIdentity, id: &str, issuer: &str, day: i64| {
        reported(&store, uid, model, Some(of(&store, id, issuer, day)))
    };
    let second = add("1.2", &model(), "4711", "HOSPITAL", 200);
    let first = add("1.1", &by("0.9"), "4711", "HOSPITAL", 100);
    let later = add("1.3", &model(), "4711", "HOSPITAL", 300);
    add("1.4", &model(), "4711", "OTHER", 200);
    add("1.5", &model(), "4712", "HOSPITAL", 200);
    let bones = add("1.6", &ModelIdentity { name: "bones".into(), ..model() }, "4711", "HOSPITAL", 200);
    reported(&store, "1.7", &model(), None);

    let this = of(&store, "4711", "HOSPITAL", 300);
    assert_eq!(earlier(&store, &this, 0), [bones, second, first]);
    assert_eq!(earlier(&store, &this, 150), [bones, second]);
    assert_eq!(earlier(&store, &of(&store, "4711", "HOSPITAL", 301), 0), [later, bones, second, first]);
    assert_eq!(earlier(&store, &of(&store, "4711", "", 300), 0), []);
    let found = store.reader().earlier_images(&sought(&this, 0), 1).unwrap();
    assert_eq!(found, [EarlierImage { instance: bones, taken_at: 200 * DAY }]);

    // Another result on an image makes it no second one.
    let result = NewResult { instance: first, model: model(), findings: serde_json::json!([]), made_at: START };
    let again = of(&store, "4711", "HOSPITAL", 100);
    store.apply(Changes::unleased().result(result, Vec::new()).comparable(first, again)).unwrap();
    assert_eq!(earlier(&store, &this, 0), [bones, second, first]);
}

#[test]
fn an_image_of_which_no_model_gave_a_result_is_found_too() {
    let bench = Bench::new();
    let store = bench.open();
    let day = |day| of(&store, "4711", "", day);
    let chest = json!({ "modality": "CR", "body_part": "CHEST" });
    let first = seen(&store, "1.1", "1.2.1", chest.clone(), day(1));
    let hand = seen(&store, "1.2", "1.2.2", json!({ "modality": "CR", "body_part": "HAND" }), day(2));
    let unsaid = seen(&store, "1.3", "1.2.3", json!({ "modality": "CR", "body_part": null }), day(3));
    seen(&store, "1.4", "1.2.4", chest.clone(), of(&store, "4712", "", 4));
    let last = seen(&store, "1.5", "1.2.5", chest, day(5));
    let reported = reported(&store, "1.6", &model(), Some(day(4)));
    let this = Sought { other_than: Some("1.2.5"), ..sought(&day(6), 0) };
    assert_eq!(found(&store, &this), [reported, unsaid, hand, first], "of other studies");
    let other = Sought { other_than: Some("1.2.6"), ..this };
    assert_eq!(found(&store, &other), [last, reported, unsaid, hand, first]);
    let chests = Sought { attributes: &[("modality", "CR"), ("body_part", "CHEST"), ("view", "PA")], ..other };
    assert_eq!(
        found(&store, &chests),
        [last, reported, unsaid, first],
        "where the index says nothing, the header does"
    );
}

#[test]
fn what_an_earlier_program_has_noted_of_results_is_found() {
    let bench = Bench::new();
    let instance = {
        let store = bench.open();
        reported(&store, "1.1", &model(), Some(of(&store, "4711", "", 1)))
    };
    let index = rusqlite::Connection::open(bench.dir.path().join("index.sqlite")).unwrap();
    index
        .execute_batch(
            "INSERT INTO comparable SELECT result.id, patient, taken_at
             FROM patient_image JOIN result USING (instance);
             DROP TABLE patient_image;",
        )
        .unwrap();
    drop(index);
    let store = bench.open();
    let this = of(&store, "4711", "", 2);
    assert_eq!(earlier(&store, &this, 0), [instance]);
    store.apply(Changes::unleased().comparable(instance, of(&store, "4711", "", 1))).unwrap();
    assert_eq!(earlier(&store, &this, 0), [instance], "once");
}

#[test]
fn it_is_known_what_a_model_made_nothing_of() {
    let bench = Bench::new();
    let store = bench.open();
    let instance = fetch(&store, "1.1");
    let is_without = |model: &str| store.reader().is_without_result(instance, model).unwrap();
    assert!(is_without("lungs") && !is_without("bones"), "it is still to look");
    let lease = one_lease(&store, JobKind::Analyze);
    let Subject::Task(task, _) = lease.subject else { panic!("{lease:?}") };
    let declined = TaskEnd::Declined(DeclineReason::NoPixels("no pixels".into()));
    store.apply(Changes::complete(&lease).finish(task, declined)).unwrap();
    assert!(is_without("lungs"), "it has declined");
    let other = fetch(&store, "1.2");
    let lease = one_lease(&store, JobKind::Analyze);
    let Subject::Task(task, _) = lease.subject else { panic!("{lease:?}") };
    let result = NewResult { instance: other, model: model(), findings: serde_json::json!([]), made_at: START };
    let end = TaskEnd::Reported(Box::new(model()));
    store.apply(Changes::complete(&lease).result(result, Vec::new()).finish(task, end)).unwrap();
    assert!(!store.reader().is_without_result(other, "lungs").unwrap());
}

#[test]
fn the_index_names_nobody_and_knows_everybody_again() {
    let bench = Bench::new();
    let first = {
        let store = bench.open();
        reported(&store, "1.1", &model(), Some(of(&store, "PAT-4711-XYZ", "HOSPITAL-ABC", 100)))
    };
    let store = bench.open();
    assert_eq!(earlier(&store, &of(&store, "PAT-4711-XYZ", "HOSPITAL-ABC", 101), 0), [first]);
    for file in ["index.sqlite", "index.sqlite-wal"] {
        let bytes = std::fs::read(bench.dir.path().join(file)).unwrap_or_default();
        for text in ["PAT-4711-XYZ", "HOSPITAL-ABC"] {
            assert!(!bytes.windows(text.len()).any(|window| window == text.as_bytes()), "{text} in {file}");
        }
    }
}

/// Sends an instance that was fetched for a route.
pub(crate) fn fetch(store: &Store, sop_instance: &str) -> InstanceId {
    let fetched = Fetched { route: "chest".into(), models: vec!["lungs".into()], priority: Priority::Routine };
    let entry = IndexEntry { fetched: Some(fetched), ..entry() };
    let committed = commit_with(store, sop_instance, sop_instance.as_bytes(), entry).unwrap();
    store.indexed(committed).unwrap().instance
}

#[test]
fn what_was_fetched_is_for_its_models_alone() {
    let bench = Bench::new();
    let instance = fetch(&bench.open(), "1.1");
    // The log is the truth about it too.
    for file in ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"] {
        drop(std::fs::remove_file(bench.dir.path().join(file)));
    }
    let store = bench.open();
    store.decide_with(|_, _| panic!("no rule is asked"));
    assert_eq!(store.lease(JobKind::Match, 10, LEASE).unwrap(), []);
    assert_eq!(instance_of(&one_lease(&store, JobKind::Analyze)), instance);
    let shown = store.reader().show(instance).unwrap().unwrap();
    assert_eq!((shown.fetched_for.as_deref(), shown.tasks.len()), (Some("chest"), 1));
    assert_eq!(store.reader().fetched_for(instance).unwrap().as_deref(), Some("chest"));
    let other = fetch(&store, "1.2");
    assert_eq!(store.lease(JobKind::Match, 10, LEASE).unwrap(), []);
    assert_eq!(instance_of(&one_lease(&store, JobKind::Analyze)), other);
    let sent = send(&store, "1.3", b"bytes").unwrap().instance;
    assert_eq!(store.reader().fetched_for(sent).unwrap(), None);
}

#[test]
fn work_that_is_put_off_comes_when_it_is_hastened_and_counts_no_attempt() {
    let bench = Bench::new();
    let store = bench.open();
    let instance = fetch(&store, "1.1");
    for _ in 0..3 {
        let lease = one_lease(&store, JobKind::Analyze);
        assert_eq!(lease.attempts, 0);
        assert!(store.hasten(instance).unwrap(), "it may be put off yet");
        store.apply(Changes::postpone(&lease, START + 60_000, "waits for a prior")).unwrap();
        assert_eq!(store.lease(JobKind::Analyze, 10, LEASE).unwrap(), []);
        assert!(!store.hasten(instance).unwrap());
    }
    let lease = one_lease(&store, JobKind::Analyze);
    store.apply(Changes::postpone(&lease, START + 60_000, "waits for a prior")).unwrap();
    bench.clock.advance_ms(60_000);
    one_lease(&store, JobKind::Analyze);
}
