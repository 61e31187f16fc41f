use dicom_core::VR;
use dicom_dictionary_std::tags;
use dokuei_dataset::Limits;
use dokuei_pipeline::{Backtest, Matching, Pipeline, RouteConfig, Rules, SENDER, Setup};
use dokuei_store::{Fetched, IndexEntry, Priority};
use dokuei_types::{DeclineReason, End};

use crate::support::{
    Play, PlayedModel, Site, chest, config, entry, radiograph, route, send, send_as, send_from, wait,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_keeps_its_results_and_sends_nothing() {
    let site = Site::new();
    let model = PlayedModel::new("lungs", Play::Says(0.8));
    let shadow = RouteConfig { shadow: true, send_images: vec!["pacs".into()], ..chest(&["lungs"]) };
    let pipeline = site.start(&[shadow], &[&model]);
    let instance = send(&site.store, &radiograph(1, |_| {})).instance;
    assert_eq!(site.end(instance), End::Reported);
    let shown = site.store.reader().show(instance).unwrap().unwrap();
    assert_eq!(shown.results[0].objects.len(), 4);
    assert!(shown.deliveries.is_empty(), "{:?}", shown.deliveries);
    assert_eq!(shown.decision.unwrap()[0]["shadow"], true);
    let rules = site.store.reader().counts().unwrap().rules;
    let counted: Vec<_> = rules.iter().map(|rule| (rule.what.as_str(), rule.route.as_str(), rule.count)).collect();
    assert_eq!(counted, [("shadow", "chest", 1)]);
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_without_a_model_forwards_what_nothing_could_decode() {
    let site = Site::new();
    let model = PlayedModel::new("lungs", Play::Says(0.8));
    let forward = route(serde_json::json!({ "name": "forward", "send_images": ["pacs"] }));
    let pipeline = site.start(&[forward, chest(&["lungs"])], &[&model]);
    let truncated = |data: &mut dokuei_dataset::Dataset| data.put_bytes(tags::PIXEL_DATA, VR::OW, vec![1, 2, 3, 4]);
    let hand = radiograph(1, |data| {
        truncated(data);
        data.put_text(tags::BODY_PART_EXAMINED, VR::CS, "HAND");
    });
    let instance = send(&site.store, &hand).instance;
    assert_eq!(site.end(instance), End::Forwarded);
    let shown = site.store.reader().show(instance).unwrap().unwrap();
    assert!(shown.tasks.is_empty(), "{:?}", shown.tasks);
    assert_eq!(site.pacs.taken("original")[0].3, shown.file.read().unwrap());
    // The same bytes where a model has to look at them.
    let instance = send(&site.store, &radiograph(2, truncated)).instance;
    let end = site.end(instance);
    assert!(matches!(end, End::Declined { reason: DeclineReason::Malformed(_) }), "{end:?}");
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_first_route_applies_where_the_site_says_so() {
    let site = Site::new();
    let model = PlayedModel::new("lungs", Play::Says(0.8));
    let forward = route(serde_json::json!({ "name": "forward", "send_images": ["pacs"] }));
    let Setup { rules, models, destinations, archive, node, retention, style } =
        site.setup(&[chest(&["lungs"]), forward], &[&model]);
    let rules = rules.matching(Matching::First);
    let setup = Setup { rules, models, destinations, archive, node, retention, style };
    let pipeline = Pipeline::start(site.store.clone(), setup, config()).unwrap();
    let instance = send(&site.store, &radiograph(1, |_| {})).instance;
    assert_eq!(site.end(instance), End::Reported);
    assert!(site.pacs.taken("original").is_empty());
    let hand = radiograph(2, |data| data.put_text(tags::BODY_PART_EXAMINED, VR::CS, "HAND"));
    let instance = send(&site.store, &hand).instance;
    assert_eq!(site.end(instance), End::Forwarded);
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_that_fails_on_an_instance_does_not_hold_and_is_counted() {
    let site = Site::new();
    let post = route(serde_json::json!({
        "name": "post", "when": ["image_type[7] == 'POST'", "rows > 0"], "send_images": ["pacs"]
    }));
    let pipeline = site.start(&[post], &[]);
    let [_, last] = [1, 2].map(|number| send(&site.store, &radiograph(number, |_| {})).instance);
    assert_eq!(site.end(last), End::NoRuleMatched);
    let shown = site.store.reader().show(last).unwrap().unwrap();
    assert!(shown.decision.unwrap()[0]["conditions"][0]["error"].is_string());
    let rules = site.store.reader().counts().unwrap().rules;
    assert_eq!(rules.len(), 1, "{rules:?}");
    assert_eq!((rules[0].what.as_str(), rules[0].route.as_str()), ("failed", "post"));
    assert_eq!((rules[0].condition.as_str(), rules[0].count), ("image_type[7] == 'POST'", 2));
    assert_eq!(rules[0].last_instance, last);
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn results_go_back_to_their_senders_and_what_has_no_way_back_is_counted() {
    let site = Site::new();
    let model = PlayedModel::new("lungs", Play::Says(0.8));
    // A study of two senders: each gets the results on its own.
    let mut back = chest(&["lungs"]);
    back.send_results = vec![SENDER.into()];
    back.trigger = dokuei_pipeline::Trigger::Study;
    back.settle_after = dokuei_types::Interval(std::time::Duration::from_millis(50));
    let setup = |senders: &[&str]| {
        let mut setup = site.setup(std::slice::from_ref(&back), &[&model]);
        let senders = senders.iter().map(|sender| ((*sender).to_owned(), "pacs".to_owned())).collect();
        setup.rules = setup.rules.returning(senders);
        setup
    };
    let pipeline = Pipeline::start(site.store.clone(), setup(&["CR_ROOM_1"]), config()).unwrap();
    let known = send(&site.store, &radiograph(1, |_| {})).instance;
    let other = send_from(&site.store, &radiograph(2, |_| {}), "CR_ROOM_2").instance;
    assert_eq!((site.end(known), site.end(other)), (End::Reported, End::Reported));
    let show = |id| site.store.reader().show(id).unwrap().unwrap();
    let reports = || site.pacs.taken("sr").len();
    assert_eq!((reports(), show(other).deliveries.len(), show(other).results.len()), (1, 0, 1));
    let returned = |id| show(id).decision.unwrap()[0]["returned"].clone();
    assert_eq!(returned(known), serde_json::json!({ "sender": "CR_ROOM_1", "to": "pacs" }));
    assert_eq!(returned(other), serde_json::json!({ "sender": "CR_ROOM_2", "to": null }));
    let rules = site.store.reader().counts().unwrap().rules;
    let counted: Vec<_> = rules.iter().map(|it| (it.what.as_str(), it.condition.as_str(), it.count)).collect();
    assert_eq!(counted, [("no_way_back", "CR_ROOM_2", 1)]);

    // Once it is a destination, a replay sends what was kept, and no model looks again.
    pipeline.reload(setup(&["CR_ROOM_1", "CR_ROOM_2"])).unwrap();
    dokuei_store::Store::attach(site.dir.path()).unwrap().match_again(&[other]).unwrap();
    wait("the second report", || (reports() == 2).then_some(()));
    assert_eq!((site.end(other), model.runs()), (End::Reported, 2));
    pipeline.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backtest_tells_what_other_routes_would_do() {
    let site = Site::new();
    let forward =
        |name: &str, when: &[&str]| route(serde_json::json!({ "name": name, "when": when, "send_images": ["pacs"] }));
    let pipeline = site.start(&[forward("chest", &["body_part == 'CHEST'"]), forward("old", &["rows > 0"])], &[]);
    let sent: Vec<_> = (0..300)
        .map(|number| {
            let part = if number % 2 == 0 { "CHEST" } else { "HAND" };
            let image = radiograph(number, |data| {
                data.put_text(tags::BODY_PART_EXAMINED, VR::CS, part);
                if number == 299 {
                    // So large that it has a file of its own.
                    data.put_bytes(tags::PIXEL_DATA, VR::OW, vec![0; 3 << 20]);
                }
            });
            send(&site.store, &image)
        })
        .collect();
    sent.iter().for_each(|sent| drop(site.end(sent.instance)));
    pipeline.shutdown().await;
    // One more that nobody decides on, one that was fetched, and one whose bytes are gone.
    send(&site.store, &radiograph(300, |_| {}));
    let fetched = Fetched { route: "chest".into(), models: Vec::new(), priority: Priority::Routine };
    let prior = radiograph(301, |_| {});
    send_as(&site.store, &prior, "PACS", IndexEntry { fetched: Some(fetched), ..entry(&prior) });
    let last = site.store.reader().instance(sent[299].instance).unwrap().unwrap();
    std::fs::remove_file(last.file.path).unwrap();

    let other = [forward("chest", &["body_part in ['CHEST', 'HAND']", "sop_instance_uid != '1.2.3.4.0'"])];
    let rules = Rules::compile(&other, &[], &["pacs"]).unwrap();
    let run = |since| Backtest::run(&rules, site.store.reader(), since, &Limits::default()).unwrap();
    let found = run(0);
    assert_eq!((found.compared, found.not_kept, found.undecided, found.fetched), (299, 1, 1, 1));
    let counts = |changed: &dokuei_pipeline::Changed| (changed.same, changed.gained, changed.lost);
    assert_eq!(counts(&found.routes["chest"]), (149, 149, 1));
    assert_eq!(found.routes["chest"].lost_examples, ["1.2.3.4.0"]);
    assert_eq!(found.routes["chest"].gained_examples[..2], ["1.2.3.4.1", "1.2.3.4.3"]);
    assert_eq!(counts(&found.routes["old"]), (0, 0, 299));
    assert_eq!(counts(&found.no_route), (0, 1, 0));
    assert_eq!(run(i64::MAX).compared, 0);
}
