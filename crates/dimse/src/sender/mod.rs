//! The side that calls: associates, verifies, sends instances.

mod association;
mod commitment;
mod connect;
mod echo;
mod error;
mod examine;
mod plan;
mod store;

pub use association::{Association, PeerInfo};
pub use commitment::CommitmentReport;
pub use connect::Steps;
pub use echo::{EchoError, EchoReport, echo};
pub use error::{AssociateError, Fault, SendError};
pub use examine::{Examination, Speaks, examine};
pub use plan::{CONTEXTS_MAX, ContextPlan, ProposedContext, plan_contexts};
pub use store::{StoreItem, StoreOutcome};
