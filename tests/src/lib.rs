//! Drives the built binary from outside, with other people's tools as peers. It knows nothing of our crates'
//! insides: it starts processes, reads what they print and what they store.

#![expect(clippy::panic, clippy::print_stdout, reason = "this crate is test code: it fails and skips aloud")]

mod certificates;
mod dcmqrscp;
mod http;
mod node;
mod orthanc;
mod peer;
mod process;

pub use certificates::Authority;
pub use dcmqrscp::Dcmqrscp;
pub use dokuei_testkit::real_files;
pub use node::{Node, dokuei, dokuei_begun, dokuei_ending, dokuei_failing, user_entry};
pub use orthanc::Orthanc;
pub use peer::{Storescp, pydicom, run, tls_tool, tool, validators};
pub use process::{Server, free_port, wait_for};
