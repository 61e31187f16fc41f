use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use dokuei_types::{InstanceId, ModelIdentity, Uid};
use rusqlite::{Connection, OptionalExtension, params};
use twox_hash::XxHash3_128;
use uuid::Uuid;

use crate::config::Durability;
use crate::disk::{Disk, Step};
use crate::error::StoreError;
use crate::folder::{Folder, Folders, Placed, remove};
use crate::model::ResultId;
use crate::stored_file::StoredFile;
use crate::writer::Tx;

/// A result object to be kept: a whole Part 10 file.
#[derive(Debug, Clone)]
pub struct NewObject<'a> {
    /// What it is for, such as `sr` or `sc`; the objects of one role are alternatives to each other.
    pub role: &'a str,
    /// SOP Class UID.
    pub sop_class: &'a Uid,
    /// SOP Instance UID.
    pub sop_instance: &'a Uid,
    /// Series Instance UID.
    pub series: &'a Uid,
    /// Transfer Syntax UID.
    pub transfer_syntax: &'a str,
    /// Preamble, file meta and data set.
    pub bytes: &'a [u8],
}

/// A result object written and synced, which nothing names yet; removed when dropped unused.
pub struct Staged {
    placed: Placed,
    role: String,
    sop_class: Uid,
    sop_instance: Uid,
    series: Uid,
    transfer_syntax: String,
    digest: u128,
    size_bytes: u64,
}

impl Staged {
    pub(crate) fn folder(&self) -> Arc<Folder> {
        Arc::clone(&self.placed.folder)
    }

    pub(crate) fn keep(self) {
        self.placed.keep();
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.placed.path()
    }
}

/// What one model version said of one instance. Kept once: a second one of the same identity is
/// discarded and the first stays.
#[derive(Debug, Clone)]
pub struct NewResult {
    /// The instance it is about.
    pub instance: InstanceId,
    /// Who says it.
    pub model: ModelIdentity,
    /// What it says, for lists and programs.
    pub findings: serde_json::Value,
    /// When it was made, milliseconds since 1970.
    pub made_at: i64,
}

/// A kept file and what a DICOM peer must know of it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct StoredObject {
    /// Where the Part 10 file is.
    pub file: StoredFile,
    /// What it is for: `original`, `sr`, `sc`.
    pub role: String,
    /// SOP Class UID.
    pub sop_class: String,
    /// SOP Instance UID.
    pub sop_instance: String,
    /// Transfer Syntax UID.
    pub transfer_syntax: String,
    /// Series Instance UID; an original may lack it.
    pub series: Option<String>,
    /// When its bytes were given up, milliseconds since 1970.
    pub removed_at: Option<i64>,
}

/// A kept result.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredResult {
    /// Its number.
    pub id: ResultId,
    /// What it says.
    pub findings: serde_json::Value,
    /// When it was made, milliseconds since 1970.
    pub made_at: i64,
    /// Its objects, by role and in the order of the alternatives.
    pub objects: Vec<StoredObject>,
}

/// Earlier results that are told of.
const EARLIER_MAX: i64 = 16;

/// A result that a model gave of an instance in another version of the model, or of an earlier version of the instance.
#[derive(Debug, Clone, PartialEq)]
pub struct EarlierResult {
    /// The instance, or the earlier version of it.
    pub instance: InstanceId,
    /// Whether that lies in the same study.
    pub is_in_study: bool,
    /// Its objects, by role and in the order of the alternatives.
    pub objects: Vec<StoredObject>,
}

/// Writes and syncs a result object in its final place.
pub(crate) fn stage(
    folders: &Folders,
    incoming: &Path,
    durability: Durability,
    disk: &dyn Disk,
    object: &NewObject<'_>,
) -> Result<Staged, StoreError> {
    let path = incoming.join(Uuid::new_v4().simple().to_string());
    let placed = write_synced(&path, durability, disk, object.bytes).and_then(|()| folders.place(&path));
    let placed = placed.inspect_err(|_| remove(&path))?;
    Ok(Staged {
        placed,
        role: object.role.to_owned(),
        sop_class: object.sop_class.clone(),
        sop_instance: object.sop_instance.clone(),
        series: object.series.clone(),
        transfer_syntax: object.transfer_syntax.to_owned(),
        digest: XxHash3_128::oneshot(object.bytes),
        size_bytes: object.bytes.len() as u64,
    })
}

fn write_synced(path: &Path, durability: Durability, disk: &dyn Disk, bytes: &[u8]) -> Result<(), StoreError> {
    let failed = |source| StoreError::file("write", path, source);
    disk.before(Step::Create, path).map_err(failed)?;
    let mut file = File::create_new(path).map_err(failed)?;
    disk.before(Step::Write, path).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    if durability == Durability::Fsync {
        disk.before(Step::SyncFile, path).map_err(failed)?;
        file.sync_data().map_err(failed)?;
    }
    Ok(())
}

/// Records a result and its objects; `false` when there is one already, which then stays.
pub(crate) fn add(tx: &mut Tx<'_>, result: &NewResult, objects: &[Staged]) -> Result<bool, StoreError> {
    let failed = StoreError::index;
    let findings = result.findings.to_string();
    let model = &result.model;
    let added = tx
        .conn
        .prepare_cached(
            "INSERT INTO result (instance, model, version, weights, findings, made_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
        )
        .and_then(|mut insert| {
            let about = result.instance.0;
            insert.execute(params![about, model.name, model.version, model.weights_sha256, findings, result.made_at])
        })
        .map_err(failed("record a result"))?;
    if added == 0 {
        return Ok(false);
    }
    let id = tx.conn.last_insert_rowid();
    for (alternative, object) in objects.iter().enumerate() {
        let alternative = i64::try_from(alternative).unwrap_or(i64::MAX);
        tx.conn
            .prepare_cached(
                "INSERT INTO object (result, role, sop_class, alternative, sop_instance, series,
                                     transfer_syntax, digest, size_bytes, path)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )
            .and_then(|mut insert| {
                insert.execute(params![
                    id,
                    object.role,
                    object.sop_class.as_str(),
                    alternative,
                    object.sop_instance.as_str(),
                    object.series.as_str(),
                    object.transfer_syntax,
                    object.digest.to_be_bytes().as_slice(),
                    i64::try_from(object.size_bytes).unwrap_or(i64::MAX),
                    object.placed.relative,
                ])
            })
            .map_err(failed("record a result object"))?;
    }
    Ok(true)
}

/// The number of the result that `model` gave for `instance`.
pub(crate) fn find_id(conn: &Connection, instance: InstanceId, model: &ModelIdentity) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached("SELECT id FROM result WHERE instance = ?1 AND model = ?2 AND version = ?3 AND weights = ?4")?
        .query_row(params![instance.0, model.name, model.version, model.weights_sha256], |row| row.get(0))
        .optional()
}

/// The results that `model` gave for `instance` in another version of it, or for earlier versions of the instance, the last
/// one first.
pub(crate) fn earlier(
    conn: &Connection,
    data_dir: &Path,
    instance: InstanceId,
    model: &ModelIdentity,
) -> rusqlite::Result<Vec<EarlierResult>> {
    conn.prepare_cached(
        "SELECT result.id, seen.id, seen.study IS this.study FROM instance AS this JOIN instance AS seen USING (sop_instance)
         JOIN result ON result.instance = seen.id
         WHERE this.id = ?1 AND result.model = ?2
           AND (seen.version < this.version OR seen.id = this.id AND NOT (result.version = ?3 AND result.weights = ?4))
         ORDER BY result.id DESC LIMIT ?5",
    )?
    .query_map(params![instance.0, model.name, model.version, model.weights_sha256, EARLIER_MAX], |row| {
        let objects = objects(conn, data_dir, row.get(0)?, None)?;
        Ok(EarlierResult { instance: InstanceId(row.get(1)?), is_in_study: row.get(2)?, objects })
    })?
    .collect()
}

/// The result that `model` gave for `instance`, with its objects.
pub(crate) fn find(
    conn: &Connection,
    data_dir: &Path,
    instance: InstanceId,
    model: &ModelIdentity,
) -> rusqlite::Result<Option<StoredResult>> {
    let Some(id) = find_id(conn, instance, model)? else { return Ok(None) };
    let (findings, made_at): (String, i64) = conn
        .prepare_cached("SELECT findings, made_at FROM result WHERE id = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let findings = serde_json::from_str(&findings).unwrap_or_default();
    let objects = objects(conn, data_dir, id, None)?;
    Ok(Some(StoredResult { id: ResultId(id), findings, made_at, objects }))
}

/// The objects of a result, those no longer kept too, of one role or of all, in the order of the alternatives.
pub(crate) fn objects(
    conn: &Connection,
    data_dir: &Path,
    result: i64,
    role: Option<&str>,
) -> rusqlite::Result<Vec<StoredObject>> {
    conn.prepare_cached(
        "SELECT path, 0, size_bytes, 0, digest, role, sop_class, sop_instance, transfer_syntax, series, removed_at FROM object
         WHERE result = ?1 AND role = coalesce(?2, role) ORDER BY alternative",
    )?
    .query_map(params![result, role], |row| object_row(row, data_dir))?
    .collect()
}

/// A row of what [`StoredFile::of_row`] takes, role, SOP class, SOP instance, transfer syntax, series and time of removal.
pub(crate) fn object_row(row: &rusqlite::Row<'_>, data_dir: &Path) -> rusqlite::Result<StoredObject> {
    Ok(StoredObject {
        file: StoredFile::of_row(row, data_dir)?,
        role: row.get(5)?,
        sop_class: row.get(6)?,
        sop_instance: row.get(7)?,
        transfer_syntax: row.get(8)?,
        series: row.get(9)?,
        removed_at: row.get(10)?,
    })
}
