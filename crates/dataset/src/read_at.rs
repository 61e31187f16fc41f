use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Bytes that can be read from any place, by several readers at once.
pub trait ReadAt: Send + Sync {
    /// How many bytes there are.
    fn size(&self) -> u64;

    /// How many of them can be read: fewer where only the beginning is at hand.
    fn available(&self) -> u64 {
        self.size()
    }

    /// The bytes that can be read, where they are in memory.
    fn in_memory(&self) -> Option<&[u8]> {
        None
    }

    /// Fills `buf` with the bytes from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` when fewer bytes are there, or what the medium says.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;
}

impl ReadAt for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn in_memory(&self) -> Option<&[u8]> {
        Some(self)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let end = start.checked_add(buf.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        let bytes = self.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(bytes);
        Ok(())
    }
}

impl ReadAt for &[u8] {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn in_memory(&self) -> Option<&[u8]> {
        (**self).in_memory()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        (**self).read_exact_at(buf, offset)
    }
}

impl ReadAt for Vec<u8> {
    fn size(&self) -> u64 {
        self.as_slice().size()
    }

    fn in_memory(&self) -> Option<&[u8]> {
        self.as_slice().in_memory()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.as_slice().read_exact_at(buf, offset)
    }
}

impl ReadAt for Arc<[u8]> {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn in_memory(&self) -> Option<&[u8]> {
        (**self).in_memory()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        (**self).read_exact_at(buf, offset)
    }
}

impl ReadAt for File {
    fn size(&self) -> u64 {
        self.metadata().map_or(0, |metadata| metadata.len())
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, buf, offset)
    }
}

/// A part of a file, read as if it were one of its own.
#[derive(Debug)]
pub struct FileSection {
    file: File,
    offset: u64,
    length: u64,
}

impl FileSection {
    /// The `length` bytes of `file` from `offset` on.
    #[must_use]
    pub fn new(file: File, offset: u64, length: u64) -> Self {
        Self { file, offset, length }
    }
}

impl ReadAt for FileSection {
    fn size(&self) -> u64 {
        self.length
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let inside = offset.checked_add(buf.len() as u64).is_some_and(|end| end <= self.length);
        let offset = self.offset.checked_add(offset).filter(|_| inside).ok_or(io::ErrorKind::UnexpectedEof)?;
        FileExt::read_exact_at(&self.file, buf, offset)
    }
}

/// The first bytes of something longer.
#[derive(Debug, Clone, Copy)]
pub struct Beginning<'a> {
    bytes: &'a [u8],
    size: u64,
}

impl<'a> Beginning<'a> {
    /// The first `bytes` of `size`.
    #[must_use]
    pub fn new(bytes: &'a [u8], size: u64) -> Self {
        Self { bytes, size }
    }
}

impl ReadAt for Beginning<'_> {
    fn size(&self) -> u64 {
        self.size
    }

    fn available(&self) -> u64 {
        self.bytes.size().min(self.size)
    }

    fn in_memory(&self) -> Option<&[u8]> {
        self.bytes.get(..usize::try_from(self.available()).ok()?)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.bytes.read_exact_at(buf, offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_ends_where_it_ends() {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, b"before inside after").unwrap();
        let section = FileSection::new(file, 7, 6);
        let mut bytes = [0; 4];
        section.read_exact_at(&mut bytes, 2).unwrap();
        assert_eq!((&bytes, section.size()), (b"side", 6));
        for offset in [3, 6, u64::MAX] {
            assert!(section.read_exact_at(&mut bytes, offset).is_err(), "{offset}");
        }
    }

    #[test]
    fn a_beginning_has_no_more_than_there_is() {
        let held = |bytes, size| Beginning::new(bytes, size).in_memory().map(<[u8]>::len);
        assert_eq!(held(b"data set", 100), Some(8));
        assert_eq!(held(b"data set, and what lies behind it", 8), Some(8));
    }
}
