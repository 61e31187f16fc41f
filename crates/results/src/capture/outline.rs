//! Outlines that stay visible on any ground: a light line in a dark one, both anti-aliased.

use super::canvas::{Area, Canvas};
use super::letters;

/// Draws a closed outline; `text_size` sets its width, so that picture and caption go together.
pub(super) fn draw(canvas: &mut Canvas, outline: &[[f32; 2]], text_size: f32) {
    let light = (text_size * 0.12).max(1.5);
    let dark = light * 2.5 + 1.0;
    let Some(line) = Distance::to(canvas, outline, dark) else { return };
    line.stroke(canvas, dark, [0, 0, 0], 0.8);
    line.stroke(canvas, light, [255, 255, 255], 1.0);
}

/// Draws an open line, `width` pixels wide.
pub(super) fn line(canvas: &mut Canvas, points: &[[f32; 2]], width: f32, colour: [u8; 3]) {
    let there_and_back: Vec<[f32; 2]> = points.iter().chain(points.iter().rev().skip(1)).copied().collect();
    let Some(line) = Distance::to(canvas, &there_and_back, width + 1.0) else { return };
    line.stroke(canvas, width, colour, 1.0);
}

/// Writes a number in a disc at the top of an outline.
pub(super) fn number(canvas: &mut Canvas, outline: &[[f32; 2]], number: usize, text_size: f32) {
    let top = outline.iter().copied().filter(|v| v.iter().all(|c| c.is_finite()));
    let Some([x, y]) = top.min_by(|a, b| a[1].total_cmp(&b[1])) else { return };
    let radius = text_size * 0.8;
    let inside = |value: f32, size: usize| value.min(size as f32 - radius - 1.0).max(radius + 1.0);
    let [x, y] = [inside(x, canvas.columns), inside(y, canvas.rows)];
    let disc = |radius: f32| Area { left: x - radius, top: y - radius, width: radius * 2.0, height: radius * 2.0 };
    canvas.fill_rounded(disc(radius + text_size * 0.1), radius * 2.0, [255, 255, 255], 1.0);
    canvas.fill_rounded(disc(radius), radius * 2.0, [24, 24, 27], 1.0);
    let text = number.to_string();
    let left = x - letters::width(&text, text_size) / 2.0;
    letters::draw(canvas, [left, y + text_size * 0.36], text_size, &text, [255, 255, 255]);
}

/// Distance in pixels from each pixel's centre to the nearest edge of an outline, as far as it matters.
struct Distance {
    columns: std::ops::Range<usize>,
    rows: std::ops::Range<usize>,
    values: Vec<f32>,
}

impl Distance {
    /// `None` for fewer than two vertices that are numbers, or an outline wholly outside.
    fn to(canvas: &Canvas, outline: &[[f32; 2]], reach: f32) -> Option<Self> {
        let vertices: Vec<[f32; 2]> = outline.iter().copied().filter(|v| v.iter().all(|c| c.is_finite())).collect();
        let area = around(&vertices, reach);
        let (columns, rows) = (area.columns(canvas.columns), area.rows(canvas.rows));
        if vertices.len() < 2 || columns.is_empty() || rows.is_empty() {
            return None;
        }
        let mut distance = Self { values: vec![f32::MAX; columns.len() * rows.len()], columns, rows };
        for (from, to) in vertices.iter().zip(vertices.iter().cycle().skip(1)) {
            distance.edge(canvas, *from, *to, reach);
        }
        Some(distance)
    }

    fn edge(&mut self, canvas: &Canvas, from: [f32; 2], to: [f32; 2], reach: f32) {
        let area = around(&[from, to], reach);
        for row in area.rows(canvas.rows) {
            for column in area.columns(canvas.columns) {
                let value = to_segment([column as f32 + 0.5, row as f32 + 0.5], from, to);
                // Inside by construction: an edge's area lies in the outline's.
                let index = (row - self.rows.start) * self.columns.len() + (column - self.columns.start);
                if let Some(nearest) = self.values.get_mut(index) {
                    *nearest = nearest.min(value);
                }
            }
        }
    }

    fn stroke(&self, canvas: &mut Canvas, width: f32, colour: [u8; 3], alpha: f32) {
        for (row, values) in self.rows.clone().zip(self.values.chunks(self.columns.len())) {
            for (column, value) in self.columns.clone().zip(values) {
                let cover = (width / 2.0 + 0.5 - value).clamp(0.0, 1.0);
                if cover > 0.0 {
                    canvas.blend(column, row, colour, alpha * cover);
                }
            }
        }
    }
}

/// The rectangle around some points, wider by `reach`.
fn around(points: &[[f32; 2]], reach: f32) -> Area {
    let low = |i: usize| points.iter().map(|p| p[i]).fold(f32::MAX, f32::min) - reach;
    let high = |i: usize| points.iter().map(|p| p[i]).fold(f32::MIN, f32::max) + reach;
    let (left, top) = (low(0).max(0.0), low(1).max(0.0));
    Area { left, top, width: (high(0) - left).max(0.0), height: (high(1) - top).max(0.0) }
}

fn to_segment([x, y]: [f32; 2], [x0, y0]: [f32; 2], [x1, y1]: [f32; 2]) -> f32 {
    let [dx, dy] = [x1 - x0, y1 - y0];
    let length = dx * dx + dy * dy;
    let along = if length > 0.0 { (((x - x0) * dx + (y - y0) * dy) / length).clamp(0.0, 1.0) } else { 0.0 };
    (x - x0 - along * dx).hypot(y - y0 - along * dy)
}

#[cfg(test)]
mod tests {
    use super::super::SourcePicture;
    use super::*;

    /// Luma of a colour, 0 to 255 (ITU-R BT.601).
    fn luma([r, g, b]: [u8; 3]) -> f32 {
        0.299 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b)
    }

    fn drawn(ground: u8) -> Canvas {
        let source = SourcePicture::Gray { rows: 64, columns: 64, data: &[ground; 64 * 64] };
        let mut canvas = Canvas::of(&source).unwrap();
        draw(&mut canvas, &[[16.0, 16.0], [48.0, 16.0], [48.0, 48.0], [16.0, 48.0]], 11.0);
        canvas
    }

    #[test]
    fn the_line_shows_on_every_ground_and_nothing_else_changes() {
        for ground in [0u8, 128, 255] {
            let canvas = drawn(ground);
            let across: Vec<f32> = (8..24).map(|row| luma(canvas.pixels()[row * 64 + 32])).collect();
            let darkest = across.iter().copied().fold(f32::MAX, f32::min);
            let lightest = across.iter().copied().fold(0.0, f32::max);
            assert!(lightest > 150.0 && darkest < 120.0, "{ground} {across:?}");
            assert_eq!(canvas.pixels()[32 * 64 + 32], [ground; 3]);
            assert_eq!(canvas.pixels()[0], [ground; 3]);
        }
    }

    #[test]
    fn the_outline_is_closed() {
        let canvas = drawn(0);
        assert!(luma(canvas.pixels()[32 * 64 + 16]) > 100.0, "last edge back to the first vertex");
    }

    #[test]
    fn hostile_vertices_draw_nothing() {
        let source = SourcePicture::Gray { rows: 8, columns: 8, data: &[7; 64] };
        let mut canvas = Canvas::of(&source).unwrap();
        draw(&mut canvas, &[[f32::NAN, 1.0], [f32::INFINITY, 2.0]], 11.0);
        draw(&mut canvas, &[], 11.0);
        draw(&mut canvas, &[[1e9, 1e9], [1e9, 2e9], [2e9, 1e9]], 11.0);
        number(&mut canvas, &[[f32::NAN, f32::NAN]], 1, 2.0);
        assert!(canvas.pixels().iter().all(|pixel| *pixel == [7; 3]));
    }
}
