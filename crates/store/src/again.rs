//! Images whose bytes were removed and that are to be sent or matched again: an archive is asked for them first.
//!
//! What is to be done is a row, the asking a job: both outlast a crash, and a job that was cut short asks again. What comes is
//! the same bytes, put in the place of those that were removed; or other bytes, since an archive may encode anew: then they are
//! another version, by the policy for versions, and stand in for the one that was removed. What was found out of that one stays.

use dokuei_types::InstanceId;
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::StoreError;
use crate::job::{self, JobKind};
use crate::outbox;
use crate::prior::{self, PatientKey};
use crate::read::{StoreReader, StoredInstance};
use crate::schema::state;
use crate::store::Store;
use crate::writer::Tx;

pub(crate) const TABLE: &str = "
-- What is to be done with an instance once it is here again: a delivery, or 0 where the rules are asked.
CREATE TABLE IF NOT EXISTS awaited (
    instance INTEGER NOT NULL REFERENCES instance (id),
    delivery INTEGER NOT NULL,
    PRIMARY KEY (instance, delivery)
) WITHOUT ROWID;

-- Versions that an archive has sent in place of removed ones.
CREATE TABLE IF NOT EXISTS stand_in (instance INTEGER PRIMARY KEY REFERENCES instance (id));
";

/// An image of which the bytes were removed.
#[derive(Debug, Clone, PartialEq)]
pub struct RemovedImage {
    /// The instance as it was received.
    pub stored: StoredInstance,
    /// Whose it is, where that was noted.
    pub patient: Option<PatientKey>,
}

/// Whether an image is here again.
#[derive(Debug, Clone, PartialEq)]
pub enum Awaited {
    /// With its own bytes, or by the version that stands in for it.
    Here(InstanceId),
    /// It is to be asked for.
    Removed(Box<RemovedImage>),
    /// An archive would send this later version, which a sender has sent since.
    Replaced(InstanceId),
}

impl Store {
    /// Whether an image is here again, all considered that was acknowledged before.
    ///
    /// # Errors
    /// What the index says; [`StoreError::Broken`] when there is none of this number.
    pub fn awaited(&self, instance: InstanceId) -> Result<Awaited, StoreError> {
        // The writer works in order: it has heard of all that was acknowledged.
        let found = self.writer().call_fleeting(move |tx| {
            find(tx.conn, instance).map_err(StoreError::index("look whether an image is here again"))
        })?;
        if let Some(found) = found {
            return Ok(found);
        }
        let what = format!("no instance {instance}");
        let stored = self.reader().instance(instance)?.ok_or(StoreError::Broken { what })?;
        let patient = self.reader().with("look whose an image is", |conn| prior::patient_of(conn, instance))?;
        Ok(Awaited::Removed(Box::new(RemovedImage { stored, patient })))
    }
}

impl StoreReader {
    /// An instance as its sender has sent it: what an archive has sent in place of it counts as sent by whoever did first.
    ///
    /// # Errors
    /// What the index says.
    pub fn as_sent(&self, stored: StoredInstance) -> Result<StoredInstance, StoreError> {
        if stored.version == 1 {
            return Ok(stored);
        }
        let first = self.with("look for whom a version stands in", |conn| {
            if !stands_in(conn, stored.id)? {
                return Ok(None);
            }
            conn.prepare_cached(
                "SELECT calling_ae, called_ae, received_at FROM instance
                 WHERE sop_instance = ?1 AND version < ?2
                   AND NOT EXISTS (SELECT 1 FROM stand_in WHERE stand_in.instance = instance.id)
                 ORDER BY version DESC LIMIT 1",
            )?
            .query_row(params![stored.sop_instance, stored.version], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()
        })?;
        Ok(match first {
            Some((calling_ae, called_ae, received_at)) => {
                StoredInstance { calling_ae, called_ae, received_at, ..stored }
            }
            None => stored,
        })
    }
}

/// Has an archive asked for an instance, and then a delivery sent, or with 0 the rules asked.
pub(crate) fn want(tx: &mut Tx<'_>, instance: i64, delivery: i64) -> Result<(), StoreError> {
    tx.conn
        .prepare_cached("INSERT OR IGNORE INTO awaited (instance, delivery) VALUES (?1, ?2)")
        .and_then(|mut insert| insert.execute([instance, delivery]))
        .map_err(StoreError::index("note what an image is awaited for"))?;
    tx.conn
        .prepare_cached("DELETE FROM job WHERE instance = ?1 AND +kind = ?2 AND +state = ?3")
        .and_then(|mut forget| forget.execute(params![instance, JobKind::Retrieve.number(), state::DEAD]))
        .map_err(StoreError::index("forget an archive that had none of it"))?;
    job::add_once(tx, JobKind::Retrieve, instance)
}

/// Notes that a version stands in for those before.
pub(crate) fn stand_in(tx: &Tx<'_>, instance: i64) -> Result<(), StoreError> {
    tx.conn
        .prepare_cached("INSERT INTO stand_in (instance) VALUES (?1)")
        .and_then(|mut insert| insert.execute([instance]))
        .map(drop)
        .map_err(StoreError::index("note that a version stands in"))
}

/// Whether a version stands in for those before.
pub(crate) fn stands_in(conn: &Connection, id: InstanceId) -> rusqlite::Result<bool> {
    // A folder that this version's node has not opened yet is without.
    if !conn.table_exists(None, "stand_in")? {
        return Ok(false);
    }
    conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM stand_in WHERE instance = ?1)")?
        .query_row([id.0], |row| row.get(0))
}

/// Does what an instance was awaited for, now that it is here.
pub(crate) fn resume(tx: &mut Tx<'_>, instance: InstanceId) -> Result<(), StoreError> {
    let failed = StoreError::index;
    let Some(Awaited::Here(here)) = find(tx.conn, instance).map_err(failed("look for an image again"))? else {
        return Err(StoreError::Broken { what: format!("instance {instance} is not here again") });
    };
    let deliveries = tx
        .conn
        .prepare_cached("DELETE FROM awaited WHERE instance = ?1 RETURNING delivery")
        .and_then(|mut take| take.query_map([instance.0], |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>())
        .map_err(failed("read what an image is awaited for"))?;
    for delivery in deliveries {
        match delivery {
            0 => job::add_match(tx, here.0)?,
            delivery => outbox::send_again(tx, delivery, here)?,
        }
    }
    // Also of what an archive has sent in several encodings.
    let stand_ins = tx
        .conn
        .prepare_cached(
            "SELECT other.id FROM instance AS this JOIN instance AS other USING (sop_instance)
             JOIN stand_in ON stand_in.instance = other.id WHERE this.id = ?1",
        )
        .and_then(|mut find| find.query_map([instance.0], |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>())
        .map_err(failed("look for what stands in"))?;
    tx.touched.extend(stand_ins);
    tx.touched.insert(instance.0);
    tx.ring = true;
    Ok(())
}

/// `None` where it is to be asked for.
fn find(conn: &Connection, instance: InstanceId) -> rusqlite::Result<Option<Awaited>> {
    let mut others = conn
        .prepare_cached(
            "SELECT other.id, other.version > this.version, other.removed_at IS NULL,
                    EXISTS (SELECT 1 FROM stand_in WHERE stand_in.instance = other.id)
             FROM instance AS this JOIN instance AS other USING (sop_instance) WHERE this.id = ?1",
        )?
        .query_map([instance.0], |row| Ok((InstanceId(row.get(0)?), row.get(1)?, row.get(2)?, row.get(3)?)))?
        .collect::<rusqlite::Result<Vec<(InstanceId, bool, bool, bool)>>>()?;
    others.sort_unstable_by_key(|(id, ..)| *id);
    let mut found = None;
    for (id, is_later, is_kept, stands_in) in others {
        if id == instance && is_kept {
            return Ok(Some(Awaited::Here(id)));
        }
        match (is_later, stands_in) {
            (true, false) => found = Some(Awaited::Replaced(id)),
            (true, true) if is_kept && found.is_none() => found = Some(Awaited::Here(id)),
            _ => {}
        }
    }
    Ok(found)
}
