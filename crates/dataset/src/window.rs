use std::borrow::Cow;
use std::io;

use crate::read_at::ReadAt;

/// What is fetched at once.
const WINDOW_BYTES: u64 = 16 << 10;

/// Reading forwards over [`ReadAt`], through a buffer of a few kilobytes unless the bytes are in memory.
pub(crate) struct Window<'a> {
    source: &'a dyn ReadAt,
    /// Bytes that can be read.
    size: u64,
    buffer: Cow<'a, [u8]>,
    buffer_start: u64,
}

impl<'a> Window<'a> {
    pub(crate) fn new(source: &'a dyn ReadAt) -> Self {
        let buffer = Cow::Borrowed(source.in_memory().unwrap_or_default());
        Self { source, size: source.available(), buffer, buffer_start: 0 }
    }

    /// The `count` bytes from `position` on, or what is left of them.
    pub(crate) fn peek(&mut self, position: u64, count: usize) -> io::Result<&[u8]> {
        let count = usize::try_from(self.size.saturating_sub(position)).unwrap_or(usize::MAX).min(count);
        if self.buffered(position).len() < count {
            self.refill(position)?;
        }
        Ok(self.buffered(position).get(..count).unwrap_or_default())
    }

    /// Some of the bytes from `position` on; none where there are none.
    pub(crate) fn piece(&mut self, position: u64) -> io::Result<&[u8]> {
        if self.buffered(position).is_empty() {
            self.refill(position)?;
        }
        Ok(self.buffered(position))
    }

    /// The `length` bytes from `position` on, which are known to be there.
    pub(crate) fn bytes(&mut self, position: u64, length: u64) -> io::Result<Vec<u8>> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        if let Some(buffered) = self.buffered(position).get(..length) {
            return Ok(buffered.to_vec());
        }
        let mut bytes = vec![0; length];
        self.source.read_exact_at(&mut bytes, position)?;
        Ok(bytes)
    }

    fn buffered(&self, position: u64) -> &[u8] {
        let at = position.checked_sub(self.buffer_start).and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| self.buffer.get(at..)).unwrap_or_default()
    }

    fn refill(&mut self, position: u64) -> io::Result<()> {
        let length = WINDOW_BYTES.min(self.size.saturating_sub(position));
        let buffer = self.buffer.to_mut();
        buffer.resize(usize::try_from(length).unwrap_or(0), 0);
        self.buffer_start = position;
        self.source.read_exact_at(buffer, position)
    }
}
