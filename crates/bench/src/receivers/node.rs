use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{Listing, Place};
use crate::folders;

/// The one asked for, or the release build, brought up to date.
pub(super) fn program(named: Option<&Path>) -> io::Result<PathBuf> {
    if let Some(program) = named {
        return if program.is_file() {
            Ok(program.to_owned())
        } else {
            Err(io::Error::other(format!("{} is not there", program.display())))
        };
    }
    let target = folders::target()?;
    let status = Command::new("cargo")
        .args(["build", "--release", "--package", "dokuei-node", "--target-dir"])
        .arg(&target)
        .current_dir(folders::workspace())
        .status()?;
    if !status.success() {
        return Err(io::Error::other("the node cannot be built; name one with --node"));
    }
    Ok(target.join("release/dokuei"))
}

/// As in the route of the bundled configuration.
const DESCRIPTION: &str = "body_part == 'CHEST' || study_description.matches('(?i)chest|thorax')";

/// The node with defaults, but with a route that matches nothing, by conditions such as sites have: it receives, indexes and
/// decides.
pub(super) fn command(program: &Path, durability: &str, place: &Place) -> io::Result<Command> {
    let config = place.folder.join("dokuei.toml");
    let text = format!(
        "[node]\nlisten = \"127.0.0.1:{port}\"\ndata_dir = {data_dir:?}\ndurability = \"{durability}\"\n\
         [limits]\ndisk_free_min = \"256 MiB\"\n{limits}\n\
         [[route]]\nname = \"none\"\nmodels = [\"cxr-pneumonia\"]\nwhen = [\"modality in ['NONE']\", {DESCRIPTION:?}]\n",
        port = place.port,
        data_dir = place.stored(),
        limits = place.node_limits,
    );
    fs::write(&config, text)?;
    let mut command = Command::new(program);
    command.args(["serve", "--config"]).arg(config);
    Ok(command)
}

/// Its own account, after its end: what is there at the next start.
pub(super) fn listing(program: &Path, place: &Place) -> io::Result<Listing> {
    let output = Command::new(program).args(["status", "--json", "--data-dir"]).arg(place.stored()).output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("status: {}", String::from_utf8_lossy(&output.stderr).trim())));
    }
    let status: Value = serde_json::from_slice(&output.stdout)?;
    let count = |name: &str| {
        let count = status.get("instances").and_then(|instances| instances.get(name)).and_then(Value::as_u64);
        count.ok_or_else(|| io::Error::other(format!("status says nothing of instances {name}")))
    };
    Ok(Listing { instances: count("received")?, bytes: None, undecided: count("pending")? })
}
