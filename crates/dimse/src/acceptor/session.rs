//! One connection of the listener, from its first byte to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dicom_ul::pdu::AssociationRQ;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::admission::{Admission, Admitted, HalfOpen, Turns};
use super::established::Established;
use super::inbound::Inbound;
use super::negotiation::{Negotiated, negotiate};
use super::securing::secure;
use super::user_information::takes_time;
use crate::config::{Happened, ListenerConfig, Observed};
use crate::counters::{Counters, Gauge, Open, add};
use crate::pdu::{Abort, Rejection, read_request};
use crate::service::StorageService;
use crate::sop_class::Named;
use crate::state::{self, Action, State};
use crate::tls::Socket;
use crate::wire::{Opening, Stranger, Transport, Wire, WireError};

/// How long the peer has to take that nothing follows.
const GOODBYE: Duration = Duration::from_millis(200);

/// What the connections of one listener share.
pub(crate) struct Shared<S> {
    pub(crate) service: Arc<S>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) admission: Admission,
    /// At decisions that take time.
    pub(crate) turns: Turns,
    /// Finish what is in progress and end.
    pub(crate) shutdown: CancellationToken,
    /// End at once.
    pub(crate) broken_off: CancellationToken,
}

/// A connection as it was accepted.
pub(crate) enum Connection {
    Plain(Box<dyn Transport>),
    /// TLS is still to be agreed on.
    Tls(Socket),
}

/// Serves one connection until it is closed.
pub(crate) async fn serve_connection<S: StorageService>(
    connection: Connection,
    peer: SocketAddr,
    number: u64,
    config: Arc<ListenerConfig>,
    shared: Arc<Shared<S>>,
    half_open: HalfOpen,
) {
    let gauge = Gauge::new(&shared.counters.half_open);
    let evicted = half_open.evicted.clone();
    let opened = tokio::select! {
        biased;
        () = evicted.cancelled() => {
            debug!("gave way to newer connections before it asked for an association");
            None
        }
        () = shared.shutdown.cancelled() => None,
        opened = open(connection, (peer, number), &config, &shared) => opened,
    };
    drop((half_open, gauge));
    let Some((wire, negotiated, admitted)) = opened else { return };

    info!(
        calling_ae = %negotiated.calling_ae,
        called_ae = %negotiated.called_ae,
        user = negotiated.user.as_deref(),
        contexts = negotiated.contexts.len(),
        operations_window = negotiated.operations_window,
        implementation = negotiated.implementation_version_name.as_deref().unwrap_or_default(),
        "association accepted"
    );
    let observe = |what| {
        if let Some(observer) = &config.observer {
            let (calling_ae, called_ae) = (negotiated.calling_ae.as_str(), negotiated.called_ae.as_str());
            observer.observe(&Observed { association: number, peer, calling_ae, called_ae, what });
        }
    };
    observe(Happened::Opened);
    let open = (admitted, Open::new(&shared.counters, peer));
    let inbound = Inbound::new(shared.service.clone(), negotiated.clone(), number, peer, &config.limits);
    let (mut wire, last_words) = Established::new(wire, inbound, negotiated.clone(), &config, &shared).run().await;
    observe(Happened::Closed);
    // The association is over and its place is free; only the connection is left, which gives way like those that have not
    // associated.
    drop(open);
    let left = shared.admission.connected(number, config.limits.half_open);
    if let Some(pdu) = last_words
        && wire.send(&pdu, config.timeouts.closing).await.is_ok()
    {
        tokio::select! {
            () = left.evicted.cancelled() => {}
            () = linger(&mut wire, &config) => {}
        }
    }
}

/// From the connection to the association. `None` when there is none.
async fn open<S: StorageService>(
    connection: Connection,
    from: (SocketAddr, u64),
    config: &ListenerConfig,
    shared: &Shared<S>,
) -> Option<(Wire, Arc<Negotiated>, Admitted)> {
    let begin = Instant::now();
    let transport = match connection {
        Connection::Plain(transport) => transport,
        Connection::Tls(socket) => secure(socket, config).await?,
    };
    let mut wire = Wire::new(transport, config.limits.pdu_length);
    let left = config.timeouts.artim.saturating_sub(begin.elapsed());
    let (negotiated, admitted) = associate(&mut wire, left, from, config, shared).await?;
    Some((wire, negotiated, admitted))
}

/// Sta2: for as long as ARTIM runs, until the request is answered. `None` when there is no association.
async fn associate<S: StorageService>(
    wire: &mut Wire,
    artim: Duration,
    (peer, number): (SocketAddr, u64),
    config: &ListenerConfig,
    shared: &Shared<S>,
) -> Option<(Arc<Negotiated>, Admitted)> {
    let begin = Instant::now();
    let opening = match timeout(artim, wire.opening(config.limits.associate_request_bytes)).await {
        Ok(Ok(opening)) => opening,
        // AA-2: nobody is there to be told.
        Err(_elapsed) => {
            info!(after = ?config.timeouts.artim, "no association was asked for in time");
            return None;
        }
        Ok(Err(WireError::Protocol(error))) => {
            warn!(%error, "not an association request");
            return part(wire, &Abort::USER.to_pdu(), config).await;
        }
        Ok(Err(error)) => {
            debug!(error = &error as &dyn std::error::Error, "closed before an association");
            return None;
        }
    };
    let body = match opening {
        Opening::Stranger(stranger) => {
            warn!("{}", mistaken(stranger));
            return None;
        }
        Opening::Pdu(kind, body) => match state::action(State::Sta2, state::Event::Pdu(kind)) {
            Action::Ae6 => body,
            Action::Aa2 => return None,
            _ => {
                warn!(%kind, "unexpected before an association");
                return part(wire, &Abort::USER.to_pdu(), config).await;
            }
        },
    };
    let request = match read_request(&body) {
        Ok(request) => request,
        Err(error) => {
            warn!(%error, "association request cannot be read");
            return part(wire, &Abort::USER.to_pdu(), config).await;
        }
    };
    let turn = match takes_time(&request.user_variables, config) {
        false => None,
        // The peer has nothing to say now, but that it is gone.
        true => tokio::select! {
            turn = shared.turns.take(peer.ip()) => Some(turn),
            outcome = wire.fill_idle(artim.saturating_sub(begin.elapsed())) => {
                let why = if let Err(WireError::Silent(_)) = outcome { "others took the time" } else { "it did not wait" };
                info!("the user identity was not looked at: {why}");
                return None;
            }
        },
    };
    let decided = unblocked(true, || decide(&request, peer, config, shared));
    drop(turn);
    let (mut negotiated, admitted) = match decided {
        Ok(decided) => decided,
        Err(rejection) => {
            shared.counters.rejected.add(rejection);
            warn!(
                calling_ae = request.calling_ae_title,
                called_ae = request.called_ae_title,
                %rejection,
                "association rejected"
            );
            if let Some(observer) = &config.observer {
                let (calling_ae, called_ae) = (request.calling_ae_title.trim(), request.called_ae_title.trim());
                let why = rejection.to_string();
                let what = Happened::Refused(&why);
                observer.observe(&Observed { association: number, peer, calling_ae, called_ae, what });
            }
            return part(wire, &rejection.to_pdu(), config).await;
        }
    };
    for context in &request.presentation_contexts {
        if negotiated.context(context.id).is_none() {
            debug!(id = context.id, abstract_syntax = %Named(&context.abstract_syntax), "context refused");
        }
    }
    return_titles(&body, &mut negotiated.answer);
    if let Err(error) = wire.send(&negotiated.answer, config.timeouts.within_message).await {
        debug!(error = &error as &dyn std::error::Error, "closed while it was accepted");
        return None;
    }
    add(&shared.counters.accepted, 1);
    Some((Arc::new(negotiated), admitted))
}

/// Has an A-ASSOCIATE-AC give the AE titles of the request's body and the reserved bytes behind them back as they came
/// (PS3.8 Table 9-17).
fn return_titles(request: &[u8], answer: &mut [u8]) {
    if let (Some(came), Some(goes)) = (request.get(4..68), answer.get_mut(10..74)) {
        goes.copy_from_slice(came);
    }
}

/// Whether the association can be, and whether there is room for it.
fn decide<S: StorageService>(
    request: &AssociationRQ,
    peer: SocketAddr,
    config: &ListenerConfig,
    shared: &Shared<S>,
) -> Result<(Negotiated, Admitted), Rejection> {
    let negotiated = negotiate(request, peer, config)?;
    if negotiated.is_for_storage() && shared.service.is_congested() {
        return Err(Rejection::CONGESTION);
    }
    let room = shared.admission.associate(peer.ip(), &config.limits);
    Ok((negotiated, room.ok_or(Rejection::LOCAL_LIMIT)?))
}

/// Sends the last PDU and waits for the peer to close (Sta13).
pub(super) async fn part<T>(wire: &mut Wire, pdu: &[u8], config: &ListenerConfig) -> Option<T> {
    if wire.send(pdu, config.timeouts.closing).await.is_ok() {
        linger(wire, config).await;
    }
    None
}

/// Waits for the peer to close (Sta13), and says the end that TLS wants said.
async fn linger(wire: &mut Wire, config: &ListenerConfig) {
    wire.await_close(config.timeouts.closing).await;
    wire.say_goodbye(GOODBYE).await;
}

pub(super) fn mistaken(stranger: Stranger) -> &'static str {
    match stranger {
        Stranger::Tls => "the peer speaks TLS to a port that does not; switch it off there or use the TLS port",
        Stranger::Http => "a web client called the DICOM port",
        Stranger::Ssh => "an SSH client called the DICOM port",
    }
}

/// Runs what may block; where the runtime has other threads, they take over the other connections.
pub(crate) fn unblocked<R>(may_block: bool, run: impl FnOnce() -> R) -> R {
    let threads = may_block && Handle::current().runtime_flavor() != RuntimeFlavor::CurrentThread;
    if threads { tokio::task::block_in_place(run) } else { run() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Implementation;
    use crate::message::Refusal;
    use crate::service::{IncomingInstance, StoreRequest};
    use dokuei_types::{AeTitle, Uid};
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, DuplexStream};

    struct Nothing;

    impl StorageService for Nothing {
        type Incoming = Nothing;
        fn begin(&self, _request: StoreRequest<'_>) -> Result<Nothing, Refusal> {
            Ok(Nothing)
        }
    }

    impl IncomingInstance for Nothing {
        type Committed = ();
        fn write(&mut self, _bytes: &[u8]) -> Result<(), Refusal> {
            Ok(())
        }
        async fn commit(self) -> Result<(), Refusal> {
            Ok(())
        }
    }

    fn connection(
        number: u64,
        config: &Arc<ListenerConfig>,
        shared: &Arc<Shared<Nothing>>,
    ) -> (DuplexStream, impl Future<Output = ()> + Send + 'static) {
        let (near, far) = tokio::io::duplex(64);
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let half_open = shared.admission.connected(number, config.limits.half_open);
        (
            far,
            serve_connection(
                Connection::Plain(Box::new(near)),
                peer,
                number,
                config.clone(),
                shared.clone(),
                half_open,
            ),
        )
    }

    #[tokio::test]
    async fn a_thousand_connections_that_never_ask_cost_little_and_are_dropped_in_time() {
        let implementation = Implementation { class_uid: Uid::new("1.2.3").unwrap(), version_name: "TEST 1".into() };
        let mut config = ListenerConfig::new(AeTitle::new("NODE").unwrap(), implementation);
        config.timeouts.artim = Duration::from_millis(20);
        let config = Arc::new(config);
        let shared = Arc::new(Shared {
            service: Arc::new(Nothing),
            counters: Arc::default(),
            admission: Admission::default(),
            turns: Turns::default(),
            shutdown: CancellationToken::new(),
            broken_off: CancellationToken::new(),
        });
        let mut connections = Vec::new();
        for number in 0..1000 {
            let (far, served) = connection(number, &config, &shared);
            assert!(size_of_val(&served) < 4096, "{} bytes a connection", size_of_val(&served));
            connections.push((far, tokio::spawn(served)));
        }
        for (mut far, served) in connections {
            assert_eq!(far.read(&mut [0; 16]).await.unwrap(), 0, "closed without a word");
            served.await.unwrap();
        }
        assert_eq!(shared.counters.snapshot().half_open, 0);
    }
}
