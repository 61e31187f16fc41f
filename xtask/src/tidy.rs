//! What the architecture promises, compared with what is there.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The arrows of ARCHITECTURE.md: a crate and those of ours it may depend on outside its tests.
const ARROWS: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("evaluation", &[]),
    ("web", &[]),
    ("dataset", &["types"]),
    ("codecs", &["types"]),
    ("dimse", &["types"]),
    ("store", &["types"]),
    ("pixels", &["codecs", "dataset", "types"]),
    ("inference", &["pixels", "types"]),
    ("results", &["dataset", "types"]),
    ("phantom", &["dataset", "types"]),
    ("pipeline", &["dataset", "inference", "pixels", "results", "store", "types"]),
    (
        "node",
        &[
            "dataset",
            "dimse",
            "evaluation",
            "inference",
            "phantom",
            "pipeline",
            "pixels",
            "results",
            "store",
            "types",
            "web",
        ],
    ),
    ("testkit", &["store", "types"]),
    ("tests", &["phantom", "testkit"]),
    ("bench", &["dataset"]),
];

/// An external crate and the only ones of ours that may name it outside their tests.
const WRAPPED: &[(&str, &[&str])] = &[
    ("tract-onnx", &["inference"]),
    ("dicom-ul", &["dimse"]),
    ("rustls", &["dimse"]),
    ("tokio-rustls", &["dimse"]),
    ("x509-parser", &["dimse"]),
    ("rusqlite", &["store"]),
    ("httparse", &["web"]),
    ("cel", &["pipeline"]),
    ("hayro-jpeg2000", &["codecs"]),
    ("jxl-oxide", &["codecs"]),
];

/// Words that say something of a machine and not of the product.
const MACHINE_PATHS: &[&str] = &["/wo\u{72}k/", "/ho\u{6d}e/", "/ro\u{6f}t/"];

pub(crate) fn run() -> Result<(), String> {
    let mut problems = Vec::new();
    dependencies(&mut problems)?;
    manifests(&mut problems)?;
    sources(&mut problems)?;
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

fn dependencies(problems: &mut Vec<String>) -> Result<(), String> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .output()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    let metadata: Value = serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))?;
    for package in list(&metadata, "packages") {
        let name = short(text(package, "name"));
        if name == "xtask" {
            continue;
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(package, _)| *package == name) else {
            problems.push(format!("crate {name} is missing from the arrows of ARCHITECTURE.md and xtask"));
            continue;
        };
        for dependency in list(package, "dependencies").iter().filter(|d| text(d, "kind") != "dev") {
            let wanted = text(dependency, "name");
            let ours = wanted.starts_with("dokuei-");
            if ours && !allowed.contains(&short(wanted)) {
                problems.push(format!("{name} may not depend on {}", short(wanted)));
            }
            if let Some((_, wrappers)) = WRAPPED.iter().find(|(wrapped, _)| *wrapped == wanted)
                && !wrappers.contains(&name)
            {
                problems.push(format!("{name} may not name {wanted}; only {} may", wrappers.join(", ")));
            }
        }
    }
    Ok(())
}

/// Every crate takes the workspace's lints.
fn manifests(problems: &mut Vec<String>) -> Result<(), String> {
    // The fuzz targets stand outside the workspace and cannot share its lints.
    for file in tracked()?.iter().filter(|file| file.ends_with("/Cargo.toml") && !file.starts_with("fuzz/")) {
        let manifest: toml::Table =
            read(file)?.parse().map_err(|error: toml::de::Error| format!("{file}: {}", error.message()))?;
        let shares = manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
        if shares != Some(true) {
            problems.push(format!("{file}: [lints] workspace = true is missing"));
        }
    }
    Ok(())
}

fn sources(problems: &mut Vec<String>) -> Result<(), String> {
    for file in tracked()? {
        let rust = Path::new(&file).extension().is_some_and(|extension| extension == "rs");
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let lines = text.lines().count();
        if rust && lines > 600 {
            problems.push(format!("{file}: {lines} lines; is there a second noun in it?"));
        }
        for (index, line) in text.lines().enumerate() {
            if MACHINE_PATHS.iter().any(|path| line.contains(path)) {
                problems.push(format!("{file}:{}: a path of one machine", index + 1));
            }
        }
    }
    Ok(())
}

fn tracked() -> Result<Vec<String>, String> {
    let output = Command::new("git").args(["ls-files"]).output().map_err(|error| format!("git ls-files: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

fn read(file: &str) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn short(name: &str) -> &str {
    name.strip_prefix("dokuei-").unwrap_or(name)
}
