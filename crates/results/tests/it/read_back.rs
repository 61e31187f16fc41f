//! Every value of the objects, read by another toolkit and compared with what the model said.

use std::collections::BTreeSet;

use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject as Item;
use dokuei_dataset::{Dataset, Tag};
use dokuei_results::{
    CaptureStyle, Object, Outcome, SourceImage, SourcePicture, SrClass, secondary_capture, structured_report,
};
use dokuei_types::{Band, DeclineReason, Finding, Region};

use crate::fixtures::{self, COLUMNS, ROWS, Setup, finding, picture_and_map};

pub(crate) fn items(item: &Item, tag: Tag) -> &[Item] {
    item.element_opt(tag).unwrap().and_then(|element| element.items()).unwrap_or_default()
}

pub(crate) fn text(item: &Item, tag: Tag) -> String {
    let element = item.element_opt(tag).unwrap();
    element.map(|element| element.to_str().unwrap().trim_end().to_owned()).unwrap_or_default()
}

/// Value and scheme.
pub(crate) fn code(item: &Item, tag: Tag) -> [String; 2] {
    let code = &items(item, tag)[0];
    [text(code, tags::CODE_VALUE), text(code, tags::CODING_SCHEME_DESIGNATOR)]
}

/// The items below with this concept and this relationship.
fn below<'a>(item: &'a Item, relationship: &str, concept: &str) -> Vec<&'a Item> {
    let is = |child: &&Item| {
        text(child, tags::RELATIONSHIP_TYPE) == relationship
            && code(child, tags::CONCEPT_NAME_CODE_SEQUENCE)[0] == concept
    };
    items(item, tags::CONTENT_SEQUENCE).iter().filter(is).collect()
}

fn only<'a>(item: &'a Item, relationship: &str, concept: &str) -> &'a Item {
    one::<&Item>(&below(item, relationship, concept), &format!("{concept} by {relationship}"))
}

pub(crate) fn one<'a, T>(found: &'a [T], what: &str) -> &'a T {
    assert_eq!(found.len(), 1, "{what}");
    &found[0]
}

fn texts(item: &Item, concept: &str) -> Vec<String> {
    below(item, "HAS CONCEPT MOD", concept).into_iter().map(|item| text(item, tags::TEXT_VALUE)).collect()
}

/// The instance an item refers to, and the frame.
fn reference(item: &Item) -> (String, String) {
    let reference = one(items(item, tags::REFERENCED_SOP_SEQUENCE), "reference");
    (text(reference, tags::REFERENCED_SOP_INSTANCE_UID), text(reference, tags::REFERENCED_FRAME_NUMBER))
}

pub(crate) fn source_reference(source: &SourceImage<'_>) -> (String, String) {
    let uid = source.header.text(tags::SOP_INSTANCE_UID).unwrap();
    (uid, source.frame.map(|frame| frame.to_string()).unwrap_or_default())
}

/// Every instance the tree refers to.
fn referenced(item: &Item, into: &mut BTreeSet<String>) {
    into.extend(items(item, tags::REFERENCED_SOP_SEQUENCE).iter().map(|r| text(r, tags::REFERENCED_SOP_INSTANCE_UID)));
    items(item, tags::CONTENT_SEQUENCE).iter().for_each(|child| referenced(child, into));
}

/// A report with all it should say.
struct Check<'a> {
    setup: &'a Setup,
    sources: &'a [SourceImage<'a>],
    captures: &'a [Option<Object>],
    report: Item,
}

impl Check<'_> {
    fn all(&self) {
        assert_eq!(code(&self.report, tags::CONCEPT_NAME_CODE_SEQUENCE), ["126000", "DCM"]);
        self.status();
        self.library();
        self.evidence();
        let measurements = only(&self.report, "CONTAINS", "126010");
        let groups = below(measurements, "CONTAINS", "125007");
        let expected: usize = (0..self.sources.len()).map(|index| self.source(index, &groups)).sum();
        assert_eq!(groups.len(), expected, "nothing more is said");
        let tracked: BTreeSet<String> =
            groups.iter().map(|group| text(only(group, "HAS OBS CONTEXT", "112040"), tags::UID)).collect();
        assert_eq!(tracked.len(), groups.len(), "tracking UIDs differ");
    }

    /// The groups on one source, and how many these are.
    fn source(&self, index: usize, groups: &[&Item]) -> usize {
        let source = &self.sources[index];
        let prefix = if self.sources.len() > 1 { format!("image-{}/", index + 1) } else { String::new() };
        let group = |what: &str| self.group(groups, &format!("{prefix}{what}"));
        let reason = match source.outcome {
            Outcome::Analysed(_) => None,
            Outcome::Declined(reason) => Some(reason.to_string()),
            Outcome::Failed(reason) => Some(reason.to_owned()),
        };
        if let Some(reason) = reason {
            self.without_result(group("cxr-test/not-analysed"), source, &reason);
            return 1;
        }
        let (located, unlocated): (Vec<_>, Vec<_>) = source.findings().iter().partition(|f| is_located(f));
        for finding in &unlocated {
            self.unlocated(group(&finding.name), source, finding);
        }
        let regions = located.iter().flat_map(|f| f.regions.iter().enumerate().map(move |(n, region)| (f, n, region)));
        for (finding, number, region) in regions.clone() {
            let group = group(&format!("{}/region-{}", finding.name, number + 1));
            self.located(group, index, finding, region, number == 0);
        }
        unlocated.len() + regions.count()
    }

    fn status(&self) {
        let ran = self.sources.iter().filter(|s| matches!(s.outcome, Outcome::Analysed(_))).count();
        let whole = ran == self.sources.len();
        assert_eq!(text(&self.report, tags::COMPLETION_FLAG), if whole { "COMPLETE" } else { "PARTIAL" });
        assert_eq!(text(&self.report, tags::VERIFICATION_FLAG), "UNVERIFIED");
        let found = self.sources.iter().flat_map(|s| s.findings()).any(|f| f.probability >= f.marking_threshold);
        let expected = match (ran, whole, found) {
            (0, ..) => "111245",
            (_, true, false) => "111241",
            (_, true, true) => "111242",
            (_, false, false) => "111243",
            (_, false, true) => "111244",
        };
        let summary = only(only(&self.report, "CONTAINS", "C0034375"), "CONTAINS", "111017");
        assert_eq!(code(summary, tags::CONCEPT_CODE_SEQUENCE)[0], expected);
    }

    fn library(&self) {
        let group = only(only(&self.report, "CONTAINS", "111028"), "CONTAINS", "126200");
        let images = below(group, "CONTAINS", "260753009");
        assert_eq!(images.len(), self.sources.len());
        for (image, source) in images.into_iter().zip(self.sources) {
            assert_eq!(reference(image), source_reference(source));
            for (concept, size) in [("110910", ROWS), ("110911", COLUMNS)] {
                assert_eq!(number(only(image, "HAS ACQ CONTEXT", concept)), (f64::from(size), "{pixels}".into()));
            }
        }
    }

    /// Evidence names what is referred to and every capture, each below its study and series.
    fn evidence(&self) {
        let mut listed = BTreeSet::new();
        for study in items(&self.report, tags::CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE) {
            assert_eq!(text(study, tags::STUDY_INSTANCE_UID), text(&self.report, tags::STUDY_INSTANCE_UID));
            for series in items(study, tags::REFERENCED_SERIES_SEQUENCE) {
                let uid = text(series, tags::SERIES_INSTANCE_UID);
                for instance in items(series, tags::REFERENCED_SOP_SEQUENCE) {
                    listed.insert((uid.clone(), text(instance, tags::REFERENCED_SOP_INSTANCE_UID)));
                }
            }
        }
        let of_source = |source: &SourceImage<'_>| {
            [tags::SERIES_INSTANCE_UID, tags::SOP_INSTANCE_UID].map(|tag| source.header.text(tag).unwrap()).into()
        };
        let of_capture = |object: &Object| (object.series_instance.to_string(), object.sop_instance.to_string());
        let expected: BTreeSet<(String, String)> =
            self.sources.iter().map(of_source).chain(self.captures.iter().flatten().map(of_capture)).collect();
        assert_eq!(listed, expected);
        let mut used = BTreeSet::new();
        referenced(&self.report, &mut used);
        let listed: BTreeSet<String> = listed.into_iter().map(|(_, instance)| instance).collect();
        assert!(used.is_subset(&listed), "{used:?} of {listed:?}");
    }

    /// The group of this tracking identifier, with its tracking items and its algorithm.
    fn group<'g>(&self, groups: &[&'g Item], identifier: &str) -> &'g Item {
        let of = |group: &&Item| text(only(group, "HAS OBS CONTEXT", "112039"), tags::TEXT_VALUE) == identifier;
        let group = *one(&groups.iter().copied().filter(of).collect::<Vec<_>>(), identifier);
        let model = &self.setup.model;
        assert_eq!(texts(group, "111001"), [model.name.as_str()]);
        assert_eq!(texts(group, "111003"), [model.version.as_str()]);
        assert_eq!(texts(group, "122405"), [model.vendor.as_str()]);
        assert!(texts(group, "111002").contains(&format!("sha256={}", model.weights_sha256)));
        let family = only(group, "HAS CONCEPT MOD", "111000");
        assert_eq!(code(family, tags::CONCEPT_CODE_SEQUENCE), ["123110", "DCM"]);
        group
    }

    fn without_result(&self, group: &Item, source: &SourceImage<'_>, reason: &str) {
        let summary = only(group, "CONTAINS", "111017");
        assert_eq!(code(summary, tags::CONCEPT_CODE_SEQUENCE)[0], "111245");
        assert!(text(only(group, "CONTAINS", "121106"), tags::TEXT_VALUE).contains(reason));
        assert_eq!(reference(only(group, "CONTAINS", "121112")), source_reference(source));
        assert!(below(group, "CONTAINS", "111012").is_empty() && below(group, "CONTAINS", "121071").is_empty());
    }

    fn unlocated(&self, group: &Item, source: &SourceImage<'_>, finding: &Finding) {
        self.said_of(group, finding);
        let certainty = only(group, "CONTAINS", "111012");
        self.certainty(certainty, finding);
        assert_eq!(reference(only(certainty, "INFERRED FROM", "121112")), source_reference(source));
        assert_eq!(reference(only(group, "CONTAINS", "121112")), source_reference(source));
        assert!(below(group, "CONTAINS", "111030").is_empty());
    }

    fn located(&self, group: &Item, index: usize, finding: &Finding, region: &Region, first: bool) {
        self.said_of(group, finding);
        let source = &self.sources[index];
        let expected = rectangle(region);
        let outline = only(group, "CONTAINS", "111030");
        let mut outlines = vec![outline];
        if first {
            let certainty = only(group, "CONTAINS", "111012");
            self.certainty(certainty, finding);
            outlines.push(only(certainty, "INFERRED FROM", "121112"));
        } else {
            assert!(below(group, "CONTAINS", "111012").is_empty(), "a certainty belongs to the finding");
        }
        for outline in outlines {
            assert_eq!(text(outline, tags::GRAPHIC_TYPE), "POLYLINE");
            let points = outline.element(tags::GRAPHIC_DATA).unwrap().to_multi_float32().unwrap();
            assert_eq!(points, expected);
            for point in points.as_chunks::<2>().0 {
                assert!((0.0..=f32::from(COLUMNS)).contains(&point[0]) && (0.0..=f32::from(ROWS)).contains(&point[1]));
            }
            assert_eq!(reference(only(outline, "SELECTED FROM", "260753009")), source_reference(source));
        }
        let shown: Vec<String> = below(group, "CONTAINS", "121200").into_iter().map(|item| reference(item).0).collect();
        let capture = self.captures.get(index).and_then(Option::as_ref);
        assert_eq!(shown, capture.map(|object| object.sop_instance.to_string()).into_iter().collect::<Vec<_>>());
    }

    /// What every group about a finding says: the finding if it is marked, its site.
    fn said_of(&self, group: &Item, finding: &Finding) {
        let asserted: Vec<_> = below(group, "CONTAINS", "121071")
            .into_iter()
            .map(|item| code(item, tags::CONCEPT_CODE_SEQUENCE))
            .collect();
        let concept = [finding.concept.value.clone(), finding.concept.scheme.clone()];
        let marked = finding.probability >= finding.marking_threshold;
        assert_eq!(asserted, marked.then(|| concept.clone()).into_iter().collect::<Vec<_>>());
        let site = finding.site.as_ref().unwrap();
        let said = code(only(group, "HAS CONCEPT MOD", "363698007"), tags::CONCEPT_CODE_SEQUENCE);
        assert_eq!(said, [site.value.clone(), site.scheme.clone()]);
        let bands: Vec<_> = below(group, "CONTAINS", "111005")
            .into_iter()
            .map(|item| code(item, tags::CONCEPT_CODE_SEQUENCE))
            .collect();
        let band = match finding.band {
            Band::Low => "62482003",
            Band::Medium => "255508009",
            Band::High => "75540009",
        };
        let has_certainty = !below(group, "CONTAINS", "111012").is_empty();
        let expected = has_certainty.then(|| [band.to_owned(), "SCT".to_owned()]);
        assert_eq!(bands, expected.into_iter().collect::<Vec<_>>());
    }

    /// In percent, of the finding.
    fn certainty(&self, item: &Item, finding: &Finding) {
        let (value, unit) = number(item);
        assert_eq!(unit, "%");
        assert!((value - f64::from(finding.probability) * 100.0).abs() <= 0.05, "{value} of {finding:?}");
        let (probability, threshold) = (finding.probability, f64::from(finding.marking_threshold) * 100.0);
        assert_eq!(value >= threshold, probability >= finding.marking_threshold, "{value} of {finding:?}");
        let about = code(only(item, "HAS CONCEPT MOD", "121071"), tags::CONCEPT_CODE_SEQUENCE);
        assert_eq!(about, [finding.concept.value.clone(), finding.concept.scheme.clone()]);
    }
}

pub(crate) fn is_located(finding: &Finding) -> bool {
    finding.probability >= finding.marking_threshold && !finding.regions.is_empty()
}

/// A number and its unit.
fn number(item: &Item) -> (f64, String) {
    let measured = &items(item, tags::MEASURED_VALUE_SEQUENCE)[0];
    let [unit, _] = code(measured, tags::MEASUREMENT_UNITS_CODE_SEQUENCE);
    (measured.element(tags::NUMERIC_VALUE).unwrap().to_float64().unwrap(), unit)
}

/// The upright rectangle around an outline as a closed polyline.
fn rectangle(region: &Region) -> [f32; 10] {
    let [[left, right], [top, bottom]] = [0, 1].map(|axis| {
        let along = region.outline.iter().map(|vertex| vertex[axis]);
        [along.clone().fold(f32::MAX, f32::min), along.fold(f32::MIN, f32::max)]
    });
    [left, top, right, top, right, bottom, left, bottom, left, top]
}

/// Makes the objects of a case, reads them back, and compares them with it.
fn check(sources: &[SourceImage<'_>]) {
    let setup = Setup::new();
    let input = setup.input(sources);
    let (data, map) = picture_and_map();
    let picture = SourcePicture::Gray { rows: ROWS.into(), columns: COLUMNS.into(), data: &data };
    let captures: Vec<Option<Object>> = sources
        .iter()
        .enumerate()
        .map(|(index, source)| {
            let maps = vec![Some(map.as_slice()); source.findings().len()];
            secondary_capture(&input, index, &picture, &maps, &CaptureStyle::default()).unwrap()
        })
        .collect();
    for (source, capture) in sources.iter().zip(&captures) {
        let marked = source.findings().iter().any(|finding| finding.probability >= finding.marking_threshold);
        assert_eq!(capture.is_some(), marked);
        if let Some(capture) = capture {
            picture_is_of(source, capture, &data, &map);
        }
    }
    for class in SrClass::PREFERENCE {
        for captures in [captures.as_slice(), &[]] {
            let object = structured_report(&input, class, captures).unwrap();
            let report = dicom_object::from_reader(object.bytes.as_slice()).unwrap();
            assert_eq!(report.meta().media_storage_sop_class_uid(), class.uid());
            Check { setup: &setup, sources, captures, report: report.into_inner() }.all();
        }
    }
}

/// The capture names its source, and is the source where the map says nothing.
fn picture_is_of(source: &SourceImage<'_>, capture: &Object, data: &[u8], map: &[f32]) {
    let capture = dicom_object::from_reader(capture.bytes.as_slice()).unwrap();
    let item = one(items(&capture, tags::SOURCE_IMAGE_SEQUENCE), "source");
    let (instance, frame) = source_reference(source);
    assert_eq!(text(item, tags::REFERENCED_SOP_INSTANCE_UID), instance);
    assert_eq!(text(item, tags::REFERENCED_FRAME_NUMBER), frame);
    let size = |tag| capture.element(tag).unwrap().to_int::<usize>().unwrap();
    let (rows, columns) = (size(tags::ROWS), size(tags::COLUMNS));
    let bytes = capture.element(tags::PIXEL_DATA).unwrap().to_bytes().unwrap();
    assert_eq!(bytes.len(), (rows * columns * 3).next_multiple_of(2));
    // The outline, and the number at its top, reach a little beyond the region.
    let regions: Vec<[f32; 10]> =
        source.findings().iter().filter(|f| is_located(f)).flat_map(|f| &f.regions).map(rectangle).collect();
    let is_marked = |x: f32, y: f32| {
        regions.iter().any(|&[left, top, right, _, _, bottom, ..]| {
            (left - 12.0..right + 12.0).contains(&x) && (top - 12.0..bottom + 12.0).contains(&y)
        })
    };
    let mut compared = 0;
    for (row, line) in (0..ROWS).zip(bytes.chunks(columns * 3)) {
        for (column, pixel) in (0..COLUMNS).zip(line.as_chunks::<3>().0) {
            let at = usize::from(row) * usize::from(COLUMNS) + usize::from(column);
            if map[at] < 0.001 && !is_marked(column.into(), row.into()) {
                assert_eq!(*pixel, [data[at]; 3], "row {row}, column {column}");
                compared += 1;
            }
        }
    }
    assert!(compared > 1000);
}

#[test]
fn one_image() {
    let header = fixtures::cr("back");
    let several = [finding("pneumonia", 0.873, 2), finding("pleural-effusion", 0.61, 1), finding("other", 0.12, 0)];
    for findings in [
        &[finding("pneumonia", 0.873, 1)][..],
        &[finding("pneumonia", 0.031, 0)],
        &[finding("pneumonia", 0.7, 0)],
        &[finding("pneumonia", 0.499_96, 0), finding("other", 0.5, 1)],
        &several,
        &[finding("pneumonia", 0.99, 3)],
    ] {
        check(&[SourceImage::analysed(&header, None, findings)]);
    }
}

#[test]
fn several_images_and_frames() {
    let (found, clear) = ([finding("pneumonia", 0.9, 2)], [finding("pneumonia", 0.1, 0)]);
    let frames = fixtures::multi_frame("back");
    check(&[
        SourceImage::analysed(&frames, Some(1), &found),
        SourceImage::analysed(&frames, Some(2), &clear),
        SourceImage::analysed(&frames, Some(3), &found),
    ]);
    let first = fixtures::cr("back");
    let second = another(&first);
    check(&[SourceImage::analysed(&first, None, &clear), SourceImage::analysed(&second, None, &found)]);
}

#[test]
fn without_a_result() {
    let first = fixtures::cr("back");
    let second = another(&first);
    let found = [finding("pneumonia", 0.9, 1)];
    let reason = DeclineReason::Criteria("view is lateral; PA or AP needed".into());
    check(&[SourceImage::declined(&first, None, &reason)]);
    check(&[SourceImage::failed(&first, None, "time limit of 30 s")]);
    check(&[SourceImage::failed(&first, None, "time limit of 30 s"), SourceImage::analysed(&second, None, &found)]);
    let clear = [finding("pneumonia", 0.1, 0)];
    check(&[SourceImage::analysed(&first, None, &clear), SourceImage::declined(&second, None, &reason)]);
}

/// Another image of the same series.
fn another(header: &Dataset) -> Dataset {
    let mut other = header.clone();
    other.put_text(tags::SOP_INSTANCE_UID, dokuei_dataset::VR::UI, "2.25.77");
    other
}
