use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use dokuei_store::{Changes, Fault, JobKind, Lease, StoreError, StoredInstance, Subject};

use crate::error::FlowError;
use crate::flow::Analysts;
use crate::pipeline::Core;
use crate::settling::Step;

/// Longest sleep when nothing is due, so that a clock which was set does no harm.
const SLEEP_MAX: Duration = Duration::from_secs(30);
/// Instances that are matched in one go and share a transaction.
const ROUTED_AT_ONCE: usize = 256;
/// How long the index is left alone when it could not record what came of a job or a delivery.
pub(crate) const RECORD_AGAIN: Duration = Duration::from_secs(1);
/// Pause before a batch of the router while a burst of instances is being received.
const BURST_PAUSE: Duration = Duration::from_millis(100);
/// Time in which a batch of the router must be done.
const ROUTING_TIME_MAX: Duration = Duration::from_secs(120);

/// The router: settles what is due and matches what is new, until told to stop.
pub(crate) fn route(core: &Core) {
    each(core, &[JobKind::Settle, JobKind::Match], |kind| {
        if core.store.is_burst() {
            std::thread::sleep(BURST_PAUSE);
        }
        let leases = core.store.lease(kind, ROUTED_AT_ONCE, ROUTING_TIME_MAX)?;
        let setup = core.setup();
        let stages = core.stages(&setup);
        let ends = leases.iter().filter_map(|lease| match guarded(|| stages.route(lease)) {
            Ok(Step::Ask(question)) => {
                core.ask(*question);
                None
            }
            Ok(Step::Done(changes)) => Some((lease, changes)),
            Err(error) => Some((lease, conclude(core, lease, Err(error)))),
        });
        let (leases, changes): (Vec<_>, Vec<_>) = ends.unzip();
        let outcomes = core.store.apply_all(changes);
        for (lease, outcome) in leases.into_iter().zip(outcomes) {
            settle_account(core, lease, outcome.map(|_| ()));
        }
        Ok(())
    });
}

/// Decides on an instance as it arrives; `None` to leave it to the router.
pub(crate) fn decide(core: &Core, stored: &StoredInstance, beginning: &[u8]) -> Option<Changes> {
    let setup = core.setup();
    let stages = core.stages(&setup);
    catch_unwind(AssertUnwindSafe(|| stages.decide_at_arrival(stored, beginning))).unwrap_or_default()
}

/// A worker: has models look at images, one at a time, until told to stop.
pub(crate) fn analyze(core: &Core) {
    let mut analysts = Analysts::default();
    each(core, &[JobKind::Analyze], |kind| {
        for lease in core.store.lease(kind, 1, core.config.analysis_time_max)? {
            let setup = core.setup();
            let stages = core.stages(&setup);
            let outcome = guarded(|| match lease.subject {
                Subject::Task(task, instance) => stages.analyze(&lease, task, instance, &mut analysts),
                _ => Err(FlowError::Hopeless("this job is not for a model".to_owned())),
            });
            if matches!(&outcome, Err(FlowError::Hopeless(_))) {
                // Whatever failed may have left its buffers in disorder.
                analysts = Analysts::default();
            }
            let changes = conclude(core, &lease, outcome);
            settle_account(core, &lease, core.store.apply(changes).map(|_| ()));
        }
        Ok(())
    });
}

/// Calls `work` for each kind of job that has something due; sleeps when none has.
fn each(core: &Core, kinds: &[JobKind], mut work: impl FnMut(JobKind) -> Result<(), StoreError>) {
    while !core.stop.is_cancelled() {
        let heard = core.bell.heard();
        match due(core, kinds, &mut work) {
            Ok(None) => {}
            Ok(Some(sleep)) => core.bell.wait(heard, sleep),
            Err(StoreError::Closed) => break,
            Err(error) => {
                tracing::error!(%error, "the store cannot be asked for work");
                core.bell.wait(heard, Duration::from_secs(1));
            }
        }
    }
}

/// Does what is due; how long to sleep when nothing was.
fn due(
    core: &Core,
    kinds: &[JobKind],
    work: &mut impl FnMut(JobKind) -> Result<(), StoreError>,
) -> Result<Option<Duration>, StoreError> {
    let mut next = None;
    let mut worked = false;
    for kind in kinds {
        let now = core.now();
        match core.store.next_job_at(*kind)? {
            Some(at) if at <= now => {
                work(*kind)?;
                worked = true;
            }
            at => next = next.into_iter().chain(at).min(),
        }
    }
    Ok((!worked).then(|| sleep_until(next, core.now())))
}

/// The time until `next`, within bounds.
pub(crate) fn sleep_until(next: Option<i64>, now: i64) -> Duration {
    let wait = next.map(|at| Duration::from_millis(u64::try_from(at.saturating_sub(now)).unwrap_or_default()));
    wait.unwrap_or(SLEEP_MAX).clamp(Duration::from_millis(1), SLEEP_MAX)
}

/// Runs a step so that a panic ends its job alone.
fn guarded<T>(step: impl FnOnce() -> Result<T, FlowError>) -> Result<T, FlowError> {
    catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|_| Err(FlowError::Hopeless("the step panicked".to_owned())))
}

/// The changes that end a step, also when it has failed: tried again, or a dead letter.
fn conclude(core: &Core, lease: &Lease, outcome: Result<Changes, FlowError>) -> Changes {
    let error = match outcome {
        Ok(changes) => return changes,
        Err(error) => error,
    };
    match error {
        FlowError::Hopeless(reason) => bury(lease, &reason),
        FlowError::Again(reason) => again(core, lease, &reason),
        FlowError::Store(error) => again(core, lease, &chain(&error)),
    }
}

fn again(core: &Core, lease: &Lease, reason: &str) -> Changes {
    let attempts = lease.attempts.saturating_add(1);
    // A unit has no place among the dead letters: its members would wait for ever.
    if attempts >= core.config.attempts_max && lease.kind != JobKind::Settle {
        return bury(lease, &format!("{reason} ({attempts} attempts)"));
    }
    tracing::warn!(job = %lease.job, kind = lease.kind.as_str(), reason, "tried again later");
    Changes::retry(lease, core.config.retry.next_at(lease.attempts, lease.job.0, core.now()), reason)
}

pub(crate) fn bury(lease: &Lease, reason: &str) -> Changes {
    tracing::error!(job = %lease.job, kind = lease.kind.as_str(), reason, "given up: see `dokuei failed`");
    Changes::bury(lease, reason)
}

/// What is done when the changes of a step could not be made: the job is done again once the index can say so, not only
/// when its lease has run out.
fn settle_account(core: &Core, lease: &Lease, outcome: Result<(), StoreError>) {
    let mut outcome = outcome;
    let mut wait = Duration::ZERO;
    while let Err(error) = outcome {
        if error.fault() == Fault::Lease {
            tracing::warn!(job = %lease.job, "took longer than its lease: another worker has it");
            return;
        }
        tracing::error!(job = %lease.job, error = chain(&error), "the outcome of a job could not be recorded");
        let may_pass = wait.is_zero() || error.fault() == Fault::Resources;
        if core.stop.is_cancelled() || !may_pass {
            // A start gives back what is under way.
            return;
        }
        std::thread::sleep(std::mem::replace(&mut wait, RECORD_AGAIN));
        outcome = core.store.apply(again(core, lease, &chain(&error))).map(|_| ());
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
