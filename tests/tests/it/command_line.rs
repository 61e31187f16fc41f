use dokuei_tests::{Node, Storescp, dokuei, dokuei_failing};
use tempfile::tempdir;

use crate::radiographs::write;

#[test]
fn send_says_what_became_of_each_instance() {
    let folder = tempdir().unwrap();
    let Some(pacs) = Storescp::start(&folder.path().join("pacs")) else { return };
    let images = folder.path().join("images");
    write(&images, 5);
    std::fs::write(images.join("notes.txt"), "not an image").unwrap();
    let address = format!("127.0.0.1:{}", pacs.port);
    let lines = dokuei(&["send", &address, images.to_str().unwrap(), "-j", "2", "--json"]);
    let stored = lines.lines().filter(|line| line.contains("\"0000\"")).count();
    assert_eq!(stored, 5, "{lines}");
    assert_eq!(pacs.files().len(), 5);
}

#[test]
fn echo_says_whose_fault_it_is() {
    let nobody = format!("127.0.0.1:{}", dokuei_tests::free_port());
    let (code, stderr) = dokuei_failing(&["echo", &nobody]);
    assert_eq!(code, 1);
    assert!(stderr.contains("refused"), "{stderr}");
    let folder = tempdir().unwrap();
    let node = Node::start(folder.path(), "");
    let address = format!("127.0.0.1:{}", node.port);
    let (_, stderr) = dokuei_failing(&["echo", &address, "--called", "NOBODY"]);
    assert!(stderr.to_lowercase().contains("called ae"), "{stderr}");
    let answer: serde_json::Value =
        serde_json::from_str(&dokuei(&["echo", &address, "--called", "DOKUEI", "--json"])).unwrap();
    assert_eq!(answer["status"], "0000");
}

#[test]
fn match_explains_each_condition() {
    let folder = tempdir().unwrap();
    let files = write(&folder.path().join("images"), 1);
    let config = folder.path().join("dokuei.toml");
    std::fs::write(
        &config,
        "[[route]]\nname = \"ct\"\nwhen = [\"rows > 0\", \"modality == 'CT'\"]\nmodels = [\"cxr-pneumonia\"]\n",
    )
    .unwrap();
    let answer = dokuei(&["match", "--config", config.to_str().unwrap(), files[0].to_str().unwrap(), "--json"]);
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let conditions = &answer[0]["routes"][0]["conditions"];
    assert_eq!(conditions[0]["matched"], true, "{answer:#}");
    assert_eq!(conditions[1]["matched"], false, "{answer:#}");
}

#[test]
fn analyze_writes_report_heat_map_and_objects() {
    let folder = tempdir().unwrap();
    let files = write(&folder.path().join("images"), 2);
    let out = folder.path().join("out");
    let lines = dokuei(&[
        "analyze",
        files[0].to_str().unwrap(),
        files[1].to_str().unwrap(),
        "--json",
        "--out",
        out.to_str().unwrap(),
    ]);
    assert_eq!(lines.lines().count(), 2);
    assert!(lines.lines().all(|line| line.contains("\"analysed\"")), "{lines}");
    let written: Vec<String> =
        std::fs::read_dir(out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(written.iter().filter(|name| name.ends_with(".sr.dcm")).count(), 2, "{written:?}");
    assert_eq!(written.iter().filter(|name| name.ends_with(".sr.txt")).count(), 2, "{written:?}");
}

#[test]
fn show_prints_reports_of_files_and_of_what_the_node_holds() {
    let folder = tempdir().unwrap();
    let image = write(&folder.path().join("images"), 1)[0].to_str().unwrap().to_owned();
    let out = folder.path().join("out");
    let said = dokuei(&["analyze", &image, "--out", out.to_str().unwrap()]);
    let of_file = dokuei(&["show", out.join("000.cxr-pneumonia.sr.dcm").to_str().unwrap()]);
    assert!(of_file.starts_with("Imaging Measurement Report (Comprehensive 3D SR; "), "{said}{of_file}");
    let (code, stderr) = dokuei_failing(&["show", &image]);
    assert!(code == 1 && stderr.contains("is of no kind that results have"), "{stderr}");

    let mut node = Node::start(&folder.path().join("node"), "");
    let sent = dokuei(&["send", &format!("127.0.0.1:{}", node.port), &image]);
    node.wait_until_settled(1);
    let of_node = dokuei(&["show", "1", "--data-dir", node.data_dir().to_str().unwrap()]);
    let certainty =
        |text: &str| text.lines().find(|line| line.contains("Certainty of Finding")).unwrap().trim().to_owned();
    assert_eq!(certainty(&of_node), certainty(&of_file), "{sent}{of_node}");
}

#[test]
fn models_list_and_verify_the_bundled_one() {
    let list: serde_json::Value = serde_json::from_str(&dokuei(&["models", "list", "--json"])).unwrap();
    assert_eq!(list[0]["name"], "cxr-pneumonia");
    let verified: serde_json::Value = serde_json::from_str(&dokuei(&["models", "verify", "--json"])).unwrap();
    assert_eq!(verified[0]["ok"], true, "{verified:#}");
}

#[test]
fn bad_usage_exits_with_64() {
    assert_eq!(dokuei_failing(&["no-such-command"]).0, 64);
    assert_eq!(dokuei_failing(&["echo", "not-an-address"]).0, 64);
}
