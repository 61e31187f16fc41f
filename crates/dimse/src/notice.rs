use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

use dokuei_types::{AeTitle, Uid};

/// Something that takes its time.
pub type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a message of a normalized service says, and who sends it: an N-ACTION, N-EVENT-REPORT, N-CREATE or N-SET.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// AE title of the peer.
    pub calling_ae: AeTitle,
    /// The AE title it called.
    pub called_ae: AeTitle,
    /// Its address.
    pub peer: SocketAddr,
    /// Affected or Requested SOP Class UID, the abstract syntax of the context.
    pub sop_class: Uid,
    /// Affected or Requested SOP Instance UID; `None` where an N-CREATE leaves it to us.
    pub sop_instance: Option<Uid>,
    /// The data set.
    pub information: Vec<u8>,
    /// Its transfer syntax: implicit or explicit VR little endian.
    pub transfer_syntax: Uid,
}
