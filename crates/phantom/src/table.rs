use crate::vector::whole;

/// A smooth function of height, given by knots and kept at every millimetre.
pub(crate) struct Table {
    start: f32,
    values: Vec<f32>,
}

impl Table {
    /// Cubic through the knots `(y, value)`, constant beyond them. Knots are in ascending y.
    pub(crate) fn new(knots: &[(f32, f32)]) -> Self {
        let (Some(first), Some(last)) = (knots.first(), knots.last()) else {
            return Self { start: 0.0, values: vec![0.0] };
        };
        let slopes = slopes(knots);
        let mut values = Vec::new();
        let mut segment = 0;
        for step in 0..=whole(last.0 - first.0) {
            let y = first.0 + step as f32;
            while segment + 2 < knots.len() && knots.get(segment + 1).is_some_and(|k| y > k.0) {
                segment += 1;
            }
            values.push(hermite(knots, &slopes, segment, y));
        }
        Self { start: first.0, values }
    }

    pub(crate) fn at(&self, y: f32) -> f32 {
        let position = (y - self.start).max(0.0);
        let index = whole(position);
        match (self.values.get(index), self.values.get(index + 1)) {
            (Some(a), Some(b)) => a + (b - a) * (position - index as f32),
            _ => self.values.last().copied().unwrap_or(0.0),
        }
    }
}

fn slopes(knots: &[(f32, f32)]) -> Vec<f32> {
    let secant = |a: Option<&(f32, f32)>, b: Option<&(f32, f32)>| match (a, b) {
        (Some(a), Some(b)) => (b.1 - a.1) / (b.0 - a.0),
        _ => 0.0,
    };
    (0..knots.len()).map(|i| secant(knots.get(i.saturating_sub(1)), knots.get(i + 1).or(knots.last()))).collect()
}

fn hermite(knots: &[(f32, f32)], slopes: &[f32], segment: usize, y: f32) -> f32 {
    let (Some(a), Some(b)) = (knots.get(segment), knots.get(segment + 1)) else {
        return knots.last().map_or(0.0, |k| k.1);
    };
    let width = b.0 - a.0;
    let t = (y - a.0) / width;
    let (t2, t3) = (t * t, t * t * t);
    let slope = |i: usize| slopes.get(i).copied().unwrap_or(0.0) * width;
    a.1 * (2.0 * t3 - 3.0 * t2 + 1.0)
        + slope(segment) * (t3 - 2.0 * t2 + t)
        + b.1 * (3.0 * t2 - 2.0 * t3)
        + slope(segment + 1) * (t3 - t2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_through_its_knots_and_is_constant_beyond() {
        let table = Table::new(&[(-10.0, 1.0), (0.0, 5.0), (20.0, 3.0)]);
        for (y, expected) in [(-10.0, 1.0), (0.0, 5.0), (20.0, 3.0), (-50.0, 1.0), (90.0, 3.0)] {
            assert!((table.at(y) - expected).abs() < 1e-4, "{y}");
        }
    }
}
