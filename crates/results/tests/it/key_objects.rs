//! Key object notes: of interest, and withdrawn.

use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::{Dataset, VR};
use dokuei_results::{
    Object, ObjectReference, RejectReason, ResultError, SourceImage, SrClass, Withdrawal, key_object_note,
    presentation_state, rejection_note, structured_report,
};

use crate::fixtures::{self, Setup, children, finding, name_of, read, uid};

fn references(note: &Dataset) -> Vec<(String, String, Option<i64>)> {
    let content = note.items(tags::CONTENT_SEQUENCE).iter();
    content
        .filter_map(|item| {
            let reference = item.items(tags::REFERENCED_SOP_SEQUENCE).first()?;
            assert_eq!(name_of(item), "", "references have no concept name in TID 2010");
            let kind = item.text(tags::VALUE_TYPE)?;
            let instance = reference.text(tags::REFERENCED_SOP_INSTANCE_UID)?;
            Some((kind, instance, reference.int(tags::REFERENCED_FRAME_NUMBER)))
        })
        .collect()
}

fn evidence(note: &Dataset) -> Vec<[String; 3]> {
    let mut found = Vec::new();
    for study in note.items(tags::CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE) {
        for series in study.items(tags::REFERENCED_SERIES_SEQUENCE) {
            for instance in series.items(tags::REFERENCED_SOP_SEQUENCE) {
                found.push([
                    study.text(tags::STUDY_INSTANCE_UID).unwrap(),
                    series.text(tags::SERIES_INSTANCE_UID).unwrap(),
                    instance.text(tags::REFERENCED_SOP_INSTANCE_UID).unwrap(),
                ]);
            }
        }
    }
    found
}

fn title(note: &Dataset) -> [Option<String>; 3] {
    let code = &note.items(tags::CONCEPT_NAME_CODE_SEQUENCE)[0];
    [tags::CODE_VALUE, tags::CODING_SCHEME_DESIGNATOR, tags::CODE_MEANING].map(|tag| code.text(tag))
}

fn said(note: &Dataset) -> String {
    children(note, "113012")[0].text(tags::TEXT_VALUE).unwrap()
}

#[test]
fn a_positive_is_of_interest_and_says_why() {
    let setup = Setup::new();
    let header = fixtures::multi_frame("ko");
    let (found, more) = ([finding("pneumonia", 0.7, 1)], [finding("pneumonia", 0.873, 1), finding("other", 0.1, 0)]);
    let clear = [finding("pneumonia", 0.1, 0)];
    let sources = [
        SourceImage::analysed(&header, Some(1), &found),
        SourceImage::analysed(&header, Some(2), &clear),
        SourceImage::analysed(&header, Some(3), &more),
    ];
    let object = key_object_note(&setup.input(&sources)).unwrap().unwrap();
    assert_eq!(object.sop_class, uid(uids::KEY_OBJECT_SELECTION_DOCUMENT_STORAGE));
    let note = read(&object);
    assert_eq!(title(&note), ["113000", "DCM", "Of Interest"].map(|text| Some(text.to_owned())));
    let source = header.text(tags::SOP_INSTANCE_UID).unwrap();
    let image = |frame| ("IMAGE".to_owned(), source.clone(), Some(frame));
    assert_eq!(references(&note), [image(1), image(3)]);
    let [study, series] = [tags::STUDY_INSTANCE_UID, tags::SERIES_INSTANCE_UID].map(|tag| header.text(tag).unwrap());
    assert_eq!(evidence(&note), [[study, series, source]]);
    let expected = "Flagged by cxr-test 1.4.0, not verified, not for diagnosis: Pneumonia 87.3 % (High)";
    assert_eq!(said(&note), expected);
    for (tag, value) in [(tags::MODALITY, "KO"), (tags::SERIES_NUMBER, "9004"), (tags::ACCESSION_NUMBER, "ACC-0001")] {
        assert_eq!(note.text(tag).as_deref(), Some(value));
    }
    let template = &note.items(tags::CONTENT_TEMPLATE_SEQUENCE)[0];
    assert_eq!(template.text(tags::TEMPLATE_IDENTIFIER).as_deref(), Some("2010"));
    assert_eq!(key_object_note(&setup.input(&sources)).unwrap().unwrap(), object, "the same again");
}

#[test]
fn a_negative_is_not() {
    let header = fixtures::cr("ko-negative");
    let findings = [finding("pneumonia", 0.2, 0)];
    let sources = [SourceImage::analysed(&header, None, &findings)];
    assert_eq!(key_object_note(&Setup::new().input(&sources)).unwrap(), None);
}

/// The objects of a result, as a withdrawal names them.
fn result(setup: &Setup, header: &Dataset) -> Vec<Object> {
    let findings = [finding("pneumonia", 0.9, 1)];
    let sources = [SourceImage::analysed(header, None, &findings)];
    let input = setup.input(&sources);
    let mut objects = SrClass::PREFERENCE.map(|class| structured_report(&input, class, &[]).unwrap()).to_vec();
    objects.extend(presentation_state(&input).unwrap());
    objects
}

fn named(objects: &[Object]) -> Vec<ObjectReference> {
    let named = |object: &Object| ObjectReference {
        sop_class: object.sop_class.clone(),
        sop_instance: object.sop_instance.clone(),
        series_instance: object.series_instance.clone(),
    };
    objects.iter().map(named).collect()
}

#[test]
fn a_rejection_names_every_object_of_the_result() {
    let setup = Setup::new();
    let mut header = fixtures::cr("rejected");
    header.put_text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 100");
    let objects = result(&setup, &header);
    let named = named(&objects);
    let report = read(&objects[0]);
    for (reason, code, meaning) in [
        (RejectReason::Quality, "113001", "Rejected for Quality Reasons"),
        (RejectReason::PatientSafety, "113037", "Rejected for Patient Safety Reasons"),
        (RejectReason::IncorrectWorklistEntry, "113038", "Incorrect Modality Worklist Entry"),
    ] {
        let withdrawal = Withdrawal {
            object: &report,
            objects: &named,
            node: &setup.node,
            made_at: &setup.made_at,
            reason,
            comment: "wrong patient",
        };
        let object = rejection_note(&withdrawal).unwrap();
        assert_eq!(object, rejection_note(&withdrawal).unwrap());
        let note = read(&object);
        assert_eq!(title(&note), [code, "DCM", meaning].map(|text| Some(text.to_owned())));
        assert_eq!(reason.code_value(), code);
        assert_eq!(said(&note), "The result is withdrawn: wrong patient");
        let expected: Vec<_> =
            named.iter().map(|object| ("COMPOSITE".to_owned(), object.sop_instance.to_string(), None)).collect();
        assert_eq!(references(&note), expected);
        let study = header.text(tags::STUDY_INSTANCE_UID).unwrap();
        let expected: Vec<[String; 3]> =
            named.iter().map(|o| [study.clone(), o.series_instance.to_string(), o.sop_instance.to_string()]).collect();
        assert_eq!(evidence(&note), expected);
        // Who and what it is about is the report's, byte for byte.
        for tag in [tags::PATIENT_NAME, tags::PATIENT_ID, tags::STUDY_INSTANCE_UID, tags::SPECIFIC_CHARACTER_SET] {
            assert_eq!(note.bytes(tag), report.bytes(tag), "{tag}");
        }
        let requests = |data: &Dataset| data.items(tags::REFERENCED_REQUEST_SEQUENCE).to_vec();
        assert_eq!(requests(&note), requests(&report));
        assert_eq!(note.text(tags::SERIES_NUMBER).as_deref(), Some("9007"));
        assert!(objects.iter().all(|other| other.series_instance != object.series_instance));
    }
}

#[test]
fn what_cannot_be_withdrawn_is_refused() {
    let setup = Setup::new();
    let header = Dataset::new();
    let mut withdrawal = Withdrawal {
        object: &header,
        objects: &[],
        node: &setup.node,
        made_at: &setup.made_at,
        reason: RejectReason::Quality,
        comment: "",
    };
    let error = rejection_note(&withdrawal).unwrap_err();
    assert!(matches!(error, ResultError::SourceAttribute { tag: tags::STUDY_INSTANCE_UID, .. }), "{error}");
    let header = fixtures::cr("rejected-nothing");
    withdrawal.object = &header;
    assert!(matches!(rejection_note(&withdrawal).unwrap_err(), ResultError::NoSource));
}
