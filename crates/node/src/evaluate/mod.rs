//! `dokuei models evaluate` and `compare`: what a model, or the difference of two, is worth on labelled images.

mod compare;
mod csv;
mod drawn;
mod labels;
mod plain;
mod score;
mod subgroups;
mod words;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use dokuei_evaluation::{Case, Figures, INTERVAL, roc};
use dokuei_inference::{FindingSpec, Model};
use serde::Serialize;

pub(crate) use compare::run as compare;

use self::drawn::RocCurve;
use self::labels::{LabelledImage, Labels};
use self::score::{Outcome, Scorer};
use crate::args::Evaluate;
use crate::config::{self, ConfigFile};
use crate::outcome::{self, Failure, line};
use crate::packages;

/// All that an evaluation says, as `evaluation.json` has it.
#[derive(Serialize)]
pub(crate) struct Evaluation {
    model: Evaluated,
    images: Counts,
    /// How intervals are computed.
    interval: &'static str,
    figures: Figures,
    /// By column, then by value.
    by: BTreeMap<String, BTreeMap<String, Figures>>,
    not_scored: Vec<NotScored>,
    worst: Vec<Worst>,
}

/// Which model and finding.
#[derive(Serialize)]
pub(crate) struct Evaluated {
    name: String,
    version: String,
    weights_sha256: String,
    finding: String,
    medium: f32,
    high: f32,
    marking_threshold: f32,
}

impl Evaluated {
    pub(crate) fn of(model: &Model, finding: &FindingSpec) -> Self {
        Self {
            name: model.identity().name.clone(),
            version: model.identity().version.clone(),
            weights_sha256: model.identity().weights_sha256.clone(),
            finding: finding.name.clone(),
            medium: finding.bands.medium,
            high: finding.bands.high,
            marking_threshold: finding.marking_threshold,
        }
    }
}

/// What became of the table's rows.
#[derive(Serialize)]
pub(crate) struct Counts {
    scored: usize,
    declined: usize,
    failed: usize,
    without_label: usize,
    left_out: usize,
}

/// Images that have no probability, for one reason.
#[derive(Serialize)]
pub(crate) struct NotScored {
    outcome: &'static str,
    reason: String,
    positives: usize,
    negatives: usize,
}

/// An image whose probability is furthest from its label.
#[derive(Serialize)]
pub(crate) struct Worst {
    file: String,
    positive: bool,
    probability: f64,
    /// The picture in the output folder.
    picture: Option<String>,
}

/// The images that were scored, in the order of the table.
pub(crate) struct Scores<'a> {
    pub(crate) images: Vec<&'a LabelledImage>,
    pub(crate) cases: Vec<Case>,
}

pub(crate) fn run(arguments: &Evaluate) -> Result<(), Failure> {
    let file = config::load(arguments.config.as_deref())?;
    let scorer = scorer(&arguments.model, &file)?;
    let model = &scorer.model;
    let (index, finding) = finding(model, arguments.finding.as_deref())?;
    let labels = Labels::read(&arguments.labelled)?;
    let columns = arguments.by.iter().map(|name| labels.column(name)).collect::<Result<Vec<_>, _>>()?;
    if let Some(out) = &arguments.out {
        fs::create_dir_all(out).map_err(|error| Failure::because(&out.display().to_string(), &error))?;
    }
    let outcomes = scorer.score(&labels.images, index)?;
    let scores = scored(&labels.images, &outcomes);
    let figures = |cases: &[Case]| figures(finding, cases, &arguments.prevalence);
    let by = arguments.by.iter().zip(columns).map(|(name, column)| {
        let groups = subgroups::of(&scores, name, column)?;
        Ok::<_, Failure>((name.clone(), groups.into_iter().map(|(value, cases)| (value, figures(&cases))).collect()))
    });
    let evaluation = Evaluation {
        model: Evaluated::of(model, finding),
        images: counts(&labels, &outcomes),
        interval: INTERVAL,
        figures: figures(&scores.cases),
        by: by.collect::<Result<_, _>>()?,
        not_scored: not_scored(&labels.images, &outcomes),
        worst: worst(&scorer, &scores, arguments)?,
    };
    if let Some(out) = &arguments.out {
        write(out, &evaluation, &labels, &outcomes, &scores)?;
    }
    if arguments.json {
        outcome::json(&evaluation, true);
    } else {
        words::evaluation(&evaluation);
        if let Some(out) = &arguments.out {
            line(format!("written to {}", out.display()));
        }
    }
    Ok(())
}

/// The finding that is evaluated, and its index; the only one need not be named.
pub(crate) fn finding<'a>(model: &'a Model, name: Option<&str>) -> Result<(usize, &'a FindingSpec), Failure> {
    let all = &model.manifest().findings;
    let found = match name {
        Some(name) => all.iter().position(|finding| finding.name == name),
        None if all.len() == 1 => Some(0),
        None => None,
    };
    found.and_then(|index| Some((index, all.get(index)?))).ok_or_else(|| {
        let known = all.iter().map(|finding| finding.name.as_str()).collect::<Vec<_>>().join(", ");
        let words = match name {
            Some(name) => format!("{} has no finding {name:?}", model.identity().name),
            None => format!("{} has {} findings", model.identity().name, all.len()),
        };
        Failure::work(words).help(format!("name one with --finding: {known}"))
    })
}

/// The figures at a finding's own limits.
pub(crate) fn figures(finding: &FindingSpec, cases: &[Case], prevalences: &[f64]) -> Figures {
    let bands = [finding.bands.medium, finding.bands.high].map(f64::from);
    let mut limits = vec![bands[0], bands[1], f64::from(finding.marking_threshold)];
    limits.sort_by(f64::total_cmp);
    limits.dedup();
    Figures::of(cases, &bands, &limits, prevalences)
}

/// The images with a probability. Whose they are the table says, else the image, else each is taken for another's.
pub(crate) fn scored<'a>(images: &'a [LabelledImage], outcomes: &[Outcome]) -> Scores<'a> {
    let mut patients: BTreeMap<(u8, &str), usize> = BTreeMap::new();
    let mut scores = Scores { images: Vec::new(), cases: Vec::new() };
    for (image, outcome) in images.iter().zip(outcomes) {
        let Outcome::Scored { probability, patient } = outcome else { continue };
        let whose = match (&image.patient, patient) {
            (Some(name), _) => (0, name.as_str()),
            (None, Some(id)) => (1, id.as_str()),
            (None, None) => (2, image.file.as_str()),
        };
        let count = patients.len();
        let patient = *patients.entry(whose).or_insert(count);
        scores.images.push(image);
        scores.cases.push(Case { score: f64::from(*probability), positive: image.positive, patient });
    }
    scores
}

fn counts(labels: &Labels, outcomes: &[Outcome]) -> Counts {
    let count = |of: fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| of(outcome)).count();
    Counts {
        scored: count(|outcome| matches!(outcome, Outcome::Scored { .. })),
        declined: count(|outcome| matches!(outcome, Outcome::Declined(_))),
        failed: count(|outcome| matches!(outcome, Outcome::Failed(_))),
        without_label: labels.unlabelled,
        left_out: labels.left_out,
    }
}

fn not_scored(images: &[LabelledImage], outcomes: &[Outcome]) -> Vec<NotScored> {
    let mut reasons: BTreeMap<(&'static str, &str), [usize; 2]> = BTreeMap::new();
    for (image, outcome) in images.iter().zip(outcomes) {
        let key = match outcome {
            Outcome::Scored { .. } => continue,
            Outcome::Declined(reason) => ("declined", reason.as_str()),
            Outcome::Failed(reason) => ("failed", reason.as_str()),
        };
        reasons.entry(key).or_default()[usize::from(image.positive)] += 1;
    }
    let entry = |((outcome, reason), [negatives, positives]): ((_, &str), [usize; 2])| NotScored {
        outcome,
        reason: reason.to_owned(),
        positives,
        negatives,
    };
    let mut all: Vec<NotScored> = reasons.into_iter().map(entry).collect();
    all.sort_by_key(|entry| std::cmp::Reverse(entry.positives + entry.negatives));
    all
}

/// The negatives with the highest probabilities and the positives with the lowest, as many of each as asked for, with
/// the picture the node would make where there is a folder for it.
fn worst(scorer: &Scorer, scores: &Scores<'_>, arguments: &Evaluate) -> Result<Vec<Worst>, Failure> {
    let mut order: Vec<(&LabelledImage, &Case)> = scores.images.iter().copied().zip(&scores.cases).collect();
    order.sort_by(|(_, a), (_, b)| b.score.total_cmp(&a.score));
    let alarms = order.iter().filter(|(image, _)| !image.positive).take(arguments.worst);
    let missed = order.iter().rev().filter(|(image, _)| image.positive).take(arguments.worst);
    let mut analyst = scorer.analyst()?;
    let mut worst = Vec::new();
    for (place, (image, case)) in alarms.enumerate().chain(missed.enumerate()) {
        let name = format!("{}-{:02}", if image.positive { "missed" } else { "alarm" }, place + 1);
        let picture = match &arguments.out {
            Some(out) => drawn::worst(scorer, &mut analyst, image, out, &name)?,
            None => None,
        };
        let (file, positive, probability) = (image.file.clone(), image.positive, case.score);
        worst.push(Worst { file, positive, probability, picture });
    }
    Ok(worst)
}

fn write(
    out: &Path,
    evaluation: &Evaluation,
    labels: &Labels,
    outcomes: &[Outcome],
    scores: &Scores<'_>,
) -> Result<(), Failure> {
    let json = serde_json::to_vec_pretty(evaluation).map_err(|error| Failure::because("write JSON", &error))?;
    save(&out.join("evaluation.json"), &json)?;
    save(&out.join("scores.csv"), table(&labels.images, outcomes).as_bytes())?;
    let name = format!("{} {}, {}", evaluation.model.name, evaluation.model.version, evaluation.model.finding);
    let curve = RocCurve { name: &name, auroc: evaluation.figures.auroc, points: &roc(&scores.cases) };
    save(&out.join("roc.png"), &drawn::roc(&[curve])?)?;
    save(&out.join("calibration.png"), &drawn::calibration(&name, &evaluation.figures, &scores.cases)?)
}

/// A row for each image: its file, label, probability, and why there is none.
fn table(images: &[LabelledImage], outcomes: &[Outcome]) -> String {
    let mut table = csv::line(&["file", "label", "outcome", "probability", "reason"]);
    for (image, outcome) in images.iter().zip(outcomes) {
        let label = if image.positive { "1" } else { "0" };
        let (word, probability, reason) = match outcome {
            Outcome::Scored { probability, .. } => ("scored", probability.to_string(), ""),
            Outcome::Declined(reason) => ("declined", String::new(), reason.as_str()),
            Outcome::Failed(reason) => ("failed", String::new(), reason.as_str()),
        };
        table.push_str(&csv::line(&[&image.file, label, word, &probability, reason]));
    }
    table
}

pub(crate) fn save(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    fs::write(path, bytes).map_err(|error| Failure::because(&path.display().to_string(), &error))
}

/// A model by its folder or its name in the configuration, ready to look at images.
pub(crate) fn scorer(name: &str, file: &ConfigFile) -> Result<Scorer, Failure> {
    Scorer::new(packages::chosen(name, file)?, file)
}
