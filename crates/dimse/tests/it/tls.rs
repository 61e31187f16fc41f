//! TLS on both sides: versions, certificates of every kind, renewal, and peers that mistake the port.

use std::sync::Arc;
use std::time::Duration;

use dicom_ul::pdu::{AssociationRJ, Pdu};
use dokuei_dimse::{
    AssociateError, Association, CertificateFault, Certificates, ClientCertificates, ClientTls, EchoError, PemError,
    PrivateKey, ProposedContext, RequestorConfig, ServerTls, StoreItem, TlsError, TlsSetupError, TlsVersion, echo,
};
use dokuei_types::DimseStatus;
use rcgen::date_time_ymd;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::support::{
    CT, EXPLICIT, Node, Script, ae, bytes_of, implementation, pattern, proposed, request, uid, until,
};
use crate::tls_files::{Authority, Issued, expired, self_signed};

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn calling(node: &Node, tls: ClientTls) -> RequestorConfig {
    RequestorConfig { tls: Some(tls), ..node.requestor() }
}

/// The failure of the handshake with `node`.
async fn handshake_failure(node: &Node, tls: ClientTls) -> TlsError {
    match echo(&calling(node, tls)).await {
        Err(EchoError::Associate(AssociateError::Handshake(error))) => error,
        other => panic!("no failure of the handshake but {other:?}"),
    }
}

async fn certificate_fault(node: &Node, tls: ClientTls) -> CertificateFault {
    match handshake_failure(node, tls).await {
        TlsError::Certificate { fault, .. } => fault,
        other => panic!("no fault of a certificate but {other:?}"),
    }
}

/// A peer that does with its one connection what the test says.
async fn peer<F>(script: impl FnOnce(TcpStream) -> F + Send + 'static) -> RequestorConfig
where
    F: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { script(listener.accept().await.unwrap().0).await });
    RequestorConfig::new(address.to_string(), ae("NODE"), ae("PEER"), implementation())
}

async fn store(association: &mut Association, instance: &str, data: &[u8]) {
    let outcome = association
        .store(StoreItem {
            sop_class: &uid(CT),
            sop_instance: &uid(instance),
            transfer_syntax: &uid(EXPLICIT),
            data_set: data,
            length: data.len() as u64,
        })
        .await;
    assert_eq!(outcome.unwrap().status, DimseStatus::SUCCESS);
}

fn ct() -> ProposedContext {
    ProposedContext::of(uid(CT), uid(EXPLICIT))
}

#[tokio::test(flavor = "multi_thread")]
async fn data_sets_of_every_size_pass_and_the_report_says_what_was_agreed() {
    let authority = Authority::new("Hospital");
    let node = Node::start_tls(|config| config.tls = Some(authority.issue("node").server()));
    let config = calling(&node, authority.client());
    let report = echo(&config).await.unwrap();
    let tls = report.peer.tls.unwrap();
    assert_eq!((tls.version, tls.cipher_suite.as_str()), ("TLS 1.3", "TLS_AES_256_GCM_SHA384"));
    assert_eq!(tls.peer_certificate.unwrap().subject, "node");
    assert!(report.steps.tls > Some(Duration::ZERO));
    assert_eq!(report.release_problem, None);

    let mut association = Association::request(&config, &[ct()]).await.unwrap();
    let lengths = [1, 16_383, 16_384, 16_385, 131_066, 5_000_000];
    for (number, length) in lengths.into_iter().enumerate() {
        store(&mut association, &format!("1.2.3.{number}"), &pattern(number, length)).await;
    }
    association.release().await.unwrap();
    let kept = node.memory.kept();
    assert!(kept.iter().map(|kept| kept.data.len()).eq(lengths));
    assert!(kept.iter().enumerate().all(|(number, kept)| kept.data == pattern(number, kept.data.len())));
    until("both are released", || node.counters.snapshot().open == 0).await;
    assert_eq!(node.counters.snapshot().aborted, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_of_tls_1_2_alone_is_served_unless_the_minimum_is_1_3() {
    let authority = Authority::new("Hospital");
    let issued = authority.issue("node");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let old = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(old));
    for (minimum, served) in [(TlsVersion::Tls12, true), (TlsVersion::Tls13, false)] {
        let tls = ServerTls::new(&issued.chain(), &issued.key(), ClientCertificates::Ignored, minimum).unwrap();
        let node = Node::start_tls(|config| config.tls = Some(tls));
        let stream = TcpStream::connect(node.address).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let Ok(stream) = connector.connect(name, stream).await else {
            assert!(!served);
            continue;
        };
        assert_eq!(stream.get_ref().1.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_2));
        let mut association =
            Association::over(Box::new(stream), node.address, &node.requestor(), &[ct()]).await.unwrap();
        store(&mut association, "1.2.3", &pattern(1, 300_000)).await;
        association.release().await.unwrap();
        assert!(served);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_of_tls_1_2_alone_is_sent_to_unless_the_minimum_is_1_3() {
    let authority = Authority::new("Hospital");
    let issued = authority.issue("old");
    let chain = vec![CertificateDer::from_pem_slice(issued.pem.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
    let old = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(old));
    let node = Node::start(|_| {});
    let behind = node.address;
    for minimum in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let acceptor = acceptor.clone();
        // Takes TLS off and hands on to the plain port.
        let mut config = peer(move |stream| async move {
            let Ok(mut outside) = acceptor.accept(stream).await else { return };
            let mut inside = TcpStream::connect(behind).await.unwrap();
            drop(tokio::io::copy_bidirectional(&mut outside, &mut inside).await);
        })
        .await;
        config.tls = Some(ClientTls::new(&authority.certificates(), None, minimum).unwrap());
        match echo(&config).await {
            Ok(report) => assert_eq!((report.peer.tls.unwrap().version, minimum), ("TLS 1.2", TlsVersion::Tls12)),
            Err(EchoError::Associate(AssociateError::Handshake(error))) => {
                assert_eq!(minimum, TlsVersion::Tls13);
                assert!(error.advice().contains("no TLS version"), "{}", error.advice());
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_does_not_convince_is_named_by_its_fault() {
    let authority = Authority::new("Hospital");
    let mistrusting = Authority::new("Elsewhere").client();
    let future = |params: &mut rcgen::CertificateParams| {
        params.not_before = date_time_ymd(2090, 1, 1);
        params.not_after = date_time_ymd(2091, 1, 1);
    };
    let serving = |issued: Issued| Node::start_tls(move |config| config.tls = Some(issued.server()));

    let node = serving(authority.issue("node"));
    assert_eq!(certificate_fault(&node, mistrusting).await, CertificateFault::UnknownIssuer);
    let node = serving(authority.issue_with("node", &["127.0.0.1"], expired));
    assert_eq!(certificate_fault(&node, authority.client()).await, CertificateFault::Expired);
    let node = serving(authority.issue_with("node", &["127.0.0.1"], future));
    assert_eq!(certificate_fault(&node, authority.client()).await, CertificateFault::NotYetValid);

    let node = serving(authority.issue_with("node", &["pacs.example"], |_| {}));
    let fault = certificate_fault(&node, authority.client()).await;
    assert_eq!(fault.to_string(), "it is for pacs.example, not for 127.0.0.1");
    let named = authority.client().with_server_name("pacs.example").unwrap();
    echo(&calling(&node, named)).await.unwrap();

    let own = self_signed("node");
    let trusting = ClientTls::new(&own.chain(), None, TlsVersion::Tls12).unwrap();
    let node = serving(own);
    echo(&calling(&node, trusting)).await.unwrap();

    let itself = Issued { pem: authority.pem.clone(), key_pem: authority.key_pem.clone() };
    let node = serving(itself);
    assert_eq!(certificate_fault(&node, authority.client()).await, CertificateFault::Authority);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_show_a_certificate_where_it_is_required() {
    let (authority, elsewhere) = (Authority::new("Hospital"), Authority::new("Elsewhere"));
    let (known, stranger) = (authority.issue("modality"), elsewhere.issue("stranger"));
    let late = authority.issue_with("modality", &[], expired);
    let issued = authority.issue("node");
    let trusted = authority.certificates();
    let required = issued.server_for(ClientCertificates::Required(&trusted));
    let node = Node::start_tls(|config| config.tls = Some(required));

    echo(&calling(&node, authority.client_with(&known))).await.unwrap();
    for (tls, words) in [
        (authority.client(), "wants a client certificate"),
        (authority.client_with(&stranger), "does not trust our certificate"),
        (authority.client_with(&late), "our certificate has expired"),
    ] {
        let error = handshake_failure(&node, tls).await;
        assert!(matches!(error, TlsError::Refused(_)), "{error:?}");
        assert!(error.advice().contains(words), "{error}: {}", error.advice());
    }
    assert_eq!(node.counters.snapshot().accepted, 1);

    let accepted = issued.server_for(ClientCertificates::Accepted(&trusted));
    let node = Node::start_tls(|config| config.tls = Some(accepted));
    echo(&calling(&node, authority.client())).await.unwrap();
    echo(&calling(&node, authority.client_with(&known))).await.unwrap();
    assert!(matches!(handshake_failure(&node, authority.client_with(&stranger)).await, TlsError::Refused(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_serves_newcomers_and_leaves_running_associations_alone() {
    let (old, new) = (Authority::new("Old"), Authority::new("New"));
    let node = Node::start_tls(|config| config.tls = Some(old.issue("node").server()));
    let mut running = Association::request(&calling(&node, old.client()), &[ct()]).await.unwrap();
    store(&mut running, "1.2.1", &pattern(1, 200_000)).await;

    node.config.send_modify(|config| Arc::make_mut(config).tls = Some(new.issue("node").server()));
    assert_eq!(certificate_fault(&node, old.client()).await, CertificateFault::UnknownIssuer);
    echo(&calling(&node, new.client())).await.unwrap();
    store(&mut running, "1.2.2", &pattern(2, 200_000)).await;
    running.release().await.unwrap();
    assert_eq!(node.memory.kept().len(), 2);

    node.config.send_modify(|config| Arc::make_mut(config).tls = None);
    assert!(matches!(handshake_failure(&node, new.client()).await, TlsError::Closed));
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_dicom_on_the_tls_port_is_rejected_in_dicom() {
    let authority = Authority::new("Hospital");
    let node = Node::start_tls(|config| config.tls = Some(authority.issue("node").server()));
    let mut script = Script::connect(node.address).await;
    // More than one segment: all of it has to be read, or the answer is lost in a reset.
    let contexts = (0..128).map(|n| proposed(n * 2 + 1, CT, EXPLICIT)).collect();
    script.send(&bytes_of(&request(contexts, 0).into())).await;
    let Some(Pdu::AssociationRJ(AssociationRJ { .. })) = script.pdu().await else { panic!("no rejection") };
    drop(script);
    let error = echo(&node.requestor()).await.unwrap_err();
    assert!(matches!(error, EchoError::Associate(AssociateError::Rejected { .. })), "{error:?}");
    assert_eq!(node.counters.snapshot().accepted, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_to_what_is_no_tls_port_says_so() {
    let authority = Authority::new("Hospital");
    // Our own plain port closes; others abort in DICOM.
    let node = Node::start(|_| {});
    assert!(matches!(handshake_failure(&node, authority.client()).await, TlsError::Closed));
    let abort: &[u8] = &[7, 0, 0, 0, 0, 4, 0, 0, 2, 1];
    for (answer, advice) in [
        (abort, "switch TLS off"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "another service"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "another service"),
    ] {
        let mut config = peer(move |mut stream| async move {
            stream.write_all(answer).await.unwrap();
            drop(stream.read_to_end(&mut Vec::new()).await);
        })
        .await;
        config.tls = Some(authority.client());
        let Err(EchoError::Associate(error)) = echo(&config).await else { panic!("no failure") };
        assert!(matches!(error, AssociateError::Handshake(_)), "{error:?}");
        assert!(error.advice().contains(advice), "{error}: {}", error.advice());
        assert!(!error.is_transient());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_protocols_on_the_tls_port_are_closed() {
    let authority = Authority::new("Hospital");
    let node = Node::start_tls(|config| config.tls = Some(authority.issue("node").server()));
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"SSH-2.0-OpenSSH_9.2\r\n", &[0x16, 3, 1, 0, 3, 9, 9, 9]] {
        let mut stream = TcpStream::connect(node.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        // An alert at most.
        let mut rest = Vec::new();
        drop(stream.read_to_end(&mut rest).await);
        assert!(rest.is_empty() || rest[0] == 0x15, "{rest:?}");
    }
    echo(&calling(&node, authority.client())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_never_ends_is_dropped_when_artim_is_over() {
    let authority = Authority::new("Hospital");
    let node = Node::start_tls(|config| {
        config.tls = Some(authority.issue("node").server());
        config.timeouts.artim = Duration::from_secs(1);
    });
    let mut scripts = Vec::new();
    for begun in [&[][..], &[0x16], &[0x16, 3, 1, 2, 0, 1, 0, 1]] {
        let mut script = Script::connect(node.address).await;
        script.send(begun).await;
        scripts.push(script);
    }
    until("they are counted as half-open", || node.counters.snapshot().half_open == 3).await;
    for mut script in scripts {
        script.check_closed().await;
    }
    until("they are counted no more", || node.counters.snapshot().half_open == 0).await;
    // The handshake and the wait for the request share one timer.
    let stream = TcpStream::connect(node.address).await.unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut silent = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    assert!(!matches!(silent.read(&mut [0]).await, Ok(1..)));
    echo(&calling(&node, authority.client())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_never_ends_the_handshake_is_given_up() {
    let authority = Authority::new("Hospital");
    let mut config = peer(|mut stream| async move { drop(stream.read_to_end(&mut Vec::new()).await) }).await;
    config.tls = Some(authority.client());
    config.connect_timeout = Duration::from_millis(200);
    let error = echo(&config).await.unwrap_err();
    assert!(matches!(error, EchoError::Associate(AssociateError::Handshake(TlsError::Silent(_)))), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_vanishes_without_a_farewell_is_an_association_broken_off() {
    let authority = Authority::new("Hospital");
    let node = Node::start_tls(|config| config.tls = Some(authority.issue("node").server()));
    let mut relay = None;
    let between = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = calling(&node, authority.client());
    config.address = between.local_addr().unwrap().to_string();
    let behind = node.address;
    let request = tokio::spawn(async move { Association::request(&config, &[ct()]).await.unwrap() });
    let (mut outside, _) = between.accept().await.unwrap();
    relay.replace(tokio::spawn(async move {
        let mut inside = TcpStream::connect(behind).await.unwrap();
        drop(tokio::io::copy_bidirectional(&mut outside, &mut inside).await);
    }));
    let mut association = request.await.unwrap();
    until("it is open", || node.counters.snapshot().open == 1).await;
    relay.unwrap().abort();
    let error = association.echo().await.unwrap_err();
    assert!(error.is_transient() || matches!(error, dokuei_dimse::SendError::NotAccepted { .. }), "{error:?}");
    until("it is counted", || node.counters.snapshot().aborted == 1).await;
    until("it is closed", || node.counters.snapshot().open == 0).await;
}

#[test]
fn files_that_cannot_be_used_are_named_by_their_fault() {
    let authority = Authority::new("Hospital");
    let (one, other) = (authority.issue("one"), authority.issue("other"));
    assert!(matches!(Certificates::from_pem(b"no PEM").unwrap_err(), PemError::NoCertificate));
    assert!(matches!(Certificates::from_pem(one.key_pem.as_bytes()).unwrap_err(), PemError::NoCertificate));
    assert!(matches!(PrivateKey::from_pem(one.pem.as_bytes()).unwrap_err(), PemError::NoKey));
    let broken = one.pem.replacen('M', "*", 1);
    assert!(matches!(Certificates::from_pem(broken.as_bytes()).unwrap_err(), PemError::Framing(_)));
    let other_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(Certificates::from_pem(other_der.as_bytes()).unwrap_err(), PemError::Certificate(_)));
    let swapped = ServerTls::new(&one.chain(), &other.key(), ClientCertificates::Ignored, TlsVersion::Tls12);
    assert!(matches!(swapped.unwrap_err(), TlsSetupError::Identity(_)));
    assert!(matches!(authority.client().with_server_name("no name").unwrap_err(), TlsSetupError::ServerName(_)));
    assert_eq!(one.chain().info()[0].subject, "one");
    assert_eq!(format!("{:?}", one.key()), "PrivateKey");
}
