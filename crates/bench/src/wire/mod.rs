//! As much of the upper layer (PS3.8) and of DIMSE-C (PS3.7) as one storage sender and one receiver need.
//!
//! It shares no code with `dokuei-dimse`: a ruler is not made of what it measures.

pub(crate) mod associate;
pub(crate) mod command;
pub(crate) mod pdu;

use std::io;

pub(crate) fn broken(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

/// Splits `bytes` at `count`, when it has as many.
fn take<'a>(bytes: &mut &'a [u8], count: usize) -> io::Result<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count).ok_or_else(|| broken("an item ends beyond its container"))?;
    *bytes = rest;
    Ok(taken)
}

/// A UID or name without what pads it.
fn text(bytes: &[u8]) -> io::Result<&str> {
    let text = std::str::from_utf8(bytes).map_err(|_| broken("a UID that is not ASCII"))?;
    Ok(text.trim_matches(['\0', ' ']))
}
