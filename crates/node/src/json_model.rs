//! A data set in the DICOM JSON model (PS3.18 Annex F). Values that are no texts, numbers or items are left out.

use dicom_dictionary_std::tags;
use dokuei_dataset::{CharacterSets, Dataset, Element, VR, Value};
use serde_json::{Map, Value as Json, json};

/// The data set as one object, its texts decoded.
pub(crate) fn object(dataset: &Dataset) -> Json {
    elements(dataset, &CharacterSets::of(dataset))
}

fn elements(dataset: &Dataset, around: &CharacterSets) -> Json {
    let own = dataset.contains(tags::SPECIFIC_CHARACTER_SET).then(|| CharacterSets::of(dataset));
    let sets = own.as_ref().unwrap_or(around);
    // Group lengths have no place in it (PS3.18 § F.2.2).
    let named = dataset.iter().filter(|element| element.tag.element() != 0).map(|element| {
        let tag = format!("{:04X}{:04X}", element.tag.group(), element.tag.element());
        let mut attribute = json!({ "vr": element.vr.to_string() });
        let values = values(dataset, element, sets);
        if !values.is_empty() {
            attribute["Value"] = Json::Array(values);
        }
        (tag, attribute)
    });
    Json::Object(named.collect::<Map<_, _>>())
}

fn values(dataset: &Dataset, element: &Element, sets: &CharacterSets) -> Vec<Json> {
    let tag = element.tag;
    if let Value::Items(items) = &element.value {
        return items.iter().map(|item| elements(item, sets)).collect();
    }
    // The text of the object is UTF-8, whatever its source was (PS3.18 § F.2).
    if tag == tags::SPECIFIC_CHARACTER_SET {
        return vec![json!("ISO_IR 192")];
    }
    let text = || dataset.text_in(tag, sets).unwrap_or_default();
    match element.vr {
        VR::US | VR::SS | VR::UL | VR::SL | VR::UV | VR::SV => dataset.ints(tag).into_iter().map(Json::from).collect(),
        VR::FL | VR::FD => dataset.floats(tag).into_iter().map(Json::from).collect(),
        VR::IS => some(dataset.ints(tag)).unwrap_or_else(|| separate(&text())),
        VR::DS => some(dataset.floats(tag)).unwrap_or_else(|| separate(&text())),
        VR::AT => dataset.ints(tag).into_iter().map(|tag| json!(format!("{tag:08X}"))).collect(),
        VR::PN => separate(&text()).into_iter().map(|name| name.as_str().map(person).unwrap_or_default()).collect(),
        // A backslash is a character of these (PS3.5 § 6.2).
        VR::ST | VR::LT | VR::UT | VR::UR => some(dataset.text_in(tag, sets).into_iter().collect()).unwrap_or_default(),
        VR::OB | VR::OD | VR::OF | VR::OL | VR::OV | VR::OW | VR::UN | VR::SQ => Vec::new(),
        _ => separate(&text()),
    }
}

/// Values, where there are any.
fn some<T: Into<Json>>(values: Vec<T>) -> Option<Vec<Json>> {
    (!values.is_empty()).then(|| values.into_iter().map(Into::into).collect())
}

/// The values of a text; an empty one among others is null (PS3.18 § F.2.5).
fn separate(text: &str) -> Vec<Json> {
    if text.is_empty() {
        return Vec::new();
    }
    let values = text.split('\\').map(|value| value.trim_matches([' ', '\0']));
    values.map(|value| if value.is_empty() { Json::Null } else { json!(value) }).collect()
}

/// The component groups of a person's name (PS3.18 § F.2.2).
fn person(name: &str) -> Json {
    let groups = ["Alphabetic", "Ideographic", "Phonetic"].into_iter().zip(name.split('='));
    let named = groups.filter(|(_, text)| !text.is_empty()).map(|(group, text)| (group.to_owned(), json!(text)));
    Json::Object(named.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_match_in_another_character_set_is_utf_8_json() {
        let mut dataset = Dataset::new();
        dataset.put_text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "\\ISO 2022 IR 87");
        // The example of PS3.5 § H.3.1.
        dataset.put_bytes(
            tags::PATIENT_NAME,
            VR::PN,
            b"Yamada^Tarou=\x1B$B;3ED\x1B(B^\x1B$BB@O:\x1B(B=\x1B$B$d$^$@\x1B(B^\x1B$B$?$m$&\x1B(B".to_vec(),
        );
        dataset.put_text(tags::OTHER_PATIENT_NAMES, VR::PN, "\\A^B");
        dataset.put_text(tags::MODALITIES_IN_STUDY, VR::CS, "CR\\\\SR");
        dataset.put_text(tags::NUMBER_OF_STUDY_RELATED_INSTANCES, VR::IS, "12");
        dataset.put_text(tags::SERIES_NUMBER, VR::IS, "one");
        dataset.put_text(tags::PATIENT_WEIGHT, VR::DS, "61.5");
        dataset.put_text(tags::ACCESSION_NUMBER, VR::SH, "");
        dataset.put_u16(tags::ROWS, &[512]);
        let mut item = Dataset::new();
        item.put_text(tags::REQUESTED_PROCEDURE_ID, VR::SH, "7");
        dataset.put_items(tags::REQUEST_ATTRIBUTES_SEQUENCE, vec![item]);
        let expected = json!({
            "00080005": { "vr": "CS", "Value": ["ISO_IR 192"] },
            "00080050": { "vr": "SH" },
            "00080061": { "vr": "CS", "Value": ["CR", null, "SR"] },
            "00100010": { "vr": "PN", "Value": [
                { "Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう" }
            ] },
            "00101001": { "vr": "PN", "Value": [null, { "Alphabetic": "A^B" }] },
            "00101030": { "vr": "DS", "Value": [61.5] },
            "00200011": { "vr": "IS", "Value": ["one"] },
            "00201208": { "vr": "IS", "Value": [12] },
            "00280010": { "vr": "US", "Value": [512] },
            "00400275": { "vr": "SQ", "Value": [{ "00401001": { "vr": "SH", "Value": ["7"] } }] },
        });
        assert_eq!(object(&dataset), expected);
    }
}
