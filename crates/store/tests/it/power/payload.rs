/// What a sender sends: the number of a SOP Instance, and which bytes under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Payload {
    pub(super) number: u32,
    /// Not 0, which is what lost bytes are.
    pub(super) version: u8,
}

const PREFIX: &str = "1.2.99.";

impl Payload {
    pub(super) fn uid(self) -> String {
        format!("{PREFIX}{}", self.number)
    }

    /// Whether the study is waited for with it.
    pub(super) fn is_waited_with(self) -> bool {
        self.number.is_multiple_of(3)
    }

    /// From a byte to five megabytes, on both sides of every limit between.
    pub(super) fn len(self) -> usize {
        let mixed = self.number.wrapping_mul(0x9E37_79B9).wrapping_add(u32::from(self.version) * 40_503) as usize;
        match self.number % 32 {
            0 => 1,
            1..=21 => 600 + mixed % 30_000,
            22..=27 => 55_000 + mixed % 20_000,
            28..=30 => 900_000 + mixed % 150_000,
            _ => 2_000_000 + mixed % 3_000_000,
        }
    }

    /// No two sectors of any two payloads are the same.
    pub(super) fn bytes(self) -> Vec<u8> {
        let mut bytes = vec![self.version; self.len()];
        for (sector, stamped) in bytes.chunks_mut(512).enumerate() {
            let stamp = [self.number.to_le_bytes(), (sector as u32).to_le_bytes()].concat();
            if let Some(place) = stamped.get_mut(1..=stamp.len()) {
                place.copy_from_slice(&stamp);
            }
        }
        bytes
    }

    /// What `bytes` under a SOP Instance UID claim to be.
    pub(super) fn of(sop_instance: &str, bytes: &[u8]) -> Self {
        let number = sop_instance.strip_prefix(PREFIX).unwrap().parse().unwrap();
        Self { number, version: bytes[0] }
    }

    /// What a child said.
    pub(super) fn parse<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<Self> {
        Some(Self { number: words.next()?.parse().ok()?, version: words.next()?.parse().ok()? })
    }
}

impl std::fmt::Display for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.number, self.version)
    }
}
