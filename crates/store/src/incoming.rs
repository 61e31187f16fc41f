use std::fs::{self, File};
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dokuei_types::{AeTitle, Uid};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use twox_hash::XxHash3_128;
use uuid::Uuid;

use crate::arrive::{Committed, Description, Outcome, RecordId};
use crate::backlog::Backlog;
use crate::config::{Durability, VersionPolicy};
use crate::disk::{Step, write_all_at};
use crate::error::StoreError;
use crate::folder::{Placed, remove};
use crate::log::{Buffer, Growing, HEAD, Head, Log, Pending, Place, Record};
use crate::prior::Fetched;
use crate::queue::Queued;
use crate::set_aside::SetAside;
use crate::store::Inner;
use crate::waiting::{Told, Waiting};
use crate::writer::Writer;

/// Longest header that is at hand for the decision on an instance.
const HEADER_BYTES: usize = 8 << 10;
/// Bytes kept free in a buffer for what the index is told.
const DESCRIPTION_ROOM: usize = 4 << 10;
/// Bytes after which the disk is told to begin with what a file has got.
const WRITE_BACK_BYTES: u64 = 2 << 20;
/// Bytes between two looks at the watermark.
const CHECK_BYTES: u64 = 4 << 20;

/// What is known of an instance before its first byte.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    #[serde(skip)]
    pub file_meta: Vec<u8>,
}

/// What the index holds of an instance beyond its arrival.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct IndexEntry {
    /// Study Instance UID, when the data set has one.
    pub study: Option<Uid>,
    /// Series Instance UID, when the data set has one.
    pub series: Option<Uid>,
    /// Attributes for lists, as the node chooses them: an object.
    pub attributes: Box<RawValue>,
    /// What it was fetched for; `None` for what a sender has sent by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched: Option<Fetched>,
    /// Whether an archive has sent it on demand, since the bytes that came before were removed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_again: bool,
    /// Bytes of the data set up to its pixel data, when they are known: what [`Decide`](crate::Decide) gets to see.
    #[serde(skip)]
    pub header_bytes: Option<u64>,
}

/// An instance on its way in: gone again unless committed.
pub struct Incoming {
    store: Arc<Inner>,
    arrival: Arrival,
    body: Body,
    digest: XxHash3_128,
    size_bytes: u64,
    unchecked_bytes: u64,
}

/// Where the bytes are meanwhile.
enum Body {
    /// A record in the making: room for its head, file meta, data set.
    Memory(Buffer),
    /// A record that is being written already, where nobody waits for the disk, and what the data set begins with.
    Growing(Growing, Vec<u8>),
    /// A file of its own.
    File(Spilled),
}

impl Incoming {
    pub(crate) fn begin(store: Arc<Inner>, arrival: Arrival) -> Result<Self, StoreError> {
        let mut buffer = store.pool.small();
        buffer.push(&[0; HEAD]);
        let mut this = Self {
            store,
            arrival,
            body: Body::Memory(buffer),
            digest: XxHash3_128::new(),
            size_bytes: 0,
            unchecked_bytes: 0,
        };
        let file_meta = std::mem::take(&mut this.arrival.file_meta);
        this.put(&file_meta)?;
        this.arrival.file_meta = file_meta;
        Ok(this)
    }

    /// Appends bytes of the data set.
    ///
    /// # Errors
    /// [`StoreError::DiskLow`] or [`StoreError::DiskFull`] when there is no room, [`StoreError::File`]
    /// when the disk fails.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.digest.write(bytes);
        self.size_bytes = self.size_bytes.saturating_add(bytes.len() as u64);
        self.unchecked_bytes = self.unchecked_bytes.saturating_add(bytes.len() as u64);
        if self.unchecked_bytes >= CHECK_BYTES {
            self.store.gauge.take(std::mem::take(&mut self.unchecked_bytes))?;
        }
        self.put(bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        if let Body::Memory(buffer) = &mut self.body {
            let may_enlarge = self.store.config.durability == Durability::Fsync;
            if fits(buffer, bytes.len()) || may_enlarge && buffer.enlarge() && fits(buffer, bytes.len()) {
                buffer.push(bytes);
                return Ok(());
            }
            self.body = match self.store.config.durability {
                Durability::Fsync => {
                    let begun = buffer.bytes().get(HEAD..).unwrap_or_default();
                    Body::File(Spilled::begin(&self.store, begun)?)
                }
                Durability::Os => {
                    let file_meta_end = HEAD.saturating_add(self.arrival.file_meta.len());
                    let data_set = buffer.bytes().get(file_meta_end..).unwrap_or_default();
                    let beginning = first(data_set, HEADER_BYTES).to_vec();
                    let begun = std::mem::replace(buffer, self.store.pool.small());
                    Body::Growing(Growing::begin(&self.store.log, begun)?, beginning)
                }
            };
        }
        match &mut self.body {
            Body::File(spilled) => spilled.write(&self.store, bytes),
            Body::Growing(growing, beginning) => {
                beginning.extend_from_slice(first(bytes, HEADER_BYTES.saturating_sub(beginning.len())));
                growing.write(bytes)
            }
            Body::Memory(_) => Ok(()),
        }
    }

    /// Bytes of the data set so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size_bytes
    }

    /// Whether the next `count` bytes may have to wait for the disk.
    #[must_use]
    pub fn write_may_block(&self, count: usize) -> bool {
        match &self.body {
            Body::Memory(buffer) if fits(buffer, count) => false,
            Body::Memory(_) | Body::Growing(..) if self.store.config.durability == Durability::Os => {
                self.store.log.is_slow()
            }
            _ => true,
        }
    }

    /// Whether [`Incoming::commit`] may have to wait on the thread that calls it, for the disk or for the index.
    #[must_use]
    pub fn commit_may_block(&self) -> bool {
        match (&self.body, self.store.config.durability) {
            (Body::File(_), _) => true,
            (Body::Memory(_), Durability::Fsync) => false,
            (Body::Memory(_) | Body::Growing(..), _) => self.store.log.is_slow() || self.store.backlog.is_full(),
        }
    }

    /// Makes the instance durable, its first work with it.
    ///
    /// A file of its own is synced on the calling thread, so that many callers sync in parallel; the rest is shared with
    /// whoever else commits. `done` is called on a thread of the store, where it must be quick, or on this one.
    pub fn commit(self, entry: IndexEntry, done: impl FnOnce(Result<Committed, StoreError>) + Send + 'static) {
        match self.seal(entry) {
            Ok(sealed) => sealed.submit(done),
            Err(error) => done(Err(error)),
        }
    }

    fn seal(self, entry: IndexEntry) -> Result<Sealed, StoreError> {
        let Self { store, mut arrival, body, digest, size_bytes, .. } = self;
        let digest = digest.finish_128();
        let header_bytes = entry.header_bytes;
        let received_at = store.config.clock.now_ms();
        let file_meta = std::mem::take(&mut arrival.file_meta);
        let mut description = Description {
            arrival,
            versions: store.config.versions,
            entry,
            received_at,
            file_meta_bytes: file_meta.len() as u64,
            data_set_bytes: size_bytes,
            file: None,
        };
        let sop_instance = description.arrival.sop_instance.clone();
        let (rest, told, placed) = match body {
            Body::Memory(buffer) => {
                let text = description.text()?;
                let data_set = buffer.bytes().get(HEAD.saturating_add(file_meta.len())..).unwrap_or_default();
                let told = Told::new(&store, description, &text, digest, header(data_set, header_bytes));
                (Rest::All(Record::complete(buffer, file_meta.len(), digest, &text)), told, None)
            }
            Body::Growing(growing, data_set) => {
                let text = description.text()?;
                let told = Told::new(&store, description, &text, digest, header(&data_set, header_bytes));
                let head = Head::new(digest, &file_meta, size_bytes, &text);
                (Rest::Ends(growing, head, text), told, None)
            }
            Body::File(spilled) => {
                let placed = spilled.finish(&store)?;
                description.file = Some(placed.relative.clone());
                let text = description.text()?;
                let told = Told::new(&store, description, &text, digest, None);
                let mut buffer = store.pool.small();
                buffer.push(&[0; HEAD]);
                (Rest::All(Record::complete(buffer, 0, digest, &text)), told, Some(placed))
            }
        };
        Ok(Sealed { store, rest, sop_instance, told, placed })
    }
}

/// The header at the start of `data_set`, where it is at hand.
fn header(data_set: &[u8], header_bytes: Option<u64>) -> Option<&[u8]> {
    let count = usize::try_from(header_bytes?).ok()?;
    data_set.get(..count).filter(|header| header.len() <= HEADER_BYTES)
}

fn first(bytes: &[u8], count: usize) -> &[u8] {
    bytes.get(..count).unwrap_or(bytes)
}

/// Whether `count` more bytes leave room for what the index is told.
fn fits(buffer: &Buffer, count: usize) -> bool {
    buffer.room() >= count.saturating_add(DESCRIPTION_ROOM)
}

/// An instance of which the log does not have everything yet.
struct Sealed {
    store: Arc<Inner>,
    rest: Rest,
    sop_instance: Uid,
    told: Told,
    placed: Option<Placed>,
}

/// What is still to be written of a record.
enum Rest {
    All(Record),
    /// Head and description.
    Ends(Growing, Head, Vec<u8>),
}

impl Rest {
    /// Writes it on this thread.
    fn write(self, log: &Log) -> Result<Place, StoreError> {
        match self {
            Self::All(mut record) => log.append(&mut [&mut record]).map(|mut places| places.remove(0)),
            Self::Ends(growing, head, description) => growing.complete(&head, &description),
        }
    }
}

impl Sealed {
    fn submit(self, done: impl FnOnce(Result<Committed, StoreError>) + Send + 'static) {
        let Self { store, rest, sop_instance, told, placed } = self;
        let folder = placed.as_ref().map(|placed| Arc::clone(&placed.folder));
        // Nothing of the store itself: it is closed when its owner drops it, not when a thread gets round to it.
        let (writer, backlog) = (Arc::clone(&store.writer), Arc::clone(&store.backlog));
        let written = Written { sop_instance, told, placed, versions: store.config.versions, writer, backlog };
        match (&store.log_writers, rest) {
            (Some(writers), Rest::All(record)) => {
                let then = Box::new(move |place| written.end(place, done));
                writers.submit(Pending { record, folder, then });
            }
            (_, rest) => {
                store.backlog.wait();
                written.end(rest.write(&store.log), done);
            }
        }
    }
}

/// An instance whose record is durable, or will not be.
struct Written {
    sop_instance: Uid,
    told: Told,
    placed: Option<Placed>,
    versions: VersionPolicy,
    writer: Arc<Writer>,
    backlog: Arc<Backlog>,
}

impl Written {
    /// Tells the index and the sender.
    fn end(self, place: Result<Place, StoreError>, done: impl FnOnce(Result<Committed, StoreError>) + Send + 'static) {
        let Self { sop_instance, told, placed, versions, writer, backlog } = self;
        let place = match place {
            Ok(place) => place,
            Err(error) => {
                // The file goes before anyone hears that it went wrong.
                drop(placed);
                return done(Err(error));
            }
        };
        let committed = Committed { sop_instance, record: RecordId::of(&place) };
        match versions {
            VersionPolicy::Keep | VersionPolicy::Replace => {
                writer.submit(Queued::Arrival(Waiting::new(told, place, placed, &backlog, None)));
                done(Ok(committed));
            }
            // Whether it is refused only the index knows.
            VersionPolicy::Refuse => {
                let answer = move |outcome: Result<Outcome, StoreError>| {
                    done(outcome.and_then(|outcome| match outcome {
                        Outcome::Stored(_) => Ok(committed),
                        Outcome::Refused => {
                            Err(StoreError::OtherBytes { sop_instance: committed.sop_instance.to_string() })
                        }
                    }));
                };
                writer.submit(Queued::Arrival(Waiting::new(told, place, placed, &backlog, Some(Box::new(answer)))));
            }
        }
    }
}

/// A temporary file, removed again unless finished.
struct Spilled {
    path: PathBuf,
    file: File,
    set_aside: SetAside,
    /// Short pieces, gathered.
    gathered: Buffer,
    written_bytes: u64,
    /// Up to where the disk was told to begin.
    begun_bytes: u64,
}

impl Spilled {
    fn begin(store: &Inner, begun: &[u8]) -> Result<Self, StoreError> {
        let path = store.incoming.join(Uuid::new_v4().simple().to_string());
        let failed = |source| StoreError::file("make", &path, source);
        store.config.disk.before(Step::Create, &path).map_err(failed)?;
        let file = File::options().write(true).create_new(true).open(&path).map_err(failed)?;
        let gathered = store.pool.small();
        let mut this = Self { path, file, set_aside: SetAside::new(0), gathered, written_bytes: 0, begun_bytes: 0 };
        this.write(store, begun)?;
        Ok(this)
    }

    fn write(&mut self, store: &Inner, bytes: &[u8]) -> Result<(), StoreError> {
        if let Some((now, next)) = self.gathered.gather(self.written_bytes, bytes) {
            self.flush(store, now)?;
            self.gathered.push(next);
        }
        Ok(())
    }

    /// Writes what was gathered, and `bytes` behind it.
    fn flush(&mut self, store: &Inner, bytes: &[u8]) -> Result<(), StoreError> {
        let failed = |source| StoreError::file("write", &self.path, source);
        store.config.disk.before(Step::Write, &self.path).map_err(failed)?;
        let pieces = &mut [IoSlice::new(self.gathered.bytes()), IoSlice::new(bytes)];
        let length = pieces.iter().map(|piece| piece.len() as u64).sum();
        self.set_aside.reach(&self.file, self.written_bytes.saturating_add(length));
        write_all_at(&self.file, pieces, self.written_bytes).map_err(failed)?;
        self.gathered.clear();
        self.written_bytes = self.written_bytes.saturating_add(length);
        let fresh = self.written_bytes.saturating_sub(self.begun_bytes);
        if fresh >= WRITE_BACK_BYTES {
            begin_write_back(&self.file, self.begun_bytes, fresh);
            self.begun_bytes = self.written_bytes;
        }
        Ok(())
    }

    /// Writes what is left, syncs and renames.
    fn finish(mut self, store: &Inner) -> Result<Placed, StoreError> {
        self.flush(store, &[])?;
        let failed = |source| StoreError::file("sync", &self.path, source);
        store.config.disk.before(Step::SyncFile, &self.path).map_err(failed)?;
        self.set_aside.cut(&self.file, self.written_bytes).map_err(failed)?;
        self.file.sync_data().map_err(failed)?;
        let placed = store.objects.place(&self.path)?;
        self.path = PathBuf::new();
        Ok(placed)
    }
}

impl Drop for Spilled {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            remove(&self.path);
        }
    }
}

/// Has the disk begin to write while the rest arrives, so that the sync at the end finds little left. The advice
/// that the pages are not needed starts their write-back; pages not written yet stay.
#[cfg(target_os = "linux")]
fn begin_write_back(file: &File, from: u64, len: u64) {
    let advice = rustix::fs::Advice::DontNeed;
    if let Err(error) = rustix::fs::fadvise(file, from, std::num::NonZeroU64::new(len), advice) {
        tracing::trace!(%error, "no write-back ahead of the sync");
    }
}

#[cfg(not(target_os = "linux"))]
fn begin_write_back(_file: &File, _from: u64, _len: u64) {}

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
