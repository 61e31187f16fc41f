//! The attributes of the objects made, as the conformance statement lists them. Nothing of the tables is written by
//! hand: what an attribute depends on is found by changing one thing at a time.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::LazyLock;

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry, UidDictionary, UidDictionaryEntry, VirtualVr};
use dicom_dictionary_std::{StandardDataDictionary, StandardSopClassDictionary, tags};
use dokuei_dataset::{Dataset, Element, Tag, VR, Value};
use dokuei_results::{
    CaptureStyle, Comparison, Object, Prior, ReportInput, SourceImage, SourcePicture, SrClass, key_object_note,
    presentation_state, result_page, secondary_capture, segmentation, structured_report,
};
use dokuei_testkit::check_generated;
use dokuei_types::{Finding, derived_uid};

use crate::color_presentation;
use crate::comparison::year_before;
use crate::fixtures::{self, COLUMNS, ROWS, Setup, finding, picture_and_map, read};

/// What result objects are made of.
struct Case {
    header: Dataset,
    setup: Setup,
    findings: Vec<Finding>,
    /// An image of the same patient before.
    prior: Option<Dataset>,
}

/// The objects a case gives, by the names of their sections in the statement. A further kind is a further line.
fn objects(case: &Case) -> [(&'static str, Dataset); 7] {
    let sources = [SourceImage::analysed(&case.header, None, &case.findings)];
    let prior = case.prior.as_ref().map(|header| Prior { header, findings: &case.findings });
    let comparison = prior.map_or(Comparison::NotAsked, Comparison::Prior);
    let input = ReportInput { comparison, ..case.setup.input(&sources) };
    let (data, map) = picture_and_map();
    let picture = SourcePicture::Gray { rows: ROWS.into(), columns: COLUMNS.into(), data: &data };
    let capture: Option<Object> =
        secondary_capture(&input, 0, &picture, &[Some(&map)], &CaptureStyle::default()).unwrap();
    let report = structured_report(&input, SrClass::Comprehensive3D, std::slice::from_ref(&capture)).unwrap();
    let state = presentation_state(&input).unwrap().unwrap();
    let mut color = case.header.clone();
    color.put_text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "RGB");
    let in_color = [SourceImage::analysed(&color, None, &case.findings)];
    let color_state = presentation_state(&ReportInput { sources: &in_color, ..input }).unwrap().unwrap();
    let note = key_object_note(&input).unwrap().unwrap();
    let regions = segmentation(&input).unwrap().unwrap();
    let page = result_page(&input, None, "Research.").unwrap();
    [
        ("structured-report", read(&report)),
        ("secondary-capture", read(&capture.unwrap())),
        ("presentation-state", read(&state)),
        ("color-presentation-state", read(&color_state)),
        ("key-object-note", read(&note)),
        ("encapsulated-pdf", read(&page)),
        ("segmentation", read(&regions)),
    ]
}

/// Attributes that are left as they are when a source is filled: the picture's form, and what decides how others
/// are read.
const KEPT: [Tag; 8] = [
    tags::PHOTOMETRIC_INTERPRETATION,
    tags::ROWS,
    tags::COLUMNS,
    tags::SOP_CLASS_UID,
    tags::SPECIFIC_CHARACTER_SET,
    tags::NUMBER_OF_FRAMES,
    tags::BODY_PART_EXAMINED,
    tags::LOSSY_IMAGE_COMPRESSION,
];

/// A value of an attribute: one of two that differ.
fn value(vr: VR, second: bool) -> Option<Value> {
    let pick = |first: &str, other: &str| Value::Bytes(if second { other } else { first }.as_bytes().to_vec());
    Some(match vr {
        VR::AS => pick("011Y", "022Y"),
        VR::CS => pick("YES ", "NO"),
        VR::DA => pick("20200101", "20210202"),
        VR::DS | VR::IS => pick("1 ", "2 "),
        VR::LO | VR::LT | VR::PN | VR::SH | VR::ST | VR::UC | VR::UT => pick("A ", "B "),
        VR::TM => pick("101010", "111111"),
        VR::UI => Value::Bytes(derived_uid(&["value", if second { "2" } else { "1" }]).as_str().as_bytes().to_vec()),
        VR::SQ => {
            let mut item = Dataset::new();
            for tag in [tags::CODE_VALUE, tags::CODING_SCHEME_DESIGNATOR, tags::CODE_MEANING, tags::PATIENT_ID] {
                item.put(Element { tag, vr: VR::LO, value: value(VR::LO, second)? });
            }
            Value::Items(vec![item])
        }
        _ => return None,
    })
}

/// Every attribute of the dictionary that a text or a sequence can fill, in the groups of headers.
static FILLED: LazyLock<Vec<(Tag, VR)>> = LazyLock::new(|| {
    let groups = [0x0008, 0x0010, 0x0012, 0x0018, 0x0020, 0x0028, 0x0032, 0x0040];
    let all = groups.into_iter().flat_map(|group| (0x0001..=0xFFFF).map(move |element| Tag(group, element)));
    let exact = all.filter_map(|tag| match StandardDataDictionary.by_tag(tag)?.vr() {
        VirtualVr::Exact(vr) => Some((tag, vr)),
        _ => None,
    });
    exact.filter(|(tag, _)| !KEPT.contains(tag)).collect()
});

/// A source that has all of them.
fn filled(second: bool) -> Dataset {
    let mut header = fixtures::cr("conformance");
    for (tag, vr) in FILLED.iter().copied() {
        if let Some(value) = value(vr, second) {
            header.put(Element { tag, vr, value });
        }
    }
    header.put_text(tags::TIMEZONE_OFFSET_FROM_UTC, VR::SH, if second { "+0800" } else { "+0900" });
    header.put_text(tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "01");
    // Where a slice lies.
    header.put_text(tags::IMAGE_POSITION_PATIENT, VR::DS, "0\\0\\0");
    header.put_text(tags::IMAGE_ORIENTATION_PATIENT, VR::DS, "1\\0\\0\\0\\1\\0");
    header.put_text(tags::PIXEL_SPACING, VR::DS, if second { "2\\2" } else { "1\\1" });
    header.put_bytes(tags::ICC_PROFILE, VR::OB, color_presentation::profile(b"scnr", u8::from(second)));
    // A paired one: only those have a laterality.
    header.put_text(tags::BODY_PART_EXAMINED, VR::CS, "KNEE");
    header
}

fn case() -> Case {
    of(filled(false))
}

fn of(header: Dataset) -> Case {
    let prior = Some(year_before(&header));
    Case { header, setup: Setup::new(), findings: vec![finding("pneumonia", 0.9, 1)], prior }
}

/// A source without anything that is not needed.
fn bare() -> Dataset {
    let full = fixtures::cr("conformance");
    let mut header = Dataset::new();
    for tag in [
        tags::SOP_CLASS_UID,
        tags::SOP_INSTANCE_UID,
        tags::STUDY_INSTANCE_UID,
        tags::SERIES_INSTANCE_UID,
        tags::ROWS,
        tags::COLUMNS,
        tags::PHOTOMETRIC_INTERPRETATION,
    ] {
        header.put(full.get(tag).unwrap().clone());
    }
    header
}

/// One thing changed at a time, by its name in the statement.
fn changed() -> [(&'static str, Case); 6] {
    let mut node = case();
    let own = &mut node.setup.node;
    own.ae_title.push('X');
    own.manufacturer.push('X');
    own.model_name.push('X');
    own.serial_number.push('X');
    own.software_version.push('X');
    own.device_uid = derived_uid(&["another node"]);
    let mut model = case();
    let identity = &mut model.setup.model;
    identity.name.push('x');
    identity.version.push('1');
    identity.vendor.push('x');
    identity.weights_sha256 = "00".repeat(32);
    identity.qualification = dokuei_types::ContentQualification::Product;
    identity.device_uid = derived_uid(&["another model"]);
    let mut time = case();
    time.setup.made_at = "2027-01-02T03:04:05+09:00[+09:00]".parse().unwrap();
    let findings = vec![finding("pleural-effusion", 0.7, 2)];
    let mut older = year_before(&year_before(&filled(false)));
    older.put_text(tags::ACQUISITION_DATE, VR::DA, "20241119");
    [
        ("source", of(filled(true))),
        ("node", node),
        ("model", model),
        ("time of the analysis", time),
        ("findings", Case { findings, ..case() }),
        ("prior", Case { prior: Some(older), ..case() }),
    ]
}

/// A line for each attribute of the object at `index`.
fn table(index: usize) -> String {
    let made = |case: &Case| objects(case).into_iter().nth(index).unwrap().1;
    let original = case();
    let object = made(&original);
    let least = made(&Case { header: bare(), prior: None, ..case() });
    let alone = made(&Case { prior: None, ..case() });
    // Each beside a prior and without one.
    let others: Vec<(&str, Case, [Dataset; 2])> = changed()
        .into_iter()
        .map(|(what, mut case)| {
            let compared = made(&case);
            case.prior = None;
            let alone = made(&case);
            (what, case, [compared, alone])
        })
        .collect();
    let mut present: BTreeSet<Tag> = object.iter().map(|element| element.tag).collect();
    present.extend(least.iter().map(|element| element.tag));
    let mut text = String::from("| attribute | tag | VR | present | value |\n|---|---|---|---|---|\n");
    for tag in present {
        let element = object.get(tag).or_else(|| least.get(tag)).unwrap();
        let differ =
            |one: &Dataset, other: &Dataset| other.get(tag).map(|e| &e.value) != one.get(tag).map(|e| &e.value);
        let changes = |(_, _, [compared, without]): &&(&str, Case, [Dataset; 2])| {
            differ(compared, &object) || differ(without, &alone)
        };
        let origins: Vec<&str> = others.iter().filter(changes).map(|(what, ..)| *what).collect();
        let follows =
            |header: &Dataset, object: &Dataset| header.get(tag).map(|e| &e.value) == object.get(tag).map(|e| &e.value);
        let (_, second, [of_second, _]) = &others[0];
        let value = match origins.as_slice() {
            // Not varied, so told by their values.
            [] if KEPT.contains(&tag) && follows(&original.header, &object) => "the source's".into(),
            [] if KEPT.contains(&tag) && tag != tags::SOP_CLASS_UID => "from the source".into(),
            [] => fixed(element),
            ["source"] if follows(&original.header, &object) && follows(&second.header, of_second) => {
                "the source's".into()
            }
            origins => format!("from the {}", origins.join(", the ")),
        };
        let presence = match (object.contains(tag) && least.contains(tag), alone.contains(tag)) {
            (true, _) => "always",
            (false, true) => "if the source has it",
            (false, false) => "if there is a prior",
        };
        let entry = StandardDataDictionary.by_tag(tag);
        let name = entry.map_or("", |entry| entry.alias());
        let Tag(group, number) = tag;
        writeln!(text, "| {name} | ({group:04X},{number:04X}) | {:?} | {presence} | {value} |", element.vr).unwrap();
    }
    text
}

/// A value that nothing changes.
fn fixed(element: &Element) -> String {
    match &element.value {
        Value::Bytes(bytes) if bytes.is_empty() => "empty".into(),
        Value::Bytes(bytes) if element.vr == VR::US => format!("{}", u16::from_le_bytes([bytes[0], bytes[1]])),
        Value::Bytes(bytes) if bytes.len() <= 72 => {
            format!("`{}`", String::from_utf8_lossy(bytes).trim_end_matches(['\0', ' ']))
        }
        Value::Items(items) if items.is_empty() => "no items".into(),
        _ => "fixed".into(),
    }
}

#[test]
fn the_statement_lists_what_the_objects_hold() {
    for (index, (name, _)) in objects(&case()).iter().enumerate() {
        check_generated("docs/conformance.md", name, &table(index));
    }
}

#[test]
fn the_statement_lists_the_sop_classes_of_the_results() {
    let others = objects(&case()).into_iter().skip(1).filter_map(|(_, object)| object.text(tags::SOP_CLASS_UID));
    let classes = SrClass::PREFERENCE.map(|class| class.uid().to_owned()).into_iter();
    let mut text = String::from("| SOP class | UID |\n|---|---|\n");
    for uid in classes.chain(others) {
        let name = StandardSopClassDictionary.by_uid(&uid).unwrap().name();
        writeln!(text, "| {name} | {uid} |").unwrap();
    }
    check_generated("docs/conformance.md", "result-sop-classes", &text);
}
