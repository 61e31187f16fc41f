//! What the listener asks of whoever keeps the instances.

use std::future::Future;
use std::net::SocketAddr;

use dokuei_types::{AeTitle, Uid};

use crate::message::Refusal;

/// Keeps what arrives, every byte as it came: peers that ask are told so (PS3.4 § B.3.1). One value serves every
/// association.
pub trait StorageService: Send + Sync + 'static {
    /// An instance while its data set arrives.
    type Incoming: IncomingInstance;

    /// A C-STORE request was read; its data set follows. Must not block, and neither must the writes of what has
    /// arrived with the request, a buffer of 256 KiB at most.
    ///
    /// # Errors
    /// A [`Refusal`] is the answer to the peer; the data set is then read and thrown away, and the
    /// association goes on.
    fn begin(&self, request: StoreRequest<'_>) -> Result<Self::Incoming, Refusal>;

    /// Whether instances would be refused now. New associations are then rejected for now (temporary congestion),
    /// unless they are for C-ECHO alone, so that a peer hears it before it sends. Never, unless overridden.
    ///
    /// May block briefly, as [`StorageService::begin`] may.
    fn is_congested(&self) -> bool {
        false
    }
}

/// An instance while its data set arrives. Dropped without [`IncomingInstance::commit`], it is discarded.
pub trait IncomingInstance: Send + 'static {
    /// Proof that an instance is durable; without one no success is answered.
    type Committed: Send + 'static;

    /// The next bytes of the data set, in the transfer syntax of the request, in order, as they came.
    ///
    /// May block briefly: the runtime is told to move other work away, where it has other threads.
    ///
    /// # Errors
    /// A [`Refusal`] is the answer to the peer; the rest of the data set is thrown away.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal>;

    /// Whether writing the next `count` bytes may block. Saying no where it is true (they fit a buffer in
    /// memory) saves a change of threads per read.
    fn may_block(&self, _count: usize) -> bool {
        true
    }

    /// The data set is whole; resolves when the instance is durable.
    ///
    /// # Errors
    /// A [`Refusal`] is the answer to the peer.
    fn commit(self) -> impl Future<Output = Result<Self::Committed, Refusal>> + Send;
}

/// Who sends what.
#[derive(Debug, Clone, Copy)]
pub struct StoreRequest<'a> {
    /// AE title of the sender.
    pub calling_ae: &'a AeTitle,
    /// The AE title it called.
    pub called_ae: &'a AeTitle,
    /// Its address.
    pub peer: SocketAddr,
    /// Affected SOP Class UID, the abstract syntax of the context.
    pub sop_class: &'a Uid,
    /// Affected SOP Instance UID.
    pub sop_instance: &'a Uid,
    /// Transfer syntax of the context, and so of the data set.
    pub transfer_syntax: &'a Uid,
    /// Number of the association since the listener began, from 1; 0 for one that we requested.
    pub association: u64,
}
