//! Images whose bytes were removed, and that an archive sends again when they are replayed.

use std::path::Path;

use dokuei_tests::{Dcmqrscp, Node, Orthanc, dokuei, dokuei_ending, dokuei_failing, free_port, wait_for};
use tempfile::tempdir;

use crate::radiographs::write;

/// A node that forwards to an archive and keeps nothing.
fn forwarding(folder: &Path, ae_title: &str, port: u16, [retrieve, archive]: [&str; 2]) -> Node {
    let config = format!(
        "[[destination]]\nname = \"pacs\"\nae_title = \"{ae_title}\"\naddress = \"127.0.0.1:{port}\"\n{retrieve}\
         [[route]]\nname = \"copies\"\nsend_images = [\"pacs\"]\n[retention]\nimages = \"0s\"\n{archive}"
    );
    Node::start(&folder.join("node"), &config)
}

/// Sends an image on to the archive, and waits until its bytes are removed.
fn remove(folder: &Path, node: &mut Node) {
    let images = folder.join("images");
    write(&images, 1);
    drop(dokuei(&["send", &format!("127.0.0.1:{}", node.port), images.to_str().unwrap()]));
    node.wait_until_settled(1);
    // It looks for what is too old when it starts.
    assert_eq!(node.terminate(), Some(0));
    node.restart();
    wait_for("the bytes to be removed", || {
        node.try_ask(&["show", "1"]).is_some_and(|shown| !shown[0]["removed_at"].is_null())
    });
}

fn replay(node: &Node, arguments: &[&str]) -> (i32, String) {
    let config = node.config();
    dokuei_ending(&[&["replay", "1", "--config", config.to_str().unwrap()], arguments].concat())
}

/// How often the destination has stored it, whichever version of it.
fn stored(node: &Node) -> u64 {
    node.count(["destinations", "pacs", "stored"])
}

#[test]
fn an_image_comes_back_from_dcmtks_archive_although_node_and_archive_were_away() {
    let folder = tempdir().unwrap();
    let port = free_port();
    let archive = || Dcmqrscp::start_on(&folder.path().join("archive"), port, free_port());
    let Some(running) = archive() else { return };
    let mut node = forwarding(folder.path(), "ARCHIVE", port, ["", "archive = \"pacs\"\n"]);
    remove(folder.path(), &mut node);
    drop(running);
    let (code, said) = replay(&node, &[]);
    assert_eq!((code, said.contains("1 wait for an image that the archive is asked for")), (0, true), "{said}");
    node.kill();
    node.restart();
    assert!(node.ask(&["show", "1"])[0]["end"].is_null(), "in work");
    let _running = archive().unwrap();
    check_back(&mut node);
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn an_image_comes_back_from_orthanc_by_c_move() {
    let folder = tempdir().unwrap();
    let port = free_port();
    let mut node = forwarding(folder.path(), "ORTHANC", port, ["retrieve = \"move\"\n", "archive = \"pacs\"\n"]);
    let orthanc = |node: &Node| Orthanc::start(&folder.path().join("orthanc"), port, node.port, "");
    let Some(running) = orthanc(&node) else { return };
    remove(folder.path(), &mut node);
    // The node listens on another port since it was started again.
    drop(running);
    let _running = orthanc(&node).unwrap();
    assert_eq!(replay(&node, &[]).0, 0);
    check_back(&mut node);
    assert_eq!(node.terminate(), Some(0));
}

/// The image is here again, by its own bytes or by others as a version, and was sent again.
fn check_back(node: &mut Node) {
    let uid = node.ask(&["show", "1"])[0]["sop_instance"].as_str().unwrap().to_owned();
    wait_for("the image to be sent again", || {
        node.try_ask(&["show", &uid]).is_some_and(|shown| {
            let versions = shown.as_array().unwrap();
            versions.iter().any(|version| version["removed_at"].is_null())
                && versions.iter().all(|version| version["end"] == "forwarded")
        })
    });
    let all = node.ask(&["show", &uid]);
    let all = all.as_array().unwrap();
    let here: Vec<_> = all.iter().filter(|version| version["removed_at"].is_null()).collect();
    assert_eq!(here.len(), 1, "{all:#?}");
    assert_eq!(
        (&here[0]["end"], &here[0]["deliveries"][0]["state"]),
        (&"forwarded".into(), &"stored".into()),
        "{all:#?}"
    );
    let came = all[0]["arrivals"].as_array().unwrap().last().unwrap();
    let expected = if all.len() == 1 { "restored" } else { "superseded" };
    assert_eq!((came["outcome"].as_str(), stored(node)), (Some(expected), all.len() as u64), "{all:#?}");
}

#[test]
fn without_an_archive_a_replay_is_refused_with_the_remedy() {
    let folder = tempdir().unwrap();
    let port = free_port();
    let Some(_archive) = Dcmqrscp::start_on(&folder.path().join("archive"), port, free_port()) else { return };
    let mut node = forwarding(folder.path(), "ARCHIVE", port, ["", ""]);
    remove(folder.path(), &mut node);
    let (code, said) = replay(&node, &[]);
    assert!(code != 0 && said.contains("refused: instance 1: deliver original to pacs"), "{said}");
    let config = node.config();
    let (_, said) = dokuei_failing(&["replay", "1", "--config", config.to_str().unwrap()]);
    assert!(said.contains("`retention.archive`"), "{said}");
    assert_eq!(node.terminate(), Some(0));
}
