use super::CaptureStyle;
use super::canvas::{Area, Canvas, Colour, mix};
use super::letters;

/// The key to the colours of a map: what they are a measure of, and the values they stand for.
pub(super) struct Bar {
    pub(super) title: &'static str,
}

impl Bar {
    /// With its title and numbers, in ems.
    pub(super) const HEIGHT: f32 = 3.05;
    /// Below this its numbers would touch, in ems.
    pub(super) const NARROWEST: f32 = 11.0;
    /// In ems.
    pub(super) const WIDEST: f32 = 22.0;

    /// Draws into `area`, which is [`HEIGHT`](Self::HEIGHT) ems of `size` pixels high.
    pub(super) fn draw(&self, canvas: &mut Canvas, area: Area, size: f32, style: &CaptureStyle, text_colour: Colour) {
        let small = size * 0.82;
        letters::draw(canvas, [area.left, area.top + small], small, self.title, text_colour);
        let colours = Area { top: area.top + small * 1.45, height: size * 0.6, ..area };
        for column in colours.columns(canvas.columns) {
            let value = ((column as f32 + 0.5 - area.left) / area.width).clamp(0.0, 1.0);
            // As they look over a mid grey, but more opaque: the bar is a key, and its lower end must be seen too.
            let alpha = style.opacity.clamp(0.0, 1.0).mul_add(0.5, 0.45);
            let colour = mix([110; 3], style.scale.colour(value), alpha);
            for row in colours.rows(canvas.rows) {
                canvas.blend(column, row, colour, 1.0);
            }
        }
        let baseline = colours.top + colours.height + small * 1.05;
        for (value, text) in [(0.0, "0"), (0.25, "0.25"), (0.5, "0.5"), (0.75, "0.75"), (1.0, "1")] {
            let width = letters::width(text, small);
            let x = (area.left + area.width * value - width / 2.0).clamp(area.left, area.left + area.width - width);
            letters::draw(canvas, [x, baseline], small, text, text_colour);
        }
    }
}
