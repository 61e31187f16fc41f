use std::ops::{Add, Mul, Neg, Sub};

/// A point or direction in millimetres: x to the patient's left, y down, z from front to back.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Vec3 {
    pub(crate) x: f32,
    pub(crate) y: f32,
    pub(crate) z: f32,
}

pub(crate) const fn v(x: f32, y: f32, z: f32) -> Vec3 {
    Vec3 { x, y, z }
}

impl Vec3 {
    pub(crate) fn dot(self, other: Self) -> f32 {
        self.x * other.x + self.y * other.y + self.z * other.z
    }

    pub(crate) fn cross(self, other: Self) -> Self {
        v(self.y * other.z - self.z * other.y, self.z * other.x - self.x * other.z, self.x * other.y - self.y * other.x)
    }

    pub(crate) fn length(self) -> f32 {
        self.dot(self).sqrt()
    }

    /// The unit vector along `self`; the x axis when `self` has no direction.
    pub(crate) fn unit(self) -> Self {
        let length = self.length();
        if length > 1e-12 { self * (1.0 / length) } else { v(1.0, 0.0, 0.0) }
    }

    /// Component by component.
    pub(crate) fn scaled(self, by: Self) -> Self {
        v(self.x * by.x, self.y * by.y, self.z * by.z)
    }

    pub(crate) fn toward(self, other: Self, part: f32) -> Self {
        self + (other - self) * part
    }

    /// The same point on the other side of the midline when `side` is -1.
    pub(crate) fn on(self, side: f32) -> Self {
        v(self.x * side, self.y, self.z)
    }
}

impl Add for Vec3 {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        v(self.x + other.x, self.y + other.y, self.z + other.z)
    }
}

impl Sub for Vec3 {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        v(self.x - other.x, self.y - other.y, self.z - other.z)
    }
}

impl Mul<f32> for Vec3 {
    type Output = Self;
    fn mul(self, by: f32) -> Self {
        v(self.x * by, self.y * by, self.z * by)
    }
}

impl Neg for Vec3 {
    type Output = Self;
    fn neg(self) -> Self {
        self * -1.0
    }
}

/// Catmull-Rom curve through `points`, sampled about every `spacing` millimetres, ends included.
pub(crate) fn curve(points: &[Vec3], spacing: f32) -> Vec<(Vec3, f32)> {
    let mut samples = Vec::new();
    let at = |i: isize| {
        let last = points.len().saturating_sub(1);
        let index = usize::try_from(i).unwrap_or(0).min(last);
        points.get(index).copied().unwrap_or_default()
    };
    for start in 0..points.len().saturating_sub(1) {
        let i = start as isize;
        let (a, b, c, d) = (at(i - 1), at(i), at(i + 1), at(i + 2));
        let steps = whole((c - b).length() / spacing).max(1);
        for step in 0..steps {
            let t = step as f32 / steps as f32;
            samples.push((catmull_rom(a, b, c, d, t), start as f32 + t));
        }
    }
    if let Some(last) = points.last() {
        samples.push((*last, points.len().saturating_sub(1) as f32));
    }
    samples
}

fn catmull_rom(a: Vec3, b: Vec3, c: Vec3, d: Vec3, t: f32) -> Vec3 {
    let (t2, t3) = (t * t, t * t * t);
    (b * 2.0 + (c - a) * t + (a * 2.0 - b * 5.0 + c * 4.0 - d) * t2 + (b * 3.0 - a - c * 3.0 + d) * t3) * 0.5
}

/// The whole part of a number, 0 for what is negative or not a number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates, and NaN becomes 0")]
pub(crate) fn whole(value: f32) -> usize {
    value as usize
}

/// 0 below `low`, 1 above `high`, smooth between.
pub(crate) fn smooth_step(low: f32, high: f32, value: f32) -> f32 {
    let t = ((value - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// The smaller of two distances, rounded off where they are within `round` of each other.
pub(crate) fn smooth_min(a: f32, b: f32, round: f32) -> f32 {
    let h = (round - (a - b).abs()).max(0.0) / round;
    a.min(b) - h * h * round * 0.25
}
