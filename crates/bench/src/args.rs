//! The command line.

use std::num::{NonZeroU16, NonZeroU32, NonZeroU64};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::corpus::Corpus;
use crate::receivers::Programs;
use crate::reference::Keeping;

/// Measures C-STORE receivers side by side; docs/benchmarks.md says how to read it.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench", disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Rate, latency, processor time and memory of every receiver, interleaved.
    Receive(Receive),
    /// Senders and receivers as they come: DCMTK's among themselves, and each with ours.
    Senders(Senders),
    /// Memory of the node above idle: connections, idle associations, large objects.
    Memory(Memory),
    /// A reference receiver, until it is ended.
    #[command(hide = true)]
    Reference(Reference),
}

/// Where and against what.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Each figure comes from so many runs.
    #[arg(long, value_name = "COUNT", default_value = "3")]
    pub(crate) repetitions: NonZeroU32,
    /// Folder on the disk under test; by default the target folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
    /// Append every run to this file, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) programs: Programs,
}

#[derive(Debug, Args)]
pub(crate) struct Receive {
    /// What is sent.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "ct,sr")]
    pub(crate) corpora: Vec<Corpus>,
    /// How many associations at a time.
    #[arg(long, value_delimiter = ',', default_value = "4,16")]
    pub(crate) associations: Vec<NonZeroU16>,
    /// Length of one run: longer than the node's index lets a burst pass.
    #[arg(long, default_value_t = 2.5, value_parser = seconds)]
    pub(crate) seconds: f64,
    /// Most MB of data sets in one run.
    #[arg(long, value_name = "MB", default_value = "1500")]
    pub(crate) megabytes_max: NonZeroU64,
    /// Operations outstanding on an association, where the receiver agrees.
    #[arg(long, value_name = "COUNT", default_value = "1")]
    pub(crate) window: NonZeroU16,
    /// Only these receivers.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Args)]
pub(crate) struct Senders {
    /// What is sent.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "ct,sr")]
    pub(crate) corpora: Vec<Corpus>,
    /// Objects whose time counts in one run.
    #[arg(long, value_name = "COUNT", default_value = "100", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) objects: u32,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Args)]
pub(crate) struct Memory {
    /// Connections that never associate.
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    pub(crate) connections: u16,
    /// Associations that send nothing.
    #[arg(long, value_name = "COUNT", default_value_t = 200)]
    pub(crate) idle: u16,
    /// Associations that send one object of `--corpus` each.
    #[arg(long, value_name = "COUNT", default_value = "16")]
    pub(crate) associations: NonZeroU16,
    /// What they send.
    #[arg(long, value_enum, default_value = "mf")]
    pub(crate) corpus: Corpus,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Args)]
pub(crate) struct Reference {
    #[arg(value_enum)]
    pub(crate) keeping: Keeping,
    pub(crate) folder: PathBuf,
    pub(crate) port: u16,
    /// What `log` reserves on the disk.
    pub(crate) segment_bytes: u64,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number is wanted".to_owned())?;
    let usable = seconds > 0.0 && seconds <= 3600.0;
    if usable { Ok(seconds) } else { Err("more than 0 and at most 3600".to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Arguments::command().debug_assert();
    }
}
