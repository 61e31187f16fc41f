//! TID 1600 Image Library, TID 1601 Image Library Entry, TID 1602 Image Library Entry Descriptors.

use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;
use jiff::civil::Date;

use crate::codes::{self, Concept};
use crate::decimal::decimal;
use crate::header::{Basis, Reference};
use crate::taken::date;
use crate::tree::{Item, Relationship, Value};

/// The images that were looked at, in one group, and the one they are compared with in another, which says when it was
/// taken.
pub(super) fn image_library(basis: &Basis<'_>) -> Item {
    let group = || Item::heading(codes::IMAGE_LIBRARY_GROUP, None);
    let entries =
        basis.input.sources.iter().zip(&basis.references).map(|(source, reference)| entry(source.header, reference));
    let earlier = basis.earlier.as_ref().map(|earlier| {
        let header = earlier.prior.header;
        group().with(entry(header, &earlier.reference).with_all(dates(header)))
    });
    Item::heading(codes::IMAGE_LIBRARY, None).with(group().with_all(entries)).with_all(earlier)
}

/// TID 1601. The item is named, which the template leaves open, because viewers need it.
fn entry(header: &Dataset, reference: &Reference) -> Item {
    Item::new(Relationship::Contains, codes::SOURCE, Value::Image(reference.clone())).with_all(descriptors(header))
}

/// TID 1602, as far as the header says.
fn descriptors(header: &Dataset) -> Vec<Item> {
    let item = |name: Concept, value: Value| Item::new(Relationship::HasAcqContext, name, value);
    let mut items = Vec::new();
    if let Some(modality) = header.text(tags::MODALITY).and_then(|term| codes::modality(&term)) {
        items.push(item(codes::MODALITY, Value::Code(modality)));
    }
    for (name, tag) in [(codes::PIXEL_DATA_ROWS, tags::ROWS), (codes::PIXEL_DATA_COLUMNS, tags::COLUMNS)] {
        if let Some(count) = header.int(tag).filter(|count| *count > 0) {
            items.push(item(name, Value::Number { value: count.to_string(), unit: codes::PIXELS }));
        }
    }
    if let [row, column] = header.texts(tags::PATIENT_ORIENTATION).as_slice() {
        let directions = [(codes::PATIENT_ORIENTATION_ROW, row), (codes::PATIENT_ORIENTATION_COLUMN, column)];
        for (name, direction) in directions.into_iter().filter(|(_, direction)| !direction.is_empty()) {
            items.push(item(name, Value::Text(direction.clone())));
        }
    }
    if let Some([vertical, horizontal]) = spacing_mm(header) {
        let spacings = [(codes::HORIZONTAL_PIXEL_SPACING, horizontal), (codes::VERTICAL_PIXEL_SPACING, vertical)];
        for (name, spacing) in spacings {
            items.push(item(name, Value::Number { value: decimal(spacing), unit: codes::MILLIMETRE }));
        }
    }
    items
}

/// TID 1602 rows 4, 6 and 8, as far as the header says.
fn dates(header: &Dataset) -> Vec<Item> {
    let dates = [
        (codes::STUDY_DATE, tags::STUDY_DATE),
        (codes::CONTENT_DATE, tags::CONTENT_DATE),
        (codes::ACQUISITION_DATE, tags::ACQUISITION_DATE),
    ];
    let known = dates.into_iter().filter_map(|(name, tag)| Some((name, date(&header.text(tag)?)?)));
    let item = |(name, date): (Concept, Date)| {
        Item::new(Relationship::HasAcqContext, name, Value::Date(date.strftime("%Y%m%d").to_string()))
    };
    known.map(item).collect()
}

/// Row spacing and column spacing in mm: Pixel Spacing, which may be corrected to the patient, before Imager
/// Pixel Spacing at the detector (PS3.3 10.7.1.3).
pub(crate) fn spacing_mm(header: &Dataset) -> Option<[f64; 2]> {
    [tags::PIXEL_SPACING, tags::IMAGER_PIXEL_SPACING]
        .into_iter()
        .filter_map(|tag| <[f64; 2]>::try_from(header.floats(tag)).ok())
        .find(|spacing| spacing.iter().all(|mm| mm.is_finite() && *mm > 0.0))
}
