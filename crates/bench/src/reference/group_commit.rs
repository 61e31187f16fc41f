use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::fs::{FallocateFlags, fallocate};

/// A file that every association appends to, with one thread that syncs it for all that wait.
#[derive(Debug)]
pub(super) struct Segment {
    file: File,
    end: AtomicU64,
    tickets: Mutex<Tickets>,
    asked: Condvar,
    answered: Condvar,
}

#[derive(Debug, Default)]
struct Tickets {
    asked: u64,
    durable: u64,
    broken: bool,
}

impl Segment {
    /// Reserves `reserved_bytes`, so that no sync has to write a new length, and starts the thread that syncs.
    pub(super) fn create(path: &Path, reserved_bytes: u64) -> io::Result<Arc<Self>> {
        let file = File::create(path)?;
        fallocate(&file, FallocateFlags::empty(), 0, reserved_bytes.max(1))?;
        let segment = Arc::new(Self {
            file,
            end: AtomicU64::new(0),
            tickets: Mutex::default(),
            asked: Condvar::new(),
            answered: Condvar::new(),
        });
        let committer = Arc::clone(&segment);
        thread::Builder::new().spawn(move || committer.sync_for_all())?;
        Ok(segment)
    }

    pub(super) fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let at = self.end.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.file.write_all_at(bytes, at)
    }

    /// Waits until everything this thread has appended is on stable storage.
    pub(super) fn commit(&self) -> io::Result<()> {
        let mut tickets = self.tickets();
        tickets.asked += 1;
        let mine = tickets.asked;
        self.asked.notify_one();
        while tickets.durable < mine && !tickets.broken {
            tickets = self.answered.wait(tickets).unwrap_or_else(PoisonError::into_inner);
        }
        if tickets.broken { Err(io::Error::other("the segment cannot be synced")) } else { Ok(()) }
    }

    fn sync_for_all(&self) {
        loop {
            let mut tickets = self.tickets();
            while tickets.asked == tickets.durable {
                tickets = self.asked.wait(tickets).unwrap_or_else(PoisonError::into_inner);
            }
            // Who asks from here on may not have been written when the sync began.
            let asked = tickets.asked;
            drop(tickets);
            let synced = self.file.sync_data();
            let mut tickets = self.tickets();
            tickets.durable = asked;
            tickets.broken = synced.is_err();
            let broken = tickets.broken;
            drop(tickets);
            self.answered.notify_all();
            if broken {
                return;
            }
        }
    }

    fn tickets(&self) -> MutexGuard<'_, Tickets> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
