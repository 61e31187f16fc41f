//! TID 1502, Time Point Context: which of two images a measurement group is about.

use crate::codes;
use crate::header::{Basis, Earlier};
use crate::tree::{Item, Relationship, Value};

/// Row 3, of a group about the present image; nothing where it is compared with none, since all groups are then.
pub(super) fn present(basis: &Basis<'_>) -> Option<Item> {
    basis.earlier.as_ref().map(|_| time_point("current".to_owned()))
}

/// Row 3, of a group about the earlier image.
pub(super) fn earlier(earlier: &Earlier<'_>) -> Item {
    time_point(format!("prior of {}", earlier.date))
}

fn time_point(text: String) -> Item {
    Item::new(Relationship::HasObsContext, codes::TIME_POINT, Value::Text(text))
}
