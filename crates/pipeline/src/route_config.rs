//! A route as it is configured.

use std::time::Duration;

use dokuei_store::{HintKind, Priority};
use dokuei_types::{DeclineReason, Interval};
use serde::{Deserialize, Serialize};

use crate::hours::Hours;
use crate::priors::PriorsConfig;
use crate::share::Share;

/// In `send_results`, the destination whose AE title the sender of the instance has.
pub const SENDER: &str = "@sender";

/// Which of the routes that match apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Matching {
    /// All of them.
    #[default]
    All,
    /// The first one in the order of the configuration.
    First,
}

/// What a route looks at together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// Each instance, as soon as it is stored.
    #[default]
    Instance,
    /// A series, once it has settled.
    Series,
    /// A study, once it has settled.
    Study,
}

/// Which declined images a route has reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReportDeclined {
    /// None.
    Never,
    /// Those the model is for by what their attributes say, and that could not be read, were beyond a limit, or whose
    /// picture it was not made for: without a word, silence would be taken for a negative.
    #[default]
    Unreadable,
    /// Also those the model is not for, such as lateral views; never what an algorithm has made.
    Always,
}

impl ReportDeclined {
    pub(crate) fn covers(self, reason: &DeclineReason) -> bool {
        match reason {
            DeclineReason::Codec(_)
            | DeclineReason::Malformed(_)
            | DeclineReason::Limit(_)
            | DeclineReason::Picture(_) => self != Self::Never,
            DeclineReason::Criteria(_) => self == Self::Always,
            DeclineReason::NoPixels(_) | DeclineReason::Derived(_) | DeclineReason::Replaced(_) => false,
        }
    }
}

/// A route as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// Its name, in traces and tables.
    pub name: String,
    /// CEL conditions, all of which must hold; none means every instance.
    #[serde(default)]
    pub when: Vec<String>,
    /// When an instance has to be received, in the machine's time zone; none means at any time.
    #[serde(default)]
    pub hours: Vec<Hours>,
    /// Of how many studies it takes what its conditions match; which ones follows from their UIDs.
    #[serde(default)]
    pub sample: Share,
    /// Whether it is for what no other route takes.
    #[serde(default)]
    pub fallback: bool,
    /// Whether the routes below are not asked about what it takes.
    #[serde(default)]
    pub exclusive: bool,
    /// Whether its models run and their results are kept, but nothing is sent and nothing is taken from other routes.
    #[serde(default)]
    pub shadow: bool,
    /// What is looked at together.
    #[serde(default)]
    pub trigger: Trigger,
    /// Quiet time after which a series or study counts as settled.
    #[serde(default = "settle_after")]
    pub settle_after: Interval,
    /// Time after the first instance at which it counts as settled whatever still arrives.
    #[serde(default = "settle_at_most")]
    pub settle_at_most: Interval,
    /// The destination that is asked by C-FIND how many instances a quiet series or study has, by name; it settles once
    /// as many are here.
    #[serde(default)]
    pub count_at: Option<String>,
    /// Whose hints settle a series or study or hold it up.
    #[serde(default = "every_hint")]
    pub settle_by: Vec<HintKind>,
    /// What goes first when more waits than can be done at once.
    #[serde(default)]
    pub priority: Priority,
    /// Models by name.
    #[serde(default)]
    pub models: Vec<String>,
    /// Destinations of the results, by name or [`SENDER`]; none keeps them in the data folder.
    #[serde(default)]
    pub send_results: Vec<String>,
    /// Destinations of the untouched originals, by name.
    #[serde(default)]
    pub send_images: Vec<String>,
    /// Whether objects that this node or another algorithm made are analysed too.
    #[serde(default)]
    pub analyze_derived: bool,
    /// Which declined images are reported, with the reason.
    #[serde(default)]
    pub report_declined: ReportDeclined,
    /// Which earlier results of the same patient its results are compared with; none without it.
    #[serde(default)]
    pub priors: Option<PriorsConfig>,
}

fn settle_after() -> Interval {
    Interval(Duration::from_secs(30))
}

fn every_hint() -> Vec<HintKind> {
    HintKind::ALL.to_vec()
}

fn settle_at_most() -> Interval {
    Interval(Duration::from_secs(600))
}
