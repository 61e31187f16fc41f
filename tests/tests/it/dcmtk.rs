use std::path::{Path, PathBuf};
use std::process::Command;

use dokuei_tests::{Node, Storescp, real_files, run, tool, validators, wait_for};
use tempfile::tempdir;

use crate::radiographs::{real_chests, to_pacs, write};

/// What DCMTK's `dcmdump` says of one attribute of a file.
fn attribute(dcmdump: &Path, file: &Path, tag: &str) -> String {
    let output = run(Command::new(dcmdump).args(["+P", tag, "+L", "-q"]).arg(file));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().next().unwrap_or_default();
    line.split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'))
        .map(|(value, _)| value.to_owned())
        .unwrap_or_default()
}

/// Sends `files` with `command`, waits until the PACS has everything and checks each report against its source.
fn check(node: &mut Node, pacs: &Storescp, files: &[PathBuf], command: &mut Command) {
    let before = node.count(["instances", "received"]);
    let output = run(command.args(files));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    node.wait_until_settled(before + files.len() as u64);

    let dcmdump = tool("dcmdump").unwrap();
    for file in files {
        let instance = attribute(&dcmdump, file, "SOPInstanceUID");
        let shown = node.ask(&["show", &instance]);
        assert_eq!(shown[0]["end"], "reported", "{}: {shown:#}", file.display());
        let study = attribute(&dcmdump, file, "StudyInstanceUID");
        let arrived: Vec<String> = pacs
            .files()
            .iter()
            .filter(|arrived| attribute(&dcmdump, arrived, "StudyInstanceUID") == study)
            .map(|arrived| attribute(&dcmdump, arrived, "Modality"))
            .collect();
        let reports = arrived.iter().filter(|modality| *modality == "SR").count();
        let marked = shown[0]["results"][0]["findings"][0]["findings"]
            .as_array()
            .unwrap()
            .iter()
            .any(|finding| finding["probability"].as_f64() >= finding["marking_threshold"].as_f64());
        let same_study = files.iter().filter(|other| attribute(&dcmdump, other, "StudyInstanceUID") == study).count();
        assert_eq!(reports, same_study, "{}: {arrived:?}", file.display());
        if same_study == 1 {
            assert_eq!(arrived.iter().filter(|modality| *modality == "OT").count(), usize::from(marked), "{arrived:?}");
        }
    }
}

#[test]
fn echoscu_is_answered_and_an_unknown_title_is_not() {
    let Some(echoscu) = tool("echoscu") else { return };
    let folder = tempdir().unwrap();
    let node = Node::start(folder.path(), "");
    let port = node.port.to_string();
    let echo = |called: &str| run(Command::new(&echoscu).args(["-v", "-aec", called, "127.0.0.1", &port]));
    assert!(echo("DOKUEI").status.success());
    let refused = echo("SOMEONE");
    assert!(!refused.status.success());
    let words = String::from_utf8_lossy(&refused.stderr).into_owned() + &String::from_utf8_lossy(&refused.stdout);
    assert!(words.contains("Called AE Title Not Recognized"), "{words}");
}

#[test]
fn storescu_and_dcmsend_get_reports_to_the_pacs() {
    let (Some(storescu), Some(dcmsend)) = (tool("storescu"), tool("dcmsend")) else { return };
    let folder = tempdir().unwrap();
    let Some(pacs) = Storescp::start(&folder.path().join("pacs")) else { return };
    let mut node = Node::start(&folder.path().join("node"), &to_pacs("PACS", pacs.port));
    let port = node.port.to_string();
    let files = write(&folder.path().join("images"), 4);
    let (first, second) = files.split_at(2);
    check(&mut node, &pacs, first, Command::new(storescu).args(["-aec", "DOKUEI", "127.0.0.1", &port]));
    check(&mut node, &pacs, second, Command::new(dcmsend).args(["-aec", "DOKUEI", "127.0.0.1", &port]));

    let reports: Vec<PathBuf> = pacs.files();
    let dsrdump = tool("dsrdump").unwrap();
    let text: String = reports
        .iter()
        .map(|file| String::from_utf8_lossy(&run(Command::new(&dsrdump).arg(file)).stdout).into_owned())
        .collect();
    assert!(text.contains("Imaging Measurement Report") && text.contains("Certainty of Finding"), "{text}");
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn the_same_image_again_makes_no_second_report() {
    let Some(storescu) = tool("storescu") else { return };
    let folder = tempdir().unwrap();
    let Some(pacs) = Storescp::start(&folder.path().join("pacs")) else { return };
    let mut node = Node::start(&folder.path().join("node"), &to_pacs("PACS", pacs.port));
    let port = node.port.to_string();
    let files = write(&folder.path().join("images"), 1);
    let mut send = Command::new(storescu);
    send.args(["-aec", "DOKUEI", "127.0.0.1", &port]);
    check(&mut node, &pacs, &files, &mut send);
    let arrived = pacs.files().len();
    assert!(run(&mut send).status.success());
    node.wait_until_settled(1);
    assert_eq!(node.count(["instances", "received"]), 1);
    assert_eq!(pacs.files().len(), arrived);
}

#[test]
fn results_wait_for_a_pacs_that_is_away() {
    let Some(storescu) = tool("storescu") else { return };
    let folder = tempdir().unwrap();
    let port = dokuei_tests::free_port();
    let mut node = Node::start(&folder.path().join("node"), &to_pacs("PACS", port));
    let files = write(&folder.path().join("images"), 1);
    let address = node.port.to_string();
    assert!(run(Command::new(storescu).args(["-aec", "DOKUEI", "127.0.0.1", &address]).args(&files)).status.success());
    wait_for("a first attempt to fail", || {
        let shown = node.try_ask(&["show", "1"]).unwrap_or_default();
        shown[0]["deliveries"][0]["attempts"].as_u64() > Some(0)
    });
    assert_eq!(node.count(["instances", "pending"]), 1);
    let Some(pacs) = Storescp::start_on(&folder.path().join("pacs"), port) else { return };
    node.wait_until_settled(1);
    assert!(!pacs.files().is_empty());
}

#[test]
fn real_radiographs_in_every_dress_get_valid_reports() {
    let (Some(dcmsend), Some(shared)) = (tool("dcmsend"), real_files()) else { return };
    let folder = tempdir().unwrap();
    let Some(pacs) = Storescp::start(&folder.path().join("pacs")) else { return };
    let mut node = Node::start(&folder.path().join("node"), &to_pacs("PACS", pacs.port));
    let port = node.port.to_string();
    let files = real_chests(&shared);
    assert!(!files.is_empty());
    for file in &files {
        let mut send = Command::new(&dcmsend);
        send.args(["--decompress-never", "-aec", "DOKUEI", "127.0.0.1", &port]).arg(file);
        let output = run(&mut send);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    node.wait_until_settled(1);
    assert_eq!(node.count(["instances", "reported"]), node.count(["instances", "received"]));
    if let Some(script) = validators() {
        let mut objects = pacs.files();
        objects.retain(|path| path.is_file());
        // Not dcentvfy: the sources our objects refer to are not in this PACS.
        let tools = "dciodvfy,dcmtk,dsrdump,dcm2pnm,gdcm,dicom-validator,pixelmed,pydicom,highdicom,xref,viewers";
        let output = run(Command::new("bash").arg(script).args(["--only", tools]).arg(objects[0].parent().unwrap()));
        let verdicts = String::from_utf8_lossy(&output.stdout);
        assert!(!verdicts.contains("FAIL\t"), "{verdicts}");
    }
}
