//! Synthetic sources and findings.

use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::{Dataset, Limits, Tag, VR, read_file};
use dokuei_results::{Comparison, Explanation, Object, ReportInput, SourceImage};
use dokuei_types::{Band, Code, ContentQualification, Finding, ModelIdentity, NodeIdentity, Region, Uid, derived_uid};
use jiff::Zoned;

pub(crate) const ROWS: u16 = 200;
pub(crate) const COLUMNS: u16 = 160;

/// The identities and the time that go with sources into a [`ReportInput`].
pub(crate) struct Setup {
    pub(crate) model: ModelIdentity,
    pub(crate) node: NodeIdentity,
    pub(crate) made_at: Zoned,
    pub(crate) parameters: Vec<String>,
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self {
            model: ModelIdentity {
                name: "cxr-test".into(),
                version: "1.4.0".into(),
                vendor: "Example Project".into(),
                device_uid: derived_uid(&["test", "model"]),
                weights_sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".into(),
                qualification: ContentQualification::Research,
            },
            node: NodeIdentity {
                ae_title: "DOKUEI".into(),
                manufacturer: "Dokuei".into(),
                model_name: "dokuei".into(),
                serial_number: "NODE-0001".into(),
                software_version: "0.1.0".into(),
                device_uid: derived_uid(&["test", "node"]),
            },
            made_at: "2026-11-21T10:15:30+09:00[+09:00]".parse().unwrap(),
            parameters: vec!["bands=0.3,0.65".into()],
        }
    }

    pub(crate) fn input<'a>(&'a self, sources: &'a [SourceImage<'a>]) -> ReportInput<'a> {
        ReportInput {
            sources,
            model: &self.model,
            node: &self.node,
            made_at: &self.made_at,
            explanation: Explanation::ClassActivation,
            parameters: &self.parameters,
            source_version: 1,
            revises: &[],
            comparison: Comparison::NotAsked,
        }
    }
}

fn text(data: &mut Dataset, values: &[(Tag, VR, &str)]) {
    for (tag, vr, value) in values {
        data.put_text(*tag, *vr, value);
    }
}

fn code(value: &str, scheme: &str, meaning: &str) -> Dataset {
    let mut item = Dataset::new();
    text(
        &mut item,
        &[
            (tags::CODE_VALUE, VR::SH, value),
            (tags::CODING_SCHEME_DESIGNATOR, VR::SH, scheme),
            (tags::CODE_MEANING, VR::LO, meaning),
        ],
    );
    item
}

/// What all sources have: patient, study, series, equipment, a request. `name` keeps UIDs apart.
fn common(name: &str, class: &str, modality: &str) -> Dataset {
    let uid = |role: &str| derived_uid(&["test", name, role]);
    let mut data = Dataset::new();
    text(
        &mut data,
        &[
            (tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 100"),
            (tags::SOP_CLASS_UID, VR::UI, class),
            (tags::SOP_INSTANCE_UID, VR::UI, uid("instance").as_str()),
            (tags::STUDY_INSTANCE_UID, VR::UI, uid("study").as_str()),
            (tags::SERIES_INSTANCE_UID, VR::UI, uid("series").as_str()),
            (tags::STUDY_DATE, VR::DA, "20261121"),
            (tags::STUDY_TIME, VR::TM, "101000"),
            (tags::SERIES_DATE, VR::DA, "20261121"),
            (tags::ACQUISITION_DATE, VR::DA, "20261121"),
            (tags::ACQUISITION_TIME, VR::TM, "101200"),
            (tags::CONTENT_DATE, VR::DA, "20261121"),
            (tags::CONTENT_TIME, VR::TM, "101200"),
            (tags::ACCESSION_NUMBER, VR::SH, "ACC-0001"),
            (tags::MODALITY, VR::CS, modality),
            (tags::MANUFACTURER, VR::LO, "Synthetic Imaging"),
            (tags::MANUFACTURER_MODEL_NAME, VR::LO, "Detector 1"),
            (tags::REFERRING_PHYSICIAN_NAME, VR::PN, "Referrer^Rae"),
            (tags::STUDY_DESCRIPTION, VR::LO, "XR CHEST PA"),
            (tags::PATIENT_ID, VR::LO, &format!("SYN-{name}")),
            (tags::ISSUER_OF_PATIENT_ID, VR::LO, "EXAMPLE"),
            (tags::PATIENT_BIRTH_DATE, VR::DA, "19700101"),
            (tags::PATIENT_SEX, VR::CS, "F"),
            (tags::PATIENT_AGE, VR::AS, "056Y"),
            (tags::BODY_PART_EXAMINED, VR::CS, "CHEST"),
            (tags::STUDY_ID, VR::SH, "1"),
            (tags::SERIES_NUMBER, VR::IS, "1"),
            (tags::INSTANCE_NUMBER, VR::IS, "1"),
            (tags::IMAGE_COMMENTS, VR::LT, "of the scanner"),
        ],
    );
    data.put_bytes(tags::PATIENT_NAME, VR::PN, *b"Sint\xe9tica^Ana");
    data.put_items(tags::PROCEDURE_CODE_SEQUENCE, vec![code("399208008", "SCT", "Plain X-ray of chest")]);
    let mut request = Dataset::new();
    text(
        &mut request,
        &[
            (tags::REQUESTED_PROCEDURE_ID, VR::SH, "RP0001"),
            (tags::REQUESTED_PROCEDURE_DESCRIPTION, VR::LO, "XR CHEST PA"),
            (tags::SCHEDULED_PROCEDURE_STEP_ID, VR::SH, "SPS0001"),
        ],
    );
    data.put_items(tags::REQUEST_ATTRIBUTES_SEQUENCE, vec![request]);
    image_pixel(&mut data, 12);
    data
}

fn image_pixel(data: &mut Dataset, bits: u16) {
    text(
        data,
        &[
            (tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2"),
            (tags::BURNED_IN_ANNOTATION, VR::CS, "NO"),
            (tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "00"),
        ],
    );
    for (tag, value) in [
        (tags::SAMPLES_PER_PIXEL, 1),
        (tags::ROWS, ROWS),
        (tags::COLUMNS, COLUMNS),
        (tags::BITS_ALLOCATED, if bits > 8 { 16 } else { 8 }),
        (tags::BITS_STORED, bits),
        (tags::HIGH_BIT, bits - 1),
        (tags::PIXEL_REPRESENTATION, 0),
    ] {
        data.put_u16(tag, &[value]);
    }
}

/// A Computed Radiography image.
pub(crate) fn cr(name: &str) -> Dataset {
    let mut data = common(name, uids::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE, "CR");
    text(
        &mut data,
        &[
            (tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY"),
            (tags::VIEW_POSITION, VR::CS, "PA"),
            (tags::PATIENT_ORIENTATION, VR::CS, "L\\F"),
            (tags::IMAGER_PIXEL_SPACING, VR::DS, "0.4\\0.3"),
            (tags::WINDOW_CENTER, VR::DS, "2048"),
            (tags::WINDOW_WIDTH, VR::DS, "4096"),
        ],
    );
    data
}

/// A Digital X-Ray image for presentation.
pub(crate) fn dx(name: &str) -> Dataset {
    let mut data = common(name, uids::DIGITAL_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION, "DX");
    text(
        &mut data,
        &[
            (tags::IMAGE_TYPE, VR::CS, "DERIVED\\PRIMARY\\"),
            (tags::PRESENTATION_INTENT_TYPE, VR::CS, "FOR PRESENTATION"),
            (tags::PATIENT_ORIENTATION, VR::CS, "L\\F"),
            (tags::IMAGER_PIXEL_SPACING, VR::DS, "0.14399999380112\\0.144"),
            (tags::IMAGE_LATERALITY, VR::CS, "U"),
            (tags::PIXEL_INTENSITY_RELATIONSHIP, VR::CS, "LOG"),
            (tags::RESCALE_INTERCEPT, VR::DS, "0"),
            (tags::RESCALE_SLOPE, VR::DS, "1"),
            (tags::RESCALE_TYPE, VR::LO, "US"),
            (tags::PRESENTATION_LUT_SHAPE, VR::CS, "IDENTITY"),
            (tags::DETECTOR_TYPE, VR::CS, "SCINTILLATOR"),
            (tags::POSITIONER_TYPE, VR::CS, "NONE"),
            (tags::WINDOW_CENTER, VR::DS, "2048"),
            (tags::WINDOW_WIDTH, VR::DS, "4096"),
            (tags::PATIENT_ORIENTATION, VR::CS, "L\\F"),
        ],
    );
    data.put_bytes(tags::PIXEL_INTENSITY_RELATIONSHIP_SIGN, VR::SS, (-1i16).to_le_bytes());
    data.put_items(tags::ACQUISITION_CONTEXT_SEQUENCE, Vec::new());
    data.put_items(tags::ANATOMIC_REGION_SEQUENCE, vec![code("51185008", "SCT", "Chest")]);
    let mut view = code("399348003", "SCT", "antero-posterior");
    view.put_items(tags::VIEW_MODIFIER_CODE_SEQUENCE, Vec::new());
    data.put_items(tags::VIEW_CODE_SEQUENCE, vec![view]);
    data
}

/// A radiograph that was published as a Secondary Capture, lossy, without an accession number or a request.
pub(crate) fn published(name: &str) -> Dataset {
    let mut data = common(name, uids::SECONDARY_CAPTURE_IMAGE_STORAGE, "CR");
    for tag in [
        tags::REQUEST_ATTRIBUTES_SEQUENCE,
        tags::IMAGE_TYPE,
        tags::BURNED_IN_ANNOTATION,
        tags::ISSUER_OF_PATIENT_ID,
        tags::PROCEDURE_CODE_SEQUENCE,
    ] {
        data.remove(tag);
    }
    data.put_bytes(tags::ACCESSION_NUMBER, VR::SH, []);
    data.put_bytes(tags::PATIENT_NAME, VR::PN, *b"SYN^PUBLISHED ");
    text(
        &mut data,
        &[
            (tags::CONVERSION_TYPE, VR::CS, "WSD"),
            (tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "01"),
            (tags::LOSSY_IMAGE_COMPRESSION_METHOD, VR::CS, "ISO_10918_1"),
            (tags::LOSSY_IMAGE_COMPRESSION_RATIO, VR::DS, "12.5"),
        ],
    );
    data.put_bytes(tags::PATIENT_ORIENTATION, VR::CS, []);
    image_bits_8(&mut data);
    data
}

fn image_bits_8(data: &mut Dataset) {
    let lossy = data.text(tags::LOSSY_IMAGE_COMPRESSION);
    image_pixel(data, 8);
    data.remove(tags::BURNED_IN_ANNOTATION);
    if let Some(lossy) = lossy {
        data.put_text(tags::LOSSY_IMAGE_COMPRESSION, VR::CS, &lossy);
    }
}

/// Three frames in one Multi-frame Grayscale Byte Secondary Capture.
pub(crate) fn multi_frame(name: &str) -> Dataset {
    let mut data = common(name, uids::MULTI_FRAME_GRAYSCALE_BYTE_SECONDARY_CAPTURE_IMAGE_STORAGE, "RF");
    image_pixel(&mut data, 8);
    text(
        &mut data,
        &[
            (tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY"),
            (tags::CONVERSION_TYPE, VR::CS, "WSD"),
            (tags::NUMBER_OF_FRAMES, VR::IS, "3"),
            (tags::FRAME_TIME, VR::DS, "100"),
            (tags::PRESENTATION_LUT_SHAPE, VR::CS, "IDENTITY"),
            (tags::RESCALE_INTERCEPT, VR::DS, "0"),
            (tags::RESCALE_SLOPE, VR::DS, "1"),
            (tags::RESCALE_TYPE, VR::LO, "US"),
            (tags::RECOGNIZABLE_VISUAL_FEATURES, VR::CS, "NO"),
            (tags::PATIENT_ORIENTATION, VR::CS, "L\\F"),
        ],
    );
    data.put_bytes(tags::FRAME_INCREMENT_POINTER, VR::AT, [0x18, 0x00, 0x63, 0x10]);
    data
}

/// An ultrasound image in colour.
pub(crate) fn us(name: &str) -> Dataset {
    let mut data = common(name, uids::ULTRASOUND_IMAGE_STORAGE, "US");
    image_pixel(&mut data, 8);
    text(
        &mut data,
        &[
            (tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY"),
            (tags::PATIENT_ORIENTATION, VR::CS, ""),
            (tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "RGB"),
        ],
    );
    data.put_u16(tags::SAMPLES_PER_PIXEL, &[3]);
    data.put_u16(tags::PLANAR_CONFIGURATION, &[0]);
    data
}

/// A condition at a probability, with `regions` boxes side by side if it is marked.
pub(crate) fn finding(name: &str, probability: f32, regions: u8) -> Finding {
    let concept = match name {
        "pneumonia" => Code::new("233604007", "SCT", "Pneumonia"),
        "pleural-effusion" => Code::new("60046008", "SCT", "Pleural effusion"),
        other => Code::new("R-1", "99TEST", other),
    };
    let band = match probability {
        p if p < 0.3 => Band::Low,
        p if p < 0.65 => Band::Medium,
        _ => Band::High,
    };
    let regions = (0..regions)
        .map(|i| {
            let left = 20.0 + 50.0 * f32::from(i);
            let outline = if i == 0 {
                vec![[left, 90.5], [left + 40.0, 90.5], [left + 40.0, 130.0], [left, 130.0]]
            } else {
                vec![[left, 90.0], [left + 30.25, 80.0], [left + 40.0, 120.0], [left + 20.0, 140.5], [left, 120.0]]
            };
            Region { outline, peak: 0.9 }
        })
        .collect();
    let site = Some(Code::new("39607008", "SCT", "Lung"));
    Finding { name: name.into(), concept, site, probability, band, marking_threshold: 0.5, regions }
}

/// A grey ramp as source picture and a bump as map.
pub(crate) fn picture_and_map() -> (Vec<u8>, Vec<f32>) {
    let mut picture = Vec::new();
    let mut map = Vec::new();
    for row in 0..ROWS {
        for column in 0..COLUMNS {
            let (x, y) = (f32::from(column) / f32::from(COLUMNS), f32::from(row) / f32::from(ROWS));
            picture.push(u8::try_from(u32::from(row) * 255 / u32::from(ROWS)).unwrap());
            let (dx, dy) = ((x - 0.25) / 0.15, (y - 0.55) / 0.12);
            map.push((-(dx * dx + dy * dy)).exp());
        }
    }
    (picture, map)
}

/// Reads an object back with the reader of this workspace.
pub(crate) fn read(object: &Object) -> Dataset {
    let (meta, header) = read_file(&object.bytes, &Limits::default()).unwrap();
    assert_eq!(meta.sop_instance.as_ref(), Some(&object.sop_instance));
    assert_eq!(meta.sop_class.as_ref(), Some(&object.sop_class));
    assert_eq!(meta.transfer_syntax, uids::EXPLICIT_VR_LITTLE_ENDIAN);
    header.dataset
}

/// The item's concept code.
pub(crate) fn name_of(item: &Dataset) -> String {
    let name = item.items(tags::CONCEPT_NAME_CODE_SEQUENCE).first();
    name.and_then(|code| code.text(tags::CODE_VALUE)).unwrap_or_default()
}

/// Every item below the root, depth first.
pub(crate) fn items(report: &Dataset) -> Vec<&Dataset> {
    let mut found = Vec::new();
    let mut rest: Vec<&Dataset> = report.items(tags::CONTENT_SEQUENCE).iter().rev().collect();
    while let Some(item) = rest.pop() {
        found.push(item);
        rest.extend(item.items(tags::CONTENT_SEQUENCE).iter().rev());
    }
    found
}

/// The direct children with this concept code.
pub(crate) fn children<'a>(item: &'a Dataset, code: &str) -> Vec<&'a Dataset> {
    item.items(tags::CONTENT_SEQUENCE).iter().filter(|child| name_of(child) == code).collect()
}

/// The Measurement Groups.
pub(crate) fn groups(report: &Dataset) -> Vec<&Dataset> {
    items(report).into_iter().filter(|item| name_of(item) == "125007").collect()
}

pub(crate) fn uid(text: &str) -> Uid {
    Uid::new(text).unwrap()
}
