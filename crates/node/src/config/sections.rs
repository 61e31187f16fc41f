use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use dokuei_inference::FindingOverride;
use dokuei_pipeline::{Hours, Matching, RouteConfig};
use dokuei_store::{Durability, FreeSpace, VersionPolicy};
use dokuei_types::{AeTitle, ByteRate, ByteSize, Interval};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::results::Results;
use super::tls::{DestinationTls, Tls};
use crate::audit;
use crate::users::PasscodeHash;

/// The whole file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) node: Node,
    pub(crate) http: Http,
    pub(crate) results: Results,
    pub(crate) limits: Limits,
    pub(crate) retention: Retention,
    pub(crate) rules: Rules,
    pub(crate) audit: audit::Config,
    pub(crate) tls: Option<Spanned<Tls>>,
    #[serde(rename = "peer")]
    pub(crate) peers: Vec<Spanned<Peer>>,
    #[serde(rename = "user")]
    pub(crate) users: Vec<Spanned<User>>,
    #[serde(rename = "destination")]
    pub(crate) destinations: Vec<Spanned<Destination>>,
    #[serde(rename = "model")]
    pub(crate) models: Vec<Spanned<Model>>,
    #[serde(rename = "route")]
    pub(crate) routes: Vec<Spanned<RouteConfig>>,
}

/// `[node]`: who this node is and where it keeps things.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Node {
    /// AE title that senders call.
    pub(crate) ae_title: AeTitle,
    /// Address and port to listen on for DICOM.
    pub(crate) listen: SocketAddr,
    /// Folder of everything that must last.
    pub(crate) data_dir: PathBuf,
    /// Who may associate: `"listed"` peers or `"any"`; by default any on a loopback address, else listed.
    pub(crate) accept: Option<Accept>,
    /// Whether Success waits for stable storage (`"fsync"`) or only for the operating system (`"os"`).
    pub(crate) durability: Durability,
    /// Bytes of disk made ready for bursts while nothing arrives.
    pub(crate) preallocate: ByteSize,
    /// What is done when a SOP Instance UID comes again with other bytes.
    pub(crate) duplicates: VersionPolicy,
    /// Whether private and unknown SOP classes are stored too.
    pub(crate) store_private_sop_classes: bool,
    /// Threads that decode and infer; by default one for each core.
    pub(crate) workers: Option<usize>,
    /// Device Serial Number (0018,1000) in result objects.
    pub(crate) serial_number: String,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            ae_title: AeTitle::new("DOKUEI").expect("an AE title of six letters"),
            listen: SocketAddr::from(([127, 0, 0, 1], 11112)),
            data_dir: PathBuf::from("dokuei-data"),
            accept: None,
            durability: Durability::Fsync,
            preallocate: ByteSize(1 << 30),
            duplicates: VersionPolicy::Keep,
            store_private_sop_classes: true,
            workers: None,
            serial_number: "0".to_owned(),
        }
    }
}

/// Who may associate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Accept {
    Listed,
    Any,
}

/// `[http]`: metrics and health, for what watches the node.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Http {
    /// Address and port to answer on; HTTP is not served without.
    pub(crate) listen: Option<SocketAddr>,
}

/// `[limits]`: what the node refuses to exceed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// Associations at a time.
    pub(crate) associations: usize,
    /// Associations at a time from one IP address.
    pub(crate) associations_per_peer: usize,
    /// Connections that have not associated yet; beyond it the oldest gives way.
    pub(crate) connections_pending: usize,
    /// Longest P-DATA-TF PDU we offer to receive.
    pub(crate) pdu_length: ByteSize,
    /// Operations of one association that wait for their responses, where a sender asks for more than one.
    pub(crate) operations_window: NonZeroU16,
    /// Longest command set of a message.
    pub(crate) command_set_size: ByteSize,
    /// Longest data set of one instance.
    pub(crate) instance_size: ByteSize,
    /// Free space below which new instances are refused.
    pub(crate) disk_free_min: ByteSize,
    /// Work entries waiting above which new instances are refused.
    pub(crate) queue_depth: u64,
    /// From the connection to its association request (ARTIM, PS3.8 § 9.1.5).
    pub(crate) associate_timeout: Interval,
    /// Silence of a peer between two messages.
    pub(crate) idle_timeout: Interval,
    /// Silence of a peer within a message.
    pub(crate) stall_timeout: Interval,
    /// Bytes a second below which a peer is too slow within a message, measured over `stall_timeout`.
    pub(crate) bytes_per_second_min: u64,
    /// From SIGTERM to the abort of associations still open.
    pub(crate) drain_timeout: Interval,
    /// Pixels of one frame that is decoded.
    pub(crate) pixels_per_frame: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            associations: 64,
            associations_per_peer: 64,
            connections_pending: 1024,
            pdu_length: ByteSize(128 << 10),
            operations_window: NonZeroU16::MIN.saturating_add(15),
            command_set_size: ByteSize(64 << 10),
            instance_size: ByteSize(4 << 30),
            disk_free_min: ByteSize(5 << 30),
            queue_depth: 1_000_000,
            associate_timeout: Interval(Duration::from_secs(30)),
            idle_timeout: Interval(Duration::from_secs(600)),
            stall_timeout: Interval(Duration::from_secs(60)),
            bytes_per_second_min: 256,
            drain_timeout: Interval(Duration::from_secs(30)),
            pixels_per_frame: 1 << 26,
        }
    }
}

/// `[retention]`: how long what is done with is kept; for ever where nothing is said.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Retention {
    /// Received instances, from the end of the work on them.
    pub(crate) images: Option<Interval>,
    /// Result objects, likewise.
    pub(crate) results: Option<Interval>,
    /// Free space below which the instances that ended first go sooner.
    pub(crate) free: Option<ByteSize>,
    /// For so long instances are kept even then.
    pub(crate) images_at_least: Interval,
    /// The destination that is asked for images whose bytes were removed, by name.
    pub(crate) archive: Option<String>,
}

impl Default for Retention {
    fn default() -> Self {
        let images_at_least = Interval(Duration::from_secs(24 * 60 * 60));
        Self { images: None, results: None, free: None, images_at_least, archive: None }
    }
}

impl Retention {
    pub(crate) fn policy(&self) -> dokuei_store::Retention {
        dokuei_store::Retention {
            images: self.images.map(|kept| kept.0),
            results: self.results.map(|kept| kept.0),
            free: self.free.map(|free| FreeSpace { bytes: free.0, images_at_least: self.images_at_least.0 }),
        }
    }
}

/// `[rules]`: what is done with several routes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rules {
    /// Whether all routes that match apply, or the first one.
    pub(crate) matching: Matching,
}

/// `[[peer]]`: one that may send to us.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Peer {
    /// Its calling AE title.
    pub(crate) ae_title: AeTitle,
    /// The address or network it calls from; any when left out.
    pub(crate) address: Option<Network>,
    /// Host and port where it is told the results of its storage commitment requests.
    pub(crate) report_to: Option<Address>,
}

/// `[[user]]`: one whose name lets a peer associate; with any, no peer may without.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct User {
    /// The name it gives.
    pub(crate) name: String,
    /// What its passcode has to fit; the name alone is enough when left out.
    pub(crate) passcode: Option<PasscodeHash>,
}

/// An address or a network in CIDR notation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Network(pub(crate) IpNet);

impl TryFrom<String> for Network {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map(Self).map_err(|_| {
            format!(
                "{text:?} is neither an IP address nor a network; write one such as \"10.0.1.7\" or \"10.0.1.0/24\""
            )
        })
    }
}

/// A host name or IP address and a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Address(String);

impl FromStr for Address {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let well_formed = text.rsplit_once(':').is_some_and(|(host, port)| {
            // An IPv6 address stands in brackets, or nobody knows where it ends.
            let is_host = !host.is_empty() && (!host.contains(':') || (host.starts_with('[') && host.ends_with(']')));
            is_host && port.parse::<u16>().is_ok_and(|port| port != 0)
        });
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("{text:?} is not an address; write host and port, such as \"10.0.1.9:104\" or \"[::1]:104\""))
        }
    }
}

impl TryFrom<String> for Address {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.0
    }
}

impl Address {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `[[destination]]`: where results and images go.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Destination {
    /// The name routes use.
    pub(crate) name: String,
    /// Its AE title.
    pub(crate) ae_title: AeTitle,
    /// Host and port.
    pub(crate) address: Address,
    /// Which result objects it wants.
    #[serde(default = "report_and_picture")]
    pub(crate) objects: Vec<ResultObject>,
    /// The AE title we call from; by default `node.ae_title`.
    pub(crate) calling_ae_title: Option<AeTitle>,
    /// For the connection and for each response.
    #[serde(default = "thirty_seconds")]
    pub(crate) timeout: Interval,
    /// How it is asked whether it keeps what it has stored.
    #[serde(default)]
    pub(crate) confirm: Confirm,
    /// How long its answer is waited for before it is asked again.
    #[serde(default = "an_hour")]
    pub(crate) confirm_within: Interval,
    /// The destination that gets what this one does not take for long, by name.
    pub(crate) failover: Option<String>,
    /// For how long this one has to fail.
    #[serde(default = "ten_minutes")]
    pub(crate) failover_after: Interval,
    /// When it is sent to; always when there are none.
    #[serde(default)]
    pub(crate) hours: Vec<Hours>,
    /// Bytes of data sets that are sent to it in a second at most.
    pub(crate) bandwidth: Option<ByteRate>,
    /// How it is asked for images.
    #[serde(default)]
    pub(crate) retrieve: Retrieve,
    /// The AE title under which it knows this node, for C-MOVE; by default `node.ae_title`.
    pub(crate) move_to: Option<AeTitle>,
    /// Called over TLS.
    pub(crate) tls: Option<DestinationTls>,
}

fn ten_minutes() -> Interval {
    Interval(Duration::from_secs(600))
}

fn report_and_picture() -> Vec<ResultObject> {
    vec![ResultObject::Sr, ResultObject::Sc]
}

pub(crate) fn thirty_seconds() -> Interval {
    Interval(Duration::from_secs(30))
}

fn an_hour() -> Interval {
    Interval(Duration::from_secs(3_600))
}

/// When an object counts as delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Confirm {
    /// The destination answers with success.
    #[default]
    No,
    /// It commits to keep it (PS3.4 Annex J).
    Commitment,
    /// It finds it when it is asked for it (PS3.4 Annex C).
    Find,
}

/// How a destination is asked for images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Retrieve {
    /// By C-GET where it offers that, else by C-MOVE.
    #[default]
    Any,
    /// By C-GET: it sends them over our association (PS3.4 § C.4.3).
    Get,
    /// By C-MOVE: it sends them to our listener (PS3.4 § C.4.2).
    Move,
}

/// A kind of result object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ResultObject {
    /// Structured Report.
    Sr,
    /// Secondary capture with the heat map.
    Sc,
    /// Presentation state with outlines and text, in grey or in colour as the image.
    Pr,
    /// Key object note of a positive.
    Ko,
    /// Encapsulated PDF of one page.
    Pdf,
    /// Segmentation of the marked regions.
    Seg,
}

/// `[[model]]`: a model package.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Model {
    /// Folder of the package, from the folder of this file or else from the working folder.
    pub(crate) path: PathBuf,
    /// What this site decides otherwise than the package, by the finding's name.
    #[serde(default, rename = "finding")]
    pub(crate) findings: BTreeMap<String, FindingOverride>,
}
