use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::Problem;
use super::sections::Config;

/// Writes [`overlay`], which sets `$section.$key` from the variable `DOKUEI_SECTION_KEY` where it is set, and [`SETTABLE`].
macro_rules! overlaid {
    ($($section:ident { $($key:ident),* })*) => {
        /// The sections that variables are laid over, each with its keys.
        const SETTABLE: &[(&str, &[&str])] = &[$((stringify!($section), &[$(stringify!($key)),*])),*];

        /// Lays the variables `DOKUEI_SECTION_KEY` over the sections that are no lists.
        pub(super) fn overlay(config: &mut Config, variable: impl Fn(&str) -> Option<String>) -> Vec<Problem> {
            let mut problems = Vec::new();
            $($({
                let name = name(stringify!($section), stringify!($key));
                if let Some(text) = variable(&name) {
                    match value(&text) {
                        Ok(value) => config.$section.$key = value,
                        Err(why) => problems.push(Problem::new(format!("environment variable {name}: {why}"))),
                    }
                }
            })*)*
            problems
        }
    };
}

overlaid! {
        node { ae_title, listen, data_dir, accept, durability, preallocate, duplicates, store_private_sop_classes, workers,
            serial_number }
        http { listen }
        results { language, colours }
        rules { matching }
        limits {
            associations, associations_per_peer, connections_pending, pdu_length, operations_window, command_set_size,
            instance_size, disk_free_min, queue_depth, associate_timeout, idle_timeout, stall_timeout,
            bytes_per_second_min, drain_timeout, pixels_per_frame
        }
}

fn name(section: &str, key: &str) -> String {
    format!("dokuei_{section}_{key}").to_uppercase()
}

/// The variables of this process that look like a key of a section and set nothing, such as one that is misspelt.
pub(crate) fn unused_variables() -> Vec<String> {
    unused(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))
}

fn unused(names: impl Iterator<Item = String>) -> Vec<String> {
    let sets_nothing = |found: &String| {
        let of = |(section, _): &&(&str, &[&str])| found.starts_with(&name(section, ""));
        let section = SETTABLE.iter().find(of);
        section.is_some_and(|(section, keys)| !keys.iter().any(|key| *found == name(section, key)))
    };
    names.filter(sets_nothing).collect()
}

#[derive(Deserialize)]
struct One<T> {
    value: T,
}

/// A variable's text as the TOML value it would be in the file: as it stands, or as a string.
fn value<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let quoted = toml::Value::String(text.to_owned());
    toml::from_str::<One<T>>(&format!("value = {quoted}"))
        .or_else(|as_string| {
            toml::from_str::<One<T>>(&format!("value = {text}")).map_err(|_| as_string.message().to_owned())
        })
        .map(|one| one.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, text: &str) -> (Config, Vec<Problem>) {
        let mut config = Config::default();
        let problems = overlay(&mut config, |variable| (variable == name).then(|| text.to_owned()));
        (config, problems)
    }

    #[test]
    fn a_variable_replaces_a_key() {
        assert_eq!(check("DOKUEI_NODE_AE_TITLE", "READER").0.node.ae_title.as_str(), "READER");
        assert_eq!(check("DOKUEI_LIMITS_ASSOCIATIONS", "7").0.limits.associations, 7);
        assert_eq!(check("DOKUEI_NODE_WORKERS", "2").0.node.workers, Some(2));
        assert_eq!(check("DOKUEI_LIMITS_INSTANCE_SIZE", "1 GiB").0.limits.instance_size.0, 1 << 30);
    }

    #[test]
    fn a_variable_that_sets_nothing_is_named() {
        let names = ["DOKUEI_LIMITS_ASOCIATIONS", "DOKUEI_LIMITS_ASSOCIATIONS", "DOKUEI_LOG", "DOKUEI_SEED", "PATH"];
        assert_eq!(unused(names.map(str::to_owned).into_iter()), ["DOKUEI_LIMITS_ASOCIATIONS"]);
    }

    #[test]
    fn a_wrong_variable_is_named() {
        let (_, problems) = check("DOKUEI_LIMITS_PDU_LENGTH", "big");
        assert!(problems[0].to_string().starts_with("environment variable DOKUEI_LIMITS_PDU_LENGTH: "));
    }
}
