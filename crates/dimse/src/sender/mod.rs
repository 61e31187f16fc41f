//! The side that calls: associates, verifies, sends, queries and retrieves.

mod association;
mod commitment;
mod connect;
mod echo;
mod error;
mod examine;
mod get;
mod plan;
mod query;
mod store;

pub use association::{Association, PeerInfo};
pub use commitment::CommitmentReport;
pub use connect::Steps;
pub use echo::{EchoError, EchoReport, echo};
pub use error::{AssociateError, Fault, SendError};
pub use examine::{Examination, Speaks, examine};
pub use get::{Receive, Received, Retrieval};
pub use plan::{CONTEXTS_MAX, ContextPlan, ProposedContext, plan_contexts};
pub use query::{Query, QueryResponse};
pub use store::{StoreItem, StoreOutcome};
