//! Just enough of two lossless encoders for the tests.

/// RLE of PS3.5 Annex G with literal runs alone: one segment a byte plane, high bytes first.
pub(crate) fn rle(little_endian: &[u8], samples: usize, bytes_per_sample: usize) -> Vec<u8> {
    let planes = samples * bytes_per_sample;
    let segments: Vec<Vec<u8>> = (0..planes)
        .map(|plane| {
            let place = plane / bytes_per_sample * bytes_per_sample + (bytes_per_sample - 1 - plane % bytes_per_sample);
            let bytes: Vec<u8> = little_endian.iter().skip(place).step_by(planes).copied().collect();
            let runs = bytes.chunks(128).flat_map(|run| [&[u8::try_from(run.len() - 1).unwrap()], run].concat());
            let mut segment: Vec<u8> = runs.collect();
            segment.resize(segment.len().next_multiple_of(2), 0);
            segment
        })
        .collect();
    let mut header = vec![planes];
    let mut at = 64;
    for segment in &segments {
        header.push(at);
        at += segment.len();
    }
    header.resize(16, 0);
    let mut frame: Vec<u8> = header.iter().flat_map(|word| u32::try_from(*word).unwrap().to_le_bytes()).collect();
    frame.extend(segments.concat());
    frame
}

/// JPEG lossless (ITU-T T.81 Annex H), process 14 with selection value 1, one component of `bits` bits.
pub(crate) fn jpeg_lossless(values: &[u16], (rows, columns): (u16, u16), bits: u8) -> Vec<u8> {
    let [r1, r0] = rows.to_be_bytes();
    let [c1, c0] = columns.to_be_bytes();
    let mut stream = vec![0xFF, 0xD8, 0xFF, 0xC3, 0, 11, bits, r1, r0, c1, c0, 1, 1, 0x11, 0];
    // Each of the 17 categories has the code of its own number, 8 bits long.
    stream.extend([0xFF, 0xC4, 0, 36, 0x00, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0, 0]);
    stream.extend(0..17_u8);
    stream.extend([0xFF, 0xDA, 0, 8, 1, 1, 0x00, 1, 0, 0]);
    let width = usize::from(columns);
    let mut coded = Bits::default();
    for (i, &value) in values.iter().enumerate() {
        let predicted = match i {
            0 => 1 << (bits - 1),
            _ if i % width == 0 => values[i - width],
            _ => values[i - 1],
        };
        let difference = i32::from(value) - i32::from(predicted);
        let category = 32 - difference.unsigned_abs().leading_zeros();
        coded.push(category, 8);
        let low_bits = if difference < 0 { difference - 1 } else { difference };
        coded.push(low_bits.cast_unsigned() & ((1 << category) - 1), category);
    }
    stream.extend(coded.finish());
    stream.extend([0xFF, 0xD9]);
    stream
}

#[derive(Default)]
struct Bits {
    bits: Vec<bool>,
}

impl Bits {
    fn push(&mut self, value: u32, count: u32) {
        self.bits.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
    }

    /// Padded with ones, a zero after each 0xFF.
    fn finish(mut self) -> Vec<u8> {
        self.bits.resize(self.bits.len().next_multiple_of(8), true);
        let bytes = self.bits.chunks(8).map(|bits| bits.iter().fold(0_u8, |byte, bit| byte << 1 | u8::from(*bit)));
        bytes.flat_map(|byte| if byte == 0xFF { vec![0xFF, 0] } else { vec![byte] }).collect()
    }
}
