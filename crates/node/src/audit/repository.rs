use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use dicom_dictionary_std::tags;
use dokuei_dataset::{FileSection, Limits, read_header};
use dokuei_store::{JournalEntry, ORIGINAL, StoreReader};
use dokuei_types::InstanceId;
use jiff::Timestamp;
use serde_json::Value;

use super::message::{Outcome, Peer, Reporter, Transfer};
use super::syslog::{Syslog, framed};
use super::{Config, Event, What};

/// AE title and host of the destinations, by name.
pub(super) type Destinations = Arc<Mutex<BTreeMap<String, (String, String)>>>;

/// An audit repository, which is told what PS3.15 A.5.3 has messages for.
pub(super) struct Repository {
    syslog: Syslog,
    reporter: Reporter,
    destinations: Destinations,
    reader: StoreReader,
}

/// What makes one message: whether it came, from or to whom, of which study, how it ended, whether it was there.
type Group = (bool, Peer, String, &'static str, bool);

impl Repository {
    pub(super) fn start(
        config: &Config,
        node: &str,
        reader: StoreReader,
        destinations: Destinations,
    ) -> io::Result<Option<Self>> {
        let Some(address) = &config.syslog else { return Ok(None) };
        let syslog = Syslog::start(address.clone(), config.syslog_transport)?;
        let reporter = Reporter { ae_title: node.to_owned(), process: format!("dokuei {}", std::process::id()) };
        Ok(Some(Self { syslog, reporter, destinations, reader }))
    }

    /// Tells what happened around the instances.
    pub(super) fn event(&mut self, event: &Event) {
        let text = |name: &str| event.fields.get(name).and_then(Value::as_str).unwrap_or_default();
        let (outcome, message) = match event.what {
            What::Started => (Outcome::Success, self.reporter.activity(event.at, true)),
            What::Stopped => (Outcome::Success, self.reporter.activity(event.at, false)),
            What::AssociationRefused => {
                let peer = Peer { ae_title: text("calling_ae").to_owned(), host: host(text("peer")) };
                (Outcome::MinorFailure, self.reporter.refusal(event.at, &peer))
            }
            _ => return,
        };
        self.syslog.send(framed(&self.reporter, event.at, outcome, &message));
    }

    /// Tells what came and what was sent, a message for each study and peer.
    pub(super) fn entries(&mut self, entries: &[JournalEntry]) {
        for (transfer, first) in transfers(entries, &self.destinations) {
            let patient_id = self.patient_id(first).unwrap_or_default();
            let transfer = Transfer { patient_id, ..transfer };
            let message = self.reporter.transfer(&transfer);
            self.syslog.send(framed(&self.reporter, transfer.at, transfer.outcome, &message));
        }
    }

    pub(super) fn stop(self) {
        self.syslog.stop();
    }

    /// Patient ID (0010,0020), which the index does not hold.
    fn patient_id(&self, instance: InstanceId) -> Option<String> {
        let stored = self.reader.instance(instance).ok()??;
        let file = FileSection::new(stored.file.open().ok()?, stored.file.offset, stored.file.length);
        let header = read_header(&file, stored.data_set_offset, &stored.transfer_syntax, &Limits::default()).ok()?;
        header.dataset.text(tags::PATIENT_ID)
    }
}

/// What was transferred, with the first instance of each.
fn transfers(entries: &[JournalEntry], destinations: &Destinations) -> Vec<(Transfer, InstanceId)> {
    let destinations = destinations.lock().unwrap_or_else(PoisonError::into_inner);
    let mut groups: BTreeMap<Group, (Transfer, InstanceId)> = BTreeMap::new();
    for entry in entries {
        let text = |name: &str| entry.detail.get(name).and_then(Value::as_str).unwrap_or_default();
        let (received, peer, outcome, known) = match entry.what.as_str() {
            "received" => {
                let peer = Peer { ae_title: text("calling_ae").to_owned(), host: host(text("peer")) };
                let outcome = if text("outcome") == "refused" { Outcome::MinorFailure } else { Outcome::Success };
                (true, peer, outcome, text("outcome") == "duplicate")
            }
            // Whether the receiver had it, nobody here knows.
            "sent" | "given_up" => {
                let name = text("destination");
                let (ae_title, host) =
                    destinations.get(name).cloned().unwrap_or_else(|| (String::new(), name.to_owned()));
                let outcome = if entry.what == "sent" { Outcome::Success } else { Outcome::SeriousFailure };
                (false, Peer { ae_title, host }, outcome, true)
            }
            _ => continue,
        };
        let class = match text("sop_class") {
            "" if received || text("role") == ORIGINAL => entry.sop_class.clone(),
            class => class.to_owned(),
        };
        let study = entry.study.clone().unwrap_or_default();
        let at = Timestamp::from_millisecond(entry.at).unwrap_or_default();
        let group = (received, peer.clone(), study.clone(), outcome.indicator(), known);
        let (transfer, _) = match groups.entry(group) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => {
                let (patient_id, sop_classes) = (String::new(), BTreeMap::new());
                let transfer = Transfer { at, peer, received, known, outcome, study, patient_id, sop_classes };
                free.insert((transfer, entry.instance))
            }
        };
        transfer.at = transfer.at.max(at);
        let count = transfer.sop_classes.entry(class).or_default();
        *count = count.saturating_add(1);
    }
    groups.into_values().collect()
}

/// The host of an address with its port.
pub(super) fn host(address: &str) -> String {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(what: &str, instance: i64, study: &str, detail: Value) -> JournalEntry {
        JournalEntry {
            id: instance,
            at: instance,
            what: what.into(),
            instance: InstanceId(instance),
            sop_instance: String::new(),
            sop_class: "1.2.1".into(),
            study: Some(study.into()),
            detail,
        }
    }

    #[test]
    fn what_goes_together_is_one_transfer() {
        let came = |outcome: &str| json!({ "calling_ae": "CT", "peer": "10.0.0.7:5000", "outcome": outcome });
        let sent = |role: &str| json!({ "destination": "pacs", "role": role, "sop_class": "1.9" });
        let entries = [
            entry("received", 1, "1.2.3", came("new")),
            entry("decided", 1, "1.2.3", json!({})),
            entry("received", 2, "1.2.3", came("new")),
            entry("received", 2, "1.2.3", came("duplicate")),
            entry("received", 3, "1.2.4", came("new")),
            entry("sent", 1, "1.2.3", sent("sr")),
            entry("given_up", 2, "1.2.3", json!({ "destination": "gone", "role": "original" })),
        ];
        let destinations = Destinations::default();
        destinations.lock().unwrap().insert("pacs".into(), ("PACS".into(), "pacs.example".into()));
        let said: Vec<String> = transfers(&entries, &destinations)
            .into_iter()
            .map(|(transfer, first)| {
                let Transfer { at, peer, received, known, outcome, study, sop_classes, .. } = transfer;
                let at = at.as_millisecond();
                format!(
                    "{received} {}@{} {study} {outcome:?} {known} {at} {first} {sop_classes:?}",
                    peer.ae_title, peer.host
                )
            })
            .collect();
        assert_eq!(
            said,
            [
                "false @gone 1.2.3 SeriousFailure true 2 2 {\"1.2.1\": 1}",
                "false PACS@pacs.example 1.2.3 Success true 1 1 {\"1.9\": 1}",
                "true CT@10.0.0.7 1.2.3 Success false 2 1 {\"1.2.1\": 2}",
                "true CT@10.0.0.7 1.2.3 Success true 2 2 {\"1.2.1\": 1}",
                "true CT@10.0.0.7 1.2.4 Success false 3 3 {\"1.2.1\": 1}",
            ]
        );
    }

    #[test]
    fn hosts_are_without_their_port() {
        assert_eq!(host("10.0.0.7:104"), "10.0.0.7");
        assert_eq!(host("[::1]:104"), "::1");
        assert_eq!(host("pacs.example:104"), "pacs.example");
    }
}
