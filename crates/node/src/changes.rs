//! What a reload changed, a line of the log for each entry of the configuration.

use std::collections::BTreeMap;

use crate::config::{Change, Config, Difference, Limits, Node};
use crate::site::Site;

/// Keys that a running node has read once, and that [`keep`] keeps as it did.
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

/// Gives `after` what a running node goes on with of `started`, whatever the file says by now: who may associate by default
/// follows from where the node listens, not from where it is to listen.
pub(crate) fn keep(after: &mut Config, started: &Config) {
    after.node = Node {
        accept: after.node.accept,
        store_private_sop_classes: after.node.store_private_sop_classes,
        serial_number: std::mem::take(&mut after.node.serial_number),
        ..started.node.clone()
    };
    after.http = started.http.clone();
    after.audit = started.audit.clone();
    let Limits { disk_free_min, queue_depth, pixels_per_frame, .. } = started.limits;
    after.limits = Limits { disk_free_min, queue_depth, pixels_per_frame, ..after.limits.clone() };
    if let (Some(after), Some(started)) = (&mut after.tls, &started.tls) {
        after.as_mut().listen = started.as_ref().listen;
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Accept;
    use crate::site::accept;

    fn config(text: &str) -> Config {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn who_may_associate_follows_from_where_a_running_node_listens() {
        let tls = |listen: &str| format!("[tls]\nlisten = \"{listen}\"\ncertificate = \"c\"\nkey = \"k\"\n");
        for (started, after) in [
            ("[node]\nlisten = \"0.0.0.0:104\"\n".to_owned(), "[node]\nlisten = \"127.0.0.1:104\"\n".to_owned()),
            (tls("0.0.0.0:2762"), tls("127.0.0.1:2762")),
        ] {
            let mut after = config(&after);
            assert_eq!(accept(&after), Accept::Any);
            keep(&mut after, &config(&started));
            assert_eq!(accept(&after), Accept::Listed, "{started}");
        }
    }

    #[test]
    fn what_the_file_says_of_the_next_start_alone_is_kept_from_a_running_node() {
        let started = config("");
        let mut after = config(
            "[node]\nae_title = \"OTHER\"\nworkers = 7\nserial_number = \"2\"\naccept = \"any\"\n\
             [limits]\nassociations = 3\nqueue_depth = 4\n",
        );
        keep(&mut after, &started);
        assert_eq!((after.node.ae_title, after.node.workers), (started.node.ae_title, None));
        assert_eq!((after.node.serial_number.as_str(), after.node.accept), ("2", Some(Accept::Any)));
        assert_eq!((after.limits.associations, after.limits.queue_depth), (3, started.limits.queue_depth));
    }
}
