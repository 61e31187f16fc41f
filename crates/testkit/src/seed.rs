use std::hash::{BuildHasher, Hasher, RandomState};

/// The environment variable that replays one case, by the number a failure prints.
const REPLAY: &str = "DOKUEI_SEED";

/// The number a case follows from, printed when the case panics.
#[derive(Debug)]
pub struct Seed(u64);

impl Seed {
    /// The case of this number.
    #[must_use]
    pub fn of(number: u64) -> Self {
        Self(number)
    }

    /// Another case every time, but for the one that `DOKUEI_SEED` names.
    #[must_use]
    pub fn any() -> Self {
        Self(replayed().unwrap_or_else(|| RandomState::new().build_hasher().finish()))
    }

    /// The numbers that follow from it.
    #[must_use]
    pub fn random(&self) -> Random {
        Random::new(self.0)
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{REPLAY}={} replays this case", self.0);
        }
    }
}

/// The case that `DOKUEI_SEED` names.
#[must_use]
pub fn replayed() -> Option<u64> {
    std::env::var(REPLAY).ok()?.parse().ok()
}

/// Numbers from a seed: SplitMix64.
pub struct Random(pub(crate) u64);

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

    pub(crate) fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// An index below `length`. Headers are a small part of most inputs and the most rewarding to damage.
    pub(crate) fn place(&mut self, length: usize) -> usize {
        let reach = if self.below(2) == 0 { length.min(128) } else { length };
        self.below(reach)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
