//! The life of an instance: settling, rules, stages, retries, idempotence; never byte formats.
//!
//! [`Pipeline`] takes what the store holds through its life; `flow.rs` tells it stage by stage. [`Analyst`]
//! is one of those stages alone, for programs without a store or a network.
//!
//! | who | does | when it fails |
//! |---|---|---|
//! | the router, one thread | match, settle | tried again, then a dead letter |
//! | the workers, a thread per core | accept, prepare, infer, explain, report | declined, or tried again, then a dead letter |
//! | a task per destination | deliver, have it confirmed | tried again for days or sent elsewhere, then a dead letter |
//! | a task | have series and studies counted at their source | as if nobody had been asked |
//! | a task | have an archive send images again whose bytes were removed | tried again, then a dead letter |
//! | the keeper, a task | remove what is kept no longer | tried again a minute later |
//!
//! All of them live from leases of the store's queue, so a node that dies loses no work and does none twice.

mod analysis;
mod backtest;
mod bell;
mod condition;
mod config;
mod confirmation;
mod counting;
mod delivery;
mod error;
mod fetching;
mod flow;
mod hours;
mod keeper;
mod looking;
mod model;
mod opening;
mod outbox;
mod pipeline;
mod priors;
mod report;
mod retrieving;
mod route_config;
mod rules;
mod settling;
mod share;
mod stopwatch;
mod trace;
mod variables;
mod worker;

pub use analysis::{
    Analysis, AnalysisInput, AnalysisLimits, AnalysisObject, Analyst, AnalyzeError, FrameFindings, Timings, Verdict,
};
pub use backtest::{Backtest, Changed};
pub use config::PipelineConfig;
pub use confirmation::record_answer;
pub use delivery::{BoxFuture, ConfirmationOutcome, Counted, DeliveryOutcome, Destination, Parcel, RetryPolicy};
pub use error::PipelineError;
pub use fetching::{WantedPrior, may_be_same};
pub use hours::{Hours, HoursError};
pub use model::{ModelSession, ModelStage, ReadyModel};
pub use opening::Opening;
pub use pipeline::{DestinationSetup, FailoverSetup, Pipeline, Setup};
pub use priors::PriorsConfig;
pub use retrieving::WantedAgain;
pub use route_config::{Matching, ReportDeclined, RouteConfig, SENDER, Trigger};
pub use rules::{RuleError, Rules};
pub use share::{Share, ShareError};
pub use stopwatch::{Durations, Stopwatch};
pub use trace::{ConditionTrace, HeldBack, Returned, RouteTrace};
pub use variables::{Attributes, rule_variables};
