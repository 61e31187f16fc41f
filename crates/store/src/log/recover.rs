use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::Path;

use twox_hash::XxHash3_128;

use super::buffer::BLOCK;
use super::record::{HEAD, Head, growing_head};
use super::segment::read_salt;
use crate::disk::{Disk, read_exact_at};
use crate::error::StoreError;

/// Bytes of a data set looked at in one go.
const PIECE: usize = 1 << 20;

/// A whole record found in a segment.
pub(crate) struct FoundRecord {
    pub(crate) offset: u64,
    pub(crate) head: Head,
    pub(crate) description: Vec<u8>,
}

/// What a segment holds.
pub(crate) struct Found {
    /// Its whole records that were not known, in their order.
    pub(crate) records: Vec<FoundRecord>,
    /// Where one begins that was never finished, with nothing behind it.
    pub(crate) unfinished: Option<u64>,
}

/// What a segment holds beside the records that begin at `known`, of which no more than the head is read; `None` when its
/// first block does not say that it is one.
///
/// A record of which anything is missing was never acknowledged and is passed over. Several may be written at once: one
/// that is not whole may lie before one that is, so every block may begin one.
pub(crate) fn read(disk: &dyn Disk, path: &Path, known: &HashSet<u64>) -> Result<Option<Found>, StoreError> {
    let failed = |source| StoreError::file("read", path, source);
    let file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let Some(salt) = read_salt(disk, &file).map_err(failed)? else { return Ok(None) };
    let (mut found, mut offset) = (Found { records: Vec::new(), unfinished: None }, BLOCK as u64);
    let growing = growing_head(&salt);
    let mut block = [0; HEAD];
    while offset.saturating_add(BLOCK as u64) <= size {
        read_exact_at(disk, &file, &mut block, offset).map_err(failed)?;
        if block == growing {
            found.unfinished = Some(offset);
            break;
        }
        let head = Head::read(&block, &salt);
        let head = head.filter(|head| offset.checked_add(head.record_len()).is_some_and(|end| end <= size));
        let mut len = BLOCK as u64;
        if let Some(head) = head {
            if known.contains(&offset) {
                len = head.record_len();
            } else if let Some(description) = whole(disk, &file, offset, &head).map_err(failed)? {
                len = head.record_len();
                found.records.push(FoundRecord { offset, head, description });
            }
        }
        offset = offset.saturating_add(len);
    }
    Ok(Some(found))
}

/// Gives back the space of a segment from `unfinished` on and behind the last block that anything was written to; whether
/// there is such a block.
///
/// Nothing else goes: what cannot be read now may be what someone was told is stored.
pub(crate) fn trim(disk: &dyn Disk, path: &Path, unfinished: Option<u64>) -> Result<bool, StoreError> {
    let failed = |source| StoreError::file("trim", path, source);
    let file = File::options().read(true).write(true).open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let mut end = unfinished.unwrap_or(size);
    let mut block = [0; BLOCK];
    while end > 0 {
        let begin = end.saturating_sub(1) / BLOCK as u64 * BLOCK as u64;
        let part = block.get_mut(..usize::try_from(end.saturating_sub(begin)).unwrap_or(BLOCK)).unwrap_or_default();
        read_exact_at(disk, &file, part, begin).map_err(failed)?;
        if part.iter().any(|byte| *byte != 0) {
            break;
        }
        end = begin;
    }
    file.set_len(end).map_err(failed)?;
    Ok(end > 0)
}

/// Bytes of the record at `offset` of a segment; `None` when there is none any more.
pub(crate) fn record_len(disk: &dyn Disk, file: &File, offset: u64) -> io::Result<Option<u64>> {
    let Some(salt) = read_salt(disk, file)? else { return Ok(None) };
    let mut head = [0; HEAD];
    match read_exact_at(disk, file, &mut head, offset) {
        Ok(()) => Ok(Head::read(&head, &salt).map(|head| head.record_len())),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// The description of a record whose bytes are all there.
fn whole(disk: &dyn Disk, file: &File, offset: u64, head: &Head) -> io::Result<Option<Vec<u8>>> {
    let read = |from: u64, len: u64| {
        let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
        read_exact_at(disk, file, &mut bytes, from).map(|()| bytes)
    };
    let file_meta_at = offset.saturating_add(HEAD as u64);
    let data_set_at = file_meta_at.saturating_add(head.file_meta_len);
    let description_at = data_set_at.saturating_add(head.data_set_len);
    let mut digest = XxHash3_128::new();
    let mut left = head.data_set_len;
    while left > 0 {
        let piece = left.min(PIECE as u64);
        digest.write(&read(description_at.saturating_sub(left), piece)?);
        left = left.saturating_sub(piece);
    }
    let file_meta = read(file_meta_at, head.file_meta_len)?;
    let description = read(description_at, head.description_len)?;
    // A record without a data set has its digest of a file elsewhere, which the caller looks for.
    let digest = if head.data_set_len == 0 { head.digest } else { digest.finish_128() };
    Ok(head.holds(&file_meta, digest, &description).then_some(description))
}
