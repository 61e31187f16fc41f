//! Radiographs of a patient over the years, and of another under the same Patient ID.

use std::path::Path;
use std::process::Command;

use dokuei_phantom::{DicomIdentity, PhantomSpec, Sex, to_dicom};
use dokuei_tests::{Dcmqrscp, Node, Orthanc, Storescp, dokuei, free_port, run, tool};
use serde_json::Value;
use tempfile::tempdir;

use crate::radiographs::to_pacs;

/// Writes a radiograph of the same patient, or of who `changes` makes of them.
pub(crate) fn write(path: &Path, seed: u64, date: &str, changes: impl FnOnce(&mut DicomIdentity)) -> String {
    let radiograph = |seed, opacity| PhantomSpec::from_seed(seed, opacity).with_size(320, 400).render();
    let who = DicomIdentity::of(&radiograph(0, false));
    let image = radiograph(seed, seed % 2 == 1);
    let DicomIdentity { study_instance, series_instance, sop_instance, .. } = DicomIdentity::of(&image);
    let mut identity = DicomIdentity { study_instance, series_instance, sop_instance, date: date.to_owned(), ..who };
    changes(&mut identity);
    std::fs::write(path, to_dicom(&image, &identity)).unwrap();
    identity.sop_instance.as_str().to_owned()
}

pub(crate) fn comparison(node: &Node, instance: &str) -> Value {
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
    assert!(nothing["nothing"].as_str().unwrap().starts_with("no earlier image of the patient is known"), "{nothing}");
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
    assert!(
        checked.contains("results of route chest radiographs: compared with the last on an image of the patient"),
        "{checked}"
    );
    assert_eq!(node.terminate(), Some(0));
}

/// A node that may fetch from an archive under this AE title and port.
fn fetching(folder: &Path, ae_title: &str, port: u16) -> Node {
    let config = to_pacs(ae_title, port) + "priors = { at = \"pacs\", wait_at_most = \"2m\" }\n";
    Node::start(&folder.join("node"), &config)
}

/// The node is sent an image whose prior the archive has, and somebody else's later one under the same Patient ID.
pub(crate) fn check_fetched(folder: &Path, node: &mut Node, store: impl Fn(&Path)) {
    let path = |name: &str| folder.join(name);
    let first = write(&path("first.dcm"), 1, "20250110", |_| {});
    let other = write(&path("other.dcm"), 3, "20250601", |other| other.birth_date = "19010203".to_owned());
    let second = write(&path("second.dcm"), 2, "20260110", |_| {});
    store(&path("first.dcm"));
    store(&path("other.dcm"));
    let address = format!("127.0.0.1:{}", node.port);
    drop(dokuei(&["send", &address, path("second.dcm").to_str().unwrap()]));
    // The prior is here too then, and all of it has ended.
    node.wait_until_settled(2);

    let compared = comparison(node, &second);
    assert_eq!(compared["sop_instance"], Value::from(first.as_str()), "{compared}");
    let shown = node.ask(&["show", &first]);
    assert_eq!((&shown[0]["end"], &shown[0]["fetched_for"]), (&"reported".into(), &"chest radiographs".into()));
    assert_eq!((&shown[0]["deliveries"], &shown[0]["decision"]), (&Value::Array(Vec::new()), &Value::Null));
    assert!(node.try_ask(&["show", &other]).is_none(), "another person's image stays where it is");
    let data_dir = node.data_dir();
    let said = dokuei(&["show", &first, "--data-dir", data_dir.to_str().unwrap()]);
    assert!(said.contains("fetched    to be compared with by route chest radiographs"), "{said}");
}

#[test]
fn a_prior_is_fetched_from_dcmtks_archive() {
    let Some(storescu) = tool("storescu") else { return };
    let folder = tempdir().unwrap();
    let Some(archive) = Dcmqrscp::start(&folder.path().join("archive"), free_port()) else { return };
    let mut node = fetching(folder.path(), "ARCHIVE", archive.port);
    let port = archive.port.to_string();
    check_fetched(folder.path(), &mut node, |file| {
        assert!(run(Command::new(&storescu).args(["-aec", "ARCHIVE", "127.0.0.1", &port]).arg(file)).status.success());
    });
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn a_prior_is_fetched_from_orthanc() {
    let folder = tempdir().unwrap();
    let port = free_port();
    let mut node = fetching(folder.path(), "ORTHANC", port);
    let Some(orthanc) = Orthanc::start(&folder.path().join("orthanc"), port, node.port, "") else { return };
    check_fetched(folder.path(), &mut node, |file| drop(orthanc.upload(file)));
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn an_archive_that_is_down_holds_up_no_report() {
    let folder = tempdir().unwrap();
    let mut node = fetching(folder.path(), "NOBODY", free_port());
    let path = folder.path().join("image.dcm");
    let instance = write(&path, 1, "20250110", |_| {});
    drop(dokuei(&["send", &format!("127.0.0.1:{}", node.port), path.to_str().unwrap()]));
    let why = "no earlier image of the patient is known within 730d; pacs: ";
    dokuei_tests::wait_for("a report", || {
        let shown = node.try_ask(&["show", &instance]).unwrap_or_default();
        let nothing = &shown[0]["results"][0]["findings"][0]["comparison"]["nothing"];
        nothing.as_str().is_some_and(|said| said.starts_with(why) && said.contains("refused"))
    });
    assert_eq!(node.terminate(), Some(0));
}
