//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use dokuei_types::{AeTitle, Interval, Uid};
use jiff::civil::DateTime;

use crate::config::{Address, DestinationTls, MinimumVersion};
use crate::keys::{Key, Level};
use crate::moment::Moment;

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
    /// Everything known of one instance, with the reports on it; or the report in a file.
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

/// Which node's data is looked at.
#[derive(Debug, Args)]
pub(crate) struct Where {
    /// The node's configuration, for its data folder.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The data folder itself.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Write JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    #[command(flatten)]
    pub(crate) place: Where,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The number `status` and the log give an instance, or its SOP Instance, Series or Study Instance UID; or the
    /// path of a Structured Report.
    #[arg(value_name = "ID|FILE")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) place: Where,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Numbers, SOP Instance, Series or Study Instance UIDs of instances.
    #[arg(required_unless_present = "all")]
    pub(crate) ids: Vec<String>,
    /// Everything that is stored.
    #[arg(long, conflicts_with = "ids")]
    pub(crate) all: bool,
    /// Where the files are written, a folder for each study and series; made when absent.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Their results too.
    #[arg(long)]
    pub(crate) results: bool,
    #[command(flatten)]
    pub(crate) place: Where,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Numbers, SOP Instance, Series or Study Instance UIDs of instances; everything when none is named.
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) place: Where,
}

#[derive(Debug, Args)]
pub(crate) struct AuditExport {
    /// Only of these: numbers of instances, SOP Instance or Study Instance UIDs, which are hashed as the trail has them.
    pub(crate) ids: Vec<String>,
    /// Only these events.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) event: Vec<String>,
    /// Only since then: a span before now (2h, 7d), or a time (2026-11-22T08:00).
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Moment>,
    /// Only before then.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<Moment>,
    /// The configuration that names the file.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// What of it is meant.
#[derive(Debug, Args)]
pub(crate) struct Among {
    /// Only deliveries to this destination.
    #[arg(long, value_name = "NAME")]
    pub(crate) destination: Option<String>,
    /// Only what was stored there, or tried last, since then: a span before now (2h, 7d), or a time (2026-11-22T08:00 by
    /// the clock of this machine, or with its zone: 2026-11-22T08:00+01:00).
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Moment>,
    /// The same before then.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<Moment>,
}

#[derive(Debug, Args)]
pub(crate) struct Failed {
    /// Only of these instances: numbers, SOP Instance, Series or Study Instance UIDs.
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) among: Among,
    #[command(flatten)]
    pub(crate) place: Where,
}

/// Instances alone: what failed of them, else what was sent, else the routes. With any of the options below: all that
/// was given up or sent and fits every one of them.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// Numbers, SOP Instance, Series or Study Instance UIDs of instances.
    #[arg(required_unless_present_any = ["all_failed", "destination", "since", "until"])]
    pub(crate) ids: Vec<String>,
    /// Only what was given up, as `failed` lists it.
    #[arg(long)]
    pub(crate) all_failed: bool,
    #[command(flatten)]
    pub(crate) among: Among,
    /// Ask routes and models again, also where something was reported: a model of another version makes a revision.
    #[arg(long, requires = "ids", conflicts_with_all = ["all_failed", "destination", "since", "until"])]
    pub(crate) analyze: bool,
    /// List what would go, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) place: Where,
}

#[derive(Debug, Args)]
pub(crate) struct Withdraw {
    /// Numbers or SOP Instance UIDs of the instances whose results are withdrawn.
    #[arg(required = true)]
    pub(crate) ids: Vec<String>,
    /// Why, as the title of the note.
    #[arg(long, value_enum)]
    pub(crate) reason: Reason,
    /// Why, in words for those who read the note; without patient attributes.
    #[arg(long, value_name = "TEXT")]
    pub(crate) comment: Option<String>,
    /// Only what this model said.
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    #[command(flatten)]
    pub(crate) place: Where,
}

/// Why a result is withdrawn.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Reason {
    /// (113001, DCM, "Rejected for Quality Reasons").
    Quality,
    /// (113037, DCM, "Rejected for Patient Safety Reasons").
    PatientSafety,
    /// (113038, DCM, "Incorrect Modality Worklist Entry").
    Worklist,
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

#[derive(Debug, Args)]
pub(crate) struct Backtest {
    /// The other configuration.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// How far back: a span before now, or a time.
    #[arg(long, value_name = "TIME", default_value = "30d")]
    pub(crate) since: Moment,
    /// The node's data folder; without it the one this configuration names.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Write JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Models {
    #[command(subcommand)]
    pub(crate) action: ModelsAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsAction {
    /// The packages the configuration names.
    List(ModelsPlace),
    /// Hash, load, one run and the self-test of packages.
    Verify(ModelsPlace),
    /// What a model is worth on labelled images: AUROC, calibration, bands, subgroups, worst errors.
    Evaluate(Evaluate),
    /// Whether one of two models is better, on the same labelled images.
    Compare(Compare),
    /// Make a package of an ONNX classifier: what the file does not say is asked for.
    Init(Init),
}

/// Labelled images.
#[derive(Debug, Args)]
pub(crate) struct Labelled {
    /// The folder of the images: DICOM, JPEG or PNG.
    #[arg(long, value_name = "DIR")]
    pub(crate) images: PathBuf,
    /// The table that says what is true of each image: CSV with a heading.
    #[arg(long, value_name = "CSV")]
    pub(crate) labels: PathBuf,
    /// The table's column of paths below the folder of images.
    #[arg(long, value_name = "NAME", default_value = "file")]
    pub(crate) file_column: String,
    /// The column of labels: 1 positive, 0 negative, empty for images to be passed over.
    #[arg(long, value_name = "NAME", default_value = "label")]
    pub(crate) label_column: String,
    /// The column that says whose image it is; without it `patient`, else the Patient ID of DICOM images.
    #[arg(long, value_name = "NAME")]
    pub(crate) patient_column: Option<String>,
    /// Labels that mean positive where they are words; all others are negative.
    #[arg(long, value_name = "LABEL", value_delimiter = ',')]
    pub(crate) positive: Vec<String>,
    /// Only rows with one of these values in a column; may be given again for another.
    #[arg(long, value_name = "COLUMN=VALUE[,VALUE]")]
    pub(crate) only: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Evaluate {
    /// The model's name in the configuration, or the folder of its package.
    #[arg(long, value_name = "NAME|DIR", default_value = "cxr-pneumonia")]
    pub(crate) model: String,
    #[command(flatten)]
    pub(crate) labelled: Labelled,
    /// Which finding, where the model has several.
    #[arg(long, value_name = "NAME")]
    pub(crate) finding: Option<String>,
    /// Columns of the table whose values are subgroups.
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    pub(crate) by: Vec<String>,
    /// Shares of positives for which predictive values are wanted.
    #[arg(long, value_name = "SHARE", value_delimiter = ',', default_values_t = [0.05, 0.15, 0.5], value_parser = share)]
    pub(crate) prevalence: Vec<f64>,
    /// How many errors of each kind are listed and drawn.
    #[arg(long, value_name = "COUNT", default_value_t = 8)]
    pub(crate) worst: usize,
    /// Write figures, scores, charts and pictures of the worst errors here.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// The configuration that names the model; without it the bundled one.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Write JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// A model's name in the configuration, or the folder of its package; given twice.
    #[arg(long, value_name = "NAME|DIR", required = true)]
    pub(crate) model: Vec<String>,
    #[command(flatten)]
    pub(crate) labelled: Labelled,
    /// Which finding, of both models or first of one, then of the other.
    #[arg(long, value_name = "NAME")]
    pub(crate) finding: Vec<String>,
    /// Write figures and the ROC curves here.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// The configuration that names the models; without it the bundled one.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Write JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The network: ONNX in one file.
    #[arg(value_name = "ONNX")]
    pub(crate) onnx: PathBuf,
    /// The folder of the package; made when absent.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// What routes call the model: a-z, 0-9, -.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Its release.
    #[arg(long, value_name = "VERSION", default_value = "0.1.0")]
    pub(crate) model_version: String,
    /// Who answers for it.
    #[arg(long)]
    pub(crate) vendor: Option<String>,
    /// Licence of the weights, an SPDX expression.
    #[arg(long)]
    pub(crate) licence: Option<String>,
    /// What it is for, and what not.
    #[arg(long, value_name = "TEXT")]
    pub(crate) intended_use: Option<String>,
    /// A condition that images must meet; may be given again.
    #[arg(long, value_name = "CEL", default_value = "modality in ['CR', 'DX']")]
    pub(crate) when: Vec<String>,
    /// The findings in the order of the outputs, or with the output's index.
    #[arg(long, value_name = "NAME[@INDEX]", value_delimiter = ',')]
    pub(crate) finding: Vec<String>,
    /// What makes a probability of an output: sigmoid, softmax or none.
    #[arg(long, value_name = "KIND", value_parser = ["sigmoid", "softmax", "none"])]
    pub(crate) activation: Option<String>,
    /// The probability from which a finding counts as present, which is shown as 50 %: one for all, or one for each.
    #[arg(long, value_name = "SHARE", value_delimiter = ',')]
    pub(crate) threshold: Vec<f64>,
    /// tensor = (value - mean) / scale, with values 0 black to 1 white: one number, or one a channel.
    #[arg(long, value_delimiter = ',', allow_negative_numbers = true)]
    pub(crate) mean: Vec<f32>,
    /// See --mean.
    #[arg(long, value_delimiter = ',')]
    pub(crate) scale: Vec<f32>,
    /// How images are fitted to the tensor: pad, crop or squash.
    #[arg(long, value_name = "KIND", value_parser = ["pad", "crop", "squash"])]
    pub(crate) geometry: Option<String>,
    /// Rows and columns of the tensor, where the graph leaves them open.
    #[arg(long, value_name = "PIXELS")]
    pub(crate) size: Option<String>,
    /// The tensor whose elements the findings are, where it is not the classifier found; without class activation map.
    #[arg(long, value_name = "TENSOR")]
    pub(crate) output: Option<String>,
    /// An input tensor for the self-test, .npy; without it a pattern.
    #[arg(long, value_name = "NPY")]
    pub(crate) example: Option<PathBuf>,
    /// What the network's own framework gives for it, .npy.
    #[arg(long, value_name = "NPY", requires = "example")]
    pub(crate) expected: Option<PathBuf>,
}

/// A share of images, above 0 and below 1.
fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "must be a number".to_owned())?;
    if share > 0.0 && share < 1.0 { Ok(share) } else { Err("must lie between 0 and 1".to_owned()) }
}

#[derive(Debug, Args)]
pub(crate) struct ModelsPlace {
    /// Package folders; without them those of the configuration.
    pub(crate) packages: Vec<PathBuf>,
    /// The configuration; without it the bundled package.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
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
