use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use crate::config::Durability;
use crate::disk::{Disk, Step};
use crate::error::StoreError;

/// Files in one folder before the next one is begun.
const CAPACITY: u32 = 4_096;

/// One numbered folder. All files placed at one time share it, so that one sync covers them all.
pub(crate) struct Folder {
    number: u64,
    path: PathBuf,
    handle: File,
    used: AtomicU32,
}

impl Folder {
    /// Makes the names in this folder durable.
    pub(crate) fn sync(&self, disk: &dyn Disk) -> Result<(), StoreError> {
        let failed = |source| StoreError::file("sync folder", &self.path, source);
        disk.before(Step::SyncFolder, &self.path).map_err(failed)?;
        self.handle.sync_all().map_err(failed)
    }
}

/// The numbered folders under one root, filled one after the other.
pub(crate) struct Folders {
    root: PathBuf,
    /// Name of the root inside the data folder.
    name: &'static str,
    durability: Durability,
    disk: Arc<dyn Disk>,
    current: Mutex<Arc<Folder>>,
}

impl Folders {
    /// Opens the newest folder under `data_dir/name`, or makes the first.
    pub(crate) fn open(
        data_dir: &Path,
        name: &'static str,
        durability: Durability,
        disk: Arc<dyn Disk>,
    ) -> Result<Self, StoreError> {
        let root = data_dir.join(name);
        make_dir(&root, durability)?;
        let number = numbers(&root)?.last().copied().unwrap_or(1);
        let current = Mutex::new(Arc::new(open_folder(&root, number, durability)?));
        Ok(Self { root, name, durability, disk, current })
    }

    /// Moves the finished file `from` to its final place, under a random name of ours.
    ///
    /// Durable once the folder has been synced.
    pub(crate) fn place(&self, from: &Path) -> Result<Placed, StoreError> {
        let folder = self.folder()?;
        let name = format!("{}.dcm", Uuid::new_v4().simple());
        let path = folder.path.join(&name);
        let failed = |source| StoreError::file("rename to", &path, source);
        self.disk.before(Step::Rename, &path).map_err(failed)?;
        fs::rename(from, &path).map_err(failed)?;
        let relative = format!("{}/{:06}/{name}", self.name, folder.number);
        Ok(Placed { folder, relative, path, keep: false })
    }

    /// The newest folders, where a crash may have left files without a row.
    pub(crate) fn unsettled(&self) -> Result<Vec<(String, PathBuf)>, StoreError> {
        self.newest(2)
    }

    /// Every folder.
    pub(crate) fn all(&self) -> Result<Vec<(String, PathBuf)>, StoreError> {
        self.newest(usize::MAX)
    }

    fn newest(&self, max: usize) -> Result<Vec<(String, PathBuf)>, StoreError> {
        let all = numbers(&self.root)?;
        let newest = all.iter().rev().take(max);
        Ok(newest.map(|n| (format!("{}/{n:06}", self.name), self.root.join(format!("{n:06}")))).collect())
    }

    /// The absolute path of what [`Placed::relative`] names.
    pub(crate) fn resolve(data_dir: &Path, relative: &str) -> PathBuf {
        data_dir.join(relative)
    }

    fn folder(&self) -> Result<Arc<Folder>, StoreError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.used.fetch_add(1, Ordering::Relaxed) >= CAPACITY {
            *current = Arc::new(open_folder(&self.root, current.number.saturating_add(1), self.durability)?);
        }
        Ok(Arc::clone(&current))
    }
}

/// A file in its final place that nothing in the index names yet: removed again unless kept.
pub(crate) struct Placed {
    pub(crate) folder: Arc<Folder>,
    /// Its path inside the data folder, as the index holds it.
    pub(crate) relative: String,
    path: PathBuf,
    keep: bool,
}

impl Placed {
    /// The index names the file now.
    pub(crate) fn keep(mut self) {
        self.keep = true;
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        if !self.keep {
            remove(&self.path);
        }
    }
}

/// Removes a file that nothing names; what fails now is done by recovery at the next open.
pub(crate) fn remove(path: &Path) {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(path = %path.display(), %error, "cannot remove a file that nothing names"),
    }
}

/// Makes a folder whose name is durable when this returns. It holds patients' images: others on the machine
/// have no access.
pub(crate) fn make_dir(path: &Path, durability: Durability) -> Result<(), StoreError> {
    let made = DirBuilder::new().recursive(true).mode(0o750).create(path);
    made.map_err(|source| StoreError::file("make folder", path, source))?;
    match path.parent() {
        Some(parent) if durability == Durability::Fsync && !parent.as_os_str().is_empty() => File::open(parent)
            .and_then(|parent| parent.sync_all())
            .map_err(|source| StoreError::file("sync folder", parent, source)),
        _ => Ok(()),
    }
}

fn open_folder(root: &Path, number: u64, durability: Durability) -> Result<Folder, StoreError> {
    let path = root.join(format!("{number:06}"));
    make_dir(&path, durability)?;
    let failed = |source| StoreError::file("open folder", &path, source);
    let count = fs::read_dir(&path).map_err(failed)?.count();
    let handle = File::open(&path).map_err(failed)?;
    let used = AtomicU32::new(u32::try_from(count).unwrap_or(CAPACITY));
    Ok(Folder { number, path, handle, used })
}

/// The numbers of the folders under `root`, ascending.
fn numbers(root: &Path) -> Result<Vec<u64>, StoreError> {
    let failed = |source| StoreError::file("list folder", root, source);
    let mut all = Vec::new();
    for entry in fs::read_dir(root).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        all.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
    }
    all.sort_unstable();
    Ok(all)
}
