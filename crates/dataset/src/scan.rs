use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

use crate::data_set::{Dataset, Element, Value};
use crate::file::{FileMeta, read_file_meta};
use crate::inflate::Inflater;
use crate::read::{Limits, ReadError};
use crate::read_at::ReadAt;
use crate::vr::swap;
use crate::walk::{HEADER_MAX, Step, Walk};
use crate::window::Window;
use crate::{Encoding, is_deflated};

/// Checks the structure of a whole data set while its bytes arrive, and keeps the elements it is asked for.
///
/// Every header is looked at, those behind the pixel data and inside sequences too: lengths against what is
/// around them, depth, number of elements, deflate expansion (PS3.5 § 7, § A.4, § A.5). Values are stepped over;
/// besides the wanted ones nothing is held but a header that is not yet whole. Whatever passes,
/// [`read_header`](crate::read_header) reads, with equal values.
#[derive(Debug)]
pub struct Scan {
    walk: Walk,
    wanted: &'static [Tag],
    limits: Limits,
    inflater: Option<Inflater>,
    /// The beginning of a header whose rest has not arrived.
    carried: Vec<u8>,
    /// The tag and length of the value that arrives, how much of it has yet to come, and what of it is kept.
    value: (Tag, u64),
    left: u64,
    held: Option<(VR, Vec<u8>)>,
    /// Bytes of the data set so far, inflated ones where it is deflated.
    size: u64,
    dataset: Dataset,
    held_bytes: u64,
    /// The elements of the data set come before its pixel data; what is behind is checked alone.
    behind_pixels: bool,
    header_bytes: Option<u64>,
    fault: Option<ReadError>,
}

/// What came of a [`Scan`].
#[derive(Debug)]
pub struct Scanned {
    /// The wanted elements that stand before the pixel data; a value beyond the limits is [`Value::Omitted`].
    pub dataset: Dataset,
    /// The first thing that is wrong with the data set, if anything is.
    pub verdict: Result<(), ReadError>,
    /// Elements of the data set and its items, items counted, up to the fault if there is one.
    pub elements: usize,
    /// Bytes of the data set up to the value of its pixel data, or all; `None` where it is deflated.
    pub header_bytes: Option<u64>,
}

impl Scan {
    /// A scan of a data set in this transfer syntax that keeps the `wanted` elements of its top level, sequences
    /// excepted. Of `limits`, `value_bytes` and `total_bytes` bound what is kept.
    #[must_use]
    pub fn new(transfer_syntax: &str, wanted: &'static [Tag], limits: &Limits) -> Self {
        Self {
            walk: Walk::new(0, None, Encoding::of(transfer_syntax), limits),
            wanted,
            limits: limits.clone(),
            inflater: is_deflated(transfer_syntax).then(|| Inflater::new(limits)),
            carried: Vec::new(),
            value: (Tag(0, 0), 0),
            left: 0,
            held: None,
            size: 0,
            dataset: Dataset::new(),
            held_bytes: 0,
            behind_pixels: false,
            header_bytes: None,
            fault: None,
        }
    }

    /// Takes the next bytes. After a fault they make no difference.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.fault.is_some() {
            return;
        }
        let outcome = match self.inflater.take() {
            None => self.take(bytes),
            Some(mut inflater) => {
                let outcome = inflater.push(bytes, |inflated| self.take(inflated));
                self.inflater = Some(inflater);
                outcome
            }
        };
        self.fault = outcome.err();
    }

    /// Says what came of it, all bytes being there. Offsets in the verdict count from the first byte of the data
    /// set, inflated where it is deflated.
    #[must_use]
    pub fn finish(mut self) -> Scanned {
        let verdict = self.verdict();
        let elements = self.walk.elements();
        if !self.wanted.contains(&tags::PIXEL_REPRESENTATION) {
            self.dataset.remove(tags::PIXEL_REPRESENTATION);
        }
        let header_bytes = self.inflater.is_none().then(|| self.header_bytes.unwrap_or(self.size));
        Scanned { dataset: self.dataset, verdict, elements, header_bytes }
    }

    fn verdict(&mut self) -> Result<(), ReadError> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        if let Some(error) = self.walk.overrun(self.size) {
            return Err(error);
        }
        if self.left > 0 {
            let (tag, length) = self.value;
            let available = length.saturating_sub(self.left);
            return Err(ReadError::Length { tag, offset: self.size.saturating_sub(available), length, available });
        }
        // What ends with the last byte is still to be closed.
        while let Some(step) = self.walk.step(&self.carried)? {
            self.step(step);
        }
        self.walk.finish(&self.carried)?;
        match &self.inflater {
            Some(inflater) if !inflater.ended() => Err(self.walk.truncated()),
            _ => Ok(()),
        }
    }

    fn take(&mut self, mut bytes: &[u8]) -> Result<(), ReadError> {
        self.size = self.size.saturating_add(bytes.len() as u64);
        while !bytes.is_empty() {
            let used = if self.left > 0 { self.arrive(bytes) } else { self.header(bytes)? };
            bytes = bytes.get(used..).unwrap_or_default();
        }
        Ok(())
    }

    /// Takes a header from the bytes, or what there is of it; how many belong to it.
    fn header(&mut self, bytes: &[u8]) -> Result<usize, ReadError> {
        let begun = self.carried.len();
        let position = self.walk.position();
        let missing = bytes.get(..HEADER_MAX.saturating_sub(begun)).unwrap_or(bytes);
        let step = if begun == 0 {
            self.walk.step(bytes)?
        } else {
            self.carried.extend_from_slice(missing);
            self.walk.step(&self.carried)?
        };
        let Some(step) = step else {
            if begun == 0 {
                self.carried.extend_from_slice(missing);
            }
            return Ok(missing.len());
        };
        // What is closed without a delimiter takes no bytes, and what was carried stays.
        let header = usize::try_from(self.walk.position().saturating_sub(position)).unwrap_or(usize::MAX);
        self.carried.truncate(if header == 0 { begun } else { 0 });
        self.step(step);
        Ok(header.saturating_sub(begun))
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Item | Step::Sequence | Step::Fragments => {}
            // It takes the place of an element before it with the same tag, and is nothing that is kept.
            Step::Close(level) if self.keeps(level.tag) => drop(self.dataset.remove(level.tag)),
            Step::Close(_) => {}
            Step::Skip { tag, length } => self.expect(tag, length, None),
            Step::Pixels { tag, length, .. } => {
                self.behind_pixels = true;
                self.header_bytes = self.header_bytes.or(Some(self.walk.position()));
                self.expect(tag, length.unwrap_or(0), None);
            }
            Step::Value { tag, vr, length } => {
                let held = if self.keeps(tag) { self.hold(tag, vr, length) } else { None };
                self.expect(tag, length, held);
            }
        }
    }

    fn keeps(&self, tag: Tag) -> bool {
        let asked = self.wanted.contains(&tag) || tag == tags::PIXEL_REPRESENTATION;
        asked && self.walk.at_top() && !self.behind_pixels
    }

    /// Room for a value that is kept; none for one beyond the limits.
    fn hold(&mut self, tag: Tag, vr: VR, length: u64) -> Option<(VR, Vec<u8>)> {
        let total = self.held_bytes.saturating_add(length);
        if length > self.limits.value_bytes || total > self.limits.total_bytes {
            self.dataset.put(Element { tag, vr, value: Value::Omitted { length } });
            return None;
        }
        self.held_bytes = total;
        Some((vr, Vec::with_capacity(usize::try_from(length).unwrap_or(0))))
    }

    fn expect(&mut self, tag: Tag, length: u64, held: Option<(VR, Vec<u8>)>) {
        self.walk.advance(length);
        (self.value, self.left, self.held) = ((tag, length), length, held);
        if length == 0 {
            self.arrive(&[]);
        }
    }

    /// Takes what belongs to the value from the bytes; how many that is.
    fn arrive(&mut self, bytes: &[u8]) -> usize {
        let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        if let Some((_, held)) = &mut self.held {
            held.extend_from_slice(bytes.get(..count).unwrap_or_default());
        }
        self.left = self.left.saturating_sub(count as u64);
        if self.left == 0
            && let Some((vr, bytes)) = self.held.take()
        {
            self.keep(self.value.0, vr, bytes);
        }
        count
    }

    fn keep(&mut self, tag: Tag, vr: VR, mut bytes: Vec<u8>) {
        if self.walk.encoding() == Encoding::ExplicitBig {
            swap(&mut bytes, vr);
        }
        self.dataset.put(Element { tag, vr, value: Value::Bytes(bytes) });
        if tag == tags::PIXEL_REPRESENTATION {
            self.walk.signed_pixels = self.dataset.has_signed_pixels();
        }
    }
}

/// Scans the data set of a file (PS3.10 § 7) from its first byte to its last.
///
/// # Errors
/// As [`read_file_meta`], and [`ReadError::Read`]; what is wrong with the data set is the verdict.
pub fn scan_file(file: &dyn ReadAt, wanted: &'static [Tag], limits: &Limits) -> Result<(FileMeta, Scanned), ReadError> {
    let meta = read_file_meta(file, limits)?;
    let mut scan = Scan::new(&meta.transfer_syntax, wanted, limits);
    let mut window = Window::new(file);
    let mut offset = meta.data_set_offset;
    loop {
        let piece = window.piece(offset).map_err(|source| ReadError::Read { offset, source })?;
        if piece.is_empty() {
            return Ok((meta, scan.finish()));
        }
        offset = offset.saturating_add(piece.len() as u64);
        scan.push(piece);
    }
}
