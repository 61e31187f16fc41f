use std::sync::Arc;
use std::time::Duration;

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::Dataset;
use dokuei_inference::{Accepts, Requirement};
use dokuei_pipeline::{ReportDeclined, RouteConfig, Setup};
use dokuei_results::{Role, report_text};
use dokuei_store::{ArrivalKind, Filter, ManualClock, Retention};
use dokuei_types::{DeclineReason, End, Uid};

use crate::support::{Play, PlayedModel, Site, chest, exists, radiograph, reread, route, send, send_from, wait};

/// Every instance is forwarded and looked at.
fn everything() -> RouteConfig {
    route(serde_json::json!({
        "name": "everything", "models": ["lungs"], "send_results": ["pacs"], "send_images": ["pacs"]
    }))
}

/// The only report that `report` names as the one it revises.
fn predecessor(report: &Dataset) -> Option<Uid> {
    let series = &report.items(tags::PREDECESSOR_DOCUMENTS_SEQUENCE)[0].items(tags::REFERENCED_SERIES_SEQUENCE)[0];
    series.items(tags::REFERENCED_SOP_SEQUENCE)[0].uid(tags::REFERENCED_SOP_INSTANCE_UID)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_radiograph_comes_back_as_a_report_and_a_heat_map() {
    let site = Site::new();
    let model = PlayedModel::new("lungs", Play::Says(0.8));
    let pipeline = site.start(&[chest(&["lungs"])], &[&model]);
    let instance = send(&site.store, &radiograph(1, |_| {})).instance;
    assert_eq!(site.end(instance), End::Reported);

    let (reports, pictures) = (site.pacs.taken("sr"), site.pacs.taken("sc"));
    assert_eq!((reports.len(), pictures.len()), (1, 1));
    assert_eq!(reports[0].1, uids::COMPREHENSIVE3_DSR_STORAGE);
    for (_, class, uid, bytes) in reports.iter().chain(&pictures) {
        let object = reread(bytes);
        assert_eq!(object.text(tags::STUDY_INSTANCE_UID).as_deref(), Some("1.2.3"));
        assert_eq!(object.text(tags::PATIENT_NAME).as_deref(), Some("Test^Patient"));
        assert_eq!(object.text(tags::SOP_CLASS_UID).as_ref(), Some(class));
        assert_eq!(object.text(tags::SOP_INSTANCE_UID).as_ref(), Some(uid));
    }
    let shown = site.store.reader().show(instance).unwrap().unwrap();
    let classes: Vec<&str> = shown.results[0].objects.iter().map(|object| object.sop_class.as_str()).collect();
    assert_eq!(
        classes,
        [
            uids::COMPREHENSIVE3_DSR_STORAGE,
            uids::COMPREHENSIVE_SR_STORAGE,
            uids::ENHANCED_SR_STORAGE,
            uids::SECONDARY_CAPTURE_IMAGE_STORAGE,
        ],
        "the report in each class a destination may want"
    );
    assert!(shown.results[0].objects.iter().all(|object| exists(&object.file.path)));
    assert_eq!(shown.results[0].findings[0]["findings"][0]["name"], "opacity");
    let trace = shown.decision.unwrap();
    assert_eq!(trace[0]["conditions"][1]["values"]["body_part"], "'CHEST'");
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_damaged_on_the_disk_is_not_looked_at() {
    let site = Site::new();
    let model = PlayedModel::new("lungs", Play::Says(0.8));
    let instance = send(&site.store, &radiograph(1, |_| {})).instance;
    let file = site.store.reader().instance(instance).unwrap().unwrap().file;
    let mut bytes = std::fs::read(&file.path).unwrap();
    bytes[usize::try_from(file.offset + file.length - 1).unwrap()] ^= 1;
    std::fs::write(&file.path, bytes).unwrap();
    let pipeline = site.start(&[chest(&["lungs"])], &[&model]);
    let End::Failed { reason } = site.end(instance) else { panic!("{:?}", site.end(instance)) };
    assert!(reason.contains("not those that were stored"), "{reason}");
    assert_eq!(model.runs(), 0);
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_gets_the_objects_it_wants() {
    let site = Site::new();
    let model = PlayedModel::new("lungs", Play::Says(0.8));
    let pipeline = site.start_wanting_all(&[chest(&["lungs"])], &[&model]);
    let instance = send(&site.store, &radiograph(1, |_| {})).instance;
    assert_eq!(site.end(instance), End::Reported);
    for (role, class) in [
        ("sr", uids::COMPREHENSIVE3_DSR_STORAGE),
        ("sc", uids::SECONDARY_CAPTURE_IMAGE_STORAGE),
        ("pr", uids::GRAYSCALE_SOFTCOPY_PRESENTATION_STATE_STORAGE),
        ("ko", uids::KEY_OBJECT_SELECTION_DOCUMENT_STORAGE),
        ("pdf", uids::ENCAPSULATED_PDF_STORAGE),
        ("seg", uids::SEGMENTATION_STORAGE),
    ] {
        let classes: Vec<String> = site.pacs.taken(role).into_iter().map(|taken| taken.1).collect();
        assert_eq!(classes, [class], "{role}");
    }
    pipeline.shutdown().await;

    // A negative has nothing to outline or to flag; its page shows the image all the same.
    let site = Site::new();
    let model = PlayedModel::new("lungs", Play::Says(0.1));
    let pipeline = site.start_wanting_all(&[chest(&["lungs"])], &[&model]);
    let instance = send(&site.store, &radiograph(1, |_| {})).instance;
    assert_eq!(site.end(instance), End::Reported);
    let counts = ["sr", "sc", "pr", "ko", "pdf", "seg"].map(|role| site.pacs.taken(role).len());
    assert_eq!(counts, [1, 0, 0, 0, 1, 0]);
    let page = reread(&site.pacs.taken("pdf")[0].3);
    let pdf = String::from_utf8_lossy(page.bytes(tags::ENCAPSULATED_DOCUMENT).unwrap()).into_owned();
    assert!(pdf.contains("/Subtype /Image"));
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_marked_means_a_report_without_a_picture() {
    let site = Site::new();
    let model = PlayedModel::new("lungs", Play::Says(0.1));
    let pipeline = site.start(&[chest(&["lungs"])], &[&model]);
    let instance = send(&site.store, &radiograph(1, |_| {})).instance;
    assert_eq!(site.end(instance), End::Reported);
    assert_eq!((site.pacs.taken("sr").len(), site.pacs.taken("sc").len()), (1, 0));
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn results_without_a_destination_are_kept() {
    let site = Site::new();
    let model = PlayedModel::new("lungs", Play::Says(0.8));
    let keep = RouteConfig { send_results: Vec::new(), ..chest(&["lungs"]) };
    let pipeline = site.start(&[keep], &[&model]);
    let instance = send(&site.store, &radiograph(1, |_| {})).instance;
    assert_eq!(site.end(instance), End::Reported);
    assert_eq!(site.store.reader().show(instance).unwrap().unwrap().results[0].objects.len(), 4);
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_rule_matches_ends_so_with_the_reason() {
    let site = Site::new();
    let model = PlayedModel::new("lungs", Play::Says(0.8));
    let pipeline = site.start(&[chest(&["lungs"])], &[&model]);
    let hand = radiograph(1, |data| data.put_text(tags::BODY_PART_EXAMINED, VR::CS, "HAND"));
    let instance = send(&site.store, &hand).instance;
    assert_eq!(site.end(instance), End::NoRuleMatched);
    assert_eq!(model.runs(), 0);
    let trace = site.store.reader().show(instance).unwrap().unwrap().decision.unwrap();
    assert_eq!(trace[0]["conditions"][1]["values"]["body_part"], "'HAND'");
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn results_that_come_back_make_no_loop() {
    let site = Site::new();
    let model = PlayedModel::new("lungs", Play::Says(0.8));
    let pipeline = site.start_wanting_all(&[everything()], &[&model]);
    let instance = send(&site.store, &radiograph(1, |_| {})).instance;
    assert_eq!(site.end(instance), End::Reported);
    let results: Vec<_> = Role::ALL.iter().flat_map(|role| site.pacs.taken(role.as_str())).collect();
    assert_eq!(results.len(), Role::ALL.len());
    for (role, _, _, bytes) in &results {
        let mut data = reread(bytes);
        if role == "sc" {
            data.put_bytes(tags::PIXEL_DATA, VR::OB, vec![0; 64 * 48 * 3]);
        }
        let back = send_from(&site.store, &data, "PACS").instance;
        let end = site.end(back);
        assert!(matches!(end, End::Declined { .. }), "{role}: {end:?}");
    }
    assert_eq!(model.runs(), 1);
    assert_eq!(site.pacs.taken("original").len(), 1, "nothing is returned to its sender");
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_model_cannot_take_is_declined_and_still_forwarded() {
    let criteria = Accepts { when: vec!["view_position == 'PA'".into()], ..Accepts::default() };
    let adults = Requirement {
        condition: "!patient_age_known || patient_age_years >= 18".into(),
        reason: Some("the model is for adults".into()),
    };
    let adults = Accepts { when: vec![adults], ..Accepts::default() };
    let child = radiograph(1, |data| data.put_text(tags::PATIENT_AGE, VR::AS, "007Y"));
    let small = Accepts { min_rows: Some(1_000), ..Accepts::default() };
    for (name, accepts, data, reason, reports) in [
        ("criteria", criteria, radiograph(1, |_| {}), "view_position", 0),
        ("limits", small, radiograph(1, |_| {}), "64 rows", 0),
        ("a child", adults, child, "the model is for adults: `!patient_age_known", 0),
        (
            "no pixels",
            Accepts::default(),
            radiograph(1, |data| drop(data.remove(tags::PIXEL_DATA))),
            "no pixel data",
            0,
        ),
        (
            "short pixels",
            Accepts::default(),
            radiograph(1, |data| data.put_bytes(tags::PIXEL_DATA, VR::OW, vec![0; 10])),
            "",
            1,
        ),
        (
            "lying attributes",
            Accepts::default(),
            radiograph(1, |data| data.put_u16(tags::BITS_ALLOCATED, &[1_000])),
            "",
            1,
        ),
        (
            "no study",
            Accepts::default(),
            radiograph(1, |data| drop(data.remove(tags::STUDY_INSTANCE_UID))),
            "StudyInstanceUID",
            0,
        ),
    ] {
        let site = Site::new();
        let model = PlayedModel::accepting("lungs", Play::Says(0.8), accepts);
        let pipeline = site.start(&[everything()], &[&model]);
        let instance = send(&site.store, &data).instance;
        let End::Declined { reason: said } = site.end(instance) else { panic!("{name}: {:?}", site.end(instance)) };
        assert!(said.to_string().contains(reason), "{name}: {said}");
        assert_eq!(site.pacs.taken("original").len(), 1, "{name}");
        assert_eq!(site.pacs.taken("sr").len(), reports, "{name}");
        pipeline.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_says_that_nothing_was_looked_at_and_a_later_look_revises_it() {
    let site = Site::new();
    let small = Accepts { min_rows: Some(1_000), ..Accepts::default() };
    let model = PlayedModel::accepting("lungs", Play::Says(0.8), small);
    let always = RouteConfig { report_declined: ReportDeclined::Always, ..chest(&["lungs"]) };
    let pipeline = site.start_wanting_all(std::slice::from_ref(&always), &[&model]);
    let instance = send(&site.store, &radiograph(1, |_| {})).instance;
    assert!(matches!(site.end(instance), End::Declined { reason: DeclineReason::Criteria(_) }));
    let counts = ["sr", "sc", "pr", "ko", "pdf", "seg"].map(|role| site.pacs.taken(role).len());
    assert_eq!(counts, [1, 0, 0, 0, 1, 0]);
    let declined = reread(&site.pacs.taken("sr")[0].3);
    assert_eq!(declined.text(tags::COMPLETION_FLAG).as_deref(), Some("PARTIAL"));
    let text = report_text(&declined);
    assert!(text.contains("No algorithms succeeded") && text.contains("64 rows"), "{text}");

    // Asked again it says the same, once.
    let beside = dokuei_store::Store::attach(site.dir.path()).unwrap();
    assert_eq!(beside.match_again(&[instance]).unwrap().matched_again, 1);
    assert!(matches!(site.end(instance), End::Declined { .. }));
    assert_eq!(site.pacs.taken("sr").len(), 1);

    // The same model, taking smaller images.
    let model = PlayedModel::new("lungs", Play::Says(0.8));
    pipeline.reload(site.setup(&[always], &[&model])).unwrap();
    assert_eq!(beside.match_again(&[instance]).unwrap().matched_again, 1);
    assert_eq!(site.end(instance), End::Reported);
    let [_, report] = site.pacs.taken("sr").try_into().unwrap();
    let report = reread(&report.3);
    assert_eq!(predecessor(&report), declined.uid(tags::SOP_INSTANCE_UID));
    pipeline.shutdown().await;

    let site = Site::new();
    let never = RouteConfig { report_declined: ReportDeclined::Never, ..everything() };
    let pipeline = site.start(&[never], &[&PlayedModel::new("lungs", Play::Says(0.8))]);
    let short = radiograph(1, |data| data.put_bytes(tags::PIXEL_DATA, VR::OW, vec![0; 10]));
    let instance = send(&site.store, &short).instance;
    assert!(matches!(site.end(instance), End::Declined { .. }));
    assert_eq!(site.pacs.taken("sr").len(), 0);
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_data_set_is_declined_and_forwarded() {
    let site = Site::new();
    let model = PlayedModel::new("lungs", Play::Says(0.8));
    let pipeline = site.start(&[everything()], &[&model]);
    let mut data = radiograph(1, |_| {});
    // An element whose length runs past the end.
    data.put_text(tags::IMAGE_COMMENTS, VR::LT, "x");
    let instance = {
        let mut broken = dokuei_dataset::write_dataset(&data, dokuei_dataset::Encoding::ExplicitLittle);
        broken[6] = 0xFF;
        broken[7] = 0xFF;
        broken.truncate(200);
        crate::support::send_bytes(&site.store, "1.2.3.9", &broken)
    };
    assert!(matches!(site.end(instance), End::Declined { reason: DeclineReason::Malformed(_) }));
    assert_eq!(site.pacs.taken("original").len(), 1);
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_model_fails_and_the_other_reports() {
    let site = Site::new();
    let lungs = PlayedModel::new("lungs", Play::Says(0.8));
    let bones = PlayedModel::new("bones", Play::Panics);
    let pipeline = site.start(&[chest(&["lungs", "bones"])], &[&lungs, &bones]);
    let instance = send(&site.store, &radiograph(1, |_| {})).instance;
    let End::Failed { reason } = site.end(instance) else { panic!("{:?}", site.end(instance)) };
    assert!(reason.contains("the played model panics"), "{reason}");
    assert_eq!(site.pacs.taken("sr").len(), 1);
    let dead = site.store.reader().failed(&Filter::default(), 10).unwrap();
    assert_eq!((dead.len(), dead[0].what.as_str()), (1, "analyze bones"));

    // The node lives on, and a better model with a replay makes it good.
    let better = PlayedModel::new("bones", Play::Says(0.2));
    pipeline.reload(site.setup(&[chest(&["lungs", "bones"])], &[&lungs, &better])).unwrap();
    assert_eq!(site.store.replay(&[instance]).unwrap().jobs, 1);
    assert_eq!(site.end(instance), End::Reported);
    assert_eq!((lungs.runs(), better.runs()), (1, 1));
    assert_eq!(site.pacs.taken("sr").len(), 2);
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_pass_is_tried_again_and_then_given_up() {
    let site = Site::new();
    let model = PlayedModel::new("lungs", Play::Refuses(2));
    let pipeline = site.start(&[chest(&["lungs"])], &[&model]);
    let instance = send(&site.store, &radiograph(1, |_| {})).instance;
    assert_eq!(site.end(instance), End::Reported);
    assert_eq!(model.runs(), 3);
    pipeline.shutdown().await;

    let site = Site::new();
    let model = PlayedModel::new("lungs", Play::Refuses(1_000));
    let pipeline = site.start(&[chest(&["lungs"])], &[&model]);
    let instance = send(&site.store, &radiograph(1, |_| {})).instance;
    let End::Failed { reason } = site.end(instance) else { panic!("{:?}", site.end(instance)) };
    assert!(reason.contains("no memory") && reason.contains("3 attempts"), "{reason}");
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_image_again_is_not_looked_at_again_and_another_version_is_revised() {
    let site = Site::new();
    let model = PlayedModel::new("lungs", Play::Says(0.8));
    let pipeline = site.start(&[chest(&["lungs"])], &[&model]);
    let image = radiograph(1, |_| {});
    let instance = send(&site.store, &image).instance;
    assert_eq!(site.end(instance), End::Reported);
    assert_eq!(send(&site.store, &image).kind, ArrivalKind::Duplicate);
    let changed = radiograph(1, |data| data.put_text(tags::PATIENT_NAME, VR::PN, "Other^Patient"));
    let second = send(&site.store, &changed);
    assert_eq!(second.kind, ArrivalKind::Version(2));
    assert_eq!(site.end(second.instance), End::Reported);
    assert_eq!(model.runs(), 2);
    let [before, revision] = site.pacs.taken("sr").try_into().unwrap();
    let [before, revision] = [before, revision].map(|sent| reread(&sent.3));
    assert_eq!(revision.text(tags::PATIENT_NAME).as_deref(), Some("Other^Patient"));
    assert_eq!(predecessor(&revision), before.uid(tags::SOP_INSTANCE_UID));
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_routes_to_one_model_make_one_result() {
    let site = Site::new();
    let model = PlayedModel::new("lungs", Play::Says(0.8));
    let second = RouteConfig { name: "again".into(), ..chest(&["lungs"]) };
    let pipeline = site.start(&[chest(&["lungs"]), second], &[&model]);
    let instance = send(&site.store, &radiograph(1, |_| {})).instance;
    assert_eq!(site.end(instance), End::Reported);
    let shown = site.store.reader().show(instance).unwrap().unwrap();
    assert_eq!((shown.results.len(), shown.tasks.len()), (1, 2));
    assert_eq!((site.pacs.taken("sr").len(), site.pacs.taken("sc").len()), (1, 1));
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_sends_the_same_bytes_and_asks_no_model() {
    let site = Site::new();
    let model = PlayedModel::new("lungs", Play::Says(0.8));
    let pipeline = site.start(&[chest(&["lungs"])], &[&model]);
    let instance = send(&site.store, &radiograph(1, |_| {})).instance;
    assert_eq!(site.end(instance), End::Reported);
    // As `dokuei replay` does, from another process.
    let beside = dokuei_store::Store::attach(site.dir.path()).unwrap();
    assert_eq!(beside.replay(&[instance]).unwrap().sent_again, 2);
    wait("the second delivery", || (site.pacs.taken.lock().unwrap().len() == 4).then_some(()));
    assert_eq!(site.end(instance), End::Reported);
    let reports = site.pacs.taken("sr");
    assert_eq!(reports[0], reports[1]);
    assert_eq!(model.runs(), 1);
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_whose_picture_a_model_was_not_made_for_is_reported_as_not_analysed() {
    let site = Site::new();
    let vivid = Accepts { min_contrast: Some(1.1), ..Accepts::default() };
    let pipeline = site.start(&[chest(&["lungs"])], &[&PlayedModel::accepting("lungs", Play::Says(0.8), vivid)]);
    let instance = send(&site.store, &radiograph(1, |_| {})).instance;
    assert!(matches!(site.end(instance), End::Declined { reason: DeclineReason::Picture(_) }));
    let [report] = site.pacs.taken("sr").try_into().unwrap();
    let text = report_text(&reread(&report.3));
    assert!(text.contains("did not run: picture: contrast"), "{text}");
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_of_a_model_revises_what_the_old_one_said() {
    let site = Site::new();
    let old = PlayedModel::new("lungs", Play::Says(0.8));
    let pipeline = site.start(&[chest(&["lungs"])], &[&old]);
    let instance = send(&site.store, &radiograph(1, |_| {})).instance;
    assert_eq!(site.end(instance), End::Reported);
    let new = old.version("2.0", Play::Says(0.9));
    pipeline.reload(site.setup(&[chest(&["lungs"])], &[&new])).unwrap();
    // As `dokuei replay --analyze` does; the second time nothing has changed.
    let beside = dokuei_store::Store::attach(site.dir.path()).unwrap();
    for _ in 0..2 {
        assert_eq!(beside.match_again(&[instance]).unwrap().matched_again, 1);
        wait("the second report", || (site.pacs.taken("sr").len() == 2).then_some(()));
        assert_eq!(site.end(instance), End::Reported);
    }
    let [first, second] = site.pacs.taken("sr").try_into().unwrap();
    assert_eq!((old.runs(), new.runs()), (1, 1));
    assert!(first.2 != second.2 && first.1 == second.1);
    let (before, revision) = (reread(&first.3), reread(&second.3));
    assert!(!before.contains(tags::PREDECESSOR_DOCUMENTS_SEQUENCE));
    let series = &revision.items(tags::PREDECESSOR_DOCUMENTS_SEQUENCE)[0].items(tags::REFERENCED_SERIES_SEQUENCE)[0];
    assert_eq!(series.uid(tags::SERIES_INSTANCE_UID), before.uid(tags::SERIES_INSTANCE_UID));
    let report = &series.items(tags::REFERENCED_SOP_SEQUENCE)[0];
    assert_eq!(report.text(tags::REFERENCED_SOP_INSTANCE_UID), Some(first.2));
    assert_eq!(site.store.reader().show(instance).unwrap().unwrap().results.len(), 2);
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_of_an_image_as_another_patients_is_told_of_and_not_revised() {
    let site = Site::new();
    let model = PlayedModel::new("lungs", Play::Says(0.8));
    let pipeline = site.start(&[chest(&["lungs"])], &[&model]);
    let of = |id: &'static str, name: &'static str| {
        let data = radiograph(1, |data| {
            data.put_text(tags::PATIENT_ID, VR::LO, id);
            data.put_text(tags::PATIENT_NAME, VR::PN, name);
        });
        let instance = send(&site.store, &data).instance;
        assert_eq!(site.end(instance), End::Reported);
        instance
    };
    let [wrong, _, _] = [of("4711", "Wrong^Patient"), of("4712", "Right^Pateint"), of("4712", "Right^Patient")];
    let reports = wait("all reports", || <[_; 3]>::try_from(site.pacs.taken("sr")).ok());
    let [_, right, spelt] = reports.map(|report| reread(&report.3));
    assert!(!right.contains(tags::PREDECESSOR_DOCUMENTS_SEQUENCE), "a report names none of another patient");
    assert_eq!(predecessor(&spelt), right.uid(tags::SOP_INSTANCE_UID));
    let told = || site.store.reader().counts().unwrap().rules;
    // Said twice, since it stands as long as nobody withdraws it.
    let [rule] = told().try_into().unwrap();
    assert_eq!((rule.what.as_str(), rule.route.as_str(), rule.count), ("other_patient", "chest", 2));
    assert_eq!(rule.last_instance, wrong);
    site.withdraw(wrong);
    of("4712", "Right^Patient^Again");
    assert_eq!(told()[0].count, 2);
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_study_is_looked_at_once_it_has_settled() {
    let clock = Arc::new(ManualClock::at(1_800_000_000_000));
    let site = Site::with_clock(Arc::clone(&clock) as _);
    let model = PlayedModel::new("lungs", Play::Says(0.2));
    let study = route(serde_json::json!({
        "name": "studies", "trigger": "study", "settle_after": "10s", "settle_at_most": "60s",
        "models": ["lungs"], "send_results": ["pacs"]
    }));
    let pipeline = site.start(&[study], &[&model]);
    let instances: Vec<_> = (1..=3).map(|number| send(&site.store, &radiograph(number, |_| {})).instance).collect();
    let counts = || site.store.reader().counts().unwrap();
    wait("the members", || {
        let counts = counts();
        (counts.units_waiting == 1 && !counts.jobs.contains_key("match")).then_some(())
    });
    assert_eq!(model.runs(), 0);
    clock.advance_ms(10_000);
    pipeline.wake();
    for instance in instances {
        assert_eq!(site.end(instance), End::Reported);
    }
    let late = send(&site.store, &radiograph(4, |_| {})).instance;
    wait("the late member", || (counts().units_waiting == 1).then_some(()));
    clock.advance_ms(10_000);
    pipeline.wake();
    assert_eq!(site.end(late), End::Reported);
    assert_eq!(model.runs(), 4, "the late image alone");
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shut_down_goes_on_where_it_was() {
    let site = Site::new();
    let model = PlayedModel::new("lungs", Play::Says(0.8));
    let pipeline = site.start(&[chest(&["lungs"])], &[&model]);
    pipeline.shutdown().await;
    let instance = send(&site.store, &radiograph(1, |_| {})).instance;
    assert_eq!(site.store.reader().end(instance).unwrap(), None);
    let pipeline = site.start(&[chest(&["lungs"])], &[&model]);
    assert_eq!(site.end(instance), End::Reported);
    // Nothing waits when nothing is due: the shutdown is not held up by a sleep.
    tokio::time::timeout(Duration::from_secs(20), pipeline.shutdown()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_with_goes_when_its_time_has_come() {
    let clock = Arc::new(ManualClock::at(1_800_000_000_000));
    let site = Site::with_clock(Arc::clone(&clock) as _);
    let model = PlayedModel::new("lungs", Play::Says(0.8));
    let day = Duration::from_secs(86_400);
    let retention = Retention { images: Some(day), results: Some(2 * day), free: None };
    let pipeline = site.start(&[chest(&["lungs"])], &[&model]);
    pipeline.reload(Setup { retention, ..site.setup(&[chest(&["lungs"])], &[&model]) }).unwrap();
    let instance = send(&site.store, &radiograph(1, |_| {})).instance;
    assert_eq!(site.end(instance), End::Reported);
    let shown = || site.store.reader().show(instance).unwrap().unwrap();
    let objects = || shown().results[0].objects.iter().filter(|object| object.removed_at.is_none()).count();
    for kept in [4, 0] {
        assert_eq!((shown().removed_at.is_some(), objects()), (kept == 0, 4));
        clock.advance_ms(86_400_000);
        wait("the removal", || {
            pipeline.wake();
            (shown().removed_at.is_some() && objects() == kept).then_some(())
        });
    }
    pipeline.shutdown().await;
}
