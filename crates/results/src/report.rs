use dicom_core::VR;
use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;
use dokuei_types::Uid;

use crate::header::{Basis, Evidence, Reference, request};
use crate::templates::imaging_measurement_report;
use crate::{Object, ObjectReference, Outcome, ReportInput, ResultError, Role, SrClass};

/// The Structured Report (PS3.3 A.35.13, A.35.3, A.35.2): the same tree in each class, with a SOP Instance UID
/// of its own.
///
/// `heat_maps[i]` is the secondary capture of `input.sources[i]`; what is missing at the end has none.
///
/// # Errors
/// [`ResultError`] when the sources lack identifiers or are not of one study, or a finding contradicts itself.
pub fn structured_report(
    input: &ReportInput<'_>,
    class: SrClass,
    heat_maps: &[Option<Object>],
) -> Result<Object, ResultError> {
    let basis = Basis::new(input)?;
    let study = basis.references.first().map(|reference| &reference.study).ok_or(ResultError::NoSource)?;
    let heat_maps: Vec<Option<Reference>> = heat_maps
        .iter()
        .take(input.sources.len())
        .map(|object| object.as_ref().map(|object| Reference::of_object(object, study)))
        .collect();
    let tree = imaging_measurement_report(&basis, &heat_maps)?;

    let series = basis.uid(&basis.references, &[Role::Sr.as_str(), "series"]);
    let instance = basis.uid_of_compared(&[Role::Sr.as_str(), class.uid()]);
    let mut data = basis.data_set(class.uid(), Role::Sr, &series, &instance);
    document(&mut data, &basis);
    predecessor(&mut data, input, class, study);

    let (mut evidence, mut other) = (Evidence::default(), Evidence::default());
    for reference in basis.references.iter().chain(tree.references()).chain(heat_maps.iter().flatten()) {
        // No instance is in both (PS3.3 C.17.2.3).
        if reference.study == *study {
            evidence.add(reference)
        } else {
            other.add(reference)
        };
    }
    data.put_items(tags::CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE, evidence.by_study());
    if basis.earlier.is_some() {
        data.put_items(tags::PERTINENT_OTHER_EVIDENCE_SEQUENCE, other.by_study());
    }

    tree.put(&mut data, basis.envelope.text);
    Ok(basis.object(data, class.uid(), series, instance))
}

/// Predecessor Documents Sequence (PS3.3 C.17.2): the report that this one revises, in the same SOP class, since what
/// a destination takes now it took then.
fn predecessor(data: &mut Dataset, input: &ReportInput<'_>, class: SrClass, study: &Uid) {
    let same_class = |object: &&ObjectReference| object.sop_class.as_str() == class.uid();
    if let Some(revised) = input.revises.iter().find(same_class) {
        let mut documents = Evidence::default();
        documents.add(&Reference::of_earlier(revised, study));
        data.put_items(tags::PREDECESSOR_DOCUMENTS_SEQUENCE, documents.by_study());
    }
}

/// SR Document Series and SR Document General (PS3.3 C.17.1, C.17.2). What an algorithm writes is never final
/// and never verified.
fn document(data: &mut Dataset, basis: &Basis<'_>) {
    let gaps = basis.input.sources.iter().filter(|s| !matches!(s.outcome, Outcome::Analysed(_))).count();
    data.put_text(tags::COMPLETION_FLAG, VR::CS, if gaps == 0 { "COMPLETE" } else { "PARTIAL" });
    if gaps > 0 {
        let text = format!("No result for {gaps} of {} images", basis.input.sources.len());
        basis.put(data, tags::COMPLETION_FLAG_DESCRIPTION, VR::LO, &text);
    }
    data.put_text(tags::VERIFICATION_FLAG, VR::CS, "UNVERIFIED");
    data.put_text(tags::PRELIMINARY_FLAG, VR::CS, "PRELIMINARY");
    data.put_items(tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE, Vec::new());
    data.put_items(tags::PERFORMED_PROCEDURE_CODE_SEQUENCE, Vec::new());
    request::put(data, basis.envelope.lead);
}
