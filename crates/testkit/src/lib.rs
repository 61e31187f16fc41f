//! What the tests of several crates share: real files, damaged inputs, names in every character set, a disk that
//! kills its process. It is never a dependency of anything but tests.

#![expect(clippy::print_stdout, reason = "a test that is skipped says so")]

mod deadly_disk;
mod generated;
mod mutated;
mod names;
mod real_files;
mod seed;

pub use deadly_disk::DeadlyDisk;
pub use generated::check_generated;
pub use mutated::mutated;
pub use names::{PERSON_NAMES, PersonName};
pub use real_files::{manifest, real_dicom, real_files};
pub use seed::{Random, Seed, replayed};
