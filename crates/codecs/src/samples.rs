use crate::{FrameSpec, Photometric, Representation};

/// The stored values of one frame in the container that Bits Allocated asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Samples {
    /// 1 to 8 bits, unsigned.
    U8(Vec<u8>),
    /// 8 bits, signed.
    I8(Vec<i8>),
    /// 12 or 16 bits, unsigned.
    U16(Vec<u16>),
    /// 12 or 16 bits, signed.
    I16(Vec<i16>),
    /// 32 bits, unsigned.
    U32(Vec<u32>),
    /// 32 bits, signed.
    I32(Vec<i32>),
    /// Float Pixel Data.
    F32(Vec<f32>),
    /// Double Float Pixel Data.
    F64(Vec<f64>),
}

/// One frame, decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodedFrame {
    /// Rows.
    pub rows: u32,
    /// Columns.
    pub columns: u32,
    /// Samples per pixel.
    pub samples_per_pixel: u16,
    /// What the samples are now: always full resolution, so never a subsampled interpretation, and
    /// never one that exists only inside a codestream.
    pub photometric: Photometric,
    /// Row by row, pixel by pixel, sample by sample; Rows x Columns x Samples per Pixel values, cut to
    /// Bits Stored at High Bit and sign-extended from there.
    pub samples: Samples,
}

impl Samples {
    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::U8(values) => values.len(),
            Self::I8(values) => values.len(),
            Self::U16(values) => values.len(),
            Self::I16(values) => values.len(),
            Self::U32(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
        }
    }

    /// Whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value at `index`, or `None` behind the end.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<f64> {
        match self {
            Self::U8(values) => values.get(index).map(|v| f64::from(*v)),
            Self::I8(values) => values.get(index).map(|v| f64::from(*v)),
            Self::U16(values) => values.get(index).map(|v| f64::from(*v)),
            Self::I16(values) => values.get(index).map(|v| f64::from(*v)),
            Self::U32(values) => values.get(index).map(|v| f64::from(*v)),
            Self::I32(values) => values.get(index).map(|v| f64::from(*v)),
            Self::F32(values) => values.get(index).map(|v| f64::from(*v)),
            Self::F64(values) => values.get(index).copied(),
        }
    }

    /// All values as little endian bytes, as native Pixel Data holds them with planar configuration 0.
    #[must_use]
    pub fn to_le_bytes(&self) -> Vec<u8> {
        match self {
            Self::U8(values) => values.clone(),
            Self::I8(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Self::U16(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Self::I16(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Self::U32(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Self::I32(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Self::F32(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Self::F64(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    }
}

/// Where the stored value lies inside a decoded value.
#[derive(Clone, Copy)]
pub(crate) struct Cell {
    stored: u32,
    shift: u32,
    signed: bool,
    /// What lies beyond the largest stored value stands for that.
    saturates: bool,
}

impl Cell {
    /// Of a whole pixel cell: Bits Stored below High Bit.
    pub(crate) fn of_cell(spec: &FrameSpec) -> Self {
        let shift = u32::from((spec.high_bit + 1).saturating_sub(spec.bits_stored));
        Self { stored: spec.bits_stored.into(), shift, signed: spec.is_signed(), saturates: false }
    }

    /// Of a codec's sample of `precision` bits. A codec codes either the stored value alone, or the
    /// whole cell with whatever lies beside the stored value; the precision tells which.
    pub(crate) fn of_codec(spec: &FrameSpec, precision: u8) -> Self {
        let whole_cell = u16::from(precision) > spec.high_bit && u16::from(precision) > spec.bits_stored;
        let cell = Self::of_cell(spec);
        Self { shift: if whole_cell { cell.shift } else { 0 }, ..cell }
    }

    /// As [`of_codec`](Self::of_codec), the sign at the top of `precision` when that is less than Bits Stored.
    pub(crate) fn of_codec_signed_at(spec: &FrameSpec, precision: u8) -> Self {
        let cell = Self::of_codec(spec, precision);
        Self { stored: cell.stored.min(precision.into()), ..cell }
    }

    /// The same of a codec that may be lossy, and then puts bright pixels beyond the range where its precision has room.
    ///
    /// Signed values have no such end: of them a codec may code the sign once or all the way up.
    pub(crate) fn coded_with_loss(self, lossy: bool) -> Self {
        Self { saturates: lossy && !self.signed && self.shift == 0, ..self }
    }

    /// Cuts the stored value out and extends its sign; the bits of the result are those of an `i64`.
    #[inline]
    fn value(self, raw: u32) -> i64 {
        let raw = i64::from(raw) >> self.shift;
        if self.saturates {
            return raw.min((1_i64 << self.stored) - 1);
        }
        let unused = 64 - self.stored;
        let top = raw << unused;
        if self.signed { top >> unused } else { raw & ((1_i64 << self.stored) - 1) }
    }
}

/// Puts decoded values into the container of `spec`, cut and sign-extended as `cell` says.
///
/// The container is at most 32 bits wide here; `spec` has been checked.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`Cell::value` fits the container: Bits Stored <= Bits Allocated"
)]
pub(crate) fn pack<T: Copy + Into<u32>>(spec: &FrameSpec, cell: Cell, raw: &[T]) -> Samples {
    let values = raw.iter().map(|v| cell.value((*v).into()));
    match (spec.container_bytes(), spec.is_signed()) {
        (1, false) => Samples::U8(values.map(|v| v as u8).collect()),
        (1, true) => Samples::I8(values.map(|v| v as i8).collect()),
        (2, false) => Samples::U16(values.map(|v| v as u16).collect()),
        (2, true) => Samples::I16(values.map(|v| v as i16).collect()),
        (_, false) => Samples::U32(values.map(|v| v as u32).collect()),
        (_, true) => Samples::I32(values.map(|v| v as i32).collect()),
    }
}

/// Reads whole cells, little endian and pixel by pixel, into samples. `bytes` holds exactly one frame.
pub(crate) fn from_le_bytes(spec: &FrameSpec, bytes: Vec<u8>) -> Samples {
    if spec.representation == Representation::Float {
        return floats(spec, &bytes);
    }
    let cell = Cell::of_cell(spec);
    let whole = spec.bits_stored == spec.bits_allocated;
    match spec.container_bytes() {
        1 if whole && !spec.is_signed() => Samples::U8(bytes),
        1 => pack(spec, cell, &bytes),
        2 => {
            let words: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b)).collect();
            if whole && !spec.is_signed() { Samples::U16(words) } else { pack(spec, cell, &words) }
        }
        _ => {
            let words: Vec<u32> = bytes.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b)).collect();
            if whole && !spec.is_signed() { Samples::U32(words) } else { pack(spec, cell, &words) }
        }
    }
}

fn floats(spec: &FrameSpec, bytes: &[u8]) -> Samples {
    if spec.bits_allocated == 32 {
        Samples::F32(bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
    } else {
        Samples::F64(bytes.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::tests::grey;

    #[test]
    fn bits_beside_the_stored_value_are_dropped_and_the_sign_extended() {
        let mut spec = grey(1, 2, 16, 12);
        assert_eq!(pack(&spec, Cell::of_cell(&spec), &[0xF123_u16, 0x0FFF]), Samples::U16(vec![0x123, 0xFFF]));
        spec.representation = Representation::Signed;
        assert_eq!(pack(&spec, Cell::of_cell(&spec), &[0xF123_u16, 0x0FFF]), Samples::I16(vec![0x123, -1]));
        spec.high_bit = 15;
        assert_eq!(pack(&spec, Cell::of_cell(&spec), &[0x1230_u16, 0xFFF7]), Samples::I16(vec![0x123, -1]));
        spec.high_bit = 11;
        spec.representation = Representation::Unsigned;
        let with_loss = Cell::of_codec(&spec, 16).coded_with_loss(true);
        assert_eq!(pack(&spec, with_loss, &[0x123_u16, 0x1001]), Samples::U16(vec![0x123, 0xFFF]));
        spec.high_bit = 15;
        spec.representation = Representation::Signed;
        // A codec of 12 bits codes the stored value alone, one of 16 bits the cell.
        assert_eq!(pack(&spec, Cell::of_codec(&spec, 12), &[0x123_u16, 0xFFF]), Samples::I16(vec![0x123, -1]));
        assert_eq!(pack(&spec, Cell::of_codec(&spec, 16), &[0x1230_u16, 0xFFF7]), Samples::I16(vec![0x123, -1]));
    }

    #[test]
    fn full_width_values_survive() {
        let mut spec = grey(1, 2, 32, 32);
        assert_eq!(pack(&spec, Cell::of_cell(&spec), &[u32::MAX, 1]), Samples::U32(vec![u32::MAX, 1]));
        spec.representation = Representation::Signed;
        assert_eq!(pack(&spec, Cell::of_cell(&spec), &[u32::MAX, 1]), Samples::I32(vec![-1, 1]));
    }
}
