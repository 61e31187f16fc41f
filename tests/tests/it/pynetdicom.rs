use std::process::Command;

use dokuei_tests::{Node, Storescp, pydicom, run};
use tempfile::tempdir;

use crate::radiographs::{to_pacs, write};

/// Reads what the PACS got as pydicom does, strictly, and prints what ties it to its source.
const READ: &str = r#"
import json, sys
import pydicom
from pydicom import config
config.settings.reading_validation_mode = config.RAISE
rows = []
for path in sys.argv[1:]:
    raw = pydicom.dcmread(path).get_item(0x00100010).value
    d = pydicom.dcmread(path)
    for element in d.iterall():
        element.value
    if "PixelData" in d:
        d.pixel_array
    rows.append({"modality": d.Modality, "study": d.StudyInstanceUID, "patient": str(d.PatientName),
                 "bytes": raw.hex()})
print(json.dumps(rows))
"#;

#[test]
fn pynetdicom_pushes_and_pydicom_reads_the_results_with_the_same_patient() {
    let Some(python) = pydicom() else { return };
    let folder = tempdir().unwrap();
    let Some(pacs) = Storescp::start(&folder.path().join("pacs")) else { return };
    let mut node = Node::start(&folder.path().join("node"), &to_pacs("PACS", pacs.port));
    let port = node.port.to_string();
    let images = folder.path().join("images");
    let files = write(&images, 2);
    for file in &files {
        let output = run(Command::new(&python)
            .args(["-m", "pynetdicom", "storescu", "127.0.0.1", &port, "-aec", "DOKUEI", "-cx"])
            .arg(file));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    node.wait_until_settled(2);

    let read = |paths: &[std::path::PathBuf]| -> Vec<serde_json::Value> {
        let output = run(Command::new(&python).args(["-c", READ]).args(paths));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let (sources, results) = (read(&files), read(&pacs.files()));
    for source in &sources {
        let own: Vec<_> = results.iter().filter(|result| result["study"] == source["study"]).collect();
        assert!(own.iter().any(|result| result["modality"] == "SR"));
        for result in own {
            assert_eq!(result["patient"], source["patient"]);
            assert_eq!(result["bytes"], source["bytes"]);
        }
    }
}

#[test]
fn pynetdicom_echoes() {
    let Some(python) = pydicom() else { return };
    let folder = tempdir().unwrap();
    let node = Node::start(folder.path(), "");
    let port = node.port.to_string();
    let output = run(Command::new(python).args(["-m", "pynetdicom", "echoscu", "127.0.0.1", &port, "-aec", "DOKUEI"]));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
