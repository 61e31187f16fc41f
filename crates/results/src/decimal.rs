use dicom_core::Tag;
use dokuei_dataset::Dataset;

/// A number as DS: at most 16 characters (PS3.5 § 6.2), and no more digits than that allows.
pub(crate) fn decimal(value: f64) -> String {
    let shortest = value.to_string();
    if shortest.len() <= 16 {
        return shortest;
    }
    let plain = (1..=13).rev().map(|decimals| format!("{value:.decimals$}"));
    let scientific = (0..=9).rev().map(|decimals| format!("{value:.decimals$e}"));
    let is_plain = (1e-3..1e13).contains(&value.abs());
    let fitting = plain.filter(|_| is_plain).chain(scientific).find(|text| text.len() <= 16);
    let text = fitting.unwrap_or_else(|| "0".to_owned());
    if text.contains('e') { text } else { text.trim_end_matches('0').trim_end_matches('.').to_owned() }
}

/// The first `count` decimal strings, digit for digit where they keep to their VR: senders write longer ones too.
pub(crate) fn decimals(from: &Dataset, tag: Tag, count: usize) -> String {
    let (texts, numbers) = (from.texts(tag), from.floats(tag));
    let values = texts.into_iter().zip(numbers).take(count);
    let values: Vec<String> =
        values.map(|(text, number)| if text.len() <= 16 { text } else { decimal(number) }).collect();
    values.join("\\")
}

#[cfg(test)]
mod tests {
    use dicom_core::VR;
    use dicom_dictionary_std::tags;

    use super::*;

    #[test]
    fn decimals_fit_their_vr() {
        let check = |value, expected: &str| assert_eq!(decimal(value), expected);
        check(0.4, "0.4");
        check(0.143_999_993_801_116_94, "0.1439999938011");
        check(0.194_310_999_999_999_98, "0.194311");
        check(123_456_789_012.345_67, "123456789012.346");
        check(1e-300, "1.000000000e-300");
        assert!(decimal(1e-300).len() <= 16 && decimal(1.0 / 3.0).len() <= 16);
    }

    #[test]
    fn what_is_too_long_is_rounded_and_the_rest_stays_as_it_is_written() {
        let check = |values: &str, count, expected: &str| {
            let mut data = Dataset::new();
            data.put_text(tags::PIXEL_SPACING, VR::DS, values);
            assert_eq!(decimals(&data, tags::PIXEL_SPACING, count), expected);
        };
        check("0.19431099999999998\\0.1430", 2, "0.194311\\0.1430");
        check("40\\300", 1, "40");
        check("", 2, "");
    }
}
