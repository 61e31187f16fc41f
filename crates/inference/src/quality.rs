//! The manifest's quality limits: what an image must be like, beyond its attributes, to be looked at.

use dokuei_pixels::{InputSpec, Prepared};
use dokuei_types::DeclineReason;

use crate::manifest::Accepts;
use crate::model::Inference;

/// Steps between black and white in which percentiles are counted.
const LEVELS: usize = 1024;
/// Pixels this close to black or white (0..1) count as saturated.
const SATURATED: f64 = 0.002;

impl Accepts {
    /// Why a source frame is declined for its attributes, before anything is decoded.
    #[must_use]
    pub fn decline_frame(&self, rows: u32, columns: u32, bits_stored: u16) -> Option<DeclineReason> {
        let aspect = f64::from(rows.max(columns)) / f64::from(rows.min(columns).max(1));
        let criteria = |text: String| Some(DeclineReason::Criteria(text));
        if let Some(limit) = self.min_rows.filter(|limit| rows < *limit) {
            return criteria(format!("{rows} rows, the model needs {limit}"));
        }
        if let Some(limit) = self.min_columns.filter(|limit| columns < *limit) {
            return criteria(format!("{columns} columns, the model needs {limit}"));
        }
        if let Some(limit) = self.max_aspect.filter(|limit| aspect > *limit) {
            return criteria(format!("sides {columns} x {rows}, ratio {aspect:.2}, the model takes up to {limit}"));
        }
        if let Some(limit) = self.min_bits_stored.filter(|limit| bits_stored < *limit) {
            return criteria(format!("{bits_stored} bits stored, the model needs {limit}"));
        }
        None
    }

    /// Why a prepared tensor is declined: nothing to see, or too much of it black or white. Padding
    /// does not count.
    #[must_use]
    pub fn decline_prepared(&self, input: &Prepared, spec: &InputSpec) -> Option<DeclineReason> {
        if self.min_contrast.is_none() && self.max_saturated.is_none() {
            return None;
        }
        let (rows, columns) = input.geometry.source_size();
        let seen = |x: usize, y: usize| {
            let [column, row] = input.geometry.to_source(x as f32 + 0.5, y as f32 + 0.5);
            (0.0..=rows as f32).contains(&row) && (0.0..=columns as f32).contains(&column)
        };
        let (mean, scale) = (spec.mean.first().copied().unwrap_or(0.0), spec.scale.first().copied().unwrap_or(1.0));
        let values = input.tensor.indexed_iter().filter(|((_, channel, y, x), _)| *channel == 0 && seen(*x, *y));
        self.decline_values(values.map(|(_, value)| f64::from(value * scale + mean)))
    }

    /// Why what the network made of an image is not to be used: by its own measure it was not made for such images.
    #[must_use]
    pub fn decline_unfamiliar(&self, inference: &Inference) -> Option<DeclineReason> {
        let (familiarity, value) = (self.familiarity.as_ref()?, inference.unfamiliarity?);
        (value > familiarity.at_most).then(|| {
            let text = format!(
                "the image {}: unfamiliarity {value:.2}, the model takes up to {}",
                familiarity.reason, familiarity.at_most
            );
            DeclineReason::Picture(text)
        })
    }

    /// `values` are pixels, 0 black to 1 white.
    fn decline_values(&self, values: impl Iterator<Item = f64>) -> Option<DeclineReason> {
        let mut counts = [0_u64; LEVELS];
        let (mut total, mut saturated) = (0_u64, 0_u64);
        for value in values {
            if let Some(count) = counts.get_mut(level(value)) {
                *count += 1;
            }
            total += 1;
            saturated += u64::from(value <= SATURATED || value >= 1.0 - SATURATED);
        }
        if total == 0 {
            return Some(DeclineReason::Picture("no pixel of the frame reaches the model".into()));
        }
        let percentile = |percent: u64| {
            let mut below = 0;
            let at = counts.iter().position(|count| {
                below += count;
                below * 100 >= total * percent
            });
            at.unwrap_or(LEVELS - 1) as f64 / (LEVELS - 1) as f64
        };
        let contrast = percentile(95) - percentile(5);
        if let Some(limit) = self.min_contrast.filter(|limit| contrast < *limit) {
            let text = format!("contrast {contrast:.3} (5th to 95th percentile), the model needs {limit}");
            return Some(DeclineReason::Picture(text));
        }
        let share = saturated as f64 / total as f64;
        if let Some(limit) = self.max_saturated.filter(|limit| share > *limit) {
            let text = format!("{:.0} % black or white, the model takes up to {:.0} %", share * 100.0, limit * 100.0);
            return Some(DeclineReason::Picture(text));
        }
        None
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..LEVELS before")]
fn level(value: f64) -> usize {
    (value.clamp(0.0, 1.0) * (LEVELS - 1) as f64).round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Accepts {
        Accepts {
            when: Vec::new(),
            min_rows: Some(200),
            min_columns: Some(300),
            max_aspect: Some(2.0),
            min_bits_stored: Some(8),
            min_contrast: Some(0.1),
            max_saturated: Some(0.5),
            familiarity: None,
        }
    }

    fn check(reason: Option<DeclineReason>, expected: Option<&str>) {
        match (&reason, expected) {
            (Some(DeclineReason::Criteria(text) | DeclineReason::Picture(text)), Some(part)) => {
                assert!(text.contains(part), "{text}")
            }
            (None, None) => {}
            _ => panic!("{reason:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn attributes_at_and_beyond_their_limits() {
        for (rows, columns, bits, expected) in [
            (200, 300, 8, None),
            (199, 300, 8, Some("199 rows")),
            (200, 299, 8, Some("299 columns")),
            (600, 300, 8, None),
            (601, 300, 8, Some("ratio 2.00")),
            (200, 401, 8, Some("ratio")),
            (200, 300, 7, Some("7 bits")),
        ] {
            check(limits().decline_frame(rows, columns, bits), expected);
        }
        assert_eq!(Accepts::default().decline_frame(0, 0, 0), None);
    }

    #[test]
    fn blank_and_saturated_frames() {
        let ramp = |from: f64, to: f64| (0..1000).map(move |i| from + (to - from) * f64::from(i) / 999.0);
        check(limits().decline_values(ramp(0.1, 0.9)), None);
        check(limits().decline_values(ramp(0.50, 0.60)), Some("contrast"));
        check(limits().decline_values(ramp(0.3, 0.3)), Some("contrast"));
        check(limits().decline_values(ramp(-2.0, 1.0)), Some("67 % black or white"));
        check(limits().decline_values(std::iter::empty()), Some("no pixel"));
    }
}
