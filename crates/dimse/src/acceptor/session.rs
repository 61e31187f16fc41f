//! One connection of the listener, from its first byte to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dokuei_types::DimseStatus;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::admission::{Admission, Admitted, HalfOpen};
use super::inbound::{Arrival, Inbound, Operation, Work};
use super::negotiation::{Negotiated, negotiate};
use super::securing::secure;
use crate::config::{ListenerConfig, canonical};
use crate::counters::{Counters, Gauge, add};
use crate::message::{StoreFault, response};
use crate::pdu::{Abort, RELEASE_RESPONSE, Rejection, read_request, write_fragments};
use crate::service::{AssociationInfo, IncomingInstance, StorageService};
use crate::sop_class::Named;
use crate::state::{self, Action, State};
use crate::tls::Socket;
use crate::wire::{Opening, Stranger, Transport, Wire, WireError};

/// What the connections of one listener share.
pub(crate) struct Shared<S> {
    pub(crate) service: Arc<S>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) admission: Admission,
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

/// How an association ended.
#[derive(Debug)]
enum Ended {
    Released,
    ByPeer(Abort),
    Draining,
    Broken(WireError),
    TooSlow { bytes_per_second: u64 },
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
        opened = open(connection, peer, &config, &shared) => opened,
    };
    drop((half_open, gauge));
    let Some((wire, negotiated, admitted)) = opened else { return };

    let info = AssociationInfo {
        association: number,
        calling_ae: negotiated.calling_ae.clone(),
        called_ae: negotiated.called_ae.clone(),
        peer,
        implementation_class_uid: negotiated.implementation_class_uid.clone(),
        implementation_version_name: negotiated.implementation_version_name.clone(),
    };
    info!(
        calling_ae = %info.calling_ae,
        called_ae = %info.called_ae,
        contexts = negotiated.contexts.len(),
        implementation = info.implementation_version_name.as_deref().unwrap_or_default(),
        "association accepted"
    );
    shared.service.association_opened(&info);
    let open = Opened { shared: &shared, info: &info, _gauge: Gauge::new(&shared.counters.open), _admitted: admitted };
    let session = Session {
        inbound: Inbound::new(shared.service.clone(), negotiated.clone(), number, peer, &config.limits),
        wire,
        negotiated,
        config: &config,
        shared: &shared,
        out: Vec::new(),
        done: Done::default(),
    };
    let (mut wire, last_words) = session.run().await;
    // The association is over and its place is free; only the connection is left.
    drop(open);
    if let Some(pdu) = last_words {
        part::<()>(&mut wire, &pdu, &config).await;
    }
}

/// Tells the service and the counts when the association ends, by a panic too.
struct Opened<'a, S: StorageService> {
    shared: &'a Shared<S>,
    info: &'a AssociationInfo,
    _gauge: Gauge<'a>,
    _admitted: Admitted,
}

impl<S: StorageService> Drop for Opened<'_, S> {
    fn drop(&mut self) {
        self.shared.service.association_closed(self.info);
    }
}

/// From the connection to the association. `None` when there is none.
async fn open<S: StorageService>(
    connection: Connection,
    peer: SocketAddr,
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
    let (negotiated, admitted) = associate(&mut wire, left, peer, config, shared).await?;
    Some((wire, negotiated, admitted))
}

/// Sta2: for as long as ARTIM runs, until the request is answered. `None` when there is no association.
async fn associate<S: StorageService>(
    wire: &mut Wire,
    artim: Duration,
    peer: SocketAddr,
    config: &ListenerConfig,
    shared: &Shared<S>,
) -> Option<(Arc<Negotiated>, Admitted)> {
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
    let decided = negotiate(&request, peer, config).and_then(|negotiated| {
        if shared.service.is_congested() {
            return Err(Rejection::CONGESTION);
        }
        let room = shared.admission.associate(canonical(peer), &config.limits);
        Ok((negotiated, room.ok_or(Rejection::LOCAL_LIMIT)?))
    });
    let (negotiated, admitted) = match decided {
        Ok(decided) => decided,
        Err(rejection) => {
            add(&shared.counters.rejected, 1);
            warn!(
                calling_ae = request.calling_ae_title,
                called_ae = request.called_ae_title,
                %rejection,
                "association rejected"
            );
            return part(wire, &rejection.to_pdu(), config).await;
        }
    };
    for context in &request.presentation_contexts {
        if negotiated.context(context.id).is_none() {
            debug!(id = context.id, abstract_syntax = %Named(&context.abstract_syntax), "context refused");
        }
    }
    if let Err(error) = wire.send(&negotiated.answer, config.timeouts.within_message).await {
        debug!(error = &error as &dyn std::error::Error, "closed while it was accepted");
        return None;
    }
    add(&shared.counters.accepted, 1);
    wire.associated();
    Some((Arc::new(negotiated), admitted))
}

/// Sends the last PDU and waits for the peer to close (Sta13).
pub(super) async fn part<T>(wire: &mut Wire, pdu: &[u8], config: &ListenerConfig) -> Option<T> {
    if wire.send(pdu, config.timeouts.closing).await.is_ok() {
        wire.await_close(config.timeouts.closing).await;
    }
    None
}

pub(super) fn mistaken(stranger: Stranger) -> &'static str {
    match stranger {
        Stranger::Tls => "the peer speaks TLS to a port that does not; switch it off there or use the TLS port",
        Stranger::Http => "a web client called the DICOM port",
        Stranger::Ssh => "an SSH client called the DICOM port",
    }
}

/// What an association achieved, for its last log line.
#[derive(Debug, Default)]
struct Done {
    instances: u64,
    refused: u64,
    bytes: u64,
}

struct Session<'a, S: StorageService> {
    wire: Wire,
    inbound: Inbound<S>,
    negotiated: Arc<Negotiated>,
    config: &'a ListenerConfig,
    shared: &'a Shared<S>,
    out: Vec<u8>,
    done: Done,
}

impl<S: StorageService> Session<'_, S> {
    /// Serves until the association ends; gives back the connection and the PDU that is to end it.
    async fn run(mut self) -> (Wire, Option<[u8; 10]>) {
        let broken_off = self.shared.broken_off.clone();
        let ended = tokio::select! {
            biased;
            () = broken_off.cancelled() => Ended::Draining,
            ended = self.serve() => ended,
        };
        let Done { instances, refused, bytes } = self.done;
        if !matches!(ended, Ended::Released) {
            add(&self.shared.counters.aborted, 1);
        }
        let last_words = match &ended {
            Ended::Released => {
                info!(instances, refused, bytes, "association released");
                Some(RELEASE_RESPONSE)
            }
            Ended::ByPeer(abort) => {
                warn!(instances, refused, bytes, "association aborted by the peer, {abort}");
                None
            }
            Ended::Draining => {
                info!(instances, refused, bytes, "association aborted: the node is shutting down");
                Some(Abort::USER.to_pdu())
            }
            Ended::TooSlow { bytes_per_second } => {
                warn!(instances, refused, bytes, bytes_per_second, "association aborted: the peer is too slow");
                Some(Abort::USER.to_pdu())
            }
            Ended::Broken(error) => {
                warn!(instances, refused, bytes, error = error as &dyn std::error::Error, "association broken off");
                match error {
                    WireError::Protocol(error) => Some(error.abort().to_pdu()),
                    WireError::Silent(_) => Some(Abort::USER.to_pdu()),
                    WireError::Closed | WireError::Io(_) => None,
                }
            }
        };
        (self.wire, last_words)
    }

    async fn serve(&mut self) -> Ended {
        loop {
            let arrival = match self.receive().await {
                Ok(arrival) => arrival,
                Err(ended) => return ended,
            };
            match arrival {
                Arrival::Release => return Ended::Released,
                Arrival::Abort(abort) => return Ended::ByPeer(abort),
                Arrival::Operation(operation) => {
                    if let Err(error) = self.perform(operation).await {
                        return Ended::Broken(error);
                    }
                }
            }
        }
    }

    /// Reads until something whole has arrived.
    async fn receive(&mut self) -> Result<Arrival<S::Incoming>, Ended> {
        let timeouts = &self.config.timeouts;
        let mut pace = Pace::new(self.config.limits.bytes_per_second_min, timeouts.within_message);
        loop {
            let (inbound, framer) = (&mut self.inbound, &mut self.wire.framer);
            let taken = unblocked(inbound.may_block(framer.buffered()), || inbound.take(framer));
            if let Some(arrival) = taken.map_err(|error| Ended::Broken(error.into()))? {
                return Ok(arrival);
            }
            let idle = self.inbound.is_idle() && self.wire.framer.is_between_pdus();
            if self.inbound.expects_data() {
                self.wire.expect_data();
            }
            let filled = if idle {
                pace.restart();
                tokio::select! {
                    biased;
                    () = self.shared.shutdown.cancelled() => return Err(Ended::Draining),
                    filled = self.wire.fill(timeouts.between_messages) => filled,
                }
            } else {
                self.wire.fill(timeouts.within_message).await
            };
            let count = filled.map_err(Ended::Broken)?;
            if let Some(bytes_per_second) = pace.too_slow(count) {
                return Err(Ended::TooSlow { bytes_per_second });
            }
        }
    }

    async fn perform(&mut self, operation: Operation<S::Incoming>) -> Result<(), WireError> {
        let Operation { context, command, work } = operation;
        let (status, comment) = match work {
            Work::Cancel => return Ok(()),
            Work::Echo(status) => {
                add(&self.shared.counters.echoes, 1);
                (status, String::new())
            }
            Work::Unrecognized => {
                debug!(field = command.field(), "operation not supported");
                (DimseStatus::UNRECOGNIZED_OPERATION, "operation not supported".to_owned()) // PS3.7 Annex C: 0211
            }
            Work::Store { received, outcome } => {
                add(&self.shared.counters.bytes, received);
                self.done.bytes = self.done.bytes.saturating_add(received);
                match commit(outcome, self.config.timeouts.commit).await {
                    Ok(committed) => (self.success(&committed), String::new()),
                    Err(fault) => (self.failure(&fault), fault.to_string()),
                }
            }
        };
        let answer = response(&command, status, &comment);
        self.out.clear();
        write_fragments(&mut self.out, context, true, &answer, self.negotiated.send_limit);
        self.wire.send(&self.out, self.config.timeouts.within_message).await
    }

    /// The only place that answers a C-STORE with success, and it takes the proof.
    fn success(&mut self, _durable: &<S::Incoming as IncomingInstance>::Committed) -> DimseStatus {
        add(&self.shared.counters.instances, 1);
        self.done.instances = self.done.instances.saturating_add(1);
        DimseStatus::SUCCESS
    }

    fn failure(&mut self, fault: &StoreFault) -> DimseStatus {
        let status = fault.status();
        add(&self.shared.counters.refused, 1);
        self.done.refused = self.done.refused.saturating_add(1);
        warn!(%status, %fault, "instance refused");
        status
    }
}

/// Waits for the storage to make an instance durable, at most `limit`: a storage that hangs must not
/// take the association with it without a word.
async fn commit<I: IncomingInstance>(
    outcome: Result<I, StoreFault>,
    limit: Duration,
) -> Result<I::Committed, StoreFault> {
    match timeout(limit, outcome?.commit()).await {
        Ok(committed) => Ok(committed?),
        Err(_elapsed) => Err(StoreFault::StorageSlow { seconds: limit.as_secs() }),
    }
}

/// Runs what may block; where the runtime has other threads, they take over the other connections.
fn unblocked<R>(may_block: bool, run: impl FnOnce() -> R) -> R {
    let threads = may_block && Handle::current().runtime_flavor() != RuntimeFlavor::CurrentThread;
    if threads { tokio::task::block_in_place(run) } else { run() }
}

/// Sees that a message in progress goes on at a minimum rate: the silence timer alone would let a peer
/// hold an association for ever with a byte now and then.
struct Pace {
    minimum: u64,
    over: Duration,
    since: Instant,
    bytes: u64,
}

impl Pace {
    fn new(minimum: u64, over: Duration) -> Self {
        Self { minimum, over, since: Instant::now(), bytes: 0 }
    }

    fn restart(&mut self) {
        self.since = Instant::now();
        self.bytes = 0;
    }

    /// Takes note of `count` bytes; the rate in bytes a second, when it is too low.
    fn too_slow(&mut self, count: usize) -> Option<u64> {
        self.bytes = self.bytes.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        let elapsed = self.since.elapsed();
        if elapsed < self.over {
            return None;
        }
        let rate = rate(self.bytes, elapsed);
        self.restart();
        (rate < self.minimum).then_some(rate)
    }
}

/// Whole bytes a second.
fn rate(bytes: u64, elapsed: Duration) -> u64 {
    let rate = u128::from(bytes).saturating_mul(1000).checked_div(elapsed.as_millis().max(1));
    rate.and_then(|rate| u64::try_from(rate).ok()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_never_divided_by_nothing() {
        assert_eq!(rate(1, Duration::ZERO), 1000);
        assert_eq!(rate(600, Duration::from_secs(60)), 10);
        assert_eq!(rate(u64::MAX, Duration::from_millis(1)), u64::MAX);
    }

    #[test]
    fn a_trickle_is_noticed_once_the_interval_is_over() {
        let mut pace = Pace::new(u64::MAX, Duration::from_secs(3600));
        assert_eq!(pace.too_slow(1), None);
        pace.over = Duration::ZERO;
        assert!(pace.too_slow(1).is_some());
        assert_eq!(pace.bytes, 0);
        pace.minimum = 0;
        assert_eq!(pace.too_slow(1), None);
    }
}
