//! `dokuei demo`: a modality, this node and a PACS on one machine, with radiographs whose truth is known.

mod cases;
pub(crate) mod pacs;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dokuei_dataset::{Limits, read_file};
use dokuei_dimse::{Association, plan_contexts};
use dokuei_store::{ShownInstance, StoreReader};
use dokuei_types::{AeTitle, Interval};
use indicatif::{ProgressBar, ProgressStyle};

use self::cases::Case;
use self::pacs::Pacs;
use crate::analyze::write_object;
use crate::args::Demo;
use crate::config;
use crate::inspect::findings_of;
use crate::outcome::{self, Failure, line, say};
use crate::requestor;
use crate::send;
use crate::serve::RunningNode;
use crate::site::Site;

/// Longest wait for all results.
const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) async fn run(arguments: &Demo) -> Result<(), Failure> {
    let out = &arguments.out;
    std::fs::create_dir_all(out).map_err(|error| Failure::because(&out.display().to_string(), &error))?;
    say("Preparing the radiographs …");
    let cases = tokio::task::block_in_place(|| cases::prepare(&arguments.input, &out.join("images")))?;

    let pacs = Pacs::start(&out.join("pacs")).await?;
    let data = tempfile::tempdir().map_err(|error| Failure::because("make a data folder", &error))?;
    let node = RunningNode::start(&site(data.path(), pacs.port())?).await?;
    say(format!("A PACS listens on {}, the node on {}.", pacs.address(), node.address));

    let sent = push(&cases, &node).await?;
    let shown = wait_for_results(&cases, node.reader()).await?;
    let complete = report(&cases, &sent, &shown, &pacs, out)?;
    node.drain().await;
    pacs.stop().await;
    if complete { Ok(()) } else { Err(Failure::Said) }
}

/// The node of the demonstration: loopback, the bundled model, images and results to the PACS.
fn site(data: &Path, pacs: u16) -> Result<Site, Failure> {
    let toml = format!(
        r#"
            [node]
            listen = "127.0.0.1:0"
            data_dir = {data:?}
            preallocate = "0 B"
            [limits]
            disk_free_min = "64 MiB"
            [[destination]]
            name = "pacs"
            ae_title = "PACS"
            address = "127.0.0.1:{pacs}"
            objects = ["sr", "sc", "pr", "ko", "pdf", "seg"]
            [[route]]
            name = "demonstration"
            models = ["cxr-pneumonia"]
            send_results = ["pacs"]
            send_images = ["pacs"]
        "#
    );
    Ok(Site::check(config::from_text("(demonstration)", toml)?)?)
}

/// Sends every case as a modality would; when each was acknowledged.
async fn push(cases: &[Case], node: &RunningNode) -> Result<Vec<Instant>, Failure> {
    let title = |text| AeTitle::new(text).expect("a title of a few letters");
    let address = node.address.to_string().parse().map_err(Failure::work)?;
    let config = requestor::with(&address, title("DOKUEI"), title("MODALITY"), Interval(Duration::from_secs(60)));
    let plan = plan_contexts(cases.iter().map(|case| (&case.file.sop_class, &case.file.transfer_syntax)));
    let contexts = plan.associations.first().cloned().unwrap_or_default();
    let mut association = Association::request(&config, &contexts)
        .await
        .map_err(|error| Failure::because("associate with the node", &error))?;
    let bar = ProgressBar::new(cases.len() as u64)
        .with_style(ProgressStyle::with_template("C-STORE {bar:40} {pos}/{len}").expect("a well-formed template"));
    let mut acknowledged = Vec::with_capacity(cases.len());
    for case in cases {
        let outcome = send::store(&mut association, &case.file, None)
            .await
            .map_err(|error| Failure::because("send a radiograph", &error))?;
        if !outcome.status.is_stored() {
            return Err(Failure::work(format!("the node refused an image: {} {}", outcome.status, outcome.comment)));
        }
        acknowledged.push(Instant::now());
        bar.inc(1);
    }
    bar.finish_and_clear();
    drop(association.release().await);
    Ok(acknowledged)
}

/// Waits until each case has its end.
async fn wait_for_results(cases: &[Case], reader: &StoreReader) -> Result<Vec<ShownInstance>, Failure> {
    let failed = |error: dokuei_store::StoreError| Failure::because("look into the store", &error);
    let begun = Instant::now();
    loop {
        let mut shown = Vec::new();
        for case in cases {
            let ids = reader.find(case.file.sop_instance.as_str()).map_err(failed)?;
            for id in ids.into_iter().take(1) {
                shown.extend(reader.show(id).map_err(failed)?);
            }
        }
        let ended = shown.iter().filter(|instance| instance.end.is_some()).count();
        if ended == cases.len() {
            return Ok(shown);
        }
        if begun.elapsed() > PATIENCE {
            return Err(Failure::work(format!("only {ended} of {} radiographs have their end", cases.len())));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Prints the table and writes what the PACS got; whether everything that should be there is.
fn report(
    cases: &[Case],
    sent: &[Instant],
    shown: &[ShownInstance],
    pacs: &Arc<Pacs>,
    out: &Path,
) -> Result<bool, Failure> {
    let heading = ["patient", "truth", "finding", "confidence", "band", "at the PACS after", "the PACS got"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    let mut complete = true;
    let mut sample = None;
    for ((case, sent), instance) in cases.iter().zip(sent).zip(shown) {
        let arrived = pacs.about(&case.file.sop_instance);
        for object in arrived.iter().filter(|object| object.role != "image") {
            let bytes =
                std::fs::read(&object.path).map_err(|error| Failure::because("read what the PACS got", &error))?;
            write_object(out, &case.name, object.role, &bytes)?;
        }
        let got: Vec<&str> = arrived.iter().map(|object| object.words).collect();
        let last = arrived.iter().map(|object| object.at).max();
        let latency = last.map(|at| format!("{:.0} ms", at.saturating_duration_since(*sent).as_secs_f64() * 1e3));
        let findings = instance.results.first().map(|result| findings_of(&result.findings)).unwrap_or_default();
        let ended = instance.end.as_ref().map_or("in work", dokuei_types::End::as_str);
        let mut row = vec![case.patient.clone(), case.truth.clone()];
        match findings.first() {
            Some(finding) => {
                let number = |key: &str| finding.get(key).and_then(serde_json::Value::as_f64).unwrap_or(f64::NAN);
                let marked = number("probability") >= number("marking_threshold");
                complete &= got.contains(&"image") && got.contains(&"SR") && (!marked || got.contains(&"SC"));
                row.push(text(finding, "name"));
                row.push(format!("{:.1} %", number("probability") * 100.0));
                row.push(capitalised(&text(finding, "band")));
                if sample.is_none() || marked {
                    sample = Some(out.join(format!("{}.sr.txt", case.name)));
                }
            }
            // A file of the user's own may be one the model does not take; that is an answer too.
            None => {
                complete &= ended == "declined" || ended == "no_rule_matched";
                row.extend([ended.replace('_', " "), "-".to_owned(), "-".to_owned()]);
            }
        }
        row.push(latency.unwrap_or_else(|| "-".to_owned()));
        row.push(if got.is_empty() { "nothing".to_owned() } else { got.join(" + ") });
        rows.push(row);
    }
    line("");
    outcome::table(&rows);
    if let Some(path) = sample
        && let Ok(text) = std::fs::read_to_string(&path)
    {
        line(format!("\nOne of the reports ({}):\n\n{text}", path.display()));
    }
    line(format!("Reports as text, heat maps as PNG and all DICOM objects are in {}.", out.display()));
    if !complete {
        say("Something is missing: see the table.");
    }
    Ok(complete)
}

fn text(finding: &serde_json::Value, key: &str) -> String {
    finding.get(key).and_then(serde_json::Value::as_str).unwrap_or("-").to_owned()
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// The name a case's files get, and its patient's name as a person reads it.
fn patient(file: &[u8]) -> String {
    let name = read_file(&file, &Limits::default())
        .ok()
        .and_then(|(_, header)| header.dataset.text(dicom_dictionary_std::tags::PATIENT_NAME));
    // The ideographic group where there is one (PS3.5 § 6.2.1).
    let name = name.unwrap_or_else(|| "-".to_owned());
    let groups: Vec<&str> = name.split('=').filter(|group| !group.trim().is_empty()).collect();
    groups.get(1).or(groups.first()).map_or_else(|| "-".to_owned(), |group| group.replace('^', " ").trim().to_owned())
}
