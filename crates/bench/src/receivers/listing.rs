use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What a receiver must have stored: what it acknowledged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    pub(crate) instances: u64,
    /// Of the pixels alone: what is around them a receiver may encode in its own way.
    pub(crate) pixel_bytes: u64,
}

/// What a receiver has stored, by its own account or by its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) instances: u64,
    /// Length of its files, where there is one for each instance.
    pub(crate) bytes: Option<u64>,
    /// Instances whose routes are not decided yet.
    pub(crate) undecided: u64,
}

impl Listing {
    /// Counts the Part 10 files of a folder.
    pub(super) fn of_files(folder: &Path) -> io::Result<Self> {
        let (mut instances, mut bytes) = (0, 0);
        for path in files(folder) {
            let file = File::open(path)?;
            let mut prefix = [0; 4];
            // A file without the prefix (PS3.10 § 7.1) is a receiver's own.
            if file.read_exact_at(&mut prefix, 128).is_ok() && &prefix == b"DICM" {
                instances += 1;
                bytes += file.metadata()?.len();
            }
        }
        Ok(Self { instances, bytes: Some(bytes), undecided: 0 })
    }

    /// What there is to say of it.
    pub(crate) fn verdict(&self, expected: Expected) -> String {
        let Expected { instances, pixel_bytes } = expected;
        if self.instances < instances {
            return format!("{} of {instances}", self.instances);
        }
        match self.bytes {
            Some(bytes) if bytes < pixel_bytes => format!("{bytes} of {pixel_bytes} bytes"),
            _ if self.undecided > 0 => format!("all, {} undecided", self.undecided),
            _ => "all".to_owned(),
        }
    }
}

/// Every file below a folder.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(listing: Listing, verdict: &str) {
        assert_eq!(listing.verdict(Expected { instances: 3, pixel_bytes: 300 }), verdict);
    }

    #[test]
    fn what_is_missing_is_said() {
        let all = Listing { instances: 3, bytes: Some(320), undecided: 0 };
        check(all, "all");
        check(Listing { bytes: None, ..all }, "all");
        check(Listing { instances: 2, ..all }, "2 of 3");
        check(Listing { bytes: Some(299), ..all }, "299 of 300 bytes");
        check(Listing { undecided: 2, ..all }, "all, 2 undecided");
    }

    #[test]
    fn files_that_are_no_instances_are_not_counted() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("below")).unwrap();
        fs::write(folder.path().join("below/one"), [&[0; 128][..], b"DICM", &[7; 68]].concat()).unwrap();
        fs::write(folder.path().join("index"), [0; 300]).unwrap();
        fs::write(folder.path().join("empty"), []).unwrap();
        let listing = Listing::of_files(folder.path()).unwrap();
        assert_eq!(listing, Listing { instances: 1, bytes: Some(200), undecided: 0 });
    }
}
