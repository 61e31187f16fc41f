//! Huffman tables (T.81 § B.2.4.2, Annex C): codes are counted up within each length.

use super::bit_reader::BitReader;
use super::damaged;
use crate::CodecError;

const FAST_BITS: u32 = 9;

/// One table, ready to decode.
pub(super) struct Table {
    /// For every beginning of 9 bits: the code's length (0 if longer) and its symbol.
    fast: Vec<(u8, u8)>,
    /// Per length: the first 16-bit pattern that belongs to a longer code.
    limits: [u32; 17],
    /// Per length: what to add to a code to get its symbol's index.
    offsets: [i32; 17],
    symbols: Vec<u8>,
}

impl Table {
    /// Builds a table from the number of codes per length and their symbols.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Result<Self, CodecError> {
        let mut table =
            Self { fast: vec![(0, 0); 1 << FAST_BITS], limits: [0; 17], offsets: [0; 17], symbols: symbols.to_vec() };
        let mut code = 0_u32;
        let mut index = 0_usize;
        for (length, count) in (1_u32..).zip(counts) {
            let first = code;
            table.offsets[length as usize] = i32::try_from(index).unwrap_or(0) - first.cast_signed();
            code += u32::from(*count);
            if code > 1 << length {
                return Err(damaged("a Huffman table has more codes than fit"));
            }
            let members = symbols.get(index..index + usize::from(*count));
            let members = members.ok_or_else(|| damaged("a Huffman table is cut short"))?;
            if length <= FAST_BITS {
                let span = 1_usize << (FAST_BITS - length);
                let entries = members.iter().flat_map(|symbol| std::iter::repeat_n(*symbol, span));
                let slots = table.fast.iter_mut().skip((first as usize) << (FAST_BITS - length));
                let size = counts_length(length);
                slots.zip(entries).for_each(|(slot, symbol)| *slot = (size, symbol));
            }
            index += usize::from(*count);
            table.limits[length as usize] = code << (16 - length);
            code <<= 1;
        }
        Ok(table)
    }

    /// The next symbol.
    #[inline]
    pub(super) fn decode(&self, reader: &mut BitReader) -> Result<u8, CodecError> {
        let next = reader.peek_16();
        let (size, symbol) = self.fast[(next >> (16 - FAST_BITS)) as usize & ((1 << FAST_BITS) - 1)];
        if size > 0 {
            reader.consume(size.into())?;
            return Ok(symbol);
        }
        for length in FAST_BITS + 1..=16 {
            if next < self.limits[length as usize] {
                reader.consume(length)?;
                let index = (next >> (16 - length)).cast_signed() + self.offsets[length as usize];
                let symbol = usize::try_from(index).ok().and_then(|index| self.symbols.get(index));
                return symbol.copied().ok_or_else(|| damaged("a Huffman code without symbol"));
            }
        }
        // Distinguish the end of the data from a code that no table has.
        reader.consume(16)?;
        Err(damaged("a Huffman code that its table lacks"))
    }
}

fn counts_length(length: u32) -> u8 {
    u8::try_from(length).unwrap_or(0)
}

/// Reads the tables of one DHT segment into their slots.
pub(super) fn read_tables(
    mut body: &[u8],
    dc: &mut [Option<Table>; 4],
    ac: &mut [Option<Table>; 4],
) -> Result<(), CodecError> {
    let short = || damaged("a Huffman table is cut short");
    while let Some((head, rest)) = body.split_first() {
        let (counts, rest) = rest.split_first_chunk::<16>().ok_or_else(short)?;
        let total = counts.iter().map(|count| usize::from(*count)).sum();
        let (symbols, rest) = rest.split_at_checked(total).ok_or_else(short)?;
        let class = match head >> 4 {
            0 => &mut *dc,
            1 => &mut *ac,
            _ => return Err(damaged("a Huffman table of an unknown class")),
        };
        let slot = class.get_mut(usize::from(head & 15)).ok_or_else(|| damaged("a fifth Huffman table"))?;
        *slot = Some(Table::new(counts, symbols)?);
        body = rest;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_counted_up_within_each_length() {
        // 00 -> 5, 01 -> 6, 100 -> 7, 1010_1010_101 -> 8 is built by padding lengths.
        let mut counts = [0; 16];
        (counts[1], counts[2], counts[10]) = (2, 1, 1);
        let table = Table::new(&counts, &[5, 6, 7, 8]).unwrap();
        let mut reader = BitReader::new(&[0b0001_1001, 0b0100_0000, 0b0000_0000], 0);
        let symbols: Vec<u8> = (0..4).map(|_| table.decode(&mut reader).unwrap()).collect();
        assert_eq!(symbols, [5, 6, 7, 8]);
    }

    #[test]
    fn impossible_tables_and_codes_are_refused() {
        let mut counts = [0; 16];
        counts[0] = 3;
        assert!(Table::new(&counts, &[1, 2, 3]).is_err());
        counts[0] = 1;
        assert!(Table::new(&counts, &[]).is_err());
        let table = Table::new(&counts, &[1]).unwrap();
        assert!(table.decode(&mut BitReader::new(&[0xF0; 8], 0)).is_err());
    }
}
