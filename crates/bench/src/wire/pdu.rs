//! PDUs and the PDVs in them (PS3.8 § 9.3), byte positions:
//!
//! ```text
//! 0     PDU type                       6..10  length of the PDV from 10 on
//! 1     reserved                       10     presentation context ID
//! 2..6  length of the rest             11     message control header (§ E.2): 1 command, 2 last fragment
//!                                      12..   fragment
//! ```

use std::io::{self, Read};

use super::{broken, take};

pub(crate) const ASSOCIATE_RQ: u8 = 0x01;
pub(crate) const ASSOCIATE_AC: u8 = 0x02;
pub(crate) const ASSOCIATE_RJ: u8 = 0x03;
pub(crate) const P_DATA_TF: u8 = 0x04;
pub(crate) const RELEASE_RQ: u8 = 0x05;
pub(crate) const RELEASE_RP: u8 = 0x06;
pub(crate) const ABORT: u8 = 0x07;

/// The header of a PDU, and of the one PDV in a P-DATA-TF of ours.
pub(crate) const PDU_HEADER_BYTES: usize = 6;
pub(crate) const PDV_HEADER_BYTES: usize = 6;

/// Message control header: this fragment belongs to a command set; it is the last of its kind.
pub(crate) const COMMAND: u8 = 1;
pub(crate) const LAST: u8 = 2;

/// Appends a PDU around `body`.
pub(crate) fn put(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    out.extend_from_slice(&[kind, 0]);
    out.extend_from_slice(&length(body.len()));
    out.extend_from_slice(body);
}

/// Appends what stands in front of a fragment that has a P-DATA-TF to itself.
pub(crate) fn put_data_header(out: &mut Vec<u8>, context: u8, control: u8, fragment_bytes: usize) {
    out.extend_from_slice(&[P_DATA_TF, 0]);
    out.extend_from_slice(&length(fragment_bytes + PDV_HEADER_BYTES));
    out.extend_from_slice(&length(fragment_bytes + 2));
    out.extend_from_slice(&[context, control]);
}

/// A-RELEASE-RQ and A-RELEASE-RP (PS3.8 § 9.3.6, § 9.3.7).
pub(crate) fn release(kind: u8) -> [u8; 10] {
    [kind, 0, 0, 0, 0, 4, 0, 0, 0, 0]
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes()
}

/// A PDU as it was read.
#[derive(Debug)]
pub(crate) struct Pdu<'a> {
    pub(crate) kind: u8,
    pub(crate) body: &'a [u8],
}

/// One fragment of a message.
#[derive(Debug)]
pub(crate) struct Pdv<'a> {
    pub(crate) context: u8,
    pub(crate) is_command: bool,
    pub(crate) is_last: bool,
    pub(crate) fragment: &'a [u8],
}

impl<'a> Pdu<'a> {
    /// The next PDV of what is left of a P-DATA-TF's body.
    pub(crate) fn next_pdv(&mut self) -> io::Result<Option<Pdv<'a>>> {
        if self.body.is_empty() {
            return Ok(None);
        }
        let length = be32(take(&mut self.body, 4)?);
        let pdv = take(&mut self.body, length)?;
        let [context, control, fragment @ ..] = pdv else { return Err(broken("a PDV without its header")) };
        let (is_command, is_last) = (control & COMMAND != 0, control & LAST != 0);
        Ok(Some(Pdv { context: *context, is_command, is_last, fragment }))
    }
}

fn be32(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |value, byte| value << 8 | usize::from(*byte))
}

/// Reads PDUs through one buffer, as many with a read as there are.
#[derive(Debug)]
pub(crate) struct PduReader<R> {
    stream: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl<R: Read> PduReader<R> {
    /// `capacity_bytes` is also the longest PDU it takes.
    pub(crate) fn new(stream: R, capacity_bytes: usize) -> Self {
        Self { stream, buffer: vec![0; capacity_bytes], start: 0, end: 0 }
    }

    pub(crate) fn stream(&self) -> &R {
        &self.stream
    }

    /// The next PDU; its bytes stay until the one after it is asked for.
    pub(crate) fn next(&mut self) -> io::Result<Pdu<'_>> {
        self.fill(PDU_HEADER_BYTES)?;
        let length = be32(&self.buffer[self.start + 2..self.start + PDU_HEADER_BYTES]);
        let whole = PDU_HEADER_BYTES + length;
        if whole > self.buffer.len() {
            return Err(broken(format!("a PDU of {length} bytes")));
        }
        self.fill(whole)?;
        let pdu = &self.buffer[self.start..self.start + whole];
        self.start += whole;
        Ok(Pdu { kind: pdu[0], body: &pdu[PDU_HEADER_BYTES..] })
    }

    /// Reads until `count` bytes wait at `start`.
    fn fill(&mut self, count: usize) -> io::Result<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.start + count > self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        while self.end - self.start < count {
            match self.stream.read(&mut self.buffer[self.end..])? {
                0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the peer closed the connection")),
                read => self.end += read,
            }
        }
        Ok(())
    }
}
