//! Entropy-coded bits (T.81 § B.1.1.5): high bit first, a zero byte stuffed behind every FF.

use super::damaged;
use crate::CodecError;

/// Reads bits up to the next marker. What lies behind the last bit reads as zero when peeked at and is
/// an error when consumed.
pub(super) struct BitReader<'a> {
    data: &'a [u8],
    position: usize,
    /// Bits read ahead, the next one on top, zeros below.
    ahead: u64,
    count: u32,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(data: &'a [u8], position: usize) -> Self {
        Self { data, position, ahead: 0, count: 0 }
    }

    /// At or before the marker that ends the data.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    #[inline]
    fn refill(&mut self) {
        while self.count <= 56 {
            let Some(&byte) = self.data.get(self.position) else { return };
            if byte == 0xFF {
                match self.data.get(self.position + 1) {
                    Some(0) => self.position += 1,
                    // Fill bytes may stand before a marker.
                    Some(0xFF) => {
                        self.position += 1;
                        continue;
                    }
                    _ => return,
                }
            }
            self.position += 1;
            self.ahead |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    /// The next 16 bits without consuming them.
    #[inline]
    pub(super) fn peek_16(&mut self) -> u32 {
        if self.count < 32 {
            self.refill();
        }
        // The shift leaves 16 bits.
        u32::try_from(self.ahead >> 48).unwrap_or_default()
    }

    #[inline]
    pub(super) fn consume(&mut self, count: u32) -> Result<(), CodecError> {
        if count > self.count {
            return Err(damaged("the data ends inside a scan"));
        }
        self.ahead <<= count;
        self.count -= count;
        Ok(())
    }

    /// The next bits as a number; at most 16.
    #[inline]
    pub(super) fn bits(&mut self, count: u32) -> Result<u32, CodecError> {
        let value = self.peek_16() >> (16 - count);
        self.consume(count)?;
        Ok(value)
    }

    /// A difference or coefficient of `size` bits, at most 16 (T.81 § F.2.2.1, EXTEND).
    #[inline]
    pub(super) fn extended(&mut self, size: u32) -> Result<i32, CodecError> {
        if size == 0 {
            return Ok(0);
        }
        let value = self.bits(size)?.cast_signed();
        let negative = value < 1 << (size - 1);
        Ok(if negative { value - (1 << size) + 1 } else { value })
    }

    /// Drops the padding of the last byte and goes over restart marker `number` (T.81 § E.2.4).
    pub(super) fn restart(&mut self, number: u32) -> Result<(), CodecError> {
        (self.ahead, self.count) = (0, 0);
        let rest = self.data.get(self.position..).unwrap_or_default();
        let skipped = rest.iter().take_while(|byte| **byte == 0xFF).count();
        match rest.get(skipped) {
            Some(marker) if skipped > 0 && u32::from(*marker) == 0xD0 + number % 8 => {
                self.position += skipped + 1;
                Ok(())
            }
            _ => Err(damaged("a restart marker is missing")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stuffing_is_removed_and_markers_end_the_data() {
        let mut reader = BitReader::new(&[0xFF, 0x00, 0x80, 0xFF, 0xD9], 0);
        assert_eq!(reader.bits(9).unwrap(), 0x1FF);
        assert_eq!(reader.bits(7).unwrap(), 0);
        assert!(reader.bits(1).is_err());
        assert_eq!(reader.position(), 3);
    }

    #[test]
    fn values_are_extended() {
        // 3 bits each: 111 = 7, 000 = -7, 011 = -4, 100 = 4.
        let mut reader = BitReader::new(&[0b1110_0001, 0b1100_0000], 0);
        let values: Vec<i32> = (0..4).map(|_| reader.extended(3).unwrap()).collect();
        assert_eq!(values, [7, -7, -4, 4]);
    }

    #[test]
    fn restarts_are_in_order() {
        let mut reader = BitReader::new(&[0xA0, 0xFF, 0xD1, 0x55], 0);
        reader.bits(3).unwrap();
        assert!(reader.restart(0).is_err());
        reader.restart(1).unwrap();
        assert_eq!(reader.bits(8).unwrap(), 0x55);
    }
}
