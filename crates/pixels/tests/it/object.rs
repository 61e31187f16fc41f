//! Synthetic objects: a few attributes and pixel data, written as a file and opened again.

use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::{self as dataset, Dataset, Encoding, MetaFields, Tag, VR};
use dokuei_pixels::{Image, InputSpec, Limits, Picture, PixelError, prepare};

#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) data: Dataset,
    pub(crate) syntax: &'static str,
    pub(crate) element: (Tag, VR),
    pub(crate) pixels: Pixels,
}

#[derive(Debug, Clone)]
pub(crate) enum Pixels {
    Native(Vec<u8>),
    /// The offset table and the fragments.
    Encapsulated(Vec<Vec<u8>>),
}

impl Object {
    /// A grey image of little endian samples.
    pub(crate) fn grey((rows, columns): (u16, u16), (allocated, stored): (u16, u16), bytes: &[u8]) -> Self {
        let mut data = Dataset::new();
        data.put_text(tags::SOP_CLASS_UID, VR::UI, uids::SECONDARY_CAPTURE_IMAGE_STORAGE);
        data.put_text(tags::SOP_INSTANCE_UID, VR::UI, "2.25.1");
        data.put_u16(tags::SAMPLES_PER_PIXEL, &[1]);
        data.put_text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2");
        data.put_u16(tags::ROWS, &[rows]);
        data.put_u16(tags::COLUMNS, &[columns]);
        data.put_u16(tags::BITS_ALLOCATED, &[allocated]);
        data.put_u16(tags::BITS_STORED, &[stored]);
        data.put_u16(tags::HIGH_BIT, &[stored.wrapping_sub(1)]);
        data.put_u16(tags::PIXEL_REPRESENTATION, &[0]);
        let vr = if allocated > 8 { VR::OW } else { VR::OB };
        Self {
            data,
            syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN,
            element: (tags::PIXEL_DATA, vr),
            pixels: Pixels::Native(bytes.to_vec()),
        }
    }

    /// An 8-bit colour image.
    pub(crate) fn colour(size: (u16, u16), photometric: &str, bytes: &[u8]) -> Self {
        Self::grey(size, (8, 8), bytes).set_u16(tags::SAMPLES_PER_PIXEL, 3).set_u16(tags::PLANAR_CONFIGURATION, 0).set(
            tags::PHOTOMETRIC_INTERPRETATION,
            VR::CS,
            photometric,
        )
    }

    pub(crate) fn set(mut self, tag: Tag, vr: VR, text: &str) -> Self {
        self.data.put_text(tag, vr, text);
        self
    }

    pub(crate) fn set_u16(mut self, tag: Tag, value: u16) -> Self {
        self.data.put_u16(tag, &[value]);
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Dataset)) -> Self {
        change(&mut self.data);
        self
    }

    /// The same image in another encoding of native data.
    pub(crate) fn native(mut self, syntax: &'static str, bytes: Vec<u8>) -> Self {
        self.syntax = syntax;
        self.pixels = Pixels::Native(bytes);
        self
    }

    /// The same image with one fragment a frame.
    pub(crate) fn encapsulated(mut self, syntax: &'static str, fragments: Vec<Vec<u8>>) -> Self {
        self.syntax = syntax;
        let mut items = vec![Vec::new()];
        items.extend(fragments);
        self.pixels = Pixels::Encapsulated(items);
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let encoding = Encoding::of(self.syntax);
        let mut body = dataset::write_dataset(&self.data, encoding);
        let big = encoding == Encoding::ExplicitBig;
        let u16_of = |v: u16| if big { v.to_be_bytes() } else { v.to_le_bytes() };
        let u32_of = |v: u32| if big { v.to_be_bytes() } else { v.to_le_bytes() };
        let (Tag(group, element), vr) = self.element;
        body.extend(u16_of(group));
        body.extend(u16_of(element));
        if encoding != Encoding::ImplicitLittle {
            body.extend(vr.to_string().as_bytes());
            body.extend([0, 0]);
        }
        match &self.pixels {
            Pixels::Native(bytes) => {
                body.extend(u32_of(u32::try_from(bytes.len().next_multiple_of(2)).unwrap()));
                body.extend(bytes);
                body.extend(vec![0; bytes.len() % 2]);
            }
            Pixels::Encapsulated(items) => {
                body.extend(u32_of(u32::MAX));
                for item in items {
                    body.extend([0xFE, 0xFF, 0x00, 0xE0]);
                    body.extend(u32::try_from(item.len().next_multiple_of(2)).unwrap().to_le_bytes());
                    body.extend(item);
                    body.extend(vec![0; item.len() % 2]);
                }
                body.extend([0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]);
            }
        }
        if self.syntax == uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN {
            body = stored_deflate(&body);
        }
        let mut file = dataset::file_meta(&MetaFields {
            sop_class: uids::SECONDARY_CAPTURE_IMAGE_STORAGE,
            sop_instance: "2.25.1",
            transfer_syntax: self.syntax,
            source_ae: None,
            sending_ae: None,
            receiving_ae: None,
        });
        file.extend(body);
        file
    }

    /// Opens the written file and applies `ask`.
    pub(crate) fn open<T>(&self, ask: impl FnOnce(&Image<'_>) -> Result<T, PixelError>) -> Result<T, PixelError> {
        let file = self.bytes();
        let (_, header) = dataset::read_file(&file, &dataset::Limits::default()).unwrap();
        ask(&Image::open(&header, &file, &Limits::default())?)
    }

    pub(crate) fn values(&self, frame: u32) -> Vec<f32> {
        self.open(|image| image.intensities(frame)).unwrap().values.into_iter().collect()
    }

    pub(crate) fn picture(&self, frame: u32) -> Vec<u8> {
        match self.open(|image| image.picture(frame)).unwrap() {
            Picture::Gray { data, .. } | Picture::Rgb { data, .. } => data,
        }
    }

    pub(crate) fn tensor(&self, frame: u32, spec: &InputSpec) -> Vec<f32> {
        self.open(|image| prepare(image, frame, spec)).unwrap().tensor.into_iter().collect()
    }

    pub(crate) fn refused(&self) -> PixelError {
        self.open(|image| image.picture(0)).expect_err("must be refused")
    }
}

/// A deflate stream of stored blocks (RFC 1951 § 3.2.4).
fn stored_deflate(bytes: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    let blocks = bytes.chunks(0xFFFF).count();
    for (index, block) in bytes.chunks(0xFFFF).enumerate() {
        let length = u16::try_from(block.len()).unwrap();
        stream.push(u8::from(index + 1 == blocks));
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend(block);
    }
    stream
}

pub(crate) fn le(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

pub(crate) fn le_signed(values: &[i16]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// A specification that gives each pixel as it is, 0 to 1.
pub(crate) fn spec(size: (usize, usize), toml_lines: &str) -> InputSpec {
    let (height, width) = size;
    let given = |key: &str| toml_lines.lines().any(|line| line.trim_start().starts_with(key));
    let mut text = format!("height = {height}\nwidth = {width}\n{toml_lines}\n");
    for (key, value) in
        [("channels", "1"), ("geometry", "\"squash\""), ("resampling", "\"bilinear\""), ("intensity", "\"voi\"")]
    {
        if !given(key) {
            text += &format!("{key} = {value}\n");
        }
    }
    toml::from_str(&text).unwrap()
}
