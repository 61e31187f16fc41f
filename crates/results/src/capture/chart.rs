//! Charts of one share against another, both 0 to 1, as evaluations have them: ROC and calibration.

use super::canvas::{Area, Canvas, Colour};
use super::{RgbPicture, SourcePicture, letters, outline};
use crate::ResultError;

/// Pixels to the em.
const SIZE: f32 = 18.0;
/// Side of the square that the axes span, in pixels.
const SIDE: f32 = 560.0;
/// From the left edge to the upright axis.
const LEFT: f32 = 84.0;
/// From the right edge to the square.
const RIGHT: f32 = 36.0;
/// Below the square: numbers and the name of the axis.
const BELOW: f32 = 76.0;

const GROUND: u8 = 255;
const INK: Colour = [24, 24, 27];
const GRID: Colour = [222, 222, 228];
/// What no skill, or no error, looks like.
const DIAGONAL: Colour = [150, 150, 158];
/// Told apart in grey and by colour-blind eyes.
const COLOURS: [Colour; 3] = [[0, 84, 159], [204, 84, 0], [0, 120, 90]];

/// A square chart; both axes go from 0 to 1, and the diagonal is drawn.
#[derive(Debug, Clone, Copy)]
pub struct Chart<'a> {
    /// Stands above.
    pub title: &'a str,
    /// What is measured from left to right.
    pub across: &'a str,
    /// What is measured from below to above.
    pub up: &'a str,
    /// Drawn over each other, the first below.
    pub curves: &'a [Curve<'a>],
}

/// Points of a chart, `[across, up]`.
#[derive(Debug, Clone, Copy)]
pub struct Curve<'a> {
    /// What they are, said above the chart in their colour.
    pub name: &'a str,
    /// In the order in which they are joined.
    pub points: &'a [[f32; 2]],
    /// For each point the interval it may lie in, from below to above; may be empty.
    pub intervals: &'a [[f32; 2]],
    /// Whether each point has a dot; a curve of many points has none.
    pub dots: bool,
}

/// Draws a chart.
///
/// # Errors
/// [`ResultError::PictureTooLarge`]: so many curves that their names fill more than an image can hold.
pub fn chart_picture(chart: &Chart<'_>) -> Result<RgbPicture, ResultError> {
    let above = SIZE * (4.8 + 1.5 * chart.curves.len() as f32);
    let mut canvas = Canvas::of(&SourcePicture::Gray { rows: 1, columns: 1, data: &[GROUND] })?;
    canvas.extend(LEFT + SIDE + RIGHT, above + SIDE + BELOW, [GROUND; 3]);
    letters::draw(&mut canvas, [LEFT, SIZE * 1.7], SIZE * 1.2, chart.title, INK);
    for (index, (curve, colour)) in chart.curves.iter().zip(COLOURS.iter().cycle()).enumerate() {
        // A long name is written smaller, not cut.
        let size = SIZE.min(SIZE * (SIDE + RIGHT / 2.0) / letters::width(curve.name, SIZE).max(1.0));
        letters::draw(&mut canvas, [LEFT, SIZE * (3.4 + 1.5 * index as f32)], size, curve.name, *colour);
    }
    let square = Square { top: above };
    square.axes(&mut canvas, chart);
    for (curve, colour) in chart.curves.iter().zip(COLOURS.iter().cycle()) {
        square.curve(&mut canvas, curve, *colour);
    }
    canvas.into_picture()
}

/// Where the axes are.
struct Square {
    top: f32,
}

impl Square {
    fn at(&self, [across, up]: [f32; 2]) -> [f32; 2] {
        [LEFT + SIDE * across.clamp(0.0, 1.0), self.top + SIDE * (1.0 - up.clamp(0.0, 1.0))]
    }

    fn axes(&self, canvas: &mut Canvas, chart: &Chart<'_>) {
        for tenth in 0..=10_u8 {
            let share = f32::from(tenth) / 10.0;
            let colour = if tenth == 0 { INK } else { GRID };
            outline::line(canvas, &[self.at([share, 0.0]), self.at([share, 1.0])], 1.0, colour);
            outline::line(canvas, &[self.at([0.0, share]), self.at([1.0, share])], 1.0, colour);
            if tenth % 2 == 0 {
                let (text, [x, y]) = (format!("{share:.1}"), self.at([share, share]));
                let width = letters::width(&text, SIZE);
                letters::draw(canvas, [x - width / 2.0, self.top + SIDE + SIZE * 1.4], SIZE, &text, INK);
                letters::draw(canvas, [LEFT - width - SIZE * 0.6, y + SIZE * 0.36], SIZE, &text, INK);
            }
        }
        outline::line(canvas, &[self.at([0.0, 0.0]), self.at([1.0, 1.0])], 1.5, DIAGONAL);
        let width = letters::width(chart.across, SIZE);
        letters::draw(canvas, [LEFT + SIDE - width, self.top + SIDE + SIZE * 3.0], SIZE, chart.across, INK);
        letters::draw(canvas, [SIZE, self.top - SIZE * 0.9], SIZE, chart.up, INK);
    }

    fn curve(&self, canvas: &mut Canvas, curve: &Curve<'_>, colour: Colour) {
        let points: Vec<[f32; 2]> = curve.points.iter().map(|point| self.at(*point)).collect();
        for ([across, _], [low, high]) in curve.points.iter().zip(curve.intervals) {
            outline::line(canvas, &[self.at([*across, *low]), self.at([*across, *high])], 1.5, colour);
        }
        outline::line(canvas, &points, 2.5, colour);
        for [x, y] in points.iter().filter(|_| curve.dots) {
            let radius = SIZE * 0.32;
            let dot = Area { left: x - radius, top: y - radius, width: 2.0 * radius, height: 2.0 * radius };
            canvas.fill_rounded(dot, radius, colour, 1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_lie_where_their_points_are() {
        let curve = Curve {
            name: "a model",
            points: &[[0.0, 0.0], [0.2, 0.6], [1.0, 1.0]],
            intervals: &[[0.0, 0.0], [0.4, 0.8], [1.0, 1.0]],
            dots: true,
        };
        let chart = Chart { title: "ROC", across: "1 - specificity", up: "sensitivity", curves: &[curve] };
        let picture = chart_picture(&chart).unwrap();
        let top = SIZE * 6.3;
        let at = |across: f32, up: f32| -> [u8; 3] {
            let [x, y] = Square { top }.at([across, up]).map(crate::capture::canvas::index);
            let index = (y * picture.columns as usize + x) * 3;
            picture.data[index..index + 3].try_into().unwrap()
        };
        assert_eq!(at(0.2, 0.6), COLOURS[0]);
        assert_eq!(at(0.1, 0.3), COLOURS[0]);
        let [red, _, blue] = at(0.2, 0.75);
        assert!(blue > red, "the interval is drawn");
        assert_eq!(at(0.85, 0.15), [GROUND; 3]);
        assert!(at(0.55, 0.55)[0] < 200, "the diagonal is drawn");
    }

    #[test]
    fn the_font_has_every_printable_ascii_character() {
        let printable: String = (' '..='~').collect();
        assert!(letters::can_write(&printable));
    }
}
