//! One connection of the listener, from its first byte to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dicom_ul::pdu::AssociationRQ;
use dokuei_types::DimseStatus;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::admission::{Admission, Admitted, HalfOpen};
use super::inbound::{Arrival, Inbound, Operation, Work};
use super::negotiation::{Negotiated, negotiate};
use super::outstanding::Outstanding;
use super::pace::Pace;
use crate::config::{ListenerConfig, canonical};
use crate::counters::{Counters, Gauge, add};
use crate::message::{CommandSet, StoreFault, response};
use crate::pdu::{Abort, RELEASE_RESPONSE, Rejection, read_request, write_fragments};
use crate::service::{IncomingInstance, StorageService};
use crate::sop_class::Named;
use crate::state::{self, Action, State};
use crate::wire::{BUFFER_KEPT, Opening, Stranger, Transport, Wire, WireError};

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
    transport: Box<dyn Transport>,
    peer: SocketAddr,
    number: u64,
    config: Arc<ListenerConfig>,
    shared: Arc<Shared<S>>,
    half_open: HalfOpen,
) {
    let mut wire = Wire::new(transport, config.limits.pdu_length);
    let gauge = Gauge::new(&shared.counters.half_open);
    let evicted = half_open.evicted.clone();
    let opened = tokio::select! {
        biased;
        () = evicted.cancelled() => {
            debug!("gave way to newer connections before it asked for an association");
            None
        }
        () = shared.shutdown.cancelled() => None,
        opened = open(&mut wire, peer, &config, &shared) => opened,
    };
    drop((half_open, gauge));
    let Some((negotiated, admitted)) = opened else { return };

    info!(
        calling_ae = %negotiated.calling_ae,
        called_ae = %negotiated.called_ae,
        user = negotiated.user.as_deref(),
        contexts = negotiated.contexts.len(),
        operations_window = negotiated.operations_window,
        implementation = negotiated.implementation_version_name.as_deref().unwrap_or_default(),
        "association accepted"
    );
    let open = (admitted, Gauge::new(&shared.counters.open));
    let session = Session {
        inbound: Inbound::new(shared.service.clone(), negotiated.clone(), number, peer, &config.limits),
        outstanding: Outstanding::default(),
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

/// Sta2: under ARTIM, until the request is answered. `None` when there is no association.
async fn open<S: StorageService>(
    wire: &mut Wire,
    peer: SocketAddr,
    config: &ListenerConfig,
    shared: &Shared<S>,
) -> Option<(Arc<Negotiated>, Admitted)> {
    let opening = match timeout(config.timeouts.artim, wire.opening(config.limits.associate_request_bytes)).await {
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
    let decided = unblocked(true, || decide(&request, peer, config, shared));
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
    let room = shared.admission.associate(canonical(peer), &config.limits);
    Ok((negotiated, room.ok_or(Rejection::LOCAL_LIMIT)?))
}

/// Sends the last PDU and waits for the peer to close (Sta13).
async fn part<T>(wire: &mut Wire, pdu: &[u8], config: &ListenerConfig) -> Option<T> {
    if wire.send(pdu, config.timeouts.closing).await.is_ok() {
        wire.await_close(config.timeouts.closing).await;
    }
    None
}

fn mistaken(stranger: Stranger) -> &'static str {
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

/// A C-STORE whose instance was handed to the storage, and what came of it.
struct Settled<C> {
    context: u8,
    command: CommandSet,
    outcome: Result<C, StoreFault>,
}

type Committed<S> = <<S as StorageService>::Incoming as IncomingInstance>::Committed;

struct Session<'a, S: StorageService> {
    wire: Wire,
    inbound: Inbound<S>,
    outstanding: Outstanding<Settled<Committed<S>>>,
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
            if let Err(ended) = self.step().await {
                return ended;
            }
        }
    }

    /// Takes in the next message, or makes room for it where the window is full.
    async fn step(&mut self) -> Result<(), Ended> {
        if self.outstanding.waiting() >= usize::from(self.negotiated.operations_window) {
            self.outstanding.some_ready().await;
            return self.answer_ready().await.map_err(Ended::Broken);
        }
        match self.receive().await? {
            Arrival::Release => {
                self.answer_all().await.map_err(Ended::Broken)?;
                Err(Ended::Released)
            }
            Arrival::Abort(abort) => Err(Ended::ByPeer(abort)),
            Arrival::Operation(operation) => self.perform(operation).await.map_err(Ended::Broken),
        }
    }

    /// Reads until something whole has arrived, answering meanwhile what becomes durable.
    async fn receive(&mut self) -> Result<Arrival<S::Incoming>, Ended> {
        let mut pace = Pace::new(self.config.limits.bytes_per_second_min, self.config.timeouts.within_message);
        loop {
            if self.inbound.is_idle() && self.shared.shutdown.is_cancelled() {
                self.answer_all().await.map_err(Ended::Broken)?;
                return Err(Ended::Draining);
            }
            let (inbound, framer) = (&mut self.inbound, &mut self.wire.framer);
            let taken = unblocked(inbound.may_block(framer.buffered()), || inbound.take(framer));
            if let Some(arrival) = taken.map_err(|error| Ended::Broken(error.into()))? {
                return Ok(arrival);
            }
            let idle = self.inbound.is_idle() && self.wire.framer.is_between_pdus();
            if idle {
                pace.restart();
            }
            let count = self.fill(idle).await.map_err(Ended::Broken)?;
            self.answer_ready().await.map_err(Ended::Broken)?;
            if let Some(bytes_per_second) = pace.too_slow(count) {
                return Err(Ended::TooSlow { bytes_per_second });
            }
        }
    }

    /// Waits for more bytes; 0 when something else is to be done first.
    async fn fill(&mut self, idle: bool) -> Result<usize, WireError> {
        let timeouts = &self.config.timeouts;
        if self.inbound.expects_data() {
            self.wire.expect_data();
        }
        let waits = self.outstanding.waiting() > 0;
        let (wire, outstanding) = (&mut self.wire, &mut self.outstanding);
        let filled = async {
            if idle {
                wire.fill_idle(BUFFER_KEPT, timeouts.between_messages).await
            } else {
                wire.fill(timeouts.within_message).await
            }
        };
        tokio::select! {
            biased;
            () = self.shared.shutdown.cancelled(), if idle => Ok(0),
            () = outstanding.some_ready(), if waits => Ok(0),
            filled = filled => filled,
        }
    }

    async fn perform(&mut self, operation: Operation<S::Incoming>) -> Result<(), WireError> {
        let Operation { context, command, work } = operation;
        match work {
            Work::Cancel => return Ok(()),
            Work::Echo(status) => {
                add(&self.shared.counters.echoes, 1);
                self.answer(context, &command, status, "");
            }
            Work::Unrecognized => {
                debug!(field = command.field(), "operation not supported");
                // PS3.7 Annex C: 0211
                self.answer(context, &command, DimseStatus::UNRECOGNIZED_OPERATION, "operation not supported");
            }
            Work::Store { received, outcome } => {
                add(&self.shared.counters.bytes, received);
                self.done.bytes = self.done.bytes.saturating_add(received);
                self.store(context, command, outcome).await;
            }
        }
        self.answer_ready().await
    }

    /// Has an instance made durable: here and now, unless a window lets the next be read meanwhile.
    async fn store(&mut self, context: u8, command: CommandSet, incoming: Result<S::Incoming, StoreFault>) {
        let limit = self.config.timeouts.commit;
        let incoming = match incoming {
            Ok(incoming) => incoming,
            Err(fault) => return self.settle(Settled { context, command, outcome: Err(fault) }),
        };
        if self.negotiated.operations_window == 1 {
            let outcome = commit(incoming, limit).await;
            return self.settle(Settled { context, command, outcome });
        }
        let settled = async move { Settled { context, command, outcome: commit(incoming, limit).await } };
        self.outstanding.push(settled).await;
    }

    /// Answers what is durable, in one write.
    async fn answer_ready(&mut self) -> Result<(), WireError> {
        for settled in self.outstanding.take_ready() {
            self.settle(settled);
        }
        if !self.out.is_empty() {
            self.wire.send(&self.out, self.config.timeouts.within_message).await?;
            self.out.clear();
        }
        Ok(())
    }

    /// Answers everything that is outstanding, each when it is durable.
    async fn answer_all(&mut self) -> Result<(), WireError> {
        self.answer_ready().await?;
        while self.outstanding.waiting() > 0 {
            self.outstanding.some_ready().await;
            self.answer_ready().await?;
        }
        Ok(())
    }

    fn settle(&mut self, settled: Settled<Committed<S>>) {
        let Settled { context, command, outcome } = settled;
        match outcome {
            Ok(committed) => {
                let status = self.success(&committed);
                self.answer(context, &command, status, "");
            }
            Err(fault) => {
                let status = self.failure(&fault);
                self.answer(context, &command, status, &fault.to_string());
            }
        }
    }

    /// Puts a response to the ones that are to be sent.
    fn answer(&mut self, context: u8, command: &CommandSet, status: DimseStatus, comment: &str) {
        let answer = response(command, status, comment);
        write_fragments(&mut self.out, context, true, &answer, self.negotiated.send_limit);
    }

    /// The only place that answers a C-STORE with success, and it takes the proof.
    fn success(&mut self, _durable: &Committed<S>) -> DimseStatus {
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
async fn commit<I: IncomingInstance>(incoming: I, limit: Duration) -> Result<I::Committed, StoreFault> {
    match timeout(limit, incoming.commit()).await {
        Ok(committed) => Ok(committed?),
        Err(_elapsed) => Err(StoreFault::StorageSlow { seconds: limit.as_secs() }),
    }
}

/// Runs what may block; where the runtime has other threads, they take over the other connections.
fn unblocked<R>(may_block: bool, run: impl FnOnce() -> R) -> R {
    let threads = may_block && Handle::current().runtime_flavor() != RuntimeFlavor::CurrentThread;
    if threads { tokio::task::block_in_place(run) } else { run() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Implementation;
    use crate::message::Refusal;
    use crate::service::StoreRequest;
    use dokuei_types::{AeTitle, Uid};
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
        (far, serve_connection(Box::new(near), peer, number, config.clone(), shared.clone(), half_open))
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
