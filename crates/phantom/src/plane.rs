use crate::vector::whole;

/// One number for each pixel, row by row.
#[derive(Clone)]
pub(crate) struct Plane {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) data: Vec<f32>,
}

impl Plane {
    pub(crate) fn new(width: usize, height: usize) -> Self {
        Self { width, height, data: vec![0.0; width * height] }
    }

    /// A row; the nearest one when `y` lies outside, empty in an empty plane.
    pub(crate) fn row(&self, y: isize) -> &[f32] {
        let y = usize::try_from(y).unwrap_or(0).min(self.height.saturating_sub(1));
        self.data.get(y * self.width..(y + 1) * self.width).unwrap_or_default()
    }

    /// This plane enlarged `factor` times to rows of `width`, cubic in both directions.
    ///
    /// `sharp` passes through the samples (Catmull-Rom); otherwise the B-spline smooths them.
    pub(crate) fn enlarged(&self, factor: f32, sharp: bool, width: usize) -> Enlarged<'_> {
        let kernel = if sharp { catmull_rom } else { b_spline };
        let columns = (0..width)
            .map(|x| {
                // A margin of three columns on each side repeats the border.
                let position = ((x as f32 + 0.5) / factor + 2.5).clamp(1.0, (self.width + 3) as f32);
                let base = whole(position);
                (base - 1, kernel(position - base as f32))
            })
            .collect();
        Enlarged { plane: self, factor, kernel, columns }
    }

    /// Gaussian blur with `sigma` in pixels; the border is repeated outwards.
    pub(crate) fn blurred(&self, sigma: f32) -> Self {
        if sigma < 0.05 {
            return self.clone();
        }
        let kernel = gaussian(sigma);
        let radius = kernel.len() / 2;
        let mut across = Self::new(self.width, self.height);
        let mut line = vec![0.0; self.width + 2 * radius];
        for y in 0..self.height {
            let row = self.row(signed(y as f32));
            for (x, value) in line.iter_mut().enumerate() {
                *value = row[x.saturating_sub(radius).min(self.width - 1)];
            }
            let out = &mut across.data[y * self.width..(y + 1) * self.width];
            for (k, weight) in kernel.iter().enumerate() {
                for (value, source) in out.iter_mut().zip(&line[k..]) {
                    *value += weight * source;
                }
            }
        }
        let mut result = Self::new(self.width, self.height);
        for y in 0..self.height {
            let out = &mut result.data[y * self.width..(y + 1) * self.width];
            for (k, weight) in kernel.iter().enumerate() {
                let source = across.row(signed(y as f32 + k as f32 - radius as f32));
                for (value, s) in out.iter_mut().zip(source) {
                    *value += weight * s;
                }
            }
        }
        result
    }

    /// Means over squares of `factor` pixels; what is left over at the right and bottom joins the last
    /// square.
    pub(crate) fn reduced(&self, factor: usize) -> Self {
        let factor = factor.max(1);
        let (width, height) = ((self.width / factor).max(1), (self.height / factor).max(1));
        let mut sums = Self::new(width, height);
        let mut counts = vec![0.0_f32; width * height];
        for y in 0..self.height {
            let target = (y / factor).min(height - 1) * width;
            for (x, value) in self.row(signed(y as f32)).iter().enumerate() {
                let index = target + (x / factor).min(width - 1);
                sums.data[index] += value;
                counts[index] += 1.0;
            }
        }
        for (sum, count) in sums.data.iter_mut().zip(counts) {
            *sum /= count.max(1.0);
        }
        sums
    }
}

/// Rows of an enlarged plane, one at a time.
pub(crate) struct Enlarged<'a> {
    plane: &'a Plane,
    factor: f32,
    kernel: fn(f32) -> [f32; 4],
    columns: Vec<(usize, [f32; 4])>,
}

impl Enlarged<'_> {
    /// Fills `out` with row `y` of the enlarged plane.
    pub(crate) fn row(&self, y: usize, out: &mut [f32]) {
        let position = (y as f32 + 0.5) / self.factor - 0.5;
        let base = position.floor();
        let weights = (self.kernel)(position - base);
        let first = signed(base) - 1;
        let mut line = vec![0.0; self.plane.width + 6];
        let last = self.plane.width + 3;
        for (i, weight) in (0..).zip(weights) {
            for (value, source) in line[3..last].iter_mut().zip(self.plane.row(first + i)) {
                *value += weight * source;
            }
        }
        let (left, right) = (line[3], line[last - 1]);
        line[..3].fill(left);
        line[last..].fill(right);
        for (value, (base, [a, b, c, d])) in out.iter_mut().zip(&self.columns) {
            if let Some([p, q, r, s]) = line.get(*base..base + 4) {
                *value = a * p + b * q + c * r + d * s;
            }
        }
    }
}

fn catmull_rom(t: f32) -> [f32; 4] {
    let (t2, t3) = (t * t, t * t * t);
    [-0.5 * t + t2 - 0.5 * t3, 1.0 - 2.5 * t2 + 1.5 * t3, 0.5 * t + 2.0 * t2 - 1.5 * t3, -0.5 * t2 + 0.5 * t3]
}

fn b_spline(t: f32) -> [f32; 4] {
    let (t2, t3, u) = (t * t, t * t * t, 1.0 - t);
    [u * u * u / 6.0, (4.0 - 6.0 * t2 + 3.0 * t3) / 6.0, (1.0 + 3.0 * t + 3.0 * t2 - 3.0 * t3) / 6.0, t3 / 6.0]
}

fn gaussian(sigma: f32) -> Vec<f32> {
    let radius = whole((3.0 * sigma).ceil()).max(1);
    let weight = |k: usize| {
        let x = k as f32 - radius as f32;
        (-0.5 * x * x / (sigma * sigma)).exp()
    };
    let total: f32 = (0..=2 * radius).map(weight).sum();
    (0..=2 * radius).map(|k| weight(k) / total).collect()
}

/// A whole number that may be negative; saturates.
#[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
fn signed(value: f32) -> isize {
    value as isize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp() -> Plane {
        let data = (0..12 * 9).map(|i| (i % 12) as f32 + 3.0 * (i / 12) as f32).collect();
        Plane { width: 12, height: 9, data }
    }

    #[test]
    fn enlarging_a_ramp_gives_a_ramp() {
        let mut row = vec![0.0; 48];
        for sharp in [true, false] {
            ramp().enlarged(4.0, sharp, 48).row(16, &mut row);
            let y = 16.5 / 4.0 - 0.5;
            for (x, value) in row.iter().enumerate().take(40).skip(8) {
                let expected = (x as f32 + 0.5) / 4.0 - 0.5 + 3.0 * y;
                assert!((value - expected).abs() < 1e-4, "{x}: {value} {expected}");
            }
        }
    }

    #[test]
    fn blurring_and_reducing_keep_a_constant() {
        let flat = Plane { width: 10, height: 7, data: vec![2.5; 70] };
        assert!(flat.blurred(2.0).data.iter().all(|v| (v - 2.5).abs() < 1e-5));
        assert!(flat.reduced(3).data.iter().all(|v| (v - 2.5).abs() < 1e-5));
    }
}
