use std::ops::Range;

use dicom_dictionary_std::tags;
use dokuei_dataset::{Dataset, Tag};

use crate::cast;

/// A rectangle of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) rows: Range<usize>,
    pub(crate) columns: Range<usize>,
}

/// A single value at either end of the range that more than this part of the pixels have is a border, a
/// shutter, saturation or a burned-in mark, not anatomy.
const BORDER_SHARE: f64 = 0.01;

/// The modality values of a frame, for percentiles.
pub(crate) enum Levels {
    /// Each value, ascending, with how many pixels have it.
    Counted(Vec<(f64, u64)>),
    /// One value a pixel, in no order.
    Listed(Vec<f32>),
}

impl Levels {
    /// From the number of pixels of each code; `unit` gives a code's modality value, or `None` for padding.
    pub(crate) fn counted<C: TryFrom<usize>>(counts: &[u32], unit: impl Fn(C) -> Option<f64>) -> Self {
        let present = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let mut values: Vec<(f64, u64)> =
            present.filter_map(|(code, &count)| Some((unit(C::try_from(code).ok()?)?, u64::from(count)))).collect();
        values.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        Self::Counted(values)
    }

    /// From the values themselves; what is not finite is left out.
    pub(crate) fn listed(values: impl Iterator<Item = f64>) -> Self {
        Self::Listed(values.filter(|value| value.is_finite()).map(cast::single).collect())
    }

    /// Leaves out values at the ends that are no anatomy, unless nothing else would remain.
    pub(crate) fn without_borders(self) -> Self {
        let Self::Counted(mut values) = self else { return self };
        let total: u64 = values.iter().map(|(_, count)| count).sum();
        let limit = cast::count(as_f64(total) * BORDER_SHARE) as u64;
        if values.len() > 4 && values.last().is_some_and(|(_, count)| *count > limit) {
            values.pop();
        }
        if values.len() > 4 && values.first().is_some_and(|(_, count)| *count > limit) {
            values.remove(0);
        }
        Self::Counted(values)
    }

    /// The smallest values that at least `low` and `high` per cent of the pixels do not exceed (nearest
    /// rank), 0 to 100; `None` when there is no pixel.
    pub(crate) fn percentiles(self, low: f64, high: f64) -> Option<(f64, f64)> {
        match self {
            Self::Counted(values) => {
                let total = values.iter().map(|(_, count)| count).sum();
                Some((at_rank(&values, rank(low, total))?, at_rank(&values, rank(high, total))?))
            }
            Self::Listed(mut values) => {
                let total = values.len() as u64;
                Some((select(&mut values, rank(low, total))?, select(&mut values, rank(high, total))?))
            }
        }
    }
}

/// The rank of a percentile among `total` values, 1 for the smallest.
fn rank(percent: f64, total: u64) -> u64 {
    let rank = (percent / 100.0 * as_f64(total)).ceil();
    (cast::floor(rank) as u64).clamp(1, total.max(1))
}

fn at_rank(values: &[(f64, u64)], rank: u64) -> Option<f64> {
    let mut seen = 0_u64;
    values.iter().find_map(|&(value, count)| {
        seen = seen.saturating_add(count);
        (seen >= rank).then_some(value)
    })
}

fn select(values: &mut [f32], rank: u64) -> Option<f64> {
    let index = usize::try_from(rank.saturating_sub(1)).ok()?;
    if index >= values.len() {
        return None;
    }
    Some(f64::from(*values.select_nth_unstable_by(index, f32::total_cmp).1))
}

/// Pixel counts are far below 2^53.
fn as_f64(count: u64) -> f64 {
    count as f64
}

/// The part of the image inside its rectangular collimator (PS3.3 C.8.7.3) and display shutter (C.7.6.11);
/// `None` when they say nothing, or nothing plausible.
pub(crate) fn exposed_region(dataset: &Dataset, rows: usize, columns: usize) -> Option<Region> {
    const SHAPES: [(Tag, [Tag; 4]); 2] = [
        (
            tags::COLLIMATOR_SHAPE,
            [
                tags::COLLIMATOR_UPPER_HORIZONTAL_EDGE,
                tags::COLLIMATOR_LOWER_HORIZONTAL_EDGE,
                tags::COLLIMATOR_LEFT_VERTICAL_EDGE,
                tags::COLLIMATOR_RIGHT_VERTICAL_EDGE,
            ],
        ),
        (
            tags::SHUTTER_SHAPE,
            [
                tags::SHUTTER_UPPER_HORIZONTAL_EDGE,
                tags::SHUTTER_LOWER_HORIZONTAL_EDGE,
                tags::SHUTTER_LEFT_VERTICAL_EDGE,
                tags::SHUTTER_RIGHT_VERTICAL_EDGE,
            ],
        ),
    ];
    let mut region = Region { rows: 0..rows, columns: 0..columns };
    for (shape, edges) in SHAPES {
        if !dataset.texts(shape).iter().any(|shape| shape == "RECTANGULAR") {
            continue;
        }
        let [Some(upper), Some(lower), Some(left), Some(right)] = edges.map(|edge| dataset.int(edge)) else {
            continue;
        };
        // Edges are numbers of rows and columns, counted from 1.
        let clip = |edge: i64, size: usize| usize::try_from(edge.max(0)).unwrap_or(0).min(size);
        region.rows = region.rows.start.max(clip(upper, rows))..region.rows.end.min(clip(lower, rows));
        region.columns = region.columns.start.max(clip(left, columns))..region.columns.end.min(clip(right, columns));
    }
    let is_whole = region.rows == (0..rows) && region.columns == (0..columns);
    let is_plausible = region.rows.len() >= rows / 4 && region.columns.len() >= columns / 4;
    (!is_whole && is_plausible && !region.rows.is_empty() && !region.columns.is_empty()).then_some(region)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dokuei_dataset::VR;

    fn check(counts: &[u32], low: f64, high: f64, expected: Option<(f64, f64)>) {
        let counted = Levels::counted(counts, |code: u16| Some(f64::from(code)));
        let list = counts.iter().zip(0_u32..).flat_map(|(&n, code)| (0..n).map(move |_| f64::from(code)));
        assert_eq!(counted.percentiles(low, high), expected, "counted {counts:?}");
        assert_eq!(Levels::listed(list).percentiles(low, high), expected, "listed {counts:?}");
    }

    #[test]
    fn percentiles_are_values_that_occur() {
        check(&[1, 2, 3, 4], 0.0, 100.0, Some((0.0, 3.0)));
        check(&[1, 2, 3, 4], 10.0, 30.0, Some((0.0, 1.0)));
        check(&[1, 2, 3, 4], 10.1, 60.1, Some((1.0, 3.0)));
        check(&[0, 0, 5], 50.0, 50.0, Some((2.0, 2.0)));
        check(&[], 0.0, 100.0, None);
    }

    #[test]
    fn borders_are_left_out_and_anatomy_is_not() {
        let with_border = [500, 1, 2, 3, 2, 1, 90];
        let levels = Levels::counted(&with_border, |code: u16| Some(f64::from(code)));
        assert_eq!(levels.without_borders().percentiles(0.0, 100.0), Some((1.0, 5.0)));
        let two_values = Levels::counted(&[500, 500], |code: u16| Some(f64::from(code)));
        assert_eq!(two_values.without_borders().percentiles(0.0, 100.0), Some((0.0, 1.0)));
    }

    #[test]
    fn collimator_and_shutter_intersect() {
        let mut data = Dataset::new();
        assert_eq!(exposed_region(&data, 100, 200), None);
        data.put_text(tags::COLLIMATOR_SHAPE, VR::CS, "RECTANGULAR");
        for (tag, edge) in [
            (tags::COLLIMATOR_UPPER_HORIZONTAL_EDGE, "10"),
            (tags::COLLIMATOR_LOWER_HORIZONTAL_EDGE, "90"),
            (tags::COLLIMATOR_LEFT_VERTICAL_EDGE, "-5"),
            (tags::COLLIMATOR_RIGHT_VERTICAL_EDGE, "900"),
        ] {
            data.put_text(tag, VR::IS, edge);
        }
        assert_eq!(exposed_region(&data, 100, 200), Some(Region { rows: 10..90, columns: 0..200 }));
        data.put_text(tags::COLLIMATOR_LOWER_HORIZONTAL_EDGE, VR::IS, "12");
        assert_eq!(exposed_region(&data, 100, 200), None);
    }
}
