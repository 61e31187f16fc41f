use dokuei_types::InstanceId;
use rusqlite::{Connection, params};
use serde::Serialize;

use crate::error::StoreError;
use crate::read::StoreReader;
use crate::schema::state;

/// Which part of what was sent or given up is meant; all of it by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// What is of these instances.
    pub instances: Option<Vec<InstanceId>>,
    /// What goes to the destination of this name.
    pub destination: Option<String>,
    /// What was stored there or, without success, tried last at or after this time, milliseconds since 1970.
    pub since: Option<i64>,
    /// The same before this time.
    pub until: Option<i64>,
}

impl Filter {
    /// Whether it is about deliveries alone: nothing else has a destination.
    pub(crate) fn is_of_deliveries(&self) -> bool {
        self.destination.is_some()
    }

    /// The instances as a list in JSON.
    pub(crate) fn instances(&self) -> Option<String> {
        let numbers = |ids: &Vec<InstanceId>| ids.iter().map(|id| id.0.to_string()).collect::<Vec<_>>().join(",");
        self.instances.as_ref().map(|ids| format!("[{}]", numbers(ids)))
    }
}

/// When a delivery had its present end, and when a job or a request was due last.
pub(crate) const DELIVERY_AT: &str = "coalesce(delivery.stored_at, delivery.last_tried_at, delivery.queued_at)";

/// What a job is for.
pub(crate) const JOB_WHAT: &str =
    "CASE WHEN job.kind = 4 THEN 'retrieve' WHEN task.model IS NULL THEN 'match' ELSE 'analyze ' || task.model END";

/// What a delivery is for.
pub(crate) const DELIVERY_WHAT: &str = "'deliver ' || delivery.role || ' to ' || delivery.destination";

/// Something given up on, for `dokuei failed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadLetter {
    /// The instance; `dokuei replay` takes this number. `None` for a request of a peer, which may name many.
    pub instance: Option<InstanceId>,
    /// SOP Instance UID.
    pub sop_instance: Option<String>,
    /// `match`, `retrieve` (from an archive), `analyze` with the model's name, `deliver` with role and destination, or `tell` with the AE title of a
    /// peer that asked for storage commitment.
    pub what: String,
    /// Why.
    pub reason: String,
    /// Attempts made.
    pub attempts: u32,
    /// When it was tried last, milliseconds since 1970.
    pub at: i64,
}

impl StoreReader {
    /// What was given up on, by instance and then the requests of peers, at most `limit`.
    ///
    /// # Errors
    /// What the index says.
    pub fn failed(&self, filter: &Filter, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        self.with("list dead letters", |conn| list(conn, filter, limit))
    }

    /// Names of the destinations to which anything was sent or is to be.
    ///
    /// # Errors
    /// What the index says.
    pub fn destinations(&self) -> Result<Vec<String>, StoreError> {
        self.with("list the destinations", |conn| {
            conn.prepare_cached("SELECT DISTINCT destination FROM delivery ORDER BY 1")?
                .query_map([], |row| row.get(0))?
                .collect()
        })
    }
}

fn list(conn: &Connection, filter: &Filter, limit: usize) -> rusqlite::Result<Vec<DeadLetter>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let text = format!(
        "SELECT job.instance, instance.sop_instance, {JOB_WHAT}, coalesce(job.reason, ''), job.attempts,
                job.not_before AS at
         FROM job JOIN instance ON instance.id = job.instance LEFT JOIN task ON task.id = job.task
         WHERE job.state = ?1 AND ?2 IS NULL AND (?3 IS NULL OR job.instance IN (SELECT value FROM json_each(?3)))
           AND at >= ?4 AND at < ?5
         UNION ALL
         SELECT delivery.instance, instance.sop_instance, {DELIVERY_WHAT}, coalesce(delivery.reason, ''),
                delivery.attempts, {DELIVERY_AT} AS at
         FROM delivery JOIN instance ON instance.id = delivery.instance
         WHERE delivery.state = ?1 AND (?2 IS NULL OR delivery.destination = ?2)
           AND (?3 IS NULL OR delivery.instance IN (SELECT value FROM json_each(?3)))
           AND at >= ?4 AND at < ?5
         UNION ALL
         SELECT NULL, NULL, 'tell ' || peer_ae || ' what is committed to', coalesce(reason, ''), attempts,
                not_before AS at
         FROM commitment
         WHERE state = ?1 AND ?2 IS NULL AND ?3 IS NULL AND at >= ?4 AND at < ?5
         ORDER BY 1 NULLS LAST LIMIT ?6"
    );
    let (since, until) = (filter.since.unwrap_or(i64::MIN), filter.until.unwrap_or(i64::MAX));
    let meant = params![state::DEAD, filter.destination, filter.instances(), since, until, limit];
    conn.prepare_cached(&text)?
        .query_map(meant, |row| {
            Ok(DeadLetter {
                instance: row.get::<_, Option<i64>>(0)?.map(InstanceId),
                sop_instance: row.get(1)?,
                what: row.get(2)?,
                reason: row.get(3)?,
                attempts: row.get(4)?,
                at: row.get(5)?,
            })
        })?
        .collect()
}
