//! Two models on the same images.

use dokuei_evaluation::{Case, Figures, INTERVAL, Paired, paired, roc};
use serde::Serialize;

use super::drawn::RocCurve;
use super::labels::Labels;
use super::score::Outcome;
use super::{Evaluated, drawn, figures, finding, save, scored, scorer, words};
use crate::args::Compare;
use crate::config;
use crate::outcome::{self, Failure, line};

/// All that a comparison says, as `comparison.json` has it.
#[derive(Serialize)]
struct Comparison {
    models: [Evaluated; 2],
    /// Images that both scored.
    images: usize,
    /// Images that only the other scored, and that neither did.
    scored_by_one: [usize; 2],
    scored_by_none: usize,
    interval: &'static str,
    auroc: Option<Paired>,
    /// Of the images that both scored.
    figures: [Figures; 2],
}

pub(crate) fn run(arguments: &Compare) -> Result<(), Failure> {
    let [first, second] = arguments.model.as_slice() else {
        return Err(Failure::work("name two models, each with --model"));
    };
    let names = match arguments.finding.as_slice() {
        [] => [None, None],
        [both] => [Some(both.as_str()); 2],
        [first, second] => [Some(first.as_str()), Some(second.as_str())],
        _ => return Err(Failure::work("name one finding for both models, or one for each")),
    };
    let file = config::load(arguments.config.as_deref())?;
    let scorers = [scorer(first, &file)?, scorer(second, &file)?];
    let (first, second) = (finding(&scorers[0].model, names[0])?, finding(&scorers[1].model, names[1])?);
    let labels = Labels::read(&arguments.labelled)?;
    let outcomes = [scorers[0].score(&labels.images, first.0)?, scorers[1].score(&labels.images, second.0)?];
    let (cases, scores) = common(&labels, &outcomes);
    let others: Vec<Case> = cases.iter().zip(&scores).map(|(case, score)| Case { score: *score, ..*case }).collect();
    let count = |wanted: [bool; 2]| {
        let both = outcomes[0].iter().zip(&outcomes[1]);
        both.filter(|(first, second)| [is_scored(first), is_scored(second)] == wanted).count()
    };
    let comparison = Comparison {
        models: [Evaluated::of(&scorers[0].model, first.1), Evaluated::of(&scorers[1].model, second.1)],
        images: cases.len(),
        scored_by_one: [count([true, false]), count([false, true])],
        scored_by_none: count([false, false]),
        interval: INTERVAL,
        auroc: paired(&cases, &scores),
        figures: [figures(first.1, &cases, &[]), figures(second.1, &others, &[])],
    };
    if let Some(out) = &arguments.out {
        std::fs::create_dir_all(out).map_err(|error| Failure::because(&out.display().to_string(), &error))?;
        let json = serde_json::to_vec_pretty(&comparison).map_err(|error| Failure::because("write JSON", &error))?;
        save(&out.join("comparison.json"), &json)?;
        let names = comparison.models.each_ref().map(name);
        let areas = comparison.figures.each_ref().map(|figures| figures.auroc);
        let points = [roc(&cases), roc(&others)];
        let curve = |index: usize| RocCurve { name: &names[index], auroc: areas[index], points: &points[index] };
        save(&out.join("roc.png"), &drawn::roc(&[curve(0), curve(1)])?)?;
    }
    if arguments.json {
        outcome::json(&comparison, true);
    } else {
        show(&comparison);
    }
    Ok(())
}

/// The images that both models scored: cases with the first's score, and the second's scores. Whose an image is both
/// know alike.
fn common(labels: &Labels, outcomes: &[Vec<Outcome>; 2]) -> (Vec<Case>, Vec<f64>) {
    let both = outcomes[0].iter().zip(&outcomes[1]).map(|pair| match pair {
        (Outcome::Scored { probability, patient }, Outcome::Scored { .. }) => {
            Outcome::Scored { probability: *probability, patient: patient.clone() }
        }
        _ => Outcome::Declined(String::new()),
    });
    let both: Vec<Outcome> = both.collect();
    let scores = outcomes[0].iter().zip(&outcomes[1]).filter_map(|pair| match pair {
        (Outcome::Scored { .. }, Outcome::Scored { probability, .. }) => Some(f64::from(*probability)),
        _ => None,
    });
    (scored(&labels.images, &both).cases, scores.collect())
}

fn is_scored(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Scored { .. })
}

fn name(of: &Evaluated) -> String {
    format!("{} {}, {}", of.name, of.version, of.finding)
}

fn show(comparison: &Comparison) {
    let Comparison { models, images, scored_by_one, scored_by_none, auroc, figures, .. } = comparison;
    let [only_first, only_second] = scored_by_one;
    line(format!(
        "{images} images of {} patients scored by both: {} positive, {} negative",
        figures[0].patients, figures[0].positives, figures[0].negatives
    ));
    line(format!(
        "  left out: {only_first} only the first scored, {only_second} only the second, {scored_by_none} neither"
    ));
    for (model, figures) in models.iter().zip(figures) {
        line(format!("  {}: AUROC {}", name(model), words::area(figures.auroc)));
    }
    let Some(auroc) = auroc else { return };
    let interval = match auroc.interval {
        Some([low, high]) => format!("95 % {low:+.3} to {high:+.3}"),
        None => "no interval".to_owned(),
    };
    let p = auroc.p.map(|p| if p < 0.001 { ", p < 0.001".to_owned() } else { format!(", p = {p:.3}") });
    line(format!("  second less first: {:+.3} ({interval}{})", auroc.difference, p.unwrap_or_default()));
}
