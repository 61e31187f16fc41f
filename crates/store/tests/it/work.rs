use std::time::Duration;

use dokuei_store::{
    Changes, Decision, Filter, JobKind, NewMember, NewObject, NewResult, NewTask, Priority, SettleReason, Staged,
    Store, StoreConfig, StoreError, Subject, TaskEnd, UnitLevel,
};
use dokuei_types::{DeclineReason, End, InstanceId, Uid};

use crate::support::{BEFORE_HINTS, Bench, LEASE, START, files, instance_of, model, one_lease, raw, send, task};

pub(crate) fn end(store: &Store, instance: InstanceId) -> Option<End> {
    store.reader().end(instance).unwrap()
}

pub(crate) fn stage(store: &Store, role: &str, uid: &str) -> Staged {
    let uid = Uid::new(uid).unwrap();
    store
        .stage(&NewObject {
            role,
            sop_class: &uid,
            sop_instance: &uid,
            series: &uid,
            transfer_syntax: "1.2.840.10008.1.2.1",
            bytes: role.as_bytes(),
        })
        .unwrap()
}

pub(crate) fn result(instance: InstanceId) -> NewResult {
    NewResult { instance, model: model(), findings: serde_json::json!([{"name": "opacity"}]), made_at: START }
}

pub(crate) fn trace() -> Decision {
    Decision { trace: raw(&traced()), declined: None }
}

pub(crate) fn traced() -> serde_json::Value {
    serde_json::json!([{ "route": "chest", "matched": true }])
}

#[test]
fn an_instance_without_a_matching_rule_ends() {
    let bench = Bench::new();
    let store = bench.open();
    let instance = send(&store, "1.2.3.4", b"bytes").unwrap().instance;
    assert_eq!(end(&store, instance), None);
    let lease = one_lease(&store, JobKind::Match);
    assert_eq!(lease.subject, Subject::Instance(instance));
    assert_eq!(store.lease(JobKind::Match, 10, LEASE).unwrap(), []);
    store.apply(Changes::complete(&lease).decide(instance, trace())).unwrap();
    assert_eq!(end(&store, instance), Some(End::NoRuleMatched));
    assert_eq!(store.queue_depth(), 0);
    assert_eq!(store.reader().show(instance).unwrap().unwrap().decision, Some(traced()));
}

#[test]
fn a_task_goes_on_under_the_lease_it_began_with_and_ends_reported() {
    let bench = Bench::new();
    let store = bench.open();
    let instance = send(&store, "1.2.3.4", b"bytes").unwrap().instance;
    let lease = one_lease(&store, JobKind::Match);
    let applied =
        store.apply(Changes::complete(&lease).decide(instance, trace()).begin(task(instance), Some(LEASE))).unwrap();
    let [lease] = applied.leases.as_slice() else { panic!("{applied:?}") };
    assert_eq!(end(&store, instance), None);
    let Subject::Task(number, _) = lease.subject else { panic!("{lease:?}") };
    assert_eq!(store.reader().task(number).unwrap().unwrap().task, task(instance));
    let objects = vec![stage(&store, "sr", "1.1"), stage(&store, "sr", "1.2"), stage(&store, "sc", "1.3")];
    let changes =
        Changes::complete(lease).result(result(instance), objects).finish(number, TaskEnd::Reported(Box::new(model())));
    store.apply(changes).unwrap();
    assert_eq!(end(&store, instance), Some(End::Reported));
    let kept = store.reader().result(instance, &model()).unwrap().unwrap();
    let order: Vec<_> = kept.objects.iter().map(|object| (object.role.as_str(), object.sop_class.as_str())).collect();
    assert_eq!(order, [("sr", "1.1"), ("sr", "1.2"), ("sc", "1.3")]);
    assert!(kept.objects.iter().all(|object| object.file.path.exists()));
}

#[test]
fn a_second_result_of_the_same_identity_is_discarded() {
    let bench = Bench::new();
    let store = bench.open();
    let instance = send(&store, "1.2.3.4", b"bytes").unwrap().instance;
    let lease = one_lease(&store, JobKind::Match);
    let changes = Changes::complete(&lease).result(result(instance), vec![stage(&store, "sr", "1.1")]);
    store.apply(changes.begin(task(instance), None)).unwrap();
    let before = store.reader().result(instance, &model()).unwrap();
    let again = NewResult { made_at: START + 1, ..result(instance) };
    let lease = one_lease(&store, JobKind::Analyze);
    store.apply(Changes::complete(&lease).result(again, vec![stage(&store, "sr", "1.1")])).unwrap();
    assert_eq!(store.reader().result(instance, &model()).unwrap(), before);
    assert_eq!(files(bench.dir.path()).len(), 1, "the first report");
}

#[test]
fn versions_of_an_instance_never_have_two_results_of_one_uid() {
    let bench = Bench::new();
    let store = bench.open();
    let first = send(&store, "1.2.3.4", b"bytes").unwrap().instance;
    let second = send(&store, "1.2.3.4", b"other").unwrap().instance;
    let leases = store.lease(JobKind::Match, 10, LEASE).unwrap();
    store.apply(Changes::complete(&leases[0]).result(result(first), vec![stage(&store, "sr", "1.1")])).unwrap();
    let late = Changes::complete(&leases[1]).result(result(second), vec![stage(&store, "sr", "1.1")]);
    assert!(matches!(store.apply(late), Err(StoreError::Index { .. })));
    assert_eq!(store.reader().result(second, &model()).unwrap(), None);
    assert_eq!(store.queue_depth(), 1, "nothing of the late one stays");
}

#[test]
fn a_lost_lease_changes_nothing() {
    let bench = Bench::new();
    let store = bench.open();
    let instance = send(&store, "1.2.3.4", b"bytes").unwrap().instance;
    let slow = one_lease(&store, JobKind::Match);
    assert_eq!(store.next_job_at(JobKind::Match).unwrap(), Some(slow.until));
    bench.clock.advance_ms(61_000);
    let fast = one_lease(&store, JobKind::Match);
    assert!(fast.fence > slow.fence);
    let late = store.apply(
        Changes::complete(&slow).result(result(instance), vec![stage(&store, "sr", "1.1")]).begin(task(instance), None),
    );
    assert!(matches!(late, Err(StoreError::LeaseLost { .. })), "{late:?}");
    assert_eq!(store.reader().result(instance, &model()).unwrap(), None);
    assert_eq!(files(bench.dir.path()).len(), 0);
    assert_eq!(store.queue_depth(), 1);
    store.apply(Changes::complete(&fast)).unwrap();
    assert_eq!(store.queue_depth(), 0);
}

#[test]
fn a_renewed_lease_does_not_run_out() {
    let bench = Bench::new();
    let store = bench.open();
    send(&store, "1.2.3.4", b"bytes").unwrap();
    let lease = one_lease(&store, JobKind::Match);
    store.apply(Changes::renew(&lease, START + 120_000)).unwrap();
    bench.clock.advance_ms(61_000);
    assert_eq!(store.lease(JobKind::Match, 10, LEASE).unwrap(), []);
    store.apply(Changes::complete(&lease)).unwrap();
}

#[test]
fn a_retry_waits_and_counts_and_a_release_does_not() {
    let bench = Bench::new();
    let store = bench.open();
    send(&store, "1.2.3.4", b"bytes").unwrap();
    let lease = one_lease(&store, JobKind::Match);
    assert_eq!(lease.attempts, 0);
    store.apply(Changes::retry(&lease, START + 5_000, "no memory")).unwrap();
    assert_eq!(store.lease(JobKind::Match, 10, LEASE).unwrap(), []);
    assert_eq!(store.next_job_at(JobKind::Match).unwrap(), Some(START + 5_000));
    bench.clock.advance_ms(5_000);
    let lease = one_lease(&store, JobKind::Match);
    assert_eq!(lease.attempts, 1);
    store.apply(Changes::release(&lease)).unwrap();
    assert_eq!(one_lease(&store, JobKind::Match).attempts, 1);
}

#[test]
fn a_dead_letter_is_listed_and_a_replay_sets_it_going() {
    let bench = Bench::new();
    let store = bench.open();
    let instance = send(&store, "1.2.3.4", b"bytes").unwrap().instance;
    let lease = one_lease(&store, JobKind::Match);
    store.apply(Changes::complete(&lease).begin(task(instance), None)).unwrap();
    let lease = one_lease(&store, JobKind::Analyze);
    assert_eq!(instance_of(&lease), instance);
    store.apply(Changes::bury(&lease, "out of memory")).unwrap();
    assert_eq!(end(&store, instance), Some(End::Failed { reason: "out of memory".into() }));
    assert_eq!(store.queue_depth(), 0);
    let dead = store.reader().failed(&Filter::default(), 10).unwrap();
    assert_eq!((dead[0].instance, dead[0].what.as_str()), (Some(instance), "analyze lungs"));
    // As another process would.
    let replayed = Store::attach(bench.dir.path()).unwrap().replay(&[instance, InstanceId(77)]).unwrap();
    assert_eq!((replayed.jobs, replayed.unknown), (1, 1));
    assert_eq!(end(&store, instance), None);
    assert_eq!(store.reader().failed(&Filter::default(), 10).unwrap(), []);
    bench.clock.advance_ms(1_000_000_000_000);
    assert_eq!(one_lease(&store, JobKind::Analyze).attempts, 0);
}

#[test]
fn what_was_declined_is_matched_again_by_a_replay() {
    let bench = Bench::new();
    let store = bench.open();
    let instance = send(&store, "1.2.3.4", b"bytes").unwrap().instance;
    let lease = one_lease(&store, JobKind::Match);
    let reason = DeclineReason::Derived("written by this node".into());
    let declined = Decision { declined: Some(reason.clone()), ..trace() };
    store.apply(Changes::complete(&lease).decide(instance, declined)).unwrap();
    assert_eq!(end(&store, instance), Some(End::Declined { reason }));
    assert_eq!(store.replay(&[instance]).unwrap().matched_again, 1);
    assert_eq!(store.replay(&[instance]).unwrap().in_work, 1);
    one_lease(&store, JobKind::Match);
}

#[test]
fn a_declined_model_beside_one_that_reports_leaves_the_instance_reported() {
    let bench = Bench::new();
    let store = bench.open();
    let instance = send(&store, "1.2.3.4", b"bytes").unwrap().instance;
    let lease = one_lease(&store, JobKind::Match);
    let other = dokuei_store::NewTask { model: "bones".into(), ..task(instance) };
    let applied =
        store.apply(Changes::complete(&lease).begin(task(instance), Some(LEASE)).begin(other, Some(LEASE))).unwrap();
    let [lungs, bones] = applied.leases.as_slice() else { panic!("{applied:?}") };
    let number = |lease: &dokuei_store::Lease| match lease.subject {
        Subject::Task(number, _) => number,
        _ => panic!("{lease:?}"),
    };
    let reason = DeclineReason::Criteria("not a hand".into());
    store.apply(Changes::complete(bones).finish(number(bones), TaskEnd::Declined(reason))).unwrap();
    assert_eq!(end(&store, instance), None, "one model is still at it");
    let changes = Changes::complete(lungs)
        .result(result(instance), vec![stage(&store, "sr", "1.1")])
        .finish(number(lungs), TaskEnd::Reported(Box::new(model())));
    store.apply(changes).unwrap();
    assert_eq!(end(&store, instance), Some(End::Reported));
}

#[test]
fn a_job_that_stops_the_node_again_and_again_becomes_a_dead_letter() {
    let bench = Bench::new();
    let config = || StoreConfig { interruptions_max: 3, ..bench.config() };
    let instance = send(&bench.open(), "1.2.3.4", b"bytes").unwrap().instance;
    for _ in 0..3 {
        let store = Store::open(config()).unwrap();
        bench.clock.advance_ms(10_000);
        one_lease(&store, JobKind::Match);
    }
    let store = Store::open(config()).unwrap();
    assert_eq!(store.lease(JobKind::Match, 10, LEASE).unwrap(), []);
    assert!(matches!(end(&store, instance), Some(End::Failed { .. })));
    assert_eq!(store.replay(&[instance]).unwrap().jobs, 1);
    one_lease(&store, JobKind::Match);
}

pub(crate) fn member(instance: InstanceId) -> NewMember {
    NewMember {
        instance,
        route: "chest".into(),
        level: UnitLevel::Study,
        uid: Uid::new("1.2.3").unwrap(),
        models: vec!["lungs".into()],
        send: task(instance).send,
        priority: Priority::Routine,
        settle_after: Duration::from_secs(10),
        settle_at_most: Duration::from_secs(25),
    }
}

#[test]
fn a_study_settles_after_quiet_or_at_the_cap_and_late_images_make_another_pass() {
    let bench = Bench::new();
    let store = bench.open();
    let mut instances = Vec::new();
    let mut arrive = |number: u32| {
        let instance = send(&store, &format!("1.2.3.4.{number}"), &number.to_le_bytes()).unwrap().instance;
        let lease = one_lease(&store, JobKind::Match);
        store.apply(Changes::complete(&lease).join(member(instance))).unwrap();
        instances.push(instance);
    };
    arrive(1);
    assert_eq!(store.next_job_at(JobKind::Settle).unwrap(), Some(START + 10_000));
    bench.clock.advance_ms(9_000);
    arrive(2);
    assert_eq!(store.next_job_at(JobKind::Settle).unwrap(), Some(START + 19_000));
    bench.clock.advance_ms(9_000);
    arrive(3);
    assert_eq!(store.next_job_at(JobKind::Settle).unwrap(), Some(START + 25_000), "the cap");
    bench.clock.advance_ms(7_000);
    let settle = one_lease(&store, JobKind::Settle);
    let Subject::Unit(unit) = settle.subject else { panic!("{settle:?}") };
    let waiting = store.reader().unit(unit).unwrap().unwrap();
    assert_eq!((waiting.last_at, waiting.cap_at), (START + 18_000, START + 25_000));
    assert_eq!(waiting.peers.len(), 1, "all came over one association");
    store.apply(Changes::complete(&settle).settle(unit, SettleReason::Cap)).unwrap();
    assert_eq!(store.lease(JobKind::Analyze, 10, LEASE).unwrap().len(), 3);

    arrive(4);
    let late = START + 25_000 + 10_000;
    assert_eq!(store.next_job_at(JobKind::Settle).unwrap(), Some(late), "a late image has a cap of its own");
    bench.clock.advance_ms(10_000);
    let settle = one_lease(&store, JobKind::Settle);
    store.apply(Changes::complete(&settle).settle(unit, SettleReason::Quiet)).unwrap();
    let again = store.lease(JobKind::Analyze, 10, LEASE).unwrap();
    assert_eq!(again.iter().map(instance_of).collect::<Vec<_>>(), instances[3..]);
    let shown = |instance| store.reader().show(instance).unwrap().unwrap().units.remove(0);
    let settled = |instance| (shown(instance).reason, shown(instance).settled_at, shown(instance).next_at);
    assert_eq!(settled(instances[0]), (Some(SettleReason::Cap), Some(START + 25_000), None));
    assert_eq!(settled(instances[3]), (Some(SettleReason::Quiet), Some(late), None), "each pass has its own");
}

#[test]
fn the_urgent_goes_first_and_one_image_before_a_study() {
    let bench = Bench::new();
    let store = bench.open();
    let arrive = |number: u32, plan: fn(Changes, InstanceId) -> Changes| {
        let instance = send(&store, &format!("1.2.3.4.{number}"), &number.to_le_bytes()).unwrap().instance;
        let lease = one_lease(&store, JobKind::Match);
        store.apply(plan(Changes::complete(&lease), instance)).unwrap();
        instance
    };
    let research = arrive(1, |changes, id| {
        changes.begin(NewTask { priority: Priority::Research, ..task(id) }, None).send_original(
            id,
            "pacs",
            Priority::Research,
        )
    });
    let study = arrive(2, |changes, id| changes.join(member(id)).send_original(id, "pacs", Priority::Routine));
    bench.clock.advance_ms(25_000);
    let settle = one_lease(&store, JobKind::Settle);
    let Subject::Unit(unit) = settle.subject else { panic!("{settle:?}") };
    store.apply(Changes::complete(&settle).settle(unit, SettleReason::Quiet)).unwrap();
    let image = arrive(3, |changes, id| changes.begin(task(id), None));
    let urgent = arrive(4, |changes, id| {
        changes.begin(NewTask { priority: Priority::Urgent, ..task(id) }, None).send_original(
            id,
            "pacs",
            Priority::Urgent,
        )
    });
    let turns: Vec<_> = (0..4).map(|_| instance_of(&store.lease(JobKind::Analyze, 1, LEASE).unwrap()[0])).collect();
    assert_eq!(turns, [urgent, image, study, research]);
    let sent: Vec<_> = store.lease_deliveries("pacs", 10, LEASE).unwrap().iter().map(|lease| lease.instance).collect();
    assert_eq!(sent, [urgent, study, research]);
}

#[test]
fn what_waited_before_reasons_were_kept_settles_at_its_timer() {
    let bench = Bench::new();
    let store = bench.open();
    let instance = send(&store, "1.2.3.4", b"bytes").unwrap().instance;
    let lease = one_lease(&store, JobKind::Match);
    store.apply(Changes::complete(&lease).join(member(instance))).unwrap();
    store.close();
    drop(store);
    let index = rusqlite::Connection::open(bench.dir.path().join("index.sqlite")).unwrap();
    let before = "DROP TABLE settled; ALTER TABLE unit DROP COLUMN cap_at; UPDATE layout SET version = 4;
                  ALTER TABLE delivery DROP COLUMN failing_since; ALTER TABLE delivery DROP COLUMN moved_to;
                  ALTER TABLE delivery DROP COLUMN moved_from; DROP TABLE closed;";
    index.execute_batch(BEFORE_HINTS).unwrap();
    index.execute_batch(before).unwrap();
    drop(index);
    let store = bench.open();
    bench.clock.advance_ms(10_000);
    let settle = one_lease(&store, JobKind::Settle);
    let Subject::Unit(unit) = settle.subject else { panic!("{settle:?}") };
    assert_eq!(store.reader().unit(unit).unwrap().unwrap().cap_at, 0);
    store.apply(Changes::complete(&settle).settle(unit, SettleReason::Quiet)).unwrap();
    assert_eq!(store.reader().show(instance).unwrap().unwrap().units[0].reason, Some(SettleReason::Quiet));
}

#[test]
fn timers_survive_the_node() {
    let bench = Bench::new();
    let store = bench.open();
    let instance = send(&store, "1.2.3.4", b"bytes").unwrap().instance;
    let lease = one_lease(&store, JobKind::Match);
    store.apply(Changes::complete(&lease).join(member(instance))).unwrap();
    drop(store);
    let store = bench.open();
    assert_eq!(store.next_job_at(JobKind::Settle).unwrap(), Some(START + 10_000));
    assert_eq!(end(&store, instance), None);
}

#[test]
fn a_timer_runs_as_long_when_the_clock_is_set_back() {
    const HOUR: i64 = 3_600_000;
    let bench = Bench::new();
    let store = bench.open();
    let instance = send(&store, "1.2.3.4", b"bytes").unwrap().instance;
    let lease = one_lease(&store, JobKind::Match);
    store.apply(Changes::complete(&lease).join(member(instance))).unwrap();
    bench.clock.advance_ms(-HOUR);
    drop(store);
    let store = bench.open();
    assert_eq!(store.next_job_at(JobKind::Settle).unwrap(), Some(START + 10_000 - HOUR));
    bench.clock.advance_ms(10_000);
    let Subject::Unit(unit) = one_lease(&store, JobKind::Settle).subject else { panic!("no timer") };
    let unit = store.reader().unit(unit).unwrap().unwrap();
    assert_eq!(unit.last_at, START - HOUR);
    assert!(unit.cap_at > unit.last_at && unit.cap_at < START, "{unit:?}");
}

#[test]
fn work_rings_the_bell_also_when_another_process_made_it() {
    let bench = Bench::new();
    let store = bench.open();
    let (ring, rung) = std::sync::mpsc::channel();
    store.listen(move || ring.send(()).unwrap_or_default());
    let instance = send(&store, "1.2.3.4", b"bytes").unwrap().instance;
    rung.recv_timeout(Duration::from_secs(10)).unwrap();
    let lease = one_lease(&store, JobKind::Match);
    store.apply(Changes::complete(&lease)).unwrap();
    while rung.recv_timeout(Duration::from_millis(700)).is_ok() {}
    Store::attach(bench.dir.path()).unwrap().replay(&[instance]).unwrap();
    rung.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(store.queue_depth(), 1);
    let lease = one_lease(&store, JobKind::Match);
    store.apply(Changes::complete(&lease)).unwrap();
    assert_eq!(store.queue_depth(), 0);
}
