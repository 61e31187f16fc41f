use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use dokuei_tests::{Node, Storescp, dokuei, run, wait_for};
use serde_json::Value;
use tempfile::tempdir;

use crate::radiographs::write;

fn send(node: &Node, path: &Path) {
    drop(dokuei(&["send", &format!("127.0.0.1:{}", node.port), path.to_str().unwrap()]));
}

fn destination(port: u16, keys: &str) -> String {
    format!("[[destination]]\nname = \"pacs\"\nae_title = \"PACS\"\naddress = \"127.0.0.1:{port}\"\n{keys}\n")
}

const FORWARD: &str = "[[route]]\nname = \"forward\"\nsend_images = [\"pacs\"]\n";

/// Hours that begin in two hours, by the clock of this machine.
fn later() -> String {
    let hour = |ahead: &str| {
        let output = run(Command::new("date").args(["-d", ahead, "+%H:00"]));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    format!("hours = [\"{}-{}\"]", hour("+2 hours"), hour("+3 hours"))
}

#[test]
fn outside_its_hours_a_pacs_gets_what_is_urgent_and_the_rest_once_they_are_gone() {
    let folder = tempdir().unwrap();
    let Some(pacs) = Storescp::start(&folder.path().join("pacs")) else { return };
    let urgent = "[[route]]\nname = \"urgent\"\nwhen = [\"calling_ae == 'ER'\"]\nsend_images = [\"pacs\"]\npriority = \"urgent\"\n";
    let rest = "[[route]]\nname = \"rest\"\nfallback = true\nsend_images = [\"pacs\"]\n";
    let hours = later();
    let config = format!("{}{urgent}{rest}", destination(pacs.port, &hours));
    let mut node = Node::start(&folder.path().join("node"), &config);
    let images = write(&folder.path().join("images"), 2);
    send(&node, &images[0]);
    let address = format!("127.0.0.1:{}", node.port);
    drop(dokuei(&["send", &address, images[1].to_str().unwrap(), "--calling", "ER"]));
    wait_for("the urgent one", || pacs.files().len() == 1);
    wait_for("one in work", || node.count(["instances", "pending"]) == 1);
    let waiting = |shown: &Value| shown[0]["deliveries"][0].clone();
    let delivery = waiting(&node.ask(&["show", "1"]));
    assert_eq!((&delivery["state"], &delivery["attempts"]), (&"waiting".into(), &0.into()), "{delivery:#}");
    assert!(delivery["closed_until"].is_i64() && delivery["next_at"] == delivery["closed_until"], "{delivery:#}");
    let data_dir = node.data_dir();
    let place = ["--data-dir", data_dir.to_str().unwrap()];
    let status = dokuei(&[&["status"], &place[..]].concat());
    assert!(status.contains("1 waiting") && status.contains("outside its hours until"), "{status}");

    let file = node.config();
    let text = std::fs::read_to_string(&file).unwrap().replace(&hours, "");
    std::fs::write(&file, text).unwrap();
    node.reload("configuration reloaded");
    node.wait_until_settled(2);
    assert_eq!(pacs.files().len(), 2);
    assert!(node.ask(&["status"])["destinations"]["pacs"]["closed_until"].is_null());
}

#[test]
fn a_pacs_is_sent_no_more_than_its_bandwidth() {
    let folder = tempdir().unwrap();
    let Some(pacs) = Storescp::start(&folder.path().join("pacs")) else { return };
    let config = destination(pacs.port, "bandwidth = \"512 KiB/s\"") + FORWARD;
    let mut node = Node::start(&folder.path().join("node"), &config);
    let images = folder.path().join("images");
    let bytes: u64 = write(&images, 6).iter().map(|image| std::fs::metadata(image).unwrap().len()).sum();
    let begun = Instant::now();
    send(&node, &images);
    node.wait_until_settled(6);
    assert_eq!(pacs.files().len(), 6);
    // Less what may go at once and what is not waited for in the end, 50 ms each, and the File Meta Information.
    let least = Duration::from_millis(bytes * 1_000 / (512 << 10)) - Duration::from_millis(150);
    assert!(begun.elapsed() >= least, "{bytes} bytes in {:?}", begun.elapsed());
}
