//! What lies along each ray of a coarse grid: soft tissue, fat, lung, gas and consolidation.
//!
//! The surfaces of these organs are smooth, so a ray for every half millimetre is enough; their edges
//! stay sharp because the place where a ray crosses a surface is interpolated, not sampled.

use crate::attenuation::{FAT_DENSITY, SOFT_DENSITY};
use crate::camera::{Camera, Ray};
use crate::opacity::Opacity;
use crate::plane::Plane;
use crate::rows::each_row;
use crate::solids::Solids;
use crate::vector::{Vec3, smooth_min};

/// Masses per area in g/cm², on the coarse grid.
pub(crate) struct Trunk {
    pub(crate) soft: Plane,
    pub(crate) fat: Plane,
    /// Thickness of lung, filled or not, cm.
    pub(crate) lung: Plane,
    /// Mass the opacity adds.
    pub(crate) added: Plane,
}

/// What the coarse grid is computed from.
pub(crate) struct Scene<'a> {
    pub(crate) camera: &'a Camera,
    pub(crate) solids: &'a Solids,
    pub(crate) opacity: Option<&'a Opacity>,
    /// g/cm³ at the middle of the lung.
    pub(crate) lung_density: f32,
    /// Coarse pixel in pixels of the image.
    pub(crate) factor: usize,
}

/// Masses along one ray.
#[derive(Clone, Copy, Default)]
struct Along {
    soft: f32,
    fat: f32,
    lung: f32,
    added: f32,
}

/// From behind to in front of any part of the trunk, mm.
const BACK: f32 = 132.0;
const FRONT: f32 = -152.0;
const LUNG_BACK: f32 = 84.0;
const LUNG_FRONT: f32 = -84.0;

impl Scene<'_> {
    /// Follows every ray; rows are shared out among `threads`, which changes nothing in the result.
    pub(crate) fn march(&self, width: usize, height: usize, threads: usize) -> Trunk {
        let mut cells = vec![Along::default(); width * height];
        let outer = self.outer(width, height, threads);
        each_row(&mut cells, width, threads, |row, line| {
            for (column, cell) in line.iter_mut().enumerate() {
                *cell = self.inner(&self.ray(column, row, self.factor));
            }
        });
        let plane = |pick: fn(&Along) -> f32| Plane { width, height, data: cells.iter().map(pick).collect() };
        let (mut soft, lung, added) = (plane(|c| c.soft), plane(|c| c.lung), plane(|c| c.added));
        let mut fat = Plane::new(width, height);
        let mut line = vec![0.0; width];
        for (coarse, target) in [(&outer.0, &mut soft), (&outer.1, &mut fat)] {
            let enlarged = coarse.enlarged(OUTER as f32, true, width);
            for (row, cells) in target.data.chunks_mut(width).enumerate() {
                enlarged.row(row, &mut line);
                for (value, outside) in cells.iter_mut().zip(&line) {
                    *value = (*value + outside).max(0.0);
                }
            }
        }
        Trunk { soft, fat, lung, added }
    }

    fn ray(&self, column: usize, row: usize, factor: usize) -> Ray {
        let centre = |i: usize| (i as f32 + 0.5) * factor as f32 - 0.5;
        self.camera.ray(centre(column), centre(row))
    }

    /// Soft tissue and fat of the body as if it had no lungs, on a grid coarser still.
    fn outer(&self, width: usize, height: usize, threads: usize) -> (Plane, Plane) {
        let (width, height) = (width.div_ceil(OUTER), height.div_ceil(OUTER));
        let mut cells = vec![Along::default(); width * height];
        each_row(&mut cells, width, threads, |row, line| {
            for (column, cell) in line.iter_mut().enumerate() {
                *cell = self.shell(&self.ray(column, row, self.factor * OUTER));
            }
        });
        let plane = |pick: fn(&Along) -> f32| Plane { width, height, data: cells.iter().map(pick).collect() };
        (plane(|c| c.soft), plane(|c| c.fat))
    }

    fn shell(&self, ray: &Ray) -> Along {
        let body = &self.solids.body;
        let walk = Walk::new(ray, BACK, FRONT);
        let mut along = Along::default();
        let mut before: Option<[f32; 3]> = None;
        let mut depth = 0.0;
        let mut stride = 0.0;
        loop {
            let p = walk.at(depth);
            let skin = body.distance(p);
            let breast = if body.has_breasts() && p.z < -20.0 { body.breast_distance(p) } else { 1e3 };
            let here = [smooth_min(skin, breast, 16.0), skin + body.fat_mm, skin];
            if let Some(there) = before {
                let length_cm = stride * walk.cm_per_mm;
                let all = inside(there[0], here[0]);
                let lean = inside(there[1], here[1]);
                // Of the breast, a third is gland.
                let gland = (all - inside(there[2], here[2])).max(0.0) * 0.33;
                along.soft += (lean + gland) * length_cm * SOFT_DENSITY;
                along.fat += (all - lean - gland).max(0.0) * length_cm * FAT_DENSITY;
            }
            before = Some(here);
            stride = stride_for(here[0].abs().min(here[1].abs()).min(breast.abs()), 8.0);
            if !walk.advance(&mut depth, &mut stride) {
                return along;
            }
        }
    }

    /// What lungs and gas take away from the body, and consolidation puts back.
    fn inner(&self, ray: &Ray) -> Along {
        let mut along = Along::default();
        let walk = Walk::new(ray, LUNG_BACK, LUNG_FRONT);
        let (start, end) = (walk.at(0.0), walk.at(walk.depth_mm));
        if start.y.max(end.y) < -160.0 || start.x.abs().min(end.x.abs()) > 158.0 {
            return along;
        }
        let gas = self.solids.gas_near(walk.at(0.5 * walk.depth_mm));
        let lungs = start.y.min(end.y) < 160.0;
        let cloud = self.opacity.filter(|o| o.reaches(walk.at(0.5 * walk.depth_mm)));
        let longest = if cloud.is_some() { 6.0 } else { f32::MAX };
        let mut before = (1e3_f32, 1e3_f32);
        let (mut depth, mut stride) = (0.0, 0.0);
        loop {
            let p = walk.at(depth);
            let here = (
                if lungs { self.solids.nearest_lung(p) } else { 1e3 },
                if gas { self.solids.gas_distance(p) } else { 1e3 },
            );
            if depth > 0.0 {
                let length_cm = stride * walk.cm_per_mm;
                along.soft -= inside(before.1, here.1) * length_cm * SOFT_DENSITY;
                let lung = inside(before.0, here.0) * length_cm;
                // More blood, so more mass, towards the bases of an upright lung.
                let density = self.lung_density * (1.0 + 0.0012 * p.y);
                along.lung += lung;
                along.soft += lung * (density - SOFT_DENSITY);
                if let Some(opacity) = cloud.filter(|_| lung > 0.0) {
                    let filling = |part: f32| opacity.filling_at(walk.at(depth - part * stride));
                    along.added += lung * 0.5 * (filling(0.25) + filling(0.75)) * (1.0 - density).max(0.0);
                }
            }
            before = here;
            stride = stride_for(here.0.abs().min(here.1.abs()), 6.0).min(longest);
            if !walk.advance(&mut depth, &mut stride) {
                break;
            }
        }
        along.soft += along.added;
        along
    }
}

/// A walk along a ray from back to front, in steps of depth.
struct Walk<'a> {
    ray: &'a Ray,
    first: f32,
    part_per_mm: f32,
    depth_mm: f32,
    cm_per_mm: f32,
}

impl<'a> Walk<'a> {
    fn new(ray: &'a Ray, back: f32, front: f32) -> Self {
        let (first, last) = (ray.part_at(back), ray.part_at(front));
        let depth_mm = back - front;
        let part_per_mm = (last - first) / depth_mm;
        Self { ray, first, part_per_mm, depth_mm, cm_per_mm: part_per_mm.abs() * ray.length_mm * 0.1 }
    }

    fn at(&self, depth: f32) -> Vec3 {
        self.ray.at(self.first + self.part_per_mm * depth)
    }
}

impl Walk<'_> {
    /// Goes on by `stride`, shortened to end where the walk ends; false when it has ended.
    fn advance(&self, depth: &mut f32, stride: &mut f32) -> bool {
        if *depth >= self.depth_mm {
            return false;
        }
        *stride = stride.min(self.depth_mm - *depth);
        *depth = if *stride < 1e-3 { self.depth_mm } else { *depth + *stride };
        true
    }
}

/// How far one may go when the nearest surface is `distance` away: the distances are not exact, so
/// only a part of them is trusted.
fn stride_for(distance: f32, least: f32) -> f32 {
    (0.6 * distance).clamp(least, 60.0)
}

/// The body's outline needs fewer rays than the lungs.
const OUTER: usize = 2;

/// The part of a step between two distances that lies inside.
fn inside(a: f32, b: f32) -> f32 {
    match (a < 0.0, b < 0.0) {
        (true, true) => 1.0,
        (false, false) => 0.0,
        (true, false) => a / (a - b),
        (false, true) => b / (b - a),
    }
}

#[cfg(test)]
mod tests {
    use super::inside;

    #[test]
    fn crossings_are_interpolated() {
        for (a, b, expected) in [(-1.0, -2.0, 1.0), (1.0, 2.0, 0.0), (-1.0, 3.0, 0.25), (3.0, -1.0, 0.25)] {
            assert!((inside(a, b) - expected).abs() < 1e-6);
        }
    }
}
