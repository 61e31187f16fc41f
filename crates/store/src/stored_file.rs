use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use rusqlite::Row;
use serde::Serialize;

use crate::disk::{Disk, RealDisk, read_exact_at};
use crate::folder::Folders;
use crate::number::unsigned;
use crate::seal::{Seal, Stored, Unsealing};

/// Where a Part 10 file lies: in a file of its own, or in a segment beside others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredFile {
    /// The file on the disk.
    pub path: PathBuf,
    /// Where in it the Part 10 file begins.
    pub offset: u64,
    /// Bytes of the Part 10 file.
    pub length: u64,
    /// What its bytes are to be; `None` where nothing is known of them.
    #[serde(skip)]
    pub seal: Option<Seal>,
}

impl StoredFile {
    /// From the first columns of a row: path, first byte, bytes, which of them the digest is of (from that one on), digest.
    pub(crate) fn of_row(row: &Row<'_>, data_dir: &Path) -> rusqlite::Result<Self> {
        let bytes = |index| row.get(index).map(unsigned);
        let path = Folders::resolve(data_dir, &row.get::<_, String>(0)?);
        let Stored(digest) = row.get(4)?;
        Ok(Self { path, offset: bytes(1)?, length: bytes(2)?, seal: Some(Seal { from: bytes(3)?, digest }) })
    }

    /// Opens the file on the disk; what is wanted of it begins at [`StoredFile::offset`].
    ///
    /// # Errors
    /// The operating system's.
    pub fn open(&self) -> io::Result<File> {
        let file = File::open(&self.path)?;
        #[cfg(target_os = "linux")]
        if self.offset > 0 {
            // Reading ahead in a segment reads the neighbours.
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Random)?;
        }
        Ok(file)
    }

    /// A file that is DICOM from its first byte to its last.
    ///
    /// # Errors
    /// The operating system's.
    pub fn whole(path: PathBuf) -> io::Result<Self> {
        let length = std::fs::metadata(&path)?.len();
        Ok(Self { path, offset: 0, length, seal: None })
    }

    /// All bytes of the Part 10 file.
    ///
    /// # Errors
    /// The operating system's; `UnexpectedEof` where the file on the disk ends before, `InvalidData` where it holds other
    /// bytes than were stored.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let count = self.reader()?.read_to_end(&mut bytes)?;
        if count as u64 != self.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.unsealing().map_or(Ok(()), |mut unsealing| unsealing.take(&bytes))?;
        Ok(bytes)
    }

    /// Reads all bytes to see whether they are those that were stored.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn check(&self) -> io::Result<()> {
        self.check_on(&RealDisk)
    }

    pub(crate) fn check_on(&self, disk: &dyn Disk) -> io::Result<()> {
        let (file, Some(mut unsealing)) = (self.open()?, self.unsealing()) else { return Ok(()) };
        let mut buffer = vec![0; 256 << 10];
        let (mut at, mut left) = (self.offset, self.length);
        while left > 0 {
            let count = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            let piece = buffer.get_mut(..count).unwrap_or_default();
            read_exact_at(disk, &file, piece, at)?;
            unsealing.take(piece)?;
            at = at.saturating_add(count as u64);
            left = left.saturating_sub(count as u64);
        }
        Ok(())
    }

    /// Tells whether its bytes are those that were stored, as they are read from the first on.
    #[must_use]
    pub fn unsealing(&self) -> Option<Unsealing> {
        self.seal.map(|seal| Unsealing::new(seal, self.length))
    }

    /// Reads the Part 10 file from its beginning to its end.
    ///
    /// # Errors
    /// The operating system's.
    pub fn reader(&self) -> io::Result<io::Take<File>> {
        let mut file = self.open()?;
        file.seek(SeekFrom::Start(self.offset))?;
        Ok(file.take(self.length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_has_lost_its_end_is_not_read_as_if_it_were_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.dcm");
        std::fs::write(&path, b"before a file after").unwrap();
        let file = StoredFile { path: path.clone(), offset: 7, length: 6, seal: None };
        assert_eq!(file.read().unwrap(), b"a file");
        std::fs::write(&path, b"before a fi").unwrap();
        assert_eq!(file.read().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
