//! The TLS port of the listener: the handshake, and what comes instead of one.

use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::session::part;
use crate::config::ListenerConfig;
use crate::pdu::{PduKind, Rejection};
use crate::tls::{ServerTls, Socket, TlsError, TlsInfo};
use crate::wire::{Stranger, Transport, Wire};

/// Agrees on TLS while ARTIM runs. `None` when there is none; the log then says why.
pub(super) async fn secure(socket: Socket, config: &ListenerConfig) -> Option<Box<dyn Transport>> {
    let Some(tls) = &config.tls else {
        warn!("refused: the configuration has no certificate any more");
        return None;
    };
    let Ok(secured) = timeout(config.timeouts.artim, handshake(socket, tls, config)).await else {
        info!(after = ?config.timeouts.artim, "no TLS handshake in time");
        return None;
    };
    secured
}

async fn handshake(mut socket: Socket, tls: &ServerTls, config: &ListenerConfig) -> Option<Box<dyn Transport>> {
    let greeting = match socket.greeting().await {
        Ok(greeting) => greeting,
        Err(error) => {
            debug!(%error, "closed before a TLS handshake");
            return None;
        }
    };
    if greeting.first().is_some_and(|byte| PduKind::of(*byte).is_some()) {
        return refuse_plain(socket, config).await;
    }
    match Stranger::of(greeting) {
        Some(Stranger::Http) => {
            warn!("a web client called the DICOM TLS port");
            return None;
        }
        Some(Stranger::Ssh) => {
            warn!("an SSH client called the DICOM TLS port");
            return None;
        }
        Some(Stranger::Tls) | None => {}
    }
    match tls.accept(socket).await {
        Ok((transport, TlsInfo { version, cipher_suite, peer_certificate })) => {
            let certificate = peer_certificate.map(|shown| shown.subject);
            debug!(version, cipher_suite, certificate, "TLS");
            Some(transport)
        }
        Err((error, socket)) => {
            match error {
                TlsError::Closed => debug!("closed during the TLS handshake"),
                _ => warn!(error = &error as &dyn std::error::Error, "no TLS: {}", error.advice_to_listener()),
            }
            // The alert is lost when the connection is closed with bytes unread.
            Wire::new(Box::new(socket), 0).await_close(config.timeouts.closing).await;
            None
        }
    }
}

/// A DICOM peer without TLS is told so in DICOM.
async fn refuse_plain(socket: Socket, config: &ListenerConfig) -> Option<Box<dyn Transport>> {
    warn!("the peer speaks DICOM without TLS to the TLS port; switch TLS on there, or let it use the plain port");
    let mut wire = Wire::new(Box::new(socket), config.limits.pdu_length);
    // What it says is read to its end: bytes left unread would take the answer away from it.
    if let Err(error) = wire.opening(config.limits.associate_request_bytes).await {
        debug!(error = &error as &dyn std::error::Error, "not an association request");
    }
    part(&mut wire, &Rejection::NO_REASON.to_pdu(), config).await
}
