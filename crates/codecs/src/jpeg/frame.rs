//! The frame header (T.81 § B.2.2) and the geometry that follows from it (§ A.1).

use super::{CODEC, damaged};
use crate::{CodecError, FrameSpec};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Process {
    Sequential,
    Progressive,
    Lossless,
}

/// What a codestream says of its image, checked against the attributes.
pub(super) struct Frame {
    pub(super) process: Process,
    /// Bits per sample: 8 or 12 with DCT, 2 to 16 lossless.
    pub(super) precision: u8,
    pub(super) columns: usize,
    pub(super) rows: usize,
    pub(super) components: Vec<Component>,
    /// Minimum coded units of an interleaved scan.
    pub(super) units_wide: usize,
    pub(super) units_high: usize,
    pub(super) horizontal_max: usize,
    pub(super) vertical_max: usize,
}

pub(super) struct Component {
    pub(super) id: u8,
    /// Sampling factors, 1 to 4.
    pub(super) horizontal: usize,
    pub(super) vertical: usize,
    /// Quantisation table, 0 to 3.
    pub(super) quantisation: usize,
    /// Samples that carry the image.
    pub(super) width: usize,
    pub(super) height: usize,
    /// 8x8 blocks with the padding of interleaved scans.
    pub(super) blocks_wide: usize,
    pub(super) blocks_high: usize,
}

impl Frame {
    /// Reads SOF0 to SOF3.
    pub(super) fn read(marker: u8, body: &[u8], spec: &FrameSpec) -> Result<Self, CodecError> {
        let (head, rest) = body.split_first_chunk::<6>().ok_or_else(|| damaged("a frame header is cut short"))?;
        let [precision, high, low, wide, narrow, count] = *head;
        let process = match marker {
            0xC0 | 0xC1 => Process::Sequential,
            0xC2 => Process::Progressive,
            _ => Process::Lossless,
        };
        let rows = match u16::from_be_bytes([high, low]) {
            // The height may come behind the first scan (DNL); the attributes know it already.
            0 => spec.rows,
            rows => rows.into(),
        };
        let columns = u32::from(u16::from_be_bytes([wide, narrow]));
        spec.expect_codestream(CODEC, rows, columns, count.into())?;
        let fits = match process {
            Process::Lossless => (2..=16).contains(&precision),
            _ => precision == 8 || precision == 12,
        };
        if !fits {
            return Err(damaged(format!("a precision of {precision} bits")));
        }
        if precision > 8 && spec.bits_allocated <= 8 {
            let (found, expected) = (u64::from(precision), u64::from(spec.bits_allocated));
            return Err(CodecError::Mismatch { codec: CODEC, property: "bits", found, expected });
        }
        if rest.len() < usize::from(count) * 3 {
            return Err(damaged("a frame header is cut short"));
        }
        let triples = rest.as_chunks::<3>().0.iter().take(count.into());
        let mut frame = Self {
            process,
            precision,
            columns: columns as usize,
            rows: rows as usize,
            components: triples.map(Component::read).collect::<Result<_, _>>()?,
            units_wide: 0,
            units_high: 0,
            horizontal_max: 1,
            vertical_max: 1,
        };
        frame.lay_out()?;
        Ok(frame)
    }

    fn lay_out(&mut self) -> Result<(), CodecError> {
        let most = |factor: fn(&Component) -> usize, of: &[Component]| of.iter().map(factor).max().unwrap_or(1);
        self.horizontal_max = most(|component| component.horizontal, &self.components);
        self.vertical_max = most(|component| component.vertical, &self.components);
        if self.process == Process::Lossless {
            let alone = self.components.len() == 1;
            if !alone && (self.horizontal_max > 1 || self.vertical_max > 1) {
                return Err(CodecError::unsupported(CODEC, "subsampling in the lossless process"));
            }
            (self.units_wide, self.units_high) = (self.columns, self.rows);
            return Ok(());
        }
        self.units_wide = self.columns.div_ceil(8 * self.horizontal_max);
        self.units_high = self.rows.div_ceil(8 * self.vertical_max);
        for component in &mut self.components {
            component.width = (self.columns * component.horizontal).div_ceil(self.horizontal_max);
            component.height = (self.rows * component.vertical).div_ceil(self.vertical_max);
            component.blocks_wide = self.units_wide * component.horizontal;
            component.blocks_high = self.units_high * component.vertical;
        }
        Ok(())
    }

    pub(super) fn is_subsampled(&self) -> bool {
        self.horizontal_max > 1 || self.vertical_max > 1
    }
}

impl Component {
    fn read(bytes: &[u8; 3]) -> Result<Self, CodecError> {
        let [id, sampling, quantisation] = *bytes;
        let (horizontal, vertical) = (usize::from(sampling >> 4), usize::from(sampling & 15));
        if !(1..=4).contains(&horizontal) || !(1..=4).contains(&vertical) || quantisation > 3 {
            return Err(damaged("a component with impossible sampling or table"));
        }
        Ok(Self {
            id,
            horizontal,
            vertical,
            quantisation: quantisation.into(),
            width: 0,
            height: 0,
            blocks_wide: 0,
            blocks_high: 0,
        })
    }
}
