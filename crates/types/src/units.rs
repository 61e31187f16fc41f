use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A number of bytes, written with its unit: `"128 KiB"`, `"5 GiB"`, `"4096 B"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(pub u64);

/// A span of time, written with its unit: `"250ms"`, `"30s"`, `"5m"`, `"2h"`, `"7d"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Interval(pub Duration);

/// Bytes in a second, written with its unit: `"10 MiB/s"`, `"100 Mbit/s"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteRate(pub NonZeroU64);

/// A quantity without a number, without a unit, or out of range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {kind}; write a whole number and a unit, one of {units}")]
pub struct UnitError {
    text: String,
    kind: &'static str,
    units: &'static str,
}

const SIZES: [(&str, u64); 7] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

const RATES: [(&str, u64); 10] = [
    ("B/s", 1),
    ("KiB/s", 1 << 10),
    ("MiB/s", 1 << 20),
    ("GiB/s", 1 << 30),
    ("kB/s", 1_000),
    ("MB/s", 1_000_000),
    ("GB/s", 1_000_000_000),
    ("kbit/s", 125),
    ("Mbit/s", 125_000),
    ("Gbit/s", 125_000_000),
];

const INTERVALS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// The number in the smallest unit, or `None`.
fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let factor = units.iter().find(|(name, _)| *name == unit.trim_start())?.1;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// The number in the largest unit that divides it.
fn write(f: &mut fmt::Formatter<'_>, value: u64, units: &[(&str, u64)], space: &str) -> fmt::Result {
    let fits = |(_, factor): &&(&str, u64)| value >= *factor && value.is_multiple_of(*factor);
    let fallback = units.first().copied().unwrap_or(("", 1));
    let (unit, factor) = units.iter().rev().find(fits).copied().unwrap_or(fallback);
    write!(f, "{}{space}{unit}", value / factor)
}

impl FromStr for ByteSize {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let units = "B, KiB, MiB, GiB, kB, MB, GB";
        parse(text, &SIZES).map(Self).ok_or_else(|| UnitError { text: text.to_owned(), kind: "size", units })
    }
}

impl FromStr for ByteRate {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let units = "B/s, KiB/s, MiB/s, GiB/s, kB/s, MB/s, kbit/s, Mbit/s, Gbit/s";
        let error = || UnitError { text: text.to_owned(), kind: "bandwidth", units };
        parse(text, &RATES).and_then(NonZeroU64::new).map(Self).ok_or_else(error)
    }
}

impl FromStr for Interval {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let units = "ms, s, m, h, d";
        let error = || UnitError { text: text.to_owned(), kind: "duration", units };
        parse(text, &INTERVALS).map(|ms| Self(Duration::from_millis(ms))).ok_or_else(error)
    }
}

impl TryFrom<String> for ByteSize {
    type Error = UnitError;
    fn try_from(text: String) -> Result<Self, UnitError> {
        text.parse()
    }
}

impl TryFrom<String> for ByteRate {
    type Error = UnitError;
    fn try_from(text: String) -> Result<Self, UnitError> {
        text.parse()
    }
}

impl TryFrom<String> for Interval {
    type Error = UnitError;
    fn try_from(text: String) -> Result<Self, UnitError> {
        text.parse()
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.to_string()
    }
}

impl From<ByteRate> for String {
    fn from(rate: ByteRate) -> Self {
        rate.to_string()
    }
}

impl From<Interval> for String {
    fn from(interval: Interval) -> Self {
        interval.to_string()
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, self.0, SIZES.get(..4).unwrap_or_default(), " ")
    }
}

impl fmt::Display for ByteRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, self.0.get(), RATES.get(..4).unwrap_or_default(), " ")
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX), &INTERVALS, "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_carry_units() {
        assert_eq!("128 KiB".parse(), Ok(ByteSize(131_072)));
        assert_eq!("5GiB".parse(), Ok(ByteSize(5 << 30)));
        assert_eq!("2 MB".parse(), Ok(ByteSize(2_000_000)));
        assert_eq!(ByteSize(131_072).to_string(), "128 KiB");
        for bad in ["", "5", "GiB", "5 gib", "-1 B", "99999999999999999999 B", "18446744073709551615 GiB"] {
            assert!(bad.parse::<ByteSize>().is_err(), "{bad}");
        }
    }

    #[test]
    fn bandwidths_carry_units() {
        let rate = |text: &str| text.parse::<ByteRate>().map(|rate| rate.0.get());
        assert_eq!((rate("10 MiB/s"), rate("100Mbit/s")), (Ok(10 << 20), Ok(12_500_000)));
        assert_eq!("10 MiB/s".parse::<ByteRate>().unwrap().to_string(), "10 MiB/s");
        for bad in ["10 MiB", "0 B/s", "fast", "1.5 MB/s"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_carry_units() {
        assert_eq!("30s".parse(), Ok(Interval(Duration::from_secs(30))));
        assert_eq!("250 ms".parse(), Ok(Interval(Duration::from_millis(250))));
        assert_eq!(Interval(Duration::from_secs(90)).to_string(), "90s");
        assert_eq!(Interval(Duration::from_secs(7200)).to_string(), "2h");
        assert_eq!(
            "30".parse::<Interval>().unwrap_err().to_string(),
            "\"30\" is not a duration; write a whole number and a unit, one of ms, s, m, h, d"
        );
    }
}
