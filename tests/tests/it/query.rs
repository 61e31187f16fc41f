//! `dokuei find` and `fetch` against other people's archives.

use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use dicom_dictionary_std::tags;
use dokuei_dataset::{Dataset, Limits, read_file};
use dokuei_tests::{
    Dcmqrscp, Node, Orthanc, Server, dokuei, dokuei_begun, dokuei_ending, dokuei_failing, free_port, pydicom, run,
    tool, wait_for,
};
use serde_json::Value;
use tempfile::tempdir;

use crate::radiographs::write;

/// Answers C-FIND without end until it is cancelled, refuses one patient, and knows no move destination.
const ARCHIVE: &str = r#"
import sys
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as FIND
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as MOVE
def find(event):
    asked = event.identifier
    if asked.PatientID == "BUSY":
        yield 0xA700, None
        return
    number = 0
    while asked.PatientID != "NOBODY":
        # Says so once.
        if event.is_cancelled and asked.PatientID != "ENDLESS":
            print("told to stop", flush=True)
            yield 0xFE00, None
            return
        number += 1
        found = Dataset()
        found.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
        found.PatientName = "Yamada^Tarou=山田^太郎"
        found.StudyInstanceUID = f"1.2.3.{number}"
        yield 0xFF01, found
def move(event):
    yield None, None
ae = AE("ARCHIVE")
ae.add_supported_context(FIND)
ae.add_supported_context(MOVE)
ae.start_server(("127.0.0.1", int(sys.argv[1])), block=True, evt_handlers=[(evt.EVT_C_FIND, find), (evt.EVT_C_MOVE, move)])
"#;

fn archive(folder: &Path) -> Option<(Server, String)> {
    let mut command = Command::new(pydicom()?);
    let port = free_port();
    command.args(["-c", ARCHIVE, &port.to_string()]);
    let server = Server::start(command, &folder.join("archive.log"));
    wait_for("the archive", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
    Some((server, format!("127.0.0.1:{port}")))
}

#[test]
fn a_search_ends_at_its_limit_and_says_what_a_refusal_means() {
    let folder = tempdir().unwrap();
    let Some((server, peer)) = archive(folder.path()) else { return };
    let found = dokuei(&["find", &peer, "--limit", "3", "PatientID=4711"]);
    let rows: Vec<&str> = found.lines().collect();
    assert_eq!(rows.len(), 4, "{found}");
    assert!(rows[0].starts_with("StudyInstanceUID") && rows[3].starts_with("1.2.3.3"), "{found}");
    assert!(rows[1].contains("Yamada^Tarou=山田^太郎"), "{found}");
    wait_for("the peer to stop", || server.log().contains("told to stop"));

    let found = dokuei(&["find", &peer, "--json", "--limit", "2"]);
    let matches: Vec<Value> = found.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(matches.len(), 2, "{found}");
    assert_eq!(matches[1]["0020000D"]["Value"][0], "1.2.3.2");
    assert_eq!(matches[0]["00100010"]["Value"][0]["Ideographic"], "山田^太郎");
    assert_eq!(dokuei(&["find", &peer, "PatientID=NOBODY", "--json"]), "");

    let found = dokuei(&["find", &peer, "--timeout", "1s", "--limit", "3", "PatientID=ENDLESS"]);
    assert_eq!(found.lines().count(), 4, "what a peer has found that does not stop: {found}");

    let (code, stderr) = dokuei_failing(&["find", &peer, "PatientID=BUSY"]);
    assert!(code == 1 && stderr.contains("A700") && stderr.contains("out of resources"), "{stderr}");
    let (_, stderr) = dokuei_failing(&["fetch", &peer, "1.2.3", "--move-to", "NOBODY"]);
    assert!(stderr.contains("A801") && stderr.contains("does not know the AE title"), "{stderr}");
    let (_, stderr) = dokuei_failing(&["find", &peer, "--level", "patient"]);
    assert!(stderr.contains("does not offer this kind of query"), "{stderr}");
}

#[test]
fn an_interrupt_cancels_a_search() {
    let folder = tempdir().unwrap();
    let Some((server, peer)) = archive(folder.path()) else { return };
    let mut find = dokuei_begun(&["find", &peer, "--json", "--limit", "100000000"], &folder.path().join("find.log"));
    wait_for("matches", || find.log().contains("1.2.3.5"));
    run(Command::new("kill").arg("-INT").arg(find.id().to_string()));
    assert_eq!(find.exit_code(), Some(1));
    let log = find.log();
    assert!(log.contains("FE00: cancelled"), "{}", log.lines().last().unwrap_or_default());
    assert!(server.log().contains("told to stop"));
}

#[test]
fn what_cannot_be_asked_is_wrong_usage() {
    for arguments in [
        &["find", "127.0.0.1:104", "NoSuchAttribute=1"][..],
        &["fetch", "127.0.0.1:104", "1.2.3"],
        &["fetch", "127.0.0.1:104", "1.2.3", "--get", "--move-to", "NODE"],
        &["fetch", "127.0.0.1:104", "1.2.3", "--get", "--instance", "1.2"],
        &["fetch", "127.0.0.1:104", "not-a-uid", "--get"],
    ] {
        assert_eq!(dokuei_failing(arguments).0, 64, "{arguments:?}");
    }
    let (code, stderr) = dokuei_failing(&["find", "nowhere"]);
    assert!(code == 1 && stderr.contains("neither HOST:PORT nor a [[destination]]"), "{stderr}");
}

/// The files of a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The data set of a file and its pixels: an archive may encode its sequences otherwise.
fn read(file: &Path) -> (Dataset, Vec<u8>) {
    let bytes = std::fs::read(file).unwrap();
    let (_, header) = read_file(&bytes, &Limits::default()).unwrap();
    let pixels = header.pixels.unwrap();
    let begin = usize::try_from(pixels.offset).unwrap();
    let length = usize::try_from(pixels.length.unwrap()).unwrap();
    (header.dataset, bytes[begin..begin + length].to_vec())
}

/// The configuration of a client: the archive by a name, and the node it sends on to.
fn client(folder: &Path, ae_title: &str, port: u16, node_port: u16) -> String {
    let path = folder.join("client.toml");
    let text = format!(
        "[node]\nlisten = \"127.0.0.1:{node_port}\"\n\
         [[destination]]\nname = \"archive\"\nae_title = \"{ae_title}\"\naddress = \"127.0.0.1:{port}\"\n"
    );
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Finds one study level by level, and fetches it in every way.
fn check(folder: &Path, config: &str, node: &mut Node, source: &Path) {
    let found = |arguments: &[&str]| -> Vec<Value> {
        let text = dokuei(&[&["find", "archive", "--config", config, "--json"][..], arguments].concat());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let value = |one: &Value, tag: &str| one[tag]["Value"][0].as_str().unwrap_or_default().to_owned();
    assert_eq!(found(&[]).len(), 2, "two radiographs, each in a study of its own");
    let (dataset, _) = read(source);
    let [instance, study] = [tags::SOP_INSTANCE_UID, tags::STUDY_INSTANCE_UID].map(|tag| dataset.text(tag).unwrap());
    let of_study = format!("StudyInstanceUID={study}");
    let studies = found(&[&of_study]);
    assert_eq!((studies.len(), value(&studies[0], "0020000D")), (1, study.clone()));
    let series = value(&found(&["--level", "series", &of_study])[0], "0020000E");
    let of_series = format!("SeriesInstanceUID={series}");
    let images = found(&["--level", "image", &of_study, &of_series]);
    assert_eq!((images.len(), value(&images[0], "00080018")), (1, instance.clone()));
    assert_eq!(found(&["--level", "patient"]).len(), 2);

    let out = folder.join("out");
    let get = ["fetch", "archive", "--config", config, &study, "--get", "--out", out.to_str().unwrap()];
    let said: Value = serde_json::from_str(&dokuei(&[&get[..], &["--json"]].concat())).unwrap();
    assert_eq!((&said["status"], &said["completed"]), (&"0000".into(), &1.into()), "{said:#}");
    assert_eq!(files(&out), [out.join(format!("{instance}.dcm"))]);
    assert!(read(&files(&out)[0]) == read(source), "what came is what was stored");

    // To the node: sent there by the archive, then fetched and sent on, which makes a duplicate of it.
    let fetch = ["fetch", "archive", "--config", config, &study, "--series", &series, "--instance", &instance];
    drop(dokuei(&[&fetch[..], &["--move-to", "DOKUEI"]].concat()));
    node.wait_until_settled(1);
    assert_eq!(node.ask(&["show", &instance])[0]["sop_instance"], instance.as_str());
    let said = dokuei(&[&fetch[..], &["--get"]].concat());
    assert!(said.contains("1 fetched"), "{said}");

    // What the archive does not have.
    let nothing = ["fetch", "archive", "--config", config, "1.2.3.4.5.6", "--move-to", "DOKUEI", "--json"];
    let (code, said) = dokuei_ending(&nothing);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, said["completed"].as_u64().unwrap_or(0)), (1, 0), "{said:#}");
}

#[test]
fn dcmtk_is_searched_and_a_study_fetched() {
    let Some(storescu) = tool("storescu") else { return };
    let folder = tempdir().unwrap();
    let mut node = Node::start(&folder.path().join("node"), "");
    let Some(archive) = Dcmqrscp::start(&folder.path().join("archive"), node.port) else { return };
    let sources = write(&folder.path().join("images"), 2);
    let port = archive.port.to_string();
    let stored = run(Command::new(storescu).args(["-aec", "ARCHIVE", "127.0.0.1", &port]).args(&sources));
    assert!(stored.status.success(), "{}", String::from_utf8_lossy(&stored.stderr));
    let config = client(folder.path(), "ARCHIVE", archive.port, node.port);
    check(folder.path(), &config, &mut node, &sources[1]);

    let nobody = client(folder.path(), "ARCHIVE", archive.port, free_port());
    let (code, stderr) = dokuei_failing(&["fetch", "archive", "--config", &nobody, "1.2.3", "--get"]);
    assert!(code == 1 && stderr.contains("associate with the node"), "{stderr}");
}

#[test]
fn orthanc_is_searched_and_a_study_fetched() {
    let folder = tempdir().unwrap();
    let mut node = Node::start(&folder.path().join("node"), "");
    let port = free_port();
    let Some(orthanc) = Orthanc::start(&folder.path().join("orthanc"), port, node.port, "") else { return };
    let sources = write(&folder.path().join("images"), 2);
    for file in &sources {
        orthanc.upload(file);
    }
    let config = client(folder.path(), "ORTHANC", port, node.port);
    check(folder.path(), &config, &mut node, &sources[1]);
}
