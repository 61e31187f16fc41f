//! Results beside earlier ones of the same patient, and never of another.

use std::sync::Arc;
use std::time::Duration;

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::{Dataset, Tag};
use dokuei_pipeline::RouteConfig;
use dokuei_results::report_text;
use dokuei_store::{Changes, Decision, JobKind, Retention};
use dokuei_types::{End, InstanceId};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use crate::support::{Play, PlayedModel, Site, chest, radiograph, reread, send, wait};

/// An attribute that a radiograph has otherwise.
type Change = (Tag, VR, &'static str);

/// A radiograph in a study of its own, taken on a date.
fn image(number: u32, date: &str, changes: &[Change]) -> Dataset {
    radiograph(number, |data| {
        let study = format!("1.2.3.{number}");
        for (tag, vr, text) in [
            (tags::STUDY_INSTANCE_UID, VR::UI, study.as_str()),
            (tags::ACQUISITION_DATE, VR::DA, date),
            (tags::PATIENT_BIRTH_DATE, VR::DA, "19700101"),
            (tags::PATIENT_SEX, VR::CS, "F"),
            (tags::VIEW_POSITION, VR::CS, "PA"),
        ]
        .iter()
        .chain(changes)
        {
            data.put_text(*tag, *vr, text);
        }
    })
}

fn comparing() -> RouteConfig {
    RouteConfig { priors: Some(serde_json::from_value(json!({})).unwrap()), ..chest(&["lungs"]) }
}

fn model(probability: f32) -> Arc<PlayedModel> {
    PlayedModel::new("lungs", Play::Says(probability))
}

/// Has a model look at an image; what it was compared with.
async fn look(site: &Site, route: RouteConfig, model: &Arc<PlayedModel>, data: &Dataset) -> (InstanceId, Value) {
    let pipeline = site.start(&[route], &[model]);
    let instance = send(&site.store, data).instance;
    assert_eq!(site.end(instance), End::Reported);
    pipeline.shutdown().await;
    let shown = site.store.reader().show(instance).unwrap().unwrap();
    (instance, shown.results.last().unwrap().findings[0]["comparison"].clone())
}

/// The last report that went to the PACS, as people read it.
fn report(site: &Site) -> String {
    report_text(&reread(&site.pacs.taken("sr").last().unwrap().3))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_image_is_compared_with_the_first() {
    let site = Site::new();
    let (first, none) = look(&site, comparing(), &model(0.3), &image(1, "20250101", &[])).await;
    assert_eq!(none, json!({ "nothing": "no earlier image of the patient is known within 730d" }));
    assert!(report(&site).contains("No earlier result was at hand to compare with."));
    let (second, comparison) = look(&site, comparing(), &model(0.8), &image(2, "20260101", &[])).await;
    assert_eq!(
        comparison,
        json!({
            "instance": first, "sop_instance": "1.2.3.4.1", "taken": "2025-01-01T00:00:00",
            "findings": [{
                "name": "opacity", "probability": 0.3_f32, "change_points": 50.0, "trend": "increased"
            }],
        })
    );
    let text = report(&site);
    let line = "Opacity: 30.0 % on 2025-01-01, increased by 50.0 percentage points (both by lungs 1.0)";
    assert!(text.contains(line), "{text}");
    // The last one before, not the first.
    let (_, comparison) = look(&site, comparing(), &model(0.4), &image(3, "20260301", &[])).await;
    assert_eq!((&comparison["instance"], &comparison["findings"][0]["trend"]), (&json!(second), &json!("decreased")));
    // What was taken in between is compared with what was before it, whenever it comes.
    let (_, comparison) = look(&site, comparing(), &model(0.4), &image(4, "20250601", &[])).await;
    assert_eq!(comparison["instance"], json!(first));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_compared_with_somebody_else() {
    let site = Site::new();
    look(&site, comparing(), &model(0.3), &image(1, "20250101", &[])).await;
    let nobody = "no earlier image of the patient is known within 730d";
    let one = |why: &str| format!("none of 1 earlier images: instance 1, {why}");
    let cases: [(&[Change], String); 7] = [
        (&[(tags::PATIENT_ID, VR::LO, "4712")], nobody.into()),
        (&[(tags::ISSUER_OF_PATIENT_ID, VR::LO, "OTHER")], nobody.into()),
        (&[(tags::PATIENT_ID, VR::LO, "")], "the image has no Patient ID".into()),
        (&[(tags::PATIENT_BIRTH_DATE, VR::DA, "19710101")], one("another Patient's Birth Date")),
        (&[(tags::PATIENT_SEX, VR::CS, "M")], one("another Patient's Sex")),
        (&[(tags::PATIENT_NAME, VR::PN, "Somebody^Else")], one("another Patient's Name")),
        (
            &[(tags::PATIENT_NAME, VR::PN, ""), (tags::PATIENT_BIRTH_DATE, VR::DA, "")],
            one("neither birth date nor name beside the Patient ID"),
        ),
    ];
    for (number, (changes, why)) in (2..).zip(cases) {
        // Each a day before the one before, so that none is another's prior.
        let date = format!("202601{:02}", 30 - number);
        let (_, comparison) = look(&site, comparing(), &model(0.8), &image(number, &date, changes)).await;
        assert_eq!(comparison, json!({ "nothing": why }), "{changes:?}");
        assert!(!report(&site).contains("prior of"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_compared_is_not() {
    let site = Site::new();
    look(&site, comparing(), &model(0.3), &image(1, "20250101", &[])).await;
    let one = |why: &str| format!("none of 1 earlier images: instance 1, {why}");
    let within = |text: &str| RouteConfig {
        priors: Some(serde_json::from_value(json!({ "within": text })).unwrap()),
        ..comparing()
    };
    let check = async |route: RouteConfig, data: &Dataset, why: &str| {
        let (_, comparison) = look(&site, route, &model(0.8), data).await;
        assert_eq!(comparison, json!({ "nothing": why }));
    };
    check(comparing(), &image(9, "20260109", &[(tags::VIEW_POSITION, VR::CS, "AP")]), &one("another view_position"))
        .await;
    check(comparing(), &image(8, "20260108", &[(tags::VIEW_POSITION, VR::CS, "")]), "the image has no view_position")
        .await;
    check(
        comparing(),
        &image(7, "20260107", &[(tags::STUDY_INSTANCE_UID, VR::UI, "1.2.3.1")]),
        "no earlier image of the patient is known within 730d",
    )
    .await;
    check(comparing(), &image(6, "", &[]), "the image does not say when it was taken").await;
    check(within("30d"), &image(5, "20260105", &[]), "no earlier image of the patient is known within 30d").await;
    let (_, comparison) = look(&site, chest(&["lungs"]), &model(0.8), &image(4, "20260104", &[])).await;
    assert_eq!(comparison, Value::Null, "nobody asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_image_without_a_result_of_the_model_is_looked_at_first() {
    let site = Site::new();
    let reader = site.store.reader();
    let (first, _) = look(&site, comparing(), &model(0.3), &image(1, "20250101", &[])).await;
    let sent = site.pacs.taken("sr").len();
    // Another version of the model looks at the earlier image before it says something of the new one.
    let newer = model(0.8).version("2.0", Play::Says(0.8));
    let (second, comparison) = look(&site, comparing(), &newer, &image(2, "20250601", &[])).await;
    assert_eq!((&comparison["instance"], &comparison["findings"][0]["trend"]), (&json!(first), &json!("unchanged")));
    let shown = reader.show(first).unwrap().unwrap();
    let versions: Vec<&str> = shown.results.iter().map(|result| result.version.as_str()).collect();
    assert_eq!((versions, shown.end), (vec!["1.0", "2.0"], Some(End::Reported)));
    assert_eq!(shown.results[1].findings[0]["comparison"], Value::Null, "it asks for none itself");
    assert_eq!((newer.runs(), site.pacs.taken("sr").len()), (2, sent + 1), "nothing of it is sent");
    // Once: the next image finds the result.
    let (third, comparison) = look(&site, comparing(), &newer, &image(3, "20250602", &[])).await;
    assert_eq!((&comparison["instance"], newer.runs()), (&json!(second), 3));
    // Of an image that only another model has looked at the model is asked too, and the last one comes first.
    let bones = PlayedModel::new("bones", Play::Says(0.1));
    let (fourth, _) = look(&site, chest(&["bones"]), &bones, &image(4, "20250603", &[])).await;
    let (_, comparison) = look(&site, comparing(), &newer, &image(5, "20250604", &[])).await;
    assert_eq!((&comparison["instance"], newer.runs()), (&json!(fourth), 5));
    // A result that was withdrawn is not made again.
    site.withdraw(fourth);
    let (_, comparison) = look(&site, comparing(), &newer, &image(6, "20250604", &[])).await;
    assert_eq!((&comparison["instance"], newer.runs()), (&json!(third), 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_came_before_the_model_is_looked_at_first() {
    let site = Site::new();
    let reader = site.store.reader();
    // No route takes them.
    let pipeline = site.start(&[], &[]);
    let early = send(&site.store, &image(1, "20250101", &[])).instance;
    let mut frames = image(5, "20250103", &[(tags::NUMBER_OF_FRAMES, VR::IS, "2")]);
    frames.put_bytes(tags::PIXEL_DATA, VR::OW, vec![7; 2 * 64 * 48 * 2]);
    for data in [
        image(2, "20250102", &[(tags::VIEW_POSITION, VR::CS, "LL")]),
        frames,
        image(6, "20250104", &[(tags::SOP_CLASS_UID, VR::UI, uids::PARAMETRIC_MAP_STORAGE)]),
    ] {
        assert_eq!(site.end(send(&site.store, &data).instance), End::NoRuleMatched);
    }
    pipeline.shutdown().await;
    let model = model(0.6);
    let (_, comparison) = look(&site, comparing(), &model, &image(3, "20260101", &[])).await;
    assert_eq!((&comparison["instance"], model.runs()), (&json!(early), 2));
    let shown = reader.show(early).unwrap().unwrap();
    assert_eq!((shown.end, shown.fetched_for, shown.tasks.len()), (Some(End::NoRuleMatched), None, 0));
    assert_eq!((shown.results.len(), site.pacs.taken("sr").len()), (1, 1), "nothing of it is sent");
    let (_, comparison) = look(&site, comparing(), &model, &image(4, "20250601", &[])).await;
    assert_eq!((&comparison["instance"], model.runs()), (&json!(early), 3), "it is looked at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_the_index_does_not_know_is_looked_at_when_a_destination_names_it() {
    let site = Site::new();
    let reader = site.store.reader();
    let [early, lateral, frames] = [(1, "PA"), (2, "LL"), (5, "PA")].map(|(number, view)| {
        let mut data = image(number, &format!("2025010{number}"), &[(tags::VIEW_POSITION, VR::CS, view)]);
        if number == 5 {
            data.put_text(tags::NUMBER_OF_FRAMES, VR::IS, "2");
            data.put_bytes(tags::PIXEL_DATA, VR::OW, vec![7; 2 * 64 * 48 * 2]);
        }
        let instance = send(&site.store, &data).instance;
        // As an earlier program has decided on it.
        let lease = site.store.lease(JobKind::Match, 1, Duration::from_secs(60)).unwrap().remove(0);
        let decision = Decision { trace: to_raw_value(&json!([])).unwrap(), declined: None };
        site.store.apply(Changes::complete(&lease).decide(instance, decision)).unwrap();
        instance
    });
    let named = [early, lateral, frames].map(|id| reader.instance(id).unwrap().unwrap().sop_instance);
    *site.pacs.named.lock().unwrap() = named.iter().map(|uid| dokuei_types::Uid::new(uid).unwrap()).collect();
    site.pacs.priors.lock().unwrap().push_back(Ok(Vec::new()));
    let model = model(0.6);
    let (_, comparison) = look(&site, fetching("60s"), &model, &image(3, "20260101", &[])).await;
    assert_eq!((&comparison["instance"], model.runs()), (&json!(early), 2));
    // It is found in the index from now on: nobody is asked.
    let (_, comparison) = look(&site, fetching("60s"), &model, &image(4, "20260102", &[])).await;
    assert_eq!((comparison["sop_instance"].as_str(), model.runs()), (Some("1.2.3.4.3"), 3));
    assert_eq!(site.pacs.wanted.lock().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prior_whose_image_is_gone_is_none() {
    let site = Site::new();
    look(&site, comparing(), &model(0.3), &image(1, "20250101", &[])).await;
    let retention = Retention { images: Some(std::time::Duration::ZERO), ..Retention::default() };
    assert_eq!(site.store.remove_old(&retention, 10).unwrap().images, 1);
    let (_, comparison) = look(&site, comparing(), &model(0.8), &image(2, "20260101", &[])).await;
    assert_eq!(comparison, json!({ "nothing": "none of 1 earlier images: instance 1, its image is no longer kept" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_came_again_counts_as_what_it_came_last() {
    let site = Site::new();
    look(&site, comparing(), &model(0.3), &image(1, "20250101", &[])).await;
    // It was another patient's.
    let corrected = image(1, "20250101", &[(tags::PATIENT_ID, VR::LO, "4712")]);
    let (right, _) = look(&site, comparing(), &model(0.3), &corrected).await;
    let (_, comparison) = look(&site, comparing(), &model(0.8), &image(2, "20260101", &[])).await;
    let why = "none of 1 earlier images: instance 1, it came again with other bytes";
    assert_eq!(comparison, json!({ "nothing": why }));
    let of_other = image(3, "20260101", &[(tags::PATIENT_ID, VR::LO, "4712")]);
    let (_, comparison) = look(&site, comparing(), &model(0.8), &of_other).await;
    assert_eq!(comparison["instance"], json!(right));
}

/// Compares with what the PACS has, which has so long to bring it.
fn fetching(wait_at_most: &str) -> RouteConfig {
    let priors = json!({ "at": "pacs", "wait_at_most": wait_at_most });
    RouteConfig { priors: Some(serde_json::from_value(priors).unwrap()), ..chest(&["lungs"]) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prior_is_fetched_looked_at_and_compared_with_and_nothing_of_it_is_sent() {
    let site = Site::new();
    let lateral = [(tags::VIEW_POSITION, VR::CS, "LL"), (tags::STUDY_INSTANCE_UID, VR::UI, "1.2.3.1")];
    let archived = vec![image(1, "20250101", &[]), image(2, "20250101", &lateral)];
    site.pacs.priors.lock().unwrap().push_back(Ok(archived));
    let forwarding = RouteConfig { send_images: vec!["pacs".into()], ..fetching("60s") };
    let (_, comparison) = look(&site, forwarding, &model(0.8), &image(3, "20260101", &[])).await;
    assert_eq!(
        (&comparison["sop_instance"], &comparison["taken"]),
        (&json!("1.2.3.4.1"), &json!("2025-01-01T00:00:00"))
    );
    assert!(report(&site).contains("prior of 2025-01-01"));
    assert_eq!(*site.pacs.wanted.lock().unwrap(), ["2024-01-02 to 2026-01-01"]);

    let reader = site.store.reader();
    for uid in ["1.2.3.4.1", "1.2.3.4.2"] {
        let [id] = reader.find(uid).unwrap()[..] else { panic!("{uid} once") };
        let shown = reader.show(id).unwrap().unwrap();
        assert_eq!((shown.fetched_for.as_deref(), shown.decision, shown.deliveries), (Some("chest"), None, vec![]));
        assert_eq!(shown.end, Some(End::Reported));
        assert_eq!(shown.results[0].findings[0]["comparison"], Value::Null, "a prior asks for none");
    }
    assert_eq!((site.pacs.taken("sr").len(), site.pacs.taken("original").len()), (1, 1));
    // Whoever asks the models again has another version look at it, and nothing is sent either.
    let [first] = reader.find("1.2.3.4.1").unwrap()[..] else { panic!("once") };
    let newer = model(0.8).version("2.0", Play::Says(0.5));
    let pipeline = site.start(&[fetching("60s")], &[&newer]);
    assert_eq!(reader.match_again(&[first]).unwrap().matched_again, 1);
    wait("another result", || (reader.show(first).unwrap().unwrap().results.len() == 2).then_some(()));
    assert_eq!(site.end(first), End::Reported);
    pipeline.shutdown().await;
    assert_eq!((site.pacs.taken("sr").len(), site.pacs.taken("original").len()), (1, 1));
    // The next image is compared with what is here: nobody is asked.
    let (_, comparison) = look(&site, fetching("60s"), &model(0.8), &image(4, "20260102", &[])).await;
    assert_eq!(comparison["sop_instance"], json!("1.2.3.4.3"));
    assert_eq!(site.pacs.wanted.lock().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn images_of_a_patient_that_come_together_do_not_wait_for_each_other() {
    let site = Site::new();
    // All of one day, as far as the PACS can be asked: it names each of them to each, itself among them.
    let images: Vec<Dataset> = (1..=6)
        .map(|number| {
            let mut data = image(number, "20260101", &[]);
            data.put_text(tags::ACQUISITION_TIME, VR::TM, &format!("1{number}0000"));
            data
        })
        .collect();
    *site.pacs.named.lock().unwrap() = images.iter().map(|data| data.uid(tags::SOP_INSTANCE_UID).unwrap()).collect();
    site.pacs.priors.lock().unwrap().extend(vec![Ok(Vec::new()); images.len()]);
    // The last one comes first, so that those before it are still in work.
    let instances: Vec<_> = images.iter().rev().map(|data| send(&site.store, data).instance).collect();
    let pipeline = site.start(&[fetching("10m")], &[&model(0.8)]);
    for instance in &instances {
        assert_eq!(site.end(*instance), End::Reported);
    }
    pipeline.shutdown().await;
    for pair in instances.windows(2) {
        let shown = site.store.reader().show(pair[0]).unwrap().unwrap();
        let comparison = &shown.results.last().unwrap().findings[0]["comparison"];
        assert_eq!(comparison["instance"], json!(pair[1]), "with the one just before it: {comparison}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_version_waits_as_long_as_the_version_before_waits_for_its_prior() {
    let site = Site::new();
    // The PACS says nothing.
    let pipeline = site.start(&[fetching("3s")], &[&model(0.8)]);
    let versions = ["SKULL AND CHEST", "CHEST"].map(|study| {
        let described = [(tags::STUDY_DESCRIPTION, VR::LO, study)];
        send(&site.store, &image(1, "20260101", &described)).instance
    });
    assert_ne!(versions[0], versions[1]);
    assert_eq!(versions.map(|instance| site.end(instance)), [End::Reported, End::Reported]);
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_goes_without_what_does_not_come() {
    let site = Site::new();
    let none = "no earlier image of the patient is known within 730d";
    let other = image(1, "20250101", &[(tags::PATIENT_BIRTH_DATE, VR::DA, "19710101")]);
    site.pacs.priors.lock().unwrap().extend([Err("it answers no C-FIND".into()), Ok(vec![]), Ok(vec![other])]);
    for (number, wait, why) in [
        (9, "60s", format!("{none}; pacs: it answers no C-FIND")),
        (8, "60s", format!("{none}; pacs: it has no earlier image to compare with")),
        (
            7,
            "60s",
            "none of 1 earlier images: instance 4, another Patient's Birth Date; pacs: 1 images of it are here"
                .to_owned(),
        ),
        // From here on it says nothing.
        (
            6,
            "100ms",
            "none of 1 earlier images: instance 4, another Patient's Birth Date; pacs: nothing in time".to_owned(),
        ),
    ] {
        let data = image(number, &format!("2026010{number}"), &[]);
        let (_, comparison) = look(&site, fetching(wait), &model(0.8), &data).await;
        assert_eq!(comparison, json!({ "nothing": why }));
        assert!(report(&site).contains("No earlier result was at hand to compare with."));
    }
}
