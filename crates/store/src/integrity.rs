use std::io;

use dokuei_types::InstanceId;
use rusqlite::{OptionalExtension, Row};
use serde::Serialize;
use twox_hash::XxHash3_128;

use crate::disk::{Disk, read_exact_at};
use crate::error::StoreError;
use crate::number::unsigned;
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

/// A file and the digest of the bytes from `from` on.
struct Kept {
    file: StoredFile,
    from: u64,
    role: String,
    digest: Vec<u8>,
    is_removed: bool,
}

impl StoreReader {
    /// Reads all bytes of an instance and of its result objects, and compares them with the digests taken when they
    /// were stored: the instance first.
    ///
    /// # Errors
    /// What the index says, or [`StoreError::File`] when the disk fails otherwise than by damage it does not notice.
    pub fn check_bytes(&self, id: InstanceId) -> Result<Vec<CheckedFile>, StoreError> {
        let kept = self.with("list the files of an instance", |conn| {
            let row = |row: &Row<'_>| {
                Ok(Kept {
                    file: StoredFile::of_row(row, self.data_dir())?,
                    from: unsigned(row.get(3)?),
                    role: row.get(4)?,
                    digest: row.get(5)?,
                    is_removed: row.get(6)?,
                })
            };
            let original = conn
                .prepare_cached(
                    "SELECT path, begins_at, data_set_offset + size_bytes, data_set_offset, ?2, digest,
                            removed_at IS NOT NULL FROM instance WHERE id = ?1",
                )?
                .query_row((id.0, ORIGINAL), row)
                .optional()?;
            let mut objects = conn.prepare_cached(
                "SELECT path, 0, size_bytes, 0, role, object.digest, removed_at IS NOT NULL
                 FROM object JOIN result ON result.id = object.result WHERE result.instance = ?1",
            )?;
            let objects = objects.query_map([id.0], row)?;
            original.map(Ok).into_iter().chain(objects).collect::<rusqlite::Result<Vec<_>>>()
        })?;
        kept.into_iter().map(|kept| kept.check(self.disk())).collect()
    }
}

impl Kept {
    fn check(self, disk: &dyn Disk) -> Result<CheckedFile, StoreError> {
        let integrity = match self.digest_now(disk) {
            _ if self.is_removed => Integrity::Removed,
            Ok(Some(digest)) if digest.to_be_bytes() == *self.digest => Integrity::Intact,
            Ok(_) => Integrity::Damaged,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Integrity::Missing,
            Err(error) => return Err(StoreError::file("read", &self.file.path, error)),
        };
        Ok(CheckedFile { role: self.role, file: self.file, integrity })
    }

    /// The digest of what is there; `None` when that is too short.
    fn digest_now(&self, disk: &dyn Disk) -> io::Result<Option<u128>> {
        let file = self.file.open()?;
        let mut digest = XxHash3_128::new();
        let mut buffer = vec![0; 256 << 10];
        let (mut at, mut left) =
            (self.file.offset.saturating_add(self.from), self.file.length.saturating_sub(self.from));
        while left > 0 {
            let count = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            let piece = buffer.get_mut(..count).unwrap_or_default();
            match read_exact_at(disk, &file, piece, at) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                read => read?,
            }
            digest.write(piece);
            at = at.saturating_add(count as u64);
            left = left.saturating_sub(count as u64);
        }
        Ok(Some(digest.finish_128()))
    }
}
