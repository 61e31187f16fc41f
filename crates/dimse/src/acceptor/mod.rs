//! The side that is called: decides about associations, serves them, and drains on shutdown.

mod admission;
mod inbound;
mod listener;
mod negotiation;
mod securing;
mod session;

pub use listener::{Listeners, serve};
pub(crate) use negotiation::UserInformation;
pub use negotiation::{AcceptedContext, Negotiated, negotiate};
