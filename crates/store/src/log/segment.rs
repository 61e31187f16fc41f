use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use super::buffer::BLOCK;
use super::record::{Digest, HEAD, Head, Salt};
use super::window::Window;
use crate::config::Durability;
use crate::disk::{Disk, Step, read_exact_at, write_all_at};
use crate::error::StoreError;
use crate::set_aside::{SetAside, allocate};

/// Name of the folder of the segments inside the data folder.
pub(crate) const FOLDER: &str = "segments";
/// What every segment begins with, in a block of its own: this and its salt.
const MAGIC: [u8; 8] = *b"DKISEGM1";
/// Bytes that are read back at once.
const AHEAD_BYTES: u64 = 256 << 10;
/// Bytes of a large record that are read back first: its head, and mostly its file meta and header.
const BEGINNING_BYTES: u64 = 12 << 10;

/// A file that records are appended to, until it is full.
pub(crate) struct Segment {
    number: u64,
    path: PathBuf,
    disk: Arc<dyn Disk>,
    file: File,
    /// The same file past the page cache, where it is written so.
    unbuffered: Option<File>,
    salt: Salt,
    set_aside: SetAside,
    /// Records with a place in it that the index does not hold yet.
    unindexed: AtomicU64,
    /// Nothing will be appended any more.
    full: AtomicBool,
    /// Up to where whole records lie side by side; those that grow are not counted.
    whole: AtomicU64,
    /// What was read back last.
    window: Mutex<Window>,
}

impl Segment {
    /// Makes a segment whose name and space are durable, or with [`Durability::Os`] just a file.
    pub(crate) fn create(
        root: &Path,
        number: u64,
        size: u64,
        durability: Durability,
        disk: Arc<dyn Disk>,
    ) -> Result<Self, StoreError> {
        let path = root.join(name(number));
        let failed = |source| StoreError::file("make", &path, source);
        disk.before(Step::Create, &path).map_err(failed)?;
        let salt = *Uuid::new_v4().as_bytes();
        let mut first = vec![0; BLOCK];
        first[..8].copy_from_slice(&MAGIC);
        first[8..24].copy_from_slice(&salt);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).map_err(failed)?;
        let made = begin(&file, &first, size, durability).and_then(|()| match durability {
            Durability::Fsync => {
                File::open(root)?.sync_all()?;
                unbuffered(&path)
            }
            Durability::Os => Ok(None),
        });
        let unbuffered = made.map_err(failed).inspect_err(|_| crate::folder::remove(&path))?;
        Ok(Self {
            number,
            path,
            disk,
            file,
            unbuffered,
            salt,
            set_aside: SetAside::new(if durability == Durability::Fsync { size } else { 0 }),
            unindexed: AtomicU64::new(0),
            full: AtomicBool::new(false),
            whole: AtomicU64::new(0),
            window: Mutex::default(),
        })
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn salt(&self) -> &Salt {
        &self.salt
    }

    /// Writes `pieces` one after the other from `offset` on.
    pub(crate) fn write(&self, pieces: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        let end = pieces.iter().map(|piece| piece.len() as u64).fold(offset, u64::saturating_add);
        self.set_aside.reach(&self.file, end);
        write_all_at(self.handle(), pieces, offset)
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.handle().sync_data()
    }

    /// All before `end` is written.
    pub(crate) fn is_whole_to(&self, end: u64) {
        self.whole.store(end, Ordering::Release);
    }

    fn handle(&self) -> &File {
        self.unbuffered.as_ref().unwrap_or(&self.file)
    }

    /// `len` bytes from `from` on, which were written; up to `ahead` are read from the disk at once.
    fn read(&self, from: u64, len: u64, ahead: u64) -> io::Result<Vec<u8>> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if window.get(from, len).is_none() {
            let end = from.saturating_add(ahead).min(self.whole.load(Ordering::Acquire)).max(from.saturating_add(len));
            let disk = self.disk.as_ref();
            window.fill(from..end, |bytes, at| match read_exact_at(disk, self.handle(), bytes, at) {
                // The rest of what was read in part may not begin where a read past the page cache must.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => read_exact_at(disk, &self.file, bytes, at),
                outcome => outcome,
            })?;
        }
        window.get(from, len).map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Forgets what lies behind `len`, and gives back the space set aside there; whether that has succeeded.
    pub(crate) fn shorten(&self, len: u64) -> bool {
        let cut = self.set_aside.cut(&self.file, len);
        cut.inspect_err(|error| tracing::debug!(%error, "a segment is not shortened")).is_ok()
    }

    /// No record gets a place here any more.
    pub(crate) fn close(&self) {
        self.full.store(true, Ordering::SeqCst);
    }

    /// Whether the index holds all that will ever be in it.
    pub(crate) fn is_settled(&self) -> bool {
        self.full.load(Ordering::SeqCst) && self.unindexed.load(Ordering::SeqCst) == 0
    }
}

/// Gives back the space of a part of a segment, which then reads as zeros.
#[cfg(target_os = "linux")]
pub(crate) fn punch(file: &File, offset: u64, len: u64) -> io::Result<()> {
    use rustix::fs::FallocateFlags;
    let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    match rustix::fs::fallocate(file, hole, offset, len) {
        // A file system that cannot gives it back with the whole segment.
        Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn punch(_file: &File, _offset: u64, _len: u64) -> io::Result<()> {
    Ok(())
}

fn begin(file: &File, first: &[u8], size: u64, durability: Durability) -> io::Result<()> {
    file.write_all_at(first, 0)?;
    if durability == Durability::Fsync {
        // With its space set aside and its length final, a write changes little else than data.
        allocate(file, 0..size)?;
        file.set_len(size)?;
        file.sync_all()?;
    }
    Ok(())
}

/// The file opened past the page cache, where the file system can: a copy and its upkeep less for every byte.
#[cfg(target_os = "linux")]
fn unbuffered(path: &Path) -> io::Result<Option<File>> {
    use std::os::unix::fs::OpenOptionsExt;
    let direct = i32::try_from(rustix::fs::OFlags::DIRECT.bits()).unwrap_or_default();
    match OpenOptions::new().read(true).write(true).custom_flags(direct).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(not(target_os = "linux"))]
fn unbuffered(_path: &Path) -> io::Result<Option<File>> {
    Ok(None)
}

/// A record's place, from the moment it has one until the index holds it.
pub(crate) struct Place {
    segment: Arc<Segment>,
    offset: u64,
    len: u64,
}

/// What the index is told by a record.
pub(crate) struct ReadBack {
    /// Of the data set.
    pub(crate) digest: Digest,
    /// What the data set begins with.
    pub(crate) header: Vec<u8>,
    pub(crate) description: Vec<u8>,
}

impl Place {
    /// Of a record of `len` bytes.
    pub(crate) fn new(segment: Arc<Segment>, offset: u64, len: u64) -> Self {
        segment.unindexed.fetch_add(1, Ordering::SeqCst);
        Self { segment, offset, len }
    }

    pub(crate) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Where the record begins.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Gives the space of the record back, whose bytes are not kept.
    pub(crate) fn free(&self) {
        if let Err(error) = punch(&self.segment.file, self.offset, self.len) {
            tracing::debug!(%error, "the space of a duplicate is not given back");
        }
    }

    /// What the record holds, with the first `header_len` bytes of its data set.
    ///
    /// # Errors
    /// [`StoreError::File`]: what the disk says, or `InvalidData` where it gives other bytes than were written.
    pub(crate) fn read_back(&self, header_len: usize) -> Result<ReadBack, StoreError> {
        // Small records are read with those behind them, which are asked for next.
        let ahead = if self.len <= AHEAD_BYTES / 4 { AHEAD_BYTES } else { BEGINNING_BYTES };
        let read = |from: u64, len: u64| self.segment.read(self.offset.saturating_add(from), len, ahead);
        let all = || {
            let head = Head::read(&read(0, HEAD as u64)?, &self.segment.salt).ok_or(io::ErrorKind::InvalidData)?;
            let (file_meta_at, header_len) = (HEAD as u64, header_len as u64);
            // File meta, of which nothing more is needed once it is checked, and the header behind it.
            let mut header = read(file_meta_at, head.file_meta_len.saturating_add(header_len))?;
            let file_meta_len = usize::try_from(head.file_meta_len).unwrap_or(usize::MAX);
            let description = read(file_meta_at.saturating_add(head.file_len()), head.description_len)?;
            match header.get(..file_meta_len) {
                Some(file_meta) if head.holds(file_meta, head.digest, &description) => {}
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
            drop(header.drain(..file_meta_len));
            Ok(ReadBack { digest: head.digest, header, description })
        };
        all().map_err(|source| StoreError::file("read back from", &self.segment.path, source))
    }

    /// Nobody was told of the record, and nobody will be.
    pub(crate) fn give_up(self) {
        self.indexed();
    }

    /// The index holds the record, durably or not: a segment is settled only by a transaction that is. Dropped
    /// without this, the segment stays unsettled and is read again at the next open.
    pub(crate) fn indexed(self) {
        if self.segment.unindexed.fetch_sub(1, Ordering::SeqCst) == 1 {
            *self.segment.window.lock().unwrap_or_else(PoisonError::into_inner) = Window::default();
        }
    }
}

/// The segment's name inside the data folder, as the index holds it.
pub(crate) fn relative(number: u64) -> String {
    format!("{FOLDER}/{}", name(number))
}

fn name(number: u64) -> String {
    format!("{number:08}.log")
}

/// The numbers of the segments under `root`, ascending.
pub(crate) fn numbers(root: &Path) -> Result<Vec<u64>, StoreError> {
    let failed = |source| StoreError::file("list folder", root, source);
    let mut all = Vec::new();
    for entry in fs::read_dir(root).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        all.extend(name.to_str().and_then(|name| name.strip_suffix(".log")?.parse::<u64>().ok()));
    }
    all.sort_unstable();
    Ok(all)
}

/// The salt in the first block of a segment; `None` when it was not made to the end.
pub(crate) fn read_salt(disk: &dyn Disk, file: &File) -> io::Result<Option<Salt>> {
    let mut first = [0; 24];
    match read_exact_at(disk, file, &mut first, 0) {
        Ok(()) => Ok(first.strip_prefix(&MAGIC).and_then(|salt| salt.try_into().ok())),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}
