//! What the page says.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;
use dokuei_types::{ContentQualification, Finding};

use super::fonts;
use crate::header::Basis;
use crate::templates::percent;
use crate::{Comparison, NO_PRIOR, Outcome, ResultError};

pub(super) const WARNING: &str = "Output of an algorithm. Not verified by a physician. Not for diagnosis.";
const LIMITS: &str = "The certainty is the algorithm's own and no probability of disease in this patient. A value below \
    the threshold does not exclude the finding, and nothing is said of findings that are not listed. Outlines show where \
    the algorithm's response was strongest, not the extent of a lesion.";
const NOT_SHOWN: &str = "(in a script that this page has no letters for)";

/// A label and what stands beside it.
pub(super) struct Field {
    pub(super) label: &'static str,
    pub(super) value: String,
}

/// What is said of one finding or image.
pub(super) struct Line {
    /// The number of a marked finding, as it stands beside its outlines.
    pub(super) number: Option<usize>,
    pub(super) text: String,
}

/// Whom and what the page is about.
pub(super) fn subject(header: &Dataset) -> Vec<Field> {
    let text = |tag| shown(header.text(tag));
    let date = |tag| header.text(tag).map(|date| dashed(&date)).unwrap_or_else(|| "-".to_owned());
    let issuer = header.text(tags::ISSUER_OF_PATIENT_ID).filter(|text| fonts::can_write(text));
    let issuer = issuer.map(|issuer| format!(" ({issuer})")).unwrap_or_default();
    let field = |label, value| Field { label, value };
    vec![
        field("Patient", name(header.text(tags::PATIENT_NAME))),
        field("Patient ID", text(tags::PATIENT_ID) + &issuer),
        field("Born, sex", format!("{}, {}", date(tags::PATIENT_BIRTH_DATE), text(tags::PATIENT_SEX))),
        field("Study", format!("{}, {}", date(tags::STUDY_DATE), text(tags::STUDY_DESCRIPTION))),
        field("Accession", text(tags::ACCESSION_NUMBER)),
    ]
}

/// Everything of the source that is shown, for the choice of a font.
pub(super) fn source_text(header: &Dataset) -> String {
    const SHOWN: [Tag; 5] = [
        tags::PATIENT_NAME,
        tags::PATIENT_ID,
        tags::ISSUER_OF_PATIENT_ID,
        tags::STUDY_DESCRIPTION,
        tags::ACCESSION_NUMBER,
    ];
    SHOWN.into_iter().filter_map(|tag| header.text(tag)).collect()
}

/// The groups of a person's name (PS3.5 § 6.2.1.1) that can be shown, each with spaces between its parts.
fn name(value: Option<String>) -> String {
    let Some(value) = value else { return "-".to_owned() };
    let groups =
        value.split('=').map(|group| group.split('^').filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" "));
    let groups: Vec<String> = groups.filter(|group| !group.is_empty() && fonts::can_write(group)).collect();
    if groups.is_empty() { NOT_SHOWN.to_owned() } else { groups.join("   ") }
}

fn shown(value: Option<String>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if fonts::can_write(&value) => value,
        Some(_) => NOT_SHOWN.to_owned(),
    }
}

/// DA with dashes; anything else as it is.
fn dashed(date: &str) -> String {
    match (date.get(..4), date.get(4..6), date.get(6..8)) {
        (Some(year), Some(month), Some(day)) if date.len() == 8 => format!("{year}-{month}-{day}"),
        _ => date.to_owned(),
    }
}

/// One line a finding, or for a source without any why not.
///
/// # Errors
/// [`ResultError::Probability`]: a probability that is none.
pub(super) fn findings(basis: &Basis<'_>) -> Result<Vec<Line>, ResultError> {
    let sources = basis.input.sources;
    let mut lines = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        let place = match source.frame {
            Some(frame) => format!("Frame {frame}: "),
            None if sources.len() > 1 => format!("Image {}: ", index + 1),
            None => String::new(),
        };
        let line = |number, text: String| Line { number, text: format!("{place}{text}") };
        match source.outcome {
            Outcome::Declined(reason) => lines.push(line(None, format!("the algorithm did not run ({reason})"))),
            Outcome::Failed(reason) => lines.push(line(None, format!("the algorithm failed ({reason})"))),
            Outcome::Analysed(findings) => {
                let mut marked = 0;
                for finding in findings {
                    marked += usize::from(finding.is_marked());
                    lines.push(line(finding.is_marked().then_some(marked), verdict(finding)?));
                    let changed = basis.earlier.as_ref().and_then(|earlier| earlier.changed(finding));
                    lines.extend(changed.map(|changed| Line { number: None, text: format!("    earlier {changed}") }));
                }
            }
        }
    }
    if matches!(basis.input.comparison, Comparison::NoPrior) {
        lines.push(Line { number: None, text: NO_PRIOR.to_owned() });
    }
    Ok(lines)
}

/// Name, certainty, band and threshold of a finding.
fn verdict(finding: &Finding) -> Result<String, ResultError> {
    if !(0.0..=1.0).contains(&finding.probability) {
        let (finding, probability) = (finding.name.clone(), finding.probability);
        return Err(ResultError::Probability { finding, probability });
    }
    let name =
        [&finding.concept.meaning, &finding.name].into_iter().find(|text| !text.is_empty() && fonts::can_write(text));
    let certainty = percent(finding.probability, finding.marking_threshold);
    let threshold = percent(finding.marking_threshold, finding.marking_threshold);
    let marked = match (finding.is_marked(), finding.regions.len()) {
        (false, _) => "not marked".to_owned(),
        (true, 0) => "marked, without a region".to_owned(),
        (true, 1) => "1 region marked".to_owned(),
        (true, regions) => format!("{regions} regions marked"),
    };
    Ok(format!(
        "{} {certainty} %, {} ({marked}, threshold {threshold} %)",
        name.map_or("Finding", String::as_str),
        finding.band.as_str(),
    ))
}

/// Who says it, and when.
pub(super) fn makers(basis: &Basis<'_>) -> Vec<Field> {
    let (model, node, time) = (basis.input.model, basis.input.node, &basis.envelope.time);
    let vendor = if model.vendor.is_empty() { String::new() } else { format!(", {}", model.vendor) };
    let qualification = match model.qualification {
        ContentQualification::Product => "product",
        ContentQualification::Research => "for research",
    };
    let digest: String = model.weights_sha256.chars().take(16).collect();
    let algorithm = format!("{} {}{vendor}, {qualification}", model.name, model.version);
    let clock = |range| time.time.get(range).unwrap_or_default();
    let at = format!("{} {}:{}:{}", dashed(&time.date), clock(0..2), clock(2..4), clock(4..6));
    let zone = time.offset.as_ref().map(|offset| format!(" {offset}")).unwrap_or_default();
    let field = |label, value| Field { label, value: shown(Some(value)) };
    vec![
        field("Algorithm", algorithm),
        field("Weights", format!("SHA-256 {digest}...")),
        field("Made", format!("{at}{zone} by {} {} ({})", node.model_name, node.software_version, node.ae_title)),
    ]
}

/// What the result may be used for.
pub(super) fn limits(intended_use: &str) -> Vec<String> {
    let own = Some(intended_use.trim()).filter(|text| !text.is_empty() && fonts::can_write(text));
    own.map(|text| format!("Intended use: {text}")).into_iter().chain([LIMITS.to_owned()]).collect()
}
