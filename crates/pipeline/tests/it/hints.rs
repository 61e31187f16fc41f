//! Series and studies that settle by what modalities and archives say of them.

use dicom_core::VR;
use dicom_dictionary_std::tags;
use dokuei_pipeline::RouteConfig;
use dokuei_store::{HintKind, HintUpdate, NamedImage, NewHint, Progress, SettleReason, Updated};
use dokuei_types::Uid;

use crate::settling::Bench;
use crate::support::{radiograph, route, send, wait};

const IN_PROGRESS: &str = "a performed procedure step of it is in progress";
const ONE_OF_TWO: &str = "1 of 2 images missing that a completed procedure step names";

fn uid(text: &str) -> Uid {
    Uid::new(text).unwrap()
}

/// A route of one model, settled after 10 s of quiet and 60 s at most.
fn whole(trigger: &str) -> RouteConfig {
    route(serde_json::json!({
        "name": "whole", "trigger": trigger, "settle_after": "10s", "settle_at_most": "60s",
        "models": ["lungs"], "send_results": ["pacs"]
    }))
}

/// The radiographs of these numbers.
fn images(numbers: &[u32]) -> Vec<NamedImage> {
    let image = |number| NamedImage { series: uid("1.2.3.4"), sop_instance: uid(&format!("1.2.3.4.{number}")) };
    numbers.iter().map(image).collect()
}

/// A step of the study that is in progress.
fn begin(bench: &Bench, sop_instance: &str) {
    let hint = NewHint {
        kind: HintKind::Mpps,
        sop_instance: uid(sop_instance),
        peer_ae: "CR_ROOM_1".into(),
        progress: Progress::InProgress,
        studies: vec![uid("1.2.3")],
        images: Vec::new(),
        gone: Vec::new(),
    };
    assert!(bench.site.store.add_hint(hint).unwrap().is_some());
}

fn end(bench: &Bench, sop_instance: &str, progress: Progress, numbers: &[u32]) {
    let update = HintUpdate { progress: Some(progress), images: Some(images(numbers)) };
    let updated = bench.site.store.update_hint(&uid(sop_instance), update).unwrap();
    assert!(matches!(updated, Updated::Recorded(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_series_or_study_settles_at_once_when_all_that_a_completed_step_names_is_here() {
    for trigger in ["study", "series"] {
        let bench = Bench::start(whole(trigger));
        begin(&bench, "1.9");
        let first = bench.send(1);
        bench.pass(10);
        bench.wait_until_it_waits_for(first, IN_PROGRESS);
        bench.pass(3);
        end(&bench, "1.9", Progress::Completed, &[1, 2]);
        bench.wait_until_it_waits_for(first, ONE_OF_TWO);
        bench.pass(4);
        let second = send(&bench.site.store, &radiograph(2, |_| {})).instance;
        for instance in [first, second] {
            assert_eq!(bench.settled(instance), (SettleReason::Mpps, 17), "{trigger}");
            let detail = bench.units(instance)[0].detail.clone();
            assert_eq!(detail.as_deref(), Some("performed procedure step completed, 2 of 2 images here"));
        }
        // What comes again with other bytes makes another pass, and so does what nobody has named.
        let again = radiograph(1, |data| data.put_text(tags::STUDY_DESCRIPTION, VR::LO, "again"));
        let named = bench.send_data(&again);
        bench.pass(10);
        assert_eq!(bench.settled(named), (SettleReason::Mpps, 27));
        let unnamed = bench.send(3);
        bench.pass(10);
        assert_eq!(bench.settled(unnamed), (SettleReason::Quiet, 37));
        bench.pipeline.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_named_and_never_comes_is_waited_for_until_the_cap() {
    let bench = Bench::start(whole("study"));
    begin(&bench, "1.9");
    end(&bench, "1.9", Progress::Completed, &[1, 2]);
    let instance = bench.send(1);
    for _ in 0..5 {
        bench.pass(10);
        bench.wait_until_it_waits_for(instance, ONE_OF_TWO);
    }
    bench.pass(10);
    assert_eq!(bench.settled(instance), (SettleReason::Cap, 60));
    bench.pass(7);
    let late = send(&bench.site.store, &radiograph(2, |_| {})).instance;
    assert_eq!(bench.settled(late), (SettleReason::Mpps, 67), "it was the last one");
    bench.pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_study_is_not_settled_while_one_of_its_steps_is_in_progress_but_by_the_cap() {
    for ends in [true, false] {
        let bench = Bench::start(whole("study"));
        begin(&bench, "1.8");
        begin(&bench, "1.9");
        let instance = bench.send(1);
        bench.pass(10);
        end(&bench, "1.8", Progress::Completed, &[1]);
        bench.wait_until_it_waits_for(instance, IN_PROGRESS);
        if ends {
            end(&bench, "1.9", Progress::Completed, &[]);
            assert_eq!(bench.settled(instance), (SettleReason::Mpps, 10));
        } else {
            bench.pass(50);
            assert_eq!(bench.settled(instance), (SettleReason::Cap, 60));
        }
        bench.pipeline.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_is_discontinued_leaves_it_to_the_quiet_time() {
    for quiet_before in [true, false] {
        let bench = Bench::start(whole("study"));
        begin(&bench, "1.9");
        let instance = bench.send(1);
        if quiet_before {
            bench.pass(20);
            bench.wait_until_it_waits_for(instance, IN_PROGRESS);
        }
        end(&bench, "1.9", Progress::Discontinued, &[1, 2]);
        if !quiet_before {
            bench.wait_until_it_waits_for(instance, "something came since");
            bench.pass(10);
        }
        assert_eq!(bench.settled(instance), (SettleReason::Quiet, if quiet_before { 20 } else { 10 }));
        bench.pipeline.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_has_named_is_left_to_the_quiet_time() {
    let bench = Bench::start(whole("study"));
    begin(&bench, "1.9");
    let (named, unnamed) = (bench.send(1), bench.send(2));
    end(&bench, "1.9", Progress::Completed, &[1]);
    bench.wait_until_it_waits_for(named, "something came since");
    bench.pass(10);
    for instance in [named, unnamed] {
        assert_eq!(bench.settled(instance), (SettleReason::Quiet, 10));
    }
    bench.pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_may_go_by_other_signs_alone() {
    for settle_by in [vec![], vec![HintKind::Availability]] {
        let bench = Bench::start(RouteConfig { settle_by, ..whole("study") });
        begin(&bench, "1.9");
        let instance = bench.send(1);
        bench.pass(10);
        assert_eq!(bench.settled(instance), (SettleReason::Quiet, 10));
        bench.pipeline.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_no_route_waits_with_may_be_the_last_one() {
    let bench = Bench::start(RouteConfig { when: vec!["rows > 2".into()], ..whole("study") });
    begin(&bench, "1.9");
    let first = bench.send(1);
    end(&bench, "1.9", Progress::Completed, &[1, 2]);
    bench.wait_until_it_waits_for(first, ONE_OF_TWO);
    let other = send(&bench.site.store, &radiograph(2, |data| data.put_u16(tags::ROWS, &[1]))).instance;
    assert_eq!(bench.settled(first), (SettleReason::Mpps, 0));
    assert!(bench.units(other).is_empty());
    bench.pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_study_settles_when_all_that_an_archive_notifies_is_here() {
    let bench = Bench::start(whole("study"));
    let first = bench.send(1);
    let notification = NewHint {
        kind: HintKind::Availability,
        sop_instance: uid("1.8"),
        peer_ae: "ARCHIVE".into(),
        progress: Progress::Completed,
        studies: vec![uid("1.2.3")],
        images: images(&[1, 2]),
        gone: Vec::new(),
    };
    bench.site.store.add_hint(notification).unwrap();
    bench.wait_until_it_waits_for(first, "1 of 2 images missing that an archive's notification names");
    let second = send(&bench.site.store, &radiograph(2, |_| {})).instance;
    for instance in [first, second] {
        assert_eq!(bench.settled(instance), (SettleReason::Availability, 0));
    }
    let detail = wait("the reason", || bench.units(first)[0].detail.clone());
    assert_eq!(detail, "notified as available, 2 of 2 images here");
    bench.pipeline.shutdown().await;
}
