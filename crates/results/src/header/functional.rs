use dicom_dictionary_std::tags;
use dokuei_dataset::{Dataset, Tag};

/// The functional group of a frame of an enhanced image (PS3.3 C.7.6.16), its own before the shared one; `frame` counts
/// from 1, and of a single one is `None`.
pub(crate) fn functional_group(header: &Dataset, frame: Option<u32>, sequence: Tag) -> Option<&Dataset> {
    let index = frame.map_or(0, |number| number.saturating_sub(1)) as usize;
    let own = header.items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).get(index);
    let shared = header.items(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE).first();
    own.into_iter().chain(shared).find_map(|groups| groups.items(sequence).first())
}
