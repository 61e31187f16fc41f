//! TID 1204, Language of Content Item and Descendants.

use crate::codes;
use crate::tree::{Item, Relationship, Value};

/// Own texts are in English.
pub(super) fn language() -> Item {
    Item::new(Relationship::HasConceptMod, codes::LANGUAGE, Value::Code(codes::ENGLISH))
}
