use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::Access as Rights;

use crate::error::StoreError;
use crate::schema;

/// Name of the file whose lock says who owns the folder.
const LOCK: &str = "node.lock";

/// The lock of a data folder.
pub(crate) struct Lock(File);

impl Lock {
    pub(crate) fn take(data_dir: &Path) -> Result<Self, StoreError> {
        let path = data_dir.join(LOCK);
        let failed = |source| StoreError::file("lock", &path, source);
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        if file.try_lock().is_err() {
            let holder = holder(&mut file).map(|process| format!(" (process {process})")).unwrap_or_default();
            return Err(StoreError::Locked { data_dir: data_dir.to_owned(), holder });
        }
        file.set_len(0).map_err(failed)?;
        file.write_all(std::process::id().to_string().as_bytes()).map_err(failed)?;
        Ok(Self(file))
    }
}

impl Drop for Lock {
    /// Closing the file is not enough: a process being started holds a copy of it for a moment.
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "cannot give up the lock of the data folder");
        }
    }
}

/// Whether a node could have a data folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// It is there.
    Free,
    /// It is not there and can be made.
    Absent,
    /// A node that runs has it.
    Taken {
        /// Its process, where that is known.
        holder: Option<String>,
    },
}

/// Whether this process could open the data folder; nothing is made or written.
///
/// # Errors
/// Why not: the operating system's, `NotADirectory` where something else has the name.
pub fn access(data_dir: &Path) -> io::Result<Access> {
    if !data_dir.exists() {
        return in_folder(&nearest(data_dir)).map(|()| Access::Absent);
    }
    in_folder(data_dir)?;
    let index = data_dir.join(schema::FILE);
    if index.exists() {
        may_write(&index)?;
    }
    let mut file = match File::open(data_dir.join(LOCK)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Access::Free),
        Err(error) => return Err(error),
    };
    if file.try_lock_shared().is_ok() {
        return Ok(Access::Free);
    }
    Ok(Access::Taken { holder: holder(&mut file) })
}

/// The process that says in the file that it has the lock. Only for messages: the lock itself is what counts.
fn holder(file: &mut File) -> Option<String> {
    let mut holder = String::new();
    file.read_to_string(&mut holder).ok()?;
    Some(holder.trim().to_owned()).filter(|holder| !holder.is_empty())
}

/// A folder, or the nearest one above it where it is not there.
#[must_use]
pub fn nearest(folder: &Path) -> PathBuf {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    absolute.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/")).to_owned()
}

fn in_folder(folder: &Path) -> io::Result<()> {
    if !folder.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(rustix::fs::access(folder, Rights::WRITE_OK | Rights::EXEC_OK)?)
}

/// Whether this process may write a file, or into a folder.
///
/// # Errors
/// Why not.
pub fn may_write(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::access(path, Rights::WRITE_OK)?)
}
