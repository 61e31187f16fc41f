//! TLS below DICOM: both roles, versions 1.2 and 1.3, after the BCP 195 profile of PS3.15 § B.12.
//!
//! Certificates and keys come as PEM in memory, since this crate reads no files. [`ServerTls`] and
//! [`ClientTls`] are cheap to clone and never change: to renew a certificate, the next
//! [`ListenerConfig`](crate::ListenerConfig) carries another one, and associations that run keep theirs.

mod certificate;
mod client;
mod error;
mod pem;
mod server;
mod socket;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::{CommonState, SupportedProtocolVersion};

pub use certificate::CertificateInfo;
pub use client::ClientTls;
pub(crate) use client::speaks_tls;
pub use error::{CertificateFault, TlsError, TlsSetupError};
pub use pem::{Certificates, PemError, PrivateKey};
pub use server::{ClientCertificates, ServerTls};
pub(crate) use socket::Socket;

/// The lowest version that is negotiated. TLS 1.3 is preferred whenever the peer has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVersion {
    /// TLS 1.2, which PS3.15 § B.12 asks to be supported.
    #[default]
    Tls12,
    /// TLS 1.3 alone.
    Tls13,
}

impl TlsVersion {
    /// This version and those after it.
    fn and_later(self) -> &'static [&'static SupportedProtocolVersion] {
        static BOTH: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];
        static LATEST: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS13];
        match self {
            Self::Tls12 => &BOTH,
            Self::Tls13 => &LATEST,
        }
    }
}

/// What a handshake agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsInfo {
    /// Such as `TLS 1.3`.
    pub version: &'static str,
    /// The cipher suite by its IANA name.
    pub cipher_suite: String,
    /// The certificate the peer showed, if any.
    pub peer_certificate: Option<CertificateInfo>,
}

impl TlsInfo {
    fn of(connection: &CommonState) -> Self {
        let version = match connection.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
            _ => "TLS 1.2",
        };
        let suite = connection.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()));
        let shown = connection.peer_certificates().and_then(<[_]>::first);
        Self {
            version,
            // rustls names the suites of TLS 1.3 with a prefix of its own.
            cipher_suite: suite.unwrap_or_default().replace("TLS13_", "TLS_"),
            peer_certificate: shown.and_then(|der| CertificateInfo::read(der).ok()),
        }
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
