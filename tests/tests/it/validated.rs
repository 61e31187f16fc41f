//! Every decodable image of the real files through a model that takes everything, judged by every validator.

use std::path::{Path, PathBuf};
use std::process::Command;

use dokuei_tests::{dokuei_ending, real_files, run, validators};
use tempfile::tempdir;

/// What validators say of values that are the source's own, and of what they do not know themselves. A result has to
/// repeat the former, since they are whose result it is.
const OF_THE_SOURCE: [&str; 22] = [
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
    "(0040,1001)",
    "The value length (30) exceeds the maximum length of 16 allowed for VR SH",
    // The body part is unknown, or paired and the side is not said.
    "only permitted to be empty when actually unknown",
    "Conditional Element=<PatientSexNeutered>",
    "StudyInstanceUID has same value as FrameOfReferenceUID",
    // A site that is not of the body part examined, since this model has to look at everything.
    "Type 2C Conditional Element=<Laterality>",
    // An animal for which nobody is named as responsible has no one whose role could be said.
    "(0010,2298) (Responsible Person Role)",
    "value 1 of attribute <Body Part Examined>",
    // Several frames in a class of single-frame images: a frame has to be named all the same.
    "SOP Class that is not multi-frame",
    // DCMTK's XML schema knows few character sets, whole times only, and not every term.
    "element charset: Schemas validity error",
    "encoding error : input conversion failed",
    "element time: Schemas validity error",
    "element sex: Schemas validity error",
    "unknown/unsupported SpecificCharacterSet",
];

/// The lines of the validators' verdicts that are no pass and are not of the source.
fn complaints(script: &Path, objects: &Path) -> Vec<String> {
    // Not dcentvfy: the sources that the objects refer to are not beside them.
    let tools = "dciodvfy,dcmtk,dsrdump,dcm2pnm,gdcm,dicom-validator,pixelmed,pydicom,highdicom,xref,viewers";
    let output = run(Command::new("bash").arg(script).args(["--only", tools]).arg(objects));
    let verdicts = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(verdicts.contains("PASS\t"), "{verdicts}");
    let of_results = |line: &&str| {
        (line.starts_with("WARN\t") || line.starts_with("FAIL\t")) && !OF_THE_SOURCE.iter().any(|of| line.contains(of))
    };
    verdicts.lines().filter(of_results).map(str::to_owned).collect()
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
