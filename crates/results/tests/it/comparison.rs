//! Results beside earlier ones.

use dicom_dictionary_std::tags;
use dokuei_dataset::{Dataset, Tag, VR};
use dokuei_results::{
    CaptureStyle, Comparison, Language, Object, Prior, ReportInput, ResultError, SourceImage, SourcePicture, SrClass,
    capture_picture, key_object_note, presentation_state, report_text, result_page, secondary_capture,
    structured_report,
};
use dokuei_types::{Finding, Uid};

use crate::fixtures::{self, COLUMNS, ROWS, Setup, children, finding, groups, picture_and_map, read};
use crate::pdf;

/// An image of the same patient a year before, in a study of its own.
pub(crate) fn year_before(header: &Dataset) -> Dataset {
    let mut prior = header.clone();
    for tag in [tags::STUDY_INSTANCE_UID, tags::SERIES_INSTANCE_UID, tags::SOP_INSTANCE_UID] {
        let uid = dokuei_types::derived_uid(&["prior", &header.text(tag).unwrap()]);
        prior.put_text(tag, VR::UI, uid.as_str());
    }
    for tag in [tags::STUDY_DATE, tags::CONTENT_DATE, tags::ACQUISITION_DATE] {
        prior.put_text(tag, VR::DA, "20251120");
    }
    prior
}

fn with<'a>(
    setup: &'a Setup,
    sources: &'a [SourceImage<'a>],
    header: &'a Dataset,
    findings: &'a [Finding],
) -> ReportInput<'a> {
    ReportInput { comparison: Comparison::Prior(Prior { header, findings }), ..setup.input(sources) }
}

fn report(input: &ReportInput<'_>) -> Object {
    structured_report(input, SrClass::Comprehensive3D, &[]).unwrap()
}

fn text(item: &Dataset, tag: Tag) -> String {
    item.text(tag).unwrap_or_default()
}

/// The certainty in a group, the instance it was read from, and the time point.
fn measured(group: &Dataset) -> (String, Option<Uid>, String) {
    let numbers = children(group, "111012");
    assert_eq!(numbers.len(), 1, "one certainty");
    let number = numbers[0];
    let value = text(&number.items(tags::MEASURED_VALUE_SEQUENCE)[0], tags::NUMERIC_VALUE);
    let source = children(number, "121112")[0];
    let image = match source.items(tags::CONTENT_SEQUENCE) {
        [image] => image,
        _ => source,
    };
    let of = image.items(tags::REFERENCED_SOP_SEQUENCE)[0].uid(tags::REFERENCED_SOP_INSTANCE_UID);
    (value, of, text(children(group, "C2348792")[0], tags::TEXT_VALUE))
}

/// Study and instances of evidence.
fn evidence(report: &Dataset, tag: Tag) -> Vec<(Option<Uid>, Vec<Option<Uid>>)> {
    let instances = |study: &Dataset| {
        let series = study.items(tags::REFERENCED_SERIES_SEQUENCE).iter();
        let sops = series.flat_map(|series| series.items(tags::REFERENCED_SOP_SEQUENCE));
        sops.map(|sop| sop.uid(tags::REFERENCED_SOP_INSTANCE_UID)).collect()
    };
    report.items(tag).iter().map(|study| (study.uid(tags::STUDY_INSTANCE_UID), instances(study))).collect()
}

#[test]
fn the_report_says_what_was_said_before_of_which_image_and_what_changed() {
    let setup = Setup::new();
    let header = fixtures::cr("compared");
    let prior = year_before(&header);
    let [now, uid] = [&header, &prior].map(|header| header.uid(tags::SOP_INSTANCE_UID));
    let findings = [finding("pneumonia", 0.554, 1), finding("pleural-effusion", 0.12, 0), finding("new", 0.2, 0)];
    let before = [finding("pleural-effusion", 0.301, 0), finding("pneumonia", 0.341, 0), finding("old", 0.2, 0)];
    let sources = [SourceImage::analysed(&header, None, &findings)];
    let data = read(&report(&with(&setup, &sources, &prior, &before)));

    // What has a region comes last, and what was said before stands between.
    let measured: Vec<_> = groups(&data).into_iter().map(measured).collect();
    let earlier = "prior of 2025-11-20".to_owned();
    let current = "current".to_owned();
    assert_eq!(
        measured,
        [
            ("12.0".to_owned(), now.clone(), current.clone()),
            ("20.0".to_owned(), now.clone(), current.clone()),
            ("34.1".to_owned(), uid.clone(), earlier.clone()),
            ("30.1".to_owned(), uid.clone(), earlier),
            ("55.4".to_owned(), now.clone(), current),
        ]
    );
    let old = groups(&data)[2];
    assert_eq!(text(children(old, "112039")[0], tags::TEXT_VALUE), "prior/pneumonia");
    assert_eq!(text(children(old, "111003")[0], tags::TEXT_VALUE), "1.4.0", "version of the algorithm");
    assert_eq!(children(old, "121071").len(), 0, "the earlier finding is not asserted again");

    let library = children(&data, "111028")[0];
    let [_, of_prior] = children(library, "126200")[..] else { panic!("a group for each image") };
    let entry = children(of_prior, "260753009")[0];
    for code in ["111060", "111018", "126201"] {
        assert_eq!(text(children(entry, code)[0], tags::DATE), "20251120", "{code}");
    }
    let qualitative = children(&data, "C0034375")[0];
    let changes: Vec<_> = children(qualitative, "111021").into_iter().map(|i| text(i, tags::TEXT_VALUE)).collect();
    assert_eq!(
        changes,
        [
            "Pneumonia: 34.1 % on 2025-11-20, increased by 21.3 percentage points (both by cxr-test 1.4.0)",
            "Pleural effusion: 30.1 % on 2025-11-20, decreased by 18.1 percentage points (both by cxr-test 1.4.0)",
        ]
    );

    let study = |header: &Dataset| header.uid(tags::STUDY_INSTANCE_UID);
    assert_eq!(evidence(&data, tags::CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE), [(study(&header), vec![now])]);
    assert_eq!(evidence(&data, tags::PERTINENT_OTHER_EVIDENCE_SEQUENCE), [(study(&prior), vec![uid.clone()])]);

    // The prior's own report tracks its finding under the same UID.
    let own = [SourceImage::analysed(&prior, None, &before)];
    let own = read(&report(&setup.input(&own)));
    let tracked = |report: &Dataset, name: &str| {
        let group = groups(report).into_iter().find(|g| text(children(g, "112039")[0], tags::TEXT_VALUE) == name);
        group.map(|group| text(children(group, "112040")[0], tags::UID))
    };
    assert_eq!(tracked(&data, "prior/pneumonia"), tracked(&own, "pneumonia"));

    let printed = report_text(&data);
    for line in ["Time Point: prior of 2025-11-20", "Acquisition Date: 2025-11-20", "Description of Change: Pneumonia"]
    {
        assert!(printed.contains(line), "{line}: {printed}");
    }
}

#[test]
fn without_a_prior_the_report_says_so_where_it_was_asked() {
    let setup = Setup::new();
    let header = fixtures::cr("alone");
    let findings = [finding("pneumonia", 0.1, 0)];
    let sources = [SourceImage::analysed(&header, None, &findings)];
    let says = |comparison| {
        let data = read(&report(&ReportInput { comparison, ..setup.input(&sources) }));
        assert!(!data.contains(tags::PERTINENT_OTHER_EVIDENCE_SEQUENCE));
        assert_eq!(children(groups(&data)[0], "C2348792").len(), 0);
        report_text(&data).contains("No earlier result was at hand to compare with.")
    };
    assert!(!says(Comparison::NotAsked));
    assert!(says(Comparison::NoPrior));
}

#[test]
fn another_comparison_is_another_object_and_the_same_one_the_same_bytes() {
    let setup = Setup::new();
    let header = fixtures::cr("identity");
    let findings = [finding("pneumonia", 0.9, 1)];
    let sources = [SourceImage::analysed(&header, None, &findings)];
    let (first, before) = (year_before(&header), [finding("pneumonia", 0.2, 0)]);
    let second = year_before(&first);
    let inputs = [
        setup.input(&sources),
        ReportInput { comparison: Comparison::NoPrior, ..setup.input(&sources) },
        with(&setup, &sources, &first, &before),
        with(&setup, &sources, &second, &before),
    ];
    let (data, map) = picture_and_map();
    let picture = SourcePicture::Gray { rows: ROWS.into(), columns: COLUMNS.into(), data: &data };
    let capture = |input: &ReportInput<'_>| {
        let made = secondary_capture(input, 0, &picture, &[Some(&map)], &CaptureStyle::default());
        made.unwrap().unwrap()
    };
    let [reports, pages] = [report as fn(&ReportInput<'_>) -> Object, |input| result_page(input, None, "").unwrap()]
        .map(|make| inputs.each_ref().map(make));
    for objects in [&reports, &pages] {
        for (index, object) in objects.iter().enumerate() {
            assert!(objects[..index].iter().all(|other| other.sop_instance != object.sop_instance), "{index}");
            assert_eq!(object.series_instance, objects[0].series_instance);
        }
    }
    assert_eq!(inputs.each_ref().map(report), reports);
    // The caption says nothing where there is no prior.
    let captures = inputs.each_ref().map(capture);
    assert_eq!(captures[0], captures[1]);
    for (index, object) in captures.iter().enumerate().skip(2) {
        assert!(captures[..index].iter().all(|other| other.sop_instance != object.sop_instance), "{index}");
        assert_eq!(object.series_instance, captures[0].series_instance);
    }
    assert_eq!(inputs.each_ref().map(capture), captures);
    // What does not speak of the comparison is the same with and without.
    let silent = |input: &ReportInput<'_>| [presentation_state(input).unwrap(), key_object_note(input).unwrap()];
    for input in &inputs {
        assert_eq!(silent(input), silent(&inputs[0]));
    }
}

#[test]
fn the_caption_says_it_below_the_picture_and_that_a_date_is_drawn() {
    let setup = Setup::new();
    let header = fixtures::cr("caption");
    let findings = [finding("pneumonia", 0.9, 1)];
    let sources = [SourceImage::analysed(&header, None, &findings)];
    let prior = year_before(&header);
    let (lower, higher) = ([finding("pneumonia", 0.2, 0)], [finding("pneumonia", 0.95, 1)]);
    let (data, map) = picture_and_map();
    let picture = SourcePicture::Gray { rows: ROWS.into(), columns: COLUMNS.into(), data: &data };
    let source = usize::from(ROWS) * usize::from(COLUMNS) * 3;
    let inputs =
        [setup.input(&sources), with(&setup, &sources, &prior, &lower), with(&setup, &sources, &prior, &higher)];
    for language in [Language::English, Language::Japanese] {
        let style = CaptureStyle { language, ..CaptureStyle::default() };
        let maps = [Some(map.as_slice())];
        let [plain, increased, unchanged] =
            inputs.each_ref().map(|input| capture_picture(input, 0, &picture, &maps, &style).unwrap().unwrap());
        for other in [&increased, &unchanged] {
            assert_eq!((other.columns, &other.data[..source]), (plain.columns, &plain.data[..source]));
            assert!(other.rows > plain.rows, "a line more");
        }
        assert_ne!(increased.data, unchanged.data);
    }
    let [plain, compared, _] = inputs.each_ref().map(|input| {
        let made = secondary_capture(input, 0, &picture, &[None], &CaptureStyle::default());
        read(&made.unwrap().unwrap()).text(tags::BURNED_IN_ANNOTATION)
    });
    assert_eq!((plain.as_deref(), compared.as_deref()), (Some("NO"), Some("NO")), "it says nothing of who it is");
}

#[test]
fn a_prior_that_may_be_of_another_patient_is_refused() {
    let setup = Setup::new();
    let header = fixtures::cr("stranger");
    let findings = [finding("pneumonia", 0.9, 0)];
    let sources = [SourceImage::analysed(&header, None, &findings)];
    let check = |change: &dyn Fn(&mut Dataset), expected: &str| {
        let mut prior = year_before(&header);
        change(&mut prior);
        match structured_report(&with(&setup, &sources, &prior, &findings), SrClass::Enhanced, &[]) {
            Err(ResultError::Prior { why }) => assert_eq!(why, expected),
            other => panic!("{other:?}"),
        }
    };
    check(&|prior| prior.put_text(tags::PATIENT_ID, VR::LO, "SYN-other"), "another Patient ID");
    check(&|prior| prior.put_text(tags::PATIENT_BIRTH_DATE, VR::DA, "19700102"), "another Patient's Birth Date");
    check(&|prior| drop(prior.remove(tags::ISSUER_OF_PATIENT_ID)), "another Issuer of Patient ID");
    check(
        &|prior| {
            for tag in [tags::STUDY_DATE, tags::CONTENT_DATE, tags::ACQUISITION_DATE] {
                prior.remove(tag);
            }
        },
        "no date",
    );
    let study = header.text(tags::STUDY_INSTANCE_UID).unwrap();
    check(&|prior| prior.put_text(tags::STUDY_INSTANCE_UID, VR::UI, &study), "the same study");
    check(
        &|prior| drop(prior.remove(tags::SERIES_INSTANCE_UID)),
        "source 0 has no valid SeriesInstanceUID (0020,000E)",
    );
}

#[test]
fn the_page_says_it_below_each_finding() {
    let setup = Setup::new();
    let header = fixtures::cr("page");
    let prior = year_before(&header);
    let (findings, before) = ([finding("pneumonia", 0.9, 1)], [finding("pneumonia", 0.85, 1)]);
    let sources = [SourceImage::analysed(&header, None, &findings)];
    let page = |input: &ReportInput<'_>| {
        let data = read(&result_page(input, None, "").unwrap());
        let length = usize::try_from(data.int(tags::ENCAPSULATED_DOCUMENT_LENGTH).unwrap()).unwrap();
        pdf::read(&data.bytes(tags::ENCAPSULATED_DOCUMENT).unwrap()[..length]).text()
    };
    let text = page(&with(&setup, &sources, &prior, &before));
    let line = "earlier 85.0 % on 2025-11-20, unchanged within 10 percentage points (+5.0)";
    assert!(text.contains(line), "{text}");
    let none = page(&ReportInput { comparison: Comparison::NoPrior, ..setup.input(&sources) });
    assert!(none.contains("No earlier result was at hand to compare with."), "{none}");
}
