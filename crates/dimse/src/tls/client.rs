//! TLS as the side that calls.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::error::{TlsError, TlsSetupError};
use super::pem::{Certificates, PrivateKey};
use super::socket::Socket;
use super::{TlsInfo, TlsVersion, provider};
use crate::wire::{Stranger, Transport};

/// Whom we trust when we call, and what we show.
#[derive(Clone)]
pub struct ClientTls {
    connector: TlsConnector,
    server_name: Option<ServerName<'static>>,
}

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientTls").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

impl ClientTls {
    /// Trusts what `authorities` have signed, and shows `identity` where the peer asks for a certificate.
    ///
    /// # Errors
    /// [`TlsSetupError`]: key and certificate do not belong together, or an authority cannot be trusted as one.
    pub fn new(
        authorities: &Certificates,
        identity: Option<(&Certificates, &PrivateKey)>,
        minimum_version: TlsVersion,
    ) -> Result<Self, TlsSetupError> {
        let roots = authorities.as_roots().map_err(TlsSetupError::Authority)?;
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(minimum_version.and_later())
            .map_err(TlsSetupError::Identity)?
            .with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                builder.with_client_auth_cert(chain.der.clone(), key.0.clone_key()).map_err(TlsSetupError::Identity)?
            }
        };
        Ok(Self { connector: Arc::new(config).into(), server_name: None })
    }

    /// Expects `name` in the peer's certificate instead of the host it is called at.
    ///
    /// # Errors
    /// [`TlsSetupError::ServerName`] when it is neither a DNS name nor an IP address.
    pub fn with_server_name(self, name: &str) -> Result<Self, TlsSetupError> {
        let server_name =
            ServerName::try_from(name.to_owned()).map_err(|_| TlsSetupError::ServerName(name.to_owned()))?;
        Ok(Self { server_name: Some(server_name), ..self })
    }

    /// The handshake with the peer at `address` (`host:port`).
    pub(crate) async fn connect(
        &self,
        stream: TcpStream,
        address: &str,
    ) -> Result<(Box<dyn Transport>, TlsInfo), TlsError> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => host_name(address).ok_or_else(|| TlsError::HostName(address.to_owned()))?,
        };
        let connected = self.connector.connect(name, Socket::new(stream)).into_fallible().await;
        let mut stream = connected.map_err(|(error, socket)| TlsError::of(error, socket.greeted()))?;
        let info = TlsInfo::of(stream.get_ref().1);
        stream.get_mut().0.secured();
        Ok((Box::new(stream), info))
    }
}

/// Whether the peer answers a TLS handshake at all. It trusts nobody, so that it never goes further.
pub(crate) async fn speaks_tls(stream: TcpStream, address: &str) -> bool {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(TlsVersion::Tls12.and_later())
        .map(|builder| builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
    let (Ok(config), Some(name)) = (config, host_name(address)) else { return false };
    match TlsConnector::from(Arc::new(config)).connect(name, Socket::new(stream)).into_fallible().await {
        Ok(_) => true,
        Err((_, socket)) => Stranger::of(socket.greeted()) == Some(Stranger::Tls),
    }
}

/// The host of `host:port`, an IPv6 address in brackets included.
fn host_name(address: &str) -> Option<ServerName<'static>> {
    let (host, _) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    ServerName::try_from(host.to_owned()).ok()
}

impl<T: Transport> Transport for TlsStream<T> {
    fn quick_ack(&self) {
        self.get_ref().0.quick_ack();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_what_stands_before_the_port() {
        for (address, host) in [
            ("pacs.example:2762", Some("pacs.example")),
            ("10.0.1.9:104", Some("10.0.1.9")),
            ("[::1]:104", Some("::1")),
        ] {
            assert_eq!(host_name(address).map(|name| name.to_str().into_owned()).as_deref(), host, "{address}");
        }
        assert_eq!(host_name("no port"), None);
    }
}
