//! From an explanation map to outlines in the source frame.
//!
//! 1. The map is enlarged (bilinear) to about 160 samples a side and smoothed (Gaussian).
//! 2. Places of at least `threshold` times its peak, and at least `floor`, count; none outside of the
//!    source frame. The peak is that of the whole map: a network that looked at the padding marks nothing
//!    but what stands up to it.
//! 3. They form 4-connected areas.
//! 4. Each outline is simplified, mapped to source pixels, cut at the frame, and rounded to 1/16 pixel.
//! 5. Areas below `min_area` go; the rest are ordered by peak, then by size, then by place.

use std::cmp::Ordering;

use dokuei_types::Region;
use ndarray::{Array2, Axis};

use crate::contour::{self, Area};
use crate::manifest::RegionOptions;

/// Samples that the longer side of a map is enlarged to, at least.
const SAMPLES_MIN: usize = 160;
/// Most times a map is enlarged.
const ENLARGE_MAX: usize = 32;
/// Vertices are rounded to this part of a source pixel.
const SUBPIXELS: f32 = 16.0;
/// How often a simplification that made edges cross is tried again with half the tolerance.
const SIMPLIFY_TRIES: u32 = 4;

/// Where a map lies: over the whole tensor, which shows a part of the source frame.
pub(crate) struct Place<'a> {
    /// Rows and columns of the tensor.
    pub(crate) tensor: (usize, usize),
    /// Rows and columns of the source frame.
    pub(crate) source: (u32, u32),
    /// From tensor coordinates `(x, y)` to `[column, row]` of the source frame.
    pub(crate) to_source: &'a dyn Fn(f32, f32) -> [f32; 2],
}

/// The regions of one map, values 0 to 1, highest peak first.
pub(crate) fn outline(map: &Array2<f32>, place: &Place<'_>, options: &RegionOptions) -> Vec<Region> {
    let (rows, columns) = map.dim();
    if rows == 0 || columns == 0 || place.source.0 == 0 || place.source.1 == 0 {
        return Vec::new();
    }
    let enlarge = SAMPLES_MIN.div_ceil(rows.max(columns)).clamp(1, ENLARGE_MAX);
    let mut grid = smoothed(enlarged(map, enlarge), options.smoothing * size(enlarge));
    let grid_to_tensor = |point: [f32; 2]| {
        let x = (point[0] + 0.5) * size(place.tensor.1) / size(columns * enlarge);
        let y = (point[1] + 0.5) * size(place.tensor.0) / size(rows * enlarge);
        (x, y)
    };
    let to_source = |point: [f32; 2]| {
        let (x, y) = grid_to_tensor(point);
        (place.to_source)(x, y)
    };
    let (height, width) = (length(place.source.0), length(place.source.1));
    let peak = grid.iter().copied().fold(0.0, f32::max);
    grid.indexed_iter_mut().for_each(|((row, column), value)| {
        let [x, y] = to_source([size(column), size(row)]);
        if !((0.0..=width).contains(&x) && (0.0..=height).contains(&y)) {
            *value = 0.0;
        }
    });
    let level = (peak * options.threshold).max(options.floor);
    if peak <= 0.0 || level <= 0.0 {
        return Vec::new();
    }
    let tolerance = options.simplify * size(enlarge);
    let smallest = f64::from(options.min_area) * f64::from(width) * f64::from(height);
    let mut found: Vec<(f64, Region)> = contour::areas(&grid, level)
        .iter()
        .filter_map(|area| {
            let outline = source_outline(area, tolerance, &to_source, (width, height))?;
            let size = contour::area(&outline).abs();
            let region = Region { peak: peak_inside(map, area, enlarge), outline };
            (size > 0.0 && size >= smallest).then_some((size, region))
        })
        .collect();
    found.sort_by(before);
    found.into_iter().take(options.max_count).map(|(_, region)| region).collect()
}

fn before(one: &(f64, Region), two: &(f64, Region)) -> Ordering {
    let first = |region: &Region| region.outline.first().copied().unwrap_or_default();
    let (a, b) = (first(&one.1), first(&two.1));
    two.1
        .peak
        .total_cmp(&one.1.peak)
        .then(two.0.total_cmp(&one.0))
        .then(a[1].total_cmp(&b[1]))
        .then(a[0].total_cmp(&b[0]))
}

/// The outline in source pixels, `None` when nothing of it lies inside the frame.
fn source_outline(
    area: &Area,
    tolerance: f32,
    to_source: &dyn Fn([f32; 2]) -> [f32; 2],
    (width, height): (f32, f32),
) -> Option<Vec<[f32; 2]>> {
    let mut outline = Vec::new();
    for attempt in 0..=SIMPLIFY_TRIES {
        let tolerance = if attempt == SIMPLIFY_TRIES { 0.0 } else { tolerance / length(1 << attempt) };
        let simple = contour::simplified(&area.outline, tolerance);
        let mapped: Vec<_> = simple.iter().map(|point| to_source(*point)).collect();
        outline = rounded(&contour::clipped(&mapped, width, height));
        if contour::is_simple(&outline) {
            break;
        }
    }
    // The exact outline can touch itself where the frame is coarser than the grid: shown as it is.
    (outline.len() >= 3).then_some(outline)
}

/// Rounds vertices and leaves out those that fall on the one before.
fn rounded(polygon: &[[f32; 2]]) -> Vec<[f32; 2]> {
    let mut points: Vec<[f32; 2]> =
        polygon.iter().map(|point| point.map(|value| (value * SUBPIXELS).round() / SUBPIXELS)).collect();
    points.dedup();
    while points.len() > 1 && points.first() == points.last() {
        points.pop();
    }
    points
}

/// The highest value of the map itself, before smoothing, in an area of the enlarged grid.
fn peak_inside(map: &Array2<f32>, area: &Area, enlarge: usize) -> f32 {
    let cells = area.samples.iter().filter_map(|sample| map.get([sample[0] / enlarge, sample[1] / enlarge]));
    cells.copied().fold(0.0, f32::max)
}

/// Bilinear between the centres of the cells, constant beyond the outermost centres.
fn enlarged(map: &Array2<f32>, times: usize) -> Array2<f32> {
    let (rows, columns) = map.dim();
    let taps = |index: usize, length: usize| {
        // Twice the distance to the first cell's centre, in samples.
        let doubled = (2 * index + 1).saturating_sub(times);
        let low = (doubled / (2 * times)).min(length - 1);
        (low, (low + 1).min(length - 1), size(doubled % (2 * times)) / size(2 * times))
    };
    Array2::from_shape_fn((rows * times, columns * times), |(row, column)| {
        let (top, bottom, down) = taps(row, rows);
        let (left, right, across) = taps(column, columns);
        let line = |row: usize| map[[row, left]] * (1.0 - across) + map[[row, right]] * across;
        line(top) * (1.0 - down) + line(bottom) * down
    })
}

/// Gaussian smoothing, `sigma` in samples, cut at three sigma; the edge's samples continue beyond it.
fn smoothed(mut grid: Array2<f32>, sigma: f32) -> Array2<f32> {
    if sigma <= 0.0 {
        return grid;
    }
    let reach = (1..).take_while(|step| size(*step) <= 3.0 * sigma).count();
    let half: Vec<f32> = (0..=reach).map(|step| (-0.5 * (size(step) / sigma).powi(2)).exp()).collect();
    let total: f32 = half.iter().sum::<f32>() * 2.0 - 1.0;
    for axis in [Axis(1), Axis(0)] {
        for mut lane in grid.lanes_mut(axis) {
            let line = lane.to_vec();
            lane.iter_mut().enumerate().for_each(|(index, value)| *value = weighed(&line, index, &half) / total);
        }
    }
    grid
}

/// A sample and its neighbours times their weights, the weight at 0 being its own.
fn weighed(line: &[f32], centre: usize, half: &[f32]) -> f32 {
    let last = line.len().saturating_sub(1);
    let at = |index: usize| line.get(index).copied().unwrap_or_default();
    let pairs = half.iter().enumerate().skip(1);
    let around = pairs.map(|(step, weight)| weight * (at(centre.saturating_sub(step)) + at((centre + step).min(last))));
    half.first().copied().unwrap_or(1.0) * at(centre) + around.sum::<f32>()
}

/// Exact: far below 2^24.
fn size(count: usize) -> f32 {
    count as f32
}

/// Exact up to 2^24 pixels a side.
fn length(pixels: u32) -> f32 {
    pixels as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: RegionOptions =
        RegionOptions { threshold: 0.5, floor: 0.05, smoothing: 0.0, min_area: 0.0, max_count: 4, simplify: 0.1 };

    fn blob(rows: usize, columns: usize, blobs: &[([f32; 2], f32, f32)]) -> Array2<f32> {
        Array2::from_shape_fn((rows, columns), |(row, column)| {
            let at = |centre: [f32; 2], sigma: f32| {
                let (x, y) = (size(column) + 0.5 - centre[0], size(row) + 0.5 - centre[1]);
                (-0.5 * (x * x + y * y) / (sigma * sigma)).exp()
            };
            blobs.iter().map(|(centre, sigma, height)| height * at(*centre, *sigma)).fold(0.0, f32::max)
        })
    }

    /// A frame of 3000 x 2000 (rows x columns) fitted into a square tensor of 300, padded left and right.
    fn padded(x: f32, y: f32) -> [f32; 2] {
        [(x - 50.0) * 10.0, y * 10.0]
    }

    fn place(to_source: &dyn Fn(f32, f32) -> [f32; 2]) -> Place<'_> {
        Place { tensor: (300, 300), source: (3000, 2000), to_source }
    }

    fn inside_frame(region: &Region) -> bool {
        region.outline.len() >= 3
            && region.outline.first() != region.outline.last()
            && region.outline.iter().all(|[x, y]| (0.0..=2000.0).contains(x) && (0.0..=3000.0).contains(y))
            && contour::is_simple(&region.outline)
    }

    #[test]
    fn a_blob_is_outlined_where_it_is() {
        let map = blob(30, 30, &[([14.0, 11.0], 3.0, 0.9)]);
        let regions = outline(&map, &place(&padded), &OPTIONS);
        assert_eq!(regions.len(), 1);
        assert!(inside_frame(&regions[0]));
        // Half of the peak lies at sigma * sqrt(2 ln 2); a cell is 10 tensor pixels, 100 source pixels.
        let radius = f64::from(3.0 * (2.0 * 2.0_f32.ln()).sqrt() * 100.0);
        let exact = std::f64::consts::PI * radius * radius;
        let measured = contour::area(&regions[0].outline).abs();
        assert!((measured / exact - 1.0).abs() < 0.04, "{measured} instead of {exact}");
        let count = size(regions[0].outline.len());
        let centre = [0, 1].map(|axis| regions[0].outline.iter().map(|point| point[axis]).sum::<f32>() / count);
        assert!((centre[0] - 900.0).abs() < 40.0 && (centre[1] - 1100.0).abs() < 40.0, "{centre:?}");
        assert!(regions[0].peak > 0.85 && regions[0].peak <= 0.9);
    }

    #[test]
    fn the_highest_peak_comes_first_and_there_are_not_too_many() {
        let blobs =
            [([8.0, 8.0], 1.5, 0.7), ([22.0, 8.0], 1.5, 0.95), ([9.0, 22.0], 1.5, 0.8), ([21.0, 21.0], 1.5, 0.6)];
        let map = blob(30, 30, &blobs);
        let regions = outline(&map, &place(&padded), &RegionOptions { max_count: 3, ..OPTIONS });
        assert_eq!(regions.len(), 3);
        assert!(regions.iter().all(inside_frame));
        assert!(regions.is_sorted_by(|one, two| one.peak >= two.peak));
        assert!(regions[0].outline[0][0] > 1500.0 && regions[0].outline[0][1] < 1000.0);
    }

    #[test]
    fn padding_is_not_marked_and_the_frame_cuts() {
        let beside = blob(30, 30, &[([2.0, 15.0], 1.5, 1.0)]);
        assert!(outline(&beside, &place(&padded), &OPTIONS).is_empty());
        let across = blob(30, 30, &[([5.0, 15.0], 3.0, 1.0)]);
        let regions = outline(&across, &place(&padded), &OPTIONS);
        assert_eq!(regions.len(), 1);
        assert!(inside_frame(&regions[0]));
        let leftmost = regions[0].outline.iter().map(|point| point[0]).fold(f32::MAX, f32::min);
        assert!(leftmost <= 20.0, "{leftmost}");
    }

    #[test]
    fn nothing_where_nothing_stands_out() {
        assert!(outline(&Array2::zeros((10, 10)), &place(&padded), &OPTIONS).is_empty());
        assert!(outline(&Array2::from_elem((10, 10), 0.04), &place(&padded), &OPTIONS).is_empty());
        assert!(outline(&Array2::zeros((0, 0)), &place(&padded), &OPTIONS).is_empty());
        let speck = blob(30, 30, &[([14.0, 11.0], 0.6, 0.9)]);
        assert!(outline(&speck, &place(&padded), &RegionOptions { min_area: 0.01, ..OPTIONS }).is_empty());
        assert_eq!(outline(&speck, &place(&padded), &OPTIONS).len(), 1);
    }

    #[test]
    fn the_whole_frame_can_be_marked() {
        let regions = outline(&Array2::ones((7, 7)), &place(&padded), &OPTIONS);
        assert_eq!(regions.len(), 1);
        assert!(inside_frame(&regions[0]));
        assert!(contour::area(&regions[0].outline).abs() > 0.97 * 6.0e6);
    }

    #[test]
    fn any_map_gives_valid_outlines() {
        let mut seed = 1_u32;
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            length(seed >> 8) / length(1 << 24)
        };
        for (rows, columns) in [(1, 1), (1, 9), (7, 7), (10, 13), (40, 40)] {
            for smoothing in [0.0, 0.7] {
                let map = Array2::from_shape_simple_fn((rows, columns), &mut next);
                let options = RegionOptions { smoothing, simplify: 2.0, max_count: 64, ..OPTIONS };
                let regions = outline(&map, &place(&padded), &options);
                assert!(!regions.is_empty() && regions.iter().all(inside_frame), "{rows} x {columns}");
                assert_eq!(regions, outline(&map, &place(&padded), &options));
            }
        }
    }

    #[test]
    fn enlarging_and_smoothing_keep_a_flat_map_flat() {
        for times in [1, 2, 3, 16] {
            let grid = smoothed(enlarged(&Array2::from_elem((3, 5), 0.4), times), 1.5);
            assert_eq!(grid.dim(), (3 * times, 5 * times));
            assert!(grid.iter().all(|value| (value - 0.4).abs() < 1e-5));
        }
        let ramp = enlarged(&ndarray::array![[0.0, 1.0]], 4);
        let expected = [0.0, 0.0, 0.125, 0.375, 0.625, 0.875, 1.0, 1.0];
        assert!(ramp.row(0).iter().zip(expected).all(|(value, wanted)| (value - wanted).abs() < 1e-6), "{ramp}");
    }
}
