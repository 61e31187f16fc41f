use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use dokuei_results::CaptureStyle;
use dokuei_store::{DeliveryLease, ORIGINAL, REJECTION, Retention, Store, receive_first};
use dokuei_types::{AeTitle, NodeIdentity};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::sync::{Notify, watch};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bell::Bell;
use crate::config::PipelineConfig;
use crate::delivery::Destination;
use crate::error::PipelineError;
use crate::fetching::Fetches;
use crate::flow::Stages;
use crate::model::ReadyModel;
use crate::opening::Opening;
use crate::rules::Rules;
use crate::settling::Question;
use crate::stopwatch::Stopwatch;
use crate::{counting, fetching, keeper, outbox, retrieving, worker};

/// Whether the association from this address and port is still open.
pub(crate) type IsSending = dyn Fn(&str) -> bool + Send + Sync;

/// A place that objects are sent to, as routes name it.
#[derive(Clone)]
pub struct DestinationSetup {
    /// The name routes use.
    pub name: String,
    /// Roles of the result objects it wants: `sr`, `sc`.
    pub roles: Vec<String>,
    /// Its AE title: originals are not returned to the one that sent them.
    pub ae_title: Option<AeTitle>,
    /// What sends.
    pub destination: Arc<dyn Destination>,
    /// How long its confirmation that it keeps what it has stored is waited for before it is asked again; `None` where
    /// its success is enough.
    pub confirm_within: Option<Duration>,
    /// What happens with that which it does not take for long.
    pub failover: Option<FailoverSetup>,
    /// When it is sent to; what is urgent goes at any time.
    pub opening: Opening,
}

/// The destination that takes the place of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailoverSetup {
    /// Its name; it must have no failover itself.
    pub to: String,
    /// Its AE title.
    pub ae_title: Option<AeTitle>,
    /// For how long the other has to fail, for reasons that may pass.
    pub after: Duration,
}

impl FailoverSetup {
    /// Whether a delivery goes there: not an image that came from there, nor the note that withdraws a result, which is
    /// for those who have it.
    pub(crate) fn takes(&self, lease: &DeliveryLease) -> bool {
        let came_from_there = self.ae_title.as_ref().is_some_and(|title| title.as_str() == lease.sender);
        match lease.role.as_str() {
            ORIGINAL => !came_from_there,
            role => role != REJECTION,
        }
    }
}

/// All that a reload may change.
pub struct Setup {
    /// Which instances go where.
    pub rules: Rules,
    /// The models that routes name.
    pub models: Vec<Arc<ReadyModel>>,
    /// The destinations that routes name.
    pub destinations: Vec<DestinationSetup>,
    /// The destination that is asked for images whose bytes were removed, by name.
    pub archive: Option<String>,
    /// What result objects say of this node.
    pub node: NodeIdentity,
    /// How long what is done with is kept.
    pub retention: Retention,
    /// How the secondary capture looks.
    pub style: CaptureStyle,
}

impl Setup {
    pub(crate) fn destination(&self, name: &str) -> Option<&DestinationSetup> {
        self.destinations.iter().find(|destination| destination.name == name)
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let destinations: Vec<&str> = self.destinations.iter().map(|destination| destination.name.as_str()).collect();
        f.debug_struct("Setup")
            .field("rules", &self.rules)
            .field("models", &self.models)
            .field("destinations", &destinations)
            .finish_non_exhaustive()
    }
}

/// What every thread and task of the pipeline shares.
pub(crate) struct Core {
    pub(crate) store: Store,
    pub(crate) config: PipelineConfig,
    /// Wakes the threads.
    pub(crate) bell: Bell,
    /// Wakes the deliveries.
    pub(crate) rung: watch::Sender<u64>,
    /// Wakes the keeper.
    pub(crate) looked: Notify,
    pub(crate) stop: CancellationToken,
    setup: RwLock<Arc<Setup>>,
    is_sending: OnceLock<Box<IsSending>>,
    /// To those who ask the sources of series and studies.
    questions: UnboundedSender<Question>,
    pub(crate) fetches: Fetches,
    stopwatch: Arc<Stopwatch>,
}

impl Core {
    pub(crate) fn setup(&self) -> Arc<Setup> {
        Arc::clone(&self.setup.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn stages<'a>(&'a self, setup: &'a Setup) -> Stages<'a> {
        let is_sending = self.is_sending.get().map_or(&(|_: &str| false) as &IsSending, AsRef::as_ref);
        let (fetches, stopwatch) = (&self.fetches, &self.stopwatch);
        Stages { store: &self.store, setup, config: &self.config, is_sending, fetches, stopwatch }
    }

    /// Has a source asked. Nobody is there to do so only when the node stops: the lease then ends with it.
    pub(crate) fn ask(&self, question: Question) {
        drop(self.questions.send(question));
    }

    pub(crate) fn now(&self) -> i64 {
        self.store.clock().now_ms()
    }

    fn wake(&self) {
        self.bell.ring();
        self.rung.send_modify(|rings| *rings = rings.wrapping_add(1));
    }
}

/// The running pipeline: what is stored is matched, analysed and delivered until it is shut down.
pub struct Pipeline {
    core: Arc<Core>,
    runtime: Handle,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Deliveries, the keeper and the questions to sources, and what stops the deliveries of the present setup.
    deliveries: TaskTracker,
    delivering: Mutex<CancellationToken>,
}

impl Pipeline {
    /// Starts the worker threads and the deliveries, on the runtime of the caller.
    ///
    /// # Errors
    /// [`PipelineError`]: a thread cannot be started, or the store cannot be read.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(store: Store, setup: Setup, config: PipelineConfig) -> Result<Self, PipelineError> {
        let (questions, asked) = mpsc::unbounded_channel();
        let (wanted, fetched) = mpsc::unbounded_channel();
        let core = Arc::new(Core {
            store,
            config,
            bell: Bell::default(),
            rung: watch::Sender::new(0),
            looked: Notify::new(),
            stop: CancellationToken::new(),
            setup: RwLock::new(Arc::new(setup)),
            is_sending: OnceLock::new(),
            questions,
            fetches: Fetches::new(wanted),
            stopwatch: Arc::default(),
        });
        // Weak: the store must not keep the pipeline that keeps the store.
        let listening = Arc::downgrade(&core);
        core.store.listen(move || {
            if let Some(core) = listening.upgrade() {
                core.wake();
            }
        });
        let deciding = Arc::downgrade(&core);
        core.store.decide_with(move |stored, beginning| worker::decide(&*deciding.upgrade()?, stored, beginning));
        let pipeline = Self {
            core,
            runtime: Handle::current(),
            threads: Mutex::default(),
            deliveries: TaskTracker::new(),
            delivering: Mutex::default(),
        };
        pipeline.spawn("router", worker::route)?;
        for number in 0..pipeline.core.config.workers.max(1) {
            pipeline.spawn(&format!("worker-{number}"), worker::analyze)?;
        }
        pipeline.deliver()?;
        let strand = outbox::keep_stranding(Arc::clone(&pipeline.core));
        pipeline.deliveries.spawn_on(strand, &pipeline.runtime);
        let keep = keeper::keep(Arc::clone(&pipeline.core), pipeline.core.stop.clone());
        pipeline.deliveries.spawn_on(keep, &pipeline.runtime);
        let count = counting::drive(Arc::clone(&pipeline.core), asked, pipeline.core.stop.clone());
        pipeline.deliveries.spawn_on(count, &pipeline.runtime);
        let fetch = fetching::drive(Arc::clone(&pipeline.core), fetched, pipeline.core.stop.clone());
        pipeline.deliveries.spawn_on(fetch, &pipeline.runtime);
        let retrieve = retrieving::drive(Arc::clone(&pipeline.core), pipeline.core.stop.clone());
        pipeline.deliveries.spawn_on(retrieve, &pipeline.runtime);
        Ok(pipeline)
    }

    /// Takes another setup. Work under way ends by the old one; deliveries to destinations that are no
    /// more become dead letters.
    ///
    /// # Errors
    /// [`PipelineError::Store`]; the setup is in force nevertheless.
    pub fn reload(&self, setup: Setup) -> Result<(), PipelineError> {
        *self.core.setup.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(setup);
        self.deliver()?;
        self.core.wake();
        Ok(())
    }

    /// Has a series or study wait while an association that brought some of it is open, as `is_sending` says of the
    /// address and port at its other end. Once, before anything is received.
    pub fn watch_senders(&self, is_sending: impl Fn(&str) -> bool + Send + Sync + 'static) {
        drop(self.core.is_sending.set(Box::new(is_sending)));
    }

    /// What takes the time of its analyses.
    #[must_use]
    pub fn stopwatch(&self) -> Arc<Stopwatch> {
        Arc::clone(&self.core.stopwatch)
    }

    /// Looks for work now; needed only when the clock is moved by hand.
    pub fn wake(&self) {
        self.core.wake();
        self.core.looked.notify_one();
    }

    /// Ends: what is being analysed or delivered is finished, the rest waits in the store.
    pub async fn shutdown(&self) {
        self.core.stop.cancel();
        self.delivering.lock().unwrap_or_else(PoisonError::into_inner).cancel();
        self.core.wake();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let joined = spawn_blocking(move || threads.into_iter().map(JoinHandle::join).filter(Result::is_err).count());
        if joined.await.is_ok_and(|panicked| panicked > 0) {
            tracing::error!("a worker thread had panicked");
        }
        self.deliveries.close();
        self.deliveries.wait().await;
    }

    fn spawn(&self, name: &str, run: fn(&Core)) -> Result<(), PipelineError> {
        let core = Arc::clone(&self.core);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            receive_first();
            run(&core);
        });
        let thread = thread.map_err(PipelineError::Thread)?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    /// One task per destination, in place of those before.
    fn deliver(&self) -> Result<(), PipelineError> {
        let setup = self.core.setup();
        let stop = self.core.stop.child_token();
        let before =
            std::mem::replace(&mut *self.delivering.lock().unwrap_or_else(PoisonError::into_inner), stop.clone());
        before.cancel();
        for destination in &setup.destinations {
            let drive = outbox::drive(Arc::clone(&self.core), destination.clone(), stop.clone());
            self.deliveries.spawn_on(drive, &self.runtime);
        }
        Ok(outbox::strand(&self.core)?)
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.core.stop.cancel();
        self.core.wake();
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline").field("setup", &self.core.setup()).finish_non_exhaustive()
    }
}
