//! An association that we asked for: from the connection to the release.

use std::net::SocketAddr;
use std::time::Duration;

use dicom_dictionary_std::uids;
use dicom_ul::pdu::{
    AssociationRQ, Pdu, PresentationContextProposed, PresentationContextResultReason, RequestorRoles, UserVariableItem,
    write_pdu,
};
use dokuei_types::{AeTitle, Uid};
use tokio::time::{Instant, timeout};

use super::connect::{self, Connected, Steps};
use super::error::{AssociateError, SendError};
use super::plan::{CONTEXTS_MAX, ProposedContext};
use crate::acceptor::{AcceptedContext, UserInformation};
use crate::config::RequestorConfig;
use crate::message::{Assembler, CommandSet, Field, Piece};
use crate::pdu::{
    Abort, Event, Framer, PduKind, ProtocolError, RELEASE_REQUEST, RELEASE_RESPONSE, Rejection, SendLimit, read_accept,
    write_fragments,
};
use crate::state::{self, Action, State};
use crate::tls::TlsInfo;
use crate::wire::{Opening, Step, Transport, Wire, WireError};

/// The longest answer to an association request, in bytes.
const ACCEPT_BYTES_MAX: u32 = 1024 * 1024;
/// The longest command set of a response, in bytes.
const COMMAND_BYTES_MAX: usize = 64 * 1024;
/// The longest data set of a message that is held in memory, in bytes: identifiers, event information.
const DATA_SET_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long to look for the reason once a connection has failed.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// What the peer said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    /// Where it was reached.
    pub address: SocketAddr,
    /// Implementation Class UID, as sent.
    pub implementation_class_uid: Option<String>,
    /// Implementation Version Name, as sent.
    pub implementation_version_name: Option<String>,
    /// The longest P-DATA-TF it takes, in bytes; 0 means no limit.
    pub maximum_length: u32,
    /// What TLS was agreed on, where there is any.
    pub tls: Option<TlsInfo>,
}

/// An established association. Operations follow one another; after a failure that ends it every one
/// fails with [`SendError::Ended`]. Dropped without [`Association::release`], it is aborted, and so it
/// is when the future of an operation is dropped.
pub struct Association {
    pub(super) wire: Wire,
    pub(super) timeouts: SendTimeouts,
    pub(super) send_limit: SendLimit,
    pub(super) buffer: Vec<u8>,
    contexts: Vec<AcceptedContext>,
    /// SOP classes the peer lets us be the provider of.
    provided: Vec<String>,
    pub(super) assembler: Assembler,
    /// A message whose data set is still to come.
    waiting: Option<Message>,
    /// A message that has come.
    whole: Option<Message>,
    /// Whether data sets are kept.
    pub(super) keeps_data_sets: bool,
    peer: PeerInfo,
    stage: Stage,
    message_id: u16,
    steps: Steps,
}

/// A message of the peer.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) context: u8,
    pub(super) command: CommandSet,
    /// Empty where there is none, or none is kept.
    pub(super) data_set: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct SendTimeouts {
    pub(super) response: Duration,
    pub(super) idle: Duration,
    release: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Between operations.
    Ready,
    /// Within one; what was sent may end inside a PDU.
    Busy,
    /// Over.
    Ended,
}

impl std::fmt::Debug for Association {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Association")
            .field("peer", &self.peer)
            .field("contexts", &self.contexts)
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}

impl Association {
    /// Connects and associates.
    ///
    /// # Errors
    /// [`AssociateError`]; it says whose fault it is and what to change.
    pub async fn request(config: &RequestorConfig, proposed: &[ProposedContext]) -> Result<Self, AssociateError> {
        Self::request_noting(config, proposed, &mut Steps::default()).await
    }

    /// As [`Association::request`], noting in `steps` how far it came.
    pub(super) async fn request_noting(
        config: &RequestorConfig,
        proposed: &[ProposedContext],
        steps: &mut Steps,
    ) -> Result<Self, AssociateError> {
        let connected = connect::connect(config, steps).await?;
        let begin = Instant::now();
        let mut association = Self::establish(connected, config, proposed).await?;
        steps.associate = Some(begin.elapsed());
        association.steps = steps.clone();
        Ok(association)
    }

    /// Associates over a connection that is already there.
    ///
    /// # Errors
    /// As [`Association::request`].
    pub async fn over(
        transport: Box<dyn Transport>,
        address: SocketAddr,
        config: &RequestorConfig,
        proposed: &[ProposedContext],
    ) -> Result<Self, AssociateError> {
        Self::establish(Connected { transport, address, tls: None }, config, proposed).await
    }

    async fn establish(
        Connected { transport, address, tls }: Connected,
        config: &RequestorConfig,
        proposed: &[ProposedContext],
    ) -> Result<Self, AssociateError> {
        if !(1..=CONTEXTS_MAX).contains(&proposed.len()) {
            return Err(AssociateError::ContextCount(proposed.len()));
        }
        let request = write_request(config, proposed)?;
        let mut wire = Wire::new(transport, config.pdu_length);
        let limit = config.associate_timeout;
        wire.send(&request, limit).await?;
        let opening = match timeout(limit, wire.opening(ACCEPT_BYTES_MAX)).await {
            Ok(Ok(opening)) => opening,
            Ok(Err(error)) => {
                if let WireError::Protocol(error) = &error {
                    abort(&mut wire, error.abort(), config.release_timeout).await;
                }
                return Err(error.into());
            }
            Err(_elapsed) => {
                // Who has said nothing for so long will not say good-bye.
                abort(&mut wire, Abort::USER, LAST_WORDS).await;
                return Err(AssociateError::NoAnswer(limit));
            }
        };
        let body = accepted_body(opening, config, &mut wire).await?;
        let accept = match read_accept(&body) {
            Ok(accept) => accept,
            Err(error) => {
                abort(&mut wire, error.abort(), config.release_timeout).await;
                return Err(error.into());
            }
        };
        let contexts = agreed(proposed, &accept.presentation_contexts);
        let user = UserInformation::of(&accept.user_variables);
        let send_limit = match SendLimit::of_peer(user.maximum_length) {
            Ok(limit) => limit,
            Err(error) => {
                abort(&mut wire, Abort::USER, config.release_timeout).await;
                return Err(error.into());
            }
        };
        Ok(Self {
            wire,
            timeouts: SendTimeouts {
                response: config.response_timeout,
                idle: config.idle_timeout,
                release: config.release_timeout,
            },
            send_limit,
            buffer: Vec::new(),
            assembler: Assembler::new(contexts.iter().map(|context| context.id).collect(), COMMAND_BYTES_MAX),
            contexts,
            provided: provided(&accept.user_variables),
            waiting: None,
            whole: None,
            keeps_data_sets: false,
            peer: PeerInfo {
                address,
                implementation_class_uid: user.class_uid,
                implementation_version_name: user.version_name,
                maximum_length: user.maximum_length,
                tls,
            },
            stage: Stage::Ready,
            message_id: 0,
            steps: Steps::default(),
        })
    }

    /// The ID of the accepted context for this SOP class in this transfer syntax.
    #[must_use]
    pub fn accepted(&self, sop_class: &Uid, transfer_syntax: &Uid) -> Option<u8> {
        self.contexts
            .iter()
            .find(|context| context.abstract_syntax == *sop_class && context.transfer_syntax == *transfer_syntax)
            .map(|context| context.id)
    }

    /// All accepted contexts; there may be none.
    #[must_use]
    pub fn contexts(&self) -> &[AcceptedContext] {
        &self.contexts
    }

    /// Whether the peer lets us be the provider of this SOP class (PS3.7 § D.3.3.4).
    #[must_use]
    pub fn provides(&self, sop_class: &Uid) -> bool {
        self.provided.iter().any(|uid| uid == sop_class.as_str())
    }

    /// What the peer said of itself.
    #[must_use]
    pub fn peer(&self) -> &PeerInfo {
        &self.peer
    }

    /// Whether operations are still possible.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.stage == Stage::Ready
    }

    /// What it took to get here.
    #[must_use]
    pub fn steps(&self) -> &Steps {
        &self.steps
    }

    /// Releases the association and waits for the peer to agree.
    ///
    /// # Errors
    /// [`SendError`] when the peer does not answer as it should. Everything that was answered before
    /// stays as it is.
    pub async fn release(mut self) -> Result<(), SendError> {
        self.begin()?;
        let result = self.exchange_release().await;
        let result = self.conclude(result).await;
        self.stage = Stage::Ended;
        if result.is_ok() {
            self.wire.say_goodbye(self.timeouts.release).await;
        }
        result
    }

    /// Aborts the association as the service user, and waits shortly for the peer to close.
    pub async fn abort(mut self) {
        if self.stage == Stage::Ready {
            abort(&mut self.wire, Abort::USER, self.timeouts.release).await;
        }
        self.stage = Stage::Ended;
    }

    /// Marks an operation as begun.
    pub(super) fn begin(&mut self) -> Result<(), SendError> {
        if self.stage != Stage::Ready {
            return Err(SendError::Ended);
        }
        self.stage = Stage::Busy;
        Ok(())
    }

    /// Marks an operation as done. After a failure the association is over: it is aborted where the
    /// stream is between PDUs, closed in any case, and the peer's last PDU is asked for the reason.
    pub(super) async fn conclude<T>(&mut self, result: Result<T, SendError>) -> Result<T, SendError> {
        let error = match result {
            Ok(value) => {
                self.stage = Stage::Ready;
                return Ok(value);
            }
            Err(error) => error,
        };
        self.stage = Stage::Ended;
        let error = match error {
            SendError::Closed | SendError::Io(_) => self.last_words().await.unwrap_or(error),
            SendError::Protocol(protocol) => {
                abort(&mut self.wire, protocol.abort(), LAST_WORDS).await;
                SendError::Protocol(protocol)
            }
            // Of a PDU for which the bytes did not come nothing was sent.
            SendError::NoResponse(_)
            | SendError::TooSlow { .. }
            | SendError::NotAccepted { .. }
            | SendError::Ended
            | SendError::Source(_) => {
                abort(&mut self.wire, Abort::USER, LAST_WORDS).await;
                error
            }
            // Inside a PDU an A-ABORT would be taken for data.
            SendError::Stalled(_) | SendError::Aborted(_) => error,
        };
        self.wire.close();
        Err(error)
    }

    /// Has the next request go out under this Message ID, and those that follow under the ones after it.
    pub fn number_from(&mut self, message_id: u16) {
        self.message_id = message_id.wrapping_sub(1);
    }

    pub(super) fn next_message_id(&mut self) -> u16 {
        self.message_id = self.message_id.wrapping_add(1).max(1);
        self.message_id
    }

    /// Sends what is in the buffer while listening: one write, where the peer takes it.
    pub(super) async fn send_listening(&mut self) -> Result<(), SendError> {
        let mut sent: usize = 0;
        loop {
            let rest = self.buffer.get(sent..).unwrap_or_default();
            match self.wire.send_some(rest, self.timeouts.idle).await.map_err(SendError::while_sending)? {
                Step::Written(count) => sent = sent.saturating_add(count),
                Step::Received => self.take_in()?,
                Step::Flushed => return Ok(()),
            }
        }
    }

    /// Waits for the response to `message_id`.
    pub(super) async fn response(&mut self, expected: Field, message_id: u16) -> Result<CommandSet, SendError> {
        let Message { command, .. } = self.message(self.timeouts.response).await?;
        if Field::of(command.field()) != expected || command.responds_to() != Some(message_id) {
            return Err(ProtocolError::UnexpectedMessage(command.field()).into());
        }
        Ok(command)
    }

    /// Waits for a whole message, at most `limit`.
    pub(super) async fn message(&mut self, limit: Duration) -> Result<Message, SendError> {
        let begin = Instant::now();
        loop {
            self.take_in()?;
            if let Some(message) = self.whole.take() {
                return Ok(message);
            }
            // A peer that trickles must not wait longer than one that is silent.
            let left = limit.saturating_sub(begin.elapsed());
            self.wire.fill(left).await.map_err(|error| match error {
                WireError::Silent(_) => SendError::NoResponse(limit),
                other => SendError::while_waiting(other),
            })?;
        }
    }

    /// Whether nothing of a message has come that is not whole.
    pub(super) fn is_between_messages(&self) -> bool {
        self.assembler.is_between_messages() && self.wire.framer.is_between_pdus()
    }

    /// Sends a command, and its data set where it has one.
    pub(super) async fn send_message(
        &mut self,
        context: u8,
        command: &[u8],
        data_set: Option<&[u8]>,
    ) -> Result<(), SendError> {
        self.buffer.clear();
        write_fragments(&mut self.buffer, context, true, command, self.send_limit);
        if let Some(data_set) = data_set {
            write_fragments(&mut self.buffer, context, false, data_set, self.send_limit);
        }
        self.wire.send(&self.buffer, self.timeouts.idle).await.map_err(SendError::while_sending)
    }

    /// The accepted context for an abstract syntax, whatever its transfer syntax.
    pub(super) fn context_for(&self, abstract_syntax: &Uid) -> Result<AcceptedContext, SendError> {
        let found = self.contexts.iter().find(|context| context.abstract_syntax == *abstract_syntax);
        found.cloned().ok_or_else(|| SendError::NotAccepted {
            sop_class: abstract_syntax.clone(),
            transfer_syntax: Uid::new(uids::IMPLICIT_VR_LITTLE_ENDIAN).expect("a UID of the standard"),
        })
    }

    /// Looks at what has arrived, up to the end of a message.
    fn take_in(&mut self) -> Result<(), SendError> {
        while self.whole.is_none()
            && let Some(piece) = next_piece(&mut self.wire.framer, &mut self.assembler)?
        {
            match piece {
                Piece::Command { context, command } => {
                    let message = Message { context, data_set: Vec::new(), command };
                    let place = if message.command.has_data_set() { &mut self.waiting } else { &mut self.whole };
                    *place = Some(message);
                }
                Piece::Data { bytes, last } => {
                    if let Some(waiting) = self.waiting.as_mut().filter(|_| self.keeps_data_sets) {
                        extend(&mut waiting.data_set, bytes)?;
                    }
                    if last {
                        self.whole = self.waiting.take();
                    }
                }
                Piece::Partial => {}
            }
        }
        self.wire.rest();
        Ok(())
    }

    async fn exchange_release(&mut self) -> Result<(), SendError> {
        let limit = self.timeouts.release;
        self.wire.send(&RELEASE_REQUEST, limit).await.map_err(SendError::while_sending)?;
        let begun = Instant::now();
        let mut answered = false;
        loop {
            while let Some((kind, body)) = next_control(&mut self.wire.framer)? {
                match state::action(State::Sta7, state::Event::Pdu(kind)) {
                    Action::Ar3 => return Ok(()),
                    // In Sta11 only the response may come.
                    Action::Ar8 if !std::mem::replace(&mut answered, true) => {
                        self.wire.send(&RELEASE_RESPONSE, limit).await.map_err(SendError::while_sending)?;
                    }
                    _ => return Err(unexpected(kind, body, State::Sta7)),
                }
            }
            // However much comes meanwhile.
            let left = limit.saturating_sub(begun.elapsed());
            self.wire.fill(left).await.map_err(SendError::while_waiting)?;
        }
    }

    /// A peer that gives up writes A-ABORT before it closes; it may be there still.
    async fn last_words(&mut self) -> Option<SendError> {
        loop {
            match next_control(&mut self.wire.framer) {
                Ok(Some((PduKind::Abort, body))) => return Some(SendError::Aborted(Abort::from_body(body))),
                Ok(Some(_)) | Err(_) => return None,
                Ok(None) => self.wire.fill(LAST_WORDS).await.ok()?,
            };
        }
    }
}

impl Drop for Association {
    fn drop(&mut self) {
        if self.stage == Stage::Ready {
            self.wire.abort_now();
        }
    }
}

/// What the next fragment brings; `None` when more bytes are needed.
pub(super) fn next_piece<'a>(
    framer: &'a mut Framer,
    assembler: &mut Assembler,
) -> Result<Option<Piece<'a>>, SendError> {
    match framer.next()? {
        Some(Event::Fragment(fragment)) => Ok(Some(assembler.accept(fragment)?)),
        Some(Event::Control { kind, body }) => Err(unexpected(kind, body, State::Sta6)),
        Some(Event::Foreign(kind)) => Err(unexpected(kind, [0; 4], State::Sta6)),
        None => Ok(None),
    }
}

/// Takes in more of a data set that is held in memory.
pub(super) fn extend(held: &mut Vec<u8>, bytes: &[u8]) -> Result<(), ProtocolError> {
    if held.len().saturating_add(bytes.len()) > DATA_SET_BYTES_MAX {
        return Err(ProtocolError::DataSetTooLong { limit: DATA_SET_BYTES_MAX });
    }
    held.extend_from_slice(bytes);
    Ok(())
}

/// The next PDU that is no data; data is thrown away (AR-6: it may still be under way).
fn next_control(framer: &mut Framer) -> Result<Option<(PduKind, [u8; 4])>, ProtocolError> {
    while let Some(event) = framer.next()? {
        match event {
            Event::Fragment(_) => {}
            Event::Control { kind, body } => return Ok(Some((kind, body))),
            Event::Foreign(kind) => return Ok(Some((kind, [0; 4]))),
        }
    }
    Ok(None)
}

fn unexpected(kind: PduKind, body: [u8; 4], state: State) -> SendError {
    match state::action(state, state::Event::Pdu(kind)) {
        Action::Aa3 => SendError::Aborted(Abort::from_body(body)),
        _ => ProtocolError::UnexpectedPdu(kind).into(),
    }
}

async fn abort(wire: &mut Wire, abort: Abort, limit: Duration) {
    if wire.send(&abort.to_pdu(), limit).await.is_ok() {
        wire.await_close(limit).await;
    }
}

/// Context IDs are 1, 3, 5 and so on in the order of `proposed`.
fn write_request(config: &RequestorConfig, proposed: &[ProposedContext]) -> Result<Vec<u8>, AssociateError> {
    let contexts = (1..=u8::MAX).step_by(2).zip(proposed).map(|(id, context)| PresentationContextProposed {
        id,
        abstract_syntax: context.abstract_syntax.to_string(),
        transfer_syntaxes: context.transfer_syntaxes.iter().map(Uid::to_string).collect(),
    });
    let provider = RequestorRoles { scu: false, scp: true };
    let roles =
        config.provides.iter().map(|uid| UserVariableItem::ScuScpRoleSelectionSubItem(uid.to_string(), provider));
    let mut user_variables = vec![
        UserVariableItem::MaxLength(config.pdu_length),
        UserVariableItem::ImplementationClassUID(config.implementation.class_uid.to_string()),
    ];
    user_variables.extend(roles);
    user_variables.push(UserVariableItem::ImplementationVersionName(config.implementation.version_name.clone()));
    let request = Pdu::AssociationRQ(AssociationRQ {
        protocol_version: 1,
        calling_ae_title: config.calling_ae.to_string(),
        called_ae_title: config.called_ae.to_string(),
        application_context_name: uids::DICOM_APPLICATION_CONTEXT.to_owned(),
        presentation_contexts: contexts.collect(),
        user_variables,
    });
    let mut bytes = Vec::new();
    write_pdu(&mut bytes, &request).map_err(|error| AssociateError::Request(error.to_string()))?;
    Ok(bytes)
}

/// Sta5: the body of the A-ASSOCIATE-AC, or why there is none.
async fn accepted_body(opening: Opening, config: &RequestorConfig, wire: &mut Wire) -> Result<Vec<u8>, AssociateError> {
    let (kind, body) = match opening {
        Opening::Pdu(kind, body) => (kind, body),
        Opening::Stranger(stranger) => return Err(stranger.into()),
    };
    let four = body.first_chunk::<4>().copied();
    match (state::action(State::Sta5, state::Event::Pdu(kind)), four) {
        (Action::Ae3, _) => Ok(body),
        (Action::Ae4, Some(four)) => Err(AssociateError::Rejected {
            called_ae: AeTitle::clone(&config.called_ae),
            calling_ae: config.calling_ae.clone(),
            rejection: Rejection::from_body(four),
        }),
        (Action::Aa3, Some(four)) => Err(AssociateError::Aborted(Abort::from_body(four))),
        _ => {
            let error = ProtocolError::UnexpectedPdu(kind);
            abort(wire, error.abort(), config.release_timeout).await;
            Err(error.into())
        }
    }
}

/// The SOP classes whose provider the acceptor lets us be.
fn provided(variables: &[UserVariableItem]) -> Vec<String> {
    let of = |variable: &UserVariableItem| match variable {
        UserVariableItem::ScuScpRoleSelectionSubItem(uid, roles) if roles.scp => Some(uid.clone()),
        _ => None,
    };
    variables.iter().filter_map(of).collect()
}

/// The contexts that the peer accepted with a transfer syntax we proposed for them.
fn agreed(proposed: &[ProposedContext], results: &[dicom_ul::pdu::PresentationContextResult]) -> Vec<AcceptedContext> {
    (1..=u8::MAX)
        .step_by(2)
        .zip(proposed)
        .filter_map(|(id, context)| {
            let result = results.iter().find(|result| result.id == id)?;
            if result.reason != PresentationContextResultReason::Acceptance {
                return None;
            }
            let chosen = context.transfer_syntaxes.iter().find(|uid| uid.as_str() == result.transfer_syntax)?;
            Some(AcceptedContext {
                id,
                abstract_syntax: context.abstract_syntax.clone(),
                transfer_syntax: chosen.clone(),
            })
        })
        .collect()
}
