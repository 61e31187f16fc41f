use dokuei_tests::{Node, Storescp, dokuei};
use tempfile::tempdir;

use crate::radiographs::{to_pacs, write};

#[test]
fn results_go_back_to_the_workstation_that_has_sent_the_image() {
    let folder = tempdir().unwrap();
    let Some(workstation) = Storescp::start(&folder.path().join("workstation")) else { return };
    let back = to_pacs("PACS", workstation.port).replace("send_results = [\"pacs\"]", "send_results = [\"@sender\"]");
    let peers = "[[peer]]\nae_title = \"PACS\"\n[[peer]]\nae_title = \"CR_ROOM_2\"\n";
    let mut node = Node::start(&folder.path().join("node"), &(peers.to_owned() + &back));
    let images = write(&folder.path().join("images"), 2);
    let address = format!("127.0.0.1:{}", node.port);
    for (image, calling) in images.iter().zip(["PACS", "CR_ROOM_2"]) {
        drop(dokuei(&["send", &address, image.to_str().unwrap(), "--calling", calling]));
    }
    node.wait_until_settled(2);
    assert_eq!(node.count(["instances", "reported"]), 2);
    assert_eq!(workstation.files().len(), 1, "the report on what it has sent, which has no opacity");

    let data_dir = node.data_dir();
    let place = ["--data-dir", data_dir.to_str().unwrap()];
    let said = dokuei(&[&["status"], &place[..]].concat());
    assert!(said.contains("results on 1 instances of CR_ROOM_2 do not go back to it"), "{said}");
    let nowhere = "matches; results do not go back: no [[destination]] has the sender's AE title CR_ROOM_2";
    assert!(node.log().contains("no [[destination]] has the sender's AE title CR_ROOM_2"));
    let said = dokuei(&[&["show", "2"], &place[..]].concat());
    assert!(said.contains(nowhere), "{said}");
    let config = node.config();
    let config = ["--config", config.to_str().unwrap()];
    let matched =
        |calling: &str| dokuei(&[&["match", images[0].to_str().unwrap(), "--calling", calling], &config[..]].concat());
    assert!(matched("PACS").contains("matches; results go back to PACS, the destination pacs"), "{}", matched("PACS"));
    assert!(matched("CR_ROOM_2").contains(nowhere), "{}", matched("CR_ROOM_2"));
    let checked = dokuei(&[&["check"], &config[..]].concat());
    let warned = "WARNING route chest radiographs, the way back: no [[destination]] has the AE title of CR_ROOM_2";
    assert!(checked.contains(warned), "{checked}");
    assert!(checked.contains("ok      destination pacs, reports"), "{checked}");
}
