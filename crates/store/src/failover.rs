use rusqlite::params;

use crate::error::StoreError;
use crate::outbox::REJECTION;
use crate::priority::Priority;
use crate::schema::state;
use crate::store::Store;
use crate::writer::Tx;

/// Deliveries that go elsewhere in one transaction, so that nobody else waits for long.
const AT_ONCE: usize = 1_000;

/// A destination that fails for reasons that may pass, and the one that takes its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failover {
    /// The one that fails.
    pub from: String,
    /// The one in its place.
    pub to: String,
    /// The AE title of that one: its own images do not go back to it.
    pub to_ae: Option<String>,
    /// Since when the first is not reached at all, milliseconds since 1970; what waits for it has waited for that. `None`
    /// where it was reached and refused what it was sent.
    pub unreached_since: Option<i64>,
    /// What has failed since before this time goes, milliseconds since 1970.
    pub failing_before: i64,
    /// The same of what is urgent, which closed hours do not delay.
    pub urgent_failing_before: i64,
    /// Why it fails.
    pub reason: String,
}

impl Store {
    /// Has another destination get what one could not be sent for long enough; how much. Each object goes once: one that
    /// the other has or is to get anyway is not queued a second time, and the first is not sent it any more. Notes that
    /// withdraw a result stay, since they are for whoever has it.
    ///
    /// # Errors
    /// What the index says.
    pub fn fail_over(&self, failover: Failover) -> Result<usize, StoreError> {
        let mut moved = 0_usize;
        loop {
            let failover = failover.clone();
            let some = self.writer().call(move |tx| fail_over(tx, &failover, AT_ONCE))?;
            moved = moved.saturating_add(some);
            if some < AT_ONCE {
                return Ok(moved);
            }
        }
    }

    /// Forgets since when what waits for `destination` has failed: it is reached again.
    ///
    /// # Errors
    /// What the index says.
    pub fn reached_again(&self, destination: &str) -> Result<(), StoreError> {
        let destination = destination.to_owned();
        self.writer().call(move |tx| {
            tx.conn
                .prepare_cached(
                    "UPDATE delivery SET failing_since = NULL
                     WHERE destination = ?1 AND state = ?2 AND failing_since IS NOT NULL",
                )
                .and_then(|mut update| update.execute(params![destination, state::WAITING]))
                .map(drop)
                .map_err(StoreError::index("note that a destination is reached again"))
        })
    }
}

fn fail_over(tx: &mut Tx<'_>, failover: &Failover, limit: usize) -> Result<usize, StoreError> {
    let failed = StoreError::index;
    let Failover { from, to, to_ae, unreached_since, failing_before, urgent_failing_before, reason } = failover;
    if let Some(since) = unreached_since {
        tx.conn
            .prepare_cached(
                "UPDATE delivery SET failing_since = ?3, reason = coalesce(reason, ?4)
                 WHERE destination = ?1 AND state = ?2 AND (failing_since IS NULL OR failing_since > ?3)",
            )
            .and_then(|mut update| update.execute(params![from, state::WAITING, since, reason]))
            .map_err(failed("note since when a destination is not reached"))?;
    }
    let moved = tx
        .conn
        .prepare_cached(
            "UPDATE delivery SET state = ?3, moved_to = ?2 WHERE id IN (
                 SELECT id FROM delivery
                 WHERE destination = ?1 AND state = ?4 AND failing_since <= iif(rank <= ?8, ?9, ?5) AND role <> ?6
                   AND NOT (result = 0
                            AND ?7 IS (SELECT calling_ae FROM instance WHERE instance.id = delivery.instance))
                 ORDER BY rank, id LIMIT ?10)
             RETURNING id, rank, instance",
        )
        .and_then(|mut update| {
            let which = params![
                from,
                to,
                state::ELSEWHERE,
                state::WAITING,
                failing_before,
                REJECTION,
                to_ae,
                Priority::URGENT_RANK_MAX,
                urgent_failing_before,
                i64::try_from(limit).unwrap_or(i64::MAX)
            ];
            update
                .query_map(which, |row| Ok((row.get(1)?, row.get(0)?, row.get(2)?)))?
                .collect::<rusqlite::Result<Vec<(i64, i64, i64)>>>()
        })
        .map_err(failed("give up on a destination in favour of another"))?;
    let mut in_turn = moved;
    in_turn.sort_unstable();
    for (_, id, instance) in &in_turn {
        tx.conn
            .prepare_cached(
                "INSERT INTO delivery (destination, instance, result, role, rank, not_before, queued_at, moved_from)
                 SELECT ?2, instance, result, role, rank, ?3, ?3, destination FROM delivery WHERE id = ?1
                 ON CONFLICT DO NOTHING",
            )
            .and_then(|mut insert| insert.execute(params![id, to, tx.now]))
            .map_err(failed("queue a delivery for the other destination"))?;
        tx.touched.insert(*instance);
    }
    tx.ring |= !in_turn.is_empty();
    Ok(in_turn.len())
}
