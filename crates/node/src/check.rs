//! `dokuei check`: configuration, models, destinations, disk. Nothing is started and nothing is written.

use std::time::SystemTime;

use dokuei_pipeline::{PriorsConfig, RouteConfig};
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::Check;
use crate::certificates::{CertificateInUse, RENEW_WITHIN_DAYS};
use crate::config;
use crate::machine;
use crate::outcome::{self, Failure, line};
use crate::peers;
use crate::site::Site;

/// One thing looked at.
pub(crate) struct Checked {
    pub(crate) what: String,
    pub(crate) verdict: Verdict,
    pub(crate) words: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Ok,
    /// Works, with something to look at.
    Warning,
    Failed,
}

impl Checked {
    pub(crate) fn of(what: impl Into<String>, outcome: Result<String, String>) -> Self {
        let (verdict, words) = match outcome {
            Ok(words) => (Verdict::Ok, words),
            Err(words) => (Verdict::Failed, words),
        };
        Self { what: what.into(), verdict, words }
    }
}

pub(crate) async fn run(arguments: &Check) -> Result<(), Failure> {
    let site = Site::check(config::load(arguments.config.as_deref())?)?;
    let mut checked = vec![Checked::of("configuration", Ok(routes(&site)))];
    checked.extend(site.models.iter().map(|model| {
        let identity = model.identity();
        let self_test = if model.self_test().is_some() { "self-test passed" } else { "no self-test in the package" };
        let words = format!("version {}, hash right, {self_test}", identity.version);
        Checked::of(format!("model {}", identity.name), Ok(words))
    }));
    checked.extend(site.security.certificates.iter().map(certificate));
    checked.extend(site.routes.iter().filter_map(priors));
    checked.extend(machine::check(&site));
    checked.extend(peers::check(&site).await);
    let sound = checked.iter().all(|one| one.verdict != Verdict::Failed);
    if arguments.json {
        let all: Vec<Value> = checked.iter().map(as_json).collect();
        outcome::json(&all, true);
    } else {
        for one in &checked {
            let verdict = match one.verdict {
                Verdict::Ok => "ok     ",
                Verdict::Warning => "WARNING",
                Verdict::Failed => "FAILED ",
            };
            line(format!("{verdict} {}: {}", one.what, one.words));
        }
    }
    if sound { Ok(()) } else { Err(Failure::Said) }
}

fn as_json(one: &Checked) -> Value {
    json!({ "what": one.what, "ok": one.verdict != Verdict::Failed, "verdict": one.verdict, "words": one.words })
}

fn routes(site: &Site) -> String {
    let names: Vec<&str> = site.routes.iter().map(|route| route.name.as_str()).collect();
    format!("{} routes: {}", names.len(), names.join(", "))
}

/// What the results of a route are compared with.
fn priors(route: &RouteConfig) -> Option<Checked> {
    let PriorsConfig { within, same, at, wait_at_most } = route.priors.as_ref()?;
    let same = if same.is_empty() { String::new() } else { format!(" with the same {}", same.join(", ")) };
    let at = at.as_ref().map(|at| format!(", which {at} may bring within {wait_at_most}")).unwrap_or_default();
    let words = format!("compared with the last on an image of the patient{same} within {within}{at}");
    Some(Checked::of(format!("results of route {}", route.name), Ok(words)))
}

/// Whether a certificate still holds, and for how long.
fn certificate(used: &CertificateInUse) -> Checked {
    let now = SystemTime::now();
    let days_left = used.info.days_left(now);
    let (verdict, left) = match days_left {
        _ if used.info.not_before > now => {
            let words = format!("is not valid before {}: look at the clocks here and where it was made", used.begins());
            (Verdict::Failed, words)
        }
        ..0 => (Verdict::Failed, "has expired: renew it".to_owned()),
        0..RENEW_WITHIN_DAYS => (Verdict::Warning, format!("{days_left} days left: renew it")),
        _ => (Verdict::Ok, format!("{days_left} days left")),
    };
    let words = format!("{}, {}, until {}, {left}", used.path.display(), used.info.subject, used.expires());
    Checked { what: format!("certificate of {}", used.purpose), verdict, words }
}
