//! Why sending fails, whose fault that mostly is, and what to change.

use std::io;
use std::time::Duration;

use dokuei_types::{AeTitle, Uid};

use crate::pdu::{Abort, PduSizeError, ProtocolError, Rejection};
use crate::tls::TlsError;
use crate::wire::{Stranger, WireError};

/// Who has to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Our settings for this peer, or what we were asked to send.
    Ours,
    /// Host, port, firewall, cable.
    Network,
    /// The peer's settings, or the peer itself.
    Peer,
}

/// Why there is no association.
#[derive(Debug, thiserror::Error)]
pub enum AssociateError {
    /// The name could not be resolved, or it is not `host:port`.
    #[error("resolve {address}")]
    Resolve {
        /// What was to be resolved.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// No TCP connection.
    #[error("connect to {address}")]
    Connect {
        /// Where to.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// No TCP connection in time.
    #[error("connect to {address}: no answer within {after:?}")]
    ConnectTimeout {
        /// Where to.
        address: String,
        /// How long was waited.
        after: Duration,
    },
    /// No contexts, or more than 128.
    #[error("{0} presentation contexts proposed, 1 to 128 are possible")]
    ContextCount(usize),
    /// The request could not be written; a text of ours does not fit its field.
    #[error("write the association request: {0}")]
    Request(String),
    /// A-ASSOCIATE-RJ.
    #[error("{called_ae} rejected the association: {rejection}")]
    Rejected {
        /// Who was called.
        called_ae: AeTitle,
        /// Who called.
        calling_ae: AeTitle,
        /// The peer's reason.
        rejection: Rejection,
    },
    /// A-ABORT in answer to the request.
    #[error("the peer aborted {0}")]
    Aborted(Abort),
    /// The connection was closed in answer to the request.
    #[error("the peer closed the connection instead of answering the association request")]
    Closed,
    /// No answer to the request in time.
    #[error("no answer to the association request within {0:?}")]
    NoAnswer(Duration),
    /// A TLS record came instead of an answer.
    #[error("the peer answers in TLS")]
    Tls,
    /// No TLS, where it was asked for.
    #[error("agree on TLS")]
    Handshake(#[from] TlsError),
    /// HTTP or SSH came instead of an answer.
    #[error("the peer speaks {0}, not DICOM")]
    NotDicom(&'static str),
    /// The peer breaks the protocol.
    #[error("the peer's answer breaks the protocol")]
    Protocol(#[from] ProtocolError),
    /// The peer takes no PDU long enough to send anything in.
    #[error(transparent)]
    PduSize(#[from] PduSizeError),
    /// The connection failed.
    #[error("the connection failed")]
    Io(#[source] io::Error),
}

impl AssociateError {
    /// Who has to act.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Resolve { .. } | Self::ContextCount(_) | Self::Request(_) | Self::Tls | Self::NotDicom(_) => {
                Fault::Ours
            }
            Self::Connect { .. } | Self::ConnectTimeout { .. } | Self::Io(_) => Fault::Network,
            Self::Handshake(error) => error.fault(),
            Self::Rejected { .. }
            | Self::Aborted(_)
            | Self::Closed
            | Self::NoAnswer(_)
            | Self::Protocol(_)
            | Self::PduSize(_) => Fault::Peer,
        }
    }

    /// Whether the same may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Rejected { rejection, .. } => rejection.is_transient(),
            Self::Handshake(error) => error.is_transient(),
            Self::Connect { .. }
            | Self::ConnectTimeout { .. }
            | Self::Resolve { .. }
            | Self::Aborted(_)
            | Self::Closed
            | Self::NoAnswer(_)
            | Self::Io(_) => true,
            Self::ContextCount(_)
            | Self::Request(_)
            | Self::Tls
            | Self::NotDicom(_)
            | Self::Protocol(_)
            | Self::PduSize(_) => false,
        }
    }

    /// What to look at or change, for a person.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Resolve { address, .. } => {
                format!("check the spelling of {address} (host:port) and that the name is known to DNS")
            }
            Self::Connect { address, source } if source.kind() == io::ErrorKind::ConnectionRefused => format!(
                "the host is there but nothing listens at {address}: check the port and that the peer is running"
            ),
            Self::Connect { address, .. } | Self::ConnectTimeout { address, .. } => {
                format!("no way to {address}: check the host, the network and the firewalls in between")
            }
            Self::Rejected { called_ae, calling_ae, rejection } => match (rejection.source, rejection.reason) {
                (1, 7) => {
                    format!("the peer is not called {called_ae}: correct the called AE title, it is case-sensitive")
                }
                (1, 3) => format!("the peer does not know {calling_ae}: add it there with the address of this machine"),
                (1, 2) | (2, 2) => "the peer speaks another protocol than DICOM".to_owned(),
                _ if rejection.is_transient() => "the peer is at a limit of its own: try again later".to_owned(),
                _ => format!("ask the peer's log why; mostly it does not know {calling_ae} from this address"),
            },
            Self::Aborted(_) => "ask the peer's log why it gave up".to_owned(),
            Self::Closed => "mostly the peer expects TLS, or a client certificate over TLS, or does not accept \
                             connections from this address"
                .to_owned(),
            Self::NoAnswer(_) => {
                "something listens there but does not answer: the peer hangs, expects TLS, or is not DICOM".to_owned()
            }
            Self::Tls => "this port of the peer expects TLS: use its plain port, or switch TLS on for it".to_owned(),
            Self::Handshake(error) => error.advice(),
            Self::NotDicom(protocol) => {
                format!("another service listens on this port, with {protocol}: check the port")
            }
            Self::ContextCount(_) => "split what is to be sent over several associations".to_owned(),
            Self::Request(_) => "check the AE titles and the implementation version name".to_owned(),
            Self::Protocol(_) => "the peer, or something between, garbles the protocol: capture the traffic".to_owned(),
            Self::PduSize(_) => "raise the maximum PDU length of the peer; 16 KiB is usual".to_owned(),
            Self::Io(_) => "the connection broke: check the network, and try again".to_owned(),
        }
    }
}

impl From<WireError> for AssociateError {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Closed => Self::Closed,
            WireError::Silent(after) => Self::NoAnswer(after),
            WireError::Io(source) if source.kind() == io::ErrorKind::ConnectionReset => Self::Closed,
            // A peer of TLS 1.3 looks at our certificate after the handshake is done on our side.
            WireError::Io(source) if TlsError::is_cause_of(&source) => Self::Handshake(TlsError::within(source)),
            WireError::Io(source) => Self::Io(source),
            WireError::Protocol(error) => Self::Protocol(error),
        }
    }
}

impl From<Stranger> for AssociateError {
    fn from(stranger: Stranger) -> Self {
        match stranger {
            Stranger::Tls => Self::Tls,
            Stranger::Http => Self::NotDicom("HTTP"),
            Stranger::Ssh => Self::NotDicom("SSH"),
        }
    }
}

/// Why an operation on an association failed. All but [`SendError::NotAccepted`] end the association.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The peer accepted no context for this; the association goes on.
    #[error("the peer did not accept {sop_class} in transfer syntax {transfer_syntax}")]
    NotAccepted {
        /// SOP class.
        sop_class: Uid,
        /// Transfer syntax, or the first of those proposed.
        transfer_syntax: Uid,
    },
    /// The data set could not be read from its source.
    #[error("read the data set to be sent")]
    Source(#[source] io::Error),
    /// A-ABORT.
    #[error("the peer aborted {0}")]
    Aborted(Abort),
    /// The connection was closed.
    #[error("the peer closed the connection")]
    Closed,
    /// The connection failed.
    #[error("the connection failed")]
    Io(#[source] io::Error),
    /// The peer takes no more bytes.
    #[error("the peer took no bytes for {0:?}")]
    Stalled(Duration),
    /// No response in time.
    #[error("no response within {0:?}")]
    NoResponse(Duration),
    /// The bytes of a message come too slowly.
    #[error("the peer sends {bytes_per_second} bytes a second")]
    TooSlow {
        /// Its rate.
        bytes_per_second: u64,
    },
    /// The peer breaks the protocol.
    #[error("the peer breaks the protocol")]
    Protocol(#[from] ProtocolError),
    /// An earlier operation failed or was cancelled, so the association cannot be used.
    #[error("the association ended with an earlier failure")]
    Ended,
}

impl SendError {
    /// Who has to act.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Source(_) | Self::Ended => Fault::Ours,
            Self::Closed | Self::Io(_) => Fault::Network,
            Self::NotAccepted { .. }
            | Self::Aborted(_)
            | Self::Stalled(_)
            | Self::NoResponse(_)
            | Self::TooSlow { .. }
            | Self::Protocol(_) => Fault::Peer,
        }
    }

    /// Whether the same may succeed later, on a new association, without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Aborted(_)
            | Self::Closed
            | Self::Io(_)
            | Self::Stalled(_)
            | Self::NoResponse(_)
            | Self::TooSlow { .. }
            | Self::Ended => true,
            Self::NotAccepted { .. } | Self::Source(_) | Self::Protocol(_) => false,
        }
    }
}

impl SendError {
    /// From a failure while bytes were sent.
    pub(crate) fn while_sending(error: WireError) -> Self {
        match error {
            WireError::Silent(after) => Self::Stalled(after),
            other => Self::while_waiting(other),
        }
    }

    /// From a failure while a response was awaited.
    pub(crate) fn while_waiting(error: WireError) -> Self {
        match error {
            WireError::Closed => Self::Closed,
            WireError::Silent(after) => Self::NoResponse(after),
            WireError::Io(source) => Self::Io(source),
            WireError::Protocol(error) => Self::Protocol(error),
        }
    }
}
