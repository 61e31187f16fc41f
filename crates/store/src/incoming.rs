use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dokuei_types::{AeTitle, Uid};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::arrive::{Arriving, Committed};
use crate::config::Durability;
use crate::disk::Step;
use crate::error::StoreError;
use crate::folder::{Placed, remove};
use crate::store::Inner;

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 128 << 10;
/// Bytes between two looks at the watermark.
const CHECK_BYTES: u64 = 4 << 20;

/// What is known of an instance before its first byte.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// AE title of the sender.
    pub calling_ae: AeTitle,
    /// AE title it called.
    pub called_ae: AeTitle,
    /// Address of the sender, for people.
    pub peer_addr: String,
    /// Affected SOP Class UID.
    pub sop_class: Uid,
    /// Affected SOP Instance UID.
    pub sop_instance: Uid,
    /// Transfer Syntax UID of the data set.
    pub transfer_syntax: Uid,
    /// What the file begins with: preamble, `DICM` and file meta group.
    pub file_meta: Vec<u8>,
}

/// What the index holds of an instance beyond its arrival.
#[derive(Debug, Clone, Default)]
pub struct IndexEntry {
    /// Study Instance UID, when the data set has one.
    pub study: Option<Uid>,
    /// Series Instance UID, when the data set has one.
    pub series: Option<Uid>,
    /// Attributes for lists, as the node chooses them.
    pub attributes: serde_json::Value,
}

/// An instance on its way in: a temporary file, gone again unless committed.
pub struct Incoming {
    store: Arc<Inner>,
    arrival: Option<Arrival>,
    path: PathBuf,
    file: Option<File>,
    buffer: Vec<u8>,
    digest: Sha256,
    data_set_offset: u64,
    size_bytes: u64,
    unchecked_bytes: u64,
}

impl Incoming {
    pub(crate) fn begin(store: Arc<Inner>, arrival: Arrival) -> Result<Self, StoreError> {
        let path = store.incoming.join(Uuid::new_v4().simple().to_string());
        let failed = |source| StoreError::file("make", &path, source);
        store.config.disk.before(Step::Create, &path).map_err(failed)?;
        // Readable too: the header is parsed from it before it is committed.
        let file = File::options().read(true).write(true).create_new(true).open(&path).map_err(failed)?;
        let mut buffer = Vec::with_capacity(BUFFER_BYTES.max(arrival.file_meta.len()));
        buffer.extend_from_slice(&arrival.file_meta);
        let data_set_offset = arrival.file_meta.len() as u64;
        Ok(Self {
            store,
            arrival: Some(arrival),
            path,
            file: Some(file),
            buffer,
            digest: Sha256::new(),
            data_set_offset,
            size_bytes: 0,
            unchecked_bytes: 0,
        })
    }

    /// Appends bytes of the data set.
    ///
    /// # Errors
    /// [`StoreError::DiskLow`] or [`StoreError::DiskFull`] when there is no room, [`StoreError::File`]
    /// when the disk fails.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.digest.update(bytes);
        self.size_bytes = self.size_bytes.saturating_add(bytes.len() as u64);
        self.unchecked_bytes = self.unchecked_bytes.saturating_add(bytes.len() as u64);
        if self.unchecked_bytes >= CHECK_BYTES {
            self.store.gauge.take(std::mem::take(&mut self.unchecked_bytes))?;
        }
        if self.buffer.len().saturating_add(bytes.len()) > BUFFER_BYTES {
            self.flush()?;
        }
        if bytes.len() >= BUFFER_BYTES {
            return self.write_through(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Bytes of the data set so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size_bytes
    }

    /// Where the data set begins in the file.
    #[must_use]
    pub fn data_set_offset(&self) -> u64 {
        self.data_set_offset
    }

    /// The file as it is so far, for reading the header by position.
    ///
    /// # Errors
    /// As [`Incoming::write`].
    pub fn reopen(&mut self) -> Result<File, StoreError> {
        self.flush()?;
        let failed = |source| StoreError::file("reopen", &self.path, source);
        self.file.as_ref().ok_or(StoreError::Closed)?.try_clone().map_err(failed)
    }

    /// Makes the instance durable and queues its first work.
    ///
    /// Syncs the file on the calling thread, so that many callers sync in parallel; the rest is shared
    /// with whoever else commits. `done` is called on the writer's thread, where it must be quick, or
    /// on this one when the instance does not get that far.
    pub fn commit(mut self, entry: IndexEntry, done: impl FnOnce(Result<Committed, StoreError>) + Send + 'static) {
        let sealed = self.seal();
        let (placed, arrival) = match (sealed, self.arrival.take()) {
            (Ok(placed), Some(arrival)) => (placed, arrival),
            (sealed, _) => {
                // The file goes before anyone hears that it went wrong.
                drop(self);
                return done(Err(sealed.err().unwrap_or(StoreError::Closed)));
            }
        };
        let digest = std::mem::take(&mut self.digest).finalize().into();
        let arriving = Arriving::new(
            self.store.config.versions,
            arrival,
            entry,
            placed,
            digest,
            self.data_set_offset,
            self.size_bytes,
            done,
        );
        self.store.writer.submit(Box::new(arriving));
    }

    /// Writes what is left, syncs and renames.
    fn seal(&mut self) -> Result<Placed, StoreError> {
        self.flush()?;
        let file = self.file.take().ok_or(StoreError::Closed)?;
        if self.store.config.durability == Durability::Fsync {
            let failed = |source| StoreError::file("sync", &self.path, source);
            self.store.config.disk.before(Step::SyncFile, &self.path).map_err(failed)?;
            file.sync_data().map_err(failed)?;
        }
        drop(file);
        let placed = self.store.objects.place(&self.path)?;
        self.path = PathBuf::new();
        Ok(placed)
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let buffer = std::mem::take(&mut self.buffer);
        let outcome = if buffer.is_empty() { Ok(()) } else { self.write_through(&buffer) };
        self.buffer = buffer;
        self.buffer.clear();
        outcome
    }

    fn write_through(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let failed = |source| StoreError::file("write", &self.path, source);
        self.store.config.disk.before(Step::Write, &self.path).map_err(failed)?;
        self.file.as_mut().ok_or(StoreError::Closed)?.write_all(bytes).map_err(failed)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            remove(&self.path);
        }
    }
}

/// Removes what was arriving when the last owner stopped.
pub(crate) fn clear(incoming: &Path) -> Result<usize, StoreError> {
    let failed = |source| StoreError::file("clear", incoming, source);
    let mut count = 0_usize;
    for entry in fs::read_dir(incoming).map_err(failed)? {
        remove(&entry.map_err(failed)?.path());
        count = count.saturating_add(1);
    }
    Ok(count)
}
