//! Result objects as people read them: those in files, and the reports and segmentations that the store holds.

use std::path::Path;

use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::{Header, Limits, ReadAt, read_file};
use dokuei_results::{Role, object_text, report_text, segmentation_text};
use dokuei_store::{ShownInstance, StoredFile};
use serde_json::json;

use crate::files;
use crate::outcome::{self, Failure, line};

/// What the UIDs of all SOP classes of Structured Reports begin with (PS3.4 § B.5).
const SR_CLASSES: &str = "1.2.840.10008.5.1.4.1.1.88.";

/// What people read of a report or a segmentation; `None` of anything else. `file` is what `header` was read from.
pub(crate) fn text_of(header: &Header, file: &dyn ReadAt) -> Option<String> {
    if header.dataset.text(tags::SOP_CLASS_UID).as_deref() == Some(uids::SEGMENTATION_STORAGE) {
        return Some(segmentation_text(header, file));
    }
    header.dataset.contains(tags::CONTENT_SEQUENCE).then(|| report_text(&header.dataset))
}

/// Prints what the object in a file says.
pub(crate) fn show_file(path: &Path, as_json: bool) -> Result<(), Failure> {
    let opened = files::open(path)?;
    let text = text_of(&opened.header, &opened.file).or_else(|| object_text(&opened.header.dataset));
    let Some(text) = text else {
        let class = opened.header.dataset.text(tags::SOP_CLASS_UID).unwrap_or_else(|| "no SOP class".to_owned());
        return Err(Failure::work(format!("{} is of no kind that results have ({class})", path.display()))
            .help("dokuei match shows what the rules see of a file"));
    };
    if as_json {
        outcome::json(&json!({ "path": path, "report": text }), true);
    } else {
        line(text.trim_end());
    }
    Ok(())
}

/// Prints the reports and segmentations on an instance, and the instance itself where it is one.
pub(crate) fn show_of(shown: &ShownInstance) {
    let is_read = shown.sop_class.starts_with(SR_CLASSES) || shown.sop_class == uids::SEGMENTATION_STORAGE;
    let own = is_read.then_some(&shown.file);
    let made = shown.results.iter().flat_map(|result| {
        [Role::Sr, Role::Seg].into_iter().filter_map(|role| {
            // Those of one role are alternatives, the preferred one first.
            result.objects.iter().find(|object| object.role == role.as_str()).map(|object| &object.file)
        })
    });
    for file in own.into_iter().chain(made) {
        let Some(text) = text_of_stored(file) else { continue };
        line("");
        for read in text.trim_end().lines() {
            line(format!("  {read}").trim_end());
        }
    }
}

fn text_of_stored(file: &StoredFile) -> Option<String> {
    let bytes = file.read().ok()?;
    let (_, header) = read_file(&bytes as &dyn ReadAt, &Limits::default()).ok()?;
    text_of(&header, &bytes)
}
