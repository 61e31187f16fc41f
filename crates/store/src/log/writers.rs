use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::{Leisure, Log, Place, Record};
use crate::background::receive_first;
use crate::backlog::Backlog;
use crate::disk::Step;
use crate::error::StoreError;
use crate::folder::Folder;

/// Threads that write: while some wait for the disk, another takes what has arrived meanwhile.
pub(crate) const THREADS: usize = 3;
/// Bytes of records that one write takes at most: enough to be worth a flush, little enough to leave work to the other
/// threads.
const GROUP_BYTES: u64 = 2_500_000;
/// Records that one write takes at most.
const GROUP_RECORDS: usize = 256;

/// A record on its way to the disk.
pub(crate) struct Pending {
    pub(crate) record: Record,
    /// Where its file has just got its name, when it has one of its own.
    pub(crate) folder: Option<Arc<Folder>>,
    /// Called once the record is durable or certain not to be acknowledged.
    pub(crate) then: Box<dyn FnOnce(Result<Place, StoreError>) + Send>,
}

/// The threads that make records durable, many with one flush.
pub(crate) struct Writers {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    log: Arc<Log>,
    backlog: Arc<Backlog>,
    queue: Mutex<Queue>,
    arrived: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Pending>,
    closed: bool,
}

impl Writers {
    /// Starts them, and one that keeps spare segments, at `leisure`.
    pub(crate) fn start(
        log: Arc<Log>,
        backlog: Arc<Backlog>,
        leisure: impl Leisure + Send + 'static,
    ) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared { log, backlog, queue: Mutex::default(), arrived: Condvar::new() });
        let writers = Self { shared, threads: Mutex::default() };
        for number in 1..=THREADS {
            let shared = Arc::clone(&writers.shared);
            writers.spawn(format!("store-log-{number}"), move || shared.serve())?;
        }
        let log = Arc::clone(&writers.shared.log);
        writers.spawn("store-spares".into(), move || {
            receive_first();
            log.keep_spares(&leisure);
        })?;
        Ok(writers)
    }

    fn spawn(&self, name: String, work: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
        let failed = |source| StoreError::file("start a writer of", self.shared.log.root(), source);
        let thread = std::thread::Builder::new().name(name).spawn(work).map_err(failed)?;
        self.threads().push(thread);
        Ok(())
    }

    /// Hands a record over; its `then` is called in any case.
    pub(crate) fn submit(&self, pending: Pending) {
        let mut queue = self.shared.queue();
        if queue.closed {
            drop(queue);
            return (pending.then)(Err(StoreError::Closed));
        }
        queue.waiting.push_back(pending);
        drop(queue);
        self.shared.arrived.notify_one();
    }

    /// Finishes what was handed over and ends the threads.
    pub(crate) fn close(&self) {
        self.shared.queue().closed = true;
        self.shared.backlog.close();
        self.shared.log.close_spares();
        self.shared.arrived.notify_all();
        let threads = std::mem::take(&mut *self.threads());
        for thread in threads {
            if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
                tracing::error!("a writer of the log has panicked");
            }
        }
    }

    fn threads(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn serve(&self) {
        while let Some(group) = self.group() {
            self.backlog.wait();
            self.append(group);
            self.log.prepare();
        }
    }

    /// What waits, up to the limits of a group; `None` when there will be no more.
    fn group(&self) -> Option<Vec<Pending>> {
        let mut queue = self.queue();
        while queue.waiting.is_empty() {
            if queue.closed {
                return None;
            }
            queue = self.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let (mut group, mut bytes) = (Vec::new(), 0_u64);
        while let Some(next) = queue.waiting.front()
            && (group.is_empty() || bytes.saturating_add(next.record.len()) <= GROUP_BYTES)
            && group.len() < GROUP_RECORDS
        {
            bytes = bytes.saturating_add(next.record.len());
            group.extend(queue.waiting.pop_front());
        }
        if !queue.waiting.is_empty() {
            self.arrived.notify_one();
        }
        Some(group)
    }

    fn append(&self, mut group: Vec<Pending>) {
        let outcome = self.sync_folders(&group).and_then(|()| {
            let mut records: Vec<&mut Record> = group.iter_mut().map(|pending| &mut pending.record).collect();
            let places = self.log.append(&mut records)?;
            let failed = |source| StoreError::file("answer from", self.log.root(), source);
            self.log.disk().before(Step::Answer, self.log.root()).map_err(failed)?;
            Ok(places)
        });
        match outcome {
            Ok(places) => {
                for (pending, place) in group.into_iter().zip(places) {
                    let Pending { record, then, .. } = pending;
                    // Its memory is free for others before the sender hears that it may go on.
                    drop(record);
                    then(Ok(place));
                }
            }
            Err(error) => group.into_iter().for_each(|pending| (pending.then)(Err(error.clone()))),
        }
    }

    /// Syncs each folder once.
    fn sync_folders(&self, group: &[Pending]) -> Result<(), StoreError> {
        let mut synced: Vec<&Arc<Folder>> = Vec::new();
        for folder in group.iter().filter_map(|pending| pending.folder.as_ref()) {
            if !synced.iter().any(|known| Arc::ptr_eq(known, folder)) {
                folder.sync(self.log.disk())?;
                synced.push(folder);
            }
        }
        Ok(())
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
