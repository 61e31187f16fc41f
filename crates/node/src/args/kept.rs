//! Commands on what a node keeps, while it runs or not.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};

use crate::audit;
use crate::moment::Moment;

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
    /// Where the files are written, a folder for each study; made when absent.
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
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = PossibleValuesParser::new(audit::words()))]
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
