//! Damaged and hostile frames: an answer each time, soon, and in bounded memory.

use std::fs;
use std::time::{Duration, Instant};

use dokuei_codecs::{CodecError, FrameSpec, Photometric, Representation, decode};
use proptest::prelude::*;

use crate::vectors::{Vector, all};

/// Far above what the small frames of the vectors need, far below what a lying header could ask for.
const MEMORY_MAX_KIB: u64 = 512 << 10;
const TIME_MAX: Duration = Duration::from_secs(10);

/// Numbers from a seed (a linear congruential generator).
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// The most memory this process ever had, where the system tells.
fn peak_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn answers(vector: &Vector, data: &[u8]) {
    let begin = Instant::now();
    let answer = decode(&vector.transfer_syntax, &vector.spec, data);
    assert!(begin.elapsed() < TIME_MAX, "{} took {:?}", vector.name, begin.elapsed());
    // Panics of the decoders we did not write are contained; ours have none to contain.
    let ours = !["j2k", "htj2k", "jxl"].iter().any(|name| vector.name.starts_with(name));
    assert!(!ours || !matches!(answer, Err(CodecError::Panicked { .. })), "{}: {data:02x?}", vector.name);
    if let Ok(frame) = answer {
        let spec = &vector.spec;
        let expected = spec.rows * spec.columns * u32::from(spec.samples_per_pixel);
        assert_eq!(frame.samples.len(), expected as usize);
    }
}

#[test]
fn flipped_and_cut_codestreams_get_an_answer() {
    let mut seeded = Seeded(2);
    for vector in all() {
        for round in 0..60 {
            let mut data = vector.data.clone();
            // Headers are a small part of most frames and the most rewarding one to damage.
            let reach = if round % 2 == 0 { data.len().min(120) } else { data.len() };
            for _ in 0..=seeded.below(3) {
                let at = seeded.below(reach);
                data[at] = match seeded.below(4) {
                    0 => 0xFF,
                    1 => 0,
                    2 => data[at] ^ (1 << seeded.below(8)),
                    _ => u8::try_from(seeded.below(256)).unwrap(),
                };
            }
            answers(&vector, &data);
        }
        for _ in 0..20 {
            let end = seeded.below(vector.data.len());
            answers(&vector, &vector.data[..end]);
        }
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
        let mut seeded = Seeded(seed);
        let data: Vec<u8> = (0..40 * 40 * 4 * 4).map(|_| u8::try_from(seeded.below(256)).unwrap()).collect();
        let whole = matches!(spec.bits_allocated, 8 | 16 | 32) && spec.bits_stored == spec.bits_allocated;
        let plain = !spec.planar && spec.representation != Representation::Float;
        if let (true, true, Ok(frame)) = (whole, plain, decode("1.2.840.10008.1.2", &spec, &data)) {
            let bytes = frame.samples.to_le_bytes();
            prop_assert!(data.starts_with(&bytes));
        }
    }
}
