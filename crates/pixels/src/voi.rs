//! The VOI transform: from modality units to what is shown, 0 black to 1 white (PS3.3 C.11.2).
//!
//! | function | formula, with centre c and width w |
//! |---|---|
//! | LINEAR | ((x - (c - 0.5)) / (w - 1) + 0.5), clamped |
//! | LINEAR_EXACT | ((x - c) / w + 0.5), clamped |
//! | SIGMOID | 1 / (1 + exp(-4 (x - c) / w)) |

use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;

use crate::cast;
use crate::functional;
use crate::lut::LookupTable;

/// How a window maps its interval (VOI LUT Function, PS3.3 C.11.2.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoiFunction {
    /// LINEAR, the default: counts whole grey levels, width at least 1.
    Linear,
    /// LINEAR_EXACT: width above 0.
    LinearExact,
    /// SIGMOID: width above 0.
    Sigmoid,
}

/// What turns modality units into display values.
#[derive(Debug, Clone, PartialEq)]
pub enum VoiTransform {
    /// Window Center and Window Width.
    Window {
        /// Window Center (0028,1050).
        center: f64,
        /// Window Width (0028,1051).
        width: f64,
        /// VOI LUT Function (0028,1056).
        function: VoiFunction,
    },
    /// One item of the VOI LUT Sequence.
    Table(LookupTable),
    /// A straight line from black at `low` to white at `high`: what is used where the image says nothing.
    Range {
        /// Shown black, and everything below.
        low: f64,
        /// Shown white, and everything above.
        high: f64,
    },
}

impl VoiTransform {
    /// The display value of a modality value, 0 to 1. Not a number is black.
    #[must_use]
    pub fn apply(&self, value: f64) -> f64 {
        if value.is_nan() {
            return 0.0;
        }
        match self {
            Self::Window { center, width, function: VoiFunction::Linear } => {
                let (middle, span) = (center - 0.5, width - 1.0);
                if value <= middle - span / 2.0 {
                    0.0
                } else if value > middle + span / 2.0 {
                    1.0
                } else {
                    (value - middle) / span + 0.5
                }
            }
            Self::Window { center, width, function: VoiFunction::LinearExact } => {
                ((value - center) / width + 0.5).clamp(0.0, 1.0)
            }
            Self::Window { center, width, function: VoiFunction::Sigmoid } => {
                1.0 / (1.0 + (-4.0 * (value - center) / width).exp())
            }
            Self::Table(table) => f64::from(table.at(cast::nearest(value))) / table.maximum(),
            Self::Range { low, .. } if value <= *low => 0.0,
            Self::Range { high, .. } if value >= *high => 1.0,
            Self::Range { low, high } => (value - low) / (high - low),
        }
    }
}

/// What the image offers for a frame, best first: VOI LUTs, then windows in their order. Those of the
/// frame's functional groups (PS3.3 C.7.6.16.2.10) go before those of the whole image.
///
/// `negative` says whether modality values can be below 0, which makes the first value a table maps signed.
/// Tables that cannot be used are left out, like windows that cannot: only presentation is lost.
pub(crate) fn offered(dataset: &Dataset, frame: u32, negative: bool) -> Vec<VoiTransform> {
    let tables = dataset.items(tags::VOILUT_SEQUENCE).iter();
    let mut offers: Vec<VoiTransform> =
        tables.filter_map(|item| LookupTable::read(item, negative).ok()).map(VoiTransform::Table).collect();
    if let Some(group) = functional::group(dataset, frame, tags::FRAME_VOILUT_SEQUENCE) {
        offers.extend(windows(group));
    }
    offers.extend(windows(dataset));
    offers
}

/// The usable windows. A width of 0 or less shows nothing and is left out. A width below 1 cannot be LINEAR;
/// writers of fractional modality units mean LINEAR_EXACT by it.
fn windows(dataset: &Dataset) -> impl Iterator<Item = VoiTransform> {
    let function = match dataset.text(tags::VOILUT_FUNCTION).as_deref() {
        Some("SIGMOID") => VoiFunction::Sigmoid,
        Some("LINEAR_EXACT") => VoiFunction::LinearExact,
        _ => VoiFunction::Linear,
    };
    let centers = dataset.floats(tags::WINDOW_CENTER);
    let widths = dataset.floats(tags::WINDOW_WIDTH);
    centers
        .into_iter()
        .zip(widths)
        .filter(|(center, width)| center.is_finite() && width.is_finite() && *width > 0.0)
        .map(move |(center, width)| {
            let too_narrow = function == VoiFunction::Linear && width < 1.0;
            VoiTransform::Window {
                center,
                width,
                function: if too_narrow { VoiFunction::LinearExact } else { function },
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dokuei_dataset::VR;

    fn check(function: VoiFunction, center: f64, width: f64, expected: &[(f64, f64)]) {
        let window = VoiTransform::Window { center, width, function };
        for &(value, shown) in expected {
            let got = window.apply(value);
            assert!((got - shown).abs() < 1e-9, "{window:?} at {value}: {got}, not {shown}");
        }
    }

    #[test]
    fn the_examples_of_the_standard() {
        // PS3.3 C.11.2.1.2.1, output 0 to 255.
        check(VoiFunction::Linear, 2048.0, 4096.0, &[(0.0, 0.0), (4095.0, 1.0), (2047.5, 0.5)]);
        check(VoiFunction::Linear, 2048.0, 1.0, &[(2047.0, 0.0), (2048.0, 1.0)]);
        check(VoiFunction::Linear, 0.0, 100.0, &[(-50.0, 0.0), (49.0, 1.0), (-0.5, 0.5)]);
        check(VoiFunction::Linear, 0.0, 1.0, &[(-1.0, 0.0), (0.0, 1.0)]);
        // C.11.2.1.3.2
        check(VoiFunction::LinearExact, 2048.0, 4096.0, &[(0.0, 0.0), (4096.0, 1.0), (2048.0, 0.5), (1024.0, 0.25)]);
        check(VoiFunction::LinearExact, 0.0, 100.0, &[(-50.0, 0.0), (50.0, 1.0)]);
        // C.11.2.1.3.1
        let one_quarter = 1.0 / (1.0 + 1.0_f64.exp());
        check(VoiFunction::Sigmoid, 100.0, 40.0, &[(100.0, 0.5), (90.0, one_quarter), (110.0, 1.0 - one_quarter)]);
    }

    #[test]
    fn a_range_without_width_has_two_values() {
        let range = VoiTransform::Range { low: 5.0, high: 5.0 };
        assert_eq!([4.0, 5.0, 6.0].map(|value| range.apply(value)), [0.0, 0.0, 1.0]);
        assert_eq!([f64::NAN, f64::NEG_INFINITY, f64::INFINITY].map(|value| range.apply(value)), [0.0, 0.0, 1.0]);
    }

    #[test]
    fn unusable_windows_are_left_out_and_narrow_ones_are_exact() {
        let mut data = Dataset::new();
        data.put_text(tags::WINDOW_CENTER, VR::DS, "5\\6\\0.5");
        data.put_text(tags::WINDOW_WIDTH, VR::DS, "0\\-2\\0.5");
        let offers = offered(&data, 0, false);
        assert_eq!(offers, [VoiTransform::Window { center: 0.5, width: 0.5, function: VoiFunction::LinearExact }]);
    }

    #[test]
    fn tables_go_first_and_frames_before_the_whole_image() {
        let mut item = Dataset::new();
        item.put_u16(tags::LUT_DESCRIPTOR, &[2, 0, 8]);
        item.put_bytes(tags::LUT_DATA, VR::OW, [0_u8, 255]);
        let mut group = Dataset::new();
        group.put_text(tags::WINDOW_CENTER, VR::DS, "1");
        group.put_text(tags::WINDOW_WIDTH, VR::DS, "2");
        let mut frame = Dataset::new();
        frame.put_items(tags::FRAME_VOILUT_SEQUENCE, vec![group]);
        let mut data = Dataset::new();
        data.put_items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, vec![Dataset::new(), frame]);
        data.put_text(tags::WINDOW_CENTER, VR::DS, "3");
        data.put_text(tags::WINDOW_WIDTH, VR::DS, "4");
        let window = |center, width| VoiTransform::Window { center, width, function: VoiFunction::Linear };
        assert_eq!(offered(&data, 0, false), [window(3.0, 4.0)]);
        assert_eq!(offered(&data, 1, false), [window(1.0, 2.0), window(3.0, 4.0)]);
        data.put_items(tags::VOILUT_SEQUENCE, vec![item]);
        assert!(matches!(offered(&data, 0, false).first(), Some(VoiTransform::Table(_))));
    }
}
