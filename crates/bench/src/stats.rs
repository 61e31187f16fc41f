//! Medians, percentiles, and ratios that a neighbour's load leaves alone.

use std::time::Duration;

/// The middle of the values; of an even number the mean of the two in the middle.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let upper = values.len() / 2;
    let lower = values.len().checked_sub(1)? / 2;
    Some(f64::midpoint(*values.get(lower)?, *values.get(upper)?))
}

/// The smallest latency that `per_cent` of them do not exceed, in milliseconds.
pub(crate) fn percentile_ms(latencies: &mut [Duration], per_cent: usize) -> Option<f64> {
    latencies.sort_unstable();
    let rank = (latencies.len() * per_cent).div_ceil(100).max(1);
    latencies.get(rank - 1).map(|latency| latency.as_secs_f64() * 1e3)
}

/// The median of `ours / theirs` over the repetitions that have both. Both were measured one after the other, so that
/// what else the machine did met them alike; medians of each, divided, would not have that.
pub(crate) fn ratio(ours: &[(u32, f64)], theirs: &[(u32, f64)]) -> Option<f64> {
    let of = |repetition| theirs.iter().find(|(other, _)| *other == repetition).map(|(_, rate)| *rate);
    median(ours.iter().filter_map(|(repetition, rate)| Some(rate / of(*repetition)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median([]), None);
    }

    #[test]
    fn percentiles_are_latencies_that_occurred() {
        let mut latencies: Vec<Duration> = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile_ms(&mut latencies, 50), Some(100.0));
        assert_eq!(percentile_ms(&mut latencies, 99), Some(198.0));
        assert_eq!(percentile_ms(&mut latencies[..1], 99), Some(1.0));
        assert_eq!(percentile_ms(&mut [], 50), None);
    }

    #[test]
    fn ratios_are_taken_within_a_repetition() {
        // The machine was ten times slower in the second: medians of each would say 0.2.
        let ours = [(0, 200.0), (1, 20.0), (2, 220.0)];
        let theirs = [(0, 100.0), (1, 10.0), (2, 100.0), (3, 1000.0)];
        assert_eq!(ratio(&ours, &theirs), Some(2.0));
        assert_eq!(ratio(&ours[..2], &theirs[2..]), None);
    }
}
