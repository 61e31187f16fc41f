//! Palette colour (PS3.3 C.7.6.3.1.5 and C.7.9): a stored value is an index into three tables. The tables
//! are plain, or segmented (C.7.9.2): runs of values, straight lines, and references to earlier segments.

use dicom_dictionary_std::tags;
use dokuei_dataset::{Dataset, Tag};

use crate::cast;
use crate::error::PixelError;
use crate::lut::Descriptor;

/// Indirect segments may refer to direct ones alone, so a table cannot need more segments than this
/// without writing past its end.
const SEGMENTS_MAX: usize = 1 << 16;

/// Red, green and blue of every index, 0 to 1.
#[derive(Debug)]
pub(crate) struct Palette {
    first: i64,
    colours: Vec<[f32; 3]>,
}

struct Source {
    descriptor: Tag,
    plain: Tag,
    segmented: Tag,
    keyword: &'static str,
}

const SOURCES: [Source; 3] = [
    Source {
        descriptor: tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
        plain: tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA,
        segmented: tags::SEGMENTED_RED_PALETTE_COLOR_LOOKUP_TABLE_DATA,
        keyword: "RedPaletteColorLookupTableDescriptor",
    },
    Source {
        descriptor: tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
        plain: tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA,
        segmented: tags::SEGMENTED_GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA,
        keyword: "GreenPaletteColorLookupTableDescriptor",
    },
    Source {
        descriptor: tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
        plain: tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA,
        segmented: tags::SEGMENTED_BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA,
        keyword: "BluePaletteColorLookupTableDescriptor",
    },
];

impl Palette {
    pub(crate) fn read(dataset: &Dataset, signed: bool) -> Result<Self, PixelError> {
        let mut first = 0;
        let mut bits = 0;
        let mut channels: Vec<Vec<u16>> = Vec::with_capacity(3);
        for source in &SOURCES {
            let descriptor = Descriptor::read(dataset, source.descriptor, source.keyword, signed)?;
            let (entries, entry_bits) = read_entries(dataset, source, &descriptor)?;
            first = descriptor.first;
            bits = entry_bits.max(bits);
            channels.push(entries);
        }
        let highest = channels.iter().flatten().copied().max().unwrap_or(0);
        // Tables that announce 16 bits and fill 8 are common; as announced they would be black.
        let scale = f64::from(if highest < 256 { 8 } else { bits }).exp2() - 1.0;
        let channel = |entries: &[u16], index: usize| -> f32 {
            entries.get(index).or(entries.last()).map_or(0.0, |&entry| cast::single(f64::from(entry) / scale))
        };
        let length = channels.iter().map(Vec::len).max().unwrap_or(0);
        let colours = match channels.as_slice() {
            [red, green, blue] => (0..length).map(|i| [channel(red, i), channel(green, i), channel(blue, i)]).collect(),
            _ => Vec::new(),
        };
        Ok(Self { first, colours })
    }

    /// The colour of a stored value; outside the table, that of its first or last entry.
    pub(crate) fn colour(&self, stored: f64) -> [f32; 3] {
        let last = self.colours.len().saturating_sub(1);
        let offset = cast::nearest(stored).saturating_sub(self.first).max(0);
        let index = usize::try_from(offset).unwrap_or(usize::MAX).min(last);
        self.colours.get(index).copied().unwrap_or_default()
    }
}

fn read_entries(dataset: &Dataset, source: &Source, descriptor: &Descriptor) -> Result<(Vec<u16>, u16), PixelError> {
    if let Some(data) = dataset.bytes(source.plain) {
        return descriptor.entries(data, source.keyword);
    }
    let data = dataset.bytes(source.segmented).ok_or(PixelError::Missing { keyword: source.keyword })?;
    let words: Vec<u16> = if descriptor.bits <= 8 {
        data.iter().map(|&byte| u16::from(byte)).collect()
    } else {
        data.as_chunks().0.iter().map(|&word| u16::from_le_bytes(word)).collect()
    };
    let fault = |fault| PixelError::LookupTable { keyword: source.keyword, fault };
    let entries = expand(&words, descriptor.count, descriptor.bits <= 8).map_err(fault)?;
    Ok((entries, descriptor.bits))
}

/// Expands a segmented table (PS3.3 C.7.9.2) to `count` entries.
fn expand(words: &[u16], count: usize, bytes: bool) -> Result<Vec<u16>, &'static str> {
    let mut table = Expansion { words, bytes, at: 0, count, entries: Vec::new() };
    for _ in 0..SEGMENTS_MAX {
        if table.entries.len() >= count {
            break;
        }
        table.segment(false)?;
    }
    if table.entries.len() < count {
        return Err("is shorter than its descriptor says");
    }
    table.entries.truncate(count);
    Ok(table.entries)
}

struct Expansion<'a> {
    words: &'a [u16],
    /// Entries of 8 bits: an offset takes four values, not two.
    bytes: bool,
    at: usize,
    count: usize,
    entries: Vec<u16>,
}

impl Expansion<'_> {
    fn next(&mut self) -> Result<u16, &'static str> {
        let word = self.words.get(self.at).copied().ok_or("its segments end too early")?;
        self.at = self.at.saturating_add(1);
        Ok(word)
    }

    fn segment(&mut self, referred: bool) -> Result<(), &'static str> {
        let opcode = self.next()?;
        let length = self.next()?;
        match opcode {
            0 => self.discrete(length),
            1 => self.linear(length),
            2 if !referred => self.indirect(length),
            _ => Err("has a segment of unknown kind"),
        }
    }

    fn discrete(&mut self, length: u16) -> Result<(), &'static str> {
        for _ in 0..length {
            let entry = self.next()?;
            self.push(entry)?;
        }
        Ok(())
    }

    /// `length` entries on the line from the last one to the value given, which is reached.
    fn linear(&mut self, length: u16) -> Result<(), &'static str> {
        let end = f64::from(self.next()?);
        let start = f64::from(*self.entries.last().ok_or("begins with a linear segment")?);
        for step in 1..=length {
            let value = start + (end - start) * f64::from(step) / f64::from(length);
            self.push(u16::try_from(cast::nearest(value)).unwrap_or(0))?;
        }
        Ok(())
    }

    /// Repeats `length` segments from an offset: in bytes for 8-bit entries, else in bytes as well, of the
    /// table's start, least significant part first.
    fn indirect(&mut self, length: u16) -> Result<(), &'static str> {
        let mut offset = 0_usize;
        let (parts, bits) = if self.bytes { (4_u32, 8_u32) } else { (2, 16) };
        for part in 0..parts {
            let shift = part.saturating_mul(bits);
            offset |= usize::from(self.next()?).checked_shl(shift).unwrap_or(0);
        }
        let back = self.at;
        self.at = if self.bytes { offset } else { offset / 2 };
        for _ in 0..length {
            self.segment(true)?;
        }
        self.at = back;
        Ok(())
    }

    fn push(&mut self, entry: u16) -> Result<(), &'static str> {
        if self.entries.len() >= self.count {
            return Err("has more entries than its descriptor says");
        }
        self.entries.push(entry);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dokuei_dataset::VR;

    fn palette(descriptor: [u16; 3], tables: [&[u8]; 3]) -> Dataset {
        let mut data = Dataset::new();
        for (source, table) in SOURCES.iter().zip(tables) {
            data.put_u16(source.descriptor, &descriptor);
            data.put_bytes(source.plain, VR::OW, table);
        }
        data
    }

    fn check(data: &Dataset, signed: bool, expected: &[(f64, [u8; 3])]) {
        let palette = Palette::read(data, signed).unwrap();
        for &(stored, colour) in expected {
            assert_eq!(palette.colour(stored).map(|c| cast::byte(f64::from(c))), colour, "of {stored}");
        }
    }

    #[test]
    fn eight_and_sixteen_bits() {
        let eight = palette([2, 1, 8], [&[0, 255], &[10, 20], &[30, 40]]);
        let expected = [(0.0, [0, 10, 30]), (1.0, [0, 10, 30]), (2.0, [255, 20, 40]), (9.0, [255, 20, 40])];
        check(&eight, false, &expected);
        let sixteen = palette([2, 1, 16], [&[0, 0, 255, 255], &[10, 10, 20, 20], &[30, 30, 40, 40]]);
        check(&sixteen, false, &expected);
    }

    #[test]
    fn sixteen_bits_announced_and_eight_used() {
        let data = palette([2, 0, 16], [&[0, 0, 255, 0], &[10, 0, 20, 0], &[30, 0, 40, 0]]);
        check(&data, false, &[(1.0, [255, 20, 40])]);
    }

    #[test]
    fn signed_indices() {
        let data = palette([2, 0xFFFF, 8], [&[1, 2], &[3, 4], &[5, 6]]);
        check(&data, true, &[(-1.0, [1, 3, 5]), (0.0, [2, 4, 6])]);
    }

    #[test]
    fn segments() {
        // Discrete 0 10; linear to 50 in 4 steps; the first segment again; linear down to 0 in 2.
        let words = [0, 2, 0, 10, 1, 4, 50, 2, 1, 0, 0, 1, 2, 0];
        assert_eq!(expand(&words, 10, false).unwrap(), [0, 10, 20, 30, 40, 50, 0, 10, 5, 0]);
        let bytes = [0, 2, 0, 10, 1, 4, 50, 2, 1, 0, 0, 0, 0, 1, 2, 0];
        assert_eq!(expand(&bytes, 10, true).unwrap(), [0, 10, 20, 30, 40, 50, 0, 10, 5, 0]);
    }

    #[test]
    fn hostile_segments_end() {
        for (words, count) in [
            (&[1_u16, 4, 50][..], 4), // nothing to start the line from
            (&[0, 2, 0], 2),          // ends inside
            (&[0, 9, 0, 0, 0], 2),    // more than announced
            (&[2, 1, 0, 0], 2),       // refers to itself
            (&[0, 0, 0, 0], 2),       // segments without entries
            (&[7, 0, 0, 0], 2),
        ] {
            assert!(expand(words, count, false).is_err(), "{words:?}");
        }
        let endless = vec![0; 1 << 20];
        assert!(expand(&endless, 1 << 16, false).is_err());
    }
}
