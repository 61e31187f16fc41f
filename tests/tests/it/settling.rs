use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dokuei_phantom::{DicomIdentity, PhantomSpec, to_dicom};
use dokuei_tests::{Dcmqrscp, Node, Orthanc, dokuei, free_port, pydicom, run, tool, wait_for};
use serde_json::Value;
use tempfile::tempdir;

/// Writes `count` radiographs of one study, each in a series of its own; gives back its UID too.
pub(crate) fn study(folder: &Path, count: u64) -> (Vec<PathBuf>, String) {
    std::fs::create_dir_all(folder).unwrap();
    let identity = |seed| {
        let radiograph = PhantomSpec::from_seed(seed, false).with_size(320, 400).render();
        (DicomIdentity::of(&radiograph), radiograph)
    };
    let (DicomIdentity { study_instance, patient_id, .. }, _) = identity(0);
    let write = |seed| {
        let (own, radiograph) = identity(seed);
        let (study_instance, patient_id) = (study_instance.clone(), patient_id.clone());
        let path = folder.join(format!("{seed:03}.dcm"));
        std::fs::write(&path, to_dicom(&radiograph, &DicomIdentity { study_instance, patient_id, ..own })).unwrap();
        path
    };
    ((0..count).map(write).collect(), study_instance.as_str().to_owned())
}

/// Studies go to the model once they have been quiet for a second; further keys behind.
pub(crate) fn studies(keys: &str) -> String {
    format!(
        "[[route]]\nname = \"studies\"\ntrigger = \"study\"\nsettle_after = \"1s\"\nsettle_at_most = \"10m\"\n\
         models = [\"cxr-pneumonia\"]\n{keys}"
    )
}

fn counted_at(ae_title: &str, port: u16) -> String {
    format!(
        "[[destination]]\nname = \"pacs\"\nae_title = \"{ae_title}\"\naddress = \"127.0.0.1:{port}\"\n{}",
        studies("count_at = \"pacs\"\n")
    )
}

/// The unit of each instance of a study, as `dokuei show` has it.
pub(crate) fn units(node: &Node, study: &str) -> Vec<Value> {
    let shown = node.ask(&["show", study]);
    shown.as_array().unwrap().iter().map(|instance| instance["units"][0].clone()).collect()
}

pub(crate) fn wait_until_it_waits_for(node: &Node, study: &str, reason: &str) {
    wait_for(reason, || {
        let units = node.try_ask(&["show", study]).map(|_| units(node, study)).unwrap_or_default();
        assert!(units.iter().all(|unit| unit["reason"].is_null()), "{units:#?}");
        units.iter().any(|unit| unit["waits_for"] == reason)
    });
    let folder = node.data_dir();
    let said = dokuei(&["show", study, "--data-dir", folder.to_str().unwrap()]);
    assert!(said.contains(reason), "{said}");
}

pub(crate) fn check_settled(node: &mut Node, study: &str, count: u64, reason: &str) {
    node.wait_until_settled(count);
    let units = units(node, study);
    assert_eq!(units.len() as u64, count);
    assert!(units.iter().all(|unit| unit["reason"] == reason && unit["settled_at"].is_u64()), "{units:#?}");
    assert_eq!(node.count(["instances", "reported"]), count);
}

/// Sends two of the three instances its source has, sees the node wait, sends the third.
fn check(node: &mut Node, files: &[PathBuf], study: &str, send: impl Fn(usize)) {
    send(0);
    send(1);
    wait_until_it_waits_for(node, study, "pacs has 3 instances of it, 2 are here");
    assert_eq!(node.count(["units_waiting"]), 1);
    (2..files.len()).for_each(send);
    check_settled(node, study, 3, "count");
}

#[test]
fn a_study_is_whole_once_orthanc_has_no_more_of_it() {
    let folder = tempdir().unwrap();
    let port = free_port();
    let mut node = Node::start(&folder.path().join("node"), &counted_at("ORTHANC", port));
    let Some(orthanc) = Orthanc::start(&folder.path().join("orthanc"), port, node.port, "") else { return };
    let (files, study) = study(&folder.path().join("images"), 3);
    let instances: Vec<_> = files.iter().map(|file| orthanc.upload(file)).collect();
    check(&mut node, &files, &study, |index| assert!(orthanc.send_to_node(&instances[index])));
}

/// DCMTK's archive gives no numbers of instances: they are counted one by one.
#[test]
fn a_study_is_whole_once_dcmtk_has_no_more_of_it() {
    let Some(storescu) = tool("storescu") else { return };
    let folder = tempdir().unwrap();
    let port = free_port();
    let Some(archive) = Dcmqrscp::start(&folder.path().join("archive"), port) else { return };
    let mut node = Node::start(&folder.path().join("node"), &counted_at("ARCHIVE", archive.port));
    let (files, study) = study(&folder.path().join("images"), 3);
    let archive_port = archive.port.to_string();
    let stored = run(Command::new(storescu).args(["-aec", "ARCHIVE", "127.0.0.1", &archive_port]).args(&files));
    assert!(stored.status.success(), "{}", String::from_utf8_lossy(&stored.stderr));
    let address = format!("127.0.0.1:{}", node.port);
    check(&mut node, &files, &study, |index| drop(dokuei(&["send", &address, files[index].to_str().unwrap()])));
}

#[test]
fn a_source_that_is_away_holds_nothing_up() {
    let folder = tempdir().unwrap();
    let mut node = Node::start(&folder.path().join("node"), &counted_at("NOBODY", free_port()));
    let (files, study) = study(&folder.path().join("images"), 1);
    drop(dokuei(&["send", &format!("127.0.0.1:{}", node.port), files[0].to_str().unwrap()]));
    check_settled(&mut node, &study, 1, "quiet");
    assert!(node.log().contains("not counted at its source"), "{}", node.log());
}

/// Sends a file and stays associated until its input ends.
const STAY: &str = r#"
import sys
from pydicom import dcmread
from pynetdicom import AE
port, file = sys.argv[1:]
image = dcmread(file)
ae = AE("CR_ROOM_1")
ae.add_requested_context(image.SOPClassUID, image.file_meta.TransferSyntaxUID)
assoc = ae.associate("127.0.0.1", int(port), ae_title="DOKUEI")
assert assoc.send_c_store(image).Status == 0
sys.stdin.read()
assoc.release()
"#;

#[test]
fn a_study_waits_while_its_sender_stays_associated() {
    let Some(python) = pydicom() else { return };
    let folder = tempdir().unwrap();
    let mut node = Node::start(&folder.path().join("node"), &studies(""));
    let (files, study) = study(&folder.path().join("images"), 1);
    let mut sender = Command::new(python);
    sender.args(["-c", STAY, &node.port.to_string()]).arg(&files[0]).stdin(Stdio::piped());
    let mut sender = sender.spawn().unwrap();
    wait_until_it_waits_for(&node, &study, "an association that brought some of it is still open");
    drop(sender.stdin.take());
    check_settled(&mut node, &study, 1, "quiet");
    assert!(sender.wait().unwrap().success());
}
