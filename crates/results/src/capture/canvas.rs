use super::{RgbPicture, SourcePicture};
use crate::ResultError;

/// An sRGB colour.
pub(super) type Colour = [u8; 3];

/// The picture while it is drawn. Coordinates are pixels from the outer corner of the first one, so pixel
/// (0, 0) has its centre at (0.5, 0.5); what lies outside is not drawn.
pub(super) struct Canvas {
    pub(super) rows: usize,
    pub(super) columns: usize,
    data: Vec<u8>,
}

impl Canvas {
    /// # Errors
    /// [`ResultError::PictureTooLarge`], and [`ResultError::Samples`] when the buffer is not of that size.
    pub(super) fn of(picture: &SourcePicture<'_>) -> Result<Self, ResultError> {
        let (rows, columns, samples, data) = match *picture {
            SourcePicture::Gray { rows, columns, data } => (rows, columns, 1, data),
            SourcePicture::Rgb { rows, columns, data } => (rows, columns, 3, data),
        };
        if rows > u32::from(u16::MAX) || columns > u32::from(u16::MAX) {
            return Err(ResultError::PictureTooLarge { rows, columns });
        }
        let expected = u64::from(rows) * u64::from(columns) * samples;
        if expected != data.len() as u64 || data.is_empty() {
            let expected = expected.max(1);
            return Err(ResultError::Samples { what: "picture", expected, actual: data.len() as u64 });
        }
        let data = if samples == 1 { in_colour(data) } else { data.to_vec() };
        Ok(Self { rows: rows as usize, columns: columns as usize, data })
    }

    #[cfg(test)]
    pub(super) fn pixels(&self) -> &[Colour] {
        self.data.as_chunks::<3>().0
    }

    pub(super) fn pixels_mut(&mut self) -> &mut [Colour] {
        self.data.as_chunks_mut::<3>().0
    }

    /// Lays `colour` over a pixel, covering it by `alpha`.
    pub(super) fn blend(&mut self, column: usize, row: usize, colour: Colour, alpha: f32) {
        if column >= self.columns || row >= self.rows {
            return;
        }
        let index = row * self.columns + column;
        if let Some(pixel) = self.pixels_mut().get_mut(index) {
            *pixel = mix(*pixel, colour, alpha);
        }
    }

    /// Lays `colour` over an area by a coverage given at pixel centres.
    pub(super) fn fill(&mut self, area: Area, colour: Colour, coverage: impl Fn(f32, f32) -> f32) {
        let (columns, rows) = (area.columns(self.columns), area.rows(self.rows));
        for row in rows {
            for column in columns.clone() {
                let alpha = coverage(column as f32 + 0.5, row as f32 + 0.5);
                if alpha > 0.0 {
                    self.blend(column, row, colour, alpha);
                }
            }
        }
    }

    /// Fills a rectangle with rounded corners.
    pub(super) fn fill_rounded(&mut self, area: Area, radius: f32, colour: Colour, alpha: f32) {
        let [half_width, half_height] = [area.width / 2.0, area.height / 2.0];
        let [centre_x, centre_y] = [area.left + half_width, area.top + half_height];
        let radius = radius.min(half_width).min(half_height);
        self.fill(area, colour, |x, y| {
            let dx = (x - centre_x).abs() - half_width + radius;
            let dy = (y - centre_y).abs() - half_height + radius;
            let outside = dx.max(0.0).hypot(dy.max(0.0)) + dx.max(dy).min(0.0) - radius;
            alpha * (0.5 - outside).clamp(0.0, 1.0)
        });
    }

    /// Adds rows of `colour` below the picture, and columns beside it where it is narrower than `width`. What is
    /// there keeps its place.
    pub(super) fn extend(&mut self, width: f32, height: f32, colour: Colour) {
        let columns = index(width.ceil()).max(self.columns);
        let rows = self.rows + index(height.ceil());
        let mut data = colour.repeat(rows * columns);
        for (to, from) in data.chunks_exact_mut(columns * 3).zip(self.data.chunks_exact(self.columns * 3)) {
            if let Some(to) = to.get_mut(..from.len()) {
                to.copy_from_slice(from);
            }
        }
        *self = Self { rows, columns, data };
    }

    /// # Errors
    /// [`ResultError::PictureTooLarge`]: it has grown beyond what an image can hold.
    pub(super) fn into_picture(self) -> Result<RgbPicture, ResultError> {
        let size = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (rows, columns) = (size(self.rows), size(self.columns));
        if rows.max(columns) > u32::from(u16::MAX) {
            return Err(ResultError::PictureTooLarge { rows, columns });
        }
        Ok(RgbPicture { rows, columns, data: self.data })
    }
}

fn in_colour(grays: &[u8]) -> Vec<u8> {
    let mut data = vec![0; grays.len() * 3];
    for (pixel, gray) in data.as_chunks_mut::<3>().0.iter_mut().zip(grays) {
        *pixel = [*gray; 3];
    }
    data
}

/// A rectangle in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Area {
    pub(super) left: f32,
    pub(super) top: f32,
    pub(super) width: f32,
    pub(super) height: f32,
}

impl Area {
    /// The columns a picture of `count` columns has in it, also those it touches by a part.
    pub(super) fn columns(&self, count: usize) -> std::ops::Range<usize> {
        index(self.left).min(count)..index((self.left + self.width).ceil()).min(count)
    }

    /// As [`columns`](Self::columns), of rows.
    pub(super) fn rows(&self, count: usize) -> std::ops::Range<usize> {
        index(self.top).min(count)..index((self.top + self.height).ceil()).min(count)
    }
}

/// The pixel that holds a coordinate.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the conversion saturates, and what is negative or not a number belongs at 0"
)]
pub(super) fn index(coordinate: f32) -> usize {
    coordinate as usize
}

/// The nearest byte.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range of a byte")]
pub(super) fn byte(value: f32) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

/// `over` laid on `under`, covering it by `alpha`.
pub(super) fn mix(under: Colour, over: Colour, alpha: f32) -> Colour {
    let alpha = alpha.clamp(0.0, 1.0);
    let [[r, g, b], [or, og, ob]] = [under, over];
    [(r, or), (g, og), (b, ob)].map(|(u, o)| byte(f32::from(u) + (f32::from(o) - f32::from(u)) * alpha))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_of_another_size_is_refused() {
        let check = |rows, columns, bytes: usize| {
            Canvas::of(&SourcePicture::Gray { rows, columns, data: &vec![0; bytes] }).is_ok()
        };
        assert!(check(2, 3, 6));
        assert!(!check(2, 3, 5) && !check(0, 0, 0) && !check(70_000, 1, 70_000));
    }

    #[test]
    fn drawing_stops_at_the_edges() {
        let mut canvas = Canvas::of(&SourcePicture::Gray { rows: 4, columns: 4, data: &[0; 16] }).unwrap();
        let area = Area { left: -3.0, top: 2.0, width: 100.0, height: 100.0 };
        canvas.fill_rounded(area, 0.0, [255; 3], 1.0);
        canvas.blend(9, 9, [255; 3], 1.0);
        let rows: Vec<u8> = canvas.pixels().chunks(4).map(|row| row[1][0]).collect();
        assert_eq!(rows, [0, 0, 255, 255]);
    }
}
