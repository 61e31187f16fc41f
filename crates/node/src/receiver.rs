//! What the listener stores into: the store behind the DIMSE service.

use std::sync::Arc;

use dicom_dictionary_std::tags;
use dokuei_dataset::{Dataset, Limits, ReadError, Scan, Scanned, Tag};
use dokuei_dimse::{IncomingInstance, Refusal, StorageService, StoreRequest};
use dokuei_store::{Arrival, Committed, Incoming, IndexEntry, Store, StoreError};
use dokuei_types::{AeTitle, DimseStatus, Uid};
use serde::Serialize;
use serde_json::value::to_raw_value;
use tokio::sync::oneshot;

use crate::fetch::{Brought, Moves, Origin, Taken};
use crate::files;

/// Receives instances for one node.
pub(crate) struct Receiver {
    store: Store,
    ae_title: AeTitle,
    limits: Limits,
    source: Source,
}

/// Where instances come from.
enum Source {
    /// The listener: what peers send, and what they were asked for by C-MOVE.
    Listener(Moves),
    /// An association of ours, over which all of it is asked for.
    Asked(Arc<Brought>),
}

/// Bytes of a listed attribute, the longest UID and description there may be, and some.
const LISTED_BYTES: u64 = 1024;

impl Receiver {
    pub(crate) fn new(store: Store, ae_title: AeTitle, moves: Moves) -> Self {
        Self::of(store, ae_title, Source::Listener(moves))
    }

    /// Receives what was asked for, to be compared with.
    pub(crate) fn fetching(store: Store, ae_title: AeTitle, brought: Arc<Brought>) -> Self {
        Self::of(store, ae_title, Source::Asked(brought))
    }

    fn of(store: Store, ae_title: AeTitle, source: Source) -> Self {
        Self { store, ae_title, limits: Limits { value_bytes: LISTED_BYTES, ..Limits::default() }, source }
    }

    fn origin(&self, request: &StoreRequest<'_>) -> Result<Origin, Refusal> {
        match &self.source {
            Source::Listener(moves) => moves.origin(request),
            Source::Asked(brought) => Ok(Origin::Fetched(Arc::clone(brought))),
        }
    }
}

/// One instance on its way in.
pub(crate) struct Receiving {
    store: Store,
    incoming: Incoming,
    sop_instance: Uid,
    /// Looks at the data set as it passes.
    scan: Scan,
    origin: Origin,
}

/// What the index holds of a data set, and by what it is known whose it is.
const LISTED: &[Tag] = &[
    tags::SPECIFIC_CHARACTER_SET,
    tags::ACCESSION_NUMBER,
    tags::MODALITY,
    tags::STUDY_DESCRIPTION,
    tags::BODY_PART_EXAMINED,
    tags::STUDY_INSTANCE_UID,
    tags::SERIES_INSTANCE_UID,
    tags::ROWS,
    tags::COLUMNS,
    tags::PATIENT_ID,
    tags::ISSUER_OF_PATIENT_ID,
];

impl StorageService for Receiver {
    type Incoming = Receiving;

    fn begin(&self, request: StoreRequest<'_>) -> Result<Receiving, Refusal> {
        let origin = self.origin(&request)?;
        let meta = files::meta_of(&request, &self.ae_title);
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
            store: self.store.clone(),
            incoming: self.store.receive(arrival).map_err(|error| refusal(&error))?,
            sop_instance: request.sop_instance.clone(),
            scan: Scan::new(request.transfer_syntax.as_str(), LISTED, &self.limits),
            origin,
        })
    }

    fn is_congested(&self) -> bool {
        let room = self.store.room();
        if let Err(error) = &room {
            tracing::warn!(error = error as &dyn std::error::Error, "no room for instances");
        }
        room.is_err()
    }
}

impl IncomingInstance for Receiving {
    type Committed = Committed;

    fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.scan.push(bytes);
        self.incoming.write(bytes).map_err(|error| refusal(&error))
    }

    fn may_block(&self, count: usize) -> bool {
        self.incoming.write_may_block(count)
    }

    async fn commit(self) -> Result<Committed, Refusal> {
        let (answer, answered) = oneshot::channel();
        let Self { store, incoming, sop_instance, scan, origin } = self;
        let scanned = scan.finish();
        let (is_sent, is_asked) = (matches!(origin, Origin::Sent), matches!(origin, Origin::Fetched(_)));
        let whose = (!is_sent).then(|| patient(&scanned.dataset));
        let entry = index_entry(scanned);
        let is_of = |patient| {
            let whose = whose.as_ref().and_then(|(id, issuer)| store.patient(id, issuer).ok());
            whose == Some(patient)
        };
        let (entry, brought) = match origin.told(entry.series.as_ref()) {
            None => (entry, None),
            Some(brought) => match brought.take(&sop_instance, entry, is_of) {
                Taken::Wanted(entry) => (entry, Some(brought)),
                Taken::Unwanted(entry) if !is_asked => (entry, None),
                Taken::Unwanted(_) => return Err(unwanted("it was not asked for".to_owned())),
                Taken::Other(why) => return Err(unwanted(why)),
            },
        };
        let done = move |outcome: Result<Committed, StoreError>| {
            drop(answer.send(outcome.map_err(|error| refusal(&error))));
        };
        if incoming.commit_may_block() {
            // A file that is being synced does not belong on a thread of the runtime.
            drop(tokio::task::spawn_blocking(move || incoming.commit(entry, done)).await);
        } else {
            incoming.commit(entry, done);
        }
        let committed = answered.await.unwrap_or_else(|_| Err(refusal(&StoreError::Closed)));
        match (&committed, brought) {
            (Ok(_), Some(brought)) => brought.add(sop_instance),
            // The same another time; what else is wrong may pass.
            (Err(refusal), Some(brought)) if refusal.status == DimseStatus::DUPLICATE_SOP_INSTANCE => {
                brought.refuse(refusal.comment.clone());
            }
            _ => {}
        }
        committed
    }
}

/// Patient ID and its issuer.
fn patient(dataset: &Dataset) -> (String, String) {
    let text = |tag| dataset.text(tag).unwrap_or_default();
    (text(tags::PATIENT_ID), text(tags::ISSUER_OF_PATIENT_ID))
}

/// The response to what an archive sends in place of that which it was asked for.
fn unwanted(why: String) -> Refusal {
    tracing::warn!(why, "not taken");
    Refusal::new(DimseStatus::PROCESSING_FAILURE, why)
}

/// What the index holds of an instance. A data set that cannot be read is kept all the same: it has its end as
/// declined, and nothing a modality has sent is lost.
fn index_entry(scanned: Scanned) -> IndexEntry {
    let Scanned { dataset, verdict, header_bytes, .. } = scanned;
    IndexEntry {
        study: dataset.uid(tags::STUDY_INSTANCE_UID),
        series: dataset.uid(tags::SERIES_INSTANCE_UID),
        // What is wrong is read again from the disk, by the one who says so.
        header_bytes: header_bytes.filter(|_| verdict.is_ok()),
        attributes: to_raw_value(&Listed::of(&dataset, verdict.err().as_ref())).unwrap_or_default(),
        ..IndexEntry::default()
    }
}

/// The attributes lists show. Patient attributes stay in the file.
#[derive(Serialize)]
struct Listed {
    modality: Option<String>,
    body_part: Option<String>,
    study_description: Option<String>,
    accession_number: Option<String>,
    rows: Option<i64>,
    columns: Option<i64>,
    fault: Option<String>,
}

impl Listed {
    fn of(dataset: &Dataset, fault: Option<&ReadError>) -> Self {
        Self {
            modality: dataset.text(tags::MODALITY),
            body_part: dataset.text(tags::BODY_PART_EXAMINED),
            study_description: dataset.text(tags::STUDY_DESCRIPTION),
            accession_number: dataset.text(tags::ACCESSION_NUMBER),
            rows: dataset.int(tags::ROWS),
            columns: dataset.int(tags::COLUMNS),
            fault: fault.map(ToString::to_string),
        }
    }
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
        | StoreError::OlderLayout { .. }
        | StoreError::Absent { .. }
        | StoreError::LeaseLost { .. }
        | StoreError::Broken { .. } => DimseStatus::PROCESSING_FAILURE,
    };
    tracing::warn!(status = %status, error = error as &dyn std::error::Error, "C-STORE refused");
    Refusal::new(status, error.to_string())
}

#[cfg(test)]
mod faults;

#[cfg(test)]
mod tests {
    use dokuei_store::StoreConfig;

    use super::*;

    fn check(change: impl FnOnce(&mut StoreConfig), congested: bool) {
        let folder = tempfile::tempdir().unwrap();
        let mut config = StoreConfig { disk_free_min: 0, ..StoreConfig::new(folder.path()) };
        change(&mut config);
        let receiver = Receiver::new(Store::open(config).unwrap(), AeTitle::new("NODE").unwrap(), Moves::new(0));
        assert_eq!(receiver.is_congested(), congested);
        receiver.store.close();
    }

    #[test]
    fn a_store_that_would_refuse_instances_is_congested() {
        check(|_| {}, false);
        check(|config| config.queue_max = 0, true);
        check(|config| config.disk_free_min = u64::MAX, true);
    }
}
