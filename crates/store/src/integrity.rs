use std::io;

use dokuei_types::InstanceId;
use rusqlite::{Connection, OptionalExtension, Row};
use serde::Serialize;

use crate::disk::Disk;
use crate::error::StoreError;
use crate::outbox::ORIGINAL;
use crate::read::StoreReader;
use crate::stored_file::StoredFile;

/// Whether kept bytes are still those that were stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Integrity {
    /// They are.
    Intact,
    /// They are others.
    Damaged,
    /// They are gone although they should be kept.
    Missing,
    /// They are no longer kept.
    Removed,
}

/// What was found of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckedFile {
    /// `original`, or what a result object is for.
    pub role: String,
    /// Where it is.
    pub file: StoredFile,
    /// What was found.
    pub integrity: Integrity,
}

/// A file and what it is for.
struct Kept {
    file: StoredFile,
    role: String,
    is_removed: bool,
}

impl StoreReader {
    /// Reads the whole index; the first fault of it, in SQLite's words.
    ///
    /// # Errors
    /// What the index says; one so damaged that it cannot be read at all is [`StoreError::is_damaged_index`].
    pub fn check_index(&self) -> Result<Option<String>, StoreError> {
        let check = |conn: &Connection| conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
        self.with("check", check).map(|said| (said != "ok").then_some(said))
    }

    /// Reads all bytes of an instance and of its result objects, and compares them with the digests taken when they
    /// were stored: the instance first.
    ///
    /// # Errors
    /// What the index says, or [`StoreError::File`] when the disk fails otherwise than by damage it does not notice.
    pub fn check_bytes(&self, id: InstanceId) -> Result<Vec<CheckedFile>, StoreError> {
        let found = self.check_once(id)?;
        let is_wrong = |file: &CheckedFile| matches!(file.integrity, Integrity::Damaged | Integrity::Missing);
        // They may have been removed, or been put elsewhere, between the look into the index and theirs.
        if found.iter().any(is_wrong) { self.check_once(id) } else { Ok(found) }
    }

    fn check_once(&self, id: InstanceId) -> Result<Vec<CheckedFile>, StoreError> {
        let kept = self.with("list the files of an instance", |conn| {
            let row = |row: &Row<'_>| {
                Ok(Kept { file: StoredFile::of_row(row, self.data_dir())?, role: row.get(5)?, is_removed: row.get(6)? })
            };
            let original = conn
                .prepare_cached(
                    "SELECT path, begins_at, data_set_offset + size_bytes, data_set_offset, digest, ?2,
                            removed_at IS NOT NULL FROM instance WHERE id = ?1",
                )?
                .query_row((id.0, ORIGINAL), row)
                .optional()?;
            let mut objects = conn.prepare_cached(
                "SELECT path, 0, size_bytes, 0, object.digest, role, removed_at IS NOT NULL
                 FROM object JOIN result ON result.id = object.result WHERE result.instance = ?1",
            )?;
            let objects = objects.query_map([id.0], row)?;
            original.map(Ok).into_iter().chain(objects).collect::<rusqlite::Result<Vec<_>>>()
        })?;
        kept.into_iter().map(|kept| kept.check(self.disk())).collect()
    }
}

impl StoredFile {
    /// What has become of bytes that are to be kept.
    pub(crate) fn integrity(&self, disk: &dyn Disk) -> io::Result<Integrity> {
        match self.check_on(disk) {
            Ok(()) => Ok(Integrity::Intact),
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => {
                Ok(Integrity::Damaged)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Integrity::Missing),
            Err(error) => Err(error),
        }
    }
}

impl Kept {
    fn check(self, disk: &dyn Disk) -> Result<CheckedFile, StoreError> {
        let integrity = match self.is_removed {
            true => Integrity::Removed,
            false => {
                let found = self.file.integrity(disk);
                found.map_err(|error| StoreError::file("read", &self.file.path, error))?
            }
        };
        Ok(CheckedFile { role: self.role, file: self.file, integrity })
    }
}
