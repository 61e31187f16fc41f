//! Skin, fat and muscle of trunk, neck, shoulders and breasts.

use crate::draw::Draw;
use crate::shapes::{Capsule, Ellipsoid};
use crate::spec::{Patient, Sex};
use crate::table::Table;
use crate::vector::{Vec3, smooth_min, v};

/// The outer surface of the trunk, neck, shoulders and breasts.
pub(crate) struct Body {
    half_width: Table,
    half_depth: Table,
    centre_z: Table,
    limbs: Vec<Capsule>,
    breasts: Vec<Ellipsoid>,
    pub(crate) fat_mm: f32,
}

impl Body {
    pub(crate) fn new(patient: &Patient, draw: &mut Draw) -> Self {
        let fat = patient.fat_mm;
        // The tables describe a lean person; fat goes on top.
        let lean = |knots: &[(f32, f32)], by: f32| -> Vec<(f32, f32)> {
            knots.iter().map(|&(y, w)| (y, w + fat * by)).collect()
        };
        let half_width = lean(
            &[
                (-150.0, 122.0),
                (-110.0, 145.0),
                (-60.0, 156.0),
                (0.0, 161.0),
                (60.0, 162.0),
                (120.0, 158.0),
                (220.0, 150.0),
            ],
            1.0,
        );
        let half_depth = lean(
            &[
                (-150.0, 86.0),
                (-110.0, 96.0),
                (-60.0, 98.0),
                (0.0, 98.0),
                (60.0, 104.0),
                (120.0, 110.0),
                (220.0, 110.0),
            ],
            1.0,
        );
        let up = -patient.shrug_mm;
        let out = patient.abduction;
        let neck = (v(0.0, -175.0, 16.0), 50.0 + 0.5 * fat);
        let mut limbs = vec![Capsule::new(neck, (v(0.0, -340.0, -8.0), 52.0 + 0.5 * fat))];
        for side in [-1.0, 1.0] {
            let shoulder = v(158.0, -106.0 + up, 4.0).on(side);
            let neck = v(42.0, -152.0 + 0.5 * up, 14.0).on(side);
            let arm = v(205.0 + 95.0 * out, 260.0 - 130.0 * out, -30.0).on(side);
            limbs.push(Capsule::new((neck, 46.0 + 0.6 * fat), (shoulder, 54.0 + 0.6 * fat)));
            limbs.push(Capsule::new((shoulder + v(14.0 * side, 4.0, 0.0), 46.0 + 0.6 * fat), (arm, 38.0 + 0.7 * fat)));
        }
        let mut breasts = Vec::new();
        if patient.sex == Sex::Female {
            let size = draw.between(0.75, 1.2) + 0.01 * (fat - 12.0);
            let low = draw.between(36.0, 66.0);
            for side in [-1.0, 1.0] {
                let centre = v(76.0 + 4.0 * draw.normal(), low + 3.0 * draw.normal(), -88.0 - 0.5 * fat).on(side);
                breasts.push(Ellipsoid::new(centre, v(60.0, 50.0, 36.0) * size));
            }
        }
        Self {
            half_width: Table::new(&half_width),
            half_depth: Table::new(&half_depth),
            centre_z: Table::new(&[(-150.0, 16.0), (-110.0, 8.0), (-60.0, 3.0), (0.0, 1.0), (220.0, 0.0)]),
            limbs,
            breasts,
            fat_mm: fat,
        }
    }

    /// Distance to the skin, breasts left out.
    pub(crate) fn distance(&self, p: Vec3) -> f32 {
        let (w, d) = (self.half_width.at(p.y), self.half_depth.at(p.y));
        let (x, z) = (p.x / w, (p.z - self.centre_z.at(p.y)) / d);
        // Between an ellipse and a box: exponent 2.5.
        let k = (x * x * x.abs().sqrt() + z * z * z.abs().sqrt()).powf(0.4);
        // Above the arm pits the trunk ends in a slope that the shoulders hide.
        let mut distance = (k - 1.0) * d + 0.8 * (-128.0 - p.y).max(0.0);
        if p.y < -20.0 || p.x.abs() > 120.0 {
            for limb in &self.limbs {
                distance = smooth_min(distance, limb.distance(p), 22.0);
            }
        }
        distance
    }

    /// Distance to the nearer breast; far away when there is none.
    pub(crate) fn breast_distance(&self, p: Vec3) -> f32 {
        self.breasts
            .iter()
            .map(|b| {
                // It hangs: the upper half runs out slowly into the chest wall.
                let down = p.y - b.centre.y;
                b.distance(v(p.x, b.centre.y + if down < 0.0 { 0.55 * down } else { down }, p.z))
            })
            .fold(1e3, f32::min)
    }

    pub(crate) fn has_breasts(&self) -> bool {
        !self.breasts.is_empty()
    }
}
