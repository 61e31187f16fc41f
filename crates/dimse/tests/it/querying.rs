//! C-FIND and C-MOVE, against peers that answer by a script.

use std::time::Duration;

use dicom_dictionary_std::{tags, uids};
use dicom_ul::pdu::{AbortRQSource, Pdu};
use dokuei_dimse::message::{CommandSet, CommandWriter, Field, NO_DATA_SET, SubOperations};
use dokuei_dimse::{Association, Information, ProposedContext, Query, RequestorConfig, SendError};
use dokuei_types::{DimseStatus, Uid};
use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;

use crate::sending::{accept, acceptor};
use crate::support::{Script, ae, bytes_of, data_pdu, uid, value};

const FIND: &str = uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND;
const MOVE: &str = uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_MOVE;

pub(crate) fn identifier() -> Information {
    Information { implicit: b"implicit".into(), explicit: b"explicit".into() }
}

/// A response in context 1: its counts are remaining, completed, failed and warning.
pub(crate) fn answer(field: u16, message_id: u16, status: u16, counts: [u16; 4], data: Option<&[u8]>) -> Vec<u8> {
    let [remaining, completed, failed, warning] = counts;
    let command = CommandWriter::default()
        .number(tags::COMMAND_FIELD, field)
        .number(tags::MESSAGE_ID_BEING_RESPONDED_TO, message_id)
        .number(tags::COMMAND_DATA_SET_TYPE, if data.is_some() { 1 } else { NO_DATA_SET })
        .number(tags::STATUS, status)
        .text(tags::ERROR_COMMENT, "as scripted")
        .number(tags::NUMBER_OF_REMAINING_SUBOPERATIONS, remaining)
        .number(tags::NUMBER_OF_COMPLETED_SUBOPERATIONS, completed)
        .number(tags::NUMBER_OF_FAILED_SUBOPERATIONS, failed)
        .number(tags::NUMBER_OF_WARNING_SUBOPERATIONS, warning)
        .finish();
    let mut values = vec![value(1, true, true, &command)];
    if let Some(data) = data {
        let (begin, end) = data.split_at(data.len() / 2);
        values.extend([value(1, false, false, begin), value(1, false, true, end)]);
    }
    data_pdu(values)
}

fn found(message_id: u16, status: u16, data: Option<&[u8]>) -> Vec<u8> {
    answer(0x8020, message_id, status, [0; 4], data)
}

async fn associate(config: &RequestorConfig, model: &str) -> Association {
    Association::request(config, &[ProposedContext::information_model(uid(model))]).await.unwrap()
}

async fn find(association: &mut Association, cancel: CancellationToken) -> Query<'_> {
    association.find(&uid(FIND), &identifier(), cancel).await.unwrap()
}

/// Accepts, and reads the C-FIND: its message ID.
async fn asked(script: &mut Script) -> u16 {
    accept(script, 0).await;
    let (command, identifier) = script.message().await;
    assert_eq!((command.field(), identifier.as_slice()), (0x0020, &b"implicit"[..]));
    assert_eq!(command.uid(tags::AFFECTED_SOP_CLASS_UID), Some(uid(FIND)));
    command.message_id().unwrap()
}

#[tokio::test]
async fn matches_come_one_by_one_and_the_association_goes_on() {
    let (config, done) = acceptor(async move |mut script: Script| {
        let id = asked(&mut script).await;
        script.send(&found(id, 0xFF00, Some(b"a match"))).await;
        script.send(&found(id, 0xFF01, Some(b"another"))).await;
        script.send(&found(id, 0, None)).await;
        let second = script.message().await.0.message_id().unwrap();
        script.send(&found(second, 0xA700, None)).await;
        assert_eq!(script.pdu().await, Some(Pdu::ReleaseRQ));
        script.send(&bytes_of(&Pdu::ReleaseRP)).await;
    })
    .await;
    let mut association = associate(&config, FIND).await;
    let mut query = find(&mut association, CancellationToken::new()).await;
    for (status, data) in [(0xFF00, &b"a match"[..]), (0xFF01, b"another"), (0, b"")] {
        let response = query.next().await.unwrap().unwrap();
        assert_eq!((response.status, response.identifier.as_slice()), (DimseStatus(status), data));
        assert_eq!(response.transfer_syntax, Uid::new(uids::IMPLICIT_VR_LITTLE_ENDIAN).unwrap());
    }
    assert_eq!(query.next().await.unwrap(), None);
    let mut query = find(&mut association, CancellationToken::new()).await;
    let refused = query.next().await.unwrap().unwrap();
    assert_eq!((refused.status, refused.comment.as_str()), (DimseStatus(0xA700), "as scripted"));
    association.release().await.unwrap();
    done.await.unwrap();
}

#[tokio::test]
async fn a_cancellation_is_sent_once_and_the_peer_ends_the_operation() {
    let (config, done) = acceptor(async move |mut script: Script| {
        let id = asked(&mut script).await;
        script.send(&found(id, 0xFF00, Some(b"first"))).await;
        let cancel = script.command().await;
        assert_eq!((Field::of(cancel.field()), cancel.responds_to()), (Field::CancelRequest, Some(id)));
        script.send(&found(id, 0xFF00, Some(b"on its way"))).await;
        script.send(&found(id, 0xFE00, None)).await;
        assert_eq!(script.pdu().await, Some(Pdu::ReleaseRQ));
        script.send(&bytes_of(&Pdu::ReleaseRP)).await;
    })
    .await;
    let mut association = associate(&config, FIND).await;
    let cancel = CancellationToken::new();
    let mut query = find(&mut association, cancel.clone()).await;
    assert_eq!(query.next().await.unwrap().unwrap().identifier, b"first");
    cancel.cancel();
    assert_eq!(query.next().await.unwrap().unwrap().identifier, b"on its way");
    assert_eq!(query.next().await.unwrap().unwrap().status, DimseStatus::CANCELLED);
    association.release().await.unwrap();
    done.await.unwrap();
}

#[tokio::test]
async fn a_peer_that_does_not_heed_a_cancellation_is_aborted() {
    let (mut config, done) = acceptor(async move |mut script: Script| {
        let id = asked(&mut script).await;
        script.send(&found(id, 0xFF00, Some(b"more"))).await;
        assert_eq!(Field::of(script.command().await.field()), Field::CancelRequest);
        let more = found(id, 0xFF00, Some(&[7; 1000]));
        loop {
            if script.stream.write_all(&more).await.is_err() {
                return;
            }
        }
    })
    .await;
    config.response_timeout = Duration::from_millis(500);
    let mut association = associate(&config, FIND).await;
    let cancel = CancellationToken::new();
    let mut query = find(&mut association, cancel.clone()).await;
    assert!(query.next().await.unwrap().is_some());
    cancel.cancel();
    let error = loop {
        match query.next().await {
            Ok(response) => assert!(response.unwrap().status.is_pending()),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, SendError::NoResponse(limit) if limit == config.response_timeout), "{error}");
    drop(association);
    done.await.unwrap();
}

async fn check_refused(answers: fn(u16) -> Vec<u8>) {
    let (config, done) = acceptor(async move |mut script: Script| {
        let id = asked(&mut script).await;
        script.send(&answers(id)).await;
        script.pdu().await
    })
    .await;
    let mut association = associate(&config, FIND).await;
    let mut query = find(&mut association, CancellationToken::new()).await;
    let error = query.next().await.unwrap_err();
    assert!(matches!(error, SendError::Protocol(_)), "{error}");
    assert!(!association.is_usable());
    let last = done.await.unwrap();
    assert!(matches!(last, Some(Pdu::AbortRQ { source: AbortRQSource::ServiceProvider(_) })), "{last:?}");
}

#[tokio::test]
async fn what_is_no_response_to_the_query_ends_the_association() {
    check_refused(|id| found(id + 1, 0xFF00, Some(b"of another"))).await;
    check_refused(|id| answer(0x8021, id, 0xFF00, [0; 4], None)).await;
    check_refused(|id| answer(0x0020, id, 0, [0; 4], Some(b"a request"))).await;
}

#[tokio::test]
async fn a_match_without_end_is_not_held() {
    check_refused(|id| {
        let mut bytes = found(id, 0xFF00, Some(b"")); // its data set ends
        bytes.truncate(bytes.len() - 12); // and now it does not
        let length = u32::try_from(bytes.len() - 6).unwrap();
        bytes[2..6].copy_from_slice(&length.to_be_bytes());
        let more = data_pdu(vec![value(1, false, false, &[0; 100_000])]);
        [bytes, more.repeat(42)].concat()
    })
    .await;
}

#[tokio::test]
async fn a_move_tells_its_progress_and_what_failed() {
    let (config, done) = acceptor(async move |mut script: Script| {
        accept(&mut script, 0).await;
        let (command, _) = script.message().await;
        assert_eq!((command.field(), command.text(tags::MOVE_DESTINATION).as_str()), (0x0021, "DOKUEI"));
        let id = command.message_id().unwrap();
        script.send(&answer(0x8021, id, 0xFF00, [2, 1, 0, 0], None)).await;
        script.send(&answer(0x8021, id, 0xB000, [0, 1, 1, 1], Some(b"failed list"))).await;
        command
    })
    .await;
    let mut association = associate(&config, MOVE).await;
    association.number_from(0x8123);
    let cancel = CancellationToken::new();
    let mut query = association.move_to(&ae("DOKUEI"), &uid(MOVE), &identifier(), cancel).await.unwrap();
    let pending = query.next().await.unwrap().unwrap();
    assert_eq!((pending.sub_operations.remaining, pending.sub_operations.done()), (Some(2), 1));
    let last = query.next().await.unwrap().unwrap();
    let counts = SubOperations { remaining: Some(0), completed: Some(1), failed: Some(1), warning: Some(1) };
    assert_eq!((last.status, last.sub_operations), (DimseStatus(0xB000), counts));
    assert_eq!(last.identifier, b"failed list");
    let command: CommandSet = done.await.unwrap();
    assert_eq!((command.uid(tags::AFFECTED_SOP_CLASS_UID), command.message_id()), (Some(uid(MOVE)), Some(0x8123)));
}

#[tokio::test]
async fn a_model_the_peer_has_not_accepted_costs_nothing() {
    let (config, _done) = acceptor(async move |mut script: Script| {
        accept(&mut script, 0).await;
        script.pdu().await
    })
    .await;
    let mut association = associate(&config, MOVE).await;
    let refused = association.find(&uid(FIND), &identifier(), CancellationToken::new()).await;
    assert!(matches!(refused, Err(SendError::NotAccepted { .. })));
    assert!(association.is_usable());
}
