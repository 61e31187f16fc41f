use std::fmt;

use serde::{Deserialize, Serialize};

/// How the work on an acknowledged instance ended. Every instance gets one; never silence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum End {
    /// A result was made and every destination of it has it.
    Reported,
    /// Sent on untouched, with no result asked for.
    Forwarded,
    /// No route applies.
    NoRuleMatched,
    /// A model could not take it; originals are still forwarded.
    Declined {
        /// Why.
        reason: DeclineReason,
    },
    /// Work on it was given up after every retry; `dokuei replay` tries again.
    Failed {
        /// What went wrong, in a person's words.
        reason: String,
    },
}

impl End {
    /// The word that names the end in tables, JSON and logs.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Forwarded => "forwarded",
            Self::NoRuleMatched => "no_rule_matched",
            Self::Declined { .. } => "declined",
            Self::Failed { .. } => "failed",
        }
    }

    /// Why it was declined, if it was.
    #[must_use]
    pub fn declined(&self) -> Option<&DeclineReason> {
        match self {
            Self::Declined { reason } => Some(reason),
            Self::Reported | Self::Forwarded | Self::NoRuleMatched | Self::Failed { .. } => None,
        }
    }
}

/// Why a model did not look at an image, grouped by what an operator can do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "detail", rename_all = "snake_case")]
pub enum DeclineReason {
    /// No pixels to look at (a report, a plan, an empty image).
    NoPixels(String),
    /// The transfer syntax or codec is not one we decode.
    Codec(String),
    /// The attributes contradict each other, the standard or the pixel data.
    Malformed(String),
    /// A limit of this node (pixels, frames, bytes).
    Limit(String),
    /// The model's own criteria for what it accepts.
    Criteria(String),
    /// The picture of an image that meets them: blank, saturated, or unlike what the model was made for.
    Picture(String),
    /// Written by this node or by another algorithm: never analysed.
    Derived(String),
    /// A later version of the instance has come in its place.
    Replaced(String),
}

impl DeclineReason {
    /// The word that names the kind of reason in tables and JSON.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoPixels(_) => "no_pixels",
            Self::Codec(_) => "codec",
            Self::Malformed(_) => "malformed",
            Self::Limit(_) => "limit",
            Self::Criteria(_) => "criteria",
            Self::Picture(_) => "picture",
            Self::Derived(_) => "derived",
            Self::Replaced(_) => "replaced",
        }
    }
}

impl fmt::Display for DeclineReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, detail) = match self {
            Self::NoPixels(detail) => ("no pixels", detail),
            Self::Codec(detail) => ("codec", detail),
            Self::Malformed(detail) => ("malformed", detail),
            Self::Limit(detail) => ("limit", detail),
            Self::Criteria(detail) => ("model's criteria", detail),
            Self::Picture(detail) => ("picture", detail),
            Self::Derived(detail) => ("derived object", detail),
            Self::Replaced(detail) => ("replaced", detail),
        };
        write!(f, "{kind}: {detail}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_named_as_its_json_names_it() {
        let reasons = [
            DeclineReason::NoPixels,
            DeclineReason::Codec,
            DeclineReason::Malformed,
            DeclineReason::Limit,
            DeclineReason::Criteria,
            DeclineReason::Picture,
            DeclineReason::Derived,
            DeclineReason::Replaced,
        ];
        for reason in reasons.map(|reason| reason(String::new())) {
            assert_eq!(serde_json::to_value(&reason).unwrap()["kind"], reason.kind());
        }
    }
}
