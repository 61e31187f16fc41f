//! Durable instances, their index, the work queue and the outbox; never network or pixels.
//!
//! # Layout of the data folder, version 7
//!
//! ```text
//! node.lock               held (flock) by the one node that owns the folder
//! index.sqlite            instances, jobs, units, hints, results, outbox; WAL
//! patients.key            makes of Patient IDs what the index holds of them
//! segments/<number>.log   a record for every arrival, with the Part 10 file inside: up to about a megabyte, where it
//!                         is synced; of any size with durability "os"
//! incoming/<random>       larger ones while they arrive; nothing in here was ever acknowledged
//! objects/<number>/<random>.dcm   larger ones, Part 10, data set bytes as received
//! results/<number>/<random>.dcm   what was written about them
//! results/withdrawals/<random>.dcm   notes that withdraw some of it
//! unclaimed/<random>.dcm  those of `objects/` that an index made anew does not name, should there be any
//! ```
//!
//! An arrival is acknowledged when its record is durable. The record holds all the index will be told, so
//! the index follows when it can: an open that finds records the index does not know tells it.
//!
//! # What a crash leaves, step by step
//!
//! | stops after | on disk | recovery at the next open |
//! |---|---|---|
//! | temporary file begun | a file in `incoming/` | removed; never acknowledged |
//! | file synced, renamed into `objects/` | a file without a record | removed; never acknowledged |
//! | a segment made ready | a segment without a record | removed; never acknowledged |
//! | part of a record written | bytes that are no record | passed over; never acknowledged |
//! | a record written while it arrives, but for its head | a mark in the head's place | cut off there; never acknowledged |
//! | record durable | the record, and its file | the index is told, work begins; the sender may not have heard and sends again: a duplicate |
//! | transaction of the index | record, row and first job | kept, work resumes |
//! | a job leased | the lease of a dead owner | cleared, the job waits again |
//! | result files written, transaction not durable | files without a row | removed; the job runs again and writes the same |
//! | the index lost, or damaged and moved away | the log | every record is told, and its work done again; older results go, and the new ones have their bytes and UIDs |
//! | bytes given up, their space not given back | rows that say so | the space is given back |
//!
//! Three threads write the log, each taking what waits with one flush. Everything that changes the index goes through
//! one writer thread, which puts whatever waits into one transaction; those of arrivals alone are not synced.

mod again;
mod arrive;
mod background;
mod backlog;
mod change;
mod commitment;
mod config;
mod confirmation;
mod disk;
mod ends;
mod error;
mod failed;
mod failover;
mod folder;
mod group;
mod hint;
mod incoming;
mod integrity;
mod job;
mod journal;
mod lock;
mod log;
mod model;
mod number;
mod object;
mod outbox;
mod prior;
mod priority;
mod queue;
mod read;
mod recovery;
mod replace;
mod replay;
mod retention;
mod schema;
mod seal;
mod secret;
mod set_aside;
mod show;
mod store;
mod stored_file;
mod tally;
mod task;
mod timers;
mod totals;
mod unfinished;
mod unit;
mod waiting;
mod withdraw;
mod writer;

pub use again::{Awaited, RemovedImage};
pub use arrive::{ArrivalKind, Committed, Decide, Indexed};
pub use background::receive_first;
pub use change::{Applied, Changes, Decision};
pub use commitment::{CommitmentEnd, Holding, NewCommitment, OpenCommitment};
pub use config::{Clock, Durability, ManualClock, StoreConfig, SystemClock, VersionPolicy};
pub use confirmation::{Confirmation, Inquiry, Unconfirmed};
pub use disk::{Disk, RealDisk, Step};
pub use error::{Fault, StoreError};
pub use failed::{DeadLetter, Filter};
pub use failover::Failover;
pub use hint::{HintKind, HintUpdate, Hinted, NamedImage, NewHint, Progress, Updated};
pub use incoming::{Arrival, Incoming, IndexEntry};
pub use integrity::{CheckedFile, Integrity};
pub use job::{JobKind, Lease, Subject};
pub use journal::{JOURNAL_WORDS, JournalEntry};
pub use lock::{Access, access, may_write, nearest};
pub use model::{CommitmentId, DeliveryId, HintId, JobId, ResultId, TaskId, UnitId};
pub use object::{EarlierResult, NewObject, NewResult, Staged, StoredObject, StoredResult};
pub use outbox::{DeliveryEnd, DeliveryLease, Due, ORIGINAL, REJECTION};
pub use prior::{Comparable, EarlierImage, Fetched, PatientKey, Sought};
pub use priority::Priority;
pub use read::{Decided, StoreReader, StoredInstance};
pub use replay::{Replay, ReplayItem, ReplayRefused, Replayed};
pub use retention::{FreeSpace, Removed, Retention};
pub use seal::{Seal, Unsealing};
pub use secret::secret;
pub use show::{
    CommitmentCounts, Counts, DestinationCounts, ShownArrival, ShownDelivery, ShownInstance, ShownObject, ShownResult,
    ShownTask, ShownUnit,
};
pub use store::Store;
pub use stored_file::StoredFile;
pub use tally::{Tallied, Tally};
pub use task::{NewTask, SendTo, StoredTask, TaskEnd};
pub use totals::{Occurrence, Totals};
pub use unfinished::{Undelivered, Unfinished};
pub use unit::{NewMember, SettleReason, StoredUnit, UnitLevel};
pub use withdraw::Withdrawn;
