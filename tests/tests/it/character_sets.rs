//! Names in every character set, through the node, as other people's tools display them.

use std::path::{Path, PathBuf};
use std::process::Command;

use dokuei_dataset::{Encoding, Limits, Tag, VR, read_file, write_dataset};
use dokuei_phantom::{DicomIdentity, PhantomSpec, to_dicom};
use dokuei_testkit::{PERSON_NAMES, PersonName};
use dokuei_tests::{dokuei, pydicom, run, tool};
use tempfile::tempdir;

const SPECIFIC_CHARACTER_SET: Tag = Tag(0x0008, 0x0005);
const PATIENT_NAME: Tag = Tag(0x0010, 0x0010);
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);

/// Sets that a tool may not know: pydicom 3.0 has no Latin-9 and leaves the escape sequences of GB 2312 in the text,
/// DCMTK 3.6 has no Latin-9 either, and JIS X 0208 and 0212 only where it was not built over glibc's iconv. There a
/// result has to be displayed as its source is.
const NOT_BY_PYDICOM: [&str; 2] = ["ISO_IR 203", "\\ISO 2022 IR 58"];
const NOT_BY_DCMTK: [&str; 4] =
    ["ISO_IR 203", "\\ISO 2022 IR 87", "ISO 2022 IR 13\\ISO 2022 IR 87", "\\ISO 2022 IR 87\\ISO 2022 IR 159"];

/// The radiograph of somebody with this name.
fn named(file: &[u8], name: &PersonName) -> Vec<u8> {
    let (meta, header) = read_file(&file, &Limits::default()).unwrap();
    let pixels = header.pixels.as_ref().unwrap();
    let [begin, length] = [pixels.offset, pixels.length.unwrap()].map(|n| usize::try_from(n).unwrap());
    let mut data = header.dataset.clone();
    data.remove(SPECIFIC_CHARACTER_SET);
    if !name.set.is_empty() {
        data.put_text(SPECIFIC_CHARACTER_SET, VR::CS, name.set);
    }
    data.put_bytes(PATIENT_NAME, VR::PN, name.bytes);
    data.put_bytes(PIXEL_DATA, VR::OW, &file[begin..begin + length]);
    let mut bytes = file[..usize::try_from(meta.data_set_offset).unwrap()].to_vec();
    bytes.extend(write_dataset(&data, Encoding::ExplicitLittle));
    bytes
}

/// The name as `dcmdump` displays it in UTF-8; `None` where it cannot.
fn by_dcmtk(dcmdump: &Path, file: &Path) -> Option<String> {
    let output = run(Command::new(dcmdump).args(["+U8", "-q", "+P", "0010,0010"]).arg(file));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(text.split_once('[')?.1.rsplit_once(']')?.0.to_owned())
}

/// The names as pydicom has them.
fn by_pydicom(python: &Path, files: &[PathBuf]) -> Vec<String> {
    const READ: &str = "import json, sys, pydicom\n\
        print(json.dumps([str(pydicom.dcmread(path).PatientName) for path in sys.argv[1:]]))";
    let output = run(Command::new(python).args(["-c", READ]).args(files));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn names_are_displayed_right_by_dcmtk_and_pydicom() {
    let (dcmdump, python) = (tool("dcmdump"), pydicom());
    if dcmdump.is_none() && python.is_none() {
        return;
    }
    let folder = tempdir().unwrap();
    let [images, out, config] = ["images", "out", "dokuei.toml"].map(|name| folder.path().join(name));
    std::fs::create_dir_all(&images).unwrap();
    let radiograph = PhantomSpec::from_seed(1, true).with_size(320, 400).render();
    let file = to_dicom(&radiograph, &DicomIdentity::of(&radiograph));
    for (index, name) in PERSON_NAMES.iter().enumerate() {
        std::fs::write(images.join(format!("{index:02}.dcm")), named(&file, name)).unwrap();
    }
    // Marked whatever the model says, so that there is a secondary capture as well.
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/cxr-pneumonia");
    let marked = format!("[[model]]\npath = {model:?}\nfinding.pneumonia.marking_threshold = 0.0001\n");
    std::fs::write(&config, marked).unwrap();
    let [from, to, by] = [&images, &out, &config].map(|path| path.to_str().unwrap());
    let lines = dokuei(&["analyze", from, "--config", by, "--out", to]);

    let sources: Vec<PathBuf> = numbered(&images, "dcm");
    for role in ["sr", "sc"] {
        let results = numbered(&out, &format!("cxr-pneumonia.{role}.dcm"));
        assert!(results.iter().all(|file| file.is_file()), "{lines}");
        if let Some(python) = &python {
            let shown = by_pydicom(python, &results).into_iter().zip(by_pydicom(python, &sources));
            for (name, (shown, of_source)) in PERSON_NAMES.iter().zip(shown) {
                check(name, &NOT_BY_PYDICOM, Some(shown), Some(of_source));
            }
        }
        for (name, (result, source)) in PERSON_NAMES.iter().zip(results.iter().zip(&sources)) {
            let Some(dcmdump) = &dcmdump else { break };
            check(name, &NOT_BY_DCMTK, by_dcmtk(dcmdump, result), by_dcmtk(dcmdump, source));
        }
    }
}

fn numbered(folder: &Path, extension: &str) -> Vec<PathBuf> {
    (0..PERSON_NAMES.len()).map(|index| folder.join(format!("{index:02}.{extension}"))).collect()
}

fn check(name: &PersonName, unknown: &[&str], shown: Option<String>, of_source: Option<String>) {
    let right = shown.as_deref() == Some(name.text);
    let known = !unknown.contains(&name.set);
    assert!(right || !known && shown == of_source, "{name:?} is displayed as {shown:?}, its source as {of_source:?}");
}
