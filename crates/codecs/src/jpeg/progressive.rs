//! Progressive DCT scans (T.81 Annex G): spectral selection and successive approximation.

use super::bit_reader::BitReader;
use super::frame::Frame;
use super::huffman::Table;
use super::planes::CoefficientPlane;
use super::scan::{Scan, dc_difference, table_of, walk};
use super::{Tables, damaged};
use crate::CodecError;

/// State that a restart resets.
struct State<'a> {
    planes: &'a mut [CoefficientPlane],
    predictions: Vec<i32>,
    /// Blocks left in the current run of blocks without further coefficients.
    end_of_band_run: u32,
}

/// Decodes one scan into the coefficients.
pub(super) fn decode(
    frame: &Frame,
    planes: &mut [CoefficientPlane],
    scan: &Scan,
    tables: &Tables,
    reader: &mut BitReader,
) -> Result<(), CodecError> {
    let is_dc = scan.start == 0;
    if scan.end > 63 || scan.start > scan.end || (is_dc && scan.end > 0) || scan.low > 13 || scan.high > 13 {
        return Err(damaged("an impossible spectral selection or approximation"));
    }
    if !is_dc && scan.components.len() > 1 {
        return Err(damaged("a progressive scan interleaves AC coefficients"));
    }
    let first = scan.high == 0;
    let mut dc_tables = Vec::new();
    for member in &scan.components {
        planes[member.index].scans += 1;
        if is_dc && first {
            dc_tables.push(table_of(&tables.dc, member.dc)?);
        }
    }
    let ac_table = if is_dc { None } else { Some(table_of(&tables.ac, scan.components[0].ac)?) };
    let predictions = vec![0; scan.components.len()];
    let mut state = State { planes, predictions, end_of_band_run: 0 };
    walk(
        frame,
        scan,
        tables.restart_interval,
        reader,
        &mut state,
        |state, reader, position, x, y| {
            let plane = &mut state.planes[scan.components[position].index];
            let block = plane.blocks.get_mut(y * plane.blocks_wide + x).ok_or_else(|| damaged("a block outside"))?;
            match ac_table {
                None if first => {
                    let prediction = &mut state.predictions[position];
                    *prediction = prediction.wrapping_add(dc_difference(dc_tables[position], reader)?);
                    block[0] = narrowed(i64::from(*prediction) << scan.low);
                    Ok(())
                }
                None => {
                    block[0] |= narrowed(i64::from(reader.bits(1)?) << scan.low);
                    Ok(())
                }
                Some(table) if first => ac_first(table, reader, scan, block, &mut state.end_of_band_run),
                Some(table) => ac_refine(table, reader, scan, block, &mut state.end_of_band_run),
            }
        },
        |state| {
            state.predictions.fill(0);
            state.end_of_band_run = 0;
        },
    )
}

/// A coefficient is at most 16 bits with 12-bit samples; more is damage, cut without harm.
fn narrowed(value: i64) -> i16 {
    i16::try_from(value.clamp(i16::MIN.into(), i16::MAX.into())).unwrap_or_default()
}

/// The length of a run of empty bands, this block included (T.81 § G.1.2.2).
fn band_run(reader: &mut BitReader, size: u8) -> Result<u32, CodecError> {
    Ok((1 << size) + reader.bits(size.into())?)
}

fn ac_first(
    table: &Table,
    reader: &mut BitReader,
    scan: &Scan,
    block: &mut [i16; 64],
    run_left: &mut u32,
) -> Result<(), CodecError> {
    if *run_left > 0 {
        *run_left -= 1;
        return Ok(());
    }
    let mut index = usize::from(scan.start);
    while index <= usize::from(scan.end) {
        let symbol = table.decode(reader)?;
        let (run, size) = (symbol >> 4, symbol & 15);
        match (size, run) {
            (0, 15) => index += 16,
            (0, _) => {
                *run_left = band_run(reader, run)? - 1;
                return Ok(());
            }
            _ => {
                index += usize::from(run);
                let slot = block.get_mut(index).ok_or_else(|| damaged("a block of more than 64 coefficients"))?;
                *slot = narrowed(i64::from(reader.extended(size.into())?) << scan.low);
                index += 1;
            }
        }
    }
    Ok(())
}

/// One more bit of the known coefficients and the coefficients that become known (T.81 § G.1.2.3).
fn ac_refine(
    table: &Table,
    reader: &mut BitReader,
    scan: &Scan,
    block: &mut [i16; 64],
    run_left: &mut u32,
) -> Result<(), CodecError> {
    let bit = 1_i16 << scan.low;
    let mut index = usize::from(scan.start);
    let end = usize::from(scan.end);
    while *run_left == 0 && index <= end {
        let symbol = table.decode(reader)?;
        let (run, size) = (symbol >> 4, symbol & 15);
        if size == 0 && run < 15 {
            *run_left = band_run(reader, run)?;
            break;
        }
        let fresh = match size {
            0 => 0,
            1 if reader.bits(1)? == 1 => bit,
            1 => -bit,
            _ => return Err(damaged("a refinement of more than one bit")),
        };
        index = refine_run(reader, block, index, end, u32::from(run), bit)?;
        if fresh != 0 {
            let slot = block.get_mut(index).filter(|_| index <= end);
            *slot.ok_or_else(|| damaged("a refinement behind its band"))? = fresh;
        }
        index += 1;
    }
    if *run_left > 0 {
        refine_run(reader, block, index, end, u32::MAX, bit)?;
        *run_left -= 1;
    }
    Ok(())
}

/// Refines known coefficients from `index` on while skipping `zeros` unknown ones; returns the place of
/// the next unknown one, or one behind the band.
fn refine_run(
    reader: &mut BitReader,
    block: &mut [i16; 64],
    mut index: usize,
    end: usize,
    mut zeros: u32,
    bit: i16,
) -> Result<usize, CodecError> {
    while index <= end {
        let value = &mut block[index];
        if *value == 0 {
            if zeros == 0 {
                break;
            }
            zeros -= 1;
        } else if reader.bits(1)? == 1 && *value & bit == 0 {
            *value = value.saturating_add(if *value > 0 { bit } else { -bit });
        }
        index += 1;
    }
    Ok(index)
}
