//! TID 2010, Key Object Selection.

use dokuei_types::NodeIdentity;

use super::{tid1001, tid1204};
use crate::codes::{self, Concept};
use crate::tree::{Item, Relationship, Value};

/// The whole tree: title (CID 7010), language, observer, a description, and the objects, which have no concept
/// name here.
pub(crate) fn key_object_selection(
    title: Concept,
    node: &NodeIdentity,
    description: &str,
    objects: impl IntoIterator<Item = Value>,
) -> Item {
    let text = Value::Text(description.to_owned());
    let objects = objects.into_iter().map(|object| Item::unnamed(Relationship::Contains, object));
    Item::heading(title, Some("2010"))
        .with(tid1204::language())
        .with_all(tid1001::observer(node))
        .with(Item::new(Relationship::Contains, codes::KEY_OBJECT_DESCRIPTION, text))
        .with_all(objects)
}
