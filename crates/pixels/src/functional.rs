//! Functional groups of enhanced multi-frame images (PS3.3 C.7.6.16): what holds for one frame alone goes
//! before what holds for all of them.

use dicom_dictionary_std::tags;
use dokuei_dataset::{Dataset, Tag};

/// The item of a functional group macro that applies to the frame with this index (from 0).
pub(crate) fn group(dataset: &Dataset, frame: u32, macro_sequence: Tag) -> Option<&Dataset> {
    let own = dataset.items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).get(frame as usize);
    let shared = dataset.items(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE).first();
    own.and_then(|groups| groups.items(macro_sequence).first())
        .or_else(|| shared.and_then(|groups| groups.items(macro_sequence).first()))
}
