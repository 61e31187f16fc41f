//! `dokuei models`: measured, compared, made.

use std::path::Path;

use dokuei_tests::{dokuei, dokuei_failing};
use serde_json::Value;
use tempfile::tempdir;

use crate::radiographs::write;

const NETWORK: &str = "models/cxr-pneumonia/model.onnx";

/// Radiographs of two people more than once, one image that is too small, one file that is no image.
fn labelled(folder: &Path) -> String {
    let files = write(folder, 6);
    let small = dokuei_phantom::PhantomSpec::from_seed(9, false).with_size(100, 120).render();
    let identity = dokuei_phantom::DicomIdentity::of(&small);
    std::fs::write(folder.join("small.dcm"), dokuei_phantom::to_dicom(&small, &identity)).unwrap();
    std::fs::write(folder.join("notes.txt"), "not an image").unwrap();
    let mut table = String::from("file,label,patient,site\nsmall.dcm,0,9,A\nnotes.txt,1,8,A\n");
    for (index, file) in files.iter().enumerate() {
        let name = file.file_name().unwrap().to_str().unwrap();
        let site = if index < 3 { "A" } else { "B" };
        table.push_str(&format!("{name},{},{},{site}\n", index % 2, index % 4));
    }
    let labels = folder.join("labels.csv");
    std::fs::write(&labels, table).unwrap();
    labels.to_str().unwrap().to_owned()
}

/// How many pairs of a positive and a negative image are in order, ties half.
fn pairs_in_order(scores: &str) -> f64 {
    let scored: Vec<(bool, f64)> = scores
        .lines()
        .map(|line| line.split(',').collect::<Vec<_>>())
        .filter(|cells| cells[2] == "scored")
        .map(|cells| (cells[1] == "1", cells[3].parse().unwrap()))
        .collect();
    let of = |wanted: bool| scored.iter().filter(move |(positive, _)| *positive == wanted).map(|(_, score)| *score);
    let pairs = of(true).flat_map(|positive| of(false).map(move |negative| positive - negative));
    let won = pairs.map(|gap| if gap == 0.0 { 0.5 } else { f64::from(u8::from(gap > 0.0)) });
    let won: Vec<f64> = won.collect();
    won.iter().sum::<f64>() / won.len() as f64
}

#[test]
fn evaluate_measures_what_analyze_says() {
    let folder = tempdir().unwrap();
    let (images, out) = (folder.path().join("images"), folder.path().join("out"));
    let labels = labelled(&images);
    let [images_text, out_text] = [&images, &out].map(|path| path.to_str().unwrap());
    let arguments = ["models", "evaluate", "--images", images_text, "--labels", &labels, "--by", "site"];
    let said = dokuei(&[arguments.as_slice(), &["--out", out_text, "--worst", "2", "--json"]].concat());
    let found: Value = serde_json::from_str(&said).unwrap();

    assert_eq!(found["images"]["scored"], 6);
    assert_eq!((&found["images"]["declined"], &found["images"]["failed"]), (&Value::from(1), &Value::from(1)));
    let reason = |index: usize| found["not_scored"][index]["reason"].as_str().unwrap();
    assert!(reason(0).contains("120 rows") || reason(1).contains("120 rows"), "{said}");
    assert_eq!((&found["figures"]["patients"], &found["figures"]["positives"]), (&Value::from(4), &Value::from(3)));
    assert_eq!(found["by"]["site"]["B"]["images"], 3);
    assert_eq!(found["model"]["name"], "cxr-pneumonia");

    let scores = std::fs::read_to_string(out.join("scores.csv")).unwrap();
    let auroc = found["figures"]["auroc"]["value"].as_f64().unwrap();
    assert!((auroc - pairs_in_order(&scores)).abs() < 1e-12, "{auroc} of\n{scores}");
    let analysed: Value =
        serde_json::from_str(&dokuei(&["analyze", images.join("001.dcm").to_str().unwrap(), "--json"])).unwrap();
    let probability = analysed["frames"][0]["findings"][0]["probability"].as_f64().unwrap();
    let line = scores.lines().find_map(|line| line.strip_prefix("001.dcm,1,scored,")).unwrap();
    let scored: f64 = line.trim_end_matches(',').parse().unwrap();
    assert!((scored - probability).abs() < 1e-6, "{scored} instead of {probability}");

    let written: Value = serde_json::from_slice(&std::fs::read(out.join("evaluation.json")).unwrap()).unwrap();
    assert_eq!(written, found);
    assert_eq!(found["worst"].as_array().unwrap().len(), 4);
    for picture in ["roc.png", "calibration.png", "alarm-01.png", "missed-02.png"] {
        assert!(std::fs::read(out.join(picture)).unwrap().starts_with(b"\x89PNG"), "{picture}");
    }
}

#[test]
fn init_makes_a_package_that_orders_images_as_the_bundled_one() {
    let folder = tempdir().unwrap();
    let (images, package) = (folder.path().join("images"), folder.path().join("mine"));
    let labels = labelled(&images);
    let [images, package] = [&images, &package].map(|path| path.to_str().unwrap());
    let (code, said) = dokuei_failing(&["models", "init", NETWORK, "--out", package, "--name", "mine"]);
    assert_eq!(code, 1);
    for flag in ["--vendor", "--licence", "--intended-use", "--geometry", "--mean", "--scale", "--finding"] {
        assert!(said.contains(flag), "{said}");
    }
    let known = ["--name", "mine", "--vendor", "Nobody", "--licence", "MIT", "--intended-use", "tests"];
    let known = [known.as_slice(), &["--geometry", "squash", "--mean", "0", "--scale", "1", "--finding", "opacity"]];
    let said = dokuei(
        &[&["models", "init", NETWORK, "--out", package, "--activation", "sigmoid"], known.concat().as_slice()]
            .concat(),
    );
    assert!(said.contains("class activation of features by classifier.weight"), "{said}");

    let verified: Value = serde_json::from_str(&dokuei(&["models", "verify", package, "--json"])).unwrap();
    assert_eq!(verified[0]["ok"], true);
    assert_eq!(verified[0]["report"]["input"], Value::from(vec![1, 1, 224, 224]));
    assert_eq!(verified[0]["report"]["self_test"]["output"], 0.0);

    let models = ["--model", "cxr-pneumonia", "--model", package];
    let findings = ["--finding", "pneumonia", "--finding", "opacity"];
    let table = ["--images", images, "--labels", &labels, "--json"];
    let said = dokuei(&[["models", "compare"].as_slice(), &models, &findings, &table].concat());
    let compared: Value = serde_json::from_str(&said).unwrap();
    // Without its calibration the network says other numbers in the same order; its limits of quality are not there.
    assert_eq!((&compared["images"], &compared["scored_by_one"]), (&Value::from(6), &Value::from(vec![0, 1])));
    assert_eq!((&compared["auroc"]["difference"], &compared["auroc"]["p"]), (&Value::from(0.0), &Value::Null));
}
