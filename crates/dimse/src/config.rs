//! What a listener and a sender are told. The node reads it from its file; here it is already checked.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use dokuei_types::{AeTitle, Uid};
use ipnet::IpNet;

use crate::commitment::CommitmentService;
use crate::procedure::ProcedureService;
use crate::tls::{ClientTls, ServerTls};

/// How this product names itself in A-ASSOCIATE (PS3.7 § D.3.3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Implementation {
    /// Implementation Class UID.
    pub class_uid: Uid,
    /// Implementation Version Name, at most 16 characters.
    pub version_name: String,
}

/// Everything the listener may be told. Changing it takes effect for associations that begin later.
#[derive(Debug, Clone)]
pub struct ListenerConfig {
    /// The AE title we answer to.
    pub ae_title: AeTitle,
    /// Who may associate.
    pub accept: AcceptPolicy,
    /// Only these users may associate; `None` where identities are neither looked at nor answered.
    pub users: Option<Arc<dyn Users>>,
    /// Also accept private SOP classes, and storage classes newer than our dictionary.
    pub store_private_sop_classes: bool,
    /// Also accept private transfer syntaxes; their data sets are kept as they come.
    pub store_private_transfer_syntaxes: bool,
    /// Which of the proposed transfer syntaxes is chosen.
    pub transfer_syntaxes: TransferSyntaxChoice,
    /// Limits.
    pub limits: Limits,
    /// Timers.
    pub timeouts: Timeouts,
    /// Our name.
    pub implementation: Implementation,
    /// What the TLS port works with; without it that port answers nobody.
    pub tls: Option<ServerTls>,
    /// Told of associations as they come and go.
    pub observer: Option<Arc<dyn AssociationObserver>>,
    /// Answers requests for storage commitment; without it their contexts are refused.
    pub commitment: Option<Arc<dyn CommitmentService>>,
    /// Hears of performed procedure steps and available instances; likewise.
    pub procedures: Option<Arc<dyn ProcedureService>>,
}

impl ListenerConfig {
    /// Defaults: any peer, standard SOP classes and transfer syntaxes, the peer's order.
    #[must_use]
    pub fn new(ae_title: AeTitle, implementation: Implementation) -> Self {
        Self {
            ae_title,
            accept: AcceptPolicy::Any,
            users: None,
            store_private_sop_classes: false,
            store_private_transfer_syntaxes: false,
            transfer_syntaxes: TransferSyntaxChoice::PeerOrder,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            implementation,
            tls: None,
            observer: None,
            commitment: None,
            procedures: None,
        }
    }
}

/// Hears of associations, for an audit trail. Must not block: the association waits for it.
pub trait AssociationObserver: fmt::Debug + Send + Sync {
    /// Something has happened to an association.
    fn observe(&self, association: &Observed<'_>);
}

/// What happened to which association.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observed<'a> {
    /// Number of the connection since the listener began, from 1.
    pub association: u64,
    /// Address of the peer.
    pub peer: SocketAddr,
    /// Calling AE title, as the peer gives it.
    pub calling_ae: &'a str,
    /// Called AE title, as the peer gives it.
    pub called_ae: &'a str,
    /// What happened.
    pub what: Happened<'a>,
}

/// What happened to an association.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened<'a> {
    /// It was accepted.
    Opened,
    /// It was rejected, for this reason.
    Refused(&'a str),
    /// It is over, however it ended.
    Closed,
}

/// Knows the users that may associate (PS3.7 § D.3.3.7).
pub trait Users: fmt::Debug + Send + Sync {
    /// Whether there is a user of this name, with this passcode where the peer gives one. May take its time, as
    /// the check of a passcode should.
    fn recognizes(&self, name: &str, passcode: Option<&[u8]>) -> bool;

    /// Whether that takes no time for these. Of those for which it does one is checked at a time, and each peer has one turn.
    fn is_quick(&self, name: &str, passcode: &[u8]) -> bool;
}

/// Who may associate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AcceptPolicy {
    /// Everyone.
    Any,
    /// Only these.
    Listed(Vec<Peer>),
}

impl AcceptPolicy {
    /// Whether `calling_ae` may associate from `address`.
    #[must_use]
    pub fn allows(&self, calling_ae: &AeTitle, address: IpAddr) -> bool {
        let Self::Listed(peers) = self else { return true };
        peers
            .iter()
            .any(|peer| peer.ae_title == *calling_ae && peer.network.is_none_or(|network| network.contains(&address)))
    }
}

/// A peer that may associate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its AE title.
    pub ae_title: AeTitle,
    /// Where it may come from; anywhere when absent.
    pub network: Option<IpNet>,
}

/// Which of the transfer syntaxes proposed for a context is chosen among those we can store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferSyntaxChoice {
    /// The first proposed: the peer's own preference, and mostly what its objects are in already.
    PeerOrder,
    /// The first of this list that is proposed; the peer's order for all others.
    Prefer(Vec<Uid>),
}

/// Limits of the listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Associations at a time.
    pub associations: usize,
    /// Associations at a time from one IP address.
    pub associations_per_peer: usize,
    /// Connections that have not associated yet; beyond it the oldest gives way.
    pub half_open: usize,
    /// Length of an A-ASSOCIATE-RQ, in bytes.
    pub associate_request_bytes: u32,
    /// Length of a P-DATA-TF we receive, in bytes, told to the peer; 0 means no limit, and costs no
    /// memory, since PDUs are not collected.
    pub pdu_length: u32,
    /// Operations of one association that wait for their responses at a time, where a peer asks for more than
    /// one (PS3.7 § D.3.3.3); 1 switches that off.
    pub operations_window: u16,
    /// Length of a command set, in bytes.
    pub command_set_bytes: usize,
    /// Length of the data set of an N-ACTION, N-EVENT-REPORT, N-CREATE or N-SET, in bytes: it is held in memory. An
    /// instance takes about 150 bytes.
    pub information_bytes: usize,
    /// Size of a data set, in bytes.
    pub instance_size: u64,
    /// Bytes a second below which a message in progress is given up, measured over
    /// [`Timeouts::within_message`]; 0 switches it off.
    pub bytes_per_second_min: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            associations: 64,
            associations_per_peer: 64,
            half_open: 1024,
            associate_request_bytes: 1024 * 1024,
            pdu_length: 128 * 1024,
            operations_window: 16,
            command_set_bytes: 64 * 1024,
            information_bytes: 4 * 1024 * 1024,
            instance_size: 4 * 1024 * 1024 * 1024,
            bytes_per_second_min: 256,
        }
    }
}

/// Timers of the listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// ARTIM (PS3.8 § 9.1.5): from the connection to the whole A-ASSOCIATE-RQ, TLS handshake included.
    pub artim: Duration,
    /// Silence between messages.
    pub between_messages: Duration,
    /// Silence within a message, and of a peer that does not take our bytes.
    pub within_message: Duration,
    /// For the storage to make an instance durable.
    pub commit: Duration,
    /// For the peer to close the connection after the last PDU.
    pub closing: Duration,
    /// From the order to shut down until what is still in progress is broken off.
    pub drain: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            artim: Duration::from_secs(30),
            between_messages: Duration::from_secs(600),
            within_message: Duration::from_secs(60),
            commit: Duration::from_secs(60),
            closing: Duration::from_secs(5),
            drain: Duration::from_secs(30),
        }
    }
}

/// Everything a sender is told about one peer.
#[derive(Debug, Clone)]
pub struct RequestorConfig {
    /// `host:port`; names are resolved at each connection.
    pub address: String,
    /// Who is called.
    pub called_ae: AeTitle,
    /// Who calls.
    pub calling_ae: AeTitle,
    /// Our name.
    pub implementation: Implementation,
    /// Length of a P-DATA-TF we receive, in bytes, told to the peer; 0 means no limit, and costs no
    /// memory, since PDUs are not collected.
    pub pdu_length: u32,
    /// SOP classes for which we are the provider of an association that we request (PS3.7 § D.3.3.4).
    pub provides: Vec<Uid>,
    /// Speaks TLS with the peer.
    pub tls: Option<ClientTls>,
    /// For the connection, name resolution and TLS handshake included.
    pub connect_timeout: Duration,
    /// For the answer to the association request.
    pub associate_timeout: Duration,
    /// For the response to a request, counted from its last byte.
    pub response_timeout: Duration,
    /// For the peer to take more bytes.
    pub idle_timeout: Duration,
    /// For the answer to the release, and the end of the connection.
    pub release_timeout: Duration,
}

impl RequestorConfig {
    /// Defaults for this peer.
    #[must_use]
    pub fn new(
        address: impl Into<String>,
        called_ae: AeTitle,
        calling_ae: AeTitle,
        implementation: Implementation,
    ) -> Self {
        Self {
            address: address.into(),
            called_ae,
            calling_ae,
            implementation,
            pdu_length: 128 * 1024,
            provides: Vec::new(),
            tls: None,
            connect_timeout: Duration::from_secs(10),
            associate_timeout: Duration::from_secs(30),
            response_timeout: Duration::from_secs(120),
            idle_timeout: Duration::from_secs(60),
            release_timeout: Duration::from_secs(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_peer_needs_title_and_network() {
        let title = |text| AeTitle::new(text).unwrap();
        let policy = AcceptPolicy::Listed(vec![
            Peer { ae_title: title("CR_ROOM_1"), network: Some("10.0.1.0/24".parse().unwrap()) },
            Peer { ae_title: title("ROVING"), network: None },
        ]);
        for (ae, address, allowed) in [
            ("CR_ROOM_1", "10.0.1.9", true),
            ("CR_ROOM_1", "10.0.2.9", false),
            ("CR_ROOM_2", "10.0.1.9", false),
            ("ROVING", "2001:db8::1", true),
        ] {
            assert_eq!(policy.allows(&title(ae), address.parse().unwrap()), allowed, "{ae} {address}");
        }
    }
}
