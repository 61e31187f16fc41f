//! The configuration: one TOML file, overlaid by the environment, checked whole before anything starts.

mod entries;
mod environment;
mod error;
mod file;
mod places;
mod results;
mod sections;
mod tls;

pub(crate) use entries::{Change, Difference};
pub(crate) use environment::unused_variables;
pub(crate) use error::{ConfigError, Problem};
pub(crate) use file::{ConfigFile, from_text, load};
pub(crate) use sections::{
    Accept, Address, Config, Confirm, Destination, Limits, Node, Peer, ResultObject, Retrieve, thirty_seconds,
};
pub(crate) use tls::{ClientCertificate, DestinationTls, MinimumVersion, Tls};
