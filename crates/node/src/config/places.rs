use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where the values of a configuration stand in its text, so that problems point at them.
#[derive(Debug, Default)]
pub(super) struct Places(Vec<Place>);

#[derive(Debug)]
struct Place {
    /// Where the section stands, or the entry of a list of tables.
    table: Range<usize>,
    /// Section, keys of inner tables and key, with dots.
    path: String,
    /// The value, where it is a text; never a secret.
    text: Option<String>,
    at: Range<usize>,
}

impl Places {
    pub(super) fn of(text: &str) -> Self {
        let mut places = Self::default();
        let Ok(file) = DeTable::parse(text) else { return places };
        for (section, value) in file.get_ref() {
            let section = section.get_ref();
            match value.get_ref() {
                DeValue::Array(entries) => entries.iter().for_each(|entry| places.add(&entry.span(), section, entry)),
                _ => places.add(&value.span(), section, value),
            }
        }
        places
    }

    fn add(&mut self, table: &Range<usize>, path: &str, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(inner) => {
                inner.iter().for_each(|(key, value)| self.add(table, &format!("{path}.{}", key.get_ref()), value));
            }
            DeValue::Array(list) => list.iter().for_each(|value| self.add(table, path, value)),
            one => {
                let text = one.as_str().filter(|_| !path.ends_with("passcode")).map(str::to_owned);
                self.0.push(Place { table: table.clone(), path: path.to_owned(), text, at: value.span() });
            }
        }
    }

    /// Where the value at `path` stands, such as `limits.associations`.
    pub(super) fn at(&self, path: &str) -> Option<Range<usize>> {
        self.0.iter().find(|place| place.path == path).map(|place| place.at.clone())
    }

    /// Where `text` is the value of `key` in the table at `table`, or one of its values; else where `key` stands.
    pub(super) fn of_key(&self, table: &Range<usize>, key: &str, text: &str) -> Option<Range<usize>> {
        let here = |place: &&Place| place.table == *table && place.path.rsplit('.').next() == Some(key);
        let all = || self.0.iter().filter(here);
        let same = all().find(|place| place.text.as_deref() == Some(text));
        same.or_else(|| all().next()).map(|place| place.at.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_table_and_key_whatever_else_says_the_same() {
        let text = "# pacs\n[limits]\nassociations = 4\n\n[[destination]]\nae_title = \"pacs\"\nname = \"a\"\n\
                    [[destination]]\nfailover = 'pacs'\nname = \"pacs\"\n[destination.tls]\nca = \"pacs\"\n\
                    [[route]]\nsend_results = [\"a\", \"pacs\"]\n[[user]]\nname = \"a\"\npasscode = \"secret\"\n";
        let places = Places::of(text);
        assert_eq!(&text[places.at("limits.associations").unwrap()], "4");
        assert_eq!(places.at("limits.half_open"), None);
        let second = text.find("[[destination]]\nfailover").map(|at| at..at + "[[destination]]".len()).unwrap();
        let found = |key, of| places.of_key(&second, key, of).map(|at| (text[at.clone()].to_owned(), at.start));
        let expected = |line: &str| text.find(line).map(|at| at + text[at..].find(['"', '\'']).unwrap());
        assert_eq!(found("name", "pacs"), expected("name = \"pacs\"").map(|at| ("\"pacs\"".to_owned(), at)));
        assert_eq!(found("failover", "pacs"), expected("failover =").map(|at| ("'pacs'".to_owned(), at)));
        assert_eq!(found("ca", "other"), expected("ca =").map(|at| ("\"pacs\"".to_owned(), at)));
        assert_eq!(found("address", "pacs"), None);
        let route = text.find("[[route]]").map(|at| at..at + "[[route]]".len()).unwrap();
        assert_eq!(&text[places.of_key(&route, "send_results", "pacs").unwrap()], "\"pacs\"");
        assert!(!format!("{places:?}").contains("secret"));
    }
}
