//! What the listener asks of whoever hears how procedures go (PS3.4 Annexes F and R).
//!
//! ```text
//! modality  N-CREATE-RQ ──▶ create   a performed procedure step is in progress
//! modality  N-SET-RQ    ──▶ set      it goes on, is completed or discontinued, and has made these instances
//! archive   N-CREATE-RQ ──▶ create   an instance availability notification: these instances can be had
//! ```

use std::fmt;

use dokuei_types::Uid;

use crate::message::Refusal;
use crate::notice::{Notice, Pending};

/// Hears how procedures go. One value serves every association.
pub trait ProcedureService: fmt::Debug + Send + Sync {
    /// A performed procedure step begins, or instances are available, as [`Notice::sop_class`] says. Resolves to its SOP
    /// Instance UID, given where the peer gives none, once it is durable.
    ///
    /// # Errors
    /// A [`Refusal`] is the answer to the peer.
    fn create(&self, notice: Notice) -> Pending<Result<Uid, Refusal>>;

    /// A performed procedure step goes on or ends. Resolves once that is durable.
    ///
    /// # Errors
    /// A [`Refusal`] is the answer to the peer.
    fn set(&self, notice: Notice) -> Pending<Result<(), Refusal>>;
}
