//! What the listener asks of whoever commits to keep instances (PS3.4 Annex J).
//!
//! ```text
//! peer   N-ACTION-RQ       ──▶ request   what is asked is durable: a ticket
//! peer ◀ N-ACTION-RSP
//! peer ◀ N-EVENT-REPORT-RQ ◀── result    on the same association, where it is still open
//! peer   N-EVENT-REPORT-RSP ─▶ told      or not told: then by another association, which is not the listener's
//! ```
//!
//! The other way round, a peer that we have asked reports by an N-EVENT-REPORT of its own ([`CommitmentService::reported`]).

use std::fmt;
use std::sync::Arc;

use dicom_dictionary_std::uids;
use dokuei_types::Uid;

use crate::message::Refusal;
use crate::notice::{Notice, Pending};

/// The one SOP instance that every request and result is about (PS3.4 § J.3.5).
pub const COMMITMENT_INSTANCE: &str = "1.2.840.10008.1.20.1.1";
/// Action Type ID: request storage commitment (PS3.4 § J.3.2.1).
pub const REQUEST_COMMITMENT: u16 = 1;
/// Event Type ID: all instances are committed to (PS3.4 § J.3.3.1).
pub const ALL_COMMITTED: u16 = 1;
/// Event Type ID: to some instances there is no commitment (PS3.4 § J.3.3.1).
pub const SOME_FAILED: u16 = 2;

/// SOP class and instance of storage commitment.
pub(crate) fn subject() -> (Uid, Uid) {
    let known = |uid| Uid::new(uid).expect("a UID of the standard");
    (known(uids::STORAGE_COMMITMENT_PUSH_MODEL), known(COMMITMENT_INSTANCE))
}

/// Commits to keep instances, and hears of it where others commit. One value serves every association.
pub trait CommitmentService: fmt::Debug + Send + Sync {
    /// A peer asks for commitment. Resolves once its request is durable, which the success it is answered says.
    ///
    /// # Errors
    /// A [`Refusal`] is the answer to the peer.
    fn request(&self, notice: Notice) -> Pending<Result<Ticket, Refusal>>;

    /// What is committed to of a request, for its peer; `None` when it cannot be said now.
    fn result(&self, ticket: Ticket) -> Pending<Option<CommitmentResult>>;

    /// Whether the peer was told over the association of its request: once for each ticket, also when the association
    /// ends before. Must not block.
    fn told(&self, ticket: Ticket, told: bool);

    /// A peer that was asked reports what it commits to.
    ///
    /// # Errors
    /// A [`Refusal`] is the answer to the peer.
    fn reported(&self, notice: Notice) -> Pending<Result<(), Refusal>>;
}

/// The number of a request for commitment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket(pub i64);

/// A data set in the two syntaxes it may be wanted in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Information {
    /// In implicit VR little endian.
    pub implicit: Vec<u8>,
    /// In explicit VR little endian.
    pub explicit: Vec<u8>,
}

impl Information {
    /// The data set in the transfer syntax of a context.
    #[must_use]
    pub fn in_syntax(&self, transfer_syntax: &Uid) -> &[u8] {
        if transfer_syntax.as_str() == uids::IMPLICIT_VR_LITTLE_ENDIAN { &self.implicit } else { &self.explicit }
    }
}

/// What is reported of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitmentResult {
    /// [`ALL_COMMITTED`] or [`SOME_FAILED`].
    pub event_type: u16,
    /// The event information (PS3.4 Table J.3-2).
    pub information: Information,
}

/// A ticket whose peer is still to be told. Dropped before, it was not.
#[derive(Debug)]
pub(crate) struct Untold {
    service: Arc<dyn CommitmentService>,
    ticket: Option<Ticket>,
}

impl Untold {
    pub(crate) fn new(service: Arc<dyn CommitmentService>, ticket: Ticket) -> Self {
        Self { service, ticket: Some(ticket) }
    }

    pub(crate) fn result(&self) -> Option<Pending<Option<CommitmentResult>>> {
        self.ticket.map(|ticket| self.service.result(ticket))
    }

    pub(crate) fn end(mut self, told: bool) {
        if let Some(ticket) = self.ticket.take() {
            self.service.told(ticket, told);
        }
    }
}

impl Drop for Untold {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.service.told(ticket, false);
        }
    }
}
