//! What must hold for any bytes of a peer. The tests here run it on damaged messages, the fuzz targets on whatever
//! the fuzzer finds.

use std::net::{Ipv4Addr, SocketAddr};

use dicom_dictionary_std::tags;
use dokuei_dimse::message::{
    Answer, Assembler, CommandSet, ContextSet, Piece, SubOperations, cancel_request, meaning, response,
};
use dokuei_dimse::pdu::{Event, Framer, PduKind, ProtocolError, read_accept, read_request};
use dokuei_dimse::{Implementation, ListenerConfig, negotiate};
use dokuei_types::{AeTitle, DimseStatus, Uid};

/// The AE title the requests of [`association`] call, if they are to be accepted.
pub(crate) const CALLED: &str = "DOKUEI";
/// Command sets and P-DATA-TF are refused beyond this.
const BYTES_MAX: u16 = 4096;
/// Presentation contexts taken for accepted.
const CONTEXTS: [u8; 2] = [1, 3];

/// What a stream says, whatever the pieces it comes in.
#[derive(Debug, PartialEq)]
enum Told {
    Command(u8, CommandSet),
    Data(Vec<u8>, bool),
    Control(PduKind, [u8; 4]),
    Foreign(PduKind),
    Fault(ProtocolError),
}

/// An established association's bytes behind one that says how they are cut into pieces: the same is told however
/// they come, and memory is one buffer and one command set.
pub(crate) fn pdu_stream(input: &[u8]) {
    let [piece, stream @ ..] = input else { return };
    assert_eq!(told(stream, 1 << 16), told(stream, usize::from(*piece) + 1));
}

/// Whether an input of [`pdu_stream`] breaks no rule.
pub(crate) fn is_sound(input: &[u8]) -> bool {
    let [_, stream @ ..] = input else { return false };
    !told(stream, 1 << 16).iter().any(|told| matches!(told, Told::Fault(_) | Told::Foreign(_)))
}

fn told(stream: &[u8], piece: usize) -> Vec<Told> {
    let accepted: ContextSet = CONTEXTS.into_iter().collect();
    let mut framer = Framer::new(BYTES_MAX.into(), piece.min(512));
    let mut assembler = Assembler::new(accepted, BYTES_MAX.into());
    let mut all = Vec::new();
    let mut rest = stream;
    loop {
        while let Some(event) = framer.next().transpose() {
            let told = match event {
                Ok(Event::Fragment(fragment)) => match assembler.accept(fragment) {
                    Ok(Piece::Partial) => continue,
                    Ok(Piece::Command { context, command }) => Told::Command(context, command),
                    Ok(Piece::Data { bytes, last }) => Told::Data(bytes.to_vec(), last),
                    Err(error) => Told::Fault(error),
                },
                Ok(Event::Control { kind, body }) => Told::Control(kind, body),
                Ok(Event::Foreign(kind)) => Told::Foreign(kind),
                Err(error) => Told::Fault(error),
            };
            match (all.last_mut(), told) {
                (Some(Told::Data(bytes, last @ false)), Told::Data(more, ends)) => {
                    bytes.extend_from_slice(&more);
                    *last = ends;
                }
                (_, over @ (Told::Fault(_) | Told::Foreign(_))) => {
                    all.push(over);
                    return all;
                }
                (_, told) => all.push(told),
            }
        }
        if rest.is_empty() {
            return all;
        }
        let space = framer.space();
        let count = piece.min(space.len()).min(rest.len());
        space[..count].copy_from_slice(&rest[..count]);
        framer.filled(count);
        rest = &rest[count..];
    }
}

/// The body of an A-ASSOCIATE-RQ or A-ASSOCIATE-AC: read, and a request that is accepted gets an answer that can be
/// read and accepts nothing that was not proposed.
pub(crate) fn association(input: &[u8]) {
    let _accepted = read_accept(input);
    let Ok(request) = read_request(input) else { return };
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 104));
    let Ok(negotiated) = negotiate(&request, peer, &config()) else { return };
    let answer = read_accept(negotiated.answer.get(6..).unwrap_or_default()).expect("our own answer can be read");
    assert_eq!(answer.called_ae_title, request.called_ae_title);
    for context in &negotiated.contexts {
        assert!(answer.presentation_contexts.iter().any(|answered| answered.id == context.id));
        let mut proposed = request.presentation_contexts.iter().filter(|proposed| proposed.id == context.id);
        assert!(proposed.any(|proposed| proposed.abstract_syntax == context.abstract_syntax.as_str()));
    }
}

fn config() -> ListenerConfig {
    let class_uid = Uid::new("1.2.3").expect("a UID");
    let implementation = Implementation { class_uid, version_name: "TEST".to_owned() };
    let mut config = ListenerConfig::new(AeTitle::new(CALLED).expect("an AE title"), implementation);
    config.store_private_sop_classes = true;
    config.store_private_transfer_syntaxes = true;
    config
}

/// A command set: whatever is read has an answer that can be read too.
pub(crate) fn command(input: &[u8]) {
    let Ok(set) = CommandSet::parse(input.to_vec()) else { return };
    let _texts = (set.text(tags::ERROR_COMMENT), set.text(tags::MOVE_ORIGINATOR_APPLICATION_ENTITY_TITLE));
    let answer = CommandSet::parse(response(&set, DimseStatus::OUT_OF_RESOURCES, &set.text(tags::ERROR_COMMENT)))
        .expect("our own answer can be read");
    assert_eq!(answer.field(), set.field() | 0x8000);
    assert_eq!(answer.responds_to(), Some(set.message_id().unwrap_or(0)));
    let named = |affected, requested| set.uid(affected).or_else(|| set.uid(requested));
    let instance = named(tags::AFFECTED_SOP_INSTANCE_UID, tags::REQUESTED_SOP_INSTANCE_UID);
    assert_eq!(answer.uid(tags::AFFECTED_SOP_INSTANCE_UID), instance);
    for tag in [tags::EVENT_TYPE_ID, tags::ACTION_TYPE_ID] {
        assert_eq!(answer.number(tag), set.number(tag));
    }
    assert!(!answer.has_data_set());
    // As a message whose instance the node names, and that it refuses with a number of its own.
    let (status, given) = (DimseStatus::PROCESSING_FAILURE, Uid::new("1.2.3").expect("a UID"));
    let named = Answer { status, comment: "", error_id: Some(0xA710), sop_instance: Some(&given) };
    let named = CommandSet::parse(named.to(&set)).expect("our own answer can be read");
    assert_eq!(named.uid(tags::AFFECTED_SOP_INSTANCE_UID), instance.or(Some(given)));
    assert_eq!(named.number(tags::ERROR_ID), Some(0xA710));
    // As a response to a query.
    let counts = SubOperations::of(&set);
    assert!(counts.done() <= 3 * u32::from(u16::MAX));
    assert_eq!(counts.remaining, set.number(tags::NUMBER_OF_REMAINING_SUBOPERATIONS));
    let status = set.status().unwrap_or(DimseStatus::SUCCESS);
    assert_eq!(status.is_pending(), meaning(status).starts_with("more follows"));
    let cancel = CommandSet::parse(cancel_request(set.message_id().unwrap_or(0))).expect("our own request can be read");
    assert_eq!(cancel.responds_to(), Some(set.message_id().unwrap_or(0)));
}
