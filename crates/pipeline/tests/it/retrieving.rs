//! Images whose bytes were removed come from an archive before they are sent or matched again.

use std::time::Duration;

use dicom_core::VR;
use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;
use dokuei_pipeline::{RouteConfig, Setup};
use dokuei_store::{Filter, Replay, Replayed, Retention};
use dokuei_types::{End, InstanceId};
use serde_json::json;

use crate::support::{Play, PlayedModel, Site, chest, radiograph, reread, route, send, wait};

/// Routes that take what a modality sends, by its AE title: on to the PACS, or to a model.
fn forwarding() -> RouteConfig {
    route(json!({ "name": "copies", "when": ["calling_ae == 'CR_ROOM_1'"], "send_images": ["pacs"] }))
}

fn analysing() -> RouteConfig {
    RouteConfig { when: forwarding().when, ..chest(&["lungs"]) }
}

/// An image that came to these routes, and whose bytes were removed.
async fn removed(site: &Site, routes: &[RouteConfig]) -> (InstanceId, Dataset) {
    let data = radiograph(1, |_| {});
    let pipeline = site.start(routes, &[]);
    let instance = send(&site.store, &data).instance;
    site.end(instance);
    pipeline.shutdown().await;
    let retention = Retention { images: Some(Duration::ZERO), ..Retention::default() };
    assert_eq!(site.store.remove_old(&retention, 10).unwrap().images, 1);
    (instance, data)
}

fn replay(site: &Site, replay: &Replay) {
    let replayed = site.store.reader().set_going_from_archive(replay, false).unwrap();
    assert_eq!(replayed, Replayed { retrieved: 1, ..Replayed::default() });
}

fn archived(site: &Site, answer: Result<Vec<Dataset>, String>) {
    site.pacs.archived.lock().unwrap().push_back(answer);
}

/// Why an image was not retrieved.
fn given_up(site: &Site) -> String {
    let letters = || site.store.reader().failed(&Filter::default(), 10).unwrap();
    wait("a dead letter", || letters().pop()).reason
}

#[tokio::test(flavor = "multi_thread")]
async fn an_original_is_fetched_and_sent_again() {
    let site = Site::new();
    let (instance, data) = removed(&site, &[forwarding()]).await;
    // Asked for while no node runs; it fails once.
    replay(&site, &Replay::Instances(vec![instance]));
    archived(&site, Err("it cannot be reached".into()));
    archived(&site, Ok(vec![data.clone()]));
    let pipeline = site.start(&[forwarding()], &[]);
    wait("the original", || (site.pacs.taken("original").len() == 2).then_some(()));
    assert_eq!(site.end(instance), End::Forwarded);
    let taken = site.pacs.taken("original");
    assert_eq!(taken[0], taken[1]);
    let uid = data.uid(tags::SOP_INSTANCE_UID).unwrap().to_string();
    assert_eq!(*site.pacs.retrieved.lock().unwrap(), [vec![uid.clone()], vec![uid]]);
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_comes_in_other_bytes_is_analysed_as_a_version_of_its_sender() {
    let site = Site::new();
    let (instance, mut data) = removed(&site, &[]).await;
    assert_eq!(site.end(instance), End::NoRuleMatched);
    data.put_text(tags::MANUFACTURER, VR::LO, "An archive");
    archived(&site, Ok(vec![data]));
    let model = PlayedModel::new("lungs", Play::Says(0.8));
    let pipeline = site.start(&[analysing()], &[&model]);
    replay(&site, &Replay::Analyze(vec![instance]));
    let reader = site.store.reader();
    wait("a report", || (site.pacs.taken("sr").len() == 1).then_some(()));
    let [first, second] = reader.find("1.2.3.4.1").unwrap()[..] else { panic!("two versions") };
    assert_eq!((first, site.end(first), site.end(second)), (instance, End::NoRuleMatched, End::Reported));
    let shown = reader.show(second).unwrap().unwrap();
    assert_eq!((shown.version, shown.arrivals[0].calling_ae.as_str()), (2, "PACS"));
    assert_eq!(reread(&site.pacs.taken("sr")[0].3).text(tags::PATIENT_ID).as_deref(), Some("4711"));
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_archive_has_is_given_up_and_said() {
    let site = Site::new();
    let (instance, data) = removed(&site, &[]).await;
    let check = async |setup: Setup, expected: &str| {
        let pipeline = site.start_with(setup);
        let again = site.store.reader().set_going_from_archive(&Replay::Analyze(vec![instance]), false).unwrap();
        assert_eq!(again.retrieved, 1);
        assert_eq!(given_up(&site), expected);
        assert_eq!(site.end(instance), End::NoRuleMatched, "what came of it still did");
        pipeline.shutdown().await;
    };
    archived(&site, Ok(Vec::new()));
    check(site.setup(&[], &[]), "pacs: it has none of it").await;
    let nobody = Setup { archive: None, ..site.setup(&[], &[]) };
    check(nobody, "its bytes were removed, and no `retention.archive` is configured").await;
    let mut later = data;
    later.put_text(tags::MANUFACTURER, VR::LO, "A modality");
    let later = send(&site.store, &later).instance;
    let why = format!("an archive has what has come since under its SOP Instance UID, as instance {later}");
    check(site.setup(&[], &[]), &why).await;
    assert_eq!(site.pacs.retrieved.lock().unwrap().len(), 1, "it was asked once");
}
