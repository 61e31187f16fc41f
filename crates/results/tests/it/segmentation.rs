//! The segmentation as a viewer gets it, read by another toolkit and compared with what the model said.

use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject as Item;
use dokuei_dataset::{Dataset, Limits, Tag, VR, read_file};
use dokuei_results::{
    Object, ObjectReference, RejectReason, ReportInput, ResultError, SourceImage, SrClass, Withdrawal, rejection_note,
    segmentation, segmentation_text, structured_report,
};
use dokuei_types::{DeclineReason, Finding, Region, derived_uid};

use crate::fixtures::{self, COLUMNS, ROWS, Setup, children, finding, groups, read};
use crate::read_back::{code, is_located, items, one, source_reference, text};

fn made(sources: &[SourceImage<'_>]) -> Option<Object> {
    segmentation(&Setup::new().input(sources)).unwrap()
}

fn ints(item: &Item, tag: Tag) -> Vec<u32> {
    item.element(tag).unwrap().to_multi_int().unwrap()
}

fn int(item: &Item, tag: Tag) -> u32 {
    *one(&ints(item, tag), "value")
}

/// Whether a point is inside an outline, its left and upper edges included: how often a ray upwards crosses it.
fn is_inside(outline: &[[f32; 2]], x: f64, y: f64) -> bool {
    let edges = outline.iter().zip(outline.iter().cycle().skip(1));
    let crossed = edges.filter(|(from, to)| {
        let [[x0, y0], [x1, y1]] = [from, to].map(|vertex| vertex.map(f64::from));
        (x0 <= x) != (x1 <= x) && y0 + (x - x0) * (y1 - y0) / (x1 - x0) <= y
    });
    crossed.count() % 2 == 1
}

/// The area an outline has (Gauss).
fn area(region: &Region) -> f64 {
    let edges = region.outline.iter().zip(region.outline.iter().cycle().skip(1));
    let twice: f64 = edges.map(|(a, b)| f64::from(a[0]) * f64::from(b[1]) - f64::from(b[0]) * f64::from(a[1])).sum();
    twice.abs() / 2.0
}

/// Makes the segmentation of a case, reads it back, and compares it with it.
fn check(sources: &[SourceImage<'_>]) {
    let object = made(sources).unwrap();
    let read = dicom_object::from_reader(object.bytes.as_slice()).unwrap();
    assert_eq!(read.meta().media_storage_sop_class_uid(), uids::SEGMENTATION_STORAGE);
    let data = read.into_inner();
    let mut names: Vec<&str> = Vec::new();
    for finding in sources.iter().flat_map(|source| source.findings()).filter(|finding| is_located(finding)) {
        if !names.contains(&finding.name.as_str()) {
            names.push(&finding.name);
        }
    }
    let segments = items(&data, tags::SEGMENT_SEQUENCE);
    assert_eq!(segments.len(), names.len());
    let mut frames = items(&data, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).iter().enumerate();
    let bytes = data.element(tags::PIXEL_DATA).unwrap().to_bytes().unwrap();
    let pixels = usize::from(ROWS) * usize::from(COLUMNS);
    let is_marked = |index: usize| bytes[index / 8] >> (index % 8) & 1 == 1;
    for ((number, segment), name) in (1..).zip(segments).zip(names) {
        assert_eq!(int(segment, tags::SEGMENT_NUMBER), number);
        let mut of_segment = Vec::new();
        for source in sources {
            for finding in source.findings().iter().filter(|finding| is_located(finding) && finding.name == name) {
                let (place, frame) = frames.next().unwrap();
                frame_is_of(frame, number, source);
                let marked: Vec<bool> = (place * pixels..(place + 1) * pixels).map(is_marked).collect();
                pixels_are_of(&marked, finding);
                of_segment.push(finding);
            }
        }
        segment_is_of(segment, &of_segment);
    }
    assert_eq!(frames.next(), None, "nothing more is marked");
    let count: usize = text(&data, tags::NUMBER_OF_FRAMES).parse().unwrap();
    assert_eq!(count, items(&data, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).len());
    assert_eq!(bytes.len(), (count * pixels).div_ceil(8).next_multiple_of(2));
    image_is_binary(&data);
}

fn frame_is_of(frame: &Item, segment: u32, source: &SourceImage<'_>) {
    let identified = one(items(frame, tags::SEGMENT_IDENTIFICATION_SEQUENCE), "segment");
    assert_eq!(int(identified, tags::REFERENCED_SEGMENT_NUMBER), segment);
    let derived = one(items(frame, tags::DERIVATION_IMAGE_SEQUENCE), "derivation");
    assert_eq!(code(derived, tags::DERIVATION_CODE_SEQUENCE), ["113076", "DCM"]);
    let image = one(items(derived, tags::SOURCE_IMAGE_SEQUENCE), "source");
    let named = (text(image, tags::REFERENCED_SOP_INSTANCE_UID), text(image, tags::REFERENCED_FRAME_NUMBER));
    assert_eq!(named, source_reference(source));
    assert_eq!(code(image, tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE), ["121322", "DCM"]);
    assert_eq!(text(image, tags::SPATIAL_LOCATIONS_PRESERVED), "YES");
    let content = one(items(frame, tags::FRAME_CONTENT_SEQUENCE), "content");
    assert_eq!(ints(content, tags::DIMENSION_INDEX_VALUES)[0], segment);
}

/// Each pixel is marked when its centre is in a region, and there are as many as the outlines are large.
fn pixels_are_of(marked: &[bool], finding: &Finding) {
    for (index, marked) in marked.iter().enumerate() {
        let (row, column) = (index / usize::from(COLUMNS), index % usize::from(COLUMNS));
        let (x, y) = (column as f64 + 0.5, row as f64 + 0.5);
        let expected = finding.regions.iter().any(|region| is_inside(&region.outline, x, y));
        assert_eq!(*marked, expected, "row {row}, column {column}");
    }
    let count = marked.iter().filter(|marked| **marked).count() as f64;
    let area: f64 = finding.regions.iter().map(area).sum();
    assert!((count - area).abs() < area * 0.03, "{count} pixels of {area}");
}

fn segment_is_of(segment: &Item, findings: &[&Finding]) {
    let setup = Setup::new();
    let finding = findings.iter().max_by(|a, b| a.probability.total_cmp(&b.probability)).unwrap();
    let said = |tag| code(segment, tag);
    assert_eq!(text(segment, tags::SEGMENT_LABEL), finding.concept.meaning);
    assert_eq!(said(tags::SEGMENTED_PROPERTY_CATEGORY_CODE_SEQUENCE), ["49755003", "SCT"]);
    let concept = [finding.concept.value.clone(), finding.concept.scheme.clone()];
    assert_eq!(said(tags::SEGMENTED_PROPERTY_TYPE_CODE_SEQUENCE), concept);
    assert_eq!(said(tags::ANATOMIC_REGION_SEQUENCE)[0], finding.site.as_ref().unwrap().value);
    let description = text(segment, tags::SEGMENT_DESCRIPTION);
    assert!(description.contains(&format!("{:.1} %", finding.probability * 100.0)), "{description}");
    assert!(description.contains(finding.band.as_str()) && description.contains("not verified"), "{description}");
    assert_eq!(text(segment, tags::SEGMENT_ALGORITHM_TYPE), "AUTOMATIC");
    assert_eq!(text(segment, tags::SEGMENT_ALGORITHM_NAME), setup.model.name);
    let algorithm = one(items(segment, tags::SEGMENTATION_ALGORITHM_IDENTIFICATION_SEQUENCE), "algorithm");
    assert_eq!(code(algorithm, tags::ALGORITHM_FAMILY_CODE_SEQUENCE), ["123110", "DCM"]);
    assert_eq!(text(algorithm, tags::ALGORITHM_NAME), setup.model.name);
    assert_eq!(text(algorithm, tags::ALGORITHM_VERSION), setup.model.version);
    assert_eq!(text(algorithm, tags::ALGORITHM_SOURCE), setup.model.vendor);
    let parameters = text(algorithm, tags::ALGORITHM_PARAMETERS);
    assert!(parameters.contains(&setup.model.weights_sha256) && parameters.contains("marking_threshold=0.5"));
    let regions: usize = findings.iter().map(|finding| finding.regions.len()).sum();
    assert_eq!(text(segment, tags::TRACKING_UID).is_empty(), regions > 1, "one region has the report's tracking");
}

fn image_is_binary(data: &Item) {
    for (tag, value) in [
        (tags::SEGMENTATION_TYPE, "BINARY"),
        (tags::IMAGE_TYPE, "DERIVED\\PRIMARY"),
        (tags::PHOTOMETRIC_INTERPRETATION, "MONOCHROME2"),
        (tags::MODALITY, "SEG"),
        (tags::SERIES_NUMBER, "9005"),
        (tags::CONTENT_LABEL, "AI_REGIONS"),
    ] {
        assert_eq!(text(data, tag), value, "{tag}");
    }
    let sizes = [tags::ROWS, tags::COLUMNS, tags::BITS_ALLOCATED, tags::BITS_STORED, tags::HIGH_BIT];
    assert_eq!(sizes.map(|tag| int(data, tag)), [ROWS.into(), COLUMNS.into(), 1, 1, 0]);
    let organization = text(&items(data, tags::DIMENSION_ORGANIZATION_SEQUENCE)[0], tags::DIMENSION_ORGANIZATION_UID);
    for index in items(data, tags::DIMENSION_INDEX_SEQUENCE) {
        assert_eq!(text(index, tags::DIMENSION_ORGANIZATION_UID), organization);
    }
}

#[test]
fn pixels_and_segments_are_the_models() {
    let header = fixtures::cr("seg");
    let several = [finding("pneumonia", 0.873, 2), finding("pleural-effusion", 0.61, 1), finding("other", 0.12, 0)];
    for findings in [&[finding("pneumonia", 0.873, 1)][..], &[finding("pneumonia", 0.9, 3)], &several] {
        check(&[SourceImage::analysed(&header, None, findings)]);
    }
}

#[test]
fn each_frame_of_the_source_has_its_own() {
    let (found, clear) = ([finding("pneumonia", 0.7, 2)], [finding("pneumonia", 0.1, 0)]);
    let more = [finding("pneumonia", 0.95, 1), finding("pleural-effusion", 0.61, 1)];
    let header = fixtures::multi_frame("seg");
    let sources = [
        SourceImage::analysed(&header, Some(1), &found),
        SourceImage::analysed(&header, Some(2), &clear),
        SourceImage::analysed(&header, Some(3), &more),
    ];
    check(&sources);
    let data = read(&made(&sources).unwrap());
    let indices: Vec<[Vec<i64>; 2]> = data
        .items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE)
        .iter()
        .map(|frame| {
            let content = &frame.items(tags::FRAME_CONTENT_SEQUENCE)[0];
            [tags::DIMENSION_INDEX_VALUES, tags::IN_STACK_POSITION_NUMBER].map(|tag| content.ints(tag))
        })
        .collect();
    // Position 2 is the third frame, where the second is clear.
    assert_eq!(indices, [[vec![1, 1], vec![1]], [vec![1, 2], vec![2]], [vec![2, 2], vec![2]]]);
    assert_eq!(data.items(tags::DIMENSION_INDEX_SEQUENCE).len(), 2);
    let [series] = data.items(tags::REFERENCED_SERIES_SEQUENCE) else { panic!("one series") };
    assert_eq!(series.items(tags::REFERENCED_INSTANCE_SEQUENCE).len(), 1, "one image");
}

#[test]
fn a_segment_of_one_region_is_tracked_as_in_the_report_and_drawn_in_a_colour_of_its_own() {
    let setup = Setup::new();
    let header = fixtures::cr("seg-tracking");
    let findings = [finding("pneumonia", 0.873, 1), finding("pleural-effusion", 0.61, 1)];
    let sources = [SourceImage::analysed(&header, None, &findings)];
    let report = read(&structured_report(&setup.input(&sources), SrClass::Enhanced, &[]).unwrap());
    let reported: Vec<[Option<String>; 2]> = groups(&report)
        .into_iter()
        .map(|group| {
            [("112039", tags::TEXT_VALUE), ("112040", tags::UID)].map(|(code, tag)| children(group, code)[0].text(tag))
        })
        .collect();
    let data = read(&made(&sources).unwrap());
    let segments = data.items(tags::SEGMENT_SEQUENCE);
    let tracked: Vec<_> =
        segments.iter().map(|segment| [tags::TRACKING_ID, tags::TRACKING_UID].map(|tag| segment.text(tag))).collect();
    assert_eq!(tracked, reported);
    assert_eq!(reported[0][0].as_deref(), Some("pneumonia/region-1"));
    let colours: Vec<_> =
        segments.iter().map(|segment| segment.ints(tags::RECOMMENDED_DISPLAY_CIE_LAB_VALUE)).collect();
    // L* 71 of 100; a* 20 and b* 75 from -128 on.
    assert_eq!(colours[0], [46_529, 38_036, 52_171]);
    assert!(colours[0] != colours[1] && colours[1].len() == 3);
}

/// Says where a slice lies.
fn place(data: &mut Dataset, position: &str) {
    for (tag, value) in [
        (tags::IMAGE_POSITION_PATIENT, position),
        (tags::IMAGE_ORIENTATION_PATIENT, "1\\0\\0\\0\\1\\0"),
        (tags::PIXEL_SPACING, "0.5\\0.25"),
        (tags::SLICE_THICKNESS, "1.25"),
    ] {
        data.put_text(tag, VR::DS, value);
    }
}

#[test]
fn a_slice_is_put_where_its_source_is_and_a_projection_nowhere() {
    let findings = [finding("pneumonia", 0.873, 1)];
    let mut slice = fixtures::cr("seg-slice");
    place(&mut slice, "-10.5\\20\\30.125");
    let unplaced = read(&made(&[SourceImage::analysed(&slice, None, &findings)]).unwrap());
    slice.put_text(tags::FRAME_OF_REFERENCE_UID, VR::UI, "1.2.3.4");
    let data = read(&made(&[SourceImage::analysed(&slice, None, &findings)]).unwrap());
    assert_eq!(data.text(tags::FRAME_OF_REFERENCE_UID).as_deref(), Some("1.2.3.4"));
    assert_eq!(data.bytes(tags::POSITION_REFERENCE_INDICATOR), Some(&b""[..]));
    let [shared] = data.items(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE) else { panic!("one item") };
    let measures = &shared.items(tags::PIXEL_MEASURES_SEQUENCE)[0];
    assert_eq!(measures.text(tags::PIXEL_SPACING).as_deref(), Some("0.5\\0.25"));
    assert_eq!(measures.text(tags::SLICE_THICKNESS).as_deref(), Some("1.25"));
    let orientation = &shared.items(tags::PLANE_ORIENTATION_SEQUENCE)[0];
    assert_eq!(orientation.floats(tags::IMAGE_ORIENTATION_PATIENT), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    let frame = &data.items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE)[0];
    let position = &frame.items(tags::PLANE_POSITION_SEQUENCE)[0];
    assert_eq!(position.text(tags::IMAGE_POSITION_PATIENT).as_deref(), Some("-10.5\\20\\30.125"));

    // Slice Thickness may be empty in an image, and not in the functional group.
    let mut thin = slice.clone();
    thin.put_bytes(tags::SLICE_THICKNESS, VR::DS, []);
    let thin = read(&made(&[SourceImage::analysed(&thin, None, &findings)]).unwrap());

    // A projection may be in a Frame of Reference and still has no place in it.
    let mut projection = fixtures::dx("seg-projection");
    projection.put_text(tags::FRAME_OF_REFERENCE_UID, VR::UI, "1.2.3.4");
    let projection = read(&made(&[SourceImage::analysed(&projection, None, &findings)]).unwrap());
    for data in [unplaced, thin, projection] {
        assert!(!data.contains(tags::FRAME_OF_REFERENCE_UID) && !data.contains(tags::POSITION_REFERENCE_INDICATOR));
        let frame = &data.items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE)[0];
        assert!(!frame.contains(tags::PLANE_POSITION_SEQUENCE));
        let [shared] = data.items(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE) else { panic!("one item") };
        assert!(shared.is_empty());
    }
}

#[test]
fn frames_of_an_enhanced_image_have_their_own_places() {
    let group = |sequence: Tag, tag: Tag, value: &str| {
        let mut item = Dataset::new();
        item.put_text(tag, VR::DS, value);
        (sequence, vec![item])
    };
    let put = |groups: &mut Dataset, (sequence, items)| groups.put_items(sequence, items);
    let mut header = fixtures::multi_frame("seg-enhanced");
    header.put_text(tags::FRAME_OF_REFERENCE_UID, VR::UI, "1.2.3.4");
    // What a single image would say holds for no frame.
    place(&mut header, "9\\9\\9");
    let frames = ["0\\0\\1", "0\\0\\2", "0\\0\\3"].map(|position| {
        let mut groups = Dataset::new();
        put(&mut groups, group(tags::PLANE_POSITION_SEQUENCE, tags::IMAGE_POSITION_PATIENT, position));
        groups
    });
    header.put_items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, frames.to_vec());
    let findings = [finding("pneumonia", 0.873, 1)];
    let made = |header: &Dataset| {
        let sources = [1, 3].map(|frame| SourceImage::analysed(header, Some(frame), &findings));
        read(&made(&sources).unwrap())
    };
    assert!(!made(&header).contains(tags::FRAME_OF_REFERENCE_UID), "no orientation");

    let mut shared = Dataset::new();
    put(&mut shared, group(tags::PLANE_ORIENTATION_SEQUENCE, tags::IMAGE_ORIENTATION_PATIENT, "1\\0\\0\\0\\1\\0"));
    let measures = |spacing: &str| {
        let (sequence, mut items) = group(tags::PIXEL_MEASURES_SEQUENCE, tags::PIXEL_SPACING, spacing);
        items[0].put_text(tags::SLICE_THICKNESS, VR::DS, "3");
        (sequence, items)
    };
    put(&mut shared, measures("1\\1"));
    header.put_items(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, vec![shared]);
    let positions = |data: &Dataset| -> Vec<Option<String>> {
        let frames = data.items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).iter();
        frames.map(|frame| frame.items(tags::PLANE_POSITION_SEQUENCE)[0].text(tags::IMAGE_POSITION_PATIENT)).collect()
    };
    let data = made(&header);
    assert_eq!(positions(&data), [Some("0\\0\\1".to_owned()), Some("0\\0\\3".to_owned())]);
    assert!(data.items(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE)[0].contains(tags::PIXEL_MEASURES_SEQUENCE));

    // Planes that differ are said of each frame.
    let [mut first, second, third] = frames;
    put(&mut first, measures("2\\2"));
    header.put_items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, vec![first, second, third]);
    let data = made(&header);
    assert!(data.items(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE)[0].is_empty());
    let spacings: Vec<Option<String>> = data
        .items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE)
        .iter()
        .map(|frame| frame.items(tags::PIXEL_MEASURES_SEQUENCE)[0].text(tags::PIXEL_SPACING))
        .collect();
    assert_eq!(spacings, [Some("2\\2".to_owned()), Some("1\\1".to_owned())]);
}

#[test]
fn there_is_none_without_a_region() {
    let header = fixtures::cr("seg-none");
    let reason = DeclineReason::Criteria("view is lateral".into());
    let below = Finding { probability: 0.2, ..finding("pneumonia", 0.9, 1) };
    for findings in [&[finding("pneumonia", 0.1, 0)][..], &[finding("pneumonia", 0.9, 0)], &[below]] {
        assert_eq!(made(&[SourceImage::analysed(&header, None, findings)]), None);
    }
    assert_eq!(made(&[SourceImage::declined(&header, None, &reason)]), None);
}

#[test]
fn sizes_are_those_of_the_source_and_bounded() {
    let findings = [finding("pneumonia", 0.9, 1)];
    let sized = |rows: u16, columns: u16| {
        let mut header = fixtures::cr("seg-size");
        header.put_u16(tags::ROWS, &[rows]);
        header.put_u16(tags::COLUMNS, &[columns]);
        header
    };
    let large = made(&[SourceImage::analysed(&sized(4_001, 4_003), None, &findings)]).unwrap();
    let expected = 4_001 * 4_003_usize.div_ceil(8);
    assert!(large.bytes.len().abs_diff(expected) < 10_000, "{} of {expected}", large.bytes.len());
    let mut small = sized(1, 3);
    small.remove(tags::IMAGER_PIXEL_SPACING);
    let mut sliver = findings.clone();
    sliver[0].regions[0].outline = vec![[2.0, 0.0], [2.25, 0.0], [2.25, 0.5]];
    let small = made(&[SourceImage::analysed(&small, None, &sliver)]).unwrap();
    assert_eq!(small.bytes[small.bytes.len() - 2..], [0b100, 0], "a region is never nothing");
    assert_eq!(made(&[SourceImage::analysed(&sized(u16::MAX, u16::MAX), None, &findings)]), None);

    let (setup, one, mut other) = (Setup::new(), sized(200, 160), sized(160, 200));
    other.put_text(tags::SOP_INSTANCE_UID, VR::UI, "2.25.77");
    let sources = [SourceImage::analysed(&one, None, &findings), SourceImage::analysed(&other, None, &findings)];
    let refused = segmentation(&setup.input(&sources));
    assert!(matches!(refused, Err(ResultError::MixedSources { source_index: 1, what: "size" })), "{refused:?}");
    other.remove(tags::ROWS);
    let refused = segmentation(&setup.input(&[SourceImage::analysed(&other, None, &findings)]));
    assert!(matches!(refused, Err(ResultError::SourceAttribute { name: "Rows", .. })), "{refused:?}");
}

#[test]
fn once_lossy_always_lossy() {
    let findings = [finding("pneumonia", 0.9, 1)];
    let lossy = |header: &Dataset| {
        let data = read(&made(&[SourceImage::analysed(header, None, &findings)]).unwrap());
        [tags::LOSSY_IMAGE_COMPRESSION, tags::LOSSY_IMAGE_COMPRESSION_RATIO, tags::LOSSY_IMAGE_COMPRESSION_METHOD]
            .map(|tag| data.text(tag))
    };
    let texts = |texts: [&str; 3]| texts.map(|text| Some(text.to_owned()));
    assert_eq!(lossy(&fixtures::published("seg")), texts(["01", "12.5", "ISO_10918_1"]));
    assert_eq!(lossy(&fixtures::cr("seg")), [Some("00".to_owned()), None, None]);
}

#[test]
fn the_same_again_is_the_same_and_another_model_another() {
    let header = fixtures::cr("seg-repeat");
    let findings = [finding("pneumonia", 0.873, 2)];
    let sources = [SourceImage::analysed(&header, None, &findings)];
    let make = |setup: &Setup| segmentation(&setup.input(&sources)).unwrap().unwrap();
    let mut other = Setup::new();
    other.model.device_uid = derived_uid(&["other"]);
    other.model.version = "2.0.0".into();
    let (first, again, other) = (make(&Setup::new()), make(&Setup::new()), make(&other));
    assert_eq!(first, again);
    assert!(first.sop_instance != other.sop_instance && first.series_instance != other.series_instance);
    let again = segmentation(&ReportInput { source_version: 2, ..Setup::new().input(&sources) }).unwrap().unwrap();
    assert_ne!(first.sop_instance, again.sop_instance);
}

#[test]
fn a_note_withdraws_it_as_an_image() {
    let setup = Setup::new();
    let header = fixtures::cr("seg-withdrawn");
    let findings = [finding("pneumonia", 0.873, 1)];
    let object = made(&[SourceImage::analysed(&header, None, &findings)]).unwrap();
    let reference = ObjectReference {
        sop_class: object.sop_class.clone(),
        sop_instance: object.sop_instance.clone(),
        series_instance: object.series_instance.clone(),
    };
    let note = rejection_note(&Withdrawal {
        object: &read(&object),
        objects: &[reference],
        node: &setup.node,
        made_at: &setup.made_at,
        reason: RejectReason::Quality,
        comment: "",
    });
    let note = read(&note.unwrap());
    let references =
        note.items(tags::CONTENT_SEQUENCE).iter().filter(|item| item.contains(tags::REFERENCED_SOP_SEQUENCE));
    let kinds: Vec<_> = references.map(|item| item.text(tags::VALUE_TYPE)).collect();
    assert_eq!(kinds, [Some("IMAGE".to_owned())]);
}

fn shown(object: &Object) -> String {
    let (_, header) = read_file(&object.bytes, &Limits::default()).unwrap();
    segmentation_text(&header, &object.bytes)
}

#[test]
fn people_read_how_much_is_marked() {
    let findings = [finding("pneumonia", 0.873, 1), finding("pleural-effusion", 0.61, 2)];
    let mut header = fixtures::cr("seg-text");
    // 40 columns, and 40 rows: it begins at the centre of the first.
    let pneumonia = "1 Pneumonia: 1600 pixels in 1 frame\n  Certainty 87.3 % (High), found by an algorithm, not verified\n  \
                     automatic by cxr-test\n  pneumonia/region-1\n2 Pleural effusion: ";
    let plain = shown(&made(&[SourceImage::analysed(&header, None, &findings)]).unwrap());
    assert!(
        plain.starts_with("Segmentation (binary, research), 200 rows, 160 columns\nPatient    Sint\u{e9}tica Ana, ")
    );
    assert!(plain.contains(pneumonia), "{plain}");
    place(&mut header, "0\\0\\0");
    header.put_text(tags::FRAME_OF_REFERENCE_UID, VR::UI, "1.2.3.4");
    let placed = shown(&made(&[SourceImage::analysed(&header, None, &findings)]).unwrap());
    assert!(placed.contains("1 Pneumonia: 1600 pixels, 200.0 mm2 in 1 frame\n"), "{placed}");
}

#[test]
fn what_is_cut_off_or_says_too_much_is_not_counted() {
    let header = fixtures::cr("seg-damaged");
    let object = made(&[SourceImage::analysed(&header, None, &[finding("pneumonia", 0.873, 1)])]).unwrap();
    let (_, whole) = read_file(&object.bytes, &Limits::default()).unwrap();
    let check = |change: &dyn Fn(&mut Dataset)| {
        let mut header = whole.clone();
        change(&mut header.dataset);
        let text = segmentation_text(&header, &object.bytes);
        assert!(text.contains("1 Pneumonia: pixels not counted\n"), "{text}");
    };
    check(&|data| data.put_text(tags::SEGMENTATION_TYPE, VR::CS, "FRACTIONAL"));
    check(&|data| data.put_u16(tags::BITS_ALLOCATED, &[8]));
    check(&|data| data.put_u16(tags::ROWS, &[u16::MAX]));
    check(&|data| {
        let frames = data.items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).to_vec();
        data.put_items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, [&frames[..], &frames[..]].concat());
    });
    let short = object.bytes[..object.bytes.len() - 1].to_vec();
    assert!(segmentation_text(&whole, &short).contains("not counted"));
}
