//! From `host:port` to a connection that an association can run over.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};
use tracing::debug;

use super::error::AssociateError;
use crate::config::RequestorConfig;
use crate::tls::{TlsError, TlsInfo};
use crate::wire::Transport;

/// How far a call got: each step that was done with the time it took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steps {
    /// The name was resolved.
    pub resolve: Option<Duration>,
    /// TCP was connected.
    pub connect: Option<Duration>,
    /// TLS was agreed on.
    pub tls: Option<Duration>,
    /// The association was accepted.
    pub associate: Option<Duration>,
    /// C-ECHO was answered.
    pub echo: Option<Duration>,
    /// The peer's end of the connection.
    pub address: Option<SocketAddr>,
    /// Our end of the connection, which is where the peer sees us unless an address translation is between.
    pub local_address: Option<SocketAddr>,
}

/// A connection, and what is known of it.
pub(super) struct Connected {
    pub(super) transport: Box<dyn Transport>,
    pub(super) address: SocketAddr,
    pub(super) tls: Option<TlsInfo>,
}

/// Resolves, connects, and agrees on TLS where it is asked for, all within the connect timeout.
pub(super) async fn connect(config: &RequestorConfig, steps: &mut Steps) -> Result<Connected, AssociateError> {
    let begin = Instant::now();
    let (stream, address) = tcp(config, steps).await?;
    let Some(tls) = &config.tls else {
        return Ok(Connected { transport: Box::new(stream), address, tls: None });
    };
    let connected = begin.elapsed();
    let handshake = tls.connect(stream, &config.address);
    let (transport, info) = timeout(config.connect_timeout.saturating_sub(connected), handshake)
        .await
        .unwrap_or(Err(TlsError::Silent(config.connect_timeout)))?;
    steps.tls = Some(begin.elapsed().saturating_sub(connected));
    Ok(Connected { transport, address, tls: Some(info) })
}

/// Tries the addresses of the name in their order, all within the connect timeout.
pub(super) async fn tcp(
    config: &RequestorConfig,
    steps: &mut Steps,
) -> Result<(TcpStream, SocketAddr), AssociateError> {
    let address = || config.address.clone();
    let begin = Instant::now();
    let attempts = async {
        let candidates = lookup_host(&config.address)
            .await
            .map_err(|source| AssociateError::Resolve { address: address(), source })?;
        let resolved = begin.elapsed();
        steps.resolve = Some(resolved);
        let mut failure = io::Error::from(io::ErrorKind::NotFound);
        for candidate in candidates {
            match TcpStream::connect(candidate).await {
                Ok(stream) => {
                    steps.connect = Some(begin.elapsed().saturating_sub(resolved));
                    return Ok((stream, candidate));
                }
                Err(error) => failure = error,
            }
        }
        Err(AssociateError::Connect { address: address(), source: failure })
    };
    let (stream, candidate) = timeout(config.connect_timeout, attempts).await.unwrap_or_else(|_elapsed| {
        Err(AssociateError::ConnectTimeout { address: address(), after: config.connect_timeout })
    })?;
    steps.address = Some(candidate);
    steps.local_address = stream.local_addr().ok();
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "TCP_NODELAY");
    }
    Ok((stream, candidate))
}
