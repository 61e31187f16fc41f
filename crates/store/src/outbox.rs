use std::path::Path;

use dokuei_types::{DimseStatus, InstanceId, ModelIdentity};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::StoreError;
use crate::model::DeliveryId;
use crate::object::{self, StoredObject, object_row};
use crate::priority::Priority;
use crate::replace::{self, REPLACED};
use crate::schema::state;
use crate::totals::Occurrence;
use crate::withdraw::is_withdrawn;
use crate::writer::Tx;

/// The role of an instance sent on untouched.
pub const ORIGINAL: &str = "original";
/// The role of the note that withdraws a result; the result is withdrawn when it has one.
pub const REJECTION: &str = "rejection";

/// The right to deliver one object to one destination until `until`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryLease {
    /// The entry in the outbox.
    pub id: DeliveryId,
    /// Grows with every lease of the entry.
    pub fence: i64,
    /// Name of the destination.
    pub destination: String,
    /// The instance it is, or is about.
    pub instance: InstanceId,
    /// Study Instance UID of that instance.
    pub study: Option<String>,
    /// [`ORIGINAL`], `sr`, `sc`.
    pub role: String,
    /// How often it was tried before.
    pub attempts: u32,
    /// When it was tried first, milliseconds since 1970.
    pub first_tried_at: i64,
    /// AE title of the sender of that instance.
    pub sender: String,
    /// Whether it is urgent.
    pub is_urgent: bool,
    /// When the lease runs out, milliseconds since 1970.
    pub until: i64,
    /// What may be sent: the first that the destination accepts.
    pub alternatives: Vec<StoredObject>,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryEnd {
    /// The destination has it.
    Stored {
        /// The status of its response: success or a warning.
        status: DimseStatus,
        /// SOP Class UID of the alternative it took.
        sop_class: String,
        /// What is to be remembered of it, such as the text of a warning.
        comment: Option<String>,
        /// When the destination is asked whether it keeps it, milliseconds since 1970; `None` where its word is enough.
        confirm_at: Option<i64>,
    },
    /// Tried again later.
    Retry {
        /// When, milliseconds since 1970.
        at: i64,
        /// The status of the response, when there was one.
        status: Option<DimseStatus>,
        /// What went wrong.
        reason: String,
    },
    /// Given up: a dead letter until replayed.
    Dead {
        /// The status of the response, when there was one.
        status: Option<DimseStatus>,
        /// What went wrong.
        reason: String,
    },
    /// Not tried after all (the node stops); the attempt does not count.
    Released,
}

impl DeliveryEnd {
    /// The word for what came of an attempt that counts.
    fn outcome(&self) -> Option<&'static str> {
        match self {
            Self::Stored { .. } => Some("stored"),
            Self::Retry { .. } => Some("retried"),
            Self::Dead { .. } => Some("given_up"),
            Self::Released => None,
        }
    }
}

/// Queues an original; when it is queued already it has the higher priority of both, when it was delivered nothing happens.
pub(crate) fn add_original(
    tx: &mut Tx<'_>,
    instance: InstanceId,
    destination: &str,
    priority: Priority,
) -> Result<(), StoreError> {
    add(tx, instance, destination, (ORIGINAL, 0), priority.rank(true))
}

/// Queues the objects of `role` of a result; nothing happens when it has none of that role, when it is
/// withdrawn, or when they were delivered already; queued ones have the higher priority of both.
pub(crate) fn add_result(
    tx: &mut Tx<'_>,
    instance: InstanceId,
    model: &ModelIdentity,
    role: &str,
    destination: &str,
    priority: Priority,
) -> Result<(), StoreError> {
    let failed = StoreError::index;
    let Some(result) = object::find_id(tx.conn, instance, model).map_err(failed("find a result"))? else {
        return Err(StoreError::Broken { what: format!("nothing to send: no result for instance {instance}") });
    };
    if is_withdrawn(tx.conn, result).map_err(failed("look for a withdrawal"))? {
        return Ok(());
    }
    let present: bool = tx
        .conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM object WHERE result = ?1 AND role = ?2)")
        .and_then(|mut find| find.query_row(params![result, role], |row| row.get(0)))
        .map_err(failed("look for objects of a role"))?;
    if present { add(tx, instance, destination, (role, result), priority.rank(false)) } else { Ok(()) }
}

/// Queues the note that withdraws a result, before everything else.
pub(crate) fn add_note(tx: &mut Tx<'_>, instance: i64, result: i64, destination: &str) -> Result<(), StoreError> {
    add(tx, InstanceId(instance), destination, (REJECTION, result), Priority::Urgent.rank(false))
}

fn add(
    tx: &mut Tx<'_>,
    instance: InstanceId,
    destination: &str,
    (role, result): (&str, i64),
    rank: i64,
) -> Result<(), StoreError> {
    tx.conn
        .prepare_cached(
            "INSERT INTO delivery (destination, instance, result, role, rank, not_before, queued_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
             ON CONFLICT (instance, destination, role, result) DO UPDATE SET rank = min(rank, excluded.rank)
             WHERE state = 0",
        )
        .and_then(|mut insert| insert.execute(params![destination, instance.0, result, role, rank, tx.now]))
        .map_err(StoreError::index("queue a delivery"))?;
    tx.touched.insert(instance.0);
    tx.ring = true;
    Ok(())
}

/// Queues a delivery again, as if it were new.
pub(crate) fn requeue(tx: &Tx<'_>, delivery: i64) -> Result<(), StoreError> {
    tx.conn
        .prepare_cached(
            "UPDATE delivery SET state = ?2, attempts = 0, not_before = ?3, queued_at = ?3, first_tried_at = NULL,
                    stored_at = NULL, confirmed_at = NULL, failing_since = NULL, moved_to = NULL
             WHERE id = ?1",
        )
        .and_then(|mut update| update.execute(params![delivery, state::WAITING, tx.now]))
        .map(drop)
        .map_err(StoreError::index("queue deliveries again"))
}

/// Queues the delivery of an original again, of the version `here`, which may be another one than went before.
pub(crate) fn send_again(tx: &mut Tx<'_>, delivery: i64, here: InstanceId) -> Result<(), StoreError> {
    let known: Option<i64> = tx
        .conn
        .prepare_cached(
            "INSERT OR IGNORE INTO delivery (destination, instance, result, role, rank, not_before, queued_at)
             SELECT destination, ?2, result, role, rank, ?3, ?3 FROM delivery WHERE id = ?1",
        )
        .and_then(|mut insert| insert.execute(params![delivery, here.0, tx.now]))
        .and_then(|_| {
            tx.conn
                .prepare_cached(
                    "SELECT other.id FROM delivery AS this JOIN delivery AS other USING (destination, result, role)
                     WHERE this.id = ?1 AND other.instance = ?2",
                )?
                .query_row([delivery, here.0], |row| row.get(0))
                .optional()
        })
        .map_err(StoreError::index("queue an original again"))?;
    known.map_or(Ok(()), |known| requeue(tx, known))
}

/// Which deliveries are meant by their priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// All that are due.
    All,
    /// Those of them that are urgent.
    Urgent,
}

impl Due {
    fn rank_max(self) -> i64 {
        match self {
            Self::All => i64::MAX,
            Self::Urgent => Priority::URGENT_RANK_MAX,
        }
    }
}

/// Leases up to `limit` deliveries to `destination` that are due, by rank and then the oldest first.
pub(crate) fn lease(
    tx: &mut Tx<'_>,
    data_dir: &Path,
    (destination, which): (&str, Due),
    limit: usize,
    lease_ms: i64,
) -> Result<Vec<DeliveryLease>, StoreError> {
    let failed = StoreError::index;
    expire(tx, Some(destination))?;
    let until = tx.now.saturating_add(lease_ms);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = tx
        .conn
        .prepare_cached(
            "UPDATE delivery SET state = ?3, fence = fence + 1, attempts = attempts + 1, leased_until = ?4,
                    last_tried_at = ?5, first_tried_at = coalesce(first_tried_at, ?5)
             WHERE id IN (SELECT id FROM delivery
                          WHERE destination = ?1 AND state = ?2 AND rank <= ?7 AND not_before <= ?5
                          ORDER BY rank, not_before, id LIMIT ?6)
             RETURNING id, fence, instance, result, role, attempts, first_tried_at, rank",
        )
        .and_then(|mut lease| {
            lease
                .query_map(
                    params![destination, state::WAITING, state::LEASED, until, tx.now, limit, which.rank_max()],
                    leased_row,
                )?
                .collect::<rusqlite::Result<Vec<_>>>()
        })
        .map_err(failed("lease deliveries"))?;
    rows.sort_by_key(|row| (row.rank, row.id));
    let mut leases = Vec::with_capacity(rows.len());
    for row in rows {
        let alternatives = match row.result {
            0 => original(tx.conn, data_dir, row.instance),
            result => object::objects(tx.conn, data_dir, result, Some(&row.role)),
        };
        let (study, sender) = tx
            .conn
            .prepare_cached("SELECT study, calling_ae FROM instance WHERE id = ?1")
            .and_then(|mut find| find.query_row([row.instance], |row| Ok((row.get(0)?, row.get(1)?))))
            .map_err(failed("read the study of a delivery"))?;
        leases.push(DeliveryLease {
            id: DeliveryId(row.id),
            fence: row.fence,
            destination: destination.to_owned(),
            instance: InstanceId(row.instance),
            study,
            role: row.role,
            attempts: row.attempts.saturating_sub(1),
            first_tried_at: row.first_tried_at,
            sender,
            is_urgent: row.rank <= Priority::URGENT_RANK_MAX,
            until,
            alternatives: alternatives.map_err(failed("read the objects of a delivery"))?,
        });
    }
    Ok(leases)
}

struct Leased {
    id: i64,
    fence: i64,
    instance: i64,
    result: i64,
    role: String,
    attempts: u32,
    first_tried_at: i64,
    rank: i64,
}

fn leased_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Leased> {
    Ok(Leased {
        id: row.get(0)?,
        fence: row.get(1)?,
        instance: row.get(2)?,
        result: row.get(3)?,
        role: row.get(4)?,
        attempts: row.get(5)?,
        first_tried_at: row.get(6)?,
        rank: row.get(7)?,
    })
}

/// The original of an instance, as the only alternative.
pub(crate) fn original(conn: &Connection, data_dir: &Path, instance: i64) -> rusqlite::Result<Vec<StoredObject>> {
    conn.prepare_cached(
        "SELECT path, begins_at, data_set_offset + size_bytes, data_set_offset, digest, 'original', sop_class,
                sop_instance, transfer_syntax, series, removed_at
         FROM instance WHERE id = ?1",
    )?
    .query_map([instance], |row| object_row(row, data_dir))?
    .collect()
}

/// Puts back deliveries whose lease has run out, or of all (`None`: their owner is dead).
pub(crate) fn expire(tx: &mut Tx<'_>, destination: Option<&str>) -> Result<(), StoreError> {
    let (text, now) = match destination {
        Some(_) => (
            "UPDATE delivery SET state = 0, leased_until = NULL
             WHERE destination = ?1 AND state = 1 AND leased_until <= ?2",
            tx.now,
        ),
        None => {
            ("UPDATE delivery SET state = 0, leased_until = NULL WHERE state = 1 AND (?1 IS NULL OR ?2 > 0)", tx.now)
        }
    };
    tx.conn
        .prepare_cached(text)
        .and_then(|mut update| update.execute(params![destination, now]))
        .map_err(StoreError::index("put interrupted deliveries back"))?;
    Ok(())
}

/// Records what came of an attempt, if its lease is still held.
pub(crate) fn finish(tx: &mut Tx<'_>, id: DeliveryId, fence: i64, end: &DeliveryEnd) -> Result<(), StoreError> {
    let failed = StoreError::index;
    let held = tx
        .conn
        .prepare_cached("SELECT instance, destination, role FROM delivery WHERE id = ?1 AND fence = ?2 AND state = ?3")
        .and_then(|mut find| {
            find.query_row(params![id.0, fence, state::LEASED], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
            })
            .optional()
        })
        .map_err(failed("check a lease"))?;
    let Some((instance, destination, role)) = held else {
        return Err(StoreError::LeaseLost { what: format!("delivery {id}") });
    };
    tx.touched.insert(instance);
    let status = |status: &Option<DimseStatus>| status.map(|status| status.0);
    let result = match end {
        DeliveryEnd::Stored { status, sop_class, comment, confirm_at } => {
            tx.ring |= confirm_at.is_some();
            let next = confirm_at.map_or(state::STORED, |_| state::UNCONFIRMED);
            tx.conn
                .prepare_cached(
                    "UPDATE delivery SET state = ?2, leased_until = NULL, status = ?3, sop_class = ?4, reason = ?5,
                            stored_at = ?6, not_before = coalesce(?7, not_before), asked = 0, transaction_uid = NULL,
                            failing_since = NULL
                     WHERE id = ?1",
                )
                .and_then(|mut u| u.execute(params![id.0, next, status.0, sop_class, comment, tx.now, confirm_at]))
        }
        DeliveryEnd::Retry { at, status: code, reason } => {
            tx.ring = true;
            tx.conn
                .prepare_cached(
                    "UPDATE delivery SET state = ?2, leased_until = NULL, status = ?3, reason = ?4, not_before = ?5,
                            failing_since = coalesce(failing_since, ?6)
                     WHERE id = ?1",
                )
                .and_then(|mut u| u.execute(params![id.0, state::WAITING, status(code), reason, at, tx.now]))
        }
        DeliveryEnd::Dead { status: code, reason } => tx
            .conn
            .prepare_cached(
                "UPDATE delivery SET state = ?2, leased_until = NULL, status = ?3, reason = ?4 WHERE id = ?1",
            )
            .and_then(|mut u| u.execute(params![id.0, state::DEAD, status(code), reason])),
        DeliveryEnd::Released => tx
            .conn
            .prepare_cached(
                "UPDATE delivery SET state = ?2, leased_until = NULL, attempts = max(attempts - 1, 0) WHERE id = ?1",
            )
            .and_then(|mut u| u.execute(params![id.0, state::WAITING])),
    };
    result.map(|_| ()).map_err(failed("record a delivery"))?;
    if let Some(outcome) = end.outcome() {
        tx.count(Occurrence::Delivery { destination: destination.clone(), outcome });
    }
    if !matches!(end, DeliveryEnd::Stored { .. }) {
        stop_if_void(tx, id)?;
    }
    if role == ORIGINAL {
        replace::overtake(tx, instance, &destination)?;
    }
    Ok(())
}

/// Ends a delivery that did not succeed, and whose result was withdrawn or whose instance was replaced since it was
/// queued.
pub(crate) fn stop_if_void(tx: &Tx<'_>, id: DeliveryId) -> Result<(), StoreError> {
    tx.conn
        .prepare_cached(
            "DELETE FROM delivery WHERE id = ?1 AND role <> ?2
             AND (EXISTS (SELECT 1 FROM object WHERE object.result = delivery.result AND object.role = ?2)
                  OR EXISTS (SELECT 1 FROM arrival
                             WHERE instance = delivery.instance AND outcome = ?3 AND at >= delivery.queued_at))",
        )
        .and_then(|mut delete| delete.execute(params![id.0, REJECTION, REPLACED]))
        .map(drop)
        .map_err(StoreError::index("stop a delivery"))
}

/// When the next delivery to `destination` is due, or its lease runs out.
pub(crate) fn next_due(conn: &Connection, destination: &str, which: Due) -> rusqlite::Result<Option<i64>> {
    let waiting = match which {
        Due::All => "SELECT min(not_before) AS at FROM delivery WHERE destination = ?1 AND state = 0",
        Due::Urgent => "SELECT min(not_before) AS at FROM delivery WHERE destination = ?1 AND state = 0 AND rank <= ?2",
    };
    conn.prepare_cached(&format!(
        "SELECT min(at) FROM (
             {waiting}
             UNION ALL SELECT min(leased_until) FROM delivery WHERE destination = ?1 AND state = 1 AND rank <= ?2)"
    ))?
    .query_row(params![destination, which.rank_max()], |row| row.get(0))
}

/// Records that a destination is not sent to until then, or that it is again.
pub(crate) fn close(tx: &Tx<'_>, destination: &str, until: Option<i64>) -> Result<(), StoreError> {
    let changed = match until {
        Some(until) => tx
            .conn
            .prepare_cached("INSERT OR REPLACE INTO closed (destination, until) VALUES (?1, ?2)")
            .and_then(|mut insert| insert.execute(params![destination, until])),
        None => tx
            .conn
            .prepare_cached("DELETE FROM closed WHERE destination = ?1")
            .and_then(|mut delete| delete.execute([destination])),
    };
    changed.map(drop).map_err(StoreError::index("record the hours of a destination"))
}

/// Destinations for which something waits, or is to be confirmed: from one to the next, however much waits.
pub(crate) fn destinations(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    conn.prepare_cached(
        "WITH RECURSIVE known (name) AS (
             SELECT min(destination) FROM delivery
             UNION ALL
             SELECT (SELECT min(destination) FROM delivery WHERE destination > name) FROM known WHERE name IS NOT NULL)
         SELECT name FROM known
         WHERE EXISTS (SELECT 1 FROM delivery WHERE destination = name AND state IN (?1, ?2))",
    )?
    .query_map([state::WAITING, state::UNCONFIRMED], |row| row.get(0))?
    .collect()
}

/// Gives up on everything that waits for a destination that is no more.
pub(crate) fn strand(tx: &mut Tx<'_>, destination: &str, reason: &str) -> Result<usize, StoreError> {
    let touched = tx
        .conn
        .prepare_cached(
            "UPDATE delivery SET state = ?2, leased_until = NULL, reason = ?3
             WHERE destination = ?1 AND state = ?4 RETURNING instance",
        )
        .and_then(|mut update| {
            update
                .query_map(params![destination, state::DEAD, reason, state::WAITING], |row| row.get(0))?
                .collect::<rusqlite::Result<Vec<i64>>>()
        })
        .map_err(StoreError::index("give up on a destination"))?;
    tx.touched.extend(&touched);
    Ok(touched.len())
}
