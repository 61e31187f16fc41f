//! One grey frame and what is computed of it pixel by pixel. Up to 16 bits every transform is a table of all
//! stored values, built once, so that a pixel costs one look-up whatever the transforms are.

use std::ops::RangeInclusive;

use dokuei_codecs::Samples;

use crate::levels::{Levels, Region};
use crate::modality::ModalityTransform;
use crate::voi::VoiTransform;

/// Below this many pixels a table of 16-bit values costs more than it saves.
const TABLE_PIXELS_MIN: usize = 1 << 14;

#[derive(Debug)]
pub(crate) struct GreyFrame {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) samples: Samples,
    pub(crate) modality: ModalityTransform,
    /// Stored values that are no part of the image.
    pub(crate) padding: Option<RangeInclusive<f64>>,
    /// The lowest value is white.
    pub(crate) inverted: bool,
}

impl GreyFrame {
    /// What a person sees, 0 black to 1 white; padding and what is not a number are black.
    pub(crate) fn shown<T: Copy + Default>(&self, voi: &VoiTransform, of: impl Fn(f64) -> T) -> Vec<T> {
        map(&self.samples, |stored| {
            if stored.is_nan() || self.is_padding(stored) {
                return of(0.0);
            }
            let value = voi.apply(self.modality.apply(stored));
            of(if self.inverted { 1.0 - value } else { value })
        })
    }

    pub(crate) fn is_padding(&self, stored: f64) -> bool {
        self.padding.as_ref().is_some_and(|padding| padding.contains(&stored))
    }

    /// How often each modality value occurs inside `region`, padding left out.
    pub(crate) fn levels(&self, region: Option<&Region>) -> Levels {
        let whole = Region { rows: 0..self.rows, columns: 0..self.columns };
        let rows = Rows { columns: self.columns, region: region.unwrap_or(&whole) };
        let unit = |stored: f64| (!self.is_padding(stored)).then(|| self.modality.apply(stored));
        match &self.samples {
            Samples::U8(values) => {
                let counts = rows.count(values, 1 << 8, |v| usize::from(*v));
                Levels::counted(&counts, |code: u8| unit(f64::from(code)))
            }
            Samples::I8(values) => {
                let counts = rows.count(values, 1 << 8, |v| usize::from(v.cast_unsigned()));
                Levels::counted(&counts, |code: u8| unit(f64::from(code.cast_signed())))
            }
            Samples::U16(values) => {
                let counts = rows.count(values, 1 << 16, |v| usize::from(*v));
                Levels::counted(&counts, |code: u16| unit(f64::from(code)))
            }
            Samples::I16(values) => {
                let counts = rows.count(values, 1 << 16, |v| usize::from(v.cast_unsigned()));
                Levels::counted(&counts, |code: u16| unit(f64::from(code.cast_signed())))
            }
            Samples::U32(values) => Levels::listed(rows.values(values).filter_map(|v| unit(f64::from(*v)))),
            Samples::I32(values) => Levels::listed(rows.values(values).filter_map(|v| unit(f64::from(*v)))),
            Samples::F32(values) => Levels::listed(rows.values(values).filter_map(|v| unit(f64::from(*v)))),
            Samples::F64(values) => Levels::listed(rows.values(values).filter_map(|v| unit(*v))),
        }
    }
}

/// The part of a frame that a statistic looks at.
struct Rows<'a> {
    columns: usize,
    region: &'a Region,
}

impl Rows<'_> {
    fn rows<'v, T>(&self, values: &'v [T]) -> impl Iterator<Item = &'v [T]> + use<'v, '_, T> {
        let (rows, columns) = (self.region.rows.clone(), self.region.columns.clone());
        values
            .chunks_exact(self.columns.max(1))
            .skip(rows.start)
            .take(rows.len())
            .filter_map(move |row| row.get(columns.clone()))
    }

    fn values<'v, T>(&self, values: &'v [T]) -> impl Iterator<Item = &'v T> + use<'v, '_, T> {
        self.rows(values).flatten()
    }

    fn count<T>(&self, values: &[T], codes: usize, code: impl Fn(&T) -> usize) -> Vec<u32> {
        let mut counts = vec![0_u32; codes];
        for row in self.rows(values) {
            for value in row {
                if let Some(count) = counts.get_mut(code(value)) {
                    *count = count.saturating_add(1);
                }
            }
        }
        counts
    }
}

/// Applies a function of the stored value to every sample.
pub(crate) fn map<T: Copy + Default>(samples: &Samples, of: impl Fn(f64) -> T) -> Vec<T> {
    match samples {
        Samples::U8(values) => {
            let table: Vec<T> = (0..=u8::MAX).map(|code| of(f64::from(code))).collect();
            values.iter().map(|&v| look_up(&table, v.into())).collect()
        }
        Samples::I8(values) => {
            let table: Vec<T> = (0..=u8::MAX).map(|code| of(f64::from(code.cast_signed()))).collect();
            values.iter().map(|&v| look_up(&table, v.cast_unsigned().into())).collect()
        }
        Samples::U16(values) if values.len() >= TABLE_PIXELS_MIN => {
            let table: Vec<T> = (0..=u16::MAX).map(|code| of(f64::from(code))).collect();
            values.iter().map(|&v| look_up(&table, v)).collect()
        }
        Samples::I16(values) if values.len() >= TABLE_PIXELS_MIN => {
            let table: Vec<T> = (0..=u16::MAX).map(|code| of(f64::from(code.cast_signed()))).collect();
            values.iter().map(|&v| look_up(&table, v.cast_unsigned())).collect()
        }
        Samples::U16(values) => values.iter().map(|&v| of(v.into())).collect(),
        Samples::I16(values) => values.iter().map(|&v| of(v.into())).collect(),
        Samples::U32(values) => values.iter().map(|&v| of(v.into())).collect(),
        Samples::I32(values) => values.iter().map(|&v| of(v.into())).collect(),
        Samples::F32(values) => values.iter().map(|&v| of(v.into())).collect(),
        Samples::F64(values) => values.iter().map(|&v| of(v)).collect(),
    }
}

fn look_up<T: Copy + Default>(table: &[T], code: u16) -> T {
    table.get(usize::from(code)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_gives_what_the_function_gives() {
        let of = |stored: f64| stored * 2.0 + 1.0;
        let large: Vec<i16> = (0..40_000_i32).map(|i| i16::try_from(i - 20_000).unwrap()).collect();
        let expected: Vec<f64> = large.iter().map(|&v| of(v.into())).collect();
        assert_eq!(map(&Samples::I16(large.clone()), of), expected);
        let (small, head) = (large.get(..100).unwrap().to_vec(), expected.get(..100).unwrap());
        assert_eq!(map(&Samples::I16(small), of), head);
        assert_eq!(map(&Samples::I8(vec![-128, -1, 0, 127]), of), [-255.0, -1.0, 1.0, 255.0]);
        assert_eq!(map(&Samples::U16(vec![65535; TABLE_PIXELS_MIN]), of).last(), Some(&131_071.0));
    }

    #[test]
    fn padding_and_not_a_number_are_black_in_either_polarity() {
        let voi = VoiTransform::Range { low: 0.0, high: 10.0 };
        let mut frame = GreyFrame {
            rows: 1,
            columns: 4,
            samples: Samples::F32(vec![f32::NAN, 7.0, 2.0, 10.0]),
            modality: ModalityTransform::Identity,
            padding: Some(7.0..=7.0),
            inverted: false,
        };
        assert_eq!(frame.shown(&voi, |v| v), [0.0, 0.0, 0.2, 1.0]);
        frame.inverted = true;
        assert_eq!(frame.shown(&voi, |v| v), [0.0, 0.0, 0.8, 0.0]);
    }
}
