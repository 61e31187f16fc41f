//! HTTP of a node: metrics and health, for what watches it. Reads no file and holds nothing of a patient; what there is to
//! say comes from a [`Monitored`].
//!
//! | path | answers |
//! |---|---|
//! | `/metrics` | 200 with every metric in the text format of Prometheus, version 0.0.4 |
//! | `/health/live` | 200: the process answers |
//! | `/health/ready` | 200 while instances are taken, else 503 and why |
//!
//! A connection is good for one request and for [`Limits::connection`]; beyond [`Limits::connections`] the oldest gives way.

mod exposition;
mod message;
mod pages;
mod server;

pub use exposition::{Exposition, Family, Head, Kind};
pub use pages::Monitored;
pub use server::{Limits, serve};
