use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use dokuei_types::{InstanceId, ModelIdentity};
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use crate::config::{Clock, SystemClock};
use crate::disk::{Disk, RealDisk};
use crate::error::StoreError;
use crate::model::{TaskId, UnitId};
use crate::number::unsigned;
use crate::object::{self, EarlierResult, StoredResult};
use crate::stored_file::StoredFile;
use crate::task::{self, StoredTask};
use crate::unit::{self, StoredUnit, UnitLevel};
use crate::writer::Tx;
use crate::{ends, schema};

/// Reads the index of a data folder, inside the node that owns it or beside it. Cheap to clone.
#[derive(Clone)]
pub struct StoreReader {
    inner: Arc<Inner>,
}

struct Inner {
    data_dir: PathBuf,
    disk: Arc<dyn Disk>,
    /// Connections that nobody uses at the moment.
    idle: Mutex<Vec<Connection>>,
}

/// An instance as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredInstance {
    /// Its number in the store.
    pub id: InstanceId,
    /// 1, or more when the UID came with other bytes.
    pub version: u32,
    /// SOP Class UID.
    pub sop_class: String,
    /// SOP Instance UID.
    pub sop_instance: String,
    /// Transfer Syntax UID of the data set.
    pub transfer_syntax: String,
    /// Study Instance UID.
    pub study: Option<String>,
    /// Series Instance UID.
    pub series: Option<String>,
    /// Where the Part 10 file is.
    pub file: StoredFile,
    /// Where in it the data set begins.
    pub data_set_offset: u64,
    /// Bytes of the data set.
    pub size_bytes: u64,
    /// AE title of the sender.
    pub calling_ae: String,
    /// AE title it called.
    pub called_ae: String,
    /// When it was received, milliseconds since 1970.
    pub received_at: i64,
    /// When its bytes were given up, milliseconds since 1970.
    pub removed_at: Option<i64>,
}

/// An instance, and what the rules said of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// The instance.
    pub instance: StoredInstance,
    /// Route by route and condition by condition; `None` while nothing is decided.
    pub trace: Option<serde_json::Value>,
}

impl StoreReader {
    /// Opens the index of `data_dir`, which must be there already.
    ///
    /// # Errors
    /// [`StoreError::Absent`], [`StoreError::NewerLayout`], or what the index says.
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        Self::open_on(Arc::new(RealDisk), data_dir)
    }

    pub(crate) fn open_on(disk: Arc<dyn Disk>, data_dir: &Path) -> Result<Self, StoreError> {
        let conn = schema::open_beside(data_dir)?;
        let idle = Mutex::new(vec![conn]);
        Ok(Self { inner: Arc::new(Inner { data_dir: data_dir.to_owned(), disk, idle }) })
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        self.inner.disk.as_ref()
    }

    /// The folder.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.inner.data_dir
    }

    /// The instance of a number.
    ///
    /// # Errors
    /// What the index says.
    pub fn instance(&self, id: InstanceId) -> Result<Option<StoredInstance>, StoreError> {
        self.with("read an instance", |conn| {
            conn.prepare_cached(
                "SELECT path, begins_at, data_set_offset + size_bytes, data_set_offset, digest,
                        id, version, sop_class, sop_instance, transfer_syntax, study, series, data_set_offset,
                        size_bytes, calling_ae, called_ae, received_at, removed_at
                 FROM instance WHERE id = ?1",
            )?
            .query_row([id.0], |row| instance_row(row, self.data_dir()))
            .optional()
        })
    }

    /// The instances that `text` names: a number, a SOP Instance UID, a series or a study UID.
    ///
    /// # Errors
    /// What the index says.
    pub fn find(&self, text: &str) -> Result<Vec<InstanceId>, StoreError> {
        let number = text.parse::<i64>().ok();
        self.with("look for instances", |conn| {
            conn.prepare_cached(
                "SELECT id FROM instance WHERE id = ?1
                 UNION SELECT id FROM instance WHERE sop_instance = ?2
                 UNION SELECT id FROM instance WHERE series = ?2
                 UNION SELECT id FROM instance WHERE study = ?2 ORDER BY 1",
            )?
            .query_map(params![number, text], |row| row.get(0).map(InstanceId))?
            .collect()
        })
    }

    /// The numbers of the next instances after `id`, ascending.
    ///
    /// # Errors
    /// What the index says.
    pub fn after(&self, id: InstanceId, limit: usize) -> Result<Vec<InstanceId>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.with("list instances", |conn| {
            conn.prepare_cached("SELECT id FROM instance WHERE id > ?1 ORDER BY id LIMIT ?2")?
                .query_map([id.0, limit], |row| row.get(0).map(InstanceId))?
                .collect()
        })
    }

    /// The next instances after `id` that were received at or after `since` (milliseconds since 1970), ascending,
    /// with what was decided of them.
    ///
    /// # Errors
    /// What the index says.
    pub fn decided(&self, id: InstanceId, since: i64, limit: usize) -> Result<Vec<Decided>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.with("list decisions", |conn| {
            conn.prepare_cached(
                "SELECT path, begins_at, data_set_offset + size_bytes, data_set_offset, digest,
                        id, version, sop_class, sop_instance, transfer_syntax, study, series, data_set_offset,
                        size_bytes, calling_ae, called_ae, received_at, removed_at, trace
                 FROM instance LEFT JOIN decision ON decision.instance = instance.id
                 WHERE id > ?1 AND received_at >= ?2 ORDER BY id LIMIT ?3",
            )?
            .query_map(params![id.0, since, limit], |row| {
                let trace =
                    row.get::<_, Option<String>>(18)?.map(|json| serde_json::from_str(&json).unwrap_or_default());
                Ok(Decided { instance: instance_row(row, self.data_dir())?, trace })
            })?
            .collect()
        })
    }

    /// The newest instances, newest first.
    ///
    /// # Errors
    /// What the index says.
    pub fn newest(&self, limit: usize) -> Result<Vec<StoredInstance>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.with("list instances", |conn| {
            conn.prepare_cached(
                "SELECT path, begins_at, data_set_offset + size_bytes, data_set_offset, digest,
                        id, version, sop_class, sop_instance, transfer_syntax, study, series, data_set_offset,
                        size_bytes, calling_ae, called_ae, received_at, removed_at
                 FROM instance ORDER BY id DESC LIMIT ?1",
            )?
            .query_map([limit], |row| instance_row(row, self.data_dir()))?
            .collect()
        })
    }

    /// The series or study of a number that a route waits for.
    ///
    /// # Errors
    /// What the index says.
    pub fn unit(&self, id: UnitId) -> Result<Option<StoredUnit>, StoreError> {
        self.with("read a unit", |conn| unit::find(conn, id))
    }

    /// How many instances of a series or study are here, with those of our results that `destination` has stored: what
    /// it would count itself if all of them had come from there.
    ///
    /// # Errors
    /// What the index says.
    pub fn held(&self, level: UnitLevel, uid: &str, destination: &str) -> Result<u64, StoreError> {
        self.with("count the instances of a unit", |conn| unit::held(conn, level, uid, destination))
    }

    /// The task of a number.
    ///
    /// # Errors
    /// What the index says.
    pub fn task(&self, id: TaskId) -> Result<Option<StoredTask>, StoreError> {
        self.with("read a task", |conn| task::find(conn, id))
    }

    /// What `model`, in just this version, said of an instance.
    ///
    /// # Errors
    /// What the index says.
    pub fn result(&self, id: InstanceId, model: &ModelIdentity) -> Result<Option<StoredResult>, StoreError> {
        self.with("read a result", |conn| object::find(conn, self.data_dir(), id, model))
    }

    /// The latest results that the model of this name gave of an instance before, in another version of the model, or of
    /// earlier versions of the instance; the last one first.
    ///
    /// # Errors
    /// What the index says.
    pub fn earlier_results(&self, id: InstanceId, model: &ModelIdentity) -> Result<Vec<EarlierResult>, StoreError> {
        self.with("look for an earlier result", |conn| object::earlier(conn, self.data_dir(), id, model))
    }

    /// Whether the model of this name is still to look at an earlier version of an instance, or is looking.
    ///
    /// # Errors
    /// What the index says.
    pub fn is_earlier_version_in_work(&self, id: InstanceId, model: &str) -> Result<bool, StoreError> {
        self.with("look for work on earlier versions", |conn| {
            conn.prepare_cached(
                "SELECT EXISTS (
                     SELECT 1 FROM instance AS this JOIN instance AS earlier USING (sop_instance)
                     JOIN task ON task.instance = earlier.id
                     WHERE this.id = ?1 AND earlier.version < this.version AND task.model = ?2 AND task.state = 'open')",
            )?
            .query_row(params![id.0, model], |row| row.get(0))
        })
    }

    /// Whether an instance came again with other bytes.
    ///
    /// # Errors
    /// What the index says.
    pub fn has_later_version(&self, id: InstanceId) -> Result<bool, StoreError> {
        self.with("look for later versions", |conn| {
            conn.prepare_cached(
                "SELECT EXISTS (
                     SELECT 1 FROM instance AS this JOIN instance AS later USING (sop_instance)
                     WHERE this.id = ?1 AND later.version > this.version)",
            )?
            .query_row([id.0], |row| row.get(0))
        })
    }

    /// Changes the index beside the node that owns it, or only looks what that would come to.
    pub(crate) fn change<T>(
        &self,
        dry_run: bool,
        change: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let failed = StoreError::index;
        let mut conn = schema::open_beside(self.data_dir())?;
        let outer = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed("begin a replay"))?;
        let mut tx = Tx::new(&outer, SystemClock.now_ms());
        let changed = change(&mut tx)?;
        if dry_run {
            return Ok(changed);
        }
        ends::refresh(&mut tx)?;
        outer.commit().map_err(failed("commit a replay"))?;
        Ok(changed)
    }

    /// Runs a read on a connection of its own.
    pub(crate) fn with<T>(
        &self,
        doing: &'static str,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let idle = || self.inner.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let spare = idle().pop();
        let conn = match spare {
            Some(conn) => conn,
            None => schema::open_beside(self.data_dir())?,
        };
        let value = read(&conn).map_err(StoreError::index(doing));
        idle().push(conn);
        value
    }
}

fn instance_row(row: &Row<'_>, data_dir: &Path) -> rusqlite::Result<StoredInstance> {
    let bytes = |index| row.get(index).map(unsigned);
    Ok(StoredInstance {
        file: StoredFile::of_row(row, data_dir)?,
        id: InstanceId(row.get(5)?),
        version: row.get(6)?,
        sop_class: row.get(7)?,
        sop_instance: row.get(8)?,
        transfer_syntax: row.get(9)?,
        study: row.get(10)?,
        series: row.get(11)?,
        data_set_offset: bytes(12)?,
        size_bytes: bytes(13)?,
        calling_ae: row.get(14)?,
        called_ae: row.get(15)?,
        received_at: row.get(16)?,
        removed_at: row.get(17)?,
    })
}
