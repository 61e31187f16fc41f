use dokuei_types::InstanceId;
use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use crate::error::StoreError;
use crate::job;
use crate::outbox::REJECTION;
use crate::schema::state;
use crate::writer::Tx;

/// What a replay has set going again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// Dead jobs that wait again.
    pub jobs: usize,
    /// Dead deliveries that wait again.
    pub deliveries: usize,
    /// Deliveries that had arrived and are sent once more, the same bytes as before.
    pub sent_again: usize,
    /// Instances without a failure and without a delivery, for which the rules are asked again.
    pub matched_again: usize,
    /// Instances still in work, left alone.
    pub in_work: usize,
    /// Numbers that no instance has.
    pub unknown: usize,
}

/// Sets going again what failed for `instances`; where nothing failed, what was sent is sent again,
/// and where nothing was sent the rules are asked again.
pub(crate) fn replay(tx: &mut Tx<'_>, instances: &[InstanceId]) -> Result<Replayed, StoreError> {
    let mut replayed = Replayed::default();
    for instance in instances {
        one(tx, instance.0, &mut replayed)?;
    }
    tx.ring = true;
    Ok(replayed)
}

/// Asks the rules again for `instances` that are not in work, whatever came of them before.
pub(crate) fn match_again(tx: &mut Tx<'_>, instances: &[InstanceId]) -> Result<Replayed, StoreError> {
    let mut replayed = Replayed::default();
    for instance in instances {
        let count = match end_of(tx, instance.0)?.as_deref() {
            None => &mut replayed.unknown,
            Some("open") => &mut replayed.in_work,
            Some(_) => {
                job::add_match(tx, instance.0)?;
                &mut replayed.matched_again
            }
        };
        *count = count.saturating_add(1);
    }
    tx.ring = true;
    Ok(replayed)
}

/// The word for how an instance has ended, or `open`; `None` when there is none of this number.
fn end_of(tx: &Tx<'_>, instance: i64) -> Result<Option<String>, StoreError> {
    tx.conn
        .prepare_cached("SELECT end_kind FROM instance WHERE id = ?1")
        .and_then(|mut find| find.query_row([instance], |row| row.get(0)).optional())
        .map_err(StoreError::index("find an instance"))
}

fn one(tx: &mut Tx<'_>, instance: i64, replayed: &mut Replayed) -> Result<(), StoreError> {
    let Some(end) = end_of(tx, instance)? else {
        replayed.unknown = replayed.unknown.saturating_add(1);
        return Ok(());
    };
    tx.touched.insert(instance);
    let jobs = revive_jobs(tx, instance)?;
    let deliveries = requeue(tx, instance, state::DEAD)?;
    replayed.jobs = replayed.jobs.saturating_add(jobs);
    replayed.deliveries = replayed.deliveries.saturating_add(deliveries);
    if jobs > 0 || deliveries > 0 {
        return Ok(());
    }
    match end.as_str() {
        "open" => replayed.in_work = replayed.in_work.saturating_add(1),
        "reported" | "forwarded" => {
            replayed.sent_again = replayed.sent_again.saturating_add(requeue(tx, instance, state::STORED)?);
        }
        _ => {
            job::add_match(tx, instance)?;
            replayed.matched_again = replayed.matched_again.saturating_add(1);
        }
    }
    Ok(())
}

fn revive_jobs(tx: &mut Tx<'_>, instance: i64) -> Result<usize, StoreError> {
    let failed = StoreError::index;
    tx.conn
        .prepare_cached(
            "UPDATE task SET state = 'open', reason = NULL, finished_at = NULL
             WHERE id IN (SELECT task FROM job WHERE instance = ?1 AND +state = ?2)",
        )
        .and_then(|mut update| update.execute(params![instance, state::DEAD]))
        .map_err(failed("open tasks again"))?;
    let jobs = tx
        .conn
        .prepare_cached(
            "UPDATE job SET state = ?3, attempts = 0, interrupted = 0, not_before = ?4
             WHERE instance = ?1 AND +state = ?2",
        )
        .and_then(|mut update| update.execute(params![instance, state::DEAD, state::WAITING, tx.now]))
        .map_err(failed("revive jobs"))?;
    tx.queue = tx.queue.saturating_add(i64::try_from(jobs).unwrap_or_default());
    Ok(jobs)
}

/// Puts deliveries of one state back into the queue, as if they were new; of a withdrawn result the note alone.
fn requeue(tx: &Tx<'_>, instance: i64, from: i64) -> Result<usize, StoreError> {
    tx.conn
        .prepare_cached(
            "UPDATE delivery SET state = ?3, attempts = 0, not_before = ?4, queued_at = ?4, first_tried_at = NULL,
                    stored_at = NULL, confirmed_at = NULL
             WHERE instance = ?1 AND +state = ?2
               AND (role = ?5 OR NOT EXISTS
                    (SELECT 1 FROM object WHERE object.result = delivery.result AND object.role = ?5))",
        )
        .and_then(|mut update| update.execute(params![instance, from, state::WAITING, tx.now, REJECTION]))
        .map_err(StoreError::index("queue deliveries again"))
}
