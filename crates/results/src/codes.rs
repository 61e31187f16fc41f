//! The coded concepts of the result objects, in the order of the templates that use them (PS3.16).

use std::borrow::Cow;

use dokuei_types::{Band, Code};

/// A coded concept (PS3.3 § 8.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Concept {
    pub(crate) value: Cow<'static, str>,
    pub(crate) scheme: Cow<'static, str>,
    pub(crate) meaning: Cow<'static, str>,
}

const fn concept(value: &'static str, scheme: &'static str, meaning: &'static str) -> Concept {
    Concept { value: Cow::Borrowed(value), scheme: Cow::Borrowed(scheme), meaning: Cow::Borrowed(meaning) }
}

const fn dcm(value: &'static str, meaning: &'static str) -> Concept {
    concept(value, "DCM", meaning)
}

const fn sct(value: &'static str, meaning: &'static str) -> Concept {
    concept(value, "SCT", meaning)
}

impl From<&Code> for Concept {
    fn from(code: &Code) -> Self {
        Self {
            value: Cow::Owned(code.value.clone()),
            scheme: Cow::Owned(code.scheme.clone()),
            meaning: Cow::Owned(code.meaning.clone()),
        }
    }
}

impl Concept {
    /// Whether a code sequence item names this concept, whatever its meaning says.
    pub(crate) fn is(&self, value: &str, scheme: &str) -> bool {
        self.value == value && self.scheme == scheme
    }
}

// Document title, CID 7021.
pub(crate) const IMAGING_MEASUREMENT_REPORT: Concept = dcm("126000", "Imaging Measurement Report");

// TID 1204, CID 5000.
pub(crate) const LANGUAGE: Concept = dcm("121049", "Language of Content Item and Descendants");
pub(crate) const ENGLISH: Concept = concept("en-US", "RFC5646", "English (United States)");

// TID 1002, TID 1004, CID 270.
pub(crate) const OBSERVER_TYPE: Concept = dcm("121005", "Observer Type");
pub(crate) const DEVICE: Concept = dcm("121007", "Device");
pub(crate) const DEVICE_OBSERVER_UID: Concept = dcm("121012", "Device Observer UID");
pub(crate) const DEVICE_OBSERVER_NAME: Concept = dcm("121013", "Device Observer Name");
pub(crate) const DEVICE_OBSERVER_MANUFACTURER: Concept = dcm("121014", "Device Observer Manufacturer");
pub(crate) const DEVICE_OBSERVER_MODEL_NAME: Concept = dcm("121015", "Device Observer Model Name");
pub(crate) const DEVICE_OBSERVER_SERIAL_NUMBER: Concept = dcm("121016", "Device Observer Serial Number");

// TID 1500 row 4, CID 100. The procedure itself stays in Procedure Code Sequence (0008,1032).
pub(crate) const PROCEDURE_REPORTED: Concept = dcm("121058", "Procedure reported");
pub(crate) const IMAGING_PROCEDURE: Concept = sct("363679005", "Imaging procedure");

// TID 1600, TID 1601, TID 1602.
pub(crate) const IMAGE_LIBRARY: Concept = dcm("111028", "Image Library");
pub(crate) const IMAGE_LIBRARY_GROUP: Concept = dcm("126200", "Image Library Group");
pub(crate) const SOURCE: Concept = sct("260753009", "Source");
pub(crate) const MODALITY: Concept = dcm("121139", "Modality");
pub(crate) const STUDY_DATE: Concept = dcm("111060", "Study Date");
pub(crate) const CONTENT_DATE: Concept = dcm("111018", "Content Date");
pub(crate) const ACQUISITION_DATE: Concept = dcm("126201", "Acquisition Date");
pub(crate) const PIXEL_DATA_ROWS: Concept = dcm("110910", "Pixel Data Rows");
pub(crate) const PIXEL_DATA_COLUMNS: Concept = dcm("110911", "Pixel Data Columns");
pub(crate) const PATIENT_ORIENTATION_ROW: Concept = dcm("111044", "Patient Orientation Row");
pub(crate) const PATIENT_ORIENTATION_COLUMN: Concept = dcm("111043", "Patient Orientation Column");
pub(crate) const HORIZONTAL_PIXEL_SPACING: Concept = dcm("111026", "Horizontal Pixel Spacing");
pub(crate) const VERTICAL_PIXEL_SPACING: Concept = dcm("111066", "Vertical Pixel Spacing");

// TID 1500 row 6, TID 1410, TID 1501.
pub(crate) const IMAGING_MEASUREMENTS: Concept = dcm("126010", "Imaging Measurements");
pub(crate) const MEASUREMENT_GROUP: Concept = dcm("125007", "Measurement Group");
pub(crate) const TRACKING_IDENTIFIER: Concept = dcm("112039", "Tracking Identifier");
pub(crate) const TRACKING_UNIQUE_IDENTIFIER: Concept = dcm("112040", "Tracking Unique Identifier");
pub(crate) const FINDING: Concept = dcm("121071", "Finding");
pub(crate) const FINDING_SITE: Concept = sct("363698007", "Finding Site");
pub(crate) const GEOMETRIC_PURPOSE: Concept = dcm("130400", "Geometric purpose of region");
pub(crate) const BOUNDED_BY: Concept = sct("75958009", "Bounded by");
pub(crate) const IMAGE_REGION: Concept = dcm("111030", "Image Region");
pub(crate) const ILLUSTRATION_OF_ROI: Concept = dcm("121200", "Illustration of ROI");
pub(crate) const SOURCE_OF_MEASUREMENT: Concept = dcm("121112", "Source of Measurement");

// TID 1502 row 3.
pub(crate) const TIME_POINT: Concept = concept("C2348792", "UMLS", "Time Point");

// TID 4019, CID 7162.
pub(crate) const ALGORITHM_NAME: Concept = dcm("111001", "Algorithm Name");
pub(crate) const ALGORITHM_VERSION: Concept = dcm("111003", "Algorithm Version");
pub(crate) const ALGORITHM_MANUFACTURER: Concept = dcm("122405", "Algorithm Manufacturer");
pub(crate) const ALGORITHM_PARAMETERS: Concept = dcm("111002", "Algorithm Parameters");
pub(crate) const ALGORITHM_FAMILY: Concept = dcm("111000", "Algorithm Family");
pub(crate) const ARTIFICIAL_INTELLIGENCE: Concept = dcm("123110", "Artificial Intelligence");

// TID 300 as used for a certainty: the concept and unit of TID 4006 row 6 and TID 4104 row 12.
pub(crate) const CERTAINTY_OF_FINDING: Concept = dcm("111012", "Certainty of Finding");
pub(crate) const ASSESSMENT_CATEGORY: Concept = dcm("111005", "Assessment Category");

// TID 1500 rows 12 to 14, CID 6047.
pub(crate) const QUALITATIVE_EVALUATIONS: Concept = concept("C0034375", "UMLS", "Qualitative Evaluations");
pub(crate) const PROCESSING_SUMMARY: Concept = dcm("111017", "CAD Processing and Findings Summary");
pub(crate) const ALL_WITHOUT_FINDINGS: Concept = dcm("111241", "All algorithms succeeded; without findings");
pub(crate) const ALL_WITH_FINDINGS: Concept = dcm("111242", "All algorithms succeeded; with findings");
pub(crate) const SOME_WITHOUT_FINDINGS: Concept = dcm("111243", "Not all algorithms succeeded; without findings");
pub(crate) const SOME_WITH_FINDINGS: Concept = dcm("111244", "Not all algorithms succeeded; with findings");
pub(crate) const NONE_SUCCEEDED: Concept = dcm("111245", "No algorithms succeeded; without findings");
pub(crate) const DESCRIPTION_OF_CHANGE: Concept = dcm("111021", "Description of Change");
pub(crate) const COMMENT: Concept = dcm("121106", "Comment");

// TID 2010, CID 7010.
pub(crate) const OF_INTEREST: Concept = dcm("113000", "Of Interest");
pub(crate) const REJECTED_FOR_QUALITY: Concept = dcm("113001", "Rejected for Quality Reasons");
pub(crate) const REJECTED_FOR_PATIENT_SAFETY: Concept = dcm("113037", "Rejected for Patient Safety Reasons");
pub(crate) const INCORRECT_WORKLIST_ENTRY: Concept = dcm("113038", "Incorrect Modality Worklist Entry");
pub(crate) const KEY_OBJECT_DESCRIPTION: Concept = dcm("113012", "Key Object Description");

// Units, CID 82.
pub(crate) const PERCENT: Concept = concept("%", "UCUM", "Percent");
pub(crate) const PIXELS: Concept = concept("{pixels}", "UCUM", "Pixels");
pub(crate) const MILLIMETRE: Concept = concept("mm", "UCUM", "mm");

// Segmentation property category: CID 7150. Derivation: CID 7203.
pub(crate) const MORPHOLOGICALLY_ABNORMAL: Concept = sct("49755003", "Morphologically Abnormal Structure");
pub(crate) const SEGMENTATION: Concept = dcm("113076", "Segmentation");

// Purposes of reference: CID 7005, CID 7202. Explanation maps: CID 217.
pub(crate) const PROCESSING_EQUIPMENT: Concept = dcm("109102", "Processing Equipment");
pub(crate) const SOURCE_FOR_PROCESSING: Concept = dcm("121322", "Source image for image processing operation");
pub(crate) const CLASS_ACTIVATION: Concept = dcm("130402", "Class activation");
pub(crate) const GRADIENT_CLASS_ACTIVATION: Concept = dcm("130403", "Gradient-weighted class activation");
pub(crate) const SALIENCY: Concept = dcm("130404", "Saliency");

/// The band as an assessment (CID 75, CID 252).
pub(crate) fn assessment(band: Band) -> Concept {
    match band {
        Band::Low => sct("62482003", "Low"),
        Band::Medium => sct("255508009", "Medium"),
        Band::High => sct("75540009", "High"),
    }
}

/// The acquisition modality as a code (CID 29); `None` for a term that the context group does not hold.
pub(crate) fn modality(term: &str) -> Option<Concept> {
    const MODALITIES: [(&str, &str); 23] = [
        ("CR", "Computed Radiography"),
        ("CT", "Computed Tomography"),
        ("DX", "Digital Radiography"),
        ("ECG", "Electrocardiography"),
        ("ES", "Endoscopy"),
        ("GM", "General Microscopy"),
        ("IO", "Intra-oral Radiography"),
        ("IVOCT", "Intravascular Optical Coherence Tomography"),
        ("IVUS", "Intravascular Ultrasound"),
        ("MG", "Mammography"),
        ("MR", "Magnetic Resonance"),
        ("NM", "Nuclear Medicine"),
        ("OP", "Ophthalmic Photography"),
        ("OPT", "Ophthalmic Tomography"),
        ("PT", "Positron emission tomography"),
        ("PX", "Panoramic X-Ray"),
        ("RF", "Radiofluoroscopy"),
        ("RG", "Radiographic imaging"),
        ("SM", "Slide Microscopy"),
        ("US", "Ultrasound"),
        ("XA", "X-Ray Angiography"),
        ("XC", "External-camera Photography"),
        ("BMD", "Bone Mineral Densitometry"),
    ];
    let &(value, meaning) = MODALITIES.iter().find(|(value, _)| *value == term)?;
    Some(dcm(value, meaning))
}
