use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dicom_core::VR;
use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;
use dokuei_pipeline::{Counted, Pipeline, RouteConfig};
use dokuei_store::{ManualClock, SettleReason, ShownUnit};
use dokuei_types::{End, InstanceId};

use crate::support::{Play, PlayedModel, Site, radiograph, route, send, wait};

/// A route of one model for whole studies or series, settled after 10 s of quiet and 60 s at most.
fn whole(trigger: &str, count_at: Option<&str>) -> RouteConfig {
    route(serde_json::json!({
        "name": "whole", "trigger": trigger, "settle_after": "10s", "settle_at_most": "60s",
        "count_at": count_at, "models": ["lungs"], "send_results": ["pacs"]
    }))
}

/// A pipeline whose clock is moved by hand.
pub(crate) struct Bench {
    clock: Arc<ManualClock>,
    pub(crate) site: Site,
    pub(crate) model: Arc<PlayedModel>,
    pub(crate) pipeline: Pipeline,
}

impl Bench {
    pub(crate) fn start(route: RouteConfig) -> Self {
        let clock = Arc::new(ManualClock::at(1_800_000_000_000));
        let site = Site::with_clock(Arc::clone(&clock) as _);
        let model = PlayedModel::new("lungs", Play::Says(0.8));
        let pipeline = site.start(&[route], &[&model]);
        Self { clock, site, model, pipeline }
    }

    /// Sends radiograph `number` and waits until the route waits with it.
    pub(crate) fn send(&self, number: u32) -> InstanceId {
        self.send_data(&radiograph(number, |_| {}))
    }

    pub(crate) fn send_data(&self, data: &Dataset) -> InstanceId {
        let instance = send(&self.site.store, data).instance;
        wait("the member", || self.units(instance).first().is_some_and(|unit| unit.next_at.is_some()).then_some(()));
        instance
    }

    pub(crate) fn pass(&self, seconds: i64) {
        self.clock.advance_ms(seconds * 1_000);
        self.pipeline.wake();
    }

    pub(crate) fn units(&self, instance: InstanceId) -> Vec<ShownUnit> {
        self.site.store.reader().show(instance).unwrap().unwrap().units
    }

    pub(crate) fn wait_until_it_waits_for(&self, instance: InstanceId, reason: &str) {
        wait(reason, || (self.units(instance)[0].waits_for.as_deref() == Some(reason)).then_some(()));
        assert_eq!((self.units(instance)[0].reason, self.model.runs()), (None, 0), "it waits");
    }

    /// Why the unit of an instance has settled, and how long after the first instance, in seconds.
    pub(crate) fn settled(&self, instance: InstanceId) -> (SettleReason, i64) {
        assert_eq!(self.site.end(instance), End::Reported);
        let unit = &self.units(instance)[0];
        (unit.reason.unwrap(), (unit.settled_at.unwrap() - 1_800_000_000_000) / 1_000)
    }

    fn pacs_has(&self, counts: impl IntoIterator<Item = Result<u64, String>>) {
        self.site.pacs.counts.lock().unwrap().extend(counts);
    }

    fn was_counted(&self) -> Vec<Counted> {
        self.site.pacs.counted.lock().unwrap().clone()
    }
}

const OPEN: &str = "an association that brought some of it is still open";

#[tokio::test(flavor = "multi_thread")]
async fn a_study_waits_for_the_association_that_brings_it() {
    for closes in [true, false] {
        let bench = Bench::start(whole("study", None));
        let is_open = Arc::new(AtomicBool::new(true));
        let open = Arc::clone(&is_open);
        bench.pipeline.watch_senders(move |peer| peer == "127.0.0.1:50000" && open.load(Ordering::SeqCst));
        let instance = bench.send(1);
        bench.pass(10);
        bench.wait_until_it_waits_for(instance, OPEN);
        is_open.store(!closes, Ordering::SeqCst);
        bench.pass(if closes { 10 } else { 50 });
        let expected = if closes { (SettleReason::Quiet, 20) } else { (SettleReason::Cap, 60) };
        assert_eq!(bench.settled(instance), expected);
        bench.pipeline.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_associations_of_others_hold_nothing_up() {
    let bench = Bench::start(whole("study", None));
    bench.pipeline.watch_senders(|peer| peer != "127.0.0.1:50000");
    let instance = bench.send(1);
    bench.pass(10);
    assert_eq!(bench.settled(instance), (SettleReason::Quiet, 10));
    bench.pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_study_waits_until_all_that_its_source_has_is_here() {
    let bench = Bench::start(whole("study", Some("pacs")));
    bench.pacs_has([Ok(3), Ok(3)]);
    let first = bench.send(1);
    let second = bench.send(2);
    bench.pass(10);
    bench.wait_until_it_waits_for(first, "pacs has 3 instances of it, 2 are here");
    bench.pass(5);
    let third = bench.send(3);
    bench.pass(10);
    for instance in [first, second, third] {
        assert_eq!(bench.settled(instance), (SettleReason::Count, 25));
    }
    assert_eq!(bench.model.runs(), 3);
    let study = Counted { study: "1.2.3".into(), series: None };
    assert_eq!(bench.was_counted(), [study.clone(), study], "once in settle_after");

    // What comes later is counted with the results that the source has stored: none of them is missing here.
    wait("the deliveries", || (bench.site.pacs.taken("sr").len() == 3).then_some(()));
    let delivered = || bench.site.store.reader().counts().unwrap().destinations["pacs"].stored == 6;
    wait("their record", || delivered().then_some(()));
    bench.pacs_has([Ok(4 + 6)]);
    let late = bench.send(4);
    bench.pass(10);
    assert_eq!(bench.settled(late), (SettleReason::Count, 35));
    bench.pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_comes_is_waited_for_until_the_cap() {
    let bench = Bench::start(whole("series", Some("pacs")));
    bench.pacs_has(vec![Ok(2); 5]);
    let instance = bench.send(1);
    for asked in 1..=5 {
        bench.pass(10);
        wait("the question", || (bench.was_counted().len() == asked).then_some(()));
        let next_at = 1_800_000_000_000 + 10_000 * (asked as i64 + 1);
        wait("the answer", || (bench.units(instance)[0].next_at == Some(next_at)).then_some(()));
    }
    bench.pass(10);
    assert_eq!(bench.settled(instance), (SettleReason::Cap, 60));
    let series = Counted { study: "1.2.3".into(), series: Some("1.2.3.4".into()) };
    assert_eq!(bench.was_counted(), vec![series; 5]);
    bench.pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_cannot_say_holds_nothing_up() {
    for answer in [Err("it is away".to_owned()), Ok(0)] {
        let bench = Bench::start(whole("study", Some("pacs")));
        bench.pacs_has([answer]);
        let instance = bench.send(1);
        bench.pass(10);
        assert_eq!(bench.settled(instance), (SettleReason::Quiet, 10));
        bench.pipeline.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_while_the_source_is_asked_is_waited_for_as_well() {
    let bench = Bench::start(whole("study", Some("pacs")));
    bench.site.pacs.is_silent.send_replace(true);
    let first = bench.send(1);
    bench.pass(10);
    wait("the question", || (bench.was_counted().len() == 1).then_some(()));
    bench.pass(4);
    let second = bench.send(2);
    bench.site.pacs.is_silent.send_replace(false);
    bench.wait_until_it_waits_for(first, "something came since");
    bench.pass(10);
    for instance in [first, second] {
        assert_eq!(bench.settled(instance), (SettleReason::Quiet, 24));
    }
    bench.pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_source_holds_up_neither_the_router_nor_the_end() {
    let bench = Bench::start(whole("study", Some("pacs")));
    bench.site.pacs.is_silent.send_replace(true);
    bench.send(1);
    bench.pass(10);
    wait("the question", || (bench.was_counted().len() == 1).then_some(()));
    let other = send(&bench.site.store, &radiograph(2, |data| data.put_text(tags::STUDY_INSTANCE_UID, VR::UI, "1.9")));
    wait("its unit", || bench.units(other.instance).first().is_some_and(|unit| unit.uid == "1.9").then_some(()));
    tokio::time::timeout(Duration::from_secs(20), bench.pipeline.shutdown()).await.unwrap();
}
