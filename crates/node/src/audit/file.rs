use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::Value;

/// Longest line that is looked for at the end of a file.
const TAIL_BYTES: u64 = 64 << 10;

/// The file that the trail is written to, a JSON object a line; only ever appended to.
pub(super) struct TrailFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    rotate_at: u64,
}

impl TrailFile {
    pub(super) fn open(path: &Path, rotate_at: u64) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let bytes = file.metadata()?.len();
        let mut opened = Self { path: path.to_owned(), file, bytes, rotate_at };
        opened.end_last_line()?;
        Ok(opened)
    }

    /// One that nothing can be appended to.
    #[cfg(test)]
    pub(super) fn unwritable(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: File::open(path)?, bytes: 0, rotate_at: u64::MAX })
    }

    /// Appends lines and has them on stable storage, or leaves the file as it was.
    pub(super) fn append(&mut self, lines: &str) -> io::Result<()> {
        let before = self.bytes;
        let written = self.file.write_all(lines.as_bytes()).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Half a line would be worse than none; what cannot be undone is ended at the next start.
            self.file.set_len(before)?;
            return Err(error);
        }
        self.bytes = before.saturating_add(lines.len() as u64);
        Ok(())
    }

    /// Whether it is time for another file.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= self.rotate_at
    }

    /// Puts the file aside under the time, and begins another one; gives the name of the one before.
    pub(super) fn rotate(&mut self, now: Timestamp) -> io::Result<PathBuf> {
        let mut aside = self.path.clone().into_os_string();
        aside.push(now.strftime(".%Y%m%dT%H%M%S%3fZ").to_string());
        let aside = PathBuf::from(aside);
        if aside.exists() {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        std::fs::rename(&self.path, &aside)?;
        *self = Self::open(&self.path, self.rotate_at)?;
        Ok(aside)
    }

    /// The highest number of an entry of the journal that its last lines have; 0 when none has.
    pub(super) fn last_entry(&mut self) -> io::Result<i64> {
        let tail = self.tail()?;
        let lines = tail.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        Ok(lines.filter_map(|line| line.get("entry")?.as_i64()).max().unwrap_or_default())
    }

    /// A power cut may have left half a line.
    fn end_last_line(&mut self) -> io::Result<()> {
        let tail = self.tail()?;
        if tail.is_empty() || tail.ends_with('\n') { Ok(()) } else { self.append("\n") }
    }

    fn tail(&mut self) -> io::Result<String> {
        let mut tail = Vec::new();
        self.file.seek(SeekFrom::Start(self.bytes.saturating_sub(TAIL_BYTES)))?;
        Read::by_ref(&mut self.file).take(TAIL_BYTES).read_to_end(&mut tail)?;
        Ok(String::from_utf8_lossy(&tail).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_appended_to_and_put_aside_when_full() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let mut file = TrailFile::open(&path, 20).unwrap();
        file.append("{\"entry\":7}\n").unwrap();
        assert!(!file.is_full());
        drop(file);
        let mut file = TrailFile::open(&path, 20).unwrap();
        assert_eq!(file.last_entry().unwrap(), 7);
        file.append("{\"event\":\"x\"}\n").unwrap();
        assert_eq!(file.last_entry().unwrap(), 7);
        assert!(file.is_full());
        let aside = file.rotate(Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(aside.file_name().unwrap(), "audit.jsonl.19700101T000000000Z");
        assert_eq!(std::fs::read_to_string(aside).unwrap(), "{\"entry\":7}\n{\"event\":\"x\"}\n");
        assert_eq!(file.last_entry().unwrap(), 0);
        assert!(!file.is_full());
    }

    #[test]
    fn half_a_line_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        std::fs::write(&path, "{\"entry\":3}\n{\"entr").unwrap();
        let mut file = TrailFile::open(&path, 1_000).unwrap();
        file.append("{\"entry\":4}\n").unwrap();
        assert_eq!(file.last_entry().unwrap(), 4);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"entry\":3}\n{\"entr\n{\"entry\":4}\n");
    }
}
