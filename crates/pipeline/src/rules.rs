use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use dicom_dictionary_std::tags;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::condition::{Condition, ConditionError};
use crate::priors::attribute_named;
use crate::route_config::{Matching, RouteConfig, SENDER, Trigger};
use crate::share::Share;
use crate::trace::{ConditionTrace, HeldBack, Returned, RouteTrace};
use crate::variables::{Attributes, close_names};

/// What is wrong with a route or with a model's conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleError {
    /// Name of the route, or of the model.
    pub route: String,
    /// The key it is about: `name`, `when`, `shadow`, `models`, `send_results`, `send_images`, `settle_at_most`,
    /// `count_at`, `priors`.
    pub key: &'static str,
    /// The condition or name that is wrong, as it is written.
    pub text: String,
    /// Where in `text`, in characters from 1.
    pub column: Option<usize>,
    /// What is wrong with it.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl RuleError {
    pub(crate) fn condition(route: &str, key: &'static str, text: &str, error: ConditionError) -> Self {
        let ConditionError { message, column, help } = error;
        Self { route: route.to_owned(), key, text: text.to_owned(), column, message, help }
    }

    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`, {}: ", self.route, self.key)?;
        if !self.text.is_empty() {
            write!(f, "`{}` ", self.text)?;
        }
        f.write_str(&self.message)?;
        match self.column {
            Some(column) => write!(f, " (at character {column})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for RuleError {}

/// All routes, checked.
#[derive(Debug)]
pub struct Rules {
    routes: Vec<Route>,
    matching: Matching,
    /// Where `hours` are told.
    zone: TimeZone,
    /// Destinations by their AE titles.
    senders: BTreeMap<String, String>,
}

/// One route, checked.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) config: RouteConfig,
    conditions: Vec<Condition>,
}

impl Rules {
    /// Checks routes against each other and against the models and destinations there are.
    ///
    /// # Errors
    /// Every mistake, each with its route, key and text.
    pub fn compile(routes: &[RouteConfig], models: &[&str], destinations: &[&str]) -> Result<Self, Vec<RuleError>> {
        let mut errors = Vec::new();
        let mut names = BTreeSet::new();
        let mut compiled = Vec::new();
        for route in routes {
            if !names.insert(route.name.as_str()) {
                errors.push(mistake(route, "name", &route.name, "is the name of another route too".into(), None));
            }
            check_names(route, models, destinations, &mut errors);
            check_priors(route, routes, destinations, &mut errors);
            let mut conditions = Vec::new();
            for text in &route.when {
                match Condition::compile(text) {
                    Ok(condition) => conditions.push(condition),
                    Err(error) => errors.push(RuleError::condition(&route.name, "when", text, error)),
                }
            }
            compiled.push(Route { config: route.clone(), conditions });
        }
        let rules = Self {
            routes: compiled,
            matching: Matching::default(),
            zone: TimeZone::system(),
            senders: BTreeMap::new(),
        };
        if errors.is_empty() { Ok(rules) } else { Err(errors) }
    }

    /// The same routes, of which those apply that `matching` says.
    #[must_use]
    pub fn matching(mut self, matching: Matching) -> Self {
        self.matching = matching;
        self
    }

    /// The same routes, which return results to senders as the destinations with these AE titles.
    #[must_use]
    pub fn returning(mut self, senders: BTreeMap<String, String>) -> Self {
        self.senders = senders;
        self
    }

    /// The route of this name.
    pub(crate) fn route(&self, name: &str) -> Option<&RouteConfig> {
        self.routes.iter().map(|route| &route.config).find(|config| config.name == name)
    }

    /// The name of the destination that a sender is.
    pub(crate) fn way_back(&self, sender: &str) -> Option<&String> {
        self.senders.get(sender)
    }

    /// What every route says of an instance that was received at that time, condition by condition.
    #[must_use]
    pub fn explain(&self, of: &Attributes, received_at: Timestamp) -> Vec<RouteTrace> {
        let received_at = received_at.to_zoned(self.zone.clone());
        let mut traces: Vec<_> = self.routes.iter().map(|route| route.explain(of, &received_at)).collect();
        self.put_in_order(&mut traces);
        for (route, trace) in self.routes.iter().zip(&mut traces) {
            if trace.matched && !trace.shadow && route.returns() {
                let sender = of.calling_ae.clone();
                trace.returned = Some(Returned { to: self.way_back(&sender).cloned(), sender });
            }
        }
        traces
    }

    /// Holds back what a route above has taken, and fallbacks where another route applies.
    fn put_in_order(&self, traces: &mut [RouteTrace]) {
        let (mut applies, mut taken) = (None, None);
        for fallback in [false, true] {
            let other: Option<&String> = applies.filter(|_| fallback);
            let turn = self.routes.iter().zip(&mut *traces).filter(|(route, _)| route.config.fallback == fallback);
            for (route, trace) in turn.filter(|(_, trace)| trace.matched) {
                let RouteConfig { name, exclusive, shadow, .. } = &route.config;
                let held_back = match (other, taken) {
                    (Some(by), _) => Some(HeldBack::NotNeeded { by: by.clone() }),
                    (None, Some(by)) => Some(HeldBack::Taken { by: String::clone(by) }),
                    (None, None) => None,
                };
                trace.matched = held_back.is_none();
                trace.held_back = held_back;
                if trace.matched && !shadow {
                    applies = applies.or(Some(name));
                    taken = taken.or((*exclusive || self.matching == Matching::First).then_some(name));
                }
            }
        }
    }

    /// The routes in the order of the config, to go with [`explain`](Self::explain).
    pub(crate) fn routes(&self) -> &[Route] {
        &self.routes
    }
}

impl Route {
    fn explain(&self, of: &Attributes, received_at: &Zoned) -> RouteTrace {
        let conditions = explain(&self.conditions, of);
        let hold = conditions.iter().all(|condition| condition.matched);
        let held_back = if hold { self.hold_back(of, received_at) } else { None };
        let RouteConfig { name, shadow, .. } = &self.config;
        let matched = hold && held_back.is_none();
        RouteTrace { route: name.clone(), matched, held_back, shadow: *shadow, returned: None, conditions }
    }

    /// Whether results go back to their senders.
    fn returns(&self) -> bool {
        self.config.send_results.iter().any(|name| name == SENDER)
    }

    /// Why it leaves alone what its conditions match, as far as that has nothing to do with other routes.
    fn hold_back(&self, of: &Attributes, received_at: &Zoned) -> Option<HeldBack> {
        let RouteConfig { name, hours, sample, .. } = &self.config;
        if !hours.is_empty() && !hours.iter().any(|hours| hours.contain(received_at)) {
            return Some(HeldBack::OutsideHours { received: received_at.strftime("%a %H:%M (UTC%:z)").to_string() });
        }
        let uid = of.dataset.uid(tags::STUDY_INSTANCE_UID).or_else(|| of.dataset.uid(tags::SOP_INSTANCE_UID));
        let drew = uid.map_or(Share::WHOLE, |uid| Share::drawn(name, uid.as_str()));
        (*sample < Share::WHOLE && drew >= *sample).then_some(HeldBack::NotSampled { sample: *sample, drew })
    }
}

/// What each condition says, the ones after a failing one too: people want to see all.
pub(crate) fn explain(conditions: &[Condition], of: &Attributes) -> Vec<ConditionTrace> {
    conditions
        .iter()
        .map(|condition| {
            let checked = condition.check(of);
            let when = condition.text().to_owned();
            ConditionTrace { when, matched: checked.matched, values: checked.values, error: checked.error }
        })
        .collect()
}

fn check_names(route: &RouteConfig, models: &[&str], destinations: &[&str], errors: &mut Vec<RuleError>) {
    let mut unknown = |key, what, names: &[String], known: &[&str]| {
        for name in names.iter().filter(|name| !known.contains(&name.as_str())) {
            let help = match known {
                [] => format!("there is no {what} in the config"),
                known => format!("there is `{}`", known.join("`, `")),
            };
            errors.push(mistake(route, key, name, format!("is not the name of a {what}"), Some(help)));
        }
    };
    unknown("models", "model", &route.models, models);
    let named: Vec<String> = route.send_results.iter().filter(|name| *name != SENDER).cloned().collect();
    unknown("send_results", "destination", &named, destinations);
    let images: Vec<String> = route.send_images.iter().filter(|name| *name != SENDER).cloned().collect();
    unknown("send_images", "destination", &images, destinations);
    unknown("count_at", "destination", route.count_at.as_slice(), destinations);
    if named.len() < route.send_results.len() && destinations.is_empty() {
        let help = Some("give each sender that is to get results a [[destination]] with its AE title".to_owned());
        errors.push(mistake(route, "send_results", SENDER, "is nobody: there is no destination".into(), help));
    }
    if route.send_images.iter().any(|name| name == SENDER) {
        let help = Some("name destinations, or write it in `send_results`".to_owned());
        errors.push(mistake(route, "send_images", SENDER, "has the images: they came from there".into(), help));
    }
    if route.models.is_empty() && route.send_images.is_empty() {
        let help = Some("give it `models`, `send_images` or both".to_owned());
        errors.push(mistake(route, "models", "", "does nothing with what it matches".into(), help));
    }
    if route.shadow && route.models.is_empty() {
        let help = Some("give it `models`, or leave `shadow` out".to_owned());
        errors.push(mistake(route, "shadow", "", "sends nothing and has no model to try".into(), help));
    }
    if route.models.is_empty() && !route.send_results.is_empty() {
        errors.push(mistake(route, "send_results", "", "has no model that would make results".into(), None));
    }
    if let Some(name) = route.count_at.as_ref().filter(|_| route.trigger == Trigger::Instance) {
        let help = Some("set `trigger` to \"series\" or \"study\", or leave `count_at` out".to_owned());
        errors.push(mistake(route, "count_at", name, "waits for nothing that could be counted".into(), help));
    }
    if route.trigger != Trigger::Instance && route.settle_at_most.0 < route.settle_after.0 {
        let text = route.settle_at_most.to_string();
        let message = format!("is shorter than settle_after, {}", route.settle_after);
        errors.push(mistake(route, "settle_at_most", &text, message, None));
    }
}

fn check_priors(route: &RouteConfig, routes: &[RouteConfig], destinations: &[&str], errors: &mut Vec<RuleError>) {
    // A result is made once, whichever route asks first.
    let before = routes.iter().take_while(|other| !std::ptr::eq(*other, route));
    let other = before.filter(|other| other.priors != route.priors).find_map(|other| {
        let model = other.models.iter().find(|model| route.models.contains(model))?;
        Some((&other.name, model))
    });
    if let Some((other, model)) = other {
        let message =
            format!("differs from that of `{other}`, and both have the model `{model}`, whose results they share");
        errors.push(mistake(route, "priors", "", message, Some("give both the same `priors`".to_owned())));
    }
    let Some(priors) = &route.priors else { return };
    if route.models.is_empty() {
        errors.push(mistake(route, "priors", "", "has no model whose results could be compared".into(), None));
    }
    if priors.within.0.is_zero() {
        errors.push(mistake(route, "priors", &priors.within.to_string(), "is no time before an image".into(), None));
    }
    for name in priors.at.iter().filter(|name| !destinations.contains(&name.as_str())) {
        errors.push(mistake(route, "priors", name, "is not the name of a destination".into(), None));
    }
    for name in priors.same.iter().filter(|name| attribute_named(name).is_none()) {
        let close = close_names(name);
        let help = (!close.is_empty()).then(|| format!("did you mean `{}`?", close.join("` or `")));
        errors.push(mistake(route, "priors", name, "is no attribute of images".into(), help));
    }
}

fn mistake(route: &RouteConfig, key: &'static str, text: &str, message: String, help: Option<String>) -> RuleError {
    RuleError { route: route.name.clone(), key, text: text.to_owned(), column: None, message, help }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use dicom_core::VR;
    use dicom_dictionary_std::tags;
    use dokuei_dataset::Dataset;
    use dokuei_types::Interval;

    use super::*;
    use crate::priors::PriorsConfig;

    fn route(name: &str, when: &[&str]) -> RouteConfig {
        let route = serde_json::json!({ "name": name, "when": when, "models": ["lungs"], "send_results": ["pacs"] });
        serde_json::from_value(route).unwrap()
    }

    fn compile(routes: &[RouteConfig]) -> Result<Rules, Vec<RuleError>> {
        Rules::compile(routes, &["lungs"], &["pacs", "archive"])
    }

    #[test]
    fn all_routes_that_match_apply_and_the_trace_says_why() {
        let routes = [
            route("chest", &["modality in ['CR', 'DX']", "body_part == 'CHEST'"]),
            route("hands", &["modality == 'CR'", "body_part == 'HAND'"]),
            route("all", &[]),
        ];
        let mut data = Dataset::new();
        data.put_text(tags::MODALITY, VR::CS, "CR");
        data.put_text(tags::BODY_PART_EXAMINED, VR::CS, "CHEST");
        let traces = compile(&routes).unwrap().explain(&attributes(data), Timestamp::UNIX_EPOCH);
        let matched: Vec<_> = traces.iter().map(|trace| (trace.route.as_str(), trace.matched)).collect();
        assert_eq!(matched, [("chest", true), ("hands", false), ("all", true)]);
        let hand = &traces[1].conditions;
        assert_eq!((hand[0].matched, hand[1].matched), (true, false));
        assert_eq!(hand[1].values["body_part"], "'CHEST'");
        let text = serde_json::to_string(&traces).unwrap();
        assert_eq!(serde_json::from_str::<Vec<RouteTrace>>(&text).unwrap(), traces);
    }

    fn attributes(data: Dataset) -> Attributes {
        Attributes::new(Arc::new(data), "", "", "")
    }

    fn of_study(uid: &str) -> Attributes {
        let mut data = Dataset::new();
        data.put_text(tags::MODALITY, VR::CS, "CR");
        data.put_text(tags::STUDY_INSTANCE_UID, VR::UI, uid);
        attributes(data)
    }

    /// What the routes say of a radiograph: their names where they apply, else why they do not.
    fn say(rules: &Rules) -> Vec<String> {
        let traces = rules.explain(&of_study("1.2.3"), Timestamp::UNIX_EPOCH);
        let said = |trace: &RouteTrace| match &trace.held_back {
            Some(held_back) => format!("{}: {held_back}", trace.route),
            None if trace.matched => trace.route.clone(),
            None => format!("{}: conditions", trace.route),
        };
        traces.iter().map(said).collect()
    }

    #[test]
    fn the_first_route_that_matches_takes_it() {
        let routes = [route("ct", &["modality == 'CT'"]), route("cr", &["modality == 'CR'"]), route("all", &[])];
        let rules = compile(&routes).unwrap().matching(Matching::First);
        assert_eq!(say(&rules), ["ct: conditions", "cr", "all: the route cr above has taken it"]);
    }

    #[test]
    fn an_exclusive_route_takes_from_those_below_it() {
        let exclusive = RouteConfig { exclusive: true, ..route("qc", &["modality == 'CR'"]) };
        let rules = compile(&[route("copy", &[]), exclusive, route("clinical", &[])]).unwrap();
        assert_eq!(say(&rules), ["copy", "qc", "clinical: the route qc above has taken it"]);
    }

    #[test]
    fn a_fallback_is_for_what_no_other_route_takes() {
        let fallback = |name: &str| RouteConfig { fallback: true, ..route(name, &[]) };
        let rules = compile(&[fallback("rest"), route("cr", &["modality == 'CR'"])]).unwrap();
        assert_eq!(say(&rules), ["rest: the route cr applies", "cr"], "wherever it stands");
        let rules = compile(&[fallback("rest"), fallback("other"), route("ct", &["modality == 'CT'"])]).unwrap();
        assert_eq!(say(&rules), ["rest", "other", "ct: conditions"]);
        let rules = rules.matching(Matching::First);
        assert_eq!(say(&rules), ["rest", "other: the route rest above has taken it", "ct: conditions"]);
    }

    #[test]
    fn a_shadow_takes_nothing_from_others() {
        let shadow = RouteConfig { shadow: true, exclusive: true, ..route("new", &[]) };
        let rest = RouteConfig { fallback: true, ..route("rest", &[]) };
        let routes = [shadow.clone(), route("cr", &[]), shadow_named("late", &shadow)];
        let rules = compile(&routes).unwrap().matching(Matching::First);
        assert_eq!(say(&rules), ["new", "cr", "late: the route cr above has taken it"]);
        let rules = compile(&[shadow, rest]).unwrap();
        assert_eq!(say(&rules), ["new", "rest"]);
        assert!(rules.explain(&of_study("1.2.3"), Timestamp::UNIX_EPOCH)[0].shadow);
    }

    fn shadow_named(name: &str, shadow: &RouteConfig) -> RouteConfig {
        RouteConfig { name: name.into(), ..shadow.clone() }
    }

    #[test]
    fn hours_are_those_of_the_reception_in_the_zone_of_the_machine() {
        let night = RouteConfig { hours: vec!["Mon-Fri 22:00-06:00".parse().unwrap()], ..route("night", &[]) };
        let mut rules = compile(&[night, RouteConfig { fallback: true, ..route("day", &[]) }]).unwrap();
        // 1970-01-01 was a Thursday.
        rules.zone = TimeZone::fixed(jiff::tz::offset(9));
        assert_eq!(say(&rules), ["night: outside its hours, received on Thu 09:00 (UTC+09:00)", "day"]);
        rules.zone = TimeZone::fixed(jiff::tz::offset(-2));
        assert_eq!(say(&rules), ["night", "day: the route night applies"]);
    }

    #[test]
    fn a_sample_is_drawn_by_study() {
        let tenth = |name: &str| RouteConfig { sample: Share::try_from(0.1).unwrap(), ..route(name, &[]) };
        let rules = compile(&[tenth("a"), tenth("b")]).unwrap();
        let draw = |study: u32| {
            let traces = rules.explain(&of_study(&format!("1.2.{study}")), Timestamp::UNIX_EPOCH);
            assert!(traces.iter().all(|trace| trace.matched == trace.held_back.is_none()));
            (traces[0].matched, traces[1].matched)
        };
        let drawn: Vec<_> = (0..2_000).map(draw).collect();
        let count = |taken: fn(&(bool, bool)) -> bool| drawn.iter().filter(|drawn| taken(drawn)).count();
        assert!((150..250).contains(&count(|drawn| drawn.0)), "{}", count(|drawn| drawn.0));
        assert!((150..250).contains(&count(|drawn| drawn.1)), "{}", count(|drawn| drawn.1));
        assert!((5..50).contains(&count(|drawn| drawn.0 && drawn.1)), "each route draws for itself");
        assert_eq!(drawn, (0..2_000).map(draw).collect::<Vec<_>>(), "always the same");
        let whole = compile(&[route("all", &[])]).unwrap();
        assert!(whole.explain(&attributes(Dataset::new()), Timestamp::UNIX_EPOCH)[0].matched);
        assert!(!rules.explain(&attributes(Dataset::new()), Timestamp::UNIX_EPOCH)[0].matched, "without any UID");
    }

    #[test]
    fn priors_name_attributes_and_are_the_same_for_a_model() {
        let with = |name: &str, priors: serde_json::Value| RouteConfig {
            priors: Some(serde_json::from_value(priors).unwrap()),
            ..route(name, &[])
        };
        let named = with("a", serde_json::json!({}));
        assert_eq!(named.priors, Some(PriorsConfig::default()));
        assert!(compile(&[named.clone(), RouteConfig { name: "b".into(), ..named.clone() }]).is_ok());
        let other = with(
            "b",
            serde_json::json!({ "at": "pcas", "within": "0s", "same": ["kvp", "view_positon", "calling_ae"] }),
        );
        let idle = RouteConfig {
            models: Vec::new(),
            send_results: Vec::new(),
            send_images: vec!["pacs".into()],
            ..with("c", serde_json::json!({}))
        };
        let errors = compile(&[named, other, idle]).unwrap_err();
        let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "`b`, priors: differs from that of `a`, and both have the model `lungs`, whose results they share",
                "`b`, priors: `0ms` is no time before an image",
                "`b`, priors: `pcas` is not the name of a destination",
                "`b`, priors: `view_positon` is no attribute of images",
                "`b`, priors: `calling_ae` is no attribute of images",
                "`c`, priors: has no model whose results could be compared",
            ]
        );
        assert_eq!(errors[3].help(), Some("did you mean `view_position`?"));
        assert!(serde_json::from_value::<PriorsConfig>(serde_json::json!({ "on": "pacs" })).is_err());
    }

    #[test]
    fn results_go_back_to_the_destination_that_the_sender_is() {
        let mut back = route("back", &[]);
        back.send_results.push(SENDER.into());
        let shadow = RouteConfig { shadow: true, ..back.clone() };
        let senders = BTreeMap::from([("CR_ROOM_1".to_owned(), "room 1".to_owned())]);
        let rules = compile(&[back, shadow_named("shadow", &shadow), route("plain", &[])]).unwrap().returning(senders);
        let said = |sender: &str| -> Vec<Option<String>> {
            let of = Attributes::new(Arc::new(Dataset::new()), sender, "", "");
            let traces = rules.explain(&of, Timestamp::UNIX_EPOCH);
            traces.iter().map(|trace| trace.returned.as_ref().map(ToString::to_string)).collect()
        };
        let words = "results go back to CR_ROOM_1, the destination room 1".to_owned();
        assert_eq!(said("CR_ROOM_1"), [Some(words), None, None]);
        assert!(
            said("CR_ROOM_2")[0].as_ref().unwrap().contains("no [[destination]] has the sender's AE title CR_ROOM_2")
        );
        let wrong = RouteConfig { send_images: vec![SENDER.into()], ..shadow_named("wrong", &shadow) };
        let errors = Rules::compile(&[wrong], &["lungs"], &[]).unwrap_err();
        let keys: Vec<_> = errors.iter().map(|error| (error.key, error.text.as_str())).collect();
        assert_eq!(keys, [("send_results", "pacs"), ("send_results", SENDER), ("send_images", SENDER)]);
    }

    #[test]
    fn every_mistake_is_reported_with_its_route_and_text() {
        let mut wrong = route("a", &["modalty == 'CR'", "rows"]);
        wrong.models = vec!["lugns".into()];
        wrong.send_results = vec!["pcas".into()];
        let empty = RouteConfig {
            models: Vec::new(),
            send_results: Vec::new(),
            send_images: vec!["pacs".into()],
            shadow: true,
            ..route("empty", &[])
        };
        let idle = RouteConfig { models: Vec::new(), send_results: Vec::new(), ..route("idle", &[]) };
        let short = RouteConfig {
            trigger: Trigger::Study,
            settle_at_most: Interval(Duration::from_secs(1)),
            ..route("short", &[])
        };
        let mut counted = route("counted", &[]);
        counted.count_at = Some("pcas".into());
        let errors = compile(&[wrong, empty, idle, short, route("short", &[]), counted]).unwrap_err();
        let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "`a`, models: `lugns` is not the name of a model",
                "`a`, send_results: `pcas` is not the name of a destination",
                "`a`, when: `modalty == 'CR'` there is no attribute `modalty` (at character 1)",
                "`a`, when: `rows` gives a number, not true or false (at character 1)",
                "`empty`, shadow: sends nothing and has no model to try",
                "`idle`, models: does nothing with what it matches",
                "`short`, settle_at_most: `1s` is shorter than settle_after, 30s",
                "`short`, name: `short` is the name of another route too",
                "`counted`, count_at: `pcas` is not the name of a destination",
                "`counted`, count_at: `pcas` waits for nothing that could be counted",
            ]
        );
        assert_eq!(errors[1].help(), Some("there is `pacs`, `archive`"));
    }
}
