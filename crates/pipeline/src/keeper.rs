use std::sync::Arc;
use std::time::Duration;

use dokuei_store::{Removed, StoreError};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::pipeline::Core;
use crate::worker::chain;

/// How often is looked for what is kept no longer.
const EVERY: Duration = Duration::from_secs(60);
/// Instances and result objects that go in one transaction at most.
const AT_ONCE: usize = 256;

/// Removes what is kept no longer, until told to stop.
pub(crate) async fn keep(core: Arc<Core>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let removing = Arc::clone(&core);
        match spawn_blocking(move || remove(&removing)).await.unwrap_or(Err(StoreError::Closed)) {
            Ok(Removed { images: 0, objects: 0 }) => {}
            Ok(Removed { images, objects }) => {
                tracing::info!(images, objects, "removed what is kept no longer");
                continue;
            }
            Err(StoreError::Closed) => break,
            Err(error) => tracing::error!(error = chain(&error), "cannot remove what is kept no longer"),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = core.looked.notified() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

fn remove(core: &Core) -> Result<Removed, StoreError> {
    if core.store.is_burst() {
        // There will be a quieter minute.
        return Ok(Removed::default());
    }
    core.store.remove_old(&core.setup().retention, AT_ONCE)
}
