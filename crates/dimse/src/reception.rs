//! A C-STORE request while its data set arrives, on whichever side it is performed: the listener's, or that of a
//! requestor whose C-GET has instances sent over its own association.

use std::time::Duration;

use dicom_dictionary_std::tags;
use dokuei_types::{DimseStatus, Uid};
use tokio::time::timeout;

use crate::acceptor::AcceptedContext;
use crate::message::{CommandSet, Refusal, StoreFault};
use crate::service::IncomingInstance;

/// An instance that arrives, or why it is not kept.
pub(crate) struct Reception<I> {
    received: u64,
    outcome: Result<I, StoreFault>,
}

/// What a C-STORE request names.
pub(crate) struct Subject<'a> {
    pub(crate) sop_class: &'a Uid,
    pub(crate) sop_instance: &'a Uid,
    pub(crate) transfer_syntax: &'a Uid,
}

impl<I: IncomingInstance> Reception<I> {
    /// Begins an instance; `context` is that of the request, where it is one for storage.
    pub(crate) fn begin(
        command: &CommandSet,
        context: Option<&AcceptedContext>,
        store: impl FnOnce(Subject<'_>) -> Result<I, Refusal>,
    ) -> Self {
        let begin = || {
            if !command.has_data_set() {
                return Err(StoreFault::NoDataSet);
            }
            let sop_class = command.uid(tags::AFFECTED_SOP_CLASS_UID).ok_or(StoreFault::SopClassInvalid)?;
            let context = context
                .filter(|context| context.abstract_syntax == sop_class)
                .ok_or(StoreFault::SopClassOfOtherContext)?;
            let sop_instance = command.uid(tags::AFFECTED_SOP_INSTANCE_UID).ok_or(StoreFault::SopInstanceInvalid)?;
            let transfer_syntax = &context.transfer_syntax;
            Ok(store(Subject { sop_class: &sop_class, sop_instance: &sop_instance, transfer_syntax })?)
        };
        Self { received: 0, outcome: begin() }
    }

    /// Takes the next bytes of the data set, of at most `size_max` in all.
    pub(crate) fn push(&mut self, bytes: &[u8], size_max: u64) {
        self.received = self.received.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let Ok(incoming) = &mut self.outcome else { return };
        // Once refused, the instance is dropped at once, so that what it holds is free while the peer
        // goes on sending.
        if self.received > size_max {
            self.outcome = Err(StoreFault::TooLarge { limit: size_max });
        } else if let Err(refusal) = incoming.write(bytes) {
            self.outcome = Err(refusal.into());
        }
    }

    /// Whether taking `count` bytes may block: when the storage says so.
    pub(crate) fn may_block(&self, count: usize) -> bool {
        self.outcome.as_ref().is_ok_and(|incoming| count > 0 && incoming.may_block(count))
    }

    /// The data set is whole: its bytes, and the instance to be committed.
    pub(crate) fn end(self) -> (u64, Result<I, StoreFault>) {
        match self {
            Self { received: 0, outcome: Ok(_) } => (0, Err(StoreFault::EmptyDataSet)),
            Self { received, outcome } => (received, outcome),
        }
    }
}

/// Waits for the storage to make an instance durable, at most `limit`: a storage that hangs must not
/// take the association with it without a word.
pub(crate) async fn commit<I: IncomingInstance>(incoming: I, limit: Duration) -> Result<I::Committed, StoreFault> {
    match timeout(limit, incoming.commit()).await {
        Ok(committed) => Ok(committed?),
        Err(_elapsed) => Err(StoreFault::StorageSlow { seconds: limit.as_secs() }),
    }
}

/// The only place that makes the success of a C-STORE, and it takes the proof.
pub(crate) fn success<C>(_durable: &C) -> DimseStatus {
    DimseStatus::SUCCESS
}
