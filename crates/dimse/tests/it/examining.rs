//! The doctor: each way a connection fails, with the cause it names.

use std::sync::Arc;
use std::time::Duration;

use dicom_dictionary_std::uids;
use dicom_ul::pdu::{AbortRQSource, AssociationAC, Pdu, PresentationContextResult, PresentationContextResultReason};
use dokuei_dimse::{
    AssociateError, EchoError, Examination, ProposedContext, Rejection, RequestorConfig, SendError, Speaks, examine,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::support::{CT, EXPLICIT, Node, Script, ae, bytes_of, implementation, uid};
use crate::tls_files::Authority;

/// A peer that does with each of its connections what the test says.
async fn peer<F>(script: impl Fn(TcpStream) -> F + Send + 'static) -> RequestorConfig
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = calling(listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(script(stream));
        }
    });
    config
}

fn calling(address: impl ToString) -> RequestorConfig {
    let mut config = RequestorConfig::new(address.to_string(), ae("NODE"), ae("PEER"), implementation());
    config.associate_timeout = Duration::from_millis(300);
    config.release_timeout = Duration::from_millis(100);
    config
}

fn ct() -> ProposedContext {
    ProposedContext::of(uid(CT), uid(EXPLICIT))
}

/// The examination of a peer that does not associate, whose advice holds `words`.
async fn check(config: &RequestorConfig, speaks: Option<Speaks>, words: &str) -> AssociateError {
    let examination = examine(config, &[ct()]).await;
    assert_eq!(examination.speaks, speaks, "{:?}", examination.echo);
    assert!(examination.accepted.is_none());
    let advice = examination.advice().unwrap();
    assert!(advice.contains(words), "{advice}");
    match examination.echo {
        Err(EchoError::Associate(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_peer_is_timed_at_each_step_and_says_what_it_takes() {
    let node = Node::start(|_| {});
    let not_a_class = ProposedContext::of(uid("1.2.840.10008.5.1.4.31"), uid(EXPLICIT));
    let Examination { steps, echo, speaks, accepted } = examine(&node.requestor(), &[ct(), not_a_class]).await;
    assert!([steps.resolve, steps.connect, steps.associate, steps.echo].iter().all(Option::is_some), "{steps:?}");
    assert_eq!((steps.tls, steps.address, speaks), (None, Some(node.address), None));
    assert!(steps.local_address.unwrap().ip().is_loopback());
    echo.unwrap();
    let accepted = accepted.unwrap().unwrap();
    assert_eq!(accepted.iter().map(|context| context.abstract_syntax.as_str()).collect::<Vec<_>>(), [CT]);
    assert!(examine(&node.requestor(), &[]).await.accepted.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_way_there_names_name_port_and_firewall() {
    let error = check(&calling("no port in this"), None, "spelling").await;
    assert!(matches!(error, AssociateError::Resolve { .. }));

    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = check(&calling(closed), None, "check the port and that the peer is running").await;
    assert!(matches!(error, AssociateError::Connect { .. }));

    // A queue of connections that is full answers no further SYN, as a firewall does.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(0).unwrap();
    let address = full.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        waiting.push(stream.unwrap());
    }
    let mut config = calling(address);
    config.connect_timeout = Duration::from_millis(200);
    let error = check(&config, None, "firewalls").await;
    assert!(matches!(error, AssociateError::ConnectTimeout { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn rejections_name_the_title_to_be_changed() {
    for (rejection, words) in [
        (Rejection::CALLING_AE, "does not know PEER: add it there"),
        (Rejection::CALLED_AE, "not called NODE: correct the called AE title"),
        (Rejection::CONGESTION, "try again later"),
    ] {
        let config = peer(move |stream| async move {
            let mut script = Script { stream };
            script.pdu().await;
            script.send(&rejection.to_pdu()).await;
            script.check_closed().await;
        })
        .await;
        let error = check(&config, None, words).await;
        assert!(matches!(error, AssociateError::Rejected { .. }), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_and_silence_lead_to_the_peer() {
    let config = peer(|stream| async move {
        let mut script = Script { stream };
        // A probe of TLS is no PDU.
        let mut begin = [0; 6];
        if script.stream.peek(&mut begin).await.is_ok() && begin[0] == 1 {
            script.pdu().await;
            script.send(&bytes_of(&Pdu::AbortRQ { source: AbortRQSource::ServiceUser })).await;
        }
    })
    .await;
    let error = check(&config, None, "the peer's log").await;
    assert!(matches!(error, AssociateError::Aborted(_)));

    let config = peer(|mut stream| async move { drop(stream.read_to_end(&mut Vec::new()).await) }).await;
    let quick = RequestorConfig { connect_timeout: Duration::from_millis(300), ..config };
    let examination = timeout(Duration::from_secs(15), examine(&quick, &[])).await.unwrap();
    assert!(matches!(examination.echo, Err(EchoError::Associate(AssociateError::NoAnswer(_)))));
    assert!(examination.advice().unwrap().contains("does not answer"));
    assert_eq!((examination.speaks, examination.steps.associate), (None, None));
    assert!(examination.steps.connect.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn other_services_are_named() {
    let banner = peer(|mut stream| async move {
        stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await.unwrap();
        drop(stream.read_to_end(&mut Vec::new()).await);
    })
    .await;
    let error = check(&banner, None, "check the port").await;
    assert_eq!(error.to_string(), "the peer speaks SSH, not DICOM");

    // A web server waits for the end of a line that an association request does not have.
    let web = peer(|mut stream| async move {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n\r\n") && stream.read_buf(&mut line).await.is_ok_and(|count| count > 0) {}
        drop(stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").await);
    })
    .await;
    let error = check(&web, Some(Speaks::Http), "web server").await;
    assert!(matches!(error, AssociateError::NoAnswer(_)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_and_plain_ports_are_told_apart_either_way() {
    let authority = Authority::new("Hospital");
    let secure = Node::start_tls(|config| config.tls = Some(authority.issue("node").server()));
    let behind = secure.address;
    // A TLS port that hangs up on everything else.
    let strict = peer(move |mut stream| async move {
        let mut begin = [0; 6];
        if stream.peek(&mut begin).await.is_ok() && begin[0] == 0x16 {
            let mut inside = TcpStream::connect(behind).await.unwrap();
            drop(tokio::io::copy_bidirectional(&mut stream, &mut inside).await);
        }
    })
    .await;
    check(&strict, Some(Speaks::Tls), "call it with TLS").await;
    // One that answers with an alert.
    let alert = peer(|mut stream| async move {
        let mut begin = [0; 6];
        drop(stream.read(&mut begin).await);
        drop(stream.write_all(&[21, 3, 3, 0, 2, 2, 10]).await);
        drop(stream.read_to_end(&mut Vec::new()).await);
    })
    .await;
    check(&alert, Some(Speaks::Tls), "call it with TLS").await;

    // A TLS port that hangs up once it has spoken TLS is no port that expects it.
    let issued = authority.issue("peer");
    let chain = vec![CertificateDer::from_pem_slice(issued.pem.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
    let acceptor = TlsAcceptor::from(Arc::new(server.unwrap()));
    let mut config = peer(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            drop(stream.read(&mut [0; 1024]).await);
        }
    })
    .await;
    config.tls = Some(authority.client());
    check(&config, None, "client certificate").await;

    let plain = Node::start(|_| {});
    let mut config = plain.requestor();
    config.tls = Some(authority.client());
    check(&config, Some(Speaks::PlainDicom), "switch TLS off").await;
    let mut config = secure.requestor();
    config.tls = Some(Authority::new("Elsewhere").client());
    check(&config, None, "issued the peer's certificate").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_refuses_verification_may_take_the_rest() {
    let config = peer(|stream| async move {
        let mut script = Script { stream };
        let Some(Pdu::AssociationRQ(request)) = script.pdu().await else { return };
        let answer = |abstract_syntax: &str| match abstract_syntax {
            uids::VERIFICATION => PresentationContextResultReason::AbstractSyntaxNotSupported,
            _ => PresentationContextResultReason::Acceptance,
        };
        let results = request.presentation_contexts.iter().map(|context| PresentationContextResult {
            id: context.id,
            reason: answer(&context.abstract_syntax),
            transfer_syntax: context.transfer_syntaxes[0].clone(),
        });
        let accept = AssociationAC {
            protocol_version: 1,
            calling_ae_title: request.calling_ae_title.clone(),
            called_ae_title: request.called_ae_title.clone(),
            application_context_name: request.application_context_name.clone(),
            presentation_contexts: results.collect(),
            user_variables: vec![],
        };
        script.send(&bytes_of(&accept.into())).await;
        if script.pdu().await == Some(Pdu::ReleaseRQ) {
            script.send(&bytes_of(&Pdu::ReleaseRP)).await;
        }
    })
    .await;
    let examination = examine(&config, &[ct()]).await;
    assert!(matches!(examination.echo, Err(EchoError::Send(SendError::NotAccepted { .. }))));
    assert!(examination.advice().unwrap().contains("enable C-ECHO"));
    assert_eq!(examination.accepted.unwrap().unwrap()[0].abstract_syntax, uid(CT));
}
