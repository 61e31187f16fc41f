//! What the listener has done so far, for a status page, and who is associated.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dokuei_types::DimseStatus;

use crate::pdu::Rejection;

/// Running totals; cheap to read at any time.
#[derive(Debug, Default)]
pub struct Counters {
    pub(crate) connections: AtomicU64,
    pub(crate) accepted: AtomicU64,
    pub(crate) rejected: Tally<Rejection>,
    pub(crate) aborted: AtomicU64,
    pub(crate) open: AtomicU64,
    pub(crate) half_open: AtomicU64,
    pub(crate) echoes: AtomicU64,
    pub(crate) instances: AtomicU64,
    pub(crate) refused: Tally<DimseStatus>,
    pub(crate) bytes: AtomicU64,
    /// Addresses and ports at the other end of the associations that are open.
    peers: Mutex<HashSet<SocketAddr>>,
}

/// The totals at one moment; each is exact, together they may be a moment apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CounterSnapshot {
    /// Connections accepted.
    pub connections: u64,
    /// Associations accepted.
    pub accepted: u64,
    /// Associations rejected.
    pub rejected: u64,
    /// Associations that ended otherwise than by release, whoever's fault it was.
    pub aborted: u64,
    /// Associations open now.
    pub open: u64,
    /// Connections open now that have not associated.
    pub half_open: u64,
    /// C-ECHO answered.
    pub echoes: u64,
    /// Instances answered with success.
    pub instances: u64,
    /// C-STORE requests answered with a failure.
    pub refused: u64,
    /// Bytes of data sets received, of refused ones too.
    pub bytes: u64,
}

impl Counters {
    /// The totals now.
    #[must_use]
    pub fn snapshot(&self) -> CounterSnapshot {
        CounterSnapshot {
            connections: self.connections.load(Relaxed),
            accepted: self.accepted.load(Relaxed),
            rejected: self.rejected.total(),
            aborted: self.aborted.load(Relaxed),
            open: self.open.load(Relaxed),
            half_open: self.half_open.load(Relaxed),
            echoes: self.echoes.load(Relaxed),
            instances: self.instances.load(Relaxed),
            refused: self.refused.total(),
            bytes: self.bytes.load(Relaxed),
        }
    }

    /// Associations rejected, by the answer they got; in no order.
    #[must_use]
    pub fn rejections(&self) -> Vec<(Rejection, u64)> {
        self.rejected.all()
    }

    /// C-STORE requests answered with a failure, by its status; in no order.
    #[must_use]
    pub fn refusals(&self) -> Vec<(DimseStatus, u64)> {
        self.refused.all()
    }

    /// Whether the association that came from just this address and port is open.
    #[must_use]
    pub fn is_open(&self, peer: SocketAddr) -> bool {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner).contains(&peer)
    }
}

/// Adds to a total.
pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Relaxed);
}

/// A total for each of a few answers.
#[derive(Debug)]
pub(crate) struct Tally<K>(Mutex<HashMap<K, u64>>);

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash + Copy> Tally<K> {
    pub(crate) fn add(&self, answer: K) {
        let mut counts = self.lock();
        let count = counts.entry(answer).or_default();
        *count = count.saturating_add(1);
    }

    fn all(&self) -> Vec<(K, u64)> {
        self.lock().iter().map(|(answer, count)| (*answer, *count)).collect()
    }

    fn total(&self) -> u64 {
        self.lock().values().sum()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts one as long as it lives.
pub(crate) struct Gauge<'a>(&'a AtomicU64);

impl<'a> Gauge<'a> {
    pub(crate) fn new(counter: &'a AtomicU64) -> Self {
        add(counter, 1);
        Self(counter)
    }
}

impl Drop for Gauge<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Has an association among the open ones as long as it lives.
pub(crate) struct Open<'a> {
    counters: &'a Counters,
    peer: SocketAddr,
    _gauge: Gauge<'a>,
}

impl<'a> Open<'a> {
    pub(crate) fn new(counters: &'a Counters, peer: SocketAddr) -> Self {
        counters.peers.lock().unwrap_or_else(PoisonError::into_inner).insert(peer);
        Self { counters, peer, _gauge: Gauge::new(&counters.open) }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.counters.peers.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.peer);
    }
}
