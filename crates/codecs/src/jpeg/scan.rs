//! Scan headers (T.81 § B.2.3), the walk over a scan's blocks, and sequential DCT blocks (§ F.2.2).

use super::bit_reader::BitReader;
use super::dct::{Transform, ZIGZAG};
use super::frame::{Frame, Process};
use super::planes::DctPlane;
use super::{Tables, damaged};
use crate::CodecError;

/// Which components a scan codes, and what of them.
pub(super) struct Scan {
    pub(super) components: Vec<ScanComponent>,
    /// Start of spectral selection; the predictor in the lossless process.
    pub(super) start: u8,
    /// End of spectral selection.
    pub(super) end: u8,
    /// Successive approximation, or the lossless point transform in `low`.
    pub(super) high: u8,
    pub(super) low: u8,
}

#[derive(Clone, Copy)]
pub(super) struct ScanComponent {
    /// Index in the frame.
    pub(super) index: usize,
    pub(super) dc: usize,
    pub(super) ac: usize,
}

impl Scan {
    /// Reads a scan header.
    pub(super) fn read(body: &[u8], frame: &Frame) -> Result<Self, CodecError> {
        let short = || damaged("a scan header is cut short");
        let (count, rest) = body.split_first().ok_or_else(short)?;
        let (selectors, rest) = rest.split_at_checked(usize::from(*count) * 2).ok_or_else(short)?;
        let [start, end, approximation] = *rest.first_chunk::<3>().ok_or_else(short)?;
        let mut components: Vec<ScanComponent> = Vec::new();
        for [id, slots] in selectors.as_chunks::<2>().0 {
            let index = frame.components.iter().position(|component| component.id == *id);
            let index = index.ok_or_else(|| damaged("a scan of an unknown component"))?;
            if components.iter().any(|other| other.index == index) {
                return Err(damaged("a scan names a component twice"));
            }
            components.push(ScanComponent { index, dc: usize::from(slots >> 4), ac: usize::from(slots & 15) });
        }
        if components.is_empty() {
            return Err(damaged("a scan without components"));
        }
        let blocks = |c: &ScanComponent| frame.components[c.index].horizontal * frame.components[c.index].vertical;
        if components.len() > 1
            && components.iter().map(blocks).sum::<usize>() > 10
            && frame.process != Process::Lossless
        {
            return Err(damaged("more than ten blocks in a unit"));
        }
        Ok(Self { components, start, end, high: approximation >> 4, low: approximation & 15 })
    }
}

/// Visits the blocks of a scan in coding order (T.81 § A.2): component by component inside a unit when
/// interleaved, row by row over the blocks that carry the image when not. `visit` gets the position in
/// the scan's component list and the block's column and row; `restarted` is called at each restart.
pub(super) fn walk<S>(
    frame: &Frame,
    scan: &Scan,
    interval: u32,
    reader: &mut BitReader,
    state: &mut S,
    mut visit: impl FnMut(&mut S, &mut BitReader, usize, usize, usize) -> Result<(), CodecError>,
    restarted: impl Fn(&mut S),
) -> Result<(), CodecError> {
    let alone = scan.components.len() == 1;
    let first = &frame.components[scan.components[0].index];
    let (wide, high) =
        if alone { (first.width.div_ceil(8), first.height.div_ceil(8)) } else { (frame.units_wide, frame.units_high) };
    let mut restarts = Restarts::new(interval);
    for row in 0..high {
        for column in 0..wide {
            if restarts.due(reader)? {
                restarted(state);
            }
            if alone {
                visit(state, reader, 0, column, row)?;
                continue;
            }
            for (position, member) in scan.components.iter().enumerate() {
                let component = &frame.components[member.index];
                for block in 0..component.horizontal * component.vertical {
                    let x = column * component.horizontal + block % component.horizontal;
                    let y = row * component.vertical + block / component.horizontal;
                    visit(state, reader, position, x, y)?;
                }
            }
        }
    }
    Ok(())
}

/// Counts units and reads the restart markers between them.
pub(super) struct Restarts {
    interval: u32,
    left: u32,
    number: u32,
}

impl Restarts {
    pub(super) fn new(interval: u32) -> Self {
        Self { interval, left: interval, number: 0 }
    }

    /// Call before each unit: whether a restart comes before it, which has then been read.
    #[inline]
    pub(super) fn due(&mut self, reader: &mut BitReader) -> Result<bool, CodecError> {
        if self.interval == 0 {
            return Ok(false);
        }
        let due = self.left == 0;
        if due {
            reader.restart(self.number)?;
            self.number += 1;
            self.left = self.interval;
        }
        self.left -= 1;
        Ok(due)
    }
}

/// Decodes a sequential scan into samples. Spectral selection is not looked at: some encoders write 0
/// to 0 there and code all coefficients nevertheless.
pub(super) fn decode_sequential(
    frame: &Frame,
    planes: &mut [DctPlane],
    scan: &Scan,
    tables: &Tables,
    reader: &mut BitReader,
) -> Result<(), CodecError> {
    let mut coders = Vec::new();
    for member in &scan.components {
        let plane = &mut planes[member.index];
        if std::mem::replace(&mut plane.done, true) {
            return Err(damaged("a component is coded twice"));
        }
        let table = frame.components[member.index].quantisation;
        coders.push(Coder {
            dc: table_of(&tables.dc, member.dc)?,
            ac: table_of(&tables.ac, member.ac)?,
            quantisation: tables.quantisation[table].ok_or_else(|| damaged("a quantisation table is missing"))?,
        });
    }
    let transform = Transform::new(frame.precision);
    let mut state = (planes, vec![0; coders.len()]);
    walk(
        frame,
        scan,
        tables.restart_interval,
        reader,
        &mut state,
        |(planes, predictions), reader, position, x, y| {
            let mut block = [0; 64];
            coders[position].decode(reader, &mut predictions[position], &mut block)?;
            planes[scan.components[position].index].put(x, y, &transform.samples(&block));
            Ok(())
        },
        |(_, predictions)| predictions.fill(0),
    )
}

pub(super) fn table_of<T>(tables: &[Option<T>; 4], index: usize) -> Result<&T, CodecError> {
    let table = tables.get(index).and_then(Option::as_ref);
    table.ok_or_else(|| damaged("a Huffman table is missing"))
}

/// What decodes the blocks of one component.
struct Coder<'a> {
    dc: &'a super::huffman::Table,
    ac: &'a super::huffman::Table,
    quantisation: [u16; 64],
}

impl Coder<'_> {
    /// Reads one block and multiplies it by the quantisation table, out of zigzag order.
    fn decode(&self, reader: &mut BitReader, prediction: &mut i32, block: &mut [i32; 64]) -> Result<(), CodecError> {
        *prediction = prediction.wrapping_add(dc_difference(self.dc, reader)?);
        block[0] = prediction.wrapping_mul(self.quantisation[0].into());
        let mut index = 1;
        while index < 64 {
            let symbol = self.ac.decode(reader)?;
            let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
            if size == 0 {
                if run < 15 {
                    break;
                }
                index += 16;
                continue;
            }
            index += run;
            let place = ZIGZAG.get(index).ok_or_else(|| damaged("a block of more than 64 coefficients"))?;
            block[*place] = reader.extended(size)? * i32::from(self.quantisation[index]);
            index += 1;
        }
        Ok(())
    }
}

/// The difference of a DC coefficient to the one before (T.81 § F.2.2.1).
pub(super) fn dc_difference(table: &super::huffman::Table, reader: &mut BitReader) -> Result<i32, CodecError> {
    let size = table.decode(reader)?;
    if size > 15 {
        return Err(damaged("a difference of more than 15 bits"));
    }
    reader.extended(size.into())
}
