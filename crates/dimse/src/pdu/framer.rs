//! Cuts the bytes of an established association into fragments of messages, without copying them and
//! without collecting a PDU.
//!
//! P-DATA-TF (PS3.8 § 9.3.5), byte positions within the PDU:
//!
//! ```text
//!  0      type, 04                     6      first item: length of what follows, 4 bytes
//!  1      reserved                    10      presentation context ID
//!  2..6   length of the rest          11      message control header (PS3.8 § E.2):
//!                                             bit 0 command (else data set), bit 1 last fragment
//!                                     12..    the fragment; then the next item
//! ```
//!
//! Invariants: memory is the one buffer its owner has given it, whatever lengths a peer claims; a fragment is handed
//! on as soon as some of it is there; lengths are checked before a byte behind them is believed.

use super::{PduKind, ProtocolError};

/// Bytes before a fragment inside its PDU: item length, context ID, message control header.
const ITEM_HEADER: u32 = 6;
/// Length of the body of A-RELEASE-RQ, A-RELEASE-RP and A-ABORT.
const CONTROL_BODY: u32 = 4;

/// A piece of a presentation data value, as much of it as has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// Presentation context ID, unchecked.
    pub context: u8,
    /// Of a command, else of a data set.
    pub is_command: bool,
    /// The command or data set ends with these bytes.
    pub ends_set: bool,
    /// The presentation data value ends with these bytes.
    pub ends_value: bool,
    /// The bytes; may be empty.
    pub bytes: &'a [u8],
}

/// What the next bytes of an association are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// Part of a message.
    Fragment(Fragment<'a>),
    /// A-RELEASE-RQ, A-RELEASE-RP or A-ABORT with its four bytes.
    Control {
        /// Which of the three.
        kind: PduKind,
        /// The bytes after the header.
        body: [u8; 4],
    },
    /// A PDU that establishes associations and so never belongs here; its body is not read, and the
    /// same event comes again.
    Foreign(PduKind),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before the header of a PDU.
    Pdu,
    /// Before the header of an item, with this much of the PDU left.
    Item { pdu_left: u32 },
    /// Inside a fragment.
    Value { context: u8, control: u8, left: u32, pdu_left: u32 },
}

/// Reads the PDUs of one direction of an association. Sans I/O: bytes go in through [`Framer::space`]
/// and [`Framer::filled`], events come out of [`Framer::next`].
#[derive(Debug)]
pub struct Framer {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    at: At,
    pdu_length: u32,
}

impl Framer {
    /// A framer that refuses P-DATA-TF with a length field above `pdu_length` and holds `capacity`
    /// bytes (16 at least).
    #[must_use]
    pub fn new(pdu_length: u32, capacity: usize) -> Self {
        Self { buffer: vec![0; capacity.max(16)], start: 0, end: 0, at: At::Pdu, pdu_length }
    }

    /// Goes on in `buffer` with what waits, and gives back the one before; or `buffer`, where that does not fit in it.
    pub fn swap(&mut self, mut buffer: Vec<u8>) -> Vec<u8> {
        let waiting = self.buffer.get(self.start..self.end).unwrap_or_default();
        let Some(space) = buffer.get_mut(..waiting.len()) else { return buffer };
        space.copy_from_slice(waiting);
        self.end = waiting.len();
        self.start = 0;
        std::mem::replace(&mut self.buffer, buffer)
    }

    /// Bytes the buffer holds.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.buffer.len()
    }

    /// Bytes that wait for [`Framer::next`].
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// Whether nothing of a further PDU has arrived yet.
    #[must_use]
    pub fn is_between_pdus(&self) -> bool {
        self.at == At::Pdu && self.buffered() == 0
    }

    /// Where to read the next bytes into; empty only when [`Framer::next`] has events to give.
    pub fn space(&mut self) -> &mut [u8] {
        if self.start > 0 {
            // Never more than a header stays behind once `next` has returned `None`.
            self.buffer.copy_within(self.start..self.end, 0);
            self.end = self.buffered();
            self.start = 0;
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// Says that the first `count` bytes of [`Framer::space`] now hold what arrived.
    pub fn filled(&mut self, count: usize) {
        self.end = self.end.saturating_add(count).min(self.buffer.len());
    }

    /// The next event; `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`ProtocolError`] when the bytes break PS3.8; the association cannot go on after that.
    #[expect(clippy::should_implement_trait, reason = "lends from itself, which an iterator cannot")]
    pub fn next(&mut self) -> Result<Option<Event<'_>>, ProtocolError> {
        loop {
            match self.at {
                At::Pdu => {
                    let Some([kind, _, length @ ..]) = self.peek::<6>() else { return Ok(None) };
                    let length = u32::from_be_bytes(length);
                    match PduKind::of(kind).ok_or(ProtocolError::UnrecognizedPdu(kind))? {
                        PduKind::Data => self.begin_data(length)?,
                        kind @ (PduKind::ReleaseRequest | PduKind::ReleaseResponse | PduKind::Abort) => {
                            return self.control(kind, length);
                        }
                        kind @ (PduKind::AssociateRequest | PduKind::AssociateAccept | PduKind::AssociateReject) => {
                            return Ok(Some(Event::Foreign(kind)));
                        }
                    }
                }
                At::Item { pdu_left: 0 } => self.at = At::Pdu,
                At::Item { pdu_left } => {
                    if !self.begin_value(pdu_left)? {
                        return Ok(None);
                    }
                    // An empty value is an event of its own, or a last fragment could be missed.
                    if let At::Value { left: 0, .. } = self.at {
                        return Ok(Some(self.fragment()));
                    }
                }
                At::Value { .. } if self.buffered() == 0 => return Ok(None),
                At::Value { .. } => return Ok(Some(self.fragment())),
            }
        }
    }

    fn begin_data(&mut self, length: u32) -> Result<(), ProtocolError> {
        if length > self.pdu_length {
            return Err(ProtocolError::PduLength { kind: PduKind::Data, length, limit: self.pdu_length });
        }
        self.consume(super::PDU_HEADER);
        self.at = At::Item { pdu_left: length };
        Ok(())
    }

    fn begin_value(&mut self, pdu_left: u32) -> Result<bool, ProtocolError> {
        let Some(after_header) = pdu_left.checked_sub(ITEM_HEADER) else {
            return Err(ProtocolError::PdvLength { length: pdu_left, left: pdu_left });
        };
        let Some([a, b, c, d, context, control]) = self.peek::<6>() else { return Ok(false) };
        let length = u32::from_be_bytes([a, b, c, d]);
        // The length counts the context ID and the control header, which are behind us already.
        let bounds = length.checked_sub(2).and_then(|left| Some((left, after_header.checked_sub(left)?)));
        let Some((left, pdu_left)) = bounds else {
            return Err(ProtocolError::PdvLength { length, left: pdu_left.saturating_sub(4) });
        };
        self.consume(6);
        self.at = At::Value { context, control, left, pdu_left };
        Ok(true)
    }

    fn fragment(&mut self) -> Event<'_> {
        let At::Value { context, control, left, pdu_left } = self.at else {
            return Event::Fragment(Fragment {
                context: 0,
                is_command: false,
                ends_set: false,
                ends_value: false,
                bytes: &[],
            });
        };
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffered());
        let left = left.saturating_sub(u32::try_from(taken).unwrap_or(u32::MAX));
        let ends_value = left == 0;
        self.at = if ends_value { At::Item { pdu_left } } else { At::Value { context, control, left, pdu_left } };
        let start = self.start;
        self.consume(taken);
        Event::Fragment(Fragment {
            context,
            is_command: control & 1 != 0,
            ends_set: control & 2 != 0 && ends_value,
            ends_value,
            bytes: self.buffer.get(start..self.start).unwrap_or_default(),
        })
    }

    fn control(&mut self, kind: PduKind, length: u32) -> Result<Option<Event<'_>>, ProtocolError> {
        if length != CONTROL_BODY {
            return Err(ProtocolError::PduLength { kind, length, limit: CONTROL_BODY });
        }
        let Some([_, _, _, _, _, _, body @ ..]) = self.peek::<10>() else { return Ok(None) };
        self.consume(10);
        Ok(Some(Event::Control { kind, body }))
    }

    fn peek<const N: usize>(&self) -> Option<[u8; N]> {
        self.buffer.get(self.start..self.end)?.first_chunk().copied()
    }

    fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(framer: &mut Framer, bytes: &[u8]) {
        let space = framer.space();
        space[..bytes.len()].copy_from_slice(bytes);
        framer.filled(bytes.len());
    }

    fn check(bytes: &[u8], expected: Result<Option<Event<'_>>, ProtocolError>) {
        let mut framer = Framer::new(64, 256);
        feed(&mut framer, bytes);
        assert_eq!(framer.next(), expected, "{bytes:02X?}");
    }

    #[test]
    fn lengths_that_lie_are_refused_before_anything_is_read() {
        let too_long = ProtocolError::PduLength { kind: PduKind::Data, length: 65, limit: 64 };
        check(&[4, 0, 0, 0, 0, 65], Err(too_long));
        check(&[4, 0, 0, 0, 0, 5], Err(ProtocolError::PdvLength { length: 5, left: 5 }));
        check(&[4, 0, 0, 0, 0, 8, 0, 0, 0, 5, 1, 3], Err(ProtocolError::PdvLength { length: 5, left: 4 }));
        check(&[4, 0, 0, 0, 0, 8, 0, 0, 0, 1, 1, 3], Err(ProtocolError::PdvLength { length: 1, left: 4 }));
        check(
            &[4, 0, 0, 0, 0, 8, 0xFF, 0xFF, 0xFF, 0xFF, 1, 3],
            Err(ProtocolError::PdvLength { length: u32::MAX, left: 4 }),
        );
        check(
            &[5, 0, 0, 0, 0, 5],
            Err(ProtocolError::PduLength { kind: PduKind::ReleaseRequest, length: 5, limit: 4 }),
        );
        check(&[9, 0, 0, 0, 0, 5], Err(ProtocolError::UnrecognizedPdu(9)));
        check(&[1, 0, 0xFF, 0xFF, 0xFF, 0xFF], Ok(Some(Event::Foreign(PduKind::AssociateRequest))));
    }

    #[test]
    fn empty_values_are_events() {
        let mut framer = Framer::new(64, 256);
        feed(&mut framer, &[4, 0, 0, 0, 0, 12, 0, 0, 0, 2, 1, 0, 0, 0, 0, 2, 1, 2]);
        let empty = Fragment { context: 1, is_command: false, ends_set: false, ends_value: true, bytes: &[] };
        assert_eq!(framer.next(), Ok(Some(Event::Fragment(empty))));
        assert_eq!(framer.next(), Ok(Some(Event::Fragment(Fragment { ends_set: true, ..empty }))));
        assert_eq!(framer.next(), Ok(None));
        assert!(framer.is_between_pdus());
    }

    #[test]
    fn what_waits_moves_to_another_buffer() {
        let mut framer = Framer::new(u32::MAX, 16);
        assert_eq!(framer.swap(vec![0; 4096]).len(), 16);
        feed(&mut framer, &[4, 0, 0, 0, 0, 9, 0, 0, 0, 5, 3, 3, b'a', b'b', b'c', 7, 0, 0, 0, 0]);
        assert_eq!(framer.swap(vec![9; 16]), [9; 16], "more waits than would fit");
        assert!(framer.next().unwrap().is_some());
        assert_eq!(framer.swap(vec![9; 5]).len(), 4096);
        assert_eq!((framer.capacity(), framer.buffered()), (5, 5));
        assert_eq!(framer.next(), Ok(None));
        framer.swap(vec![9; 16]);
        feed(&mut framer, &[4, 0, 0, 2, 0]);
        assert_eq!(framer.next(), Ok(Some(Event::Control { kind: PduKind::Abort, body: [0, 0, 2, 0] })));
    }

    #[test]
    fn a_fragment_comes_as_its_bytes_come() {
        let mut framer = Framer::new(64, 256);
        feed(&mut framer, &[4, 0, 0, 0, 0, 9, 0, 0, 0, 5, 3, 3, b'a']);
        let first = Fragment { context: 3, is_command: true, ends_set: false, ends_value: false, bytes: b"a" };
        assert_eq!(framer.next(), Ok(Some(Event::Fragment(first))));
        assert_eq!(framer.next(), Ok(None));
        feed(&mut framer, b"bc");
        let rest = Fragment { ends_set: true, ends_value: true, bytes: b"bc", ..first };
        assert_eq!(framer.next(), Ok(Some(Event::Fragment(rest))));
    }
}
