use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Whose doing a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The sender's.
    Peer,
    /// Disk, memory or a limit of this node.
    Resources,
    /// The operator's: the folder, another node, an older program.
    Setup,
    /// A worker that lost its lease: another one has the work.
    Lease,
    /// Ours.
    Bug,
}

/// Why the store could not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Same SOP Instance UID, other bytes, and the policy is to refuse.
    #[error("SOP instance {sop_instance} is stored already with other bytes")]
    OtherBytes {
        /// The SOP Instance UID.
        sop_instance: String,
    },

    /// The watermark is reached.
    #[error("{free_bytes} bytes are free on the disk, {min_bytes} are kept free")]
    DiskLow {
        /// What is free.
        free_bytes: u64,
        /// What is kept free.
        min_bytes: u64,
    },
    /// The disk or quota is full.
    #[error("no space left for {}", path.display())]
    DiskFull {
        /// What was being written.
        path: PathBuf,
    },
    /// Too much work waits.
    #[error("{depth} jobs wait, {max} may")]
    QueueFull {
        /// How many wait.
        depth: u64,
        /// How many may.
        max: u64,
    },
    /// A file or folder operation failed.
    #[error("{doing} {}", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The operating system's answer.
        #[source]
        source: Arc<io::Error>,
    },
    /// The index failed.
    #[error("{doing} in the index")]
    Index {
        /// What was being done.
        doing: &'static str,
        /// SQLite's answer.
        #[source]
        source: Arc<rusqlite::Error>,
    },

    /// Another node owns the folder.
    #[error("{} is in use by another node{holder}", data_dir.display())]
    Locked {
        /// The folder.
        data_dir: PathBuf,
        /// ` (process N)` when known.
        holder: String,
    },
    /// The folder was written by a newer program.
    #[error("{} has layout version {found}, this program knows up to {known}", data_dir.display())]
    NewerLayout {
        /// The folder.
        data_dir: PathBuf,
        /// The version found.
        found: i64,
        /// The newest known here.
        known: i64,
    },
    /// The folder was written by a program from before the first release, which nothing converts.
    #[error(
        "{} has layout version {found} of an unreleased program, this one writes {known}; start with an empty folder",
        data_dir.display()
    )]
    OlderLayout {
        /// The folder.
        data_dir: PathBuf,
        /// The version found.
        found: i64,
        /// The one known here.
        known: i64,
    },
    /// There is no store in the folder.
    #[error("{} holds no data of a node", data_dir.display())]
    Absent {
        /// The folder.
        data_dir: PathBuf,
    },

    /// The lease has run out and the work may be another's by now; nothing was changed.
    #[error("the lease on {what} is no longer held")]
    LeaseLost {
        /// Which job or delivery.
        what: String,
    },
    /// The store is closing or its writer has stopped.
    #[error("the store is closed")]
    Closed,
    /// Something that cannot be, is.
    #[error("the index holds what it cannot: {what}")]
    Broken {
        /// What.
        what: String,
    },
}

impl StoreError {
    /// Whose doing it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::OtherBytes { .. } => Fault::Peer,
            Self::DiskLow { .. }
            | Self::DiskFull { .. }
            | Self::QueueFull { .. }
            | Self::File { .. }
            | Self::Index { .. } => Fault::Resources,
            Self::Locked { .. } | Self::NewerLayout { .. } | Self::OlderLayout { .. } | Self::Absent { .. } => {
                Fault::Setup
            }
            Self::LeaseLost { .. } => Fault::Lease,
            Self::Closed | Self::Broken { .. } => Fault::Bug,
        }
    }

    /// Whether the index itself is damaged, which only a new one mends: [`Store::open`](crate::Store::open) makes it out of
    /// the log where the file is gone.
    #[must_use]
    pub fn is_damaged_index(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        let Self::Index { source, .. } = self else { return false };
        matches!(source.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
    }

    pub(crate) fn file(doing: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path: path.to_owned() },
            _ => Self::File { doing, path: path.to_owned(), source: Arc::new(source) },
        }
    }

    pub(crate) fn index(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::DiskFull { path: PathBuf::from("index.sqlite") },
            _ => Self::Index { doing, source: Arc::new(source) },
        }
    }
}
