use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dokuei_pipeline::{
    BoxFuture, ConfirmationOutcome, Counted, DeliveryOutcome, Destination, FailoverSetup, Opening, Pipeline,
    RetryPolicy, RouteConfig, Trigger, record_answer,
};
use dokuei_store::{Disk, Inquiry, ManualClock, RealDisk, Step, Store, StoreConfig};
use dokuei_types::{DimseStatus, End, InstanceId, Interval};

use crate::support::{Play, PlayedModel, PlayedPacs, Site, chest, radiograph, route, send, setup, wait};

/// Originals are forwarded, no model.
fn forwarding() -> RouteConfig {
    route(serde_json::json!({ "name": "forward", "send_images": ["pacs"] }))
}

fn refused(status: u16) -> DeliveryOutcome {
    DeliveryOutcome::Refused { status: DimseStatus(status), comment: "as scripted".into() }
}

#[tokio::test(flavor = "multi_thread")]
async fn originals_are_forwarded_as_they_came() {
    let site = Site::new();
    let pipeline = site.start(&[forwarding()], &[]);
    let instance = send(&site.store, &radiograph(1, |_| {})).instance;
    assert_eq!(site.end(instance), End::Forwarded);
    let stored = site.store.reader().instance(instance).unwrap().unwrap();
    assert_eq!(site.pacs.taken("original")[0].3, stored.file.read().unwrap());
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_is_down_gets_everything_later() {
    let site = Site::new();
    let down = || DeliveryOutcome::Unreachable("connection refused".into());
    site.pacs.answer([down(), down(), DeliveryOutcome::Unsent("aborted".into()), refused(0xA700), down()]);
    let pipeline = site.start(&[forwarding()], &[]);
    let instances: Vec<_> = (1..=5).map(|number| send(&site.store, &radiograph(number, |_| {})).instance).collect();
    for instance in instances {
        assert_eq!(site.end(instance), End::Forwarded);
    }
    assert_eq!(site.pacs.taken("original").len(), 5);
    pipeline.shutdown().await;
}

/// A disk that fails `left` transactions from some moment on.
struct Failing {
    left: AtomicU32,
    from: Box<dyn Fn() -> bool + Send + Sync>,
}

impl Failing {
    fn new(times: u32, from: impl Fn() -> bool + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { left: AtomicU32::new(times), from: Box::new(from) })
    }

    /// A node on this disk.
    fn site(self: &Arc<Self>, pacs: Arc<PlayedPacs>) -> Site {
        let dir = tempfile::tempdir().unwrap();
        let config = StoreConfig { disk_free_min: 0, disk: Arc::clone(self) as _, ..StoreConfig::new(dir.path()) };
        Site { store: Store::open(config).unwrap(), dir, pacs }
    }

    fn assert_has_failed(&self) {
        assert_eq!(self.left.load(Ordering::SeqCst), 0);
    }
}

impl Disk for Failing {
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        RealDisk.free_bytes(path)
    }

    fn before(&self, step: Step, _path: &Path) -> io::Result<()> {
        let fewer = |left: u32| left.checked_sub(1);
        let is_due = step == Step::Transaction && (self.from)();
        match is_due && self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fewer).is_ok() {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_delivered_is_recorded_once_the_index_can() {
    let pacs = PlayedPacs::new();
    let disk = {
        let pacs = Arc::clone(&pacs);
        Failing::new(1, move || !pacs.taken("original").is_empty())
    };
    let site = disk.site(pacs);
    let pipeline = site.start(&[forwarding()], &[]);
    let instance = send(&site.store, &radiograph(1, |_| {})).instance;
    assert_eq!(site.end(instance), End::Forwarded);
    disk.assert_has_failed();
    assert_eq!(site.pacs.taken("original").len(), 1, "it is not sent again");
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_model_has_found_while_the_index_fails_is_found_again_soon() {
    let model = PlayedModel::new("lungs", Play::Says(0.8));
    let disk = {
        let model = Arc::clone(&model);
        Failing::new(3, move || model.runs() > 0)
    };
    let site = disk.site(PlayedPacs::new());
    let pipeline = site.start(&[chest(&["lungs"])], &[&model]);
    let instance = send(&site.store, &radiograph(1, |_| {})).instance;
    assert_eq!(site.end(instance), End::Reported);
    disk.assert_has_failed();
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_for_good_is_a_dead_letter_until_replayed() {
    let site = Site::new();
    site.pacs.answer([refused(0xC000)]);
    let pipeline = site.start(&[forwarding()], &[]);
    let instance = send(&site.store, &radiograph(1, |_| {})).instance;
    let End::Failed { reason } = site.end(instance) else { panic!("{:?}", site.end(instance)) };
    assert!(reason.contains("C000") && reason.contains("as scripted"), "{reason}");
    assert_eq!(site.pacs.batches.lock().unwrap().len(), 1, "it is not tried again");
    site.store.replay(&[instance]).unwrap();
    assert_eq!(site.end(instance), End::Forwarded);
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_together_goes_together() {
    let site = Site::new();
    for number in 1..=40 {
        send(&site.store, &radiograph(number, |_| {}));
    }
    let pipeline = site.start(&[forwarding()], &[]);
    wait("40 objects", || (site.pacs.taken("original").len() == 40).then_some(()));
    let batches = site.pacs.batches.lock().unwrap().clone();
    assert!(batches.len() <= 10, "an association for each object: {batches:?}");
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_to_be_confirmed_is_delivered_when_it_is_kept_and_sent_again_when_it_is_missing() {
    let site = Site::new();
    let missing = ConfirmationOutcome::Missing("no such instance".into());
    let away = ConfirmationOutcome::Unreachable("connection refused".into());
    site.pacs.confirms.lock().unwrap().extend([away.clone(), away, missing]);
    let pipeline = site.start_confirming(&[forwarding()], Duration::from_secs(3_600));
    let instances = [1, 2].map(|number| send(&site.store, &radiograph(number, |_| {})).instance);
    for instance in instances {
        assert_eq!(site.end(instance), End::Forwarded);
    }
    assert_eq!(site.pacs.taken("original").len(), 3, "one of them twice");
    let counts = site.store.reader().counts().unwrap().destinations["pacs"];
    assert_eq!((counts.stored, counts.confirmed, counts.unconfirmed), (2, 2, 0));
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_may_come_by_itself_and_once() {
    let site = Site::new();
    site.pacs.confirms.lock().unwrap().extend([ConfirmationOutcome::Asked]);
    let pipeline = site.start_confirming(&[forwarding()], Duration::from_secs(3_600));
    let instance = send(&site.store, &radiograph(1, |_| {})).instance;
    let asked = wait("a question", || site.pacs.inquiries.lock().unwrap().first().cloned());
    let kept = || {
        let policy = RetryPolicy::default();
        record_answer(&site.store, &asked.transaction_uid, &policy, |_| Some(ConfirmationOutcome::Kept)).unwrap()
    };
    assert_eq!(site.store.reader().end(instance).unwrap(), None);
    assert_eq!((kept(), site.end(instance), kept()), (1, End::Forwarded, 0));
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_is_no_longer_asked_has_what_it_has_stored() {
    let site = Site::new();
    site.pacs.confirms.lock().unwrap().extend([ConfirmationOutcome::Asked]);
    let pipeline = site.start_confirming(&[forwarding()], Duration::from_secs(3_600));
    let instance = send(&site.store, &radiograph(1, |_| {})).instance;
    wait("a question", || site.pacs.inquiries.lock().unwrap().first().cloned());
    pipeline.reload(site.setup(&[forwarding()], &[])).unwrap();
    assert_eq!(site.end(instance), End::Forwarded);
    pipeline.shutdown().await;
}

/// A destination whose code panics.
struct Broken;

impl Destination for Broken {
    fn deliver(&self, _parcels: Vec<dokuei_pipeline::Parcel>) -> BoxFuture<'_, Vec<DeliveryOutcome>> {
        Box::pin(async { panic!("the played destination panics") })
    }

    fn confirm(&self, _inquiry: Inquiry) -> BoxFuture<'_, Vec<ConfirmationOutcome>> {
        Box::pin(async { panic!("the played destination panics") })
    }

    fn count(&self, _counted: Vec<Counted>) -> BoxFuture<'_, Vec<Result<u64, String>>> {
        Box::pin(async { panic!("the played destination panics") })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_destination_holds_up_no_other_and_its_successor_gets_what_waits() {
    let site = Site::new();
    let both = route(serde_json::json!({ "name": "both", "send_images": ["broken", "pacs"] }));
    let broken: Arc<dyn Destination> = Arc::new(Broken);
    let pacs = || Arc::clone(&site.pacs) as Arc<dyn Destination>;
    let first = setup(std::slice::from_ref(&both), &[], &[("broken", broken), ("pacs", pacs())]);
    let pipeline = Pipeline::start(site.store.clone(), first, crate::support::config()).unwrap();
    let instance = send(&site.store, &radiograph(1, |_| {})).instance;
    wait("the other destination", || (site.pacs.taken("original").len() == 1).then_some(()));
    assert_eq!(site.store.reader().end(instance).unwrap(), None);
    let mended = PlayedPacs::new();
    let second = Arc::clone(&mended) as Arc<dyn Destination>;
    pipeline.reload(setup(&[both], &[], &[("broken", second), ("pacs", pacs())])).unwrap();
    assert_eq!(site.end(instance), End::Forwarded);
    assert_eq!(mended.taken("original").len(), 1);
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_taken_out_of_the_config_leaves_dead_letters() {
    let site = Site::new();
    site.pacs.answer(std::iter::repeat_n(DeliveryOutcome::Unreachable("down".into()), 1_000));
    let pipeline = site.start(&[forwarding()], &[]);
    let instance = send(&site.store, &radiograph(1, |_| {})).instance;
    wait("an attempt", || (!site.pacs.batches.lock().unwrap().is_empty()).then_some(()));
    let other = PlayedPacs::new();
    let elsewhere = route(serde_json::json!({ "name": "forward", "send_images": ["archive"] }));
    // It may be under way at that moment.
    pipeline.reload(setup(&[elsewhere], &[], &[("archive", other as Arc<dyn Destination>)])).unwrap();
    assert_is_stranded(&site, instance);
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_planned_for_a_destination_before_it_went_becomes_a_dead_letter_too() {
    let site = Site::new();
    let mut settling = chest(&["lungs"]);
    settling.trigger = Trigger::Series;
    settling.settle_after = Interval(Duration::from_millis(500));
    let model = PlayedModel::new("lungs", Play::Says(0.8));
    let pipeline = site.start(std::slice::from_ref(&settling), &[&model]);
    let instance = send(&site.store, &radiograph(1, |_| {})).instance;
    wait("a decision", || site.store.reader().show(instance).unwrap().unwrap().decision);
    settling.send_results = vec!["archive".into()];
    let archive = PlayedPacs::new() as Arc<dyn Destination>;
    pipeline.reload(setup(&[settling], &[&model], &[("archive", archive)])).unwrap();
    assert_is_stranded(&site, instance);
    pipeline.shutdown().await;
}

fn assert_is_stranded(site: &Site, instance: InstanceId) {
    let End::Failed { reason } = site.end(instance) else { panic!("{:?}", site.end(instance)) };
    assert!(reason.contains("no longer configured"), "{reason}");
}

/// A node whose PACS has a backup, after so long.
fn backed_up(site: &Site, backup: &Arc<PlayedPacs>, after: Duration) -> Pipeline {
    let places: [(&str, Arc<dyn Destination>); 2] =
        [("pacs", Arc::clone(&site.pacs) as _), ("backup", Arc::clone(backup) as _)];
    let mut setup = setup(&[forwarding()], &[], &places);
    setup.destinations[0].failover = Some(FailoverSetup { to: "backup".into(), ae_title: None, after });
    Pipeline::start(site.store.clone(), setup, crate::support::config()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_destination_does_not_take_for_long_goes_to_another_in_order_and_once() {
    let clock = Arc::new(ManualClock::at(1_800_000_000_000));
    let (site, backup) = (Site::with_clock(Arc::clone(&clock) as _), PlayedPacs::new());
    let down = || DeliveryOutcome::Unreachable("connection refused".into());
    // More than it can be tried before all have gone, however slow the machine is.
    site.pacs.answer((0..1_000).map(|_| down()));
    let pipeline = backed_up(&site, &backup, Duration::from_secs(600));
    let instances: Vec<_> = (1..=3).map(|number| send(&site.store, &radiograph(number, |_| {})).instance).collect();
    wait("an attempt", || (!site.pacs.batches.lock().unwrap().is_empty()).then_some(()));
    assert_eq!(backup.taken("original").len(), 0);
    // Whatever of them was not tried goes too: the destination was not reached for all of them.
    wait("the others", || {
        clock.advance_ms(60_000);
        pipeline.wake();
        instances.iter().all(|id| site.store.reader().end(*id).unwrap() == Some(End::Forwarded)).then_some(())
    });
    let taken: Vec<_> = backup.taken("original").iter().map(|taken| taken.2.clone()).collect();
    let expected: Vec<_> = (1..=3).map(|number| format!("1.2.3.4.{number}")).collect();
    assert_eq!((taken, site.pacs.taken("original").len()), (expected, 0));
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_for_good_goes_nowhere_else() {
    let (site, backup) = (Site::new(), PlayedPacs::new());
    site.pacs.answer([refused(0xC000)]);
    let pipeline = backed_up(&site, &backup, Duration::ZERO);
    let instance = send(&site.store, &radiograph(1, |_| {})).instance;
    assert!(matches!(site.end(instance), End::Failed { .. }));
    site.pacs.answer([refused(0xA700)]);
    let full = send(&site.store, &radiograph(2, |_| {})).instance;
    assert_eq!(site.end(full), End::Forwarded);
    assert_eq!(backup.taken("original").iter().map(|taken| taken.2.as_str()).collect::<Vec<_>>(), ["1.2.3.4.2"]);
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outside_its_hours_a_destination_gets_what_is_urgent_and_the_rest_waits_for_them() {
    // A Friday noon somewhere, days away from the hours in any zone.
    let clock = Arc::new(ManualClock::at(1_795_176_000_000));
    let site = Site::with_clock(Arc::clone(&clock) as _);
    let mut urgent = forwarding();
    urgent.name = "urgent".into();
    urgent.when = vec!["sop_instance_uid.endsWith('.2')".into()];
    urgent.priority = dokuei_store::Priority::Urgent;
    let mut setup = site.setup(&[urgent, forwarding()], &[]);
    setup.destinations[0].opening = Opening::new(vec!["Tue 19:00-23:00".parse().unwrap()]);
    let pipeline = Pipeline::start(site.store.clone(), setup, crate::support::config()).unwrap();
    let routine = send(&site.store, &radiograph(1, |_| {})).instance;
    let closed = wait("the hours", || {
        site.store.reader().counts().unwrap().destinations.get("pacs").and_then(|pacs| pacs.closed_until)
    });
    let pending =
        wait("a delivery", || site.store.reader().show(routine).unwrap().unwrap().deliveries.first().cloned());
    assert_eq!((pending.state, pending.next_at, pending.attempts), ("waiting", Some(closed), 0));
    let urgent = send(&site.store, &radiograph(2, |_| {})).instance;
    assert_eq!(site.end(urgent), End::Forwarded);
    assert_eq!(site.pacs.taken("original").len(), 1);

    // Three days and more have passed: the retries begin only now, and one of them succeeds.
    site.pacs.answer([DeliveryOutcome::Unreachable("connection refused".into())]);
    clock.advance_ms(closed - 1_795_176_000_000);
    pipeline.wake();
    wait("an attempt", || (site.pacs.batches.lock().unwrap().len() == 2).then_some(()));
    assert_eq!(site.store.reader().counts().unwrap().destinations["pacs"].closed_until, None);
    wait("the delivery", || {
        clock.advance_ms(1_000);
        pipeline.wake();
        (site.store.reader().end(routine).unwrap() == Some(End::Forwarded)).then_some(())
    });
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_is_refused_does_not_hold_up_the_picture() {
    let site = Site::new();
    let model = PlayedModel::new("lungs", Play::Says(0.8));
    site.pacs.answer([DeliveryOutcome::NotAccepted("no presentation context for a report".into())]);
    let pipeline = site.start(&[chest(&["lungs"])], &[&model]);
    let instance = send(&site.store, &radiograph(1, |_| {})).instance;
    let End::Failed { reason } = site.end(instance) else { panic!("{:?}", site.end(instance)) };
    assert!(reason.contains("no presentation context"), "{reason}");
    assert_eq!((site.pacs.taken("sr").len(), site.pacs.taken("sc").len()), (0, 1));
    pipeline.shutdown().await;
}
