//! The DIMSE listener (SCP) and sender (SCU): associations, PDV framing, C-ECHO, C-STORE, storage commitment, procedure steps, query and retrieve; never files, studies or models.
//!
//! | module | is | sections |
//! |---|---|---|
//! | [`pdu`] | protocol data units: framing, association PDUs, refusals | PS3.8 § 9.3 |
//! | [`state`] | the upper layer state machine as a table | PS3.8 § 9.2 |
//! | [`message`] | command sets, messages, requests and responses; no sockets | PS3.7 § 6.3, § 9.3, Annexes C and E |
//! | [`sop_class`] | what can be stored | PS3.4 Annex B, PS3.6 Annex A |
//! | [`serve`] | the listener: negotiation, admission, one task for each association | PS3.7 Annex D |
//! | [`CommitmentService`] | who commits to keep instances | PS3.4 Annex J |
//! | [`ProcedureService`] | who hears how procedures go | PS3.4 Annexes F and R |
//! | [`Association`] | the sender | PS3.7 § 9.1.1, § 9.1.5, § 10.1.1 |
//! | [`Query`], [`Retrieval`] | C-FIND, C-MOVE, C-GET | PS3.4 Annex C, PS3.7 § 9.1.2 to § 9.1.4 |
//! | [`ServerTls`], [`ClientTls`] | TLS below both | PS3.15 § B.12 |
//!
//! What always holds:
//! - success is answered to C-STORE only with a `Committed` of the storage in hand ([`IncomingInstance`]);
//! - every C-STORE that can be answered is, and the association goes on; A-ABORT answers breaches of the
//!   protocol, silence, and shutdown;
//! - memory depends on limits of ours, never on a length a peer claims;
//! - nothing of a data set is logged: it is never looked at.
//!
//! Both sides set TCP_NODELAY, write each PDU at once, and set TCP_QUICKACK around reads, which spares
//! peers with Nagle's algorithm on a stall of 40 ms for each of theirs.

#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

mod acceptor;
mod commitment;
mod config;
mod counters;
pub mod message;
mod notice;
pub mod pdu;
mod procedure;
mod reception;
mod sender;
mod service;
pub mod sop_class;
pub mod state;
mod tls;
mod wire;

pub use acceptor::{AcceptedContext, Listeners, Negotiated, negotiate, serve};
pub use commitment::{
    ALL_COMMITTED, COMMITMENT_INSTANCE, CommitmentResult, CommitmentService, Information, REQUEST_COMMITMENT,
    SOME_FAILED, Ticket,
};
pub use config::{
    AcceptPolicy, AssociationObserver, Happened, Implementation, Limits, ListenerConfig, Observed, Peer,
    RequestorConfig, Timeouts, TransferSyntaxChoice, Users,
};
pub use counters::{CounterSnapshot, Counters};
pub use message::Refusal;
pub use notice::{Notice, Pending};
pub use pdu::{Abort, ProtocolError, Rejection};
pub use procedure::ProcedureService;
pub use sender::{
    AssociateError, Association, CONTEXTS_MAX, CommitmentReport, ContextPlan, EchoError, EchoReport, Examination,
    Fault, PeerInfo, ProposedContext, Query, QueryResponse, Receive, Received, Retrieval, SendError, Speaks, Steps,
    StoreItem, StoreOutcome, echo, examine, plan_contexts,
};
pub use service::{IncomingInstance, MoveOriginator, StorageService, StoreRequest};
pub use tls::{
    CertificateFault, CertificateInfo, Certificates, ClientCertificates, ClientTls, PemError, PrivateKey, ServerTls,
    TlsError, TlsInfo, TlsSetupError, TlsVersion,
};
pub use wire::{Transport, bind};
