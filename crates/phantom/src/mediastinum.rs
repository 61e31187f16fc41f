//! Heart, great vessels and what else parts the lungs.

use crate::draw::Draw;
use crate::shapes::{Capsule, Ellipsoid, within};
use crate::spec::Patient;
use crate::table::Table;
use crate::vector::{Vec3, smooth_min, v};

/// What parts the lungs.
pub(crate) struct Mediastinum {
    half_width: [Table; 2],
    depth_shape: Table,
    heart: Vec<Ellipsoid>,
    aorta: Vec<Capsule>,
    heart_top: f32,
}

impl Mediastinum {
    pub(crate) fn new(patient: &Patient, draw: &mut Draw) -> Self {
        let old = (f32::from(patient.age_years) - 40.0).clamp(0.0, 45.0) / 45.0;
        let right: Vec<_> = [
            (-170.0, 46.0),
            (-146.0, 37.0),
            (-125.0, 29.0),
            (-100.0, 25.0),
            (-75.0, 25.0),
            (-50.0, 27.0),
            (-20.0, 27.0),
            (20.0, 22.0),
            (60.0, 19.0),
            (130.0, 18.0),
        ]
        .iter()
        .map(|&(y, w)| (y, draw.around(w, 1.2)))
        .collect();
        let left: Vec<_> = [
            (-170.0, 46.0),
            (-146.0, 38.0),
            (-125.0, 31.0),
            (-100.0, 28.0),
            (-80.0, 26.0),
            (-50.0, 24.0),
            (-20.0, 22.0),
            (20.0, 21.0),
            (60.0, 20.0),
            (130.0, 19.0),
        ]
        .iter()
        .map(|&(y, w)| (y, draw.around(w, 1.2)))
        .collect();
        let depth_shape = Table::new(&[
            (-95.0, 0.35),
            (-65.0, 0.25),
            (-45.0, 0.45),
            (-25.0, 0.9),
            (-8.0, 1.0),
            (10.0, 0.9),
            (28.0, 0.62),
            (48.0, 0.66),
            (75.0, 0.85),
        ]);
        Self {
            half_width: [Table::new(&right), Table::new(&left)],
            depth_shape,
            heart: heart(patient, draw),
            aorta: aorta(old, draw).windows(2).map(|ends| Capsule::new(ends[0], ends[1])).collect(),
            heart_top: -70.0,
        }
    }

    pub(crate) fn distance(&self, p: Vec3, spine_x: f32) -> f32 {
        let x = p.x - spine_x;
        let half = self.half_width[usize::from(x > 0.0)].at(p.y) * self.depth_shape.at(p.z);
        let mut distance = x.abs() - half;
        if p.x > -40.0 && p.x < 80.0 && p.y > -105.0 {
            for part in &self.aorta {
                if within(p, part.middle, part.reach + 7.0 + distance) {
                    distance = smooth_min(distance, part.distance(p), 7.0);
                }
            }
        }
        if p.y > self.heart_top {
            for part in &self.heart {
                if within(p, part.centre, part.reach + 11.0 + distance) {
                    distance = smooth_min(distance, part.distance(p), 11.0);
                }
            }
        }
        distance
    }
}

fn heart(patient: &Patient, draw: &mut Draw) -> Vec<Ellipsoid> {
    let size = patient.heart;
    let sink = patient.inspiration_mm * 0.5;
    let lying = draw.around(0.0, 0.1);
    let left = Ellipsoid::turned(
        v(23.0 + 2.0 * draw.normal(), 34.0 + sink, -30.0),
        v(67.0, 48.0, 45.0) * size,
        v(0.64 + lying, 0.72 - lying, -0.30),
        v(-0.6, 0.7, 0.0),
    );
    let right = Ellipsoid::new(v(-5.0 + 1.5 * draw.normal(), 40.0 + sink, -28.0), v(37.0, 44.0, 42.0) * size);
    let base = Ellipsoid::new(v(4.0, -8.0 + 0.5 * sink, -18.0), v(30.0, 36.0, 32.0) * size);
    let trunk = Ellipsoid::new(
        v(21.0 + 1.5 * draw.normal(), -22.0 + 2.0 * draw.normal(), -18.0),
        v(20.0 + draw.normal(), 26.0, 20.0),
    );
    let right_hilum = Ellipsoid::new(v(-29.0, -8.0, 12.0), v(8.0, 18.0, 9.0));
    let left_hilum = Ellipsoid::new(v(28.0, -24.0, 14.0), v(8.0, 12.0, 9.0));
    let cava = Ellipsoid::new(v(-20.0, 85.0, -2.0), v(14.0, 40.0, 14.0));
    vec![left, right, base, trunk, right_hilum, left_hilum, cava]
}

/// Ascending aorta, arch and descending aorta as centre and radius; wider and more unrolled with age.
fn aorta(old: f32, draw: &mut Draw) -> Vec<(Vec3, f32)> {
    let r = draw.around(12.0 + 2.5 * old, 0.8);
    let unroll = draw.around(5.0 * old, 2.0).max(-2.0);
    let arch = draw.around(0.0, 4.0) - 4.0 * old;
    [
        (-10.0 - unroll, 0.0, -22.0),
        (-13.0 - unroll, -38.0 + arch, -24.0),
        (-3.0, -58.0 + arch, -18.0),
        (13.0, -65.0 + arch, -2.0),
        (25.0 + unroll * 0.5, -61.0 + arch, 16.0),
        (29.0 + unroll, -46.0 + arch, 34.0),
        (27.0 + unroll, -15.0, 44.0),
        (21.0 + unroll, 25.0, 46.0),
        (13.0 + unroll * 0.5, 75.0, 44.0),
        (6.0, 130.0, 40.0),
    ]
    .iter()
    .enumerate()
    .map(|(i, &(x, y, z))| (v(x, y, z), if i < 5 { r + 1.5 } else { r }))
    .collect()
}
