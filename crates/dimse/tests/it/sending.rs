//! The sender, against our own listener and against acceptors that misbehave.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use dicom_dictionary_std::tags;
use dicom_dictionary_std::uids::MR_IMAGE_STORAGE;
use dicom_ul::pdu::{
    AbortRQSource, AssociationAC, Pdu, PresentationContextResult, PresentationContextResultReason, UserVariableItem,
};
use dokuei_dimse::message::{CommandWriter, NO_DATA_SET};
use dokuei_dimse::{
    AssociateError, Association, EchoError, Fault, ProposedContext, RequestorConfig, SendError, StoreItem,
    StoreOutcome, echo, plan_contexts,
};
use dokuei_types::{DimseStatus, Uid};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::support::{CT, EXPLICIT, Memory, Node, Script, ae, bytes_of, data_pdu, implementation, pattern, uid, value};

/// An acceptor for one connection that does what `script` says; the receiver resolves when it is done.
pub(crate) async fn acceptor<F, R>(
    script: impl FnOnce(Script) -> F + Send + 'static,
) -> (RequestorConfig, oneshot::Receiver<R>)
where
    F: Future<Output = R> + Send,
    R: Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (done, waits) = oneshot::channel();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let result = script(Script { stream }).await;
        drop(done.send(result));
    });
    let mut config = RequestorConfig::new(address.to_string(), ae("NODE"), ae("PEER"), implementation());
    config.release_timeout = Duration::from_millis(200);
    (config, waits)
}

/// Accepts what is proposed, roles too.
pub(crate) async fn accept(script: &mut Script, max_length: u32) {
    let Some(Pdu::AssociationRQ(request)) = script.pdu().await else { panic!("no request") };
    let contexts = request.presentation_contexts.iter().map(|context| PresentationContextResult {
        id: context.id,
        reason: PresentationContextResultReason::Acceptance,
        transfer_syntax: context.transfer_syntaxes[0].clone(),
    });
    let is_role = |item: &&UserVariableItem| matches!(item, UserVariableItem::ScuScpRoleSelectionSubItem(..));
    let roles = request.user_variables.iter().filter(is_role).cloned();
    let answer = AssociationAC {
        protocol_version: 1,
        calling_ae_title: request.calling_ae_title.clone(),
        called_ae_title: request.called_ae_title.clone(),
        application_context_name: request.application_context_name.clone(),
        presentation_contexts: contexts.collect(),
        user_variables: std::iter::once(UserVariableItem::MaxLength(max_length)).chain(roles).collect(),
    };
    script.send(&bytes_of(&answer.into())).await;
}

/// Reads a whole C-STORE-RQ; gives its message ID and the data set.
async fn read_store(script: &mut Script) -> (u16, Vec<u8>) {
    let message_id = script.command().await.message_id().unwrap();
    let mut data = Vec::new();
    loop {
        let Some(Pdu::PData { data: values }) = script.pdu().await else { panic!("no data") };
        for value in values {
            data.extend(value.data);
            if value.is_last {
                return (message_id, data);
            }
        }
    }
}

fn store_response(message_id: u16, status: u16, comment: &str) -> Vec<u8> {
    let command = CommandWriter::default()
        .number(tags::COMMAND_FIELD, 0x8001)
        .number(tags::MESSAGE_ID_BEING_RESPONDED_TO, message_id)
        .number(tags::COMMAND_DATA_SET_TYPE, NO_DATA_SET)
        .number(tags::STATUS, status)
        .text(tags::ERROR_COMMENT, comment)
        .finish();
    data_pdu(vec![value(1, true, true, &command)])
}

fn ct() -> ProposedContext {
    ProposedContext::of(uid(CT), uid(EXPLICIT))
}

async fn store(association: &mut Association, data: &[u8]) -> Result<StoreOutcome, SendError> {
    store_claiming(association, data, data.len() as u64).await
}

async fn store_claiming(association: &mut Association, data: &[u8], length: u64) -> Result<StoreOutcome, SendError> {
    association
        .store(StoreItem {
            sop_class: &uid(CT),
            sop_instance: &uid("1.2.3"),
            transfer_syntax: &uid(EXPLICIT),
            data_set: data,
            length,
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_maximum_length_of_a_receiver_is_kept_to() {
    // The listener aborts when a PDU is a byte longer than it said.
    for (maximum, lengths) in [
        (8, vec![1, 2, 3, 100]),
        (9, vec![5]),
        (15, vec![1000]),
        (4096, vec![0xFFFF, 4090, 4091, 4089]),
        (4097, vec![10_000]),
        (0, vec![1, 131_066, 131_067, 400_001]),
        (u32::MAX, vec![300_000]),
    ] {
        let node = Node::start(|config| config.limits.pdu_length = maximum);
        let mut association = Association::request(&node.requestor(), &[ct()]).await.unwrap();
        for length in &lengths {
            let outcome = store(&mut association, &pattern(0, *length)).await.unwrap();
            assert_eq!(outcome, StoreOutcome { status: DimseStatus::SUCCESS, comment: String::new() });
        }
        association.release().await.unwrap();
        let kept: Vec<Vec<u8>> = node.memory.kept().into_iter().map(|kept| kept.data).collect();
        assert!(kept == lengths.iter().map(|length| pattern(0, *length)).collect::<Vec<_>>(), "{maximum}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_an_outcome_and_the_association_goes_on() {
    let memory = Memory::default();
    memory.room.store(100, std::sync::atomic::Ordering::SeqCst);
    let node = Node::with(memory, |_| {});
    let mut association = Association::request(&node.requestor(), &[ct()]).await.unwrap();
    let outcome = store(&mut association, &pattern(0, 500_000)).await.unwrap();
    assert_eq!(outcome.status, DimseStatus::OUT_OF_RESOURCES);
    assert_eq!(outcome.comment, "no space left on the disk");
    assert!(store(&mut association, &pattern(0, 50)).await.unwrap().status.is_stored());
    let not_proposed = association
        .store(StoreItem {
            sop_class: &uid(MR_IMAGE_STORAGE),
            sop_instance: &uid("1.2.3"),
            transfer_syntax: &uid(EXPLICIT),
            data_set: &b"x"[..],
            length: 1,
        })
        .await;
    assert!(matches!(not_proposed, Err(SendError::NotAccepted { .. })));
    assert!(association.is_usable());
    association.release().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn more_kinds_than_fit_one_association() {
    let node = Node::start(|config| config.store_private_sop_classes = true);
    let classes: Vec<Uid> = (0..150).map(|n| uid(&format!("1.2.99.{n}"))).collect();
    let syntax = uid(EXPLICIT);
    let plan = plan_contexts(classes.iter().map(|class| (class, &syntax)));
    assert_eq!(plan.associations.len(), 2);
    for contexts in &plan.associations {
        let association = Association::request(&node.requestor(), contexts).await.unwrap();
        assert_eq!(association.contexts().len(), contexts.len());
        for context in contexts {
            assert!(association.accepted(&context.abstract_syntax, &syntax).is_some());
        }
        association.release().await.unwrap();
    }
    let too_many = vec![ct(); 129];
    let error = Association::request(&node.requestor(), &too_many).await.unwrap_err();
    assert!(matches!(error, AssociateError::ContextCount(129)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_echo_reports_what_was_negotiated() {
    let node = Node::start(|config| config.limits.pdu_length = 65_536);
    let report = echo(&node.requestor()).await.unwrap();
    assert_eq!(report.status, DimseStatus::SUCCESS);
    assert_eq!((report.peer.address, report.peer.maximum_length), (node.address, 65_536));
    assert_eq!(report.peer.implementation_class_uid.as_deref(), Some("1.2.3.4"));
    assert_eq!(report.peer.implementation_version_name.as_deref(), Some("TEST_1"));
    assert_eq!(report.transfer_syntax.as_str(), "1.2.840.10008.1.2");
    assert_eq!(report.release_problem, None);
    let steps = &report.steps;
    assert!(steps.associate > Some(Duration::ZERO) && steps.echo > Some(Duration::ZERO));
    assert_eq!((steps.address, steps.tls), (Some(node.address), None));
}

async fn check_echo_fails(config: &RequestorConfig, fault: Fault, advice: &str) -> AssociateError {
    let error = echo(config).await.unwrap_err();
    assert_eq!(error.fault(), fault, "{error}");
    assert!(error.advice().contains(advice), "{error}: {}", error.advice());
    match error {
        EchoError::Associate(error) => error,
        EchoError::Send(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_says_whose_fault_it_is_and_what_to_change() {
    let node = Node::start(|_| {});
    let mut config = node.requestor();
    config.called_ae = ae("OTHER");
    let error = check_echo_fails(&config, Fault::Peer, "not called OTHER").await;
    assert!(!error.is_transient());
    assert_eq!(
        error.to_string(),
        "OTHER rejected the association: called AE title not recognized, permanently (result 1, source 1, reason 7)"
    );

    let free: SocketAddr = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    config.address = free.to_string();
    assert!(check_echo_fails(&config, Fault::Network, "nothing listens").await.is_transient());
    config.address = "no-port".into();
    check_echo_fails(&config, Fault::Ours, "spelling of no-port").await;

    for (answer, fault, advice) in [
        (&b"\x15\x03\x01\x00\x02\x02\x46"[..], Fault::Ours, "expects TLS"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Fault::Ours, "check the port"),
        (b"\x07\0\0\0\0\x04\0\0\x02\0", Fault::Peer, "peer's log"),
        (b"\x03\0\0\0\0\x04\0\x02\x03\x02", Fault::Peer, "try again later"),
        (b"\x02\0\0\0\0\x04\0\x02\x03\x02", Fault::Peer, "garbles"),
        (b"\x06\0\0\0\0\x04\0\0\0\0", Fault::Peer, "garbles"),
        (b"\x02\0\xFF\xFF\xFF\xFF", Fault::Peer, "garbles"),
        (b"", Fault::Peer, "expects TLS"),
    ] {
        let (config, done) = acceptor(async |mut script: Script| {
            script.pdu().await.unwrap();
            script.send(answer).await;
        })
        .await;
        check_echo_fails(&config, fault, advice).await;
        done.await.unwrap();
    }

    let (mut config, done) = acceptor(async |mut script: Script| {
        script.pdu().await.unwrap();
        script.check_aborted(AbortRQSource::ServiceUser).await;
    })
    .await;
    config.associate_timeout = Duration::from_millis(50);
    check_echo_fails(&config, Fault::Peer, "does not answer").await;
    done.await.unwrap();

    let (config, _done) = acceptor(async |mut script: Script| accept(&mut script, 5).await).await;
    check_echo_fails(&config, Fault::Peer, "maximum PDU length").await;
}

/// Associates with an acceptor that then does `script`, sends it 1 MB, and expects `expected`.
async fn check_store_fails<F, R: Send + 'static>(
    script: impl FnOnce(Script) -> F + Send + 'static,
    change: impl FnOnce(&mut RequestorConfig),
    expected: impl FnOnce(&SendError) -> bool,
) -> R
where
    F: Future<Output = R> + Send,
{
    let (mut config, done) = acceptor(async move |mut stream: Script| {
        accept(&mut stream, 0).await;
        script(stream).await
    })
    .await;
    change(&mut config);
    let mut association = Association::request(&config, &[ct()]).await.unwrap();
    let error = store(&mut association, &pattern(0, 14_000_000)).await.unwrap_err();
    assert!(expected(&error), "{error:?}");
    assert!(!association.is_usable());
    assert!(matches!(store(&mut association, b"x").await, Err(SendError::Ended)));
    drop(association);
    done.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_gives_up_in_the_middle_is_heard() {
    let abort = bytes_of(&Pdu::AbortRQ { source: AbortRQSource::ServiceUser });
    // It says so and reads no further, but keeps the connection.
    let script = async move |mut script: Script| {
        script.command().await;
        script.send(&abort).await;
        script
    };
    let _kept_open =
        check_store_fails(script, |_| {}, |error| matches!(error, SendError::Aborted(abort) if abort.source == 0))
            .await;
    // It just goes away.
    let script = async |mut script: Script| {
        script.command().await;
    };
    check_store_fails(script, |_| {}, |error| matches!(error, SendError::Closed | SendError::Io(_))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_stops_reading_is_left() {
    let (given_up, wait) = oneshot::channel::<()>();
    let (mut config, done) = acceptor(async move |mut script: Script| {
        accept(&mut script, 0).await;
        script.command().await;
        wait.await.unwrap();
        while script.pdu().await.is_some() {}
    })
    .await;
    config.idle_timeout = Duration::from_millis(100);
    let mut association = Association::request(&config, &[ct()]).await.unwrap();
    let error = store(&mut association, &pattern(0, 14_000_000)).await.unwrap_err();
    assert!(matches!(error, SendError::Stalled(_)), "{error:?}");
    given_up.send(()).unwrap();
    // The association still exists here, but its connection is closed.
    done.await.unwrap();
    assert!(matches!(store(&mut association, b"x").await, Err(SendError::Ended)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_does_not_answer_is_aborted() {
    let script = async |mut script: Script| {
        let (_, data) = read_store(&mut script).await;
        assert_eq!(data.len(), 14_000_000);
        script.check_aborted(AbortRQSource::ServiceUser).await;
        script.check_closed().await;
    };
    let brief = |config: &mut RequestorConfig| config.response_timeout = Duration::from_millis(100);
    check_store_fails(script, brief, |error| matches!(error, SendError::NoResponse(_))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_another_question_is_no_answer() {
    let script = async |mut script: Script| {
        let (message_id, _) = read_store(&mut script).await;
        script.send(&store_response(message_id + 1, 0, "")).await;
        script.pdu().await
    };
    let answer = check_store_fails(script, |_| {}, |error| matches!(error, SendError::Protocol(_))).await;
    assert!(matches!(answer, Some(Pdu::AbortRQ { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_answer_counts_once_everything_is_sent() {
    let (config, done) = acceptor(async |mut script: Script| {
        accept(&mut script, 16_384).await;
        let message_id = script.command().await.message_id().unwrap();
        script.send(&store_response(message_id, 0xA700, "full \u{e9}")).await;
        let mut received = 0;
        while received < 3_000_000 {
            let Some(Pdu::PData { data }) = script.pdu().await else { panic!("no data") };
            received += data.iter().map(|value| value.data.len()).sum::<usize>();
        }
        // Both sides release at the same time.
        assert_eq!(script.pdu().await, Some(Pdu::ReleaseRQ));
        script.send(&bytes_of(&Pdu::ReleaseRQ)).await;
        assert_eq!(script.pdu().await, Some(Pdu::ReleaseRP));
        script.send(&bytes_of(&Pdu::ReleaseRP)).await;
    })
    .await;
    let mut association = Association::request(&config, &[ct()]).await.unwrap();
    let outcome = store(&mut association, &pattern(0, 3_000_000)).await.unwrap();
    assert_eq!((outcome.status.0, outcome.comment.as_str()), (0xA700, "full ?"));
    association.release().await.unwrap();
    done.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_ends_in_time_whatever_the_peer_says_instead_of_answering_it() {
    for instead in [&[4, 0, 0, 0, 0, 0][..], &[5, 0, 0, 0, 0, 4, 0, 0, 0, 0]] {
        let (config, done) = acceptor(async |mut script: Script| {
            accept(&mut script, 16_384).await;
            assert_eq!(script.pdu().await, Some(Pdu::ReleaseRQ));
            while script.stream.write_all(instead).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        let association = Association::request(&config, &[ct()]).await.unwrap();
        let released = tokio::time::timeout(Duration::from_secs(10), association.release()).await;
        assert!(released.unwrap().is_err());
        done.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_ends_early_costs_the_association_only() {
    let node = Node::start(|_| {});
    let mut association = Association::request(&node.requestor(), &[ct()]).await.unwrap();
    let error = store_claiming(&mut association, &pattern(0, 1000), 1001).await.unwrap_err();
    assert!(matches!(error, SendError::Source(_)));
    drop(association);
    crate::support::until("the node notices", || node.counters.snapshot().aborted == 1).await;
    assert!(node.memory.kept().is_empty());
    node.check_alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_association_is_aborted() {
    let (config, done) = acceptor(async |mut script: Script| {
        accept(&mut script, 0).await;
        script.check_aborted(AbortRQSource::ServiceUser).await;
        script.check_closed().await;
    })
    .await;
    drop(Association::request(&config, &[ct()]).await.unwrap());
    done.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_operation_ends_the_association() {
    let (config, done) = acceptor(async |mut script: Script| {
        accept(&mut script, 0).await;
        read_store(&mut script).await;
        script.check_closed().await;
    })
    .await;
    let mut association = Association::request(&config, &[ct()]).await.unwrap();
    let cancelled = tokio::time::timeout(Duration::from_millis(100), store(&mut association, b"data")).await;
    assert!(cancelled.is_err());
    assert!(matches!(store(&mut association, b"data").await, Err(SendError::Ended)));
    drop(association);
    done.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_syntax_nobody_proposed_is_not_accepted() {
    let (config, _done) = acceptor(async |mut script: Script| {
        let Some(Pdu::AssociationRQ(request)) = script.pdu().await else { panic!("no request") };
        let result = |id, transfer_syntax: &str| PresentationContextResult {
            id,
            reason: PresentationContextResultReason::Acceptance,
            transfer_syntax: transfer_syntax.into(),
        };
        let answer = AssociationAC {
            protocol_version: 1,
            calling_ae_title: request.calling_ae_title,
            called_ae_title: request.called_ae_title,
            application_context_name: request.application_context_name,
            presentation_contexts: vec![result(1, "1.2.840.10008.1.2.4.50"), result(9, EXPLICIT)],
            user_variables: vec![],
        };
        script.send(&bytes_of(&answer.into())).await;
        script.pdu().await;
    })
    .await;
    let association = Association::request(&config, &[ct()]).await.unwrap();
    assert!(association.contexts().is_empty());
    assert_eq!(association.accepted(&uid(CT), &uid(EXPLICIT)), None);
    association.abort().await;
}
