//! `dokuei audit`: the lines of the trail, those that were put aside too, as they were written.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::Value;

use super::identifiers::Writing;
use crate::args::AuditExport;
use crate::config;
use crate::outcome::{Failure, line, say};

pub(crate) fn run(arguments: &AuditExport) -> Result<(), Failure> {
    let config = config::load(arguments.config.as_deref())?.config;
    let Some(file) = &config.audit.file else {
        return Err(Failure::work("this configuration keeps no audit trail").help("name its file as [audit] file"));
    };
    let path = config.node.data_dir.join(file);
    let unreadable = |error: io::Error| Failure::because(&format!("read the audit trail {}", path.display()), &error);
    let wanted = Wanted::new(arguments, &config.node.data_dir).map_err(unreadable)?;
    let (mut broken, mut found): (u64, u64) = (0, 0);
    each_line(&path, |text| match serde_json::from_slice::<Value>(text) {
        Ok(value) if wanted.takes(&value) => {
            found = found.saturating_add(1);
            line(String::from_utf8_lossy(text));
        }
        Ok(_) => {}
        Err(_) => broken = broken.saturating_add(1),
    })
    .map_err(unreadable)?;
    if found == 0 {
        say("the trail has no such line");
    }
    if broken > 0 {
        say(format!("{broken} lines are not whole, as a power cut leaves one: left out"));
    }
    Ok(())
}

/// Which lines.
struct Wanted {
    /// UIDs in every way that the trail may have them; none: of all instances.
    uids: Vec<String>,
    numbers: Vec<i64>,
    events: Vec<String>,
    since: Option<i64>,
    until: Option<i64>,
}

impl Wanted {
    fn new(arguments: &AuditExport, data_dir: &Path) -> io::Result<Self> {
        // Plain or hashed: a site may have changed its mind.
        let hashing = Writing::hashing(data_dir)?;
        let spelt = |uid: &String| [Some(uid.clone()), hashing.as_ref().map(|hashing| hashing.write(uid))];
        let (numbers, uids): (Vec<_>, Vec<_>) = arguments.ids.iter().partition(|id| id.parse::<i64>().is_ok());
        Ok(Self {
            uids: uids.into_iter().flat_map(spelt).flatten().collect(),
            numbers: numbers.into_iter().filter_map(|number| number.parse().ok()).collect(),
            events: arguments.event.clone(),
            since: arguments.since.map(|moment| moment.ms()),
            until: arguments.until.map(|moment| moment.ms()),
        })
    }

    fn takes(&self, line: &Value) -> bool {
        let text = |name: &str| line.get(name).and_then(Value::as_str);
        let is_uid = |name: &str| text(name).is_some_and(|uid| self.uids.iter().any(|wanted| wanted == uid));
        let is_number = || line.get("number").and_then(Value::as_i64).is_some_and(|it| self.numbers.contains(&it));
        let at = || text("time").and_then(|time| time.parse::<Timestamp>().ok()).map(Timestamp::as_millisecond);
        let is_in_time = || {
            at().is_some_and(|at| {
                self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until)
            })
        };
        (self.uids.is_empty() && self.numbers.is_empty() || is_uid("instance") || is_uid("study") || is_number())
            && (self.events.is_empty() || text("event").is_some_and(|event| self.events.iter().any(|it| it == event)))
            && (self.since.is_none() && self.until.is_none() || is_in_time())
    }
}

/// The lines of the trail at `path`, oldest first.
fn each_line(path: &Path, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let (aside, current) = loop {
        let before = put_aside(path)?;
        let current = File::open(path)?;
        // Else the file was put aside in between, and the one that is open has followed it.
        if put_aside(path)? == before {
            break (before, current);
        }
    };
    let aside = aside.iter().map(File::open);
    for file in aside.chain([Ok(current)]) {
        let mut file = BufReader::new(file?);
        let mut text = Vec::new();
        while file.read_until(b'\n', &mut text)? > 0 {
            take(text.trim_ascii_end());
            text.clear();
        }
    }
    Ok(())
}

/// The files that were put aside, by their times.
fn put_aside(path: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned() + ".";
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?.path();
        let other = entry.file_name().unwrap_or_default().to_string_lossy();
        if other.strip_prefix(&name).is_some_and(|time| time.ends_with('Z')) {
            found.insert(entry);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_put_aside_come_first_and_by_their_times() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        for (name, text) in [
            ("audit.jsonl", "4\n"),
            ("audit.jsonl.20260102T000000000Z", "2\n3\n"),
            ("audit.jsonl.20260101T000000000Z", "1\n"),
            ("audit.jsonl.copy", "9\n"),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let mut lines = Vec::new();
        each_line(&path, |text| lines.push(String::from_utf8_lossy(text).into_owned())).unwrap();
        assert_eq!(lines, ["1", "2", "3", "4"]);
    }
}
