//! Consolidated lung: a cloud of filled air spaces with soft, irregular edges, inside one lung.

use crate::draw::{Draw, Part};
use crate::solids::Solids;
use crate::spec::{OpacitySpec, Pattern, Zone};
use crate::vector::{Vec3, smooth_step, v};

/// Where air is replaced, and by how much.
pub(crate) struct Opacity {
    pub(crate) centre: Vec3,
    pub(crate) radius: f32,
    /// Open bronchi to show in it.
    pub(crate) bronchi: usize,
    side: usize,
    clumps: Vec<Clump>,
    /// A fissure: point, direction into the other lobe.
    fissure: Option<(Vec3, Vec3)>,
    filling: f32,
    grain: u64,
}

struct Clump {
    centre: Vec3,
    /// 1 / (2 sigma²).
    falloff: f32,
    weight: f32,
}

impl Opacity {
    pub(crate) fn new(seed: u64, spec: &OpacitySpec, solids: &Solids) -> Self {
        let mut draw = Draw::new(seed ^ 0x6f70_6163, Part::Opacity);
        let draw = &mut draw;
        let side = usize::from(spec.side.sign() > 0.0);
        let radius = spec.radius_mm.clamp(5.0, 120.0);
        let centre = centre(spec, radius, side, solids, draw);
        let clumps = clumps(spec.pattern, centre, radius, draw);
        let fissure = (spec.pattern == Pattern::Lobar && draw.chance(0.6)).then(|| {
            // The minor fissure is level; the major one runs down and forward.
            let into = if draw.chance(0.5) { v(0.05, 1.0, 0.1) } else { v(0.0, -0.75, -0.65) };
            let away = if spec.zone == Zone::Upper { into } else { -into };
            (centre + away.unit() * (0.45 * radius), away.unit())
        });
        let bronchi = match spec.pattern {
            Pattern::Lobar => 3 + draw.pick(4),
            Pattern::Patchy => draw.pick(3),
            Pattern::Round => draw.pick(2),
        };
        let grain = draw.bits();
        Self { centre, radius, bronchi, side, clumps, fissure, filling: spec.filling.clamp(0.0, 1.0), grain }
    }

    /// Part of the air replaced at a place, 0 to 1; the lung's border is not looked at.
    pub(crate) fn filling_at(&self, p: Vec3) -> f32 {
        let offset = p - self.centre;
        if offset.dot(offset) > 4.0 * self.radius * self.radius || (p.x > 0.0) != (self.side == 1) {
            return 0.0;
        }
        let cloud: f32 = self
            .clumps
            .iter()
            .map(|clump| {
                let d = p - clump.centre;
                let far = d.dot(d) * clump.falloff;
                if far > 9.0 { 0.0 } else { clump.weight * (-far).exp() }
            })
            .sum();
        if cloud < 0.05 {
            return 0.0;
        }
        let coarse = lattice_noise(self.grain, p * (1.0 / 17.0));
        let fine = lattice_noise(self.grain ^ 0x5bd1, p * (1.0 / 6.5));
        let mut filled = smooth_step(0.2, 0.95, cloud + 0.3 * coarse + 0.16 * fine) * (1.0 + 0.15 * fine);
        if let Some((place, away)) = self.fissure {
            filled *= 1.0 - smooth_step(-1.5, 1.5, (p - place).dot(away));
        }
        (filled * self.filling).clamp(0.0, 1.0)
    }

    /// Whether the ray point can lie in the cloud at all.
    pub(crate) fn reaches(&self, p: Vec3) -> bool {
        let (x, y) = (p.x - self.centre.x, p.y - self.centre.y);
        x * x + y * y < 4.4 * self.radius * self.radius
    }
}

/// Smooth noise between -1 and 1 that varies over about one unit.
fn lattice_noise(seed: u64, p: Vec3) -> f32 {
    let (bx, by, bz) = (p.x.floor(), p.y.floor(), p.z.floor());
    let ease = |t: f32| t * t * (3.0 - 2.0 * t);
    let (tx, ty, tz) = (ease(p.x - bx), ease(p.y - by), ease(p.z - bz));
    let mut sum = 0.0;
    for corner in 0..8_u8 {
        let pick = |bit: u8, base: f32, t: f32| if corner & bit == 0 { (base, 1.0 - t) } else { (base + 1.0, t) };
        let ((x, wx), (y, wy), (z, wz)) = (pick(1, bx, tx), pick(2, by, ty), pick(4, bz, tz));
        sum += wx * wy * wz * lattice_value(seed, x, y, z);
    }
    sum
}

fn lattice_value(seed: u64, x: f32, y: f32, z: f32) -> f32 {
    let mut h = seed;
    for part in [x, y, z] {
        h = (h ^ u64::from(part.to_bits())).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        h ^= h >> 29;
    }
    (h >> 40) as f32 / 8_388_608.0 - 1.0
}

/// A place deep enough in the lung, in the wanted third.
fn centre(spec: &OpacitySpec, radius: f32, side: usize, solids: &Solids, draw: &mut Draw) -> Vec3 {
    let (top, bottom) = match spec.zone {
        Zone::Upper => (-112.0, -45.0),
        Zone::Middle => (-40.0, 22.0),
        Zone::Lower => (24.0, 92.0),
    };
    let mut best = (f32::MAX, v(spec.side.sign() * 80.0, 0.5 * (top + bottom), 10.0));
    for _ in 0..120 {
        let p = v(spec.side.sign() * draw.between(38.0, 128.0), draw.between(top, bottom), draw.between(-55.0, 62.0));
        let wanted = -(0.35 * radius).min(14.0);
        let miss = (solids.lung_distance(p, side) - wanted).max(0.0);
        if miss < best.0 {
            best = (miss, p);
        }
        if miss <= 0.0 {
            break;
        }
    }
    best.1
}

fn clumps(pattern: Pattern, centre: Vec3, radius: f32, draw: &mut Draw) -> Vec<Clump> {
    let (count, spread, size) = match pattern {
        Pattern::Lobar => (9, 0.45, 0.42),
        Pattern::Patchy => (22, 0.55, 0.17),
        Pattern::Round => (7, 0.30, 0.42),
    };
    (0..count)
        .map(|i| {
            let offset = v(draw.normal(), 0.85 * draw.normal(), draw.normal()) * (spread * radius * 0.7);
            let offset = if i == 0 { offset * 0.1 } else { offset };
            let sigma = radius * size * draw.between(0.7, 1.25);
            Clump { centre: centre + offset, falloff: 0.5 / (sigma * sigma), weight: draw.between(0.5, 1.0) }
        })
        .collect()
}
