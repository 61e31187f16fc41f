use std::ops::Range;
use std::path::Path;

use crate::seed::{Random, Seed, replayed};

/// The environment variable that names a folder for the valid inputs, one folder in it for each fuzz target.
const CORPUS: &str = "DOKUEI_CORPUS";

/// Runs `check`, the property of a fuzz `target`, on the `valid` inputs and on `rounds` damaged copies for each of
/// them, the same ones every time. A case that panics prints its number; `DOKUEI_SEED` set to it runs that case
/// alone. With `DOKUEI_CORPUS` the valid inputs are written there for the fuzzer to begin with.
pub fn mutated(target: &str, valid: &[Vec<u8>], rounds: u64, check: impl Fn(&[u8])) {
    if let Some(folder) = std::env::var_os(CORPUS) {
        keep(&Path::new(&folder).join(target), valid);
    }
    valid.iter().for_each(|input| check(input));
    let cases = valid.len() as u64 * rounds;
    for case in replayed().map_or(0..cases, one) {
        let mut random = Random::new(case);
        let mut input = valid.get(random.below(valid.len())).cloned().unwrap_or_default();
        for _ in 0..=random.below(4) {
            damage(&mut input, valid, &mut random);
        }
        let named = Seed::of(case);
        check(&input);
        drop(named);
    }
}

fn keep(folder: &Path, inputs: &[Vec<u8>]) {
    std::fs::create_dir_all(folder).expect("the corpus folder can be made");
    for input in inputs {
        // A name of its own, since several tests write for one target.
        let digest = input.iter().fold(0, |digest, byte| Random(digest ^ u64::from(*byte)).next());
        std::fs::write(folder.join(format!("{digest:016x}")), input).expect("the corpus folder takes files");
    }
}

fn one(case: u64) -> Range<u64> {
    case..case.saturating_add(1)
}

/// One change of the kind that decoders are fooled by.
fn damage(input: &mut Vec<u8>, valid: &[Vec<u8>], random: &mut Random) {
    if input.is_empty() {
        input.push(random.byte());
        return;
    }
    let at = random.place(input.len());
    match random.below(8) {
        0 => input[at] ^= 1 << random.below(8),
        1 => input[at] = [0x00, 0xFF, 0x7F, 0x80, 0xFE][random.below(5)],
        2 => input[at] = random.byte(),
        // A length or a count: small, huge, or off by one.
        3 => {
            let number = [0, 1, 2, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFE, 0xFFFF_FFFF][random.below(7)];
            overwrite(input, at, &u32::to_le_bytes(number));
        }
        4 => input[at] = input[at].wrapping_add(if random.below(2) == 0 { 1 } else { 0xFF }),
        5 => input.truncate(at),
        6 => {
            let end = at + random.below(input.len() - at + 1).min(64);
            let copied = input[at..end].to_vec();
            let to = random.place(input.len());
            input.splice(to..to, copied);
        }
        _ => {
            let other = &valid[random.below(valid.len())];
            let from = random.below(other.len() + 1);
            overwrite(input, at, &other[from..other.len().min(from + 16)]);
        }
    }
}

fn overwrite(input: &mut [u8], at: usize, bytes: &[u8]) {
    for (target, byte) in input.iter_mut().skip(at).zip(bytes) {
        *target = *byte;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn the_same_damage_every_time_and_never_the_same_twice() {
        let run = || {
            let seen = RefCell::new(Vec::new());
            mutated("none", &[b"a valid input".to_vec(), vec![7; 300]], 50, |input| {
                seen.borrow_mut().push(input.to_vec())
            });
            seen.into_inner()
        };
        let first = run();
        assert_eq!(first, run());
        assert_eq!(first.len(), 2 + 100);
        let mut distinct = first;
        distinct.sort();
        distinct.dedup();
        assert!(distinct.len() > 90, "{}", distinct.len());
    }
}
