//! Other people's receivers that keep a file for each instance.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Place;
use crate::folders;

/// A program on PATH.
pub(crate) fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// A Python that has pynetdicom.
pub(super) fn python(named: Option<&Path>) -> Option<PathBuf> {
    let own = folders::workspace().join("target/peers/bin/python");
    let python = named.map_or(own, Path::to_owned);
    let usable = Command::new(&python).args(["-c", "import pynetdicom"]).output();
    usable.is_ok_and(|output| output.status.success()).then_some(python)
}

/// DCMTK's: as it comes (one process, PDUs of 16 KiB, Nagle's algorithm), or a process for each association, PDUs of
/// 128 KiB, no Nagle, bytes kept as they arrive.
pub(super) fn storescp(program: &Path, is_tuned: bool, place: &Place) -> Command {
    let mut command = Command::new(program);
    command.arg("--quiet");
    if is_tuned {
        command.args(["--fork", "--max-pdu", "131072", "--bit-preserving"]).env("TCP_NODELAY", "1");
    }
    command.arg("--output-directory").arg(place.stored()).arg(place.port.to_string());
    command
}

/// pynetdicom's, with PDUs of any length.
pub(super) fn pynetdicom(python: &Path, place: &Place) -> Command {
    let mut command = Command::new(python);
    command.args(["-m", "pynetdicom", "storescp", "--quiet", "--bind-address", "127.0.0.1", "--max-pdu", "0"]);
    command.arg("--output-directory").arg(place.stored()).arg(place.port.to_string());
    command
}

/// dicom-rs', with a task for each association and PDUs of 128 KiB.
pub(super) fn dicom_rs(program: &Path, place: &Place) -> Command {
    let mut command = Command::new(program);
    command.args(["-n", "-m", "131072", "-p"]).arg(place.port.to_string());
    command.arg("-o").arg(place.stored());
    command
}

/// dicom-ai-router with its pipeline held off: an hour of quiet before a study is looked at.
pub(super) fn ai_router(program: &Path, place: &Place) -> io::Result<Command> {
    let config = format!(
        "router: {{ae_title: AIROUTER, port: {port}, study_quiet_seconds: 3600, workers: 2, workdir: {stored:?}, \
         bind_address: 127.0.0.1, allowed_calling_aes: []}}\n\
         pacs: {{ae_title: PACS, host: 127.0.0.1, port: 1, retries: 3}}\n\
         ai_endpoints: {{model: {{url: \"http://127.0.0.1:1/infer\", timeout_s: 60, retries: 3}}}}\n\
         rules: [{{name: all, match: {{Modality: \".\"}}, model: model}}]\n\
         deid: {{salt: \"\", reject_burned_in_annotation: true}}\n",
        port = place.port,
        stored = place.stored(),
    );
    let file = place.folder.join("router.yaml");
    fs::write(&file, config)?;
    let mut command = Command::new(program);
    command.args(["serve", "--config"]).arg(file);
    // It does not start without one; nothing is de-identified here.
    command.env("AIROUTER_DEID_SALT", "0123456789abcdef0123456789abcdef");
    Ok(command)
}
