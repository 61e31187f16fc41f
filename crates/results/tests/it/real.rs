//! Real headers, with all that real senders do to them. They are no part of the repository.

use std::path::PathBuf;
use std::sync::LazyLock;

use dicom_dictionary_std::tags;
use dokuei_dataset::{Dataset, Limits, read_file};
use dokuei_results::{
    CaptureStyle, ResultError, SourceImage, SourcePicture, SrClass, report_text, secondary_capture, structured_report,
};

use crate::fixtures::{Setup, finding, groups, read};

/// The headers of the shared DICOM files with their paths; none, with a line that says so, where they are
/// absent.
pub(crate) fn headers() -> &'static [(PathBuf, Dataset)] {
    static HEADERS: LazyLock<Vec<(PathBuf, Dataset)>> = LazyLock::new(read_headers);
    &HEADERS
}

fn read_headers() -> Vec<(PathBuf, Dataset)> {
    let Some(folder) = dokuei_testkit::real_dicom() else { return Vec::new() };
    let folder = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
        .into_iter()
        .filter_map(|path| {
            let bytes = std::fs::read(&path).ok()?;
            let (_, header) = read_file(&bytes, &Limits::default()).ok()?;
            Some((path, header.dataset))
        })
        .collect()
}

#[test]
fn every_real_header_gives_a_result_of_its_own_patient_or_a_reason() {
    let setup = Setup::new();
    let findings = [finding("pneumonia", 0.9, 0), finding("other", 0.1, 0)];
    let headers = headers();
    let mut made = 0;
    for (path, header) in headers {
        let name = path.display();
        let sources = [SourceImage::analysed(header, None, &findings)];
        let input = setup.input(&sources);
        let object = match structured_report(&input, SrClass::Comprehensive3D, &[]) {
            Ok(object) => object,
            Err(ResultError::SourceAttribute { .. }) => continue,
            Err(other) => panic!("{name}: {other}"),
        };
        made += 1;
        let report = read(&object);
        same_patient(header, &report, &name.to_string());
        assert_eq!(groups(&report).len(), 2, "{name}");
        assert!(report_text(&report).contains("Certainty of Finding: 90.0 %"), "{name}");

        // Small ones, for the time it takes.
        let size = |tag| header.int(tag).and_then(|n| u32::try_from(n).ok()).filter(|n| (1..=300).contains(n));
        let Some((rows, columns)) = size(tags::ROWS).zip(size(tags::COLUMNS)) else { continue };
        let data = vec![90; rows as usize * columns as usize];
        let picture = SourcePicture::Gray { rows, columns, data: &data };
        let capture = secondary_capture(&input, 0, &picture, &[], &CaptureStyle::default()).unwrap();
        same_patient(header, &read(&capture.unwrap()), &name.to_string());
    }
    assert!(headers.is_empty() || made > 250, "{made} of {}", headers.len());
}

/// What tells patients and studies apart is copied byte for byte, padding and dates in the form of ACR-NEMA 300 aside.
fn same_patient(source: &Dataset, result: &Dataset, name: &str) {
    for tag in [
        tags::SPECIFIC_CHARACTER_SET,
        tags::PATIENT_NAME,
        tags::PATIENT_ID,
        tags::ISSUER_OF_PATIENT_ID,
        tags::STUDY_INSTANCE_UID,
        tags::ACCESSION_NUMBER,
        tags::STUDY_DATE,
    ] {
        let value = |data: &Dataset| {
            let bytes = data.bytes(tag).unwrap_or_default();
            let end = bytes.iter().rposition(|byte| !matches!(byte, b' ' | 0)).map_or(0, |last| last + 1);
            let is_form = |byte: &&u8| tag == tags::STUDY_DATE && **byte == b'.';
            bytes[..end].iter().filter(|byte| !is_form(byte)).copied().collect::<Vec<u8>>()
        };
        assert_eq!(value(result), value(source), "{name} {tag}");
    }
}
