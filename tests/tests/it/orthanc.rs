use dokuei_tests::{Node, Orthanc, free_port, real_files, wait_for};
use tempfile::tempdir;

use crate::radiographs::{real_chests, to_pacs, to_pacs_wanting, write};

/// Orthanc's own rule: whatever is stored goes to the node, our results too.
const ROUTE_EVERYTHING: &str = "
function OnStoredInstance(instanceId, tags, metadata)
  SendToModality(instanceId, 'dokuei')
end
";

fn modalities(orthanc: &Orthanc) -> Vec<String> {
    let instances = orthanc.instances();
    instances.iter().map(|i| i["Modality"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn orthanc_pushes_by_its_interface_and_gets_the_results() {
    let folder = tempdir().unwrap();
    let port = free_port();
    let mut node = Node::start(&folder.path().join("node"), &to_pacs("ORTHANC", port));
    let Some(orthanc) = Orthanc::start(&folder.path().join("orthanc"), port, node.port, "") else { return };
    for file in write(&folder.path().join("images"), 2) {
        let instance = orthanc.upload(&file);
        assert!(orthanc.send_to_node(&instance));
    }
    node.wait_until_settled(2);
    assert_eq!(node.count(["instances", "reported"]), 2);
    let found = modalities(&orthanc);
    assert_eq!(found.iter().filter(|modality| *modality == "SR").count(), 2, "{found:?}");
    assert_eq!(orthanc.get("/studies").as_array().unwrap().len(), 2, "results are in their source's study");
}

#[test]
fn auto_routing_everything_back_makes_no_loop() {
    let folder = tempdir().unwrap();
    let port = free_port();
    let all = ["sr", "sc", "pr", "ko", "pdf", "seg"];
    let mut node = Node::start(&folder.path().join("node"), &to_pacs_wanting("ORTHANC", port, &all));
    let Some(orthanc) = Orthanc::start(&folder.path().join("orthanc"), port, node.port, ROUTE_EVERYTHING) else {
        return;
    };
    let files = write(&folder.path().join("images"), 2);
    for file in &files {
        orthanc.upload(file);
    }
    // Orthanc sends the images by its rule, gets the results, and sends those to the node as well.
    wait_for("the results to come back", || {
        let there = orthanc.instances().len() as u64;
        there > 2 && node.count(["instances", "received"]) == there && node.count(["instances", "pending"]) == 0
    });
    node.wait_until_settled(3);
    let received = node.count(["instances", "received"]);
    let (reported, not_analysed) = (node.count(["instances", "reported"]), received - 2);
    assert_eq!(reported, 2);
    let unmatched = node.count(["instances", "no_rule_matched"]) + node.count(["instances", "declined"]);
    assert_eq!(unmatched, not_analysed);
    let found = modalities(&orthanc);
    let counts = ["SR", "OT", "PR", "KO", "DOC", "SEG"].map(|kind| found.iter().filter(|found| *found == kind).count());
    assert_eq!(counts, [2, 1, 1, 1, 2, 1], "{found:?}");
}

#[test]
fn orthanc_pushes_real_radiographs() {
    let Some(shared) = real_files() else { return };
    let folder = tempdir().unwrap();
    let port = free_port();
    let mut node = Node::start(&folder.path().join("node"), &to_pacs("ORTHANC", port));
    let Some(orthanc) = Orthanc::start(&folder.path().join("orthanc"), port, node.port, "") else { return };
    for file in real_chests(&shared) {
        let instance = orthanc.upload(&file);
        assert!(orthanc.send_to_node(&instance), "{}", file.display());
    }
    node.wait_until_settled(1);
    assert_eq!(node.count(["instances", "reported"]), node.count(["instances", "received"]));
}
