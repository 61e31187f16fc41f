//! The Segmentation: the marked regions as bits, one a pixel of the source.

mod bits;
mod groups;
mod plane;
mod segments;

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::Dataset;
use dokuei_types::Finding;

use crate::header::{Basis, Evidence, Reference, anatomy, content, copy_sequence, lossy};
use crate::outline::{self, is_located};
use crate::{Object, ReportInput, ResultError, Role};
use bits::Bits;

const CLASS: &str = uids::SEGMENTATION_STORAGE;

/// Pixels of all frames together: 256 MiB of bits.
const PIXELS_MAX: usize = 1 << 31;

/// One frame: where one finding is in one source.
struct Frame<'a> {
    /// Segment Number (0062,0004).
    segment: u16,
    /// Position among the input's sources.
    index: usize,
    header: &'a Dataset,
    reference: &'a Reference,
    finding: &'a Finding,
}

/// The Segmentation (PS3.3 A.51) of all frames with a marked region, at their own rows and columns: BINARY, a segment for
/// each finding, a frame for each source it is in. `None` when there is no region, or when the frames would have more
/// than 2,147,483,648 pixels together.
///
/// # Errors
/// [`ResultError`] when the sources lack identifiers or a size, are not of one study and size, or a region is none.
pub fn segmentation(input: &ReportInput<'_>) -> Result<Option<Object>, ResultError> {
    let basis = Basis::new(input)?;
    let segments = input.most_certain(is_located);
    let frames = frames(&basis, &segments);
    let Some(first) = frames.first() else { return Ok(None) };
    let [rows, columns] = size(&frames)?;
    let pixels = usize::from(rows).checked_mul(columns.into()).and_then(|pixels| pixels.checked_mul(frames.len()));
    if pixels.is_none_or(|pixels| pixels > PIXELS_MAX) {
        return Ok(None);
    }

    let series = basis.uid(&basis.references, &[Role::Seg.as_str(), "series"]);
    let instance = basis.uid(&basis.references, &[Role::Seg.as_str(), CLASS]);
    let mut data = basis.data_set(CLASS, Role::Seg, &series, &instance);
    anatomy::put_body_part(&mut data, first.header, std::slice::from_ref(first.finding));
    anatomy::put_in_image(&mut data, first.header);
    copy_sequence(first.header, &mut data, tags::REQUEST_ATTRIBUTES_SEQUENCE);
    content::put(&mut data, &basis);
    data.put_text(tags::IMAGE_TYPE, VR::CS, "DERIVED\\PRIMARY");
    lossy::put(&mut data, first.header);
    data.put_text(tags::SEGMENTATION_TYPE, VR::CS, "BINARY");
    data.put_items(tags::SEGMENT_SEQUENCE, segments::items(&basis, &segments, &frames));
    groups::put(&mut data, &basis, &frames);
    let mut evidence = Evidence::default();
    for frame in &frames {
        evidence.add(frame.reference);
    }
    data.put_items(tags::REFERENCED_SERIES_SEQUENCE, evidence.by_series());
    image_pixel(&mut data, [rows, columns], marked(&basis, &frames, [rows, columns])?);
    Ok(Some(basis.object(data, CLASS, series, instance)))
}

/// The frames by segment, then by source.
fn frames<'a>(basis: &'a Basis<'a>, segments: &[&Finding]) -> Vec<Frame<'a>> {
    let mut frames = Vec::new();
    for (segment, most_certain) in (1..).zip(segments) {
        for (index, (source, reference)) in basis.input.sources.iter().zip(&basis.references).enumerate() {
            let here = source.findings().iter().filter(|it| is_located(it) && it.name == most_certain.name);
            frames.extend(here.map(|finding| Frame { segment, index, header: source.header, reference, finding }));
        }
    }
    frames
}

/// Rows and columns, which are the same of all frames of an image.
fn size(frames: &[Frame<'_>]) -> Result<[u16; 2], ResultError> {
    let mut common = None;
    for frame in frames {
        let source_index = frame.index;
        let number = |name, tag| {
            let number = frame.header.int(tag).and_then(|number| u16::try_from(number).ok());
            number.filter(|number| *number > 0).ok_or(ResultError::SourceAttribute { source_index, name, tag })
        };
        let size = [number("Rows", tags::ROWS)?, number("Columns", tags::COLUMNS)?];
        if *common.get_or_insert(size) != size {
            return Err(ResultError::MixedSources { source_index, what: "size" });
        }
    }
    common.ok_or(ResultError::NoSource)
}

/// The pixels of the regions in each frame.
fn marked(basis: &Basis<'_>, frames: &[Frame<'_>], size: [u16; 2]) -> Result<Vec<u8>, ResultError> {
    let mut bits = Bits::new(frames.len(), size);
    for (place, frame) in frames.iter().enumerate() {
        for region in 0..frame.finding.regions.len() {
            bits.fill(place, &outline::of_region(basis, frame.index, frame.finding, region)?);
        }
    }
    Ok(bits.into_bytes())
}

/// Image Pixel (PS3.3 C.7.6.3), with the values that C.8.20.2 asks for.
fn image_pixel(data: &mut Dataset, [rows, columns]: [u16; 2], bits: Vec<u8>) {
    data.put_text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2");
    for (tag, value) in [
        (tags::SAMPLES_PER_PIXEL, 1),
        (tags::ROWS, rows),
        (tags::COLUMNS, columns),
        (tags::BITS_ALLOCATED, 1),
        (tags::BITS_STORED, 1),
        (tags::HIGH_BIT, 0),
        (tags::PIXEL_REPRESENTATION, 0),
    ] {
        data.put_u16(tag, &[value]);
    }
    // The writer pads to even length.
    data.put_bytes(tags::PIXEL_DATA, VR::OB, bits);
}
