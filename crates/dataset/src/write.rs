use dicom_core::{Tag, VR};

use crate::Encoding;
use crate::data_set::{Dataset, Element, Value, padding};
use crate::vr::{has_short_length, swap};

const UNDEFINED: u32 = 0xFFFF_FFFF;

/// Encodes a data set (PS3.5 § 7): elements by tag, sequences and items of undefined length, values padded
/// to even length. A value under a VR of 16-bit length that is longer than 65,534 bytes is written as UN
/// (PS3.5 § 6.2.2); [`Value::Omitted`] is left out, since there is nothing to write.
#[must_use]
pub fn write_dataset(dataset: &Dataset, encoding: Encoding) -> Vec<u8> {
    let mut out = Vec::new();
    append_dataset(dataset, encoding, &mut out);
    out
}

/// As [`write_dataset`], behind what `out` holds already.
///
/// Recursion is bounded by what was read ([`Limits::depth`](crate::Limits::depth)) or built in code.
pub fn append_dataset(dataset: &Dataset, encoding: Encoding, out: &mut Vec<u8>) {
    for element in dataset.iter() {
        match &element.value {
            Value::Bytes(bytes) => value(element, bytes, encoding, out),
            Value::Items(items) => sequence(element.tag, items, encoding, out),
            Value::Omitted { .. } => {}
        }
    }
}

fn value(element: &Element, bytes: &[u8], encoding: Encoding, out: &mut Vec<u8>) {
    let length = u32::try_from(bytes.len().next_multiple_of(2)).unwrap_or(u32::MAX - 1);
    tag(element.tag, encoding, out);
    if encoding == Encoding::ImplicitLittle {
        u32_to(length, encoding, out);
    } else {
        match u16::try_from(length) {
            Ok(short) if has_short_length(element.vr) => {
                out.extend_from_slice(element.vr.to_string().as_bytes());
                u16_to(short, encoding, out);
            }
            _ => {
                let vr = if has_short_length(element.vr) { VR::UN } else { element.vr };
                out.extend_from_slice(vr.to_string().as_bytes());
                out.extend_from_slice(&[0, 0]);
                u32_to(length, encoding, out);
            }
        }
    }
    let start = out.len();
    out.extend_from_slice(bytes);
    if bytes.len() % 2 == 1 {
        out.push(padding(element.vr));
    }
    if encoding == Encoding::ExplicitBig {
        swap(out.get_mut(start..).unwrap_or_default(), element.vr);
    }
}

fn sequence(sequence_tag: Tag, items: &[Dataset], encoding: Encoding, out: &mut Vec<u8>) {
    tag(sequence_tag, encoding, out);
    if encoding != Encoding::ImplicitLittle {
        out.extend_from_slice(b"SQ\0\0");
    }
    if items.is_empty() {
        u32_to(0, encoding, out);
        return;
    }
    u32_to(UNDEFINED, encoding, out);
    for item in items {
        tag(Tag(0xFFFE, 0xE000), encoding, out);
        u32_to(UNDEFINED, encoding, out);
        append_dataset(item, encoding, out);
        tag(Tag(0xFFFE, 0xE00D), encoding, out);
        u32_to(0, encoding, out);
    }
    tag(Tag(0xFFFE, 0xE0DD), encoding, out);
    u32_to(0, encoding, out);
}

fn tag(tag: Tag, encoding: Encoding, out: &mut Vec<u8>) {
    u16_to(tag.group(), encoding, out);
    u16_to(tag.element(), encoding, out);
}

fn u16_to(value: u16, encoding: Encoding, out: &mut Vec<u8>) {
    let bytes = if encoding == Encoding::ExplicitBig { value.to_be_bytes() } else { value.to_le_bytes() };
    out.extend_from_slice(&bytes);
}

fn u32_to(value: u32, encoding: Encoding, out: &mut Vec<u8>) {
    let bytes = if encoding == Encoding::ExplicitBig { value.to_be_bytes() } else { value.to_le_bytes() };
    out.extend_from_slice(&bytes);
}
