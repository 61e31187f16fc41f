//! The write-ahead log of SQLite, <https://www.sqlite.org/fileformat2.html#walformat>: a header of 32 bytes, then frames
//! of 24 bytes and a page each, all with the salt of the header.

use std::path::Path;

use dokuei_testkit::Random;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// Where header and frames hold their salt.
const SALT: usize = 16;
const FRAME_SALT: usize = 8;
/// In the shared memory beside it: the salt, and how many frames are in the index file or on their way there,
/// <https://www.sqlite.org/walformat.html#the_wal_index_file_format>.
const SHARED_SALT: usize = 32;
const SHARED_BACKFILL: usize = 128;

/// How far it is written: salt and number of frames.
pub(super) fn position(data: &Path) -> Option<[u8; 12]> {
    let bytes = std::fs::read(data.join("index.sqlite-wal")).ok()?;
    let salt = bytes.get(SALT..SALT + 8)?;
    let frame = FRAME_HEADER + page(&bytes);
    let frames = bytes[HEADER..].chunks_exact(frame).take_while(|frame| &frame[FRAME_SALT..][..8] == salt).count();
    let mut position = [0; 12];
    position[..8].copy_from_slice(salt);
    position[8..].copy_from_slice(&(frames as u32).to_le_bytes());
    Some(position)
}

/// Loses sectors behind `synced`, the last position known to be durable.
pub(super) fn damage(
    data: &Path,
    synced: Option<[u8; 12]>,
    mut keeps: impl FnMut(&mut Random) -> bool,
    random: &mut Random,
) {
    let path = data.join("index.sqlite-wal");
    let (Ok(mut bytes), Ok(shared)) = (std::fs::read(&path), std::fs::read(data.join("index.sqlite-shm"))) else {
        return;
    };
    let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap()) as usize;
    let (Some(salt), Some(shared_salt)) = (bytes.get(SALT..SALT + 8), shared.get(SHARED_SALT..SHARED_SALT + 8)) else {
        return;
    };
    if salt != shared_salt {
        // Just begun anew: what is in the file is in the index already.
        return;
    }
    let synced = synced.filter(|synced| &synced[..8] == salt).map_or(0, |synced| number(&synced[8..]));
    let kept = synced.max(number(&shared[SHARED_BACKFILL..SHARED_BACKFILL + 4]));
    let begin = HEADER + kept * (FRAME_HEADER + page(&bytes));
    let mut at = begin;
    while at < bytes.len() {
        let end = (at / 512 * 512 + 512).min(bytes.len());
        if !keeps(random) {
            bytes[at..end].fill(0);
        }
        at = end;
    }
    std::fs::write(path, bytes).unwrap();
}

fn page(bytes: &[u8]) -> usize {
    u32::from_be_bytes(bytes[8..12].try_into().unwrap()) as usize
}
