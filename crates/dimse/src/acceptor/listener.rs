//! Accepts connections until told to stop, then waits for what is in progress.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, debug, info, info_span, warn};

use super::admission::{Admission, Turns};
use super::session::{Connection, Shared, serve_connection};
use crate::config::ListenerConfig;
use crate::counters::{Counters, add};
use crate::service::StorageService;
use crate::tls::Socket;

/// Pause after a failed accept, mostly for want of file descriptors, which connections that end give back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The sockets of one node, which share its limits; see [`crate::bind`].
#[derive(Debug, Default)]
pub struct Listeners {
    /// For DICOM over TCP.
    pub plain: Option<TcpListener>,
    /// For DICOM over TLS, with what [`ListenerConfig::tls`] holds.
    pub tls: Option<TcpListener>,
}

impl From<TcpListener> for Listeners {
    fn from(plain: TcpListener) -> Self {
        Self { plain: Some(plain), tls: None }
    }
}

impl Listeners {
    /// The next connection, whichever socket it comes to.
    async fn accept(&self) -> io::Result<(Connection, SocketAddr)> {
        tokio::select! {
            plain = accept(self.plain.as_ref()) => plain.map(|(stream, peer)| (Connection::Plain(Box::new(stream)), peer)),
            tls = accept(self.tls.as_ref()) => tls.map(|(stream, peer)| (Connection::Tls(Socket::new(stream)), peer)),
        }
    }
}

/// The next connection of a socket; never, where there is none.
async fn accept(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    let Some(listener) = listener else { return std::future::pending().await };
    let (stream, peer) = listener.accept().await?;
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, %peer, "TCP_NODELAY");
    }
    Ok((stream, canonical(peer)))
}

/// A v4 peer of a v6 socket comes as `::ffff:a.b.c.d`, which no v4 network contains and nobody knows it by.
fn canonical(peer: SocketAddr) -> SocketAddr {
    match peer.ip().to_canonical() {
        v4 @ IpAddr::V4(_) => SocketAddr::new(v4, peer.port()),
        IpAddr::V6(_) => peer,
    }
}

/// Serves the associations that come to `listeners`.
///
/// Each association keeps the config that `config` held when it connected. When `shutdown` is
/// cancelled, no connection is accepted any more, each association finishes the message it is in, with
/// its response, and is then aborted as by the service user; what is still going on after
/// [`Timeouts::drain`](crate::Timeouts::drain) is broken off. Returns when all have ended.
pub async fn serve<S: StorageService>(
    listeners: impl Into<Listeners>,
    config: watch::Receiver<Arc<ListenerConfig>>,
    service: Arc<S>,
    counters: Arc<Counters>,
    shutdown: CancellationToken,
) {
    let listeners = listeners.into();
    let shared = Arc::new(Shared {
        service,
        counters,
        admission: Admission::default(),
        turns: Turns::default(),
        shutdown: shutdown.clone(),
        broken_off: CancellationToken::new(),
    });
    let tasks = TaskTracker::new();
    let mut number: u64 = 0;
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = listeners.accept() => accepted,
        };
        let (connection, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_of_the_connection(&error) => continue,
            Err(error) => {
                warn!(%error, "connection not accepted");
                shared.admission.evict_oldest();
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        number = number.saturating_add(1);
        add(&shared.counters.connections, 1);
        let config = config.borrow().clone();
        let half_open = shared.admission.connected(number, config.limits.half_open);
        let served = serve_connection(connection, peer, number, config, shared.clone(), half_open);
        tasks.spawn(served.instrument(info_span!("association", association = number, %peer)));
    }
    drop(listeners);
    tasks.close();
    let grace = config.borrow().timeouts.drain;
    if !tasks.is_empty() {
        info!(connections = tasks.len(), ?grace, "draining");
    }
    if tokio::time::timeout(grace, tasks.wait()).await.is_err() {
        warn!(connections = tasks.len(), "the time to drain is over");
        shared.broken_off.cancel();
        tasks.wait().await;
    }
}

/// Errors that concern only the connection that was about to be accepted (accept(2)).
fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[tokio::test]
    async fn a_v4_peer_of_a_v6_socket_has_its_v4_address() {
        let Ok(listener) = TcpListener::bind("[::]:0").await else {
            eprintln!("skipped: this machine has no IPv6");
            return;
        };
        let port = listener.local_addr().unwrap().port();
        let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else {
            eprintln!("skipped: IPv6 sockets of this machine take no IPv4");
            return;
        };
        let (_, peer) = accept(Some(&listener)).await.unwrap();
        assert_eq!(peer, stream.local_addr().unwrap());
    }
}
