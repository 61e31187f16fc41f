//! Where a caption hides least.

use super::canvas::{Area, Canvas, index, luma};

/// How much would be hidden at each place: cells of a coarse grid with a cost each, summed so that any
/// rectangle can be asked at once.
pub(super) struct Quiet {
    /// Pixels to a cell's side.
    cell: usize,
    columns: usize,
    rows: usize,
    picture_columns: usize,
    costs: Vec<f32>,
}

/// Cells along the shorter side.
const CELLS: usize = 160;

impl Quiet {
    /// From the source alone. A cell costs by the difference to its neighbours (edges, letters, markers) and
    /// when it is not the black of air and collimation, and the more the nearer it is to the middle, where the
    /// anatomy is that was asked for. How bright it is beyond black does not count: lungs are dark.
    pub(super) fn of(canvas: &Canvas) -> Self {
        let cell = (canvas.rows.min(canvas.columns) / CELLS).max(1);
        let (columns, rows) = (canvas.columns.div_ceil(cell), canvas.rows.div_ceil(cell));
        // A few samples of each cell do: what is looked for is larger than a cell.
        let step = (cell / 4).max(1);
        let mut sums = vec![(0.0f32, 0u32); columns * rows];
        for (row, line) in canvas.pixels().chunks(canvas.columns).enumerate().step_by(step) {
            for (column, pixel) in line.iter().enumerate().step_by(step) {
                if let Some((sum, count)) = sums.get_mut(row / cell * columns + column / cell) {
                    *sum += luma(*pixel);
                    *count += 1;
                }
            }
        }
        let means: Vec<f32> = sums.iter().map(|(sum, count)| sum / (*count).max(1) as f32).collect();
        let mean = |column: usize, row: usize| {
            means.get(row.min(rows - 1) * columns + column.min(columns - 1)).copied().unwrap_or(0.0)
        };
        let costs = (0..rows * columns)
            .map(|i| {
                let (column, row) = (i % columns, i / columns);
                let here = mean(column, row);
                let edge = (mean(column + 1, row) - here).abs() + (mean(column, row + 1) - here).abs();
                let aside = |i: usize, count: usize| ((i as f32 + 0.5) / count as f32 * 2.0 - 1.0).abs();
                let outward = aside(column, columns).max(aside(row, rows));
                (0.02 + edge / 24.0 + (here / 48.0).min(1.0)) * (1.0 - 0.8 * outward * outward)
            })
            .collect();
        Self { cell, columns, rows, picture_columns: canvas.columns, costs }
    }

    /// Adds what the map shows, 0 to 255 a pixel.
    pub(super) fn avoid_map(&mut self, map: &[u8]) {
        for (row, line) in map.chunks(self.picture_columns).enumerate().step_by(self.cell) {
            for (column, value) in line.iter().enumerate().step_by(self.cell) {
                if let Some(cost) = self.costs.get_mut(row / self.cell * self.columns + column / self.cell) {
                    *cost += 4.0 * f32::from(*value) / 255.0;
                }
            }
        }
    }

    /// Adds the rectangle around an outline, so heavily that only a picture full of outlines puts the caption
    /// over one.
    pub(super) fn avoid_outline(&mut self, outline: &[[f32; 2]]) {
        let side = self.cell as f32;
        let low = |i: usize| outline.iter().map(|v| v[i]).fold(f32::MAX, f32::min) / side - 1.0;
        let high = |i: usize| outline.iter().map(|v| v[i]).fold(0.0, f32::max) / side + 1.0;
        for row in index(low(1))..index(high(1)).saturating_add(1).min(self.rows) {
            for column in index(low(0))..index(high(0)).saturating_add(1).min(self.columns) {
                if let Some(cost) = self.costs.get_mut(row * self.columns + column) {
                    *cost += 50.0;
                }
            }
        }
    }

    /// What a rectangle would hide; comparable between rectangles of one picture.
    pub(super) fn cost(&self, area: Area) -> f32 {
        let side = self.cell as f32;
        let cells =
            Area { left: area.left / side, top: area.top / side, width: area.width / side, height: area.height / side };
        let columns = cells.columns(self.columns);
        cells
            .rows(self.rows)
            .filter_map(|row| self.costs.get(row * self.columns + columns.start..row * self.columns + columns.end))
            .flatten()
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::SourcePicture;
    use super::*;

    fn corner(left: f32, top: f32) -> Area {
        Area { left, top, width: 100.0, height: 40.0 }
    }

    #[test]
    fn air_is_quieter_than_anatomy_and_a_marker_counts() {
        // Black above, mid grey below, a white marker at the top left.
        let mut data = vec![0u8; 320 * 320];
        data[320 * 160..].fill(120);
        for row in 10..30 {
            data[row * 320 + 10..row * 320 + 30].fill(255);
        }
        let canvas = Canvas::of(&SourcePicture::Gray { rows: 320, columns: 320, data: &data }).unwrap();
        let mut quiet = Quiet::of(&canvas);
        let [marker, air, body] =
            [corner(0.0, 0.0), corner(220.0, 0.0), corner(220.0, 280.0)].map(|area| quiet.cost(area));
        assert!(air < marker && marker < body, "{air} {marker} {body}");

        quiet.avoid_outline(&[[250.0, 10.0], [260.0, 10.0], [260.0, 20.0]]);
        assert!(quiet.cost(corner(220.0, 0.0)) > body);
        let mut map = vec![0; 320 * 320];
        map[..320 * 40].fill(255);
        quiet.avoid_map(&map);
        assert!(quiet.cost(corner(100.0, 0.0)) > body);
    }

    #[test]
    fn hostile_outlines_and_areas_are_bounded() {
        let canvas = Canvas::of(&SourcePicture::Gray { rows: 3, columns: 2, data: &[0; 6] }).unwrap();
        let mut quiet = Quiet::of(&canvas);
        quiet.avoid_outline(&[[f32::NAN, -1e30], [1e30, 1e30]]);
        quiet.avoid_outline(&[]);
        assert!(quiet.cost(Area { left: -5.0, top: -5.0, width: 1e9, height: 1e9 }).is_finite());
    }
}
