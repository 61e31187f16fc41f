//! Earlier images that an archive sends by C-MOVE, over associations of its own with the listener.

use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;

use dokuei_tests::{Dcmqrscp, Node, Orthanc, Server, dokuei, free_port, pydicom, run, tool, wait_for};
use serde_json::Value;
use tempfile::tempdir;

use crate::priors::{check_fetched, comparison, write};
use crate::radiographs::to_pacs;

/// Offers C-MOVE and no C-GET. With each C-MOVE it first sends what lies in `own`, by itself. While there is a file `hold` it
/// says so, waits, and sends the images to a node that has forgotten. Told to be `silent`, it names no move originator.
const ARCHIVE: &str = r#"
import sys, time
from pathlib import Path
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, StoragePresentationContexts, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as FIND
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as MOVE

port, node, folder, manners = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
store = Association.send_c_store

def bare(self, dataset, msg_id=1, priority=2, originator_aet=None, originator_id=None):
    return store(self, dataset, msg_id, priority)

if manners == "silent":
    Association.send_c_store = bare

def images(kind):
    return [dcmread(file) for file in sorted((folder / kind).glob("*.dcm"))]

def find(event):
    asked = event.identifier
    for image in images("archived"):
        if asked.QueryRetrieveLevel == "STUDY":
            if image.PatientID != asked.PatientID:
                continue
        elif image.StudyInstanceUID != asked.StudyInstanceUID:
            continue
        found = Dataset()
        for element in asked:
            if element.keyword in image:
                found[element.tag] = image[element.tag]
        found.QueryRetrieveLevel = asked.QueryRetrieveLevel
        yield 0xFF00, found

def move(event):
    series = event.identifier.SeriesInstanceUID
    chosen = [image for image in images("archived") if image.SeriesInstanceUID == series]
    for image in images("own"):
        own = ae.associate("127.0.0.1", node, ae_title="DOKUEI")
        print("sent by itself", hex(own.send_c_store(image).Status), flush=True)
        own.release()
    held = (folder / "hold").exists()
    while (folder / "hold").exists():
        print("holds", flush=True)
        time.sleep(0.05)
    if held:
        # Whoever asked is gone meanwhile; what was asked for is sent all the same.
        late = ae.associate("127.0.0.1", node, ae_title=event.move_destination)
        for image in chosen:
            originator = {"originator_aet": event.assoc.requestor.ae_title, "originator_id": event.message_id}
            print("sent late", hex(late.send_c_store(image, **originator).Status), flush=True)
        late.release()
        yield None, None
        return
    yield "127.0.0.1", node
    yield len(chosen)
    for image in chosen:
        yield 0xFF00, image

ae = AE("ARCHIVE")
ae.add_supported_context(FIND)
ae.add_supported_context(MOVE)
for context in StoragePresentationContexts:
    ae.add_supported_context(context.abstract_syntax)
ae.requested_contexts = StoragePresentationContexts
handlers = [(evt.EVT_C_FIND, find), (evt.EVT_C_MOVE, move), (evt.EVT_C_STORE, lambda event: 0)]
ae.start_server(("127.0.0.1", port), block=True, evt_handlers=handlers)
"#;

/// An archive of `folder` on a port, which sends to the node.
fn archive(folder: &Path, port: u16, node_port: u16, manners: &str) -> Option<Server> {
    let mut command = Command::new(pydicom()?);
    let folder_name = folder.to_str().unwrap();
    command.args(["-c", ARCHIVE, &port.to_string(), &node_port.to_string(), folder_name, manners]);
    let server = Server::start(command, &folder.join("archive.log"));
    wait_for("the archive", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
    Some(server)
}

/// A node that has an archive asked for earlier images, with further keys of the destination.
fn moving(folder: &Path, ae_title: &str, port: u16, keys: &str, wait_at_most: &str) -> Node {
    let destination = to_pacs(ae_title, port).replace("[[route]]", &format!("{keys}\n[[route]]"));
    let config = destination + &format!("priors = {{ at = \"pacs\", wait_at_most = \"{wait_at_most}\" }}\n");
    Node::start(&folder.join("node"), &config)
}

fn store_with(port: u16, file: &Path) {
    let Some(storescu) = tool("storescu") else { return };
    let port = port.to_string();
    assert!(run(Command::new(storescu).args(["-aec", "ARCHIVE", "127.0.0.1", &port]).arg(file)).status.success());
}

fn send(node: &Node, file: &Path) {
    drop(dokuei(&["send", &format!("127.0.0.1:{}", node.port), file.to_str().unwrap()]));
}

/// Why an instance is compared with nothing, once it is reported.
fn nothing(node: &Node, instance: &str) -> String {
    let mut why = None;
    wait_for("a report", || {
        let shown = node.try_ask(&["show", instance]).unwrap_or_default();
        why = shown[0]["results"][0]["findings"][0]["comparison"]["nothing"].as_str().map(str::to_owned);
        why.is_some()
    });
    why.unwrap()
}

/// Where a file of an archive lies that is read by [`ARCHIVE`].
fn place(folder: &Path, kind: &str) -> std::path::PathBuf {
    let folder = folder.join(kind);
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(format!("{kind}.dcm"))
}

#[test]
fn dcmtks_archive_sends_a_prior_to_the_listener() {
    if tool("storescu").is_none() || tool("dcmqrscp").is_none() {
        return;
    }
    let folder = tempdir().unwrap();
    let port = free_port();
    let mut node = moving(folder.path(), "ARCHIVE", port, "retrieve = \"move\"", "2m");
    let archive = Dcmqrscp::start_on(&folder.path().join("archive"), port, node.port).unwrap();
    check_fetched(folder.path(), &mut node, |file| store_with(archive.port, file));
    assert!(node.log().contains(r#""calling_ae":"ARCHIVE""#), "{}", node.log());
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn orthanc_sends_a_prior_to_the_listener() {
    let folder = tempdir().unwrap();
    let port = free_port();
    let mut node = moving(folder.path(), "ORTHANC", port, "retrieve = \"move\"", "2m");
    let Some(orthanc) = Orthanc::start(&folder.path().join("orthanc"), port, node.port, "") else { return };
    check_fetched(folder.path(), &mut node, |file| drop(orthanc.upload(file)));
    assert!(node.log().contains(r#""calling_ae":"ORTHANC""#), "{}", node.log());
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn an_archive_that_refuses_is_told_of_with_what_to_change() {
    if tool("storescu").is_none() || tool("dcmqrscp").is_none() {
        return;
    }
    for (keys, words) in [
        ("retrieve = \"move\"\nmove_to = \"NOBODY\"", ["A801", "enter there AE title NOBODY"]),
        ("retrieve = \"move\"", ["the association of ARCHIVE at 127.0.0.1 with DOKUEI was rejected here", "[[peer]]"]),
    ] {
        let folder = tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let port = free_port();
        let destination = to_pacs("ARCHIVE", port).replace("[[route]]", &format!("{keys}\n[[route]]"));
        let sender = "[[peer]]\nae_title = \"DOKUEI\"\n";
        let config = format!("{sender}{destination}priors = {{ at = \"pacs\" }}\n");
        let mut node = Node::start_in(&path("node"), &config, &[("DOKUEI_NODE_ACCEPT", "listed")]);
        let archive = Dcmqrscp::start_on(&path("archive"), port, node.port).unwrap();
        write(&path("first.dcm"), 1, "20250110", |_| {});
        let second = write(&path("second.dcm"), 2, "20260110", |_| {});
        store_with(archive.port, &path("first.dcm"));
        send(&node, &path("second.dcm"));
        let why = nothing(&node, &second);
        assert!(words.iter().all(|words| why.contains(words)), "{why}");
        assert_eq!(node.terminate(), Some(0));
    }
}

/// The node has an image that its index does not find, and which an archive at this port has too. The archive cannot send it: there is
/// nobody where it believes the node to be.
fn check_named(folder: &Path, ae_title: &str, port: u16, store: impl Fn(&Path)) {
    let path = |name: &str| folder.join(name);
    let first = write(&path("first.dcm"), 1, "20250110", |_| {});
    let second = write(&path("second.dcm"), 2, "20260110", |_| {});
    store(&path("first.dcm"));
    let without = "[[route]]\nname = \"none\"\nwhen = [\"rows == 0\"]\nmodels = [\"cxr-pneumonia\"]\n";
    let mut node = Node::start(&path("node"), without);
    send(&node, &path("first.dcm"));
    node.wait_until_settled(1);
    assert_eq!(node.terminate(), Some(0));
    // The index does not find it, as if an earlier program had received it.
    std::fs::remove_file(node.data_dir().join("patients.key")).unwrap();

    let mut node = moving(folder, ae_title, port, "retrieve = \"move\"", "2m");
    send(&node, &path("second.dcm"));
    node.wait_until_settled(2);
    assert_eq!(comparison(&node, &second)["sop_instance"], Value::from(first.as_str()));
    let shown = &node.ask(&["show", &first])[0];
    assert_eq!((&shown["end"], &shown["fetched_for"]), (&"no_rule_matched".into(), &Value::Null));
    assert_eq!((shown["arrivals"].as_array().unwrap().len(), &shown["deliveries"]), (1, &Value::Array(Vec::new())));
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn an_image_that_the_index_does_not_know_is_named_by_the_archive_and_not_sent_again() {
    let folder = tempdir().unwrap();
    let port = free_port();
    let Some(orthanc) = Orthanc::start(&folder.path().join("orthanc"), port, free_port(), "") else { return };
    check_named(folder.path(), "ORTHANC", port, |file| drop(orthanc.upload(file)));
}

#[test]
fn an_image_that_the_index_does_not_know_is_named_by_an_archive_that_counts_nothing() {
    let folder = tempdir().unwrap();
    let Some(archive) = Dcmqrscp::start(&folder.path().join("archive"), free_port()) else { return };
    check_named(folder.path(), "ARCHIVE", archive.port, |file| store_with(archive.port, file));
}

/// An archive that names no move originator or does; what it sends by itself meanwhile is a study like any other.
fn check_told_apart(manners: &str) {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let port = free_port();
    let mut node = moving(folder.path(), "ARCHIVE", port, "", "2m");
    let first = write(&place(folder.path(), "archived"), 1, "20250110", |_| {});
    let own = write(&place(folder.path(), "own"), 3, "20260109", |other| other.patient_id = "4712".into());
    let second = write(&path("second.dcm"), 2, "20260110", |_| {});
    let Some(archive) = archive(folder.path(), port, node.port, manners) else { return };
    send(&node, &path("second.dcm"));
    node.wait_until_settled(3);

    let compared = comparison(&node, &second);
    assert_eq!(compared["sop_instance"], Value::from(first.as_str()), "{compared}\n{}", archive.log());
    let shown = node.ask(&["show", &first]);
    assert_eq!((&shown[0]["end"], &shown[0]["fetched_for"]), (&"reported".into(), &"chest radiographs".into()));
    assert_eq!((&shown[0]["deliveries"], &shown[0]["decision"]), (&Value::Array(Vec::new()), &Value::Null));
    let shown = node.ask(&["show", &own]);
    assert_eq!((&shown[0]["end"], &shown[0]["fetched_for"]), (&"reported".into(), &Value::Null));
    assert!(!shown[0]["decision"].is_null() && !shown[0]["deliveries"].as_array().unwrap().is_empty(), "{shown:#}");
    // All was brought that was asked for: what the archive sends now, it sends by itself.
    std::fs::rename(path("archived").join("archived.dcm"), path("own").join("again.dcm")).unwrap();
    let third = write(&place(folder.path(), "archived"), 5, "20240110", |_| {});
    write(&path("fourth.dcm"), 4, "20240210", |_| {});
    send(&node, &path("fourth.dcm"));
    node.wait_until_settled(5);
    assert_eq!(node.ask(&["show", &third])[0]["fetched_for"], "chest radiographs");
    let shown = node.ask(&["show", &first]);
    assert_eq!((&shown[0]["fetched_for"], shown[0]["decision"].is_null()), (&Value::Null, false), "{shown:#}");
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn a_prior_is_told_from_what_an_archive_sends_by_itself() {
    check_told_apart("polite");
}

#[test]
fn a_prior_is_told_from_what_an_archive_sends_by_itself_where_it_names_no_move_originator() {
    check_told_apart("silent");
}

#[test]
fn what_an_archive_sends_to_a_node_that_was_started_again_is_refused_and_asked_for_again() {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (port, node_port) = (free_port(), free_port());
    let listen = format!("127.0.0.1:{node_port}");
    let destination = to_pacs("ARCHIVE", port) + "priors = { at = \"pacs\", wait_at_most = \"15s\" }\n";
    let mut node = Node::start_in(&path("node"), &destination, &[("DOKUEI_NODE_LISTEN", &listen)]);
    let first = write(&place(folder.path(), "archived"), 1, "20250110", |_| {});
    let second = write(&path("second.dcm"), 2, "20260110", |_| {});
    std::fs::write(path("hold"), b"").unwrap();
    let Some(archive) = archive(folder.path(), port, node_port, "polite") else { return };
    send(&node, &path("second.dcm"));
    wait_for("the archive to be asked", || archive.log().contains("holds"));
    node.kill();
    node.restart_in(&[("DOKUEI_NODE_LISTEN", &listen)]);
    std::fs::remove_file(path("hold")).unwrap();
    wait_for("the refusal", || archive.log().contains("sent late 0x110"));
    assert!(node.try_ask(&["show", &first]).is_none(), "it is no study that somebody has sent");
    node.wait_until_settled(2);
    let shown = node.ask(&["show", &first]);
    assert_eq!((&shown[0]["fetched_for"], &shown[0]["decision"]), (&"chest radiographs".into(), &Value::Null));
    assert_eq!(comparison(&node, &second)["sop_instance"], Value::from(first.as_str()), "{}", archive.log());
    assert_eq!(node.terminate(), Some(0));
}
