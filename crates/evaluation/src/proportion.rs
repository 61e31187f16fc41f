use std::collections::BTreeMap;

use serde::Serialize;

use crate::normal::Z_95;

/// A share of images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Proportion {
    /// 0 to 1.
    pub value: f64,
    /// 95 % interval.
    pub interval: [f64; 2],
    /// Images it is a share of.
    pub images: usize,
}

/// The share of images for which something holds; `images` gives that and whose image it is. `None` without images.
///
/// The interval is Wilson's, for as many independent images as these are worth: their number, less what images of the
/// same patient have in common (their design effect, Rao and Scott 1992), never more; as many as patients where all
/// images are alike.
#[must_use]
pub fn proportion(images: impl Iterator<Item = (bool, usize)>) -> Option<Proportion> {
    let mut patients: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for (holds, patient) in images {
        let (hits, count) = patients.entry(patient).or_default();
        *hits += f64::from(u8::from(holds));
        *count += 1.0;
    }
    let (hits, count) = patients.values().fold((0.0, 0.0), |sum, patient| (sum.0 + patient.0, sum.1 + patient.1));
    if count == 0.0 {
        return None;
    }
    let value = hits / count;
    let alone = count * value * (1.0 - value);
    let worth = if alone > 0.0 {
        let together = patients.values().map(|(hits, count)| (hits - count * value).powi(2)).sum::<f64>();
        count / (together / alone).max(1.0)
    } else {
        patients.len() as f64
    };
    Some(Proportion { value, interval: wilson(value, worth), images: whole(count) })
}

/// Wilson's interval (Journal of the American Statistical Association 1927;22:209).
fn wilson(value: f64, count: f64) -> [f64; 2] {
    let square = Z_95 * Z_95;
    let centre = value + square / (2.0 * count);
    let reach = Z_95 * (value * (1.0 - value) / count + square / (4.0 * count * count)).sqrt();
    [centre - reach, centre + reach].map(|edge| (edge / (1.0 + square / count)).clamp(0.0, 1.0))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of images")]
fn whole(count: f64) -> usize {
    count as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(images: &[(bool, usize)], expected: (f64, [f64; 2])) {
        let found = proportion(images.iter().copied()).unwrap();
        let [low, high] = found.interval;
        let close = |found: f64, expected: f64| assert!((found - expected).abs() < 5e-5, "{found} for {expected}");
        close(found.value, expected.0);
        close(low, expected.1[0]);
        close(high, expected.1[1]);
        assert_eq!(found.images, images.len());
    }

    #[test]
    fn wilsons_interval() {
        // Newcombe, Statistics in Medicine 1998;17:857, table I, method 3: 15 of 148, 0 of 20, 29 of 29.
        let of = |hits: usize, count: usize| (0..count).map(|index| (index < hits, index)).collect::<Vec<_>>();
        check(&of(15, 148), (0.10135, [0.0624, 0.1605]));
        check(&of(0, 20), (0.0, [0.0, 0.1611]));
        check(&of(29, 29), (1.0, [0.8830, 1.0]));
        assert_eq!(proportion(std::iter::empty()), None);
    }

    #[test]
    fn images_of_a_patient_count_once_when_they_agree() {
        let once: Vec<(bool, usize)> = (0..20).map(|patient| (patient < 5, patient)).collect();
        let twice = [once.clone(), once.clone()].concat();
        let (once, twice) = (proportion(once.into_iter()).unwrap(), proportion(twice.into_iter()).unwrap());
        assert_eq!((once.interval, once.images, twice.images), (twice.interval, 20, 40));
    }
}
