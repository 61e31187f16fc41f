use std::fs::File;
use std::io::Write;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use serde::Serialize;
use twox_hash::XxHash3_128;
use uuid::Uuid;

use crate::config::{Clock, Durability, SystemClock};
use crate::error::StoreError;
use crate::folder::{make_dir, remove};
use crate::model::ResultId;
use crate::object::NewObject;
use crate::outbox::REJECTION;
use crate::read::StoreReader;
use crate::schema::{self, state};
use crate::writer::Tx;
use crate::{ends, outbox};

/// Where notes are kept: apart from what the node writes, since this may be another process.
const FOLDER: &str = "results/withdrawals";

/// What a withdrawal has set going.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Withdrawn {
    /// Destinations that have objects of the result, or may have, and get the note.
    pub destinations: usize,
    /// Deliveries of the result that had not succeeded and are not tried again.
    pub stopped: usize,
}

impl StoreReader {
    /// Withdraws a result: keeps the note that says so as an object of it, queues the note for every destination
    /// that the result was sent to, and sends nothing else of it from now on. No file is removed. `None` when the
    /// result is withdrawn already, which then stays as it is. A running node hears of it within half a second.
    ///
    /// The note's file is durable before the index names it; a crash between the two leaves a file of a few
    /// kilobytes that nothing names.
    ///
    /// # Errors
    /// [`StoreError::File`] when the note cannot be written, or what the index says.
    pub fn withdraw(&self, result: ResultId, note: &NewObject<'_>) -> Result<Option<Withdrawn>, StoreError> {
        let failed = StoreError::index;
        let relative = format!("{FOLDER}/{}.dcm", Uuid::new_v4().simple());
        let path = self.data_dir().join(&relative);
        write(&self.data_dir().join(FOLDER), &path, note.bytes)?;
        let withdrawn = (|| {
            let mut conn = schema::open_beside(self.data_dir())?;
            let outer = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed("begin"))?;
            let mut tx = Tx::new(&outer, SystemClock.now_ms());
            let withdrawn = record(&mut tx, result.0, note, &relative)?;
            ends::refresh(&mut tx)?;
            outer.commit().map_err(failed("commit a withdrawal"))?;
            Ok(withdrawn)
        })();
        if matches!(withdrawn, Ok(None)) {
            remove(&path);
        }
        withdrawn
    }
}

fn write(folder: &Path, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    make_dir(folder, Durability::Fsync)?;
    let written = File::create_new(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let synced = written.and_then(|()| File::open(folder)?.sync_all());
    synced.map_err(|source| StoreError::file("write", path, source))
}

fn record(tx: &mut Tx<'_>, result: i64, note: &NewObject<'_>, path: &str) -> Result<Option<Withdrawn>, StoreError> {
    let failed = StoreError::index;
    if is_withdrawn(tx.conn, result).map_err(failed("look for a withdrawal"))? {
        return Ok(None);
    }
    let instance: Option<i64> = tx
        .conn
        .query_row("SELECT instance FROM result WHERE id = ?1", [result], |row| row.get(0))
        .optional()
        .map_err(failed("find a result"))?;
    let Some(instance) = instance else {
        return Err(StoreError::Broken { what: format!("there is no result {result} to withdraw") });
    };
    let digest = XxHash3_128::oneshot(note.bytes).to_be_bytes();
    let size_bytes = i64::try_from(note.bytes.len()).unwrap_or(i64::MAX);
    let (class, sop_instance, series) = (note.sop_class.as_str(), note.sop_instance.as_str(), note.series.as_str());
    tx.conn
        .execute(
            "INSERT INTO object (result, role, sop_class, alternative, sop_instance, series, transfer_syntax, digest,
                                 size_bytes, path)
             SELECT ?1, ?2, ?3, 1 + max(alternative), ?4, ?5, ?6, ?7, ?8, ?9 FROM object WHERE result = ?1",
            params![
                result,
                REJECTION,
                class,
                sop_instance,
                series,
                note.transfer_syntax,
                digest.as_slice(),
                size_bytes,
                path
            ],
        )
        .map_err(failed("record a note"))?;
    // Whatever was tried once may be there, even where no answer came.
    let destinations = tx
        .conn
        .prepare("SELECT DISTINCT destination FROM delivery WHERE result = ?1 AND last_tried_at IS NOT NULL")
        .and_then(|mut find| find.query_map([result], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>())
        .map_err(failed("look for deliveries"))?;
    let stopped = tx
        .conn
        .execute(
            "DELETE FROM delivery WHERE result = ?1 AND state IN (?2, ?3)",
            params![result, state::WAITING, state::DEAD],
        )
        .map_err(failed("stop deliveries"))?;
    for destination in &destinations {
        outbox::add_note(tx, instance, result, destination)?;
    }
    tx.touched.insert(instance);
    Ok(Some(Withdrawn { destinations: destinations.len(), stopped }))
}

/// Whether a result has a note that withdraws it.
pub(crate) fn is_withdrawn(conn: &Connection, result: i64) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM object WHERE result = ?1 AND role = ?2)")?
        .query_row(params![result, REJECTION], |row| row.get(0))
}
