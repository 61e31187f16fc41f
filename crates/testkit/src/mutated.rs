use std::ops::Range;
use std::path::Path;

/// The environment variable that replays one case, by the number a failure prints.
const REPLAY: &str = "DOKUEI_SEED";
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
    for case in replayed().unwrap_or(0..cases) {
        let mut random = Random::new(case);
        let mut input = valid.get(random.below(valid.len())).cloned().unwrap_or_default();
        for _ in 0..=random.below(4) {
            damage(&mut input, valid, &mut random);
        }
        let named = Named(case);
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

fn replayed() -> Option<Range<u64>> {
    let case: u64 = std::env::var(REPLAY).ok()?.parse().ok()?;
    Some(case..case.saturating_add(1))
}

/// Says which case it was when that one panics.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{REPLAY}={} replays this case", self.0);
        }
    }
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

/// Numbers from a seed: SplitMix64.
pub struct Random(u64);

impl Random {
    /// The same numbers for the same seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `limit`; 0 where nothing is below it.
    pub fn below(&mut self, limit: usize) -> usize {
        let next = usize::try_from(self.next() >> 33).unwrap_or(0);
        next.checked_rem(limit).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// An index below `length`. Headers are a small part of most inputs and the most rewarding to damage.
    fn place(&mut self, length: usize) -> usize {
        let reach = if self.below(2) == 0 { length.min(128) } else { length };
        self.below(reach)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
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
