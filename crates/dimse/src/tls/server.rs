//! TLS as the side that is called.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{ClientCertVerifierBuilder, VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::error::{TlsError, TlsSetupError};
use super::pem::{Certificates, PrivateKey};
use super::socket::Socket;
use super::{TlsInfo, TlsVersion, provider};
use crate::wire::Transport;

/// Whether clients show certificates.
#[derive(Debug, Clone, Copy)]
pub enum ClientCertificates<'a> {
    /// None are asked for.
    Ignored,
    /// One that is shown has to come from these authorities; none is fine too.
    Accepted(&'a Certificates),
    /// Each client has to show one from these authorities.
    Required(&'a Certificates),
}

/// The certificate, key and policy of a listener.
#[derive(Clone)]
pub struct ServerTls {
    acceptor: TlsAcceptor,
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerTls")
    }
}

impl ServerTls {
    /// A listener that shows `chain`, owned with `key`.
    ///
    /// # Errors
    /// [`TlsSetupError`]: key and certificate do not belong together, or an authority cannot be trusted as one.
    pub fn new(
        chain: &Certificates,
        key: &PrivateKey,
        clients: ClientCertificates<'_>,
        minimum_version: TlsVersion,
    ) -> Result<Self, TlsSetupError> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(minimum_version.and_later())
            .map_err(TlsSetupError::Identity)?;
        let builder = match clients {
            ClientCertificates::Ignored => builder.with_no_client_auth(),
            ClientCertificates::Accepted(authorities) => {
                builder.with_client_cert_verifier(verifier(authorities)?.allow_unauthenticated().build()?)
            }
            ClientCertificates::Required(authorities) => {
                builder.with_client_cert_verifier(verifier(authorities)?.build()?)
            }
        };
        let config = builder.with_single_cert(chain.der.clone(), key.0.clone_key()).map_err(TlsSetupError::Identity)?;
        Ok(Self { acceptor: Arc::new(config).into() })
    }

    /// The handshake; without one, the connection comes back so that the alert can be read before it closes.
    pub(crate) async fn accept(&self, socket: Socket) -> Result<(Box<dyn Transport>, TlsInfo), (TlsError, Socket)> {
        let accepted = self.acceptor.accept(socket).into_fallible().await;
        let mut stream = accepted.map_err(|(error, socket)| (TlsError::of(error, socket.greeted()), socket))?;
        let info = TlsInfo::of(stream.get_ref().1);
        stream.get_mut().0.secured();
        Ok((Box::new(stream), info))
    }
}

fn verifier(authorities: &Certificates) -> Result<ClientCertVerifierBuilder, TlsSetupError> {
    let roots = authorities.as_roots().map_err(TlsSetupError::Authority)?;
    Ok(WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()))
}

impl<T: Transport> Transport for TlsStream<T> {
    fn quick_ack(&self) {
        self.get_ref().0.quick_ack();
    }
}

impl From<VerifierBuilderError> for TlsSetupError {
    fn from(error: VerifierBuilderError) -> Self {
        Self::Authority(rustls::Error::General(error.to_string()))
    }
}
