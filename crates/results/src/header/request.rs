use dicom_core::VR;
use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;

use super::copy::{codes, public};
use super::{copy, copy_or_empty, copy_sequence};

/// Referenced Request Sequence (PS3.3 C.17.2): an item for each request the source names, or one for its
/// accession number; absent where there is neither.
pub(crate) fn put(data: &mut Dataset, source: &Dataset) {
    let requests = items(source);
    if !requests.is_empty() {
        data.put_items(tags::REFERENCED_REQUEST_SEQUENCE, requests);
    }
}

fn items(source: &Dataset) -> Vec<Dataset> {
    // Documents, such as our own, have the first, images the second.
    let sequences = [tags::REFERENCED_REQUEST_SEQUENCE, tags::REQUEST_ATTRIBUTES_SEQUENCE];
    let requests =
        sequences.into_iter().map(|tag| source.items(tag)).find(|items| !items.is_empty()).unwrap_or_default();
    if requests.is_empty() {
        if source.text(tags::ACCESSION_NUMBER).is_none() {
            return Vec::new();
        }
        return vec![item(source, &Dataset::new())];
    }
    requests.iter().map(|request| item(source, request)).collect()
}

/// What the request itself says goes before what the study says.
fn item(source: &Dataset, request: &Dataset) -> Dataset {
    let mut item = Dataset::new();
    let study = request.uid(tags::STUDY_INSTANCE_UID).or_else(|| source.uid(tags::STUDY_INSTANCE_UID));
    if let Some(study) = study {
        item.put_text(tags::STUDY_INSTANCE_UID, VR::UI, study.as_str());
    }
    item.put_items(tags::REFERENCED_STUDY_SEQUENCE, public(request.items(tags::REFERENCED_STUDY_SEQUENCE)));
    let accession = if request.text(tags::ACCESSION_NUMBER).is_some() { request } else { source };
    copy_or_empty(accession, &mut item, tags::ACCESSION_NUMBER, VR::SH);
    copy_sequence(accession, &mut item, tags::ISSUER_OF_ACCESSION_NUMBER_SEQUENCE);
    for tag in [tags::PLACER_ORDER_NUMBER_IMAGING_SERVICE_REQUEST, tags::FILLER_ORDER_NUMBER_IMAGING_SERVICE_REQUEST] {
        copy_or_empty(request, &mut item, tag, VR::LO);
    }
    copy_or_empty(request, &mut item, tags::REQUESTED_PROCEDURE_ID, VR::SH);
    copy_or_empty(request, &mut item, tags::REQUESTED_PROCEDURE_DESCRIPTION, VR::LO);
    item.put_items(
        tags::REQUESTED_PROCEDURE_CODE_SEQUENCE,
        codes(request.items(tags::REQUESTED_PROCEDURE_CODE_SEQUENCE)),
    );
    copy(request, &mut item, tags::REASON_FOR_THE_REQUESTED_PROCEDURE, VR::LO);
    item
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accession_number_alone_makes_a_request_and_nothing_makes_none() {
        let mut source = Dataset::new();
        assert!(items(&source).is_empty());
        source.put_text(tags::STUDY_INSTANCE_UID, VR::UI, "1.2");
        source.put_text(tags::ACCESSION_NUMBER, VR::SH, "A1");
        let [item] = items(&source).try_into().unwrap();
        assert_eq!(item.text(tags::ACCESSION_NUMBER).as_deref(), Some("A1"));
        assert_eq!(item.bytes(tags::REQUESTED_PROCEDURE_ID), Some(&b""[..]));
    }

    #[test]
    fn every_request_of_the_source_is_named() {
        let mut first = Dataset::new();
        first.put_text(tags::REQUESTED_PROCEDURE_ID, VR::SH, "P1");
        let mut second = Dataset::new();
        second.put_text(tags::REQUESTED_PROCEDURE_ID, VR::SH, "P2");
        second.put_text(tags::ACCESSION_NUMBER, VR::SH, "A2");
        let mut source = Dataset::new();
        source.put_text(tags::ACCESSION_NUMBER, VR::SH, "A1");
        source.put_items(tags::REQUEST_ATTRIBUTES_SEQUENCE, vec![first, second]);
        let accessions: Vec<_> = items(&source).iter().map(|item| item.text(tags::ACCESSION_NUMBER).unwrap()).collect();
        assert_eq!(accessions, ["A1", "A2"]);
    }
}
