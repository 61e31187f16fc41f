//! The Encapsulated PDF: one page that says to a person without a viewer what the report says to a program.
//!
//! Letters are embedded; those of Chinese, Japanese and Korean are not, since their fonts would outweigh all else
//! in an archive: the page names the fonts and encodings that PDF readers bring for them (ISO 32000-1 § 9.7.5.2).

mod fonts;
mod layout;
mod picture;
mod shaping;
mod sheet;
mod words;

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::Dataset;

use crate::capture::SourcePicture;
use crate::codes;
use crate::header::{Basis, Evidence, reference_item};
use crate::tree::code_item;
use crate::{Object, ReportInput, ResultError, Role};

const CLASS: &str = uids::ENCAPSULATED_PDF_STORAGE;

/// The page's picture: which source, and how it looks.
#[derive(Debug, Clone, Copy)]
pub struct PagePicture<'a> {
    /// Position among the input's sources.
    pub source: usize,
    /// The source as a person sees it.
    pub picture: SourcePicture<'a>,
}

/// The Encapsulated PDF (PS3.3 A.45.1) of a result: patient, picture with the outlines, every finding with its
/// certainty and band, model, and limits of use. `intended_use` is the model's own word on the latter.
///
/// # Errors
/// [`ResultError`] when the sources lack identifiers or are not of one study, a finding contradicts itself, or the
/// picture has another size than its buffer.
pub fn result_page(
    input: &ReportInput<'_>,
    shown: Option<PagePicture<'_>>,
    intended_use: &str,
) -> Result<Object, ResultError> {
    let basis = Basis::new(input)?;
    let pdf = layout::page(&basis, shown, intended_use)?;
    let series = basis.uid(&basis.references, &[Role::Pdf.as_str(), "series"]);
    let instance = basis.uid_of_compared(&[Role::Pdf.as_str(), CLASS]);
    let mut data = basis.data_set(CLASS, Role::Pdf, &series, &instance);
    document(&mut data, &basis, pdf);
    Ok(basis.object(data, CLASS, series, instance))
}

/// Encapsulated Document and the type 1 of SC Equipment (PS3.3 C.24.2, C.8.6.1).
fn document(data: &mut Dataset, basis: &Basis<'_>, pdf: Vec<u8>) {
    data.put_text(tags::CONVERSION_TYPE, VR::CS, "WSD");
    data.put_text(tags::ACQUISITION_DATE_TIME, VR::DT, &basis.envelope.time.date_time());
    // The page names the patient.
    data.put_text(tags::BURNED_IN_ANNOTATION, VR::CS, "YES");
    let mut sources: Vec<Dataset> = Vec::new();
    let mut evidence = Evidence::default();
    for reference in basis.references.iter().filter(|reference| evidence.add(reference)) {
        sources.push(reference_item(&reference.whole()));
    }
    data.put_items(tags::SOURCE_INSTANCE_SEQUENCE, sources);
    data.put_text(tags::VERIFICATION_FLAG, VR::CS, "UNVERIFIED");
    data.put_text(tags::DOCUMENT_TITLE, VR::ST, "AI result (unverified)");
    let title = code_item(&codes::IMAGING_MEASUREMENT_REPORT, &basis.envelope.text);
    data.put_items(tags::CONCEPT_NAME_CODE_SEQUENCE, vec![title]);
    data.put_text(tags::MIME_TYPE_OF_ENCAPSULATED_DOCUMENT, VR::LO, "application/pdf");
    data.put_u32(tags::ENCAPSULATED_DOCUMENT_LENGTH, &[u32::try_from(pdf.len()).unwrap_or(u32::MAX)]);
    data.put_bytes(tags::ENCAPSULATED_DOCUMENT, VR::OB, pdf);
}
