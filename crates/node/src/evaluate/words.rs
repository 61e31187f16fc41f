//! An evaluation as people read it.

use dokuei_evaluation::{Auroc, Figures, Operating, Proportion};

use super::Evaluation;
use crate::outcome::{line, table};

/// Reasons listed; the rest is in the JSON.
const REASONS_MAX: usize = 8;

pub(crate) fn evaluation(evaluation: &Evaluation) {
    let Evaluation { model, images, figures, by, not_scored, worst, .. } = evaluation;
    line(format!("{} {}, finding {}", model.name, model.version, model.finding));
    line(format!("  weights      SHA-256 {}", model.weights_sha256));
    line(format!(
        "  images       {} scored of {} patients: {} positive, {} negative",
        figures.images, figures.patients, figures.positives, figures.negatives
    ));
    line(format!(
        "               {} declined, {} failed, {} without a label, {} left out",
        images.declined, images.failed, images.without_label, images.left_out
    ));
    for entry in not_scored.iter().take(REASONS_MAX) {
        let count = entry.positives + entry.negatives;
        line(format!("               {count} ({} positive) {}: {}", entry.positives, entry.outcome, entry.reason));
    }
    line(format!("  AUROC        {}", area(figures.auroc)));
    for of in &figures.calibration {
        line(format!(
            "  calibration  error {:.3}, Brier {:.3} with {:.0} % positive",
            of.error,
            of.brier,
            of.prevalence * 100.0
        ));
    }
    line("");
    limits(&figures.limits);
    line("");
    bands(figures);
    for (column, groups) in by {
        line("");
        let heading = [column, "images", "positive", "AUROC"].map(str::to_owned).to_vec();
        let row = |(value, of): (&String, &Figures)| {
            vec![value.clone(), of.images.to_string(), of.positives.to_string(), area(of.auroc)]
        };
        table(&std::iter::once(heading).chain(groups.iter().map(row)).collect::<Vec<_>>());
    }
    if !worst.is_empty() {
        line("");
        let heading = ["furthest from its label", "label", "probability", "picture"].map(str::to_owned).to_vec();
        let rows = worst.iter().map(|image| {
            let label = if image.positive { "1" } else { "0" };
            let picture = image.picture.clone().unwrap_or_default();
            vec![image.file.clone(), label.to_owned(), percent(image.probability), picture]
        });
        table(&std::iter::once(heading).chain(rows).collect::<Vec<_>>());
    }
}

fn limits(limits: &[Operating]) {
    let mut heading = ["from", "sensitivity", "specificity", "PPV", "NPV"].map(str::to_owned).to_vec();
    if let Some(first) = limits.first() {
        heading.extend(first.at.iter().map(|at| format!("PPV / NPV at {}", percent(at.prevalence))));
    }
    let row = |of: &Operating| {
        let shares = [of.sensitivity, of.specificity, of.ppv, of.npv].map(share);
        let at = of.at.iter().map(|at| format!("{} / {}", maybe(at.ppv), maybe(at.npv)));
        std::iter::once(percent(of.limit)).chain(shares).chain(at).collect()
    };
    table(&std::iter::once(heading).chain(limits.iter().map(row)).collect::<Vec<_>>());
}

fn bands(figures: &Figures) {
    let mut heading = ["band", "positive", "negative"].map(str::to_owned).to_vec();
    if let Some(first) = figures.limits.first() {
        heading.extend(first.at.iter().map(|at| format!("positive at {}", percent(at.prevalence))));
    }
    let row = |(name, cell): (&str, &dokuei_evaluation::Cell)| {
        let counts = [name.to_owned(), cell.positives.to_string(), cell.negatives.to_string()];
        counts.into_iter().chain(cell.positive_at.iter().map(|share| maybe(*share))).collect()
    };
    let rows = ["Low", "Medium", "High"].into_iter().zip(&figures.bands).map(row);
    table(&std::iter::once(heading).chain(rows).collect::<Vec<_>>());
}

/// An area with its interval.
pub(crate) fn area(auroc: Option<Auroc>) -> String {
    match auroc {
        Some(Auroc { value, interval: Some([low, high]) }) => format!("{value:.3} (95 % {low:.3} to {high:.3})"),
        Some(Auroc { value, interval: None }) => format!("{value:.3} (no interval)"),
        None => "none: a class is missing".to_owned(),
    }
}

fn share(of: Option<Proportion>) -> String {
    let words = |of: Proportion| {
        let [low, high] = of.interval;
        format!("{} ({:.0} to {:.0})", percent(of.value), low * 100.0, high * 100.0)
    };
    of.map_or_else(|| "-".to_owned(), words)
}

fn maybe(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), percent)
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
