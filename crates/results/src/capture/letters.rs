//! Text in the bundled fonts (`assets/`).

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, GlyphId, PxScale, ScaleFont, point};

use super::canvas::{Canvas, Colour, index};

static LATIN: LazyLock<FontRef<'static>> =
    LazyLock::new(|| font(include_bytes!("../../assets/Inter-Medium-subset.otf")));
static JAPANESE: LazyLock<FontRef<'static>> =
    LazyLock::new(|| font(include_bytes!("../../assets/BIZUDPGothic-Regular-subset.ttf")));

fn font(bytes: &'static [u8]) -> FontRef<'static> {
    FontRef::try_from_slice(bytes).expect("the bundled fonts are fonts; a test draws with each")
}

/// The font that has the character; the Latin one in doubt.
fn font_of(character: char) -> &'static FontRef<'static> {
    if LATIN.glyph_id(character).0 == 0 && JAPANESE.glyph_id(character).0 != 0 { &JAPANESE } else { &LATIN }
}

/// A space that no line breaks at.
pub(super) const NO_BREAK: char = '\u{a0}';

/// Whether a font has a glyph for every character.
pub(super) fn can_write(text: &str) -> bool {
    text.chars().map(spaced).all(|character| font_of(character).glyph_id(character).0 != 0)
}

/// Width in pixels of a line of `size` pixels to the em.
pub(super) fn width(text: &str, size: f32) -> f32 {
    glyphs(text, size).1
}

/// Writes a line from `[left, baseline]` on.
pub(super) fn draw(canvas: &mut Canvas, [left, baseline]: [f32; 2], size: f32, text: &str, colour: Colour) {
    for Placed { font, id, start } in glyphs(text, size).0 {
        let glyph = id.with_scale_and_position(scale(font, size), point(left + start, baseline));
        let Some(outlined) = font.outline_glyph(glyph) else { continue };
        let origin = outlined.px_bounds().min;
        outlined.draw(|x, y, cover| {
            let [column, row] = [origin.x + x as f32, origin.y + y as f32];
            if column >= 0.0 && row >= 0.0 {
                canvas.blend(index(column), index(row), colour, cover);
            }
        });
    }
}

struct Placed {
    font: &'static FontRef<'static>,
    id: GlyphId,
    /// In pixels from the start of the line.
    start: f32,
}

/// The glyphs of a line, and its width in pixels.
fn glyphs(text: &str, size: f32) -> (Vec<Placed>, f32) {
    let mut placed: Vec<Placed> = Vec::with_capacity(text.len());
    let mut advance = 0.0;
    for character in text.chars().map(spaced) {
        let font = font_of(character);
        let scaled = font.as_scaled(scale(font, size));
        let id = font.glyph_id(character);
        if let Some(before) = placed.last().filter(|before| std::ptr::eq(before.font, font)) {
            advance += scaled.kern(before.id, id);
        }
        placed.push(Placed { font, id, start: advance });
        advance += scaled.h_advance(id);
    }
    (placed, advance)
}

/// The fonts have no space that no line breaks at.
fn spaced(character: char) -> char {
    if character == NO_BREAK { ' ' } else { character }
}

/// The font library measures a font by its height, people by the em.
fn scale(font: &FontRef<'_>, size: f32) -> PxScale {
    PxScale::from(size * font.height_unscaled() / font.units_per_em().unwrap_or(1000.0))
}

#[cfg(test)]
mod tests {
    use super::super::SourcePicture;
    use super::*;

    #[test]
    fn every_character_of_own_text_has_a_glyph() {
        let ascii: String = (' '..='~').collect();
        assert!(can_write(&ascii) && can_write("\u{b7}\u{2026}\u{2265}"));
        assert!(can_write("肺炎") && !can_write("\u{5df4}"));
    }

    #[test]
    fn letters_leave_ink_and_stay_in_the_picture() {
        let mut canvas = Canvas::of(&SourcePicture::Gray { rows: 20, columns: 60, data: &[0; 1200] }).unwrap();
        for (text, most) in [("High 87.3 %", 600), ("肺炎 高", 600)] {
            canvas.pixels_mut().fill([0; 3]);
            draw(&mut canvas, [-5.0, 16.0], 14.0, text, [255; 3]);
            let ink = canvas.pixels().iter().filter(|pixel| pixel[0] > 128).count();
            assert!((60..most).contains(&ink), "{text}: {ink}");
        }
    }

    #[test]
    fn width_grows_with_text_and_size() {
        let narrow = width("AI", 10.0);
        assert!(narrow > 5.0 && narrow < 20.0);
        assert!((width("AI", 20.0) / narrow - 2.0).abs() < 0.01);
        assert!(width("AI, not verified", 10.0) > 4.0 * narrow);
    }
}
