//! Areas filled in frames of one bit a pixel.

use std::ops::Range;

use crate::outline::corners;

/// Frames of one bit a pixel (PS3.5 § 8.2, Annex D): the first pixel is the lowest bit of the first byte, and rows and
/// frames follow each other without a gap.
pub(super) struct Bits {
    rows: usize,
    columns: usize,
    bytes: Vec<u8>,
}

impl Bits {
    /// Nothing marked. `size` is rows and columns.
    pub(super) fn new(frames: usize, size: [u16; 2]) -> Self {
        let [rows, columns] = size.map(usize::from);
        Self { rows, columns, bytes: vec![0; (frames * rows * columns).div_ceil(8)] }
    }

    /// Marks the pixels whose centres lie inside an outline, by the even-odd rule; where there is none, the pixel in its
    /// middle, since a region is never nothing. `[column, row]` vertices inside the frame.
    pub(super) fn fill(&mut self, frame: usize, outline: &[[f32; 2]]) {
        let (first, last) = corners(outline);
        let ([left, top], [right, bottom]) = (first.map(f64::from), last.map(f64::from));
        let mut is_empty = true;
        for row in index(top, self.rows)..index(bottom.ceil(), self.rows) {
            let crossings = crossings(outline, row as f64 + 0.5);
            for [from, to] in crossings.as_chunks::<2>().0 {
                // From the first centre at or behind one edge to the last one before the next.
                let [from, to] = [from, to].map(|x| index((x - 0.5).ceil(), self.columns));
                is_empty &= from >= to;
                self.mark(frame, row, from..to.max(from));
            }
        }
        if is_empty {
            let [row, column] = [((top + bottom) / 2.0, self.rows), ((left + right) / 2.0, self.columns)]
                .map(|(middle, size)| index(middle, size - 1));
            self.mark(frame, row, column..column + 1);
        }
    }

    fn mark(&mut self, frame: usize, row: usize, columns: Range<usize>) {
        let start = (frame * self.rows + row) * self.columns;
        let (from, to) = (start + columns.start, start + columns.end);
        let (head, tail) = (u8::MAX << (from % 8), !(u8::MAX << (to % 8)));
        if from / 8 == to / 8 {
            if let Some(byte) = self.bytes.get_mut(from / 8) {
                *byte |= head & tail;
            }
            return;
        }
        let Some([first, rest @ ..]) = self.bytes.get_mut(from / 8..) else { return };
        *first |= head;
        let (whole, after) = rest.split_at_mut(to / 8 - from / 8 - 1);
        whole.fill(u8::MAX);
        // None when the frame ends with a whole byte.
        if let Some(last) = after.first_mut() {
            *last |= tail;
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Where an outline crosses the middle of a row, from left to right.
fn crossings(outline: &[[f32; 2]], y: f64) -> Vec<f64> {
    let edges = outline.iter().zip(outline.iter().cycle().skip(1));
    let mut crossings: Vec<f64> = edges
        .filter_map(|(from, to)| {
            let [[x0, y0], [x1, y1]] = [from, to].map(|vertex| vertex.map(f64::from));
            ((y0 <= y) != (y1 <= y)).then(|| x0 + (y - y0) * (x1 - x0) / (y1 - y0))
        })
        .collect();
    crossings.sort_by(f64::total_cmp);
    crossings
}

/// A whole coordinate, at most `end`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the conversion saturates")]
fn index(coordinate: f64, end: usize) -> usize {
    (coordinate as usize).min(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames drawn with `#` where something is marked, rows below each other.
    fn drawn(bits: &Bits) -> String {
        let marked = |index: usize| bits.bytes[index / 8] >> (index % 8) & 1 == 1;
        let rows = (0..bits.bytes.len() * 8 / bits.columns).map(|row| {
            let pixels = (0..bits.columns).map(|column| if marked(row * bits.columns + column) { '#' } else { '.' });
            pixels.collect::<String>()
        });
        rows.collect::<Vec<_>>().join(" ")
    }

    fn rectangle(left: f32, top: f32, right: f32, bottom: f32) -> [[f32; 2]; 4] {
        [[left, top], [right, top], [right, bottom], [left, bottom]]
    }

    #[test]
    fn rows_and_frames_run_on_across_bytes() {
        // Two frames of 3 rows and 5 columns, 30 bits:
        // frame 1: ..... .##.. .##..  frame 2: ....# ..... #####
        let mut bits = Bits::new(2, [3, 5]);
        bits.fill(0, &rectangle(1.0, 1.0, 3.0, 3.0));
        bits.fill(1, &rectangle(4.0, 0.0, 5.0, 1.0));
        bits.fill(1, &rectangle(0.0, 2.0, 5.0, 3.0));
        // Bits 6, 7, 11, 12; 15 + 4 = 19; 15 + 10 = 25 to 29.
        assert_eq!(bits.into_bytes(), [0b1100_0000, 0b0001_1000, 0b0000_1000, 0b0011_1110]);
    }

    #[test]
    fn a_pixel_is_in_when_its_centre_is() {
        let mut bits = Bits::new(1, [4, 8]);
        bits.fill(0, &rectangle(0.5, 0.6, 3.5, 2.4));
        assert_eq!(drawn(&bits), "........ ###..... ........ ........");
        let mut bits = Bits::new(1, [4, 8]);
        bits.fill(0, &[[0.0, 0.0], [8.0, 0.0], [0.0, 4.0]]);
        assert_eq!(drawn(&bits), "#######. #####... ###..... #.......");
        // The other way round, and beside it a second one.
        bits.fill(0, &[[8.0, 4.0], [8.0, 2.0], [6.0, 4.0]]);
        assert_eq!(drawn(&bits), "#######. #####... ###....# #.....##");
    }

    #[test]
    fn a_long_row_is_filled_with_whole_bytes() {
        for (from, to) in [(0_u16, 40_u16), (3, 37), (8, 16), (7, 9), (9, 10), (0, 1), (39, 40)] {
            let mut bits = Bits::new(1, [1, 40]);
            bits.fill(0, &rectangle(from.into(), 0.0, to.into(), 1.0));
            let expected: String = (0..40).map(|column| if (from..to).contains(&column) { '#' } else { '.' }).collect();
            assert_eq!(drawn(&bits), expected, "{from} to {to}");
        }
    }

    #[test]
    fn a_bay_stays_open_and_a_sliver_is_a_pixel() {
        let mut bits = Bits::new(1, [4, 8]);
        bits.fill(0, &[[0.0, 0.0], [8.0, 0.0], [8.0, 4.0], [6.0, 4.0], [6.0, 2.0], [2.0, 2.0], [2.0, 4.0], [0.0, 4.0]]);
        assert_eq!(drawn(&bits), "######## ######## ##....## ##....##");
        let mut bits = Bits::new(1, [4, 8]);
        bits.fill(0, &rectangle(2.6, 0.0, 3.4, 4.0));
        assert_eq!(drawn(&bits), "........ ........ ...#.... ........");
        let mut bits = Bits::new(1, [4, 8]);
        bits.fill(0, &rectangle(7.75, 3.75, 8.0, 4.0));
        assert_eq!(drawn(&bits), "........ ........ ........ .......#");
    }
}
