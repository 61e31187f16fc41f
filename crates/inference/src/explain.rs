//! Explanation maps: where in the tensor a finding's probability comes from.
//!
//! Every map covers the whole tensor with equal cells and holds values from 0 to 1. The scale is
//! fixed by the manifest, never by other images: `full_scale` is the raw value that means 1, and
//! without it, or beyond it, a map is divided by its own peak. So the same image gives the same bytes again.

use ndarray::Array2;

use crate::npy::Tensor;

/// Raw class activation map of one row of weights: `relu(sum over c of w[c] · F[c, y, x])`, summed in
/// the order of the channels in 64 bits. `features` is `[1, C, h, w]`.
pub(crate) fn class_activation(features: &Tensor, weights: &[f32]) -> Array2<f32> {
    let (height, width) = map_size(features);
    let area = height * width;
    let mut sums = vec![0.0_f64; area];
    for (plane, weight) in features.values.chunks_exact(area.max(1)).zip(weights) {
        for (sum, value) in sums.iter_mut().zip(plane) {
            *sum += f64::from(*weight) * f64::from(*value);
        }
    }
    grid(height, width, sums.into_iter().map(|sum| to_f32(sum.max(0.0))))
}

/// One plane of a map that the graph gives, `[1, F, h, w]`; the only plane serves every finding.
pub(crate) fn given_map(maps: &Tensor, index: usize, sigmoid: bool) -> Array2<f32> {
    let (height, width) = map_size(maps);
    let planes = maps.shape.get(1).copied().unwrap_or(1);
    let start = if planes == 1 { 0 } else { index * height * width };
    let values = maps
        .values
        .iter()
        .skip(start)
        .take(height * width)
        .map(|value| if sigmoid { to_f32(1.0 / (1.0 + (-f64::from(*value)).exp())) } else { value.max(0.0) });
    grid(height, width, values)
}

/// Brings a raw map to 0..1: a peak beyond `full_scale` is 1 itself, or its surroundings would be taken for it.
pub(crate) fn scaled(mut map: Array2<f32>, full_scale: Option<f32>) -> Array2<f32> {
    let peak = map.iter().copied().fold(0.0, f32::max);
    let full = full_scale.map_or(peak, |full| full.max(peak));
    if full > 0.0 {
        map.mapv_inplace(|value| (value / full).max(0.0));
    } else {
        map.fill(0.0);
    }
    map
}

/// Squares that hide a part of the tensor one after another, and what their hiding costs.
pub(crate) struct Occlusion {
    height: usize,
    width: usize,
    patch: usize,
    stride: usize,
}

impl Occlusion {
    /// `stride` divides `height` and `width`, and `patch` is at least `stride`: the manifest's rules.
    pub(crate) fn new(height: usize, width: usize, patch: usize, stride: usize) -> Self {
        Self { height, width, patch, stride }
    }

    /// Rows and columns of the map: one cell for each square.
    pub(crate) fn cells(&self) -> (usize, usize) {
        (self.height / self.stride.max(1), self.width / self.stride.max(1))
    }

    /// Writes `fill` into the square of a cell, in every channel of `[1, C, height, width]`.
    pub(crate) fn hide(&self, tensor: &mut [f32], cell: (usize, usize), fill: f32) {
        let rows = span(cell.0, self.stride, self.patch, self.height);
        let columns = span(cell.1, self.stride, self.patch, self.width);
        for plane in tensor.chunks_exact_mut((self.height * self.width).max(1)) {
            for row in plane.chunks_exact_mut(self.width.max(1)).take(rows.end).skip(rows.start) {
                if let Some(hidden) = row.get_mut(columns.clone()) {
                    hidden.fill(fill);
                }
            }
        }
    }

    /// The map of one finding: each cell has the mean of what the squares over its centre cost.
    pub(crate) fn map(&self, costs: &Array2<f32>) -> Array2<f32> {
        let covers = |square: usize, cell: usize, length: usize| {
            let centre = cell * self.stride + self.stride / 2;
            span(square, self.stride, self.patch, length).contains(&centre)
        };
        Array2::from_shape_fn(self.cells(), |(row, column)| {
            let over = costs
                .indexed_iter()
                .filter(|((y, x), _)| covers(*y, row, self.height) && covers(*x, column, self.width));
            let (sum, count) =
                over.fold((0.0_f32, 0.0_f32), |(sum, count), (_, cost)| (sum + cost.max(0.0), count + 1.0));
            if count > 0.0 { sum / count } else { 0.0 }
        })
    }
}

/// The pixels of a square along one axis: centred on its cell, cut at the edges.
fn span(cell: usize, stride: usize, patch: usize, length: usize) -> std::ops::Range<usize> {
    let start = (cell * stride + stride / 2).saturating_sub(patch / 2);
    start..(cell * stride + stride / 2 + patch.div_ceil(2)).min(length)
}

fn map_size(tensor: &Tensor) -> (usize, usize) {
    let axis = |index| tensor.shape.get(index).copied().unwrap_or(0);
    (axis(2), axis(3))
}

fn grid(height: usize, width: usize, values: impl Iterator<Item = f32>) -> Array2<f32> {
    Array2::from_shape_vec((height, width), values.collect()).unwrap_or_else(|_| Array2::zeros((height, width)))
}

#[expect(clippy::cast_possible_truncation, reason = "a map's value, rounded to 32 bits")]
fn to_f32(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn class_activation_weighs_and_keeps_what_speaks_for_it() {
        let features = Tensor { shape: vec![1, 2, 1, 3], values: vec![1.0, 2.0, 0.0, 4.0, 1.0, 3.0] };
        assert_eq!(class_activation(&features, &[2.0, -1.0]), array![[0.0, 3.0, 0.0]]);
    }

    #[test]
    fn scales_are_fixed() {
        assert_eq!(scaled(array![[0.0, 2.0, 3.0]], Some(4.0)), array![[0.0, 0.5, 0.75]]);
        assert_eq!(scaled(array![[0.0, 2.0, 8.0]], Some(4.0)), array![[0.0, 0.25, 1.0]]);
        assert_eq!(scaled(array![[0.0, 2.0, 8.0]], None), array![[0.0, 0.25, 1.0]]);
        assert_eq!(scaled(array![[0.0, 0.0]], None), array![[0.0, 0.0]]);
    }

    #[test]
    fn a_given_map_is_shared_or_one_for_each() {
        let one = Tensor { shape: vec![1, 1, 1, 2], values: vec![0.25, -1.0] };
        assert_eq!(given_map(&one, 3, false), array![[0.25, 0.0]]);
        let two = Tensor { shape: vec![1, 2, 1, 2], values: vec![9.0, 9.0, 0.0, 0.0] };
        assert_eq!(given_map(&two, 1, true), array![[0.5, 0.5]]);
    }

    #[test]
    fn squares_cover_the_tensor_and_stay_inside() {
        let occlusion = Occlusion::new(8, 12, 6, 4);
        let mut hidden = vec![0.0; 2 * 8 * 12];
        let (rows, columns) = occlusion.cells();
        assert_eq!((rows, columns), (2, 3));
        for row in 0..rows {
            for column in 0..columns {
                occlusion.hide(&mut hidden, (row, column), 1.0);
            }
        }
        assert!(hidden.iter().all(|value| *value == 1.0));
        let costs = array![[0.0, 0.0, 0.0], [0.0, 0.0, 0.6]];
        let map = occlusion.map(&costs);
        assert_eq!(map[[1, 2]], 0.6);
        assert_eq!(map[[0, 0]], 0.0);
    }
}
