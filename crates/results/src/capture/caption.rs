//! The caption: what was found, what was said of it before, by which model, that nobody verified it, and what the
//! colours mean.
//!
//! It stands in a band of its own below the picture, so it hides nothing, and every pixel of the source keeps
//! its place. A picture too narrow for the words gets a band that is wider than itself.

use dokuei_types::{Finding, ModelIdentity};

use super::CaptureStyle;
use super::bar::Bar;
use super::canvas::{Area, Canvas, Colour};
use super::language::Language;
use super::letters::{self, NO_BREAK};
use crate::Changed;
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

/// A finding, and what was said of it before where there is a prior.
pub(super) struct Shown<'a> {
    pub(super) finding: &'a Finding,
    pub(super) changed: Option<Changed<'a>>,
}

/// Puts the caption below the picture, with the colour bar where a map is shown.
pub(super) fn append(
    canvas: &mut Canvas,
    findings: &[Shown<'_>],
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
    /// How far it is moved in.
    indent: f32,
    /// How far the rest of it is where it is broken.
    hanging: f32,
}

impl Line {
    fn new(text: &str, size: f32, colour: Colour) -> Self {
        Self { text: text.to_owned(), size, colour, indent: 0.0, hanging: 0.0 }
    }

    /// The line below another one that begins with a number this wide.
    fn below(self, number: f32) -> Self {
        Self { indent: number, hanging: number, ..self }
    }

    fn width(&self) -> f32 {
        self.indent + letters::width(&self.text, self.size)
    }
}

fn lines(findings: &[Shown<'_>], model: &ModelIdentity, language: Language, size: f32) -> Vec<Line> {
    let words = language.words();
    let mut lines = Vec::new();
    for (index, Shown { finding, changed }) in findings.iter().enumerate() {
        let number = if findings.len() > 1 { format!("{}{NO_BREAK}{NO_BREAK}", index + 1) } else { String::new() };
        let percent = percent(finding.probability, finding.marking_threshold);
        let certainty = format!("{}{NO_BREAK}{percent}{NO_BREAK}%", words.certainty);
        let text = format!("{number}{}: {certainty} ({})", name(finding, language), language.band(finding.band));
        let number = letters::width(&number, size * 1.25);
        lines.push(Line { hanging: number, ..Line::new(&text, size * 1.25, WHITE) });
        lines.extend(changed.map(|changed| Line::new(&language.changed(&changed), size, WHITE).below(number)));
    }
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
    /// The colour bar stands beside the text where that takes fewer rows, else below it.
    fn new(picture_width: f32, lines: Vec<Line>, bar: Option<&Bar>, size: f32) -> Self {
        let padding = size * 0.8;
        let words = lines.iter().flat_map(|line| line.text.split(' ').map(move |word| (line, word)));
        let longest = words.map(|(line, word)| line.hanging + letters::width(word, line.size)).fold(0.0, f32::max);
        let width = picture_width.max(size * NARROWEST).max(longest + 2.0 * padding + 1.0);
        let inner = width - 2.0 * padding;

        let bar_height = size * Bar::HEIGHT;
        let wrapped = |width: f32| lines.iter().flat_map(|line| wrap(line, width)).collect::<Vec<Line>>();
        let (wide, narrow) = (wrapped(inner), wrapped(inner - size * Bar::NARROWEST - 3.0 * padding));
        let natural = narrow.iter().map(Line::width).fold(0.0, f32::max);
        let fits = natural + size * Bar::NARROWEST + 3.0 * padding <= inner;
        let (below, beside) = (height(&wide) + size * 0.3 + bar_height, height(&narrow).max(bar_height));
        let (lines, height, place) = match bar {
            None => {
                let height = height(&wide);
                (wide, height, None)
            }
            Some(_) if fits && beside < below => {
                let left = padding + natural + 3.0 * padding;
                let bar_width = (inner - natural - 3.0 * padding).min(size * Bar::WIDEST);
                let top = padding + (beside - bar_height) / 2.0;
                (narrow, beside, Some(Area { left, top, width: bar_width, height: bar_height }))
            }
            Some(_) => {
                let bar_width = inner.min(size * Bar::WIDEST);
                let top = padding + below - bar_height;
                (wide, below, Some(Area { left: padding, top, width: bar_width, height: bar_height }))
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

/// Of lines, in pixels.
fn height(lines: &[Line]) -> f32 {
    lines.iter().map(|line| line.size * LEADING).sum()
}

/// Breaks a line at spaces; a word that is wider than the width stands alone.
fn wrap(line: &Line, width: f32) -> Vec<Line> {
    let mut broken: Vec<Line> = Vec::new();
    let mut now = Line { text: String::new(), ..*line };
    for word in line.text.split(' ') {
        if now.text.is_empty() {
            word.clone_into(&mut now.text);
            continue;
        }
        let longer = Line { text: format!("{} {word}", now.text), ..now };
        if longer.width() <= width {
            now = longer;
        } else {
            broken.push(std::mem::replace(&mut now, Line { text: word.to_owned(), indent: line.hanging, ..*line }));
        }
    }
    broken.push(now);
    broken
}

#[cfg(test)]
mod tests {
    use super::super::SourcePicture;
    use super::super::canvas::index;
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
        let numbered = Line { hanging: 9.0, ..Line::new("1 Long 5\u{a0}%", 10.0, WHITE) };
        check(&numbered, letters::width("1 Long ", 10.0), &[("1 Long", 0.0), ("5\u{a0}%", 9.0)]);
        let below = Line::new("one two", 10.0, WHITE).below(9.0);
        check(&below, whole, &[("one two", 9.0)]);
        check(&below, 10.0, &[("one", 9.0), ("two", 9.0)]);
    }

    #[test]
    fn the_caption_stands_whole_below_pictures_of_any_size() {
        let style = CaptureStyle::default();
        let bar = Bar { title: "class activation" };
        let (finding, before) =
            (crate::testing::finding("pneumonia", 0.873), crate::testing::finding("pneumonia", 0.341));
        let shown = [Shown { finding: &finding, changed: Some(changed(&before, &finding)) }];
        for language in [Language::English, Language::Japanese] {
            let style = CaptureStyle { language, ..style };
            for (rows, columns) in [(2500u32, 2000u32), (700, 1600), (512, 512), (224, 224), (64, 48), (1, 1)] {
                let data = vec![90; (rows * columns) as usize];
                let mut canvas = Canvas::of(&SourcePicture::Gray { rows, columns, data: &data }).unwrap();
                append(&mut canvas, &shown, &crate::testing::model(), &style, Some(&bar));
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
                assert!(rows < 512 || band < rows.max(columns) / 5, "{rows}x{columns}: {band} rows of caption");
            }
        }
    }

    #[test]
    fn what_was_said_before_stands_below_what_is_said_now() {
        let [now, before, second] = [0.554, 0.341, 0.9].map(|value| crate::testing::finding("pneumonia", value));
        let change = Some(changed(&before, &now));
        for (language, expected) in [
            (Language::English, "earlier 34.1\u{a0}% on 2025-11-20, increased by 21.3 percentage points"),
            (Language::Japanese, "前回 34.1\u{a0}% (2025-11-20) 21.3ポイント上昇"),
        ] {
            let texts = |shown: &[Shown<'_>]| -> Vec<String> {
                lines(shown, &crate::testing::model(), language, 20.0).into_iter().map(|line| line.text).collect()
            };
            let plain = texts(&[Shown { finding: &now, changed: None }]);
            let compared = texts(&[Shown { finding: &now, changed: change }]);
            assert_eq!(compared, [&plain[..1], &[expected.to_owned()], &plain[1..]].concat());

            // It is drawn as it reads, and what stands above it stays.
            let style = CaptureStyle { language, ..CaptureStyle::default() };
            let source =
                || Canvas::of(&SourcePicture::Gray { rows: 1024, columns: 1024, data: &[90; 1024 * 1024] }).unwrap();
            let drawn = |changed| {
                let mut canvas = source();
                append(&mut canvas, &[Shown { finding: &now, changed }], &crate::testing::model(), &style, None);
                canvas
            };
            let (without, with) = (drawn(None), drawn(change));
            let size = text_size(&source());
            let baseline = 1024.0 + size * 0.8 + size * 1.25 * LEADING + size;
            let mut alone = source();
            alone.extend(1024.0, (with.rows - 1024) as f32, GROUND);
            letters::draw(&mut alone, [size * 0.8, baseline], size, expected, WHITE);
            let [top, bottom] = [baseline - size, baseline + size * 0.3].map(|row| index(row) * 1024);
            assert_eq!(with.pixels()[top..bottom], alone.pixels()[top..bottom], "{language:?}");
            assert_eq!(with.pixels()[..top], without.pixels()[..top], "{language:?}");
        }
        let numbered = [Shown { finding: &second, changed: None }, Shown { finding: &now, changed: change }];
        let lines = lines(&numbered, &crate::testing::model(), Language::English, 20.0);
        assert!(lines[2].indent > 0.0 && lines[2].indent == lines[1].hanging, "below the name, not below its number");
    }

    fn changed<'a>(before: &'a Finding, now: &Finding) -> Changed<'a> {
        let change = crate::Change::between(before.probability, now.probability);
        Changed { before, date: jiff::civil::date(2025, 11, 20), change }
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
