//! The side that is called: decides about associations, serves them, and drains on shutdown.

mod admission;
mod established;
mod inbound;
mod listener;
mod negotiation;
mod outstanding;
mod pace;
mod reports;
mod securing;
mod session;
mod user_information;

pub use listener::{Listeners, serve};
pub use negotiation::{AcceptedContext, Negotiated, negotiate};
pub(crate) use pace::Pace;
pub(crate) use session::unblocked;
pub(crate) use user_information::UserInformation;
