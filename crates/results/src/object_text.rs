use std::fmt::Write;

use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::Dataset;

use crate::report_text::Reader;

/// What can be told in words of kinds that are made to be looked at (PS3.4 § B.5).
const KINDS: [(&str, &str); 4] = [
    (uids::SECONDARY_CAPTURE_IMAGE_STORAGE, "Secondary Capture"),
    (uids::GRAYSCALE_SOFTCOPY_PRESENTATION_STATE_STORAGE, "Grayscale Softcopy Presentation State"),
    (uids::COLOR_SOFTCOPY_PRESENTATION_STATE_STORAGE, "Color Softcopy Presentation State"),
    (uids::ENCAPSULATED_PDF_STORAGE, "Encapsulated PDF"),
];

/// What objects say of themselves.
const WORDS: [(Tag, &str); 6] = [
    (tags::SERIES_DESCRIPTION, "Series Description"),
    (tags::DOCUMENT_TITLE, "Document Title"),
    (tags::CONTENT_LABEL, "Content Label"),
    (tags::CONTENT_DESCRIPTION, "Content Description"),
    (tags::DERIVATION_DESCRIPTION, "Derivation Description"),
    (tags::IMAGE_COMMENTS, "Image Comments"),
];

/// A secondary capture, presentation state or page in words: whom it is about, by what it was made of which images, what it
/// says of itself, and of a presentation state what is drawn over each image. `None` of any other object.
#[must_use]
pub fn object_text(object: &Dataset) -> Option<String> {
    let class = object.text(tags::SOP_CLASS_UID)?;
    let (_, kind) = KINDS.iter().find(|(uid, _)| *uid == class)?;
    let reader = Reader::of(object);
    let qualification = reader.text(object, tags::CONTENT_QUALIFICATION);
    let qualification = qualification.map(|word| format!(" ({})", word.to_lowercase())).unwrap_or_default();
    let mut out = format!("{kind}{qualification}\n");
    reader.circumstances(object, &mut out);
    let mut tell = |indent: usize, what: &str, text: &str| {
        let text = text.trim_end().replace('\n', "; ");
        // Writing to a String cannot fail.
        writeln!(out, "{:indent$}{what}: {text}", "").ok();
    };
    for (tag, what) in WORDS {
        if let Some(text) = reader.text(object, tag) {
            tell(0, what, &text);
        }
    }
    for equipment in object.items(tags::CONTRIBUTING_EQUIPMENT_SEQUENCE) {
        let purpose = equipment.items(tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE).first();
        let purpose = purpose.map_or_else(|| "Contributing Equipment".to_owned(), |code| reader.code(code));
        let said = [tags::MANUFACTURER, tags::MANUFACTURER_MODEL_NAME, tags::SOFTWARE_VERSIONS];
        let said: Vec<String> = said.into_iter().filter_map(|tag| reader.text(equipment, tag)).collect();
        tell(0, &purpose, &said.join(" "));
    }
    for sources in [tags::SOURCE_IMAGE_SEQUENCE, tags::SOURCE_INSTANCE_SEQUENCE] {
        object.items(sources).iter().for_each(|source| tell(0, "Source", &reader.instance(source)));
    }
    for annotation in object.items(tags::GRAPHIC_ANNOTATION_SEQUENCE) {
        let images = annotation.items(tags::REFERENCED_IMAGE_SEQUENCE);
        images.iter().for_each(|image| tell(0, "Image", &reader.instance(image)));
        for text in annotation.items(tags::TEXT_OBJECT_SEQUENCE) {
            tell(2, "Text", &reader.text(text, tags::UNFORMATTED_TEXT_VALUE).unwrap_or_default());
        }
        for graphic in annotation.items(tags::GRAPHIC_OBJECT_SEQUENCE) {
            tell(2, "Graphic", &reader.coordinates(graphic));
        }
    }
    Some(out)
}
