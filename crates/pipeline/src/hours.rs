use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::{Deserialize, Serialize};

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const DAY_MINUTES: u16 = 24 * 60;

/// Hours of the week: `"Mon-Fri 08:00-18:00"`, `"Sat,Sun 00:00-24:00"`, `"22:00-06:00"` on all days. Hours that end on
/// the next day belong to the day on which they begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hours {
    text: String,
    /// From Monday on, whether they begin on that day.
    days: [bool; 7],
    /// Minute of the day of their begin and of their end, which is not in them any more.
    from: u16,
    until: u16,
}

/// A text that is no hours of the week.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no hours of the week; write them as \"Mon-Fri 08:00-18:00\", \"Sat,Sun 00:00-24:00\" or \"22:00-06:00\""
)]
pub struct HoursError(String);

impl Hours {
    /// Whether a time is in them, by the clock and calendar of its time zone.
    #[must_use]
    pub fn contain(&self, time: &Zoned) -> bool {
        let today = usize::try_from(time.weekday().to_monday_zero_offset()).unwrap_or_default();
        let yesterday = (today + 6) % 7;
        let minute = u16::try_from(i32::from(time.hour()) * 60 + i32::from(time.minute())).unwrap_or_default();
        let [today, yesterday] = [today, yesterday].map(|day| self.days.get(day).copied().unwrap_or_default());
        match self.from < self.until {
            true => today && (self.from..self.until).contains(&minute),
            false => (today && minute >= self.from) || (yesterday && minute < self.until),
        }
    }

    /// When those begin and end that begin on this date, if they do.
    pub(crate) fn on(&self, date: Date, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        let day = usize::try_from(date.weekday().to_monday_zero_offset()).unwrap_or_default();
        self.days.get(day).filter(|begins| **begins)?;
        let ends = if self.until <= self.from || self.until == DAY_MINUTES { date.tomorrow().ok()? } else { date };
        let at = |date: Date, minute: u16| {
            let (hour, minute) = (i8::try_from(minute / 60 % 24).ok()?, i8::try_from(minute % 60).ok()?);
            Some(date.at(hour, minute, 0, 0).to_zoned(zone.clone()).ok()?.timestamp())
        };
        Some((at(date, self.from)?, at(ends, self.until)?))
    }

    fn parse(text: &str) -> Option<Self> {
        let (days, span) = match text.trim().rsplit_once(' ') {
            Some((days, span)) => (days_of(days)?, span),
            None => ([true; 7], text.trim()),
        };
        let (from, until) = span.split_once('-')?;
        let (from, until) = (minute_of(from)?, minute_of(until)?);
        (from != until && from < DAY_MINUTES).then(|| Self { text: text.to_owned(), days, from, until })
    }
}

/// `Mon`, `Mon-Fri`, `Sat,Sun`; a span may lead over the end of the week.
fn days_of(text: &str) -> Option<[bool; 7]> {
    let day = |name: &str| DAYS.iter().position(|day| *day == name.trim());
    let mut days = [false; 7];
    for span in text.split(',') {
        let (first, last) = span.split_once('-').unwrap_or((span, span));
        let (first, last) = (day(first)?, day(last)?);
        for count in 0..=(last + 7 - first) % 7 {
            *days.get_mut((first + count) % 7)? = true;
        }
    }
    Some(days)
}

/// `08:00` as the minute of the day, up to `24:00`.
fn minute_of(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let number = |digits: &str| {
        let plain = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse::<u16>().ok()).flatten()
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    (minute < 60).then_some(hour * 60 + minute).filter(|minute| *minute <= DAY_MINUTES)
}

impl FromStr for Hours {
    type Err = HoursError;
    fn from_str(text: &str) -> Result<Self, HoursError> {
        Self::parse(text).ok_or_else(|| HoursError(text.to_owned()))
    }
}

impl TryFrom<String> for Hours {
    type Error = HoursError;
    fn try_from(text: String) -> Result<Self, HoursError> {
        text.parse()
    }
}

impl From<Hours> for String {
    fn from(hours: Hours) -> Self {
        hours.text
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    /// Whether `hours` contain a time of the week that began on Monday, 2026-11-16.
    fn check(hours: &str, day: i8, time: (i8, i8), expected: bool) {
        let zoned = date(2026, 11, 16 + day).at(time.0, time.1, 59, 0).to_zoned(TimeZone::UTC).unwrap();
        assert_eq!(hours.parse::<Hours>().unwrap().contain(&zoned), expected, "{hours}: {zoned}");
    }

    #[test]
    fn hours_of_a_working_day() {
        for (time, expected) in [((7, 59), false), ((8, 0), true), ((17, 59), true), ((18, 0), false)] {
            check("Mon-Fri 08:00-18:00", 0, time, expected);
            check("Mon-Fri 08:00-18:00", 4, time, expected);
            check("Mon-Fri 08:00-18:00", 5, time, false);
            check("08:00-18:00", 6, time, expected);
        }
    }

    #[test]
    fn hours_over_midnight_belong_to_the_day_they_begin_on() {
        check("Fri 22:00-06:00", 4, (21, 59), false);
        check("Fri 22:00-06:00", 4, (22, 0), true);
        check("Fri 22:00-06:00", 5, (5, 59), true);
        check("Fri 22:00-06:00", 5, (6, 0), false);
        check("Fri 22:00-06:00", 4, (5, 0), false);
        check("Sun 22:00-06:00", 0, (5, 0), true);
        check("22:00-06:00", 2, (0, 0), true);
    }

    #[test]
    fn whole_days_and_spans_over_the_weekend() {
        check("Sat,Sun 00:00-24:00", 5, (23, 59), true);
        check("Sat,Sun 00:00-24:00", 0, (0, 0), false);
        check("Sat-Mon 00:00-24:00", 0, (12, 0), true);
        check("Sat-Mon 00:00-24:00", 1, (12, 0), false);
        check("Mon, Wed-Thu 08:00-09:00", 3, (8, 30), true);
    }

    #[test]
    fn what_is_no_hours_is_refused() {
        for wrong in [
            "",
            "Mon",
            "Mon-Fri",
            "8-18",
            "08:00",
            "08:00-08:00",
            "24:00-06:00",
            "08:60-09:00",
            "08:00-24:01",
            "+8:00-09:00",
            "mon 08:00-18:00",
            "Mon-Fry 08:00-18:00",
            "Mon-Fri08:00-18:00",
            "Mon;Tue 08:00-18:00",
        ] {
            assert!(wrong.parse::<Hours>().is_err(), "{wrong}");
        }
    }
}
