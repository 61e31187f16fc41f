//! The command from end to end, with the receivers that need nothing installed.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

#[expect(clippy::unwrap_used, reason = "a program that does not start is a failed test")]
fn bench(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dokuei-bench"));
    command.args(arguments).arg("--folder").arg(folder).output().unwrap()
}

#[test]
fn references_are_started_loaded_and_compared() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("runs.jsonl");
    let line = "receive --only null,write,log,disk --corpora sr,ct --associations 2 --repetitions 1 --seconds 1 \
                --megabytes-max 2 --json";
    let arguments: Vec<&str> = line.split_whitespace().chain([json.to_str().unwrap()]).collect();
    let Output { status, stdout, stderr } = bench(folder.path(), &arguments);
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{stderr}");

    let runs: Vec<Value> =
        std::fs::read_to_string(json).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(runs.len(), 8);
    for run in &runs {
        assert_eq!(run["error"], Value::Null, "{run}");
        assert_eq!(run["failures"], serde_json::json!({}), "{run}");
        assert!(run["acknowledged"].as_u64().unwrap() >= 2, "{run}");
        assert_eq!(run["served"], 2, "{run}");
        let stored = if run["receiver"] == "write" { Value::from("all") } else { Value::Null };
        assert_eq!(run["stored"], stored, "{run}");
    }
    assert!(stdout.contains("\nsr x 2\n") && stdout.contains("\nct x 2\n"), "{stdout}");
    let write = stdout.lines().find(|line| line.starts_with("| write")).unwrap();
    assert_eq!(write.split('|').nth(4).unwrap().trim(), "1.00", "{stdout}");

    // Nothing is left but the lines of JSON.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_receiver_nobody_knows_is_an_error_that_names_those_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let output = bench(folder.path(), &["receive", "--only", "nobody"]);
    assert!(!output.status.success());
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("nobody") && words.contains("storescp+"), "{words}");
}
