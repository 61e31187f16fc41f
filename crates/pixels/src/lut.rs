//! Lookup tables as the standard encodes them: a descriptor of three numbers (entries, first value mapped,
//! bits of an entry) and the entries (PS3.3 C.11.1.1.1, C.11.2.1.1, C.7.6.3.1.5).

use dicom_dictionary_std::tags;
use dokuei_dataset::{Dataset, Tag, VR};

use crate::error::PixelError;

/// A lookup table of a Modality LUT or VOI LUT item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupTable {
    first: i64,
    entries: Vec<u16>,
    bits: u16,
}

impl LookupTable {
    /// The first item of a sequence that holds a table; writers send sequences of empty items too.
    pub(crate) fn item_of(dataset: &Dataset, sequence: Tag) -> Option<&Dataset> {
        let filled = |item: &&Dataset| item.bytes(tags::LUT_DESCRIPTOR).is_some_and(|bytes| !bytes.is_empty());
        dataset.items(sequence).iter().find(filled)
    }

    /// Reads LUT Descriptor and LUT Data of an item. `signed` says whether the values it maps can be negative.
    pub(crate) fn read(item: &Dataset, signed: bool) -> Result<Self, PixelError> {
        let descriptor = Descriptor::read(item, tags::LUT_DESCRIPTOR, "LUTDescriptor", signed)?;
        let data = item.bytes(tags::LUT_DATA).ok_or(PixelError::Missing { keyword: "LUTData" })?;
        let (entries, bits) = descriptor.entries(data, "LUTData")?;
        Ok(Self { first: descriptor.first, entries, bits })
    }

    /// The entry for an input; below the first and above the last input, the first and the last entry.
    #[must_use]
    pub fn at(&self, input: i64) -> u16 {
        let last = self.entries.len().saturating_sub(1);
        let offset = input.saturating_sub(self.first).max(0);
        let index = usize::try_from(offset).unwrap_or(usize::MAX).min(last);
        self.entries.get(index).copied().unwrap_or(0)
    }

    /// The largest value an entry can have, 2^bits - 1.
    #[must_use]
    pub fn maximum(&self) -> f64 {
        f64::from(self.bits).exp2() - 1.0
    }
}

/// The three numbers in front of a table.
pub(crate) struct Descriptor {
    pub(crate) count: usize,
    pub(crate) first: i64,
    pub(crate) bits: u16,
}

impl Descriptor {
    pub(crate) fn read(item: &Dataset, tag: Tag, keyword: &'static str, signed: bool) -> Result<Self, PixelError> {
        let element = item.get(tag).ok_or(PixelError::Missing { keyword })?;
        let Some(&[c0, c1, f0, f1, b0, b1]) = item.bytes(tag).and_then(<[u8]>::first_chunk) else {
            return Err(PixelError::LookupTable { keyword, fault: "is not three numbers" });
        };
        // 65,536 does not fit in 16 bits and is written as 0.
        let count = match u16::from_le_bytes([c0, c1]) {
            0 => 1 << 16,
            count => usize::from(count),
        };
        let first = if signed || element.vr == VR::SS {
            i64::from(i16::from_le_bytes([f0, f1]))
        } else {
            i64::from(u16::from_le_bytes([f0, f1]))
        };
        let bits = u16::from_le_bytes([b0, b1]);
        if !(1..=16).contains(&bits) {
            return Err(PixelError::LookupTable { keyword, fault: "entries must have 8 to 16 bits" });
        }
        Ok(Self { count, first, bits })
    }

    /// The entries and the bits they really have. Entries of 8 bits are packed two in a word; some writers
    /// give each a word of its own, and some put values of more bits there than they announce.
    pub(crate) fn entries(&self, data: &[u8], keyword: &'static str) -> Result<(Vec<u16>, u16), PixelError> {
        let words_fit = data.len() / 2 >= self.count;
        let entries: Vec<u16> = match (words_fit, self.bits <= 8) {
            (true, _) => data.as_chunks().0.iter().take(self.count).map(|&word| u16::from_le_bytes(word)).collect(),
            (false, true) if data.len() >= self.count => {
                data.iter().take(self.count).map(|&byte| u16::from(byte)).collect()
            }
            _ => return Err(PixelError::LookupTable { keyword, fault: "is shorter than its descriptor says" }),
        };
        let highest = entries.iter().copied().max().unwrap_or(0);
        let needed = u16::try_from(16_u32.saturating_sub(highest.leading_zeros())).unwrap_or(16);
        Ok((entries, self.bits.max(needed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn item(descriptor: [u16; 3], data: &[u8]) -> Dataset {
        let mut item = Dataset::new();
        item.put_u16(tags::LUT_DESCRIPTOR, &descriptor);
        item.put_bytes(tags::LUT_DATA, VR::OW, data);
        item
    }

    #[test]
    fn maps_and_clamps() {
        let table = LookupTable::read(&item([3, 10, 16], &[1, 0, 2, 0, 0, 1]), false).unwrap();
        assert_eq!([9, 10, 11, 12, 13].map(|input| table.at(input)), [1, 1, 2, 256, 256]);
        assert_eq!([i64::MIN, i64::MAX].map(|input| table.at(input)), [1, 256]);
        assert!((table.maximum() - 65535.0).abs() < 1e-9);
    }

    #[test]
    fn the_first_value_is_signed_where_its_input_is() {
        let first = 0xFFFE; // -2
        let table = LookupTable::read(&item([3, first, 16], &[1, 0, 2, 0, 3, 0]), true).unwrap();
        assert_eq!([-3, -2, -1, 0, 1].map(|input| table.at(input)), [1, 1, 2, 3, 3]);
    }

    #[test]
    fn zero_entries_mean_65536() {
        let data: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        let table = LookupTable::read(&item([0, 0, 16], &data), false).unwrap();
        assert_eq!(table.at(65535), 65535);
    }

    #[test]
    fn eight_bit_entries_are_packed_or_in_words() {
        let packed = LookupTable::read(&item([3, 0, 8], &[7, 8, 9, 0]), false).unwrap();
        let words = LookupTable::read(&item([3, 0, 8], &[7, 0, 8, 0, 9, 0]), false).unwrap();
        for table in [packed, words] {
            assert_eq!([0, 1, 2].map(|input| table.at(input)), [7, 8, 9]);
        }
    }

    #[test]
    fn refuses_what_cannot_be_a_table() {
        for (descriptor, data) in [([4, 0, 16], &[0_u8; 6][..]), ([3, 0, 17], &[0; 6]), ([3, 0, 0], &[0; 6])] {
            let refused = LookupTable::read(&item(descriptor, data), false);
            assert!(matches!(refused, Err(PixelError::LookupTable { .. })), "{refused:?}");
        }
        assert!(matches!(LookupTable::read(&Dataset::new(), false), Err(PixelError::Missing { .. })));
    }
}
