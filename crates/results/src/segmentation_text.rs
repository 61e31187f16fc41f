use std::fmt::Write;
use std::io;
use std::ops::Range;

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dokuei_dataset::{Dataset, Encoding, Header, ReadAt};

use crate::header::functional_group;
use crate::report_text::Reader;

/// A Segmentation as people read it: whom it is about, then each segment with its marked pixels, and their area where the
/// object says how large they are.
///
/// It reads any Segmentation (PS3.3 A.51); pixels are counted of one that is BINARY and not compressed. `file` is what
/// `header` was read from.
#[must_use]
pub fn segmentation_text(header: &Header, file: &dyn ReadAt) -> String {
    let data = &header.dataset;
    let reader = Reader::of(data);
    let counts = counts(header, header.source(file));
    let mut out = String::new();
    let kinds = [tags::SEGMENTATION_TYPE, tags::CONTENT_QUALIFICATION].into_iter();
    let kinds: Vec<String> = kinds.filter_map(|tag| reader.text(data, tag)).collect();
    let [rows, columns] = [tags::ROWS, tags::COLUMNS].map(|tag| data.int(tag).unwrap_or_default());
    // Writing to a String cannot fail.
    writeln!(out, "Segmentation ({}), {rows} rows, {columns} columns", kinds.join(", ").to_lowercase()).ok();
    reader.circumstances(data, &mut out);
    for segment in data.items(tags::SEGMENT_SEQUENCE) {
        let number = segment.int(tags::SEGMENT_NUMBER);
        let count = counts.as_ref().map(|counts| counts.iter().filter(|count| number == Some(count.segment)));
        out.push_str(&in_words(&reader, segment, count));
    }
    out
}

/// A line for the segment, and one for each further thing it says.
fn in_words<'a>(reader: &Reader, segment: &Dataset, frames: Option<impl Iterator<Item = &'a Count>>) -> String {
    let text = |tag| reader.text(segment, tag);
    let number = segment.int(tags::SEGMENT_NUMBER).unwrap_or_default();
    let label = text(tags::SEGMENT_LABEL).unwrap_or_else(|| "(unnamed)".to_owned());
    let marked = frames.map_or_else(|| "pixels not counted".to_owned(), sum);
    let mut out = format!("{number} {label}: {marked}\n");
    let kind = segment.items(tags::SEGMENTED_PROPERTY_TYPE_CODE_SEQUENCE).first().map(|code| reader.code(code));
    let kind = kind.filter(|kind| *kind != label);
    let method = text(tags::SEGMENT_ALGORITHM_TYPE).map(|method| match text(tags::SEGMENT_ALGORITHM_NAME) {
        Some(name) => format!("{} by {name}", method.to_lowercase()),
        None => method.to_lowercase(),
    });
    for line in [kind, text(tags::SEGMENT_DESCRIPTION), method, text(tags::TRACKING_ID)].into_iter().flatten() {
        writeln!(out, "  {}", line.replace('\n', " ")).ok();
    }
    out
}

fn sum<'a>(frames: impl Iterator<Item = &'a Count>) -> String {
    let (mut pixels, mut count, mut area_mm2) = (0_u64, 0_u64, Some(0.0));
    for frame in frames {
        pixels = pixels.saturating_add(frame.pixels);
        count = count.saturating_add(1);
        area_mm2 = area_mm2.zip(frame.area_mm2).map(|(sum, area)| sum + area);
    }
    let area = area_mm2.filter(|_| count > 0).map(|mm2| format!(", {mm2:.1} mm2")).unwrap_or_default();
    let plural = if count == 1 { "" } else { "s" };
    format!("{pixels} pixels{area} in {count} frame{plural}")
}

/// What is marked in one frame.
struct Count {
    segment: i64,
    pixels: u64,
    area_mm2: Option<f64>,
}

/// Of every frame; `None` where pixels are no bits, or not all there.
fn counts(header: &Header, source: &dyn ReadAt) -> Option<Vec<Count>> {
    let data = &header.dataset;
    let pixels = header.pixels.as_ref()?;
    let is_binary = data.text(tags::SEGMENTATION_TYPE).as_deref() == Some("BINARY");
    // In Explicit VR Big Endian the bits of two bytes change places.
    if !is_binary || data.int(tags::BITS_ALLOCATED) != Some(1) || header.encoding() == Encoding::ExplicitBig {
        return None;
    }
    let size = |tag| data.int(tag).and_then(|size| u64::try_from(size).ok());
    let per_frame = size(tags::ROWS)?.checked_mul(size(tags::COLUMNS)?)?;
    let frames = u32::try_from(data.items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).len()).ok()?;
    let in_all = per_frame.checked_mul(frames.into())?;
    if in_all.div_ceil(8) > pixels.length? {
        return None;
    }
    let mut bits = 0..0;
    let of_frame = |frame: u32| {
        bits = bits.end..bits.end + per_frame;
        let group = |sequence: Tag| functional_group(data, Some(frame), sequence);
        let segment = group(tags::SEGMENT_IDENTIFICATION_SEQUENCE)?.int(tags::REFERENCED_SEGMENT_NUMBER)?;
        let marked = ones(source, pixels.offset, bits.clone()).ok()?;
        let spacing = group(tags::PIXEL_MEASURES_SEQUENCE).map(|measures| measures.floats(tags::PIXEL_SPACING));
        let area_mm2 = match spacing.as_deref() {
            Some([row, column]) => Some(marked as f64 * row * column),
            _ => None,
        };
        Some(Count { segment, pixels: marked, area_mm2 })
    };
    (1..=frames).map(of_frame).collect()
}

/// How many of these bits behind `offset` are set, the lowest of a byte first.
fn ones(source: &dyn ReadAt, offset: u64, bits: Range<u64>) -> io::Result<u64> {
    const CHUNK: u64 = 1 << 16;
    let mut buffer = Vec::new();
    let (mut at, end) = (bits.start / 8, bits.end.div_ceil(8));
    let (before, behind) = (bits.start % 8, bits.end % 8);
    let mut ones = 0;
    while at < end {
        let length = (end - at).min(CHUNK);
        buffer.resize(usize::try_from(length).unwrap_or_default(), 0);
        source.read_exact_at(&mut buffer, offset + at)?;
        if at == bits.start / 8
            && let Some(first) = buffer.first_mut()
        {
            *first &= u8::MAX << before;
        }
        at += length;
        if at == end
            && behind > 0
            && let Some(last) = buffer.last_mut()
        {
            *last &= !(u8::MAX << behind);
        }
        ones += buffer.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>();
    }
    Ok(ones)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_counted_across_bytes_and_chunks() {
        let check = |bytes: &[u8], bits: Range<u64>, expected: u64| {
            let file = [&[0xFF; 3], bytes, &[0xFF; 3]].concat();
            assert_eq!(ones(&file, 3, bits.clone()).unwrap(), expected, "{bits:?}");
        };
        check(&[0b1100_0000, 0b0001_1000], 0..15, 4);
        check(&[0b1100_0000, 0b0001_1000], 7..12, 2);
        check(&[0b1100_0000], 6..7, 1);
        check(&[0b1100_0000], 3..3, 0);
        check(&vec![0b0101_0101; 200_000], 1..1_599_999, 799_999);
        assert!(ones(&vec![0; 10], 3, 0..64).is_err());
    }
}
