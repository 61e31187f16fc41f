//! Every decodable image of the real files through a model that takes everything, judged by every validator.

use std::path::{Path, PathBuf};
use std::process::Command;

use dokuei_tests::{dokuei_ending, real_files, run, validators};
use tempfile::tempdir;

/// What validators say of values that are the source's own, and of what they do not know themselves. A result has to
/// repeat the former, since they are whose result it is.
const OF_THE_SOURCE: [&str; 20] = [
    // Identifiers that every reference has to repeat.
    "Illegal root for UID",
    "(Invalid Value)",
    "'1.4.13.3.1.0.19.544194620.9411.768994.0104484'",
    // Identity that is empty, of an old form, or not what its attribute allows: it is repeated byte for byte.
    "(0010,0040) (Patient's Sex)",
    "\tError - Dicom dataset contains invalid data values for Value Representations",
    "needed to build DICOMDIR",
    "Retired Person Name form",
    "Requested Procedure ID",
    "The value length (30) exceeds the maximum length of 16 allowed for VR SH",
    "StudyInstanceUID has same value as FrameOfReferenceUID",
    // The body part is unknown, of a word of the site's own, or paired and the side is not said.
    "only permitted to be empty when actually unknown",
    "value 1 of attribute <Body Part Examined>",
    // An animal for which nobody is named as responsible has no one whose role could be said.
    "(0010,2298) (Responsible Person Role)",
    // Several frames in a class of single-frame images: a frame has to be named all the same.
    "SOP Class that is not multi-frame",
    // DCMTK's XML schema knows few character sets, whole times only, and not every term.
    "element charset: Schemas validity error",
    "encoding error : input conversion failed",
    "element time: Schemas validity error",
    "element sex: Schemas validity error",
    "unknown/unsupported SpecificCharacterSet",
    // dcmjs reads no character sets with code extensions.
    "Using multiple character sets is not supported",
];

/// The lines of the validators' verdicts that are no pass and are not of the source.
fn complaints(script: &Path, objects: &Path) -> Vec<String> {
    // Not dcentvfy: the sources that the objects refer to are not beside them.
    let tools = "dciodvfy,dcmtk,dsrdump,dcm2pnm,gdcm,dicom-validator,pixelmed,pydicom,highdicom,xref";
    let verdicts = said(Command::new("bash").arg(script).args(["--only", tools]).arg(objects));
    let verdicts = verdicts + &viewers(script, objects);
    let of_results = |line: &&str| {
        (line.starts_with("WARN\t") || line.starts_with("FAIL\t")) && !OF_THE_SOURCE.iter().any(|of| line.contains(of))
    };
    verdicts.lines().filter(of_results).map(str::to_owned).collect()
}

/// What viewers' loaders say of the reports. The script beside the validators' tells them of the first frame of an image
/// alone, so that regions of others are lost; here they are told of every frame.
fn viewers(script: &Path, objects: &Path) -> String {
    const FIRST: &str = "map[`${u}:1`] = `img:${u}`; uidsOf.set(`img:${u}`, { SOPInstanceUID: u });";
    const EVERY: &str = "for (let f = 1; f < 1000; f++) { map[`${u}:${f}`] = `img:${u}:${f}`; \
                         uidsOf.set(`img:${u}:${f}`, { SOPInstanceUID: u, frameNumber: f }); }";
    let check = std::fs::read_to_string(script.with_file_name("sr_viewer_check.mjs")).unwrap();
    assert!(check.contains(FIRST), "the script tells of frames in another way");
    let copy = objects.with_extension("mjs");
    std::fs::write(&copy, check.replace(FIRST, EVERY)).unwrap();
    let files = std::fs::read_dir(objects).unwrap().flatten().map(|entry| entry.path());
    said(Command::new("node").arg(copy).args(files.filter(|path| path.to_string_lossy().ends_with(".sr.dcm"))))
}

/// The verdicts that a judge prints.
fn said(judge: &mut Command) -> String {
    let verdicts = String::from_utf8_lossy(&run(judge).stdout).into_owned();
    assert!(verdicts.contains("PASS\t"), "{verdicts}");
    verdicts
}

#[test]
#[ignore = "an hour: validators over hundreds of objects"]
fn long_every_decodable_image_gets_valid_results() {
    let (Some(shared), Some(script)) = (real_files(), validators()) else { return };
    let folder = tempdir().unwrap();
    let model = folder.path().join("model");
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/cxr-pneumonia"), &model);
    let manifest = std::fs::read_to_string(model.join("model.toml")).unwrap();
    let (before, rest) = manifest.split_once("[accepts]").unwrap();
    let (_, after) = rest.split_once("[graph]").unwrap();
    // Without familiarity the self-test has none to compare with.
    let is_kept = |line: &&str| !line.starts_with("unfamiliarity");
    let after: String = after.split_inclusive('\n').filter(is_kept).collect();
    std::fs::write(model.join("model.toml"), format!("{before}[accepts]\nwhen = []\n\n[graph]{after}")).unwrap();

    for (name, threshold, least) in [("positive", 0.0001, 400), ("negative", 0.9999, 200)] {
        let (config, out) = (folder.path().join(format!("{name}.toml")), folder.path().join(name));
        let text = format!("[[model]]\npath = {model:?}\nfinding.pneumonia.marking_threshold = {threshold}\n");
        std::fs::write(&config, text).unwrap();
        let images = shared.join("data/dicom");
        let [config, images, to] = [&config, &images, &out].map(|path| path.to_str().unwrap());
        let (_, said) = dokuei_ending(&["analyze", images, "--config", config, "--out", to]);
        let (objects, others): (Vec<PathBuf>, Vec<PathBuf>) = std::fs::read_dir(&out)
            .unwrap()
            .flatten()
            .map(|entry| entry.path())
            .partition(|path| path.extension().is_some_and(|kind| kind == "dcm"));
        others.iter().for_each(|path| std::fs::remove_file(path).unwrap());
        let count = objects.len();
        assert!(count >= least, "{count} objects\n{said}");
        let complaints = complaints(&script, &out);
        assert!(complaints.is_empty(), "{name}: {}", complaints.join("\n"));
    }
}

/// A folder with everything in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(path, target).unwrap();
        }
    }
}
