//! One C-STORE-RQ with its data set as the PDUs that carry it, built once and sent many times.
//!
//! Everything that differs from one instance to the next lies at the front: the message ID and the UIDs. An
//! association has a front of its own and writes its numbers over it; the rest is shared by all, so that sending
//! costs one `writev` and no copy.

use std::io::{self, IoSlice, Write};

use crate::corpus::{Corpus, Level, NUMBER_DIGITS, Object, Pixels, find, uid};
use crate::wire::broken;
use crate::wire::command::c_store_rq;
use crate::wire::pdu::{COMMAND, LAST, PDV_HEADER_BYTES, put_data_header};

/// The front: command set and the attributes before the pixels fit.
const FRONT_BYTES: usize = 8 << 10;

/// Longest PDU sent to a peer that takes longer ones.
const PDU_LENGTH_MAX_BYTES: usize = 1 << 20;

/// A message ID that occurs nowhere else in the command set.
const MESSAGE_ID: u16 = 0xA55A;

/// Longest fragment that fits a PDU of the peer's maximum length (PS3.8 § D.1; 0 is no limit), of even length
/// as § 9.3.5.1 has it.
pub(crate) fn fragment_bytes(pdu_length_max_bytes: u32) -> usize {
    let length = match usize::try_from(pdu_length_max_bytes) {
        Ok(0) | Err(_) => PDU_LENGTH_MAX_BYTES,
        Ok(length) => length.min(PDU_LENGTH_MAX_BYTES),
    };
    length.saturating_sub(PDV_HEADER_BYTES) & !1
}

/// The PDUs of one message, whose numbers are still to be written.
#[derive(Debug)]
pub(crate) struct Frames {
    pub(crate) corpus: Corpus,
    /// Length of the data set.
    pub(crate) object_bytes: usize,
    bytes: Vec<u8>,
    front_bytes: usize,
    message_id_at: usize,
    /// Where the numbers of the UIDs begin.
    numbers_at: Vec<(Level, usize)>,
}

impl Frames {
    /// Cuts an object into fragments of at most `fragment_bytes`, in presentation context 1.
    ///
    /// # Errors
    /// When fragments are so short that a UID would lie in two of them.
    pub(crate) fn new(object: &Object, pixels: &Pixels, fragment_bytes: usize) -> io::Result<Self> {
        let corpus = object.corpus;
        let command = c_store_rq(corpus.sop_class(), &uid(corpus, Level::Instance, 0), MESSAGE_ID);
        if command.len() > fragment_bytes {
            return Err(broken(format!("fragments of {fragment_bytes} bytes do not hold a command set")));
        }
        let mut bytes = Vec::with_capacity(object.len_bytes() + object.len_bytes() / fragment_bytes * 12 + (1 << 10));
        put_data_header(&mut bytes, 1, COMMAND | LAST, command.len());
        bytes.extend_from_slice(&command);
        put_fragments(&mut bytes, object, pixels, fragment_bytes);

        let front_bytes = bytes.len().min(FRONT_BYTES);
        let front = &bytes[..front_bytes];
        let message_id_at = find(front, &MESSAGE_ID.to_le_bytes());
        let message_id_at = *message_id_at.first().ok_or_else(|| broken("no message ID"))?;
        let mut numbers_at = Vec::new();
        for (level, occurrences) in [(Level::Study, 1), (Level::Series, 1), (Level::Instance, 2)] {
            let found = find(front, uid(corpus, level, 0).as_bytes());
            if found.len() != occurrences {
                return Err(broken(format!("fragments of {fragment_bytes} bytes cut a UID in two")));
            }
            let prefix = uid(corpus, level, 0).len() - NUMBER_DIGITS;
            numbers_at.extend(found.into_iter().map(|at| (level, at + prefix)));
        }
        let object_bytes = object.len_bytes();
        Ok(Self { corpus, object_bytes, bytes, front_bytes, message_id_at, numbers_at })
    }

    /// A front of one's own.
    pub(crate) fn front(&self) -> Front<'_> {
        Front { frames: self, bytes: self.bytes[..self.front_bytes].to_vec() }
    }
}

fn put_fragments(out: &mut Vec<u8>, object: &Object, pixels: &Pixels, fragment_bytes: usize) {
    let total = object.len_bytes();
    let mut at = 0;
    while at < total {
        let length = fragment_bytes.min(total - at);
        let control = if at + length == total { LAST } else { 0 };
        put_data_header(out, 1, control, length);
        let from_header = object.header.get(at..).unwrap_or_default();
        let from_header = &from_header[..from_header.len().min(length)];
        out.extend_from_slice(from_header);
        let pixels_at = (at + from_header.len()).saturating_sub(object.header.len());
        pixels.put(out, pixels_at, length - from_header.len());
        at += length;
    }
}

/// What one association sends.
#[derive(Debug)]
pub(crate) struct Front<'a> {
    frames: &'a Frames,
    bytes: Vec<u8>,
}

impl Front<'_> {
    /// Makes it another instance: UIDs by association and sequence.
    pub(crate) fn number(&mut self, association: u64, sequence: u64, message_id: u16) {
        let at = self.frames.message_id_at;
        self.bytes[at..at + 2].copy_from_slice(&message_id.to_le_bytes());
        for (level, at) in &self.frames.numbers_at {
            let number = self.frames.corpus.number(*level, association, sequence);
            put_digits(&mut self.bytes[*at..at + NUMBER_DIGITS], number);
        }
    }

    pub(crate) fn send(&self, stream: &mut impl Write) -> io::Result<()> {
        let mut parts = [IoSlice::new(&self.bytes), IoSlice::new(&self.frames.bytes[self.bytes.len()..])];
        let mut left = &mut parts[..];
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            match stream.write_vectored(left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut left, written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn put_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b"0123456789"[usize::try_from(number % 10).unwrap_or_default()];
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use dicom_dictionary_std::{tags, uids};
    use dokuei_dataset::{Limits, read_header};

    use super::*;
    use crate::wire::command::Command;
    use crate::wire::pdu::PduReader;

    /// What arrives: the command set and the data set, put together again, and the longest PDU.
    fn received(corpus: Corpus, fragment_bytes: usize, sequence: u64) -> (Vec<u8>, Vec<u8>, usize) {
        let frames = Frames::new(&corpus.object(), &Pixels::new(), fragment_bytes).unwrap();
        let mut front = frames.front();
        front.number(7, sequence, 3);
        let mut sent = Vec::new();
        front.send(&mut sent).unwrap();
        let mut reader = PduReader::new(&sent[..], 2 << 20);
        let (mut command, mut data_set, mut longest) = (Vec::new(), Vec::new(), 0);
        while let Ok(mut pdu) = reader.next() {
            longest = longest.max(pdu.body.len());
            while let Some(pdv) = pdu.next_pdv().unwrap() {
                let message = if pdv.is_command { &mut command } else { &mut data_set };
                message.extend_from_slice(pdv.fragment);
            }
        }
        (command, data_set, longest)
    }

    fn check(corpus: Corpus, pdu_length_max_bytes: u32) {
        let (command, data_set, longest) = received(corpus, fragment_bytes(pdu_length_max_bytes), 205);
        let instance = uid(corpus, Level::Instance, corpus.number(Level::Instance, 7, 205));
        let command = Command::parse(&command).unwrap();
        assert_eq!((command.message_id, command.sop_instance), (3, instance.as_str()));
        assert!(pdu_length_max_bytes == 0 || longest <= usize::try_from(pdu_length_max_bytes).unwrap());
        assert_eq!(data_set.len(), corpus.object().len_bytes());
        let header = read_header(&data_set, 0, uids::EXPLICIT_VR_LITTLE_ENDIAN, &Limits::default()).unwrap();
        let text = |tag| header.dataset.text(tag).unwrap();
        assert_eq!(text(tags::SOP_INSTANCE_UID), instance);
        for (tag, level) in [(tags::STUDY_INSTANCE_UID, Level::Study), (tags::SERIES_INSTANCE_UID, Level::Series)] {
            assert_eq!(text(tag), uid(corpus, level, corpus.number(level, 7, 205)));
        }
    }

    #[test]
    fn instances_arrive_whole_and_with_their_own_uids() {
        check(Corpus::Ct, 16384);
        check(Corpus::Ct, 16383);
        check(Corpus::Sr, 131_072);
        check(Corpus::Ct, 0);
    }

    #[test]
    fn pixels_are_the_same_wherever_they_are_cut() {
        let (_, short, _) = received(Corpus::Ct, fragment_bytes(16384), 1);
        let (_, long, _) = received(Corpus::Ct, fragment_bytes(0), 1);
        assert!(short == long);
    }

    #[test]
    fn fragments_too_short_for_a_uid_are_refused() {
        assert!(Frames::new(&Corpus::Ct.object(), &Pixels::new(), 60).is_err());
    }
}
