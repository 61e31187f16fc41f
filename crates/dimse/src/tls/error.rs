//! Why there is no TLS, by what has to be changed.

use std::io;
use std::time::Duration;

use rustls::{AlertDescription, CertificateError, InvalidMessage};

use crate::pdu::PduKind;
use crate::sender::Fault;
use crate::wire::Stranger;

/// Why certificates, keys and authorities that could be read cannot be used together.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetupError {
    /// The certificate, or a key that is not its own.
    #[error("the key does not belong to the certificate, or is of a kind that cannot be used")]
    Identity(#[source] rustls::Error),
    /// A certificate that cannot be an authority.
    #[error("one of the certificates cannot be trusted as an authority")]
    Authority(#[source] rustls::Error),
    /// Not a name a certificate could have.
    #[error("{0:?} is neither a DNS name nor an IP address")]
    ServerName(String),
}

/// Why a handshake, or what came right after it, failed.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A DICOM PDU came.
    #[error("the peer speaks DICOM without TLS on this port")]
    Plain,
    /// HTTP or SSH came.
    #[error("the peer speaks neither TLS nor DICOM on this port")]
    Stranger,
    /// The connection was closed.
    #[error("the peer closed the connection during the TLS handshake")]
    Closed,
    /// No end of the handshake in time.
    #[error("no end of the TLS handshake within {0:?}")]
    Silent(Duration),
    /// The peer's certificate does not convince us.
    #[error("the peer's certificate is refused: {fault}")]
    Certificate {
        /// In what.
        fault: CertificateFault,
        /// What the library says.
        source: rustls::Error,
    },
    /// The peer refused what we offer or show.
    #[error("the peer refused the TLS handshake: {0}")]
    Refused(Alert),
    /// No version, cipher suite or signature scheme in common.
    #[error("the peer has no TLS version and cipher suite in common with us")]
    Incompatible(#[source] rustls::Error),
    /// The host of an address that no certificate could name.
    #[error("{0:?} has no host name that a certificate could carry")]
    HostName(String),
    /// The peer breaks the protocol.
    #[error("the peer breaks the TLS protocol")]
    Protocol(#[source] rustls::Error),
    /// The connection failed.
    #[error("the connection failed during the TLS handshake")]
    Io(#[source] io::Error),
}

/// An alert, by its name of RFC 8446 § 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alert(AlertDescription);

impl std::fmt::Display for Alert {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "alert {:?}", self.0)
    }
}

/// What is wrong with a peer's certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// It showed none.
    #[error("it shows none")]
    Missing,
    /// No authority that is trusted here has signed it.
    #[error("no trusted authority has signed it")]
    UnknownIssuer,
    /// Its time is over.
    #[error("it has expired")]
    Expired,
    /// Its time has not come, or a clock is wrong.
    #[error("it is not valid yet")]
    NotYetValid,
    /// It is for other names.
    #[error("it is for {}, not for {expected}", names(presented))]
    Name {
        /// The name we called.
        expected: String,
        /// The names it carries.
        presented: Vec<String>,
    },
    /// A certificate of an authority where one of its subjects is due.
    #[error("it is the certificate of an authority")]
    Authority,
    /// Made for another purpose, such as for clients only.
    #[error("it was issued for another purpose")]
    Purpose,
    /// Anything else.
    #[error("it cannot be verified")]
    Other,
}

fn names(presented: &[String]) -> String {
    if presented.is_empty() { "no name at all".to_owned() } else { presented.join(", ") }
}

impl TlsError {
    /// From a handshake that failed, with the first bytes the peer sent.
    pub(super) fn of(error: io::Error, greeting: &[u8]) -> Self {
        match Stranger::of(greeting) {
            Some(Stranger::Http | Stranger::Ssh) => return Self::Stranger,
            Some(Stranger::Tls) | None => {}
        }
        if greeting.first().is_some_and(|byte| PduKind::of(*byte).is_some()) {
            return Self::Plain;
        }
        Self::within(error)
    }

    /// From an error of a stream in TLS.
    pub(crate) fn within(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                return Self::Closed;
            }
            _ => {}
        }
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(inner) => inner.clone().into(),
            None => Self::Io(error),
        }
    }

    /// Whether `error` is of TLS and not of the connection below.
    pub(crate) fn is_cause_of(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
    }

    /// Who has to act when we called.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Plain | Self::Stranger | Self::Refused(_) | Self::HostName(_) => Fault::Ours,
            Self::Io(_) => Fault::Network,
            Self::Closed | Self::Silent(_) | Self::Certificate { .. } | Self::Incompatible(_) | Self::Protocol(_) => {
                Fault::Peer
            }
        }
    }

    /// Whether the same may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Closed | Self::Silent(_) | Self::Io(_) => true,
            Self::Plain
            | Self::Stranger
            | Self::Certificate { .. }
            | Self::Refused(_)
            | Self::Incompatible(_)
            | Self::HostName(_)
            | Self::Protocol(_) => false,
        }
    }

    /// What to look at or change when a peer called us, for the log.
    pub(crate) fn advice_to_listener(&self) -> &'static str {
        match self {
            Self::Certificate { fault: CertificateFault::Missing, .. } => {
                "the peer shows no client certificate; give it one, or set client_certificate to \"accepted\""
            }
            Self::Certificate { fault: CertificateFault::UnknownIssuer, .. } => {
                "add the authority that issued the peer's certificate to client_ca"
            }
            Self::Certificate { .. } => "give the peer a client certificate that is valid",
            Self::Refused(_) => {
                "mostly the peer does not trust our certificate: add the authority that issued it there"
            }
            Self::Incompatible(_) => "the peer has to offer TLS 1.2 or 1.3 with a cipher suite of BCP 195",
            Self::Plain
            | Self::Stranger
            | Self::Closed
            | Self::Silent(_)
            | Self::HostName(_)
            | Self::Protocol(_)
            | Self::Io(_) => "look at the settings of the peer",
        }
    }

    /// What to look at or change when we called, for a person.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Plain => "switch TLS off for this peer, or use its TLS port (2762 is usual)",
            Self::Stranger => "another service listens on this port: check the port",
            Self::Closed => {
                "mostly the peer expects no TLS on this port, or wants a client certificate: check the port and its log"
            }
            Self::Silent(_) => "something listens there but does not answer in TLS: check the port, and that TLS is on there",
            Self::Certificate { fault, .. } => return fault.advice().to_owned(),
            Self::Refused(Alert(alert)) => return refused(*alert).to_owned(),
            Self::Incompatible(_) => {
                "the peer offers neither TLS 1.2 nor 1.3 with a cipher suite of BCP 195: update it or switch them on there"
            }
            Self::HostName(_) => "set server_name to the name in the peer's certificate",
            Self::Protocol(_) => "the peer, or something between, garbles TLS: capture the traffic",
            Self::Io(_) => "the connection broke: check the network, and try again",
        }
        .to_owned()
    }
}

impl CertificateFault {
    /// What to change when a peer we called showed it.
    fn advice(&self) -> &'static str {
        match self {
            Self::Missing => "give the peer a certificate",
            Self::UnknownIssuer => {
                "check that `ca` is the authority that issued the peer's certificate, and that the peer sends its intermediates"
            }
            Self::Expired => "renew the peer's certificate; if it is still valid, set the clock of this machine",
            Self::NotYetValid => "set the clocks of both machines",
            Self::Name { .. } => {
                "set server_name to a name the certificate carries, or issue one for the host that is called"
            }
            Self::Authority => "issue the peer a certificate of its own from that authority",
            Self::Purpose => "issue the peer a certificate for TLS servers",
            Self::Other => "look at the certificate with `openssl x509 -text`",
        }
    }
}

/// What to change when the peer sent this alert.
fn refused(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::CertificateRequired | AlertDescription::NoCertificate => {
            "the peer wants a client certificate: set certificate and key"
        }
        AlertDescription::UnknownCA | AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => {
            "the peer does not trust our certificate: add the authority that issued it there"
        }
        AlertDescription::CertificateExpired => "our certificate has expired: renew it",
        AlertDescription::HandshakeFailure => {
            "mostly the peer wants a client certificate (set certificate and key), or shares no cipher suite with us"
        }
        AlertDescription::ProtocolVersion | AlertDescription::InsufficientSecurity => {
            "the peer and we share no TLS version: TLS 1.2 or 1.3 has to be switched on there"
        }
        AlertDescription::UnrecognisedName => "the peer has no certificate for this name: set server_name",
        _ => "ask the peer's log why",
    }
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        use rustls::Error;
        match &error {
            Error::InvalidCertificate(fault) => {
                let fault = CertificateFault::from(fault);
                Self::Certificate { fault, source: error }
            }
            Error::NoCertificatesPresented => Self::Certificate { fault: CertificateFault::Missing, source: error },
            Error::AlertReceived(alert) => Self::Refused(Alert(*alert)),
            Error::PeerIncompatible(_) => Self::Incompatible(error),
            Error::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion) => {
                Self::Stranger
            }
            _ => Self::Protocol(error),
        }
    }
}

/// The name in what the library writes as `DnsName("pacs.example")`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, inner)| inner.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}

impl From<&CertificateError> for CertificateFault {
    fn from(error: &CertificateError) -> Self {
        match error {
            CertificateError::UnknownIssuer => Self::UnknownIssuer,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            CertificateError::NotValidForNameContext { expected, presented } => {
                let presented = presented.iter().map(|name| bare(name).to_owned()).collect();
                Self::Name { expected: expected.to_str().into_owned(), presented }
            }
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => Self::Purpose,
            // The library has no variant of its own for it.
            other if format!("{other:?}").contains("CaUsedAsEndEntity") => Self::Authority,
            _ => Self::Other,
        }
    }
}
