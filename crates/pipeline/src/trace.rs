use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::share::Share;

/// What a route says of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTrace {
    /// Name of the route.
    pub route: String,
    /// Whether it applies: all its conditions hold, and nothing holds it back.
    pub matched: bool,
    /// Why it does not apply although its conditions hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_back: Option<HeldBack>,
    /// Whether nothing is sent of what comes of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shadow: bool,
    /// Where results go that are returned to the sender, of a route that applies and returns them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned: Option<Returned>,
    /// Each condition.
    pub conditions: Vec<ConditionTrace>,
}

/// The way back to the sender of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returned {
    /// AE title of the sender.
    pub sender: String,
    /// Name of the destination with this AE title; `None` where there is none, and nothing is returned.
    pub to: Option<String>,
}

impl fmt::Display for Returned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sender, to } = self;
        match to {
            Some(to) => write!(f, "results go back to {sender}, the destination {to}"),
            None if sender.is_empty() => f.write_str("results go back to the sender, which is not known here"),
            None => write!(f, "results do not go back: no [[destination]] has the sender's AE title {sender}"),
        }
    }
}

/// Why a route does not apply although its conditions hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum HeldBack {
    /// A route above it was the only one to have the instance.
    Taken {
        /// That route.
        by: String,
    },
    /// It is a fallback, and a route that is none applies.
    NotNeeded {
        /// That route.
        by: String,
    },
    /// The instance was received at another time.
    OutsideHours {
        /// Day of the week, time, and the offset of the time zone.
        received: String,
    },
    /// The study is not in the sample.
    NotSampled {
        /// How many it takes.
        sample: Share,
        /// What the study drew, which would have to be less.
        drew: Share,
    },
}

impl fmt::Display for HeldBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken { by } => write!(f, "the route {by} above has taken it"),
            Self::NotNeeded { by } => write!(f, "the route {by} applies"),
            Self::OutsideHours { received } => write!(f, "outside its hours, received on {received}"),
            Self::NotSampled { sample, drew } => write!(f, "not in its sample of {sample}, the study drew {drew}"),
        }
    }
}

/// What a condition says of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionTrace {
    /// The condition as it is written.
    pub when: String,
    /// Whether it holds.
    pub matched: bool,
    /// The values of the attributes in it.
    pub values: BTreeMap<String, String>,
    /// Why it counts as not holding although it says neither.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
