//! Ribs, spine, collar bones, shoulder blades, breast bone and upper arms.

use crate::attenuation::{BONE_DENSITY, SOFT_DENSITY};
use crate::cage::{LUNG_DEPTH, LUNG_EDGE, LUNG_MIDDLE};
use crate::draw::{Draw, Part};
use crate::solids::Solids;
use crate::spec::Patient;
use crate::table::Table;
use crate::tube::{Material, Ring, Segment, ball, rings, solid, walled};
use crate::vector::{Vec3, smooth_step, v};

/// Height of the middle of each vertebra of the reference person, mm.
const VERTEBRAE: [f32; 24] = [
    -263.0, -246.5, -230.0, -213.5, -197.0, -180.5, -163.0, // C1 to C7
    -145.0, -126.0, -106.0, -85.5, -64.5, -43.0, -21.0, 1.5, 24.5, 48.5, 73.5, 99.5, // T1 to T12
    127.0, 157.0, 188.0, 220.0, 252.0, // L1 to L5
];
const FIRST_THORACIC: usize = 7;

/// All bones of one person.
pub(crate) fn bones(seed: u64, patient: &Patient, solids: &Solids) -> Vec<Segment> {
    let mut draw = Draw::new(seed, Part::Skeleton);
    let mut builder = Builder {
        compact: Material { soft: -SOFT_DENSITY, bone: BONE_DENSITY * 0.93 * patient.mineral },
        spongy: Material { soft: -0.07, bone: 0.13 * patient.mineral },
        marrow: Material { soft: -0.11, bone: 0.22 * patient.mineral },
        old: f32::from(patient.age_years) > 45.0,
        shrug: patient.shrug_mm,
        abduction: patient.abduction,
        solids,
        spine_z: Table::new(&[
            (-290.0, -14.0),
            (-240.0, 2.0),
            (-200.0, 14.0),
            (-145.0, 27.0),
            (-100.0, 38.0),
            (-40.0, 48.0),
            (0.0, 50.0),
            (60.0, 46.0),
            (110.0, 37.0),
            (190.0, 22.0),
        ]),
        segments: Vec::new(),
    };
    builder.spine(&mut draw);
    builder.ribs(&mut draw);
    builder.breast_bone();
    for side in [-1.0, 1.0] {
        builder.collar_bone(side, &mut draw);
        builder.shoulder_blade(side, &mut draw);
        builder.upper_arm(side);
    }
    builder.segments
}

struct Builder<'a> {
    compact: Material,
    spongy: Material,
    marrow: Material,
    old: bool,
    shrug: f32,
    abduction: f32,
    solids: &'a Solids,
    spine_z: Table,
    segments: Vec<Segment>,
}

impl Builder<'_> {
    fn on_spine(&self, y: f32) -> Vec3 {
        v(self.solids.spine_x.at(y), y, self.spine_z.at(y))
    }

    fn spine(&mut self, draw: &mut Draw) {
        for (i, &y) in VERTEBRAE.iter().enumerate() {
            let level = i as f32 - FIRST_THORACIC as f32;
            let half_width = if level < 0.0 {
                12.5
            } else {
                Table::new(&[(0.0, 14.0), (4.0, 13.5), (11.0, 19.0), (14.0, 22.0)]).at(level)
            };
            let half_depth = Table::new(&[(-5.0, 8.5), (0.0, 9.5), (6.0, 13.5), (11.0, 15.5), (14.0, 17.0)]).at(level);
            let half_height = Table::new(&[(-5.0, 6.2), (0.0, 7.8), (6.0, 9.4), (11.0, 11.2), (14.0, 12.8)]).at(level);
            let centre = self.on_spine(y);
            let axis = (self.on_spine(y + 8.0) - self.on_spine(y - 8.0)).unit();
            self.body(centre, axis, [half_width, half_depth, half_height], draw);
            self.arch(centre, axis, [half_width, half_depth, half_height], level);
        }
    }

    fn body(&mut self, centre: Vec3, axis: Vec3, [w, d, h]: [f32; 3], draw: &mut Draw) {
        let side = v(1.0, 0.0, 0.0);
        let ring = |t: f32, shrink: f32| {
            // Waisted: 8 % narrower at half height.
            let waist = 0.92 + 0.08 * (t / h).abs().powi(3);
            Ring { centre: centre + axis * t, normal: side, a: w * waist - shrink, b: d * waist - shrink }
        };
        let stations = |reach: f32| (0..=8).map(move |i| reach * (i as f32 / 4.0 - 1.0));
        let outer: Vec<Ring> = stations(h).map(|t| ring(t, 0.0)).collect();
        let inner: Vec<Ring> = stations(h - 0.7).map(|t| ring(t, 0.6)).collect();
        let firm = draw.around(1.0, 0.05);
        solid(&outer, self.compact.times(0.55), &mut self.segments);
        let hollow = Material {
            soft: self.spongy.soft * firm - self.compact.soft * 0.55,
            bone: self.spongy.bone * firm - self.compact.bone * 0.55,
        };
        solid(&inner, hollow, &mut self.segments);
    }

    fn arch(&mut self, centre: Vec3, axis: Vec3, [w, d, h]: [f32; 3], level: f32) {
        let (compact, marrow) = (self.compact, self.marrow);
        let back = v(0.0, 0.0, 1.0);
        let at = |x: f32, along: f32, z: f32| centre + v(x, 0.0, 0.0) + axis * along + back * z;
        for side in [-1.0, 1.0] {
            let x = side * w * 0.72;
            if level < 0.0 {
                // The pillars of the neck: broad columns on both sides of the bodies.
                let pillar = [at(side * 16.0, -1.2 * h, d + 2.0), at(side * 17.0, 1.3 * h, d + 5.0)];
                let tube = rings(&pillar, 3.0, |_, _| (5.5, 5.0, v(1.0, 0.0, 0.0)));
                walled(&tube, 0.8, compact.times(0.15), marrow.times(0.5), &mut self.segments);
                continue;
            }
            let pedicle = [at(x, -0.35 * h, d * 0.7), at(x, -0.35 * h, d + 8.0)];
            let tube = rings(&pedicle, 4.0, |_, _| (3.3, 5.6, v(1.0, 0.0, 0.0)));
            walled(&tube, 0.6, compact.times(0.42), marrow.times(0.5), &mut self.segments);
            let lamina = [at(x, 0.0, d + 9.0), at(side * 1.5, 0.5 * h, d + 18.0)];
            let tube = rings(&lamina, 3.0, |_, _| (2.8, 0.75 * h, v(side * 0.6, 0.0, 0.8)));
            walled(&tube, 0.9, compact, marrow, &mut self.segments);
            let facet = [at(x * 1.1, -1.15 * h, d + 8.0), at(x * 1.1, 0.9 * h, d + 12.0)];
            let tube = rings(&facet, 3.0, |_, _| (3.2, 4.0, v(0.0, 0.0, 1.0)));
            walled(&tube, 0.9, compact.times(0.7), marrow, &mut self.segments);
            let reach = 31.0 - 1.1 * level.min(11.0);
            let transverse = [at(x, -0.2 * h, d + 6.0), at(side * reach, -0.45 * h, d + 15.0)];
            let tube = rings(&transverse, 3.0, |t, _| (3.6, 4.6 + 1.2 * t, v(0.0, 0.0, 1.0)));
            walled(&tube, 0.8, compact, marrow, &mut self.segments);
        }
        let slope = Table::new(&[(-5.0, 6.0), (1.0, 12.0), (6.0, 24.0), (9.0, 16.0), (12.0, 6.0)]).at(level);
        let spinous =
            [at(0.0, 0.4 * h, d + 16.0), at(0.0, 0.4 * h + 0.6 * slope, d + 28.0), at(0.0, 0.4 * h + slope, d + 38.0)];
        let tall = if level > 9.0 { 8.0 } else { 4.6 };
        let tube = rings(&spinous, 2.5, |t, _| (2.2 + 0.5 * t, tall, v(1.0, 0.0, 0.0)));
        walled(&tube, 0.7, compact.times(0.55), marrow.times(0.7), &mut self.segments);
    }

    fn ribs(&mut self, draw: &mut Draw) {
        // Full fall of a rib from its head to where it would meet the midline in front, mm.
        const FALL: [f32; 12] = [48.0, 68.0, 86.0, 101.0, 113.0, 122.0, 128.0, 131.0, 129.0, 122.0, 108.0, 92.0];
        // Distance from the midline at which the bone ends in front, mm; 0 for the floating ribs.
        const FRONT: [f32; 12] = [27.0, 36.0, 45.0, 54.0, 66.0, 80.0, 94.0, 106.0, 116.0, 124.0, 0.0, 0.0];
        let edge: Vec<_> = LUNG_EDGE.iter().map(|&(y, w)| (y, w + 4.5)).collect();
        let chest = Chest { edge: Table::new(&edge), depth: Table::new(&LUNG_DEPTH), middle: Table::new(&LUNG_MIDDLE) };
        let slope = draw.around(1.0, 0.06);
        let stout = draw.around(1.0, 0.08);
        for (i, (&fall, &front)) in FALL.iter().zip(&FRONT).enumerate() {
            let level = VERTEBRAE[FIRST_THORACIC + i];
            for side in [-1.0, 1.0] {
                let head = self.on_spine(level - 7.5) + v(side * 13.0, 0.0, 9.0);
                let own = draw.around(1.0, 0.02);
                let last = if front > 0.0 {
                    std::f32::consts::PI - (front / chest.edge.at(level + 0.75 * fall)).min(0.95).asin()
                } else if i == 10 {
                    1.9
                } else {
                    1.15
                };
                let narrow = [0.80, 0.95].get(i).copied().unwrap_or(1.0);
                let path: Vec<Vec3> = chest.rib(head, side, fall * slope * own, last, level);
                let path = tucked(&path, narrow);
                self.rib(&path, i, side, stout * draw.around(1.0, 0.04));
                if self.old && i == 0 && draw.chance(0.6) {
                    self.calcified_cartilage(&path, side, draw);
                }
            }
        }
    }

    fn rib(&mut self, path: &[Vec3], index: usize, side: f32, stout: f32) {
        let last = path.len().saturating_sub(1) as f32;
        let flat = match index {
            0 => 1.0,
            1 => 0.45,
            _ => 0.0,
        };
        let height = [5.8, 5.5, 5.5, 5.6, 5.7, 5.8, 5.9, 5.9, 5.7, 5.4, 4.9, 4.2][index] * stout;
        let size = |position: f32, centre: Vec3| {
            let t = position / last;
            // Outward, leaning up on the first two ribs, whose flat side looks at the neck.
            let out = v(centre.x / 18_000.0, 0.0, (centre.z + 5.0) / 6400.0).unit();
            let normal = (out * (1.0 - flat) + v(0.12 * side, -1.0, -0.3) * flat).unit();
            let neck = 0.72 + 0.28 * smooth_step(0.02, 0.14, t);
            let front = 1.0 + 0.16 * smooth_step(0.75, 1.0, t);
            (3.5 * stout, height * neck * front, normal)
        };
        let tube = rings(path, 3.0, size);
        // In front the bone is thinner and goes over into cartilage.
        let split = tube.len() * 3 / 5;
        let (back, front) = (&tube[..=split.min(tube.len() - 1)], &tube[split..]);
        walled(back, 0.65, self.compact.times(0.95), self.marrow, &mut self.segments);
        walled(front, 0.55, self.compact.times(0.7), self.marrow.times(0.65), &mut self.segments);
    }

    /// Lime in the cartilage of the first rib, common after the middle of life.
    fn calcified_cartilage(&mut self, path: &[Vec3], side: f32, draw: &mut Draw) {
        let Some(end) = path.last().copied() else { return };
        for _ in 0..9 {
            let t = draw.between(-0.1, 1.0);
            let place = end + v(-side * 12.0 * t, 6.0 * t + 3.0 * draw.normal(), -4.0 * t);
            let size = draw.between(1.0, 2.8);
            let density = self.compact.times(draw.between(0.25, 0.6));
            ball(place, v(size * 1.3, size, size), 0.5, density, density, &mut self.segments);
        }
    }

    fn breast_bone(&mut self) {
        let manubrium = [v(0.0, -108.0, -58.0), v(0.0, -84.0, -68.0), v(0.0, -66.0, -75.0)];
        let size = |t: f32, _: Vec3| (5.0, 29.0 - 8.0 * t, v(0.0, 0.3, -1.0));
        walled(&rings(&manubrium, 3.0, size), 0.6, self.compact.times(0.7), self.marrow, &mut self.segments);
        let corpus = [v(0.0, -64.0, -76.0), v(0.0, -10.0, -88.0), v(0.0, 40.0, -91.0)];
        let size = |t: f32, _: Vec3| (4.5, 14.0 + 3.0 * t, v(0.0, 0.1, -1.0));
        walled(&rings(&corpus, 4.0, size), 0.5, self.compact.times(0.6), self.marrow, &mut self.segments);
    }

    fn collar_bone(&mut self, side: f32, draw: &mut Draw) {
        let up = -self.shrug + draw.around(0.0, 2.0);
        let points = [
            v(17.0, -104.0, -60.0),
            v(30.0, -109.0, -65.0),
            v(56.0, -117.0, -66.0),
            v(86.0, -126.0 + 0.4 * up, -52.0),
            v(114.0, -135.0 + 0.7 * up, -30.0),
            v(138.0, -142.0 + 0.9 * up, -10.0),
            v(158.0, -144.0 + up, -4.0),
        ]
        .map(|p| p.on(side));
        let width = Table::new(&[(0.0, 9.5), (1.0, 8.2), (2.0, 6.2), (3.0, 5.6), (4.0, 5.8), (5.0, 5.2), (6.0, 3.2)]);
        let depth = Table::new(&[(0.0, 9.5), (1.0, 8.5), (2.0, 6.6), (3.0, 6.0), (4.0, 6.5), (5.0, 9.0), (6.0, 6.0)]);
        let stout = draw.around(1.0, 0.06);
        let size = |t: f32, _: Vec3| (width.at(t) * stout, depth.at(t) * stout, v(0.0, -1.0, 0.0));
        walled(&rings(&points, 1.5, size), 1.3, self.compact, self.spongy, &mut self.segments);
    }

    fn shoulder_blade(&mut self, side: f32, draw: &mut Draw) {
        let up = -self.shrug;
        let out = draw.around(4.0, 6.0);
        let at = |x: f32, y: f32, z: f32| v(x + out, y + up, z).on(side);
        let (compact, marrow) = (self.compact, self.marrow);
        let face = v(-0.55 * side, 0.0, -0.85);
        let plate = [at(146.0, -6.0, 62.0), at(142.0, -60.0, 55.0), at(140.0, -112.0, 42.0), at(136.0, -134.0, 36.0)];
        let breadth = Table::new(&[(0.0, 3.0), (1.0, 17.0), (2.0, 30.0), (3.0, 24.0)]);
        let tube = rings(&plate, 3.0, |t, _| (1.9, breadth.at(t), face));
        walled(&tube, 0.45, compact.times(0.8), marrow, &mut self.segments);
        let lateral = [at(147.0, -4.0, 62.0), at(152.0, -40.0, 48.0), at(160.0, -88.0, 26.0), at(165.0, -108.0, 16.0)];
        let tube = rings(&lateral, 2.5, |t, _| (1.0 + 1.3 * t, 1.2 + 1.5 * t, face));
        walled(&tube, 0.8, compact.times(0.7), marrow, &mut self.segments);
        let medial = [at(145.0, -5.0, 63.0), at(128.0, -60.0, 64.0), at(121.0, -108.0, 56.0), at(124.0, -132.0, 44.0)];
        let tube = rings(&medial, 2.5, |_, _| (1.5, 2.0, face));
        walled(&tube, 0.6, compact.times(0.6), marrow, &mut self.segments);
        let upper = [at(124.0, -132.0, 44.0), at(140.0, -130.0, 30.0), at(154.0, -126.0, 14.0)];
        walled(&rings(&upper, 2.5, |_, _| (1.6, 2.2, face)), 0.8, compact, marrow, &mut self.segments);
        let spine = [
            at(122.0, -104.0, 58.0),
            at(140.0, -120.0, 60.0),
            at(156.0, -138.0, 46.0),
            at(172.0, -148.0, 20.0),
            at(166.0, -146.0, 2.0),
        ];
        let tube = rings(&spine, 2.5, |t, _| (2.6 + 0.6 * t, 4.0 + 1.2 * t, v(0.0, -1.0, 0.2)));
        walled(&tube, 1.0, compact, marrow, &mut self.segments);
        let coracoid = [at(154.0, -122.0, 10.0), at(150.0, -130.0, -6.0), at(145.0, -126.0, -22.0)];
        walled(
            &rings(&coracoid, 2.5, |t, _| (5.4 - t, 5.8 - t, v(1.0, 0.0, 0.0))),
            0.7,
            compact.times(0.55),
            marrow,
            &mut self.segments,
        );
        let socket = at(164.0, -116.0, 12.0);
        ball(socket, v(7.0, 18.0, 12.0), 1.0, compact, self.spongy, &mut self.segments);
    }

    fn upper_arm(&mut self, side: f32) {
        let (up, out) = (-self.shrug, self.abduction);
        let at = |x: f32, y: f32, z: f32| v(x, y + up, z).on(side);
        let elbow = at(203.0 + 93.0 * out, 260.0 - 130.0 * out, -30.0);
        let (compact, spongy) = (self.compact, self.spongy);
        ball(at(186.0, -118.0, 8.0), v(23.0, 23.0, 23.0), 1.0, compact.times(0.4), spongy, &mut self.segments);
        let neck =
            [at(189.0, -108.0, 8.0), at(193.0 + 11.0 * out, -80.0, 4.0), at(195.0 + 24.0 * out, -50.0, 0.0), elbow];
        let radius = Table::new(&[(0.0, 20.0), (1.0, 15.0), (2.0, 12.0), (3.0, 11.0)]);
        let tube = rings(&neck, 3.0, |t, _| (radius.at(t), radius.at(t), v(0.0, 0.0, 1.0)));
        walled(&tube, 2.6, compact.times(0.8), Material::default(), &mut self.segments);
    }
}

/// The first ribs run inside the outline of the lungs' apices as seen from the front.
fn tucked(path: &[Vec3], narrow: f32) -> Vec<Vec3> {
    let hold = 26.0;
    path.iter()
        .map(|p| v(p.x.signum() * (hold + (p.x.abs() - hold) * if p.x.abs() > hold { narrow } else { 1.0 }), p.y, p.z))
        .collect()
}

/// The surface on which the ribs run.
struct Chest {
    edge: Table,
    depth: Table,
    middle: Table,
}

impl Chest {
    /// The axis of one rib from its head along the back and side to where its bone ends in front.
    fn rib(&self, head: Vec3, side: f32, fall: f32, last: f32, level: f32) -> Vec<Vec3> {
        let first = (34.0 / self.edge.at(level)).min(0.9).asin();
        let count = 24;
        let mut path = vec![head];
        path.push(v(side * 24.0, head.y - 1.0, head.z + 8.0));
        for i in 0..=count {
            let angle = first + (last - first) * i as f32 / count as f32;
            let y = head.y + fall * (angle / std::f32::consts::PI).powf(1.22);
            let (sin, cos) = angle.sin_cos();
            let x = (self.edge.at(y) * sin).max(22.0);
            path.push(v(side * x, y, self.middle.at(y) + (self.depth.at(y) + 4.5) * cos));
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ribs_fall_from_back_to_front() {
        let chest =
            Chest { edge: Table::new(&LUNG_EDGE), depth: Table::new(&LUNG_DEPTH), middle: Table::new(&LUNG_MIDDLE) };
        let path = chest.rib(v(-15.0, -50.0, 55.0), -1.0, 110.0, 2.5, -45.0);
        assert!(path.windows(2).skip(2).all(|p| p[1].y > p[0].y));
        assert!(path.iter().all(|p| p.x < 0.0));
        assert!(path.last().unwrap().z < -40.0 && path.last().unwrap().y > path[0].y + 50.0);
    }
}
