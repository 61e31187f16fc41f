use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::disk::{Disk, RealDisk};

/// When an instance may be called stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// After its record in the log, and its file where it has one of its own, are on stable storage.
    #[default]
    Fsync,
    /// After the operating system has them: survives a crash of the node, not of the machine.
    Os,
}

/// What happens when a SOP Instance UID comes again with other bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VersionPolicy {
    /// Kept beside the earlier ones, as a further version with work of its own.
    #[default]
    Keep,
    /// As [`Keep`](Self::Keep), and what is left to do for the earlier ones is not done.
    Replace,
    /// Refused and recorded; what is stored stays as it is.
    Refuse,
}

/// The time, passed in so that tests own it.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    fn now_ms(&self) -> i64;
}

/// The time of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

/// A time that moves only when told to.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that stands at `now_ms`.
    #[must_use]
    pub fn at(now_ms: i64) -> Self {
        Self(AtomicI64::new(now_ms))
    }

    /// Moves the clock forward, or back by less than nothing.
    pub fn advance_ms(&self, by_ms: i64) {
        self.0.fetch_add(by_ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// How a store is opened.
#[derive(Clone)]
pub struct StoreConfig {
    /// The folder that holds everything; made when absent.
    pub data_dir: PathBuf,
    /// Free bytes of the disk below which nothing more is received.
    pub disk_free_min: u64,
    /// When an instance may be called stored.
    pub durability: Durability,
    /// What happens when a SOP Instance UID comes again with other bytes.
    pub versions: VersionPolicy,
    /// Size of a segment of the log, at least 4 MiB.
    pub segment_bytes: u64,
    /// With [`Durability::Fsync`], bytes of segments that are made ready for a burst while nothing arrives and twice
    /// `disk_free_min` is free; their blocks are written, which lets the syncs of the burst be short.
    pub preallocate_bytes: u64,
    /// Waiting jobs above which nothing more is received.
    pub queue_max: u64,
    /// How often work may be cut short (by a dying node or an expired lease) before it is a dead letter.
    pub interruptions_max: u32,
    /// Whether to keep a journal of what happens to instances, for whoever writes an audit trail and has it forgotten.
    pub journal: bool,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The disk.
    pub disk: Arc<dyn Disk>,
}

impl StoreConfig {
    /// The defaults for `data_dir`: synced, 5 GiB kept free, nothing preallocated, a million jobs.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            disk_free_min: 5 << 30,
            durability: Durability::Fsync,
            versions: VersionPolicy::Keep,
            segment_bytes: 64 << 20,
            preallocate_bytes: 0,
            queue_max: 1_000_000,
            interruptions_max: 10,
            journal: false,
            clock: Arc::new(SystemClock),
            disk: Arc::new(RealDisk),
        }
    }
}
