use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dokuei_tests::{Authority, Node, dokuei, dokuei_failing, free_port, wait_for};
use tempfile::tempdir;

use crate::radiographs::write;

const HTTP: &str = "[http]\nlisten = \"127.0.0.1:0\"\n";
const DAY: u64 = 24 * 60 * 60;

fn connect(node: &Node) -> TcpStream {
    TcpStream::connect((Ipv4Addr::LOCALHOST, node.http_port())).unwrap()
}

/// All that is said until the connection is closed, also by a reset.
fn said(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    drop(stream.read_to_end(&mut bytes));
    String::from_utf8(bytes).unwrap()
}

#[test]
fn metrics_follow_what_arrives_is_analysed_and_waits() {
    let folder = tempdir().unwrap();
    let pacs = free_port();
    let config = format!(
        "{HTTP}[[destination]]\nname = \"pacs \\\"A\\\"\"\nae_title = \"PACS\"\naddress = \"127.0.0.1:{pacs}\"\n\
         [[route]]\nname = \"post\"\nwhen = [\"image_type[7] == 'POST'\"]\n\
         send_images = [\"pacs \\\"A\\\"\"]\n\
         [[route]]\nname = \"chest\"\nwhen = [\"modality in ['CR', 'DX']\"]\nmodels = [\"cxr-pneumonia\"]\n\
         send_results = [\"pacs \\\"A\\\"\"]\n"
    );
    let node = Node::start(&folder.path().join("node"), &config);
    assert_eq!(node.metric("dokuei_instances_received_total"), 0.0);
    assert_eq!(node.metric("dokuei_ready"), 1.0);

    let images = write(&folder.path().join("images"), 2);
    let address = format!("127.0.0.1:{}", node.port);
    for _ in 0..2 {
        drop(dokuei(&["send", &address, images[0].to_str().unwrap(), images[1].to_str().unwrap()]));
    }
    drop(dokuei_failing(&["send", &address, "--called", "NOBODY", images[0].to_str().unwrap()]));
    wait_for("the results to wait for the PACS", || {
        node.metric(r#"dokuei_outbox_objects{destination="pacs \"A\"",state="waiting"}"#) >= 2.0
            && node.metric("dokuei_queue_depth") == 0.0
    });
    for (sample, value) in [
        ("dokuei_instances_received_total", 4.0),
        (r#"dokuei_arrivals_total{outcome="new"}"#, 2.0),
        (r#"dokuei_arrivals_total{outcome="duplicate"}"#, 2.0),
        (r#"dokuei_associations_rejected_total{reason="called AE title not recognized"}"#, 1.0),
        ("dokuei_associations_open", 0.0),
        (r#"dokuei_rules_total{said="failed",route="post"}"#, 2.0),
        ("dokuei_instances_open", 2.0),
        (r#"dokuei_analysis_seconds_count{model="cxr-pneumonia",stage="infer"}"#, 2.0),
        (r#"dokuei_dead_letters{kind="delivery"}"#, 0.0),
    ] {
        assert_eq!(node.metric(sample), value, "{sample}\n{}", node.get("/metrics").1);
    }
    let sent: u64 = images.iter().map(|image| image.metadata().unwrap().len()).sum();
    let received = node.metric("dokuei_received_bytes_total");
    assert!(received > 0.0 && received <= 2.0 * sent as f64, "{received}");
    assert!(node.metric(r#"dokuei_analysis_seconds_sum{model="cxr-pneumonia",stage="infer"}"#) > 0.0);
    assert!(node.metric("process_resident_memory_bytes") > 1e6);
    wait_for("an attempt to be counted", || {
        node.metric(r#"dokuei_deliveries_total{destination="pacs \"A\"",outcome="retried"}"#) >= 1.0
    });
    wait_for("the oldest to grow old", || {
        node.metric(r#"dokuei_outbox_oldest_seconds{destination="pacs \"A\""}"#) >= 1.0
    });
    assert_eq!(node.get("/health/ready"), (200, "ready\n".to_owned()));
    let text = node.get("/metrics").1;
    for name in ["PHANTOM", "9001", "1.2.", "2.25."] {
        let of_patient = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .any(|line| line.split('{').nth(1).is_some_and(|labels| labels.contains(name)));
        assert!(!of_patient, "{name} is in a label:\n{text}");
    }
}

#[test]
fn a_node_without_room_is_alive_and_not_ready() {
    let folder = tempdir().unwrap();
    let no_room = [("DOKUEI_LIMITS_DISK_FREE_MIN", "1000000 GiB")];
    let mut node = Node::start_in(folder.path(), HTTP, &no_room);
    assert_eq!(node.get("/health/live"), (200, "live\n".to_owned()));
    let (status, why) = node.get("/health/ready");
    assert_eq!(status, 503, "{why}");
    assert!(why.contains("bytes are free on the disk"), "{why}");
    assert_eq!(node.metric("dokuei_ready"), 0.0);
    assert!(node.metric("dokuei_data_free_bytes") < node.metric("dokuei_data_free_min_bytes"));
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn certificates_are_among_the_metrics_and_renewed_by_a_reload() {
    let folder = tempdir().unwrap();
    let authority = Authority::new(&folder.path().join("ca"), "Hospital");
    let [key, certificate] = authority.issue("node", 10);
    let tls = format!("[tls]\nlisten = \"127.0.0.1:0\"\ncertificate = {certificate:?}\nkey = {key:?}\n");
    let node = Node::start(&folder.path().join("node"), &format!("{HTTP}{tls}"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as f64;
    let not_after = || node.metric(r#"dokuei_certificate_not_after_timestamp_seconds{purpose="tls.certificate"}"#);
    let in_days = |days: u64| now + (days * DAY) as f64;
    let seconds = not_after();
    assert!(seconds > in_days(9) && seconds < in_days(11), "{seconds}");
    let [new_key, new_certificate] = authority.issue("renewed", 100);
    std::fs::copy(new_key, key).unwrap();
    std::fs::copy(new_certificate, certificate).unwrap();
    let other_port = std::fs::read_to_string(node.config())
        .unwrap()
        .replace("[http]\nlisten = \"127.0.0.1:0\"", "[http]\nlisten = \"127.0.0.1:1\"");
    std::fs::write(node.config(), other_port).unwrap();
    node.reload("configuration reloaded");
    wait_for("the renewed one", || not_after() > in_days(90));
    assert!(node.log().contains("takes effect at the next start"), "{}", node.log());
}

#[test]
fn strange_clients_get_an_answer_or_are_dropped_and_images_still_arrive() {
    let folder = tempdir().unwrap();
    let mut node = Node::start(&folder.path().join("node"), HTTP);
    let mut slow = connect(&node);
    slow.write_all(b"GET /metrics HTTP/1.1\r\nX-Slow: ").unwrap();
    for (bytes, answer) in [
        (&b"\x01\x00\x00\x00\x00\xcd\x00\x01\x00\x00\r\n\r\n"[..], "HTTP/1.1 400"),
        (b"GET /metrics\r\n\r\n", "HTTP/1.1 400"),
        (b"DELETE /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 405"),
        (b"GET /../index.sqlite HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404"),
    ] {
        let mut stream = connect(&node);
        stream.write_all(bytes).unwrap();
        let said = said(&mut stream);
        assert!(said.starts_with(answer), "{:?}: {said}", String::from_utf8_lossy(bytes));
    }
    slow.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    assert_eq!(said(&mut slow), "", "dropped without an answer");

    let mut idle: Vec<TcpStream> = (0..200).map(|_| connect(&node)).collect();
    let images = write(&folder.path().join("images"), 1);
    drop(dokuei(&["send", &format!("127.0.0.1:{}", node.port), images[0].to_str().unwrap()]));
    assert_eq!(node.metric("dokuei_instances_received_total"), 1.0);
    assert_eq!(said(&mut idle[0]), "", "the oldest has given way");
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn a_port_that_another_program_has_is_said_at_the_start() {
    let folder = tempdir().unwrap();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let config = folder.path().join("dokuei.toml");
    let data_dir = folder.path().join("data");
    let text = format!(
        "[node]\nlisten = \"127.0.0.1:0\"\ndata_dir = {data_dir:?}\npreallocate = \"0 B\"\n[http]\nlisten = \"127.0.0.1:{port}\"\n[limits]\ndisk_free_min = \"16 MiB\"\n"
    );
    std::fs::write(&config, text).unwrap();
    let (code, words) = dokuei_failing(&["serve", "--config", config.to_str().unwrap()]);
    assert_eq!(code, 1, "{words}");
    assert!(words.contains(&format!("listen on 127.0.0.1:{port}")) && words.contains("another program"), "{words}");
}
