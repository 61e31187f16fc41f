use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, Params, Row, params};

use crate::disk::Disk;
use crate::error::StoreError;
use crate::folder::{Folders, remove};
use crate::log;
use crate::number::unsigned;
use crate::store::Store;
use crate::unit::millis;
use crate::writer::Tx;

/// How long bytes are kept after the work on an instance has ended. Nothing goes while a delivery is outstanding or
/// has failed; what is known of an instance stays in the index in any case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retention {
    /// Received instances; for ever when `None`.
    pub images: Option<Duration>,
    /// Result objects; for ever when `None`.
    pub results: Option<Duration>,
    /// When less than this is free on the disk, the instances that ended first go sooner.
    pub free: Option<FreeSpace>,
}

/// What makes room on a disk that fills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreeSpace {
    /// Bytes to be free.
    pub bytes: u64,
    /// For so long instances are kept nevertheless.
    pub images_at_least: Duration,
}

/// What was removed in one go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Received instances.
    pub images: usize,
    /// Result objects.
    pub objects: usize,
}

/// Bytes that are to go.
enum Leaving {
    /// The record at `offset` of a segment, and the file it speaks of, when that is another.
    Image {
        id: i64,
        path: String,
        segment: u64,
        offset: u64,
    },
    Object {
        result: i64,
        role: String,
        sop_class: String,
        path: String,
    },
}

impl Store {
    /// Removes what `retention` has no more use for, up to `limit` instances and as many result objects; call again
    /// while there was something.
    ///
    /// # Errors
    /// What the index or the disk says; what was begun is finished at the next open.
    pub fn remove_old(&self, retention: &Retention, limit: usize) -> Result<Removed, StoreError> {
        let now = self.clock().now_ms();
        let old =
            |kept: Duration, why| Old { ended_before: now.saturating_sub(millis(kept)), why, limit, enough: u64::MAX };
        let mut leaving = Vec::new();
        if let Some(kept) = retention.images {
            let old = old(kept, "age");
            leaving = self.writer().call(move |tx| old.images(tx))?;
        }
        if let Some(free) = &retention.free
            && leaving.is_empty()
            && let missing @ 1.. = free.bytes.saturating_sub(self.free_bytes()?)
        {
            let old = Old { enough: missing, ..old(free.images_at_least, "space") };
            leaving = self.writer().call(move |tx| old.images(tx))?;
        }
        let images = leaving.len();
        if let Some(kept) = retention.results {
            let old = old(kept, "age");
            leaving.extend(self.writer().call(move |tx| old.objects(tx))?);
        }
        let removed = Removed { images, objects: leaving.len().saturating_sub(images) };
        if !leaving.is_empty() {
            let data_dir = self.reader().data_dir();
            leaving.retain(|leaving| leaving.free(data_dir, self.disk()));
            let empty = self.writer().call_fleeting(move |tx| forget(tx.conn, &leaving))?;
            empty.into_iter().for_each(|segment| remove(&Folders::resolve(data_dir, &log::relative(segment))));
        }
        Ok(removed)
    }
}

/// Finishes what the last owner had begun to remove; how many files that were.
pub(crate) fn finish(conn: &mut Connection, data_dir: &Path, disk: &dyn Disk) -> Result<usize, StoreError> {
    let failed = StoreError::index;
    let images = "SELECT id, path, segment, record FROM instance WHERE removed_at IS NOT NULL AND freed = 0";
    let objects = "SELECT result, role, sop_class, path FROM object WHERE removed_at IS NOT NULL AND freed = 0";
    let mut leaving = list(conn, images, [], image)?;
    leaving.extend(list(conn, objects, [], object)?);
    leaving.retain(|leaving| leaving.free(data_dir, disk));
    let tx = conn.transaction().map_err(failed("begin to forget"))?;
    forget(&tx, &leaving)?;
    let empty = empty(&tx).map_err(failed("list the empty segments"))?;
    tx.commit().map_err(failed("forget what was removed"))?;
    empty.into_iter().for_each(|segment| remove(&Folders::resolve(data_dir, &log::relative(segment))));
    Ok(leaving.len())
}

/// Notes that bytes are gone; the segments that nothing is kept in any more.
fn forget(conn: &Connection, leaving: &[Leaving]) -> Result<BTreeSet<u64>, StoreError> {
    let failed = StoreError::index;
    let mut segments = BTreeSet::new();
    for leaving in leaving {
        leaving.forget(conn).map_err(failed("forget what was removed"))?;
        if let Leaving::Image { segment, .. } = leaving {
            segments.insert(*segment);
        }
    }
    let empty = empty(conn).map_err(failed("list the empty segments"))?;
    Ok(empty.into_iter().filter(|segment| segments.contains(segment)).collect())
}

/// The settled segments, to which nothing will be appended, that hold nothing which is kept.
fn empty(conn: &Connection) -> rusqlite::Result<Vec<u64>> {
    conn.prepare_cached(
        "SELECT number FROM segment
         WHERE NOT EXISTS (SELECT 1 FROM instance WHERE instance.segment = number AND instance.freed = 0)",
    )?
    .query_map([], |row| row.get(0).map(unsigned))?
    .collect()
}

/// What is to be given up.
struct Old {
    /// Milliseconds since 1970.
    ended_before: i64,
    /// `age` or `space`.
    why: &'static str,
    limit: usize,
    /// No more images go once those that do are of so many bytes.
    enough: u64,
}

impl Old {
    /// Gives up received instances, those that ended first.
    fn images(&self, tx: &Tx<'_>) -> Result<Vec<Leaving>, StoreError> {
        let give_up = "UPDATE instance SET removed_at = ?3, removed_why = ?4 WHERE id IN (
                           SELECT id FROM (
                               SELECT id, sum(bytes) OVER (ORDER BY ended_at, id) - bytes AS before FROM (
                                   SELECT id, ended_at, data_set_offset + size_bytes AS bytes FROM instance
                                   WHERE ended_at IS NOT NULL AND removed_at IS NULL AND ended_at <= ?1
                                     AND +end_kind NOT IN ('open', 'failed') ORDER BY ended_at, id LIMIT ?2))
                           WHERE before < ?5)
                       RETURNING id, path, segment, record";
        let (ended_before, limit, now, why) = self.params(tx);
        let enough = i64::try_from(self.enough).unwrap_or(i64::MAX);
        list(tx.conn, give_up, (ended_before, limit, now, why, enough), image)
    }

    /// Gives up result objects.
    fn objects(&self, tx: &Tx<'_>) -> Result<Vec<Leaving>, StoreError> {
        let give_up = "UPDATE object SET removed_at = ?3, removed_why = ?4 WHERE (result, role, sop_class) IN (
                           SELECT object.result, object.role, object.sop_class FROM object
                           JOIN result ON result.id = object.result JOIN instance ON instance.id = result.instance
                           WHERE object.removed_at IS NULL AND instance.ended_at <= ?1
                             AND instance.end_kind NOT IN ('open', 'failed') ORDER BY object.result LIMIT ?2)
                       RETURNING result, role, sop_class, path";
        list(tx.conn, give_up, self.params(tx), object)
    }

    fn params(&self, tx: &Tx<'_>) -> (i64, i64, i64, &'static str) {
        let limit = i64::try_from(self.limit).unwrap_or(i64::MAX);
        (self.ended_before, limit, tx.now, self.why)
    }
}

impl Leaving {
    /// Gives their space back; whether that is done, else it is tried again at the next open.
    fn free(&self, data_dir: &Path, disk: &dyn Disk) -> bool {
        match self {
            Self::Object { path, .. } => {
                remove(&Folders::resolve(data_dir, path));
                true
            }
            Self::Image { path, segment, offset, .. } => {
                let own = log::relative(*segment);
                if *path != own {
                    remove(&Folders::resolve(data_dir, path));
                }
                let path = Folders::resolve(data_dir, &own);
                let freed = free_record(disk, &path, *offset);
                if let Err(error) = &freed {
                    tracing::warn!(path = %path.display(), %error, "the space of an old instance is not given back yet");
                }
                freed.is_ok()
            }
        }
    }

    /// Notes that they are gone.
    fn forget(&self, conn: &Connection) -> rusqlite::Result<()> {
        match self {
            Self::Image { id, .. } => conn
                .prepare_cached("UPDATE instance SET freed = 1 WHERE id = ?1 AND removed_at IS NOT NULL")?
                .execute([id]),
            Self::Object { result, role, sop_class, .. } => conn
                .prepare_cached("UPDATE object SET freed = 1 WHERE result = ?1 AND role = ?2 AND sop_class = ?3")?
                .execute(params![result, role, sop_class]),
        }
        .map(drop)
    }
}

/// Gives back the space of a record.
fn free_record(disk: &dyn Disk, path: &Path, offset: u64) -> std::io::Result<()> {
    let file = match File::options().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    match log::record_len(disk, &file, offset)? {
        Some(length) => log::punch(&file, offset, length),
        None => Ok(()),
    }
}

fn list(
    conn: &Connection,
    statement: &str,
    params: impl Params,
    read: fn(&Row<'_>) -> rusqlite::Result<Leaving>,
) -> Result<Vec<Leaving>, StoreError> {
    conn.prepare(statement)
        .and_then(|mut find| find.query_map(params, read)?.collect())
        .map_err(StoreError::index("list what is to be removed"))
}

fn image(row: &Row<'_>) -> rusqlite::Result<Leaving> {
    Ok(Leaving::Image {
        id: row.get(0)?,
        path: row.get(1)?,
        segment: row.get(2).map(unsigned)?,
        offset: row.get(3).map(unsigned)?,
    })
}

fn object(row: &Row<'_>) -> rusqlite::Result<Leaving> {
    Ok(Leaving::Object { result: row.get(0)?, role: row.get(1)?, sop_class: row.get(2)?, path: row.get(3)? })
}
