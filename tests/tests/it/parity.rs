//! One radiograph, however it is encoded, has one confidence.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use dicom_dictionary_std::uids;
use dokuei_phantom::{DicomIdentity, PhantomSpec, Radiograph, to_dicom, to_dicom_in};
use dokuei_tests::{dokuei, run, tool};
use serde_json::Value;
use tempfile::tempdir;

/// Change of confidence without loss of a bit, and with.
const LOSSLESS: f64 = 1e-6;
const LOSSY: f64 = 0.02;

/// The same picture in high values for low ones, and with other stored values for the same grey.
fn dresses(radiograph: &Radiograph) -> [(&'static str, Radiograph); 3] {
    let greatest = (1_u16 << radiograph.bits_stored) - 1;
    let inverted = Radiograph {
        monochrome1: !radiograph.monochrome1,
        pixels: radiograph.pixels.iter().map(|value| greatest - value).collect(),
        // The window's middle lies half a value beside its centre (PS3.3 § C.11.2.1.2.1).
        window_centre: f32::from(greatest) - radiograph.window_centre + 1.0,
        ..radiograph.clone()
    };
    let shifted = |bits: u16| {
        let times = f32::from(1_u16 << bits);
        Radiograph {
            bits_stored: radiograph.bits_stored + bits,
            pixels: radiograph.pixels.iter().map(|value| value << bits).collect(),
            window_centre: times * (radiograph.window_centre - 0.5) + 0.5,
            window_width: times * (radiograph.window_width - 1.0) + 1.0,
            ..radiograph.clone()
        }
    };
    [("inverted", inverted), ("one bit more", shifted(1)), ("16 bits", shifted(16 - radiograph.bits_stored))]
}

/// The confidence in each file of `folder`, by name.
fn confidences(folder: &Path) -> BTreeMap<String, f64> {
    let said = dokuei(&["analyze", "--json", folder.to_str().unwrap()]);
    let lines = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .map(|line| {
            let name = Path::new(line["path"].as_str().unwrap()).file_name().unwrap().to_str().unwrap().to_owned();
            let confidence = line["frames"][0]["findings"][0]["probability"].as_f64();
            assert!(confidence.is_some(), "{line:#}");
            (name, confidence.unwrap())
        })
        .collect()
}

fn check(folder: &Path, seed: u64, at_most: f64, written: usize) {
    let all = confidences(folder);
    assert_eq!(all.len(), written, "{all:?}");
    let plain = all["plain"];
    for (name, confidence) in &all {
        assert!((confidence - plain).abs() <= at_most, "seed {seed}, {name}: {confidence}, and {plain} as it was");
    }
}

fn radiograph(seed: u64) -> (Radiograph, DicomIdentity) {
    let radiograph = PhantomSpec::from_seed(seed, seed % 2 == 1).with_size(320, 400).render();
    let identity = DicomIdentity::of(&radiograph);
    (radiograph, identity)
}

/// Writes what each of the programs makes of the plain file, by name; how many are here to do so.
fn encode(folder: &Path, coders: &[(&str, &str, &str)]) -> usize {
    let mut written = 0;
    for (name, program, option) in coders {
        let Some(program) = tool(program) else { continue };
        let output = run(Command::new(program).arg(option).args([folder.join("plain"), folder.join(name)]));
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        written += 1;
    }
    written
}

#[test]
fn what_loses_nothing_changes_nothing() {
    let coders = [
        ("JPEG lossless SV1", "dcmcjpeg", "+e1"),
        ("JPEG lossless", "dcmcjpeg", "+el"),
        ("JPEG-LS lossless", "dcmcjpls", "+el"),
        ("RLE", "dcmcrle", "+e"),
        ("deflated", "dcmconv", "+td"),
    ];
    for seed in 1..=2 {
        let (radiograph, identity) = radiograph(seed);
        let folder = tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("plain"), to_dicom(&radiograph, &identity)).unwrap();
        let mut written = 1;
        for (name, dressed) in dresses(&radiograph) {
            std::fs::write(path(name), to_dicom(&dressed, &identity)).unwrap();
            written += 1;
        }
        for (name, syntax) in [
            ("implicit", uids::IMPLICIT_VR_LITTLE_ENDIAN),
            #[expect(deprecated, reason = "retired, and still sent")]
            ("big endian", uids::EXPLICIT_VR_BIG_ENDIAN),
        ] {
            std::fs::write(path(name), to_dicom_in(&radiograph, &identity, syntax)).unwrap();
            written += 1;
        }
        written += encode(folder.path(), &coders);
        check(folder.path(), seed, LOSSLESS, written);
    }
}

#[test]
fn what_loses_little_changes_little() {
    for seed in 1..=2 {
        let (radiograph, identity) = radiograph(seed);
        let folder = tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("plain"), to_dicom(&radiograph, &identity)).unwrap();
        let coders = [("JPEG extended", "dcmcjpeg", "+ee"), ("JPEG-LS near-lossless", "dcmcjpls", "+en")];
        let written = 1 + encode(folder.path(), &coders);
        check(folder.path(), seed, LOSSY, written);
    }
}
