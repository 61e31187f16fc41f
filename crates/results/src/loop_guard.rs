//! Which objects are results already, so that a PACS which forwards all it has makes no loop.

use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::{Dataset, IMPLEMENTATION_CLASS_UID, Tag};

use crate::codes::{self, Concept};

/// Whether a Dokuei node wrote the object: this one or another, of any release.
///
/// It goes by Manufacturer's Device Class UID (0018,100B), which every result has and no image that a node
/// only passed on.
#[must_use]
pub fn written_by_us(header: &Dataset) -> bool {
    header.texts(tags::MANUFACTURER_DEVICE_CLASS_UID).iter().any(|uid| uid == IMPLEMENTATION_CLASS_UID)
}

/// Whether the object is an algorithm's output rather than something an algorithm could look at.
///
/// It goes by what an object says of itself, and takes an image for an image in doubt: radiographs of real
/// patients come as Secondary Capture, and `DERIVED` is said of every one that a detector has processed.
#[must_use]
pub fn made_by_algorithm(header: &Dataset) -> bool {
    written_by_us(header)
        || is_result_class(header)
        || has_algorithm_observer(header)
        || is_explanation_map(header)
        || is_processed_copy(header)
        || is_processed_document(header)
}

/// SOP classes that hold the output of processing whoever made it: segmentations, parametric maps, CAD reports.
fn is_result_class(header: &Dataset) -> bool {
    const CLASSES: [&str; 8] = [
        uids::SEGMENTATION_STORAGE,
        uids::LABEL_MAP_SEGMENTATION_STORAGE,
        uids::HEIGHT_MAP_SEGMENTATION_STORAGE,
        uids::SURFACE_SEGMENTATION_STORAGE,
        uids::PARAMETRIC_MAP_STORAGE,
        uids::CHEST_CADSR_STORAGE,
        uids::MAMMOGRAPHY_CADSR_STORAGE,
        uids::COLON_CADSR_STORAGE,
    ];
    header.uid(tags::SOP_CLASS_UID).is_some_and(|class| CLASSES.contains(&class.as_str()))
}

/// A report or key object note whose observer is a device or that names its algorithm (PS3.16 TID 1002, 4019).
fn has_algorithm_observer(header: &Dataset) -> bool {
    let mut rest: Vec<&Dataset> = header.items(tags::CONTENT_SEQUENCE).iter().collect();
    while let Some(item) = rest.pop() {
        let named = |tag, concept: &Concept| item.items(tag).iter().any(|code| is_code(code, concept));
        if named(tags::CONCEPT_NAME_CODE_SEQUENCE, &codes::ALGORITHM_NAME)
            || named(tags::CONCEPT_NAME_CODE_SEQUENCE, &codes::OBSERVER_TYPE)
                && named(tags::CONCEPT_CODE_SEQUENCE, &codes::DEVICE)
        {
            return true;
        }
        rest.extend(item.items(tags::CONTENT_SEQUENCE));
    }
    false
}

/// A picture derived by explaining a network (PS3.16 CID 217).
fn is_explanation_map(header: &Dataset) -> bool {
    const MAPS: [&Concept; 3] = [&codes::CLASS_ACTIVATION, &codes::GRADIENT_CLASS_ACTIVATION, &codes::SALIENCY];
    header.items(tags::DERIVATION_CODE_SEQUENCE).iter().any(|code| is_one_of(code, &MAPS))
}

/// An image made from other images by a piece of processing equipment, as IHE's AI Results profile has it say:
/// derived, not from the examination, and by whom or from what. Each alone is said of ordinary radiographs.
fn is_processed_copy(header: &Dataset) -> bool {
    let kind = header.texts(tags::IMAGE_TYPE);
    let secondary = matches!(kind.as_slice(), [first, second, ..] if first == "DERIVED" && second == "SECONDARY");
    let is_other = header.text(tags::MODALITY).is_some_and(|modality| modality == "OT");
    secondary
        && (has_purpose(header, tags::CONTRIBUTING_EQUIPMENT_SEQUENCE, &codes::PROCESSING_EQUIPMENT)
            || is_other && has_purpose(header, tags::SOURCE_IMAGE_SEQUENCE, &codes::SOURCE_FOR_PROCESSING))
}

/// A presentation state or an encapsulated document that names processing equipment among its makers: radiographs
/// do so too, these only when an algorithm has a part in them.
fn is_processed_document(header: &Dataset) -> bool {
    const CLASSES: [&str; 3] = [
        uids::GRAYSCALE_SOFTCOPY_PRESENTATION_STATE_STORAGE,
        uids::COLOR_SOFTCOPY_PRESENTATION_STATE_STORAGE,
        uids::ENCAPSULATED_PDF_STORAGE,
    ];
    header.uid(tags::SOP_CLASS_UID).is_some_and(|class| CLASSES.contains(&class.as_str()))
        && has_purpose(header, tags::CONTRIBUTING_EQUIPMENT_SEQUENCE, &codes::PROCESSING_EQUIPMENT)
}

/// Whether an item of a sequence has this purpose of reference.
fn has_purpose(header: &Dataset, sequence: Tag, concept: &Concept) -> bool {
    let mut items = header.items(sequence).iter();
    items.any(|item| item.items(tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE).iter().any(|code| is_code(code, concept)))
}

fn is_code(item: &Dataset, concept: &Concept) -> bool {
    is_one_of(item, &[concept])
}

fn is_one_of(item: &Dataset, concepts: &[&Concept]) -> bool {
    let text = |tag| item.text(tag).unwrap_or_default();
    let (value, scheme) = (text(tags::CODE_VALUE), text(tags::CODING_SCHEME_DESIGNATOR));
    concepts.iter().any(|concept| concept.is(&value, &scheme))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::OwnText;
    use crate::tree::code_item;
    use dokuei_dataset::VR;

    fn coded(concept: &Concept) -> Dataset {
        code_item(concept, &OwnText::of(&Dataset::new()))
    }

    fn image(class: &str, modality: &str, kind: &str) -> Dataset {
        let mut header = Dataset::new();
        header.put_text(tags::SOP_CLASS_UID, VR::UI, class);
        header.put_text(tags::MODALITY, VR::CS, modality);
        header.put_text(tags::IMAGE_TYPE, VR::CS, kind);
        header
    }

    fn with_purpose(mut header: Dataset, tag: dokuei_dataset::Tag, purpose: &Concept) -> Dataset {
        let mut item = Dataset::new();
        item.put_items(tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE, vec![coded(purpose)]);
        header.put_items(tag, vec![item]);
        header
    }

    #[test]
    fn radiographs_in_every_guise_are_images() {
        let sc = uids::SECONDARY_CAPTURE_IMAGE_STORAGE;
        let cr = uids::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE;
        let dx = uids::DIGITAL_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION;
        let contributing = tags::CONTRIBUTING_EQUIPMENT_SEQUENCE;
        let compressed = Concept::from(&dokuei_types::Code::new("121320", "DCM", "Uncompressed predecessor"));
        for header in [
            image(sc, "CR", ""),
            image(sc, "CR", "DERIVED\\SECONDARY"),
            image(sc, "OT", "DERIVED\\SECONDARY"),
            image(cr, "CR", "ORIGINAL\\PRIMARY"),
            with_purpose(image(dx, "DX", "DERIVED\\PRIMARY"), contributing, &codes::PROCESSING_EQUIPMENT),
            with_purpose(image(sc, "OT", "DERIVED\\SECONDARY"), tags::SOURCE_IMAGE_SEQUENCE, &compressed),
        ] {
            assert!(!made_by_algorithm(&header), "{header:?}");
        }
    }

    #[test]
    fn results_of_other_algorithms_are_not() {
        let sc = uids::SECONDARY_CAPTURE_IMAGE_STORAGE;
        let contributing = tags::CONTRIBUTING_EQUIPMENT_SEQUENCE;
        let overlay = with_purpose(image(sc, "CR", "DERIVED\\SECONDARY"), contributing, &codes::PROCESSING_EQUIPMENT);
        let from_image = with_purpose(
            image(sc, "OT", "DERIVED\\SECONDARY"),
            tags::SOURCE_IMAGE_SEQUENCE,
            &codes::SOURCE_FOR_PROCESSING,
        );
        let mut saliency = image(sc, "OT", "DERIVED\\SECONDARY");
        saliency.put_items(tags::DERIVATION_CODE_SEQUENCE, vec![coded(&codes::SALIENCY)]);
        let mut device = Dataset::new();
        device.put_items(tags::CONCEPT_NAME_CODE_SEQUENCE, vec![coded(&codes::OBSERVER_TYPE)]);
        device.put_items(tags::CONCEPT_CODE_SEQUENCE, vec![coded(&codes::DEVICE)]);
        let mut report = image(uids::ENHANCED_SR_STORAGE, "SR", "");
        report.put_items(tags::CONTENT_SEQUENCE, vec![device]);
        let segmentation = image(uids::SEGMENTATION_STORAGE, "SEG", "DERIVED\\PRIMARY");
        for header in [overlay, from_image, saliency, report, segmentation] {
            assert!(made_by_algorithm(&header), "{header:?}");
            assert!(!written_by_us(&header));
        }
    }
}
