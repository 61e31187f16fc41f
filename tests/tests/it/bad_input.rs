use std::process::Command;

use dokuei_tests::{Node, dokuei, dokuei_failing, run, tool, user_entry};
use tempfile::tempdir;

use crate::radiographs::write;

/// A configuration that cannot be: exit code 64, and the words that lead to its repair.
fn check(config: &str, words: &[&str]) {
    let folder = tempdir().unwrap();
    let file = folder.path().join("site.toml");
    std::fs::write(&file, config).unwrap();
    for command in ["serve", "check"] {
        let (code, stderr) = dokuei_failing(&[command, "--config", file.to_str().unwrap()]);
        assert_eq!(code, 64, "{stderr}");
        for word in words {
            assert!(stderr.contains(word), "{command}: {word} is not in\n{stderr}");
        }
    }
    assert!(!folder.path().join("dokuei-data").exists());
}

#[test]
fn a_wrong_configuration_names_file_line_key_and_what_is_allowed() {
    check("[node]\nae_titel = \"X\"\n", &["site.toml:2", "ae_titel", "ae_title"]);
    check(
        "[[route]]\nname = \"a\"\nmodels = [\"no-such-model\"]\n",
        &["site.toml:3", "no-such-model", "cxr-pneumonia"],
    );
    check("[[route]]\nname = \"a\"\nsend_results = [\"pacs\"]\n", &["site.toml:3", "pacs", "destination"]);
    check("[[route]]\nname = \"a\"\nwhen = [\"modality ==\"]\n", &["site.toml:3", "modality =="]);
    check("[[route]]\nname = \"a\"\nwhen = [\"modalty == 'CR'\"]\n", &["site.toml:3", "modalty", "modality"]);
    check("[[model]]\npath = \"no/such/package\"\n", &["site.toml:2", "no/such/package"]);
    check("[node]\nlisten = \"0.0.0.0:0\"\n", &["accept", "peer"]);
    check("[[user]]\nname = \"a\"\n[[user]]\nname = \"a\"\n", &["site.toml:4", "second user"]);
}

#[test]
fn a_model_that_was_changed_is_refused_with_the_reason() {
    let folder = tempdir().unwrap();
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/cxr-pneumonia");
    let package = folder.path().join("cxr-pneumonia");
    assert!(run(Command::new("cp").arg("-r").arg(source).arg(&package)).status.success());
    let weights = package.join("model.onnx");
    let mut bytes = std::fs::read(&weights).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    let (code, stderr) = dokuei_failing(&["models", "verify", package.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(stderr.contains("SHA-256") || stderr.contains("sha256"), "{stderr}");
    check(&format!("[[model]]\npath = {package:?}\n"), &["site.toml:2"]);
}

#[test]
fn a_full_disk_refuses_new_images_and_keeps_what_it_has() {
    let Some(storescu) = tool("storescu") else { return };
    let folder = tempdir().unwrap();
    let mut node = Node::start(folder.path(), "");
    let files = write(&folder.path().join("images"), 2);
    let port = node.port.to_string();
    let send = |file: &std::path::Path| {
        let output = run(Command::new(&storescu).args(["-v", "-aec", "DOKUEI", "127.0.0.1", &port]).arg(file));
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
    };
    assert!(send(&files[0]).contains("0x0000: Success") || send(&files[0]).contains("Success"));
    node.wait_until_settled(1);
    assert_eq!(node.terminate(), Some(0));

    let config = std::fs::read_to_string(node.config()).unwrap().replace("16 MiB", "900000 GiB");
    std::fs::write(node.config(), config).unwrap();
    node.restart();
    let port = node.port.to_string();
    let output = run(Command::new(&storescu).args(["-v", "-aec", "DOKUEI", "127.0.0.1", &port]).arg(&files[1]));
    let words = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    // Heard before an image is sent; who is associated already gets A700.
    assert!(words.contains("Transient") && words.to_lowercase().contains("temporary congestion"), "{words}");
    let address = format!("127.0.0.1:{}", node.port);
    assert!(!dokuei(&["echo", &address, "--called", "DOKUEI"]).is_empty());
    assert_eq!(node.count(["instances", "received"]), 1);
    assert!(node.is_running());
}

#[test]
fn only_listed_peers_associate() {
    let folder = tempdir().unwrap();
    let config = r#"
[[peer]]
ae_title = "CR_ROOM_1"
address = "127.0.0.0/8"
[[peer]]
ae_title = "CR_ROOM_2"
address = "10.0.0.0/8"
"#;
    let mut node = Node::start_in(folder.path(), config, &[("DOKUEI_NODE_ACCEPT", "listed")]);
    let address = format!("127.0.0.1:{}", node.port);
    let echo = |calling: &str| ["echo", &address, "--called", "DOKUEI", "--calling", calling].map(str::to_owned);
    let arguments = echo("CR_ROOM_1");
    assert!(!dokuei(&arguments.each_ref().map(String::as_str)).is_empty());
    for calling in ["CR_ROOM_2", "CR_ROOM_3"] {
        let arguments = echo(calling);
        let (code, stderr) = dokuei_failing(&arguments.each_ref().map(String::as_str));
        assert_eq!(code, 1);
        assert!(stderr.to_lowercase().contains("calling ae"), "{stderr}");
    }
    assert!(node.is_running());
}

#[test]
fn only_known_users_associate() {
    let Some(storescu) = tool("storescu") else { return };
    let folder = tempdir().unwrap();
    let files = write(&folder.path().join("images"), 1);
    let mut node = Node::start(&folder.path().join("node"), &user_entry("Jo", "sesame"));
    let port = node.port.to_string();
    let send = |who: &[&str]| {
        let to = ["-aec", "DOKUEI", "127.0.0.1", &port];
        run(Command::new(&storescu).args(who).args(to).arg(&files[0])).status.success()
    };
    assert!(!send(&[]));
    assert!(!send(&["--user", "Jo"]));
    assert!(!send(&["--user", "Jo", "--password", "simsim"]));
    assert!(send(&["--user", "Jo", "--password", "sesame", "--pos-response"]));
    node.wait_until_settled(1);
}
