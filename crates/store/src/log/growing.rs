use std::io::IoSlice;
use std::sync::Arc;

use super::record::{Head, growing_head};
use super::segment::{Place, Segment};
use super::{Buffer, Lane, Log};
use crate::error::StoreError;

/// A record that is written while its instance arrives, at the end of a segment that is its own meanwhile.
///
/// It is one from the moment its head is there, which is written last: only for a node that does not wait for the disk,
/// whose writes are never seen in another order than they were made.
pub(crate) struct Growing {
    log: Arc<Log>,
    lane: Lane,
    segment: Arc<Segment>,
    /// Bytes of it that are written, head included.
    written: u64,
    /// Short pieces.
    gathered: Buffer,
    state: State,
}

/// What its end of the segment is worth to the next record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Unfinished,
    Whole,
    /// The disk has failed.
    Unknown,
}

impl Growing {
    /// Begins with `begun`: room for the head, file meta, what there is of the data set.
    pub(crate) fn begin(log: &Arc<Log>, mut begun: Buffer) -> Result<Self, StoreError> {
        let mut lane = log.lease();
        let segment = match log.room_in(&mut lane, begun.len() as u64) {
            Ok(segment) => segment,
            Err(error) => {
                log.give_back(lane);
                return Err(error);
            }
        };
        begun.set_start(&growing_head(segment.salt()));
        Ok(Self { log: Arc::clone(log), lane, segment, written: 0, gathered: begun, state: State::Unfinished })
    }

    /// Appends bytes of the data set.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        if let Some((now, next)) = self.gathered.gather(self.end(), bytes) {
            self.flush(now)?;
            self.gathered.push(next);
        }
        Ok(())
    }

    /// Up to where the segment is written.
    fn end(&self) -> u64 {
        self.lane.used.saturating_add(self.written)
    }

    /// Writes what was gathered, and `bytes` behind it.
    fn flush(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let at = self.end();
        let pieces = &mut [IoSlice::new(self.gathered.bytes()), IoSlice::new(bytes)];
        let length = pieces.iter().map(|piece| piece.len() as u64).sum();
        let outcome = self.log.put(&self.segment, pieces, at);
        self.gathered.clear();
        self.written = self.written.saturating_add(length);
        outcome.inspect_err(|_| self.state = State::Unknown)
    }

    /// Writes what is left, and the head at last.
    pub(crate) fn complete(mut self, head: &Head, description: &[u8]) -> Result<Place, StoreError> {
        let length = head.record_len();
        let unwritten = length.saturating_sub(self.written).saturating_sub(self.gathered.len() as u64);
        let mut rest = description.to_vec();
        rest.resize(usize::try_from(unwritten).unwrap_or_default(), 0);
        self.flush(&rest)?;
        let outcome =
            self.log.put(&self.segment, &mut [IoSlice::new(&head.to_bytes(self.segment.salt()))], self.lane.used);
        outcome.inspect_err(|_| self.state = State::Unknown)?;
        let place = Place::new(Arc::clone(&self.segment), self.lane.used, length);
        self.lane.used = self.lane.used.saturating_add(length);
        self.state = State::Whole;
        Ok(place)
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        if self.state == State::Unfinished && self.written > 0 && !self.segment.shorten(self.lane.used) {
            self.state = State::Unknown;
        }
        let mut lane = std::mem::take(&mut self.lane);
        if self.state == State::Unknown {
            self.log.close_lane(&mut lane);
        }
        self.log.give_back(lane);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::path::PathBuf;

    use super::*;
    use crate::config::Durability;
    use crate::disk::RealDisk;
    use crate::log::{HEAD, Pool, read};
    use twox_hash::XxHash3_128;

    struct Bench {
        folder: tempfile::TempDir,
        log: Arc<Log>,
        pool: Arc<Pool>,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let disk = Arc::new(RealDisk);
            let log = Log::new(folder.path().to_owned(), 0, 4 << 20, Durability::Os, 1, disk).unwrap();
            Self { folder, log: Arc::new(log), pool: Arc::default() }
        }

        fn begin(&self) -> Growing {
            let mut begun = self.pool.small();
            begun.push(&[0; HEAD]);
            begun.push(b"META");
            Growing::begin(&self.log, begun).unwrap()
        }

        fn finish(growing: Growing, data_set: &[u8]) -> u64 {
            let head = Head::new(XxHash3_128::oneshot(data_set), b"META", data_set.len() as u64, b"told");
            growing.complete(&head, b"told").unwrap().offset()
        }

        /// Lengths of the data sets in each segment.
        fn found(&self) -> Vec<Vec<u64>> {
            let mut paths: Vec<_> = self.folder.path().read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
            paths.sort();
            let lengths = |path: &PathBuf| {
                let found = read(&RealDisk, path, &HashSet::new()).unwrap().unwrap();
                found.records.iter().map(|found| found.head.data_set_len).collect()
            };
            paths.iter().map(lengths).collect()
        }
    }

    #[test]
    fn records_that_grow_side_by_side_are_whole_in_segments_of_their_own() {
        let bench = Bench::new();
        let (mut first, mut second) = (bench.begin(), bench.begin());
        let data_set: Vec<u8> = (0..5_000_000).map(|at| u8::try_from(at / 7 % 251).unwrap()).collect();
        for piece in data_set.chunks(30_001) {
            first.write(piece).unwrap();
            piece.chunks(1_000).for_each(|piece| second.write(piece).unwrap());
        }
        assert_eq!(bench.found(), [[0_u64; 0], [0; 0]], "neither is there before its head");
        assert_eq!(Bench::finish(second, &data_set), 4096);
        assert_eq!(Bench::finish(first, &data_set), 4096);
        let mut third = bench.begin();
        third.write(b"short").unwrap();
        assert_eq!(Bench::finish(third, b"short"), 4096, "a segment that is full is left");
        let mut found = bench.found();
        found.sort();
        assert_eq!(found, [vec![5], vec![5_000_000], vec![5_000_000]]);
    }

    #[test]
    fn a_segment_that_is_left_has_no_space_but_that_of_its_records() {
        use std::os::unix::fs::MetadataExt;
        let bench = Bench::new();
        let data_set = vec![1; 1_500_000];
        let mut left = Vec::new();
        for _ in 0..4 {
            let mut growing = bench.begin();
            left.push(growing.segment.path().to_owned());
            growing.write(&data_set).unwrap();
            Bench::finish(growing, &data_set);
        }
        left.dedup();
        let metadata = left[0].metadata().unwrap();
        assert_eq!(left.len(), 2);
        assert_eq!(metadata.len(), 4096 + 3 * 1_503_232);
        // Some more for what the file system keeps of it.
        assert!(metadata.blocks() * 512 <= metadata.len() + (256 << 10), "{} blocks", metadata.blocks());
    }

    #[test]
    fn what_never_became_whole_leaves_nothing() {
        let bench = Bench::new();
        let mut given_up = bench.begin();
        given_up.write(&vec![1; 1_000_000]).unwrap();
        let path = given_up.segment.path().to_owned();
        drop(given_up);
        assert_eq!(path.metadata().unwrap().len(), 4096);
        let mut next = bench.begin();
        next.write(b"next").unwrap();
        assert_eq!(Bench::finish(next, b"next"), 4096, "its place is taken again");
        assert_eq!(bench.found(), [[4]]);
    }
}
