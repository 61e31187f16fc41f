//! Retrieve: images whose bytes were removed, and that a replay wants again, come from an archive first. What waits for them
//! and the jobs that ask are in the store; nothing of it is remembered here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dokuei_store::{Awaited, Changes, JobKind, Lease, RemovedImage, Store, StoreError, Subject};
use dokuei_types::InstanceId;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::error::FlowError;
use crate::pipeline::Core;
use crate::worker::{bury, chain, sleep_until};

/// Images that are asked for in one go.
const RETRIEVED_AT_ONCE: usize = 64;
/// Time for those of a study: an archive may have to bring them from afar.
const RETRIEVING_TIME_MAX: Duration = Duration::from_secs(1_800);
/// After this time what came to nothing of the store's own fault is asked for again.
const LEASE_TIME: Duration = Duration::from_secs(2 * 3_600);

/// Images of one study that an archive is asked for.
#[derive(Clone)]
pub struct WantedAgain {
    /// Where what comes is stored, as [`IndexEntry::is_again`](dokuei_store::IndexEntry::is_again).
    pub store: Store,
    /// The images, all of one study.
    pub images: Vec<RemovedImage>,
}

/// Asks for what is due, until told to stop. What is not here by then keeps its lease, which the next start clears.
pub(crate) async fn drive(core: Arc<Core>, stop: CancellationToken) {
    let mut rung = core.rung.subscribe();
    let ask = async {
        loop {
            rung.mark_unchanged();
            let sleep = match turn(&core).await {
                Ok(None) => continue,
                Ok(Some(sleep)) => sleep,
                Err(StoreError::Closed) => break,
                Err(error) => {
                    tracing::error!(error = chain(&error), "what is to be retrieved cannot be looked for");
                    Duration::from_secs(1)
                }
            };
            drop(tokio::time::timeout(sleep, rung.changed()).await);
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = ask => {}
    }
}

/// Asks for what is due; how long to sleep where nothing was.
async fn turn(core: &Arc<Core>) -> Result<Option<Duration>, StoreError> {
    let next = blocking(core, |core| core.store.next_job_at(JobKind::Retrieve)).await?;
    let now = core.now();
    if next.is_none_or(|next| next > now) {
        return Ok(Some(sleep_until(next, now)));
    }
    let due = |core: &Core| core.store.lease(JobKind::Retrieve, RETRIEVED_AT_ONCE, LEASE_TIME);
    let leases = blocking(core, due).await?;
    let (here, removed) = blocking(core, move |core| sort(core, leases)).await?;
    let mut outcomes = here;
    for (_, wanted) in removed {
        outcomes.extend(retrieve(core, wanted).await?);
    }
    blocking(core, move |core| record(core, outcomes)).await?;
    Ok(None)
}

/// What came of a job.
type Outcome = (Lease, Result<InstanceId, FlowError>);
/// Images that are asked for, by the UID of their study.
type Removed = BTreeMap<Option<String>, Vec<(Lease, RemovedImage)>>;

/// Those that need not be asked for, and the others.
fn sort(core: &Core, leases: Vec<Lease>) -> Result<(Vec<Outcome>, Removed), StoreError> {
    let (mut outcomes, mut removed) = (Vec::new(), Removed::new());
    for lease in leases {
        let Subject::Instance(instance) = lease.subject else { continue };
        match core.store.awaited(instance)? {
            Awaited::Removed(image) => removed.entry(image.stored.study.clone()).or_default().push((lease, *image)),
            here => outcomes.push((lease, found(instance, here, "it was not asked for"))),
        }
    }
    Ok((outcomes, removed))
}

/// Has the archive send images of one study.
async fn retrieve(core: &Arc<Core>, wanted: Vec<(Lease, RemovedImage)>) -> Result<Vec<Outcome>, StoreError> {
    let (leases, images): (Vec<Lease>, Vec<RemovedImage>) = wanted.into_iter().unzip();
    let setup = core.setup();
    let said = match setup.archive.as_deref().and_then(|name| setup.destination(name)) {
        None => Err(FlowError::Hopeless("its bytes were removed, and no `retention.archive` is configured".to_owned())),
        Some(archive) => {
            let (destination, wanted) =
                (Arc::clone(&archive.destination), WantedAgain { store: core.store.clone(), images });
            // A task of its own, so that a panic in it ends these jobs alone.
            let retrieving = async move { destination.retrieve(wanted).await };
            let said = match tokio::spawn(tokio::time::timeout(RETRIEVING_TIME_MAX, retrieving)).await {
                Ok(Ok(said)) => said,
                Ok(Err(_elapsed)) => Err("it takes too long".to_owned()),
                Err(error) => Err(error.to_string()),
            };
            said.map(|trouble| {
                format!("{}: {}", archive.name, trouble.unwrap_or_else(|| "it has none of it".to_owned()))
            })
            .map_err(|why| FlowError::Again(format!("{}: {why}", archive.name)))
        }
    };
    blocking(core, move |core| {
        let outcome = |lease: Lease| {
            let Subject::Instance(instance) = lease.subject else { return Ok(None) };
            let outcome = match (core.store.awaited(instance)?, &said) {
                (Awaited::Removed(_), Err(why)) => Err(why.clone()),
                (awaited, said) => found(instance, awaited, said.as_deref().unwrap_or_default()),
            };
            Ok(Some((lease, outcome)))
        };
        leases.into_iter().filter_map(|lease| outcome(lease).transpose()).collect()
    })
    .await
}

/// Whether an instance is here, once all was tried.
fn found(instance: InstanceId, awaited: Awaited, said: &str) -> Result<InstanceId, FlowError> {
    match awaited {
        Awaited::Here(here) => {
            tracing::info!(%instance, %here, "an image whose bytes were removed is here again");
            Ok(instance)
        }
        Awaited::Removed(_) => Err(FlowError::Hopeless(said.to_owned())),
        Awaited::Replaced(by) => {
            let why = format!("an archive has what has come since under its SOP Instance UID, as instance {by}");
            Err(FlowError::Hopeless(why))
        }
    }
}

fn record(core: &Core, outcomes: Vec<Outcome>) -> Result<(), StoreError> {
    for (lease, outcome) in outcomes {
        let changes = match outcome {
            Ok(instance) => Changes::complete(&lease).resume(instance),
            Err(FlowError::Again(why)) if !core.config.retry.is_over(lease.created_at, core.now()) => {
                tracing::warn!(job = %lease.job, why, "asked for again later");
                Changes::retry(&lease, core.config.retry.next_at(lease.attempts, lease.job.0, core.now()), &why)
            }
            Err(why) => bury(&lease, &why.to_string()),
        };
        match core.store.apply(changes) {
            Ok(_) | Err(StoreError::LeaseLost { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(
    core: &Arc<Core>,
    work: impl FnOnce(&Core) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let core = Arc::clone(core);
    spawn_blocking(move || work(&core)).await.unwrap_or(Err(StoreError::Closed))
}
