//! The lead letter on the cassette holder that says which side is which.

use crate::camera::Camera;
use crate::draw::{Draw, Part};
use crate::tube::Band;

/// Strokes of the letters in a cell of 1 by 1.6, as pairs of points.
const LEFT: &[[f32; 4]] = &[[0.0, 0.0, 0.0, 1.6], [0.0, 1.6, 0.9, 1.6]];
const RIGHT: &[[f32; 4]] = &[
    [0.0, 0.0, 0.0, 1.6],
    [0.0, 0.0, 0.7, 0.0],
    [0.7, 0.0, 0.95, 0.22],
    [0.95, 0.22, 0.95, 0.58],
    [0.95, 0.58, 0.7, 0.8],
    [0.7, 0.8, 0.0, 0.8],
    [0.45, 0.8, 1.0, 1.6],
];
/// Lead of 0.6 mm stops as much as this mass of bone, g/cm².
const LEAD_AS_BONE: f32 = 9.0;

/// Adds the letter to the bone of a band, in an upper corner of the image of `size` pixels.
pub(crate) fn add(seed: u64, camera: &Camera, size: [usize; 2], band: &mut Band<'_>) {
    let mut draw = Draw::new(seed ^ 0x6d61_726b, Part::Exposure);
    if draw.chance(0.12) {
        return;
    }
    let letter_mm = draw.between(7.0, 11.0);
    let scale = letter_mm / camera.spacing_mm();
    let left = draw.chance(0.6);
    let (width, height) = (size[0] as f32, size[1] as f32);
    let margin = draw.between(8.0, 16.0) / camera.spacing_mm();
    let x = if left { width - margin - scale } else { margin };
    let y = (draw.between(0.02, 0.09) * height).max(margin * 0.6);
    let (sin, cos) = draw.around(0.0, 0.06).sin_cos();
    let thick = 0.11 * scale;
    let strokes = if left { LEFT } else { RIGHT };
    let rows = band.soft.len() / band.width.max(1);
    for row in 0..rows {
        let dy = (row + band.first_row) as f32 - y;
        if dy < -0.5 * scale || dy > 2.2 * scale {
            continue;
        }
        for column in 0..band.width {
            let dx = column as f32 - x;
            if dx < -0.5 * scale || dx > 1.6 * scale {
                continue;
            }
            let (u, w) = (cos * dx + sin * dy, cos * dy - sin * dx);
            let distance = strokes.iter().map(|s| to_stroke(u, w, s, scale)).fold(f32::MAX, f32::min);
            let covered = (thick - distance + 0.5).clamp(0.0, 1.0);
            if covered > 0.0 {
                band.bone[row * band.width + column] += LEAD_AS_BONE * covered;
            }
        }
    }
}

fn to_stroke(x: f32, y: f32, stroke: &[f32; 4], scale: f32) -> f32 {
    let [ax, ay, bx, by] = stroke.map(|v| v * scale);
    let (dx, dy) = (bx - ax, by - ay);
    let t = (((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)).clamp(0.0, 1.0);
    (x - ax - t * dx).hypot(y - ay - t * dy)
}
