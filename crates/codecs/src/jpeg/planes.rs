//! What a frame's components are kept in between the first scan and the end of the image.

use super::damaged;
use super::dct::{Transform, ZIGZAG};
use super::frame::{Component, Frame, Process};
use super::upsample::interleave;
use crate::CodecError;

/// The components of a frame, by process.
pub(super) enum Planes {
    Dct(Vec<DctPlane>),
    Coefficients(Vec<CoefficientPlane>),
    Lossless(LosslessPlanes),
}

/// Samples of one component in whole blocks.
pub(super) struct DctPlane {
    /// Samples from one row to the next.
    pub(super) stride: usize,
    pub(super) samples: Vec<u16>,
    pub(super) done: bool,
}

/// Coefficients of one component in zigzag order, block by block.
pub(super) struct CoefficientPlane {
    pub(super) blocks_wide: usize,
    pub(super) blocks: Vec<[i16; 64]>,
    /// Scans that touched it.
    pub(super) scans: u32,
}

/// Samples of all components, pixel by pixel.
pub(super) struct LosslessPlanes {
    pub(super) samples: Vec<u16>,
    pub(super) done: Vec<bool>,
}

impl Planes {
    /// Allocates what the frame needs; the frame has been compared with the attributes.
    pub(super) fn new(frame: &Frame) -> Self {
        match frame.process {
            Process::Sequential => Self::Dct(frame.components.iter().map(DctPlane::new).collect()),
            Process::Progressive => Self::Coefficients(frame.components.iter().map(CoefficientPlane::new).collect()),
            Process::Lossless => Self::Lossless(LosslessPlanes {
                samples: vec![0; frame.columns * frame.rows * frame.components.len()],
                done: vec![false; frame.components.len()],
            }),
        }
    }

    /// Samples pixel by pixel, after the last scan.
    pub(super) fn finish(self, frame: &Frame, quantisation: &[Option<[u16; 64]>; 4]) -> Result<Vec<u16>, CodecError> {
        let planes = match self {
            Self::Lossless(planes) if planes.done.iter().all(|done| *done) => return Ok(planes.samples),
            Self::Dct(planes) if planes.iter().all(|plane| plane.done) => planes,
            Self::Coefficients(planes) if planes.iter().all(|plane| plane.scans > 0) => {
                let transform = Transform::new(frame.precision);
                let pairs = planes.into_iter().zip(&frame.components);
                pairs
                    .map(|(plane, component)| plane.finish(component, quantisation, &transform))
                    .collect::<Result<_, _>>()?
            }
            _ => return Err(damaged("a component was never coded")),
        };
        Ok(interleave(frame, &planes))
    }
}

impl DctPlane {
    fn new(component: &Component) -> Self {
        let stride = component.blocks_wide * 8;
        Self { stride, samples: vec![0; stride * component.blocks_high * 8], done: false }
    }

    /// Puts a block at its column and row of blocks.
    #[inline]
    pub(super) fn put(&mut self, x: usize, y: usize, block: &[u16; 64]) {
        let start = y * 8 * self.stride + x * 8;
        let rows = self.samples.get_mut(start..).unwrap_or_default().chunks_mut(self.stride);
        for (row, values) in rows.zip(block.as_chunks::<8>().0) {
            if let Some(slots) = row.first_chunk_mut::<8>() {
                *slots = *values;
            }
        }
    }
}

impl CoefficientPlane {
    fn new(component: &Component) -> Self {
        let blocks = vec![[0; 64]; component.blocks_wide * component.blocks_high];
        Self { blocks_wide: component.blocks_wide, blocks, scans: 0 }
    }

    fn finish(
        self,
        component: &Component,
        quantisation: &[Option<[u16; 64]>; 4],
        transform: &Transform,
    ) -> Result<DctPlane, CodecError> {
        let table = quantisation[component.quantisation].ok_or_else(|| damaged("a quantisation table is missing"))?;
        let mut plane = DctPlane::new(component);
        let mut block = [0; 64];
        for (index, coefficients) in self.blocks.iter().enumerate() {
            for ((place, value), step) in ZIGZAG.iter().zip(coefficients).zip(table) {
                block[*place] = i32::from(*value) * i32::from(step);
            }
            plane.put(index % self.blocks_wide, index / self.blocks_wide, &transform.samples(&block));
        }
        Ok(plane)
    }
}
