use twox_hash::{XxHash3_64, XxHash3_128};

use super::buffer::{BLOCK, Buffer};

/// What every record begins with.
const MAGIC: [u8; 8] = *b"DKIRECD1";
/// What one begins with that is still written.
const GROWING: [u8; 8] = *b"DKIGROW1";
/// Bytes of a record before its file meta.
pub(crate) const HEAD: usize = 96;

/// Random bytes of a segment that its records repeat: bytes a peer has sent cannot be taken for one.
pub(crate) type Salt = [u8; 16];

/// XXH3 of a data set: tells other bytes, and a disk that has lost some; no proof against forgery.
pub(crate) type Digest = u128;

/// What a record says of itself.
///
/// ```text
/// head | file meta | data set | description | zeros up to a multiple of the block
/// ```
///
/// File meta and data set together are a Part 10 file (PS3.10 § 7.1); both are empty when it lies in a file
/// of its own. The description is what the index is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) file_meta_len: u64,
    pub(crate) data_set_len: u64,
    pub(crate) description_len: u64,
    /// Of the data set.
    pub(crate) digest: Digest,
    /// Of file meta and description.
    others: Digest,
}

impl Head {
    pub(crate) fn new(digest: Digest, file_meta: &[u8], data_set_len: u64, description: &[u8]) -> Self {
        Self {
            file_meta_len: file_meta.len() as u64,
            data_set_len,
            description_len: description.len() as u64,
            digest,
            others: hash_others(file_meta, description),
        }
    }

    pub(crate) fn to_bytes(self, salt: &Salt) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        let fields: [&[u8]; 7] = [
            &MAGIC,
            salt,
            &self.file_meta_len.to_le_bytes(),
            &self.data_set_len.to_le_bytes(),
            &self.description_len.to_le_bytes(),
            &self.digest.to_le_bytes(),
            &self.others.to_le_bytes(),
        ];
        let mut rest = bytes.as_mut_slice();
        for field in fields {
            let (place, after) = std::mem::take(&mut rest).split_at_mut(field.len());
            place.copy_from_slice(field);
            rest = after;
        }
        let sum = XxHash3_64::oneshot(&bytes[..HEAD - 8]);
        bytes[HEAD - 8..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// The head at the start of `block`; `None` where no record of this segment begins.
    pub(crate) fn read(block: &[u8], salt: &Salt) -> Option<Self> {
        let bytes: &[u8; HEAD] = block.first_chunk()?;
        let (body, sum) = bytes.split_last_chunk::<8>()?;
        if XxHash3_64::oneshot(body) != u64::from_le_bytes(*sum) {
            return None;
        }
        let body = body.strip_prefix(&MAGIC)?.strip_prefix(salt)?;
        let (file_meta_len, body) = body.split_first_chunk()?;
        let (data_set_len, body) = body.split_first_chunk()?;
        let (description_len, body) = body.split_first_chunk()?;
        let (digest, body) = body.split_first_chunk()?;
        let head = Self {
            file_meta_len: u64::from_le_bytes(*file_meta_len),
            data_set_len: u64::from_le_bytes(*data_set_len),
            description_len: u64::from_le_bytes(*description_len),
            digest: u128::from_le_bytes(*digest),
            others: u128::from_le_bytes(*body.first_chunk()?),
        };
        Some(head)
    }

    /// Bytes of the Part 10 file inside the record.
    pub(crate) fn file_len(&self) -> u64 {
        self.file_meta_len.saturating_add(self.data_set_len)
    }

    /// Bytes of the record, up to where the next one may begin.
    pub(crate) fn record_len(&self) -> u64 {
        let exact = (HEAD as u64).saturating_add(self.file_len()).saturating_add(self.description_len);
        exact.checked_next_multiple_of(BLOCK as u64).unwrap_or(u64::MAX)
    }

    /// Whether these are the bytes the record was made of.
    pub(crate) fn holds(&self, file_meta: &[u8], data_set: Digest, description: &[u8]) -> bool {
        self.digest == data_set && self.others == hash_others(file_meta, description)
    }
}

/// What stands in the place of the head until the rest of its record is written; nothing behind it is a record.
pub(crate) fn growing_head(salt: &Salt) -> [u8; HEAD] {
    let mut bytes = [0; HEAD];
    bytes[..8].copy_from_slice(&GROWING);
    bytes[8..24].copy_from_slice(salt);
    bytes
}

fn hash_others(file_meta: &[u8], description: &[u8]) -> Digest {
    let mut hash = XxHash3_128::new();
    hash.write(file_meta);
    hash.write(description);
    hash.finish_128()
}

/// A whole record in memory, but for the salt of the segment it will lie in.
pub(crate) struct Record {
    buffer: Buffer,
    head: Head,
}

impl Record {
    /// Completes what `buffer` holds: room for the head, file meta and data set.
    pub(crate) fn complete(mut buffer: Buffer, file_meta_len: usize, digest: Digest, description: &[u8]) -> Self {
        let payload = buffer.bytes().get(HEAD..).unwrap_or_default();
        let (file_meta, data_set) = payload.split_at_checked(file_meta_len).unwrap_or((payload, &[]));
        let head = Head::new(digest, file_meta, data_set.len() as u64, description);
        if buffer.room() < description.len() {
            let needed = buffer.len().saturating_add(description.len());
            let mut larger = Buffer::with_capacity(needed, buffer.pool());
            larger.push(buffer.bytes());
            buffer = larger;
        }
        buffer.push(description);
        buffer.pad();
        Self { buffer, head }
    }

    /// Binds the record to its segment; what is to be written.
    pub(crate) fn seal(&mut self, salt: &Salt) -> &[u8] {
        self.buffer.set_start(&self.head.to_bytes(salt));
        self.buffer.bytes()
    }

    pub(crate) fn len(&self) -> u64 {
        self.buffer.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::log::buffer::Pool;

    fn record(file_meta: &[u8], data_set: &[u8], description: &[u8]) -> Record {
        let mut buffer = Arc::new(Pool::default()).small();
        buffer.push(&[0; HEAD]);
        buffer.push(file_meta);
        buffer.push(data_set);
        Record::complete(buffer, file_meta.len(), XxHash3_128::oneshot(data_set), description)
    }

    #[test]
    fn a_record_is_read_back_and_only_in_its_segment() {
        let mut record = record(b"META", b"data set", b"{}");
        let bytes = record.seal(&[7; 16]).to_vec();
        assert_eq!(bytes.len(), BLOCK);
        let head = Head::read(&bytes, &[7; 16]).unwrap();
        assert_eq!((head.file_meta_len, head.data_set_len, head.description_len), (4, 8, 2));
        assert_eq!(head.record_len(), BLOCK as u64);
        assert!(head.holds(b"META", XxHash3_128::oneshot(b"data set"), b"{}"));
        assert!(!head.holds(b"META", XxHash3_128::oneshot(b"data sets"), b"{}"));
        assert!(!head.holds(b"META", XxHash3_128::oneshot(b"data set"), b"[]"));
        assert_eq!(Head::read(&bytes, &[8; 16]), None);
        for at in 0..HEAD {
            let mut broken = bytes.clone();
            broken[at] ^= 1;
            assert_eq!(Head::read(&broken, &[7; 16]), None, "byte {at}");
        }
    }

    #[test]
    fn a_description_that_does_not_fit_finds_room() {
        let description = vec![b'x'; 100_000];
        let mut record = record(b"META", &[1; 60_000], &description);
        let bytes = record.seal(&[0; 16]);
        assert_eq!(bytes.len() % BLOCK, 0);
        assert_eq!(&bytes[HEAD + 4 + 60_000..][..100_000], description);
    }
}
