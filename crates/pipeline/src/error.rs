use dokuei_store::StoreError;

/// Why a stage of an instance's life came to nothing, grouped by what happens next.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum FlowError {
    /// The store: nothing changed; the lease runs out and the work is done again.
    #[error("change the store")]
    Store(#[from] StoreError),
    /// Something that may be there the next time.
    #[error("{0}")]
    Again(String),
    /// Something that stays as it is until a person acts: a dead letter.
    #[error("{0}")]
    Hopeless(String),
}

/// Why the pipeline does not start.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// Our resources: a thread could not be started.
    #[error("start a worker thread")]
    Thread(#[source] std::io::Error),
    /// Our resources: the store.
    #[error("look into the store")]
    Store(#[from] StoreError),
}
