//! What the listener stores into: the store behind the DIMSE service.

use dicom_dictionary_std::tags;
use dokuei_dataset::{Dataset, Limits, MetaFields, file_meta, read_header};
use dokuei_dimse::{IncomingInstance, Refusal, StorageService, StoreRequest};
use dokuei_store::{Arrival, Committed, Incoming, IndexEntry, Store, StoreError};
use dokuei_types::{AeTitle, DimseStatus, Uid};
use serde_json::json;
use tokio::sync::oneshot;

/// Receives instances for one node.
pub(crate) struct Receiver {
    store: Store,
    ae_title: AeTitle,
}

impl Receiver {
    pub(crate) fn new(store: Store, ae_title: AeTitle) -> Self {
        Self { store, ae_title }
    }
}

/// One instance on its way in.
pub(crate) struct Receiving {
    incoming: Incoming,
    transfer_syntax: Uid,
}

impl StorageService for Receiver {
    type Incoming = Receiving;

    fn begin(&self, request: StoreRequest<'_>) -> Result<Receiving, Refusal> {
        let meta = file_meta(&MetaFields {
            sop_class: request.sop_class.as_str(),
            sop_instance: request.sop_instance.as_str(),
            transfer_syntax: request.transfer_syntax.as_str(),
            source_ae: Some(request.calling_ae.as_str()),
            sending_ae: Some(request.calling_ae.as_str()),
            receiving_ae: Some(self.ae_title.as_str()),
        });
        let arrival = Arrival {
            calling_ae: request.calling_ae.clone(),
            called_ae: request.called_ae.clone(),
            peer_addr: request.peer.to_string(),
            sop_class: request.sop_class.clone(),
            sop_instance: request.sop_instance.clone(),
            transfer_syntax: request.transfer_syntax.clone(),
            file_meta: meta,
        };
        Ok(Receiving {
            incoming: self.store.receive(arrival).map_err(|error| refusal(&error))?,
            transfer_syntax: request.transfer_syntax.clone(),
        })
    }
}

impl IncomingInstance for Receiving {
    type Committed = Committed;

    fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.incoming.write(bytes).map_err(|error| refusal(&error))
    }

    async fn commit(self) -> Result<Committed, Refusal> {
        let (answer, answered) = oneshot::channel();
        // Reading the header and syncing the file block; neither belongs on a thread of the runtime.
        let handed_over = tokio::task::spawn_blocking(move || {
            let Self { mut incoming, transfer_syntax } = self;
            match index_entry(&mut incoming, &transfer_syntax) {
                Ok(entry) => incoming.commit(entry, move |outcome| {
                    drop(answer.send(outcome.map_err(|error| refusal(&error))));
                }),
                Err(error) => drop(answer.send(Err(refusal(&error)))),
            }
        });
        drop(handed_over.await);
        answered.await.unwrap_or_else(|_| Err(refusal(&StoreError::Closed)))
    }
}

/// What the index holds of an instance. A data set that cannot be read is kept all the same: it has its end as
/// declined, and nothing a modality has sent is lost.
fn index_entry(incoming: &mut Incoming, transfer_syntax: &Uid) -> Result<IndexEntry, StoreError> {
    let offset = incoming.data_set_offset();
    let file = incoming.reopen()?;
    let Ok(header) = read_header(&file, offset, transfer_syntax.as_str(), &Limits::default()) else {
        return Ok(IndexEntry::default());
    };
    let dataset = header.dataset;
    Ok(IndexEntry {
        study: dataset.uid(tags::STUDY_INSTANCE_UID),
        series: dataset.uid(tags::SERIES_INSTANCE_UID),
        attributes: listed(&dataset),
    })
}

/// The attributes lists show. Patient attributes stay in the file.
fn listed(dataset: &Dataset) -> serde_json::Value {
    json!({
        "modality": dataset.text(tags::MODALITY),
        "body_part": dataset.text(tags::BODY_PART_EXAMINED),
        "study_description": dataset.text(tags::STUDY_DESCRIPTION),
        "accession_number": dataset.text(tags::ACCESSION_NUMBER),
        "rows": dataset.int(tags::ROWS),
        "columns": dataset.int(tags::COLUMNS),
    })
}

/// The response to a C-STORE that the store cannot take (PS3.4 § B.2.3, PS3.7 Annex C).
fn refusal(error: &StoreError) -> Refusal {
    let status = match error {
        // A7xx, refused: out of resources (PS3.4 § B.2.3).
        StoreError::DiskLow { .. }
        | StoreError::DiskFull { .. }
        | StoreError::QueueFull { .. }
        | StoreError::File { .. }
        | StoreError::Index { .. }
        | StoreError::Closed => DimseStatus::OUT_OF_RESOURCES,
        // 0111, duplicate SOP instance (PS3.7 Annex C).
        StoreError::OtherBytes { .. } => DimseStatus::DUPLICATE_SOP_INSTANCE,
        // 0110, processing failure (PS3.7 Annex C).
        StoreError::Locked { .. }
        | StoreError::NewerLayout { .. }
        | StoreError::Absent { .. }
        | StoreError::LeaseLost { .. }
        | StoreError::Broken { .. } => DimseStatus::PROCESSING_FAILURE,
    };
    tracing::warn!(status = %status, error = error as &dyn std::error::Error, "C-STORE refused");
    Refusal { status, comment: error.to_string() }
}
