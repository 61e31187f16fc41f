use std::ops::Range;
use std::path::{Path, PathBuf};

use super::entries::{Difference, Entries};
use super::environment;
use super::error::{ConfigError, Problem};
use super::places::Places;
use super::sections::Config;

/// A configuration and the text it came from, so that later checks can point at it.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    pub(crate) config: Config,
    name: String,
    text: String,
    entries: Entries,
    places: Places,
    folder: PathBuf,
}

/// Reads the file, or takes the defaults where none is given, and lays the environment over it.
///
/// # Errors
/// [`ConfigError`]: the file cannot be read, is no TOML, has unknown keys or values that cannot be.
pub(crate) fn load(path: Option<&Path>) -> Result<ConfigFile, ConfigError> {
    let (name, text, folder) = match path {
        Some(path) => {
            let text =
                std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
            let folder = path.parent().map(Path::to_owned).unwrap_or_default();
            (path.display().to_string(), text, folder)
        }
        None => ("(defaults)".to_owned(), String::new(), PathBuf::new()),
    };
    parse(name, text, folder, |variable| std::env::var(variable).ok())
}

/// Takes a text for the file, without an environment.
///
/// # Errors
/// As [`load`].
pub(crate) fn from_text(name: &str, text: String) -> Result<ConfigFile, ConfigError> {
    parse(name.to_owned(), text, PathBuf::new(), |_| None)
}

fn parse(
    name: String,
    text: String,
    folder: PathBuf,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<ConfigFile, ConfigError> {
    let read = toml::from_str(&text);
    let entries = toml::from_str(&text).map(Entries::of).unwrap_or_default();
    let places = Places::of(&text);
    let text = without_passcodes(&text);
    let mut config: Config = match read {
        Ok(config) => config,
        Err(error) => {
            let mut problem = Problem::new(error.message());
            if let Some(span) = error.span() {
                if let Some(help) = help(error.message(), text.get(span.clone()).unwrap_or_default()) {
                    problem = problem.help(help);
                }
                problem = problem.at(&name, &text, span);
            }
            return Err(ConfigError::Invalid { name, problems: vec![problem] });
        }
    };
    let problems = environment::overlay(&mut config, variable);
    let file = ConfigFile { config, name, text, entries, places, folder };
    if problems.is_empty() { Ok(file) } else { Err(file.invalid(problems)) }
}

/// What to write instead, where the parser's `message` on `text` does not say it.
fn help(message: &str, text: &str) -> Option<&'static str> {
    match message {
        "invalid socket address syntax" => Some("write an IP address and a port, such as \"0.0.0.0:11112\""),
        "wanted string or table" => Some("write one of the words that docs/config.md lists for it, in quotation marks"),
        _ if text.starts_with("[[") => Some("there is one of these: write its name in one pair of brackets"),
        _ if text.starts_with('[') && message.ends_with("expected a sequence") => {
            Some("there may be several of these: write its name in two pairs of brackets")
        }
        _ => None,
    }
}

/// The text as reports may show it, which end up in logs: as long, each passcode hidden to the end of its line.
fn without_passcodes(text: &str) -> String {
    let hidden = |line: &str| match line.find("passcode") {
        Some(at) => line[..at].to_owned() + "passcode" + &"*".repeat(line.len() - at - "passcode".len()),
        None => line.to_owned(),
    };
    text.split('\n').map(hidden).collect::<Vec<_>>().join("\n")
}

impl ConfigFile {
    /// A problem that points at a place of this file.
    pub(crate) fn problem(&self, span: Range<usize>, message: impl Into<String>) -> Problem {
        Problem::new(message).at(&self.name, &self.text, span)
    }

    /// Where `key` has the value `text` in the table at `span`, or else where `key` is, or that table.
    pub(crate) fn find(&self, span: Range<usize>, key: &str, text: &str) -> Range<usize> {
        self.places.of_key(&span, key, text).unwrap_or(span)
    }

    /// A problem with the value of a section that is no list, such as `limits.associations`; the environment may have
    /// set it.
    pub(crate) fn problem_at(&self, path: &str, message: impl Into<String>) -> Problem {
        match self.places.at(path) {
            Some(span) => self.problem(span, message),
            None => Problem::new(message),
        }
    }

    /// In what another file says otherwise.
    pub(crate) fn differences(&self, after: &Self) -> Vec<Difference> {
        self.entries.differences(&after.entries)
    }

    /// The error that carries all of `problems`.
    pub(crate) fn invalid(&self, problems: Vec<Problem>) -> ConfigError {
        ConfigError::Invalid { name: self.name.clone(), problems }
    }

    /// The folder a path of this file stands for: from the file's own folder where it is there, else from the
    /// working folder.
    pub(crate) fn resolve(&self, path: &Path) -> PathBuf {
        let beside = self.folder.join(path);
        if beside.exists() { beside } else { path.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<ConfigFile, String> {
        parse("dokuei.toml".into(), text.into(), PathBuf::new(), |_| None)
            .map_err(|error| format!("{:?}", miette::Report::new(error)))
    }

    #[test]
    fn an_empty_file_is_the_defaults() {
        let file = check("").unwrap();
        assert_eq!(file.config.node.listen.to_string(), "127.0.0.1:11112");
        assert_eq!(file.config.limits.associations, 64);
    }

    #[test]
    fn errors_name_the_file_the_line_the_key_and_what_is_allowed() {
        for (text, words) in [
            ("[node]\nae_titel = \"A\"\n", ["dokuei.toml:2", "ae_titel", "ae_title"]),
            ("\n[node]\naccept = \"all\"\n", ["dokuei.toml:3", "listed", "any"]),
            ("[limits]\npdu_length = 16384\n", ["dokuei.toml:2", "string", "16384"]),
            ("[limits]\nidle_timeout = \"30\"\n", ["dokuei.toml:2", "not a duration", "one of ms"]),
            ("[[peer]]\naddress = \"10.0.1.0/24\"\n", ["dokuei.toml:1", "missing field", "ae_title"]),
            ("[[peer]]\nae_title = \"ABCDEFGHIJKLMNOPQRST\"\n", ["dokuei.toml:2", "at most 16", "20"]),
            ("[limits]\noperations_window = 0\n", ["dokuei.toml:2", "nonzero", "0"]),
            ("[[user]]\nname = \"a\"\npasscode = \"secret\"\n", ["dokuei.toml:3", "dokuei user", "ROUNDS:SALT:HASH"]),
            ("[[route]]\nname = \"a\"\nhours = [\"Mon-Fri 8-18\"]\n", ["dokuei.toml:3", "8-18", "22:00-06:00"]),
            ("[[route]]\nname = \"a\"\nsample = 10\n", ["dokuei.toml:3", "10 is no share", "from 0.000001 to 1"]),
            ("[rules]\nmatching = \"any\"\n", ["dokuei.toml:2", "all", "first"]),
            ("[node]\nlisten = \"localhost:104\"\n", ["dokuei.toml:2", "an IP address", "0.0.0.0:11112"]),
            ("[node]\ndurability = true\n", ["dokuei.toml:2", "wanted string", "docs/config.md"]),
            ("[peer]\nae_title = \"A\"\n", ["dokuei.toml:1", "several", "two pairs"]),
            ("[[node]]\nae_title = \"A\"\n", ["dokuei.toml:1", "one of these", "one pair"]),
            ("[[peer]]\nae_title = \"A\"\nreport_to = \"::1\"\n", ["dokuei.toml:3", "host and port", "[::1]:104"]),
            ("[[route]]\nname = \"a\"\ntrigger = \"image\"\n", ["dokuei.toml:3", "instance", "study"]),
        ] {
            let report = check(text).unwrap_err();
            for word in words {
                assert!(report.contains(word), "{word} is not in\n{report}");
            }
        }
    }

    #[test]
    fn no_report_shows_a_passcode() {
        let user = "[[user]]\nname = \"a\"\npasscode = \"sécret\"\n";
        let report = check(user).unwrap_err();
        assert!(report.contains("name = \"a\"") && !report.contains("cret"), "{report}");
        let report = check("[[user]]\nname = \"a\"\npasscode = 4711\n").unwrap_err();
        assert!(report.contains("dokuei.toml:3") && !report.contains("4711"), "{report}");
        let report = check("user = [{ name = \"a\", passcode = \"secret\" }]\nnode = 7\n").unwrap_err();
        assert!(!report.contains("secret"), "{report}");
    }

    /// The sections, and how a text with only an unknown key in each begins.
    const SECTIONS: [(&str, &str); 15] = [
        ("node", "[node]"),
        ("http", "[http]"),
        ("results", "[results]"),
        ("limits", "[limits]"),
        ("retention", "[retention]"),
        ("rules", "[rules]"),
        ("audit", "[audit]"),
        ("tls", "[tls]"),
        ("peer", "[[peer]]"),
        ("user", "[[user]]"),
        ("destination", "[[destination]]"),
        ("destination.tls", "[[destination]]\n[destination.tls]"),
        ("model", "[[model]]"),
        ("model.finding.NAME", "[[model]]\npath = \"p\"\n[model.finding.f]"),
        ("route", "[[route]]"),
    ];

    /// Each key the parser says it expects, by what it says of one it does not know.
    fn keys(begin: &str) -> Vec<String> {
        let text = format!("{begin}\nno_such_key = 1\n");
        let error = toml::from_str::<Config>(&text).unwrap_err();
        let (_, expected) = error.message().split_once("expected ").unwrap();
        expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn the_example_holds_the_defaults_and_names_every_key_as_the_reference_does() {
        let example = include_str!("../../../../config/dokuei.toml");
        let reference = include_str!("../../../../docs/config.md");
        let config = check(example).unwrap().config;
        let defaults = Config::default();
        assert_eq!(format!("{:?}", config.node), format!("{:?}", defaults.node));
        assert_eq!(format!("{:?}", config.rules), format!("{:?}", defaults.rules));
        assert_eq!(format!("{:?}", config.results), format!("{:?}", defaults.results));
        assert_eq!(format!("{:?}", config.limits), format!("{:?}", defaults.limits));
        for (section, begin) in SECTIONS {
            let keys = keys(begin);
            assert!(!keys.is_empty(), "{section}");
            for key in keys {
                assert!(example.contains(&key), "config/dokuei.toml does not name {key} of {section}");
                assert!(reference.contains(&key), "docs/config.md does not name {key} of {section}");
            }
        }
    }
}
