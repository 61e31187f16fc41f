//! Where things stand on the page: what it is, whom it is about, the picture, the findings, who says so. What is
//! said takes the place it needs, up to a limit; the picture has the rest.

use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;

use super::fonts::{self, Script};
use super::sheet::{HEIGHT, Ink, Sheet, WIDTH};
use super::words::{self, Field, Line};
use super::{PagePicture, picture};
use crate::ResultError;
use crate::header::Basis;
use crate::outline::{self, Outline};
use crate::templates::spacing_mm;

const MARGIN: f32 = 44.0;
const INNER: f32 = WIDTH - 2.0 * MARGIN;
/// Where values stand beside their labels.
const VALUES: f32 = MARGIN + 70.0;
const SIZE: f32 = 9.5;
const LEADING: f32 = 14.0;
/// Findings listed at most; a report has all of them.
const LINES_MAX: usize = 14;

const BLACK: Ink = [0.0; 3];
const WHITE: Ink = [1.0; 3];
const GREY: Ink = [0.42; 3];
const AMBER: Ink = [1.0, 0.9, 0.7];

pub(super) fn page(
    basis: &Basis<'_>,
    shown: Option<PagePicture<'_>>,
    intended_use: &str,
) -> Result<Vec<u8>, ResultError> {
    let header = basis.envelope.lead;
    let character_set = header.text(tags::SPECIFIC_CHARACTER_SET).unwrap_or_default();
    let mut sheet = Sheet::new(Script::of(&words::source_text(header), &character_set));

    sheet.text([MARGIN, 60.0], 18.0, BLACK, "AI result");
    sheet.fill([MARGIN, 72.0], [INNER, 22.0], AMBER);
    sheet.text([MARGIN + 8.0, 87.0], 10.5, BLACK, words::WARNING);
    let top = fields(&mut sheet, 116.0, &words::subject(header));

    let foot = Foot::new(basis, intended_use)?;
    let bottom = HEIGHT - MARGIN - foot.height();
    if let Some(shown) = shown {
        pictured(&mut sheet, basis, shown, [top + 2.0, bottom - 16.0])?;
    }
    foot.write(&mut sheet, bottom);
    Ok(sheet.finish("AI result (unverified)"))
}

/// Labels and values, a line each; where the next line would begin.
fn fields(sheet: &mut Sheet, mut y: f32, fields: &[Field]) -> f32 {
    for Field { label, value } in fields {
        sheet.text([MARGIN, y], SIZE, GREY, label);
        sheet.text([VALUES, y], SIZE, BLACK, &fitted(value, WIDTH - MARGIN - VALUES, SIZE));
        y += LEADING;
    }
    y
}

/// What stands below the picture.
struct Foot {
    findings: Vec<Line>,
    makers: Vec<Field>,
    limits: Vec<String>,
}

const SMALL: f32 = 8.0;
const SMALL_LEADING: f32 = 10.5;

impl Foot {
    fn new(basis: &Basis<'_>, intended_use: &str) -> Result<Self, ResultError> {
        let mut findings = words::findings(basis)?;
        if findings.len() > LINES_MAX {
            let more = findings.len() - LINES_MAX + 1;
            findings.truncate(LINES_MAX - 1);
            findings.push(Line { number: None, text: format!("and {more} more, in the report") });
        }
        let limits = words::limits(intended_use).iter().flat_map(|text| wrapped(text, INNER, SMALL)).collect();
        Ok(Self { findings, makers: words::makers(basis), limits })
    }

    fn height(&self) -> f32 {
        let lines = (self.findings.len() + self.makers.len()) as f32;
        lines * LEADING + 10.0 + self.limits.len() as f32 * SMALL_LEADING
    }

    fn write(self, sheet: &mut Sheet, mut y: f32) {
        for Line { number, text } in &self.findings {
            let x = match number {
                Some(number) => {
                    badge(sheet, [MARGIN + 6.0, y - 3.5], *number);
                    MARGIN + 18.0
                }
                None => MARGIN,
            };
            sheet.text([x, y], SIZE, BLACK, &fitted(text, WIDTH - MARGIN - x, SIZE));
            y += LEADING;
        }
        y = fields(sheet, y + 4.0, &self.makers) + 2.0;
        for line in &self.limits {
            sheet.text([MARGIN, y], SMALL, GREY, line);
            y += SMALL_LEADING;
        }
    }
}

/// The picture with its outlines between two heights, as its pixels are in the patient: not always square.
fn pictured(
    sheet: &mut Sheet,
    basis: &Basis<'_>,
    shown: PagePicture<'_>,
    [top, bottom]: [f32; 2],
) -> Result<(), ResultError> {
    let source = basis.input.sources.get(shown.source).ok_or(ResultError::NoSource)?;
    let (columns, rows) = shown.picture.size();
    let reduced = picture::reduce(&shown.picture)?;
    let aspect = columns as f32 / rows as f32 / pixel_height(source.header);
    let height = (bottom - top).min(INNER / aspect).max(1.0);
    let width = height * aspect;
    let left = (WIDTH - width) / 2.0;
    sheet.picture([left, top], [width, height], reduced);

    let on_page = |outline: &Outline| -> Outline {
        let place = |[x, y]: &[f32; 2]| [left + x / columns as f32 * width, top + y / rows as f32 * height];
        outline.iter().map(place).collect()
    };
    let marked = source.findings().iter().filter(|finding| finding.is_marked());
    for (number, finding) in marked.enumerate() {
        for region in 0..finding.regions.len() {
            let outline = on_page(&outline::of_region(basis, shown.source, finding, region)?);
            sheet.outline(&outline, 2.6, BLACK);
            sheet.outline(&outline, 1.1, WHITE);
            let (corner, _) = outline::corners(&outline);
            badge(sheet, corner, number + 1);
        }
    }
    if let Some(frame) = source.frame {
        sheet.text([left, top + height + 10.0], SMALL, GREY, &format!("Frame {frame}"));
    }
    Ok(())
}

/// How high a pixel is for its width.
#[expect(clippy::cast_possible_truncation, reason = "a ratio near 1, for drawing")]
fn pixel_height(header: &Dataset) -> f32 {
    let ratio = match (spacing_mm(header), header.ints(tags::PIXEL_ASPECT_RATIO).as_slice()) {
        (Some([vertical, horizontal]), _) => vertical / horizontal,
        (None, [vertical, horizontal]) if *vertical > 0 && *horizontal > 0 => *vertical as f64 / *horizontal as f64,
        _ => 1.0,
    };
    // What no detector has is a mistake of the header.
    if (0.1..=10.0).contains(&ratio) { ratio as f32 } else { 1.0 }
}

/// A number in a dark box around a place.
fn badge(sheet: &mut Sheet, [x, y]: [f32; 2], number: usize) {
    let text = number.to_string();
    let width = fonts::width(&text) * SMALL + 6.0;
    sheet.fill([x - width / 2.0 - 0.6, y - 6.1], [width + 1.2, 12.2], WHITE);
    sheet.fill([x - width / 2.0, y - 5.5], [width, 11.0], BLACK);
    sheet.text([x - width / 2.0 + 3.0, y + 2.9], SMALL, WHITE, &text);
}

/// A text cut to a width.
fn fitted(text: &str, width: f32, size: f32) -> String {
    if fonts::width(text) * size <= width {
        return text.to_owned();
    }
    let mut cut = text.to_owned();
    while !cut.is_empty() && (fonts::width(&cut) + fonts::width("...")) * size > width {
        cut.pop();
    }
    cut + "..."
}

/// Lines of a text that break at spaces.
fn wrapped(text: &str, width: f32, size: f32) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if fonts::width(&format!("{line} {word}")) * size <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(fitted(word, width, size)),
        }
    }
    lines
}
