//! What a reload changed, a line of the log for each entry of the configuration.

use std::collections::BTreeMap;

use crate::config::{Change, Difference};
use crate::site::Site;

/// Keys that a running node has read once.
const AT_THE_NEXT_START: [(&str, &[&str]); 5] = [
    ("node", &["ae_title", "listen", "data_dir", "durability", "preallocate", "duplicates", "workers"]),
    ("http", &["listen"]),
    ("audit", &["file", "identifiers", "rotate_at", "syslog", "syslog_transport"]),
    ("limits", &["disk_free_min", "queue_depth", "pixels_per_frame"]),
    ("tls", &["listen"]),
];

/// Logs what `after` has otherwise than `before`; the same in words.
pub(crate) fn log(before: &Site, after: &Site) -> Vec<String> {
    let mut differences = before.file.differences(&after.file);
    differences.extend(other_models(before, after));
    for difference in &differences {
        tracing::info!(section = difference.section, name = difference.name, "configuration: {difference}");
        let later = later(difference);
        if !later.is_empty() {
            tracing::warn!(section = difference.section, keys = ?later, "takes effect at the next start");
        }
    }
    differences.iter().map(ToString::to_string).collect()
}

/// The changed keys that a running node goes on with as they were.
fn later(difference: &Difference) -> Vec<&str> {
    let Change::Changed(keys) = &difference.change else { return Vec::new() };
    let once = AT_THE_NEXT_START.iter().filter(|(section, _)| *section == difference.section);
    let once: Vec<&str> = once.flat_map(|(_, keys)| *keys).copied().collect();
    keys.iter().map(String::as_str).filter(|key| once.contains(key)).collect()
}

/// Models whose package is another one, whether the file says so or not.
fn other_models(before: &Site, after: &Site) -> Vec<Difference> {
    let packages = |site: &Site| -> BTreeMap<String, (String, String)> {
        let identities = site.models.iter().map(|model| model.identity().clone());
        identities.map(|model| (model.name, (model.version, model.weights_sha256))).collect()
    };
    let before = packages(before);
    let others =
        packages(after).into_iter().filter(|(name, package)| before.get(name).is_some_and(|was| was != package));
    let named =
        |(name, _)| Difference { section: "model".into(), name, change: Change::Changed(vec!["package".into()]) };
    others.map(named).collect()
}
