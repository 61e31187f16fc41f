//! C-FIND and C-MOVE, the calling side (PS3.4 Annex C): a request, responses while it is pending, and a final one.
//!
//! ```text
//! C-FIND-RQ ──▶ identifier      ◀── C-FIND-RSP FF00, a match │ … │ ◀── C-FIND-RSP 0000
//! C-MOVE-RQ ──▶ identifier      ◀── C-MOVE-RSP FF00, counts  │ … │ ◀── C-MOVE-RSP 0000, counts
//! C-CANCEL-RQ ──▶ at any time; the final response is then FE00, or what it would have been anyway
//! ```

use std::time::Duration;

use dicom_dictionary_std::tags;
use dokuei_types::{AeTitle, DimseStatus, Uid};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::association::{Association, Message};
use super::error::SendError;
use crate::acceptor::AcceptedContext;
use crate::commitment::Information;
use crate::message::{CommandSet, Field, SubOperations, cancel_request, find_request, get_request, move_request};
use crate::pdu::ProtocolError;

/// A C-FIND or C-MOVE in progress. Given up before its final response, it takes the association with it.
#[derive(Debug)]
pub struct Query<'a> {
    pub(super) association: &'a mut Association,
    pub(super) context: AcceptedContext,
    expected: Field,
    message_id: u16,
    pub(super) cancel: CancellationToken,
    /// When C-CANCEL was sent.
    cancelled_at: Option<Instant>,
    is_over: bool,
}

/// One response to a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryResponse {
    /// Its status; the last response is the one whose status is not pending.
    pub status: DimseStatus,
    /// Error Comment, empty when there is none.
    pub comment: String,
    /// The C-STORE sub-operations so far, of a C-GET or C-MOVE.
    pub sub_operations: SubOperations,
    /// A match of a C-FIND; with the final response of the others, the instances that failed (PS3.4 § C.4.2.1.4.2).
    /// At most 4 MiB.
    pub identifier: Vec<u8>,
    /// The identifier's transfer syntax: implicit or explicit VR little endian.
    pub transfer_syntax: Uid,
}

impl Association {
    /// C-FIND (PS3.7 § 9.1.2): asks for what matches `identifier` in an information model; cancelled by `cancel`.
    ///
    /// # Errors
    /// [`SendError`]; [`SendError::NotAccepted`] when the association has no context for the model.
    pub async fn find(
        &mut self,
        model: &Uid,
        identifier: &Information,
        cancel: CancellationToken,
    ) -> Result<Query<'_>, SendError> {
        self.query(model, identifier, cancel, Field::FindResponse, |id| find_request(id, model)).await
    }

    /// C-MOVE (PS3.7 § 9.1.4): lets the peer send what `identifier` names to `destination`, which it must know.
    ///
    /// # Errors
    /// As [`Association::find`].
    pub async fn move_to(
        &mut self,
        destination: &AeTitle,
        model: &Uid,
        identifier: &Information,
        cancel: CancellationToken,
    ) -> Result<Query<'_>, SendError> {
        let command = |id| move_request(id, model, destination);
        self.query(model, identifier, cancel, Field::MoveResponse, command).await
    }

    pub(super) async fn begin_get(
        &mut self,
        model: &Uid,
        identifier: &Information,
        cancel: CancellationToken,
    ) -> Result<Query<'_>, SendError> {
        self.query(model, identifier, cancel, Field::GetResponse, |id| get_request(id, model)).await
    }

    async fn query(
        &mut self,
        model: &Uid,
        identifier: &Information,
        cancel: CancellationToken,
        expected: Field,
        command: impl FnOnce(u16) -> Vec<u8>,
    ) -> Result<Query<'_>, SendError> {
        let context = self.context_for(model)?;
        self.begin()?;
        self.keeps_data_sets = true;
        let message_id = self.next_message_id();
        let identifier = identifier.in_syntax(&context.transfer_syntax);
        let sent = self.send_message(context.id, &command(message_id), Some(identifier)).await;
        if sent.is_err() {
            self.conclude(sent).await?;
        }
        Ok(Query { association: self, context, expected, message_id, cancel, cancelled_at: None, is_over: false })
    }
}

impl Query<'_> {
    /// The next response, the final one included; `None` after that. The future is to be polled until it is ready:
    /// the token ends the operation, and the peer then has the time for one response to say so.
    ///
    /// # Errors
    /// [`SendError`]; the association is over.
    pub async fn next(&mut self) -> Result<Option<QueryResponse>, SendError> {
        if self.is_over {
            return Ok(None);
        }
        let response = self.response().await;
        self.hand_over(response).await
    }

    /// A response as it is given out; the final one, or a failure, ends the operation.
    pub(super) async fn hand_over(
        &mut self,
        response: Result<QueryResponse, SendError>,
    ) -> Result<Option<QueryResponse>, SendError> {
        if response.as_ref().is_ok_and(|response| response.status.is_pending()) {
            return response.map(Some);
        }
        self.is_over = true;
        self.association.conclude(response).await.map(Some)
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    async fn response(&mut self) -> Result<QueryResponse, SendError> {
        loop {
            let limit = self.patience()?;
            tokio::select! {
                biased;
                () = self.cancel.cancelled(), if !self.is_cancelled() => {}
                message = self.association.message(limit) => {
                    let Message { command, data_set, .. } = message.map_err(|error| self.named(error))?;
                    return self.read(&command, data_set);
                }
            }
            self.send_cancel().await?;
        }
    }

    /// What a message says, where it is a response to this operation.
    pub(super) fn read(&self, command: &CommandSet, identifier: Vec<u8>) -> Result<QueryResponse, SendError> {
        if Field::of(command.field()) != self.expected || command.responds_to() != Some(self.message_id) {
            return Err(ProtocolError::UnexpectedMessage(command.field()).into());
        }
        Ok(QueryResponse {
            status: command.status().unwrap_or(DimseStatus::PROCESSING_FAILURE),
            comment: command.text(tags::ERROR_COMMENT),
            sub_operations: SubOperations::of(command),
            identifier,
            transfer_syntax: self.context.transfer_syntax.clone(),
        })
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled_at.is_some()
    }

    pub(super) async fn send_cancel(&mut self) -> Result<(), SendError> {
        self.cancelled_at = Some(Instant::now());
        self.association.send_message(self.context.id, &cancel_request(self.message_id), None).await
    }

    /// How long the next response may take. A peer that goes on and on after C-CANCEL is not waited for.
    pub(super) fn patience(&self) -> Result<Duration, SendError> {
        let response = self.association.timeouts.response;
        let left = self.cancelled_at.map_or(response, |at| response.saturating_sub(at.elapsed()));
        if left.is_zero() { Err(SendError::NoResponse(response)) } else { Ok(left) }
    }

    /// The time a peer had, rather than what was left of it.
    pub(super) fn named(&self, error: SendError) -> SendError {
        match error {
            SendError::NoResponse(_) => SendError::NoResponse(self.association.timeouts.response),
            other => other,
        }
    }
}
