//! Why a C-STORE fails, and the status that says so.

use dokuei_types::DimseStatus;

/// A status other than success with the words for Error Comment (0000,0902).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {comment}")]
pub struct Refusal {
    /// The status of the response; success is turned into processing failure.
    pub status: DimseStatus,
    /// At most 64 characters of ASCII reach the peer. Never anything about a patient.
    pub comment: String,
    /// Error ID (0000,0903), where the service class defines one.
    pub error_id: Option<u16>,
}

impl Refusal {
    /// A refusal with these words.
    #[must_use]
    pub fn new(status: DimseStatus, comment: impl Into<String>) -> Self {
        Self { status, comment: comment.into(), error_id: None }
    }

    /// The same, with an Error ID.
    #[must_use]
    pub fn with_error_id(self, error_id: u16) -> Self {
        Self { error_id: Some(error_id), ..self }
    }
}

/// Why a C-STORE request is not carried out. The first group is the peer's fault, the second the
/// data's, the third is our resources.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreFault {
    /// Affected SOP Class UID missing or no UID.
    #[error("affected SOP class UID is missing or invalid")]
    SopClassInvalid,
    /// Affected SOP Class UID is not the abstract syntax of the presentation context.
    #[error("SOP class is not that of the presentation context")]
    SopClassOfOtherContext,
    /// Affected SOP Instance UID missing or no UID.
    #[error("affected SOP instance UID is missing or invalid")]
    SopInstanceInvalid,
    /// The command says that no data set follows.
    #[error("request without a data set")]
    NoDataSet,
    /// The data set has no bytes.
    #[error("data set is empty")]
    EmptyDataSet,
    /// The data set is larger than the limit.
    #[error("data set exceeds the limit of {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// Making the instance durable took too long.
    #[error("storage did not answer within {seconds} s")]
    StorageSlow {
        /// How long was waited.
        seconds: u64,
    },
    /// The storage refused it.
    #[error("{}", .0.comment)]
    Storage(#[from] Refusal),
}

impl StoreFault {
    /// The status of the response: the one map from faults to DIMSE status.
    #[must_use]
    #[deny(clippy::wildcard_enum_match_arm)]
    pub fn status(&self) -> DimseStatus {
        match self {
            Self::SopClassInvalid => DimseStatus::SOP_CLASS_NOT_SUPPORTED, // PS3.7 § 9.1.1.1.9, Annex C: 0122
            Self::SopClassOfOtherContext => DimseStatus::SOP_CLASS_NOT_SUPPORTED, // PS3.7 § 9.1.1.1.9, Annex C: 0122
            Self::SopInstanceInvalid => DimseStatus::INVALID_SOP_INSTANCE, // PS3.7 § 9.1.1.1.9, Annex C: 0117
            Self::NoDataSet | Self::EmptyDataSet => DimseStatus::CANNOT_UNDERSTAND, // PS3.4 § B.2.3: Cxxx
            Self::TooLarge { .. } => DimseStatus::OUT_OF_RESOURCES,        // PS3.4 § B.2.3: A7xx
            Self::StorageSlow { .. } => DimseStatus::OUT_OF_RESOURCES,     // PS3.4 § B.2.3: A7xx
            // A refusal is never a success (PS3.7 Annex C: 0110 for the storage's mistake).
            Self::Storage(Refusal { status: DimseStatus::SUCCESS, .. }) => DimseStatus::PROCESSING_FAILURE,
            Self::Storage(Refusal { status, .. }) => *status, // chosen by the storage, PS3.4 § B.2.3
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_never_becomes_a_success() {
        let fault = StoreFault::from(Refusal::new(DimseStatus::SUCCESS, ""));
        assert_eq!(fault.status(), DimseStatus::PROCESSING_FAILURE);
    }
}
