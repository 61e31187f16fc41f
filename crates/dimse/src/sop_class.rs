//! Which abstract and transfer syntaxes can be stored.

use std::fmt;

use dicom_core::dictionary::{UidDictionary, UidDictionaryEntry};
use dicom_dictionary_std::{StandardSopClassDictionary, uids};

/// The root of the standard's own UIDs (PS3.5 § 9.1).
const STANDARD: &str = "1.2.840.10008.";
/// Below this, newer editions than the dictionary's add their storage SOP classes.
const STORAGE_ROOT: &str = "1.2.840.10008.5.1.4.1.1.";
/// Below this, all but a few transfer syntaxes are (PS3.6 Annex A).
const TRANSFER_SYNTAX_ROOT: &str = "1.2.840.10008.1.2";

/// What an abstract syntax is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbstractSyntax {
    /// Verification: C-ECHO.
    Verification,
    /// Storage Commitment Push Model: N-ACTION and N-EVENT-REPORT (PS3.4 Annex J).
    StorageCommitment,
    /// Modality Performed Procedure Step: N-CREATE and N-SET (PS3.4 Annex F).
    ProcedureStep,
    /// Instance Availability Notification: N-CREATE (PS3.4 Annex R).
    Availability,
    /// A storage SOP class of the dictionary, retired ones included.
    Storage,
    /// Private, or a storage class newer than the dictionary: C-STORE may be meant.
    Unknown,
    /// Another service.
    Other,
}

/// The services other than storage that a listener has.
const SERVICES: [(&str, AbstractSyntax); 4] = [
    (uids::VERIFICATION, AbstractSyntax::Verification),
    (uids::STORAGE_COMMITMENT_PUSH_MODEL, AbstractSyntax::StorageCommitment),
    (uids::MODALITY_PERFORMED_PROCEDURE_STEP, AbstractSyntax::ProcedureStep),
    (uids::INSTANCE_AVAILABILITY_NOTIFICATION, AbstractSyntax::Availability),
];

/// The service other than storage that an abstract syntax is for.
fn service(uid: &str) -> Option<AbstractSyntax> {
    SERVICES.iter().find(|(known, _)| *known == uid).map(|(_, service)| *service)
}

/// Whether an abstract syntax that a listener has accepted is for storage.
pub(crate) fn is_for_storage(uid: &str) -> bool {
    service(uid).is_none()
}

impl AbstractSyntax {
    /// What `uid` is for.
    #[must_use]
    pub fn of(uid: &str) -> Self {
        if let Some(service) = service(uid) {
            return service;
        }
        match StandardSopClassDictionary.by_uid(uid) {
            Some(entry) if is_storage(entry.uid(), entry.name()) => Self::Storage,
            Some(_) => Self::Other,
            None if uid.starts_with(STANDARD) && !uid.starts_with(STORAGE_ROOT) => Self::Other,
            None => Self::Unknown,
        }
    }

    /// Whether data sets under it are read here, and so have to be in a syntax that is.
    pub(crate) fn is_read(self) -> bool {
        matches!(self, Self::StorageCommitment | Self::ProcedureStep | Self::Availability)
    }
}

/// The storage classes are those named so; Storage Commitment, Storage Management and the directory of
/// media (never sent over a network, PS3.4 Annex B) are not among them.
fn is_storage(uid: &str, name: &str) -> bool {
    let storage = name.split([' ', '-']).any(|word| word == "Storage");
    storage
        && uid != uids::MEDIA_STORAGE_DIRECTORY_STORAGE
        && !name.starts_with("Storage Commitment")
        && !name.starts_with("Storage Management")
}

/// What a transfer syntax is to a node that stores bytes as they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferSyntax {
    /// Of the standard; a data set in it can be kept in a file.
    Storable,
    /// Private: only its makers read it.
    Private,
    /// No encoding of a data set of ours: streaming video, MIME, XML.
    Other,
}

impl TransferSyntax {
    /// What `uid` is.
    #[must_use]
    pub fn of(uid: &str) -> Self {
        if [uids::IMPLICIT_VR_LITTLE_ENDIAN, PAPYRUS].contains(&uid) {
            return Self::Storable;
        }
        if NOT_DATA_SETS.contains(&uid) {
            return Self::Other;
        }
        match uid.strip_prefix(TRANSFER_SYNTAX_ROOT) {
            Some(rest) if rest.starts_with('.') => Self::Storable,
            _ if uid.starts_with(STANDARD) => Self::Other,
            _ => Self::Private,
        }
    }
}

#[expect(deprecated, reason = "retired by the standard, still in files")]
const PAPYRUS: &str = uids::PAPYRUS3_IMPLICIT_VR_LITTLE_ENDIAN;

#[expect(deprecated, reason = "retired by the standard, to be refused by name")]
const NOT_DATA_SETS: [&str; 5] = [
    uids::RFC2557MIME_ENCAPSULATION,
    uids::XML_ENCODING,
    uids::SMPTEST211020_UNCOMPRESSED_PROGRESSIVE_ACTIVE_VIDEO,
    uids::SMPTEST211020_UNCOMPRESSED_INTERLACED_ACTIVE_VIDEO,
    uids::SMPTEST211030PCM_DIGITAL_AUDIO,
];

/// A SOP class in a person's words: its name, or the UID when the dictionary has none.
pub(crate) struct Named<'a>(pub(crate) &'a str);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(StandardSopClassDictionary.by_uid(self.0).map_or(self.0, UidDictionaryEntry::name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(deprecated, reason = "retired classes are still stored")]
    fn storage_is_told_from_everything_else() {
        for uid in [
            uids::CT_IMAGE_STORAGE,
            uids::DIGITAL_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION,
            uids::ULTRASOUND_MULTI_FRAME_IMAGE_STORAGE_RETIRED,
            uids::HARDCOPY_COLOR_IMAGE_STORAGE,
            uids::TEXT_SR_STORAGE_TRIAL,
            uids::HANGING_PROTOCOL_STORAGE,
            uids::COLOR_PALETTE_STORAGE,
            uids::RT_BEAMS_DELIVERY_INSTRUCTION_STORAGE,
            uids::COMPREHENSIVE3_DSR_STORAGE,
        ] {
            assert_eq!(AbstractSyntax::of(uid), AbstractSyntax::Storage, "{}", Named(uid));
        }
        for uid in [
            uids::MEDIA_STORAGE_DIRECTORY_STORAGE,
            uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND,
            uids::MODALITY_PERFORMED_PROCEDURE_STEP_RETRIEVE,
            uids::INVENTORY_FIND,
            "1.2.840.10008.5.1.1.9",
        ] {
            assert_eq!(AbstractSyntax::of(uid), AbstractSyntax::Other, "{}", Named(uid));
        }
        for uid in ["1.2.276.0.7230010.3.1.0.1", "1.2.840.10008.5.1.4.1.1.99999", "1.2.840.113619.4.26"] {
            assert_eq!(AbstractSyntax::of(uid), AbstractSyntax::Unknown, "{uid}");
        }
        for (uid, service) in SERVICES {
            assert_eq!(AbstractSyntax::of(uid), service);
            assert!(!is_for_storage(uid), "{}", Named(uid));
        }
        assert!(is_for_storage(uids::CT_IMAGE_STORAGE) && is_for_storage("1.2.840.113619.4.26"));
    }

    #[test]
    #[expect(deprecated, reason = "retired syntaxes are still stored")]
    fn transfer_syntaxes_that_encode_data_sets_can_be_stored() {
        for (uid, expected) in [
            (uids::IMPLICIT_VR_LITTLE_ENDIAN, TransferSyntax::Storable),
            (uids::EXPLICIT_VR_BIG_ENDIAN, TransferSyntax::Storable),
            (uids::JPEG_FULL_PROGRESSION_HIERARCHICAL2426, TransferSyntax::Storable),
            (uids::DEFLATED_IMAGE_FRAME_COMPRESSION, TransferSyntax::Storable),
            ("1.2.840.10008.1.2.4.999", TransferSyntax::Storable),
            ("1.2.840.113619.5.2", TransferSyntax::Private),
            ("1.2.840.10008.1.1", TransferSyntax::Other),
            ("1.2.840.10008.1.20.1", TransferSyntax::Other),
            (uids::XML_ENCODING, TransferSyntax::Other),
        ] {
            assert_eq!(TransferSyntax::of(uid), expected, "{uid}");
        }
    }
}
