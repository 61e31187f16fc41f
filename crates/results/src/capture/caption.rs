//! The caption: what was found, by which model, that nobody verified it, and what the colours mean.

use dokuei_types::{Finding, ModelIdentity};

use super::CaptureStyle;
use super::canvas::{Area, Canvas, Colour, mix};
use super::letters::{self, NO_BREAK};
use super::quiet::Quiet;
use crate::templates::percent;

/// Breaks after a comma only.
const WARNING: &str = "AI, not\u{a0}verified, not\u{a0}for\u{a0}diagnosis";
const GROUND: Colour = [16, 16, 20];
const WHITE: Colour = [255, 255, 255];
const SOFT: Colour = [205, 208, 214];
const AMBER: Colour = [255, 205, 112];
/// Below this the font is not legible any more.
const SMALLEST: f32 = 6.0;

/// The em of normal text in pixels. Pictures are shown as high as the screen, so it grows with them.
pub(super) fn text_size(canvas: &Canvas) -> f32 {
    (canvas.rows.min(canvas.columns) as f32 * 0.0205).max(10.5)
}

/// Draws the caption where it hides least. Tiny pictures get less of it, down to the two letters that say what
/// the picture is; below that nothing fits.
pub(super) fn draw(
    canvas: &mut Canvas,
    quiet: &Quiet,
    findings: &[&Finding],
    model: &ModelIdentity,
    bar: Option<&Bar<'_>>,
) {
    let size = text_size(canvas);
    let whole = |size| lines(findings, model, size);
    let short = |size| vec![Line::new("AI, not verified", size, AMBER)];
    let letters = |size| vec![Line::new("AI", size, AMBER)];
    let mut size_now = size;
    while size_now >= SMALLEST {
        for bar in [bar, None] {
            if place(canvas, quiet, &whole(size_now), bar, size_now, 0.4) {
                return;
            }
        }
        size_now *= 0.85;
    }
    if !place(canvas, quiet, &short(SMALLEST), None, SMALLEST, 0.6) {
        place(canvas, quiet, &letters(SMALLEST), None, SMALLEST, 1.0);
    }
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

fn lines(findings: &[&Finding], model: &ModelIdentity, size: f32) -> Vec<Line> {
    let mut lines: Vec<Line> = findings
        .iter()
        .enumerate()
        .map(|(index, finding)| {
            let number = if findings.len() > 1 { format!("{}{NO_BREAK}{NO_BREAK}", index + 1) } else { String::new() };
            let percent = percent(finding.probability, finding.marking_threshold);
            let band = finding.band.as_str();
            let text = format!("{number}{} {NO_BREAK}{percent}{NO_BREAK}%{NO_BREAK}{NO_BREAK}{band}", name(finding));
            Line { indent: letters::width(&number, size * 1.25), ..Line::new(&text, size * 1.25, WHITE) }
        })
        .collect();
    let model = format!("{} {}", model.name, model.version);
    let model = if letters::can_write(&model) { model } else { "model: see the report".to_owned() };
    lines.push(Line::new(&model, size, SOFT));
    lines.push(Line::new(WARNING, size, AMBER));
    lines
}

/// The coded meaning where the font has its characters, else the manifest's key, else what it is.
fn name(finding: &Finding) -> &str {
    [finding.concept.meaning.as_str(), &finding.name]
        .into_iter()
        .find(|text| !text.is_empty() && letters::can_write(text))
        .unwrap_or("Finding")
}

/// A card's content, broken into lines for one width.
struct Card {
    lines: Vec<Line>,
    width: f32,
    height: f32,
}

/// Draws the card with the least cost among some widths and six places along the upper and lower edge; `false`
/// when none fits into `share` of the height.
fn place(canvas: &mut Canvas, quiet: &Quiet, lines: &[Line], bar: Option<&Bar<'_>>, size: f32, share: f32) -> bool {
    let (columns, rows) = (canvas.columns as f32, canvas.rows as f32);
    let margin = (size * 0.6).min(columns * 0.02);
    let natural = lines.iter().map(|line| letters::width(&line.text, line.size)).fold(0.0, f32::max);
    let mut best: Option<(f32, Area, Card)> = None;
    for factor in [1.0, 0.8, 0.62, 0.45] {
        let Some(card) = Card::new(lines, natural * factor, bar, size) else { continue };
        if card.width + 2.0 * margin > columns || card.height + 2.0 * margin > rows * share {
            continue;
        }
        let (right, bottom) = (columns - margin - card.width, rows - margin - card.height);
        for top in [margin, bottom] {
            for left in [margin, right, (columns - card.width) / 2.0] {
                let area = Area { left, top, width: card.width, height: card.height };
                // A broken line reads worse than a longer one, so it must be worth it.
                let breaks = card.lines.len().saturating_sub(lines.len()) as f32;
                let cost = quiet.cost(area) * (1.0 + 0.1 * breaks);
                if best.as_ref().is_none_or(|(least, ..)| cost < *least * 0.98) {
                    best = Some((cost, area, Card { lines: card.lines.clone(), ..card }));
                }
            }
        }
    }
    let Some((_, area, card)) = best else { return false };
    card.draw(canvas, area, bar, size);
    true
}

impl Card {
    /// `None` when a word is wider than the width.
    fn new(lines: &[Line], width: f32, bar: Option<&Bar<'_>>, size: f32) -> Option<Self> {
        let mut broken = Vec::new();
        for line in lines {
            broken.extend(wrap(line, width + 0.01)?);
        }
        let padding = size * 0.7;
        let text = broken.iter().map(|line| line.size * LEADING).sum::<f32>();
        let mut inner = broken.iter().map(Line::width).fold(0.0, f32::max);
        if let Some(bar) = bar {
            inner = inner.max(letters::width(bar.title, size * 0.82));
        }
        let bar = if bar.is_some() { size * BAR } else { 0.0 };
        Some(Self { lines: broken, width: inner + 2.0 * padding, height: text + bar + 1.6 * padding })
    }

    fn draw(&self, canvas: &mut Canvas, area: Area, bar: Option<&Bar<'_>>, size: f32) {
        let padding = size * 0.7;
        canvas.fill_rounded(area, size * 0.45, GROUND, 0.72);
        let left = area.left + padding;
        let mut top = area.top + 0.8 * padding;
        for line in &self.lines {
            letters::draw(canvas, [left + line.indent, top + line.size * 1.02], line.size, &line.text, line.colour);
            top += line.size * LEADING;
        }
        if let Some(bar) = bar {
            bar.draw(canvas, [left, top + size * 0.25], self.width - 2.0 * padding, size);
        }
    }
}

/// Line distance in ems.
const LEADING: f32 = 1.36;
/// Height of the colour bar with its numbers, in ems.
const BAR: f32 = 3.05;

/// What the colour bar needs to know.
pub(super) struct Bar<'a> {
    pub(super) style: &'a CaptureStyle,
    /// What the colours are a measure of.
    pub(super) title: &'static str,
}

impl Bar<'_> {
    /// The title, the colours as they look over a mid grey, and the values they stand for.
    fn draw(&self, canvas: &mut Canvas, [left, top]: [f32; 2], width: f32, size: f32) {
        let small = size * 0.82;
        letters::draw(canvas, [left, top + small], small, self.title, SOFT);
        let area = Area { left, top: top + small * 1.45, width, height: size * 0.55 };
        let (columns, rows) = (area.columns(canvas.columns), area.rows(canvas.rows));
        for column in columns {
            let value = ((column as f32 + 0.5 - left) / width).clamp(0.0, 1.0);
            // More opaque than in the picture: the bar is a key, and its lower end must be seen too.
            let alpha = self.style.opacity.clamp(0.0, 1.0).mul_add(0.5, 0.45);
            let colour = mix([110; 3], self.style.scale.colour(value), alpha);
            for row in rows.clone() {
                canvas.blend(column, row, colour, 1.0);
            }
        }
        let baseline = area.top + area.height + small * 1.05;
        for (value, text) in [(0.0, "0"), (0.5, "0.5"), (1.0, "1")] {
            let text_width = letters::width(text, small);
            let x = (left + width * value - text_width / 2.0).clamp(left, left + width - text_width);
            letters::draw(canvas, [x, baseline], small, text, SOFT);
        }
    }
}

/// Breaks a line at spaces; `None` when a word is wider than the width.
fn wrap(line: &Line, width: f32) -> Option<Vec<Line>> {
    let mut broken: Vec<Line> = Vec::new();
    let mut now = Line { indent: 0.0, text: String::new(), ..*line };
    for word in line.text.split(' ') {
        let longer =
            Line { text: if now.text.is_empty() { word.to_owned() } else { format!("{} {word}", now.text) }, ..now };
        if longer.width() <= width {
            now = longer;
            continue;
        }
        let word = word.trim_start_matches(NO_BREAK);
        let rest = Line { text: word.to_owned(), ..*line };
        if now.text.is_empty() || rest.width() > width {
            return None;
        }
        broken.push(std::mem::replace(&mut now, rest));
    }
    broken.push(now);
    Some(broken)
}

#[cfg(test)]
mod tests {
    use super::super::SourcePicture;
    use super::*;

    #[test]
    fn lines_break_at_spaces_or_not_at_all() {
        let line = Line::new(WARNING, 10.0, WHITE);
        let whole = letters::width(WARNING, 10.0);
        let check = |width: f32, expected: &[&str]| {
            let broken = wrap(&line, width).unwrap();
            assert_eq!(broken.iter().map(|l| l.text.as_str()).collect::<Vec<_>>(), expected);
        };
        check(whole + 1.0, &[WARNING]);
        check(whole * 0.56, &["AI, not\u{a0}verified,", "not\u{a0}for\u{a0}diagnosis"]);
        assert!(wrap(&line, 10.0).is_none());
        let numbered = Line { indent: 9.0, ..Line::new("1 Long \u{a0}5\u{a0}%", 10.0, WHITE) };
        let broken = wrap(&numbered, letters::width("1 Long ", 10.0)).unwrap();
        assert_eq!(
            broken.iter().map(|l| (l.text.as_str(), l.indent)).collect::<Vec<_>>(),
            [("1 Long", 0.0), ("5\u{a0}%", 9.0)]
        );
    }

    #[test]
    fn the_caption_fits_or_shrinks() {
        for (rows, columns) in [(2500u32, 2000u32), (512, 512), (128, 128), (48, 60), (16, 16), (4, 4)] {
            let data = vec![0; (rows * columns) as usize];
            let mut canvas = Canvas::of(&SourcePicture::Gray { rows, columns, data: &data }).unwrap();
            let quiet = Quiet::of(&canvas);
            let model = crate::testing::model();
            let finding = crate::testing::finding("pneumonia", 0.873);
            let style = CaptureStyle::default();
            let bar = Bar { style: &style, title: "class activation" };
            draw(&mut canvas, &quiet, &[&finding], &model, Some(&bar));
            let drawn = canvas.pixels().iter().filter(|pixel| **pixel != [0; 3]).count();
            let share = drawn as f32 / data.len() as f32;
            if rows >= 16 {
                assert!(drawn > 0, "{rows}x{columns}");
            }
            assert!(rows < 128 || share < 0.25, "{rows}x{columns}: {share}");
        }
    }
}
