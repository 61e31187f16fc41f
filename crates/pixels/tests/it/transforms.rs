//! From stored values to units, pictures and tensors, by hand-computed numbers.

use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::{Dataset, VR};
use dokuei_pixels::{Picture, PixelError, VoiFunction, VoiTransform, prepare};

use crate::object::{Object, le, le_signed, spec};

fn near(got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len(), "{got:?}");
    for (g, e) in got.iter().zip(expected) {
        assert!((g - e).abs() < 2e-4, "{got:?}\nnot\n{expected:?}");
    }
}

fn lut(descriptor: [u16; 3], data: &[u8]) -> Dataset {
    let mut item = Dataset::new();
    item.put_u16(tags::LUT_DESCRIPTOR, &descriptor);
    item.put_bytes(tags::LUT_DATA, VR::OW, data);
    item
}

#[test]
fn rescale_in_hounsfield_units() {
    let object = Object::grey((1, 3), (16, 12), &le(&[0, 1024, 4095]))
        .set(tags::RESCALE_SLOPE, VR::DS, "1")
        .set(tags::RESCALE_INTERCEPT, VR::DS, "-1024")
        .set(tags::RESCALE_TYPE, VR::LO, "HU");
    near(&object.values(0), &[-1024.0, 0.0, 3071.0]);
    assert_eq!(object.open(|image| image.intensities(0)).unwrap().unit.as_deref(), Some("HU"));
}

#[test]
fn rescale_slope_zero_is_refused() {
    let object = Object::grey((1, 1), (16, 12), &[0, 0]).set(tags::RESCALE_SLOPE, VR::DS, "0");
    assert!(matches!(object.refused(), PixelError::RescaleSlopeZero));
}

#[test]
fn signed_values_and_stray_high_bits() {
    // 12 bits stored, two's complement; the four bits above are an overlay.
    let object = Object::grey((1, 3), (16, 12), &le(&[0x0FFF, 0xF800, 0x07FF])).set_u16(tags::PIXEL_REPRESENTATION, 1);
    near(&object.values(0), &[-1.0, -2048.0, 2047.0]);
    // High Bit 15, 12 bits stored: the low four bits are not part of the value.
    let shifted = Object::grey((1, 2), (16, 12), &le(&[0xFFF3, 0x0010])).set_u16(tags::HIGH_BIT, 15);
    near(&shifted.values(0), &[4095.0, 1.0]);
}

#[test]
fn modality_lut_goes_before_rescale() {
    let object = Object::grey((1, 4), (16, 12), &le(&[0, 2, 3, 9]))
        .set(tags::RESCALE_SLOPE, VR::DS, "100")
        .with(|data| data.put_items(tags::MODALITY_LUT_SEQUENCE, vec![lut([3, 2, 16], &le(&[7, 500, 60000]))]));
    near(&object.values(0), &[7.0, 7.0, 500.0, 60000.0]);
}

#[test]
fn values_of_32_bits_and_floats() {
    let bytes: Vec<u8> = [0_u32, 1 << 20, u32::MAX].iter().flat_map(|v| v.to_le_bytes()).collect();
    let wide = Object::grey((1, 3), (32, 32), &bytes);
    near(&wide.values(0), &[0.0, 1_048_576.0, 4_294_967_295.0]);
    let bytes: Vec<u8> = [-1.5_f32, 0.25, f32::NAN, 1e30].iter().flat_map(|v| v.to_le_bytes()).collect();
    let mut float = Object::grey((1, 4), (32, 32), &bytes);
    float.element = (tags::FLOAT_PIXEL_DATA, VR::OF);
    let values = float.values(0);
    assert_eq!((values[0], values[1], values[3]), (-1.5, 0.25, 1e30));
    assert!(values[2].is_nan());
    let bytes: Vec<u8> = [-1.5_f64, 0.25].iter().flat_map(|v| v.to_le_bytes()).collect();
    let mut double = Object::grey((1, 2), (64, 64), &bytes).set(tags::RESCALE_SLOPE, VR::DS, "2").set(
        tags::RESCALE_INTERCEPT,
        VR::DS,
        "1",
    );
    double.element = (tags::DOUBLE_FLOAT_PIXEL_DATA, VR::OD);
    near(&double.values(0), &[-2.0, 1.5]);
    assert_eq!(double.picture(0), [0, 255]);
}

#[test]
fn windows_by_each_function() {
    let object = |function: &str| {
        Object::grey((1, 5), (16, 12), &le(&[0, 90, 100, 110, 200]))
            .set(tags::WINDOW_CENTER, VR::DS, "100\\50")
            .set(tags::WINDOW_WIDTH, VR::DS, "40\\10")
            .set(tags::VOILUT_FUNCTION, VR::CS, function)
    };
    // LINEAR: (90 - 99.5) / 39 + 0.5 = 0.2564, (100 - 99.5) / 39 + 0.5 = 0.5128, 0.7692
    assert_eq!(object("LINEAR").picture(0), [0, 65, 131, 196, 255]);
    assert_eq!(object("LINEAR_EXACT").picture(0), [0, 64, 128, 191, 255]);
    // 1 / (1 + e^1) = 0.2689, 0.5, 0.7311; at the ends 0.0000454 and 0.9999546
    assert_eq!(object("SIGMOID").picture(0), [0, 69, 128, 186, 255]);
    let offered = object("SIGMOID").open(|image| image.voi_transforms(0)).unwrap();
    let window = |center, width| VoiTransform::Window { center, width, function: VoiFunction::Sigmoid };
    assert_eq!(offered, [window(100.0, 40.0), window(50.0, 10.0)]);
    let second = object("LINEAR_EXACT").open(|image| image.picture_with(0, &image.voi_transforms(0)?[1])).unwrap();
    assert_eq!(second, Picture::Gray { rows: 1, columns: 5, data: vec![0, 255, 255, 255, 255] });
}

#[test]
fn voi_lut_of_negative_units() {
    let object = Object::grey((1, 4), (16, 12), &le(&[0, 9, 10, 11]))
        .set(tags::RESCALE_SLOPE, VR::DS, "1")
        .set(tags::RESCALE_INTERCEPT, VR::DS, "-10")
        .set(tags::WINDOW_CENTER, VR::DS, "0")
        .set(tags::WINDOW_WIDTH, VR::DS, "2")
        .with(|data| data.put_items(tags::VOILUT_SEQUENCE, vec![lut([3, 0xFFFF, 8], &[0, 51, 255, 0])]));
    assert_eq!(object.picture(0), [0, 0, 51, 255]);
}

#[test]
fn tables_that_are_empty_or_cut_off() {
    let object = |sequence, item: Dataset| {
        Object::grey((1, 2), (8, 8), &[0, 200]).with(|data| data.put_items(sequence, vec![item]))
    };
    let mut empty = Dataset::new();
    empty.put_bytes(tags::LUT_DESCRIPTOR, VR::US, []);
    let cut_off = lut([200, 0, 8], &[1, 2, 3]);
    assert_eq!(object(tags::MODALITY_LUT_SEQUENCE, empty.clone()).picture(0), [0, 200]);
    assert_eq!(object(tags::VOILUT_SEQUENCE, empty).picture(0), [0, 200]);
    assert_eq!(object(tags::VOILUT_SEQUENCE, cut_off.clone()).picture(0), [0, 200]);
    assert!(matches!(object(tags::MODALITY_LUT_SEQUENCE, cut_off).refused(), PixelError::LookupTable { .. }));
}

#[test]
fn monochrome1_and_presentation_lut_shape_invert_once() {
    let object = |photometric: &str, shape: &str| {
        Object::grey((1, 3), (8, 8), &[0, 100, 255])
            .set(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, photometric)
            .set(tags::PRESENTATION_LUT_SHAPE, VR::CS, shape)
            .picture(0)
    };
    assert_eq!(object("MONOCHROME2", "IDENTITY"), [0, 100, 255]);
    for (photometric, shape) in [("MONOCHROME1", ""), ("MONOCHROME1", "INVERSE"), ("MONOCHROME2", "INVERSE")] {
        assert_eq!(object(photometric, shape), [255, 155, 0], "{photometric} {shape}");
    }
}

#[test]
fn without_a_window_8_bits_stay_and_more_are_stretched() {
    assert_eq!(Object::grey((1, 3), (8, 8), &[10, 100, 200]).picture(0), [10, 100, 200]);
    assert_eq!(Object::grey((1, 2), (8, 1), &[0, 1]).picture(0), [0, 255]);
    // 0.5 to 99.5 per cent of 1,000 pixels: the 5th is 1004, the 995th 1994.
    let values: Vec<u16> = (1000..2000).collect();
    let picture = Object::grey((10, 100), (16, 12), &le(&values)).picture(0);
    assert_eq!((picture[4], picture[5], picture[994], picture[499]), (0, 0, 255, 128));
}

#[test]
fn padding_is_black_and_does_not_count() {
    let mut values: Vec<i16> = (0..1000).collect();
    values[..300].fill(-2000);
    let object = Object::grey((10, 100), (16, 16), &le_signed(&values))
        .set_u16(tags::PIXEL_REPRESENTATION, 1)
        .with(|data| data.put_bytes(tags::PIXEL_PADDING_VALUE, VR::SS, (-2000_i16).to_le_bytes()));
    for photometric in ["MONOCHROME2", "MONOCHROME1"] {
        let picture = object.clone().set(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, photometric).picture(0);
        assert_eq!(picture[0], 0, "{photometric}");
        let [dark, bright] = if photometric == "MONOCHROME2" { [300, 999] } else { [999, 300] };
        assert_eq!((picture[dark], picture[bright]), (0, 255), "{photometric}");
    }
    let mask = object.open(|image| image.intensities(0)).unwrap().padding.unwrap();
    assert_eq!(mask.iter().filter(|padding| **padding).count(), 300);
}

#[test]
fn enhanced_frames_have_their_own_transforms() {
    let group = |slope: &str, center: &str| {
        let mut rescale = Dataset::new();
        rescale.put_text(tags::RESCALE_SLOPE, VR::DS, slope);
        rescale.put_text(tags::RESCALE_INTERCEPT, VR::DS, "0");
        rescale.put_text(tags::RESCALE_TYPE, VR::LO, "US");
        let mut window = Dataset::new();
        window.put_text(tags::WINDOW_CENTER, VR::DS, center);
        window.put_text(tags::WINDOW_WIDTH, VR::DS, "10");
        window.put_text(tags::VOILUT_FUNCTION, VR::CS, "LINEAR_EXACT");
        let mut group = Dataset::new();
        group.put_items(tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, vec![rescale]);
        group.put_items(tags::FRAME_VOILUT_SEQUENCE, vec![window]);
        group
    };
    let object = Object::grey((1, 2), (16, 12), &le(&[5, 10, 5, 10, 5, 10]))
        .set(tags::NUMBER_OF_FRAMES, VR::IS, "3")
        .with(|data| {
            data.put_items(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, vec![group("3", "30")]);
            data.put_items(
                tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE,
                vec![group("1", "5"), group("2", "20"), Dataset::new()],
            );
        });
    near(&object.values(0), &[5.0, 10.0]);
    near(&object.values(1), &[10.0, 20.0]);
    near(&object.values(2), &[15.0, 30.0]);
    assert_eq!([0, 1, 2].map(|frame| object.picture(frame)), [vec![128, 255], vec![0, 128], vec![0, 128]]);
    assert!(matches!(object.open(|image| image.picture(3)), Err(PixelError::FrameIndex { index: 3, frames: 3 })));
}

#[test]
fn colours_in_every_arrangement() {
    let expected = [255, 0, 0, 0, 0, 255];
    assert_eq!(Object::colour((1, 2), "RGB", &expected).picture(0), expected);
    let planar = Object::colour((1, 2), "RGB", &[255, 0, 0, 0, 0, 255]).set_u16(tags::PLANAR_CONFIGURATION, 1);
    assert_eq!(planar.picture(0), [255, 0, 0, 0, 0, 255]);
    let planar = Object::colour((1, 2), "RGB", &[1, 2, 3, 4, 5, 6]).set_u16(tags::PLANAR_CONFIGURATION, 1);
    assert_eq!(planar.picture(0), [1, 3, 5, 2, 4, 6]);
    let ybr = Object::colour((1, 2), "YBR_FULL", &[76, 85, 255, 100, 128, 128]);
    assert_eq!(ybr.picture(0), [254, 0, 0, 100, 100, 100]);
    let halved = Object::colour((1, 2), "YBR_FULL_422", &[76, 100, 128, 128]);
    assert_eq!(halved.picture(0), [76, 76, 76, 100, 100, 100]);
    // Said to be halved, and is not.
    let full = Object::colour((1, 2), "YBR_FULL_422", &[76, 85, 255, 100, 128, 128]);
    assert_eq!(full.picture(0), [254, 0, 0, 100, 100, 100]);
    near(&Object::colour((1, 1), "RGB", &[255, 0, 0]).values(0), &[76.245]);
}

#[test]
fn palettes_give_colours() {
    let object = Object::grey((1, 3), (8, 8), &[0, 1, 2])
        .set(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "PALETTE COLOR")
        .with(|data| {
            for (descriptor, table, entries) in [
                (tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA, [9, 0, 0]),
                (
                    tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
                    tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA,
                    [0, 8, 0],
                ),
                (
                    tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
                    tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA,
                    [0, 0, 7],
                ),
            ] {
                data.put_u16(descriptor, &[3, 0, 16]);
                data.put_bytes(table, VR::OW, le(&entries.map(|entry| entry << 8 | entry)));
            }
        });
    assert_eq!(object.picture(0), [9, 0, 0, 0, 8, 0, 0, 0, 7]);
    near(&object.tensor(0, &spec((1, 3), "")), &[0.299 * 9.0 / 255.0, 0.587 * 8.0 / 255.0, 0.114 * 7.0 / 255.0]);
}

#[test]
fn frames_of_single_bits_begin_inside_bytes() {
    // Three frames of 3 pixels: 110, 001, 011, first pixel in the lowest bit.
    let object = Object::grey((1, 3), (1, 1), &[0b1010_0011, 0b0000_0001]).set(tags::NUMBER_OF_FRAMES, VR::IS, "3");
    let frames = [0, 1, 2].map(|frame| object.picture(frame));
    assert_eq!(frames, [vec![255, 255, 0], vec![0, 0, 255], vec![0, 255, 255]]);
}

#[test]
fn big_endian_samples_of_8_bits_in_words() {
    // Two frames of three bytes, sent as 16-bit words.
    let object = Object::grey((1, 3), (8, 8), &[]).set(tags::NUMBER_OF_FRAMES, VR::IS, "2");
    #[expect(deprecated, reason = "retired, and still sent")]
    let mut object = object.native(uids::EXPLICIT_VR_BIG_ENDIAN, vec![2, 1, 4, 3, 6, 5]);
    object.element.1 = VR::OW;
    assert_eq!([0, 1].map(|frame| object.picture(frame)), [vec![1, 2, 3], vec![4, 5, 6]]);
    object.element.1 = VR::OB;
    assert_eq!([0, 1].map(|frame| object.picture(frame)), [vec![2, 1, 4], vec![3, 6, 5]]);
}

/// 7 rows of 9 columns with structure in every direction.
fn patterned() -> Object {
    let values: Vec<u8> = (0..7_u32)
        .flat_map(|r| (0..9_u32).map(move |c| u8::try_from((37 * r * r + 61 * c + 13 * r * c) % 251).unwrap()))
        .collect();
    Object::grey((7, 9), (8, 8), &values)
}

#[test]
fn resampling_is_that_of_pil() {
    // Pillow 13: Image.fromarray(pattern, mode="F").resize((4, 3), filter); for bilinear and bicubic PyTorch
    // 2.15 `interpolate(antialias=True)` gives the same.
    for (filter, expected) in [
        (
            "bilinear",
            [
                96.5898, 129.2544, 137.2334, 131.0673, 131.3412, 129.2224, 125.1363, 104.5899, 130.1367, 134.223,
                98.0854, 126.6469,
            ],
        ),
        (
            "bicubic",
            [
                90.1748, 133.2289, 141.3917, 130.5032, 135.1353, 126.8476, 128.8587, 99.2964, 128.9733, 135.6579,
                93.8114, 129.949,
            ],
        ),
        (
            "lanczos3",
            [
                88.7408, 138.0255, 142.0055, 128.7523, 134.5639, 125.8344, 130.1194, 94.9274, 127.1556, 137.8289,
                88.1168, 134.8074,
            ],
        ),
        (
            "area",
            [52.25, 137.3333, 138.75, 148.25, 156.6667, 127.7778, 112.8333, 103.6667, 128.0, 145.5, 100.25, 114.25],
        ),
        ("nearest", [111.0, 8.0, 156.0, 53.0, 182.0, 131.0, 80.0, 29.0, 47.0, 48.0, 49.0, 50.0]),
    ] {
        let spec = spec((3, 4), &format!("resampling = \"{filter}\"\nscale = [{}]", 1.0 / 255.0));
        near(&patterned().tensor(0, &spec), &expected);
    }
}

#[test]
fn enlarging_stays_inside_black_and_white() {
    // Pillow's first row at 11 x 8 bicubic begins -3.4706, 40.2810, 92.1607.
    let spec = spec((8, 11), "resampling = \"bicubic\"\nscale = [0.003921568627450980]");
    near(&patterned().tensor(0, &spec)[..3], &[0.0, 40.2810, 92.1607]);
}

#[test]
fn pad_crop_mean_scale_and_channels() {
    let object = Object::grey((1, 2), (8, 8), &[255, 51]);
    let padded = object.tensor(0, &spec((4, 2), "geometry = \"pad\"\nmean = [0.5]\nscale = [0.25]"));
    near(&padded, &[-2.0, -2.0, 2.0, -1.2, -2.0, -2.0, -2.0, -2.0]);
    let three = object.tensor(0, &spec((1, 2), "channels = 3\nmean = [0.0, 0.5, 1.0]\nscale = [1.0, 2.0, 0.5]"));
    near(&three, &[1.0, 0.2, 0.25, -0.15, 0.0, -1.6]);
    let cropped = Object::grey((1, 3), (8, 8), &[255, 51, 255]).tensor(0, &spec((1, 1), "geometry = \"crop\""));
    near(&cropped, &[0.2]);
    let colour = Object::colour((1, 1), "RGB", &[255, 51, 0]).tensor(0, &spec((1, 1), "channels = 3"));
    near(&colour, &[1.0, 0.2, 0.0]);
}

#[test]
fn intensities_a_model_can_ask_for() {
    let object = Object::grey((1, 4), (16, 12), &le(&[100, 200, 300, 500]))
        .set(tags::RESCALE_SLOPE, VR::DS, "1")
        .set(tags::RESCALE_INTERCEPT, VR::DS, "-100")
        .set(tags::WINDOW_CENTER, VR::DS, "200")
        .set(tags::WINDOW_WIDTH, VR::DS, "400")
        .set(tags::VOILUT_FUNCTION, VR::CS, "LINEAR_EXACT");
    near(&object.tensor(0, &spec((1, 4), "")), &[0.0, 0.25, 0.5, 1.0]);
    let rescaled = spec((1, 4), "intensity = { rescaled = { low = 100, high = 300 } }");
    near(&object.tensor(0, &rescaled), &[0.0, 0.0, 0.5, 1.0]);
    let full = spec((1, 4), "intensity = \"full_range\"");
    near(&object.tensor(0, &full), &[0.0, 0.25, 0.5, 1.0]);
    let robust = spec((1, 4), "intensity = \"full_range\"\npercentiles = [50, 75]");
    near(&object.tensor(0, &robust), &[0.0, 0.0, 1.0, 1.0]);
    let white_first = object.set(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME1");
    near(&white_first.tensor(0, &rescaled), &[1.0, 1.0, 0.5, 0.0]);
}

#[test]
fn pixels_that_are_not_square_keep_their_proportions() {
    // Each pixel twice as high as wide: 1 x 2 pixels are a square.
    let object = Object::grey((1, 2), (8, 8), &[255, 255]).set(tags::PIXEL_ASPECT_RATIO, VR::IS, "2\\1");
    let spec = spec((4, 4), "geometry = \"pad\"");
    near(&object.tensor(0, &spec), &[1.0; 16]);
    let geometry = object.open(|image| prepare(image, 0, &spec)).unwrap().geometry;
    assert_eq!(geometry.to_source(4.0, 4.0), [2.0, 1.0]);
}
