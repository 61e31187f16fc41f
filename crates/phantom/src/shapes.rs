//! The shapes organs are made of, as signed distances: negative inside, about millimetres near the
//! surface.

use crate::draw::Draw;
use crate::vector::{Vec3, v};

/// An ellipsoid by its centre and its axes, each a unit vector over the radius.
pub(crate) struct Ellipsoid {
    pub(crate) centre: Vec3,
    axes: [Vec3; 3],
    radius: f32,
    pub(crate) reach: f32,
}

impl Ellipsoid {
    pub(crate) fn new(centre: Vec3, radii: Vec3) -> Self {
        Self::turned(centre, radii, v(1.0, 0.0, 0.0), v(0.0, 1.0, 0.0))
    }

    /// `first` and `second` are the directions of the first two radii, made orthogonal.
    pub(crate) fn turned(centre: Vec3, radii: Vec3, first: Vec3, second: Vec3) -> Self {
        let a = first.unit();
        let b = (second - a * a.dot(second)).unit();
        let c = a.cross(b);
        let reach = radii.x.max(radii.y).max(radii.z);
        let axes = [a * (1.0 / radii.x), b * (1.0 / radii.y), c * (1.0 / radii.z)];
        Self { centre, axes, radius: radii.x.min(radii.y).min(radii.z), reach }
    }

    pub(crate) fn distance(&self, p: Vec3) -> f32 {
        let offset = p - self.centre;
        let q = v(offset.dot(self.axes[0]), offset.dot(self.axes[1]), offset.dot(self.axes[2]));
        let k = q.length();
        let slope = (self.axes[0] * q.x + self.axes[1] * q.y + self.axes[2] * q.z).length();
        if slope < 1e-5 { -self.radius } else { k * (k - 1.0) / slope }
    }

    /// As [`Self::distance`], but below the centre the section stays what it is at the centre.
    pub(crate) fn distance_of_column(&self, p: Vec3) -> f32 {
        self.distance(v(p.x, p.y.min(self.centre.y), p.z))
    }
}

/// A ball that grows or shrinks while it moves along a line.
pub(crate) struct Capsule {
    start: Vec3,
    axis: Vec3,
    per_length: f32,
    radius: f32,
    growth: f32,
    pub(crate) middle: Vec3,
    pub(crate) reach: f32,
}

impl Capsule {
    pub(crate) fn new(a: (Vec3, f32), b: (Vec3, f32)) -> Self {
        let axis = b.0 - a.0;
        Self {
            start: a.0,
            axis,
            per_length: 1.0 / axis.dot(axis).max(1e-6),
            radius: a.1,
            growth: b.1 - a.1,
            middle: a.0.toward(b.0, 0.5),
            reach: 0.5 * axis.length() + a.1.max(b.1),
        }
    }

    pub(crate) fn distance(&self, p: Vec3) -> f32 {
        let offset = p - self.start;
        let t = (offset.dot(self.axis) * self.per_length).clamp(0.0, 1.0);
        (offset - self.axis * t).length() - (self.radius + self.growth * t)
    }
}

/// Whether two points are closer than `reach`.
pub(crate) fn within(p: Vec3, q: Vec3, reach: f32) -> bool {
    let d = p - q;
    reach > 0.0 && d.dot(d) < reach * reach
}

/// Small waves that keep surfaces from being perfect.
pub(crate) struct Ripple([(Vec3, f32, f32); 4]);

impl Ripple {
    pub(crate) fn new(draw: &mut Draw) -> Self {
        Self(std::array::from_fn(|i| {
            let wave = 0.05 + 0.035 * i as f32;
            let direction = v(draw.normal(), draw.normal(), draw.normal()).unit() * wave;
            (direction, draw.between(0.0, std::f32::consts::TAU), 0.9 / (1.0 + i as f32 * 0.5))
        }))
    }

    pub(crate) fn at(&self, p: Vec3) -> f32 {
        self.0.iter().map(|(k, phase, size)| size * (k.dot(p) + phase).sin()).sum()
    }
}
