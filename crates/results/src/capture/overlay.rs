use super::CaptureStyle;
use super::canvas::{Canvas, index};
use crate::ResultError;

/// The highest value of all maps at each pixel, 0 to 255; `None` without maps. What is no number is 0.
///
/// # Errors
/// [`ResultError::Samples`]: a map has another size than the picture.
pub(super) fn joined(maps: &[&[f32]], pixels: usize) -> Result<Option<Vec<u8>>, ResultError> {
    let Some((first, rest)) = maps.split_first() else { return Ok(None) };
    if let Some(odd) = maps.iter().find(|map| map.len() != pixels) {
        let (expected, actual) = (pixels as u64, odd.len() as u64);
        return Err(ResultError::Samples { what: "map", expected, actual });
    }
    let mut joined: Vec<u8> = first.iter().map(|value| level(*value)).collect();
    for map in rest {
        for (highest, value) in joined.iter_mut().zip(*map) {
            *highest = (*highest).max(level(*value));
        }
    }
    Ok(Some(joined))
}

/// The nearest of 256 levels; the conversion of NaN is 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the conversion saturates")]
fn level(value: f32) -> u8 {
    value.mul_add(255.0, 0.5) as u8
}

/// Lays the map over the source. It covers in proportion to its value, so the source stays whole where the
/// model saw nothing and shows through where it saw most.
pub(super) fn blend(canvas: &mut Canvas, map: &[u8], style: &CaptureStyle) {
    // One entry a level: what is left of the source, and what is added to it, in 1/65,536.
    let opacity = if style.opacity.is_finite() { style.opacity.clamp(0.0, 1.0) } else { 0.0 };
    let table: [(u32, [u32; 3]); 256] = std::array::from_fn(|level| {
        let value = level as f32 / 255.0;
        let cover = u32::try_from(index(opacity * value * 65_536.0)).unwrap_or(65_536);
        let added = style.scale.colour(value).map(|c| u32::from(c) * cover + 32_768);
        (65_536 - cover, added)
    });
    for (pixel, level) in canvas.pixels_mut().iter_mut().zip(map) {
        if *level == 0 {
            continue;
        }
        let (left, added) = &table[usize::from(*level)];
        for (channel, added) in pixel.iter_mut().zip(added) {
            // At most 255, since what is left and what is added cover one whole.
            *channel = u8::try_from((u32::from(*channel) * left + added) >> 16).unwrap_or(u8::MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::SourcePicture;
    use super::super::canvas::mix;
    use super::*;

    #[test]
    fn the_source_is_whole_where_the_map_is_zero_and_shows_through_at_one() {
        let source = [10, 200, 200, 40];
        let mut canvas = Canvas::of(&SourcePicture::Gray { rows: 1, columns: 4, data: &source }).unwrap();
        let map = joined(&[&[0.0, f32::NAN, 1.0, 0.2], &[-3.0, 0.0, 0.5, 7.0]], 4).unwrap().unwrap();
        assert_eq!(map, [0, 0, 255, 255]);
        let style = CaptureStyle::default();
        blend(&mut canvas, &map, &style);
        let colour = style.scale.colour(1.0);
        assert_eq!(canvas.pixels()[..2], [[10; 3], [200; 3]]);
        for (pixel, gray) in canvas.pixels()[2..].iter().zip(&source[2..]) {
            let exact = mix([*gray; 3], colour, 0.5);
            assert!(pixel.iter().zip(exact).all(|(a, b)| a.abs_diff(b) <= 1), "{pixel:?} {exact:?}");
        }
    }

    #[test]
    fn opacity_is_kept_in_bounds() {
        for (opacity, expected) in [(7.0, [255u8, 255, 255]), (-1.0, [9; 3]), (f32::NAN, [9; 3])] {
            let mut canvas = Canvas::of(&SourcePicture::Gray { rows: 1, columns: 1, data: &[9] }).unwrap();
            let style = CaptureStyle { opacity, ..CaptureStyle::default() };
            blend(&mut canvas, &[255], &style);
            let shown = if opacity > 1.0 { style.scale.colour(1.0) } else { expected };
            assert_eq!(canvas.pixels()[0], shown);
        }
    }

    #[test]
    fn a_map_of_another_size_is_refused() {
        assert!(joined(&[&[0.0; 4], &[0.0; 3]], 4).is_err());
        assert!(joined(&[], 4).unwrap().is_none());
    }
}
