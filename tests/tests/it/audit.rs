use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::time::Duration;

use dokuei_tests::{Node, dokuei, dokuei_failing};
use serde_json::Value;
use tempfile::tempdir;

use crate::radiographs::write;

fn trail(node: &Node) -> Vec<Value> {
    let text = std::fs::read_to_string(node.data_dir().join("audit.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn events(trail: &[Value]) -> BTreeSet<&str> {
    trail.iter().filter_map(|line| line["event"].as_str()).collect()
}

#[test]
fn the_trail_has_every_hop_once_and_no_name() {
    let folder = tempdir().unwrap();
    let files = write(&folder.path().join("images"), 2);
    let mut node = Node::start(&folder.path().join("node"), "[audit]\nfile = \"audit.jsonl\"\n");
    let address = format!("127.0.0.1:{}", node.port);
    let images = files.iter().map(|file| file.to_str().unwrap());
    drop(dokuei(&["send", &address].into_iter().chain(images).collect::<Vec<_>>()));
    drop(dokuei_failing(&["echo", &address, "--called", "NOBODY"]));
    node.wait_until_settled(2);
    assert_eq!(node.terminate(), Some(0));

    let trail = trail(&node);
    let expected = [
        "analysed",
        "association_closed",
        "association_opened",
        "association_refused",
        "decided",
        "received",
        "result",
        "started",
        "stopped",
    ];
    assert_eq!(events(&trail), BTreeSet::from(expected));
    let of = |event: &str| trail.iter().filter(|line| line["event"] == event).collect::<Vec<_>>();
    assert_eq!(of("received").len(), 2);
    let instances: BTreeSet<&str> = of("received").iter().map(|line| line["instance"].as_str().unwrap()).collect();
    assert!(instances.iter().all(|instance| instance.len() == 16));
    let analysed: BTreeSet<&str> = of("analysed").iter().map(|line| line["instance"].as_str().unwrap()).collect();
    assert_eq!(analysed, instances);
    assert!(of("association_refused")[0]["why"].as_str().is_some_and(|why| why.contains("called")), "{trail:?}");
    let text = std::fs::read_to_string(node.data_dir().join("audit.jsonl")).unwrap();
    let shown = node.ask(&["show", "1"]);
    for uid in ["sop_instance", "study", "series"] {
        assert!(!text.contains(shown[0][uid].as_str().unwrap()), "{uid}");
    }

    // Written out again, by UID though it is hashed, by number, event and time.
    let config = node.config();
    let exported = |arguments: &[&str]| {
        let said = dokuei(&[&["audit", "--config", config.to_str().unwrap()], arguments].concat());
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    assert_eq!(exported(&[]), trail);
    let of_first = |line: &&Value| line["number"] == 1;
    let first: Vec<Value> = trail.iter().filter(of_first).cloned().collect();
    assert!(!first.is_empty());
    assert_eq!(exported(&["1"]), first);
    assert_eq!(exported(&[shown[0]["sop_instance"].as_str().unwrap()]), first);
    assert_eq!(exported(&["--event", "received", "--since", "1h"]).len(), 2);
    assert_eq!(exported(&["--until", "1h"]), Vec::<Value>::new());
    let (_, refused) = dokuei_failing(&["audit", "--config", config.to_str().unwrap(), "--event", "sent,recieved"]);
    assert!(refused.contains("'recieved'") && refused.contains("association_opened, "), "{refused}");
    assert_eq!(exported(&["1.2.3.4"]), Vec::<Value>::new());

    // Another start writes on, and tells nothing twice.
    node.restart();
    assert_eq!(node.terminate(), Some(0));
    let again = self::trail(&node);
    let entries: Vec<i64> = again.iter().filter_map(|line| line["entry"].as_i64()).collect();
    assert_eq!(entries.len(), entries.iter().collect::<BTreeSet<_>>().len());
    assert_eq!(again.len(), trail.len() + 2);
}

#[test]
fn what_a_killed_node_had_received_is_in_the_trail_of_the_next() {
    let folder = tempdir().unwrap();
    write(&folder.path().join("images"), 8);
    let mut node =
        Node::start(&folder.path().join("node"), "[audit]\nfile = \"audit.jsonl\"\nidentifiers = \"plain\"\n");
    let images = folder.path().join("images");
    drop(dokuei(&["send", &format!("127.0.0.1:{}", node.port), images.to_str().unwrap()]));
    node.kill();
    node.restart();
    node.wait_until_settled(8);
    assert_eq!(node.terminate(), Some(0));
    let trail = trail(&node);
    let received: Vec<&str> = trail
        .iter()
        .filter(|line| line["event"] == "received")
        .map(|line| line["instance"].as_str().unwrap())
        .collect();
    assert_eq!(received.len(), 8, "{trail:#?}");
    assert_eq!(received.iter().collect::<BTreeSet<_>>().len(), 8);
}

#[test]
fn a_repository_hears_of_starts_transfers_and_refusals() {
    let folder = tempdir().unwrap();
    let repository = UdpSocket::bind("127.0.0.1:0").unwrap();
    repository.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let files = write(&folder.path().join("images"), 1);
    let config = format!("[audit]\nsyslog = \"{}\"\n", repository.local_addr().unwrap());
    let mut node = Node::start(&folder.path().join("node"), &config);
    let address = format!("127.0.0.1:{}", node.port);
    let next = |expected: &str| loop {
        let mut bytes = [0; 65_536];
        let length = repository.recv(&mut bytes).unwrap();
        let message = String::from_utf8(bytes[..length].to_vec()).unwrap();
        assert!(message.starts_with("<8"), "{message}");
        if message.contains(expected) {
            break message;
        }
    };
    next("Application Start");
    drop(dokuei_failing(&["echo", &address, "--called", "NOBODY"]));
    next("Security Alert");
    drop(dokuei(&["send", &address, files[0].to_str().unwrap()]));
    let transferred = next("DICOM Instances Transferred");
    let shown = node.ask(&["show", "1"]);
    assert!(transferred.contains(shown[0]["study"].as_str().unwrap()), "{transferred}");
    assert_eq!(node.terminate(), Some(0));
    next("Application Stop");
}
