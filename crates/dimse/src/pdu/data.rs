//! Writing P-DATA-TF (PS3.8 § 9.3.5): how long our PDUs may be, and the headers before a fragment.

use super::PDU_HEADER;

/// Bytes of a PDU's length that are not the fragment: item length, context ID, control header.
pub const PDV_OVERHEAD: usize = 6;
/// The longest P-DATA-TF we write, in bytes of its length field, whatever the peer allows.
const LONGEST: u32 = 128 * 1024;
/// The shortest limit of a peer that leaves room for a fragment of even length.
const SHORTEST: u32 = 8;

/// A peer's maximum length that leaves no room for a single byte pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the peer accepts PDUs of at most {announced} bytes, and {SHORTEST} are needed to send anything")]
pub struct PduSizeError {
    /// What the peer announced.
    pub announced: u32,
}

/// The longest fragment that may be sent to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendLimit {
    fragment: usize,
}

impl SendLimit {
    /// From the peer's Maximum Length (PS3.8 § D.1): 0 means no limit, odd ones are rounded down so
    /// that fragments are even (PS3.8 § 9.3.5.1), and none is taken beyond 128 KiB.
    ///
    /// # Errors
    /// [`PduSizeError`] for 1 to 7, which no fragment fits.
    pub fn of_peer(maximum_length: u32) -> Result<Self, PduSizeError> {
        let length = if maximum_length == 0 { LONGEST } else { maximum_length.min(LONGEST) } & !1;
        if length < SHORTEST {
            return Err(PduSizeError { announced: maximum_length });
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        Ok(Self { fragment: length.saturating_sub(PDV_OVERHEAD) })
    }

    /// Bytes a fragment may have: even, at least 2.
    #[must_use]
    pub fn fragment(self) -> usize {
        self.fragment
    }
}

/// The twelve bytes before the only fragment of a P-DATA-TF.
pub(crate) fn headers(context: u8, is_command: bool, is_last: bool, fragment: usize) -> [u8; 12] {
    let fragment = u32::try_from(fragment).unwrap_or(u32::MAX);
    let [p0, p1, p2, p3] = fragment.saturating_add(6).to_be_bytes();
    let [i0, i1, i2, i3] = fragment.saturating_add(2).to_be_bytes();
    let control = u8::from(is_command) | (u8::from(is_last) << 1);
    [4, 0, p0, p1, p2, p3, i0, i1, i2, i3, context, control]
}

/// Appends `set` to `out` as one or more P-DATA-TF of one fragment each, the last of them marked last.
pub fn write_fragments(out: &mut Vec<u8>, context: u8, is_command: bool, set: &[u8], limit: SendLimit) {
    let mut rest = set;
    out.reserve(set.len().saturating_add(PDU_HEADER).saturating_add(PDV_OVERHEAD));
    loop {
        let (fragment, after) = rest.split_at_checked(limit.fragment()).unwrap_or((rest, &[]));
        out.extend_from_slice(&headers(context, is_command, after.is_empty(), fragment.len()));
        out.extend_from_slice(fragment);
        if after.is_empty() {
            return;
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_maximum_length_gives_an_even_bounded_fragment_or_none() {
        for (announced, fragment) in [
            (0, Some(131_066)),
            (u32::MAX, Some(131_066)),
            (16_384, Some(16_378)),
            (16_385, Some(16_378)),
            (14, Some(8)),
            (9, Some(2)),
            (8, Some(2)),
            (7, None),
            (1, None),
        ] {
            assert_eq!(SendLimit::of_peer(announced).ok().map(SendLimit::fragment), fragment, "{announced}");
        }
    }

    #[test]
    fn fragments_end_with_one_marked_last() {
        let mut out = Vec::new();
        write_fragments(&mut out, 5, true, b"abc", SendLimit::of_peer(8).unwrap());
        assert_eq!(out, [4, 0, 0, 0, 0, 8, 0, 0, 0, 4, 5, 1, b'a', b'b', 4, 0, 0, 0, 0, 7, 0, 0, 0, 3, 5, 3, b'c']);
        out.clear();
        write_fragments(&mut out, 5, false, b"", SendLimit::of_peer(0).unwrap());
        assert_eq!(out, [4, 0, 0, 0, 0, 6, 0, 0, 0, 2, 5, 2]);
    }
}
