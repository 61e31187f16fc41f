//! The N-EVENT-REPORTs that an acceptor sends: results of storage commitment, over the association they were asked for on
//! (PS3.4 § J.3.3), one at a time.

use std::collections::VecDeque;

use dokuei_types::DimseStatus;

use super::negotiation::Negotiated;
use super::outstanding::Outstanding;
use crate::commitment::{CommitmentResult, Untold, subject};
use crate::message::{CommandSet, event_report_request};
use crate::pdu::{ProtocolError, write_fragments};

/// A result to be told in a context.
struct Report {
    context: u8,
    untold: Untold,
    result: Option<CommitmentResult>,
}

/// What is still to be told to the peer. Dropped with the association, whose tickets then are untold.
#[derive(Default)]
pub(super) struct Reports {
    worked_out: Outstanding<Report>,
    ready: VecDeque<Report>,
    /// The message ID of the one that waits for its response.
    asked: Option<(u16, Untold)>,
    message_id: u16,
}

impl Reports {
    /// Has the result of a request worked out.
    pub(super) async fn await_result(&mut self, context: u8, untold: Untold) {
        let Some(result) = untold.result() else { return };
        self.worked_out.push(async move { Report { context, untold, result: result.await } }).await;
    }

    /// Waits until there is something to write, for ever where there is nothing to wait for.
    pub(super) async fn due(&mut self) {
        self.worked_out.some_ready().await;
    }

    /// Writes the next request, unless one waits for its response.
    pub(super) fn write(&mut self, out: &mut Vec<u8>, negotiated: &Negotiated) {
        self.ready.extend(self.worked_out.take_ready());
        while self.asked.is_none()
            && let Some(Report { context, untold, result }) = self.ready.pop_front()
        {
            let (Some(result), Some(agreed)) = (result, negotiated.context(context)) else {
                untold.end(false);
                continue;
            };
            self.message_id = self.message_id.wrapping_add(1).max(1);
            let (sop_class, sop_instance) = subject();
            let command = event_report_request(self.message_id, &sop_class, &sop_instance, result.event_type);
            write_fragments(out, context, true, &command, negotiated.send_limit);
            let information = result.information.in_syntax(&agreed.transfer_syntax);
            write_fragments(out, context, false, information, negotiated.send_limit);
            self.asked = Some((self.message_id, untold));
        }
    }

    /// Takes the response to the request that was written. Whatever its status, the peer has the result: to send it
    /// again would bring the same response.
    pub(super) fn answered(&mut self, response: &CommandSet) -> Result<(), ProtocolError> {
        match self.asked.take() {
            Some((message_id, untold)) if response.responds_to() == Some(message_id) => {
                let status = response.status().unwrap_or(DimseStatus::PROCESSING_FAILURE);
                if status != DimseStatus::SUCCESS {
                    tracing::warn!(%status, "the peer does not accept the result of its storage commitment request");
                }
                untold.end(true);
                Ok(())
            }
            _ => Err(ProtocolError::UnexpectedMessage(response.field())),
        }
    }
}
