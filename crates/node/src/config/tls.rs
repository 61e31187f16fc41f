use std::net::SocketAddr;
use std::path::PathBuf;

use dokuei_dimse::TlsVersion;
use serde::Deserialize;

/// `[tls]`: the port for DICOM over TLS.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// Address and port to listen on, beside `node.listen`.
    pub(crate) listen: SocketAddr,
    /// Our certificate and its intermediates, in PEM.
    pub(crate) certificate: PathBuf,
    /// Its key, in PEM, not encrypted.
    pub(crate) key: PathBuf,
    /// The authorities that issue the certificates of clients, in PEM.
    pub(crate) client_ca: Option<PathBuf>,
    /// Whether clients show a certificate; by default required with a `client_ca`, else none.
    pub(crate) client_certificate: Option<ClientCertificate>,
    /// The lowest version that is negotiated.
    #[serde(default)]
    pub(crate) minimum_version: MinimumVersion,
}

/// Whether clients show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ClientCertificate {
    None,
    Accepted,
    Required,
}

/// The lowest version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub(crate) enum MinimumVersion {
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    #[serde(rename = "1.3")]
    Tls13,
}

impl From<MinimumVersion> for TlsVersion {
    fn from(version: MinimumVersion) -> Self {
        match version {
            MinimumVersion::Tls12 => Self::Tls12,
            MinimumVersion::Tls13 => Self::Tls13,
        }
    }
}

/// `tls` of a destination: it is called over TLS.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DestinationTls {
    /// The authorities that may have issued its certificate, in PEM.
    pub(crate) ca: PathBuf,
    /// Our certificate, where it wants to see one, in PEM.
    pub(crate) certificate: Option<PathBuf>,
    /// The key of that certificate, in PEM, not encrypted.
    pub(crate) key: Option<PathBuf>,
    /// The name its certificate carries; by default the host of `address`.
    pub(crate) server_name: Option<String>,
    /// The lowest version that is negotiated.
    #[serde(default)]
    pub(crate) minimum_version: MinimumVersion,
}
