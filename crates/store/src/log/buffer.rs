use std::sync::{Arc, Mutex, PoisonError};

/// What the disk is written in, in bytes: records begin at multiples of it, and unbuffered writes
/// demand it of addresses, offsets and lengths.
pub(crate) const BLOCK: usize = 4096;

/// Pieces at least this long are written as they come, without being gathered.
const STRAIGHT: usize = 16 << 10;
/// Where in a file a write ends if there is more to come, in bytes: the page cache takes whole pages, and several as one,
/// for less than parts of them. What is left over fits in any buffer.
const EDGE: u64 = 16 << 10;
/// Bytes a small buffer holds: most instances that are no images.
const SMALL: usize = 64 << 10;
/// Bytes a large buffer holds: one slice of a CT or MR with room to spare.
const LARGE: usize = (1 << 20) + SMALL;
/// Large buffers at a time; whoever finds none goes on in a file.
const LARGE_MAX: usize = 16;
/// Small buffers kept for the next instances.
const SMALL_KEPT: usize = 64;

/// Buffers shared by all that arrives: memory is touched once, and bounded whatever arrives.
#[derive(Default)]
pub(crate) struct Pool {
    shelves: Mutex<Shelves>,
}

#[derive(Default)]
struct Shelves {
    small: Vec<Memory>,
    large: Vec<Memory>,
    large_out: usize,
}

impl Pool {
    /// An empty small buffer.
    pub(crate) fn small(self: &Arc<Self>) -> Buffer {
        let memory = self.shelves().small.pop().unwrap_or_else(|| Memory::new(SMALL));
        Buffer { memory, len: 0, pool: Arc::clone(self) }
    }

    /// An empty large buffer, unless too many are out.
    fn large(self: &Arc<Self>) -> Option<Buffer> {
        let mut shelves = self.shelves();
        if shelves.large_out >= LARGE_MAX {
            return None;
        }
        shelves.large_out = shelves.large_out.saturating_add(1);
        let kept = shelves.large.pop();
        drop(shelves);
        let memory = kept.unwrap_or_else(|| Memory::new(LARGE));
        Some(Buffer { memory, len: 0, pool: Arc::clone(self) })
    }

    fn shelves(&self) -> std::sync::MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_back(&self, memory: Memory) {
        let mut shelves = self.shelves();
        if memory.capacity() == LARGE {
            shelves.large_out = shelves.large_out.saturating_sub(1);
            shelves.large.push(memory);
        } else if memory.capacity() == SMALL && shelves.small.len() < SMALL_KEPT {
            shelves.small.push(memory);
        }
    }
}

/// Zeroed bytes that begin at a multiple of [`BLOCK`] in memory.
#[derive(Default)]
pub(super) struct Memory {
    bytes: Vec<u8>,
    start: usize,
}

impl Memory {
    pub(super) fn new(capacity: usize) -> Self {
        let bytes = vec![0; capacity.saturating_add(BLOCK)];
        // Never reallocated, so it stays where it is.
        let start = bytes.as_ptr().align_offset(BLOCK).min(BLOCK);
        Self { bytes, start }
    }

    pub(super) fn capacity(&self) -> usize {
        self.bytes.len().saturating_sub(BLOCK)
    }

    pub(super) fn get(&self, len: usize) -> &[u8] {
        self.bytes.get(self.start..self.start.saturating_add(len)).unwrap_or_default()
    }

    pub(super) fn get_mut(&mut self, from: usize, len: usize) -> &mut [u8] {
        let from = self.start.saturating_add(from);
        self.bytes.get_mut(from..from.saturating_add(len)).unwrap_or_default()
    }
}

/// A buffer of the pool, in which bytes are gathered; goes back when dropped.
pub(crate) struct Buffer {
    memory: Memory,
    len: usize,
    pool: Arc<Pool>,
}

impl Buffer {
    /// A buffer of its own, for what is larger than those of the pool.
    pub(crate) fn with_capacity(capacity: usize, pool: &Arc<Pool>) -> Self {
        // Never of a size that the pool would take for its own.
        let capacity = capacity.max(LARGE).saturating_add(1).next_multiple_of(BLOCK);
        Self { memory: Memory::new(capacity), len: 0, pool: Arc::clone(pool) }
    }

    /// What was gathered.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.memory.get(self.len)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Bytes that still fit.
    pub(crate) fn room(&self) -> usize {
        self.memory.capacity().saturating_sub(self.len)
    }

    /// Gathers `bytes`; unless they are so many or do not fit: then what of them is to be written behind what was gathered,
    /// which all goes to `offset` of a file, and what to be gathered after that.
    pub(crate) fn gather<'a>(&mut self, offset: u64, bytes: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        if bytes.len() < STRAIGHT && bytes.len() <= self.room() {
            self.push(bytes);
            return None;
        }
        let end = offset.saturating_add(self.len as u64).saturating_add(bytes.len() as u64);
        let over = usize::try_from(end % EDGE).unwrap_or_default();
        let written = bytes.len().checked_sub(over).unwrap_or(bytes.len());
        Some(bytes.split_at_checked(written).unwrap_or((bytes, &[])))
    }

    /// Appends `bytes`, which fit.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.memory.get_mut(self.len, bytes.len()).copy_from_slice(bytes);
        self.len = self.len.saturating_add(bytes.len());
    }

    /// Forgets what was gathered.
    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// Appends zeros up to a multiple of [`BLOCK`], which fit since capacities are multiples too.
    pub(crate) fn pad(&mut self) {
        let padded = self.len.next_multiple_of(BLOCK);
        self.memory.get_mut(self.len, padded.saturating_sub(self.len)).fill(0);
        self.len = padded;
    }

    /// Overwrites what was gathered first.
    pub(crate) fn set_start(&mut self, bytes: &[u8]) {
        self.memory.get_mut(0, bytes.len()).copy_from_slice(bytes);
    }

    /// The same bytes in a large buffer; `false` when it is one already or there is none.
    pub(crate) fn enlarge(&mut self) -> bool {
        if self.memory.capacity() >= LARGE {
            return false;
        }
        let Some(mut large) = self.pool.large() else { return false };
        large.push(self.bytes());
        *self = large;
        true
    }

    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.pool.take_back(std::mem::take(&mut self.memory));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_reused_and_bounded() {
        let pool = Arc::new(Pool::default());
        let mut buffers: Vec<Buffer> = (0..LARGE_MAX + 1).map(|_| pool.small()).collect();
        for (number, buffer) in buffers.iter_mut().enumerate() {
            buffer.push(b"begun");
            assert_eq!(buffer.enlarge(), number < LARGE_MAX, "{number}");
            assert_eq!(buffer.bytes().as_ptr().align_offset(BLOCK), 0);
            assert_eq!(buffer.bytes(), b"begun");
        }
        assert!(!buffers[0].enlarge(), "it is large already");
        buffers.clear();
        let mut again = pool.small();
        assert!(again.enlarge());
        assert_eq!(pool.shelves().large_out, 1);
        // What has just the size of a large one and is none of the pool's.
        drop(Buffer::with_capacity(LARGE - 1, &pool));
        assert_eq!(pool.shelves().large_out, 1);
        again.push(&vec![1; again.room()]);
        again.pad();
        assert_eq!((again.room(), again.len() % BLOCK), (0, 0));
    }

    #[test]
    fn writes_end_at_edges_and_what_is_left_over_waits() {
        let pool = Arc::new(Pool::default());
        let check = |gathered: usize, offset, length, written: Option<usize>| {
            let mut buffer = pool.small();
            buffer.push(&vec![1; gathered]);
            let bytes = vec![2; length];
            let divided = buffer.gather(offset, &bytes);
            assert_eq!(divided.map(|(now, _)| now.len()), written, "{gathered} {offset} {length}");
            let next = divided.map_or(0, |(_, next)| next.len());
            assert!(next < STRAIGHT, "it is gathered");
            assert_eq!(divided.map_or(length, |(now, _)| now.len() + next), length);
            assert_eq!(buffer.len(), if divided.is_some() { gathered } else { gathered + length });
        };
        check(100, 0, STRAIGHT - 1, None);
        check(100, 0, STRAIGHT, Some(STRAIGHT - 100));
        check(100, 4096, 131_066, Some(131_072 - 4096 - 100));
        check(100, 16_284, STRAIGHT, Some(STRAIGHT));
        check(SMALL - 10, 0, 10, None);
        // Too little to reach back to an edge.
        check(SMALL - 10, 16_000, 200, Some(200));
        check(SMALL - 10, 0, 11, Some(10));
    }
}
