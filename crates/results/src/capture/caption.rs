//! The caption: what was found, by which model, that nobody verified it, and what the colours mean.
//!
//! It stands in a band of its own below the picture, so it hides nothing, and every pixel of the source keeps
//! its place. A picture too narrow for the words gets a band that is wider than itself.

use dokuei_types::{Finding, ModelIdentity};

use super::CaptureStyle;
use super::bar::Bar;
use super::canvas::{Area, Canvas, Colour};
use super::language::Language;
use super::letters::{self, NO_BREAK};
use crate::templates::percent;

const GROUND: Colour = [16, 16, 20];
const WHITE: Colour = [255, 255, 255];
const SOFT: Colour = [205, 208, 214];
const AMBER: Colour = [255, 205, 112];
/// Line distance in ems.
const LEADING: f32 = 1.36;
/// The least width of a band in ems: what the colour bar and short lines need.
const NARROWEST: f32 = 16.0;

/// The em of normal text in pixels. Pictures are shown as large as the screen, so it grows with them.
pub(super) fn text_size(canvas: &Canvas) -> f32 {
    (canvas.rows.max(canvas.columns) as f32 * 0.0195).max(10.0)
}

/// Puts the caption below the picture, with the colour bar where a map is shown.
pub(super) fn append(
    canvas: &mut Canvas,
    findings: &[&Finding],
    model: &ModelIdentity,
    style: &CaptureStyle,
    bar: Option<&Bar>,
) {
    let size = text_size(canvas);
    let band = Band::new(canvas.columns as f32, lines(findings, model, style.language, size), bar, size);
    let top = canvas.rows as f32;
    canvas.extend(band.width, band.height, GROUND);
    band.draw(canvas, top, style, bar);
}

#[derive(Debug, Clone)]
struct Line {
    text: String,
    size: f32,
    colour: Colour,
    /// How far the rest of a broken line is moved in.
    indent: f32,
}

impl Line {
    fn new(text: &str, size: f32, colour: Colour) -> Self {
        Self { text: text.to_owned(), size, colour, indent: 0.0 }
    }

    fn width(&self) -> f32 {
        self.indent + letters::width(&self.text, self.size)
    }
}

fn lines(findings: &[&Finding], model: &ModelIdentity, language: Language, size: f32) -> Vec<Line> {
    let words = language.words();
    let mut lines: Vec<Line> = findings
        .iter()
        .enumerate()
        .map(|(index, finding)| {
            let number = if findings.len() > 1 { format!("{}{NO_BREAK}{NO_BREAK}", index + 1) } else { String::new() };
            let percent = percent(finding.probability, finding.marking_threshold);
            let certainty = format!("{}{NO_BREAK}{percent}{NO_BREAK}%", words.certainty);
            let text = format!("{number}{}: {certainty} ({})", name(finding, language), language.band(finding.band));
            Line { indent: letters::width(&number, size * 1.25), ..Line::new(&text, size * 1.25, WHITE) }
        })
        .collect();
    let model = format!("{} {}", model.name, model.version);
    let model = if letters::can_write(&model) { &model } else { words.see_report };
    lines.push(Line::new(&format!("{} {model}", words.model), size, SOFT));
    lines.push(Line::new(words.warning, size, AMBER));
    lines
}

/// The coded meaning where the font has its characters, else the manifest's key, else what it is.
fn name(finding: &Finding, language: Language) -> &str {
    [language.condition(&finding.concept.meaning), &finding.name]
        .into_iter()
        .find(|text| !text.is_empty() && letters::can_write(text))
        .unwrap_or(language.words().finding)
}

/// The band's content, broken into lines for one width.
struct Band {
    lines: Vec<Line>,
    size: f32,
    width: f32,
    height: f32,
    /// Where the colour bar goes, from the band's upper left corner.
    bar: Option<Area>,
}

impl Band {
    /// The colour bar stands beside the text where both fit, else below it.
    fn new(picture_width: f32, lines: Vec<Line>, bar: Option<&Bar>, size: f32) -> Self {
        let padding = size * 0.8;
        let words = lines.iter().flat_map(|line| line.text.split(' ').map(move |word| (line, word)));
        let longest = words.map(|(line, word)| line.indent + letters::width(word, line.size)).fold(0.0, f32::max);
        let width = picture_width.max(size * NARROWEST).max(longest + 2.0 * padding + 1.0);
        let inner = width - 2.0 * padding;

        let natural = lines.iter().map(Line::width).fold(0.0, f32::max);
        let bar_height = size * Bar::HEIGHT;
        let beside = bar.is_some() && natural + size * Bar::NARROWEST + 3.0 * padding <= inner;
        let lines: Vec<Line> = lines.iter().flat_map(|line| wrap(line, inner)).collect();
        let text = lines.iter().map(|line| line.size * LEADING).sum::<f32>();
        let (height, place) = match bar {
            None => (text, None),
            Some(_) if beside => {
                let left = padding + natural + 3.0 * padding;
                let bar_width = (inner - natural - 3.0 * padding).min(size * Bar::WIDEST);
                let height = text.max(bar_height);
                let top = padding + (height - bar_height) / 2.0;
                (height, Some(Area { left, top, width: bar_width, height: bar_height }))
            }
            Some(_) => {
                let bar_width = inner.min(size * Bar::WIDEST);
                let top = padding + text + size * 0.3;
                let area = Area { left: padding, top, width: bar_width, height: bar_height };
                (text + size * 0.3 + bar_height, Some(area))
            }
        };
        Self { lines, size, width, height: height + 2.0 * padding, bar: place }
    }

    fn draw(&self, canvas: &mut Canvas, top: f32, style: &CaptureStyle, bar: Option<&Bar>) {
        let padding = self.size * 0.8;
        let mut baseline = top + padding;
        for line in &self.lines {
            letters::draw(canvas, [padding + line.indent, baseline + line.size], line.size, &line.text, line.colour);
            baseline += line.size * LEADING;
        }
        if let Some((bar, area)) = bar.zip(self.bar) {
            bar.draw(canvas, Area { top: top + area.top, ..area }, self.size, style, SOFT);
        }
    }
}

/// Breaks a line at spaces; a word that is wider than the width stands alone.
fn wrap(line: &Line, width: f32) -> Vec<Line> {
    let mut broken: Vec<Line> = Vec::new();
    let mut now = Line { indent: 0.0, text: String::new(), ..*line };
    for word in line.text.split(' ') {
        if now.text.is_empty() {
            word.clone_into(&mut now.text);
            continue;
        }
        let longer = Line { text: format!("{} {word}", now.text), ..now };
        if longer.width() <= width {
            now = longer;
        } else {
            broken.push(std::mem::replace(&mut now, Line { text: word.to_owned(), ..*line }));
        }
    }
    broken.push(now);
    broken
}

#[cfg(test)]
mod tests {
    use super::super::SourcePicture;
    use super::*;

    #[test]
    fn lines_break_at_spaces_alone() {
        let check = |line: &Line, width: f32, expected: &[(&str, f32)]| {
            let broken = wrap(line, width);
            assert_eq!(broken.iter().map(|l| (l.text.as_str(), l.indent)).collect::<Vec<_>>(), expected);
        };
        let line = Line::new("one two three", 10.0, WHITE);
        let whole = letters::width(&line.text, 10.0);
        check(&line, whole + 0.1, &[("one two three", 0.0)]);
        check(&line, whole - 1.0, &[("one two", 0.0), ("three", 0.0)]);
        check(&line, 1.0, &[("one", 0.0), ("two", 0.0), ("three", 0.0)]);
        let numbered = Line { indent: 9.0, ..Line::new("1 Long 5\u{a0}%", 10.0, WHITE) };
        check(&numbered, letters::width("1 Long ", 10.0), &[("1 Long", 0.0), ("5\u{a0}%", 9.0)]);
    }

    #[test]
    fn the_caption_stands_whole_below_pictures_of_any_size() {
        let style = CaptureStyle::default();
        let bar = Bar { title: "class activation" };
        let finding = crate::testing::finding("pneumonia", 0.873);
        for language in [Language::English, Language::Japanese] {
            let style = CaptureStyle { language, ..style };
            for (rows, columns) in [(2500u32, 2000u32), (700, 1600), (512, 512), (224, 224), (64, 48), (1, 1)] {
                let data = vec![90; (rows * columns) as usize];
                let mut canvas = Canvas::of(&SourcePicture::Gray { rows, columns, data: &data }).unwrap();
                append(&mut canvas, &[&finding], &crate::testing::model(), &style, Some(&bar));
                let (rows, columns) = (rows as usize, columns as usize);
                let at = |row: usize, column: usize| canvas.pixels()[row * canvas.columns + column];
                for (row, column) in [(0, 0), (rows - 1, columns - 1)] {
                    assert_eq!(at(row, column), [90; 3], "{rows}x{columns}");
                }
                assert!(canvas.columns >= columns.max(10 * 16), "{rows}x{columns}");
                // Nothing is drawn up to the edges of the band, so nothing is cut.
                for row in rows..canvas.rows {
                    assert_eq!(at(row, 0), GROUND);
                    assert_eq!(at(row, canvas.columns - 1), GROUND);
                }
                assert!((0..canvas.columns).all(|column| at(canvas.rows - 1, column) == GROUND));
                let band = canvas.rows - rows;
                assert!(rows < 512 || band < rows.max(columns) / 6, "{rows}x{columns}: {band} rows of caption");
            }
        }
    }

    #[test]
    fn names_are_written_in_the_language_or_as_they_are() {
        let mut finding = crate::testing::finding("pneumonia", 0.9);
        assert_eq!(name(&finding, Language::English), "Pneumonia");
        assert_eq!(name(&finding, Language::Japanese), "肺炎");
        finding.concept.meaning = "Something rare".into();
        assert_eq!(name(&finding, Language::Japanese), "Something rare");
        finding.concept.meaning = "\u{5df4}".into();
        assert_eq!(name(&finding, Language::English), "pneumonia");
        finding.name = "\u{5df4}".into();
        assert_eq!(name(&finding, Language::English), "Finding");
    }
}
