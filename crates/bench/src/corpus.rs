//! What is sent: synthetic objects of the sizes modalities make, the same bytes every time.

use clap::ValueEnum;
use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::{Dataset, Encoding, VR, write_dataset};
use serde::Serialize;

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Corpus {
    /// CT slices of 0.5 MB, a hundred to a study.
    Ct,
    /// Digital radiographs of 10 MB, one to a study.
    Dx,
    /// Text reports of 4 KB, fifty to a study.
    Sr,
    /// Multi-frame objects of 250 MB, one to a study.
    Mf,
}

/// Whose UID it is; the digit that tells it from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Study = 1,
    Series = 2,
    Instance = 3,
}

/// Digits of the number at the end of each UID.
pub(crate) const NUMBER_DIGITS: usize = 13;

/// Instances one association can number.
const PER_ASSOCIATION: u64 = 100_000_000;

/// What stands in front of the number, by level.
pub(crate) fn uid_prefix(corpus: Corpus, level: Level) -> String {
    format!("2.25.{}{}", corpus as u8 + 1, level as u8)
}

/// A UID; every one has the same length, so that a number can be written over another.
pub(crate) fn uid(corpus: Corpus, level: Level, number: u64) -> String {
    format!("{}{number:0NUMBER_DIGITS$}", uid_prefix(corpus, level))
}

/// A data set in Explicit VR Little Endian whose UIDs carry the number 0.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) corpus: Corpus,
    /// Everything up to the pixels, with the header of their element.
    pub(crate) header: Vec<u8>,
    /// Length of the pixels, which end the data set; see [`Pixels`].
    pub(crate) pixel_bytes: usize,
}

impl Corpus {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ct => "ct",
            Self::Dx => "dx",
            Self::Sr => "sr",
            Self::Mf => "mf",
        }
    }

    pub(crate) fn sop_class(self) -> &'static str {
        match self {
            Self::Ct => uids::CT_IMAGE_STORAGE,
            Self::Dx => uids::DIGITAL_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION,
            Self::Sr => uids::BASIC_TEXT_SR_STORAGE,
            Self::Mf => uids::MULTI_FRAME_GRAYSCALE_WORD_SECONDARY_CAPTURE_IMAGE_STORAGE,
        }
    }

    fn modality(self) -> &'static str {
        match self {
            Self::Ct => "CT",
            Self::Dx => "DX",
            Self::Sr => "SR",
            Self::Mf => "OT",
        }
    }

    fn instances_per_study(self) -> u64 {
        match self {
            Self::Ct => 100,
            Self::Sr => 50,
            Self::Dx | Self::Mf => 1,
        }
    }

    /// The number of an association's instance, and of the study and series it belongs to.
    pub(crate) fn number(self, level: Level, association: u64, sequence: u64) -> u64 {
        let within = match level {
            Level::Instance => sequence,
            Level::Study | Level::Series => sequence / self.instances_per_study(),
        };
        association * PER_ASSOCIATION + within
    }

    pub(crate) fn object(self) -> Object {
        match self {
            Self::Ct => image(self, 512, 512, 1),
            Self::Dx => image(self, 2500, 2048, 1),
            Self::Sr => Object { corpus: self, header: explicit(&report(self)), pixel_bytes: 0 },
            Self::Mf => image(self, 456, 456, 600),
        }
    }
}

impl Object {
    pub(crate) fn len_bytes(&self) -> usize {
        self.header.len() + self.pixel_bytes
    }

    /// The header of an association's instance.
    pub(crate) fn numbered(&self, association: u64, sequence: u64) -> Vec<u8> {
        let mut header = self.header.clone();
        for level in [Level::Study, Level::Series, Level::Instance] {
            let template = uid(self.corpus, level, 0);
            let own = uid(self.corpus, level, self.corpus.number(level, association, sequence));
            for at in find(&self.header, template.as_bytes()) {
                header[at..at + own.len()].copy_from_slice(own.as_bytes());
            }
        }
        header
    }
}

/// Where `needle` begins in `bytes`.
pub(crate) fn find(bytes: &[u8], needle: &[u8]) -> Vec<usize> {
    let windows = bytes.windows(needle.len()).enumerate();
    windows.filter(|(_, window)| *window == needle).map(|(at, _)| at).collect()
}

fn explicit(data_set: &Dataset) -> Vec<u8> {
    write_dataset(data_set, Encoding::ExplicitLittle)
}

fn common(corpus: Corpus) -> Dataset {
    let mut data_set = Dataset::new();
    data_set.put_text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192");
    data_set.put_text(tags::SOP_CLASS_UID, VR::UI, corpus.sop_class());
    data_set.put_text(tags::SOP_INSTANCE_UID, VR::UI, &uid(corpus, Level::Instance, 0));
    data_set.put_text(tags::STUDY_DATE, VR::DA, "20240102");
    data_set.put_text(tags::STUDY_TIME, VR::TM, "030405");
    data_set.put_text(tags::ACCESSION_NUMBER, VR::SH, "BENCH1");
    data_set.put_text(tags::MODALITY, VR::CS, corpus.modality());
    data_set.put_text(tags::MANUFACTURER, VR::LO, "SYNTHETIC");
    data_set.put_text(tags::REFERRING_PHYSICIAN_NAME, VR::PN, "REFERRER^SYNTHETIC");
    data_set.put_text(tags::STUDY_DESCRIPTION, VR::LO, "SYNTHETIC STUDY");
    data_set.put_text(tags::SERIES_DESCRIPTION, VR::LO, "SYNTHETIC SERIES");
    data_set.put_text(tags::PATIENT_NAME, VR::PN, "BENCH^SYNTHETIC");
    data_set.put_text(tags::PATIENT_ID, VR::LO, "BENCH1");
    data_set.put_text(tags::PATIENT_BIRTH_DATE, VR::DA, "19700101");
    data_set.put_text(tags::PATIENT_SEX, VR::CS, "O");
    data_set.put_text(tags::STUDY_INSTANCE_UID, VR::UI, &uid(corpus, Level::Study, 0));
    data_set.put_text(tags::SERIES_INSTANCE_UID, VR::UI, &uid(corpus, Level::Series, 0));
    data_set.put_text(tags::STUDY_ID, VR::SH, "1");
    data_set.put_text(tags::SERIES_NUMBER, VR::IS, "1");
    data_set.put_text(tags::INSTANCE_NUMBER, VR::IS, "1");
    data_set
}

/// Frames of 12 bits stored in 16.
fn image(corpus: Corpus, rows: u16, columns: u16, frames: usize) -> Object {
    let mut data_set = common(corpus);
    data_set.put_text(tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY");
    data_set.put_text(tags::BODY_PART_EXAMINED, VR::CS, "CHEST");
    data_set.put_u16(tags::SAMPLES_PER_PIXEL, &[1]);
    data_set.put_text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2");
    if frames > 1 {
        data_set.put_text(tags::NUMBER_OF_FRAMES, VR::IS, &frames.to_string());
    }
    data_set.put_u16(tags::ROWS, &[rows]);
    data_set.put_u16(tags::COLUMNS, &[columns]);
    data_set.put_text(tags::PIXEL_SPACING, VR::DS, "0.65\\0.65");
    data_set.put_u16(tags::BITS_ALLOCATED, &[16]);
    data_set.put_u16(tags::BITS_STORED, &[12]);
    data_set.put_u16(tags::HIGH_BIT, &[11]);
    data_set.put_u16(tags::PIXEL_REPRESENTATION, &[0]);
    data_set.put_text(tags::RESCALE_INTERCEPT, VR::DS, "-1024");
    data_set.put_text(tags::RESCALE_SLOPE, VR::DS, "1");

    let pixel_bytes = usize::from(rows) * usize::from(columns) * frames * 2;
    let mut header = explicit(&data_set);
    header.extend_from_slice(&tags::PIXEL_DATA.group().to_le_bytes());
    header.extend_from_slice(&tags::PIXEL_DATA.element().to_le_bytes());
    header.extend_from_slice(b"OW\0\0");
    header.extend_from_slice(&u32::try_from(pixel_bytes).unwrap_or(u32::MAX).to_le_bytes());
    Object { corpus, header, pixel_bytes }
}

/// A Basic Text SR with ten findings in words.
fn report(corpus: Corpus) -> Dataset {
    let mut report = common(corpus);
    report.put_text(tags::VALUE_TYPE, VR::CS, "CONTAINER");
    report.put_items(tags::CONCEPT_NAME_CODE_SEQUENCE, vec![code("18748-4", "LN", "Diagnostic Imaging Report")]);
    report.put_text(tags::CONTINUITY_OF_CONTENT, VR::CS, "SEPARATE");
    report.put_items(tags::PERFORMED_PROCEDURE_CODE_SEQUENCE, Vec::new());
    report.put_text(tags::COMPLETION_FLAG, VR::CS, "COMPLETE");
    report.put_text(tags::VERIFICATION_FLAG, VR::CS, "UNVERIFIED");
    let finding = || {
        let mut item = Dataset::new();
        item.put_text(tags::RELATIONSHIP_TYPE, VR::CS, "CONTAINS");
        item.put_text(tags::VALUE_TYPE, VR::CS, "TEXT");
        item.put_items(tags::CONCEPT_NAME_CODE_SEQUENCE, vec![code("121071", "DCM", "Finding")]);
        item.put_text(tags::TEXT_VALUE, VR::UT, &"no acute abnormality is seen in this image; ".repeat(4));
        item
    };
    report.put_items(tags::CONTENT_SEQUENCE, (0..10).map(|_| finding()).collect());
    report
}

fn code(value: &str, scheme: &str, meaning: &str) -> Dataset {
    let mut code = Dataset::new();
    code.put_text(tags::CODE_VALUE, VR::SH, value);
    code.put_text(tags::CODING_SCHEME_DESIGNATOR, VR::SH, scheme);
    code.put_text(tags::CODE_MEANING, VR::LO, meaning);
    code
}

/// Samples of noise, the same again after 256 KiB.
#[derive(Debug)]
pub(crate) struct Pixels(Vec<u8>);

impl Pixels {
    pub(crate) fn new() -> Self {
        let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut sample = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state & 0x0FFF).to_le_bytes()
        };
        Self((0..1 << 17).flat_map(|_| sample().into_iter().take(2)).collect())
    }

    /// Appends the `count` bytes from `offset` on.
    pub(crate) fn put(&self, out: &mut Vec<u8>, mut offset: usize, mut count: usize) {
        while count > 0 {
            let start = offset % self.0.len();
            let piece = count.min(self.0.len() - start);
            out.extend_from_slice(&self.0[start..start + piece]);
            (offset, count) = (offset + piece, count - piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use dokuei_dataset::{Limits, read_header};

    use super::*;

    fn check(corpus: Corpus, sizes_bytes: std::ops::Range<usize>) {
        let object = corpus.object();
        assert!(sizes_bytes.contains(&object.len_bytes()), "{corpus:?}: {} bytes", object.len_bytes());
        let mut bytes = object.header.clone();
        Pixels::new().put(&mut bytes, 0, object.pixel_bytes);
        let header = read_header(&bytes, 0, uids::EXPLICIT_VR_LITTLE_ENDIAN, &Limits::default()).unwrap();
        assert_eq!(header.dataset.text(tags::SOP_CLASS_UID).as_deref(), Some(corpus.sop_class()));
        let pixels = header.pixels.and_then(|pixels| pixels.length);
        assert_eq!(pixels.unwrap_or(0), u64::try_from(object.pixel_bytes).unwrap());
    }

    #[test]
    fn objects_are_what_modalities_send() {
        check(Corpus::Ct, 520_000..530_000);
        check(Corpus::Dx, 10_200_000..10_300_000);
        check(Corpus::Sr, 3_500..4_500);
    }

    #[test]
    fn a_study_has_the_instances_its_modality_makes() {
        assert_eq!(Corpus::Ct.number(Level::Study, 2, 99), Corpus::Ct.number(Level::Study, 2, 0));
        assert_ne!(Corpus::Ct.number(Level::Study, 2, 100), Corpus::Ct.number(Level::Study, 2, 0));
        assert_ne!(Corpus::Ct.number(Level::Instance, 2, 1), Corpus::Ct.number(Level::Instance, 3, 1));
        assert_ne!(Corpus::Dx.number(Level::Study, 0, 1), Corpus::Dx.number(Level::Study, 0, 0));
    }
}
