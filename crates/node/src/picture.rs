//! Pictures as PNG, for people without a DICOM viewer at hand.

use dokuei_dataset::{Header, ReadAt};
use dokuei_pixels::{Image, Limits, Picture};
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

/// As [`png`], of the bytes of a Part 10 file.
pub(crate) fn png_of(file: &[u8]) -> Option<Vec<u8>> {
    let (_, header) = dokuei_dataset::read_file(&file, &dokuei_dataset::Limits::default()).ok()?;
    png(&header, &file)
}

/// The first frame of an image as it asks to be shown, as PNG; `None` when it cannot be shown.
pub(crate) fn png(header: &Header, file: &dyn ReadAt) -> Option<Vec<u8>> {
    let picture = Image::open(header, file, &Limits::default()).ok()?.picture(0).ok()?;
    let (rows, columns, data, colour) = match &picture {
        Picture::Gray { rows, columns, data } => (*rows, *columns, data, ExtendedColorType::L8),
        Picture::Rgb { rows, columns, data } => (*rows, *columns, data, ExtendedColorType::Rgb8),
    };
    let mut png = Vec::new();
    PngEncoder::new(&mut png).write_image(data, columns, rows, colour).ok()?;
    Some(png)
}
