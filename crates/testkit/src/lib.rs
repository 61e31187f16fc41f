//! What the tests of several crates share: real files, damaged inputs, a disk that kills its process. It is never a
//! dependency of anything but tests.

#![expect(clippy::print_stdout, reason = "a test that is skipped says so")]

mod deadly_disk;
mod mutated;
mod real_files;
mod seed;

pub use deadly_disk::DeadlyDisk;
pub use mutated::mutated;
pub use real_files::{manifest, real_dicom, real_files};
pub use seed::{Random, Seed, replayed};
