//! Where a pixel of the tensor comes from. Coordinates are `[column, row]` from the outer corner of the first
//! pixel, so the centre of pixel (0,0) is at (0.5, 0.5), as in PS3.3 C.18.6.1.2. The mapping is a scale and a
//! shift along each axis, exact in both directions.

use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;
use ndarray::Array2;

use crate::cast;
use crate::functional;
use crate::input::Fit;

/// The mapping between a tensor and the frame it was made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Geometry {
    columns: Axis,
    rows: Axis,
}

/// One axis: `source = (tensor - shift) * source_size / resized`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Axis {
    source: u32,
    tensor: usize,
    /// What the whole source side becomes before it is padded or cut.
    resized: usize,
    /// Where its first pixel lies in the tensor; negative when that is cut off.
    shift: f64,
}

/// The part of the tensor that shows image, and the part of the source it shows.
pub(crate) struct Visible {
    pub(crate) start: usize,
    pub(crate) size: usize,
    pub(crate) source_start: f64,
    pub(crate) source_size: f64,
}

impl Axis {
    fn new(source: u32, tensor: usize, resized: usize) -> Self {
        // The odd pixel goes behind when padding and in front when cutting, as torchvision does.
        let shift = if resized <= tensor {
            (size(tensor.saturating_sub(resized)) / 2.0).floor()
        } else {
            -(size(resized.saturating_sub(tensor)) / 2.0).round_ties_even()
        };
        Self { source, tensor, resized, shift }
    }

    fn step(&self) -> f64 {
        f64::from(self.source) / size(self.resized)
    }

    fn to_source(self, tensor: f64) -> f64 {
        (tensor - self.shift) * self.step()
    }

    fn to_tensor(self, source: f64) -> f64 {
        source / self.step() + self.shift
    }

    fn visible(&self) -> Visible {
        let start = cast::floor(self.shift.max(0.0));
        let shown = self.resized.min(self.tensor);
        let source_start = self.to_source(size(start)).max(0.0);
        let whole = f64::from(self.source);
        let source_size = (size(shown) * self.step()).min(whole - source_start);
        Visible { start, size: shown, source_start, source_size }
    }
}

/// Sizes of images are far below 2^53.
fn size(size: usize) -> f64 {
    size as f64
}

impl Geometry {
    /// Fits `rows` x `columns` pixels, each `aspect` times as high as wide, to a tensor of `height` x `width`.
    pub(crate) fn new((rows, columns): (u32, u32), aspect: f64, (height, width): (usize, usize), fit: Fit) -> Self {
        let (true_width, true_height) = (f64::from(columns), f64::from(rows) * aspect);
        let (fit_x, fit_y) = (size(width) / true_width, size(height) / true_height);
        let (resized_width, resized_height) = match fit {
            Fit::Squash => (width, height),
            Fit::Pad => {
                let scale = fit_x.min(fit_y);
                let within = |side: f64, limit: usize| cast::count(side * scale).clamp(1, limit);
                (within(true_width, width), within(true_height, height))
            }
            Fit::Crop => {
                let scale = fit_x.max(fit_y);
                let beyond = |side: f64, limit: usize| cast::count(side * scale).max(limit);
                (beyond(true_width, width), beyond(true_height, height))
            }
        };
        Self { columns: Axis::new(columns, width, resized_width), rows: Axis::new(rows, height, resized_height) }
    }

    /// The place in the source frame that a place in the tensor shows; outside the frame where the tensor
    /// is padded.
    #[must_use]
    pub fn to_source(&self, x: f32, y: f32) -> [f32; 2] {
        [cast::single(self.columns.to_source(f64::from(x))), cast::single(self.rows.to_source(f64::from(y)))]
    }

    /// The place in the tensor that shows a place of the source frame; outside the tensor where it is cut.
    #[must_use]
    pub fn to_tensor(&self, column: f32, row: f32) -> [f32; 2] {
        [cast::single(self.columns.to_tensor(f64::from(column))), cast::single(self.rows.to_tensor(f64::from(row)))]
    }

    /// Rows and columns of the source frame.
    #[must_use]
    pub fn source_size(&self) -> (u32, u32) {
        (self.rows.source, self.columns.source)
    }

    /// Height and width of the tensor.
    #[must_use]
    pub fn tensor_size(&self) -> (usize, usize) {
        (self.rows.tensor, self.columns.tensor)
    }

    pub(crate) fn visible_rows(&self) -> Visible {
        self.rows.visible()
    }

    pub(crate) fn visible_columns(&self) -> Visible {
        self.columns.visible()
    }

    /// Enlarges a map over the whole tensor, in any resolution, to one value for each pixel of the source
    /// frame: bilinear between the centres of the map's cells, level beyond the outermost centres, 0 where
    /// the tensor does not show the source. An empty map gives zeros.
    #[must_use]
    pub fn map_to_source(&self, map: &Array2<f32>) -> Array2<f32> {
        let (cells_y, cells_x) = map.dim();
        let columns = self.columns.taps(cells_x);
        let mut source = Array2::zeros((self.rows.source as usize, self.columns.source as usize));
        let mut blended = vec![0.0_f32; cells_x];
        for (mut row, tap) in source.rows_mut().into_iter().zip(self.rows.taps(cells_y)) {
            let Some(tap) = tap else { continue };
            let (Some(upper), Some(lower)) = (nth_row(map, tap.low), nth_row(map, tap.high)) else { continue };
            for ((cell, a), b) in blended.iter_mut().zip(upper).zip(lower) {
                *cell = a + (b - a) * tap.weight;
            }
            for (value, tap) in row.iter_mut().zip(&columns) {
                let Some(tap) = tap else { continue };
                let at = |index: usize| blended.get(index).copied().unwrap_or_default();
                let (a, b) = (at(tap.low), at(tap.high));
                *value = a + (b - a) * tap.weight;
            }
        }
        source
    }
}

fn nth_row(map: &Array2<f32>, index: usize) -> Option<ndarray::ArrayView1<'_, f32>> {
    (index < map.nrows()).then(|| map.row(index))
}

/// Two neighbouring cells of a map and how much the second counts.
#[derive(Clone, Copy)]
struct Tap {
    low: usize,
    high: usize,
    weight: f32,
}

impl Axis {
    /// For each source pixel the cells of a map with `cells` cells over the tensor; `None` where the tensor
    /// does not show it.
    fn taps(&self, cells: usize) -> Vec<Option<Tap>> {
        let last = cells.saturating_sub(1);
        let tap = |pixel: u32| {
            let tensor = self.to_tensor(f64::from(pixel) + 0.5);
            if cells == 0 || tensor < 0.0 || tensor > size(self.tensor) {
                return None;
            }
            let cell = (tensor / size(self.tensor) * size(cells) - 0.5).clamp(0.0, size(last));
            let low = cast::floor(cell);
            Some(Tap { low, high: low.saturating_add(1).min(last), weight: cast::single(cell - cell.floor()) })
        };
        (0..self.source).map(tap).collect()
    }
}

/// How many times as high as wide a pixel is (PS3.3 C.7.6.3.1.7): from Pixel Spacing of the frame or the image,
/// Imager Pixel Spacing, Nominal Scanned Pixel Spacing, then Pixel Aspect Ratio. 1 when nothing is said, when
/// it differs by less than half a per cent, or when it is beyond 10 to 1, which no detector has.
pub(crate) fn pixel_aspect(dataset: &Dataset, frame: u32) -> f64 {
    let measures = functional::group(dataset, frame, tags::PIXEL_MEASURES_SEQUENCE);
    let spacings = [
        measures.map(|group| group.floats(tags::PIXEL_SPACING)),
        Some(dataset.floats(tags::PIXEL_SPACING)),
        Some(dataset.floats(tags::IMAGER_PIXEL_SPACING)),
        Some(dataset.floats(tags::NOMINAL_SCANNED_PIXEL_SPACING)),
        Some(dataset.floats(tags::PIXEL_ASPECT_RATIO)),
    ];
    let aspect = spacings.into_iter().flatten().find_map(|values| match *values.as_slice() {
        [vertical, horizontal] if vertical > 0.0 && horizontal > 0.0 => Some(vertical / horizontal),
        _ => None,
    });
    match aspect {
        Some(aspect) if (aspect - 1.0).abs() >= 0.005 && (0.1..=10.0).contains(&aspect) => aspect,
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dokuei_dataset::VR;
    use proptest::prelude::*;

    fn check(geometry: &Geometry, tensor: [f32; 2], source: [f32; 2]) {
        let [x, y] = tensor;
        assert_eq!(geometry.to_source(x, y), source, "to source");
        let [column, row] = source;
        assert_eq!(geometry.to_tensor(column, row), tensor, "to tensor");
    }

    #[test]
    fn pad_centres_and_keeps_proportions() {
        // 400 x 200 into 100 x 100: 100 x 50, 25 above.
        let geometry = Geometry::new((200, 400), 1.0, (100, 100), Fit::Pad);
        check(&geometry, [0.0, 25.0], [0.0, 0.0]);
        check(&geometry, [100.0, 75.0], [400.0, 200.0]);
        check(&geometry, [50.0, 0.0], [200.0, -100.0]);
        let rows = geometry.visible_rows();
        assert_eq!((rows.start, rows.size), (25, 50));
    }

    #[test]
    fn crop_fills_and_cuts_evenly() {
        let geometry = Geometry::new((200, 400), 1.0, (100, 100), Fit::Crop);
        check(&geometry, [0.0, 0.0], [100.0, 0.0]);
        check(&geometry, [100.0, 100.0], [300.0, 200.0]);
        let columns = geometry.visible_columns();
        assert_eq!((columns.start, columns.size), (0, 100));
        assert_eq!((columns.source_start, columns.source_size), (100.0, 200.0));
    }

    #[test]
    fn squash_uses_everything() {
        let geometry = Geometry::new((200, 400), 1.0, (100, 100), Fit::Squash);
        check(&geometry, [100.0, 100.0], [400.0, 200.0]);
        check(&geometry, [25.0, 50.0], [100.0, 100.0]);
    }

    #[test]
    fn pixels_that_are_not_square() {
        // 100 rows twice as high as wide and 200 columns: a square.
        let geometry = Geometry::new((100, 200), 2.0, (50, 50), Fit::Pad);
        check(&geometry, [50.0, 50.0], [200.0, 100.0]);
        check(&geometry, [0.0, 0.0], [0.0, 0.0]);
    }

    #[test]
    fn aspect_of_pixels() {
        let mut data = Dataset::new();
        let aspect = |data: &Dataset| pixel_aspect(data, 0);
        assert!((aspect(&data) - 1.0).abs() < 1e-9);
        data.put_text(tags::PIXEL_ASPECT_RATIO, VR::IS, "4\\3");
        assert!((aspect(&data) - 4.0 / 3.0).abs() < 1e-9);
        data.put_text(tags::PIXEL_SPACING, VR::DS, "0.0\\0.0");
        assert!((aspect(&data) - 4.0 / 3.0).abs() < 1e-9);
        data.put_text(tags::PIXEL_SPACING, VR::DS, "0.2\\0.1");
        assert!((aspect(&data) - 2.0).abs() < 1e-9);
        data.put_text(tags::PIXEL_SPACING, VR::DS, "0.2\\0.0001");
        assert!((aspect(&data) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_map_is_bilinear_inside_and_zero_outside() {
        let map = Array2::from_shape_vec((1, 2), vec![0.0, 1.0]).unwrap();
        let whole = Geometry::new((1, 8), 1.0, (1, 4), Fit::Squash).map_to_source(&map);
        // Cell centres lie at source columns 2 and 6.
        let expected = [0.0, 0.0, 0.125, 0.375, 0.625, 0.875, 1.0, 1.0];
        for (got, expected) in whole.iter().zip(expected) {
            assert!((got - expected).abs() < 1e-6, "{whole}");
        }
        let cut = Geometry::new((2, 8), 1.0, (4, 4), Fit::Crop).map_to_source(&Array2::ones((2, 2)));
        assert_eq!(cut.row(0).to_vec(), [0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
        let none = Geometry::new((2, 3), 1.0, (4, 4), Fit::Pad).map_to_source(&Array2::zeros((0, 0)));
        assert_eq!(none, Array2::<f32>::zeros((2, 3)));
    }

    fn fit() -> impl Strategy<Value = Fit> {
        prop_oneof![Just(Fit::Pad), Just(Fit::Crop), Just(Fit::Squash)]
    }

    proptest! {
        #[test]
        fn there_and_back_is_the_same_place(
            rows in 1_u32..400, columns in 1_u32..400, height in 1_usize..300, width in 1_usize..300,
            aspect in 0.1_f64..10.0, fit in fit(), x in 0.0_f32..1.0, y in 0.0_f32..1.0,
        ) {
            let geometry = Geometry::new((rows, columns), aspect, (height, width), fit);
            let (x, y) = (x * columns as f32, y * rows as f32);
            let [u, v] = geometry.to_tensor(x, y);
            let [back_x, back_y] = geometry.to_source(u, v);
            // Single precision of the place in the tensor, seen at the scale of the source.
            let slack = |place: f32, there: f32, size: u32, tensor: f32| {
                1e-5 * (place.abs() + size as f32 * (1.0 + there.abs() / tensor))
            };
            let (sx, sy) = geometry.resized();
            prop_assert!((back_x - x).abs() <= slack(x, u, columns, sx), "{x} {back_x}");
            prop_assert!((back_y - y).abs() <= slack(y, v, rows, sy), "{y} {back_y}");
            let seen = geometry.visible_columns();
            prop_assert!(seen.start + seen.size <= width && seen.size > 0);
            prop_assert!(seen.source_start + seen.source_size <= f64::from(columns));
            prop_assert!(geometry.map_to_source(&Array2::ones((3, 3))).iter().all(|v| *v == 0.0 || (*v - 1.0).abs() < 1e-6));
        }
    }

    impl Geometry {
        fn resized(&self) -> (f32, f32) {
            (self.columns.resized as f32, self.rows.resized as f32)
        }
    }
}
