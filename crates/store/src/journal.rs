//! What happens to instances, in the order in which the index hears of it: for an audit trail that another thread writes.
//!
//! Triggers of the index add the entries, in the transactions that change what they tell of, whoever makes those: nothing
//! is told that did not happen, nothing happens untold, and a node without an audit trail does none of it. Whoever has
//! taken the entries over has them forgotten. Reasons and attributes are left out: they may hold what names a patient.

use dokuei_types::InstanceId;
use rusqlite::{Connection, Row, params};

use crate::error::StoreError;
use crate::read::StoreReader;

pub(crate) const TABLE: &str = "
CREATE TABLE IF NOT EXISTS journal (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    what TEXT NOT NULL,
    instance INTEGER NOT NULL,
    detail TEXT NOT NULL
);
";

const TRIGGERS: [(&str, &str); 10] = [
    (
        "journal_received",
        "AFTER INSERT ON instance BEGIN
         INSERT INTO journal (at, what, instance, detail) VALUES (NEW.received_at, 'received', NEW.id,
            json_object('calling_ae', NEW.calling_ae, 'called_ae', NEW.called_ae, 'peer', NEW.peer,
                        'bytes', NEW.size_bytes, 'outcome', iif(NEW.version = 1, 'new', 'superseded'))); END",
    ),
    (
        "journal_received_again",
        "AFTER INSERT ON arrival BEGIN
         INSERT INTO journal (at, what, instance, detail) VALUES (NEW.at, 'received', NEW.instance,
            json_object('calling_ae', NEW.calling_ae, 'called_ae', NEW.called_ae, 'peer', NEW.peer,
                        'bytes', (SELECT size_bytes FROM instance WHERE id = NEW.instance), 'outcome', NEW.outcome)); END",
    ),
    ("journal_decided", "AFTER INSERT ON decision BEGIN DECIDED; END"),
    ("journal_decided_again", "AFTER UPDATE ON decision BEGIN DECIDED; END"),
    (
        "journal_task",
        "AFTER UPDATE OF state ON task WHEN NEW.state <> 'open' AND NEW.state <> OLD.state BEGIN
         INSERT INTO journal (at, what, instance, detail) VALUES (coalesce(NEW.finished_at, NOW),
            CASE NEW.state WHEN 'reported' THEN 'analysed' WHEN 'failed' THEN 'analysis_failed' ELSE NEW.state END,
            NEW.instance, json_object('route', NEW.route, 'model', NEW.model,
                                      'kind', iif(NEW.state = 'declined' AND json_valid(NEW.reason), json_extract(NEW.reason, '$.kind'), NULL))); END",
    ),
    (
        "journal_result",
        "AFTER INSERT ON result BEGIN
         INSERT INTO journal (at, what, instance, detail) VALUES (NEW.made_at, 'result', NEW.instance,
            json_object('model', NEW.model, 'version', NEW.version, 'weights', NEW.weights)); END",
    ),
    (
        "journal_delivery",
        "AFTER UPDATE OF state ON delivery
         WHEN (OLD.state = 1 AND NEW.state IN (2, 4)) OR (OLD.state <> 3 AND NEW.state = 3)
           OR (OLD.state = 4 AND ((NEW.state = 0 AND NEW.stored_at IS NOT NULL) OR NEW.confirmed_at IS NOT NULL)) BEGIN
         INSERT INTO journal (at, what, instance, detail) VALUES (
            CASE WHEN OLD.state = 1 AND NEW.state <> 3 THEN NEW.stored_at ELSE coalesce(NEW.confirmed_at, NOW) END,
            CASE WHEN NEW.state = 3 THEN 'given_up' WHEN OLD.state = 1 THEN 'sent'
                 WHEN NEW.state = 0 THEN 'missing' ELSE 'confirmed' END, NEW.instance,
            json_object('destination', NEW.destination, 'role', NEW.role, 'sop_class', NEW.sop_class, 'attempts', NEW.attempts,
                        'status', iif(NEW.status IS NULL, NULL, printf('%04X', NEW.status)))); END",
    ),
    (
        "journal_moved",
        "AFTER UPDATE OF state ON delivery WHEN NEW.state = 5 AND OLD.state <> 5 BEGIN
         INSERT INTO journal (at, what, instance, detail) VALUES (NOW, 'moved', NEW.instance,
            json_object('destination', NEW.destination, 'to', NEW.moved_to, 'role', NEW.role, 'attempts', NEW.attempts)); END",
    ),
    (
        "journal_removed",
        "AFTER UPDATE OF removed_at ON instance WHEN NEW.removed_at IS NOT NULL AND OLD.removed_at IS NULL BEGIN
         INSERT INTO journal (at, what, instance, detail) VALUES (NEW.removed_at, 'removed', NEW.id,
            json_object('why', NEW.removed_why)); END",
    ),
    (
        "journal_withdrawn",
        "AFTER INSERT ON object WHEN NEW.role = 'rejection' BEGIN
         INSERT INTO journal (at, what, instance, detail)
         SELECT NOW, 'withdrawn', instance, json_object('model', model, 'version', version)
         FROM result WHERE id = NEW.result; END",
    ),
];

const DECIDED: &str = "
INSERT INTO journal (at, what, instance, detail) VALUES (NEW.at, 'decided', NEW.instance,
    json_object('routes', json((SELECT json_group_array(json_extract(value, '$.route')) FROM json_each(NEW.trace)
                                WHERE json_extract(value, '$.matched'))),
                'kind', json_extract(NEW.declined, '$.kind')))";

/// Milliseconds since 1970 of the machine's clock, where a row says no time.
const NOW: &str = "CAST(unixepoch('subsec') * 1000 AS INTEGER)";

/// The words for what happens to an instance.
pub const JOURNAL_WORDS: [&str; 13] = [
    "received",
    "decided",
    "analysed",
    "declined",
    "analysis_failed",
    "result",
    "sent",
    "confirmed",
    "missing",
    "given_up",
    "moved",
    "removed",
    "withdrawn",
];

/// Something that happened to an instance.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalEntry {
    /// Its number, given once.
    pub id: i64,
    /// When, milliseconds since 1970.
    pub at: i64,
    /// One of [`JOURNAL_WORDS`].
    pub what: String,
    /// To which.
    pub instance: InstanceId,
    /// Its SOP Instance UID.
    pub sop_instance: String,
    /// Its SOP Class UID.
    pub sop_class: String,
    /// Its Study Instance UID.
    pub study: Option<String>,
    /// What belongs to it, by name.
    pub detail: serde_json::Value,
}

/// Begins or ends to keep the journal.
pub(crate) fn keep(conn: &Connection, keep: bool) -> rusqlite::Result<()> {
    let tx = conn.unchecked_transaction()?;
    tx.execute_batch(TABLE)?;
    for (name, body) in TRIGGERS {
        // Written anew each time: another version of the program may tell more.
        tx.execute_batch(&format!("DROP TRIGGER IF EXISTS {name}"))?;
        if keep {
            let body = body.replace("DECIDED", DECIDED).replace("NOW", NOW);
            tx.execute_batch(&format!("CREATE TRIGGER {name} {body}"))?;
        }
    }
    if !keep {
        tx.execute_batch("DELETE FROM journal")?;
    }
    tx.commit()
}

impl StoreReader {
    /// The next entries of the journal after number `after`, ascending.
    ///
    /// # Errors
    /// What the index says.
    pub fn journal(&self, after: i64, limit: usize) -> Result<Vec<JournalEntry>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.with("read the journal", |conn| {
            conn.prepare_cached(
                "SELECT journal.id, at, what, instance, coalesce(sop_instance, ''), coalesce(sop_class, ''), study, detail
                 FROM journal LEFT JOIN instance ON instance.id = journal.instance
                 WHERE journal.id > ?1 ORDER BY journal.id LIMIT ?2",
            )?
            .query_map(params![after, limit], entry)?
            .collect()
        })
    }

    /// The number of the newest entry of the journal; 0 while it is empty.
    ///
    /// # Errors
    /// What the index says.
    pub fn newest_entry(&self) -> Result<i64, StoreError> {
        self.with("read the journal", |conn| {
            conn.query_row("SELECT coalesce(max(id), 0) FROM journal", [], |row| row.get(0))
        })
    }
}

/// Forgets the entries up to number `up_to`.
pub(crate) fn forget(conn: &Connection, up_to: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM journal WHERE id <= ?1")?.execute([up_to]).map(drop)
}

fn entry(row: &Row<'_>) -> rusqlite::Result<JournalEntry> {
    Ok(JournalEntry {
        id: row.get(0)?,
        at: row.get(1)?,
        what: row.get(2)?,
        instance: InstanceId(row.get(3)?),
        sop_instance: row.get(4)?,
        sop_class: row.get(5)?,
        study: row.get(6)?,
        detail: serde_json::from_str(&row.get::<_, String>(7)?).unwrap_or_default(),
    })
}
