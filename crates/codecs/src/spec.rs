use crate::{CodecError, Photometric};

/// What a stored value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Representation {
    /// Pixel Data with Pixel Representation 0.
    Unsigned,
    /// Pixel Data with Pixel Representation 1: two's complement.
    Signed,
    /// Float Pixel Data (7FE0,0008) or Double Float Pixel Data (7FE0,0009).
    Float,
}

/// The attributes that describe one frame (PS3.3 C.7.6.3), as the data set has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameSpec {
    /// Rows (0028,0010).
    pub rows: u32,
    /// Columns (0028,0011).
    pub columns: u32,
    /// Samples per Pixel (0028,0002), 1 to 4.
    pub samples_per_pixel: u16,
    /// Bits Allocated (0028,0100): 1, 8, 12 (packed, retired), 16, 32 or 64.
    pub bits_allocated: u16,
    /// Bits Stored (0028,0101), 1 to Bits Allocated. For float the same as Bits Allocated.
    pub bits_stored: u16,
    /// High Bit (0028,0102), at least Bits Stored - 1 and less than Bits Allocated.
    pub high_bit: u16,
    /// Pixel Representation (0028,0103), or float when that element holds the pixels.
    pub representation: Representation,
    /// Planar Configuration (0028,0006) is 1: one colour after the other instead of pixel by pixel.
    pub planar: bool,
    /// Photometric Interpretation (0028,0004).
    pub photometric: Photometric,
}

/// What one call may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Rows x Columns x Samples per Pixel of one frame. A decoder needs up to about 32 bytes a sample.
    pub samples: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { samples: 1 << 28 }
    }
}

impl FrameSpec {
    /// Checks every attribute for itself, all of them together, and the size against the limit.
    ///
    /// # Errors
    /// [`CodecError::Attribute`] names the first one that cannot be; [`CodecError::TooLarge`].
    pub fn check(&self, limits: &Limits) -> Result<(), CodecError> {
        let refuse = |attribute, value: u32| Err(CodecError::Attribute { attribute, value: value.to_string() });
        if self.rows == 0 {
            return refuse("Rows", self.rows);
        }
        if self.columns == 0 {
            return refuse("Columns", self.columns);
        }
        if !(1..=4).contains(&self.samples_per_pixel) || self.samples_per_pixel != self.photometric.samples_per_pixel()
        {
            let value = format!("{} with {}", self.samples_per_pixel, self.photometric);
            return Err(CodecError::Attribute { attribute: "Samples per Pixel", value });
        }
        self.check_depth()?;
        let samples = u128::from(self.rows) * u128::from(self.columns) * u128::from(self.samples_per_pixel);
        if samples > u128::from(limits.samples) || samples > u128::from(i32::MAX.unsigned_abs()) {
            let samples = u64::try_from(samples).unwrap_or(u64::MAX);
            return Err(CodecError::TooLarge { samples, limit: limits.samples.min(i32::MAX.unsigned_abs().into()) });
        }
        Ok(())
    }

    fn check_depth(&self) -> Result<(), CodecError> {
        let refuse = |attribute, value: u16| Err(CodecError::Attribute { attribute, value: value.to_string() });
        let float = self.representation == Representation::Float;
        let allocated: &[u16] = if float { &[32, 64] } else { &[1, 8, 12, 16, 32] };
        if !allocated.contains(&self.bits_allocated) {
            return refuse("Bits Allocated", self.bits_allocated);
        }
        if self.bits_allocated == 1 && self.representation == Representation::Signed {
            return Err(CodecError::Attribute { attribute: "Pixel Representation", value: "1 for one bit".into() });
        }
        if float {
            return Ok(());
        }
        if self.bits_stored == 0 || self.bits_stored > self.bits_allocated {
            return refuse("Bits Stored", self.bits_stored);
        }
        if self.high_bit >= self.bits_allocated || self.high_bit + 1 < self.bits_stored {
            return refuse("High Bit", self.high_bit);
        }
        Ok(())
    }

    /// Rows x Columns; fits after [`check`](Self::check).
    pub(crate) fn pixels(&self) -> usize {
        self.rows as usize * self.columns as usize
    }

    /// Rows x Columns x Samples per Pixel; fits after [`check`](Self::check).
    pub(crate) fn samples(&self) -> usize {
        self.pixels() * usize::from(self.samples_per_pixel)
    }

    /// Bytes a sample takes in memory: Bits Allocated rounded up to 1, 2, 4 or 8 bytes.
    pub(crate) fn container_bytes(&self) -> usize {
        match self.bits_allocated {
            0..=8 => 1,
            9..=16 => 2,
            17..=32 => 4,
            _ => 8,
        }
    }

    pub(crate) fn is_signed(&self) -> bool {
        self.representation == Representation::Signed
    }

    /// Compares what a codestream header says with the attributes, before anything is allocated for it.
    pub(crate) fn expect_codestream(
        &self,
        codec: &'static str,
        rows: u32,
        columns: u32,
        components: u32,
    ) -> Result<(), CodecError> {
        let pairs = [
            ("rows", rows, self.rows),
            ("columns", columns, self.columns),
            ("components", components, u32::from(self.samples_per_pixel)),
        ];
        match pairs.into_iter().find(|(_, found, expected)| found != expected) {
            Some((property, found, expected)) => {
                Err(CodecError::Mismatch { codec, property, found: found.into(), expected: expected.into() })
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn grey(rows: u32, columns: u32, allocated: u16, stored: u16) -> FrameSpec {
        FrameSpec {
            rows,
            columns,
            samples_per_pixel: 1,
            bits_allocated: allocated,
            bits_stored: stored,
            high_bit: stored.saturating_sub(1),
            representation: Representation::Unsigned,
            planar: false,
            photometric: Photometric::Monochrome2,
        }
    }

    fn refused(change: impl FnOnce(&mut FrameSpec)) -> &'static str {
        let mut spec = grey(4, 4, 16, 12);
        change(&mut spec);
        match spec.check(&Limits::default()) {
            Ok(()) => "",
            Err(CodecError::Attribute { attribute, .. }) => attribute,
            Err(_) => "limit",
        }
    }

    #[test]
    fn every_attribute_is_checked() {
        assert_eq!(refused(|_| {}), "");
        assert_eq!(refused(|s| s.rows = 0), "Rows");
        assert_eq!(refused(|s| s.columns = 0), "Columns");
        assert_eq!(refused(|s| s.samples_per_pixel = 0), "Samples per Pixel");
        assert_eq!(refused(|s| s.samples_per_pixel = 3), "Samples per Pixel");
        assert_eq!(refused(|s| s.bits_allocated = 0), "Bits Allocated");
        assert_eq!(refused(|s| s.bits_allocated = 24), "Bits Allocated");
        assert_eq!(refused(|s| s.bits_stored = 0), "Bits Stored");
        assert_eq!(refused(|s| s.bits_stored = 31), "Bits Stored");
        assert_eq!(refused(|s| s.high_bit = 16), "High Bit");
        assert_eq!(refused(|s| s.high_bit = 10), "High Bit");
        assert_eq!(refused(|s| s.representation = Representation::Float), "Bits Allocated");
        assert_eq!(refused(|s| s.rows = u32::MAX), "limit");
        assert_eq!(refused(|s| (s.rows, s.columns) = (u32::MAX, u32::MAX)), "limit");
    }
}
