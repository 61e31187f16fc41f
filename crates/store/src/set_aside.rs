use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes set aside at a time.
const STEP: u64 = 8 << 20;

/// Up to where a file that grows has got space: what is written there costs the file system less.
pub(crate) struct SetAside(AtomicU64);

impl SetAside {
    /// There is space up to `end`.
    pub(crate) fn new(end: u64) -> Self {
        Self(AtomicU64::new(end))
    }

    /// Sets space aside up to `end` and some more, unless there is some. The file's length stays what is written.
    pub(crate) fn reach(&self, file: &File, end: u64) {
        let begin = self.0.load(Ordering::Relaxed);
        if end > begin {
            let end = end.next_multiple_of(STEP);
            // Once only: where there is no room, the write says so.
            self.0.store(end, Ordering::Relaxed);
            if let Err(error) = allocate(file, begin..end) {
                tracing::debug!(%error, "no space is set aside");
            }
        }
    }

    /// Gives back what lies behind `len`, with what is written there.
    ///
    /// # Errors
    /// The operating system's.
    pub(crate) fn cut(&self, file: &File, len: u64) -> io::Result<()> {
        self.0.store(len, Ordering::Relaxed);
        file.set_len(len)
    }
}

/// Gives a part of a file its space; the file's length stays.
#[cfg(target_os = "linux")]
pub(crate) fn allocate(file: &File, bytes: Range<u64>) -> io::Result<()> {
    use rustix::fs::FallocateFlags;
    let length = bytes.end.saturating_sub(bytes.start);
    match rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, bytes.start, length) {
        // A file system that cannot is only slower.
        Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn allocate(_file: &File, _bytes: Range<u64>) -> io::Result<()> {
    Ok(())
}
