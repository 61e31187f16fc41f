//! ICC Profile (PS3.3 C.11.15): what the colours of the source mean, which a presentation state in colour has to say.

use dicom_core::VR;
use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;

use crate::header::copy_if_valid;

/// The source's own profile; sRGB where it has none, as screens show it without one.
pub(super) fn put(data: &mut Dataset, header: &Dataset) {
    // Slide microscopy says it of the optical path (PS3.3 C.8.12.5); of several, one state cannot say which.
    let path = match header.items(tags::OPTICAL_PATH_SEQUENCE) {
        [path] => Some(path),
        _ => None,
    };
    let mut holders = std::iter::once(header).chain(path);
    let own = holders.find_map(|holder| Some((holder, input_profile(holder.bytes(tags::ICC_PROFILE)?)?)));
    if let Some((holder, profile)) = own {
        data.put_bytes(tags::ICC_PROFILE, VR::OB, profile);
        copy_if_valid(holder, data, tags::COLOR_SPACE, VR::CS);
    } else {
        data.put_bytes(tags::ICC_PROFILE, VR::OB, srgb());
        data.put_text(tags::COLOR_SPACE, VR::CS, "SRGB");
    }
}

/// The profile in a value, as long as it says that it is; `None` unless it is what C.11.15.1.1 asks for: of an input device,
/// from RGB to XYZ or Lab.
fn input_profile(value: &[u8]) -> Option<&[u8]> {
    let (size, _) = value.split_first_chunk::<4>()?;
    let profile = value.get(..usize::try_from(u32::from_be_bytes(*size)).ok()?)?;
    let is_input = profile.get(12..16)? == b"scnr" && profile.get(16..20)? == b"RGB ";
    let connects = matches!(profile.get(20..24)?, b"XYZ " | b"Lab ");
    (is_input && connects && profile.get(36..40)? == b"acsp").then_some(profile)
}

/// D50 as s15Fixed16Number, in which all numbers here are: the white of the connection space (ISO 15076-1 § 7.2.16).
const D50: [u32; 3] = [0x0000_f6d6, 0x0001_0000, 0x0000_d32d];
/// The Bradford transform from D65, the white of sRGB, to D50 (ISO 15076-1 Annex E).
const D65_TO_D50: [u32; 9] = [
    0x0001_0c42,
    0x0000_05de,
    0xffff_f325, //
    0x0000_0793,
    0x0000_fd90,
    0xffff_fba1, //
    0xffff_fda2,
    0x0000_03dc,
    0x0000_c06e,
];
/// Red, green and blue of IEC 61966-2-1, seen under D50.
const PRIMARIES: [[u32; 3]; 3] = [
    [0x0000_6fa0, 0x0000_38f5, 0x0000_0390],
    [0x0000_6297, 0x0000_b787, 0x0000_18d9],
    [0x0000_249f, 0x0000_0f84, 0x0000_b6c4],
];
/// Its transfer function, of type 3: (a x + b) to the power of g from d on, c x below; g, a, b, c, d.
const CURVE: [u32; 6] = [0x0003_0000, 0x0002_6666, 0x0000_f2a7, 0x0000_0d59, 0x0000_13d0, 0x0000_0a5b];

/// sRGB as the profile of an input device by matrix and curves, of version 4.3 (ISO 15076-1:2010 § 8.3.3).
fn srgb() -> Vec<u8> {
    let [red, green, blue] = PRIMARIES;
    let curve = || element(b"para", &CURVE);
    let elements = [
        (b"desc", text(b"sRGB")),
        (b"cprt", text(b"No copyright, use freely")),
        (b"wtpt", element(b"XYZ ", &D50)),
        (b"chad", element(b"sf32", &D65_TO_D50)),
        (b"rXYZ", element(b"XYZ ", &red)),
        (b"gXYZ", element(b"XYZ ", &green)),
        (b"bXYZ", element(b"XYZ ", &blue)),
        (b"rTRC", curve()),
        (b"gTRC", curve()),
        (b"bTRC", curve()),
    ];
    let mut end = HEADER_BYTES + 4 + 12 * count(&elements);
    let mut table = vec![count(&elements)];
    for (name, element) in &elements {
        let length = 4 * count(element);
        table.extend([signature(name), end, length]);
        end += length;
    }
    let body = elements.into_iter().flat_map(|(_, element)| element);
    header(end).into_iter().chain(table).chain(body).flat_map(u32::to_be_bytes).collect()
}

const HEADER_BYTES: u32 = 128;

/// The header of a profile of so many bytes (ISO 15076-1 § 7.2): of an input device, perceptual, made on 1 January 2026.
fn header(bytes: u32) -> Vec<u32> {
    let mut words = vec![bytes, 0, 0x0430_0000, signature(b"scnr"), signature(b"RGB "), signature(b"XYZ ")];
    words.extend([2026 << 16 | 1, 1 << 16, 0, signature(b"acsp")]);
    // Platform, flags, device and rendering intent.
    words.extend([0; 8]);
    words.extend(D50);
    // Creator and identifier, and what is reserved.
    words.resize(HEADER_BYTES as usize / 4, 0);
    words
}

/// A tagged element: its type, four reserved bytes, its content (ISO 15076-1 § 10).
fn element(kind: &[u8; 4], content: &[u32]) -> Vec<u32> {
    [&[signature(kind), 0], content].concat()
}

/// A text in American English: one record, UTF-16 (ISO 15076-1 § 10.13).
fn text(ascii: &[u8]) -> Vec<u32> {
    let head = [1, 12, signature(b"enUS"), 2 * count(ascii), 28];
    let pairs = ascii.chunks(2).map(|pair| match *pair {
        [first, second] => u32::from(first) << 16 | u32::from(second),
        [last] => u32::from(last) << 16,
        _ => 0,
    });
    element(b"mluc", &head.into_iter().chain(pairs).collect::<Vec<u32>>())
}

fn signature(name: &[u8; 4]) -> u32 {
    u32::from_be_bytes(*name)
}

fn count<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(word: u32) -> f64 {
        f64::from(word.cast_signed()) / 65_536.0
    }

    type Matrix = [[f64; 3]; 3];

    fn times(matrix: &Matrix, [x, y, z]: [f64; 3]) -> [f64; 3] {
        matrix.map(|[a, b, c]| a * x + b * y + c * z)
    }

    fn inverse([[a, b, c], [d, e, f], [g, h, i]]: Matrix) -> Matrix {
        let determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
        [
            [e * i - f * h, c * h - b * i, b * f - c * e],
            [f * g - d * i, a * i - c * g, c * d - a * f],
            [d * h - e * g, b * g - a * h, a * e - b * d],
        ]
        .map(|row| row.map(|minor| minor / determinant))
    }

    fn check(found: [u32; 3], expected: [f64; 3]) {
        for (found, expected) in found.map(number).into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-4, "{found} {expected}");
        }
    }

    #[test]
    fn the_numbers_follow_from_the_chromaticities_of_srgb() {
        let xyz = |[x, y]: [f64; 2]| [x / y, 1.0, (1.0 - x - y) / y];
        let white = xyz([0.3127, 0.3290]);
        let primaries = [[0.64, 0.33], [0.30, 0.60], [0.15, 0.06]].map(xyz);
        let cone = [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]];
        let (from, to) = (times(&cone, white), times(&cone, D50.map(number)));
        let adapted = |colour: [f64; 3]| {
            let seen = times(&cone, colour);
            times(&inverse(cone), std::array::from_fn(|i| seen[i] * to[i] / from[i]))
        };
        let column = |i: usize| adapted(std::array::from_fn(|row| f64::from(u8::from(row == i))));
        let matrix = [column(0), column(1), column(2)];
        for (row, found) in D65_TO_D50.as_chunks::<3>().0.iter().enumerate() {
            check(*found, matrix.map(|column| column[row]));
        }

        let [r, g, b] = primaries;
        let shares = times(&inverse(std::array::from_fn(|row| [r[row], g[row], b[row]])), white);
        for ((found, primary), share) in PRIMARIES.into_iter().zip(primaries).zip(shares) {
            check(found, adapted(primary.map(|value| value * share)));
        }
        let sum: [u32; 3] = std::array::from_fn(|i| PRIMARIES.iter().map(|primary| primary[i]).sum());
        assert_eq!(sum, D50, "white is white");

        let [_, curve @ ..] = CURVE;
        let expected = [2.4, 1.0 / 1.055, 0.055 / 1.055, 1.0 / 12.92, 0.04045];
        for (found, expected) in curve.map(number).into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
    }

    #[test]
    fn every_element_is_where_the_table_says() {
        let profile = srgb();
        assert_eq!(input_profile(&profile), Some(profile.as_slice()));
        let word = |at: usize| u32::from_be_bytes(profile[at..at + 4].try_into().unwrap()) as usize;
        assert_eq!(word(0), profile.len());
        let mut next = 128 + 4 + 12 * word(128);
        for record in 0..word(128) {
            let [offset, length] = [4, 8].map(|field| word(132 + 12 * record + field));
            assert_eq!(offset, next);
            next += length;
        }
        assert_eq!(next, profile.len());
        let description = profile.windows(4).position(|window| window == b"mluc").unwrap();
        assert_eq!(&profile[description + word(description + 24)..][..word(description + 20)], b"\0s\0R\0G\0B");
    }

    #[test]
    fn only_a_whole_profile_of_an_input_device_is_repeated() {
        let whole = srgb();
        let padded = [whole.as_slice(), &[0]].concat();
        assert_eq!(input_profile(&padded), Some(whole.as_slice()));
        assert_eq!(input_profile(&whole[..whole.len() - 1]), None);
        assert_eq!(input_profile(b""), None);
        for (at, other) in [(12, b"mntr"), (16, b"CMYK"), (20, b"RGB "), (36, b"\0\0\0\0"), (0, b"\0\0\0\x10")] {
            let mut changed = whole.clone();
            changed[at..at + 4].copy_from_slice(other);
            assert_eq!(input_profile(&changed), None, "{at}");
        }
    }
}
