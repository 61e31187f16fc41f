//! What the listener has done so far, for a status page.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Running totals; cheap to read at any time.
#[derive(Debug, Default)]
pub struct Counters {
    pub(crate) connections: AtomicU64,
    pub(crate) accepted: AtomicU64,
    pub(crate) rejected: AtomicU64,
    pub(crate) aborted: AtomicU64,
    pub(crate) open: AtomicU64,
    pub(crate) half_open: AtomicU64,
    pub(crate) echoes: AtomicU64,
    pub(crate) instances: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) bytes: AtomicU64,
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
            rejected: self.rejected.load(Relaxed),
            aborted: self.aborted.load(Relaxed),
            open: self.open.load(Relaxed),
            half_open: self.half_open.load(Relaxed),
            echoes: self.echoes.load(Relaxed),
            instances: self.instances.load(Relaxed),
            refused: self.refused.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
        }
    }
}

/// Adds to a total.
pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Relaxed);
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
