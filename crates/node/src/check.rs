//! `dokuei check`: configuration, models, destinations, disk. Nothing is started and nothing is written.

use std::path::Path;

use dokuei_store::{Disk, RealDisk};
use serde_json::{Value, json};

use crate::args::Check;
use crate::config;
use crate::outcome::{self, Failure, line};
use crate::requestor;
use crate::send::words;
use crate::site::Site;

/// One thing looked at.
struct Checked {
    what: String,
    outcome: Result<String, String>,
}

pub(crate) async fn run(arguments: &Check) -> Result<(), Failure> {
    let site = Site::check(config::load(arguments.config.as_deref())?)?;
    let mut checked = vec![Checked { what: "configuration".to_owned(), outcome: Ok(routes(&site)) }];
    checked.extend(site.models.iter().map(|model| {
        let identity = model.identity();
        let self_test = if model.self_test().is_some() { "self-test passed" } else { "no self-test in the package" };
        Checked {
            what: format!("model {}", identity.name),
            outcome: Ok(format!("version {}, hash right, {self_test}", identity.version)),
        }
    }));
    checked.push(disk(&site));
    checked.extend(destinations(&site).await);
    let sound = checked.iter().all(|one| one.outcome.is_ok());
    if arguments.json {
        let all: Vec<Value> = checked.iter().map(as_json).collect();
        outcome::json(&all, true);
    } else {
        for one in &checked {
            match &one.outcome {
                Ok(words) => line(format!("ok      {}: {words}", one.what)),
                Err(words) => line(format!("FAILED  {}: {words}", one.what)),
            }
        }
    }
    if sound { Ok(()) } else { Err(Failure::Said) }
}

fn as_json(one: &Checked) -> Value {
    let words = match &one.outcome {
        Ok(words) | Err(words) => words,
    };
    json!({ "what": one.what, "ok": one.outcome.is_ok(), "words": words })
}

fn routes(site: &Site) -> String {
    let names: Vec<&str> = site.routes.iter().map(|route| route.name.as_str()).collect();
    format!("{} routes: {}", names.len(), names.join(", "))
}

/// The data folder's disk, or that of the nearest folder above one that is not there yet.
fn disk(site: &Site) -> Checked {
    let folder = &site.file.config.node.data_dir;
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
    let there = absolute.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let needed = site.file.config.limits.disk_free_min;
    let outcome = match RealDisk.free_bytes(there) {
        Ok(free) if free < needed.0 => Err(format!(
            "{} MiB are free for {}, disk_free_min is {needed}: every image would be refused",
            free >> 20,
            folder.display()
        )),
        Ok(free) => Ok(format!("{} MiB free for {}", free >> 20, folder.display())),
        Err(error) => Err(words(&error)),
    };
    Checked { what: "disk".to_owned(), outcome }
}

async fn destinations(site: &Site) -> Vec<Checked> {
    let mut checked = Vec::new();
    for entry in &site.file.config.destinations {
        let destination = entry.as_ref();
        let own = &site.file.config.node.ae_title;
        let calling = destination.calling_ae_title.clone().unwrap_or_else(|| own.clone());
        let config = requestor::with(&destination.address, destination.ae_title.clone(), calling, destination.timeout);
        let outcome = match dokuei_dimse::echo(&config).await {
            Ok(report) => Ok(format!("{} answered C-ECHO with {}", report.peer.address, report.status)),
            Err(error) => Err(format!("{}; {}", words(&error), error.advice())),
        };
        checked.push(Checked { what: format!("destination {}", destination.name), outcome });
    }
    checked
}
