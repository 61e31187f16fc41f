use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};

use crate::error::PixelError;
use crate::geometry::Geometry;
use crate::input::Filter;

/// Resamples the part of a frame that the tensor shows; the result has the size of the visible part.
pub(crate) fn resample<P: PixelTrait>(pixels: &[P], geometry: &Geometry, filter: Filter) -> Result<Vec<P>, PixelError> {
    let algorithm = match filter {
        Filter::Bilinear => ResizeAlg::Convolution(FilterType::Bilinear),
        Filter::Bicubic => ResizeAlg::Convolution(FilterType::CatmullRom),
        Filter::Lanczos3 => ResizeAlg::Convolution(FilterType::Lanczos3),
        Filter::Area => ResizeAlg::Convolution(FilterType::Box),
        Filter::Nearest => ResizeAlg::Nearest,
    };
    let (rows, columns) = geometry.source_size();
    let (vertical, horizontal) = (geometry.visible_rows(), geometry.visible_columns());
    let options = ResizeOptions::new().resize_alg(algorithm).use_alpha(false).crop(
        horizontal.source_start,
        vertical.source_start,
        horizontal.source_size,
        vertical.source_size,
    );
    let source = TypedImageRef::new(columns, rows, pixels).map_err(|_| PixelError::Resample)?;
    let mut resampled = vec![P::default(); vertical.size.saturating_mul(horizontal.size)];
    let width = u32::try_from(horizontal.size).map_err(|_| PixelError::Resample)?;
    let height = u32::try_from(vertical.size).map_err(|_| PixelError::Resample)?;
    let mut target = TypedImage::from_pixels_slice(width, height, &mut resampled).map_err(|_| PixelError::Resample)?;
    Resizer::new().resize_typed(&source, &mut target, &options).map_err(|_| PixelError::Resample)?;
    Ok(resampled)
}
