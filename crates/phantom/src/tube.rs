//! Bones, vessels and bronchi as chains of short elliptical cylinders, each met exactly by every ray.
//!
//! Neighbours share the plane that halves their angle, so a chain has neither gaps nor overlaps, and a
//! shell is the difference of an outer and an inner chain.

use crate::camera::Camera;
use crate::vector::{Vec3, curve, v, whole};

/// Grams per cubic centimetre that a tube adds to what is there without it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Material {
    pub(crate) soft: f32,
    pub(crate) bone: f32,
}

impl Material {
    fn minus(self, other: Self) -> Self {
        Self { soft: self.soft - other.soft, bone: self.bone - other.bone }
    }

    pub(crate) fn times(self, by: f32) -> Self {
        Self { soft: self.soft * by, bone: self.bone * by }
    }
}

/// A place on a tube's axis: half-thickness `a` along `normal`, half-height `b` across it.
#[derive(Clone, Copy)]
pub(crate) struct Ring {
    pub(crate) centre: Vec3,
    pub(crate) normal: Vec3,
    pub(crate) a: f32,
    pub(crate) b: f32,
}

/// One elliptical cylinder between two planes, of one material.
pub(crate) struct Segment {
    ends: [Vec3; 2],
    end_normals: [Vec3; 2],
    across: [Vec3; 2],
    reach: f32,
    material: Material,
}

/// A band of rows of the two images that tubes are added to, in g/cm².
pub(crate) struct Band<'a> {
    pub(crate) first_row: usize,
    pub(crate) width: usize,
    pub(crate) soft: &'a mut [f32],
    pub(crate) bone: &'a mut [f32],
}

/// Rings every `spacing` millimetres on the smooth curve through `points`; `size` gives the two half
/// axes and the normal from the position along the points (0 at the first, 1 at the second, ...).
pub(crate) fn rings(points: &[Vec3], spacing: f32, size: impl Fn(f32, Vec3) -> (f32, f32, Vec3)) -> Vec<Ring> {
    curve(points, spacing)
        .into_iter()
        .map(|(centre, position)| {
            let (a, b, normal) = size(position, centre);
            Ring { centre, normal, a, b }
        })
        .collect()
}

/// A solid tube of one material.
pub(crate) fn solid(rings: &[Ring], material: Material, into: &mut Vec<Segment>) {
    for (i, pair) in rings.windows(2).enumerate() {
        let axis = (pair[1].centre - pair[0].centre).unit();
        let before = if i == 0 { axis } else { (pair[0].centre - rings[i - 1].centre).unit() };
        let after = rings.get(i + 2).map_or(axis, |r| (r.centre - pair[1].centre).unit());
        let (a, b) = (0.5 * (pair[0].a + pair[1].a), 0.5 * (pair[0].b + pair[1].b));
        if a <= 0.0 || b <= 0.0 {
            continue;
        }
        let normal = pair[0].normal + pair[1].normal;
        let normal = (normal - axis * axis.dot(normal)).unit();
        let side = axis.cross(normal);
        into.push(Segment {
            ends: [pair[0].centre, pair[1].centre],
            end_normals: [(axis + before).unit(), -(axis + after).unit()],
            across: [normal * (1.0 / a), side * (1.0 / b)],
            reach: a.max(b),
            material,
        });
    }
}

/// A tube with a wall of `thickness` around another material.
pub(crate) fn walled(rings: &[Ring], thickness: f32, wall: Material, core: Material, into: &mut Vec<Segment>) {
    solid(rings, wall, into);
    let inner: Vec<Ring> =
        rings.iter().map(|r| Ring { a: (r.a - thickness).max(0.0), b: (r.b - thickness).max(0.0), ..*r }).collect();
    solid(&inner, core.minus(wall), into);
}

/// A ball with a wall, as a stack of discs along y.
pub(crate) fn ball(
    centre: Vec3,
    radius: Vec3,
    thickness: f32,
    wall: Material,
    core: Material,
    into: &mut Vec<Segment>,
) {
    let stack = |radius: Vec3| -> Vec<Ring> {
        let count = whole(radius.y / 0.6).max(4);
        (0..=2 * count)
            .map(|i| {
                let t = i as f32 / count as f32 - 1.0;
                let part = (1.0 - t * t).max(0.0).sqrt();
                Ring {
                    centre: centre + v(0.0, radius.y * t, 0.0),
                    normal: v(1.0, 0.0, 0.0),
                    a: radius.x * part,
                    b: radius.z * part,
                }
            })
            .collect()
    };
    solid(&stack(radius), wall, into);
    let t = v(thickness, thickness, thickness);
    solid(&stack(radius - t), core.minus(wall), into);
}

impl Segment {
    pub(crate) fn middle(&self) -> Vec3 {
        self.ends[0].toward(self.ends[1], 0.5)
    }

    pub(crate) fn weaken(&mut self, by: f32) {
        self.material = self.material.times(by);
    }

    /// Adds the mass this segment puts in the way of each ray of the band.
    pub(crate) fn add_to(&self, camera: &Camera, band: &mut Band<'_>) {
        let rows = band.soft.len() / band.width.max(1);
        let projected = self.ends.map(|end| camera.project(end));
        let middle = self.middle();
        let ray = {
            let (column, row) = camera.project(middle);
            camera.ray(column, row)
        };
        let part = (middle - camera.source).length() / ray.span.length();
        let (per_column, per_row) = camera.steps_at(part);
        let step = per_column.length().min(per_row.length()).max(1e-6);
        let margin = 1.5 * self.reach / step + 1.5;
        let row_low = projected[0].1.min(projected[1].1) - margin - band.first_row as f32;
        let row_high = projected[0].1.max(projected[1].1) + margin - band.first_row as f32;
        let column_low = projected[0].0.min(projected[1].0) - margin;
        let column_high = projected[0].0.max(projected[1].0) + margin;
        if row_high < 0.0 || column_high < 0.0 {
            return;
        }
        let first_row = whole(row_low);
        let last_row = (whole(row_high) + 1).min(rows);
        let columns = (whole(column_low), (whole(column_high) + 1).min(band.width));
        if columns.0 >= columns.1 {
            return;
        }
        // Movement of the point per real centimetre along the ray.
        let direction = ray.span * (10.0 / ray.length_mm);
        let d = self.across.map(|axis| direction.dot(axis));
        let squared = (d[0] * d[0] + d[1] * d[1]).max(1e-6);
        let chord = Chord {
            cross_step: per_column.dot(self.across[0]) * d[1] - per_column.dot(self.across[1]) * d[0],
            middle_step: -(per_column.dot(self.across[0]) * d[0] + per_column.dot(self.across[1]) * d[1]) / squared,
            squared,
            planes: [0, 1].map(|i| (per_column.dot(self.end_normals[i]), direction.dot(self.end_normals[i]))),
        };
        for row in first_row..last_row {
            let start = camera.ray(0.0, (row + band.first_row) as f32).at(part);
            let m = self.across.map(|axis| (start - middle).dot(axis));
            let offsets = [0, 1].map(|i| (start - self.ends[i]).dot(self.end_normals[i]));
            let line = row * band.width;
            let cross = m[0] * d[1] - m[1] * d[0];
            let mid = -(m[0] * d[0] + m[1] * d[1]) / squared;
            let (low, high) = chord.columns(cross, mid, offsets, columns);
            for column in low..high {
                let length = chord.length(cross, mid, offsets, column as f32);
                if length > 0.0 {
                    band.soft[line + column] += length * self.material.soft;
                    band.bone[line + column] += length * self.material.bone;
                }
            }
        }
    }
}

/// The part of a ray inside a segment; all of it is linear in the column.
struct Chord {
    cross_step: f32,
    middle_step: f32,
    squared: f32,
    planes: [(f32, f32); 2],
}

impl Chord {
    /// The columns in which the ray can meet the cylinder between its planes.
    fn columns(&self, cross: f32, mid: f32, offsets: [f32; 2], within: (usize, usize)) -> (usize, usize) {
        let reach = self.squared.sqrt();
        let longest = 1.0 / reach;
        // Each limit is `value + step * column >= 0`.
        let mut limits = [(reach + cross, self.cross_step), (reach - cross, -self.cross_step), (0.0, 0.0), (0.0, 0.0)];
        for (i, ((step, slope), offset)) in self.planes.into_iter().zip(offsets).enumerate() {
            limits[i + 2] = (offset + slope * mid + slope.abs() * longest, step + slope * self.middle_step);
        }
        let (mut low, mut high) = (within.0 as f32, within.1 as f32);
        for (value, step) in limits {
            if step.abs() < 1e-9 {
                if value < 0.0 {
                    return (0, 0);
                }
            } else if step > 0.0 {
                low = low.max(-value / step);
            } else {
                high = high.min(-value / step);
            }
        }
        if high < low { (0, 0) } else { (whole(low), (whole(high) + 1).min(within.1)) }
    }

    /// Centimetres inside.
    fn length(&self, cross: f32, mid: f32, offsets: [f32; 2], column: f32) -> f32 {
        let cross = cross + self.cross_step * column;
        let under = self.squared - cross * cross;
        if under <= 0.0 {
            return 0.0;
        }
        let half = under.sqrt() / self.squared;
        let mid = mid + self.middle_step * column;
        let (mut low, mut high) = (mid - half, mid + half);
        for ((step, slope), offset) in self.planes.into_iter().zip(offsets) {
            let offset = offset + step * column;
            if slope.abs() < 1e-5 {
                if offset < 0.0 {
                    return 0.0;
                }
            } else if slope > 0.0 {
                low = low.max(-offset / slope);
            } else {
                high = high.min(-offset / slope);
            }
        }
        high - low
    }
}
