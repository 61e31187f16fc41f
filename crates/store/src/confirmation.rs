use std::time::Duration;

use dokuei_types::{InstanceId, Uid};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::StoreError;
use crate::model::DeliveryId;
use crate::outbox::stop_if_void;
use crate::schema::state;
use crate::unit::millis;
use crate::writer::Tx;

/// An object that a destination has stored, and has not confirmed yet that it keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unconfirmed {
    /// Its entry in the outbox.
    pub delivery: DeliveryId,
    /// The instance it is, or is about.
    pub instance: InstanceId,
    /// [`ORIGINAL`](crate::ORIGINAL), `sr`, `sc`.
    pub role: String,
    /// SOP Class UID of what was sent.
    pub sop_class: String,
    /// SOP Instance UID of what was sent.
    pub sop_instance: String,
    /// Its Series Instance UID.
    pub series: Option<String>,
    /// Its Study Instance UID.
    pub study: Option<String>,
    /// How often its destination was asked before.
    pub asked: u32,
    /// When it was tried first, milliseconds since 1970.
    pub first_tried_at: i64,
    /// When the destination stored it, milliseconds since 1970.
    pub stored_at: i64,
}

/// One question to a destination about many objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inquiry {
    /// Its Transaction UID, which the answer carries too.
    pub transaction_uid: Uid,
    /// What it is about.
    pub objects: Vec<Unconfirmed>,
}

/// What is known of an object after its destination was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confirmation {
    /// The destination keeps it.
    Kept,
    /// The destination has not got it: it is sent again.
    Missing {
        /// When, milliseconds since 1970.
        at: i64,
        /// What it said.
        reason: String,
    },
    /// The destination is asked again.
    Again {
        /// When, milliseconds since 1970.
        at: i64,
        /// What went wrong.
        reason: String,
    },
    /// Given up: a dead letter until replayed.
    Dead {
        /// What went wrong.
        reason: String,
    },
}

/// An object as [`row`] reads it. Of alternatives the destination has taken one.
const OBJECT: &str = "
SELECT delivery.id, delivery.instance, delivery.role, coalesce(object.sop_class, instance.sop_class),
       coalesce(object.sop_instance, instance.sop_instance), coalesce(object.series, instance.series),
       instance.study, asked, coalesce(first_tried_at, queued_at), stored_at
FROM delivery JOIN instance ON instance.id = delivery.instance
LEFT JOIN object ON object.result = delivery.result AND object.role = delivery.role
                AND object.sop_class = delivery.sop_class";

fn row(row: &Row<'_>) -> rusqlite::Result<Unconfirmed> {
    Ok(Unconfirmed {
        delivery: DeliveryId(row.get(0)?),
        instance: InstanceId(row.get(1)?),
        role: row.get(2)?,
        sop_class: row.get(3)?,
        sop_instance: row.get(4)?,
        series: row.get(5)?,
        study: row.get(6)?,
        asked: row.get(7)?,
        first_tried_at: row.get(8)?,
        stored_at: row.get(9)?,
    })
}

/// Begins a question about what is due at `destination`; `None` when nothing is. Without an answer it is due again
/// after `patience`, under another Transaction UID.
pub(crate) fn inquire(
    tx: &mut Tx<'_>,
    destination: &str,
    limit: usize,
    patience: Duration,
) -> Result<Option<Inquiry>, StoreError> {
    let failed = StoreError::index;
    let transaction_uid = Uid::random();
    let again_at = tx.now.saturating_add(millis(patience));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    tx.conn
        .prepare_cached(
            "UPDATE delivery SET transaction_uid = ?3, not_before = ?4, asked = asked + 1
             WHERE id IN (SELECT id FROM delivery WHERE destination = ?1 AND state = ?2 AND not_before <= ?5
                          ORDER BY not_before, id LIMIT ?6)",
        )
        .and_then(|mut update| {
            let uid = transaction_uid.as_str();
            update.execute(params![destination, state::UNCONFIRMED, uid, again_at, tx.now, limit])
        })
        .map_err(failed("begin to ask for confirmation"))?;
    let mut objects = of(tx.conn, &transaction_uid).map_err(failed("read what is to be confirmed"))?;
    for object in &mut objects {
        object.asked = object.asked.saturating_sub(1);
    }
    Ok((!objects.is_empty()).then_some(Inquiry { transaction_uid, objects }))
}

/// What a question is about that has no answer yet.
pub(crate) fn of(conn: &Connection, transaction_uid: &Uid) -> rusqlite::Result<Vec<Unconfirmed>> {
    conn.prepare_cached(&format!("{OBJECT} WHERE transaction_uid = ?1 AND state = ?2 ORDER BY delivery.id"))?
        .query_map(params![transaction_uid.as_str(), state::UNCONFIRMED], row)?
        .collect()
}

/// When a destination is to be asked next.
pub(crate) fn next_due(conn: &Connection, destination: &str) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached("SELECT min(not_before) FROM delivery WHERE destination = ?1 AND state = ?2")?
        .query_row(params![destination, state::UNCONFIRMED], |row| row.get(0))
}

/// Records what is known of an object, if the question is still open.
pub(crate) fn finish(
    tx: &mut Tx<'_>,
    id: DeliveryId,
    transaction_uid: &Uid,
    end: &Confirmation,
) -> Result<(), StoreError> {
    let (next, at, reason, confirmed_at) = match end {
        Confirmation::Kept => (state::STORED, None, None, Some(tx.now)),
        Confirmation::Missing { at, reason } => (state::WAITING, Some(at), Some(reason), None),
        Confirmation::Again { at, reason } => (state::UNCONFIRMED, Some(at), Some(reason), None),
        Confirmation::Dead { reason } => (state::DEAD, None, Some(reason), None),
    };
    let instance: Option<i64> = tx
        .conn
        .prepare_cached(
            "UPDATE delivery SET state = ?3, not_before = coalesce(?4, not_before), reason = coalesce(?5, reason),
                    confirmed_at = ?6
             WHERE id = ?1 AND transaction_uid = ?2 AND state = ?7 RETURNING instance",
        )
        .and_then(|mut update| {
            let uid = transaction_uid.as_str();
            let values = params![id.0, uid, next, at, reason, confirmed_at, state::UNCONFIRMED];
            update.query_row(values, |row| row.get(0)).optional()
        })
        .map_err(StoreError::index("record a confirmation"))?;
    let Some(instance) = instance else {
        return Err(StoreError::LeaseLost { what: format!("the confirmation of delivery {id}") });
    };
    tx.touched.insert(instance);
    tx.ring = true;
    match end {
        Confirmation::Missing { .. } => stop_if_void(tx, id),
        _ => Ok(()),
    }
}

/// Takes what a destination has stored for kept, without its confirmation; how many.
pub(crate) fn waive(tx: &mut Tx<'_>, destination: &str) -> Result<usize, StoreError> {
    let touched = tx
        .conn
        .prepare_cached("UPDATE delivery SET state = ?3 WHERE destination = ?1 AND state = ?2 RETURNING instance")
        .and_then(|mut update| {
            update
                .query_map(params![destination, state::UNCONFIRMED, state::STORED], |row| row.get(0))?
                .collect::<rusqlite::Result<Vec<i64>>>()
        })
        .map_err(StoreError::index("ask for no confirmation"))?;
    tx.touched.extend(&touched);
    Ok(touched.len())
}
