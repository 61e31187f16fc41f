use std::sync::Arc;

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::{Dataset, Encoding, Header, Limits, read_header, write_dataset};
use dokuei_pipeline::{AnalysisInput, AnalysisLimits, Analyst, Attributes, Verdict};
use dokuei_results::{CaptureStyle, Comparison, Role};
use jiff::{Timestamp, tz::TimeZone};

use crate::support::{Play, PlayedModel, radiograph, reread, setup};

fn look(data: &Dataset, play: Play, limits: &AnalysisLimits) -> Verdict {
    let bytes = write_dataset(data, Encoding::ExplicitLittle);
    let header: Header = read_header(&bytes, 0, uids::EXPLICIT_VR_LITTLE_ENDIAN, &Limits::default()).unwrap();
    let attributes = Attributes::new(Arc::new(header.dataset.clone()), "", "", uids::EXPLICIT_VR_LITTLE_ENDIAN);
    let node = setup(&[], &[], &[]).node;
    let made_at = Timestamp::from_second(1_800_000_000).unwrap().to_zoned(TimeZone::UTC);
    let input = AnalysisInput {
        attributes: &attributes,
        header: &header,
        file: &bytes,
        node: &node,
        style: &CaptureStyle::default(),
        made_at: &made_at,
        version: 1,
        revises: &[],
        comparison: Comparison::NotAsked,
        roles: &Role::ALL,
        limits,
    };
    Analyst::new(PlayedModel::new("lungs", play).ready()).unwrap().analyze(&input).unwrap()
}

/// Three frames of the radiograph.
fn frames(data: &mut Dataset) {
    data.put_text(tags::NUMBER_OF_FRAMES, VR::IS, "3");
    data.put_text(tags::SOP_CLASS_UID, VR::UI, uids::MULTI_FRAME_GRAYSCALE_WORD_SECONDARY_CAPTURE_IMAGE_STORAGE);
    let one = data.bytes(tags::PIXEL_DATA).unwrap().to_vec();
    data.put_bytes(tags::PIXEL_DATA, VR::OW, one.repeat(3));
}

#[test]
fn the_same_image_and_time_give_the_same_bytes_again() {
    let objects = || match look(&radiograph(1, |_| {}), Play::Says(0.8), &AnalysisLimits::default()) {
        Verdict::Reported(analysis) => analysis.objects,
        Verdict::Declined(reason) => panic!("{reason}"),
    };
    assert_eq!(objects(), objects());
    assert_eq!(
        objects().iter().map(|object| object.role).collect::<Vec<_>>(),
        [Role::Sr, Role::Sr, Role::Sr, Role::Sc, Role::Pr, Role::Ko, Role::Pdf, Role::Seg]
    );
}

#[test]
fn maps_are_in_pixels_of_the_source() {
    let Verdict::Reported(analysis) = look(&radiograph(1, |_| {}), Play::Says(0.8), &AnalysisLimits::default()) else {
        panic!("declined");
    };
    assert_eq!(analysis.frames[0].frame, None);
    let map = analysis.frames[0].maps[0].as_ref().unwrap();
    assert_eq!(map.dim(), (64, 48));
    assert!(map.iter().all(|value| (value - 0.5).abs() < 1e-4));
}

#[test]
fn every_frame_is_looked_at_and_one_is_shown() {
    let Verdict::Reported(analysis) = look(&radiograph(1, frames), Play::Says(0.8), &AnalysisLimits::default()) else {
        panic!("declined");
    };
    let numbers: Vec<_> = analysis.frames.iter().map(|frame| frame.frame).collect();
    assert_eq!(numbers, [Some(1), Some(2), Some(3)]);
    let shown: Vec<bool> = analysis.frames.iter().map(|frame| frame.maps[0].is_some()).collect();
    assert_eq!(shown, [true, false, false]);
    assert_eq!(analysis.objects.iter().filter(|object| object.role == Role::Sc).count(), 1);
}

#[test]
fn a_frame_the_model_fails_on_leaves_the_others_their_report() {
    let Verdict::Reported(analysis) = look(&radiograph(1, frames), Play::PanicsIn(2), &AnalysisLimits::default())
    else {
        panic!("declined");
    };
    let said: Vec<(usize, bool)> =
        analysis.frames.iter().map(|frame| (frame.findings.len(), frame.failed.is_some())).collect();
    assert_eq!(said, [(1, false), (0, true), (1, false)]);
    let report = reread(&analysis.objects[0].object.bytes);
    assert_eq!(report.text(tags::COMPLETION_FLAG).as_deref(), Some("PARTIAL"));
    assert_eq!(report.text(tags::COMPLETION_FLAG_DESCRIPTION).as_deref(), Some("No result for 1 of 3 images"));
    let text = dokuei_results::report_text(&report);
    assert!(text.contains("Not all algorithms succeeded; with findings"), "{text}");
    assert!(text.contains("The algorithm failed: the model panicked: the played model panics"), "{text}");
}

#[test]
fn too_many_frames_are_declined_before_anything_is_decoded() {
    let limits = AnalysisLimits { frames_max: 2, ..AnalysisLimits::default() };
    let Verdict::Declined(reason) = look(&radiograph(1, frames), Play::Says(0.8), &limits) else {
        panic!("looked at");
    };
    assert!(reason.to_string().contains("3 frames, at most 2"), "{reason}");
}
