//! The inner wall of the chest.

use crate::draw::Draw;
use crate::table::Table;
use crate::vector::{Vec3, whole};

/// The inner wall of one half of the chest: an ellipse at each height, closed at the apex.
pub(crate) struct Cage {
    /// Sections at every millimetre from the apex down.
    sections: Vec<Section>,
    top: f32,
}

#[derive(Clone, Copy)]
struct Section {
    centre_x: f32,
    centre_z: f32,
    per_width: f32,
    per_depth: f32,
}

/// Lateral surface of the lung, from the midline, at a height of the reference person.
pub(crate) const LUNG_EDGE: [(f32, f32); 11] = [
    (-150.0, 66.0),
    (-140.0, 75.0),
    (-120.0, 92.0),
    (-100.0, 106.0),
    (-70.0, 121.0),
    (-40.0, 130.0),
    (0.0, 139.0),
    (40.0, 144.0),
    (80.0, 147.0),
    (120.0, 147.0),
    (150.0, 144.0),
];
const LUNG_CENTRE: [(f32, f32); 7] =
    [(-150.0, 45.0), (-120.0, 53.0), (-100.0, 58.0), (-70.0, 64.0), (0.0, 72.0), (60.0, 77.0), (150.0, 77.0)];
/// Half of the depth of the lung.
pub(crate) const LUNG_DEPTH: [(f32, f32); 9] = [
    (-150.0, 26.0),
    (-130.0, 36.0),
    (-100.0, 50.0),
    (-70.0, 60.0),
    (-40.0, 68.0),
    (0.0, 76.0),
    (40.0, 79.0),
    (90.0, 77.0),
    (150.0, 68.0),
];
/// Depth of the middle of the lung.
pub(crate) const LUNG_MIDDLE: [(f32, f32); 8] = [
    (-150.0, 24.0),
    (-120.0, 17.0),
    (-100.0, 12.0),
    (-70.0, 6.0),
    (-40.0, 2.0),
    (0.0, -2.0),
    (60.0, -4.0),
    (150.0, -2.0),
];

impl Cage {
    /// The half on the side of the sign of `side`.
    pub(crate) fn new(side: f32, draw: &mut Draw) -> Self {
        let wide = draw.around(1.0, 0.012);
        let centre: Vec<_> = LUNG_CENTRE.iter().map(|&(y, x)| (y, x * side)).collect();
        let widths: Vec<_> =
            LUNG_EDGE.iter().map(|&(y, edge)| (y, edge * wide - Table::new(&LUNG_CENTRE).at(y))).collect();
        let [centre_x, centre_z] = [Table::new(&centre), Table::new(&LUNG_MIDDLE)];
        let [half_width, half_depth] = [Table::new(&widths), Table::new(&LUNG_DEPTH)];
        let top = draw.around(-150.0, 3.0);
        let sections = (0..330)
            .map(|drop| {
                let drop = drop as f32;
                let y = top + drop;
                // The apex is rounded over 34 mm.
                let t = (drop / 34.0).min(1.0);
                let closing = (t * (2.0 - t)).sqrt().max(0.02);
                Section {
                    centre_x: centre_x.at(y),
                    centre_z: centre_z.at(y),
                    per_width: 1.0 / (half_width.at(y) * closing),
                    per_depth: 1.0 / (half_depth.at(y) * closing),
                }
            })
            .collect();
        Self { sections, top }
    }

    pub(crate) fn distance(&self, p: Vec3) -> f32 {
        let drop = p.y - self.top;
        if drop <= 0.5 {
            return 1.0 - drop;
        }
        let index = whole(drop);
        let (Some(a), Some(b)) = (self.sections.get(index), self.sections.get(index + 1)) else {
            return 1e3;
        };
        let t = drop - index as f32;
        let mix = |a: f32, b: f32| a + (b - a) * t;
        let (per_width, per_depth) = (mix(a.per_width, b.per_width), mix(a.per_depth, b.per_depth));
        let x = (p.x - mix(a.centre_x, b.centre_x)) * per_width;
        let z = (p.z - mix(a.centre_z, b.centre_z)) * per_depth;
        let squared = x * x + z * z;
        let (u, w) = (x * per_width, z * per_depth);
        // k (k - 1) / |gradient|, with one square root.
        let slope = (u * u + w * w).max(1e-12);
        (squared - squared.sqrt()) / slope.sqrt()
    }
}
