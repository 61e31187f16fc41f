use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::job::JobKind;
use crate::number::unsigned;
use crate::schema::state;

/// What is still to be done, and what was given up. Looked up in the indexes, so that the cost is that of what waits,
/// however much was done before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unfinished {
    /// Instances in work.
    pub instances: u64,
    /// Instances whose work has failed.
    pub failed: u64,
    /// Jobs that wait or run, by kind; [`JobKind::Settle`]: series and studies that are waited for.
    pub jobs: BTreeMap<&'static str, u64>,
    /// Jobs given up.
    pub dead_jobs: u64,
    /// Destinations to which something was ever to be sent.
    pub destinations: BTreeMap<String, Undelivered>,
    /// Peers' requests for storage commitment that are still to be answered.
    pub commitments: u64,
    /// Those given up.
    pub dead_commitments: u64,
}

/// What one destination has not got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Undelivered {
    /// Objects that wait.
    pub waiting: u64,
    /// Objects being sent.
    pub sending: u64,
    /// Objects it has stored and is still to confirm.
    pub unconfirmed: u64,
    /// Objects given up.
    pub dead: u64,
    /// When the oldest that waits or is being sent was queued, milliseconds since 1970.
    pub oldest_queued_at: Option<i64>,
}

const INSTANCES: &str = "SELECT count(*) FROM instance WHERE end_kind = ?1";
/// Done work has no row.
const JOBS: &str = "SELECT kind, state = ?1, count(*) FROM job GROUP BY kind, state";
/// From each name to the next: of one destination there may be a million rows.
const DESTINATIONS: &str = "
WITH RECURSIVE known (name) AS (
    SELECT min(destination) FROM delivery
    UNION ALL
    SELECT (SELECT min(destination) FROM delivery WHERE destination > known.name) FROM known WHERE name IS NOT NULL
)
SELECT name FROM known WHERE name IS NOT NULL";
const UNDELIVERED: &str = "SELECT count(*), min(queued_at) FROM delivery WHERE destination = ?1 AND state = ?2";
const COMMITMENTS: &str = "SELECT count(*) FROM commitment WHERE state = ?1";

pub(crate) fn unfinished(conn: &Connection) -> rusqlite::Result<Unfinished> {
    let instances = |end: &str| conn.prepare_cached(INSTANCES)?.query_row([end], |row| row.get(0).map(unsigned));
    let commitments = |state: i64| conn.prepare_cached(COMMITMENTS)?.query_row([state], |row| row.get(0).map(unsigned));
    let mut all = Unfinished {
        instances: instances("open")?,
        failed: instances("failed")?,
        commitments: commitments(state::WAITING)?,
        dead_commitments: commitments(state::DEAD)?,
        ..Unfinished::default()
    };
    let mut jobs = conn.prepare_cached(JOBS)?;
    for row in jobs.query_map([state::DEAD], |row| Ok((row.get(0)?, row.get(1)?, row.get(2).map(unsigned)?)))? {
        let (kind, is_dead, count) = row?;
        let Some(kind) = JobKind::from_number(kind) else { continue };
        let sum = if is_dead { &mut all.dead_jobs } else { all.jobs.entry(kind.as_str()).or_default() };
        *sum = sum.saturating_add(count);
    }
    let names =
        conn.prepare_cached(DESTINATIONS)?.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    for name in names {
        let undelivered = undelivered(conn, &name)?;
        all.destinations.insert(name, undelivered);
    }
    Ok(all)
}

fn undelivered(conn: &Connection, destination: &str) -> rusqlite::Result<Undelivered> {
    let in_state = |state: i64| {
        conn.prepare_cached(UNDELIVERED)?
            .query_row((destination, state), |row| Ok((row.get(0).map(unsigned)?, row.get::<_, Option<i64>>(1)?)))
    };
    let ((waiting, oldest), (sending, oldest_sent)) = (in_state(state::WAITING)?, in_state(state::LEASED)?);
    Ok(Undelivered {
        waiting,
        sending,
        unconfirmed: in_state(state::UNCONFIRMED)?.0,
        dead: in_state(state::DEAD)?.0,
        oldest_queued_at: oldest.into_iter().chain(oldest_sent).min(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::plan;

    #[test]
    fn no_table_is_read_from_end_to_end() {
        for statement in [INSTANCES, DESTINATIONS, UNDELIVERED, COMMITMENTS] {
            for step in plan(statement) {
                let tables = ["instance", "delivery", "commitment"];
                let is_scan = tables.iter().any(|table| step.starts_with(&format!("SCAN {table}")));
                assert!(!is_scan, "{statement}\n{step}");
            }
        }
        // Of this table there is only what waits.
        let jobs = plan(JOBS);
        assert!(jobs.iter().all(|step| step.starts_with("SCAN job USING COVERING INDEX")), "{jobs:?}");
    }
}
