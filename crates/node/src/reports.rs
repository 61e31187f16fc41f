//! Structured Reports as people read them: those in files, and those that the store holds.

use std::path::Path;

use dicom_dictionary_std::tags;
use dokuei_dataset::{Limits, ReadAt, read_file};
use dokuei_results::report_text;
use dokuei_store::{ShownInstance, StoredFile};
use serde_json::json;

use crate::files;
use crate::outcome::{self, Failure, line};

/// What the UIDs of all SOP classes of Structured Reports begin with (PS3.4 § B.5).
const SR_CLASSES: &str = "1.2.840.10008.5.1.4.1.1.88.";

/// Prints the report in a file.
pub(crate) fn show_file(path: &Path, as_json: bool) -> Result<(), Failure> {
    let header = files::open(path)?.header.dataset;
    if !header.contains(tags::CONTENT_SEQUENCE) {
        let class = header.text(tags::SOP_CLASS_UID).unwrap_or_else(|| "no SOP class".to_owned());
        return Err(Failure::work(format!("{} is not a report ({class})", path.display()))
            .help("dokuei match shows what the rules see of a file"));
    }
    let text = report_text(&header);
    if as_json {
        outcome::json(&json!({ "path": path, "report": text }), true);
    } else {
        line(text.trim_end());
    }
    Ok(())
}

/// Prints the reports on an instance, and the instance itself where it is one.
pub(crate) fn show_of(shown: &ShownInstance) {
    let own = shown.sop_class.starts_with(SR_CLASSES).then_some(&shown.file);
    let made = shown.results.iter().filter_map(|result| {
        // Those of one role are alternatives, the preferred one first.
        result.objects.iter().find(|object| object.role == "sr").map(|object| &object.file)
    });
    for file in own.into_iter().chain(made) {
        let Some(text) = text_of(file) else { continue };
        line("");
        for read in text.trim_end().lines() {
            line(format!("  {read}").trim_end());
        }
    }
}

fn text_of(file: &StoredFile) -> Option<String> {
    let bytes = file.read().ok()?;
    let (_, header) = read_file(&bytes as &dyn ReadAt, &Limits::default()).ok()?;
    Some(report_text(&header.dataset))
}
