//! The lossless process (T.81 Annex H): each sample is predicted from its neighbours to the left (a),
//! above (b) and above left (c), and the difference is Huffman coded, all modulo 2^16.

use super::bit_reader::BitReader;
use super::frame::Frame;
use super::huffman::Table;
use super::planes::LosslessPlanes;
use super::scan::{Restarts, Scan, table_of};
use super::{CODEC, Tables, damaged};
use crate::CodecError;

/// Decodes one scan into the samples of its components.
pub(super) fn decode(
    frame: &Frame,
    planes: &mut LosslessPlanes,
    scan: &Scan,
    tables: &Tables,
    reader: &mut BitReader,
) -> Result<(), CodecError> {
    let (predictor, point_transform) = (scan.start, scan.low);
    if !(1..=7).contains(&predictor) || point_transform >= frame.precision {
        return Err(damaged(format!("predictor {predictor} with point transform {point_transform}")));
    }
    let mut coders = Vec::new();
    for member in &scan.components {
        if std::mem::replace(&mut planes.done[member.index], true) {
            return Err(damaged("a component is coded twice"));
        }
        coders.push((member.index, table_of(&tables.dc, member.dc)?));
    }
    let interval = tables.restart_interval;
    // A restart inside a line would leave the neighbours above undefined (T.81 § H.1.1).
    if u64::from(interval) % frame.columns as u64 != 0 {
        return Err(CodecError::unsupported(CODEC, "lossless restarts inside a line"));
    }
    let shape = Shape { columns: frame.columns, step: frame.components.len() };
    let middle = 1_i32 << (frame.precision - point_transform - 1);
    let mut restarts = Restarts::new(interval);
    let mut fresh = true;
    for row in 0..frame.rows {
        for column in 0..frame.columns {
            if column == 0 {
                fresh = row == 0;
            }
            fresh |= restarts.due(reader)?;
            for (component, table) in &coders {
                let at = shape.index(row, column, *component);
                let prediction = match (fresh, column) {
                    (true, 0) => middle,
                    (true, _) => shape.left(&planes.samples, at),
                    (false, 0) => shape.above(&planes.samples, at),
                    (false, _) => shape.predict(&planes.samples, at, predictor),
                };
                planes.samples[at] = wrapped(prediction.wrapping_add(difference(table, reader)?));
            }
        }
    }
    if point_transform > 0 {
        for (component, _) in coders {
            let samples = planes.samples.iter_mut().skip(component).step_by(shape.step);
            samples.for_each(|sample| *sample <<= point_transform);
        }
    }
    Ok(())
}

/// Where a sample's neighbours are among interleaved samples.
struct Shape {
    columns: usize,
    step: usize,
}

impl Shape {
    #[inline]
    fn index(&self, row: usize, column: usize, component: usize) -> usize {
        (row * self.columns + column) * self.step + component
    }

    #[inline]
    fn left(&self, samples: &[u16], at: usize) -> i32 {
        samples[at - self.step].into()
    }

    #[inline]
    fn above(&self, samples: &[u16], at: usize) -> i32 {
        samples[at - self.columns * self.step].into()
    }

    /// T.81 table H.1.
    #[inline]
    fn predict(&self, samples: &[u16], at: usize, predictor: u8) -> i32 {
        let a = self.left(samples, at);
        let b = self.above(samples, at);
        let c: i32 = samples[at - (self.columns + 1) * self.step].into();
        match predictor {
            1 => a,
            2 => b,
            3 => c,
            4 => a + b - c,
            5 => a + ((b - c) >> 1),
            6 => b + ((a - c) >> 1),
            _ => (a + b) >> 1,
        }
    }
}

/// T.81 § H.1.2.2: categories 0 to 16, the last without extra bits.
#[inline]
fn difference(table: &Table, reader: &mut BitReader) -> Result<i32, CodecError> {
    match table.decode(reader)? {
        size @ 0..=15 => reader.extended(size.into()),
        16 => Ok(1 << 15),
        _ => Err(damaged("a difference of more than 16 bits")),
    }
}

/// Modulo 2^16.
#[inline]
fn wrapped(value: i32) -> u16 {
    let [low, high, ..] = value.to_le_bytes();
    u16::from_le_bytes([low, high])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::decode;
    use crate::spec::tests::grey;
    use crate::{FrameSpec, Photometric, Samples};

    /// Bits of a scan, with stuffing.
    #[derive(Default)]
    struct Writer {
        bytes: Vec<u8>,
        ahead: u64,
        count: u32,
    }

    impl Writer {
        fn bits(&mut self, value: u32, count: u32) {
            self.ahead = self.ahead << count | u64::from(value & ((1_u32 << count) - 1));
            self.count += count;
            while self.count >= 8 {
                self.count -= 8;
                let byte = u8::try_from(self.ahead >> self.count & 0xFF).unwrap();
                self.bytes.push(byte);
                if byte == 0xFF {
                    self.bytes.push(0);
                }
            }
        }

        fn restart(&mut self, number: u8) {
            if self.count > 0 {
                self.bits(u32::MAX >> 24, 8 - self.count);
            }
            self.bytes.extend([0xFF, 0xD0 + number % 8]);
        }
    }

    struct Coding {
        precision: u8,
        predictor: u8,
        point_transform: u8,
        restart_lines: u16,
    }

    /// A plain encoder of T.81 Annex H: all 17 categories have codes of 5 bits.
    fn encode(spec: &FrameSpec, samples: &[u16], coding: &Coding) -> Vec<u8> {
        let (columns, count) = (spec.columns as usize, usize::from(spec.samples_per_pixel));
        let lines = usize::from(coding.restart_lines);
        let mut writer = Writer::default();
        for (index, sample) in samples.iter().enumerate() {
            let (row, column) = (index / count / columns, index / count % columns);
            if lines > 0 && row > 0 && row % lines == 0 && column == 0 && index % count == 0 {
                writer.restart(u8::try_from((row / lines - 1) % 8).unwrap());
            }
            let fresh = row == 0 || lines > 0 && row % lines == 0;
            let at = |back: usize| i32::from(samples[index - back * count] >> coding.point_transform);
            let prediction = match (fresh, column) {
                (true, 0) => 1 << (coding.precision - coding.point_transform - 1),
                (true, _) => at(1),
                (false, 0) => at(columns),
                (false, _) => {
                    let (a, b, c) = (at(1), at(columns), at(columns + 1));
                    [a, b, c, a + b - c, a + ((b - c) >> 1), b + ((a - c) >> 1), (a + b) >> 1]
                        [usize::from(coding.predictor) - 1]
                }
            };
            let value = i32::from(sample >> coding.point_transform);
            let difference = (value - prediction + (1 << 15)).rem_euclid(1 << 16) - (1 << 15);
            let size = 32 - difference.unsigned_abs().leading_zeros();
            writer.bits(size, 5);
            if (1..16).contains(&size) {
                let bits = if difference < 0 { difference - 1 } else { difference };
                writer.bits(bits.cast_unsigned() & ((1 << size) - 1), size);
            }
        }
        if writer.count > 0 {
            writer.bits(u32::MAX >> 24, 8 - writer.count);
        }
        let interval = coding.restart_lines * u16::try_from(columns).unwrap();
        let components = u8::try_from(count).unwrap();
        let mut data = vec![0xFF, 0xD8, 0xFF, 0xC4, 0, 36, 0x00, 0, 0, 0, 0, 17];
        data.extend([0; 11]);
        data.extend(0..17);
        data.extend([0xFF, 0xDD, 0, 4]);
        data.extend(interval.to_be_bytes());
        data.extend([0xFF, 0xC3, 0, 8 + 3 * components, coding.precision]);
        data.extend(u16::try_from(spec.rows).unwrap().to_be_bytes());
        data.extend(u16::try_from(columns).unwrap().to_be_bytes());
        data.push(components);
        (0..components).for_each(|id| data.extend([id, 0x11, 0]));
        data.extend([0xFF, 0xDA, 0, 6 + 2 * components, components]);
        (0..components).for_each(|id| data.extend([id, 0]));
        data.extend([coding.predictor, 0, coding.point_transform]);
        data.extend(writer.bytes);
        data.extend([0xFF, 0xD9]);
        data
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_encoded_is_decoded(
            rows in 1_u32..7,
            columns in 1_u32..7,
            colour: bool,
            precision in 2_u8..=16,
            predictor in 1_u8..=7,
            point_transform in 0_u8..3,
            restart_lines in 0_u16..4,
            noise in prop::collection::vec(any::<u16>(), 7 * 7 * 3),
        ) {
            let mut spec = grey(rows, columns, 16, precision.into());
            if colour {
                (spec.samples_per_pixel, spec.photometric) = (3, Photometric::Rgb);
            }
            let point_transform = point_transform.min(precision - 1);
            let mask = (u32::from(u16::MAX) >> (16 - precision)) >> point_transform << point_transform;
            let mask = u16::try_from(mask).unwrap();
            let samples: Vec<u16> = noise.iter().take(spec.samples()).map(|value| value & mask).collect();
            let coding = Coding { precision, predictor, point_transform, restart_lines };
            let (decoded, photometric) = decode(&spec, &encode(&spec, &samples, &coding)).unwrap();
            prop_assert_eq!(decoded, Samples::U16(samples));
            prop_assert_eq!(photometric, spec.photometric);
        }
    }
}
