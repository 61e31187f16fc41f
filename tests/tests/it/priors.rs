//! Radiographs of a patient over the years, and of another under the same Patient ID.

use std::path::Path;
use std::process::Command;

use dokuei_phantom::{DicomIdentity, PhantomSpec, Sex, to_dicom};
use dokuei_tests::{Node, Storescp, dokuei, run, tool};
use serde_json::Value;
use tempfile::tempdir;

use crate::radiographs::to_pacs;

/// Writes a radiograph of the same patient, or of who `changes` makes of them.
fn write(path: &Path, seed: u64, date: &str, changes: impl FnOnce(&mut DicomIdentity)) -> String {
    let radiograph = |seed, opacity| PhantomSpec::from_seed(seed, opacity).with_size(320, 400).render();
    let who = DicomIdentity::of(&radiograph(0, false));
    let image = radiograph(seed, seed % 2 == 1);
    let DicomIdentity { study_instance, series_instance, sop_instance, .. } = DicomIdentity::of(&image);
    let mut identity = DicomIdentity { study_instance, series_instance, sop_instance, date: date.to_owned(), ..who };
    changes(&mut identity);
    std::fs::write(path, to_dicom(&image, &identity)).unwrap();
    identity.sop_instance.as_str().to_owned()
}

fn comparison(node: &Node, instance: &str) -> Value {
    let shown = node.ask(&["show", instance]);
    shown[0]["results"][0]["findings"][0]["comparison"].clone()
}

#[test]
fn the_second_of_two_radiographs_is_compared_with_the_first_and_nobody_elses() {
    let Some(storescu) = tool("storescu") else { return };
    let folder = tempdir().unwrap();
    let Some(pacs) = Storescp::start(&folder.path().join("pacs")) else { return };
    let config = to_pacs("PACS", pacs.port) + "priors = {}\n";
    let mut node = Node::start(&folder.path().join("node"), &config);
    let send = |node: &mut Node, seed, date, changes: fn(&mut DicomIdentity)| {
        let path = folder.path().join(format!("{seed}.dcm"));
        let instance = write(&path, seed, date, changes);
        let before = node.count(["instances", "received"]);
        let port = node.port.to_string();
        assert!(run(Command::new(&storescu).args(["-aec", "DOKUEI", "127.0.0.1", &port]).arg(&path)).status.success());
        node.wait_until_settled(before + 1);
        instance
    };
    let first = send(&mut node, 1, "20250110", |_| {});
    let second = send(&mut node, 2, "20260110", |_| {});
    let third = send(&mut node, 3, "20260111", |other| other.birth_date = "19010203".to_owned());
    let fourth = send(&mut node, 4, "20251201", |other| {
        other.sex = if other.sex == Sex::Female { Sex::Male } else { Sex::Female };
    });

    let nothing = comparison(&node, &first);
    assert!(nothing["nothing"].as_str().unwrap().starts_with("no result of cxr-pneumonia"), "{nothing}");
    let compared = comparison(&node, &second);
    assert_eq!((&compared["instance"], &compared["sop_instance"]), (&Value::from(1), &Value::from(first.as_str())));
    assert!(compared["taken"].as_str().unwrap().starts_with("2025-01-10T"), "{compared}");
    for (other, why) in [(&third, "another Patient's Birth Date"), (&fourth, "another Patient's Sex")] {
        let nothing = comparison(&node, other);
        let nothing = nothing["nothing"].as_str().unwrap();
        assert!(nothing.starts_with("none of ") && nothing.ends_with(why), "{nothing}");
    }

    let data_dir = node.data_dir();
    let show = |instance: &str| dokuei(&["show", instance, "--data-dir", data_dir.to_str().unwrap()]);
    let said = show(&second);
    for words in
        ["compared with instance 1, taken 2025-01-10", "Time Point: prior of 2025-01-10", "Description of Change"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    for other in [&third, &fourth] {
        let said = show(other);
        let words = "No earlier result was at hand to compare with.";
        assert!(said.contains(words) && !said.contains("prior of"), "{said}");
    }

    // What the PACS got of the second, as DCMTK reads it.
    let dsrdump = tool("dsrdump").unwrap();
    let dump = |file| String::from_utf8_lossy(&run(Command::new(&dsrdump).arg("+Pl").arg(file)).stdout).into_owned();
    let dumps: Vec<String> = pacs.files().iter().map(dump).collect();
    let beside: Vec<&String> = dumps.iter().filter(|dump| dump.contains("prior of 2025-01-10")).collect();
    assert_eq!(beside.len(), 1, "{dumps:#?}");
    assert!(beside[0].contains("both by cxr-pneumonia"), "{}", beside[0]);

    let checked = dokuei(&["check", "--config", node.config().to_str().unwrap()]);
    assert!(checked.contains("results of route chest radiographs: compared with the last"), "{checked}");
    assert_eq!(node.terminate(), Some(0));
}
