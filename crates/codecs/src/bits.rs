//! Fixed-width bit fields, first value in the lowest bits of the first byte (PS3.5 § 8.1.1 and Annex D).

/// Spreads packed bits into one byte each, 0 or 1. Missing bits are missing from the result.
pub(crate) fn unpack_ones(packed: &[u8], count: usize) -> Vec<u8> {
    let bits = packed.iter().flat_map(|byte| (0..8).map(move |bit| (byte >> bit) & 1));
    bits.take(count).collect()
}

/// Spreads two 12-bit cells in three bytes into words (retired packing of ACR-NEMA 2.0).
pub(crate) fn unpack_twelves(packed: &[u8], count: usize) -> Vec<u16> {
    let cell = |index: usize| -> Option<u16> {
        let start = index / 2 * 3;
        let byte = |offset: usize| packed.get(start + offset).map(|b| u16::from(*b));
        if index.is_multiple_of(2) {
            Some(byte(0)? | (byte(1)? & 0x0F) << 8)
        } else {
            Some(byte(1)? >> 4 | byte(2)? << 4)
        }
    };
    (0..count).map_while(cell).collect()
}

/// Moves everything down by `skip` bits (less than 8), so that bit `skip` of the first byte comes first.
pub(crate) fn skip_bits(packed: &mut [u8], skip: u8) {
    if skip == 0 || packed.is_empty() {
        return;
    }
    for index in 0..packed.len() {
        let next = packed.get(index + 1).copied().unwrap_or(0);
        let pair = u16::from_le_bytes([packed[index], next]) >> skip;
        packed[index] = pair.to_le_bytes()[0];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ones_come_lowest_bit_first() {
        assert_eq!(unpack_ones(&[0b0000_0101, 0b1], 10), [1, 0, 1, 0, 0, 0, 0, 0, 1, 0]);
        assert_eq!(unpack_ones(&[0xFF], 10).len(), 8);
    }

    #[test]
    fn twelves_share_the_middle_byte() {
        assert_eq!(unpack_twelves(&[0x23, 0x61, 0x45], 2), [0x123, 0x456]);
        assert_eq!(unpack_twelves(&[0x23, 0x61], 2), [0x123]);
    }

    #[test]
    fn bits_move_down_across_bytes() {
        let mut packed = vec![0b1010_0000, 0b0000_0011];
        skip_bits(&mut packed, 5);
        assert_eq!(packed, [0b0001_1101, 0]);
    }
}
