//! Coded bits (T.87 § A.1): high bit first, a zero bit stuffed behind every FF.

use super::damaged;
use crate::CodecError;

/// Reads bits up to the next marker; what lies behind is an error.
pub(super) struct BitReader<'a> {
    data: &'a [u8],
    position: usize,
    /// Bits read ahead, the next one on top, zeros below.
    ahead: u64,
    count: u32,
    after_ff: bool,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(data: &'a [u8], position: usize) -> Self {
        Self { data, position, ahead: 0, count: 0, after_ff: false }
    }

    /// At or before the marker that ends the data.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    #[inline]
    fn refill(&mut self) {
        while self.count <= 56 {
            let Some(&byte) = self.data.get(self.position) else { return };
            let is_marker = byte == 0xFF && self.data.get(self.position + 1).is_none_or(|next| *next >= 0x80);
            if is_marker || (self.after_ff && byte >= 0x80) {
                return;
            }
            let bits = if self.after_ff { 7 } else { 8 };
            self.ahead |= (u64::from(byte) << (64 - bits)) >> self.count;
            self.count += bits;
            self.after_ff = byte == 0xFF;
            self.position += 1;
        }
    }

    fn short() -> CodecError {
        damaged("the data ends inside a scan")
    }

    /// The next bits as a number; at most 32.
    #[inline]
    pub(super) fn bits(&mut self, count: u32) -> Result<u32, CodecError> {
        if count == 0 {
            return Ok(0);
        }
        if self.count < count {
            self.refill();
            if self.count < count {
                return Err(Self::short());
            }
        }
        let value = self.ahead >> (64 - count);
        self.ahead <<= count;
        self.count -= count;
        Ok(u32::try_from(value).unwrap_or(u32::MAX))
    }

    /// The number of zeros before the next one, which is consumed too; at most `limit`.
    #[inline]
    pub(super) fn zeros(&mut self, limit: u32) -> Result<u32, CodecError> {
        let mut total = 0;
        loop {
            if self.count < 32 {
                self.refill();
            }
            let zeros = self.ahead.leading_zeros().min(self.count);
            total += zeros;
            if total > limit {
                return Err(damaged("a code longer than any"));
            }
            self.count -= zeros;
            // All 64 bits may be zeros; such a shift is not defined.
            self.ahead = self.ahead.checked_shl(zeros).unwrap_or(0);
            if self.count > 0 {
                self.bits(1)?;
                return Ok(total);
            }
            self.refill();
            if self.count == 0 {
                return Err(Self::short());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_is_stuffed_behind_ff() {
        let mut reader = BitReader::new(&[0xFF, 0x7F, 0x80, 0xFF, 0xD9], 0);
        assert_eq!(reader.bits(15).unwrap(), 0x7FFF);
        assert_eq!(reader.bits(8).unwrap(), 0x80);
        assert!(reader.bits(1).is_err());
        assert_eq!(reader.position(), 3);
    }

    #[test]
    fn zeros_are_counted_up_to_a_limit() {
        let mut reader = BitReader::new(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0b0001_1000], 0);
        assert_eq!(reader.zeros(80).unwrap(), 75);
        assert_eq!(reader.zeros(80).unwrap(), 0);
        assert!(reader.zeros(80).is_err());
        assert!(BitReader::new(&[0; 9], 0).zeros(30).is_err());
    }
}
