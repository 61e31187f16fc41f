//! Where things lie.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The sources this was built from.
pub(crate) fn workspace() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap_or(manifest).to_owned()
}

/// Where Cargo built us, and builds the node.
pub(crate) fn target() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target =
        program.ancestors().nth(2).ok_or_else(|| io::Error::other("the benchmark lies in no target folder"))?;
    Ok(target.to_owned())
}

/// An empty folder on the disk under test, gone when it is dropped: below `named`, or below the target folder, since
/// that for temporary files is often no disk at all.
pub(crate) fn scratch(named: Option<&Path>) -> io::Result<TempDir> {
    let parent = match named {
        Some(folder) => folder.to_owned(),
        None => target()?,
    };
    std::fs::create_dir_all(&parent)?;
    // Receivers have their own notion of what a relative path begins at.
    let scratch = tempfile::Builder::new().prefix("bench-").tempdir_in(parent.canonicalize()?)?;
    // Each receiver's folder gets a block group of its own on ext4; other file systems know no such wish.
    drop(Command::new("chattr").arg("+T").arg(scratch.path()).output());
    Ok(scratch)
}
