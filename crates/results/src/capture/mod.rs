//! The secondary capture: the source pixel by pixel, with what the model saw drawn over it and a caption below.
//!
//! Order of drawing: the source, the map in the colours of the scale, the outlines of the marked regions, the
//! numbers that tie them to their findings, and below all this the caption with the colour bar. Beside a prior the
//! caption says what was said before.

mod bar;
mod canvas;
mod caption;
mod chart;
mod colour;
mod data_set;
mod language;
mod letters;
mod outline;
mod overlay;

pub use chart::{Chart, Curve, chart_picture};
pub use colour::ColourScale;
pub use language::Language;

use dicom_dictionary_std::tags;
use dokuei_types::Finding;

use crate::header::Basis;
use crate::{Object, ReportInput, ResultError};
use bar::Bar;
use canvas::Canvas;
use caption::Shown;

/// The source as a person sees it, without anything drawn over it.
#[derive(Debug, Clone, Copy)]
pub enum SourcePicture<'a> {
    /// One byte a pixel, row by row, 0 black.
    Gray {
        /// Rows.
        rows: u32,
        /// Columns.
        columns: u32,
        /// `rows * columns` bytes.
        data: &'a [u8],
    },
    /// Three bytes a pixel, row by row, sRGB.
    Rgb {
        /// Rows.
        rows: u32,
        /// Columns.
        columns: u32,
        /// `rows * columns * 3` bytes.
        data: &'a [u8],
    },
}

impl SourcePicture<'_> {
    /// Columns and rows.
    pub(crate) fn size(&self) -> (u32, u32) {
        match *self {
            Self::Gray { rows, columns, .. } | Self::Rgb { rows, columns, .. } => (columns, rows),
        }
    }
}

/// How the picture looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CaptureStyle {
    /// The colours of the map.
    pub scale: ColourScale,
    /// How much of the source a map value of 1 covers, 0 to 1.
    pub opacity: f32,
    /// The language of the caption.
    pub language: Language,
}

impl Default for CaptureStyle {
    fn default() -> Self {
        Self { scale: ColourScale::default(), opacity: 0.5, language: Language::default() }
    }
}

/// A finished picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RgbPicture {
    /// Rows.
    pub rows: u32,
    /// Columns.
    pub columns: u32,
    /// Three bytes a pixel, row by row, sRGB.
    pub data: Vec<u8>,
}

/// The Secondary Capture (PS3.3 A.8.1) of `input.sources[source]`; `None` when nothing in it is marked.
///
/// Its upper left part is the source, `rows * columns` pixels, each in its place; the caption stands below.
///
/// `maps[i]` is the explanation map of the source's `findings()[i]` in source pixels, `rows * columns` values of
/// 0 to 1 row by row, where there is one. Maps of findings that are not marked are not drawn.
///
/// # Errors
/// [`ResultError`] when sizes contradict each other or do not fit an image, or the source lacks identifiers.
pub fn secondary_capture(
    input: &ReportInput<'_>,
    source: usize,
    picture: &SourcePicture<'_>,
    maps: &[Option<&[f32]>],
    style: &CaptureStyle,
) -> Result<Option<Object>, ResultError> {
    let basis = Basis::new(input)?;
    let Some(drawn) = drawn(&basis, source, picture, maps, style)? else { return Ok(None) };
    data_set::secondary_capture(&basis, source, drawn).map(Some)
}

/// The picture of the [`secondary_capture`] without the object around it.
///
/// # Errors
/// As [`secondary_capture`].
pub fn capture_picture(
    input: &ReportInput<'_>,
    source: usize,
    picture: &SourcePicture<'_>,
    maps: &[Option<&[f32]>],
    style: &CaptureStyle,
) -> Result<Option<RgbPicture>, ResultError> {
    drawn(&Basis::new(input)?, source, picture, maps, style)
}

fn drawn(
    basis: &Basis<'_>,
    source: usize,
    picture: &SourcePicture<'_>,
    maps: &[Option<&[f32]>],
    style: &CaptureStyle,
) -> Result<Option<RgbPicture>, ResultError> {
    let image = basis.input.sources.get(source).ok_or(ResultError::NoSource)?;
    let findings = image.findings();
    if !findings.iter().any(Finding::is_marked) {
        return Ok(None);
    }
    let canvas = Canvas::of(picture)?;
    for (tag, what, size) in [(tags::ROWS, "picture", canvas.rows), (tags::COLUMNS, "picture", canvas.columns)] {
        let declared = image.header.int(tag).and_then(|n| u64::try_from(n).ok());
        if let Some(expected) = declared.filter(|n| *n != size as u64) {
            return Err(ResultError::Samples { what, expected, actual: size as u64 });
        }
    }
    draw(canvas, findings, maps, basis, style).map(Some)
}

fn draw(
    mut canvas: Canvas,
    findings: &[Finding],
    maps: &[Option<&[f32]>],
    basis: &Basis<'_>,
    style: &CaptureStyle,
) -> Result<RgbPicture, ResultError> {
    let marked: Vec<(usize, &Finding)> =
        findings.iter().enumerate().filter(|(_, finding)| finding.is_marked()).collect();
    let maps: Vec<&[f32]> = marked.iter().filter_map(|(i, _)| maps.get(*i).copied().flatten()).collect();
    let map = overlay::joined(&maps, canvas.rows * canvas.columns)?;

    let text_size = caption::text_size(&canvas);
    if let Some(map) = &map {
        overlay::blend(&mut canvas, map, style);
    }
    for (number, (_, finding)) in marked.iter().enumerate() {
        for region in &finding.regions {
            outline::draw(&mut canvas, &region.outline, text_size);
            if marked.len() > 1 {
                outline::number(&mut canvas, &region.outline, number + 1, text_size);
            }
        }
    }
    let said = |(_, finding): &(usize, &'_ Finding)| basis.earlier.as_ref()?.changed(finding);
    let shown: Vec<Shown<'_>> = marked.iter().map(|one| Shown { finding: one.1, changed: said(one) }).collect();
    let bar = map.map(|_| Bar { title: style.language.map_title(basis.input.explanation) });
    caption::append(&mut canvas, &shown, basis.input.model, style, bar.as_ref());
    canvas.into_picture()
}
