//! Outlines of connected areas of a grid, between its samples.

use ndarray::Array2;

/// One connected area at or above a level.
pub(crate) struct Area {
    /// `[x, y]` in samples, the centre of the first being (0, 0); clockwise as seen, without
    /// repeating the first.
    pub(crate) outline: Vec<[f32; 2]>,
    /// `[row, column]` of every sample that belongs to it, in the order of a flood from the first.
    pub(crate) samples: Vec<[usize; 2]>,
}

/// Right, down, left, up, as (row, column).
const STEPS: [(isize, isize); 4] = [(0, 1), (1, 0), (0, -1), (-1, 0)];

/// How near to a sample an outline comes, as part of the distance between samples.
const SHARE_MIN: f32 = 1.0 / 64.0;

/// The areas of 4-connected samples of at least `level`, in the order of their first sample.
///
/// Beyond the grid everything counts as 0. Outlines run where a straight line between neighbouring
/// samples crosses the level, which is what marching squares finds; holes are filled.
pub(crate) fn areas(grid: &Array2<f32>, level: f32) -> Vec<Area> {
    let mut labels = Array2::<u32>::zeros(grid.dim());
    let mut found = Vec::new();
    let mut label = 0;
    for ((row, column), value) in grid.indexed_iter() {
        if *value < level || labels[[row, column]] != 0 {
            continue;
        }
        label += 1;
        let samples = flood(grid, level, &mut labels, label, [row, column]);
        let outline = trace(grid, level, &labels, label, [row, column]);
        found.push(Area { outline, samples });
    }
    found
}

fn neighbour(at: [usize; 2], step: usize) -> Option<[usize; 2]> {
    let (rows, columns) = STEPS[step % 4];
    Some([at[0].checked_add_signed(rows)?, at[1].checked_add_signed(columns)?])
}

fn flood(grid: &Array2<f32>, level: f32, labels: &mut Array2<u32>, label: u32, start: [usize; 2]) -> Vec<[usize; 2]> {
    labels[start] = label;
    let mut samples = vec![start];
    let mut next = 0;
    while let Some(at) = samples.get(next).copied() {
        next += 1;
        for neighbour in (0..4).filter_map(|step| neighbour(at, step)) {
            if labels.get(neighbour) == Some(&0) && grid.get(neighbour).is_some_and(|value| *value >= level) {
                labels[neighbour] = label;
                samples.push(neighbour);
            }
        }
    }
    samples
}

/// Walks along the cracks between the area and what surrounds it, the area at the right hand.
/// `start` is the area's first sample, so that the crack above it belongs to the outer border.
fn trace(grid: &Array2<f32>, level: f32, labels: &Array2<u32>, label: u32, start: [usize; 2]) -> Vec<[f32; 2]> {
    let inside = |at: Option<[usize; 2]>| at.filter(|at| labels.get(*at) == Some(&label));
    let mut outline = Vec::new();
    let (mut at, mut out) = (start, 3_usize);
    // Every sample has four cracks, each passed once.
    for _ in 0..grid.len().saturating_mul(4) {
        outline.push(crossing(grid, level, at, out));
        let along = (out + 1) % 4;
        match inside(neighbour(at, along)) {
            None => out = along,
            Some(ahead) => match inside(neighbour(ahead, out)) {
                None => at = ahead,
                Some(corner) => {
                    at = corner;
                    out = (along + 2) % 4;
                }
            },
        }
        if at == start && out == 3 {
            break;
        }
    }
    outline
}

/// Where the straight line from a sample of the area to its neighbour in the direction `out` crosses
/// the level.
fn crossing(grid: &Array2<f32>, level: f32, at: [usize; 2], out: usize) -> [f32; 2] {
    let inner = grid.get(at).copied().unwrap_or(level);
    let outer = neighbour(at, out).and_then(|at| grid.get(at)).copied().unwrap_or(0.0);
    let share = if inner > outer { (inner - level) / (inner - outer) } else { 0.5 };
    // Off the samples themselves, where outlines would touch.
    let share = share.clamp(SHARE_MIN, 1.0 - SHARE_MIN);
    let (rows, columns) = STEPS[out % 4];
    [coordinate(at[1]) + share * sign(columns), coordinate(at[0]) + share * sign(rows)]
}

fn sign(step: isize) -> f32 {
    match step {
        0 => 0.0,
        step if step > 0 => 1.0,
        _ => -1.0,
    }
}

/// Exact: grids have far fewer than 2^24 samples a side.
fn coordinate(index: usize) -> f32 {
    index as f32
}

/// Area of a polygon, positive for a clockwise one as seen (y downwards), in squared units.
pub(crate) fn area(polygon: &[[f32; 2]]) -> f64 {
    let double = |point: &[f32; 2]| (f64::from(point[0]), f64::from(point[1]));
    let next = polygon.iter().cycle().skip(1);
    polygon
        .iter()
        .zip(next)
        .map(|(one, two)| {
            let ((x1, y1), (x2, y2)) = (double(one), double(two));
            x1 * y2 - x2 * y1
        })
        .sum::<f64>()
        / 2.0
}

/// Leaves out vertices of a closed polygon so that no one left out lies farther than `tolerance` from
/// the line that replaces it (Douglas and Peucker, 1973).
pub(crate) fn simplified(polygon: &[[f32; 2]], tolerance: f32) -> Vec<[f32; 2]> {
    let (Some(first), true) = (polygon.first(), polygon.len() > 3 && tolerance > 0.0) else {
        return polygon.to_vec();
    };
    // A ring has no ends: the first vertex and the one farthest from it serve as such.
    let far = farthest(polygon, 0, polygon.len(), |point| distance_squared(point, first)).map_or(0, |(index, _)| index);
    let mut ring = polygon.to_vec();
    ring.push(*first);
    let mut kept = vec![false; ring.len()];
    let mut spans = vec![(0, far), (far, polygon.len())];
    while let Some((start, end)) = spans.pop() {
        let (Some(one), Some(two)) = (ring.get(start), ring.get(end)) else { continue };
        for index in [start, end] {
            kept[index] = true;
        }
        let worst = farthest(&ring, start + 1, end, |point| segment_distance_squared(point, one, two));
        if let Some((index, distance)) = worst
            && distance > tolerance * tolerance
        {
            spans.extend([(start, index), (index, end)]);
        }
    }
    polygon.iter().zip(kept).filter(|(_, kept)| *kept).map(|(point, _)| *point).collect()
}

fn farthest(
    points: &[[f32; 2]],
    start: usize,
    end: usize,
    distance: impl Fn(&[f32; 2]) -> f32,
) -> Option<(usize, f32)> {
    let candidates = points.iter().enumerate().take(end).skip(start).map(|(index, point)| (index, distance(point)));
    // The first of equals, so that the result does not depend on anything else.
    candidates.reduce(|best, next| if next.1 > best.1 { next } else { best })
}

fn distance_squared(a: &[f32; 2], b: &[f32; 2]) -> f32 {
    (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2)
}

fn segment_distance_squared(point: &[f32; 2], one: &[f32; 2], two: &[f32; 2]) -> f32 {
    let (dx, dy) = (two[0] - one[0], two[1] - one[1]);
    let length = dx * dx + dy * dy;
    if length == 0.0 {
        return distance_squared(point, one);
    }
    let along = (((point[0] - one[0]) * dx + (point[1] - one[1]) * dy) / length).clamp(0.0, 1.0);
    distance_squared(point, &[one[0] + along * dx, one[1] + along * dy])
}

/// Cuts a polygon at the rectangle from (0, 0) to (`width`, `height`) (Sutherland and Hodgman, 1974).
pub(crate) fn clipped(polygon: &[[f32; 2]], width: f32, height: f32) -> Vec<[f32; 2]> {
    let mut points = polygon.to_vec();
    for (axis, limit, keep_below) in [(0, 0.0, false), (0, width, true), (1, 0.0, false), (1, height, true)] {
        let inside = |point: &[f32; 2]| if keep_below { point[axis] <= limit } else { point[axis] >= limit };
        let mut cut = Vec::with_capacity(points.len() + 4);
        for (one, two) in points.iter().zip(points.iter().cycle().skip(1)) {
            if inside(one) {
                cut.push(*one);
            }
            if inside(one) != inside(two) {
                let share = (limit - one[axis]) / (two[axis] - one[axis]);
                let other = 1 - axis;
                let mut point = [limit; 2];
                point[other] = one[other] + share * (two[other] - one[other]);
                cut.push(point);
            }
        }
        points = cut;
    }
    points
}

/// Whether no two edges cross and no vertex comes twice.
pub(crate) fn is_simple(polygon: &[[f32; 2]]) -> bool {
    let edges: Vec<_> = polygon.iter().zip(polygon.iter().cycle().skip(1)).collect();
    let count = edges.len();
    let touching = |a: usize, b: usize| b == a + 1 || (a == 0 && b + 1 == count);
    let crossing = edges.iter().enumerate().any(|(a, one)| {
        let later = edges.iter().enumerate().skip(a + 1);
        later.filter(|(b, _)| !touching(a, *b)).any(|(_, two)| cross(one, two))
    });
    count >= 3 && !crossing
}

fn cross(one: &(&[f32; 2], &[f32; 2]), two: &(&[f32; 2], &[f32; 2])) -> bool {
    let side = |a: &[f32; 2], b: &[f32; 2], c: &[f32; 2]| {
        let d = |p: &[f32; 2], axis: usize| f64::from(p[axis]);
        let turn = (d(b, 0) - d(a, 0)) * (d(c, 1) - d(a, 1)) - (d(b, 1) - d(a, 1)) * (d(c, 0) - d(a, 0));
        turn.partial_cmp(&0.0).unwrap_or(std::cmp::Ordering::Equal)
    };
    let apart = |a: &[f32; 2], b: &[f32; 2], c: &[f32; 2], d: &[f32; 2]| {
        (0..2).any(|axis| a[axis].max(b[axis]) < c[axis].min(d[axis]) || c[axis].max(d[axis]) < a[axis].min(b[axis]))
    };
    let ((a, b), (c, d)) = (one, two);
    if apart(a, b, c, d) {
        return false;
    }
    let (abc, abd, cda, cdb) = (side(a, b, c), side(a, b, d), side(c, d, a), side(c, d, b));
    (abc != abd || abc.is_eq()) && (cda != cdb || cda.is_eq())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bump(rows: usize, columns: usize, centre: [f32; 2], radius: f32) -> Array2<f32> {
        Array2::from_shape_fn((rows, columns), |(row, column)| {
            let (x, y) = (column as f32 - centre[0], row as f32 - centre[1]);
            (1.0 - 0.5 * (x * x + y * y).sqrt() / radius).max(0.0)
        })
    }

    #[test]
    fn a_round_hill_has_a_round_outline() {
        let areas = areas(&bump(60, 80, [40.2, 29.6], 17.0), 0.5);
        assert_eq!(areas.len(), 1);
        let exact = std::f64::consts::PI * 17.0 * 17.0;
        let measured = area(&areas[0].outline);
        assert!((measured / exact - 1.0).abs() < 0.01, "{measured} instead of {exact}");
        assert!(is_simple(&areas[0].outline));
        for point in &areas[0].outline {
            let radius = ((point[0] - 40.2).powi(2) + (point[1] - 29.6).powi(2)).sqrt();
            assert!((radius - 17.0).abs() < 0.1, "{point:?}");
        }
        let few = simplified(&areas[0].outline, 0.5);
        assert!((8..40).contains(&few.len()), "{}", few.len());
        assert!((area(&few) / exact - 1.0).abs() < 0.05);
    }

    #[test]
    fn one_sample_is_a_diamond_and_diagonals_are_apart() {
        let grid = ndarray::array![[1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]];
        let areas = areas(&grid, 0.5);
        assert_eq!(areas.len(), 2);
        assert_eq!(areas[0].outline, [[0.0, -0.5], [0.5, 0.0], [0.0, 0.5], [-0.5, 0.0]]);
        assert_eq!(areas[1].samples, [[1, 1], [1, 2], [2, 2]]);
        assert!(is_simple(&areas[1].outline) && area(&areas[1].outline) > 0.0);
    }

    #[test]
    fn a_ring_is_filled_and_a_full_grid_reaches_its_edges() {
        let ring = Array2::from_shape_fn((7, 7), |(y, x)| {
            if (1..6).contains(&y) && (1..6).contains(&x) && (y, x) != (3, 3) { 1.0 } else { 0.0 }
        });
        let found = areas(&ring, 0.5);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].samples.len(), 24);
        // 5 x 5 samples, half a sample around them, the four corners cut.
        assert_eq!(area(&found[0].outline), 24.5);
        assert_eq!(area(&areas(&Array2::ones((3, 4)), 0.5)[0].outline), 11.5);
    }

    #[test]
    fn clipping_keeps_what_is_inside() {
        let square = [[-2.0, -2.0], [2.0, -2.0], [2.0, 2.0], [-2.0, 2.0]];
        assert_eq!(area(&clipped(&square, 10.0, 1.0)), 2.0);
        assert!(clipped(&square.map(|[x, y]| [x - 5.0, y]), 10.0, 10.0).is_empty());
        assert_eq!(clipped(&[[1.0, 1.0], [2.0, 1.0], [1.0, 2.0]], 10.0, 10.0).len(), 3);
    }

    #[test]
    fn a_bow_tie_is_not_simple() {
        assert!(!is_simple(&[[0.0, 0.0], [2.0, 2.0], [2.0, 0.0], [0.0, 2.0]]));
        assert!(!is_simple(&[[0.0, 0.0], [1.0, 1.0]]));
        assert!(is_simple(&[[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]]));
    }

    #[test]
    fn simplifying_drops_what_lies_on_a_line() {
        let square = [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [2.0, 1.0], [2.0, 2.0], [1.0, 2.0], [0.0, 2.0], [0.0, 1.0]];
        assert_eq!(simplified(&square, 0.01), [[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]]);
        assert_eq!(simplified(&square, 0.0), square);
    }
}
