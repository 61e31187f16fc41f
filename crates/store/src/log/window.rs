use std::io;
use std::ops::Range;

use super::buffer::{BLOCK, Memory};

/// A part of a segment as it was read, in whole blocks: what is read past the page cache demands them.
#[derive(Default)]
pub(super) struct Window {
    from: u64,
    len: usize,
    memory: Memory,
}

impl Window {
    /// `len` bytes from `from` on, when it has them all.
    pub(super) fn get(&self, from: u64, len: u64) -> Option<&[u8]> {
        let start = usize::try_from(from.checked_sub(self.from)?).ok()?;
        let end = start.checked_add(usize::try_from(len).ok()?)?;
        self.memory.get(self.len).get(start..end)
    }

    /// Has the blocks of `range` read, in place of what it has.
    pub(super) fn fill(
        &mut self,
        range: Range<u64>,
        read: impl FnOnce(&mut [u8], u64) -> io::Result<()>,
    ) -> io::Result<()> {
        const BLOCK_BYTES: u64 = BLOCK as u64;
        let from = range.start / BLOCK_BYTES * BLOCK_BYTES;
        let len = range.end.next_multiple_of(BLOCK_BYTES).saturating_sub(from);
        let len = usize::try_from(len).map_err(io::Error::other)?;
        self.len = 0;
        if self.memory.capacity() < len {
            self.memory = Memory::new(len);
        }
        read(self.memory.get_mut(0, len), from)?;
        (self.from, self.len) = (from, len);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What lies at each place: the number of its block.
    fn read(bytes: &mut [u8], at: u64) -> io::Result<()> {
        assert!(at.is_multiple_of(BLOCK as u64) && bytes.len().is_multiple_of(BLOCK), "{at} {}", bytes.len());
        assert!((bytes.as_ptr() as usize).is_multiple_of(BLOCK));
        for (place, byte) in (at..).zip(bytes) {
            *byte = u8::try_from(place / BLOCK as u64).unwrap();
        }
        Ok(())
    }

    #[test]
    fn it_has_the_blocks_it_was_filled_with_and_no_others() {
        let mut window = Window::default();
        assert_eq!(window.get(0, 1), None);
        window.fill(5_000..9_000, read).unwrap();
        assert_eq!(window.get(8_190, 4).unwrap(), [1, 1, 2, 2]);
        assert!(window.get(4_096, 8_192).is_some());
        assert!(window.get(4_095, 2).is_none() && window.get(12_287, 2).is_none());
        window.fill(40_960..40_961, read).unwrap();
        assert_eq!((window.get(40_960, 1).unwrap(), window.get(5_000, 1)), (&[10][..], None));
        assert!(window.fill(0..1, |_, _| Err(io::ErrorKind::Other.into())).is_err());
        assert_eq!(window.get(0, 1), None, "what a disk that fails has left is not given");
    }
}
