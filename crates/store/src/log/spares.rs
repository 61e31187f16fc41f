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

    /// Removes all that are ready; how many that were.
    fn give_up(&self) -> usize {
        let made = std::mem::take(&mut self.state().made);
        made.iter().for_each(|spare| crate::folder::remove(spare.path()));
        self.changed.notify_all();
        made.len()
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

/// What spare segments depend on.
pub(crate) trait Leisure {
    /// Whether nothing arrives, so that the disk is free for them.
    fn is_quiet(&self) -> bool;

    /// Whether the disk has that much more than it will be asked for.
    fn has_room(&self, bytes: u64) -> bool;
}

impl Log {
    /// Makes spare segments, and others for those that are taken, at leisure; returns when the log is closed, with all that
    /// nobody took removed.
    pub(crate) fn keep_spares(&self, leisure: &impl Leisure) {
        while self.spares.is_missing() {
            match self.make_spare(leisure) {
                Ok(spare) => self.spares.state().made.extend(spare),
                Err(error) => {
                    tracing::debug!(%error, "no segment made ready");
                    self.spares.pause(LONG_PAUSE);
                }
            }
        }
        self.spares.give_up();
    }

    /// Gives the space of the spare segments back, for what arrives on a disk that is nearly full; whether there were any.
    pub(crate) fn give_up_spares(&self) -> bool {
        self.spares.give_up() > 0
    }

    /// Ends [`Log::keep_spares`].
    pub(crate) fn close_spares(&self) {
        self.spares.close();
    }

    /// A segment with zeros in every block; `None` when the log is closed meanwhile, or the disk gets too full for it.
    fn make_spare(&self, leisure: &impl Leisure) -> Result<Option<Segment>, StoreError> {
        let pause_while = |is_busy: &dyn Fn() -> bool| {
            while !self.spares.is_closed() && is_busy() {
                self.spares.pause(PAUSE);
            }
        };
        pause_while(&|| !leisure.is_quiet() || !leisure.has_room(self.segment_bytes));
        if self.spares.is_closed() {
            return Ok(None);
        }
        let spare = self.create()?;
        // Its space is set aside by now.
        let filled = spare.fill(self.segment_bytes, || {
            pause_while(&|| !leisure.is_quiet() && leisure.has_room(0));
            !self.spares.is_closed() && leisure.has_room(0)
        });
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

    /// Says what it is told to of the disk.
    struct Told<Q, R>(Q, R);

    impl<Q: Fn() -> bool, R: Fn(u64) -> bool> Leisure for Told<Q, R> {
        fn is_quiet(&self) -> bool {
            (self.0)()
        }

        fn has_room(&self, bytes: u64) -> bool {
            (self.1)(bytes)
        }
    }

    fn files(root: &Path) -> usize {
        fs::read_dir(root).unwrap().count()
    }

    #[test]
    fn spares_are_made_again_and_go_with_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let log = log(folder.path());
        let taken = std::thread::scope(|scope| {
            scope.spawn(|| log.keep_spares(&Told(|| true, |_| true)));
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
        let is_quiet = || {
            let asked = asked.fetch_add(1, Ordering::SeqCst);
            if asked == 4 {
                log.close_spares();
            }
            asked < 3
        };
        log.keep_spares(&Told(is_quiet, |_| true));
        assert_eq!((asked.load(Ordering::SeqCst), files(folder.path())), (5, 0));
    }

    #[test]
    fn a_spare_is_begun_where_there_is_room_for_all_of_it_and_given_up_where_there_is_none_left() {
        let folder = tempfile::tempdir().unwrap();
        let log = log(folder.path());
        let pieces = AtomicUsize::new(0);
        let has_room = |bytes| match bytes {
            0 => {
                assert_eq!(files(folder.path()), 1);
                pieces.fetch_add(1, Ordering::SeqCst) < 2
            }
            SIZE if pieces.load(Ordering::SeqCst) == 0 => true,
            SIZE => {
                assert_eq!(files(folder.path()), 0, "what was begun is gone");
                log.close_spares();
                false
            }
            other => panic!("room for {other}"),
        };
        log.keep_spares(&Told(|| true, has_room));
        assert_eq!(pieces.load(Ordering::SeqCst), 3);
    }
}
