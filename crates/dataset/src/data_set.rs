use std::borrow::Cow;

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use dokuei_types::Uid;

use crate::charset::{CharacterSets, plain};
use crate::vr::dictionary_vr;

/// The elements of a data set or of a sequence item, in the order of their tags (PS3.5 § 7.1).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Dataset {
    elements: Vec<Element>,
}

/// One data element.
#[derive(Debug, Clone, PartialEq)]
pub struct Element {
    /// Its tag.
    pub tag: Tag,
    /// Its value representation; in implicit VR the dictionary's.
    pub vr: VR,
    /// Its value.
    pub value: Value,
}

/// A value as it is encoded.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// The value field, padding included: numbers little endian whatever the source, text untouched.
    Bytes(Vec<u8>),
    /// The items of a sequence.
    Items(Vec<Dataset>),
    /// Left where it is because it exceeds a limit, or because it is encapsulated pixel data inside an
    /// item; never written again.
    Omitted {
        /// Length in bytes.
        length: u64,
    },
}

impl Dataset {
    /// A data set without elements.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The element with this tag.
    #[must_use]
    pub fn get(&self, tag: Tag) -> Option<&Element> {
        self.elements.get(self.place(tag).ok()?)
    }

    /// Whether the element is there, empty or not.
    #[must_use]
    pub fn contains(&self, tag: Tag) -> bool {
        self.place(tag).is_ok()
    }

    /// The elements in the order of their tags.
    pub fn iter(&self) -> impl Iterator<Item = &Element> {
        self.elements.iter()
    }

    /// How many elements there are, items not counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// Whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// The value field with its padding; `None` when absent, a sequence or omitted.
    #[must_use]
    pub fn bytes(&self, tag: Tag) -> Option<&[u8]> {
        match &self.get(tag)?.value {
            Value::Bytes(bytes) => Some(bytes),
            Value::Items(_) | Value::Omitted { .. } => None,
        }
    }

    /// The items of a sequence; none when absent.
    #[must_use]
    pub fn items(&self, tag: Tag) -> &[Dataset] {
        match self.get(tag).map(|element| &element.value) {
            Some(Value::Items(items)) => items,
            _ => &[],
        }
    }

    /// The whole text, decoded by the data set's character sets and without padding; `None` when absent
    /// or empty. Values of a multi-valued text stay joined by a backslash.
    #[must_use]
    pub fn text(&self, tag: Tag) -> Option<String> {
        self.decoded(tag, || Cow::Owned(CharacterSets::of(self)))
    }

    /// As [`text`](Self::text), for an item whose character sets are those of the data set around it.
    #[must_use]
    pub fn text_in(&self, tag: Tag, character_sets: &CharacterSets) -> Option<String> {
        self.decoded(tag, || Cow::Borrowed(character_sets))
    }

    fn decoded<'a>(&self, tag: Tag, character_sets: impl FnOnce() -> Cow<'a, CharacterSets>) -> Option<String> {
        let (vr, bytes) = (self.vr_of(tag)?, self.bytes(tag)?);
        let text = match plain(bytes) {
            Some(text) => Cow::Borrowed(text),
            None => Cow::Owned(character_sets().decode(bytes, vr)),
        };
        let trimmed = match vr {
            // Leading spaces are significant in the text VRs (PS3.5 § 6.2).
            VR::ST | VR::LT | VR::UT => text.trim_end_matches([' ', '\0']),
            _ => text.trim_matches([' ', '\0']),
        };
        (!trimmed.is_empty()).then(|| trimmed.to_owned())
    }

    /// The values of a multi-valued text, each without padding; none when absent or empty.
    #[must_use]
    pub fn texts(&self, tag: Tag) -> Vec<String> {
        let Some(text) = self.text(tag) else { return Vec::new() };
        text.split('\\').map(|value| value.trim_matches([' ', '\0']).to_owned()).collect()
    }

    /// The value as a UID; `None` when absent or not one.
    #[must_use]
    pub fn uid(&self, tag: Tag) -> Option<Uid> {
        Uid::new(std::str::from_utf8(self.bytes(tag)?).ok()?).ok()
    }

    /// The first of [`ints`](Self::ints).
    #[must_use]
    pub fn int(&self, tag: Tag) -> Option<i64> {
        self.ints(tag).first().copied()
    }

    /// The values of an integer element (US, SS, UL, SL, UV, SV, OB, OW, OL, IS, AT); none when it is absent,
    /// of another kind or, for IS, when a value is no integer.
    #[must_use]
    pub fn ints(&self, tag: Tag) -> Vec<i64> {
        let (Some(vr), Some(bytes)) = (self.vr_of(tag), self.bytes(tag)) else { return Vec::new() };
        match vr {
            VR::US | VR::OW => each(bytes, |b: [u8; 2]| i64::from(u16::from_le_bytes(b))),
            VR::SS => each(bytes, |b: [u8; 2]| i64::from(i16::from_le_bytes(b))),
            VR::UL | VR::OL => each(bytes, |b: [u8; 4]| i64::from(u32::from_le_bytes(b))),
            VR::SL => each(bytes, |b: [u8; 4]| i64::from(i32::from_le_bytes(b))),
            VR::UV | VR::OV => each(bytes, |b: [u8; 8]| i64::try_from(u64::from_le_bytes(b)).unwrap_or(i64::MAX)),
            VR::SV => each(bytes, i64::from_le_bytes),
            VR::AT => each(bytes, |b: [u8; 4]| {
                let [g0, g1, e0, e1] = b;
                i64::from(u16::from_le_bytes([g0, g1])) << 16 | i64::from(u16::from_le_bytes([e0, e1]))
            }),
            VR::OB => bytes.iter().map(|&byte| i64::from(byte)).collect(),
            VR::IS | VR::DS => self.parsed(tag, |text| {
                // A decimal point in IS is a common fault of writers; a fraction is not an integer.
                text.split_once('.')
                    .map_or(Some(text), |(whole, rest)| rest.bytes().all(|b| b == b'0').then_some(whole))?
                    .parse()
                    .ok()
            }),
            _ => Vec::new(),
        }
    }

    /// The first of [`floats`](Self::floats).
    #[must_use]
    pub fn float(&self, tag: Tag) -> Option<f64> {
        self.floats(tag).first().copied()
    }

    /// The values of a numeric element (FL, FD, OF, OD, DS, IS and the integers); none when it is absent,
    /// of another kind or when a value is no finite number.
    #[must_use]
    pub fn floats(&self, tag: Tag) -> Vec<f64> {
        let (Some(vr), Some(bytes)) = (self.vr_of(tag), self.bytes(tag)) else { return Vec::new() };
        match vr {
            VR::FL | VR::OF => each(bytes, |b: [u8; 4]| f64::from(f32::from_le_bytes(b))),
            VR::FD | VR::OD => each(bytes, f64::from_le_bytes),
            VR::DS | VR::IS => self.parsed(tag, |text| text.parse().ok().filter(|v: &f64| v.is_finite())),
            #[expect(clippy::cast_precision_loss, reason = "integers of the standard are far below 2^53")]
            _ => self.ints(tag).into_iter().map(|value| value as f64).collect(),
        }
    }

    fn parsed<T>(&self, tag: Tag, parse: impl Fn(&str) -> Option<T>) -> Vec<T> {
        let text = String::from_utf8_lossy(self.bytes(tag).unwrap_or_default());
        let values: Option<Vec<T>> = text
            .trim_matches([' ', '\0'])
            .split('\\')
            .map(|value| parse(value.trim_matches([' ', '\0', '+'])))
            .collect();
        values.unwrap_or_default()
    }

    /// The VR of a value; for UN the dictionary's, since senders that do not know a tag write UN (PS3.5 § 6.2.2).
    fn vr_of(&self, tag: Tag) -> Option<VR> {
        let vr = self.get(tag)?.vr;
        Some(if vr == VR::UN { dictionary_vr(tag, false) } else { vr })
    }

    /// Sets an element.
    pub fn put(&mut self, element: Element) {
        match self.place(element.tag) {
            Ok(at) => self.elements[at] = element,
            Err(at) => self.elements.insert(at, element),
        }
    }

    /// Sets an element to a value field as it stands; the writer pads it to even length.
    pub fn put_bytes(&mut self, tag: Tag, vr: VR, bytes: impl Into<Vec<u8>>) {
        self.put(Element { tag, vr, value: Value::Bytes(bytes.into()) });
    }

    /// Sets an element to a text in UTF-8: for ASCII right in any character set, for the rest only where
    /// Specific Character Set is ISO_IR 192.
    pub fn put_text(&mut self, tag: Tag, vr: VR, text: &str) {
        let mut bytes = text.as_bytes().to_vec();
        if bytes.len() % 2 == 1 {
            bytes.push(padding(vr));
        }
        self.put_bytes(tag, vr, bytes);
    }

    /// Sets an element of VR US.
    pub fn put_u16(&mut self, tag: Tag, values: &[u16]) {
        self.put_bytes(tag, VR::US, values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
    }

    /// Sets an element of VR UL.
    pub fn put_u32(&mut self, tag: Tag, values: &[u32]) {
        self.put_bytes(tag, VR::UL, values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
    }

    /// Sets an element of VR FL.
    pub fn put_f32(&mut self, tag: Tag, values: &[f32]) {
        self.put_bytes(tag, VR::FL, values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
    }

    /// Sets an element of VR FD.
    pub fn put_f64(&mut self, tag: Tag, values: &[f64]) {
        self.put_bytes(tag, VR::FD, values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
    }

    /// Sets a sequence.
    pub fn put_items(&mut self, tag: Tag, items: Vec<Dataset>) {
        self.put(Element { tag, vr: VR::SQ, value: Value::Items(items) });
    }

    /// Takes an element out.
    pub fn remove(&mut self, tag: Tag) -> Option<Element> {
        self.place(tag).ok().map(|at| self.elements.remove(at))
    }

    /// Where the element with this tag is, or would be.
    fn place(&self, tag: Tag) -> Result<usize, usize> {
        self.elements.binary_search_by_key(&tag, |element| element.tag)
    }

    /// Whether the pixels of this data set are signed, which decides the VR of some attributes.
    pub(crate) fn has_signed_pixels(&self) -> bool {
        self.int(tags::PIXEL_REPRESENTATION) == Some(1)
    }
}

/// Elements in any order; of those with the same tag the last counts.
impl From<Vec<Element>> for Dataset {
    fn from(mut elements: Vec<Element>) -> Self {
        if !elements.is_sorted_by(|before, next| before.tag < next.tag) {
            elements.sort_by_key(|element| element.tag);
            elements.dedup_by(|next, before| {
                let is_same = next.tag == before.tag;
                if is_same {
                    std::mem::swap(next, before);
                }
                is_same
            });
        }
        Self { elements }
    }
}

/// What pads a value of this VR to even length (PS3.5 § 6.2).
pub(crate) fn padding(vr: VR) -> u8 {
    match vr {
        VR::UI | VR::OB | VR::UN => 0,
        _ => b' ',
    }
}

/// Decodes complete groups of `N` bytes; a rest is left out.
fn each<const N: usize, T>(bytes: &[u8], decode: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|&chunk| decode(chunk)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_kind() {
        let mut data = Dataset::new();
        data.put_u16(tags::ROWS, &[512]);
        data.put_text(tags::RESCALE_SLOPE, VR::DS, "1.5 ");
        data.put_text(tags::PIXEL_SPACING, VR::DS, "0.2\\+0.3");
        data.put_text(tags::NUMBER_OF_FRAMES, VR::IS, "12.0");
        data.put_bytes(tags::COLUMNS, VR::UN, [0, 2]);
        assert_eq!(data.int(tags::ROWS), Some(512));
        assert_eq!(data.float(tags::RESCALE_SLOPE), Some(1.5));
        assert_eq!(data.floats(tags::PIXEL_SPACING), [0.2, 0.3]);
        assert_eq!(data.int(tags::NUMBER_OF_FRAMES), Some(12));
        assert_eq!(data.int(tags::COLUMNS), Some(512));
        data.put_text(tags::NUMBER_OF_FRAMES, VR::IS, "12.5");
        assert_eq!(data.int(tags::NUMBER_OF_FRAMES), None);
    }

    #[test]
    fn elements_stand_by_their_tags_however_they_come() {
        let text = |tag, text: &str| Element { tag, vr: VR::CS, value: Value::Bytes(text.into()) };
        let come = [
            text(tags::ROWS, "1"),
            text(tags::MODALITY, "2"),
            text(tags::ROWS, "3"),
            text(tags::IMAGE_TYPE, "4"),
            text(tags::ROWS, "5"),
        ];
        let stand = [text(tags::IMAGE_TYPE, "4"), text(tags::MODALITY, "2"), text(tags::ROWS, "5")];
        let mut put = Dataset::new();
        come.iter().for_each(|element| put.put(element.clone()));
        for mut data in [put, Dataset::from(come.to_vec())] {
            assert!(data.iter().eq(&stand), "{data:?}");
            assert_eq!(data.remove(tags::MODALITY).as_ref(), stand.get(1));
            assert!(data.len() == 2 && data.get(tags::MODALITY).is_none() && data.remove(tags::MODALITY).is_none());
        }
    }

    #[test]
    fn absent_empty_and_padded_text() {
        let mut data = Dataset::new();
        assert_eq!(data.text(tags::MODALITY), None);
        data.put_text(tags::MODALITY, VR::CS, "  ");
        assert_eq!(data.text(tags::MODALITY), None);
        data.put_text(tags::IMAGE_TYPE, VR::CS, "DERIVED\\PRIMARY ");
        assert_eq!(data.texts(tags::IMAGE_TYPE), ["DERIVED", "PRIMARY"]);
        data.put_text(tags::SOP_INSTANCE_UID, VR::UI, "1.2.3");
        assert_eq!(data.bytes(tags::SOP_INSTANCE_UID), Some(&b"1.2.3\0"[..]));
        assert_eq!(data.uid(tags::SOP_INSTANCE_UID).unwrap().as_str(), "1.2.3");
    }
}
