use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::config::{Clock, StoreConfig};
use crate::error::StoreError;
use crate::log::Log;

/// A point at which the store touches the disk, in the order of an instance's way to durability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// A temporary file is about to be made.
    Create,
    /// Bytes are about to be written to a temporary file.
    Write,
    /// A temporary file is about to be synced.
    SyncFile,
    /// A temporary file is about to be renamed to its final place.
    Rename,
    /// A folder is about to be synced.
    SyncFolder,
    /// Records are about to be written to the log.
    Append,
    /// The log is about to be synced.
    SyncLog,
    /// A transaction is about to become durable.
    Transaction,
    /// Records or a transaction are durable, and those who wait are about to hear of it.
    Answer,
}

/// The disk, as far as tests want to stand between it and the store.
pub trait Disk: Send + Sync {
    /// Bytes that an unprivileged user may still write in the file system of `path`.
    ///
    /// # Errors
    /// The operating system's.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;

    /// Called before every step; an error is taken as the step's own.
    ///
    /// # Errors
    /// Whatever the test wants to happen.
    fn before(&self, step: Step, path: &Path) -> io::Result<()>;

    /// Reads what `file` holds from `offset` on: as many bytes as the disk gives in one go, none where the file has ended.
    ///
    /// # Errors
    /// The operating system's; `Interrupted` where nothing was read and it is to be asked again.
    fn read_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        file.read_at(buffer, offset)
    }

    /// Called when `bytes` of a segment are durable, or with all bytes when whatever the index was told is.
    fn durable(&self, _path: &Path, _bytes: Range<u64>) {}
}

/// The disk as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn before(&self, _step: Step, _path: &Path) -> io::Result<()> {
        Ok(())
    }
}

/// Fills `buffer` with what `file` holds from `offset` on, however little the disk gives in one go.
///
/// # Errors
/// `UnexpectedEof` when the file ends before, or what the disk says.
pub(crate) fn read_exact_at(disk: &dyn Disk, file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match disk.read_at(file, buffer, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                buffer = buffer.get_mut(count..).unwrap_or_default();
                offset = offset.saturating_add(count as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes `pieces` one after the other, however little the disk takes in one go.
///
/// # Errors
/// `WriteZero` where it takes nothing, or what the disk says.
pub(crate) fn write_all_at(file: &File, mut pieces: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
    IoSlice::advance_slices(&mut pieces, 0);
    while !pieces.is_empty() {
        match rustix::io::pwritev(file, pieces, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                offset = offset.saturating_add(count as u64);
                IoSlice::advance_slices(&mut pieces, count);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// How much may still be written before the watermark, without asking the file system each time.
pub(crate) struct Gauge {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    data_dir: PathBuf,
    min_bytes: u64,
    log: Arc<Log>,
    free_bytes: AtomicU64,
    written_bytes: AtomicU64,
    asked_at: AtomicI64,
}

/// The answer of the file system is used for this long, in milliseconds.
const FRESH_MS: i64 = 1_000;
/// The answer of the file system is used for this many bytes written by us.
const FRESH_BYTES: u64 = 64 << 20;

impl Gauge {
    /// Of the disk of `data_dir`, on which `log` may have spare segments.
    pub(crate) fn new(config: &StoreConfig, data_dir: &Path, log: Arc<Log>) -> Self {
        Self {
            disk: Arc::clone(&config.disk),
            clock: Arc::clone(&config.clock),
            data_dir: data_dir.to_owned(),
            min_bytes: config.disk_free_min,
            log,
            free_bytes: AtomicU64::new(0),
            written_bytes: AtomicU64::new(0),
            asked_at: AtomicI64::new(i64::MIN),
        }
    }

    /// Counts `bytes` about to be written, refused when they would go below the watermark although no space is kept
    /// ready for a burst any more.
    pub(crate) fn take(&self, bytes: u64) -> Result<(), StoreError> {
        let written_bytes = self.written_bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let now = self.clock.now_ms();
        let age_ms = now.saturating_sub(self.asked_at.load(Ordering::Relaxed));
        let left = self.free_bytes.load(Ordering::Relaxed).saturating_sub(written_bytes);
        let near = left < self.min_bytes.saturating_add(FRESH_BYTES);
        if near || written_bytes > FRESH_BYTES || !(0..FRESH_MS).contains(&age_ms) {
            self.ask(bytes, now)?;
        }
        if self.is_low() && self.log.give_up_spares() {
            self.ask(bytes, now)?;
        }
        if self.is_low() {
            let free_bytes = self.free_bytes.load(Ordering::Relaxed);
            return Err(StoreError::DiskLow { free_bytes, min_bytes: self.min_bytes });
        }
        Ok(())
    }

    /// Asks the file system, whose answer may lack `bytes` yet.
    fn ask(&self, bytes: u64, now: i64) -> Result<(), StoreError> {
        let free_bytes = self
            .disk
            .free_bytes(&self.data_dir)
            .map_err(|source| StoreError::file("ask for the free space of", &self.data_dir, source))?;
        self.free_bytes.store(free_bytes, Ordering::Relaxed);
        self.written_bytes.store(bytes, Ordering::Relaxed);
        self.asked_at.store(now, Ordering::Relaxed);
        Ok(())
    }

    fn is_low(&self) -> bool {
        let written_bytes = self.written_bytes.load(Ordering::Relaxed);
        self.free_bytes.load(Ordering::Relaxed).saturating_sub(written_bytes) < self.min_bytes
    }
}
