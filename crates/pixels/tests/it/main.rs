//! The pixel pipeline from written files to pictures and tensors.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod encode;
mod encodings;
mod hostile;
mod object;
mod real;
mod regressions;
mod speed;
mod transforms;
