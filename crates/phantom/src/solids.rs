//! Lungs, diaphragm and gas, and what they are cut out of.
//!
//! The reference person stands upright; the origin is in the middle of the chest at the seventh
//! thoracic vertebra, x to the patient's left, y down, z from front to back.

use crate::body::Body;
use crate::cage::Cage;
use crate::draw::{Draw, Part};
use crate::mediastinum::Mediastinum;
use crate::shapes::{Ellipsoid, Ripple};
use crate::spec::Patient;
use crate::table::Table;
use crate::vector::{Vec3, smooth_min, v};

/// Everything of the trunk that is not bone, vessel or bronchus.
pub(crate) struct Solids {
    cage: [Cage; 2],
    mediastinum: Mediastinum,
    domes: [Ellipsoid; 2],
    gas: Vec<Gas>,
    pub(crate) body: Body,
    ripple: Ripple,
    pub(crate) spine_x: Table,
}

/// Bubbles of gas that touch, with a level of fluid under them.
struct Gas {
    bubbles: Vec<Ellipsoid>,
    level: f32,
    middle: Vec3,
    reach: f32,
}

impl Solids {
    pub(crate) fn new(seed: u64, patient: &Patient) -> Self {
        let mut draw = Draw::new(seed, Part::Solids);
        let draw = &mut draw;
        let sink = patient.inspiration_mm;
        let curve = draw.around(0.0, 2.5);
        let spine_x =
            Table::new(&[(-200.0, 0.0), (-100.0, -curve), (0.0, curve), (100.0, 0.3 * curve), (200.0, -curve)]);
        let right_top = 62.0 + sink;
        let left_top = right_top + draw.around(13.0, 4.0);
        let right_dome = dome(-70.0 + draw.around(0.0, 4.0), right_top, 68.0 + draw.around(0.0, 5.0));
        let left_dome = dome(68.0 + draw.around(0.0, 4.0), left_top, 58.0 + draw.around(0.0, 5.0));
        Self {
            cage: [Cage::new(-1.0, draw), Cage::new(1.0, draw)],
            mediastinum: Mediastinum::new(patient, draw),
            domes: [right_dome, left_dome],
            gas: gas(left_top, draw),
            body: Body::new(patient, draw),
            ripple: Ripple::new(draw),
            spine_x,
        }
    }

    /// Distance to the surface of the air-filled lungs; `side` 0 is the right lung, 1 the left.
    pub(crate) fn lung_distance(&self, p: Vec3, side: usize) -> f32 {
        let cage = self.cage[side].distance(p);
        if cage > 9.0 {
            return cage;
        }
        // No part of the mediastinum reaches beyond this.
        let mut solid = p.x.abs() - 90.0;
        if solid < 10.0 {
            solid = self.mediastinum.distance(p, self.spine_x.at(p.y));
        }
        if p.y > 30.0 {
            solid = smooth_min(solid, self.domes[side].distance_of_column(p), 3.0);
        }
        if solid.abs() < 9.0 {
            solid += self.ripple.at(p);
        }
        cage.max(-solid)
    }

    /// Distance to the lung on the side of `p`.
    pub(crate) fn nearest_lung(&self, p: Vec3) -> f32 {
        self.lung_distance(p, usize::from(p.x > 0.0))
    }

    /// Distance to gas in stomach and bowel.
    pub(crate) fn gas_distance(&self, p: Vec3) -> f32 {
        self.gas.iter().map(|gas| gas.distance(p, &self.ripple)).fold(1e3, f32::min)
    }

    /// Whether a ray that passes `p` in the middle of the trunk can meet gas.
    pub(crate) fn gas_near(&self, p: Vec3) -> bool {
        // Between the middle and the front the ray moves sideways by at most a few millimetres.
        self.gas.iter().any(|gas| (p.x - gas.middle.x).hypot(p.y - gas.middle.y) < gas.reach + 18.0)
    }
}

impl Gas {
    fn new(bubbles: Vec<Ellipsoid>, level: f32) -> Self {
        let count = bubbles.len().max(1) as f32;
        let middle = bubbles.iter().fold(Vec3::default(), |sum, b| sum + b.centre) * (1.0 / count);
        let reach = bubbles.iter().map(|b| (b.centre - middle).length() + b.reach).fold(0.0, f32::max);
        Self { bubbles, level, middle, reach }
    }

    fn distance(&self, p: Vec3, ripple: &Ripple) -> f32 {
        let beyond = (p - self.middle).length() - self.reach;
        if beyond > 8.0 {
            return beyond;
        }
        let mut nearest = 1e3;
        for bubble in &self.bubbles {
            nearest = smooth_min(nearest, bubble.distance(p), 5.0);
        }
        (nearest + ripple.at(p * 1.7)).max(p.y - self.level)
    }
}

fn dome(x: f32, top: f32, height: f32) -> Ellipsoid {
    // Wide enough to meet the wall of the chest, whose widest part is 147 mm from the midline.
    Ellipsoid::new(v(x, top + height, -12.0), v(153.0 - x.abs(), height, 87.0))
}

fn gas(left_top: f32, draw: &mut Draw) -> Vec<Gas> {
    let mut all = Vec::new();
    if draw.chance(0.8) {
        let (w, h) = (draw.between(16.0, 36.0), draw.between(9.0, 17.0));
        let centre = v(draw.between(45.0, 66.0), left_top + 9.0 + h, draw.between(-40.0, -15.0));
        let level = centre.y + h * draw.between(0.2, 0.9);
        all.push(Gas::new(vec![Ellipsoid::new(centre, v(w, h, w * 0.9))], level));
    }
    for _ in 0..draw.pick(5) {
        let place = v(draw.sign() * draw.between(30.0, 105.0), draw.between(128.0, 185.0), draw.between(-60.0, -20.0));
        // A gut's pouches: a few balls that run into each other.
        let size = draw.between(6.0, 13.0);
        let bubbles = (0..3 + draw.pick(4))
            .map(|_| {
                let centre = place + v(1.4 * draw.normal(), draw.normal(), 0.5 * draw.normal()) * (0.9 * size);
                let radii = v(draw.between(0.7, 1.2), draw.between(0.6, 1.0), draw.between(0.3, 0.6)) * size;
                Ellipsoid::new(centre, radii)
            })
            .collect();
        all.push(Gas::new(bubbles, 1e3));
    }
    all
}
