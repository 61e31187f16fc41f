//! Plain pictures as DICOM in memory, so that a model sees them through the same decoders and transforms: JPEG as it
//! is, encapsulated (PS3.5 § A.4); PNG as native pixels. Grey ones are MONOCHROME2 and are shown from the smallest to
//! the largest value they could have.

use std::io::Cursor;

use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::{Dataset, Encoding, MetaFields, Tag, VR, file_meta, write_dataset};
use dokuei_types::derived_uid;
use image::{DynamicImage, ImageFormat, ImageReader};

/// The Part 10 file of a JPEG or PNG file; `None` for other bytes. `name` makes its UIDs.
///
/// # Errors
/// What is wrong with the picture, in words.
pub(crate) fn part10(name: &str, bytes: &[u8]) -> Result<Option<Vec<u8>>, String> {
    match bytes {
        [0xFF, 0xD8, 0xFF, ..] => jpeg(name, bytes).map(Some),
        [0x89, b'P', b'N', b'G', ..] => png(name, bytes).map(Some),
        _ => Ok(None),
    }
}

/// Item (PS3.5 § 7.5).
const ITEM: Tag = Tag(0xFFFE, 0xE000);
/// Sequence Delimitation Item (PS3.5 § 7.5).
const SEQUENCE_DELIMITER: Tag = Tag(0xFFFE, 0xE0DD);

/// What a picture's attributes follow from.
struct Shape {
    rows: u16,
    columns: u16,
    /// 1 or 3.
    samples: u16,
    bits_stored: u16,
}

#[expect(deprecated, reason = "progressive JPEG has no other transfer syntax")]
fn jpeg(name: &str, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let (marker, shape) = frame_header(bytes).ok_or("the JPEG has no frame header")?;
    let transfer_syntax = match marker {
        0xC0 => uids::JPEG_BASELINE8_BIT,
        0xC1 => uids::JPEG_EXTENDED12_BIT,
        0xC2 => uids::JPEG_FULL_PROGRESSION_NON_HIERARCHICAL1012,
        _ => uids::JPEG_LOSSLESS,
    };
    let mut data = attributes(name, &shape)?;
    if shape.samples == 3 {
        data.put_text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "YBR_FULL_422");
    }
    let mut file = meta(name, transfer_syntax);
    file.extend_from_slice(&write_dataset(&data, Encoding::ExplicitLittle));
    // Undefined length, an empty Basic Offset Table, one fragment, the end (PS3.5 § A.4).
    put_tag(&mut file, tags::PIXEL_DATA);
    file.extend_from_slice(b"OB\0\0\xFF\xFF\xFF\xFF");
    put_item(&mut file, ITEM, 0)?;
    put_item(&mut file, ITEM, bytes.len().next_multiple_of(2))?;
    file.extend_from_slice(bytes);
    file.resize(file.len().next_multiple_of(2), 0);
    put_item(&mut file, SEQUENCE_DELIMITER, 0)?;
    Ok(file)
}

/// The first frame header (ISO/IEC 10918-1 § B.2.2) and its marker.
fn frame_header(bytes: &[u8]) -> Option<(u8, Shape)> {
    let mut rest = bytes.get(2..)?;
    loop {
        let (marker, behind) = match rest {
            // Fill bytes (§ B.1.1.2).
            [0xFF, 0xFF, ..] => {
                rest = &rest[1..];
                continue;
            }
            [0xFF, marker, behind @ ..] => (*marker, behind),
            _ => return None,
        };
        let (length, _) = behind.split_first_chunk::<2>()?;
        let body = behind.get(2..usize::from(u16::from_be_bytes(*length)))?;
        if matches!(marker, 0xC0..=0xC3) {
            let [precision, r1, r0, c1, c0, count, ..] = *body else { return None };
            let (rows, columns) = (u16::from_be_bytes([r1, r0]), u16::from_be_bytes([c1, c0]));
            return Some((marker, Shape { rows, columns, samples: count.into(), bits_stored: precision.into() }));
        }
        rest = behind.get(2 + body.len()..)?;
    }
}

fn png(name: &str, bytes: &[u8]) -> Result<Vec<u8>, String> {
    // The reader keeps to limits of its own in sides and bytes.
    let picture = ImageReader::with_format(Cursor::new(bytes), ImageFormat::Png).decode();
    let picture = picture.map_err(|error| error.to_string())?;
    let side = |pixels: u32| u16::try_from(pixels).map_err(|_| format!("a side of {pixels} pixels"));
    let (rows, columns) = (side(picture.height())?, side(picture.width())?);
    let (samples, bits_stored, pixels) = match picture {
        DynamicImage::ImageLuma8(_) | DynamicImage::ImageLumaA8(_) => (1, 8, picture.into_luma8().into_raw()),
        DynamicImage::ImageLuma16(_) | DynamicImage::ImageLumaA16(_) => {
            (1, 16, picture.into_luma16().into_raw().into_iter().flat_map(u16::to_le_bytes).collect())
        }
        _ => (3, 8, picture.into_rgb8().into_raw()),
    };
    let mut data = attributes(name, &Shape { rows, columns, samples, bits_stored })?;
    data.put_bytes(tags::PIXEL_DATA, if bits_stored > 8 { VR::OW } else { VR::OB }, pixels);
    let mut file = meta(name, uids::EXPLICIT_VR_LITTLE_ENDIAN);
    file.extend_from_slice(&write_dataset(&data, Encoding::ExplicitLittle));
    Ok(file)
}

/// Everything but the pixels. It is nobody's image: the identifiers are made from the name.
fn attributes(name: &str, shape: &Shape) -> Result<Dataset, String> {
    if !matches!(shape.samples, 1 | 3) {
        return Err(format!("{} colour components", shape.samples));
    }
    let mut data = Dataset::new();
    let uid = |what: &str| derived_uid(&["plain picture", what, name]);
    data.put_text(tags::SOP_CLASS_UID, VR::UI, uids::SECONDARY_CAPTURE_IMAGE_STORAGE);
    data.put_text(tags::SOP_INSTANCE_UID, VR::UI, uid("instance").as_str());
    data.put_text(tags::STUDY_INSTANCE_UID, VR::UI, uid("study").as_str());
    data.put_text(tags::SERIES_INSTANCE_UID, VR::UI, uid("series").as_str());
    data.put_text(tags::MODALITY, VR::CS, "OT");
    data.put_text(tags::PATIENT_NAME, VR::PN, "");
    data.put_text(tags::PATIENT_ID, VR::LO, "");
    data.put_u16(tags::SAMPLES_PER_PIXEL, &[shape.samples]);
    data.put_u16(tags::ROWS, &[shape.rows]);
    data.put_u16(tags::COLUMNS, &[shape.columns]);
    data.put_u16(tags::BITS_ALLOCATED, &[if shape.bits_stored > 8 { 16 } else { 8 }]);
    data.put_u16(tags::BITS_STORED, &[shape.bits_stored]);
    data.put_u16(tags::HIGH_BIT, &[shape.bits_stored.saturating_sub(1)]);
    data.put_u16(tags::PIXEL_REPRESENTATION, &[0]);
    if shape.samples == 3 {
        data.put_u16(tags::PLANAR_CONFIGURATION, &[0]);
        data.put_text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "RGB");
    } else {
        data.put_text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2");
        // 0 to 2^n - 1 becomes black to white (PS3.3 § C.11.2.1.2.1).
        let levels = 1_u32.checked_shl(shape.bits_stored.into()).ok_or("too many bits")?;
        data.put_text(tags::WINDOW_CENTER, VR::DS, &(levels / 2).to_string());
        data.put_text(tags::WINDOW_WIDTH, VR::DS, &levels.to_string());
    }
    Ok(data)
}

fn meta(name: &str, transfer_syntax: &str) -> Vec<u8> {
    file_meta(&MetaFields {
        sop_class: uids::SECONDARY_CAPTURE_IMAGE_STORAGE,
        sop_instance: derived_uid(&["plain picture", "instance", name]).as_str(),
        transfer_syntax,
        source_ae: None,
        sending_ae: None,
        receiving_ae: None,
    })
}

fn put_tag(file: &mut Vec<u8>, tag: Tag) {
    file.extend_from_slice(&tag.group().to_le_bytes());
    file.extend_from_slice(&tag.element().to_le_bytes());
}

fn put_item(file: &mut Vec<u8>, tag: Tag, length: usize) -> Result<(), String> {
    put_tag(file, tag);
    let length = u32::try_from(length).map_err(|_| format!("{length} bytes"))?;
    file.extend_from_slice(&length.to_le_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use dokuei_dataset::read_file;
    use dokuei_pixels::{Image, Picture};
    use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

    use super::*;

    fn seen(bytes: &[u8]) -> Picture {
        let file = part10("a picture", bytes).unwrap().unwrap();
        let (_, header) = read_file(&file, &dokuei_dataset::Limits::default()).unwrap();
        Image::open(&header, &file, &dokuei_pixels::Limits::default()).unwrap().picture(0).unwrap()
    }

    fn encoded(pixels: &[u8], colour: ExtendedColorType) -> Vec<u8> {
        let mut png = Vec::new();
        PngEncoder::new(&mut png).write_image(pixels, 3, 1, colour).unwrap();
        png
    }

    #[test]
    fn grey_values_stay_what_they_are() {
        let data = vec![0, 99, 255];
        assert_eq!(seen(&encoded(&data, ExtendedColorType::L8)), Picture::Gray { rows: 1, columns: 3, data });
        // 16 bits, as the encoder takes them: of the machine's order.
        let wide: Vec<u8> = [0_u16, 32_896, 65_535].into_iter().flat_map(u16::to_ne_bytes).collect();
        let data = vec![0, 128, 255];
        assert_eq!(seen(&encoded(&wide, ExtendedColorType::L16)), Picture::Gray { rows: 1, columns: 3, data });
    }

    #[test]
    fn colours_stay_what_they_are() {
        let data = vec![1, 2, 3, 255, 0, 0, 9, 9, 9];
        assert_eq!(seen(&encoded(&data, ExtendedColorType::Rgb8)), Picture::Rgb { rows: 1, columns: 3, data });
    }

    #[test]
    fn jpeg_goes_to_the_decoder_as_it_is() {
        let Picture::Gray { rows, columns, data } = seen(GREY_JPEG) else { panic!("not grey") };
        assert_eq!((rows, columns), (8, 8));
        assert!(data.iter().all(|value| value.abs_diff(200) <= 1), "{data:?}");
    }

    /// 8 x 8 pixels of 200: quantisation by 1, one DC difference of 576 = (200 - 128) · 8 in category 10, end of block.
    const GREY_JPEG: &[u8] = &{
        let mut bytes = [1_u8; JPEG_LENGTH];
        let mut at = 0;
        // SOI, DQT
        at = put(&mut bytes, at, &[0xFF, 0xD8, 0xFF, 0xDB, 0, 67, 0]);
        at += 64;
        // SOF0, 8 bits, 8 x 8, one component
        at = put(&mut bytes, at, &[0xFF, 0xC0, 0, 11, 8, 0, 8, 0, 8, 1, 1, 0x11, 0]);
        // DHT: DC code 0 means category 10; AC code 0 means end of block
        at = put(&mut bytes, at, &[0xFF, 0xC4, 0, 20, 0x00, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10]);
        at = put(&mut bytes, at, &[0xFF, 0xC4, 0, 20, 0x10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        // SOS; 0 1001000000 0 and ones: 0100 1000 0000 1111
        at = put(&mut bytes, at, &[0xFF, 0xDA, 0, 8, 1, 1, 0x00, 0, 63, 0, 0b0100_1000, 0b0000_1111]);
        put(&mut bytes, at, &[0xFF, 0xD9]);
        bytes
    };
    const JPEG_LENGTH: usize = 7 + 64 + 13 + 22 + 22 + 12 + 2;

    const fn put(bytes: &mut [u8; JPEG_LENGTH], at: usize, part: &[u8]) -> usize {
        let mut index = 0;
        while index < part.len() {
            bytes[at + index] = part[index];
            index += 1;
        }
        at + index
    }

    #[test]
    fn what_is_no_picture_is_said() {
        assert_eq!(part10("", b"GIF89a"), Ok(None));
        assert_eq!(part10("", &GREY_JPEG[..40]), Err("the JPEG has no frame header".into()));
        assert!(part10("", b"\x89PNG\r\n\x1a\n").is_err());
        let four_colours = GREY_JPEG.iter().enumerate().map(|(index, byte)| if index == 80 { 4 } else { *byte });
        assert_eq!(part10("", &four_colours.collect::<Vec<_>>()), Err("4 colour components".into()));
    }
}
