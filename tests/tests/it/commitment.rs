use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use dokuei_tests::{Node, Orthanc, Server, dokuei, free_port, pydicom, run, wait_for};
use serde_json::Value;
use tempfile::tempdir;

use crate::radiographs::write;

/// What both scripts print of a result.
const HEARD: &str = r#"
import json, os, sys, threading
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel as PUSH
heard = threading.Event()
def hear(event):
    if "leaves" in sys.argv:
        os._exit(0)
    info = event.event_information
    print(json.dumps({
        "type": event.request.EventTypeID,
        "transaction": info.TransactionUID,
        "committed": [item.ReferencedSOPInstanceUID for item in info.get("ReferencedSOPSequence", [])],
        "failed": {item.ReferencedSOPInstanceUID: item.FailureReason for item in info.get("FailedSOPSequence", [])},
    }), flush=True)
    heard.set()
    return 0x0000, None
"#;

/// Asks for commitment to files and to an instance that was never sent; stays for the result, or leaves without a word.
const ASK: &str = r#"
port, stays, transaction, *files = sys.argv[1:]
asked = Dataset()
asked.TransactionUID = transaction
asked.ReferencedSOPSequence = []
for sop_class, instance in [(d.SOPClassUID, d.SOPInstanceUID) for d in map(dcmread, files)] + [("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4")]:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, instance
    asked.ReferencedSOPSequence.append(item)
ae = AE("CR_ROOM_1")
ae.add_requested_context(PUSH)
assoc = ae.associate("127.0.0.1", int(port), ae_title="DOKUEI", evt_handlers=[(evt.EVT_N_EVENT_REPORT, hear)])
assert assoc.is_established
status, _ = assoc.send_n_action(asked, 1, PUSH, "1.2.840.10008.1.20.1.1")
assert status.Status == 0, status
if stays == "stays":
    assert heard.wait(20), "no result"
    assoc.release()
else:
    os._exit(0)
"#;

/// Waits for results as the one who asked.
const LISTEN: &str = r#"
ae = AE("CR_ROOM_1")
ae.add_supported_context(PUSH, scu_role=False, scp_role=True)
ae.start_server(("127.0.0.1", int(sys.argv[1])), block=True, evt_handlers=[(evt.EVT_N_EVENT_REPORT, hear)])
"#;

fn ask(python: &Path, port: u16, stays: &str, transaction: &str, files: &[PathBuf]) -> String {
    let script = [HEARD, ASK].concat();
    let output = run(Command::new(python).args(["-c", &script, &port.to_string(), stays, transaction]).args(files));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn check(heard: &str, transaction: &str, files: usize) {
    let result: Value = serde_json::from_str(heard.trim()).unwrap();
    assert_eq!((&result["type"], &result["transaction"]), (&2.into(), &transaction.into()), "{result}");
    assert_eq!(result["committed"].as_array().unwrap().len(), files, "{result}");
    assert_eq!(result["failed"], serde_json::json!({ "1.2.3.4": 0x0112 }));
}

#[test]
fn a_modality_is_told_what_is_committed_to_on_its_association_or_after_the_node_was_killed() {
    let Some(python) = pydicom() else { return };
    let folder = tempdir().unwrap();
    let report_to = free_port();
    let peer = format!("[[peer]]\nae_title = \"CR_ROOM_1\"\nreport_to = \"127.0.0.1:{report_to}\"\n");
    let config = peer + "[audit]\nfile = \"audit.jsonl\"\n";
    let mut node = Node::start(&folder.path().join("node"), &config);
    let files = write(&folder.path().join("images"), 2);
    let images = folder.path().join("images");
    drop(dokuei(&["send", &format!("127.0.0.1:{}", node.port), images.to_str().unwrap()]));
    check(&ask(&python, node.port, "stays", "1.9.1", &files), "1.9.1", 2);

    // Nobody listens where the next result has to go, and then the node is no more.
    assert_eq!(ask(&python, node.port, "leaves", "1.9.2", &files), "");
    wait_for("the request to wait", || node.count(["commitments", "waiting"]) == 1);
    node.kill();
    let mut listen = Command::new(&python);
    listen.args(["-c", &[HEARD, LISTEN].concat(), &report_to.to_string()]);
    let listener = Server::start(listen, &folder.path().join("listener.log"));
    wait_for("the listener", || TcpStream::connect((Ipv4Addr::LOCALHOST, report_to)).is_ok());
    node.restart();
    wait_for("the result", || listener.log().contains('}'));
    check(&listener.log(), "1.9.2", 2);
    wait_for("it is recorded", || node.count(["commitments", "told"]) == 2);
    assert_eq!(node.count(["commitments", "waiting"]), 0);
    assert_eq!(node.terminate(), Some(0));
    let trail = std::fs::read_to_string(node.data_dir().join("audit.jsonl")).unwrap();
    let told = trail.lines().filter(|line| line.contains("\"commitment_told\""));
    assert_eq!(told.count(), 2, "{trail}");
    assert!(trail.contains("\"commitment_asked\"") && trail.contains("CR_ROOM_1"), "{trail}");
}

#[test]
fn orthanc_is_told_over_an_association_of_ours() {
    let folder = tempdir().unwrap();
    let port = free_port();
    let config = format!("[[peer]]\nae_title = \"ORTHANC\"\nreport_to = \"127.0.0.1:{port}\"\n");
    let node = Node::start(&folder.path().join("node"), &config);
    let Some(orthanc) = Orthanc::start(&folder.path().join("orthanc"), port, node.port, "") else { return };
    let files = write(&folder.path().join("images"), 2);
    let ids: Vec<String> = files.iter().map(|file| orthanc.upload(file)).collect();
    let [sent, kept] = ids.as_slice() else { panic!("two images") };
    assert!(orthanc.send_to_node(sent));
    for (resource, status) in [(sent, "Success"), (kept, "Failure")] {
        let path = orthanc.ask_commitment(resource);
        wait_for("the result", || orthanc.get(&path)["Status"] != "Pending");
        assert_eq!(orthanc.get(&path)["Status"], status, "{:#}", orthanc.get(&path));
    }
}

/// Stores, has lost what it stored first when it is asked, and answers over the association of the question.
const FORGETFUL: &str = r#"
import sys, threading
from pydicom.dataset import Dataset
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import StorageCommitmentPushModel as PUSH
stored, lost = [], set()
def store(event):
    stored.append(event.request.AffectedSOPInstanceUID)
    print("stored", stored[-1], flush=True)
    return 0x0000
def answer(assoc, asked):
    result = Dataset()
    result.TransactionUID = asked.TransactionUID
    result.ReferencedSOPSequence, result.FailedSOPSequence = [], []
    for item in asked.ReferencedSOPSequence:
        if stored[0] == item.ReferencedSOPInstanceUID and not lost:
            lost.add(item.ReferencedSOPInstanceUID)
            item.FailureReason = 0x0112
            result.FailedSOPSequence.append(item)
        else:
            result.ReferencedSOPSequence.append(item)
    failed = len(result.FailedSOPSequence)
    if not failed:
        del result.FailedSOPSequence
    status, _ = assoc.send_n_event_report(result, 2 if failed else 1, PUSH, "1.2.840.10008.1.20.1.1")
    print("answered", failed, hex(status.Status), flush=True)
def act(event):
    threading.Timer(0.1, answer, (event.assoc, event.action_information)).start()
    return 0x0000, None
ae = AE("PACS")
ae.supported_contexts = AllStoragePresentationContexts[:120]
ae.add_supported_context(PUSH)
ae.start_server(("127.0.0.1", int(sys.argv[1])), block=True, evt_handlers=[(evt.EVT_C_STORE, store), (evt.EVT_N_ACTION, act)])
"#;

/// Forwards everything to a PACS that is asked to commit to it.
fn confirming(ae_title: &str, port: u16, how: &str) -> String {
    format!(
        "[[destination]]\nname = \"pacs\"\nae_title = \"{ae_title}\"\naddress = \"127.0.0.1:{port}\"\n\
         confirm = \"{how}\"\n[[route]]\nname = \"forward\"\nwhen = []\nmodels = []\nsend_images = [\"pacs\"]\n"
    )
}

#[test]
fn what_orthanc_commits_to_over_an_association_of_its_own_or_finds_is_delivered() {
    for how in ["commitment", "find"] {
        let folder = tempdir().unwrap();
        let port = free_port();
        let node = Node::start(&folder.path().join("node"), &confirming("ORTHANC", port, how));
        let Some(_orthanc) = Orthanc::start(&folder.path().join("orthanc"), port, node.port, "") else { return };
        drop(write(&folder.path().join("images"), 2));
        drop(dokuei(&["send", &format!("127.0.0.1:{}", node.port), folder.path().join("images").to_str().unwrap()]));
        wait_for("both to be stored", || node.count(["destinations", "pacs", "stored"]) == 2);
        wait_for("both to be confirmed", || node.count(["destinations", "pacs", "confirmed"]) == 2);
        assert_eq!(node.count(["instances", "pending"]), 0);
    }
}

#[test]
fn what_a_pacs_turns_out_not_to_have_is_sent_again() {
    let Some(python) = pydicom() else { return };
    let folder = tempdir().unwrap();
    let port = free_port();
    let mut serve = Command::new(&python);
    serve.args(["-c", FORGETFUL, &port.to_string()]);
    let pacs = Server::start(serve, &folder.path().join("pacs.log"));
    wait_for("the PACS", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
    let node = Node::start(&folder.path().join("node"), &confirming("PACS", port, "commitment"));
    drop(write(&folder.path().join("images"), 2));
    drop(dokuei(&["send", &format!("127.0.0.1:{}", node.port), folder.path().join("images").to_str().unwrap()]));
    wait_for("both to be confirmed", || node.count(["destinations", "pacs", "confirmed"]) == 2);
    let log = pacs.log();
    let stored = log.lines().filter(|line| line.starts_with("stored")).count();
    assert!(stored == 3 && log.contains("answered 1 0x0") && log.contains("answered 0 0x0"), "{log}");
}
