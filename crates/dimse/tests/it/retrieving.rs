//! C-GET, against peers that send instances by a script.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use dicom_dictionary_std::{tags, uids};
use dicom_ul::pdu::{AbortRQSource, Pdu};
use dokuei_dimse::message::{Field, echo_request, store_request};
use dokuei_dimse::{Association, ProposedContext, Receive, Received, RequestorConfig, SendError};
use dokuei_types::DimseStatus;
use tokio_util::sync::CancellationToken;

use crate::querying::{answer, identifier};
use crate::sending::{accept, acceptor};
use crate::support::{CT, EXPLICIT, Memory, Script, ae, bytes_of, data_pdu, pattern, store_pdus, uid, value};

const GET: &str = uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_GET;

fn receive() -> Receive<Memory> {
    Receive {
        service: Memory::default(),
        peer_ae: ae("NODE"),
        own_ae: ae("PEER"),
        instance_size: 100_000,
        within_message: Duration::from_secs(20),
        bytes_per_second_min: 256,
        commit: Duration::from_secs(20),
    }
}

/// Associated for C-GET in context 1 and for CT in context 3, whose provider we are.
async fn associate(config: &mut RequestorConfig) -> Association {
    config.provides = vec![uid(CT)];
    let contexts = [ProposedContext::information_model(uid(GET)), ProposedContext::of(uid(CT), uid(EXPLICIT))];
    Association::request(config, &contexts).await.unwrap()
}

/// Accepts, and reads the C-GET: its message ID.
async fn asked(script: &mut Script) -> u16 {
    accept(script, 0).await;
    let (command, _) = script.message().await;
    assert_eq!(command.field(), 0x0010);
    command.message_id().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_come_over_the_association_that_asks() {
    let data = pattern(1, 70_000);
    let sent = data.clone();
    let (mut config, done) = acceptor(async move |mut script: Script| {
        let id = asked(&mut script).await;
        script.send(&store_pdus(3, 1, "1.2.3.1", &sent)).await;
        assert_eq!(script.status(1).await, 0);
        script.send(&answer(0x8010, id, 0xFF00, [2, 1, 0, 0], None)).await;
        // One that is refused for its size, one in the context of the query.
        script.send(&store_pdus(3, 2, "1.2.3.2", &vec![0; 100_001])).await;
        assert_eq!(script.status(2).await, DimseStatus::OUT_OF_RESOURCES.0);
        script.send(&store_pdus(1, 3, "1.2.3.3", &sent)).await;
        assert_eq!(script.status(3).await, DimseStatus::SOP_CLASS_NOT_SUPPORTED.0);
        script.send(&answer(0x8010, id, 0xB000, [0, 1, 2, 0], Some(b"failed list"))).await;
        assert_eq!(script.pdu().await, Some(Pdu::ReleaseRQ));
        script.send(&bytes_of(&Pdu::ReleaseRP)).await;
    })
    .await;
    let mut association = associate(&mut config).await;
    assert!(association.provides(&uid(CT)) && !association.provides(&uid(GET)));
    let receive = receive();
    let mut retrieval = association.get(&uid(GET), &identifier(), &receive, CancellationToken::new()).await.unwrap();
    let pending = retrieval.next().await.unwrap().unwrap();
    assert_eq!((pending.status, pending.sub_operations.remaining), (DimseStatus(0xFF00), Some(2)));
    let last = retrieval.next().await.unwrap().unwrap();
    assert_eq!((last.status, last.sub_operations.failed), (DimseStatus(0xB000), Some(2)));
    assert_eq!(last.identifier, b"failed list");
    assert_eq!(retrieval.next().await.unwrap(), None);
    let Received { stored, refused, first_refusal } = retrieval.received().clone();
    assert_eq!((stored, refused), (1, 2));
    assert!(first_refusal.unwrap().contains("100000"));
    association.release().await.unwrap();
    done.await.unwrap();
    let kept = receive.service.kept();
    assert_eq!((kept.len(), &kept[0].data, &kept[0].sop_instance), (1, &data, &uid("1.2.3.1")));
    assert_eq!(receive.service.discarded.load(SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_in_the_middle_of_an_instance_loses_nothing() {
    let cancel = CancellationToken::new();
    let ordered = cancel.clone();
    let (mut config, done) = acceptor(async move |mut script: Script| {
        let id = asked(&mut script).await;
        let pdus = store_pdus(3, 1, "1.2.3.1", &pattern(2, 50_000));
        let (begin, end) = pdus.split_at(20_000);
        script.send(begin).await;
        ordered.cancel();
        let cancelled = script.command().await;
        assert_eq!((Field::of(cancelled.field()), cancelled.responds_to()), (Field::CancelRequest, Some(id)));
        script.send(end).await;
        assert_eq!(script.status(1).await, 0);
        script.send(&answer(0x8010, id, 0xFE00, [7, 1, 0, 0], None)).await;
    })
    .await;
    let mut association = associate(&mut config).await;
    let receive = receive();
    let mut retrieval = association.get(&uid(GET), &identifier(), &receive, cancel).await.unwrap();
    let last = retrieval.next().await.unwrap().unwrap();
    assert_eq!((last.status, last.sub_operations.remaining), (DimseStatus::CANCELLED, Some(7)));
    done.await.unwrap();
    assert_eq!(receive.service.kept()[0].data, pattern(2, 50_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_stops_within_an_instance_is_given_up_and_the_instance_with_it() {
    let (mut config, done) = acceptor(async move |mut script: Script| {
        asked(&mut script).await;
        let pdus = store_pdus(3, 1, "1.2.3.1", &pattern(2, 50_000));
        script.send(&pdus[..20_000]).await;
        script.pdu().await
    })
    .await;
    let mut association = associate(&mut config).await;
    let receive = Receive { within_message: Duration::from_millis(50), ..receive() };
    let mut retrieval = association.get(&uid(GET), &identifier(), &receive, CancellationToken::new()).await.unwrap();
    let error = retrieval.next().await.unwrap_err();
    assert!(matches!(error, SendError::NoResponse(_)), "{error}");
    drop(retrieval);
    assert!(matches!(done.await.unwrap(), Some(Pdu::AbortRQ { source: AbortRQSource::ServiceUser })));
    assert_eq!((receive.service.kept().len(), receive.service.discarded.load(SeqCst)), (0, 1));
}

#[tokio::test]
async fn what_is_neither_an_instance_nor_a_response_ends_the_association() {
    for request in [echo_request(9), store_request(9, &uid(CT), &uid("1.2.3"))] {
        let is_store = request.len() > 80;
        let (mut config, done) = acceptor(async move |mut script: Script| {
            let id = asked(&mut script).await;
            let mut bytes = data_pdu(vec![value(3, true, true, &request)]);
            if is_store {
                // A response where the data set is due.
                bytes.extend(answer(0x8010, id, 0, [0; 4], None));
            }
            script.send(&bytes).await;
            script.pdu().await
        })
        .await;
        let mut association = associate(&mut config).await;
        let receive = receive();
        let mut retrieval =
            association.get(&uid(GET), &identifier(), &receive, CancellationToken::new()).await.unwrap();
        let error = retrieval.next().await.unwrap_err();
        assert!(matches!(error, SendError::Protocol(_)), "{error}");
        let last = done.await.unwrap();
        assert!(matches!(last, Some(Pdu::AbortRQ { source: AbortRQSource::ServiceProvider(_) })), "{last:?}");
        assert!(receive.service.kept().is_empty());
    }
}

#[tokio::test]
async fn a_request_without_a_data_set_or_instance_is_answered() {
    let (mut config, done) = acceptor(async move |mut script: Script| {
        let id = asked(&mut script).await;
        let command = dokuei_dimse::message::CommandWriter::default()
            .uid(tags::AFFECTED_SOP_CLASS_UID, &uid(CT))
            .number(tags::COMMAND_FIELD, 1)
            .number(tags::MESSAGE_ID, 5)
            .number(tags::COMMAND_DATA_SET_TYPE, dokuei_dimse::message::NO_DATA_SET)
            .finish();
        script.send(&data_pdu(vec![value(3, true, true, &command)])).await;
        assert_eq!(script.status(5).await, DimseStatus::CANNOT_UNDERSTAND.0);
        script.send(&answer(0x8010, id, 0, [0, 0, 1, 0], None)).await;
    })
    .await;
    let mut association = associate(&mut config).await;
    let receive = receive();
    let mut retrieval = association.get(&uid(GET), &identifier(), &receive, CancellationToken::new()).await.unwrap();
    assert_eq!(retrieval.next().await.unwrap().unwrap().status, DimseStatus::SUCCESS);
    done.await.unwrap();
}
