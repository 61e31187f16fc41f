use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

/// One of `accepts.when`: a condition that must hold, written as `"…"` or, with words for people, as
/// `{ condition = "…", reason = "…" }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// A CEL expression over the image's attributes.
    pub condition: String,
    /// Why an image is declined of which it does not hold.
    pub reason: Option<String>,
}

impl From<&str> for Requirement {
    fn from(condition: &str) -> Self {
        Self { condition: condition.to_owned(), reason: None }
    }
}

impl<'de> Deserialize<'de> for Requirement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either)
    }
}

/// Takes both ways of writing, each with its own errors.
struct Either;

/// The longer way.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reasoned {
    condition: String,
    reason: String,
}

impl<'de> Visitor<'de> for Either {
    type Value = Requirement;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a condition, or a table with `condition` and `reason`")
    }

    fn visit_str<E>(self, condition: &str) -> Result<Requirement, E> {
        Ok(condition.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Requirement, A::Error> {
        let Reasoned { condition, reason } = Reasoned::deserialize(MapAccessDeserializer::new(table))?;
        Ok(Requirement { condition, reason: Some(reason) })
    }
}
