use std::io::{self, IoSlice};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Log;
use super::buffer::{BLOCK, Memory};
use super::segment::Segment;
use crate::error::StoreError;

/// Bytes written before it is asked again whether to go on.
const PIECE: usize = 1 << 20;
/// How long it is not gone on with before that is asked again.
const PAUSE: Duration = Duration::from_millis(100);
/// The same after the disk has failed.
const LONG_PAUSE: Duration = Duration::from_secs(60);

/// Segments ready for a burst, made while nothing arrives, every block of them written.
///
/// A sync after a write to space that was only set aside makes durable that the space is written now, too: a transaction
/// of the file system's own, beside the data.
pub(super) struct Spares {
    max: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    made: Vec<Segment>,
    closed: bool,
}

impl Spares {
    pub(super) fn new(max: usize) -> Self {
        Self { max, state: Mutex::default(), changed: Condvar::new() }
    }

    /// One of them, when there is one.
    pub(super) fn take(&self) -> Option<Segment> {
        let spare = self.state().made.pop();
        if spare.is_some() {
            self.changed.notify_all();
        }
        spare
    }

    /// No more are made.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    /// Waits until one is missing; `false` when no more are to be made.
    fn is_missing(&self) -> bool {
        let enough = |state: &mut State| state.made.len() >= self.max && !state.closed;
        !self.changed.wait_while(self.state(), enough).unwrap_or_else(PoisonError::into_inner).closed
    }

    /// Waits a while, or until no more are to be made.
    fn pause(&self, length: Duration) {
        let goes_on = |state: &mut State| !state.closed;
        drop(self.changed.wait_timeout_while(self.state(), length, goes_on));
    }

    fn is_closed(&self) -> bool {
        self.state().closed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    /// Makes spare segments, and others for those that are taken, whenever `may_write` says that the disk is free for it;
    /// returns when the log is closed, with all that nobody took removed.
    pub(crate) fn keep_spares(&self, may_write: impl Fn() -> bool) {
        while self.spares.is_missing() {
            match self.make_spare(&may_write) {
                Ok(spare) => self.spares.state().made.extend(spare),
                Err(error) => {
                    tracing::debug!(%error, "no segment made ready");
                    self.spares.pause(LONG_PAUSE);
                }
            }
        }
        let left = std::mem::take(&mut self.spares.state().made);
        left.iter().for_each(|spare| crate::folder::remove(spare.path()));
    }

    /// Ends [`Log::keep_spares`].
    pub(crate) fn close_spares(&self) {
        self.spares.close();
    }

    /// A segment with zeros in every block; `None` when the log is closed meanwhile.
    fn make_spare(&self, may_write: impl Fn() -> bool) -> Result<Option<Segment>, StoreError> {
        let goes_on = || {
            while !self.spares.is_closed() {
                if may_write() {
                    return true;
                }
                self.spares.pause(PAUSE);
            }
            false
        };
        if !goes_on() {
            return Ok(None);
        }
        let spare = self.create()?;
        let filled = spare.fill(self.segment_bytes, goes_on);
        if !matches!(filled, Ok(true)) {
            crate::folder::remove(spare.path());
        }
        match filled {
            Ok(filled) => Ok(filled.then_some(spare)),
            Err(source) => Err(StoreError::file("make ready", spare.path(), source)),
        }
    }
}

impl Segment {
    /// Writes zeros from behind the first block up to `size`, for as long as it `goes_on`; whether to the end, which is
    /// durable then.
    fn fill(&self, size: u64, goes_on: impl Fn() -> bool) -> io::Result<bool> {
        let zeros = Memory::new(PIECE);
        let mut offset = BLOCK as u64;
        while offset < size {
            if !goes_on() {
                return Ok(false);
            }
            let length = size.saturating_sub(offset).min(PIECE as u64);
            let piece = zeros.get(usize::try_from(length).unwrap_or(PIECE));
            self.write(&mut [IoSlice::new(piece)], offset)?;
            offset = offset.saturating_add(length);
        }
        self.sync().map(|()| true)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::config::Durability;
    use crate::disk::RealDisk;

    const SIZE: u64 = 3 << 20;

    fn log(root: &Path) -> Log {
        let (disk, spares) = (Arc::new(RealDisk), 2);
        Log::new(root.to_owned(), 0, SIZE, Durability::Fsync, 1, disk).unwrap().with_spares(spares)
    }

    fn files(root: &Path) -> usize {
        fs::read_dir(root).unwrap().count()
    }

    #[test]
    fn spares_are_made_again_and_go_with_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let log = log(folder.path());
        let taken = std::thread::scope(|scope| {
            scope.spawn(|| log.keep_spares(|| true));
            let mut taken = Vec::new();
            while taken.len() < 3 {
                taken.extend(log.spares.take());
            }
            log.close_spares();
            taken
        });
        assert_eq!(files(folder.path()), 3, "what nobody took is gone");
        for spare in taken {
            let bytes = fs::read(spare.path()).unwrap();
            assert_eq!(bytes.len() as u64, SIZE);
            assert!(bytes[..8].starts_with(b"DKI") && bytes[BLOCK..].iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn nothing_is_written_while_something_arrives() {
        let folder = tempfile::tempdir().unwrap();
        let log = log(folder.path());
        let asked = AtomicUsize::new(0);
        // Something arrives behind the second piece of the first.
        let may_write = || {
            let asked = asked.fetch_add(1, Ordering::SeqCst);
            if asked == 4 {
                log.close_spares();
            }
            asked < 3
        };
        log.keep_spares(may_write);
        assert_eq!((asked.load(Ordering::SeqCst), files(folder.path())), (5, 0));
    }
}
