use std::path::{Path, PathBuf};
use std::process::Command;

use dokuei_tests::{Authority, Node, Storescp, dokuei, dokuei_ending, dokuei_failing, run, tls_tool, tool};
use tempfile::tempdir;

use crate::radiographs::{to_pacs, write};

/// Days that outlast the tests.
const FAR: i32 = 10_000;

/// A TLS port that asks for certificates of the same authority.
fn tls(authority: &Authority, [key, certificate]: &[PathBuf; 2]) -> String {
    let ca = authority.path();
    format!("[tls]\nlisten = \"127.0.0.1:0\"\ncertificate = {certificate:?}\nkey = {key:?}\nclient_ca = {ca:?}\n")
}

/// A tool of DCMTK that shows a certificate and calls the node at its TLS port.
fn call(tool: &Path, [key, certificate]: &[PathBuf; 2], authority: &Authority, port: u16) -> Command {
    let mut command = Command::new(tool);
    command.arg("-d").arg("+tls").args([key, certificate]).arg("+cf").arg(authority.path());
    command.args(["-aec", "DOKUEI", "127.0.0.1", &port.to_string()]);
    command
}

fn check_without_complaint(command: &mut Command) {
    let output = run(command);
    let words = [output.stdout, output.stderr].concat();
    let words = String::from_utf8_lossy(&words);
    assert!(output.status.success(), "{words}");
    assert!(!words.lines().any(|line| line.starts_with("E:") || line.starts_with("W:")), "{words}");
}

#[test]
fn dcmtk_pushes_over_tls_and_gets_reports_back_over_tls() {
    let (Some(echoscu), Some(storescu)) = (tls_tool("echoscu"), tls_tool("storescu")) else { return };
    let folder = tempdir().unwrap();
    let authority = Authority::new(&folder.path().join("ca"), "Hospital");
    let [node_files, modality, pacs_files] = ["node", "modality", "pacs"].map(|name| authority.issue(name, FAR));
    let [pacs_key, pacs_certificate] = &pacs_files;
    let pacs = Storescp::start_tls(&folder.path().join("pacs"), [pacs_key, pacs_certificate], &authority.path());
    let Some(pacs) = pacs else { return };
    let [key, certificate] = &node_files;
    let to_tls =
        format!("tls = {{ ca = {:?}, certificate = {certificate:?}, key = {key:?} }}\n\n[[route]]", authority.path());
    let config = tls(&authority, &node_files) + &to_pacs("PACS", pacs.port).replacen("[[route]]", &to_tls, 1);
    let mut node = Node::start(&folder.path().join("node"), &config);
    let port = node.tls_port();

    check_without_complaint(&mut call(&echoscu, &modality, &authority, port));
    let files = write(&folder.path().join("images"), 2);
    check_without_complaint(call(&storescu, &modality, &authority, port).args(&files));
    node.wait_until_settled(2);
    assert_eq!(node.count(["instances", "reported"]), 2, "{}", node.log());
    assert!(pacs.files().len() >= 2, "a report for each at least");

    let tls_to_plain = run(&mut call(&echoscu, &modality, &authority, node.port));
    assert!(!tls_to_plain.status.success());
    assert!(node.log().contains("the peer speaks TLS to a port that does not"), "{}", node.log());
    let anonymous =
        run(Command::new(&echoscu).args(["-v", "+tla", "-ic", "-aec", "DOKUEI", "127.0.0.1", &port.to_string()]));
    assert!(!anonymous.status.success(), "a certificate is required");
    let plain = run(Command::new(&echoscu).args(["-v", "-aec", "DOKUEI", "127.0.0.1", &port.to_string()]));
    let words = String::from_utf8_lossy(&[plain.stdout, plain.stderr].concat()).into_owned();
    assert!(words.contains("Association Rejected"), "{words}");
    assert!(node.log().contains("DICOM without TLS"), "{}", node.log());
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn echo_and_send_speak_tls_and_say_what_is_wrong_when_the_peer_does_not() {
    let folder = tempdir().unwrap();
    let authority = Authority::new(&folder.path().join("ca"), "Hospital");
    let [pacs_files, own] = ["pacs", "own"].map(|name| authority.issue(name, FAR));
    let [pacs_key, pacs_certificate] = &pacs_files;
    let secure = Storescp::start_tls(&folder.path().join("secure"), [pacs_key, pacs_certificate], &authority.path());
    let (Some(secure), Some(plain)) = (secure, Storescp::start(&folder.path().join("plain"))) else { return };
    let images = folder.path().join("images");
    write(&images, 3);
    let (ca, images) = (authority.path(), images.to_str().unwrap());
    let ca = ca.to_str().unwrap();
    let [key, certificate] = own.each_ref().map(|path| path.to_str().unwrap());
    let address = |port: u16| format!("127.0.0.1:{port}");

    let shown = ["--tls-ca", ca, "--tls-certificate", certificate, "--tls-key", key];
    let answer = dokuei(&[&["echo", &address(secure.port), "--json"], &shown[..]].concat());
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["status"], "0000");
    assert!(answer["tls_ms"].as_f64() > Some(0.0), "{answer:#}");
    let said = dokuei(&[&["send", &address(secure.port), images, "-j", "2"], &shown[..]].concat());
    assert_eq!(said, "", "it has no complaint");
    assert_eq!(secure.files().len(), 3);

    let (_, words) = dokuei_failing(&["echo", &address(secure.port), "--tls-ca", ca]);
    assert!(words.contains("set certificate and key"), "{words}");
    let (_, words) = dokuei_failing(&["echo", &address(plain.port), "--tls-ca", ca]);
    assert!(words.contains("TLS"), "{words}");
    let (_, words) = dokuei_failing(&["echo", &address(secure.port)]);
    assert!(words.contains("TLS"), "{words}");
    assert_eq!(dokuei_failing(&["echo", "127.0.0.1:1", "--tls-key", key]).0, 64);
}

#[test]
fn renewed_certificates_are_taken_over_and_broken_ones_are_not() {
    let (Some(echoscu), Some(_)) = (tls_tool("echoscu"), tool("storescu")) else { return };
    let folder = tempdir().unwrap();
    let site = folder.path().join("ca");
    let old = Authority::new(&site, "Old");
    let modality = old.issue("modality", FAR);
    let node_files = old.issue("node", FAR);
    let node = Node::start(&folder.path().join("node"), &tls(&old, &node_files));
    let port = node.tls_port();
    assert!(run(&mut call(&echoscu, &modality, &old, port)).status.success());

    let [key, _] = &node_files;
    std::fs::write(key, "no key").unwrap();
    node.reload("configuration not reloaded");
    assert!(run(&mut call(&echoscu, &modality, &old, port)).status.success(), "the old ones are kept");

    let new = Authority::new(&site, "New");
    assert_eq!(new.issue("node", 10), node_files);
    node.reload("certificate expires soon");
    assert!(!run(&mut call(&echoscu, &modality, &new, port)).status.success(), "issued by the old authority");
    let modality = new.issue("modality", FAR);
    assert!(run(&mut call(&echoscu, &modality, &new, port)).status.success());
}

#[test]
fn check_names_each_certificate_with_the_days_it_has_left() {
    let folder = tempdir().unwrap();
    let authority = Authority::new(folder.path(), "Hospital");
    let config = folder.path().join("site.toml");
    let write = |[key, certificate]: &[PathBuf; 2]| {
        let text = format!(
            "[limits]\ndisk_free_min = \"1 MiB\"\n[tls]\nlisten = \"127.0.0.1:0\"\ncertificate = {certificate:?}\nkey = {key:?}\n"
        );
        std::fs::write(&config, text).unwrap();
    };
    let config = config.to_str().unwrap();
    write(&authority.issue("node", FAR));
    let text = dokuei(&["check", "--config", config]);
    assert!(text.contains("ok      certificate of tls.certificate: ") && text.contains("days left"), "{text}");
    write(&authority.issue("node", 10));
    let text = dokuei(&["check", "--config", config]);
    assert!(
        text.contains("WARNING certificate of tls.certificate: ") && text.contains(" days left: renew it"),
        "{text}"
    );
    write(&authority.issue("node", -10));
    let (code, text) = dokuei_ending(&["check", "--config", config]);
    assert_eq!(code, 1);
    assert!(text.contains("FAILED  certificate of tls.certificate: ") && text.contains("has expired"), "{text}");
}

#[test]
fn certificate_files_that_cannot_be_used_are_named_at_their_line() {
    let folder = tempdir().unwrap();
    let authority = Authority::new(folder.path(), "Hospital");
    let [key, certificate] = authority.issue("node", FAR);
    let [other_key, _] = authority.issue("other", FAR);
    let file = folder.path().join("site.toml");
    let listen = "[tls]\nlisten = \"127.0.0.1:0\"\n";
    for (text, words) in [
        (format!("{listen}certificate = \"no.pem\"\nkey = {key:?}\n"), ["site.toml:3", "no.pem"]),
        (format!("{listen}certificate = {key:?}\nkey = {key:?}\n"), ["site.toml:3", "no certificate"]),
        (format!("{listen}certificate = {certificate:?}\nkey = {certificate:?}\n"), ["site.toml:4", "no unencrypted"]),
        (format!("{listen}certificate = {certificate:?}\nkey = {other_key:?}\n"), ["site.toml:4", "does not belong"]),
        (
            format!("{listen}certificate = {certificate:?}\nkey = {key:?}\nclient_certificate = \"required\"\n"),
            ["site.toml:5", "client_ca"],
        ),
        (format!("{listen}certificate = {certificate:?}\n"), ["site.toml:1", "key"]),
        (
            "[[destination]]\nname = \"a\"\nae_title = \"A\"\naddress = \"a:1\"\ntls = { ca = \"no.pem\" }\n"
                .to_owned(),
            ["site.toml:5", "no.pem"],
        ),
    ] {
        std::fs::write(&file, &text).unwrap();
        let (code, stderr) = dokuei_failing(&["check", "--config", file.to_str().unwrap()]);
        assert_eq!(code, 64, "{stderr}");
        for word in words {
            assert!(stderr.replace('\n', " ").contains(word), "{word} is not in\n{stderr}");
        }
    }
}
