//! The log: every instance that arrives is a record in a segment, and is acknowledged once that record is
//! durable. The index is told afterwards, and again by recovery when a crash came between.
//!
//! Records of instances up to about a megabyte hold the Part 10 file itself; larger ones lie in files of their own,
//! synced before their record is written.

mod buffer;
mod record;
mod recover;
mod segment;
mod writers;

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use buffer::{Buffer, Pool};
pub(crate) use record::{Digest, HEAD, Record};
pub(crate) use recover::{Found, records};
pub(crate) use segment::{FOLDER, Place, Segment, numbers, relative};
pub(crate) use writers::{Pending, Writers};

use buffer::BLOCK;

use crate::config::Durability;
use crate::disk::{Disk, Step};
use crate::error::StoreError;

/// Where records get their places.
pub(crate) struct Log {
    root: PathBuf,
    segment_bytes: u64,
    durability: Durability,
    disk: Arc<dyn Disk>,
    end: Mutex<End>,
    /// Segments that nothing is appended to any more but that the index may not know whole.
    closed: Mutex<Vec<Arc<Segment>>>,
}

/// The end of the log.
struct End {
    segment: Option<Arc<Segment>>,
    /// Bytes of it with an owner.
    used: u64,
    /// Made ahead, so that nobody waits for it.
    next: Option<Segment>,
    /// Somebody is making it.
    preparing: bool,
    next_number: u64,
}

impl End {
    fn take_number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number = number.saturating_add(1);
        number
    }
}

impl Log {
    /// The log after the segments under `root`, which are left as they are. Makes no file yet.
    pub(crate) fn new(
        root: PathBuf,
        segment_bytes: u64,
        durability: Durability,
        disk: Arc<dyn Disk>,
    ) -> Result<Self, StoreError> {
        let next_number = numbers(&root)?.last().map_or(1, |last| last.saturating_add(1));
        let end = Mutex::new(End { segment: None, used: 0, next: None, preparing: false, next_number });
        Ok(Self { root, segment_bytes, durability, disk, end, closed: Mutex::default() })
    }

    /// Appends `records` side by side and, where that is asked for, makes them durable; their places.
    pub(crate) fn append(&self, records: &mut [&mut Record]) -> Result<Vec<Place>, StoreError> {
        let (segment, places) = self.reserve(records)?;
        let first = places.first().map_or(0, Place::offset);
        let written = self.write(&segment, records, first);
        if written.is_err() {
            // What a disk that failed has kept is anyone's guess: nothing more is put beside it.
            self.close(&segment);
        }
        written.map(|()| places)
    }

    fn write(&self, segment: &Segment, records: &mut [&mut Record], offset: u64) -> Result<(), StoreError> {
        let failed = |doing| move |source| StoreError::file(doing, segment.path(), source);
        let end = records.iter().map(|record| record.len()).fold(offset, u64::saturating_add);
        let mut pieces: Vec<_> = records.iter_mut().map(|record| IoSlice::new(record.seal(segment.salt()))).collect();
        self.disk.before(Step::Append, segment.path()).map_err(failed("append to"))?;
        segment.write(&mut pieces, offset).map_err(failed("append to"))?;
        if self.durability == Durability::Fsync {
            self.disk.before(Step::SyncLog, segment.path()).map_err(failed("sync"))?;
            segment.sync().map_err(failed("sync"))?;
            self.disk.durable(segment.path(), offset..end);
        }
        Ok(())
    }

    /// Places for records that lie side by side in one segment.
    fn reserve(&self, records: &[&mut Record]) -> Result<(Arc<Segment>, Vec<Place>), StoreError> {
        let total = records.iter().map(|record| record.len()).fold(0, u64::saturating_add);
        let mut end = self.end();
        let fits = end.used.saturating_add(total) <= self.segment_bytes;
        let segment = match &end.segment {
            Some(segment) if fits => Arc::clone(segment),
            _ => self.begin(&mut end)?,
        };
        let mut offset = end.used;
        end.used = end.used.saturating_add(total);
        let places = records
            .iter()
            .map(|record| {
                let place = Place::new(Arc::clone(&segment), offset);
                offset = offset.saturating_add(record.len());
                place
            })
            .collect();
        Ok((segment, places))
    }

    fn begin(&self, end: &mut End) -> Result<Arc<Segment>, StoreError> {
        let next = match end.next.take() {
            Some(next) => next,
            None => self.make(end.take_number())?,
        };
        let segment = Arc::new(next);
        if let Some(full) = end.segment.replace(Arc::clone(&segment)) {
            self.retire(full);
        }
        end.used = BLOCK as u64;
        Ok(segment)
    }

    fn make(&self, number: u64) -> Result<Segment, StoreError> {
        Segment::create(&self.root, number, self.segment_bytes, self.durability, self.disk.as_ref())
    }

    /// Makes the next segment when half of this one is used and nobody has made it yet.
    pub(crate) fn prepare(&self) {
        let mut end = self.end();
        if end.preparing || end.next.is_some() || end.segment.is_none() || end.used < self.segment_bytes / 2 {
            return;
        }
        end.preparing = true;
        let number = end.take_number();
        drop(end);
        let made = self.make(number);
        let mut end = self.end();
        end.preparing = false;
        match made {
            Ok(next) => end.next = Some(next),
            // Whoever needs it meets the same trouble and says so to a sender.
            Err(error) => tracing::debug!(%error, "no segment made ahead"),
        }
    }

    /// Appends nothing more to `segment`.
    fn close(&self, segment: &Arc<Segment>) {
        let mut end = self.end();
        if end.segment.as_ref().is_some_and(|current| Arc::ptr_eq(current, segment)) {
            end.segment = None;
            self.retire(Arc::clone(segment));
        }
    }

    fn retire(&self, segment: Arc<Segment>) {
        segment.close();
        self.closed.lock().unwrap_or_else(PoisonError::into_inner).push(segment);
    }

    /// Takes the numbers of the segments of which the index holds all.
    pub(crate) fn take_settled(&self) -> Vec<u64> {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        closed.extract_if(.., |segment| segment.is_settled()).map(|segment| segment.number()).collect()
    }

    fn end(&self) -> std::sync::MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn durability(&self) -> Durability {
        self.durability
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        self.disk.as_ref()
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }
}
