//! Protocol data units of the upper layer (PS3.8 § 9.3).
//!
//! Every PDU begins with six bytes: type, reserved, and the length of the rest, unsigned big endian.
//! P-DATA-TF is read by [`Framer`] without being collected; the association PDUs, which are small and
//! rare, are read whole into the types of dicom-ul by [`read_request`] and [`read_accept`]. dicom-ul
//! writes them; its reader is not used because it refuses items of unknown type, which are to be
//! skipped (PS3.8 § 9.3.1), and rejected contexts that name no transfer syntax, which peers do send.

mod associate;
mod data;
mod framer;
mod refusal;
mod user_items;

pub use associate::{read_accept, read_request};
pub(crate) use data::headers as data_headers;
pub use data::{PDV_OVERHEAD, PduSizeError, SendLimit, write_fragments};
pub use framer::{Event, Fragment, Framer};
pub use refusal::{Abort, Rejection};
pub(crate) use user_items::{CommonExtended, OPERATIONS_WINDOW, USER_IDENTITY_RESPONSE, operations_window};

use crate::message::CommandError;

/// Length of the header that every PDU begins with, in bytes.
pub const PDU_HEADER: usize = 6;

/// The PDU types (PS3.8 § 9.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PduKind {
    /// 01: A-ASSOCIATE-RQ.
    AssociateRequest,
    /// 02: A-ASSOCIATE-AC.
    AssociateAccept,
    /// 03: A-ASSOCIATE-RJ.
    AssociateReject,
    /// 04: P-DATA-TF.
    Data,
    /// 05: A-RELEASE-RQ.
    ReleaseRequest,
    /// 06: A-RELEASE-RP.
    ReleaseResponse,
    /// 07: A-ABORT.
    Abort,
}

impl PduKind {
    /// The kind of a first byte; `None` when the standard knows none.
    #[must_use]
    pub fn of(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::AssociateRequest),
            2 => Some(Self::AssociateAccept),
            3 => Some(Self::AssociateReject),
            4 => Some(Self::Data),
            5 => Some(Self::ReleaseRequest),
            6 => Some(Self::ReleaseResponse),
            7 => Some(Self::Abort),
            _ => None,
        }
    }
}

impl std::fmt::Display for PduKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::AssociateRequest => "A-ASSOCIATE-RQ",
            Self::AssociateAccept => "A-ASSOCIATE-AC",
            Self::AssociateReject => "A-ASSOCIATE-RJ",
            Self::Data => "P-DATA-TF",
            Self::ReleaseRequest => "A-RELEASE-RQ",
            Self::ReleaseResponse => "A-RELEASE-RP",
            Self::Abort => "A-ABORT",
        })
    }
}

/// A-RELEASE-RQ (PS3.8 § 9.3.6).
pub(crate) const RELEASE_REQUEST: [u8; 10] = [5, 0, 0, 0, 0, 4, 0, 0, 0, 0];
/// A-RELEASE-RP (PS3.8 § 9.3.7).
pub(crate) const RELEASE_RESPONSE: [u8; 10] = [6, 0, 0, 0, 0, 4, 0, 0, 0, 0];

/// What a peer did against PS3.8 or the framing of messages (PS3.8 Annex E). Always the peer's fault;
/// the answer is A-ABORT with [`ProtocolError::abort`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A first byte that is no PDU type.
    #[error("PDU type {0:02X} is not one of the standard")]
    UnrecognizedPdu(u8),
    /// A PDU that has no place in this state.
    #[error("{0} has no place here")]
    UnexpectedPdu(PduKind),
    /// A PDU longer than agreed, or of another length than its type has.
    #[error("{kind} of {length} bytes where {limit} are allowed")]
    PduLength {
        /// The PDU.
        kind: PduKind,
        /// What its header says.
        length: u32,
        /// What may be.
        limit: u32,
    },
    /// An item inside an association PDU that reaches past its end, or lacks what it must hold.
    #[error("{kind}: {what}")]
    Item {
        /// The PDU.
        kind: PduKind,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A presentation data value that is too short or reaches past its PDU.
    #[error("presentation data value of {length} bytes with {left} left in its PDU")]
    PdvLength {
        /// What its header says.
        length: u32,
        /// Bytes of the PDU left for it.
        left: u32,
    },
    /// A context that was not accepted.
    #[error("presentation context {0} was not accepted")]
    ContextNotAccepted(u8),
    /// A message that goes on in another context.
    #[error("message begun in presentation context {begun} goes on in {found}")]
    ContextChanged {
        /// Where it began.
        begun: u8,
        /// Where it goes on.
        found: u8,
    },
    /// A data set before its command.
    #[error("data set without a command before it")]
    DataBeforeCommand,
    /// A command while the data set of the one before is still due.
    #[error("command where the data set of the one before is due")]
    CommandInsteadOfData,
    /// A command set larger than the limit.
    #[error("command set larger than {limit} bytes")]
    CommandTooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// A data set that is held in memory, larger than the limit.
    #[error("data set of a message larger than {limit} bytes")]
    DataSetTooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// A command set that cannot be read.
    #[error("command set: {0}")]
    Command(#[from] CommandError),
    /// A response nobody waits for, or a request where only responses come.
    #[error("message with command field {0:04X} has no place here")]
    UnexpectedMessage(u16),
}

impl ProtocolError {
    /// The A-ABORT that answers it on an established association (PS3.8 § 9.3.8, AA-8).
    #[must_use]
    pub fn abort(&self) -> Abort {
        match self {
            Self::UnrecognizedPdu(_) => Abort::UNRECOGNIZED_PDU,
            Self::UnexpectedPdu(_) => Abort::UNEXPECTED_PDU,
            Self::ContextChanged { .. }
            | Self::DataBeforeCommand
            | Self::CommandInsteadOfData
            | Self::UnexpectedMessage(_) => Abort::UNEXPECTED_PARAMETER,
            Self::PduLength { .. }
            | Self::Item { .. }
            | Self::PdvLength { .. }
            | Self::ContextNotAccepted(_)
            | Self::CommandTooLong { .. }
            | Self::DataSetTooLong { .. }
            | Self::Command(_) => Abort::INVALID_PARAMETER,
        }
    }
}
