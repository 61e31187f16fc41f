//! What the listener asks of whoever keeps the instances.

use std::future::Future;
use std::net::SocketAddr;

use dicom_dictionary_std::tags;
use dokuei_types::{AeTitle, Uid};

use crate::message::{CommandSet, Refusal};

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
    /// The C-MOVE that it is sent for, as far as its sender says.
    pub move_originator: Option<&'a MoveOriginator>,
    /// Number of the association since the listener began, from 1; 0 for one that we requested.
    pub association: u64,
}

/// Whose C-MOVE an instance is sent for: senders may say so, and need not (PS3.7 § 9.1.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveOriginator {
    /// Move Originator Application Entity Title (0000,1030): who asked for the C-MOVE.
    pub ae_title: AeTitle,
    /// Move Originator Message ID (0000,1031): that of the C-MOVE request.
    pub message_id: Option<u16>,
}

impl MoveOriginator {
    /// What a C-STORE request says; `None` when it names nobody.
    pub(crate) fn of(command: &CommandSet) -> Option<Self> {
        let ae_title = AeTitle::new(&command.text(tags::MOVE_ORIGINATOR_APPLICATION_ENTITY_TITLE)).ok()?;
        Some(Self { ae_title, message_id: command.number(tags::MOVE_ORIGINATOR_MESSAGE_ID) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{CommandWriter, NO_DATA_SET};

    #[test]
    fn who_asked_for_a_c_move_is_read_as_far_as_it_is_said() {
        let check = |title: Option<&str>, message_id: Option<u16>, expected: Option<(&str, Option<u16>)>| {
            let mut writer = CommandWriter::default()
                .number(tags::COMMAND_FIELD, 1)
                .number(tags::COMMAND_DATA_SET_TYPE, NO_DATA_SET);
            if let Some(title) = title {
                writer = writer.text(tags::MOVE_ORIGINATOR_APPLICATION_ENTITY_TITLE, title);
            }
            if let Some(id) = message_id {
                writer = writer.number(tags::MOVE_ORIGINATOR_MESSAGE_ID, id);
            }
            let said = MoveOriginator::of(&CommandSet::parse(writer.finish()).unwrap());
            let said = said.as_ref().map(|said| (said.ae_title.as_str(), said.message_id));
            assert_eq!(said, expected, "{title:?} {message_id:?}");
        };
        check(Some("DOKUEI "), Some(0x8001), Some(("DOKUEI", Some(0x8001))));
        check(Some("DOKUEI"), None, Some(("DOKUEI", None)));
        check(Some("  "), Some(7), None);
        check(None, Some(7), None);
        check(None, None, None);
    }
}
