//! Data sets as bytes: a bounded iterative reader, a writer, character sets; never files or sockets.
//!
//! Any bytes are an acceptable input. The reader walks the encoding with a stack of its own, checks every
//! length against what is really there, and holds back values over a limit, so that neither depth nor a
//! lying length can exhaust the stack or the memory. It stops at the pixel data, which stays where it is.
//! [`Scan`] checks a whole data set by the same rules while its bytes arrive.

mod charset;
mod data_set;
mod file;
mod inflate;
mod read;
mod read_at;
mod scan;
mod vr;
mod walk;
mod window;
mod write;

pub use charset::CharacterSets;
pub use data_set::{Dataset, Element, Value};
pub use dicom_core::{Tag, VR};
pub use file::{
    FileMeta, IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, MetaFields, file_meta, read_file, read_file_meta,
};
pub use read::{Header, Limits, PixelElement, ReadError, read_header};
pub use read_at::{Beginning, FileSection, ReadAt};
pub use scan::{Scan, Scanned, scan_file};
pub use write::{append_dataset, write_dataset};

use dicom_dictionary_std::uids;

/// Explicit VR Big Endian: retired, so its dictionary constant is deprecated; files of it remain.
pub(crate) const EXPLICIT_VR_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

/// How the elements of a data set are encoded (PS3.5 § 7.1 and Annex A).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Implicit VR Little Endian (PS3.5 § A.1).
    ImplicitLittle,
    /// Explicit VR Little Endian (PS3.5 § A.2) and everything encapsulated (§ A.4).
    ExplicitLittle,
    /// Explicit VR Big Endian (retired; PS3.5-2016 § A.3).
    ExplicitBig,
}

impl Encoding {
    /// The encoding a transfer syntax prescribes. Unknown and private ones are taken for explicit little
    /// endian, the rule for every encapsulated syntax (PS3.5 § A.4).
    #[must_use]
    pub fn of(transfer_syntax: &str) -> Self {
        match transfer_syntax {
            uids::IMPLICIT_VR_LITTLE_ENDIAN => Self::ImplicitLittle,
            EXPLICIT_VR_BIG_ENDIAN => Self::ExplicitBig,
            _ => Self::ExplicitLittle,
        }
    }
}

/// Whether the whole data set is a deflated stream (PS3.5 § A.5, and the JPIP transfer syntaxes built on it).
pub(crate) fn is_deflated(transfer_syntax: &str) -> bool {
    matches!(
        transfer_syntax,
        uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN | uids::JPIP_REFERENCED_DEFLATE | uids::JPIPHTJ2K_REFERENCED_DEFLATE
    )
}
