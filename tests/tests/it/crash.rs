use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use dokuei_tests::{Node, Storescp, run, tool};
use tempfile::tempdir;

use crate::radiographs::{to_pacs, write};

/// Pushes the files one by one from several senders, as modalities do, and prints the SOP Instance UID of each that
/// was acknowledged.
fn acknowledged_until_killed(node: &mut Node, images: &Path, kill_after: usize) -> BTreeSet<String> {
    let binary = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("dokuei");
    let mut sender = Command::new(binary)
        .args(["send", &format!("127.0.0.1:{}", node.port), "--called", "DOKUEI", "-j", "4", "--json"])
        .arg(images)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut acknowledged = BTreeSet::new();
    for line in BufReader::new(sender.stdout.take().unwrap()).lines() {
        let sent: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        if sent["status"] == "0000" {
            acknowledged.insert(sent["sop_instance"].as_str().unwrap().to_owned());
        }
        if acknowledged.len() == kill_after {
            node.kill();
        }
    }
    sender.wait().unwrap();
    acknowledged
}

#[test]
fn each_acknowledged_radiograph_is_reported_exactly_once_after_kill_9() {
    let Some(dcmdump) = tool("dcmdump") else { return };
    let folder = tempdir().unwrap();
    let Some(pacs) = Storescp::start(&folder.path().join("pacs")) else { return };
    let mut node = Node::start(&folder.path().join("node"), &to_pacs("PACS", pacs.port));
    let images = folder.path().join("images");
    write(&images, 200);
    let acknowledged = acknowledged_until_killed(&mut node, &images, 120);
    assert!(acknowledged.len() >= 120);
    node.restart();
    let received = node.count(["instances", "received"]);
    assert!(received >= acknowledged.len() as u64, "{received} of {} are there", acknowledged.len());
    node.wait_until_settled(received);
    assert_eq!(node.count(["instances", "reported"]), received);

    let mut reports = BTreeMap::<String, usize>::new();
    for file in pacs.files() {
        let output =
            run(Command::new(&dcmdump).args(["-q", "+P", "Modality", "+P", "ReferencedSOPInstanceUID"]).arg(&file));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !text.contains("[SR]") {
            continue;
        }
        let referenced: BTreeSet<&str> =
            text.split('[').skip(1).filter_map(|rest| rest.split_once(']')).map(|(value, _)| value).collect();
        for instance in referenced.iter().filter(|uid| acknowledged.contains(**uid)) {
            *reports.entry((*instance).to_owned()).or_default() += 1;
        }
    }
    let wrong: Vec<_> = acknowledged.iter().filter(|uid| reports.get(*uid) != Some(&1)).collect();
    assert!(wrong.is_empty(), "{} of {} are not reported exactly once", wrong.len(), acknowledged.len());
}
