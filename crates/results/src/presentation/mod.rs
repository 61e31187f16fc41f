//! The Softcopy Presentation State, of images in grey or in colour: outlines and text that a viewer draws over the
//! original pixels and can take away again.

mod annotation;
mod display;
mod icc_profile;

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::Dataset;
use dokuei_types::Finding;

use crate::header::{Basis, Reference, anatomy, content, reference_item};
use crate::{Object, ReportInput, ResultError, Role};

/// What a state presents; there is a SOP class for each (PS3.3 A.33.1, A.33.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Grayscale,
    /// RGB, or what becomes RGB: YBR and palettes.
    Color,
}

impl Kind {
    /// By Photometric Interpretation (0028,0004); `None` where it is none that a class presents.
    fn of(header: &Dataset) -> Option<Self> {
        match header.text(tags::PHOTOMETRIC_INTERPRETATION)?.as_str() {
            "MONOCHROME1" | "MONOCHROME2" => Some(Self::Grayscale),
            "RGB" | "PALETTE COLOR" => Some(Self::Color),
            other => other.starts_with("YBR_").then_some(Self::Color),
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Grayscale => uids::GRAYSCALE_SOFTCOPY_PRESENTATION_STATE_STORAGE,
            Self::Color => uids::COLOR_SOFTCOPY_PRESENTATION_STATE_STORAGE,
        }
    }
}

/// One frame with something marked in it.
struct Marked<'a> {
    kind: Kind,
    /// Position among the input's sources.
    index: usize,
    header: &'a Dataset,
    reference: &'a Reference,
}

/// The presentation state (PS3.3 A.33.1, A.33.2) of the frames with a marked finding; `None` when there is none. It is of
/// grey or of colour as the first of them: no class presents both.
///
/// # Errors
/// [`ResultError`] when the sources lack identifiers or are not of one study, or a region is none.
pub fn presentation_state(input: &ReportInput<'_>) -> Result<Option<Object>, ResultError> {
    let basis = Basis::new(input)?;
    let sources = input.sources.iter().zip(&basis.references).enumerate();
    let mut marked: Vec<Marked<'_>> = sources
        .filter(|(_, (source, _))| source.findings().iter().any(Finding::is_marked))
        .filter_map(|(index, (source, reference))| {
            let (header, kind) = (source.header, Kind::of(source.header)?);
            Some(Marked { kind, index, header, reference })
        })
        .collect();
    let Some(kind) = marked.first().map(|first| first.kind) else { return Ok(None) };
    marked.retain(|frame| frame.kind == kind);
    let Some(first) = marked.first() else { return Ok(None) };

    let class = kind.class();
    let series = basis.uid(&basis.references, &[Role::Pr.as_str(), "series"]);
    let instance = basis.uid(&basis.references, &[Role::Pr.as_str(), class]);
    let mut data = basis.data_set(class, Role::Pr, &series, &instance);
    let findings = input.sources.get(first.index).map(|source| source.findings()).unwrap_or_default();
    anatomy::put_in_series(&mut data, first.header, findings);
    identification(&mut data, &basis);
    data.put_items(tags::REFERENCED_SERIES_SEQUENCE, referenced_series(&marked));
    display::put(&mut data, kind, &marked);
    annotation::put(&mut data, &basis, &marked)?;
    Ok(Some(basis.object(data, class, series, instance)))
}

/// Presentation State Identification (PS3.3 C.11.10).
fn identification(data: &mut Dataset, basis: &Basis<'_>) {
    data.put_text(tags::PRESENTATION_CREATION_DATE, VR::DA, &basis.envelope.time.date);
    data.put_text(tags::PRESENTATION_CREATION_TIME, VR::TM, &basis.envelope.time.time);
    content::put(data, basis);
}

/// Presentation State Relationship (PS3.3 C.11.11): each series with its images, each image once with the
/// frames that are meant.
fn referenced_series(marked: &[Marked<'_>]) -> Vec<Dataset> {
    let mut series: Vec<(&Reference, Vec<&Marked<'_>>)> = Vec::new();
    for frame in marked {
        match series.iter_mut().find(|(known, _)| known.series == frame.reference.series) {
            Some((_, frames)) => frames.push(frame),
            None => series.push((frame.reference, vec![frame])),
        }
    }
    let item = |(reference, frames): (&Reference, Vec<&Marked<'_>>)| {
        let mut item = Dataset::new();
        item.put_text(tags::SERIES_INSTANCE_UID, VR::UI, reference.series.as_str());
        item.put_items(tags::REFERENCED_IMAGE_SEQUENCE, referenced_images(&frames));
        item
    };
    series.into_iter().map(item).collect()
}

/// Image SOP Instance References (PS3.3 Table 10-3).
fn referenced_images(frames: &[&Marked<'_>]) -> Vec<Dataset> {
    let mut images: Vec<(&Reference, Vec<String>)> = Vec::new();
    for frame in frames {
        let number = frame.reference.frame.map(|number| number.to_string());
        match images.iter_mut().find(|(known, _)| known.sop_instance == frame.reference.sop_instance) {
            Some((_, numbers)) => numbers.extend(number),
            None => images.push((frame.reference, number.into_iter().collect())),
        }
    }
    let item = |(reference, numbers): (&Reference, Vec<String>)| {
        let mut item = reference_item(reference);
        if !numbers.is_empty() {
            item.put_text(tags::REFERENCED_FRAME_NUMBER, VR::IS, &numbers.join("\\"));
        }
        item
    };
    images.into_iter().map(item).collect()
}
