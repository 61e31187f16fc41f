//! TID 4019, Algorithm Identification.

use dokuei_types::Finding;

use crate::codes::{self, Concept};
use crate::header::Basis;
use crate::tree::{Item, Relationship, Value};

/// Name, version, manufacturer, parameters and family. Name and version are mandatory, so each is written even
/// where the manifest leaves it empty.
pub(super) fn algorithm(basis: &Basis<'_>, finding: Option<&Finding>) -> Vec<Item> {
    let model = basis.input.model;
    let item = |name: Concept, value: Value| Item::new(Relationship::HasConceptMod, name, value);
    let text = |text: &str| Value::Text(text.to_owned());
    let mut items = vec![
        item(codes::ALGORITHM_NAME, text(or_unknown(&model.name))),
        item(codes::ALGORITHM_VERSION, text(or_unknown(&model.version))),
    ];
    if !model.vendor.is_empty() {
        items.push(item(codes::ALGORITHM_MANUFACTURER, text(&model.vendor)));
    }
    items.extend(
        algorithm_parameters(basis, finding)
            .into_iter()
            .map(|text| item(codes::ALGORITHM_PARAMETERS, Value::Text(text))),
    );
    items.push(item(codes::ALGORITHM_FAMILY, Value::Code(codes::ARTIFICIAL_INTELLIGENCE)));
    items
}

/// Algorithm Parameters, `key=value`.
pub(crate) fn algorithm_parameters(basis: &Basis<'_>, finding: Option<&Finding>) -> Vec<String> {
    let mut parameters = vec![format!("sha256={}", basis.input.model.weights_sha256)];
    if let Some(finding) = finding {
        parameters.push(format!("marking_threshold={}", finding.marking_threshold));
    }
    parameters.extend(basis.input.parameters.iter().filter(|text| !text.is_empty()).cloned());
    parameters
}

/// What is mandatory and empty in the manifest.
pub(crate) fn or_unknown(text: &str) -> &str {
    if text.is_empty() { "unknown" } else { text }
}
