use std::sync::Arc;
use std::time::Duration;

use dokuei_store::{Changes, DeliveryEnd, DeliveryLease, Due, Failover, StoreError};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::confirmation;
use crate::delivery::{DeliveryOutcome, Parcel, RetryPolicy, Terms, judge};
use crate::pipeline::{Core, DestinationSetup};
use crate::worker::{RECORD_AGAIN, chain, sleep_until};

/// Time in which a batch must be delivered: more than the largest object needs over a slow link.
const DELIVERY_TIME_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Longest pause of a destination that cannot be reached, so that its return is noticed soon.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How often is looked for destinations that are no more.
const STRAND_EVERY: Duration = Duration::from_secs(5);

/// Delivers what waits for one destination, batch by batch, until told to stop. Destinations do not wait
/// for each other.
pub(crate) async fn drive(core: Arc<Core>, setup: DestinationSetup, stop: CancellationToken) {
    let mut rung = core.rung.subscribe();
    let mut pause = Pause::default();
    let mut recorded = None;
    while !stop.is_cancelled() {
        rung.mark_unchanged();
        let now = core.now();
        let closed_until = setup.opening.closed_until(now);
        let look = async {
            if recorded != Some(closed_until) {
                let close = move |core: &Core, name: &str| core.store.close_destination(name, closed_until);
                asking(&core, &setup.name, close).await?;
                recorded = Some(closed_until);
            }
            match pause.left(now) {
                Some(until) => Ok(Some(until)),
                None => next_at(&core, &setup, closed_until).await,
            }
        };
        match look.await {
            Ok(Some(at)) if at <= now => {}
            Ok(next) => {
                sleep(&mut rung, &stop, sleep_until(next, now)).await;
                continue;
            }
            Err(StoreError::Closed) => break,
            Err(error) => {
                tracing::error!(destination = setup.name, error = chain(&error), "cannot look into the outbox");
                sleep(&mut rung, &stop, Duration::from_secs(1)).await;
                continue;
            }
        }
        let turned = match turn(&core, &setup, closed_until.is_some(), pause.since).await {
            Ok(reached) => pause.after(reached, &core, &setup.name).await,
            Err(error) => Err(error),
        };
        if let Err(error) = turned {
            tracing::error!(destination = setup.name, error = chain(&error), "cannot change the outbox");
            pause.begin(core.now(), &core.config.retry);
        }
    }
}

/// Gives up what waits for destinations that are no longer configured.
///
/// # Errors
/// What the index says.
pub(crate) fn strand(core: &Core) -> Result<(), StoreError> {
    let waiting = core.store.waiting_destinations()?;
    // Afterwards: what an older setup is asked about may be what a newer one has just queued.
    let setup = core.setup();
    for name in waiting.into_iter().filter(|name| setup.destination(name).is_none()) {
        core.store.close_destination(&name, None)?;
        let reason = format!("the destination {name} is no longer configured");
        let count = core.store.strand(&name, &reason)?;
        core.store.waive_confirmation(&name)?;
        tracing::error!(destination = name, count, "given up: {reason}");
    }
    Ok(())
}

/// Goes on giving up, until the node stops: what was planned before a destination went may come to wait for it long after.
pub(crate) async fn keep_stranding(core: Arc<Core>) {
    while core.stop.run_until_cancelled(tokio::time::sleep(STRAND_EVERY)).await.is_some() {
        let looking = Arc::clone(&core);
        match spawn_blocking(move || strand(&looking)).await.unwrap_or(Err(StoreError::Closed)) {
            Ok(()) => {}
            Err(StoreError::Closed) => break,
            Err(error) => tracing::error!(error = chain(&error), "cannot look for destinations that are no more"),
        }
    }
}

/// When something is to be sent, or asked about: at once where nothing is asked about any more. While the destination is
/// closed, what is urgent is to be sent.
async fn next_at(
    core: &Arc<Core>,
    setup: &DestinationSetup,
    closed_until: Option<i64>,
) -> Result<Option<i64>, StoreError> {
    let is_asked = setup.confirm_within.is_some();
    asking(core, &setup.name, move |core, name| {
        let ask = core.store.next_inquiry_at(name)?.map(|at| if is_asked { at } else { 0 });
        let send = core.store.next_delivery_at(name, due(closed_until.is_some()))?;
        Ok(send.into_iter().chain(ask).chain(closed_until).min())
    })
    .await
}

fn due(is_closed: bool) -> Due {
    if is_closed { Due::Urgent } else { Due::All }
}

/// Sends a batch; asks for confirmation when nothing is to be sent. Whether the destination was reached, which it was not
/// since `unreached_since`.
async fn turn(
    core: &Arc<Core>,
    setup: &DestinationSetup,
    is_closed: bool,
    unreached_since: Option<i64>,
) -> Result<bool, StoreError> {
    match (batch(core, setup, is_closed, unreached_since).await?, setup.confirm_within) {
        (Some(reached), _) => Ok(reached),
        (None, Some(patience)) => confirmation::ask(core, setup, patience).await,
        (None, None) => asking(core, &setup.name, |core, name| core.store.waive_confirmation(name)).await.map(|_| true),
    }
}

/// Leases a batch, has it delivered, records what came of it; whether the destination was reached, or `None` when nothing was
/// due.
async fn batch(
    core: &Arc<Core>,
    setup: &DestinationSetup,
    is_closed: bool,
    unreached_since: Option<i64>,
) -> Result<Option<bool>, StoreError> {
    let size = core.config.batch;
    let lease =
        move |core: &Core, name: &str| core.store.lease_due_deliveries(name, due(is_closed), size, DELIVERY_TIME_MAX);
    let leases = asking(core, &setup.name, lease).await?;
    if leases.is_empty() {
        return Ok(None);
    }
    let parcels: Vec<Parcel> = leases.iter().map(Parcel::of).collect();
    let destination = Arc::clone(&setup.destination);
    // A task of its own, so that a panic in it ends this batch alone.
    let delivering = tokio::spawn(async move { destination.deliver(parcels).await });
    let mut outcomes = delivering.await.unwrap_or_else(|error| {
        tracing::error!(destination = setup.name, %error, "the delivery panicked");
        leases.iter().map(|_| DeliveryOutcome::Unreachable("the delivery failed within this node".into())).collect()
    });
    outcomes.resize(leases.len(), DeliveryOutcome::Unsent("no outcome".into()));
    let reached =
        outcomes.iter().any(|outcome| !matches!(outcome, DeliveryOutcome::Unreachable(_) | DeliveryOutcome::Unsent(_)));
    let passing = outcomes.iter().find_map(DeliveryOutcome::passing);
    let (now, policy) = (core.now(), core.config.retry);
    let confirm_after = i64::try_from(core.config.confirm_after.as_millis()).unwrap_or(i64::MAX);
    let confirm_at = setup.confirm_within.map(|_| now.saturating_add(confirm_after));
    let [before, urgent_before] = failing_before(setup, now, policy.give_up_after);
    let ends = leases
        .into_iter()
        .zip(outcomes)
        .map(|(lease, outcome)| {
            log(&lease, &outcome);
            let fails_over = setup.failover.as_ref().is_some_and(|failover| failover.takes(&lease));
            let give_up_before = Some(if lease.is_urgent { urgent_before } else { before }).filter(|_| !fails_over);
            let terms = Terms { policy: &policy, now, confirm_at, give_up_before };
            let end = judge(&lease, outcome, &terms);
            (lease, end)
        })
        .collect();
    record(core, setup, ends).await?;
    if let Some(reason) = passing {
        let unreached_since = (!reached).then_some(unreached_since.unwrap_or(now));
        fail_over(core, setup, unreached_since, reason).await?;
    }
    Ok(Some(reached))
}

/// Records what came of a batch, until it is: what is not recorded would be under way for a day and sent once more. The end
/// of the node ends it too, since a start gives back what is under way.
async fn record(
    core: &Arc<Core>,
    setup: &DestinationSetup,
    mut ends: Vec<(DeliveryLease, DeliveryEnd)>,
) -> Result<(), StoreError> {
    loop {
        let changes = ends.iter().map(|(lease, end)| Changes::delivered(lease, end.clone())).collect();
        let store = core.store.clone();
        let recorded = spawn_blocking(move || store.apply_all(changes)).await.map_err(|_| StoreError::Closed)?;
        let mut left = Vec::new();
        let mut trouble = None;
        for (ended, outcome) in ends.into_iter().zip(recorded) {
            match outcome {
                Ok(_) => {}
                Err(error @ (StoreError::LeaseLost { .. } | StoreError::Closed)) => {
                    tracing::warn!(destination = setup.name, error = chain(&error), "what came of a delivery is lost");
                }
                Err(error) => {
                    trouble = Some(error);
                    left.push(ended);
                }
            }
        }
        let Some(error) = trouble else { return Ok(()) };
        if core.stop.is_cancelled() {
            return Err(error);
        }
        let deliveries = left.len();
        tracing::error!(
            destination = setup.name,
            deliveries,
            error = chain(&error),
            "cannot record what was delivered yet"
        );
        core.stop.run_until_cancelled(tokio::time::sleep(RECORD_AGAIN)).await;
        ends = left;
    }
}

/// When what has failed for `long` by now had failed first, and the same of what is urgent: for the rest the clock stands
/// still while the destination is closed.
fn failing_before(setup: &DestinationSetup, now: i64, long: Duration) -> [i64; 2] {
    let urgent = now.saturating_sub(i64::try_from(long.as_millis()).unwrap_or(i64::MAX));
    [setup.opening.back(now, long), urgent]
}

/// Has another destination get what this one fails to take, where there is one and it is time.
async fn fail_over(
    core: &Arc<Core>,
    setup: &DestinationSetup,
    unreached_since: Option<i64>,
    reason: String,
) -> Result<(), StoreError> {
    let Some(failover) = &setup.failover else { return Ok(()) };
    let [failing_before, urgent_failing_before] = failing_before(setup, core.now(), failover.after);
    let failover = Failover {
        from: setup.name.clone(),
        to: failover.to.clone(),
        to_ae: failover.ae_title.as_ref().map(ToString::to_string),
        unreached_since,
        failing_before,
        urgent_failing_before,
        reason,
    };
    let to = failover.to.clone();
    let count = asking(core, &setup.name, move |core, _| core.store.fail_over(failover)).await?;
    if count > 0 {
        tracing::warn!(destination = setup.name, count, to, "it fails: another destination gets what waits for it");
    }
    Ok(())
}

fn log(lease: &DeliveryLease, outcome: &DeliveryOutcome) {
    let (instance, destination, role) = (lease.instance, &lease.destination, &lease.role);
    match outcome {
        DeliveryOutcome::Stored { status, .. } => {
            tracing::info!(%instance, destination, role, %status, "delivered");
        }
        DeliveryOutcome::Unsent(_) => {}
        other => tracing::warn!(%instance, destination, role, outcome = ?other, "not delivered"),
    }
}

/// Keeps a destination that cannot be reached from being tried for every object that waits for it.
#[derive(Default)]
struct Pause {
    failures: u32,
    until: Option<i64>,
    /// Since when it cannot be reached.
    since: Option<i64>,
}

impl Pause {
    fn begin(&mut self, now: i64, policy: &RetryPolicy) {
        let wait = policy.wait(self.failures, 0).min(PAUSE_MAX);
        self.failures = self.failures.saturating_add(1);
        self.until = Some(now.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)));
    }

    /// Until when it lasts, at `now`; one that lasts for longer than it can is over, since the clock was set back.
    fn left(&self, now: i64) -> Option<i64> {
        let latest = now.saturating_add(i64::try_from(PAUSE_MAX.as_millis()).unwrap_or(i64::MAX));
        self.until.filter(|until| (now.saturating_add(1)..=latest).contains(until))
    }

    async fn after(&mut self, reached: bool, core: &Arc<Core>, destination: &str) -> Result<(), StoreError> {
        if !reached {
            let now = core.now();
            self.since = self.since.or(Some(now));
            self.begin(now, &core.config.retry);
            return Ok(());
        }
        if std::mem::take(self).failures > 0 {
            tracing::info!(destination, "reached again");
            asking(core, destination, |core, name| core.store.reached_again(name)).await?;
        }
        Ok(())
    }
}

/// Asks the store on a thread that may wait for the disk.
pub(crate) async fn asking<T: Send + 'static>(
    core: &Arc<Core>,
    name: &str,
    ask: impl FnOnce(&Core, &str) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let (core, name) = (Arc::clone(core), name.to_owned());
    spawn_blocking(move || ask(&core, &name)).await.unwrap_or(Err(StoreError::Closed))
}

/// Until the store rings, the node stops, or the time is over.
async fn sleep(rung: &mut watch::Receiver<u64>, stop: &CancellationToken, time: Duration) {
    tokio::select! {
        () = stop.cancelled() => {}
        _ = rung.changed() => {}
        () = tokio::time::sleep(time) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_when_the_clock_is_set_back() {
        let mut pause = Pause { failures: 20, ..Pause::default() };
        pause.begin(100_000_000, &RetryPolicy::default());
        let until = pause.left(100_000_000).unwrap();
        assert!(until > 100_030_000, "{until}");
        assert_eq!((pause.left(until - 1), pause.left(until)), (Some(until), None));
        assert_eq!(pause.left(100_000_000 - 2 * 3_600_000), None);
    }
}
