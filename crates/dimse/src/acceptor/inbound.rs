//! From fragments to operations: begins an instance when its command is whole, passes its bytes on as
//! they come, and hands over what is to be answered when the message ends. Pure but for the service.

use std::net::SocketAddr;
use std::sync::Arc;

use dicom_dictionary_std::{tags, uids};
use dokuei_types::{DimseStatus, Uid};

use super::negotiation::Negotiated;
use crate::commitment::{ALL_COMMITTED, REQUEST_COMMITMENT, SOME_FAILED, subject};
use crate::message::{Assembler, CommandSet, Field, Piece, Refusal, StoreFault};
use crate::notice::Notice;
use crate::pdu::{Abort, Event, Framer, ProtocolError};
use crate::reception::Reception;
use crate::service::{MoveOriginator, StorageService, StoreRequest};
use crate::sop_class::{AbstractSyntax, is_for_storage};
use crate::state::{self, Action, State};

/// Something whole that arrived.
pub(crate) enum Arrival<I> {
    /// A request to be answered.
    Operation(Operation<I>),
    /// A-RELEASE-RQ.
    Release,
    /// A-ABORT.
    Abort(Abort),
}

/// A request, its data set taken in.
pub(crate) struct Operation<I> {
    pub(crate) context: u8,
    pub(crate) command: CommandSet,
    pub(crate) work: Work<I>,
}

pub(crate) enum Work<I> {
    /// The data set arrived, of so many bytes; the instance waits to be committed, or is refused.
    Store { received: u64, outcome: Result<I, StoreFault> },
    /// C-ECHO, to be answered with this status.
    Echo(DimseStatus),
    /// A message of a normalized service, or how it is to be refused.
    Notice(Result<Box<Notice>, Refusal>),
    /// The response to our N-EVENT-REPORT.
    EventReported,
    /// A request we do not know.
    Unrecognized,
    /// C-CANCEL, which has no response.
    Cancel,
}

enum Receiving<I> {
    Store(Reception<I>),
    /// The data set of a message of a normalized service; `None` once it is too long.
    Information(Option<Vec<u8>>),
    /// The data set of an operation we do not know.
    Ignored,
}

pub(crate) struct Inbound<S: StorageService> {
    service: Arc<S>,
    negotiated: Arc<Negotiated>,
    association: u64,
    peer: SocketAddr,
    instance_size: u64,
    information_bytes: usize,
    assembler: Assembler,
    current: Option<(u8, CommandSet, Receiving<S::Incoming>)>,
}

impl<S: StorageService> Inbound<S> {
    pub(crate) fn new(
        service: Arc<S>,
        negotiated: Arc<Negotiated>,
        association: u64,
        peer: SocketAddr,
        limits: &crate::config::Limits,
    ) -> Self {
        let assembler = Assembler::new(negotiated.ids(), limits.command_set_bytes);
        let (instance_size, information_bytes) = (limits.instance_size, limits.information_bytes);
        Self { service, negotiated, association, peer, instance_size, information_bytes, assembler, current: None }
    }

    /// Whether no message has begun.
    pub(crate) fn is_idle(&self) -> bool {
        self.current.is_none() && self.assembler.is_between_messages()
    }

    /// Whether taking in `count` bytes may block: when the storage of the instance that arrives says so.
    pub(crate) fn may_block(&self, count: usize) -> bool {
        match &self.current {
            Some((_, _, Receiving::Store(reception))) => reception.may_block(count),
            None | Some((_, _, Receiving::Information(_) | Receiving::Ignored)) => false,
        }
    }

    /// Takes in what the framer holds, up to the next arrival; `None` when more bytes are needed.
    pub(crate) fn take(&mut self, framer: &mut Framer) -> Result<Option<Arrival<S::Incoming>>, ProtocolError> {
        while let Some(event) = framer.next()? {
            let (kind, body) = match event {
                Event::Fragment(fragment) => {
                    let piece = self.assembler.accept(fragment)?;
                    if let Some(operation) = self.piece(piece)? {
                        return Ok(Some(Arrival::Operation(operation)));
                    }
                    continue;
                }
                Event::Control { kind, body } => (kind, body),
                Event::Foreign(kind) => (kind, [0; 4]),
            };
            return match state::action(State::Sta6, state::Event::Pdu(kind)) {
                Action::Ar2 if self.is_idle() => Ok(Some(Arrival::Release)),
                Action::Aa3 => Ok(Some(Arrival::Abort(Abort::from_body(body)))),
                _ => Err(ProtocolError::UnexpectedPdu(kind)),
            };
        }
        Ok(None)
    }

    fn piece(&mut self, piece: Piece<'_>) -> Result<Option<Operation<S::Incoming>>, ProtocolError> {
        match piece {
            Piece::Partial => Ok(None),
            Piece::Command { context, command } => self.begin(context, command),
            Piece::Data { bytes, last } => {
                self.data(bytes);
                Ok(if last { self.finish() } else { None })
            }
        }
    }

    fn begin(&mut self, context: u8, command: CommandSet) -> Result<Option<Operation<S::Incoming>>, ProtocolError> {
        let has_data_set = command.has_data_set();
        let receiving = match Field::of(command.field()) {
            Field::StoreRequest => Receiving::Store(self.begin_store(context, &command)),
            field if self.is_read(context, field) => Receiving::Information(Some(Vec::new())),
            Field::EchoRequest
            | Field::CancelRequest
            | Field::ActionRequest
            | Field::EventReportRequest
            | Field::CreateRequest
            | Field::SetRequest
            | Field::OtherRequest(_)
            | Field::EventReportResponse => Receiving::Ignored,
            Field::StoreResponse
            | Field::GetResponse
            | Field::FindResponse
            | Field::MoveResponse
            | Field::EchoResponse
            | Field::ActionResponse
            | Field::CreateResponse
            | Field::SetResponse
            | Field::OtherResponse(_) => {
                return Err(ProtocolError::UnexpectedMessage(command.field()));
            }
        };
        self.current = Some((context, command, receiving));
        Ok(if has_data_set { None } else { self.finish() })
    }

    fn begin_store(&self, id: u8, command: &CommandSet) -> Reception<S::Incoming> {
        let context = self.negotiated.context(id).filter(|context| is_for_storage(context.abstract_syntax.as_str()));
        let move_originator = MoveOriginator::of(command);
        Reception::begin(command, context, |subject| {
            self.service.begin(StoreRequest {
                calling_ae: &self.negotiated.calling_ae,
                called_ae: &self.negotiated.called_ae,
                peer: self.peer,
                sop_class: subject.sop_class,
                sop_instance: subject.sop_instance,
                transfer_syntax: subject.transfer_syntax,
                move_originator: move_originator.as_ref(),
                association: self.association,
            })
        })
    }

    /// Whether a message is one of the normalized service that its context is for.
    fn is_read(&self, id: u8, field: Field) -> bool {
        let service = self.negotiated.context(id).map(|context| AbstractSyntax::of(context.abstract_syntax.as_str()));
        match field {
            Field::ActionRequest | Field::EventReportRequest => service == Some(AbstractSyntax::StorageCommitment),
            Field::CreateRequest => {
                matches!(service, Some(AbstractSyntax::ProcedureStep | AbstractSyntax::Availability))
            }
            Field::SetRequest => service == Some(AbstractSyntax::ProcedureStep),
            _ => false,
        }
    }

    fn data(&mut self, bytes: &[u8]) {
        if let Some((_, _, Receiving::Information(information))) = &mut self.current {
            let limit = self.information_bytes;
            return match information {
                Some(held) if held.len().saturating_add(bytes.len()) <= limit => held.extend_from_slice(bytes),
                _ => *information = None,
            };
        }
        if let Some((_, _, Receiving::Store(reception))) = &mut self.current {
            reception.push(bytes, self.instance_size);
        }
    }

    fn finish(&mut self) -> Option<Operation<S::Incoming>> {
        let (context, command, receiving) = self.current.take()?;
        let work = match (receiving, Field::of(command.field())) {
            (Receiving::Store(reception), _) => {
                let (received, outcome) = reception.end();
                Work::Store { received, outcome }
            }
            (Receiving::Information(information), _) => {
                Work::Notice(self.notice(context, &command, information).map(Box::new))
            }
            (Receiving::Ignored, Field::EventReportResponse) => Work::EventReported,
            (Receiving::Ignored, Field::EchoRequest) => Work::Echo(self.echo_status(context, &command)),
            (Receiving::Ignored, Field::CancelRequest) => Work::Cancel,
            (Receiving::Ignored, _) => Work::Unrecognized,
        };
        Some(Operation { context, command, work })
    }

    /// What a message of a normalized service says, where it is about what its context is for.
    fn notice(&self, id: u8, command: &CommandSet, information: Option<Vec<u8>>) -> Result<Notice, Refusal> {
        let Some(context) = self.negotiated.context(id) else {
            return Err(Refusal::new(DimseStatus::PROCESSING_FAILURE, "no such presentation context"));
        };
        let sop_instance = instance(command, &context.abstract_syntax)?;
        let Some(information) = information else {
            let limit = self.information_bytes;
            let comment = format!("data set exceeds the limit of {limit} bytes");
            return Err(Refusal::new(DimseStatus::RESOURCE_LIMITATION, comment));
        };
        Ok(Notice {
            calling_ae: self.negotiated.calling_ae.clone(),
            called_ae: self.negotiated.called_ae.clone(),
            peer: self.peer,
            sop_class: context.abstract_syntax.clone(),
            sop_instance,
            information,
            transfer_syntax: context.transfer_syntax.clone(),
        })
    }

    /// PS3.7 § 9.1.5.1: the SOP class of C-ECHO is Verification, in a context of its own.
    fn echo_status(&self, id: u8, command: &CommandSet) -> DimseStatus {
        let of_context = self.negotiated.context(id).map(|context| context.abstract_syntax.as_str());
        let of_command = command.uid(tags::AFFECTED_SOP_CLASS_UID);
        if of_context == Some(uids::VERIFICATION) && of_command.is_some_and(|uid| uid.as_str() == uids::VERIFICATION) {
            DimseStatus::SUCCESS
        } else {
            DimseStatus::SOP_CLASS_NOT_SUPPORTED
        }
    }
}

/// The SOP instance that a message of a normalized service is about, in a context for `sop_class` (PS3.7 § 10.1,
/// Annex C); `None` where an N-CREATE leaves it to us.
fn instance(command: &CommandSet, sop_class: &Uid) -> Result<Option<Uid>, Refusal> {
    let field = Field::of(command.field());
    let (class_tag, instance_tag) = match field {
        Field::ActionRequest | Field::SetRequest => (tags::REQUESTED_SOP_CLASS_UID, tags::REQUESTED_SOP_INSTANCE_UID),
        _ => (tags::AFFECTED_SOP_CLASS_UID, tags::AFFECTED_SOP_INSTANCE_UID),
    };
    if command.uid(class_tag).as_ref() != Some(sop_class) {
        return Err(Refusal::new(DimseStatus::NO_SUCH_SOP_CLASS, "not the class of the presentation context"));
    }
    let sop_instance = command.uid(instance_tag);
    let refused = |status, comment: &str| Err(Refusal::new(status, comment));
    match field {
        Field::CreateRequest if sop_instance.is_none() && !command.text(instance_tag).is_empty() => {
            refused(DimseStatus::INVALID_SOP_INSTANCE, "the SOP instance UID is none")
        }
        Field::SetRequest if sop_instance.is_none() => {
            refused(DimseStatus::INVALID_SOP_INSTANCE, "the SOP instance UID is missing or none")
        }
        Field::CreateRequest | Field::SetRequest => Ok(sop_instance),
        _ if sop_instance != Some(subject().1) => {
            refused(DimseStatus::NO_SUCH_SOP_INSTANCE, "not the well-known SOP instance")
        }
        Field::ActionRequest if command.number(tags::ACTION_TYPE_ID) != Some(REQUEST_COMMITMENT) => {
            refused(DimseStatus::NO_SUCH_ACTION, "the action type is not 1")
        }
        Field::ActionRequest => Ok(sop_instance),
        _ => match command.number(tags::EVENT_TYPE_ID) {
            Some(ALL_COMMITTED | SOME_FAILED) => Ok(sop_instance),
            _ => refused(DimseStatus::NO_SUCH_EVENT_TYPE, "the event type is neither 1 nor 2"),
        },
    }
}
