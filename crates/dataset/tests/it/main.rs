//! The reader against the writer, against another reader, and against hostile bytes.
// The attribute tells clippy that helpers are test code too.

mod hostile;
#[cfg(test)]
mod property;
mod real_files;
mod round_trip;
#[cfg(test)]
mod scan;

/// Retired from the dictionary, not from the world.
const EXPLICIT_VR_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
