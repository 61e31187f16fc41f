//! A time that a command is given: a span before now, or a time of the calendar.

use std::str::FromStr;

use dokuei_types::Interval;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// A time of the past, as `2h`, `7d`, `2026-11-22T08:00` by the clock of this machine, or with a zone as
/// `2026-11-22T08:00+01:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(Timestamp);

impl Moment {
    /// Milliseconds since 1970.
    pub(crate) fn ms(self) -> i64 {
        self.0.as_millisecond()
    }
}

impl FromStr for Moment {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let ago = |Interval(span): Interval| Timestamp::now().checked_sub(span).ok();
        let here = |time: DateTime| time.to_zoned(TimeZone::system()).ok().map(|zoned| zoned.timestamp());
        let found = text.parse().ok().and_then(ago);
        let found = found.or_else(|| text.parse().ok()).or_else(|| text.parse().ok().and_then(here));
        found.map(Self).ok_or_else(|| {
            format!(
                "{text:?} is no time; write a span before now such as 2h or 7d, or a time such as 2026-11-22T08:00, \
                 of this machine or with its zone, as in 2026-11-22T08:00+01:00"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_times_here_and_times_with_a_zone() {
        let moment = |text: &str| text.parse::<Moment>().unwrap();
        assert_eq!(moment("2026-11-22T08:00+01:00"), moment("2026-11-22T07:00:00Z"));
        assert_eq!(moment("2026-11-22"), moment("2026-11-22T00:00"));
        assert_eq!(moment("2026-11-22T08:00").0.to_zoned(TimeZone::system()).hour(), 8);
        let ago = Timestamp::now().as_millisecond() - moment("2h").ms();
        assert!((7_200_000..7_260_000).contains(&ago), "{ago}");
        for wrong in ["", "yesterday", "2", "2026-13-01", "08:00"] {
            assert!(wrong.parse::<Moment>().is_err(), "{wrong}");
        }
    }
}
