//! The presentation state of images in colour.

use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::{Dataset, VR};
use dokuei_results::{SourceImage, presentation_state};

use crate::fixtures::{self, Setup, finding, read, uid};
use crate::presentation::{graphics, positive, texts};

fn made(sources: &[SourceImage<'_>]) -> Dataset {
    let object = presentation_state(&Setup::new().input(sources)).unwrap().unwrap();
    assert_eq!(object.sop_class, uid(uids::COLOR_SOFTCOPY_PRESENTATION_STATE_STORAGE));
    read(&object)
}

fn in_colour(name: &str, photometric: &str) -> Dataset {
    let mut header = fixtures::us(name);
    header.put_text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, photometric);
    header
}

/// The beginning of an ICC profile, as much as is looked at, and a last byte.
pub(crate) fn profile(class: &[u8; 4], last: u8) -> Vec<u8> {
    let mut bytes = vec![last; 132];
    bytes[..4].fill(0);
    bytes[3] = 132;
    bytes[12..16].copy_from_slice(class);
    bytes[16..24].copy_from_slice(b"RGB XYZ ");
    bytes[36..40].copy_from_slice(b"acsp");
    bytes
}

#[test]
fn all_that_is_marked_is_as_in_grey() {
    let gray = fixtures::cr("color-pr");
    let findings = positive();
    let of_gray = presentation_state(&Setup::new().input(&[SourceImage::analysed(&gray, None, &findings)]));
    let of_gray = read(&of_gray.unwrap().unwrap());
    for photometric in ["RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT", "PALETTE COLOR"] {
        let mut header = gray.clone();
        header.put_text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, photometric);
        let data = made(&[SourceImage::analysed(&header, None, &findings)]);
        assert_eq!((graphics(&data), texts(&data)), (graphics(&of_gray), texts(&of_gray)), "{photometric}");
        for tag in [tags::GRAPHIC_LAYER_SEQUENCE, tags::DISPLAYED_AREA_SELECTION_SEQUENCE] {
            assert_eq!(data.items(tag), of_gray.items(tag), "{photometric}");
        }
        // What is of grey alone, windows too, is not there, though the source says it.
        for tag in [tags::SOFTCOPY_VOILUT_SEQUENCE, tags::PRESENTATION_LUT_SHAPE, tags::RESCALE_SLOPE] {
            assert!(!data.contains(tag), "{photometric} {tag}");
        }
        assert_ne!(data.uid(tags::SOP_INSTANCE_UID), of_gray.uid(tags::SOP_INSTANCE_UID));
    }
    // L* 84, a* 10, b* 55.
    let amber =
        of_gray.items(tags::GRAPHIC_LAYER_SEQUENCE)[0].ints(tags::GRAPHIC_LAYER_RECOMMENDED_DISPLAY_CIE_LAB_VALUE);
    assert_eq!(amber, [55_050, 35_466, 47_031]);
}

#[test]
fn a_source_without_a_profile_is_taken_for_srgb() {
    let findings = positive();
    let data = made(&[SourceImage::analysed(&in_colour("srgb", "RGB"), None, &findings)]);
    let profile = data.bytes(tags::ICC_PROFILE).unwrap();
    assert_eq!(profile.len(), usize::from(u16::from_be_bytes([profile[2], profile[3]])), "no padding");
    assert_eq!((&profile[12..16], &profile[16..24], &profile[36..40]), (&b"scnr"[..], &b"RGB XYZ "[..], &b"acsp"[..]));
    assert_eq!(data.text(tags::COLOR_SPACE).as_deref(), Some("SRGB"));
}

#[test]
fn the_sources_own_profile_is_repeated() {
    let findings = positive();
    let check = |header: &Dataset, profile: Option<&[u8]>, space: Option<&str>| {
        let data = made(&[SourceImage::analysed(header, None, &findings)]);
        let found = data.bytes(tags::ICC_PROFILE).unwrap();
        match profile {
            Some(profile) => assert_eq!(found, profile),
            None => assert!(found.len() > 400),
        }
        assert_eq!(data.text(tags::COLOR_SPACE).as_deref(), space);
    };
    let own = profile(b"scnr", 1);
    let mut header = in_colour("profile", "YBR_FULL_422");
    header.put_bytes(tags::ICC_PROFILE, VR::OB, own.clone());
    check(&header, Some(&own), None);
    header.put_text(tags::COLOR_SPACE, VR::CS, "ADOBERGB");
    check(&header, Some(&own), Some("ADOBERGB"));
    header.put_bytes(tags::ICC_PROFILE, VR::OB, profile(b"mntr", 1));
    check(&header, None, Some("SRGB"));

    let mut slide = in_colour("slide", "RGB");
    let mut path = Dataset::new();
    path.put_bytes(tags::ICC_PROFILE, VR::OB, own.clone());
    slide.put_items(tags::OPTICAL_PATH_SEQUENCE, vec![path.clone()]);
    check(&slide, Some(&own), None);
    slide.put_items(tags::OPTICAL_PATH_SEQUENCE, vec![path.clone(), path]);
    check(&slide, None, Some("SRGB"));
}

#[test]
fn a_shutter_is_black_in_colour_too() {
    let mut header = in_colour("shutter", "RGB");
    header.put_text(tags::SHUTTER_SHAPE, VR::CS, "CIRCULAR");
    header.put_text(tags::RADIUS_OF_CIRCULAR_SHUTTER, VR::IS, "80");
    let data = made(&[SourceImage::analysed(&header, None, &positive())]);
    assert_eq!(data.ints(tags::SHUTTER_PRESENTATION_COLOR_CIE_LAB_VALUE), [0, 0x8080, 0x8080]);
    assert_eq!(data.ints(tags::SHUTTER_PRESENTATION_VALUE), [0]);
    assert_eq!(data.text(tags::RADIUS_OF_CIRCULAR_SHUTTER).as_deref(), Some("80"));
}

#[test]
fn grey_and_colour_share_no_state() {
    let (color, mut gray) = (in_colour("mixed", "RGB"), in_colour("mixed", "MONOCHROME2"));
    gray.put_text(tags::SOP_INSTANCE_UID, VR::UI, "2.25.77");
    let (found, clear) = ([finding("pneumonia", 0.9, 1)], [finding("pneumonia", 0.1, 0)]);
    let referenced = |data: &Dataset| -> Vec<_> {
        let series = data.items(tags::REFERENCED_SERIES_SEQUENCE).iter();
        let images = series.flat_map(|series| series.items(tags::REFERENCED_IMAGE_SEQUENCE));
        images.map(|image| image.uid(tags::REFERENCED_SOP_INSTANCE_UID)).collect()
    };
    let data = made(&[SourceImage::analysed(&color, None, &found), SourceImage::analysed(&gray, None, &found)]);
    assert_eq!(referenced(&data), [color.uid(tags::SOP_INSTANCE_UID)]);
    let sources = [SourceImage::analysed(&color, None, &clear), SourceImage::analysed(&gray, None, &found)];
    let object = presentation_state(&Setup::new().input(&sources)).unwrap().unwrap();
    assert_eq!(object.sop_class, uid(uids::GRAYSCALE_SOFTCOPY_PRESENTATION_STATE_STORAGE));
    assert_eq!(referenced(&read(&object)), [gray.uid(tags::SOP_INSTANCE_UID)]);
}
