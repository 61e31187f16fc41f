//! Instances sent on to a node: each is spooled, sent by C-STORE, and answered for with what the node answers.

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::sync::Arc;

use dokuei_dimse::{
    AssociateError, Association, IncomingInstance, ProposedContext, Refusal, RequestorConfig, StorageService,
    StoreItem, StoreRequest,
};
use dokuei_types::{DimseStatus, Uid};
use tokio::sync::Mutex;

use super::folder::refusal;
use crate::send::words;

/// Sends what arrives to one node, over one association that is renewed when it ends.
pub(super) struct Relay(Arc<Shared>);

struct Shared {
    config: RequestorConfig,
    contexts: Vec<ProposedContext>,
    association: Mutex<Option<Association>>,
}

impl Relay {
    /// Associates with the node for what may arrive.
    pub(super) async fn new(config: RequestorConfig, contexts: Vec<ProposedContext>) -> Result<Self, AssociateError> {
        let association = Association::request(&config, &contexts).await?;
        Ok(Self(Arc::new(Shared { config, contexts, association: Mutex::new(Some(association)) })))
    }

    pub(super) async fn release(&self) {
        if let Some(association) = self.0.association.lock().await.take().filter(Association::is_usable) {
            drop(association.release().await);
        }
    }
}

/// One instance on its way through.
pub(super) struct Spooled {
    file: BufWriter<File>,
    length: u64,
    sop_class: Uid,
    sop_instance: Uid,
    transfer_syntax: Uid,
    to: Arc<Shared>,
}

impl StorageService for Relay {
    type Incoming = Spooled;

    fn begin(&self, request: StoreRequest<'_>) -> Result<Spooled, Refusal> {
        Ok(Spooled {
            file: BufWriter::new(tempfile::tempfile().map_err(refusal)?),
            length: 0,
            sop_class: request.sop_class.clone(),
            sop_instance: request.sop_instance.clone(),
            transfer_syntax: request.transfer_syntax.clone(),
            to: Arc::clone(&self.0),
        })
    }
}

impl IncomingInstance for Spooled {
    /// What the node has answered.
    type Committed = ();

    fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.length = self.length.saturating_add(bytes.len() as u64);
        self.file.write_all(bytes).map_err(refusal)
    }

    async fn commit(self) -> Result<(), Refusal> {
        let Self { file, length, sop_class, sop_instance, transfer_syntax, to } = self;
        let file = tokio::task::spawn_blocking(move || rewound(file)).await;
        let file = file.unwrap_or_else(|_| Err(io::ErrorKind::Other.into())).map_err(refusal)?;
        let item = StoreItem {
            sop_class: &sop_class,
            sop_instance: &sop_instance,
            transfer_syntax: &transfer_syntax,
            data_set: tokio::fs::File::from_std(file),
            length,
        };
        let unreachable = |why: String| Refusal::new(DimseStatus::OUT_OF_RESOURCES, why);
        let mut held = to.association.lock().await;
        let mut association = match held.take().filter(Association::is_usable) {
            Some(association) => association,
            None => Association::request(&to.config, &to.contexts).await.map_err(|error| unreachable(words(&error)))?,
        };
        let outcome = association.store(item).await;
        *held = Some(association);
        let outcome = outcome.map_err(|error| unreachable(words(&error)))?;
        if outcome.status.is_stored() { Ok(()) } else { Err(Refusal::new(outcome.status, outcome.comment)) }
    }
}

fn rewound(file: BufWriter<File>) -> io::Result<File> {
    let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    Ok(file)
}
