//! TID 1500, Measurement Report: the root and its summary.

use dokuei_types::Finding;

use super::tid300::percent;
use super::{tid1001, tid1204, tid1410, tid1501, tid1600};
use crate::codes::{self, Concept};
use crate::header::{Basis, Reference};
use crate::outline::is_located;
use crate::tree::{Item, Relationship, Value};
use crate::{Changed, Comparison, NO_PRIOR, Outcome, ResultError};

/// The whole tree. `heat_maps` has one entry per source.
///
/// # Errors
/// [`ResultError::Region`] and [`ResultError::Probability`]: what a finding holds is not one.
pub(crate) fn imaging_measurement_report(
    basis: &Basis<'_>,
    heat_maps: &[Option<Reference>],
) -> Result<Item, ResultError> {
    let procedure =
        Item::new(Relationship::HasConceptMod, codes::PROCEDURE_REPORTED, Value::Code(codes::IMAGING_PROCEDURE));
    Ok(Item::heading(codes::IMAGING_MEASUREMENT_REPORT, Some("1500"))
        .with(tid1204::language())
        .with_all(tid1001::observer(basis.input.node))
        .with(procedure)
        .with(tid1600::image_library(basis))
        .with(measurements(basis, heat_maps)?)
        .with(evaluations(basis)))
}

/// Row 6. Groups without coordinates come first: a viewer that walks them from the last stops at one that has
/// none.
fn measurements(basis: &Basis<'_>, heat_maps: &[Option<Reference>]) -> Result<Item, ResultError> {
    let mut plain = Vec::new();
    let mut regions = Vec::new();
    for (index, (source, image)) in basis.input.sources.iter().zip(&basis.references).enumerate() {
        let why = match source.outcome {
            Outcome::Analysed(_) => None,
            Outcome::Declined(reason) => Some(format!("The algorithm did not run: {reason}")),
            Outcome::Failed(reason) => Some(format!("The algorithm failed: {reason}")),
        };
        plain.extend(why.map(|why| tid1501::not_analysed(basis, index, image, why)));
        for finding in source.findings() {
            if !(0.0..=1.0).contains(&finding.probability) {
                let (finding, probability) = (finding.name.clone(), finding.probability);
                return Err(ResultError::Probability { finding, probability });
            }
            if is_located(finding) {
                let heat_map = heat_maps.get(index).and_then(Option::as_ref);
                regions.extend(tid1410::regions(basis, index, image, finding, heat_map)?);
            } else {
                plain.push(tid1501::finding(basis, index, image, finding));
            }
        }
    }
    Ok(Item::heading(codes::IMAGING_MEASUREMENTS, None)
        .with_all(plain)
        .with_all(earlier_measurements(basis))
        .with_all(regions))
}

/// What was measured in the earlier image, of each finding that is compared with it.
fn earlier_measurements(basis: &Basis<'_>) -> Vec<Item> {
    let Some(earlier) = &basis.earlier else { return Vec::new() };
    let changed = findings(basis).iter().filter_map(|finding| earlier.changed(finding));
    changed.map(|changed| tid1501::earlier(basis, earlier, changed.before)).collect()
}

/// The findings of the one source that may be compared.
fn findings<'a>(basis: &Basis<'a>) -> &'a [Finding] {
    basis.input.sources.first().map(|source| source.findings()).unwrap_or_default()
}

/// Rows 12 to 14: the outcome of the algorithm, without a statement of absence of disease, and a sentence for
/// readers that show the tree as text.
fn evaluations(basis: &Basis<'_>) -> Item {
    let contains = |name: Concept, value: Value| Item::new(Relationship::Contains, name, value);
    Item::heading(codes::QUALITATIVE_EVALUATIONS, None)
        .with(contains(codes::PROCESSING_SUMMARY, Value::Code(summary(basis))))
        .with_all(changes(basis).into_iter().map(|text| contains(codes::DESCRIPTION_OF_CHANGE, Value::Text(text))))
        .with(contains(codes::COMMENT, Value::Text(comment(basis))))
}

/// A sentence for each finding that is compared.
fn changes(basis: &Basis<'_>) -> Vec<String> {
    let Some(earlier) = &basis.earlier else { return Vec::new() };
    let model = basis.input.model;
    let sentence = |changed: Changed<'_>| {
        format!("{}: {changed} (both by {} {})", changed.before.concept.meaning, model.name, model.version)
    };
    findings(basis).iter().filter_map(|finding| earlier.changed(finding)).map(sentence).collect()
}

/// CID 6047.
fn summary(basis: &Basis<'_>) -> Concept {
    let sources = basis.input.sources;
    let ran = sources.iter().filter(|s| matches!(s.outcome, Outcome::Analysed(_))).count();
    match (ran, basis.is_positive()) {
        (0, _) => codes::NONE_SUCCEEDED,
        (n, true) if n == sources.len() => codes::ALL_WITH_FINDINGS,
        (n, false) if n == sources.len() => codes::ALL_WITHOUT_FINDINGS,
        (_, true) => codes::SOME_WITH_FINDINGS,
        (_, false) => codes::SOME_WITHOUT_FINDINGS,
    }
}

fn comment(basis: &Basis<'_>) -> String {
    let mut text = String::from("Output of an algorithm, not verified by a physician and not a diagnosis.");
    let several = basis.input.sources.len() > 1;
    for (index, source) in basis.input.sources.iter().enumerate() {
        if several {
            text += &format!(" Image {}:", index.saturating_add(1));
        }
        match source.outcome {
            Outcome::Declined(reason) => text += &format!(" The algorithm did not run ({reason})."),
            Outcome::Failed(reason) => text += &format!(" The algorithm failed ({reason})."),
            Outcome::Analysed(findings) => {
                for finding in findings {
                    text += &format!(
                        " {}: certainty {} % ({}), marked from {} %.",
                        finding.concept.meaning,
                        percent(finding.probability, finding.marking_threshold),
                        finding.band.as_str(),
                        percent(finding.marking_threshold, finding.marking_threshold),
                    );
                }
            }
        }
    }
    if matches!(basis.input.comparison, Comparison::NoPrior) {
        text.push(' ');
        text.push_str(NO_PRIOR);
    }
    text
}
