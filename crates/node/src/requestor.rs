//! What every association we request has in common.

use dokuei_dataset::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME};
use dokuei_dimse::{Implementation, RequestorConfig};
use dokuei_types::{AeTitle, Interval, Uid};

use crate::args::Call;
use crate::config::Address;

/// How this product names itself in an association.
pub(crate) fn implementation() -> Implementation {
    Implementation {
        class_uid: Uid::new(IMPLEMENTATION_CLASS_UID).expect("our own UID is one"),
        version_name: IMPLEMENTATION_VERSION_NAME.to_owned(),
    }
}

/// The settings for a peer named on the command line.
pub(crate) fn config(peer: &Address, call: &Call) -> RequestorConfig {
    with(peer, call.called.clone(), call.calling.clone(), call.timeout)
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
