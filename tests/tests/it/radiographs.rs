//! What the tests send, and the configuration that reports on it.

use std::path::{Path, PathBuf};

use dokuei_phantom::{DicomIdentity, PhantomSpec, to_dicom};

/// Writes `count` small radiographs of different people, every second one with an opacity.
pub(crate) fn write(folder: &Path, count: u64) -> Vec<PathBuf> {
    std::fs::create_dir_all(folder).unwrap();
    (0..count)
        .map(|seed| {
            let radiograph = PhantomSpec::from_seed(seed, seed % 2 == 1).with_size(320, 400).render();
            let path = folder.join(format!("{seed:03}.dcm"));
            std::fs::write(&path, to_dicom(&radiograph, &DicomIdentity::of(&radiograph))).unwrap();
            path
        })
        .collect()
}

/// The configuration that sends results on chest radiographs to a PACS.
pub(crate) fn to_pacs(ae_title: &str, port: u16) -> String {
    to_pacs_wanting(ae_title, port, &["sr", "sc"])
}

/// As [`to_pacs`], for a PACS that gets these objects.
pub(crate) fn to_pacs_wanting(ae_title: &str, port: u16, objects: &[&str]) -> String {
    format!(
        r#"
[[destination]]
name = "pacs"
ae_title = "{ae_title}"
address = "127.0.0.1:{port}"
objects = {objects:?}

[[route]]
name = "chest radiographs"
when = [
  "modality in ['CR', 'DX']",
  "body_part == 'CHEST' || study_description.matches('(?i)chest|thorax')",
]
models = ["cxr-pneumonia"]
send_results = ["pacs"]
"#
    )
}

/// The real chest radiographs among the real files, by the names their manifest gives them.
pub(crate) fn real_chests(shared: &Path) -> Vec<PathBuf> {
    let folder = shared.join("data/dicom");
    let manifest = std::fs::read_to_string(folder.join("MANIFEST.csv")).unwrap();
    let chest = |line: &&str| line.contains(",CR,") && line.contains(",CHEST,PA,ISO_IR 100,");
    manifest.lines().filter(chest).filter_map(|line| line.split(',').next()).map(|name| folder.join(name)).collect()
}
