use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use dokuei_store::Priority;
use dokuei_types::{DeclineReason, Interval};
use serde::{Deserialize, Serialize};

use crate::condition::{Condition, ConditionError};
use crate::variables::Attributes;

/// What a route looks at together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// Each instance, as soon as it is stored.
    #[default]
    Instance,
    /// A series, once it has settled.
    Series,
    /// A study, once it has settled.
    Study,
}

/// Which declined images a route has reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReportDeclined {
    /// None.
    Never,
    /// Those the model is for and that could not be read, or were beyond a limit: without a word, silence would be
    /// taken for a negative.
    #[default]
    Unreadable,
    /// Also those the model is not for, such as lateral views; never what an algorithm has made.
    Always,
}

impl ReportDeclined {
    pub(crate) fn covers(self, reason: &DeclineReason) -> bool {
        match reason {
            DeclineReason::Codec(_) | DeclineReason::Malformed(_) | DeclineReason::Limit(_) => self != Self::Never,
            DeclineReason::Criteria(_) => self == Self::Always,
            DeclineReason::NoPixels(_) | DeclineReason::Derived(_) => false,
        }
    }
}

/// A route as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// Its name, in traces and tables.
    pub name: String,
    /// CEL conditions, all of which must hold; none means every instance.
    #[serde(default)]
    pub when: Vec<String>,
    /// What is looked at together.
    #[serde(default)]
    pub trigger: Trigger,
    /// Quiet time after which a series or study counts as settled.
    #[serde(default = "settle_after")]
    pub settle_after: Interval,
    /// Time after the first instance at which it counts as settled whatever still arrives.
    #[serde(default = "settle_at_most")]
    pub settle_at_most: Interval,
    /// What goes first when more waits than can be done at once.
    #[serde(default)]
    pub priority: Priority,
    /// Models by name.
    #[serde(default)]
    pub models: Vec<String>,
    /// Destinations of the results, by name; none keeps them in the data folder.
    #[serde(default)]
    pub send_results: Vec<String>,
    /// Destinations of the untouched originals, by name.
    #[serde(default)]
    pub send_images: Vec<String>,
    /// Whether objects that this node or another algorithm made are analysed too.
    #[serde(default)]
    pub analyze_derived: bool,
    /// Which declined images are reported, with the reason.
    #[serde(default)]
    pub report_declined: ReportDeclined,
}

fn settle_after() -> Interval {
    Interval(Duration::from_secs(30))
}

fn settle_at_most() -> Interval {
    Interval(Duration::from_secs(600))
}

/// What is wrong with a route or with a model's conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleError {
    /// Name of the route, or of the model.
    pub route: String,
    /// The key it is about: `name`, `when`, `models`, `send_results`, `send_images`, `settle_at_most`.
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
#[derive(Debug, Default)]
pub struct Rules {
    routes: Vec<Route>,
}

/// One route, checked.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) config: RouteConfig,
    conditions: Vec<Condition>,
}

/// What a route says of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTrace {
    /// Name of the route.
    pub route: String,
    /// Whether all its conditions hold.
    pub matched: bool,
    /// Each condition.
    pub conditions: Vec<ConditionTrace>,
}

/// What a condition says of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionTrace {
    /// The condition as it is written.
    pub when: String,
    /// Whether it holds.
    pub matched: bool,
    /// The values of the attributes in it.
    pub values: BTreeMap<String, String>,
    /// Why it counts as not holding although it says neither.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
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
            let mut conditions = Vec::new();
            for text in &route.when {
                match Condition::compile(text) {
                    Ok(condition) => conditions.push(condition),
                    Err(error) => errors.push(RuleError::condition(&route.name, "when", text, error)),
                }
            }
            compiled.push(Route { config: route.clone(), conditions });
        }
        if errors.is_empty() { Ok(Self { routes: compiled }) } else { Err(errors) }
    }

    /// What every route says of an instance, condition by condition.
    #[must_use]
    pub fn explain(&self, of: &Attributes) -> Vec<RouteTrace> {
        self.routes.iter().map(|route| route.explain(of)).collect()
    }

    /// The routes in the order of the config, to go with [`explain`](Self::explain).
    pub(crate) fn routes(&self) -> &[Route] {
        &self.routes
    }
}

impl Route {
    fn explain(&self, of: &Attributes) -> RouteTrace {
        let conditions = explain(&self.conditions, of);
        let matched = conditions.iter().all(|condition| condition.matched);
        RouteTrace { route: self.config.name.clone(), matched, conditions }
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
    unknown("send_results", "destination", &route.send_results, destinations);
    unknown("send_images", "destination", &route.send_images, destinations);
    if route.models.is_empty() && route.send_images.is_empty() {
        let help = Some("give it `models`, `send_images` or both".to_owned());
        errors.push(mistake(route, "models", "", "does nothing with what it matches".into(), help));
    }
    if route.models.is_empty() && !route.send_results.is_empty() {
        errors.push(mistake(route, "send_results", "", "has no model that would make results".into(), None));
    }
    if route.trigger != Trigger::Instance && route.settle_at_most.0 < route.settle_after.0 {
        let text = route.settle_at_most.to_string();
        let message = format!("is shorter than settle_after, {}", route.settle_after);
        errors.push(mistake(route, "settle_at_most", &text, message, None));
    }
}

fn mistake(route: &RouteConfig, key: &'static str, text: &str, message: String, help: Option<String>) -> RuleError {
    RuleError { route: route.name.clone(), key, text: text.to_owned(), column: None, message, help }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dicom_core::VR;
    use dicom_dictionary_std::tags;
    use dokuei_dataset::Dataset;
    use std::sync::Arc;

    fn route(name: &str, when: &[&str]) -> RouteConfig {
        RouteConfig {
            name: name.into(),
            when: when.iter().map(|when| (*when).to_owned()).collect(),
            trigger: Trigger::Instance,
            settle_after: settle_after(),
            settle_at_most: settle_at_most(),
            priority: Priority::Routine,
            models: vec!["lungs".into()],
            send_results: vec!["pacs".into()],
            send_images: Vec::new(),
            analyze_derived: false,
            report_declined: ReportDeclined::default(),
        }
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
        let traces = compile(&routes).unwrap().explain(&Attributes::new(Arc::new(data), "", "", ""));
        let matched: Vec<_> = traces.iter().map(|trace| (trace.route.as_str(), trace.matched)).collect();
        assert_eq!(matched, [("chest", true), ("hands", false), ("all", true)]);
        let hand = &traces[1].conditions;
        assert_eq!((hand[0].matched, hand[1].matched), (true, false));
        assert_eq!(hand[1].values["body_part"], "'CHEST'");
        let text = serde_json::to_string(&traces).unwrap();
        assert_eq!(serde_json::from_str::<Vec<RouteTrace>>(&text).unwrap(), traces);
    }

    #[test]
    fn every_mistake_is_reported_with_its_route_and_text() {
        let mut wrong = route("a", &["modalty == 'CR'", "rows"]);
        wrong.models = vec!["lugns".into()];
        wrong.send_results = vec!["pcas".into()];
        let idle = RouteConfig { models: Vec::new(), send_results: Vec::new(), ..route("idle", &[]) };
        let short = RouteConfig {
            trigger: Trigger::Study,
            settle_at_most: Interval(Duration::from_secs(1)),
            ..route("short", &[])
        };
        let errors = compile(&[wrong, idle, short, route("short", &[])]).unwrap_err();
        let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "`a`, models: `lugns` is not the name of a model",
                "`a`, send_results: `pcas` is not the name of a destination",
                "`a`, when: `modalty == 'CR'` there is no attribute `modalty` (at character 1)",
                "`a`, when: `rows` gives a number, not true or false (at character 1)",
                "`idle`, models: does nothing with what it matches",
                "`short`, settle_at_most: `1s` is shorter than settle_after, 30s",
                "`short`, name: `short` is the name of another route too",
            ]
        );
        assert_eq!(errors[1].help(), Some("there is `pacs`, `archive`"));
    }
}
