//! Key Object Selection documents (PS3.3 A.35.4): that the source of a positive result is of interest, and that
//! a result is withdrawn.

use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::Dataset;
use dokuei_types::{Finding, NodeIdentity, Uid, derived_uid};
use jiff::Zoned;

use crate::codes::{self, Concept};
use crate::header::{Basis, Envelope, Evidence, Reference, request};
use crate::templates::{key_object_selection, percent};
use crate::tree::{Item, Value};
use crate::{Object, ObjectReference, ReportInput, ResultError, Role};

const CLASS: &str = uids::KEY_OBJECT_SELECTION_DOCUMENT_STORAGE;

/// The note that frames with a marked finding are of interest (113000, DCM); `None` when there is none.
///
/// It refers to the source alone, which is there whatever else of the result a destination has taken.
///
/// # Errors
/// [`ResultError`] when the sources lack identifiers or are not of one study.
pub fn key_object_note(input: &ReportInput<'_>) -> Result<Option<Object>, ResultError> {
    let basis = Basis::new(input)?;
    let marked = |source: &crate::SourceImage<'_>| source.findings().iter().any(Finding::is_marked);
    let images: Vec<&Reference> = input
        .sources
        .iter()
        .zip(&basis.references)
        .filter(|(source, _)| marked(source))
        .map(|(_, image)| image)
        .collect();
    if images.is_empty() {
        return Ok(None);
    }
    let series = basis.uid(&basis.references, &[Role::Ko.as_str(), "series"]);
    let instance = basis.uid(&basis.references, &[Role::Ko.as_str(), CLASS]);
    let mut data = basis.data_set(CLASS, Role::Ko, &series, &instance);
    let values = images.into_iter().map(|image| Value::Image(image.clone()));
    let tree = key_object_selection(codes::OF_INTEREST, input.node, &description(input), values);
    document(&mut data, &basis.envelope, &tree);
    Ok(Some(basis.object(data, CLASS, series, instance)))
}

/// The marked findings in words, each once, with the highest certainty of any frame.
fn description(input: &ReportInput<'_>) -> String {
    let highest = input.most_certain(Finding::is_marked);
    let findings = highest.iter().map(|finding| {
        let percent = percent(finding.probability, finding.marking_threshold);
        format!("{} {percent} % ({})", finding.concept.meaning, finding.band.as_str())
    });
    let findings = findings.collect::<Vec<_>>().join(", ");
    let model = input.model;
    format!("Flagged by {} {}, not verified, not for diagnosis: {findings}", model.name, model.version)
}

/// Why a result is withdrawn: the document titles of IHE's Imaging Object Change Management among CID 7010.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectReason {
    /// (113001, DCM): the result is wrong or useless.
    Quality,
    /// (113037, DCM): the result endangers the patient, as one of another patient would.
    PatientSafety,
    /// (113038, DCM): the image was acquired under another patient's worklist entry.
    IncorrectWorklistEntry,
}

impl RejectReason {
    fn title(self) -> Concept {
        match self {
            Self::Quality => codes::REJECTED_FOR_QUALITY,
            Self::PatientSafety => codes::REJECTED_FOR_PATIENT_SAFETY,
            Self::IncorrectWorklistEntry => codes::INCORRECT_WORKLIST_ENTRY,
        }
    }

    /// The Code Value (0008,0100) of its document title.
    #[must_use]
    pub fn code_value(self) -> String {
        self.title().value.into_owned()
    }
}

/// A result that is taken back.
#[derive(Debug, Clone, Copy)]
pub struct Withdrawal<'a> {
    /// Header of one of its objects, which patient, study and request are copied from.
    pub object: &'a Dataset,
    /// All its objects, alternatives of one role included: nobody knows which copies went where.
    pub objects: &'a [ObjectReference],
    /// The node that says so.
    pub node: &'a NodeIdentity,
    /// When.
    pub made_at: &'a Zoned,
    /// Why, as a code.
    pub reason: RejectReason,
    /// Why, in words; may be empty.
    pub comment: &'a str,
}

/// The rejection note that withdraws a result (IHE Imaging Object Change Management, on PS3.16 TID 2010).
///
/// # Errors
/// [`ResultError::SourceAttribute`] when the object lacks its Study Instance UID, [`ResultError::NoSource`] when
/// the result has no objects.
pub fn rejection_note(withdrawal: &Withdrawal<'_>) -> Result<Object, ResultError> {
    let Withdrawal { object, objects, node, made_at, reason, comment } = *withdrawal;
    let tag = tags::STUDY_INSTANCE_UID;
    let missing = ResultError::SourceAttribute { source_index: 0, name: "StudyInstanceUID", tag };
    let study = object.uid(tag).ok_or(missing)?;
    if objects.is_empty() {
        return Err(ResultError::NoSource);
    }
    let envelope = Envelope::new(object, node, made_at);
    let title = reason.title();
    let mut parts = vec![Role::Rejection.as_str(), &title.value];
    parts.extend(objects.iter().map(|object| object.sop_instance.as_str()));
    let instance = derived_uid(&parts);
    parts.push("series");
    let series = derived_uid(&parts);
    let description = match comment {
        "" => "The result is withdrawn".to_owned(),
        comment => format!("The result is withdrawn: {comment}"),
    };
    let mut data = envelope.data_set(CLASS, Role::Rejection, &title.meaning.to_lowercase(), &series, &instance);
    let values = objects.iter().map(|object| reference(object, &study));
    let tree = key_object_selection(title, node, &description, values);
    document(&mut data, &envelope, &tree);
    Ok(envelope.object(data, CLASS, series, instance))
}

fn reference(object: &ObjectReference, study: &Uid) -> Value {
    let reference = Reference::of_earlier(object, study);
    const IMAGES: [&str; 2] = [uids::SECONDARY_CAPTURE_IMAGE_STORAGE, uids::SEGMENTATION_STORAGE];
    if IMAGES.contains(&reference.sop_class.as_str()) { Value::Image(reference) } else { Value::Composite(reference) }
}

/// Key Object Document Series, Key Object Document and SR Document Content (PS3.3 C.17.6.1, C.17.6.2, C.17.3).
fn document(data: &mut Dataset, envelope: &Envelope<'_>, tree: &Item) {
    data.put_items(tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE, Vec::new());
    request::put(data, envelope.lead);
    let mut evidence = Evidence::default();
    for reference in tree.references() {
        evidence.add(reference);
    }
    data.put_items(tags::CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE, evidence.by_study());
    tree.put(data, envelope.text);
}
