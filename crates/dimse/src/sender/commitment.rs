//! Storage commitment, the calling side (PS3.4 Annex J).

use std::time::Duration;

use dicom_dictionary_std::tags;
use dokuei_types::{DimseStatus, Uid};

use super::association::{Association, Message};
use super::error::SendError;
use super::store::StoreOutcome;
use crate::acceptor::AcceptedContext;
use crate::commitment::{CommitmentResult, Information, REQUEST_COMMITMENT, subject};
use crate::message::{CommandSet, Field, action_request, event_report_request, response};
use crate::pdu::ProtocolError;

/// What a peer reports of our request, over the association of that request. To be answered.
#[derive(Debug)]
pub struct CommitmentReport {
    /// The event information (PS3.4 Table J.3-2).
    pub information: Vec<u8>,
    /// Its transfer syntax: implicit or explicit VR little endian.
    pub transfer_syntax: Uid,
    context: u8,
    command: CommandSet,
}

impl Association {
    /// Tells the peer what came of its request for storage commitment (PS3.4 § J.3.3), on an association of which we are
    /// the provider ([`RequestorConfig::provides`](crate::RequestorConfig::provides)); gives the status of the response.
    ///
    /// # Errors
    /// [`SendError`]; [`SendError::NotAccepted`] when the association has no context for storage commitment.
    pub async fn report_commitment(&mut self, result: &CommitmentResult) -> Result<DimseStatus, SendError> {
        let (sop_class, sop_instance) = subject();
        let context = self.context_for(&sop_class)?;
        self.begin()?;
        let message_id = self.next_message_id();
        let command = event_report_request(message_id, &sop_class, &sop_instance, result.event_type);
        let exchanged = async {
            self.send_message(context.id, &command, Some(result.information.in_syntax(&context.transfer_syntax)))
                .await?;
            let response = self.response(Field::EventReportResponse, message_id).await?;
            Ok(response.status().unwrap_or(DimseStatus::PROCESSING_FAILURE))
        }
        .await;
        self.conclude(exchanged).await
    }

    /// Asks the peer to commit (PS3.4 § J.3.2) to what `information` lists (Table J.3-1). Success says that it has the
    /// request; the result comes later, here or over an association of the peer's.
    ///
    /// # Errors
    /// [`SendError`]; [`SendError::NotAccepted`] when the association has no context for storage commitment.
    pub async fn ask_commitment(&mut self, information: &Information) -> Result<StoreOutcome, SendError> {
        let (sop_class, sop_instance) = subject();
        let context = self.context_for(&sop_class)?;
        self.begin()?;
        self.keeps_data_sets = true;
        let message_id = self.next_message_id();
        let command = action_request(message_id, &sop_class, &sop_instance, REQUEST_COMMITMENT);
        let exchanged = async {
            self.send_message(context.id, &command, Some(information.in_syntax(&context.transfer_syntax))).await?;
            let response = self.response(Field::ActionResponse, message_id).await?;
            Ok(StoreOutcome {
                status: response.status().unwrap_or(DimseStatus::PROCESSING_FAILURE),
                comment: response.text(tags::ERROR_COMMENT),
            })
        }
        .await;
        self.conclude(exchanged).await
    }

    /// Waits for the peer's report over this association, at most `limit`; `None` when it says nothing, which leaves
    /// the association as it is.
    ///
    /// # Errors
    /// [`SendError`] when the association ends, or the peer says something else.
    pub async fn commitment_report(&mut self, limit: Duration) -> Result<Option<CommitmentReport>, SendError> {
        let (sop_class, _) = subject();
        let AcceptedContext { transfer_syntax, .. } = self.context_for(&sop_class)?;
        self.begin()?;
        let heard = match self.message(limit).await {
            Ok(Message { context, command, data_set: information })
                if Field::of(command.field()) == Field::EventReportRequest =>
            {
                Ok(Some(CommitmentReport { information, transfer_syntax, context, command }))
            }
            Ok(message) => Err(ProtocolError::UnexpectedMessage(message.command.field()).into()),
            Err(SendError::NoResponse(_)) if self.is_between_messages() => Ok(None),
            Err(error) => Err(error),
        };
        self.conclude(heard).await
    }

    /// Answers the peer's report.
    ///
    /// # Errors
    /// [`SendError`] when the association ends.
    pub async fn answer_report(&mut self, report: CommitmentReport, status: DimseStatus) -> Result<(), SendError> {
        self.begin()?;
        let answered = self.send_message(report.context, &response(&report.command, status, ""), None).await;
        self.conclude(answered).await
    }
}
