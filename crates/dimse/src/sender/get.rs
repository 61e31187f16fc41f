//! C-GET, the calling side (PS3.4 § C.4.3): the peer sends the instances over the association that asks for them.
//!
//! ```text
//! C-GET-RQ ──▶ identifier      ◀── C-STORE-RQ, an instance      C-STORE-RSP ──▶      ◀── C-GET-RSP FF00, counts
//!                              … │ ◀── C-GET-RSP 0000, counts
//! ```
//!
//! Instances go to a [`StorageService`], their bytes as they come, as those of the listener do.

use std::time::Duration;

use dokuei_types::{AeTitle, Uid};
use tokio_util::sync::CancellationToken;

use super::association::{Association, extend, next_piece};
use super::error::SendError;
use super::query::{Query, QueryResponse};
use crate::acceptor::{Pace, unblocked};
use crate::commitment::Information;
use crate::message::{CommandSet, Field, Piece, StoreFault, response};
use crate::reception::{Reception, commit, success};
use crate::service::{StorageService, StoreRequest};

/// What the instances of a C-GET are received into, and within which limits.
#[derive(Debug, Clone)]
pub struct Receive<S> {
    /// Keeps them. Each comes as from the peer, on an association with the number 0.
    pub service: S,
    /// AE title of the peer.
    pub peer_ae: AeTitle,
    /// Our own.
    pub own_ae: AeTitle,
    /// Size of a data set, in bytes.
    pub instance_size: u64,
    /// Silence within a data set, and the time over which `bytes_per_second_min` is measured.
    pub within_message: Duration,
    /// Bytes a second below which the association is given up; 0 switches it off.
    pub bytes_per_second_min: u64,
    /// For an instance to be made durable.
    pub commit: Duration,
}

/// What became of the instances of a C-GET, by our own count rather than the peer's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Received {
    /// Kept, and answered with success.
    pub stored: u32,
    /// Answered with a failure.
    pub refused: u32,
    /// Why the first of those was refused.
    pub first_refusal: Option<String>,
}

/// A C-GET in progress. Given up before its final response, it takes the association with it.
pub struct Retrieval<'a, S: StorageService> {
    query: Query<'a>,
    receive: &'a Receive<S>,
    received: Received,
    receiving: Option<(u8, CommandSet, Receiving<S::Incoming>)>,
}

enum Receiving<I> {
    Store(Reception<I>),
    Response(Vec<u8>),
}

/// A whole message of the peer.
enum Taken<I> {
    Store { context: u8, command: CommandSet, outcome: Result<I, StoreFault> },
    Response { command: CommandSet, identifier: Vec<u8> },
}

impl Association {
    /// C-GET (PS3.7 § 9.1.3): has the peer send what `identifier` names. The association must have contexts of the
    /// storage classes that may come, with us as their provider
    /// ([`RequestorConfig::provides`](crate::RequestorConfig::provides)).
    ///
    /// # Errors
    /// [`SendError`]; [`SendError::NotAccepted`] when the association has no context for the model.
    pub async fn get<'a, S: StorageService>(
        &'a mut self,
        model: &Uid,
        identifier: &Information,
        receive: &'a Receive<S>,
        cancel: CancellationToken,
    ) -> Result<Retrieval<'a, S>, SendError> {
        let query = self.begin_get(model, identifier, cancel).await?;
        Ok(Retrieval { query, receive, received: Received::default(), receiving: None })
    }
}

impl<S: StorageService> Retrieval<'_, S> {
    /// The next response of the C-GET, the final one included; `None` after that. Instances that come before it are
    /// stored and answered meanwhile, so the future is to be polled until it is ready; the token cancels the
    /// operation.
    ///
    /// # Errors
    /// [`SendError`]; the association is over. What was stored stays stored.
    pub async fn next(&mut self) -> Result<Option<QueryResponse>, SendError> {
        if self.query.is_over() {
            return Ok(None);
        }
        let response = self.serve().await;
        self.query.hand_over(response).await
    }

    /// What has come so far.
    #[must_use]
    pub fn received(&self) -> &Received {
        &self.received
    }

    /// Takes messages until one is a response.
    async fn serve(&mut self) -> Result<QueryResponse, SendError> {
        let mut pace = Pace::new(self.receive.bytes_per_second_min, self.receive.within_message);
        loop {
            let patience = self.query.patience()?;
            let taken = unblocked(self.may_block(), || self.take())?;
            self.query.association.wire.rest();
            match taken {
                Some(Taken::Response { command, identifier }) => return self.query.read(&command, identifier),
                Some(Taken::Store { context, command, outcome }) => self.settle(context, &command, outcome).await?,
                None => self.fill(patience, &mut pace).await?,
            }
        }
    }

    /// Waits for more bytes, or sends C-CANCEL.
    async fn fill(&mut self, patience: Duration, pace: &mut Pace) -> Result<(), SendError> {
        let is_idle = self.receiving.is_none() && self.query.association.is_between_messages();
        let limit = if is_idle { patience } else { self.receive.within_message };
        if is_idle {
            pace.restart();
        }
        tokio::select! {
            biased;
            () = self.query.cancel.cancelled(), if !self.query.is_cancelled() => {}
            filled = self.query.association.wire.fill(limit) => {
                let filled = filled.map_err(|error| self.query.named(SendError::while_waiting(error)))?;
                return match pace.too_slow(filled) {
                    Some(bytes_per_second) => Err(SendError::TooSlow { bytes_per_second }),
                    None => Ok(()),
                };
            }
        }
        self.query.send_cancel().await
    }

    fn may_block(&self) -> bool {
        match &self.receiving {
            Some((_, _, Receiving::Store(reception))) => {
                reception.may_block(self.query.association.wire.framer.buffered())
            }
            _ => false,
        }
    }

    /// Takes what has arrived, up to the end of a message.
    fn take(&mut self) -> Result<Option<Taken<S::Incoming>>, SendError> {
        loop {
            let association = &mut *self.query.association;
            let Some(piece) = next_piece(&mut association.wire.framer, &mut association.assembler)? else {
                return Ok(None);
            };
            let ends = match piece {
                Piece::Partial => false,
                Piece::Command { context, command } => {
                    let ends = !command.has_data_set();
                    let receiving = self.begin(context, &command);
                    self.receiving = Some((context, command, receiving));
                    ends
                }
                Piece::Data { bytes, last } => {
                    match &mut self.receiving {
                        Some((_, _, Receiving::Store(reception))) => reception.push(bytes, self.receive.instance_size),
                        Some((_, _, Receiving::Response(identifier))) => extend(identifier, bytes)?,
                        None => {}
                    }
                    last
                }
            };
            if ends && let Some((context, command, receiving)) = self.receiving.take() {
                return Ok(Some(match receiving {
                    Receiving::Store(reception) => Taken::Store { context, command, outcome: reception.end().1 },
                    Receiving::Response(identifier) => Taken::Response { command, identifier },
                }));
            }
        }
    }

    fn begin(&self, id: u8, command: &CommandSet) -> Receiving<S::Incoming> {
        if Field::of(command.field()) != Field::StoreRequest {
            return Receiving::Response(Vec::new());
        }
        let association = &*self.query.association;
        let mut contexts = association.contexts().iter();
        let context = contexts.find(|context| context.id == id && id != self.query.context.id);
        let Receive { service, peer_ae, own_ae, .. } = self.receive;
        Receiving::Store(Reception::begin(command, context, |subject| {
            service.begin(StoreRequest {
                calling_ae: peer_ae,
                called_ae: own_ae,
                peer: association.peer().address,
                sop_class: subject.sop_class,
                sop_instance: subject.sop_instance,
                transfer_syntax: subject.transfer_syntax,
                move_originator: None,
                association: 0,
            })
        }))
    }

    /// Has an instance made durable, and answers for it.
    async fn settle(
        &mut self,
        context: u8,
        command: &CommandSet,
        incoming: Result<S::Incoming, StoreFault>,
    ) -> Result<(), SendError> {
        let outcome = match incoming {
            Ok(incoming) => commit(incoming, self.receive.commit).await,
            Err(fault) => Err(fault),
        };
        let answer = match outcome {
            Ok(committed) => {
                self.received.stored = self.received.stored.saturating_add(1);
                response(command, success(&committed), "")
            }
            Err(fault) => {
                tracing::warn!(status = %fault.status(), %fault, "instance refused");
                self.received.refused = self.received.refused.saturating_add(1);
                self.received.first_refusal.get_or_insert_with(|| fault.to_string());
                response(command, fault.status(), &fault.to_string())
            }
        };
        self.query.association.send_message(context, &answer, None).await
    }
}
