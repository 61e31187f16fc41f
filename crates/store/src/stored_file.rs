use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use rusqlite::Row;
use serde::Serialize;

use crate::folder::Folders;
use crate::number::unsigned;

/// Where a Part 10 file lies: in a file of its own, or in a segment beside others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredFile {
    /// The file on the disk.
    pub path: PathBuf,
    /// Where in it the Part 10 file begins.
    pub offset: u64,
    /// Bytes of the Part 10 file.
    pub length: u64,
}

impl StoredFile {
    /// From the first columns of a row: path, first byte, bytes.
    pub(crate) fn of_row(row: &Row<'_>, data_dir: &Path) -> rusqlite::Result<Self> {
        let bytes = |index| row.get(index).map(unsigned);
        let path = Folders::resolve(data_dir, &row.get::<_, String>(0)?);
        Ok(Self { path, offset: bytes(1)?, length: bytes(2)? })
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
        Ok(Self { path, offset: 0, length })
    }

    /// All bytes of the Part 10 file.
    ///
    /// # Errors
    /// The operating system's; `UnexpectedEof` where the file on the disk ends before.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let count = self.reader()?.read_to_end(&mut bytes)?;
        if count as u64 == self.length { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
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
        let file = StoredFile { path: path.clone(), offset: 7, length: 6 };
        assert_eq!(file.read().unwrap(), b"a file");
        std::fs::write(&path, b"before a fi").unwrap();
        assert_eq!(file.read().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
