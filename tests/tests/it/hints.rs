use std::path::{Path, PathBuf};
use std::process::Command;

use dokuei_tests::{Node, dokuei, pydicom, run};
use tempfile::tempdir;

use crate::settling::{check_settled, studies, study, units, wait_until_it_waits_for};

/// A modality and an archive: says something of the study of these files, and prints the status it is answered with, and
/// the Error ID of a failure.
const SAY: &str = r#"
import sys
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import ModalityPerformedProcedureStep as STEP, InstanceAvailabilityNotification as IAN
port, what, step, *files = sys.argv[1:]
images = [dcmread(file, stop_before_pixels=True) for file in files]
def reference(image):
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    return item
def series(image):
    item = Dataset()
    item.SeriesInstanceUID = image.SeriesInstanceUID
    return item
said = Dataset()
if what == "available":
    said.StudyInstanceUID = images[0].StudyInstanceUID
    said.ReferencedPerformedProcedureStepSequence = []
    said.ReferencedSeriesSequence = []
    for image in images:
        of, item = series(image), reference(image)
        item.InstanceAvailability, item.RetrieveAETitle = "ONLINE", "ARCHIVE"
        of.ReferencedSOPSequence = [item]
        said.ReferencedSeriesSequence.append(of)
elif what == "IN PROGRESS":
    said.PatientName, said.PatientID = "Nobody^Kept", "NOT-KEPT"
    said.PerformedProcedureStepStatus = what
    scheduled = Dataset()
    scheduled.StudyInstanceUID = images[0].StudyInstanceUID
    said.ScheduledStepAttributesSequence = [scheduled]
    said.PerformedSeriesSequence = []
else:
    said.PerformedProcedureStepStatus = what
    said.PerformedSeriesSequence = []
    for image in images:
        of, dose = series(image), Dataset()
        dose.ReferencedSOPClassUID, dose.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.88.67", "1.2.3.4.5"
        of.ReferencedImageSequence = [reference(image)]
        of.ReferencedNonImageCompositeSOPInstanceSequence = [dose]
        said.PerformedSeriesSequence.append(of)
sop_class = IAN if what == "available" else STEP
ae = AE("CR_ROOM_1")
ae.add_requested_context(sop_class)
assoc = ae.associate("127.0.0.1", int(port), ae_title="DOKUEI")
assert assoc.is_established
if what in ("available", "IN PROGRESS"):
    status, _ = assoc.send_n_create(said, sop_class, step or None)
else:
    status, _ = assoc.send_n_set(said, sop_class, step)
assoc.release()
print(f"{status.Status:04X}", f"{status.ErrorID:04X}" if "ErrorID" in status else "")
"#;

fn say(python: &Path, node: &Node, what: &str, step: &str, files: &[PathBuf]) -> String {
    let output = run(Command::new(python).args(["-c", SAY, &node.port.to_string(), what, step]).args(files));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn send(node: &Node, file: &Path) {
    drop(dokuei(&["send", &format!("127.0.0.1:{}", node.port), file.to_str().unwrap()]));
}

fn check_detail(node: &Node, study: &str, detail: &str) {
    assert!(units(node, study).iter().all(|unit| unit["detail"] == detail), "{:#?}", units(node, study));
    let said = dokuei(&["show", study, "--data-dir", node.data_dir().to_str().unwrap()]);
    assert!(said.contains(detail), "{said}");
}

#[test]
fn a_study_settles_by_its_procedure_step_though_the_node_is_killed_before_its_last_image() {
    let Some(python) = pydicom() else { return };
    let folder = tempdir().unwrap();
    let config = format!("[audit]\nfile = \"audit.jsonl\"\n{}", studies(""));
    let mut node = Node::start(&folder.path().join("node"), &config);
    let (files, study) = study(&folder.path().join("images"), 3);
    assert_eq!(say(&python, &node, "IN PROGRESS", "1.2.9", &files), "0000");
    send(&node, &files[0]);
    send(&node, &files[1]);
    wait_until_it_waits_for(&node, &study, "a performed procedure step of it is in progress");
    assert_eq!(say(&python, &node, "COMPLETED", "1.2.9", &files), "0000");
    wait_until_it_waits_for(&node, &study, "1 of 3 images missing that a completed procedure step names");
    node.kill();
    node.restart();
    // What is answered by the book: a UID again, one that is not known, a step that has ended, a first word that is wrong.
    assert_eq!(say(&python, &node, "IN PROGRESS", "1.2.9", &files), "0111");
    assert_eq!(say(&python, &node, "DISCONTINUED", "1.2.8", &files), "0112");
    assert_eq!(say(&python, &node, "DISCONTINUED", "1.2.9", &files), "0110 A710");
    send(&node, &files[2]);
    check_settled(&mut node, &study, 3, "mpps");
    check_detail(&node, &study, "performed procedure step completed, 3 of 3 images here");

    assert_eq!(node.terminate(), Some(0));
    let trail = std::fs::read_to_string(node.data_dir().join("audit.jsonl")).unwrap();
    let steps: Vec<&str> = trail.lines().filter(|line| line.contains("\"procedure_step\"")).collect();
    assert!(steps.len() == 2 && steps[1].contains("\"completed\"") && steps[1].contains("\"images\":3"), "{steps:#?}");
    let index = std::fs::read(node.data_dir().join("index.sqlite")).unwrap();
    for name in ["Nobody^Kept", "NOT-KEPT"] {
        assert!(!index.windows(name.len()).any(|bytes| bytes == name.as_bytes()), "{name}");
        assert!(!trail.contains(name) && !node.log().contains(name), "{name}");
    }
}

#[test]
fn a_study_settles_by_what_an_archive_notifies_before_any_of_it_comes() {
    let Some(python) = pydicom() else { return };
    let folder = tempdir().unwrap();
    let mut node = Node::start(&folder.path().join("node"), &studies(""));
    let (files, study) = study(&folder.path().join("images"), 2);
    assert_eq!(say(&python, &node, "available", "", &files), "0000");
    send(&node, &files[0]);
    wait_until_it_waits_for(&node, &study, "1 of 2 images missing that an archive's notification names");
    send(&node, &files[1]);
    check_settled(&mut node, &study, 2, "availability");
    check_detail(&node, &study, "notified as available, 2 of 2 images here");
}

#[test]
fn a_step_that_is_discontinued_holds_nothing_up_and_neither_does_one_that_a_route_does_not_go_by() {
    let Some(python) = pydicom() else { return };
    for discontinued in [true, false] {
        let folder = tempdir().unwrap();
        let config = studies(if discontinued { "" } else { "settle_by = []\n" });
        let mut node = Node::start(&folder.path().join("node"), &config);
        let (files, study) = study(&folder.path().join("images"), 2);
        assert_eq!(say(&python, &node, "IN PROGRESS", "1.2.9", &files), "0000");
        send(&node, &files[0]);
        if discontinued {
            wait_until_it_waits_for(&node, &study, "a performed procedure step of it is in progress");
            assert_eq!(say(&python, &node, "DISCONTINUED", "1.2.9", &files), "0000");
        }
        check_settled(&mut node, &study, 1, "quiet");
    }
}
