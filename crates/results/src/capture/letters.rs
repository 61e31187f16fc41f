//! Text in the bundled font (`assets/`).

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, PxScale, ScaleFont, point};

use super::canvas::{Canvas, Colour, index};

static FONT: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    FontRef::try_from_slice(include_bytes!("../../assets/Inter-Medium-subset.otf"))
        .expect("the bundled font is a font; a test draws with it")
});

/// A space that no line breaks at.
pub(super) const NO_BREAK: char = '\u{a0}';

/// Whether the font has a glyph for every character.
pub(super) fn can_write(text: &str) -> bool {
    text.chars().all(|character| FONT.glyph_id(character).0 != 0)
}

/// Width in pixels of a line of `size` pixels to the em.
pub(super) fn width(text: &str, size: f32) -> f32 {
    let mut width = 0.0;
    glyphs(text, size, |_, _, end| width = end);
    width
}

/// Writes a line from `[left, baseline]` on.
pub(super) fn draw(canvas: &mut Canvas, [left, baseline]: [f32; 2], size: f32, text: &str, colour: Colour) {
    let scale = scale(size);
    let mut placed = Vec::with_capacity(text.len());
    glyphs(text, size, |id, start, _| {
        placed.push(id.with_scale_and_position(scale, point(left + start, baseline)));
    });
    for glyph in placed {
        let Some(outlined) = FONT.outline_glyph(glyph) else { continue };
        let origin = outlined.px_bounds().min;
        outlined.draw(|x, y, cover| {
            let [column, row] = [origin.x + x as f32, origin.y + y as f32];
            if column >= 0.0 && row >= 0.0 {
                canvas.blend(index(column), index(row), colour, cover);
            }
        });
    }
}

/// Calls `each` with every glyph and where it starts and ends, in pixels from the start of the line.
fn glyphs(text: &str, size: f32, mut each: impl FnMut(ab_glyph::GlyphId, f32, f32)) {
    let font = FONT.as_scaled(scale(size));
    let mut advance = 0.0;
    let mut before = None;
    for character in text.chars() {
        let id = font.glyph_id(if character == NO_BREAK { ' ' } else { character });
        if let Some(before) = before {
            advance += font.kern(before, id);
        }
        let start = advance;
        advance += font.h_advance(id);
        before = Some(id);
        each(id, start, advance);
    }
}

/// The font library measures a font by its height, people by the em.
fn scale(size: f32) -> PxScale {
    PxScale::from(size * FONT.height_unscaled() / FONT.units_per_em().unwrap_or(1000.0))
}

#[cfg(test)]
mod tests {
    use super::super::SourcePicture;
    use super::*;

    #[test]
    fn every_character_of_own_text_has_a_glyph() {
        let ascii: String = (' '..='~').collect();
        assert!(can_write(&ascii) && can_write("\u{b7}\u{2026}\u{2265}"));
        assert!(!can_write("肺炎"));
    }

    #[test]
    fn letters_leave_ink_and_stay_in_the_picture() {
        let mut canvas = Canvas::of(&SourcePicture::Gray { rows: 20, columns: 60, data: &[0; 1200] }).unwrap();
        draw(&mut canvas, [-5.0, 16.0], 14.0, "High 87.3 %", [255; 3]);
        let ink = canvas.pixels().iter().filter(|pixel| pixel[0] > 128).count();
        assert!((60..600).contains(&ink), "{ink}");
    }

    #[test]
    fn width_grows_with_text_and_size() {
        let narrow = width("AI", 10.0);
        assert!(narrow > 5.0 && narrow < 20.0);
        assert!((width("AI", 20.0) / narrow - 2.0).abs() < 0.01);
        assert!(width("AI, not verified", 10.0) > 4.0 * narrow);
    }
}
