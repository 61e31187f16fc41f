//! Encapsulated pixel data (PS3.5 § A.4): a Basic Offset Table item, then fragments as items, then a
//! sequence delimiter. Only the item headers are read here; a frame's bytes are read when it is asked for.
//!
//! Which fragments make a frame is said, in the order in which it is believed, by the Extended Offset Table
//! (PS3.3 C.7.6.3.1.8), by the Basic Offset Table, by equal numbers of frames and fragments, or by the
//! fragments that begin with the first bytes of a codestream. A table that points anywhere but at the first
//! byte of an item is not believed.

use dicom_dictionary_std::tags;
use dokuei_dataset::{Dataset, ReadAt};

use crate::attributes::at_most;
use crate::error::PixelError;
use crate::limits::Limits;

const ITEM: [u8; 4] = [0xFE, 0xFF, 0x00, 0xE0];
const HEADER_BYTES: u64 = 8;

#[derive(Debug, Clone, Copy)]
struct Fragment {
    /// First byte of the fragment itself, behind its item header.
    offset: u64,
    /// What its header claims.
    length: u32,
}

#[derive(Debug)]
pub(crate) struct FragmentIndex {
    fragments: Vec<Fragment>,
    /// The first fragment of each frame.
    starts: Vec<usize>,
    frame_bytes: u64,
}

impl FragmentIndex {
    /// Walks the items from `offset` on and finds the frames.
    pub(crate) fn build(
        source: &dyn ReadAt,
        offset: u64,
        frames: u32,
        dataset: &Dataset,
        limits: &Limits,
    ) -> Result<Self, PixelError> {
        let items = walk(source, offset, limits)?;
        let Some((table, fragments)) = items.split_first() else { return Err(PixelError::NoPixels) };
        if fragments.iter().all(|fragment| fragment.length == 0) {
            return Err(PixelError::NoPixels);
        }
        let starts = match offset_table(dataset, source, *table, frames)?.and_then(|o| believed(&o, fragments)) {
            Some(starts) => starts,
            None => guessed(source, fragments, frames)?,
        };
        Ok(Self { fragments: fragments.to_vec(), starts, frame_bytes: limits.frame_bytes })
    }

    /// The joined fragments of one frame.
    pub(crate) fn read(&self, source: &dyn ReadAt, index: u32) -> Result<Vec<u8>, PixelError> {
        let index = index as usize;
        let first = self.starts.get(index).copied().unwrap_or(usize::MAX);
        let end = self.starts.get(index.saturating_add(1)).copied().unwrap_or(self.fragments.len());
        let fragments = self.fragments.get(first..end).unwrap_or_default();
        let total = fragments.iter().map(|fragment| u64::from(fragment.length)).sum();
        at_most("bytes of an encapsulated frame", self.frame_bytes, total)?;
        let mut joined = Vec::new();
        for fragment in fragments {
            let end = fragment.offset.saturating_add(u64::from(fragment.length));
            if end > source.size() {
                return Err(PixelError::Encapsulation {
                    fault: "the file ends inside a fragment",
                    offset: fragment.offset,
                });
            }
            let start = joined.len();
            joined.resize(start.saturating_add(fragment.length as usize), 0);
            let Some(room) = joined.get_mut(start..) else { continue };
            source
                .read_exact_at(room, fragment.offset)
                .map_err(|source| PixelError::Read { offset: fragment.offset, source })?;
        }
        Ok(joined)
    }
}

/// The items up to the sequence delimiter. A missing delimiter, or anything else where an item should
/// begin, ends the sequence too: writers forget it, and what came before is intact.
fn walk(source: &dyn ReadAt, offset: u64, limits: &Limits) -> Result<Vec<Fragment>, PixelError> {
    let mut items = Vec::new();
    let mut at = offset;
    while source.size().saturating_sub(at) >= HEADER_BYTES {
        let mut head = [0; 8];
        source.read_exact_at(&mut head, at).map_err(|source| PixelError::Read { offset: at, source })?;
        let [t0, t1, t2, t3, l0, l1, l2, l3] = head;
        if [t0, t1, t2, t3] != ITEM {
            break;
        }
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        if length == u32::MAX {
            return Err(PixelError::Encapsulation { fault: "a fragment of undefined length", offset: at });
        }
        at_most("fragments", limits.fragments as u64, items.len() as u64)?;
        let start = at.saturating_add(HEADER_BYTES);
        items.push(Fragment { offset: start, length });
        at = start.saturating_add(u64::from(length));
    }
    Ok(items)
}

/// Offsets of the frames from the first byte of the first fragment's item, if a table has one for each.
fn offset_table(
    dataset: &Dataset,
    source: &dyn ReadAt,
    basic: Fragment,
    frames: u32,
) -> Result<Option<Vec<u64>>, PixelError> {
    let frames = frames as usize;
    if let Some(extended) = dataset.bytes(tags::EXTENDED_OFFSET_TABLE) {
        let offsets: Vec<u64> = extended.as_chunks().0.iter().map(|&chunk| u64::from_le_bytes(chunk)).collect();
        if offsets.len() == frames {
            return Ok(Some(offsets));
        }
    }
    if u64::from(basic.length) != (frames as u64).saturating_mul(4) {
        return Ok(None);
    }
    let mut bytes = vec![0; basic.length as usize];
    source
        .read_exact_at(&mut bytes, basic.offset)
        .map_err(|source| PixelError::Read { offset: basic.offset, source })?;
    Ok(Some(bytes.as_chunks().0.iter().map(|&chunk| u64::from(u32::from_le_bytes(chunk))).collect()))
}

/// The fragments at which the offsets point, if each points at one, in order, beginning with the first.
fn believed(offsets: &[u64], fragments: &[Fragment]) -> Option<Vec<usize>> {
    let base = fragments.first()?.offset;
    let mut starts: Vec<usize> = Vec::with_capacity(offsets.len());
    for &offset in offsets {
        let wanted = base.checked_add(offset)?;
        let found = fragments.binary_search_by_key(&wanted, |fragment| fragment.offset).ok()?;
        if starts.last().is_some_and(|&previous| found <= previous) {
            return None;
        }
        starts.push(found);
    }
    (starts.first() == Some(&0)).then_some(starts)
}

fn guessed(source: &dyn ReadAt, fragments: &[Fragment], frames: u32) -> Result<Vec<usize>, PixelError> {
    let wanted = frames as usize;
    if wanted == 1 {
        return Ok(vec![0]);
    }
    if fragments.len() == wanted {
        return Ok((0..wanted).collect());
    }
    let mut starts = Vec::new();
    for (index, fragment) in fragments.iter().enumerate() {
        if begins_codestream(&head(source, *fragment)?) {
            starts.push(index);
        }
    }
    if starts.len() == wanted && starts.first() == Some(&0) {
        return Ok(starts);
    }
    Err(PixelError::Fragments { fragments: fragments.len(), frames })
}

fn head(source: &dyn ReadAt, fragment: Fragment) -> Result<[u8; 12], PixelError> {
    let mut head = [0; 12];
    let available = source.size().saturating_sub(fragment.offset).min(u64::from(fragment.length));
    let size = usize::try_from(available).unwrap_or(usize::MAX).min(head.len());
    if let Some(room) = head.get_mut(..size) {
        source
            .read_exact_at(room, fragment.offset)
            .map_err(|source| PixelError::Read { offset: fragment.offset, source })?;
    }
    Ok(head)
}

/// The first bytes of JPEG and JPEG-LS (SOI and a marker), JPEG 2000 (SOC and SIZ, or a JP2 box), JPEG XL
/// (codestream or box), and of an RLE header: 1 to 15 segments, the first at byte 64 (PS3.5 § G.5).
fn begins_codestream(head: &[u8; 12]) -> bool {
    matches!(
        *head,
        [0xFF, 0xD8, 0xFF, ..]
            | [0xFF, 0x4F, 0xFF, 0x51, ..]
            | [0xFF, 0x0A, ..]
            | [0, 0, 0, 12, b'j', b'P', b' ', b' ', ..]
            | [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..]
            | [1..=15, 0, 0, 0, 64, 0, 0, 0, ..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use dokuei_dataset::VR;

    /// Items with the given contents, the first being the offset table; `delimited` or cut off after them.
    fn sequence(items: &[&[u8]], delimited: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        for item in items {
            bytes.extend_from_slice(&ITEM);
            bytes.extend_from_slice(&u32::try_from(item.len()).unwrap().to_le_bytes());
            bytes.extend_from_slice(item);
        }
        if delimited {
            bytes.extend_from_slice(&[0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]);
        }
        bytes
    }

    fn check(bytes: &[u8], frames: u32, dataset: &Dataset, expected: &[&[u8]]) {
        let bytes = bytes.to_vec();
        let index = FragmentIndex::build(&bytes, 0, frames, dataset, &Limits::default()).unwrap();
        let read: Vec<Vec<u8>> = (0..frames).map(|frame| index.read(&bytes, frame).unwrap()).collect();
        assert_eq!(read, expected);
    }

    const SOI: &[u8] = &[0xFF, 0xD8, 0xFF, 0xE0];

    #[test]
    fn one_frame_has_all_fragments() {
        check(&sequence(&[b"", b"ab", b"cd"], true), 1, &Dataset::new(), &[b"abcd"]);
    }

    #[test]
    fn as_many_fragments_as_frames_with_or_without_delimiter() {
        for delimited in [true, false] {
            check(&sequence(&[b"", b"ab", b"cdef"], delimited), 2, &Dataset::new(), &[b"ab", b"cdef"]);
        }
    }

    #[test]
    fn the_basic_offset_table_says_where_frames_begin() {
        let table = [0_u32.to_le_bytes(), 20_u32.to_le_bytes()].concat();
        let bytes = sequence(&[&table, b"ab", b"cd", b"ef"], true);
        check(&bytes, 2, &Dataset::new(), &[b"abcd", b"ef"]);
    }

    #[test]
    fn the_extended_offset_table_goes_first() {
        let mut dataset = Dataset::new();
        let table = [0_u64.to_le_bytes(), 10_u64.to_le_bytes()].concat();
        dataset.put_bytes(tags::EXTENDED_OFFSET_TABLE, VR::OV, table);
        check(&sequence(&[b"", b"ab", b"cd", b"ef"], true), 2, &dataset, &[b"ab", b"cdef"]);
    }

    #[test]
    fn a_table_that_points_nowhere_is_not_believed() {
        let table = [0_u32.to_le_bytes(), 7_u32.to_le_bytes()].concat();
        check(&sequence(&[&table, b"ab", b"cd"], true), 2, &Dataset::new(), &[b"ab", b"cd"]);
    }

    #[test]
    fn codestreams_are_found_by_their_first_bytes() {
        let bytes = sequence(&[b"", SOI, b"12", SOI, b"34"], true);
        let one = [SOI, b"12"].concat();
        let two = [SOI, b"34"].concat();
        check(&bytes, 2, &Dataset::new(), &[&one, &two]);
    }

    #[test]
    fn fragments_nobody_can_assign_are_refused() {
        let bytes = sequence(&[b"", b"ab", b"cd", b"ef"], true);
        let refused = FragmentIndex::build(&bytes, 0, 2, &Dataset::new(), &Limits::default());
        assert!(matches!(refused, Err(PixelError::Fragments { fragments: 3, frames: 2 })), "{refused:?}");
    }

    #[test]
    fn a_fragment_cut_off_by_the_end_of_the_file_spoils_its_own_frame_alone() {
        let mut bytes = sequence(&[b"", b"ab", b"cdef"], false);
        bytes.truncate(bytes.len() - 2);
        let index = FragmentIndex::build(&bytes, 0, 2, &Dataset::new(), &Limits::default()).unwrap();
        assert_eq!(index.read(&bytes, 0).unwrap(), b"ab");
        assert!(matches!(index.read(&bytes, 1), Err(PixelError::Encapsulation { .. })));
    }

    #[test]
    fn limits_hold() {
        let bytes = sequence(&[b"", b"abcd", b"ef"], true);
        let few = Limits { fragments: 1, ..Limits::default() };
        assert!(matches!(FragmentIndex::build(&bytes, 0, 2, &Dataset::new(), &few), Err(PixelError::Limit { .. })));
        let small = Limits { frame_bytes: 3, ..Limits::default() };
        let index = FragmentIndex::build(&bytes, 0, 2, &Dataset::new(), &small).unwrap();
        assert!(matches!(index.read(&bytes, 0), Err(PixelError::Limit { .. })));
    }
}
