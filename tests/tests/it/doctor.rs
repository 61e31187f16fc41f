use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;

use dokuei_tests::{Node, Orthanc, Server, Storescp, dokuei, dokuei_failing, free_port, pydicom, wait_for};
use serde_json::Value;
use tempfile::tempdir;

/// What `echo --json` says of a peer that answers.
fn echoed(port: u16, called: &str) -> Value {
    let text = dokuei(&["echo", &format!("127.0.0.1:{port}"), "--called", called, "--json"]);
    serde_json::from_str(&text).unwrap()
}

fn takes(answer: &Value, sop_class: &str) -> usize {
    let pairs = answer["accepts"].as_array().unwrap();
    pairs.iter().filter(|pair| pair["sop_class"] == sop_class).count()
}

/// What `echo` says on standard error of a peer that does not answer.
fn failing(port: u16) -> String {
    let (code, stderr) = dokuei_failing(&["echo", &format!("127.0.0.1:{port}"), "--timeout", "2s"]);
    assert_eq!(code, 1);
    // The report breaks its lines where they are long.
    stderr.split_whitespace().collect::<Vec<_>>().join(" ")
}

const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const COMPREHENSIVE_3D_SR: &str = "1.2.840.10008.5.1.4.1.1.88.34";

#[test]
fn storescp_says_what_it_takes() {
    let folder = tempdir().unwrap();
    let Some(pacs) = Storescp::start(&folder.path().join("pacs")) else { return };
    let answer = echoed(pacs.port, "PACS");
    assert_eq!(answer["status"], "0000");
    assert!(answer["implementation_version_name"].as_str().unwrap().starts_with("OFFIS_DCMTK"), "{answer:#}");
    assert!(takes(&answer, CT) > 2 && takes(&answer, COMPREHENSIVE_3D_SR) == 2, "{answer:#}");
    for step in ["resolve_ms", "connect_ms", "associate_ms", "echo_ms"] {
        assert!(answer[step].is_f64(), "{step}: {answer:#}");
    }
}

#[test]
fn orthanc_says_what_it_takes() {
    let folder = tempdir().unwrap();
    let port = free_port();
    let Some(_orthanc) = Orthanc::start(&folder.path().join("orthanc"), port, free_port(), "") else { return };
    let answer = echoed(port, "ORTHANC");
    assert_eq!(answer["status"], "0000");
    assert!(takes(&answer, CT) > 2 && takes(&answer, COMPREHENSIVE_3D_SR) == 2, "{answer:#}");
}

#[test]
fn pynetdicom_says_what_it_takes_and_one_that_only_echoes_takes_nothing() {
    let Some(python) = pydicom() else { return };
    let folder = tempdir().unwrap();
    let start = |app: &str, options: &[&str]| {
        let port = free_port();
        let mut command = Command::new(&python);
        command.args(["-m", "pynetdicom", app, &port.to_string()]).args(options).current_dir(folder.path());
        let server = Server::start(command, &folder.path().join(app));
        wait_for(app, || std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        (server, port)
    };
    let (_store, port) = start("storescp", &["--ignore"]);
    let answer = echoed(port, "ANY-SCP");
    assert!(takes(&answer, CT) >= 2 && takes(&answer, COMPREHENSIVE_3D_SR) == 2, "{answer:#}");
    let (_echo, port) = start("echoscp", &[]);
    assert_eq!(echoed(port, "ANY-SCP")["accepts"], Value::Array(vec![]));
}

#[test]
fn a_closed_port_a_web_server_and_a_wrong_title_are_told_apart() {
    let words = failing(free_port());
    assert!(words.contains("it failed to connect") && words.contains("nothing listens"), "{words}");

    let folder = tempdir().unwrap();
    let node = Node::start(&folder.path().join("node"), "");
    let (_, words) = dokuei_failing(&["echo", &format!("127.0.0.1:{}", node.port), "--called", "NOBODY"]);
    assert!(words.contains("NOBODY: correct the called AE title"), "{words}");

    let started = Orthanc::start(&folder.path().join("orthanc"), free_port(), node.port, "");
    let Some(orthanc) = started else { return };
    let words = failing(orthanc.http_port);
    assert!(words.contains("it failed to associate") && words.contains("speaks HTTP, not DICOM"), "{words}");
}

fn checked(folder: &Path, config: &str) -> (i32, Vec<Value>) {
    let file = folder.join("site.toml");
    std::fs::write(&file, format!("[limits]\ndisk_free_min = \"1 MiB\"\n{config}")).unwrap();
    let (code, text) = dokuei_tests::dokuei_ending(&["check", "--json", "--config", file.to_str().unwrap()]);
    (code, serde_json::from_str(&text).unwrap())
}

fn verdict<'a>(checked: &'a [Value], what: &str) -> (&'a str, &'a str) {
    let one = checked.iter().find(|one| one["what"] == what).expect(what);
    (one["verdict"].as_str().unwrap(), one["words"].as_str().unwrap())
}

#[test]
fn check_says_what_each_destination_takes_and_how_it_reaches_us() {
    let folder = tempdir().unwrap();
    let Some(pacs) = Storescp::start(&folder.path().join("pacs")) else { return };
    // Accepts connections and says nothing.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let config = format!(
        r#"
[[destination]]
name = "pacs"
ae_title = "PACS"
address = "127.0.0.1:{}"
[[destination]]
name = "silent"
ae_title = "SILENT"
address = "127.0.0.1:{}"
timeout = "300ms"
[[destination]]
name = "unused"
ae_title = "PACS"
address = "127.0.0.1:{}"
[[route]]
name = "all"
models = ["cxr-pneumonia"]
send_results = ["pacs", "silent"]
send_images = ["pacs"]
"#,
        pacs.port,
        silent.local_addr().unwrap().port(),
        pacs.port
    );
    let (code, checked) = checked(folder.path(), &config);
    assert_eq!(code, 1);
    let (ok, words) = verdict(&checked, "destination pacs");
    assert!(ok == "ok" && words.contains("OFFIS_DCMTK") && words.contains("echo "), "{words}");
    assert!(verdict(&checked, "destination pacs, reports").1.contains("Comprehensive 3D SR"));
    assert!(verdict(&checked, "destination pacs, heat maps").1.contains("Secondary Capture"));
    assert!(verdict(&checked, "destination pacs, originals").1.contains("CT"));
    let (_, words) = verdict(&checked, "destination pacs, the way back");
    assert_eq!(words, "it has to know us as DOKUEI at 127.0.0.1; to send to us it calls DOKUEI at 127.0.0.1:11112");
    let (failed, words) = verdict(&checked, "destination silent");
    assert!(failed == "failed" && words.contains("failed to associate"), "{words}");
    assert_eq!(verdict(&checked, "destination unused, what it takes").0, "warning");
}

#[test]
fn check_fails_where_results_would_be_dead_letters() {
    let Some(python) = pydicom() else { return };
    let folder = tempdir().unwrap();
    let port = free_port();
    let mut command = Command::new(python);
    command.args(["-m", "pynetdicom", "echoscp", &port.to_string()]).current_dir(folder.path());
    let _peer = Server::start(command, &folder.path().join("peer.log"));
    wait_for("the peer", || std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
    let config = format!("[[destination]]\nname = \"a\"\nae_title = \"A\"\naddress = \"127.0.0.1:{port}\"\n");
    let (code, checked) = checked(folder.path(), &config);
    assert_eq!(code, 1);
    assert_eq!(verdict(&checked, "destination a").0, "ok");
    let (failed, words) = verdict(&checked, "destination a, reports");
    assert!(failed == "failed" && words.contains("objects = [\"sc\"]"), "{words}");
    assert_eq!(verdict(&checked, "destination a, heat maps").0, "failed");
}

#[test]
fn check_says_what_an_archive_cannot_bring_and_who_may_not_send_it() {
    let folder = tempdir().unwrap();
    let Some(pacs) = Storescp::start(&folder.path().join("pacs")) else { return };
    let config = |keys: &str| {
        format!(
            "[node]\naccept = \"listed\"\n[[peer]]\nae_title = \"CR_ROOM_1\"\n\
             [[destination]]\nname = \"pacs\"\nae_title = \"PACS\"\naddress = \"127.0.0.1:{}\"\n{keys}\n\
             [[route]]\nname = \"all\"\nmodels = [\"cxr-pneumonia\"]\npriors = {{ at = \"pacs\" }}\n",
            pacs.port
        )
    };
    let (code, all) = checked(folder.path(), &config(""));
    assert_eq!(code, 1);
    let (failed, words) = verdict(&all, "destination pacs, retrieval");
    assert!(failed == "failed" && words.contains("C-GET or C-MOVE"), "{words}");
    let (warning, words) = verdict(&all, "destination pacs, retrieval by C-MOVE");
    assert!(warning == "warning" && words.contains("no [[peer]] has its AE title PACS"), "{words}");
    let (_, all) = checked(folder.path(), &config("retrieve = \"get\""));
    assert!(verdict(&all, "destination pacs, retrieval").1.contains("allow it there"));
    assert!(all.iter().all(|one| one["what"] != "destination pacs, retrieval by C-MOVE"));
}
