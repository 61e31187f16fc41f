//! What a configuration file says, entry by entry, so that a reload can name what changed. Keys are named, never values:
//! some of them are secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use toml::{Table, Value};

/// What names an entry of a list of tables.
const NAMES: [(&str, &str); 5] =
    [("destination", "name"), ("model", "path"), ("peer", "ae_title"), ("route", "name"), ("user", "name")];

/// The tables of a file.
#[derive(Clone, Default)]
pub(crate) struct Entries {
    /// By section and, of lists, name and how many of that name stand above; keys of inner tables have a dot.
    tables: BTreeMap<(String, String, usize), BTreeMap<String, Value>>,
    /// The routes, in their order.
    routes: Vec<String>,
}

/// A way in which one file differs from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Section, such as `route`.
    pub(crate) section: String,
    /// Name of the entry; empty for a section that is no list.
    pub(crate) name: String,
    pub(crate) change: Change,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Added,
    Removed,
    /// These keys.
    Changed(Vec<String>),
    /// The order of what is in both.
    Moved,
}

impl Entries {
    pub(super) fn of(file: Table) -> Self {
        let mut entries = Self::default();
        for (section, value) in file {
            match value {
                Value::Table(table) => entries.add(&section, String::new(), table),
                Value::Array(list) => {
                    list.into_iter().filter_map(as_table).for_each(|table| entries.add_one_of(&section, table));
                }
                _ => {}
            }
        }
        entries
    }

    fn add_one_of(&mut self, section: &str, table: Table) {
        let name = name(section, &table);
        if section == "route" {
            self.routes.push(name.clone());
        }
        self.add(section, name, table);
    }

    fn add(&mut self, section: &str, name: String, table: Table) {
        let same = self.tables.keys().filter(|(known, named, _)| known == section && *named == name).count();
        let mut keys = BTreeMap::new();
        flatten("", table, &mut keys);
        self.tables.insert((section.to_owned(), name, same), keys);
    }

    /// In what `after` differs from this.
    pub(crate) fn differences(&self, after: &Self) -> Vec<Difference> {
        let places: BTreeSet<_> = self.tables.keys().chain(after.tables.keys()).collect();
        let mut differences: Vec<Difference> = places
            .into_iter()
            .filter_map(|place| {
                let none = BTreeMap::new();
                // A section that is no list is always there, perhaps with every key at its default.
                let section = place.1.is_empty().then_some(&none);
                let change = match (self.tables.get(place).or(section), after.tables.get(place).or(section)) {
                    (Some(before), Some(after)) => Change::Changed(changed(before, after)?),
                    (None, _) => Change::Added,
                    (_, None) => Change::Removed,
                };
                Some(Difference { section: place.0.clone(), name: place.1.clone(), change })
            })
            .collect();
        let common = |routes: &[String], other: &[String]| -> Vec<String> {
            routes.iter().filter(|route| other.contains(route)).cloned().collect()
        };
        if common(&self.routes, &after.routes) != common(&after.routes, &self.routes) {
            differences.push(Difference { section: "route".into(), name: String::new(), change: Change::Moved });
        }
        differences
    }
}

/// The keys that only one has or that differ; `None` where there is none.
fn changed(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> Option<Vec<String>> {
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed: Vec<String> = keys.into_iter().filter(|key| before.get(*key) != after.get(*key)).cloned().collect();
    (!changed.is_empty()).then_some(changed)
}

fn as_table(value: Value) -> Option<Table> {
    match value {
        Value::Table(table) => Some(table),
        _ => None,
    }
}

fn name(section: &str, table: &Table) -> String {
    let key = NAMES.iter().find(|(named, _)| *named == section).map_or("name", |(_, key)| *key);
    table.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn flatten(above: &str, table: Table, keys: &mut BTreeMap<String, Value>) {
    for (key, value) in table {
        let key = format!("{above}{key}");
        match value {
            Value::Table(inner) => flatten(&format!("{key}."), inner, keys),
            value => drop(keys.insert(key, value)),
        }
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.tables.keys()).finish()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { section, name, change } = self;
        let what = if name.is_empty() { section.clone() } else { format!("{section} {name:?}") };
        match change {
            Change::Added => write!(f, "{what} added"),
            Change::Removed => write!(f, "{what} removed"),
            Change::Changed(keys) => write!(f, "{what} changed: {}", keys.join(", ")),
            Change::Moved => write!(f, "{what}s are in another order"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: &str, after: &str, expected: &[&str]) {
        let [before, after] = [before, after].map(|text| Entries::of(toml::from_str(text).unwrap()));
        let said: Vec<String> = before.differences(&after).iter().map(ToString::to_string).collect();
        assert_eq!(said, expected);
    }

    #[test]
    fn what_changed_is_named_with_its_keys() {
        let before = r#"
            [limits]
            associations = 4
            [[peer]]
            ae_title = "CT"
            address = "10.0.1.1"
            [[peer]]
            ae_title = "CT"
            address = "10.0.1.2"
            [[destination]]
            name = "pacs"
            ae_title = "PACS"
            tls = { ca = "a.pem", key = "k.pem" }
            [[route]]
            name = "a"
            when = ["rows > 0"]
            [[route]]
            name = "b"
        "#;
        let after = r#"
            [rules]
            matching = "first"
            [limits]
            associations = 4
            [[peer]]
            ae_title = "CT"
            address = "10.0.1.1"
            [[destination]]
            name = "pacs"
            ae_title = "PACS"
            address = "10.0.1.9:104"
            tls = { ca = "b.pem", key = "k.pem" }
            [[route]]
            name = "b"
            [[route]]
            name = "a"
            when = ["rows > 1"]
            hours = []
            [[user]]
            name = "CT"
            passcode = "secret"
        "#;
        check(before, before, &[]);
        check(
            before,
            after,
            &[
                "destination \"pacs\" changed: address, tls.ca",
                "peer \"CT\" removed",
                "route \"a\" changed: hours, when",
                "rules changed: matching",
                "user \"CT\" added",
                "routes are in another order",
            ],
        );
        check("[[route]]\nname = \"a\"", "[[route]]\nname = \"b\"\n[[route]]\nname = \"a\"", &["route \"b\" added"]);
    }

    #[test]
    fn no_secret_is_in_what_is_said() {
        let user = |passcode: &str| {
            Entries::of(toml::from_str(&format!("[[user]]\nname = \"a\"\npasscode = \"{passcode}\"")).unwrap())
        };
        let said = format!("{:?} {:?}", user("one"), user("one").differences(&user("two")));
        assert!(said.contains("passcode") && !said.contains("one") && !said.contains("two"), "{said}");
    }
}
