use std::collections::HashMap;
use std::path::Path;

use dokuei_types::Uid;
use rusqlite::{Connection, OptionalExtension, params};

use crate::disk::Disk;
use crate::error::StoreError;
use crate::integrity::Integrity;
use crate::model::CommitmentId;
use crate::schema::state;
use crate::stored_file::StoredFile;
use crate::writer::Tx;

/// What peers ask to be committed to (PS3.4 Annex J), until each is told; then as a record of it.
pub(crate) const TABLE: &str = "
CREATE TABLE IF NOT EXISTS commitment (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    transaction_uid TEXT NOT NULL,
    -- Who asked, and whom: the peer is told by the one it asked.
    peer_ae TEXT NOT NULL,
    called_ae TEXT NOT NULL,
    -- Pairs of SOP class and instance, as asked for.
    referenced TEXT NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    reason TEXT,
    asked_at INTEGER NOT NULL,
    told_at INTEGER,
    UNIQUE (peer_ae, transaction_uid)
);
CREATE INDEX IF NOT EXISTS commitment_due ON commitment (state, not_before, id);
";

/// A request for storage commitment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCommitment {
    /// Transaction UID, which the result carries too.
    pub transaction_uid: Uid,
    /// AE title of the one who asks and is to be told.
    pub peer_ae: String,
    /// The AE title it called.
    pub called_ae: String,
    /// SOP class and SOP Instance UID of each instance.
    pub referenced: Vec<(Uid, Uid)>,
}

/// A request whose peer is still to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenCommitment {
    /// Its number.
    pub id: CommitmentId,
    /// What was asked.
    pub request: NewCommitment,
    /// How often the peer could not be told.
    pub attempts: u32,
    /// When it was asked, milliseconds since 1970.
    pub asked_at: i64,
}

/// Whether the store holds an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    /// Under this SOP class, every byte on stable storage.
    Held,
    /// Under another SOP class only.
    OtherClass,
    /// Not at all, or its bytes are gone or damaged.
    Absent,
}

/// What came of telling a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitmentEnd {
    /// It has the result.
    Told,
    /// Tried again later.
    Retry {
        /// When, milliseconds since 1970.
        at: i64,
        /// What went wrong.
        reason: String,
    },
    /// Given up.
    Dead {
        /// What went wrong.
        reason: String,
    },
}

/// Keeps a request. One that is repeated is to be told again.
pub(crate) fn add(tx: &mut Tx<'_>, request: &NewCommitment) -> Result<CommitmentId, StoreError> {
    let referenced = serde_json::to_string(&request.referenced)
        .map_err(|error| StoreError::Broken { what: format!("references as JSON: {error}") })?;
    let uid = request.transaction_uid.as_str();
    tx.ring = true;
    tx.conn
        .prepare_cached(
            "INSERT INTO commitment (transaction_uid, peer_ae, called_ae, referenced, not_before, asked_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5)
             ON CONFLICT (peer_ae, transaction_uid) DO UPDATE SET
                 called_ae = excluded.called_ae, referenced = excluded.referenced, state = 0, attempts = 0,
                 not_before = excluded.not_before, asked_at = excluded.asked_at, reason = NULL
             RETURNING id",
        )
        .and_then(|mut insert| {
            insert.query_row(params![uid, request.peer_ae, request.called_ae, referenced, tx.now], |row| row.get(0))
        })
        .map(CommitmentId)
        .map_err(StoreError::index("keep a request for storage commitment"))
}

/// A request that is still open.
pub(crate) fn open(conn: &Connection, id: CommitmentId) -> rusqlite::Result<Option<OpenCommitment>> {
    conn.prepare_cached(
        "SELECT id, transaction_uid, peer_ae, called_ae, referenced, attempts, asked_at FROM commitment
         WHERE id = ?1 AND state = ?2",
    )?
    .query_row(params![id.0, state::WAITING], open_row)
    .optional()
    .map(Option::flatten)
}

/// The requests that are due, oldest first.
pub(crate) fn due(conn: &Connection, now: i64, limit: usize) -> rusqlite::Result<Vec<CommitmentId>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    conn.prepare_cached(
        "SELECT id FROM commitment WHERE state = ?1 AND not_before <= ?2 ORDER BY not_before, id LIMIT ?3",
    )?
    .query_map(params![state::WAITING, now, limit], |row| row.get(0).map(CommitmentId))?
    .collect()
}

/// When the next request is due.
pub(crate) fn next_due(conn: &Connection, after: i64) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached("SELECT min(not_before) FROM commitment WHERE state = ?1 AND not_before > ?2")?
        .query_row(params![state::WAITING, after], |row| row.get(0))
}

fn open_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<OpenCommitment>> {
    let uid = Uid::new(&row.get::<_, String>(1)?).ok();
    let referenced: Option<Vec<(Uid, Uid)>> = serde_json::from_str(&row.get::<_, String>(4)?).ok();
    let (Some(transaction_uid), Some(referenced)) = (uid, referenced) else { return Ok(None) };
    Ok(Some(OpenCommitment {
        id: CommitmentId(row.get(0)?),
        request: NewCommitment { transaction_uid, peer_ae: row.get(2)?, called_ae: row.get(3)?, referenced },
        attempts: row.get(5)?,
        asked_at: row.get(6)?,
    }))
}

/// Records what came of telling a peer.
pub(crate) fn finish(tx: &mut Tx<'_>, id: CommitmentId, end: &CommitmentEnd) -> Result<(), StoreError> {
    tx.ring = true;
    let (next, at, reason, told) = match end {
        CommitmentEnd::Told => (state::STORED, None, None, Some(tx.now)),
        CommitmentEnd::Retry { at, reason } => (state::WAITING, Some(*at), Some(reason), None),
        CommitmentEnd::Dead { reason } => (state::DEAD, None, Some(reason), None),
    };
    tx.conn
        .prepare_cached(
            "UPDATE commitment SET state = ?2, attempts = attempts + 1, not_before = coalesce(?3, not_before),
                    reason = ?4, told_at = ?5 WHERE id = ?1 AND state = ?6",
        )
        .and_then(|mut update| update.execute(params![id.0, next, at, reason, told, state::WAITING]))
        .map(drop)
        .map_err(StoreError::index("record a storage commitment"))
}

/// Has the peers of requests that were given up told after all, those that were last due from `since` to before `until`;
/// their AE titles.
pub(crate) fn revive(tx: &mut Tx<'_>, since: Option<i64>, until: Option<i64>) -> Result<Vec<String>, StoreError> {
    tx.ring = true;
    tx.conn
        .prepare_cached(
            "UPDATE commitment SET state = ?1, attempts = 0, not_before = ?2, asked_at = ?2
             WHERE state = ?3 AND not_before >= ?4 AND not_before < ?5 RETURNING peer_ae",
        )
        .and_then(|mut update| {
            let (since, until) = (since.unwrap_or(i64::MIN), until.unwrap_or(i64::MAX));
            let meant = params![state::WAITING, tx.now, state::DEAD, since, until];
            update.query_map(meant, |row| row.get(0))?.collect()
        })
        .map_err(StoreError::index("take up requests for storage commitment again"))
}

/// Where the versions of an instance are, by SOP class.
type Places = Vec<(String, StoredFile)>;

/// Where the instances of a request are, as the index knows them.
pub(crate) fn places(
    conn: &Connection,
    data_dir: &Path,
    referenced: &[(Uid, Uid)],
) -> rusqlite::Result<HashMap<Uid, Places>> {
    let mut find = conn.prepare_cached(
        "SELECT path, begins_at, data_set_offset + size_bytes, data_set_offset, digest, sop_class FROM instance
         WHERE sop_instance = ?1 AND removed_at IS NULL",
    )?;
    let mut places = HashMap::new();
    for (_, sop_instance) in referenced {
        let found =
            find.query_map([sop_instance.as_str()], |row| Ok((row.get(5)?, StoredFile::of_row(row, data_dir)?)))?;
        places.insert(sop_instance.clone(), found.collect::<rusqlite::Result<Places>>()?);
    }
    Ok(places)
}

/// What the store holds of `referenced`, in its order: every byte is read once, however often it is named.
pub(crate) fn holdings(disk: &dyn Disk, referenced: &[(Uid, Uid)], places: &HashMap<Uid, Places>) -> Vec<Holding> {
    let is_intact = |file: &StoredFile| match file.integrity(disk) {
        Ok(found) => found == Integrity::Intact,
        Err(error) => {
            tracing::error!(path = %file.path.display(), %error, "what cannot be read is not committed to");
            false
        }
    };
    let intact_classes = |versions: &Places| -> Vec<String> {
        versions.iter().filter(|(_, file)| is_intact(file)).map(|(sop_class, _)| sop_class.clone()).collect()
    };
    let held: HashMap<&Uid, _> = places.iter().map(|(uid, versions)| (uid, intact_classes(versions))).collect();
    let holding = |(sop_class, sop_instance): &(Uid, Uid)| match held.get(sop_instance) {
        Some(classes) if classes.iter().any(|found| found == sop_class.as_str()) => Holding::Held,
        Some(classes) if !classes.is_empty() => Holding::OtherClass,
        _ => Holding::Absent,
    };
    referenced.iter().map(holding).collect()
}
