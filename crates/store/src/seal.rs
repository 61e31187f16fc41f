use std::io;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use twox_hash::XxHash3_128;

/// The digest of a stored file's bytes, taken when they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    /// The first byte that it is of.
    pub(crate) from: u64,
    pub(crate) digest: u128,
}

/// A digest in the index: 16 bytes, the most significant first.
pub(crate) struct Stored(pub(crate) u128);

impl FromSql for Stored {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let bytes = value.as_blob()?.try_into().map_err(|_| FromSqlError::InvalidType)?;
        Ok(Self(u128::from_be_bytes(bytes)))
    }
}

/// Tells of a file's bytes, given one after the other, whether they are those that were stored.
#[derive(Clone)]
pub struct Unsealing {
    digest: XxHash3_128,
    seal: Seal,
    /// Bytes that come before those the seal is of, and those that are still to come.
    before: u64,
    left: u64,
}

impl Unsealing {
    /// Of a file of `length` bytes.
    pub(crate) fn new(seal: Seal, length: u64) -> Self {
        let left = length.saturating_sub(seal.from);
        Self { digest: XxHash3_128::new(), seal, before: seal.from, left }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// `InvalidData` with the last of them when they are not what was stored.
    pub fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        let before = usize::try_from(self.before).map_or(bytes.len(), |before| before.min(bytes.len()));
        self.before = self.before.saturating_sub(before as u64);
        let sealed = bytes.get(before..).unwrap_or_default();
        self.digest.write(sealed);
        self.left = self.left.saturating_sub(sealed.len() as u64);
        match self.left {
            0 if self.digest.finish_128() != self.seal.digest => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "the bytes on the disk are not those that were stored"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_whatever_pieces_bytes_come_other_ones_are_told_from_those_that_were_stored() {
        let file = b"meta data set";
        let seal = Seal { from: 5, digest: XxHash3_128::oneshot(b"data set") };
        for piece in 1..=file.len() {
            for (damage, is_damaged) in [(None, false), (Some(2), false), (Some(5), true), (Some(12), true)] {
                let mut bytes = file.to_vec();
                damage.into_iter().for_each(|at: usize| bytes[at] ^= 1);
                let mut unsealing = Unsealing::new(seal, file.len() as u64);
                let outcomes: Vec<_> = bytes.chunks(piece).map(|piece| unsealing.take(piece).is_err()).collect();
                let (last, before) = outcomes.split_last().unwrap();
                assert_eq!((*last, before.contains(&true)), (is_damaged, false), "{piece} {damage:?}");
            }
        }
    }
}
