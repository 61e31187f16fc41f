//! C-STORE, the calling side (PS3.7 § 9.1.1).

use dicom_dictionary_std::tags;
use dokuei_types::{DimseStatus, Uid};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::association::Association;
use super::error::SendError;
use crate::message::{Field, store_request};
use crate::pdu::{PDU_HEADER, PDV_OVERHEAD, data_headers};

/// An instance to be sent, its data set in the very bytes that are to arrive.
#[derive(Debug)]
pub struct StoreItem<'a, R> {
    /// SOP class.
    pub sop_class: &'a Uid,
    /// SOP Instance UID.
    pub sop_instance: &'a Uid,
    /// Transfer syntax of the data set.
    pub transfer_syntax: &'a Uid,
    /// The data set, without preamble and file meta information.
    pub data_set: R,
    /// Its length, in bytes.
    pub length: u64,
}

/// What the peer answered about one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOutcome {
    /// Its status; [`DimseStatus::is_stored`] says whether it keeps the instance.
    pub status: DimseStatus,
    /// Error Comment, empty when there is none.
    pub comment: String,
}

impl Association {
    /// Sends one instance and waits for what the peer makes of it. A failure status is an outcome, not
    /// an error: the association goes on.
    ///
    /// # Errors
    /// [`SendError`]. When the data set ends before `length` bytes, the association has to be given up,
    /// since the message cannot be taken back.
    pub async fn store<R: AsyncRead + Unpin>(&mut self, item: StoreItem<'_, R>) -> Result<StoreOutcome, SendError> {
        let Some(context) = self.accepted(item.sop_class, item.transfer_syntax) else {
            return Err(SendError::NotAccepted {
                sop_class: item.sop_class.clone(),
                transfer_syntax: item.transfer_syntax.clone(),
            });
        };
        self.begin()?;
        let result = self.exchange_store(context, item).await;
        self.conclude(result).await
    }

    async fn exchange_store<R: AsyncRead + Unpin>(
        &mut self,
        context: u8,
        item: StoreItem<'_, R>,
    ) -> Result<StoreOutcome, SendError> {
        let message_id = self.next_message_id();
        let command = store_request(message_id, item.sop_class, item.sop_instance);
        // The command goes in PDUs of its own: some receivers take no data set behind a command.
        self.send_message(context, &command, None).await?;
        self.send_data_set(context, item.data_set, item.length).await?;
        let response = self.response(Field::StoreResponse, message_id).await?;
        Ok(StoreOutcome {
            status: response.status().unwrap_or(DimseStatus::PROCESSING_FAILURE),
            comment: response.text(tags::ERROR_COMMENT),
        })
    }

    /// One write for each PDU: its headers are put before the bytes it reads.
    async fn send_data_set<R: AsyncRead + Unpin>(
        &mut self,
        context: u8,
        mut data_set: R,
        length: u64,
    ) -> Result<(), SendError> {
        const HEADERS: usize = PDU_HEADER + PDV_OVERHEAD;
        let mut left = length;
        loop {
            let fragment = usize::try_from(left).unwrap_or(usize::MAX).min(self.send_limit.fragment());
            left = left.saturating_sub(u64::try_from(fragment).unwrap_or(u64::MAX));
            self.buffer.resize(HEADERS.saturating_add(fragment), 0);
            if let Some((headers, payload)) = self.buffer.split_first_chunk_mut::<HEADERS>() {
                *headers = data_headers(context, false, left == 0, fragment);
                data_set.read_exact(payload).await.map_err(SendError::Source)?;
            }
            self.send_listening().await?;
            if left == 0 {
                return Ok(());
            }
        }
    }
}
