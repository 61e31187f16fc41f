use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;
use jiff::Zoned;
use jiff::tz::{Offset, TimeZone};

/// The time of the analysis as the object's dates and times are read.
///
/// Timezone Offset From UTC (0008,0201) is said of every DA and TM in an object, the copied ones too. So it is
/// the source's, and own times are in it; where the source has none the object has none, and own times are the
/// node's local ones, as the copied ones are the modality's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnTime {
    /// DA.
    pub(crate) date: String,
    /// TM, whole seconds.
    pub(crate) time: String,
    /// `&ZZXX` (PS3.5 § 6.2 DT), when the source declares one.
    pub(crate) offset: Option<String>,
}

impl OwnTime {
    pub(crate) fn of(made_at: &Zoned, source: &Dataset) -> Self {
        let declared = source.text(tags::TIMEZONE_OFFSET_FROM_UTC).and_then(|text| Some((parse(&text)?, text)));
        let (local, offset) = match declared {
            Some((offset, text)) => (made_at.with_time_zone(TimeZone::fixed(offset)), Some(text)),
            None => (made_at.clone(), None),
        };
        Self { date: local.strftime("%Y%m%d").to_string(), time: local.strftime("%H%M%S").to_string(), offset }
    }

    /// DT in the object's time zone.
    pub(crate) fn date_time(&self) -> String {
        format!("{}{}", self.date, self.time)
    }
}

/// `&ZZXX` from -1200 to +1400 (PS3.3 C.12.1.1.8).
fn parse(text: &str) -> Option<Offset> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = digits.split_at_checked(2)?;
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let total = sign * (hours * 60 + minutes);
    if minutes > 59 || !(-12 * 60..=14 * 60).contains(&total) {
        return None;
    }
    Offset::from_seconds(total * 60).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dicom_core::VR;

    fn check(offset: Option<&str>, date: &str, time: &str, kept: Option<&str>) {
        let made_at: Zoned = "2026-11-21T23:30:05-02:00[-02:00]".parse().unwrap();
        let mut source = Dataset::new();
        if let Some(offset) = offset {
            source.put_text(tags::TIMEZONE_OFFSET_FROM_UTC, VR::SH, offset);
        }
        let own = OwnTime::of(&made_at, &source);
        assert_eq!((own.date.as_str(), own.time.as_str(), own.offset.as_deref()), (date, time, kept));
    }

    #[test]
    fn own_times_are_in_the_zone_of_the_source() {
        check(None, "20261121", "233005", None);
        check(Some("+0900"), "20261122", "103005", Some("+0900"));
        check(Some("-0330 "), "20261121", "220005", Some("-0330"));
    }

    #[test]
    fn a_zone_that_is_none_is_left_out() {
        for bad in ["JST", "+9", "+1500", "0900", "+0960", "\u{ff0b}0900"] {
            check(Some(bad), "20261121", "233005", None);
        }
    }
}
