//! Errors in a manifest name file, line, key and what would be right.

use dokuei_inference::{Explanation, Manifest, RegionOptions, Requirement};

use crate::package::{Parts, finding};

/// The manifest of the tests with one piece of text replaced.
fn check(from: &str, to: &str, expected: &[&str]) {
    let text = Parts::default().manifest();
    assert!(text.contains(from), "{from:?} is not in the manifest");
    let error = Manifest::parse(&text.replacen(from, to, 1), "model.toml").expect_err("must be refused");
    let shown = error.to_string();
    for part in expected {
        assert!(shown.contains(part), "{shown:?} does not say {part:?}");
    }
    let line = text.replacen(from, to, 1).lines().nth(error.line - 1).unwrap_or_default().to_owned();
    let key = error.key.rsplit('.').next().unwrap_or_default();
    let key = key.split('[').next().unwrap_or_default();
    assert!(line.contains(key) || line.starts_with('['), "{shown}: line {line:?} does not hold {key:?}");
}

#[test]
fn a_sound_manifest() {
    let manifest = Manifest::parse(&Parts::default().manifest(), "model.toml").unwrap();
    assert_eq!(manifest.identity().vendor, "Nobody");
    assert_eq!(manifest.explanation.kind(), "cam");
    assert_eq!(manifest.regions, RegionOptions::default());
    assert_eq!(manifest.accepts.when, [Requirement::from("modality == 'CR'")]);
    let none = Parts { explanation: "kind = 'none'".into(), ..Parts::default() };
    assert_eq!(Manifest::parse(&none.manifest(), "").unwrap().explanation, Explanation::None);
}

#[test]
fn toml_and_types() {
    check("vendor = 'Nobody'", "vendor = 'Nobody", &["model.toml:6:"]);
    check(
        "vendor = 'Nobody'",
        "vendor = 3",
        &["model.toml:6:10: `model.vendor`: invalid type: integer `3`, expected a string"],
    );
    check(
        "vendor = 'Nobody'",
        "vendr = 'Nobody'",
        &["model.toml:6:1: `model.vendr`: unknown field `vendr`", "`vendor`"],
    );
    check("'research'", "'clinical'", &["model.toml:11:17: `model.qualification`", "`product`", "`research`"]);
    check("format = 1", "format = 2", &["model.toml:1:10: `format`: must be 1, not 2"]);
    check("version = '1.0'\n", "", &["`model`: missing field `version`"]);
    check("activation = 'sigmoid'", "activation = 'relu'", &["`finding[0].activation`", "`softmax`"]);
    check("medium = 0.30,", "medium = 0.30, low = 0.1,", &["`finding[0].bands.low`: unknown field `low`"]);
    check("kind = 'cam'", "kind = 'gradcam'", &["`explanation.kind`", "`occlusion`"]);
    check("device_uid = '2.25.1'", "device_uid = '2.25.x'", &["`model.device_uid`: a UID cannot contain 'x'"]);
}

#[test]
fn rules() {
    check("name = 'test'", "name = 'Test'", &["model.toml:4:8: `model.name`: must be 1 to 64 of a-z"]);
    check("weights_sha256 = '", "weights_sha256 = 'G", &["`model.weights_sha256`: must be 64 lower-case"]);
    check("vendor = 'Nobody'", "vendor = ''", &["`model.vendor`: must have 1 to 64 characters"]);
    check("[\"modality == 'CR'\"]", "[\" \"]", &["`accepts.when[0]`: must be a CEL expression"]);
    let reasoned = |text: &str| format!("[{{ {text} }}]");
    let when = "[\"modality == 'CR'\"]";
    check(
        when,
        &reasoned("condition = \"modality == 'CR'\", reason = ''"),
        &["`accepts.when[0].reason`: must have 1 to"],
    );
    check(when, &reasoned("condition = 'true'"), &["`accepts.when[0]`: missing field `reason`"]);
    check(when, &reasoned("condition = 'true', because = 'x'"), &["unknown field `because`"]);
    check(when, "[7]", &["`accepts.when[0]`", "a condition, or a table with `condition` and `reason`"]);
    check("[accepts]", "[accepts]\nmax_aspect = 0.5", &["`accepts.max_aspect`: must be 1 or more"]);
    check("[accepts]", "[accepts]\nmin_contrast = 7", &["`accepts.min_contrast`: must be between 0 and 1, not 7"]);
    check("output = 'logits'", "output = 'input'", &["`graph`: `input` and `output` must be two tensor names"]);
    check("scale = [1.0]", "scale = [0.0]", &["`input.scale`: scale has the value 0"]);
    check("mean = [0.0]", "mean = [0.0, 0.0]", &["`input.mean`: mean has 2 values for 1 channels"]);
    check("height = 8", "height = 0", &["model.toml:22:10: `input.height`: height is 0, must be from 1 to 16384"]);
    check("medium = 0.30", "medium = 0.70", &["`finding[0].bands`: must keep 0 < medium < high <= 1"]);
    check(
        "marking_threshold = 0.5",
        "marking_threshold = nan",
        &["`finding[0].marking_threshold`: must be between 0 and 1"],
    );
    check("meaning = 'Pneumonia'", "meaning = ''", &["`finding[0].concept.meaning`"]);
    check("full_scale = 64.0", "full_scale = 0.0", &["`explanation.full_scale`: must be above 0"]);
    check("full_scale = 64.0", "patch = 3", &["`explanation.patch`: does not belong to the kind `cam`"]);
    check("weights = 'classifier.weight'", "", &["`explanation`: `cam` needs either `weights` or `weights_file`"]);
    check(
        "weights = 'classifier.weight'",
        "weights_file = '../cam.npy'",
        &["`explanation.weights_file`: must be a file inside"],
    );
    check(
        "full_scale = 64.0",
        "regions = { max_count = 0 }",
        &["`explanation.regions.max_count`: must be between 1 and 64"],
    );
    check(
        "full_scale = 64.0",
        "regions = { threshold = 0 }",
        &["`explanation.regions.threshold`: must be between 0.01 and 1"],
    );
    check("'research'", "'product'", &["`model.qualification`: a `product` must carry a [selftest]"]);
    let twice = finding("pneumonia", 0, "") + "\n[graph]";
    check("[graph]", &twice, &["`finding[1].name`: `pneumonia` is there twice"]);
}

#[test]
fn calibrations() {
    let calibration = |text: &str, expected: &str| {
        let to = format!("marking_threshold = 0.5\ncalibration = {text}");
        check("marking_threshold = 0.5", &to, &["`finding[0].calibration", expected]);
    };
    calibration("{ platt = { a = 0.0, b = 1.0 } }", "an `a` above 0");
    calibration("{ platt = { a = 1.0, b = 1.0, c = 2.0 } }", "unknown field `c`");
    calibration("{ temperature = -1 }", "`temperature` must be above 0, not -1");
    calibration("{ points = [[0.0, 0.0]] }", "2 to 1024 pairs, not 1");
    calibration("{ points = [[0.0, 0.5], [1.0, 0.4]] }", "must rise");
    calibration("{ points = [[0.0, 0.0], [0.0, 0.4]] }", "must rise");
    calibration("{ points = [[0.0, 0.0], [2.0, 0.4]] }", "between 0 and 1");
    calibration("{ isotonic = [] }", "`points`");
}

#[test]
fn occlusion_is_bounded() {
    let occlusion = |patch: usize, stride: usize, expected: &str| {
        let parts = Parts {
            explanation: format!("kind = 'occlusion'\npatch = {patch}\nstride = {stride}"),
            ..Parts::default()
        };
        match Manifest::parse(&parts.manifest(), "model.toml") {
            Ok(_) => assert_eq!(expected, ""),
            Err(error) => assert!(!expected.is_empty() && error.to_string().contains(expected), "{error}"),
        }
    };
    occlusion(4, 2, "");
    occlusion(4, 3, "`explanation.stride`: must divide the tensor's height 8 and width 8");
    occlusion(4, 0, "must divide");
    occlusion(1, 2, "`explanation.patch`: must be at least `stride`");
    let text = Parts { explanation: "kind = 'occlusion'\npatch = 8\nstride = 8".into(), ..Parts::default() }.manifest();
    let large = text.replace("height = 8", "height = 512").replace("width = 8", "width = 512");
    let error = Manifest::parse(&large, "model.toml").unwrap_err();
    assert!(error.to_string().contains("4096 runs for an image, more than 1024"), "{error}");
}
