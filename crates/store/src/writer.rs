use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

use crate::arrive::Decider;
use crate::background::receive_first;
use crate::backlog::Backlog;
use crate::config::{Clock, Durability};
use crate::disk::{Disk, Step};
use crate::error::StoreError;
use crate::folder::{Folder, remove};
use crate::group::{Effects, attempt_all};
use crate::log::Log;
use crate::queue::Queued;
use crate::timers::Timers;
use crate::totals::{self, Occurrence, Totals};
use crate::{job, recovery};

/// Requests that share one transaction at most.
const GROUP_MAX: usize = 2_048;
/// Requests after which the log is folded back into the index even under load.
const CHECKPOINT_AFTER: usize = 16_384;
/// Segments that are noted together as settled under load: what a start after a crash looks at is some of them at most.
const SETTLED_TOGETHER: usize = 16;
/// How long a burst may have the index wait: whoever receives needs the cores more, and a transaction costs little more
/// for many.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the writer looks for what another process changed, and tidies.
const IDLE: Duration = Duration::from_millis(500);

/// One transaction's view of the index, and what must happen once it is durable.
pub(crate) struct Tx<'a> {
    pub(crate) conn: &'a Connection,
    /// The time of the transaction.
    pub(crate) now: i64,
    /// Instances whose end must be worked out again.
    pub(crate) touched: BTreeSet<i64>,
    /// Change of the number of open jobs.
    pub(crate) queue: i64,
    /// What it adds to the totals.
    pub(crate) totals: Totals,
    /// Files that nothing names any more.
    pub(crate) unlink: Vec<PathBuf>,
    /// Work was added or changed its time.
    pub(crate) ring: bool,
    /// Who decides on what arrives.
    pub(crate) decider: Option<&'a Decider>,
    /// The number of the last instance, once it was looked up.
    pub(crate) last_instance: Option<i64>,
}

impl<'a> Tx<'a> {
    pub(crate) fn new(conn: &'a Connection, now: i64) -> Self {
        let (touched, totals, unlink) = (BTreeSet::new(), Totals::new(), Vec::new());
        Self { conn, now, touched, queue: 0, totals, unlink, ring: false, decider: None, last_instance: None }
    }

    pub(crate) fn count(&mut self, occurrence: Occurrence) {
        totals::add(&mut self.totals, occurrence, 1);
    }
}

/// Something that changes the index, in a group with others.
pub(crate) trait Request: Send {
    /// Folders that must be synced before the transaction.
    fn folders(&self) -> Vec<Arc<Folder>> {
        Vec::new()
    }

    /// Whether the log holds the change already: it need not be made durable a second time, and is tried again until
    /// it succeeds.
    fn is_in_log(&self) -> bool {
        false
    }

    /// Whether a power cut must not take it once it is answered.
    fn must_last(&self) -> bool {
        !self.is_in_log()
    }

    /// Whether someone waits for the index to have it.
    fn is_awaited(&self) -> bool {
        !self.is_in_log() || self.must_last()
    }

    /// Hears that it will be tried again.
    fn postponed(&mut self, _error: &StoreError) {}

    /// Makes the change; on an error nothing of it stays. What is in the log is run again after an error, alone.
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError>;

    /// Hears what came of it, once it is durable or certain not to be.
    fn finish(self: Box<Self>, outcome: Result<(), StoreError>);
}

/// What is called when there may be something new to do.
type Listener = Arc<dyn Fn() + Send + Sync>;

/// What the writer thread shares with the rest.
pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) disk: Arc<dyn Disk>,
    log: Arc<Log>,
    backlog: Arc<Backlog>,
    /// Open jobs.
    pub(crate) queue: AtomicI64,
    pub(crate) totals: totals::Running,
    listeners: Mutex<Vec<Listener>>,
    decider: Mutex<Option<Arc<Decider>>>,
}

impl Shared {
    pub(crate) fn new(clock: Arc<dyn Clock>, disk: Arc<dyn Disk>, log: Arc<Log>, backlog: Arc<Backlog>) -> Self {
        Self {
            clock,
            disk,
            log,
            backlog,
            queue: AtomicI64::new(0),
            totals: totals::Running::default(),
            listeners: Mutex::default(),
            decider: Mutex::default(),
        }
    }

    fn is_synced(&self) -> bool {
        self.log.durability() == Durability::Fsync
    }

    pub(crate) fn listen(&self, listener: Listener) {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).push(listener);
    }

    pub(crate) fn set_decider(&self, decider: Decider) {
        *self.decider.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(decider));
    }

    fn decider(&self) -> Option<Arc<Decider>> {
        self.decider.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn ring(&self) {
        let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for listener in listeners {
            listener();
        }
    }
}

/// The one thread that writes the index.
pub(crate) struct Writer {
    requests: Mutex<Option<Sender<Queued>>>,
    backlog: Arc<Backlog>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(crate) fn start(conn: Connection, shared: Arc<Shared>, timers: Timers) -> Result<Self, StoreError> {
        let (requests, queue) = mpsc::channel();
        let backlog = Arc::clone(&shared.backlog);
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || Loop::new(conn, shared, timers).serve(&queue))
            .map_err(|source| StoreError::file("start the writer of", "index".as_ref(), source))?;
        Ok(Self { requests: Mutex::new(Some(requests)), backlog, thread: Mutex::new(Some(thread)) })
    }

    /// Hands a request over; its `finish` is called in any case.
    pub(crate) fn submit(&self, request: impl Into<Queued>) {
        let request = request.into();
        if request.is_awaited() {
            self.backlog.ask();
        }
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let refused = match requests {
            Some(requests) => requests.send(request).err().map(|refused| refused.0),
            None => Some(request),
        };
        if let Some(request) = refused {
            request.finish(Err(StoreError::Closed));
        }
    }

    /// Runs `work` in the next transaction and waits until it is durable.
    pub(crate) fn call<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.ask(true, work)
    }

    /// As [`Writer::call`], for what nobody misses after a power cut.
    pub(crate) fn call_fleeting<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.ask(false, work)
    }

    fn ask<T, F>(&self, must_last: bool, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (answer, answered) = mpsc::sync_channel(1);
        self.submit(Call { must_last, work: Some(work), value: None, answer });
        answered.recv().unwrap_or(Err(StoreError::Closed))
    }

    /// Finishes what was handed over and ends the thread.
    pub(crate) fn close(&self) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the writer of the index has panicked");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

struct Call<T, F> {
    must_last: bool,
    work: Option<F>,
    value: Option<T>,
    answer: SyncSender<Result<T, StoreError>>,
}

impl<T, F> Request for Call<T, F>
where
    T: Send,
    F: FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send,
{
    fn must_last(&self) -> bool {
        self.must_last
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let work = self.work.take().ok_or(StoreError::Closed)?;
        self.value = Some(work(tx)?);
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { value, answer, .. } = *self;
        // A caller that no longer waits has nothing to hear.
        drop(answer.send(outcome.and_then(|()| value.ok_or(StoreError::Closed))));
    }
}

struct Loop {
    conn: Connection,
    shared: Arc<Shared>,
    timers: Timers,
    since_checkpoint: usize,
    data_version: i64,
    /// Whether transactions are synced at the moment.
    synced: bool,
    /// What is in the log and could not be put into the index yet.
    again: Vec<Queued>,
}

impl Loop {
    fn new(conn: Connection, shared: Arc<Shared>, timers: Timers) -> Self {
        let synced = shared.is_synced();
        Self { conn, shared, timers, since_checkpoint: 0, data_version: 0, synced, again: Vec::new() }
    }

    fn serve(mut self, queue: &Receiver<Queued>) {
        receive_first();
        loop {
            match queue.recv_timeout(IDLE) {
                Ok(first) => self.work_off(first, queue),
                Err(RecvTimeoutError::Timeout) => self.tidy(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.tidy();
        for request in self.again.drain(..) {
            request.finish(Err(StoreError::Closed));
        }
        self.checkpoint();
    }

    /// Once a burst is over or was let pass for long: commits `first` and what is queued by then, or all that is while
    /// someone waits for it; before them, each time, what is to be tried again.
    fn work_off(&mut self, first: Queued, queue: &Receiver<Queued>) {
        let backlog = Arc::clone(&self.shared.backlog);
        backlog.let_pass(PATIENCE);
        let (mut first, mut left) = (Some(first), backlog.len());
        loop {
            let mut group = std::mem::take(&mut self.again);
            let again = group.len();
            group.extend(first.take().into_iter().chain(queue.try_iter()).take(GROUP_MAX));
            if group.len() == again {
                self.again = group;
                return;
            }
            left = left.saturating_sub(group.len());
            self.commit(group);
            if left == 0 && !backlog.is_awaited() {
                return;
            }
        }
    }

    /// One transaction for all of `group`.
    fn commit(&mut self, group: Vec<Queued>) {
        let size = group.len();
        self.shared.backlog.answer(group.iter().filter(|request| request.is_awaited()).count());
        let (mut group, failed) = self.sync_folders(group);
        for (request, error) in failed {
            request.finish(Err(error));
        }
        let mut effects = Effects::default();
        let outcomes = match self.transaction(&mut group, &mut effects) {
            Ok(outcomes) => outcomes,
            Err(error) => {
                // It may have come through all the same.
                effects = Effects { ring: true, ..Effects::default() };
                self.count_jobs();
                group.iter().map(|_| Err(error.clone())).collect()
            }
        };
        for path in &effects.unlink {
            remove(path);
        }
        self.shared.queue.fetch_add(effects.queue, Ordering::Relaxed);
        self.shared.totals.add(effects.totals);
        let mut trouble = None;
        for (mut request, outcome) in group.into_iter().zip(outcomes) {
            match outcome {
                Err(error) if request.is_in_log() => {
                    request.postponed(&error);
                    self.again.push(request);
                    trouble = Some(error);
                }
                outcome => request.finish(outcome),
            }
        }
        if let Some(error) = trouble {
            let (instances, error) = (self.again.len(), &error as &dyn std::error::Error);
            tracing::warn!(instances, error, "instances wait for the index");
        }
        if effects.ring {
            self.shared.ring();
        }
        self.since_checkpoint = self.since_checkpoint.saturating_add(size);
        if self.since_checkpoint >= CHECKPOINT_AFTER {
            self.settle(1);
            self.hear_of_others();
            self.checkpoint();
        } else {
            self.settle(SETTLED_TOGETHER);
        }
    }

    /// Syncs each folder once; the requests of a folder that fails come back with its error.
    fn sync_folders(&self, group: Vec<Queued>) -> (Vec<Queued>, Vec<(Queued, StoreError)>) {
        if !self.shared.is_synced() {
            return (group, Vec::new());
        }
        let mut synced: Vec<(usize, Result<(), StoreError>)> = Vec::new();
        let (mut good, mut bad) = (Vec::with_capacity(group.len()), Vec::new());
        for request in group {
            let mut outcome = Ok(());
            for folder in request.folders() {
                let key = Arc::as_ptr(&folder) as usize;
                let known = synced.iter().find(|(known, _)| *known == key).map(|(_, known)| known.clone());
                let this = known.unwrap_or_else(|| {
                    let this = folder.sync(self.shared.disk.as_ref());
                    synced.push((key, this.clone()));
                    this
                });
                outcome = outcome.and(this);
            }
            match outcome {
                Ok(()) => good.push(request),
                Err(error) => bad.push((request, error)),
            }
        }
        (good, bad)
    }

    fn transaction(
        &mut self,
        group: &mut [Queued],
        effects: &mut Effects,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        if group.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.look_at_clock();
        let failed = StoreError::index;
        let synced = self.shared.is_synced() && group.iter().any(|request| request.must_last());
        self.sync_transactions(synced)?;
        let outer = self
            .conn
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed("begin a transaction"))?;
        let decider = self.shared.decider();
        let outcomes = attempt_all(|| Tx { decider: decider.as_deref(), ..Tx::new(&outer, now) }, group, effects)?;
        let index = PathBuf::from(crate::schema::FILE);
        self.shared
            .disk
            .before(Step::Transaction, &index)
            .map_err(|source| StoreError::file("commit to", &index, source))?;
        outer.commit().map_err(failed("commit"))?;
        if synced {
            self.shared.disk.durable(&index, 0..u64::MAX);
        }
        self.shared
            .disk
            .before(Step::Answer, &index)
            .map_err(|source| StoreError::file("answer from", &index, source))?;
        Ok(outcomes)
    }

    /// Counts the open jobs anew.
    fn count_jobs(&self) {
        match job::open_count(&self.conn) {
            Ok(open) => self.shared.queue.store(open, Ordering::Relaxed),
            Err(error) => tracing::warn!(%error, "cannot count the jobs"),
        }
    }

    /// Whether the transactions to come are synced. In WAL mode a later one that is takes the earlier ones along.
    fn sync_transactions(&mut self, synced: bool) -> Result<(), StoreError> {
        if self.synced != synced {
            let mode = if synced { "FULL" } else { "NORMAL" };
            self.conn.pragma_update(None, "synchronous", mode).map_err(StoreError::index("set the durability of"))?;
            self.synced = synced;
        }
        Ok(())
    }

    /// Notes the segments of which the index holds all, where that are so many, so that they are not read again at the
    /// next open.
    fn settle(&mut self, at_least: usize) {
        let numbers = self.shared.log.take_settled(at_least);
        if numbers.is_empty() {
            return;
        }
        let settled = self.sync_transactions(self.shared.is_synced()).and_then(|()| {
            let failed = StoreError::index;
            let tx = self.conn.transaction().map_err(failed("begin to settle segments"))?;
            for number in numbers {
                recovery::settle(&tx, number)?;
            }
            tx.commit().map_err(failed("settle segments"))
        });
        if let Err(error) = settled {
            tracing::warn!(error = &error as &dyn std::error::Error, "segments will be read again at the next start");
        }
    }

    /// What is done when nobody waits: hears of other processes' changes, folds the log back.
    fn tidy(&mut self) {
        if !self.again.is_empty() {
            let again = std::mem::take(&mut self.again);
            self.commit(again);
        }
        self.settle(1);
        self.look_at_clock();
        self.hear_of_others();
        if self.since_checkpoint > 0 {
            self.checkpoint();
        }
    }

    /// Looks for work that another process has made (`dokuei replay`).
    fn hear_of_others(&mut self) {
        // Differs when another connection, so another process, has committed since.
        match self.conn.query_row("PRAGMA data_version", [], |row| row.get(0)) {
            Ok(version) if version == self.data_version => {}
            Ok(version) => {
                self.data_version = version;
                self.count_jobs();
                self.shared.ring();
            }
            Err(error) => tracing::warn!(%error, "cannot ask whether the index has changed"),
        }
    }

    /// The time, once what waits was moved along with a clock that was set back.
    fn look_at_clock(&mut self) -> i64 {
        let now = self.shared.clock.now_ms();
        match self.timers.note(&mut self.conn, now) {
            Ok(true) => self.shared.ring(),
            Ok(false) => {}
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "cannot note the time"),
        }
        now
    }

    fn checkpoint(&mut self) {
        self.since_checkpoint = 0;
        let done = self.conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        if let Err(error) = done {
            tracing::warn!(%error, "cannot fold the log back into the index");
        }
    }
}
