//! What the node says of itself over HTTP: whether it takes instances, and its metrics.

mod metrics;
mod process;

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use dokuei_dimse::Counters;
use dokuei_pipeline::Stopwatch;
use dokuei_store::Store;
use dokuei_web::{Exposition, Monitored};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::certificates::CertificateInUse;
use crate::config::Limits;
use crate::send::words;

/// Watches the parts of a node that runs.
pub(crate) struct Monitor {
    store: Store,
    counters: Arc<Counters>,
    stopwatch: Arc<Stopwatch>,
    /// Cancelled once nothing is received any more.
    closed: CancellationToken,
    started_at: Timestamp,
    queue_depth_max: u64,
    disk_free_min: u64,
    certificates: RwLock<Vec<CertificateInUse>>,
}

impl Monitor {
    pub(crate) fn new(
        store: Store,
        counters: Arc<Counters>,
        stopwatch: Arc<Stopwatch>,
        closed: CancellationToken,
        limits: &Limits,
    ) -> Self {
        Self {
            store,
            counters,
            stopwatch,
            closed,
            started_at: Timestamp::now(),
            queue_depth_max: limits.queue_depth,
            disk_free_min: limits.disk_free_min.0,
            certificates: RwLock::default(),
        }
    }

    /// Has these certificates among the metrics, in place of those before.
    pub(crate) fn watch(&self, certificates: &[CertificateInUse]) {
        *self.certificates.write().unwrap_or_else(PoisonError::into_inner) = certificates.to_vec();
    }

    fn certificates(&self) -> Vec<CertificateInUse> {
        self.certificates.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Monitored for Monitor {
    fn metrics(&self) -> Result<String, String> {
        let mut exposition = Exposition::default();
        metrics::write(self, &mut exposition).map_err(|error| words(&error))?;
        Ok(exposition.into_text())
    }

    fn ready(&self) -> Result<(), String> {
        if self.closed.is_cancelled() {
            return Err("nothing is received any more: the node is about to stop".to_owned());
        }
        self.store.room().map_err(|error| words(&error))
    }
}

/// A monitor and the port it answers on.
pub(crate) struct MonitorPort {
    pub(crate) address: SocketAddr,
    pub(crate) monitor: Arc<Monitor>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl MonitorPort {
    pub(crate) fn open((listener, address): (TcpListener, SocketAddr), monitor: Monitor) -> Self {
        let (monitor, stop) = (Arc::new(monitor), CancellationToken::new());
        let limits = dokuei_web::Limits::default();
        let serving = tokio::spawn(dokuei_web::serve(listener, Arc::clone(&monitor), limits, stop.clone()));
        Self { address, monitor, stop, serving }
    }

    pub(crate) async fn close(self) {
        self.stop.cancel();
        drop(self.serving.await);
    }
}
