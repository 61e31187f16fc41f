use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use dokuei_store::{JournalEntry, Store, StoreError, receive_first};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::file::TrailFile;
use super::identifiers::Writing;
use super::repository::Repository;
use super::{Config, Event, Message, QUEUE_MAX, What};
use crate::send::words;

/// Longest time from an event to its line on stable storage, but for a disk that is slow or a burst of instances.
const ROUND: Duration = Duration::from_secs(1);
/// Entries of the journal written at a time.
const PAGE: usize = 2_000;
/// Entries that wait in the journal while the file cannot be written; beyond it the oldest are counted and dropped.
const WAITING_MAX: i64 = 1_000_000;

/// Writes the trail.
pub(super) struct Trail {
    store: Store,
    file: Option<TrailFile>,
    repository: Option<Repository>,
    writing: Writing,
    node: String,
    /// The last entry of the journal that is in the file.
    written: i64,
    /// The last one that the journal is rid of.
    forgotten: i64,
    events: VecDeque<Event>,
    /// What was not written, here and at the queue.
    lost: Arc<AtomicU64>,
    failing: bool,
}

/// Why a round came to nothing.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error("write the audit trail")]
    File(#[from] io::Error),
    #[error("read the journal")]
    Store(#[from] StoreError),
}

impl Trail {
    pub(super) fn open(
        config: &Config,
        node: &str,
        store: Store,
        repository: Option<Repository>,
        lost: Arc<AtomicU64>,
    ) -> io::Result<Self> {
        let data_dir = store.reader().data_dir();
        let writing = Writing::open(config.identifiers, data_dir)?;
        let open = |path| TrailFile::open(&data_dir.join(path), config.rotate_at.0);
        let mut file = config.file.as_ref().map(open).transpose()?;
        let written = file.as_mut().map(TrailFile::last_entry).transpose()?.unwrap_or_default();
        let (node, events) = (node.to_owned(), VecDeque::new());
        Ok(Self { store, file, repository, writing, node, written, forgotten: 0, events, lost, failing: false })
    }

    /// Until it is told to stop.
    pub(super) fn write(mut self, queue: &Receiver<Message>) {
        receive_first();
        loop {
            let stop = self.gather(queue);
            match self.round() {
                Ok(()) if self.failing => {
                    self.failing = false;
                    tracing::info!("the audit trail is written again");
                }
                Ok(()) => {}
                Err(error) => self.failed(&error),
            }
            if stop {
                break;
            }
        }
        if let Some(repository) = self.repository {
            repository.stop();
        }
    }

    /// Takes what is in the queue, after waiting for the first; whether to stop.
    fn gather(&mut self, queue: &Receiver<Message>) -> bool {
        let mut next = queue.recv_timeout(ROUND);
        loop {
            match next {
                Ok(Message::Event(event)) if self.events.len() < QUEUE_MAX => self.events.push_back(event),
                Ok(Message::Event(_)) => {
                    self.lost.fetch_add(1, Ordering::Relaxed);
                }
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
            }
            next = queue.try_recv().map_err(|_| RecvTimeoutError::Timeout);
        }
    }

    /// Writes all there is: what is left of the run before comes before the start, and the end of this one last.
    fn round(&mut self) -> Result<(), RoundError> {
        self.write_journal()?;
        self.write_events()?;
        Ok(())
    }

    fn write_journal(&mut self) -> Result<(), RoundError> {
        loop {
            let page = self.store.reader().journal(self.written, PAGE)?;
            // What is written must not be what a power cut takes out of the index.
            if self.forgotten < self.written || !page.is_empty() {
                self.store.forget_journal(self.written)?;
                self.forgotten = self.written;
            }
            let Some(last) = page.last() else { return Ok(()) };
            let lines: String = page.iter().map(|entry| self.entry(entry)).collect();
            self.append(&lines)?;
            if let Some(repository) = &mut self.repository {
                repository.entries(&page);
            }
            self.written = last.id;
            // Each page costs the index a flush: while many instances arrive, one a round.
            if self.store.is_burst() {
                return Ok(());
            }
        }
    }

    fn write_events(&mut self) -> io::Result<()> {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let mut lines: String = self.events.iter().map(|event| self.line(event)).collect();
        if lost > 0 {
            let fields = Map::from_iter([("count".to_owned(), json!(lost))]);
            lines.push_str(&self.line(&Event { at: Timestamp::now(), what: What::Lost, fields }));
        }
        if let Err(error) = self.append(&lines) {
            self.lost.fetch_add(lost, Ordering::Relaxed);
            return Err(error);
        }
        for event in self.events.drain(..) {
            if let Some(repository) = &mut self.repository {
                repository.event(&event);
            }
        }
        Ok(())
    }

    fn append(&mut self, lines: &str) -> io::Result<()> {
        let Some(file) = self.file.as_mut().filter(|_| !lines.is_empty()) else { return Ok(()) };
        if !file.is_full() {
            return file.append(lines);
        }
        let previous = file.rotate(Timestamp::now())?;
        // So that the file says how far the journal is in it, as every other does.
        let previous = previous.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let fields = [("previous".to_owned(), json!(previous)), ("entry".to_owned(), json!(self.written))];
        let begin = Event { at: Timestamp::now(), what: What::Continued, fields: Map::from_iter(fields) };
        let lines = self.line(&begin) + lines;
        self.file.as_mut().map_or(Ok(()), |file| file.append(&lines))
    }

    fn failed(&mut self, error: &RoundError) {
        if !self.failing {
            self.failing = true;
            tracing::error!(error = words(error), "the audit trail is not written; it is tried again every second");
        }
        let dropped = self.store.reader().newest_entry().map(|newest| newest - WAITING_MAX - self.written);
        if let Ok(dropped @ 1..) = dropped {
            self.written = self.written.saturating_add(dropped);
            self.lost.fetch_add(dropped.unsigned_abs(), Ordering::Relaxed);
            drop(self.store.forget_journal(self.written));
        }
    }

    fn line(&self, event: &Event) -> String {
        let mut line = self.begin(event.at, event.what.as_str());
        line.extend(event.fields.clone());
        format!("{}\n", Value::Object(line))
    }

    fn entry(&self, entry: &JournalEntry) -> String {
        let at = Timestamp::from_millisecond(entry.at).unwrap_or_default();
        let mut line = self.begin(at, &entry.what);
        line.insert("entry".into(), json!(entry.id));
        line.insert("number".into(), json!(entry.instance));
        line.insert("instance".into(), json!(self.writing.write(&entry.sop_instance)));
        line.insert("study".into(), json!(entry.study.as_deref().map(|study| self.writing.write(study))));
        line.insert("sop_class".into(), json!(entry.sop_class));
        if let Value::Object(detail) = &entry.detail {
            line.extend(
                detail.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.clone(), value.clone())),
            );
        }
        format!("{}\n", Value::Object(line))
    }

    fn begin(&self, at: Timestamp, what: &str) -> Map<String, Value> {
        let fields = [
            ("time", at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()),
            ("node", self.node.clone()),
            ("event", what.to_owned()),
        ];
        fields.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dokuei_store::StoreConfig;
    use std::path::{Path, PathBuf};

    fn open(folder: &Path, rotate_at: u64) -> Trail {
        let store = StoreConfig { disk_free_min: 0, journal: true, ..StoreConfig::new(folder) };
        let mut config = Config { file: Some(PathBuf::from("audit.jsonl")), ..Config::default() };
        config.rotate_at.0 = rotate_at;
        Trail::open(&config, "NODE", Store::open(store).unwrap(), None, Arc::default()).unwrap()
    }

    fn event(what: What) -> Event {
        Event { at: Timestamp::UNIX_EPOCH, what, fields: Map::new() }
    }

    fn lines(path: &Path) -> Vec<Value> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn what_cannot_be_written_waits_and_what_is_lost_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let mut trail = open(folder.path(), 1 << 20);
        trail.events.push_back(event(What::Started));
        let good = trail.file.replace(TrailFile::unwritable(&path).unwrap());
        let error = trail.round().unwrap_err();
        trail.failed(&error);
        assert!(trail.failing && trail.events.len() == 1);
        trail.file = good;
        trail.lost.store(3, Ordering::Relaxed);
        trail.round().unwrap();
        let lines = lines(&path);
        assert_eq!(lines[0], json!({ "time": "1970-01-01T00:00:00.000Z", "node": "NODE", "event": "started" }));
        assert_eq!((&lines[1]["event"], &lines[1]["count"]), (&json!("lost"), &json!(3)));
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn a_file_that_is_full_is_followed_by_one_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut trail = open(folder.path(), 1);
        for what in [What::Started, What::Stopped] {
            trail.events.push_back(event(what));
            trail.round().unwrap();
        }
        let now = lines(&folder.path().join("audit.jsonl"));
        assert_eq!((&now[0]["event"], &now[1]["event"]), (&json!("continued"), &json!("stopped")));
        let before = folder.path().join(now[0]["previous"].as_str().unwrap());
        assert_eq!(lines(&before)[0]["event"], "started");
    }
}
