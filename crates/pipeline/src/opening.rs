use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

use crate::hours::Hours;

/// Days that are looked back over: what is open less than this adds up to is as old as that.
const DAYS_BACK: i32 = 400;

/// When a destination is sent to: within any of its hours, or always when it has none.
#[derive(Debug, Clone)]
pub struct Opening {
    hours: Vec<Hours>,
    zone: TimeZone,
}

impl Opening {
    /// By the clock of the machine.
    #[must_use]
    pub fn new(hours: Vec<Hours>) -> Self {
        Self { hours, zone: TimeZone::system() }
    }

    /// When it opens, or `None` while it is open; milliseconds since 1970.
    pub(crate) fn closed_until(&self, now_ms: i64) -> Option<i64> {
        let now = self.zoned(now_ms);
        if self.hours.is_empty() || self.hours.iter().any(|hours| hours.contain(&now)) {
            return None;
        }
        let begins = self.spans(&now, 0..=8).into_iter().map(|(begin, _)| begin).filter(|begin| *begin > now_ms);
        begins.min()
    }

    /// The time from which until now it was open for `open` in all, milliseconds since 1970.
    pub(crate) fn back(&self, now_ms: i64, open: Duration) -> i64 {
        let mut left = i64::try_from(open.as_millis()).unwrap_or(i64::MAX);
        if self.hours.is_empty() {
            return now_ms.saturating_sub(left);
        }
        let mut spans = self.spans(&self.zoned(now_ms), -DAYS_BACK..=0);
        spans.sort_unstable_by_key(|(begin, end)| std::cmp::Reverse((*end, *begin)));
        // What is before this time is not counted yet: hours may overlap.
        let mut edge = now_ms;
        for (begin, end) in spans {
            let end = end.min(edge);
            let length = end.saturating_sub(begin);
            if length >= left {
                return end.saturating_sub(left);
            }
            left = left.saturating_sub(length.max(0));
            edge = edge.min(begin);
        }
        edge
    }

    /// The spans that begin on the days around `now`, milliseconds since 1970.
    fn spans(&self, now: &Zoned, days: std::ops::RangeInclusive<i32>) -> Vec<(i64, i64)> {
        let dates = days.filter_map(|day| now.date().checked_add(day.days()).ok());
        let spans = dates.flat_map(|date| self.hours.iter().filter_map(move |hours| hours.on(date, &self.zone)));
        spans.map(|(begin, end)| (begin.as_millisecond(), end.as_millisecond())).collect()
    }

    fn zoned(&self, ms: i64) -> Zoned {
        Timestamp::from_millisecond(ms).unwrap_or_default().to_zoned(self.zone.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    const HOUR: i64 = 3_600_000;

    fn opening(hours: &[&str]) -> Opening {
        Opening { hours: hours.iter().map(|hours| hours.parse().unwrap()).collect(), zone: TimeZone::UTC }
    }

    /// A time of the week that began on Monday, 2026-11-16.
    fn at(day: i8, hour: i8) -> i64 {
        date(2026, 11, 16 + day).at(hour, 0, 0, 0).to_zoned(TimeZone::UTC).unwrap().timestamp().as_millisecond()
    }

    #[test]
    fn it_opens_when_the_next_of_its_hours_begin() {
        let nights = opening(&["Mon-Fri 19:00-06:00", "Sat,Sun 00:00-24:00"]);
        assert_eq!(nights.closed_until(at(0, 12)), Some(at(0, 19)));
        assert_eq!(nights.closed_until(at(0, 19)), None);
        assert_eq!(nights.closed_until(at(1, 5)), None);
        assert_eq!(nights.closed_until(at(1, 6)), Some(at(1, 19)));
        assert_eq!(nights.closed_until(at(5, 12)), None);
        assert_eq!(opening(&["Sun 02:00-03:00"]).closed_until(at(6, 3)), Some(at(13, 2)), "a week later");
        assert_eq!(opening(&[]).closed_until(at(0, 12)), None);
    }

    #[test]
    fn time_in_which_it_is_closed_does_not_count() {
        let back = |hours: &[&str], now: i64, open: i64| {
            opening(hours).back(now, Duration::from_millis(u64::try_from(open).unwrap()))
        };
        assert_eq!(back(&[], at(3, 0), 72 * HOUR), at(0, 0));
        let nights = ["Mon-Fri 19:00-06:00"];
        assert_eq!(back(&nights, at(1, 20), HOUR), at(1, 19));
        assert_eq!(back(&nights, at(1, 20), 2 * HOUR), at(1, 5), "an hour tonight, one in the morning");
        assert_eq!(back(&nights, at(1, 12), HOUR), at(1, 5), "while it is closed");
        assert_eq!(back(&["Sat,Sun 00:00-24:00"], at(13, 0), 72 * HOUR), at(5, 0));
        let overlapping = ["Fri 19:00-06:00", "Sat 00:00-24:00", "Sat 02:00-03:00"];
        assert_eq!(back(&overlapping, at(5, 12), 17 * HOUR), at(4, 19), "no hour counts twice");
        let short = back(&["Sun 02:00-02:01"], at(6, 12), 72 * HOUR);
        assert!(short < at(6, 12) - 390 * 24 * HOUR, "as far as it looks");
    }

    #[test]
    fn a_night_in_which_the_clocks_change_is_as_long_as_it_was() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let nights = Opening { hours: vec!["Sat 22:00-06:00".parse().unwrap()], zone: zone.clone() };
        let noon = date(2026, 10, 25).at(12, 0, 0, 0).to_zoned(zone).unwrap().timestamp().as_millisecond();
        // The clocks go back that night: 22:00 is 9 hours before 06:00.
        assert_eq!(nights.back(noon, Duration::from_secs(9 * 3_600)), noon - 15 * HOUR);
    }
}
