use std::collections::BTreeMap;
use std::process::Command;

use dokuei_tests::{Node, dokuei, pydicom, real_files, run};
use tempfile::tempdir;

/// Pushes each file as it is, in its own transfer syntax, with whatever SOP class it claims.
const PUSH: &str = r"
import sys
from pydicom import dcmread
from pydicom.uid import UID
from pynetdicom import AE
import pynetdicom._config as settings
settings.ENFORCE_UID_CONFORMANCE = False
settings.STORE_SEND_CHUNKED_DATASET = True
port = int(sys.argv[1])
for path in sys.argv[2:]:
    try:
        d = dcmread(path, stop_before_pixels=True)
        meta = d.file_meta
        context = (meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID)
        ae = AE(ae_title='MODALITY')
        ae.add_requested_context(*context)
        assoc = ae.associate('127.0.0.1', port, ae_title='DOKUEI')
        if not assoc.is_established:
            print(path, 'refused', sep='\t')
            continue
        status = assoc.send_c_store(path)
        assoc.release()
        print(path, '%04X' % status.Status if 'Status' in status else 'lost', sep='\t')
    except Exception as e:
        print(path, 'not sent: ' + repr(e)[:80].replace('\n', ' '), sep='\t')
";

/// Everything there is, through a route that takes everything: each instance has an end, the process lives.
#[test]
fn every_real_file_has_its_end() {
    let (Some(python), Some(shared)) = (pydicom(), real_files()) else { return };
    let folder = tempdir().unwrap();
    let config = "[[route]]\nname = \"everything\"\nmodels = [\"cxr-pneumonia\"]\n";
    let mut node = Node::start(folder.path(), config);
    let images = shared.join("data/dicom");
    let mut files: Vec<_> = std::fs::read_dir(images).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_none_or(|extension| extension != "csv"));
    files.sort();
    let output = run(Command::new(&python).args(["-c", PUSH, &node.port.to_string()]).args(&files));
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut answers = BTreeMap::<String, u64>::new();
    for line in lines.lines() {
        let answer = line.rsplit('\t').next().unwrap().split(':').next().unwrap();
        *answers.entry(answer.to_owned()).or_default() += 1;
    }
    println!("{} files: {answers:?}", files.len());
    assert!(!lines.contains("\tlost"), "{lines}");
    let wrongly_refused = lines.lines().any(|line| line.ends_with("\trefused") && !line.contains("DICOMDIR"));
    assert!(!wrongly_refused, "{lines}");
    let stored = answers.get("0000").copied().unwrap_or_default();
    assert!(stored > 280, "{answers:?}\n{lines}");
    // Some files share their SOP Instance UID and bytes; they are one instance.
    node.wait_until_settled(stored.min(200));
    let ends = node.ask(&["status"])["instances"].clone();
    println!("ends: {ends}");
    assert_eq!(node.count(["instances", "failed"]), 0, "{ends}");
}

#[test]
fn every_real_file_is_answered_without_a_network() {
    let Some(shared) = real_files() else { return };
    let images = shared.join("data/dicom");
    let lines = dokuei(&["analyze", images.to_str().unwrap(), "--json"]);
    let ends: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(ends.len() >= 305, "{}", ends.len());
    let known = ["analysed", "declined", "not_dicom"];
    assert!(ends.iter().all(|end| known.contains(&end["outcome"].as_str().unwrap())), "{lines}");
}
