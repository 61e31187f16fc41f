//! What every association we request has in common.

use std::path::Path;

use dokuei_dataset::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME};
use dokuei_dimse::{ClientTls, Implementation, RequestorConfig};
use dokuei_types::{AeTitle, Interval, Uid};

use crate::args::{Asked, Call};
use crate::certificates::{self, Security};
use crate::config::{self, Address, Destination};
use crate::outcome::Failure;

/// How this product names itself in an association.
pub(crate) fn implementation() -> Implementation {
    Implementation {
        class_uid: Uid::new(IMPLEMENTATION_CLASS_UID).expect("our own UID is one"),
        version_name: IMPLEMENTATION_VERSION_NAME.to_owned(),
    }
}

/// The settings for a peer named on the command line.
///
/// # Errors
/// A certificate or key file that cannot be used.
pub(crate) fn config(peer: &Address, call: &Call) -> Result<RequestorConfig, Failure> {
    let mut config = with(peer, call.called.clone(), call.calling.clone(), call.timeout);
    if let Some(files) = call.tls.files() {
        let client = certificates::client(&files, "peer", Path::to_owned, &mut Vec::new());
        config.tls = Some(client.map_err(|fault| Failure::because("prepare TLS", &fault))?);
    }
    Ok(config)
}

/// The settings for a peer that is named by its address, or as a destination of the configuration.
///
/// # Errors
/// No such destination; a configuration, certificate or key file that cannot be used.
pub(crate) fn of(asked: &Asked) -> Result<RequestorConfig, Failure> {
    if let Ok(address) = asked.peer.parse() {
        return config(&address, &asked.call);
    }
    let file = config::load(asked.config.as_deref())?;
    let mut problems = Vec::new();
    let security = Security::load(&file, &mut problems);
    if !problems.is_empty() {
        return Err(file.invalid(problems).into());
    }
    let entries = file.config.destinations.iter().map(toml::Spanned::as_ref);
    let mut destinations = entries.zip(security.destinations);
    let (destination, tls) = destinations.find(|(destination, _)| destination.name == asked.peer).ok_or_else(|| {
        let failure = Failure::work(format!("{:?} is neither HOST:PORT nor a [[destination]]", asked.peer));
        failure.help("name the configuration with --config, and the destination as it is named there")
    })?;
    Ok(to_destination(destination, &file.config.node.ae_title, tls))
}

/// The settings for a destination of the configuration.
pub(crate) fn to_destination(destination: &Destination, own: &AeTitle, tls: Option<ClientTls>) -> RequestorConfig {
    let calling = destination.calling_ae_title.clone().unwrap_or_else(|| own.clone());
    let config = with(&destination.address, destination.ae_title.clone(), calling, destination.timeout);
    RequestorConfig { tls, ..config }
}

/// The settings for a peer whose every wait is bounded by `timeout`.
pub(crate) fn with(peer: &Address, called: AeTitle, calling: AeTitle, timeout: Interval) -> RequestorConfig {
    let mut config = RequestorConfig::new(peer.as_str(), called, calling, implementation());
    config.connect_timeout = config.connect_timeout.min(timeout.0);
    config.associate_timeout = timeout.0;
    config.response_timeout = timeout.0;
    config.idle_timeout = timeout.0;
    config
}
