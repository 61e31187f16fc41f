use dokuei_tests::{Node, dokuei, dokuei_failing};
use tempfile::tempdir;

use crate::radiographs::write;

#[test]
fn an_export_goes_on_after_what_cannot_be_read_and_where_another_ended() {
    let folder = tempdir().unwrap();
    let mut node = Node::start(&folder.path().join("node"), "");
    let images = folder.path().join("images");
    write(&images, 3);
    drop(dokuei(&["send", &format!("127.0.0.1:{}", node.port), images.to_str().unwrap()]));
    node.wait_until_settled(3);
    let data_dir = node.data_dir();
    let third = node.ask(&["show", "3"])[0]["file"].clone();
    assert_eq!(node.terminate(), Some(0));

    let out = folder.path().join("out");
    let arguments = ["export", "--all", "--out", out.to_str().unwrap(), "--data-dir", data_dir.to_str().unwrap()];
    let files = |said: String| -> Vec<String> { said.lines().map(str::to_owned).collect() };
    let first_run = files(dokuei(&arguments));
    assert_eq!(first_run.len(), 3);
    assert!(files(dokuei(&arguments)).is_empty(), "all of it is there");

    // One of them is written anew, of another the bytes were lost on the disk.
    std::fs::remove_file(&first_run[0]).unwrap();
    let segment = std::path::PathBuf::from(third["path"].as_str().unwrap());
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = third["offset"].as_u64().unwrap() + third["length"].as_u64().unwrap() / 2;
    bytes[usize::try_from(middle).unwrap()] ^= 1;
    std::fs::write(&segment, &bytes).unwrap();
    std::fs::remove_file(&first_run[2]).unwrap();
    std::fs::write(&first_run[1], b"another file").unwrap();
    let (code, said) = dokuei_failing(&arguments);
    assert_ne!(code, 0);
    assert!(said.contains("is there with other bytes") && said.contains("is damaged"), "{said}");
    assert!(said.contains("2 files written") && said.contains("2 files are not there as they were stored"), "{said}");
    assert_eq!(std::fs::read(&first_run[1]).unwrap(), b"another file");
}
