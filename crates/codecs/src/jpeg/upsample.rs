//! Components to pixels: subsampled chrominance is brought to full resolution (T.81 § A.1 leaves the
//! filter open). Factors of two use the triangle filter of the Independent JPEG Group's implementation,
//! weights 3/4 and 1/4 with sample sites between the luminances; others repeat the nearest sample.

use super::frame::{Component, Frame};
use super::planes::DctPlane;

/// All components, pixel by pixel.
pub(super) fn interleave(frame: &Frame, planes: &[DctPlane]) -> Vec<u16> {
    let step = planes.len();
    let mut pixels = vec![0; frame.columns * frame.rows * step];
    let mut line = Vec::new();
    for (index, (plane, component)) in planes.iter().zip(&frame.components).enumerate() {
        for (row, out) in pixels.chunks_exact_mut(frame.columns * step).enumerate() {
            full_row(frame, component, plane, row, &mut line);
            let slots = out.iter_mut().skip(index).step_by(step);
            slots.zip(&line).for_each(|(slot, value)| *slot = *value);
        }
    }
    pixels
}

/// One row of one component at full resolution, in `line`.
fn full_row(frame: &Frame, component: &Component, plane: &DctPlane, row: usize, line: &mut Vec<u16>) {
    let across = frame.horizontal_max == 2 * component.horizontal;
    let down = frame.vertical_max == 2 * component.vertical;
    let same_width = frame.horizontal_max == component.horizontal;
    let same_height = frame.vertical_max == component.vertical;
    line.clear();
    if same_width && same_height {
        line.extend_from_slice(samples_of(plane, component, row));
    } else if across && same_height && component.width > 2 {
        let near = samples_of(plane, component, row);
        let sums: Vec<u32> = near.iter().map(|value| u32::from(*value)).collect();
        widen(&sums, 2, [0, 1, 2], line);
    } else if down && (same_width || across && component.width > 2) {
        let near = row / 2;
        let last = component.height - 1;
        let far = if row.is_multiple_of(2) { near.saturating_sub(1) } else { (near + 1).min(last) };
        let pairs = samples_of(plane, component, near).iter().zip(samples_of(plane, component, far));
        let sums = pairs.map(|(near, far)| 3 * u32::from(*near) + u32::from(*far));
        if same_width {
            let bias = if row.is_multiple_of(2) { 1 } else { 2 };
            line.extend(sums.map(|sum| narrow((sum + bias) >> 2)));
        } else {
            widen(&sums.collect::<Vec<_>>(), 4, [8, 8, 7], line);
        }
    } else {
        let source = samples_of(plane, component, row * component.vertical / frame.vertical_max);
        let column = |x: usize| x * component.horizontal / frame.horizontal_max;
        line.extend((0..frame.columns).map(|x| source[column(x)]));
    }
    line.truncate(frame.columns);
}

fn samples_of<'a>(plane: &'a DctPlane, component: &Component, row: usize) -> &'a [u16] {
    &plane.samples[row * plane.stride..][..component.width]
}

/// Doubles a row: each value gives two, weighted 3 to 1 with the neighbour on that side. The sum of the
/// weights is 2^`bits`; `rounding` is what is added at the ends, to the left and to the right values.
fn widen(values: &[u32], bits: u32, rounding: [u32; 3], line: &mut Vec<u16>) {
    let [_, left_rounding, right_rounding] = rounding;
    let last = values.len() - 1;
    for (index, value) in values.iter().enumerate() {
        // At the ends the value itself stands in for its missing neighbour.
        let left = if index == 0 { None } else { Some(values[index - 1]) };
        let right = if index == last { None } else { Some(values[index + 1]) };
        let side = |neighbour: Option<u32>, inner: u32, outer: u32| match neighbour {
            Some(neighbour) => narrow((3 * value + neighbour + inner) >> bits),
            None => narrow((4 * value + outer) >> bits),
        };
        line.push(side(left, left_rounding, rounding[0]));
        line.push(side(right, right_rounding, if bits == 4 { right_rounding } else { 0 }));
    }
}

fn narrow(value: u32) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}
