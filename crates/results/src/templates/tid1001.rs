//! TID 1001 Observation Context with TID 1002 Observer Context and TID 1004 Device Observer: the observer is
//! the node, never a person.

use dokuei_types::NodeIdentity;

use crate::codes::{self, Concept};
use crate::tree::{Item, Relationship, Value};

/// TID 1002 row 1 and TID 1004 rows 1 to 5; only the Device Observer UID is mandatory, and empty texts are
/// left out.
pub(super) fn observer(node: &NodeIdentity) -> Vec<Item> {
    let item = |name: Concept, value: Value| Item::new(Relationship::HasObsContext, name, value);
    let mut items = vec![
        item(codes::OBSERVER_TYPE, Value::Code(codes::DEVICE)),
        item(codes::DEVICE_OBSERVER_UID, Value::Uid(node.device_uid.clone())),
    ];
    let texts = [
        (codes::DEVICE_OBSERVER_NAME, &node.ae_title),
        (codes::DEVICE_OBSERVER_MANUFACTURER, &node.manufacturer),
        (codes::DEVICE_OBSERVER_MODEL_NAME, &node.model_name),
        (codes::DEVICE_OBSERVER_SERIAL_NUMBER, &node.serial_number),
    ];
    for (name, text) in texts {
        if !text.is_empty() {
            items.push(item(name, Value::Text(text.clone())));
        }
    }
    items
}
