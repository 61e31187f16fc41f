//! Random unevenness of tissue at several sizes.

use crate::draw::{Draw, Part, mix, normal_from};
use crate::plane::Plane;
use crate::vector::whole;

/// Deviation of lung mass for 15 cm of lung, g/cm², by size of the grain in mm.
const LUNG: [(f32, f32); 5] = [(1.0, 0.018), (1.8, 0.030), (3.5, 0.038), (8.0, 0.036), (24.0, 0.05)];
/// Relative deviation of soft tissue.
const TISSUE: [(f32, f32); 4] = [(3.0, 0.002), (9.0, 0.005), (22.0, 0.009), (55.0, 0.010)];

/// Makes lung and soft tissue of the coarse grid uneven.
pub(crate) fn add(seed: u64, soft: &mut Plane, lung: &Plane, grain_mm: f32) {
    let mut draw = Draw::new(seed, Part::Texture);
    let strength = draw.between(0.75, 1.3);
    for (size, deviation) in LUNG {
        let noise = grains(soft, size / grain_mm, &mut draw);
        for ((value, noise), lung) in soft.data.iter_mut().zip(&noise.data).zip(&lung.data) {
            *value += strength * deviation * noise * (lung / 15.0).max(0.0).sqrt();
        }
    }
    for (size, deviation) in TISSUE {
        let noise = grains(soft, size / grain_mm, &mut draw);
        for (value, noise) in soft.data.iter_mut().zip(&noise.data) {
            *value *= 1.0 + deviation * noise;
        }
    }
}

/// Unevenness of bone, around 1, on the coarse grid.
pub(crate) fn of_bone(seed: u64, like: &Plane, grain_mm: f32) -> Plane {
    let mut draw = Draw::new(seed ^ 0x626f_6e65, Part::Texture);
    let mut result = grains(like, 1.4 / grain_mm, &mut draw);
    for value in &mut result.data {
        *value = 1.0 + 0.07 * *value;
    }
    result
}

/// Normal noise whose grain is `size` pixels.
fn grains(like: &Plane, size: f32, draw: &mut Draw) -> Plane {
    let size = size.max(1.0);
    let count = |length: usize| whole(length as f32 / size) + 2;
    let mut seeds = Plane::new(count(like.width), count(like.height));
    let stream = draw.bits();
    for (i, value) in (0_u64..).zip(&mut seeds.data) {
        *value = normal_from(mix(stream.wrapping_add(i)));
    }
    let mut result = Plane::new(like.width, like.height);
    let enlarged = seeds.enlarged(size, true, like.width);
    for y in 0..like.height {
        let line = &mut result.data[y * like.width..(y + 1) * like.width];
        enlarged.row(y, line);
    }
    result
}
