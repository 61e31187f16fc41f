use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;
use jiff::civil::{Date, DateTime, Time};

/// Where an image says when it was taken, the best first: date and time.
const WHEN: [(Tag, Tag); 3] = [
    (tags::ACQUISITION_DATE, tags::ACQUISITION_TIME),
    (tags::CONTENT_DATE, tags::CONTENT_TIME),
    (tags::STUDY_DATE, tags::STUDY_TIME),
];

/// When an image was taken, on the clock of its modality, to the second: Acquisition DateTime (0008,002A), else the date of
/// acquisition, content or study, at midnight where it has no valid time. `None` when it has none of these.
#[must_use]
pub fn taken(header: &Dataset) -> Option<DateTime> {
    let acquired = header.text(tags::ACQUISITION_DATE_TIME).and_then(|text| date_time(&text));
    acquired.or_else(|| {
        WHEN.into_iter().find_map(|(date_tag, time_tag)| {
            let date = header.text(date_tag).and_then(|text| date(&text))?;
            let time = header.text(time_tag).and_then(|text| time(&text));
            Some(date.to_datetime(time.unwrap_or(Time::midnight())))
        })
    })
}

/// DT (PS3.5 § 6.2), of which a whole date is needed.
fn date_time(text: &str) -> Option<DateTime> {
    let (day, rest) = text.split_at_checked(8)?;
    let time = time(rest.split(['+', '-']).next().unwrap_or_default());
    Some(date(day)?.to_datetime(time.unwrap_or(Time::midnight())))
}

/// DA, or the form of ACR-NEMA 300, with dots.
pub(crate) fn date(text: &str) -> Option<Date> {
    let [year, month, day] = numbers(text, '.', [4, 2, 2])?;
    Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

/// TM to the second; what is left out is 0.
fn time(text: &str) -> Option<Time> {
    let whole = text.split('.').next().unwrap_or_default().replace(':', "");
    let padded = format!("{whole:0<6}");
    let [hour, minute, second] = numbers(&padded, ':', [2, 2, 2])?.map(|number| i8::try_from(number).ok());
    // A leap second is the one before.
    Time::new(hour?, minute?, second?.min(59), 0).ok().filter(|_| whole.len() >= 2)
}

fn numbers(text: &str, separator: char, lengths: [usize; 3]) -> Option<[i16; 3]> {
    let digits: String = text.trim().chars().filter(|character| *character != separator).collect();
    if digits.len() != lengths.iter().sum::<usize>() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut rest = digits.as_str();
    let mut next = |length: usize| {
        let (number, tail) = rest.split_at_checked(length)?;
        rest = tail;
        number.parse().ok()
    };
    let [first, second, third] = lengths.map(&mut next);
    Some([first?, second?, third?])
}

#[cfg(test)]
mod tests {
    use dicom_core::VR;

    use super::*;

    fn check(fields: &[(Tag, &str)], expected: Option<&str>) {
        let mut header = Dataset::new();
        fields.iter().for_each(|(tag, text)| header.put_text(*tag, VR::LO, text));
        assert_eq!(taken(&header).map(|taken| taken.to_string()).as_deref(), expected, "{fields:?}");
    }

    #[test]
    fn the_acquisition_comes_before_content_and_study() {
        let study = [(tags::STUDY_DATE, "20240102"), (tags::STUDY_TIME, "101112")];
        let content = [(tags::CONTENT_DATE, "20240103"), (tags::CONTENT_TIME, "1011")];
        let acquisition = [(tags::ACQUISITION_DATE, "20240104"), (tags::ACQUISITION_TIME, "235960.5")];
        check(&study, Some("2024-01-02T10:11:12"));
        check(&[study, content].concat(), Some("2024-01-03T10:11:00"));
        check(&[study, content, acquisition].concat(), Some("2024-01-04T23:59:59"));
        let whole = [(tags::ACQUISITION_DATE_TIME, "20240105101112.250000+0900")];
        check(&[&study[..], &whole].concat(), Some("2024-01-05T10:11:12"));
        check(&[&study[..], &[(tags::ACQUISITION_DATE_TIME, "2024")]].concat(), Some("2024-01-02T10:11:12"));
    }

    #[test]
    fn what_is_no_date_or_time() {
        check(&[], None);
        check(&[(tags::STUDY_TIME, "101112")], None);
        check(&[(tags::STUDY_DATE, "20240230")], None);
        check(&[(tags::STUDY_DATE, "unknown")], None);
        check(&[(tags::STUDY_DATE, "2024.01.02")], Some("2024-01-02T00:00:00"));
        check(&[(tags::STUDY_DATE, "20240102"), (tags::STUDY_TIME, "25")], Some("2024-01-02T00:00:00"));
        check(&[(tags::ACQUISITION_DATE, "20241301"), (tags::STUDY_DATE, "20240102")], Some("2024-01-02T00:00:00"));
    }
}
