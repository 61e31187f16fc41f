//! The project's own tools: `cargo xtask tidy` checks what no compiler does, `cargo xtask ci` runs what CI runs
//! after the tests, `cargo xtask bench` measures receivers. It never ships.

mod tidy;

use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let command = std::env::args().nth(1).unwrap_or_default();
    let outcome = match command.as_str() {
        "tidy" => tidy::run(),
        "ci" => ci(),
        "bench" => bench(),
        _ => Err("usage: cargo xtask tidy|ci|bench".to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problems) => {
            eprintln!("{problems}");
            ExitCode::FAILURE
        }
    }
}

/// Format, tidiness, lints and documentation: everything of CI but the tests.
fn ci() -> Result<(), String> {
    cargo(&["fmt", "--all", "--check"], &[])?;
    tidy::run()?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"], &[])?;
    cargo(&["doc", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "--deny warnings")])
}

/// Hands the rest of the line to the benchmark, which is a crate of its own so that CI need not build it optimised.
fn bench() -> Result<(), String> {
    let line: Vec<String> = std::env::args().skip(2).collect();
    let mut arguments = vec!["run", "--release", "--quiet", "--package", "dokuei-bench", "--"];
    arguments.extend(line.iter().map(String::as_str));
    cargo(&arguments, &[])
}

fn cargo(arguments: &[&str], environment: &[(&str, &str)]) -> Result<(), String> {
    let line = format!("cargo {}", arguments.join(" "));
    eprintln!("xtask: {line}");
    let status = Command::new("cargo").args(arguments).envs(environment.iter().copied()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{line}: {status}")),
        Err(error) => Err(format!("{line}: {error}")),
    }
}
