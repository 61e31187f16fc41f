//! The audit trail: what happened to every instance and association, when, for those who have to answer for it later.
//!
//! What happens to instances comes from the store's journal, which changes together with what it tells of; what happens
//! around them comes by a bounded queue. One thread writes both, so that nobody waits for it and no C-STORE fails of it.

pub(crate) mod export;
mod file;
mod identifiers;
mod message;
mod repository;
mod syslog;
mod trail;
mod what;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;

use dokuei_dimse::{AssociationObserver, Happened, Observed};
use dokuei_store::Store;
use dokuei_types::ByteSize;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

pub(crate) use identifiers::Identifiers;

use self::repository::{Destinations, Repository, host};
use self::syslog::Transport;
use self::trail::Trail;
pub(crate) use self::what::{What, words};
use crate::config::{Address, Destination};

/// Events that wait to be written; further ones are counted and dropped.
const QUEUE_MAX: usize = 8_192;

/// `[audit]`: whether there is a trail, and where.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// The file, a JSON object a line; from the data folder. None: no trail.
    pub(crate) file: Option<PathBuf>,
    /// How UIDs are written.
    pub(crate) identifiers: Identifiers,
    /// Size at which the file is put aside and another one begun.
    pub(crate) rotate_at: ByteSize,
    /// Host and port of an audit repository. None: it is told nothing.
    pub(crate) syslog: Option<Address>,
    /// What carries the messages there.
    pub(crate) syslog_transport: Transport,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            file: None,
            identifiers: Identifiers::Hashed,
            rotate_at: ByteSize(64 << 20),
            syslog: None,
            syslog_transport: Transport::Udp,
        }
    }
}

impl Config {
    /// Whether there is a trail at all.
    pub(crate) fn is_on(&self) -> bool {
        self.file.is_some() || self.syslog.is_some()
    }
}

/// Something that happened around the instances.
pub(crate) struct Event {
    at: Timestamp,
    what: What,
    fields: Map<String, Value>,
}

enum Message {
    Event(Event),
    Stop,
}

/// Takes events for the trail; without one they go nowhere.
#[derive(Debug, Clone, Default)]
pub(crate) struct Audit {
    queue: Option<SyncSender<Message>>,
    lost: Arc<AtomicU64>,
    destinations: Destinations,
}

/// The thread that writes the trail.
#[derive(Default)]
pub(crate) struct Auditor {
    audit: Audit,
    thread: Option<JoinHandle<()>>,
}

impl Auditor {
    /// Opens the trail and begins to write it, where the site wants one.
    ///
    /// # Errors
    /// The file or the key cannot be opened, or the thread cannot be started.
    pub(crate) fn start(config: &Config, node: &str, store: &Store) -> io::Result<Self> {
        if !config.is_on() {
            return Ok(Self::default());
        }
        let (queue, events) = sync_channel(QUEUE_MAX);
        let audit = Audit { queue: Some(queue), lost: Arc::default(), destinations: Destinations::default() };
        let reader = store.reader().clone();
        let repository = Repository::start(config, node, reader, Arc::clone(&audit.destinations))?;
        let trail = Trail::open(config, node, store.clone(), repository, Arc::clone(&audit.lost))?;
        let thread = std::thread::Builder::new().name("audit".into()).spawn(move || trail.write(&events))?;
        audit.record(What::Started, json!({ "version": env!("CARGO_PKG_VERSION") }));
        Ok(Self { audit, thread: Some(thread) })
    }

    /// What takes events.
    pub(crate) fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Writes what is left and ends; the store has to be open still.
    pub(crate) fn stop(self) {
        self.audit.record(What::Stopped, json!({}));
        if let Some(queue) = &self.audit.queue {
            // It fails where the thread is gone, which has said why.
            drop(queue.send(Message::Stop));
        }
        if self.thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the audit thread had panicked");
        }
    }
}

impl Audit {
    /// Hands an event over with its fields, an object; never waits.
    pub(crate) fn record(&self, what: What, fields: Value) {
        let Some(queue) = &self.queue else { return };
        let fields = match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        if queue.try_send(Message::Event(Event { at: Timestamp::now(), what, fields })).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes note of where things are sent to.
    pub(crate) fn know<'a>(&self, destinations: impl Iterator<Item = &'a Destination>) {
        let known: BTreeMap<_, _> =
            destinations.map(|to| (to.name.clone(), (to.ae_title.to_string(), host(to.address.as_str())))).collect();
        *self.destinations.lock().unwrap_or_else(PoisonError::into_inner) = known;
    }

    /// As what the listener tells; `None` where there is no trail.
    pub(crate) fn observer(&self) -> Option<Arc<dyn AssociationObserver>> {
        self.queue.is_some().then(|| Arc::new(self.clone()) as _)
    }
}

impl AssociationObserver for Audit {
    fn observe(&self, association: &Observed<'_>) {
        let Observed { association, peer, calling_ae, called_ae, what } = association;
        let mut fields = json!({
            "association": association, "peer": peer.to_string(), "calling_ae": calling_ae, "called_ae": called_ae
        });
        let what = match what {
            Happened::Opened => What::AssociationOpened,
            Happened::Closed => What::AssociationClosed,
            Happened::Refused(why) => {
                fields["why"] = json!(why);
                What::AssociationRefused
            }
        };
        self.record(what, fields);
    }
}
