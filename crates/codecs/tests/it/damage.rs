//! Damaged and hostile frames: an answer each time, soon, and in bounded memory.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use dicom_dictionary_std::uids;
use dokuei_codecs::{FrameSpec, Photometric, Representation, decode};
use dokuei_testkit::{Random, mutated};
use proptest::prelude::*;

use crate::property::{self, TARGETS};
use crate::vectors::all;

/// Far above what the small frames of the vectors need, far below what a lying header could ask for.
const MEMORY_MAX_KIB: u64 = 512 << 10;
const TIME_MAX: Duration = Duration::from_secs(10);

/// The most memory this process ever had, where the system tells.
fn peak_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The inputs of each target of [`property::frame`]: the vectors, and their samples native and deflated.
fn inputs() -> BTreeMap<&'static str, Vec<Vec<u8>>> {
    let mut inputs: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for vector in all() {
        let samples = decode(&vector.transfer_syntax, &vector.spec, &vector.data).unwrap().samples.to_le_bytes();
        for (syntax, data) in [
            (vector.transfer_syntax.as_str(), vector.data),
            (uids::IMPLICIT_VR_LITTLE_ENDIAN, samples.clone()),
            (uids::DEFLATED_IMAGE_FRAME_COMPRESSION, deflate(&samples)),
        ] {
            let (target, input) = property::input(syntax, &vector.spec, &data).unwrap();
            inputs.entry(target).or_default().push(input);
        }
    }
    inputs
}

#[test]
fn damaged_frames_get_an_answer() {
    let inputs = inputs();
    assert_eq!(inputs.len(), TARGETS.len());
    for (target, inputs) in inputs {
        mutated(target, &inputs, 60, |input| {
            let begin = Instant::now();
            property::frame(target, input);
            assert!(begin.elapsed() < TIME_MAX, "{target} took {:?}", begin.elapsed());
        });
    }
    if let Some(peak) = peak_kib() {
        assert!(peak < MEMORY_MAX_KIB, "{peak} KiB");
    }
}

fn any_spec() -> impl Strategy<Value = FrameSpec> {
    let photometric = prop_oneof![
        Just(Photometric::Monochrome2),
        Just(Photometric::Rgb),
        Just(Photometric::YbrFull422),
        Just(Photometric::YbrRct),
        Just(Photometric::Argb),
    ];
    let representation =
        prop_oneof![Just(Representation::Unsigned), Just(Representation::Signed), Just(Representation::Float)];
    let bits = prop_oneof![Just(1_u16), Just(8), Just(12), Just(16), Just(32), Just(64), any::<u16>()];
    (0_u32..40, 0_u32..40, bits, 0_u16..40, 0_u16..40, representation, any::<bool>(), photometric).prop_map(
        |(rows, columns, bits_allocated, bits_stored, high_bit, representation, planar, photometric)| FrameSpec {
            rows,
            columns,
            samples_per_pixel: photometric.samples_per_pixel(),
            bits_allocated,
            bits_stored,
            high_bit,
            representation,
            planar,
            photometric,
        },
    )
}

fn any_syntax() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "1.2.840.10008.1.2",
        "1.2.840.10008.1.2.2",
        "1.2.840.10008.1.2.8.1",
        "1.2.840.10008.1.2.5",
        "1.2.840.10008.1.2.4.50",
        "1.2.840.10008.1.2.4.70",
        "1.2.840.10008.1.2.4.80",
        "1.2.840.10008.1.2.4.90",
        "1.2.840.10008.1.2.4.110",
        "1.2.840.10008.1.2.4.201",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_under_any_attributes_get_an_answer(
        syntax in any_syntax(),
        spec in any_spec(),
        data in prop::collection::vec(any::<u8>(), 0..1500),
    ) {
        if let Ok(frame) = decode(syntax, &spec, &data) {
            let expected = spec.rows * spec.columns * u32::from(spec.samples_per_pixel);
            prop_assert_eq!(frame.samples.len(), expected as usize);
        }
    }

    #[test]
    fn native_frames_read_back(
        spec in any_spec(),
        seed: u64,
    ) {
        let mut random = Random::new(seed);
        let data: Vec<u8> = (0..40 * 40 * 4 * 4).map(|_| u8::try_from(random.below(256)).unwrap()).collect();
        let whole = matches!(spec.bits_allocated, 8 | 16 | 32) && spec.bits_stored == spec.bits_allocated;
        let plain = !spec.planar && spec.representation != Representation::Float;
        if let (true, true, Ok(frame)) = (whole, plain, decode("1.2.840.10008.1.2", &spec, &data)) {
            let bytes = frame.samples.to_le_bytes();
            prop_assert!(data.starts_with(&bytes));
        }
    }
}
