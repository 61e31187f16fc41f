use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// C-STORE's statuses that say stored: success, and the warnings (PS3.4 § B.2.3).
const STORED: [u16; 4] = [0x0000, 0xB000, 0xB006, 0xB007];

/// What came of a load.
#[derive(Debug)]
pub(crate) struct Tally {
    begun: Instant,
    ended: Instant,
    /// Instances answered with success or a warning.
    pub(crate) stored: u64,
    /// Their data sets' bytes.
    pub(crate) bytes: u64,
    /// Associations that stored anything.
    pub(crate) served: u64,
    /// Longest time from the connection to the accepted association.
    pub(crate) setup_max: Duration,
    /// From the first byte of an instance to its response, of those stored.
    pub(crate) latencies: Vec<Duration>,
    /// What went wrong, and how often.
    pub(crate) failures: BTreeMap<String, u64>,
}

impl Tally {
    pub(crate) fn begin(now: Instant) -> Self {
        Self {
            begun: now,
            ended: now,
            stored: 0,
            bytes: 0,
            served: 0,
            setup_max: Duration::ZERO,
            latencies: Vec::new(),
            failures: BTreeMap::new(),
        }
    }

    /// Notes an accepted association; the time since the beginning.
    pub(crate) fn associated(&mut self, now: Instant) -> Duration {
        self.setup_max = now - self.begun;
        self.setup_max
    }

    pub(crate) fn answered(&mut self, status: u16, sent: Option<Instant>, now: Instant, bytes: u64) {
        if !STORED.contains(&status) {
            return self.fail(format!("status {status:04X}H"));
        }
        self.served = 1;
        self.stored += 1;
        self.bytes += bytes;
        self.ended = now;
        self.latencies.extend(sent.map(|sent| now - sent));
    }

    pub(crate) fn fail(&mut self, why: String) {
        *self.failures.entry(why).or_default() += 1;
    }

    /// Both, of associations that ran at the same time.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.begun = self.begun.min(other.begun);
        self.ended = self.ended.max(other.ended);
        self.stored += other.stored;
        self.bytes += other.bytes;
        self.served += other.served;
        self.setup_max = self.setup_max.max(other.setup_max);
        self.latencies.extend(other.latencies);
        for (why, count) in other.failures {
            *self.failures.entry(why).or_default() += count;
        }
        self
    }

    /// From the beginning to the last response.
    pub(crate) fn elapsed(&self) -> Duration {
        self.ended - self.begun
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_stored_counts() {
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        let mut tally = Tally::begin(begun);
        tally.answered(0x0000, Some(begun), at(10), 100);
        tally.answered(0xA700, Some(begun), at(20), 100);
        tally.answered(0xB000, Some(at(20)), at(25), 100);
        assert_eq!((tally.stored, tally.bytes), (2, 200));
        assert_eq!(tally.latencies, [Duration::from_millis(10), Duration::from_millis(5)]);
        assert_eq!(tally.elapsed(), Duration::from_millis(25));
        assert_eq!(tally.failures, BTreeMap::from([("status A700H".to_owned(), 1)]));
    }

    #[test]
    fn associations_add_up() {
        let begun = Instant::now();
        let mut one = Tally::begin(begun);
        one.answered(0, Some(begun), begun + Duration::from_millis(5), 10);
        let mut other = Tally::begin(begun + Duration::from_millis(1));
        other.fail("aborted".to_owned());
        let both = one.and(other);
        assert_eq!((both.stored, both.served, both.failures.len()), (1, 1, 1));
        assert_eq!(both.elapsed(), Duration::from_millis(5));
    }
}
