//! Durable instances, their index, the work queue and the outbox; never network or pixels.
//!
//! # Layout of the data folder, version 1
//!
//! ```text
//! node.lock               held (flock) by the one node that owns the folder
//! index.sqlite            instances, jobs, units, results, outbox; WAL, synchronous=FULL
//! incoming/<random>       what is arriving; nothing in here was ever acknowledged
//! objects/<number>/<random>.dcm   originals, Part 10, data set bytes as received
//! results/<number>/<random>.dcm   what was written about them
//! ```
//!
//! # What a crash leaves, step by step
//!
//! | stops after | on disk | recovery at the next open |
//! |---|---|---|
//! | temporary file begun | a file in `incoming/` | removed; never acknowledged |
//! | file synced, renamed into `objects/` | a file without a row | removed; never acknowledged |
//! | folder synced | the same | the same |
//! | transaction durable | file, row and first job | kept, work resumes; the sender may not have heard and sends again: a duplicate |
//! | a job leased | the lease of a dead owner | cleared, the job waits again |
//! | result files written, transaction not durable | files without a row | removed; the job runs again and writes the same |
//!
//! Everything that changes what is known goes through one writer thread, which puts whatever waits
//! into one transaction: many pending commits share the sync of their folder and of the log.

mod arrive;
mod change;
mod config;
mod disk;
mod ends;
mod error;
mod folder;
mod incoming;
mod job;
mod model;
mod object;
mod outbox;
mod read;
mod recovery;
mod replay;
mod schema;
mod show;
mod store;
mod task;
mod unit;
mod writer;

pub use arrive::{ArrivalKind, Committed};
pub use change::{Applied, Changes, Decision};
pub use config::{Clock, Durability, ManualClock, StoreConfig, SystemClock, VersionPolicy};
pub use disk::{Disk, RealDisk, Step};
pub use error::{Fault, StoreError};
pub use incoming::{Arrival, Incoming, IndexEntry};
pub use job::{JobKind, Lease, Subject};
pub use model::{DeliveryId, JobId, ResultId, TaskId, UnitId};
pub use object::{NewObject, NewResult, Staged, StoredObject, StoredResult};
pub use outbox::{DeliveryEnd, DeliveryLease, ORIGINAL};
pub use read::{StoreReader, StoredInstance};
pub use replay::Replayed;
pub use show::{
    Counts, DeadLetter, DestinationCounts, ShownArrival, ShownDelivery, ShownInstance, ShownObject, ShownResult,
    ShownTask,
};
pub use store::Store;
pub use task::{NewTask, SendTo, StoredTask, TaskEnd};
pub use unit::{NewMember, UnitLevel};
