//! The command line.

mod kept;
mod models;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use dokuei_types::{AeTitle, Interval, Uid};
use jiff::civil::DateTime;

use crate::config::{Address, DestinationTls, MinimumVersion};
use crate::keys::{Key, Level};

pub(crate) use kept::{
    Among, AuditExport, Backtest, Export, Failed, Inspect, Reason, Replay, Show, Verify, Where, Withdraw,
};
pub(crate) use models::{Compare, Evaluate, Init, Labelled, Models, ModelsAction, ModelsPlace};

/// Dokuei: a DICOM node that stores what arrives, lets models look at it, and sends back what they found.
#[derive(Debug, Parser)]
#[command(name = "dokuei", version, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The whole journey on this machine: a modality, this node and a PACS, with computed radiographs.
    Demo(Demo),
    /// Run the node until SIGTERM.
    Serve(Serve),
    /// C-ECHO a peer: timings, what was negotiated, and on failure what to change.
    Echo(Echo),
    /// C-STORE files and folders to a peer.
    Send(Send),
    /// C-FIND: what a PACS has of patients, studies, series or instances.
    Find(Find),
    /// C-MOVE or C-GET a study, series or instance from a PACS.
    Fetch(Fetch),
    /// Let the models look at files, without a network.
    Analyze(Analyze),
    /// Check the configuration, the models, the destinations and the disk; start nothing.
    Check(Check),
    /// How much was received, how it ended, and what waits.
    Status(Inspect),
    /// Everything known of one instance, with the reports on it; or what the result object in a file says.
    Show(Show),
    /// Write what is stored as plain DICOM files.
    Export(Export),
    /// Read everything that is kept, and say whether it is what was stored.
    Verify(Verify),
    /// The lines of the audit trail, as they were written: one JSON object each.
    Audit(AuditExport),
    /// What was given up after every retry.
    Failed(Failed),
    /// Take up again what was given up, or send again what was sent.
    Replay(Replay),
    /// Take results back: a rejection note goes to every destination that got them.
    Withdraw(Withdraw),
    /// Which routes match files and, condition by condition, why not.
    Match(Match),
    /// What another configuration would do with what was received: which instances its routes would gain and lose.
    Backtest(Backtest),
    /// Model packages: list, verify, evaluate, compare, init.
    Models(Box<Models>),
    /// Make the `[[user]]` entry for a name and the passcode on standard input.
    User(User),
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Where results are written.
    #[arg(long, default_value = "dokuei-demo")]
    pub(crate) out: PathBuf,
    /// DICOM files to send instead of the computed radiographs.
    #[arg(long, num_args = 1.., value_name = "FILE")]
    pub(crate) input: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The configuration; without it loopback, any peer and the bundled model.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Log as JSON, one object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct User {
    /// The name a sender gives.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

/// Titles and limits of an association we request.
#[derive(Debug, Args)]
pub(crate) struct Call {
    /// Our AE title.
    #[arg(long, value_name = "AE", default_value = "DOKUEI")]
    pub(crate) calling: AeTitle,
    /// The peer's AE title.
    #[arg(long, value_name = "AE", default_value = "DOKUEI")]
    pub(crate) called: AeTitle,
    /// Longest wait for the connection and for each response.
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub(crate) timeout: Interval,
    #[command(flatten)]
    pub(crate) tls: CallTls,
}

/// TLS of an association we request.
#[derive(Debug, Args)]
pub(crate) struct CallTls {
    /// Call over TLS, trusting the certificates these authorities issue (PEM).
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// Our certificate, where the peer wants to see one (PEM).
    #[arg(long, value_name = "FILE", requires_all = ["tls_ca", "tls_key"])]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// The key of that certificate (PEM, not encrypted).
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub(crate) tls_key: Option<PathBuf>,
    /// The name in the peer's certificate, where it is not the host.
    #[arg(long, value_name = "NAME", requires = "tls_ca")]
    pub(crate) tls_server_name: Option<String>,
}

impl CallTls {
    /// The same as a destination of the configuration has it.
    pub(crate) fn files(&self) -> Option<DestinationTls> {
        Some(DestinationTls {
            ca: self.tls_ca.clone()?,
            certificate: self.tls_certificate.clone(),
            key: self.tls_key.clone(),
            server_name: self.tls_server_name.clone(),
            minimum_version: MinimumVersion::default(),
        })
    }
}

#[derive(Debug, Args)]
pub(crate) struct Echo {
    /// The peer.
    #[arg(value_name = "HOST:PORT")]
    pub(crate) peer: Address,
    #[command(flatten)]
    pub(crate) call: Call,
    /// Write the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Send {
    /// The peer.
    #[arg(value_name = "HOST:PORT")]
    pub(crate) peer: Address,
    /// Files, and folders with everything below them.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) call: Call,
    /// Parallel associations.
    #[arg(long, short = 'j', default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) associations: u16,
    /// Write one JSON object for each instance.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The peer that is asked.
#[derive(Debug, Args)]
pub(crate) struct Asked {
    /// The peer: host and port, or the name of a `[[destination]]` of the configuration.
    #[arg(value_name = "HOST:PORT|NAME")]
    pub(crate) peer: String,
    /// The configuration with that destination.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    // Of a destination the configuration says it.
    #[command(flatten)]
    pub(crate) call: Call,
}

#[derive(Debug, Args)]
pub(crate) struct Find {
    #[command(flatten)]
    pub(crate) asked: Asked,
    /// Attributes that must match (PatientID=4711, StudyDate=20260101-, PatientName=DOE*), and further ones to be
    /// shown, by keyword or tag.
    #[arg(value_name = "KEY[=VALUE]")]
    pub(crate) keys: Vec<Key>,
    /// What is looked for.
    #[arg(long, value_enum, default_value_t = Level::Study)]
    pub(crate) level: Level,
    /// Ask in the Patient Root model, where series and images need PatientID too; patients are always asked so.
    #[arg(long)]
    pub(crate) patient_root: bool,
    /// Matches at most; the peer is told to stop when there are more.
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    pub(crate) limit: usize,
    /// Write each match as one object of the DICOM JSON model, as it comes.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("way").required(true))]
pub(crate) struct Fetch {
    #[command(flatten)]
    pub(crate) asked: Asked,
    /// Study Instance UID.
    #[arg(value_name = "STUDY_UID")]
    pub(crate) study: Uid,
    /// Only this series.
    #[arg(long, value_name = "UID")]
    pub(crate) series: Option<Uid>,
    /// Only this instance of the series.
    #[arg(long, value_name = "UID", requires = "series")]
    pub(crate) instance: Option<Uid>,
    /// C-MOVE: the peer sends to this AE title, whose address it must know.
    #[arg(long, value_name = "AE", group = "way")]
    pub(crate) move_to: Option<AeTitle>,
    /// C-GET: the instances come over our own association, and go to `--out` or, without it, to the node of the
    /// configuration.
    #[arg(long, group = "way")]
    pub(crate) get: bool,
    /// The folder for the files, one for each instance, named by its UID; made when absent.
    #[arg(long, value_name = "DIR", requires = "get")]
    pub(crate) out: Option<PathBuf>,
    /// Write the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Analyze {
    /// Files, and folders with everything below them.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// The configuration that names the models; without it the bundled one.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Only this model.
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// Write reports, heat maps and pictures here.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Write one JSON object for each file and model.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The configuration; without it the defaults are checked.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Write the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Match {
    /// DICOM files.
    #[arg(required_unless_present = "names", value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// List the names that conditions have for attributes.
    #[arg(long)]
    pub(crate) names: bool,
    /// The configuration with the routes; without it the default route.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The calling AE title the conditions see.
    #[arg(long, value_name = "AE")]
    pub(crate) calling: Option<AeTitle>,
    /// The address the sender would have.
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) from: Option<SocketAddr>,
    /// When they would be received, such as 2026-11-22T03:30 in the time zone of this machine; without it now.
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<DateTime>,
    /// Write JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Arguments::command().debug_assert();
    }
}
