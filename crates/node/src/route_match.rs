//! `dokuei match`: which routes match, and condition by condition why not.

use std::collections::BTreeMap;
use std::sync::Arc;

use dokuei_pipeline::{Attributes, RouteTrace, rule_variables};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use crate::args::Match;
use crate::config;
use crate::files;
use crate::outcome::{self, Failure, line, table};
use crate::site::Site;

pub(crate) fn run(arguments: &Match) -> Result<(), Failure> {
    if arguments.names {
        names(arguments.json);
        return Ok(());
    }
    let site = Site::check(config::load(arguments.config.as_deref())?)?;
    let rules = site.rules().map_err(|errors| Failure::work(format!("{errors:?}")))?;
    let calling = arguments.calling.as_ref().map(ToString::to_string).unwrap_or_default();
    let called = site.file.config.node.ae_title.to_string();
    let received_at = match arguments.at {
        Some(at) => {
            at.to_zoned(TimeZone::system()).map_err(|error| Failure::because("find the time", &error))?.timestamp()
        }
        None => Timestamp::now(),
    };
    let mut answers = Vec::new();
    for path in &arguments.files {
        let file = files::open(path)?;
        let syntax = file.meta.transfer_syntax;
        let attributes = Attributes::new(Arc::new(file.header.dataset), &calling, &called, &syntax);
        let routes = rules.explain(&attributes, received_at);
        if arguments.json {
            answers.push(json!({ "path": path, "routes": routes }));
        } else {
            line(path.display());
            routes.iter().for_each(show);
        }
    }
    if arguments.json {
        outcome::json(&answers, true);
    }
    Ok(())
}

/// What conditions call the attributes they are mostly about.
fn names(as_json: bool) {
    let names = rule_variables();
    if as_json {
        let names: BTreeMap<&str, String> = names.into_iter().collect();
        return outcome::json(&names, true);
    }
    let heading = vec!["name".to_owned(), "stands for".to_owned()];
    let rows = names.into_iter().map(|(name, meaning)| vec![name.to_owned(), meaning]);
    table(&std::iter::once(heading).chain(rows).collect::<Vec<_>>());
}

fn show(route: &RouteTrace) {
    line(format!("  route {}: {}", route.route, verdict(route)));
    for condition in &route.conditions {
        line(format!("    {} {}", if condition.matched { "holds " } else { "fails " }, condition.when));
        for (name, value) in &condition.values {
            line(format!("             {name} = {value}"));
        }
        if let Some(error) = &condition.error {
            line(format!("             {error}"));
        }
    }
}

/// Whether a route applies, and what else than its conditions made it so, in words.
pub(crate) fn verdict(route: &RouteTrace) -> String {
    match &route.held_back {
        Some(why) => format!("does not apply: {why}"),
        None if !route.matched => "does not match".to_owned(),
        None if route.shadow => "matches, as a shadow: nothing is sent".to_owned(),
        None => match &route.returned {
            Some(returned) => format!("matches; {returned}"),
            None => "matches".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_reference_lists_every_name() {
        let reference = include_str!("../../../docs/rules.md");
        for (name, meaning) in dokuei_pipeline::rule_variables() {
            assert!(reference.contains(&format!("| `{name}` | {meaning} |")), "docs/rules.md does not list {name}");
        }
    }
}
