use dokuei_types::InstanceId;
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::StoreError;
use crate::model::{JobId, TaskId, UnitId};
use crate::schema::state;
use crate::writer::Tx;

/// What a job is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobKind {
    /// Decide which routes apply to an instance.
    Match,
    /// Settle a series or study that has been quiet.
    Settle,
    /// Have one model look at one instance.
    Analyze,
    /// Have an archive send an instance again whose bytes were removed.
    Retrieve,
}

impl JobKind {
    const ALL: [Self; 4] = [Self::Match, Self::Settle, Self::Analyze, Self::Retrieve];

    pub(crate) fn number(self) -> i64 {
        match self {
            Self::Match => 1,
            Self::Settle => 2,
            Self::Analyze => 3,
            Self::Retrieve => 4,
        }
    }

    /// The word in tables and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::Settle => "settle",
            Self::Analyze => "analyze",
            Self::Retrieve => "retrieve",
        }
    }

    pub(crate) fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

/// What a job is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// [`JobKind::Match`], [`JobKind::Retrieve`]: the instance.
    Instance(InstanceId),
    /// [`JobKind::Settle`]: the unit.
    Unit(UnitId),
    /// [`JobKind::Analyze`]: the task and its instance.
    Task(TaskId, InstanceId),
}

/// The right to work on a job until `until`, or until another one is given it.
///
/// Every change made under it names `fence`; when the job has been leased again since, nothing
/// changes and the worker hears [`StoreError::LeaseLost`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// Grows with every lease of the job.
    pub fence: i64,
    /// What is to be done.
    pub kind: JobKind,
    /// With what.
    pub subject: Subject,
    /// Leases of this job that ended in an orderly retry.
    pub attempts: u32,
    /// When the job was queued, milliseconds since 1970.
    pub created_at: i64,
    /// When the lease runs out, milliseconds since 1970.
    pub until: i64,
}

/// What happens to the job of a lease.
pub(crate) enum Fate {
    Complete,
    Retry { at: i64, reason: String },
    Postpone { at: i64, reason: String },
    Bury { reason: String },
    Release,
    Renew { until: i64 },
}

/// Queues the first job of a new instance.
pub(crate) fn add_first(tx: &mut Tx<'_>, instance: i64) -> Result<(), StoreError> {
    add(tx, JobKind::Match, [Some(instance), None, None], 0, tx.now).map(|_| ())
}

/// Queues a match job, unless one is queued already.
pub(crate) fn add_match(tx: &mut Tx<'_>, instance: i64) -> Result<(), StoreError> {
    add_once(tx, JobKind::Match, instance)
}

/// Queues a job on an instance, unless one of its kind is queued already.
pub(crate) fn add_once(tx: &mut Tx<'_>, kind: JobKind, instance: i64) -> Result<(), StoreError> {
    let present: bool = tx
        .conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM job WHERE instance = ?1 AND +kind = ?2 AND +state < ?3)")
        .and_then(|mut find| find.query_row(params![instance, kind.number(), state::DEAD], |row| row.get(0)))
        .map_err(StoreError::index("look for a job"))?;
    if !present {
        add(tx, kind, [Some(instance), None, None], 0, tx.now)?;
    }
    Ok(())
}

/// Queues a settle job for `unit`, or moves the one that waits.
pub(crate) fn add_settle(tx: &mut Tx<'_>, unit: i64, due: i64) -> Result<(), StoreError> {
    let moved = tx
        .conn
        .prepare_cached("UPDATE job SET not_before = ?2 WHERE unit = ?1 AND state = ?3")
        .and_then(|mut update| update.execute(params![unit, due, state::WAITING]))
        .map_err(StoreError::index("move a timer"))?;
    let present: bool = moved > 0
        || tx
            .conn
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM job WHERE unit = ?1)")
            .and_then(|mut find| find.query_row([unit], |row| row.get(0)))
            .map_err(StoreError::index("look for a timer"))?;
    if !present {
        add(tx, JobKind::Settle, [None, Some(unit), None], 0, due)?;
    }
    tx.ring = true;
    Ok(())
}

/// Queues the work of `task`, leased at once when `lease_ms` is given.
pub(crate) fn add_analyze(
    tx: &mut Tx<'_>,
    instance: i64,
    task: i64,
    rank: i64,
    lease_ms: Option<i64>,
) -> Result<Option<Lease>, StoreError> {
    let removed = tx
        .conn
        .prepare_cached("DELETE FROM job WHERE task = ?1")
        .and_then(|mut delete| delete.execute([task]))
        .map_err(StoreError::index("replace a job"))?;
    tx.queue = tx.queue.saturating_sub(i64::try_from(removed).unwrap_or_default());
    let job = add(tx, JobKind::Analyze, [Some(instance), None, Some(task)], rank, tx.now)?;
    let Some(lease_ms) = lease_ms else { return Ok(None) };
    let until = tx.now.saturating_add(lease_ms);
    tx.conn
        .prepare_cached("UPDATE job SET state = ?2, fence = fence + 1, leased_until = ?3 WHERE id = ?1")
        .and_then(|mut update| update.execute(params![job, state::LEASED, until]))
        .map_err(StoreError::index("lease a job"))?;
    let subject = Subject::Task(TaskId(task), InstanceId(instance));
    let created_at = tx.now;
    Ok(Some(Lease { job: JobId(job), fence: 1, kind: JobKind::Analyze, subject, attempts: 0, created_at, until }))
}

fn add(tx: &mut Tx<'_>, kind: JobKind, about: [Option<i64>; 3], rank: i64, not_before: i64) -> Result<i64, StoreError> {
    let [instance, unit, task] = about;
    tx.conn
        .prepare_cached(
            "INSERT INTO job (kind, instance, unit, task, rank, not_before, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .and_then(|mut insert| insert.execute(params![kind.number(), instance, unit, task, rank, not_before, tx.now]))
        .map_err(StoreError::index("queue a job"))?;
    tx.queue = tx.queue.saturating_add(1);
    tx.ring = true;
    tx.touched.extend(instance);
    Ok(tx.conn.last_insert_rowid())
}

/// Leases up to `limit` jobs of `kind` that are due, by rank and then the oldest first.
pub(crate) fn lease(
    tx: &mut Tx<'_>,
    kind: JobKind,
    limit: usize,
    lease_ms: i64,
    interruptions_max: u32,
) -> Result<Vec<Lease>, StoreError> {
    interrupted(tx, Some(kind), interruptions_max)?;
    let failed = StoreError::index;
    let until = tx.now.saturating_add(lease_ms);
    let rows = tx
        .conn
        .prepare_cached(
            "UPDATE job SET state = ?3, fence = fence + 1, attempts = attempts + 1, leased_until = ?4
             WHERE id IN (SELECT id FROM job WHERE kind = ?1 AND state = ?2 AND not_before <= ?5
                          ORDER BY rank, not_before, id LIMIT ?6)
             RETURNING id, fence, attempts, created_at, instance, unit, task",
        )
        .and_then(|mut lease| {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            lease
                .query_map(params![kind.number(), state::WAITING, state::LEASED, until, tx.now, limit], row)?
                .collect::<rusqlite::Result<Vec<_>>>()
        })
        .map_err(failed("lease jobs"))?;
    let mut leases = Vec::with_capacity(rows.len());
    for (job, fence, attempts, created_at, about) in rows {
        let subject = match (kind, about) {
            (JobKind::Match | JobKind::Retrieve, [Some(instance), ..]) => Subject::Instance(InstanceId(instance)),
            (JobKind::Settle, [_, Some(unit), _]) => Subject::Unit(UnitId(unit)),
            (JobKind::Analyze, [Some(instance), _, Some(task)]) => Subject::Task(TaskId(task), InstanceId(instance)),
            _ => return Err(StoreError::Broken { what: format!("job {job} is about nothing") }),
        };
        let attempts = attempts.saturating_sub(1);
        leases.push(Lease { job: JobId(job), fence, kind, subject, attempts, created_at, until });
    }
    leases.sort_by_key(|lease| lease.job);
    Ok(leases)
}

type Row = (i64, i64, u32, i64, [Option<i64>; 3]);

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, [row.get(4)?, row.get(5)?, row.get(6)?]))
}

/// Puts back the jobs whose lease has run out, or of all (`None`: their owner is dead), and gives
/// up on those that were cut short too often.
pub(crate) fn interrupted(tx: &mut Tx<'_>, kind: Option<JobKind>, max: u32) -> Result<(), StoreError> {
    let failed = StoreError::index;
    let kind = kind.map(JobKind::number);
    let kinds = JobKind::ALL.map(JobKind::number).into_iter().filter(|number| kind.is_none_or(|kind| kind == *number));
    for number in kinds {
        // Each interruption costs a second, so that a job which kills the node does not starve the others.
        tx.conn
            .prepare_cached(
                "UPDATE job SET state = ?3, leased_until = NULL, interrupted = interrupted + 1,
                        not_before = ?4 + 1000 * interrupted
                 WHERE kind = ?1 AND state = ?2 AND (?5 OR leased_until <= ?4)",
            )
            .and_then(|mut update| {
                update.execute(params![number, state::LEASED, state::WAITING, tx.now, kind.is_none()])
            })
            .map_err(failed("put interrupted jobs back"))?;
    }
    let lost = tx
        .conn
        .prepare_cached(
            "SELECT id, instance, task FROM job
             WHERE interrupted > 0 AND interrupted >= ?2 AND state = ?1 AND instance IS NOT NULL",
        )
        .and_then(|mut find| {
            find.query_map(params![state::WAITING, max], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .collect::<rusqlite::Result<Vec<(i64, Option<i64>, Option<i64>)>>>()
        })
        .map_err(failed("look for jobs that are cut short again and again"))?;
    for (job, instance, task) in lost {
        bury(tx, job, instance, task, &format!("cut short {max} times: the node stopped or the lease ran out"))?;
    }
    Ok(())
}

/// Whether the lease is still held; nothing else may change under it otherwise.
pub(crate) fn fenced(tx: &mut Tx<'_>, job: JobId, fence: i64, fate: &Fate) -> Result<(), StoreError> {
    let failed = StoreError::index;
    let held: Option<(Option<i64>, Option<i64>)> = tx
        .conn
        .prepare_cached("SELECT instance, task FROM job WHERE id = ?1 AND fence = ?2 AND state = ?3")
        .and_then(|mut find| {
            find.query_row(params![job.0, fence, state::LEASED], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .map_err(failed("check a lease"))?;
    let Some((instance, task)) = held else {
        return Err(StoreError::LeaseLost { what: format!("job {job}") });
    };
    tx.touched.extend(instance);
    match fate {
        Fate::Complete => {
            tx.conn
                .prepare_cached("DELETE FROM job WHERE id = ?1")
                .and_then(|mut delete| delete.execute([job.0]))
                .map_err(failed("complete a job"))?;
            tx.queue = tx.queue.saturating_sub(1);
        }
        Fate::Retry { at, reason } => wait(tx, job, *at, 0, Some(reason))?,
        Fate::Postpone { at, reason } => wait(tx, job, *at, 1, Some(reason))?,
        Fate::Release => wait(tx, job, tx.now, 1, None)?,
        Fate::Bury { reason } => bury(tx, job.0, instance, task, reason)?,
        Fate::Renew { until } => {
            tx.conn
                .prepare_cached("UPDATE job SET leased_until = ?2 WHERE id = ?1")
                .and_then(|mut update| update.execute(params![job.0, until]))
                .map_err(failed("renew a lease"))?;
        }
    }
    Ok(())
}

/// Has what waits for the models on an instance come to its turn now; whether some of it is under way, which may be put
/// off yet.
pub(crate) fn hasten(tx: &mut Tx<'_>, instance: InstanceId) -> Result<bool, StoreError> {
    let analyze = JobKind::Analyze.number();
    let moved = tx
        .conn
        .prepare_cached(
            "UPDATE job SET not_before = ?2
             WHERE instance = ?1 AND +kind = ?3 AND +state = ?4 AND +not_before > ?2",
        )
        .and_then(|mut update| update.execute(params![instance.0, tx.now, analyze, state::WAITING]))
        .map_err(StoreError::index("hasten a job"))?;
    tx.ring |= moved > 0;
    tx.conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM job WHERE instance = ?1 AND +kind = ?2 AND +state = ?3)")
        .and_then(|mut find| find.query_row(params![instance.0, analyze, state::LEASED], |row| row.get(0)))
        .map_err(StoreError::index("look for a lease"))
}

fn wait(tx: &mut Tx<'_>, job: JobId, at: i64, forgive: i64, reason: Option<&str>) -> Result<(), StoreError> {
    tx.conn
        .prepare_cached(
            "UPDATE job SET state = ?2, leased_until = NULL, not_before = ?3, interrupted = 0,
                    attempts = max(attempts - ?4, 0), reason = coalesce(?5, reason) WHERE id = ?1",
        )
        .and_then(|mut update| update.execute(params![job.0, state::WAITING, at, forgive, reason]))
        .map_err(StoreError::index("put a job back"))?;
    tx.ring = true;
    Ok(())
}

/// Makes a dead letter of a job, and its task failed.
fn bury(tx: &mut Tx<'_>, job: i64, instance: Option<i64>, task: Option<i64>, reason: &str) -> Result<(), StoreError> {
    tx.conn
        .prepare_cached("UPDATE job SET state = ?2, leased_until = NULL, reason = ?3 WHERE id = ?1")
        .and_then(|mut update| update.execute(params![job, state::DEAD, reason]))
        .map_err(StoreError::index("bury a job"))?;
    tx.conn
        .prepare_cached("UPDATE task SET state = 'failed', reason = ?2, finished_at = ?3 WHERE id = ?1")
        .and_then(|mut update| update.execute(params![task, reason, tx.now]))
        .map_err(StoreError::index("fail a task"))?;
    tx.queue = tx.queue.saturating_sub(1);
    tx.touched.extend(instance);
    Ok(())
}

/// When the next job of `kind` is due, or its lease runs out.
pub(crate) fn next_due(conn: &Connection, kind: JobKind) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached(
        "SELECT min(at) FROM (
             SELECT min(not_before) AS at FROM job WHERE kind = ?1 AND state = ?2
             UNION ALL SELECT min(leased_until) FROM job WHERE kind = ?1 AND state = ?3)",
    )?
    .query_row(params![kind.number(), state::WAITING, state::LEASED], |row| row.get(0))
}

/// Jobs that wait or run.
pub(crate) fn open_count(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("SELECT count(*) FROM job WHERE state IN (0, 1)", [], |row| row.get(0))
}
