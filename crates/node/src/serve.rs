//! `dokuei serve`: open and recover the store, start the pipeline, bind, serve, wait for a signal, drain in reverse.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dokuei_dimse::{Counters, ListenerConfig, Listeners};
use dokuei_pipeline::Pipeline;
use dokuei_store::{Durability, Store, StoreReader};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::args::Serve;
use crate::audit::{Audit, Auditor, What};
use crate::changes;
use crate::commitment::Commitments;
use crate::config::{self, Confirm};
use crate::fetch::Moves;
use crate::inspect::unopened;
use crate::machine;
use crate::monitor::{Monitor, MonitorPort};
use crate::outcome::Failure;
use crate::pace::Paces;
use crate::procedures::Procedures;
use crate::receiver::Receiver;
use crate::send::words;
use crate::site::Site;

/// How often expiring certificates are named in the log.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A node that runs in this process.
pub(crate) struct RunningNode {
    pub(crate) address: SocketAddr,
    /// Where it listens for TLS, if it does.
    tls_address: Option<SocketAddr>,
    /// Where it answers HTTP, if it does.
    http: Option<MonitorPort>,
    store: Store,
    pipeline: Pipeline,
    paces: Paces,
    moves: Moves,
    commitments: Commitments,
    telling: JoinHandle<()>,
    listener: watch::Sender<Arc<ListenerConfig>>,
    counters: Arc<Counters>,
    auditor: Auditor,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
}

impl RunningNode {
    /// Starts everything a site asks for, the port last: nobody can send before all is ready.
    pub(crate) async fn start(site: &Site) -> Result<Self, Failure> {
        let store = site.store();
        let store = tokio::task::block_in_place(|| Store::open(store)).map_err(|error| unopened(&error))?;
        let paces = Paces::default();
        let moves = Moves::new(store.clock().now_ms());
        let setup = site.setup(&paces, &moves).map_err(|errors| Failure::work(format!("{errors:?}")))?;
        let (plain, address) = bind(site.file.config.node.listen)?;
        let tls = site.file.config.tls.as_ref().map(|tls| bind(tls.as_ref().listen)).transpose()?;
        let (tls, tls_address) = tls.unzip();
        let http = site.file.config.http.listen.map(bind).transpose()?;
        let pipeline = Pipeline::start(store.clone(), setup, site.pipeline())
            .map_err(|error| Failure::because("start the pipeline", &error))?;
        let ae_title = &site.file.config.node.ae_title;
        let auditor = Auditor::start(&site.file.config.audit, ae_title.as_str(), &store)
            .map_err(|error| Failure::because("open the audit trail", &error))?;
        auditor.audit().know(site.destinations().map(|(destination, _)| destination));
        let counters = Arc::new(Counters::default());
        let open = Arc::clone(&counters);
        // The store names a sender by address and port, which belong to one association.
        pipeline.watch_senders(move |peer| peer.parse().is_ok_and(|peer| open.is_open(peer)));
        let own = site.file.config.node.ae_title.clone();
        let receiver = Arc::new(Receiver::new(store.clone(), own, moves.clone()));
        let shutdown = CancellationToken::new();
        let commits = site.file.config.node.durability == Durability::Fsync;
        let commitments = Commitments::new(store.clone(), commits, site.committed_peers(), auditor.audit().clone());
        let telling = tokio::spawn(commitments.clone().drive(shutdown.clone()));
        let listener = listening(site, &store, &commitments, auditor.audit(), &moves);
        let (listener, config) = watch::channel(Arc::new(listener));
        let listeners = Listeners { plain: Some(plain), tls };
        let serve = dokuei_dimse::serve(listeners, config, receiver, Arc::clone(&counters), shutdown.clone());
        let closed = shutdown.child_token();
        let closing = closed.clone().drop_guard();
        let serving = tokio::spawn(async move {
            let _closing = closing;
            serve.await;
        });
        let http = http.map(|port| {
            let limits = &site.file.config.limits;
            let monitor = Monitor::new(store.clone(), Arc::clone(&counters), pipeline.stopwatch(), closed, limits);
            monitor.watch(&site.security.certificates);
            MonitorPort::open(port, monitor)
        });
        Ok(Self {
            address,
            tls_address,
            http,
            store,
            pipeline,
            paces,
            moves,
            commitments,
            telling,
            listener,
            counters,
            auditor,
            shutdown,
            serving,
        })
    }

    /// What reads its store.
    pub(crate) fn reader(&self) -> &StoreReader {
        self.store.reader()
    }

    /// Takes peers, limits, certificates, routes, models and destinations from another configuration. Addresses, AE
    /// title of the port and data folder stay until the next start.
    fn reload(&self, site: &Site) -> Result<(), String> {
        let setup = site.setup(&self.paces, &self.moves).map_err(|errors| format!("{errors:?}"))?;
        self.auditor.audit().know(site.destinations().map(|(destination, _)| destination));
        // Nothing fails from here on: all of it is in force, or none.
        self.commitments.reload(site.committed_peers());
        let listener = listening(site, &self.store, &self.commitments, self.auditor.audit(), &self.moves);
        self.listener.send_replace(Arc::new(listener));
        if let Err(error) = self.pipeline.reload(setup) {
            tracing::error!(error = words(&error), "what waits for destinations that are gone is not given up yet");
        }
        if site.security.server.is_some() && self.tls_address.is_none() {
            tracing::warn!("the TLS port is opened at the next start");
        }
        if let Some(http) = &self.http {
            http.monitor.watch(&site.security.certificates);
        }
        Ok(())
    }

    /// Stops receiving, finishes what runs, and closes the store; what waits is kept for the next start.
    pub(crate) async fn drain(self) {
        self.shutdown.cancel();
        drop(self.serving.await);
        drop(self.telling.await);
        tracing::info!(counters = ?self.counters.snapshot(), "no longer listening");
        self.pipeline.shutdown().await;
        if let Some(http) = self.http {
            http.close().await;
        }
        tokio::task::block_in_place(|| {
            self.auditor.stop();
            self.store.close();
        });
    }
}

/// What the listener is told. Only who writes to stable storage can commit to keep anything; others hear what peers do.
fn listening(site: &Site, store: &Store, commitments: &Commitments, audit: &Audit, moves: &Moves) -> ListenerConfig {
    let mut listener = site.listener();
    listener.procedures = Some(Arc::new(Procedures::new(store.clone(), audit.clone())));
    listener.observer = Some(moves.observer(audit.observer()));
    let hears = site.destinations().any(|(destination, _)| destination.confirm == Confirm::Commitment);
    if hears || site.file.config.node.durability == Durability::Fsync {
        listener.commitment = Some(Arc::new(commitments.clone()));
    }
    listener
}

pub(crate) async fn run(arguments: &Serve) -> Result<(), Failure> {
    log(arguments.json);
    let site = Site::check(config::load(arguments.config.as_deref())?)?;
    let failed = |error: std::io::Error| Failure::because("wait for signals", &error);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;

    machine::raise_open_files();
    for name in config::unused_variables() {
        tracing::warn!(name, "an environment variable sets nothing");
    }
    let node = RunningNode::start(&site).await?;
    tracing::info!(
        address = %node.address,
        tls_address = node.tls_address.map(|address| address.to_string()),
        http_address = node.http.as_ref().map(|http| http.address.to_string()),
        ae_title = %site.file.config.node.ae_title,
        accept = ?crate::site::accept(&site.file.config),
        data_dir = %site.file.config.node.data_dir.display(),
        models = ?site.models.iter().map(|model| &model.identity().name).collect::<Vec<_>>(),
        routes = ?site.routes.iter().map(|route| &route.name).collect::<Vec<_>>(),
        "listening"
    );
    let mut site = site;
    let mut daily = tokio::time::interval(DAY);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {
                if let Some(reloaded) = reload(&node, &site, arguments.config.clone()).await {
                    site = reloaded;
                    daily.reset_immediately();
                }
            }
            _ = daily.tick() => site.security.warn_of_expiry(),
        }
    }
    tracing::info!("draining");
    node.drain().await;
    tracing::info!("stopped");
    Ok(())
}

/// Reads the configuration again, certificates and keys with it; one that cannot be used changes nothing. Gives the one
/// now in force.
async fn reload(node: &RunningNode, before: &Site, path: Option<PathBuf>) -> Option<Site> {
    let started = before.file.config.clone();
    let checked = tokio::task::spawn_blocking(move || {
        let mut file = config::load(path.as_deref()).map_err(problems)?;
        changes::keep(&mut file.config, &started);
        Site::check(file).map_err(problems)
    });
    let site = checked.await.unwrap_or_else(|error| Err(words(&error)));
    match site.and_then(|site| node.reload(&site).map(|()| site)) {
        Ok(site) => {
            let changes = changes::log(before, &site);
            node.auditor.audit().record(What::Reloaded, serde_json::json!({ "changes": changes }));
            tracing::info!(changes = changes.len(), "configuration reloaded");
            Some(site)
        }
        Err(problems) => {
            tracing::error!(%problems, "configuration not reloaded");
            None
        }
    }
}

/// Binds a socket, and says where.
fn bind(listen: SocketAddr) -> Result<(TcpListener, SocketAddr), Failure> {
    let socket = dokuei_dimse::bind(listen)
        .map_err(|error| Failure::because(&format!("listen on {listen}"), &error).help(machine::remedy(&error)))?;
    let address = socket.local_addr().map_err(|error| Failure::because("listen", &error))?;
    Ok((socket, address))
}

fn problems(error: config::ConfigError) -> String {
    format!("{:?}", miette::Report::new(error))
}

/// Logs to standard error; `DOKUEI_LOG` filters as in `info,dokuei_dimse=debug`.
fn log(json: bool) {
    let filter = EnvFilter::try_from_env("DOKUEI_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json {
        builder.json().with_current_span(true).with_span_list(false).init();
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).init();
    }
}
