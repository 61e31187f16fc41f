use serde::{Deserialize, Serialize};

/// What a model's input tensor is made of. It is part of a model's manifest.
///
/// The tensor is `[1, channels, height, width]`, each value `(v - mean) / scale` with `v` from 0 (black) to 1
/// (white), always in MONOCHROME2 orientation: high is white, also for images that store the opposite.
/// What lies outside the image, and pixel padding, has `v` = 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSpec {
    /// 1 for grey (colour images give their luminance), or 3: colour images give red, green and blue, grey
    /// ones the same plane three times.
    pub channels: usize,
    /// Rows of the tensor, 1 to 16,384.
    pub height: usize,
    /// Columns of the tensor, 1 to 16,384.
    pub width: usize,
    /// How the image is fitted to the tensor.
    pub geometry: Fit,
    /// How it is resampled.
    pub resampling: Filter,
    /// Which intensities become 0 and 1.
    pub intensity: Intensity,
    /// The percentiles of the image's pixels (padding left out) that become 0 and 1 where `intensity` takes
    /// them from the image. Default: 0.5 and 99.5 for `voi`, 0 and 100 (the extremes) for `full_range`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percentiles: Option<[f64; 2]>,
    /// Subtracted from each channel: one value for all, one for each, or none for 0.
    #[serde(default)]
    pub mean: Vec<f32>,
    /// Each channel is divided by it: one value for all, one for each, or none for 1.
    #[serde(default)]
    pub scale: Vec<f32>,
}

/// How an image is fitted to a tensor of another shape. Sizes are physical: where pixels are not square
/// (Pixel Spacing, Pixel Aspect Ratio), the image is stretched to true proportions first, except by `squash`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// The whole image, centred, proportions kept, black around it. Sizes round to the nearest pixel, the
    /// odd pixel of padding goes to the right and below.
    Pad,
    /// The shorter side fills the tensor, the longer one is cut evenly at both ends.
    Crop,
    /// The whole image, proportions not kept.
    Squash,
}

/// A resampling filter. When shrinking, its support grows with the factor, as in PIL and in torchvision with
/// `antialias=True`; pixel centres lie at half coordinates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Triangle.
    Bilinear,
    /// Catmull-Rom, a = -0.5.
    Bicubic,
    /// Windowed sinc over three lobes.
    Lanczos3,
    /// The mean of the pixels whose centre falls into the target pixel.
    Area,
    /// The pixel at the centre of the target pixel.
    Nearest,
}

/// Which intensities of an image become black and white.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intensity {
    /// What the image asks for: its first VOI LUT or window. Without one, images of up to 8 bits are taken
    /// as they are, others between `percentiles`, where one value at either end that over 1 % of the pixels
    /// have (a border, saturation) and everything outside a rectangular collimator or shutter do not count.
    Voi,
    /// Between `percentiles` of the image, its window ignored. Colour images are taken as they are.
    FullRange,
    /// Between two values in modality units, such as Hounsfield units; in sample values for colour.
    Rescaled {
        /// Becomes 0, and everything below.
        low: f64,
        /// Becomes 1, and everything above.
        high: f64,
    },
}

/// What is wrong with an [`InputSpec`].
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SpecError {
    /// Neither 1 nor 3 channels.
    #[error("channels is {0}, must be 1 or 3")]
    Channels(usize),
    /// A size of 0, or one that no model has.
    #[error("{name} is {value}, must be from 1 to {SIZE_MAX}")]
    Size {
        /// `height` or `width`.
        name: &'static str,
        /// What it is.
        value: usize,
    },
    /// A list that is neither empty, nor one value, nor one a channel.
    #[error("{name} has {count} values for {channels} channels")]
    Count {
        /// `mean` or `scale`.
        name: &'static str,
        /// Values given.
        count: usize,
        /// Channels.
        channels: usize,
    },
    /// A number that makes no tensor: not finite, or a scale of 0.
    #[error("{name} has the value {value}")]
    Value {
        /// Which list or field.
        name: &'static str,
        /// The value.
        value: f64,
    },
    /// A range whose end is not above its start.
    #[error("{name} goes from {low} to {high}")]
    Range {
        /// Which field.
        name: &'static str,
        /// Its start.
        low: f64,
        /// Its end.
        high: f64,
    },
}

const SIZE_MAX: usize = 16_384;

impl InputSpec {
    /// Checks the numbers against each other, as [`prepare`](crate::prepare()) does before it begins.
    ///
    /// # Errors
    /// [`SpecError`]: the first thing that is wrong.
    pub fn check(&self) -> Result<(), SpecError> {
        if !matches!(self.channels, 1 | 3) {
            return Err(SpecError::Channels(self.channels));
        }
        for (name, value) in [("height", self.height), ("width", self.width)] {
            if !(1..=SIZE_MAX).contains(&value) {
                return Err(SpecError::Size { name, value });
            }
        }
        for (name, values) in [("mean", &self.mean), ("scale", &self.scale)] {
            if values.len() > 1 && values.len() != self.channels {
                return Err(SpecError::Count { name, count: values.len(), channels: self.channels });
            }
            let refused = |value: &&f32| !value.is_finite() || (name == "scale" && **value == 0.0);
            if let Some(&value) = values.iter().find(refused) {
                return Err(SpecError::Value { name, value: value.into() });
            }
        }
        if let Intensity::Rescaled { low, high } = self.intensity {
            ascending("rescaled", low, high)?;
        }
        match self.percentiles {
            Some([low, high]) if !(0.0..=100.0).contains(&low) || !(0.0..=100.0).contains(&high) => {
                Err(SpecError::Range { name: "percentiles", low, high })
            }
            Some([low, high]) => ascending("percentiles", low, high),
            None => Ok(()),
        }
    }

    /// `mean` of a channel.
    pub(crate) fn mean_of(&self, channel: usize) -> f32 {
        self.mean.get(channel).or(self.mean.first()).copied().unwrap_or(0.0)
    }

    /// `scale` of a channel.
    pub(crate) fn scale_of(&self, channel: usize) -> f32 {
        self.scale.get(channel).or(self.scale.first()).copied().unwrap_or(1.0)
    }
}

fn ascending(name: &'static str, low: f64, high: f64) -> Result<(), SpecError> {
    if low.is_finite() && high.is_finite() && low < high { Ok(()) } else { Err(SpecError::Range { name, low, high }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = r#"
        channels = 1
        height = 224
        width = 224
        geometry = "pad"
        resampling = "bilinear"
        intensity = "voi"
    "#;

    fn refused(change: impl FnOnce(&mut InputSpec)) -> Option<SpecError> {
        let mut spec: InputSpec = toml::from_str(MINIMAL).unwrap();
        change(&mut spec);
        spec.check().err()
    }

    #[test]
    fn reads_from_a_manifest() {
        let spec: InputSpec = toml::from_str(MINIMAL).unwrap();
        assert_eq!((spec.mean_of(0), spec.scale_of(0), spec.percentiles), (0.0, 1.0, None));
        let full = MINIMAL.replace("\"voi\"", "{ rescaled = { low = -1000, high = 400 } }")
            + "mean = [0.1, 0.2, 0.3]\nscale = [0.5]\npercentiles = [1, 99]";
        let spec: InputSpec = toml::from_str(&full).unwrap();
        assert_eq!(spec.intensity, Intensity::Rescaled { low: -1000.0, high: 400.0 });
        assert_eq!((spec.mean_of(2), spec.scale_of(2)), (0.3, 0.5));
        assert!(toml::from_str::<InputSpec>(&(MINIMAL.to_owned() + "colour = true")).is_err());
    }

    #[test]
    fn refuses_what_makes_no_tensor() {
        assert_eq!(refused(|_| {}), None);
        assert_eq!(refused(|s| s.channels = 2), Some(SpecError::Channels(2)));
        assert_eq!(refused(|s| s.width = 0), Some(SpecError::Size { name: "width", value: 0 }));
        assert_eq!(refused(|s| s.height = 1 << 20), Some(SpecError::Size { name: "height", value: 1 << 20 }));
        assert_eq!(refused(|s| s.mean = vec![0.0; 2]), Some(SpecError::Count { name: "mean", count: 2, channels: 1 }));
        assert_eq!(refused(|s| s.scale = vec![0.0]), Some(SpecError::Value { name: "scale", value: 0.0 }));
        assert!(matches!(refused(|s| s.mean = vec![f32::NAN]), Some(SpecError::Value { name: "mean", .. })));
        let rescaled = Intensity::Rescaled { low: 1.0, high: 1.0 };
        assert!(matches!(refused(|s| s.intensity = rescaled), Some(SpecError::Range { name: "rescaled", .. })));
        for percentiles in [[-1.0, 50.0], [0.0, 101.0], [60.0, 40.0], [f64::NAN, 1.0]] {
            let error = refused(|s| s.percentiles = Some(percentiles));
            assert!(matches!(error, Some(SpecError::Range { name: "percentiles", .. })), "{percentiles:?}");
        }
    }
}
