//! Data sets of DIMSE messages, in the two syntaxes they are exchanged in.

use dicom_dictionary_std::tags;
use dokuei_dataset::{Dataset, Encoding, Limits, ReadError, VR, read_header, write_dataset};
use dokuei_dimse::Information;
use dokuei_types::Uid;

/// Writes a data set in both.
pub(crate) fn written(dataset: &Dataset) -> Information {
    let [implicit, explicit] =
        [Encoding::ImplicitLittle, Encoding::ExplicitLittle].map(|encoding| write_dataset(dataset, encoding));
    Information { implicit, explicit }
}

/// Reads what a peer has sent.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read(bytes: &[u8], transfer_syntax: &Uid) -> Result<Dataset, ReadError> {
    read_header(&bytes, 0, transfer_syntax.as_str(), &Limits::default()).map(|header| header.dataset)
}

/// An item that names an instance, as in Referenced SOP Sequence.
pub(crate) fn reference(sop_class: &str, sop_instance: &str) -> Dataset {
    let mut item = Dataset::new();
    item.put_text(tags::REFERENCED_SOP_CLASS_UID, VR::UI, sop_class);
    item.put_text(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, sop_instance);
    item
}

/// SOP class and instance that such an item names.
pub(crate) fn referenced(item: &Dataset) -> Option<(Uid, Uid)> {
    Some((item.uid(tags::REFERENCED_SOP_CLASS_UID)?, item.uid(tags::REFERENCED_SOP_INSTANCE_UID)?))
}
