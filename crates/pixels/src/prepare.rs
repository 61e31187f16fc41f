use fast_image_resize::pixels::{F32, F32x3};
use ndarray::{Array4, ArrayViewMut2, Axis};

use crate::cast;
use crate::colour;
use crate::error::PixelError;
use crate::geometry::Geometry;
use crate::image::{Content, Image};
use crate::input::{InputSpec, Intensity};
use crate::resample::resample;
use crate::voi::VoiTransform;

/// A model's input, and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// `[1, channels, height, width]`, normalised as the [`InputSpec`] says.
    pub tensor: Array4<f32>,
    /// From the tensor to the source frame and back.
    pub geometry: Geometry,
}

/// Makes a model's input tensor of one frame (index from 0): modality transform, VOI and polarity by one table,
/// then resampling, then mean and scale.
///
/// Intensities are clamped before they are resampled, as they are when a network is trained on images that
/// were windowed and stored.
///
/// # Errors
/// [`PixelError::Spec`] when `spec` makes no tensor; otherwise what [`Image::frame`] and the transforms say.
pub fn prepare(image: &Image<'_>, frame: u32, spec: &InputSpec) -> Result<Prepared, PixelError> {
    spec.check()?;
    let source_size = (image.rows(), image.columns());
    let aspect = image.pixel_aspect(frame);
    let geometry = Geometry::new(source_size, aspect, (spec.height, spec.width), spec.geometry);
    let content = image.content(frame)?;
    let mut tensor = Array4::zeros((1, spec.channels, spec.height, spec.width));
    for channel in 0..spec.channels {
        let background = -spec.mean_of(channel) / spec.scale_of(channel);
        plane(&mut tensor, channel).fill(background);
    }
    match (&content, spec.channels) {
        (Content::Grey(grey), channels) => {
            let voi = grey_intensity(image, frame, &content, spec);
            let shown = grey.shown(&voi, |value| F32::new(cast::single(value)));
            let shown = resample(&shown, &geometry, spec.resampling)?;
            (0..channels).for_each(|channel| write(&mut tensor, channel, spec, &geometry, shown.iter().map(|p| p.0)));
        }
        (_, 1) => {
            let range = colour_intensity(image, spec);
            let shown = content.colours(image.attributes(), |rgb| F32::new(range(colour::luminance(rgb))));
            let shown = resample(&shown, &geometry, spec.resampling)?;
            write(&mut tensor, 0, spec, &geometry, shown.iter().map(|p| p.0));
        }
        (_, channels) => {
            let range = colour_intensity(image, spec);
            let shown = content.colours(image.attributes(), |rgb| F32x3::new(rgb.map(&range)));
            let shown = resample(&shown, &geometry, spec.resampling)?;
            for channel in 0..channels {
                let values = shown.iter().map(|p| p.0.get(channel).copied().unwrap_or_default());
                write(&mut tensor, channel, spec, &geometry, values);
            }
        }
    }
    Ok(Prepared { tensor, geometry })
}

fn grey_intensity(image: &Image<'_>, frame: u32, content: &Content, spec: &InputSpec) -> VoiTransform {
    match (spec.intensity, content) {
        (Intensity::Rescaled { low, high }, _) => VoiTransform::Range { low, high },
        (Intensity::FullRange, Content::Grey(grey)) => {
            let [low, high] = spec.percentiles.unwrap_or([0.0, 100.0]);
            let (low, high) = grey.levels(None).percentiles(low, high).unwrap_or((0.0, 1.0));
            VoiTransform::Range { low, high }
        }
        (Intensity::FullRange | Intensity::Voi, _) => image.voi_of(frame, content, spec.percentiles),
    }
}

/// Colour is not windowed (PS3.3 C.11.2.1.2); only a range of sample values can be asked for.
fn colour_intensity(image: &Image<'_>, spec: &InputSpec) -> impl Fn(f32) -> f32 {
    let (_, maximum) = image.attributes().stored_range();
    let range = match spec.intensity {
        Intensity::Rescaled { low, high } => VoiTransform::Range { low: low / maximum, high: high / maximum },
        Intensity::Voi | Intensity::FullRange => VoiTransform::Range { low: 0.0, high: 1.0 },
    };
    move |value| cast::single(range.apply(f64::from(value)))
}

/// Writes resampled values to the visible part of a channel, normalised.
fn write(
    tensor: &mut Array4<f32>,
    channel: usize,
    spec: &InputSpec,
    geometry: &Geometry,
    mut values: impl Iterator<Item = f32>,
) {
    let (rows, columns) = (geometry.visible_rows(), geometry.visible_columns());
    let (mean, scale) = (spec.mean_of(channel), spec.scale_of(channel));
    for mut row in plane(tensor, channel).rows_mut().into_iter().skip(rows.start).take(rows.size) {
        for (cell, value) in row.iter_mut().skip(columns.start).take(columns.size).zip(&mut values) {
            *cell = (value.clamp(0.0, 1.0) - mean) / scale;
        }
    }
}

fn plane(tensor: &mut Array4<f32>, channel: usize) -> ArrayViewMut2<'_, f32> {
    tensor.index_axis_mut(Axis(0), 0).index_axis_move(Axis(0), channel)
}
