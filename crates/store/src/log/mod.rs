//! The log: every instance that arrives is a record in a segment, and is acknowledged once that record is
//! durable. The index is told afterwards, and again by recovery when a crash came between.
//!
//! Records of instances up to about a megabyte hold the Part 10 file itself; larger ones lie in files of their own,
//! synced before their record is written. Where nobody waits for the disk, records hold whatever size there is, and are
//! written while it arrives.

mod buffer;
mod growing;
mod record;
mod recover;
mod segment;
mod spares;
mod window;
mod writers;

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

pub(crate) use buffer::{Buffer, Pool};
pub(crate) use growing::Growing;
pub(crate) use record::{Digest, HEAD, Head, Record};
pub(crate) use recover::{FoundRecord, read, record_len, trim};
pub(crate) use segment::{FOLDER, Place, Segment, numbers, punch, relative};
pub(crate) use spares::Leisure;
pub(crate) use writers::{Pending, THREADS, Writers};

use buffer::BLOCK;
use spares::Spares;

use crate::config::Durability;
use crate::disk::{Disk, Step};
use crate::error::StoreError;
use crate::folder::remove;

/// Longer than a page cache with room to spare ever takes for a write.
const SLOW: Duration = Duration::from_millis(5);

/// Where records get their places: as many segments side by side as there are threads that write, since writes to one
/// file wait for each other.
pub(crate) struct Log {
    root: PathBuf,
    segment_bytes: u64,
    durability: Durability,
    disk: Arc<dyn Disk>,
    next_number: AtomicU64,
    lane: Mutex<Lane>,
    more_lanes: Vec<Mutex<Lane>>,
    /// Those that records grew in, as many as did at a time.
    idle_lanes: Mutex<Vec<Lane>>,
    spares: Spares,
    /// Whether the last write took a while.
    slow: AtomicBool,
    /// Segments that nothing is appended to any more but that the index may not know whole.
    closed: Mutex<Vec<Arc<Segment>>>,
}

/// One end of the log, held while it is written to.
#[derive(Default)]
struct Lane {
    segment: Option<Arc<Segment>>,
    /// Bytes of it that hold records.
    used: u64,
    /// Made ahead, so that nobody waits for it.
    next: Option<Arc<Segment>>,
}

impl Log {
    /// The log after the segments under `root`, which are left as they are, and after the number `last`, for `threads`
    /// that write at a time. Makes no file yet.
    pub(crate) fn new(
        root: PathBuf,
        last: u64,
        segment_bytes: u64,
        durability: Durability,
        threads: usize,
        disk: Arc<dyn Disk>,
    ) -> Result<Self, StoreError> {
        let next_number =
            AtomicU64::new(numbers(&root)?.last().map_or(last, |newest| last.max(*newest)).saturating_add(1));
        let more_lanes = (1..threads).map(|_| Mutex::default()).collect();
        let (lane, idle_lanes, closed) = (Mutex::default(), Mutex::default(), Mutex::default());
        let (spares, slow) = (Spares::new(0), AtomicBool::new(false));
        Ok(Self {
            root,
            segment_bytes,
            durability,
            disk,
            next_number,
            lane,
            more_lanes,
            idle_lanes,
            spares,
            slow,
            closed,
        })
    }

    /// With up to so many segments made ready by [`Log::keep_spares`].
    #[must_use]
    pub(crate) fn with_spares(self, max: usize) -> Self {
        Self { spares: Spares::new(max), ..self }
    }

    /// Appends `records` side by side and, where that is asked for, makes them durable; their places.
    pub(crate) fn append(&self, records: &mut [&mut Record]) -> Result<Vec<Place>, StoreError> {
        let mut lane = self.free_lane();
        let (segment, places) = self.reserve(&mut lane, records)?;
        let first = places.first().map_or(0, Place::offset);
        if let Err(error) = self.write(&segment, records, first) {
            lane.used = first;
            self.close_lane(&mut lane);
            places.into_iter().for_each(Place::give_up);
            return Err(error);
        }
        segment.is_whole_to(lane.used);
        Ok(places)
    }

    /// A lane that nobody writes to, or else the first that is given up.
    fn free_lane(&self) -> MutexGuard<'_, Lane> {
        let free = std::iter::once(&self.lane).chain(&self.more_lanes).find_map(|lane| match lane.try_lock() {
            Ok(lane) => Some(lane),
            Err(TryLockError::Poisoned(lane)) => Some(lane.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        });
        free.unwrap_or_else(|| self.lane.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A lane for one record.
    fn lease(&self) -> Lane {
        self.idle_lanes.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn give_back(&self, lane: Lane) {
        self.idle_lanes.lock().unwrap_or_else(PoisonError::into_inner).push(lane);
    }

    /// What a disk that failed has kept behind `lane.used` is anyone's guess: nothing more is put there, and its space is
    /// given back, or a disk that fails for a while would be full of it.
    fn close_lane(&self, lane: &mut Lane) {
        let Some(segment) = lane.segment.take() else { return };
        if lane.used <= BLOCK as u64 {
            remove(segment.path());
        } else {
            segment.shorten(lane.used);
            self.retire(segment);
        }
    }

    fn write(&self, segment: &Segment, records: &mut [&mut Record], offset: u64) -> Result<(), StoreError> {
        let end = records.iter().map(|record| record.len()).fold(offset, u64::saturating_add);
        let mut pieces: Vec<_> = records.iter_mut().map(|record| IoSlice::new(record.seal(segment.salt()))).collect();
        self.put(segment, &mut pieces, offset)?;
        if self.durability == Durability::Fsync {
            let failed = |source| StoreError::file("sync", segment.path(), source);
            self.disk.before(Step::SyncLog, segment.path()).map_err(failed)?;
            segment.sync().map_err(failed)?;
            self.disk.durable(segment.path(), offset..end);
        }
        Ok(())
    }

    /// Whether a write to the page cache may keep its thread waiting: when the last one has.
    pub(crate) fn is_slow(&self) -> bool {
        self.slow.load(Ordering::Relaxed)
    }

    fn put(&self, segment: &Segment, pieces: &mut [IoSlice<'_>], offset: u64) -> Result<(), StoreError> {
        let failed = |source| StoreError::file("append to", segment.path(), source);
        self.disk.before(Step::Append, segment.path()).map_err(failed)?;
        let began = Instant::now();
        let outcome = segment.write(pieces, offset).map_err(failed);
        self.slow.store(began.elapsed() > SLOW, Ordering::Relaxed);
        outcome
    }

    /// Places for records that lie side by side in one segment.
    fn reserve(&self, lane: &mut Lane, records: &[&mut Record]) -> Result<(Arc<Segment>, Vec<Place>), StoreError> {
        let total = records.iter().map(|record| record.len()).fold(0, u64::saturating_add);
        let segment = self.room_in(lane, total)?;
        let places = records
            .iter()
            .map(|record| {
                let place = Place::new(Arc::clone(&segment), lane.used, record.len());
                lane.used = lane.used.saturating_add(record.len());
                place
            })
            .collect();
        Ok((segment, places))
    }

    /// The segment of `lane` that `count` more bytes go to.
    fn room_in(&self, lane: &mut Lane, count: u64) -> Result<Arc<Segment>, StoreError> {
        let fits = lane.used.saturating_add(count) <= self.segment_bytes;
        match &lane.segment {
            Some(segment) if fits => Ok(Arc::clone(segment)),
            _ => self.begin(lane),
        }
    }

    fn begin(&self, lane: &mut Lane) -> Result<Arc<Segment>, StoreError> {
        let segment = match lane.next.take() {
            Some(next) => next,
            None => self.make()?,
        };
        if let Some(full) = lane.segment.replace(Arc::clone(&segment)) {
            if self.durability == Durability::Os {
                full.shorten(lane.used);
            }
            self.retire(full);
        }
        lane.used = BLOCK as u64;
        Ok(segment)
    }

    fn make(&self) -> Result<Arc<Segment>, StoreError> {
        self.spares.take().map_or_else(|| self.create(), Ok).map(Arc::new)
    }

    fn create(&self) -> Result<Segment, StoreError> {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        Segment::create(&self.root, number, self.segment_bytes, self.durability, Arc::clone(&self.disk))
    }

    /// Makes the next segment of a lane that nobody writes to and of which half is used.
    pub(crate) fn prepare(&self) {
        let mut lane = self.free_lane();
        if lane.next.is_some() || lane.segment.is_none() || lane.used < self.segment_bytes / 2 {
            return;
        }
        match self.make() {
            Ok(next) => lane.next = Some(next),
            // Whoever needs it meets the same trouble and says so to a sender.
            Err(error) => tracing::debug!(%error, "no segment made ahead"),
        }
    }

    fn retire(&self, segment: Arc<Segment>) {
        segment.close();
        self.closed.lock().unwrap_or_else(PoisonError::into_inner).push(segment);
    }

    /// Takes the numbers of the segments of which the index holds all, where that are so many.
    pub(crate) fn take_settled(&self, at_least: usize) -> Vec<u64> {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        if closed.iter().filter(|segment| segment.is_settled()).count() < at_least {
            return Vec::new();
        }
        closed.extract_if(.., |segment| segment.is_settled()).map(|segment| segment.number()).collect()
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
