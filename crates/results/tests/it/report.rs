//! What independent validators do not notice about a report.

use dicom_dictionary_std::tags;
use dokuei_dataset::{Dataset, VR};
use dokuei_results::{
    CaptureStyle, Object, ObjectReference, ReportInput, ResultError, SourceImage, SourcePicture, SrClass, report_text,
    secondary_capture, structured_report,
};
use dokuei_types::{DeclineReason, Finding};

use crate::fixtures::{self, Setup, children, finding, groups, items, name_of, picture_and_map, read};

const CERTAINTY: &str = "111012";
const REGION: &str = "111030";

fn report(setup: &Setup, sources: &[SourceImage<'_>], captures: &[Option<Object>]) -> Dataset {
    read(&structured_report(&setup.input(sources), SrClass::Comprehensive3D, captures).unwrap())
}

fn capture(setup: &Setup, sources: &[SourceImage<'_>], index: usize) -> Option<Object> {
    let (data, map) = picture_and_map();
    let (rows, columns) = (fixtures::ROWS.into(), fixtures::COLUMNS.into());
    let picture = SourcePicture::Gray { rows, columns, data: &data };
    let maps = vec![Some(map.as_slice()); sources[index].findings().len()];
    secondary_capture(&setup.input(sources), index, &picture, &maps, &CaptureStyle::default()).unwrap()
}

fn number(item: &Dataset) -> f64 {
    item.items(tags::MEASURED_VALUE_SEQUENCE)[0].float(tags::NUMERIC_VALUE).unwrap()
}

fn references(data: &Dataset) -> Vec<String> {
    items(data)
        .into_iter()
        .flat_map(|item| item.items(tags::REFERENCED_SOP_SEQUENCE))
        .map(|reference| reference.text(tags::REFERENCED_SOP_INSTANCE_UID).unwrap())
        .collect()
}

fn evidence(data: &Dataset) -> Vec<String> {
    data.items(tags::CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE)
        .iter()
        .flat_map(|study| study.items(tags::REFERENCED_SERIES_SEQUENCE))
        .flat_map(|series| series.items(tags::REFERENCED_SOP_SEQUENCE))
        .map(|reference| reference.text(tags::REFERENCED_SOP_INSTANCE_UID).unwrap())
        .collect()
}

#[test]
fn values_are_the_models() {
    let setup = Setup::new();
    let header = fixtures::cr("values");
    let findings = [finding("pneumonia", 0.873, 3), finding("pleural-effusion", 0.1234, 0)];
    let sources = [SourceImage::analysed(&header, None, &findings)];
    let sr = report(&setup, &sources, &[]);
    let groups = groups(&sr);
    assert_eq!(groups.len(), 4, "one for the negative, one a region");

    let certainties: Vec<f64> = groups.iter().flat_map(|group| children(group, CERTAINTY)).map(number).collect();
    assert_eq!(certainties, [12.3, 87.3], "in percent, once a finding, groups without coordinates first");

    let outlines: Vec<Vec<f64>> = groups
        .iter()
        .flat_map(|group| children(group, REGION))
        .map(|region| region.floats(tags::GRAPHIC_DATA))
        .collect();
    assert_eq!(outlines.len(), 3);
    for (outline, region) in outlines.iter().zip(&findings[0].regions) {
        let along = |axis: usize| region.outline.iter().map(move |vertex| f64::from(vertex[axis]));
        let low = |axis| along(axis).fold(f64::MAX, f64::min);
        let high = |axis| along(axis).fold(f64::MIN, f64::max);
        let (left, top, right, bottom) = (low(0), low(1), high(0), high(1));
        assert_eq!(outline, &[left, top, right, top, right, bottom, left, bottom, left, top]);
        for point in outline.as_chunks::<2>().0 {
            assert!((0.0..=f64::from(fixtures::COLUMNS)).contains(&point[0]));
            assert!((0.0..=f64::from(fixtures::ROWS)).contains(&point[1]));
        }
    }
    let marked = groups[1];
    let below_number = items(children(marked, CERTAINTY)[0]);
    let again = below_number.iter().find(|item| item.text(tags::VALUE_TYPE).as_deref() == Some("SCOORD"));
    assert_eq!(again.map(|item| item.floats(tags::GRAPHIC_DATA)).as_ref(), outlines.first());
}

#[test]
fn each_group_identifies_itself_its_algorithm_and_its_template() {
    let setup = Setup::new();
    let header = fixtures::cr("groups");
    let findings = [finding("pneumonia", 0.9, 2), finding("pleural-effusion", 0.7, 0), finding("other", 0.1, 0)];
    let sources = [SourceImage::analysed(&header, None, &findings)];
    let sr = report(&setup, &sources, &[]);
    let mut tracked = Vec::new();
    for group in groups(&sr) {
        let content = group.items(tags::CONTENT_SEQUENCE);
        assert_eq!([name_of(&content[0]), name_of(&content[1])], ["112039", "112040"]);
        tracked.push(content[1].text(tags::UID).unwrap());
        let version = children(group, "111003")[0].text(tags::TEXT_VALUE);
        assert_eq!(version.as_deref(), Some("1.4.0"));
        let parameters: Vec<String> =
            children(group, "111002").iter().map(|item| item.text(tags::TEXT_VALUE).unwrap()).collect();
        let weights = format!("sha256={}", setup.model.weights_sha256);
        assert_eq!(parameters, [weights.as_str(), "marking_threshold=0.5", "bands=0.3,0.65"]);

        let template = group.items(tags::CONTENT_TEMPLATE_SEQUENCE)[0].text(tags::TEMPLATE_IDENTIFIER).unwrap();
        let regions = children(group, REGION).len();
        assert_eq!((template.as_str(), regions), if regions > 0 { ("1410", 1) } else { ("1501", 0) });
    }
    let asserted: Vec<usize> = groups(&sr).iter().map(|group| children(group, "121071").len()).collect();
    assert_eq!(asserted, [1, 0, 1, 1], "below the threshold nothing is asserted");
    tracked.sort();
    tracked.dedup();
    assert_eq!(tracked.len(), 4, "tracking UIDs differ");
}

#[test]
fn a_negative_states_no_absence_of_disease() {
    let setup = Setup::new();
    let header = fixtures::cr("negative");
    let findings = [finding("pneumonia", 0.031, 0)];
    let sources = [SourceImage::analysed(&header, None, &findings)];
    assert_eq!(capture(&setup, &sources, 0), None);
    let sr = report(&setup, &sources, &[]);
    let text = report_text(&sr);
    assert!(text.contains("Certainty of Finding: 3.1 %"), "{text}");
    assert!(text.contains("All algorithms succeeded; without findings"), "{text}");
    assert!(text.contains("Assessment Category: Low"), "{text}");
    for word in ["Absent", "Impression", "Conclusion", "Diagnosis", "VERIFIED\n"] {
        assert!(!text.contains(word), "{word}");
    }
    assert_eq!(sr.text(tags::VERIFICATION_FLAG).as_deref(), Some("UNVERIFIED"));
    assert_eq!(sr.text(tags::PRELIMINARY_FLAG).as_deref(), Some("PRELIMINARY"));
    assert_eq!(sr.text(tags::COMPLETION_FLAG).as_deref(), Some("COMPLETE"));
}

#[test]
fn evidence_lists_the_source_and_the_heat_map_and_all_that_is_referenced() {
    let setup = Setup::new();
    let header = fixtures::cr("evidence");
    let findings = [finding("pneumonia", 0.9, 2)];
    let sources = [SourceImage::analysed(&header, None, &findings)];
    let captures = [capture(&setup, &sources, 0)];
    let map = captures[0].as_ref().unwrap().sop_instance.to_string();
    let sr = report(&setup, &sources, &captures);
    let source = header.text(tags::SOP_INSTANCE_UID).unwrap();
    assert_eq!(evidence(&sr), [source.clone(), map.clone()]);
    let used = references(&sr);
    assert!(used.contains(&source) && used.contains(&map));
    assert!(used.iter().all(|uid| evidence(&sr).contains(uid)));

    // A marked finding without a region refers to no map, but the map is evidence all the same.
    let findings = [finding("pneumonia", 0.9, 0)];
    let sources = [SourceImage::analysed(&header, None, &findings)];
    assert!(evidence(&report(&setup, &sources, &captures)).contains(&map));
}

#[test]
fn no_item_is_anonymous_and_the_tree_does_not_depend_on_the_class() {
    let setup = Setup::new();
    let header = fixtures::cr("classes");
    let findings = [finding("pneumonia", 0.9, 2), finding("other", 0.2, 0)];
    let sources = [SourceImage::analysed(&header, None, &findings)];
    let input = setup.input(&sources);
    let made = SrClass::PREFERENCE.map(|class| structured_report(&input, class, &[]).unwrap());
    let [first, second, third] = &made;
    assert_eq!(first.sop_class.as_str(), SrClass::Comprehensive3D.uid());
    assert!(first.sop_instance != second.sop_instance && second.sop_instance != third.sop_instance);
    let trees = made.each_ref().map(|object| {
        let data = read(object);
        assert!(items(&data).iter().all(|item| !name_of(item).is_empty()));
        data.items(tags::CONTENT_SEQUENCE).to_vec()
    });
    assert!(trees[0] == trees[1] && trees[1] == trees[2]);
}

#[test]
fn the_same_again_gives_the_same_bytes_and_another_model_another_object() {
    let header = fixtures::cr("repeat");
    let findings = [finding("pneumonia", 0.9, 1)];
    let sources = [SourceImage::analysed(&header, None, &findings)];
    let make = |setup: &Setup| {
        let captures = [capture(setup, &sources, 0)];
        let sr = structured_report(&setup.input(&sources), SrClass::Comprehensive, &captures).unwrap();
        let [capture] = captures;
        [sr, capture.unwrap()]
    };
    let first = make(&Setup::new());
    assert_eq!(first, make(&Setup::new()));
    let changes: [fn(&mut Setup); 3] = [
        |setup| setup.model.version = "1.4.1".into(),
        |setup| setup.model.name = "cxr-other".into(),
        |setup| setup.model.weights_sha256 = "00".into(),
    ];
    for change in changes {
        let mut setup = Setup::new();
        change(&mut setup);
        for (object, before) in make(&setup).iter().zip(&first) {
            assert_ne!(object.sop_instance, before.sop_instance);
            assert_ne!(object.series_instance, before.series_instance);
        }
    }
    let other = fixtures::cr("repeat-2");
    let sources = [SourceImage::analysed(&other, None, &findings)];
    let setup = Setup::new();
    let object = structured_report(&setup.input(&sources), SrClass::Comprehensive, &[]).unwrap();
    assert_ne!(object.sop_instance, first[0].sop_instance);
    let again = ReportInput { source_version: 2, ..setup.input(&sources) };
    let later = structured_report(&again, SrClass::Comprehensive, &[]).unwrap();
    assert!(later.sop_instance != object.sop_instance && later.series_instance != object.series_instance);
}

#[test]
fn a_revision_names_the_report_of_its_class_that_it_revises() {
    let header = fixtures::cr("revision");
    let findings = [finding("pneumonia", 0.9, 1)];
    let sources = [SourceImage::analysed(&header, None, &findings)];
    let (first, mut second) = (Setup::new(), Setup::new());
    second.model.version = "1.5.0".into();
    let earlier = SrClass::PREFERENCE.map(|class| {
        let object = structured_report(&first.input(&sources), class, &[]).unwrap();
        assert!(!read(&object).contains(tags::PREDECESSOR_DOCUMENTS_SEQUENCE));
        let Object { sop_class, sop_instance, series_instance, .. } = object;
        ObjectReference { sop_class, sop_instance, series_instance }
    });
    for (class, before) in SrClass::PREFERENCE.into_iter().zip(&earlier) {
        let input = ReportInput { revises: &earlier, ..second.input(&sources) };
        let object = structured_report(&input, class, &[]).unwrap();
        assert!(object.sop_instance != before.sop_instance && object.series_instance != before.series_instance);
        let data = read(&object);
        let [study] = data.items(tags::PREDECESSOR_DOCUMENTS_SEQUENCE) else { panic!("one study") };
        assert_eq!(study.uid(tags::STUDY_INSTANCE_UID), header.uid(tags::STUDY_INSTANCE_UID));
        let [series] = study.items(tags::REFERENCED_SERIES_SEQUENCE) else { panic!("one series") };
        assert_eq!(series.uid(tags::SERIES_INSTANCE_UID).as_ref(), Some(&before.series_instance));
        let [report] = series.items(tags::REFERENCED_SOP_SEQUENCE) else { panic!("one report") };
        assert_eq!(report.uid(tags::REFERENCED_SOP_INSTANCE_UID).as_ref(), Some(&before.sop_instance));
        assert_eq!(report.uid(tags::REFERENCED_SOP_CLASS_UID).as_ref(), Some(&before.sop_class));
    }
}

#[test]
fn a_frame_is_named_wherever_it_is_meant() {
    let setup = Setup::new();
    let header = fixtures::multi_frame("frames");
    let found = [finding("pneumonia", 0.9, 1)];
    let clear = [finding("pneumonia", 0.1, 0)];
    let sources = [SourceImage::analysed(&header, Some(1), &clear), SourceImage::analysed(&header, Some(3), &found)];
    let captures = [capture(&setup, &sources, 0), capture(&setup, &sources, 1)];
    assert!(captures[0].is_none());
    let sr = report(&setup, &sources, &captures);
    let source = header.text(tags::SOP_INSTANCE_UID).unwrap();
    let frames: Vec<Option<i64>> = items(&sr)
        .into_iter()
        .flat_map(|item| item.items(tags::REFERENCED_SOP_SEQUENCE))
        .filter(|item| item.text(tags::REFERENCED_SOP_INSTANCE_UID).as_ref() == Some(&source))
        .map(|item| item.int(tags::REFERENCED_FRAME_NUMBER))
        .collect();
    assert_eq!(frames, [1, 3, 1, 1, 3, 3].map(Some), "library, negative twice, positive twice");
    assert_eq!(evidence(&sr).len(), 2, "the source once, and the map");
    let identifiers: Vec<String> =
        groups(&sr).iter().map(|group| children(group, "112039")[0].text(tags::TEXT_VALUE).unwrap()).collect();
    assert_eq!(identifiers, ["image-1/pneumonia", "image-2/pneumonia/region-1"]);
    let derived = read(captures[1].as_ref().unwrap());
    assert_eq!(derived.items(tags::SOURCE_IMAGE_SEQUENCE)[0].int(tags::REFERENCED_FRAME_NUMBER), Some(3));
}

#[test]
fn what_did_not_run_says_so_and_why() {
    let setup = Setup::new();
    let header = fixtures::cr("declined");
    let second = {
        let mut second = header.clone();
        second.put_text(tags::SOP_INSTANCE_UID, VR::UI, "2.25.77");
        second
    };
    let reason = DeclineReason::Criteria("view is lateral; PA or AP needed".into());
    let sources = [SourceImage::declined(&header, None, &reason)];
    let sr = report(&setup, &sources, &[]);
    let text = report_text(&sr);
    assert!(text.contains("No algorithms succeeded"), "{text}");
    assert!(text.contains("The algorithm did not run: model's criteria: view is lateral"), "{text}");
    assert_eq!(sr.text(tags::COMPLETION_FLAG).as_deref(), Some("PARTIAL"));
    assert!(items(&sr).iter().all(|item| name_of(item) != CERTAINTY));
    assert_eq!(children(groups(&sr)[0], "111003").len(), 1, "algorithm version");
    let later = [finding("pneumonia", 0.1, 0)];
    let later = report(&setup, &[SourceImage::analysed(&header, None, &later)], &[]);
    for tag in [tags::SOP_INSTANCE_UID, tags::SERIES_INSTANCE_UID] {
        assert_ne!(later.uid(tag), sr.uid(tag), "it may be looked at yet");
    }

    let findings = [finding("pneumonia", 0.9, 1)];
    let sources =
        [SourceImage::failed(&header, None, "time limit of 30 s"), SourceImage::analysed(&second, None, &findings)];
    let sr = report(&setup, &sources, &[]);
    let text = report_text(&sr);
    assert!(text.contains("Not all algorithms succeeded; with findings"), "{text}");
    assert!(text.contains("The algorithm failed: time limit of 30 s"), "{text}");
    assert_eq!(sr.text(tags::COMPLETION_FLAG).as_deref(), Some("PARTIAL"));
    assert_eq!(sr.text(tags::COMPLETION_FLAG_DESCRIPTION).as_deref(), Some("No result for 1 of 2 images"));
}

#[test]
fn what_cannot_be_reported_is_refused() {
    let setup = Setup::new();
    let header = fixtures::cr("refused");
    let check =
        |sources: &[SourceImage<'_>]| structured_report(&setup.input(sources), SrClass::Enhanced, &[]).unwrap_err();
    assert!(matches!(check(&[]), ResultError::NoSource));

    let mut bare = header.clone();
    bare.remove(tags::SERIES_INSTANCE_UID);
    let error = check(&[SourceImage::analysed(&bare, None, &[])]);
    assert!(matches!(error, ResultError::SourceAttribute { tag: tags::SERIES_INSTANCE_UID, .. }), "{error}");

    let stranger = fixtures::cr("stranger");
    let mixed =
        |other: &Dataset| check(&[SourceImage::analysed(&header, None, &[]), SourceImage::analysed(other, None, &[])]);
    assert!(matches!(mixed(&stranger), ResultError::MixedSources { source_index: 1, what: "study" }));
    let mut other_patient = header.clone();
    other_patient.put_text(tags::PATIENT_ID, VR::LO, "SOMEBODY ELSE");
    assert!(matches!(mixed(&other_patient), ResultError::MixedSources { source_index: 1, what: "patient" }));

    let mut odd: Finding = finding("pneumonia", 0.9, 1);
    odd.regions[0].outline.truncate(2);
    let error = check(&[SourceImage::analysed(&header, None, &[odd])]);
    assert!(matches!(error, ResultError::Region { region: 0, .. }), "{error}");
    for probability in [f32::NAN, -0.1, 1.5] {
        let mut odd = finding("pneumonia", 0.9, 1);
        odd.probability = probability;
        let error = check(&[SourceImage::analysed(&header, None, &[odd])]);
        assert!(matches!(error, ResultError::Probability { .. }), "{error}");
    }
}

#[test]
fn another_toolkit_reads_the_same() {
    let setup = Setup::new();
    let header = fixtures::cr("toolkit");
    let findings = [finding("pneumonia", 0.873, 1)];
    let sources = [SourceImage::analysed(&header, None, &findings)];
    let object = structured_report(&setup.input(&sources), SrClass::Comprehensive3D, &[]).unwrap();
    let read = dicom_object::from_reader(object.bytes.as_slice()).unwrap();
    assert_eq!(read.meta().media_storage_sop_instance_uid(), object.sop_instance.as_str());
    let text = |tag| read.element(tag).unwrap().to_str().unwrap().into_owned();
    assert_eq!(text(tags::SERIES_NUMBER), "9001");
    assert_eq!(text(tags::PATIENT_NAME), "Sintética^Ana");
    assert_eq!(text(tags::CONTENT_QUALIFICATION), "RESEARCH");
    let content = read.element(tags::CONTENT_SEQUENCE).unwrap().items().unwrap();
    assert_eq!(content.len(), fixtures::read(&object).items(tags::CONTENT_SEQUENCE).len());
    let measurements = content.iter().find_map(|item| {
        let name = item.element(tags::CONCEPT_NAME_CODE_SEQUENCE).ok()?.items()?.first()?;
        let is_measurements = name.element(tags::CODE_VALUE).ok()?.to_str().ok()? == "126010";
        is_measurements.then(|| item.element(tags::CONTENT_SEQUENCE).ok()?.items().map(<[_]>::len)).flatten()
    });
    assert_eq!(measurements, Some(1));
}

#[test]
fn text_for_people_names_what_matters() {
    let setup = Setup::new();
    let header = fixtures::cr("text");
    let findings = [finding("pneumonia", 0.873, 1)];
    let sources = [SourceImage::analysed(&header, None, &findings)];
    let text = report_text(&report(&setup, &sources, &[]));
    for line in [
        "Imaging Measurement Report (Comprehensive 3D SR; complete, unverified, preliminary, research)",
        "Study      2026-11-21 10:10:00, XR CHEST PA, accession ACC-0001",
        "Made       2026-11-21 10:15:30 by dokuei 0.1.0",
        "Patient    Sintética Ana, ID SYN-text",
        "    Certainty of Finding: 87.3 %",
        "    Image Region: polyline of 5 points, columns 20 to 60, rows 90 to 130",
        "    Algorithm Version: 1.4.0",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
    assert!(report_text(&Dataset::new()).contains("(unnamed)"), "any data set is readable");
}

#[test]
fn text_of_other_peoples_reports_stays_readable() {
    let code = |value: &str, meaning: &str| {
        let mut code = Dataset::new();
        code.put_text(tags::CODE_VALUE, VR::SH, value);
        code.put_text(tags::CODE_MEANING, VR::LO, meaning);
        code
    };
    let item = |kind: &str, name: &str| {
        let mut item = Dataset::new();
        item.put_text(tags::VALUE_TYPE, VR::CS, kind);
        item.put_items(tags::CONCEPT_NAME_CODE_SEQUENCE, vec![code("1", name)]);
        item
    };
    let mut prose = item("TEXT", "History");
    prose.put_bytes(tags::TEXT_VALUE, VR::UT, *b"first line\r\nsecond \x1b[31mline\x07");
    let mut date = item("DATE", "Study Date");
    date.put_text(tags::DATE, VR::DA, "20261121");
    let mut time = item("TIME", "Study Time");
    time.put_text(tags::TIME, VR::TM, "101530.25");
    let mut by_reference = Dataset::new();
    by_reference.put_u32(tags::REFERENCED_CONTENT_ITEM_IDENTIFIER, &[1, 3, 2]);
    let mut number = item("NUM", "Volume");
    number.put_items(tags::MEASURED_VALUE_SEQUENCE, Vec::new());
    let mut section = item("CONTAINER", "Findings");
    let mut person = item("PNAME", "Observer");
    person.put_text(tags::PERSON_NAME, VR::PN, "Packer^David^M.^^M. D.");
    section.put_items(
        tags::CONTENT_SEQUENCE,
        vec![person, prose, date, time, by_reference, number, item("NOVEL", "Thing")],
    );
    let mut report = Dataset::new();
    report.put_items(tags::CONTENT_SEQUENCE, vec![section]);
    let text = report_text(&report);
    let (_, tree) = text.split_once("\n\n").unwrap();
    let expected = "Findings
  Observer: Packer David M. M. D.
  History: first line
      second  [31mline
  Study Date: 2026-11-21
  Study Time: 10:15:30
  (unnamed): (see item 1.3.2)
  Volume: (no value)
  Thing: (NOVEL)
";
    assert_eq!(tree, expected);
    assert!(text.chars().all(|character| character == '\n' || !character.is_control()));
}
