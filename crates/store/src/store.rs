use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use dokuei_types::{InstanceId, Uid};

use crate::arrive::{self, Committed, Decider, Indexed};
use crate::backlog::Backlog;
use crate::change::{Applied, Applying, Changes};
use crate::commitment::{self, CommitmentEnd, Holding, NewCommitment, OpenCommitment};
use crate::config::{Clock, Durability, StoreConfig};
use crate::confirmation::{self, Inquiry, Unconfirmed};
use crate::disk::{Disk, Gauge};
use crate::error::StoreError;
use crate::folder::{Folders, make_dir};
use crate::incoming::{self, Arrival, Incoming};
use crate::job::{self, JobKind, Lease};
use crate::lock::Lock;
use crate::log::{self, Leisure, Log, Pool, Writers};
use crate::model::CommitmentId;
use crate::number::unsigned;
use crate::object::{self, NewObject, Staged};
use crate::outbox::{self, DeliveryLease, Due};
use crate::prior::{PatientKey, Patients};
use crate::read::{StoreReader, StoredInstance};
use crate::replay::{self, Replayed};
use crate::schema::Knowledge;
use crate::timers::Timers;
use crate::totals::Totals;
use crate::unfinished::{self, Unfinished};
use crate::unit::millis;
use crate::writer::{Shared, Writer};
use crate::{journal, recovery, retention, schema};

/// Smallest segment: it takes the largest group of records, and some.
const SEGMENT_MIN: u64 = 4 << 20;

/// A data folder and the right to change it. Cheap to clone; the folder is given up when the last
/// clone is dropped.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: StoreConfig,
    pub(crate) incoming: PathBuf,
    pub(crate) objects: Folders,
    results: Folders,
    pub(crate) gauge: Gauge,
    pub(crate) pool: Arc<Pool>,
    pub(crate) log: Arc<Log>,
    pub(crate) backlog: Arc<Backlog>,
    shared: Arc<Shared>,
    // Dropped in this order: what is on its way finishes before the lock is given up.
    /// Present when records are synced.
    pub(crate) log_writers: Option<Writers>,
    pub(crate) writer: Arc<Writer>,
    reader: StoreReader,
    patients: Patients,
    /// Hints are recorded one after the other.
    hinting: Mutex<()>,
    _lock: Lock,
}

impl Store {
    /// Opens a data folder, making it when absent, and resumes whatever a crash has cut short.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another node has it, [`StoreError::NewerLayout`] when a newer program
    /// wrote it, else what the disk or the index says.
    pub fn open(config: StoreConfig) -> Result<Self, StoreError> {
        let data_dir = config.data_dir.clone();
        make_dir(&data_dir, config.durability)?;
        let lock = Lock::take(&data_dir)?;
        let incoming = data_dir.join("incoming");
        make_dir(&incoming, config.durability)?;
        let mut conn = schema::open_owned(&data_dir, config.durability)?;
        journal::keep(&conn, config.journal).map_err(StoreError::index("keep the journal"))?;
        let mut timers = Timers::open(&conn)?;
        timers.note(&mut conn, config.clock.now_ms())?;
        let folders = |name| Folders::open(&data_dir, name, config.durability, Arc::clone(&config.disk));
        let (objects, results) = (folders("objects")?, folders("results")?);

        let segments = data_dir.join(log::FOLDER);
        make_dir(&segments, config.durability)?;
        let (told, damaged) = recovery::replay_log(&mut conn, &config)?;
        if told > 0 {
            tracing::info!(told, "told the index what only the log knew");
        }
        recovery::clear_leases(&mut conn, config.clock.now_ms(), config.interruptions_max)?;
        let leaving = retention::finish(&mut conn, &data_dir, config.disk.as_ref())?;
        if leaving > 0 {
            tracing::info!(leaving, "removed what the last run had begun to remove");
        }
        let begun = incoming::clear(&incoming)?;
        let knowledge = if damaged > 0 { Knowledge::Partial } else { schema::knowledge(&conn)? };
        let unnamed = recovery::clear_orphans(&conn, &data_dir, (&objects, &results), knowledge)?;
        schema::set_knowledge(&conn, Knowledge::Whole)?;
        if begun > 0 || unnamed > 0 {
            tracing::info!(begun, unnamed, "removed files that were never acknowledged");
        }

        let threads = match config.durability {
            Durability::Fsync => log::THREADS,
            // Whoever receives writes.
            Durability::Os => std::thread::available_parallelism().map_or(1, usize::from),
        };
        let segment_bytes = config.segment_bytes.max(SEGMENT_MIN);
        let last = recovery::last_settled(&conn)?;
        let spares = usize::try_from(config.preallocate_bytes / segment_bytes).unwrap_or(usize::MAX);
        let log = Log::new(segments, last, segment_bytes, config.durability, threads, Arc::clone(&config.disk))?;
        let log = Arc::new(log.with_spares(spares));
        let backlog = Arc::new(Backlog::default());
        let (clock, disk) = (Arc::clone(&config.clock), Arc::clone(&config.disk));
        let shared = Shared::new(clock, disk, Arc::clone(&log), Arc::clone(&backlog));
        let shared = Arc::new(shared);
        let open = job::open_count(&conn).map_err(StoreError::index("count the jobs"))?;
        shared.queue.store(open, Ordering::Relaxed);
        let gauge = Gauge::new(&config, &data_dir, Arc::clone(&log));
        let reader = StoreReader::open_on(Arc::clone(&config.disk), &data_dir)?;
        let writer = Arc::new(Writer::start(conn, Arc::clone(&shared), timers)?);
        let log_writers = match config.durability {
            Durability::Fsync => {
                let leisure = Quiet { config: config.clone(), backlog: Arc::clone(&backlog) };
                Some(Writers::start(Arc::clone(&log), Arc::clone(&backlog), leisure)?)
            }
            Durability::Os => None,
        };
        let inner = Inner {
            config,
            incoming,
            objects,
            results,
            gauge,
            pool: Arc::default(),
            log,
            backlog,
            shared,
            log_writers,
            writer,
            reader,
            patients: Patients::of(&data_dir),
            hinting: Mutex::default(),
            _lock: lock,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Opens a data folder beside the node that owns it, to read and to replay.
    ///
    /// # Errors
    /// [`StoreError::Absent`] when there is none.
    pub fn attach(data_dir: &Path) -> Result<StoreReader, StoreError> {
        StoreReader::open(data_dir)
    }

    /// Begins to receive an instance.
    ///
    /// # Errors
    /// [`StoreError::DiskLow`] below the watermark, [`StoreError::QueueFull`] when too much work waits,
    /// [`StoreError::File`] when the disk fails: all before any byte of the data set is read.
    pub fn receive(&self, arrival: Arrival) -> Result<Incoming, StoreError> {
        self.room_for(arrival.file_meta.len() as u64)?;
        Incoming::begin(Arc::clone(&self.inner), arrival)
    }

    /// Whether an instance would be taken now, asked before a peer is let in to send.
    ///
    /// # Errors
    /// As [`receive`](Self::receive): what it would refuse an instance for.
    pub fn room(&self) -> Result<(), StoreError> {
        self.room_for(0)
    }

    fn room_for(&self, bytes: u64) -> Result<(), StoreError> {
        let depth = self.queue_depth();
        let max = self.inner.config.queue_max;
        if depth >= max {
            return Err(StoreError::QueueFull { depth, max });
        }
        self.inner.gauge.take(bytes)
    }

    /// Jobs that wait or run, those of arrivals included that the index does not hold yet.
    #[must_use]
    pub fn queue_depth(&self) -> u64 {
        let jobs = unsigned(self.inner.shared.queue.load(Ordering::Relaxed));
        jobs.saturating_add(self.inner.backlog.len() as u64)
    }

    /// What has come about since the store was opened.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.inner.shared.totals.now()
    }

    /// What is still to be done, and what was given up.
    ///
    /// # Errors
    /// What the index says.
    pub fn unfinished(&self) -> Result<Unfinished, StoreError> {
        self.inner.reader.with("count what is unfinished", unfinished::unfinished)
    }

    /// Whether many instances arrive at the moment, so that what can wait should.
    #[must_use]
    pub fn is_burst(&self) -> bool {
        self.inner.backlog.is_burst()
    }

    /// What an arrival turned out to be, once the index has it.
    ///
    /// # Errors
    /// What the index says.
    pub fn indexed(&self, committed: Committed) -> Result<Indexed, StoreError> {
        // The writer works in order: all that was handed over before is done.
        self.inner.writer.call(move |tx| arrive::find(tx, &committed))
    }

    /// What reads the index without waiting for writers.
    #[must_use]
    pub fn reader(&self) -> &StoreReader {
        &self.inner.reader
    }

    /// A patient as the index knows one, by Patient ID and its issuer; neither can be told from it.
    ///
    /// # Errors
    /// [`StoreError::File`]: the secret of the data folder can be neither read nor made.
    pub fn patient(&self, patient_id: &str, issuer: &str) -> Result<PatientKey, StoreError> {
        self.inner.patients.key(patient_id, issuer)
    }

    /// The time, as the store sees it.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.inner.config.clock)
    }

    /// Calls `listener` after changes that may have made work due, also those of another process. It
    /// runs on the writer's thread and must only pass the news on.
    pub fn listen(&self, listener: impl Fn() + Send + Sync + 'static) {
        self.inner.shared.listen(Arc::new(listener));
    }

    /// Has `decide` decide on what arrives from now on, in place of a queued job.
    pub fn decide_with(&self, decide: impl Fn(&StoredInstance, &[u8]) -> Option<Changes> + Send + Sync + 'static) {
        let data_dir = self.inner.config.data_dir.clone();
        self.inner.shared.set_decider(Decider { decide: Box::new(decide), data_dir });
    }

    /// Leases up to `limit` due jobs of `kind`, oldest first. A lease ends with its owner and need not be durable.
    ///
    /// # Errors
    /// What the index says.
    pub fn lease(&self, kind: JobKind, limit: usize, lease_for: Duration) -> Result<Vec<Lease>, StoreError> {
        let max = self.inner.config.interruptions_max;
        self.inner.writer.call_fleeting(move |tx| job::lease(tx, kind, limit, millis(lease_for), max))
    }

    /// Bytes that may still be written to the disk of the data folder.
    ///
    /// # Errors
    /// [`StoreError::File`]: the file system does not say.
    pub fn free_bytes(&self) -> Result<u64, StoreError> {
        let data_dir = &self.inner.config.data_dir;
        let free = self.inner.config.disk.free_bytes(data_dir);
        free.map_err(|source| StoreError::file("ask for the free space of", data_dir, source))
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        self.inner.config.disk.as_ref()
    }

    pub(crate) fn writer(&self) -> &Writer {
        &self.inner.writer
    }

    /// The right to record a hint, in as many transactions as it takes.
    pub(crate) fn hint_turn(&self) -> MutexGuard<'_, ()> {
        self.inner.hinting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the next job of `kind` is due or its lease runs out, milliseconds since 1970.
    ///
    /// # Errors
    /// What the index says.
    pub fn next_job_at(&self, kind: JobKind) -> Result<Option<i64>, StoreError> {
        self.inner.reader.with("look for the next job", |conn| job::next_due(conn, kind))
    }

    /// Leases up to `limit` due deliveries to `destination`, oldest first, durable when this returns.
    ///
    /// # Errors
    /// What the index says.
    pub fn lease_deliveries(
        &self,
        destination: &str,
        limit: usize,
        lease_for: Duration,
    ) -> Result<Vec<DeliveryLease>, StoreError> {
        self.lease_due_deliveries(destination, Due::All, limit, lease_for)
    }

    /// As [`lease_deliveries`](Self::lease_deliveries), of `which` priority.
    ///
    /// # Errors
    /// What the index says.
    pub fn lease_due_deliveries(
        &self,
        destination: &str,
        which: Due,
        limit: usize,
        lease_for: Duration,
    ) -> Result<Vec<DeliveryLease>, StoreError> {
        let (destination, data_dir) = (destination.to_owned(), self.inner.config.data_dir.clone());
        self.inner.writer.call(move |tx| outbox::lease(tx, &data_dir, (&destination, which), limit, millis(lease_for)))
    }

    /// Records that `destination` is not sent to until then (milliseconds since 1970), but for what is urgent, or that it
    /// is again: for those who look why something waits.
    ///
    /// # Errors
    /// What the index says.
    pub fn close_destination(&self, destination: &str, until: Option<i64>) -> Result<(), StoreError> {
        let destination = destination.to_owned();
        self.inner.writer.call(move |tx| outbox::close(tx, &destination, until))
    }

    /// When the next delivery to `destination`, of `which` priority, is due or its lease runs out, milliseconds since 1970.
    ///
    /// # Errors
    /// What the index says.
    pub fn next_delivery_at(&self, destination: &str, which: Due) -> Result<Option<i64>, StoreError> {
        self.inner.reader.with("look for the next delivery", |conn| outbox::next_due(conn, destination, which))
    }

    /// Names of the destinations for which something waits, configured or not.
    ///
    /// # Errors
    /// What the index says.
    pub fn waiting_destinations(&self) -> Result<Vec<String>, StoreError> {
        self.inner.reader.with("list the destinations", outbox::destinations)
    }

    /// Makes dead letters of all that waits for a destination which is no more; how many.
    ///
    /// # Errors
    /// What the index says.
    pub fn strand(&self, destination: &str, reason: &str) -> Result<usize, StoreError> {
        let (destination, reason) = (destination.to_owned(), reason.to_owned());
        self.inner.writer.call(move |tx| outbox::strand(tx, &destination, &reason))
    }

    /// Begins a question to `destination` about what it has stored and is to confirm by now, at most `limit` objects,
    /// durable when this returns; `None` when there is nothing. Without an answer it is due again after `patience`.
    ///
    /// # Errors
    /// What the index says.
    pub fn inquire(&self, destination: &str, limit: usize, patience: Duration) -> Result<Option<Inquiry>, StoreError> {
        let destination = destination.to_owned();
        self.inner.writer.call(move |tx| confirmation::inquire(tx, &destination, limit, patience))
    }

    /// What a question is about that was not answered yet; nothing of one that nobody has asked.
    ///
    /// # Errors
    /// What the index says.
    pub fn inquiry(&self, transaction_uid: &Uid) -> Result<Vec<Unconfirmed>, StoreError> {
        self.inner.reader.with("read what is to be confirmed", |conn| confirmation::of(conn, transaction_uid))
    }

    /// When `destination` is to be asked next whether it keeps what it has stored, milliseconds since 1970.
    ///
    /// # Errors
    /// What the index says.
    pub fn next_inquiry_at(&self, destination: &str) -> Result<Option<i64>, StoreError> {
        self.inner.reader.with("look for what is to be confirmed", |conn| confirmation::next_due(conn, destination))
    }

    /// Takes what `destination` has stored for kept, without its confirmation; how many.
    ///
    /// # Errors
    /// What the index says.
    pub fn waive_confirmation(&self, destination: &str) -> Result<usize, StoreError> {
        let destination = destination.to_owned();
        self.inner.writer.call(move |tx| confirmation::waive(tx, &destination))
    }

    /// Keeps a peer's request for storage commitment, durable when this returns.
    ///
    /// # Errors
    /// What the index says.
    pub fn ask_commitment(&self, request: NewCommitment) -> Result<CommitmentId, StoreError> {
        self.inner.writer.call(move |tx| commitment::add(tx, &request))
    }

    /// A request whose peer is still to be told, with what the store holds of each instance it names; `None` when it
    /// was told or given up. All that was received before this call counts.
    ///
    /// # Errors
    /// What the index says.
    pub fn commitment(&self, id: CommitmentId) -> Result<Option<(OpenCommitment, Vec<Holding>)>, StoreError> {
        // The writer works in order: afterwards the index has heard of all that was acknowledged.
        self.inner.writer.call_fleeting(|_| Ok(()))?;
        let reader = &self.inner.reader;
        let found = reader.with("look for what is to be committed to", |conn| {
            let Some(open) = commitment::open(conn, id)? else { return Ok(None) };
            let places = commitment::places(conn, reader.data_dir(), &open.request.referenced)?;
            Ok(Some((open, places)))
        })?;
        Ok(found.map(|(open, places)| {
            let holdings = commitment::holdings(reader.disk(), &open.request.referenced, &places);
            (open, holdings)
        }))
    }

    /// Requests for storage commitment whose peers are to be told now, oldest first.
    ///
    /// # Errors
    /// What the index says.
    pub fn due_commitments(&self, limit: usize) -> Result<Vec<CommitmentId>, StoreError> {
        let now = self.inner.config.clock.now_ms();
        self.inner.reader.with("look for storage commitments", |conn| commitment::due(conn, now, limit))
    }

    /// When the first request for storage commitment that is due later than `after` is, both milliseconds since 1970.
    ///
    /// # Errors
    /// What the index says.
    pub fn next_commitment_at(&self, after: i64) -> Result<Option<i64>, StoreError> {
        self.inner.reader.with("look for storage commitments", |conn| commitment::next_due(conn, after))
    }

    /// Records what came of telling the peer of a request, durable when this returns; nothing when it was told or given
    /// up before.
    ///
    /// # Errors
    /// What the index says.
    pub fn end_commitment(&self, id: CommitmentId, end: CommitmentEnd) -> Result<(), StoreError> {
        self.inner.writer.call(move |tx| commitment::finish(tx, id, &end))
    }

    /// Forgets the entries of the journal up to number `up_to`, which are kept elsewhere now. The later ones that were
    /// read before are durable afterwards: no other entry gets their numbers.
    ///
    /// # Errors
    /// What the index says.
    pub fn forget_journal(&self, up_to: i64) -> Result<(), StoreError> {
        let forget = StoreError::index("forget entries of the journal");
        self.inner.writer.call(move |tx| journal::forget(tx.conn, up_to).map_err(forget))
    }

    /// Writes a result object durably, to be named by [`Changes::result`].
    ///
    /// # Errors
    /// What the disk says.
    pub fn stage(&self, object: &NewObject<'_>) -> Result<Staged, StoreError> {
        let inner = &self.inner;
        self.inner.gauge.take(object.bytes.len() as u64).or_else(|error| match error {
            // Results may use what is kept free: without them nothing ever leaves the disk.
            StoreError::DiskLow { .. } => Ok(()),
            other => Err(other),
        })?;
        let disk = inner.config.disk.as_ref();
        object::stage(&inner.results, &inner.incoming, inner.config.durability, disk, object)
    }

    /// Makes changes and waits until they are durable.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] when the lease they are made under is no longer held, else what the
    /// index says; nothing has changed then.
    pub fn apply(&self, changes: Changes) -> Result<Applied, StoreError> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.apply_then(changes, move |outcome| drop(answer.send(outcome)));
        answered.recv().unwrap_or(Err(StoreError::Closed))
    }

    /// Makes changes and calls `done` on the writer's thread, where it must be quick, once they are
    /// durable or certain not to be.
    pub fn apply_then(&self, changes: Changes, done: impl FnOnce(Result<Applied, StoreError>) + Send + 'static) {
        self.inner.writer.submit(Applying::new(changes, done));
    }

    /// Makes sets of changes that share one transaction but succeed or fail each for itself.
    pub fn apply_all(&self, sets: Vec<Changes>) -> Vec<Result<Applied, StoreError>> {
        let waiting: Vec<_> = sets
            .into_iter()
            .map(|changes| {
                let (answer, answered) = mpsc::sync_channel(1);
                self.apply_then(changes, move |outcome| drop(answer.send(outcome)));
                answered
            })
            .collect();
        waiting.into_iter().map(|answered| answered.recv().unwrap_or(Err(StoreError::Closed))).collect()
    }

    /// Has what waits for the models on an instance come to its turn now; whether some of it is under way, which may be
    /// put off yet and is not hastened.
    ///
    /// # Errors
    /// What the index says.
    pub fn hasten(&self, instance: InstanceId) -> Result<bool, StoreError> {
        self.inner.writer.call(move |tx| job::hasten(tx, instance))
    }

    /// Tries again what failed for `instances`; see [`StoreReader::replay`].
    ///
    /// # Errors
    /// What the index says.
    pub fn replay(&self, instances: &[InstanceId]) -> Result<Replayed, StoreError> {
        let instances = instances.to_vec();
        self.inner.writer.call(move |tx| replay::replay(tx, &instances))
    }

    /// Finishes what was handed over and stops the writer; later changes are refused. Also done when the
    /// last clone is dropped.
    pub fn close(&self) {
        if let Some(writers) = &self.inner.log_writers {
            writers.close();
        }
        self.inner.writer.close();
    }
}

/// When segments may be made ready.
struct Quiet {
    config: StoreConfig,
    backlog: Arc<Backlog>,
}

impl Leisure for Quiet {
    fn is_quiet(&self) -> bool {
        self.backlog.is_quiet()
    }

    fn has_room(&self, bytes: u64) -> bool {
        let StoreConfig { disk, data_dir, disk_free_min, .. } = &self.config;
        let needed = disk_free_min.saturating_mul(2).saturating_add(bytes);
        disk.free_bytes(data_dir).is_ok_and(|free| free >= needed)
    }
}
