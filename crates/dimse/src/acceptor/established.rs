//! Sta6: an established association, from its first message to its end.

use std::sync::Arc;

use dokuei_types::{DimseStatus, Uid};
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::inbound::{Arrival, Inbound, Operation, Work};
use super::negotiation::Negotiated;
use super::outstanding::Outstanding;
use super::pace::Pace;
use super::reports::Reports;
use super::session::{Shared, unblocked};
use crate::commitment::Untold;
use crate::config::ListenerConfig;
use crate::counters::add;
use crate::message::{Answer, CommandSet, Field, Refusal, StoreFault};
use crate::notice::{Notice, Pending};
use crate::pdu::{Abort, RELEASE_RESPONSE, write_fragments};
use crate::reception::{commit, success};
use crate::service::{IncomingInstance, StorageService};
use crate::sop_class::Named;
use crate::wire::{Wire, WireError};

/// How an association ended.
#[derive(Debug)]
enum Ended {
    Released,
    ByPeer(Abort),
    Draining,
    Broken(WireError),
    TooSlow { bytes_per_second: u64 },
}

/// What an association achieved, for its last log line.
#[derive(Debug, Default)]
struct Done {
    instances: u64,
    refused: u64,
    bytes: u64,
}

/// An operation whose answer is known.
enum Finished<C> {
    Store(Settled<C>),
    /// A message of a normalized service, and what came of it.
    Notice {
        context: u8,
        command: CommandSet,
        outcome: Result<Taken, Refusal>,
    },
}

/// A message of a normalized service that was taken in.
enum Taken {
    /// A request for commitment, whose result is to be told.
    Asked(Untold),
    /// What has this SOP Instance UID.
    Created(Uid),
    Heard,
}

/// A C-STORE whose instance was handed to the storage, and what came of it.
struct Settled<C> {
    context: u8,
    command: CommandSet,
    outcome: Result<C, StoreFault>,
}

type Committed<S> = <<S as StorageService>::Incoming as IncomingInstance>::Committed;

/// An association that was accepted.
pub(super) struct Established<'a, S: StorageService> {
    wire: Wire,
    inbound: Inbound<S>,
    outstanding: Outstanding<Finished<Committed<S>>>,
    reports: Reports,
    negotiated: Arc<Negotiated>,
    config: &'a ListenerConfig,
    shared: &'a Shared<S>,
    out: Vec<u8>,
    done: Done,
}

impl<'a, S: StorageService> Established<'a, S> {
    pub(super) fn new(
        wire: Wire,
        inbound: Inbound<S>,
        negotiated: Arc<Negotiated>,
        config: &'a ListenerConfig,
        shared: &'a Shared<S>,
    ) -> Self {
        let (outstanding, out, done) = (Outstanding::default(), Vec::new(), Done::default());
        let reports = Reports::default();
        Self { wire, inbound, outstanding, reports, negotiated, config, shared, out, done }
    }

    /// Serves until the association ends; gives back the connection and the PDU that is to end it.
    pub(super) async fn run(mut self) -> (Wire, Option<[u8; 10]>) {
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
                self.wire.rest();
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
        let waits = self.outstanding.waiting() > 0;
        let silence = if idle { timeouts.between_messages } else { timeouts.within_message };
        let wire = &mut self.wire;
        let filled = async { if idle && !waits { wire.fill_idle(silence).await } else { wire.fill(silence).await } };
        tokio::select! {
            biased;
            () = self.shared.shutdown.cancelled(), if idle => Ok(0),
            () = self.outstanding.some_ready(), if waits => Ok(0),
            () = self.reports.due() => Ok(0),
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
            Work::Notice(notice) => self.notice(context, command, notice).await,
            Work::EventReported => self.reports.answered(&command)?,
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
        let finished =
            async move { Finished::Store(Settled { context, command, outcome: commit(incoming, limit).await }) };
        self.outstanding.push(finished).await;
    }

    /// Has a message of a normalized service taken in; it is answered when that is done.
    async fn notice(&mut self, context: u8, command: CommandSet, notice: Result<Box<Notice>, Refusal>) {
        let taken = self.take_in(Field::of(command.field()), notice);
        let finished = async move { Finished::Notice { context, command, outcome: taken.await } };
        self.outstanding.push(finished).await;
    }

    /// On the heap: few associations ever do it, and each would have the room for it.
    fn take_in(&self, field: Field, notice: Result<Box<Notice>, Refusal>) -> Pending<Result<Taken, Refusal>> {
        let (commitment, procedures) = (self.config.commitment.clone(), self.config.procedures.clone());
        let limit = self.config.timeouts.commit;
        let off = || Refusal::new(DimseStatus::PROCESSING_FAILURE, "the service is switched off");
        let taken = async move {
            let notice = *notice?;
            Ok(match field {
                Field::ActionRequest => {
                    let service = commitment.ok_or_else(off)?;
                    let ticket = service.request(notice).await?;
                    Taken::Asked(Untold::new(service, ticket))
                }
                Field::CreateRequest => Taken::Created(procedures.ok_or_else(off)?.create(notice).await?),
                Field::SetRequest => {
                    procedures.ok_or_else(off)?.set(notice).await?;
                    Taken::Heard
                }
                _ => {
                    commitment.ok_or_else(off)?.reported(notice).await?;
                    Taken::Heard
                }
            })
        };
        let slow = |_elapsed| Refusal::new(DimseStatus::PROCESSING_FAILURE, "not taken in within the time for it");
        Box::pin(async move { timeout(limit, taken).await.map_err(slow)? })
    }

    /// Answers what is durable, in one write.
    async fn answer_ready(&mut self) -> Result<(), WireError> {
        for finished in self.outstanding.take_ready() {
            match finished {
                Finished::Store(settled) => self.settle(settled),
                Finished::Notice { context, command, outcome } => self.noticed(context, &command, outcome).await,
            }
        }
        self.reports.write(&mut self.out, &self.negotiated);
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

    /// Answers a message of a normalized service; the result of a request for commitment follows its response.
    async fn noticed(&mut self, context: u8, command: &CommandSet, outcome: Result<Taken, Refusal>) {
        self.respond_to_notice(context, command, &outcome);
        if let Ok(Taken::Asked(untold)) = outcome {
            self.reports.await_result(context, untold).await;
        }
    }

    fn respond_to_notice(&mut self, context: u8, command: &CommandSet, outcome: &Result<Taken, Refusal>) {
        let mut answer = Answer::new(DimseStatus::SUCCESS, "");
        match outcome {
            Ok(Taken::Created(sop_instance)) => answer.sop_instance = Some(sop_instance),
            Ok(Taken::Asked(_) | Taken::Heard) => {}
            Err(Refusal { status, comment, error_id }) => {
                let service = self.negotiated.context(context).map(|context| context.abstract_syntax.as_str());
                warn!(%status, comment, service = %Named(service.unwrap_or_default()), "message refused");
                answer = Answer { error_id: *error_id, ..Answer::new(*status, comment) };
            }
        }
        self.respond(context, command, &answer);
    }

    /// Puts a response to the ones that are to be sent.
    fn answer(&mut self, context: u8, command: &CommandSet, status: DimseStatus, comment: &str) {
        self.respond(context, command, &Answer::new(status, comment));
    }

    fn respond(&mut self, context: u8, command: &CommandSet, answer: &Answer<'_>) {
        write_fragments(&mut self.out, context, true, &answer.to(command), self.negotiated.send_limit);
    }

    fn success(&mut self, durable: &Committed<S>) -> DimseStatus {
        add(&self.shared.counters.instances, 1);
        self.done.instances = self.done.instances.saturating_add(1);
        success(durable)
    }

    fn failure(&mut self, fault: &StoreFault) -> DimseStatus {
        let status = fault.status();
        self.shared.counters.refused.add(status);
        self.done.refused = self.done.refused.saturating_add(1);
        warn!(%status, %fault, "instance refused");
        status
    }
}
