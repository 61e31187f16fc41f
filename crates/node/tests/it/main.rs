//! The binary as it is built: its own word on what it is. What it does is tested from outside, in `tests/`.

use std::process::Command;

#[test]
fn it_says_its_version_and_its_commands() {
    let run = |argument: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_dokuei")).arg(argument).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(run("--version").trim(), concat!("dokuei ", env!("CARGO_PKG_VERSION")));
    let help = run("--help");
    for command in [
        "demo", "serve", "echo", "send", "analyze", "check", "status", "show", "failed", "replay", "match", "backtest",
        "models", "user",
    ] {
        assert!(help.contains(command), "{command}");
    }
}
