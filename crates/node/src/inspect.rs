//! `dokuei status` and `show`: what a node's data folder holds, while the node runs or not.

use std::path::{Path, PathBuf};

use dokuei_pipeline::RouteTrace;
use dokuei_store::{Counts, ShownInstance, ShownUnit, Store, StoreError, StoreReader, StoredFile};
use dokuei_types::{End, InstanceId};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::args::{Inspect, Show, Where};
use crate::config;
use crate::outcome::{self, Failure, line};
use crate::reports;
use crate::route_match::verdict;

/// Instances listed at a time.
const PAGE: usize = 1_000;

pub(crate) fn attach(place: &Where) -> Result<StoreReader, Failure> {
    let data_dir: PathBuf = match &place.data_dir {
        Some(folder) => folder.clone(),
        None => config::load(place.config.as_deref())?.config.node.data_dir,
    };
    Store::attach(&data_dir).map_err(|error| match error.is_damaged_index() {
        true => unopened(&error),
        false => unopened(&error).help("name the node's configuration with --config, or its folder with --data-dir"),
    })
}

pub(crate) fn unopened(error: &StoreError) -> Failure {
    with_remedy("open the data folder", error)
}

pub(crate) fn unreadable(error: &StoreError) -> Failure {
    with_remedy("read the data folder", error)
}

/// What to do about an index that is damaged.
pub(crate) const NEW_INDEX: &str = "stop the node, move index.sqlite, index.sqlite-wal and index.sqlite-shm out of the data \
     folder and start it again: it finds what is stored in its log, and analyses and sends it again; look at the disk's health";

fn with_remedy(doing: &str, error: &StoreError) -> Failure {
    let failure = Failure::because(doing, error);
    if error.is_damaged_index() { failure.help(NEW_INDEX) } else { failure }
}

pub(crate) fn status(arguments: &Inspect) -> Result<(), Failure> {
    let counts = attach(&arguments.place)?.counts().map_err(|error| unreadable(&error))?;
    let received: u64 = counts.instances.values().sum();
    let pending = counts.instances.get("open").copied().unwrap_or(0);
    if arguments.place.json {
        outcome::json(&status_json(&counts, received, pending), true);
        return Ok(());
    }
    line(format!("instances  {received} received, {pending} in work"));
    for (end, count) in counts.instances.iter().filter(|(end, _)| *end != "open") {
        line(format!("           {count} {}", end.replace('_', " ")));
    }
    let waiting: u64 = counts.jobs.values().sum();
    let since = counts.oldest_job_at.map(|at| format!(", the oldest since {}", time(at))).unwrap_or_default();
    line(format!("queue      {waiting} jobs{since}; {} series or studies not settled", counts.units_waiting));
    line(format!("results    {}", counts.results));
    for (name, destination) in &counts.destinations {
        let since = destination.oldest_waiting_at.map(|at| format!(" (oldest since {})", time(at))).unwrap_or_default();
        let confirmed = match (destination.confirmed, destination.unconfirmed) {
            (0, 0) => String::new(),
            (confirmed, unconfirmed) => format!(" ({confirmed} confirmed, {unconfirmed} to be confirmed)"),
        };
        let now = Timestamp::now().as_millisecond();
        let closed = match destination.closed_until.filter(|until| *until > now) {
            Some(until) => format!("; outside its hours until {}, but for what is urgent", time(until)),
            None => String::new(),
        };
        let elsewhere = match destination.elsewhere {
            0 => String::new(),
            count => format!(", {count} gone elsewhere instead"),
        };
        line(format!(
            "{name:<10} {} stored there{confirmed}, {} waiting{since}, {} being sent, {} given up{elsewhere}{closed}",
            destination.stored, destination.waiting, destination.sending, destination.dead
        ));
    }
    let commitments = counts.commitments;
    if commitments != Default::default() {
        line(format!(
            "committed  {} requests answered, {} to be answered, {} given up",
            commitments.told, commitments.waiting, commitments.dead
        ));
    }
    for rule in &counts.rules {
        let (count, route, last) =
            (rule.count, &rule.route, format!("{} at {}", rule.last_instance, time(rule.last_at)));
        match rule.what.as_str() {
            "shadow" => line(format!("shadow     {route}: took {count}, sent nothing of them; last instance {last}")),
            "no_way_back" => line(format!(
                "no way     {route}: results on {count} instances of {} do not go back to it: no [[destination]] has its AE \
                 title; last instance {last}",
                rule.condition
            )),
            "other_patient" => line(format!(
                "patient    {route}: {count} times an image came again as another patient's while a result of it stood, which \
                 dokuei withdraw takes back; last instance {last}"
            )),
            _ => line(format!(
                "rule       {route}: {} could not be evaluated {count} times; last instance {last}",
                rule.condition
            )),
        }
    }
    if counts.dead_letters > 0 {
        line(format!("failed     {}; see dokuei failed", counts.dead_letters));
    }
    if let Some(at) = counts.last_received_at {
        line(format!("last       received {}", time(at)));
    }
    Ok(())
}

fn status_json(counts: &Counts, received: u64, pending: u64) -> Value {
    let mut status = serde_json::to_value(counts).unwrap_or_default();
    if let Some(instances) = status.get_mut("instances").and_then(Value::as_object_mut) {
        instances.remove("open");
        instances.insert("received".to_owned(), json!(received));
        instances.insert("pending".to_owned(), json!(pending));
    }
    status
}

pub(crate) fn show(arguments: &Show) -> Result<(), Failure> {
    // A file that is named like an instance is called ./1.
    let is_id = arguments.id.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !is_id {
        return reports::show_file(Path::new(&arguments.id), arguments.place.json);
    }
    let reader = attach(&arguments.place)?;
    let mut shown = Vec::new();
    for id in find(&reader, &arguments.id)? {
        shown.extend(reader.show(id).map_err(|error| unreadable(&error))?);
    }
    if arguments.place.json {
        outcome::json(&shown, true);
    } else {
        for instance in &shown {
            show_one(instance);
            reports::show_of(instance);
        }
    }
    Ok(())
}

/// Calls `each` for the instances that `ids` name, or for all where there are none.
pub(crate) fn chosen(
    reader: &StoreReader,
    ids: &[String],
    mut each: impl FnMut(InstanceId) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for text in ids {
        find(reader, text)?.into_iter().try_for_each(&mut each)?;
    }
    let mut last = ids.is_empty().then_some(InstanceId(0));
    while let Some(after) = last {
        let page = reader.after(after, PAGE).map_err(|error| unreadable(&error))?;
        last = page.last().copied();
        page.into_iter().try_for_each(&mut each)?;
    }
    Ok(())
}

pub(crate) fn find(reader: &StoreReader, text: &str) -> Result<Vec<InstanceId>, Failure> {
    let found = reader.find(text).map_err(|error| unreadable(&error))?;
    if found.is_empty() {
        return Err(Failure::work(format!("no instance {text}"))
            .help("name a number from dokuei status or the log, or a SOP Instance, Series or Study Instance UID"));
    }
    Ok(found)
}

fn show_one(shown: &ShownInstance) {
    line(format!("instance {}  {}", shown.id, shown.sop_instance));
    let end = shown.end.as_ref().map_or_else(|| "in work".to_owned(), words);
    line(format!("  end        {end}"));
    let StoredFile { path, offset, length, .. } = &shown.file;
    match (shown.removed_at, &shown.removed_why) {
        (Some(at), why) => {
            line(format!("  file       removed at {}: {}", time(at), why.as_deref().unwrap_or_default()))
        }
        (None, _) => line(format!("  file       {length} bytes at {offset} of {}", path.display())),
    }
    if let Some(fault) = shown.attributes.get("fault").and_then(Value::as_str) {
        line(format!("  fault      {fault}"));
    }
    line(format!("  SOP class  {}, transfer syntax {}", shown.sop_class, shown.transfer_syntax));
    line(format!("  study      {}", shown.study.as_deref().unwrap_or("not said")));
    line(format!("  series     {}", shown.series.as_deref().unwrap_or("not said")));
    for arrival in &shown.arrivals {
        line(format!(
            "  arrived    {} from {} ({}) as {}: {}",
            time(arrival.at),
            arrival.calling_ae,
            arrival.peer,
            arrival.called_ae,
            arrival.outcome
        ));
    }
    if let Some(route) = &shown.fetched_for {
        line(format!("  fetched    to be compared with by route {route}: no route takes it, nothing of it is sent"));
    }
    if shown.stands_in {
        line("  retrieved  from an archive, in place of a version whose bytes were removed");
    }
    for unit in &shown.units {
        line(format!("  {:<10} of route {}: {}", unit.level, unit.route, settled(unit)));
    }
    let routes = routes_of(shown);
    for task in &shown.tasks {
        let reason = task.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let in_shadow = routes.iter().any(|route| route.route == task.route && route.shadow);
        let shadow = if in_shadow { ", a shadow" } else { "" };
        line(format!("  model      {} for route {}{shadow}: {}{reason}", task.model, task.route, task.state));
    }
    for result in &shown.results {
        line(format!(
            "  result     {} {} at {}: {}{}{}",
            result.model,
            result.version,
            time(result.made_at),
            findings(&result.findings),
            unfamiliarity(&result.findings),
            if result.withdrawn { "; withdrawn" } else { "" }
        ));
        compared(&result.findings).into_iter().for_each(|words| line(format!("             {words}")));
        for object in &result.objects {
            match object.removed_at {
                Some(at) => line(format!("             {} removed at {}", object.role, time(at))),
                None => line(format!("             {} {}", object.role, object.file.path.display())),
            }
        }
    }
    for delivery in &shown.deliveries {
        let reason = delivery.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let at = |what: &str, at: Option<i64>| at.map(|at| format!(", {what} at {}", time(at))).unwrap_or_default();
        let next = if delivery.closed_until.is_some() { "outside the hours of its destination, next" } else { "next" };
        let (confirmed, next) = (at("confirmed", delivery.confirmed_at), at(next, delivery.next_at));
        let instead =
            |word: &str, of: &Option<String>| of.as_ref().map(|of| format!("{word} {of}")).unwrap_or_default();
        let (from, to) = (instead(" instead of", &delivery.moved_from), instead(", at", &delivery.moved_to));
        line(format!(
            "  delivery   {} to {}{from}: {}{to} after {} attempts{confirmed}{next}{reason}",
            delivery.role, delivery.destination, delivery.state, delivery.attempts
        ));
    }
    routes.iter().for_each(show_route);
}

/// Whether a series or study has settled, why and when, or what it waits for.
fn settled(unit: &ShownUnit) -> String {
    let waits_for = unit.waits_for.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    match (unit.reason, unit.settled_at, unit.next_at) {
        (Some(reason), Some(at), _) => {
            let detail = unit.detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default();
            format!("settled at {} by {}{detail}", time(at), reason.as_str())
        }
        (_, _, Some(at)) => format!("waits until {} at least{waits_for}", time(at)),
        _ => "settled".to_owned(),
    }
}

/// What the rules said.
fn routes_of(shown: &ShownInstance) -> Vec<RouteTrace> {
    let decision = shown.decision.clone().unwrap_or_default();
    serde_json::from_value(decision).unwrap_or_default()
}

/// What the rules said of a route, with the conditions that did not hold.
fn show_route(route: &RouteTrace) {
    line(format!("  route      {}: {}", route.route, verdict(route)));
    for condition in route.conditions.iter().filter(|condition| !condition.matched) {
        let values: Vec<String> = condition.values.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        let error = condition.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
        line(format!("             fails {} with {}{error}", condition.when, values.join(", ")));
    }
}

/// The findings of every frame of a result, as the store keeps them.
pub(crate) fn findings_of(result: &Value) -> Vec<&Value> {
    let frames = result.as_array().into_iter().flatten();
    frames.filter_map(|frame| frame.get("findings")?.as_array()).flatten().collect()
}

/// A finding's name, probability in percent and band.
fn findings(result: &Value) -> String {
    let one = |finding: &Value| {
        let name = finding.get("name").and_then(Value::as_str).unwrap_or("?").to_owned();
        let probability = finding.get("probability").and_then(Value::as_f64).unwrap_or(f64::NAN);
        let band = finding.get("band").and_then(Value::as_str).unwrap_or("?");
        format!("{name} {:.1} % ({band})", probability * 100.0)
    };
    findings_of(result).into_iter().map(one).collect::<Vec<_>>().join(", ")
}

/// What a result was compared with and what came of it, or why with nothing, where its route asked.
fn compared(result: &Value) -> Vec<String> {
    let comparisons = result.as_array().into_iter().flatten().filter_map(|frame| frame.get("comparison"));
    comparisons.map(comparison).collect()
}

fn comparison(of: &Value) -> String {
    if let Some(why) = of.get("nothing").and_then(Value::as_str) {
        return format!("compared with nothing: {why}");
    }
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or("?").to_owned();
    let number = |value: &Value, key: &str| value.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let findings = of.get("findings").and_then(Value::as_array).into_iter().flatten().map(|finding| {
        let (name, before) = (text(finding, "name"), number(finding, "probability") * 100.0);
        format!("{name} {before:.1} %, {} ({:+.1} points)", text(finding, "trend"), number(finding, "change_points"))
    });
    let findings: Vec<String> = findings.collect();
    let instance = of.get("instance").and_then(Value::as_i64).unwrap_or_default();
    format!("compared with instance {instance}, taken {}: {}", text(of, "taken").replace('T', " "), findings.join(", "))
}

/// How unlike the images it was made for the model found the least familiar frame, where it says so.
fn unfamiliarity(result: &Value) -> String {
    let frames = result.as_array().into_iter().flatten();
    let highest = frames.filter_map(|frame| frame.get("unfamiliarity")?.as_f64()).reduce(f64::max);
    highest.map(|value| format!("; unfamiliarity {value:.2}")).unwrap_or_default()
}

fn words(end: &End) -> String {
    let word = end.as_str().replace('_', " ");
    match end {
        End::Reported | End::Forwarded | End::NoRuleMatched => word,
        End::Declined { reason } => format!("{word}: {reason}"),
        End::Failed { reason } => format!("{word}: {reason}"),
    }
}

/// A time as people read it, in the time zone of the machine.
pub(crate) fn time(ms: i64) -> String {
    match Timestamp::from_millisecond(ms) {
        Ok(at) => at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => format!("{ms} ms"),
    }
}
