use std::path::Path;

use dokuei_tests::{Node, Storescp, dokuei, free_port, tool, wait_for};
use tempfile::tempdir;

use crate::radiographs::write;

fn send(node: &Node, file: &Path) {
    drop(dokuei(&["send", &format!("127.0.0.1:{}", node.port), file.to_str().unwrap()]));
}

#[test]
fn a_backup_gets_what_the_pacs_does_not_take_and_the_pacs_what_comes_when_it_is_back() {
    let Some(_) = tool("storescp") else { return };
    let folder = tempdir().unwrap();
    let pacs_port = free_port();
    let backup = Storescp::start(&folder.path().join("backup")).unwrap();
    let config = format!(
        "[[destination]]\nname = \"pacs\"\nae_title = \"PACS\"\naddress = \"127.0.0.1:{pacs_port}\"\n\
         failover = \"backup\"\nfailover_after = \"3s\"\n\
         [[destination]]\nname = \"backup\"\nae_title = \"PACS\"\naddress = \"127.0.0.1:{}\"\n\
         [[route]]\nname = \"forward\"\nsend_images = [\"pacs\"]\n",
        backup.port
    );
    let mut node = Node::start(&folder.path().join("node"), &config);
    let images = write(&folder.path().join("images"), 3);
    send(&node, &images[0]);
    send(&node, &images[1]);
    wait_for("an attempt", || node.log().contains("not delivered"));
    node.kill();
    node.restart();
    node.wait_until_settled(2);
    assert_eq!(backup.files().len(), 2);

    let pacs = Storescp::start_on(&folder.path().join("pacs"), pacs_port).unwrap();
    send(&node, &images[2]);
    node.wait_until_settled(3);
    assert_eq!((pacs.files().len(), backup.files().len()), (1, 2));
    let counts = |name: &str| ["stored", "elsewhere"].map(|what| node.count(["destinations", name, what]));
    assert_eq!((counts("pacs"), counts("backup")), ([1, 2], [2, 0]));
    let data_dir = node.data_dir();
    let place = ["--data-dir", data_dir.to_str().unwrap()];
    let shown = dokuei(&[&["show", "1"], &place[..]].concat());
    assert!(shown.contains("original to pacs: elsewhere, at backup after"), "{shown}");
    assert!(shown.contains("original to backup instead of pacs: stored after 1 attempts"), "{shown}");

    assert_eq!(node.ask(&["replay", "--destination", "pacs", "--since", "1h"])["sent_again"], 3);
    wait_for("the PACS to have all", || pacs.files().len() == 3);
}
