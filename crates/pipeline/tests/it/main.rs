//! The pipeline over a real store, with models and destinations that the tests play.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod analysis;
mod crash;
mod delivery;
mod hints;
mod life;
mod priors;
mod retrieving;
mod routes;
mod settling;
mod support;
