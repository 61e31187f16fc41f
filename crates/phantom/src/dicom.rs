//! A computed radiograph as a DICOM object: the modules of PS3.3 § A.26 (digital X-ray, for
//! presentation) or § A.2 (computed radiography).

use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::{Dataset, Encoding, MetaFields, Tag, VR, file_meta, write_dataset};
use dokuei_types::Code;

use crate::identity::{DicomIdentity, ImageClass};
use crate::radiograph::Radiograph;

/// A complete Part 10 file in Explicit VR Little Endian.
#[must_use]
pub fn to_dicom(radiograph: &Radiograph, identity: &DicomIdentity) -> Vec<u8> {
    to_dicom_in(radiograph, identity, uids::EXPLICIT_VR_LITTLE_ENDIAN)
}

/// A complete Part 10 file in one of the uncompressed transfer syntaxes (PS3.5 § A.1 to A.3); any other
/// is taken for Explicit VR Little Endian.
#[must_use]
pub fn to_dicom_in(radiograph: &Radiograph, identity: &DicomIdentity, transfer_syntax: &str) -> Vec<u8> {
    let encoding = Encoding::of(transfer_syntax);
    let transfer_syntax = match encoding {
        Encoding::ExplicitLittle => uids::EXPLICIT_VR_LITTLE_ENDIAN,
        Encoding::ImplicitLittle | Encoding::ExplicitBig => transfer_syntax,
    };
    let mut file = file_meta(&MetaFields {
        sop_class: identity.image_class.sop_class(),
        sop_instance: identity.sop_instance.as_str(),
        transfer_syntax,
        source_ae: None,
        sending_ae: None,
        receiving_ae: None,
    });
    file.extend_from_slice(&write_dataset(&to_data_set(radiograph, identity), encoding));
    file
}

/// The data set alone, pixel data included.
#[must_use]
pub fn to_data_set(radiograph: &Radiograph, identity: &DicomIdentity) -> Dataset {
    let mut set = Dataset::new();
    sop_common(&mut set, identity);
    patient(&mut set, identity);
    study(&mut set, identity);
    series(&mut set, identity);
    equipment(&mut set, identity);
    acquisition(&mut set, radiograph, identity);
    image(&mut set, radiograph, identity);
    if identity.image_class == ImageClass::DigitalXRay {
        digital(&mut set, radiograph);
    }
    pixels(&mut set, radiograph);
    set
}

impl ImageClass {
    /// SOP Class UID (0008,0016).
    #[must_use]
    pub fn sop_class(self) -> &'static str {
        match self {
            Self::DigitalXRay => uids::DIGITAL_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION,
            Self::ComputedRadiography => uids::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE,
        }
    }

    /// Modality (0008,0060).
    #[must_use]
    pub fn modality(self) -> &'static str {
        match self {
            Self::DigitalXRay => "DX",
            Self::ComputedRadiography => "CR",
        }
    }
}

fn sop_common(set: &mut Dataset, identity: &DicomIdentity) {
    if let Some(term) = identity.character_set.term() {
        set.put_text(tags::SPECIFIC_CHARACTER_SET, VR::CS, term);
    }
    set.put_text(tags::SOP_CLASS_UID, VR::UI, identity.image_class.sop_class());
    set.put_text(tags::SOP_INSTANCE_UID, VR::UI, identity.sop_instance.as_str());
    set.put_text(tags::INSTANCE_CREATION_DATE, VR::DA, &identity.date);
    set.put_text(tags::INSTANCE_CREATION_TIME, VR::TM, &identity.time);
}

fn patient(set: &mut Dataset, identity: &DicomIdentity) {
    put_encoded(set, identity, tags::PATIENT_NAME, VR::PN, &identity.name.joined());
    set.put_text(tags::PATIENT_ID, VR::LO, &identity.patient_id);
    set.put_text(tags::ISSUER_OF_PATIENT_ID, VR::LO, "DOKUEI-PHANTOM");
    set.put_text(tags::PATIENT_BIRTH_DATE, VR::DA, &identity.birth_date);
    set.put_text(tags::PATIENT_SEX, VR::CS, identity.sex.as_str());
    set.put_text(tags::PATIENT_AGE, VR::AS, &format!("{:03}Y", identity.age_years.min(999)));
    set.put_text(tags::QUALITY_CONTROL_SUBJECT, VR::CS, "YES");
    set.put_text(tags::PATIENT_COMMENTS, VR::LT, "Computed radiograph of nobody; not a person");
}

fn study(set: &mut Dataset, identity: &DicomIdentity) {
    set.put_text(tags::STUDY_INSTANCE_UID, VR::UI, identity.study_instance.as_str());
    set.put_text(tags::STUDY_DATE, VR::DA, &identity.date);
    set.put_text(tags::STUDY_TIME, VR::TM, &identity.time);
    set.put_text(tags::STUDY_ID, VR::SH, "1");
    set.put_text(tags::ACCESSION_NUMBER, VR::SH, &identity.accession_number);
    set.put_text(tags::REFERRING_PHYSICIAN_NAME, VR::PN, "Referrer^Invented");
    put_encoded(set, identity, tags::STUDY_DESCRIPTION, VR::LO, &identity.study_description);
}

fn series(set: &mut Dataset, identity: &DicomIdentity) {
    set.put_text(tags::MODALITY, VR::CS, identity.image_class.modality());
    set.put_text(tags::SERIES_INSTANCE_UID, VR::UI, identity.series_instance.as_str());
    set.put_text(tags::SERIES_NUMBER, VR::IS, "1");
    set.put_text(tags::SERIES_DATE, VR::DA, &identity.date);
    set.put_text(tags::SERIES_TIME, VR::TM, &identity.time);
    set.put_text(tags::SERIES_DESCRIPTION, VR::LO, "Chest PA erect");
    set.put_text(tags::PROTOCOL_NAME, VR::LO, "Chest PA");
    set.put_text(tags::BODY_PART_EXAMINED, VR::CS, "CHEST");
    set.put_text(tags::VIEW_POSITION, VR::CS, "PA");
    let mut request = Dataset::new();
    request.put_text(tags::ACCESSION_NUMBER, VR::SH, &identity.accession_number);
    request.put_text(tags::STUDY_INSTANCE_UID, VR::UI, identity.study_instance.as_str());
    request.put_text(tags::REQUESTED_PROCEDURE_ID, VR::SH, "RP1");
    put_encoded(&mut request, identity, tags::REQUESTED_PROCEDURE_DESCRIPTION, VR::LO, &identity.study_description);
    request.put_text(tags::SCHEDULED_PROCEDURE_STEP_ID, VR::SH, "SPS1");
    request.put_text(tags::SCHEDULED_PROCEDURE_STEP_DESCRIPTION, VR::LO, "Chest PA");
    set.put_items(tags::REQUEST_ATTRIBUTES_SEQUENCE, vec![request]);
}

fn equipment(set: &mut Dataset, identity: &DicomIdentity) {
    set.put_text(tags::MANUFACTURER, VR::LO, "Dokuei");
    set.put_text(tags::MANUFACTURER_MODEL_NAME, VR::LO, "Computed thorax phantom");
    set.put_text(tags::SOFTWARE_VERSIONS, VR::LO, env!("CARGO_PKG_VERSION"));
    set.put_text(tags::DEVICE_SERIAL_NUMBER, VR::LO, "0");
    set.put_text(tags::STATION_NAME, VR::SH, &identity.station);
    put_encoded(set, identity, tags::INSTITUTION_NAME, VR::LO, &identity.institution);
}

fn acquisition(set: &mut Dataset, radiograph: &Radiograph, identity: &DicomIdentity) {
    let truth = &radiograph.truth;
    set.put_text(tags::ACQUISITION_DATE, VR::DA, &identity.date);
    set.put_text(tags::ACQUISITION_TIME, VR::TM, &identity.time);
    set.put_text(tags::ACQUISITION_NUMBER, VR::IS, "1");
    set.put_text(tags::KVP, VR::DS, &truth.kvp.to_string());
    set.put_text(tags::DISTANCE_SOURCE_TO_DETECTOR, VR::DS, &truth.source_to_detector_mm.to_string());
    set.put_text(tags::DISTANCE_SOURCE_TO_PATIENT, VR::DS, &truth.source_to_patient_mm.to_string());
    let spacing = format!("{0:.3}\\{0:.3}", radiograph.pixel_spacing_mm);
    set.put_text(tags::IMAGER_PIXEL_SPACING, VR::DS, &spacing);
    set.put_text(tags::PIXEL_SPACING, VR::DS, &spacing);
}

fn image(set: &mut Dataset, radiograph: &Radiograph, identity: &DicomIdentity) {
    set.put_text(tags::INSTANCE_NUMBER, VR::IS, "1");
    set.put_text(tags::IMAGE_TYPE, VR::CS, "DERIVED\\PRIMARY");
    set.put_text(tags::CONTENT_DATE, VR::DA, &identity.date);
    set.put_text(tags::CONTENT_TIME, VR::TM, &identity.time);
    // Columns run to the patient's left, rows to the feet.
    set.put_text(tags::PATIENT_ORIENTATION, VR::CS, "L\\F");
    set.put_text(tags::DERIVATION_DESCRIPTION, VR::ST, "Computed from a mathematical model of the thorax");
    set.put_text(tags::BURNED_IN_ANNOTATION, VR::CS, "NO");
    set.put_text(tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "00");
    set.put_text(tags::WINDOW_CENTER, VR::DS, &radiograph.window_centre.to_string());
    set.put_text(tags::WINDOW_WIDTH, VR::DS, &radiograph.window_width.to_string());
    set.put_text(tags::WINDOW_CENTER_WIDTH_EXPLANATION, VR::LO, "NORMAL");
}

/// What § A.26 asks for beyond computed radiography: DX Series, DX Anatomy Imaged, DX Image, DX
/// Detector, DX Positioning and Acquisition Context modules.
fn digital(set: &mut Dataset, radiograph: &Radiograph) {
    set.put_text(tags::PRESENTATION_INTENT_TYPE, VR::CS, "FOR PRESENTATION");
    set.put_text(tags::IMAGE_LATERALITY, VR::CS, "U");
    set.put_items(tags::ANATOMIC_REGION_SEQUENCE, vec![code(&Code::new("816094009", "SCT", "Chest"))]);
    set.put_text(tags::PIXEL_INTENSITY_RELATIONSHIP, VR::CS, "LOG");
    // High values stand for little radiation, unless they are shown dark.
    let sign: i16 = if radiograph.monochrome1 { 1 } else { -1 };
    set.put_bytes(tags::PIXEL_INTENSITY_RELATIONSHIP_SIGN, VR::SS, sign.to_le_bytes());
    set.put_text(tags::RESCALE_INTERCEPT, VR::DS, "0");
    set.put_text(tags::RESCALE_SLOPE, VR::DS, "1");
    set.put_text(tags::RESCALE_TYPE, VR::LO, "US");
    let shape = if radiograph.monochrome1 { "INVERSE" } else { "IDENTITY" };
    set.put_text(tags::PRESENTATION_LUT_SHAPE, VR::CS, shape);
    set.put_text(tags::DETECTOR_TYPE, VR::CS, "SCINTILLATOR");
    set.put_text(tags::DETECTOR_CONFIGURATION, VR::CS, "AREA");
    set.put_text(tags::POSITIONER_TYPE, VR::CS, "COLUMN");
    let magnification = radiograph.truth.source_to_detector_mm / radiograph.truth.source_to_patient_mm;
    set.put_text(tags::ESTIMATED_RADIOGRAPHIC_MAGNIFICATION_FACTOR, VR::DS, &format!("{magnification:.4}"));
    set.put_items(tags::VIEW_CODE_SEQUENCE, vec![code(&Code::new("272479007", "SCT", "postero-anterior"))]);
    set.put_text(tags::EXPOSURE_CONTROL_MODE, VR::CS, "AUTOMATIC");
    set.put_text(tags::GRID, VR::CS, "FIXED\\FOCUSED");
    set.put_items(tags::ACQUISITION_CONTEXT_SEQUENCE, Vec::new());
}

fn pixels(set: &mut Dataset, radiograph: &Radiograph) {
    let photometric = if radiograph.monochrome1 { "MONOCHROME1" } else { "MONOCHROME2" };
    set.put_u16(tags::SAMPLES_PER_PIXEL, &[1]);
    set.put_text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, photometric);
    set.put_u16(tags::ROWS, &[u16::try_from(radiograph.rows).unwrap_or(u16::MAX)]);
    set.put_u16(tags::COLUMNS, &[u16::try_from(radiograph.columns).unwrap_or(u16::MAX)]);
    set.put_u16(tags::BITS_ALLOCATED, &[16]);
    set.put_u16(tags::BITS_STORED, &[radiograph.bits_stored]);
    set.put_u16(tags::HIGH_BIT, &[radiograph.bits_stored.saturating_sub(1)]);
    set.put_u16(tags::PIXEL_REPRESENTATION, &[0]);
    let bytes: Vec<u8> = radiograph.pixels.iter().flat_map(|pixel| pixel.to_le_bytes()).collect();
    set.put_bytes(tags::PIXEL_DATA, VR::OW, bytes);
}

fn code(code: &Code) -> Dataset {
    let mut item = Dataset::new();
    item.put_text(tags::CODE_VALUE, VR::SH, &code.value);
    item.put_text(tags::CODING_SCHEME_DESIGNATOR, VR::SH, &code.scheme);
    item.put_text(tags::CODE_MEANING, VR::LO, &code.meaning);
    item
}

/// A text in the identity's character set.
fn put_encoded(set: &mut Dataset, identity: &DicomIdentity, tag: Tag, vr: VR, text: &str) {
    let mut bytes = identity.character_set.encode(text);
    if bytes.len() % 2 == 1 {
        bytes.push(b' ');
    }
    set.put_bytes(tag, vr, bytes);
}
