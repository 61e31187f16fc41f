//! The rate at which a message in progress has to go on.

use std::time::Duration;

use tokio::time::Instant;

/// Sees that a message in progress goes on at a minimum rate: the silence timer alone would let a peer
/// hold an association for ever with a byte now and then.
pub(crate) struct Pace {
    minimum: u64,
    over: Duration,
    since: Instant,
    bytes: u64,
}

impl Pace {
    pub(crate) fn new(minimum: u64, over: Duration) -> Self {
        Self { minimum, over, since: Instant::now(), bytes: 0 }
    }

    pub(crate) fn restart(&mut self) {
        self.since = Instant::now();
        self.bytes = 0;
    }

    /// Takes note of `count` bytes; the rate in bytes a second, when it is too low.
    pub(crate) fn too_slow(&mut self, count: usize) -> Option<u64> {
        self.bytes = self.bytes.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        let elapsed = self.since.elapsed();
        if elapsed < self.over {
            return None;
        }
        let rate = rate(self.bytes, elapsed);
        self.restart();
        (rate < self.minimum).then_some(rate)
    }
}

/// Whole bytes a second.
fn rate(bytes: u64, elapsed: Duration) -> u64 {
    let rate = u128::from(bytes).saturating_mul(1000).checked_div(elapsed.as_millis().max(1));
    rate.and_then(|rate| u64::try_from(rate).ok()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_never_divided_by_nothing() {
        assert_eq!(rate(1, Duration::ZERO), 1000);
        assert_eq!(rate(600, Duration::from_secs(60)), 10);
        assert_eq!(rate(u64::MAX, Duration::from_millis(1)), u64::MAX);
    }

    #[test]
    fn a_trickle_is_noticed_once_the_interval_is_over() {
        let mut pace = Pace::new(u64::MAX, Duration::from_secs(3600));
        assert_eq!(pace.too_slow(1), None);
        pace.over = Duration::ZERO;
        assert!(pace.too_slow(1).is_some());
        assert_eq!(pace.bytes, 0);
        pace.minimum = 0;
        assert_eq!(pace.too_slow(1), None);
    }
}
