use dokuei_dataset::VR;
use dokuei_testkit::mutated;
use dokuei_types::AeTitle;

use super::*;

const CR: &str = uids::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE;
const DOSE: &str = uids::X_RAY_RADIATION_DOSE_SR_STORAGE;

fn known(text: &str) -> Uid {
    Uid::new(text).unwrap()
}

fn named(series: &str, instance: &str) -> NamedImage {
    NamedImage { series: known(series), sop_instance: known(instance) }
}

fn notice(sop_class: &str, dataset: &Dataset, syntax: &str) -> Notice {
    let transfer_syntax = known(syntax);
    Notice {
        calling_ae: AeTitle::new("CR_ROOM_1").unwrap(),
        called_ae: AeTitle::new("DOKUEI").unwrap(),
        peer: ([127, 0, 0, 1], 1).into(),
        sop_class: known(sop_class),
        sop_instance: Some(known("1.2.9")),
        information: information::written(dataset).in_syntax(&transfer_syntax).to_vec(),
        transfer_syntax,
    }
}

fn step(dataset: &Dataset) -> Notice {
    notice(uids::MODALITY_PERFORMED_PROCEDURE_STEP, dataset, uids::EXPLICIT_VR_LITTLE_ENDIAN)
}

fn notification(dataset: &Dataset) -> Notice {
    notice(uids::INSTANCE_AVAILABILITY_NOTIFICATION, dataset, uids::EXPLICIT_VR_LITTLE_ENDIAN)
}

fn item(tag: Tag, value: &str) -> Dataset {
    let mut item = Dataset::new();
    item.put_text(tag, VR::UI, value);
    item
}

/// A step of one study, begun.
fn beginning() -> Dataset {
    let mut dataset = Dataset::new();
    dataset.put_text(tags::PATIENT_NAME, VR::PN, "NOBODY^KEPT");
    dataset.put_text(tags::PERFORMED_PROCEDURE_STEP_STATUS, VR::CS, "IN PROGRESS");
    dataset.put_items(tags::SCHEDULED_STEP_ATTRIBUTES_SEQUENCE, vec![item(tags::STUDY_INSTANCE_UID, "1.2.3")]);
    dataset.put_items(tags::PERFORMED_SERIES_SEQUENCE, vec![]);
    dataset
}

/// The same, completed, with an image in one sequence and a report of dose and an image in the other.
fn ending() -> Dataset {
    let mut series = item(tags::SERIES_INSTANCE_UID, "1.2.3.1");
    series.put_items(tags::REFERENCED_IMAGE_SEQUENCE, vec![information::reference(CR, "1.2.3.1.1")]);
    let others = [information::reference(DOSE, "1.2.3.1.2"), information::reference(CR, "1.2.3.1.3")];
    series.put_items(tags::REFERENCED_NON_IMAGE_COMPOSITE_SOP_INSTANCE_SEQUENCE, others.to_vec());
    let mut dataset = Dataset::new();
    dataset.put_text(tags::PERFORMED_PROCEDURE_STEP_STATUS, VR::CS, "COMPLETED");
    dataset.put_items(tags::PERFORMED_SERIES_SEQUENCE, vec![series]);
    dataset
}

/// A notification of instances with these availabilities.
fn notified(availabilities: &[&str]) -> Dataset {
    let references = availabilities.iter().enumerate().map(|(number, availability)| {
        let mut reference = information::reference(CR, &format!("1.2.3.1.{number}"));
        reference.put_text(tags::INSTANCE_AVAILABILITY, VR::CS, availability);
        reference
    });
    let mut series = item(tags::SERIES_INSTANCE_UID, "1.2.3.1");
    series.put_items(tags::REFERENCED_SOP_SEQUENCE, references.collect());
    let mut dataset = item(tags::STUDY_INSTANCE_UID, "1.2.3");
    dataset.put_items(tags::REFERENCED_SERIES_SEQUENCE, vec![series]);
    dataset
}

#[test]
fn a_step_is_read_in_either_syntax_and_only_its_images_are_named() {
    for syntax in [uids::IMPLICIT_VR_LITTLE_ENDIAN, uids::EXPLICIT_VR_LITTLE_ENDIAN] {
        let read = |dataset: &Dataset| notice(uids::MODALITY_PERFORMED_PROCEDURE_STEP, dataset, syntax);
        let begun = begun(&read(&beginning())).unwrap();
        assert_eq!((begun.studies, begun.images), (vec![known("1.2.3")], vec![]), "{syntax}");
        assert_eq!((begun.kind, begun.progress), (HintKind::Mpps, Progress::InProgress));
        assert_eq!((begun.sop_instance, begun.peer_ae.as_str()), (known("1.2.9"), "CR_ROOM_1"));
        let ended = changed(&read(&ending())).unwrap();
        assert_eq!(ended.progress, Some(Progress::Completed));
        assert_eq!(ended.images.unwrap(), [named("1.2.3.1", "1.2.3.1.1"), named("1.2.3.1", "1.2.3.1.3")]);
    }
    let nothing_new = changed(&step(&item(tags::STUDY_INSTANCE_UID, "1.2.3"))).unwrap();
    assert_eq!(nothing_new, HintUpdate::default(), "what is left out stays");
    let emptied = changed(&step(&beginning())).unwrap();
    assert_eq!((emptied.progress, emptied.images), (Some(Progress::InProgress), Some(vec![])));
}

#[test]
fn a_step_that_breaks_the_rules_is_refused_with_its_status() {
    type Change<'a> = &'a dyn Fn(&mut Dataset);
    let beginning_with = |change: Change<'_>| {
        let mut dataset = beginning();
        change(&mut dataset);
        begun(&step(&dataset)).unwrap_err().status
    };
    let ending_with = |change: Change<'_>| {
        let mut series = ending().items(tags::PERFORMED_SERIES_SEQUENCE)[0].clone();
        change(&mut series);
        let mut dataset = ending();
        dataset.put_items(tags::PERFORMED_SERIES_SEQUENCE, vec![series]);
        changed(&step(&dataset)).unwrap_err().status
    };
    let status = |value: &'static str| {
        move |dataset: &mut Dataset| dataset.put_text(tags::PERFORMED_PROCEDURE_STEP_STATUS, VR::CS, value)
    };
    let (steps, images) = (tags::SCHEDULED_STEP_ATTRIBUTES_SEQUENCE, tags::REFERENCED_IMAGE_SEQUENCE);
    for (found, expected) in [
        (beginning_with(&status("COMPLETED")), DimseStatus::INVALID_ATTRIBUTE_VALUE),
        (beginning_with(&status("BEGUN")), DimseStatus::INVALID_ATTRIBUTE_VALUE),
        (beginning_with(&status("")), DimseStatus::MISSING_ATTRIBUTE_VALUE),
        (beginning_with(&|data| drop(data.remove(STATUS.0))), DimseStatus::MISSING_ATTRIBUTE),
        (beginning_with(&|data| drop(data.remove(steps))), DimseStatus::MISSING_ATTRIBUTE),
        (beginning_with(&|data| data.put_items(steps, vec![])), DimseStatus::MISSING_ATTRIBUTE_VALUE),
        (beginning_with(&|data| data.put_items(steps, vec![Dataset::new()])), DimseStatus::MISSING_ATTRIBUTE),
        (
            beginning_with(&|data| data.put_items(steps, vec![item(tags::STUDY_INSTANCE_UID, "none")])),
            DimseStatus::INVALID_ATTRIBUTE_VALUE,
        ),
        (ending_with(&|data| drop(data.remove(tags::SERIES_INSTANCE_UID))), DimseStatus::MISSING_ATTRIBUTE_VALUE),
        (ending_with(&|data| data.put_items(images, vec![Dataset::new()])), DimseStatus::MISSING_ATTRIBUTE_VALUE),
    ] {
        assert_eq!(found, expected);
    }
    let mut cut_off = step(&beginning());
    cut_off.information.truncate(30);
    assert_eq!(begun(&cut_off).unwrap_err().status, DimseStatus::PROCESSING_FAILURE);
}

#[test]
fn a_notification_names_what_can_be_had_and_what_no_longer_can() {
    let hint = available(&notification(&notified(&["ONLINE", "NEARLINE", "OFFLINE", "UNAVAILABLE"]))).unwrap();
    assert_eq!((hint.kind, hint.progress), (HintKind::Availability, Progress::Completed));
    assert_eq!(hint.studies, [known("1.2.3")]);
    assert_eq!(hint.images, [named("1.2.3.1", "1.2.3.1.0"), named("1.2.3.1", "1.2.3.1.1")]);
    assert_eq!(hint.gone, [known("1.2.3.1.2"), known("1.2.3.1.3")]);

    let unnamed = Notice { sop_instance: None, ..notification(&notified(&["ONLINE"])) };
    assert_ne!(available(&unnamed).unwrap().sop_instance, available(&unnamed).unwrap().sop_instance);
    for (dataset, expected) in [
        (notified(&["HERE"]), DimseStatus::INVALID_ATTRIBUTE_VALUE),
        (notified(&[""]), DimseStatus::MISSING_ATTRIBUTE_VALUE),
        (notified(&[]), DimseStatus::MISSING_ATTRIBUTE_VALUE),
        (item(tags::STUDY_INSTANCE_UID, "1.2.3"), DimseStatus::MISSING_ATTRIBUTE),
        (Dataset::new(), DimseStatus::MISSING_ATTRIBUTE),
    ] {
        assert_eq!(available(&notification(&dataset)).unwrap_err().status, expected);
    }
}

#[test]
fn damaged_messages_get_an_answer_of_the_service() {
    let (implicit, explicit) = (uids::IMPLICIT_VR_LITTLE_ENDIAN, uids::EXPLICIT_VR_LITTLE_ENDIAN);
    let valid = [beginning(), ending(), notified(&["ONLINE", "OFFLINE"])].map(|dataset| information::written(&dataset));
    let valid: Vec<Vec<u8>> = valid.into_iter().flat_map(|written| [written.implicit, written.explicit]).collect();
    let of_the_service = [
        DimseStatus::INVALID_ATTRIBUTE_VALUE,
        DimseStatus::PROCESSING_FAILURE,
        DimseStatus::MISSING_ATTRIBUTE,
        DimseStatus::MISSING_ATTRIBUTE_VALUE,
    ];
    mutated("procedure", &valid, 200, |bytes| {
        for syntax in [implicit, explicit] {
            let notice =
                Notice { information: bytes.to_vec(), transfer_syntax: known(syntax), ..step(&Dataset::new()) };
            let of_hint = |hint: NewHint| hint.images.len();
            let of_update = |update: HintUpdate| update.images.map_or(0, |images| images.len());
            let answers =
                [begun(&notice).map(of_hint), changed(&notice).map(of_update), available(&notice).map(of_hint)];
            for images in answers {
                match images {
                    Ok(images) => assert!(images * 16 <= bytes.len(), "{images} images in {} bytes", bytes.len()),
                    Err(refusal) => assert!(of_the_service.contains(&refusal.status), "{refusal}"),
                }
            }
        }
    });
}

#[test]
fn images_are_told_from_what_goes_elsewhere() {
    for class in
        [CR, uids::ENHANCED_CT_IMAGE_STORAGE, uids::ENHANCED_US_VOLUME_STORAGE, uids::SECONDARY_CAPTURE_IMAGE_STORAGE]
    {
        assert!(is_image(&known(class)), "{class}");
    }
    for class in
        [DOSE, uids::RAW_DATA_STORAGE, uids::GRAYSCALE_SOFTCOPY_PRESENTATION_STATE_STORAGE, "1.2.840.113619.4.26"]
    {
        assert!(!is_image(&known(class)), "{class}");
    }
}
