use std::path::{Path, PathBuf};

use dokuei_types::{End, InstanceId, Uid};
use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

use crate::again;
use crate::change::Changes;
use crate::config::VersionPolicy;
use crate::disk::RealDisk;
use crate::ends;
use crate::error::StoreError;
use crate::folder::Folders;
use crate::incoming::{Arrival, IndexEntry};
use crate::integrity::Integrity;
use crate::job;
use crate::log::{Digest, HEAD, Place, relative};
use crate::number::signed;
use crate::prior;
use crate::read::StoredInstance;
use crate::replace;
use crate::seal::Seal;
use crate::stored_file::StoredFile;
use crate::totals::Occurrence;
use crate::writer::Tx;

/// Proof that an instance is durable. Only the store makes one, and a success response needs one.
#[derive(Debug)]
pub struct Committed {
    pub(crate) sop_instance: Uid,
    pub(crate) record: RecordId,
}

/// Where the record of an arrival begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordId {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
}

impl RecordId {
    pub(crate) fn of(place: &Place) -> Self {
        Self { segment: place.segment().number(), offset: place.offset() }
    }

    /// As the index holds it.
    pub(crate) fn columns(self) -> (i64, i64) {
        (signed(self.segment), signed(self.offset))
    }
}

/// What an arrival was to the store, once the index has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Indexed {
    /// The instance's number in the store.
    pub instance: InstanceId,
    /// Whether it was new.
    pub kind: ArrivalKind,
}

/// What an arrival was to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArrivalKind {
    /// A SOP Instance UID never seen.
    New,
    /// The same bytes again: nothing kept, nothing to do.
    Duplicate,
    /// The same bytes again, which were no longer kept: kept again, nothing to do.
    Restored,
    /// Other bytes under a known UID: kept as this version, from 2 on.
    Version(u32),
}

/// What a record tells the index.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Description {
    pub(crate) arrival: Arrival,
    /// What its sender was promised, whatever a later configuration says.
    #[serde(default)]
    pub(crate) versions: VersionPolicy,
    pub(crate) entry: IndexEntry,
    /// Milliseconds since 1970.
    pub(crate) received_at: i64,
    pub(crate) file_meta_bytes: u64,
    pub(crate) data_set_bytes: u64,
    /// Path inside the data folder of the file it lies in, when that is its own.
    pub(crate) file: Option<String>,
}

impl Description {
    /// As a record says it.
    pub(crate) fn text(&self) -> Result<Vec<u8>, StoreError> {
        serde_json::to_vec(self).map_err(|error| StoreError::Broken { what: error.to_string() })
    }

    /// What a record says.
    pub(crate) fn read(text: &[u8], record: RecordId) -> Result<Self, StoreError> {
        let RecordId { segment, offset } = record;
        serde_json::from_slice(text)
            .map_err(|error| StoreError::Broken { what: format!("record {offset} of segment {segment}: {error}") })
    }
}

/// Decides on an instance, by its row and its header, in the transaction that tells the index of it; `None` to have it
/// queued as a [`JobKind::Match`](crate::JobKind::Match) job. Runs on the writer's thread and must neither wait nor panic.
pub type Decide = dyn Fn(&StoredInstance, &[u8]) -> Option<Changes> + Send + Sync;

/// Who decides, and where instances are.
pub(crate) struct Decider {
    pub(crate) decide: Box<Decide>,
    pub(crate) data_dir: PathBuf,
}

impl Decider {
    fn decide(&self, arriving: &Arriving<'_>, id: i64, version: u32) -> Option<Changes> {
        let header = arriving.header?;
        (self.decide)(&arriving.stored(id, version, &self.data_dir), header)
    }
}

/// An instance that the index is told of.
pub(crate) struct Arriving<'a> {
    pub(crate) record: RecordId,
    pub(crate) digest: Digest,
    pub(crate) description: &'a Description,
    /// The header of the data set, when it is at hand.
    pub(crate) header: Option<&'a [u8]>,
}

/// The versions of an instance. Sorted by the caller: a cached statement with a parameter and `ORDER BY` is prepared anew
/// whenever it is used.
const KNOWN: &str = "SELECT id, version, digest = ?2, removed_at IS NOT NULL, end_kind IN ('open', 'failed'),
                            EXISTS (SELECT 1 FROM fetched WHERE fetched.instance = id)
                                OR EXISTS (SELECT 1 FROM stand_in WHERE stand_in.instance = id)
                     FROM instance WHERE sop_instance = ?1";

/// Whether the bytes of an instance that are to be kept are gone or damaged.
fn is_lost(tx: &Tx<'_>, id: i64) -> Result<bool, StoreError> {
    let Some(data_dir) = tx.conn.path().and_then(|index| Path::new(index).parent()) else { return Ok(false) };
    let file = tx
        .conn
        .prepare_cached(
            "SELECT path, begins_at, data_set_offset + size_bytes, data_set_offset, digest FROM instance WHERE id = ?1",
        )
        .and_then(|mut find| find.query_row([id], |row| StoredFile::of_row(row, data_dir)))
        .map_err(StoreError::index("look for the bytes of an instance"))?;
    let found = file.integrity(&RealDisk);
    let is_lost = matches!(found, Ok(Integrity::Damaged | Integrity::Missing));
    if is_lost {
        tracing::warn!(instance = id, path = %file.path.display(), ?found, "its bytes came again in place of lost ones");
    }
    Ok(is_lost)
}

/// A version of an instance in the index.
struct Known {
    id: i64,
    version: u32,
    /// Its bytes are those that have arrived.
    is_same: bool,
    /// Its bytes are kept no longer.
    is_removed: bool,
    /// Something is left to do for it, or was given up.
    is_unfinished: bool,
    /// This node has fetched it, and no sender has sent it.
    is_copy: bool,
}

/// What became of an arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Stored(Indexed),
    /// Other bytes under a known UID, refused.
    Refused,
}

impl Outcome {
    /// Whether its bytes are kept.
    pub(crate) fn is_kept(self) -> bool {
        matches!(self, Self::Stored(Indexed { kind, .. }) if kind != ArrivalKind::Duplicate)
    }
}

impl Arriving<'_> {
    /// Puts it into the index; the same outcome again when it is there already.
    pub(crate) fn index(&self, tx: &mut Tx<'_>) -> Result<Outcome, StoreError> {
        let known = self.known(tx)?;
        // A copy that was fetched corrects nothing.
        let replaces = self.description.versions == VersionPolicy::Replace && self.is_sent();
        // Where the last that was sent counts, what was sent before it comes as if it were new.
        let first = known.iter().rposition(|known| replaces && !known.is_copy).unwrap_or(0);
        if let Some(Known { id, is_removed, .. }) = known.iter().skip(first).find(|known| known.is_same) {
            let is_gone = *is_removed || is_lost(tx, *id)?;
            let kind = if is_gone { ArrivalKind::Restored } else { ArrivalKind::Duplicate };
            if is_gone {
                self.restore(tx, *id)?;
            }
            self.again(tx, *id, if is_gone { "restored" } else { "duplicate" })?;
            if self.is_sent() {
                prior::is_sent(tx, *id)?;
            }
            return Ok(Outcome::Stored(Indexed { instance: InstanceId(*id), kind }));
        }
        let Some(Known { id: last, version, .. }) = known.last() else {
            tx.count(Occurrence::Arrival("new"));
            let instance = InstanceId(self.insert(tx, 1)?);
            return Ok(Outcome::Stored(Indexed { instance, kind: ArrivalKind::New }));
        };
        match self.description.versions {
            VersionPolicy::Refuse => {
                self.again(tx, *last, "refused")?;
                Ok(Outcome::Refused)
            }
            VersionPolicy::Keep | VersionPolicy::Replace => {
                let version = version.saturating_add(1);
                let instance = InstanceId(self.insert(tx, version)?);
                for earlier in known.iter().filter(|known| replaces && known.is_unfinished) {
                    replace::end_work(tx, earlier.id, version)?;
                }
                self.again(tx, *last, if replaces { replace::REPLACED } else { "superseded" })?;
                Ok(Outcome::Stored(Indexed { instance, kind: ArrivalKind::Version(version) }))
            }
        }
    }

    /// Whether a sender has sent it by itself.
    fn is_sent(&self) -> bool {
        let IndexEntry { fetched, is_again, .. } = &self.description.entry;
        fetched.is_none() && !is_again
    }

    /// The versions of the instance, the first one first.
    fn known(&self, tx: &Tx<'_>) -> Result<Vec<Known>, StoreError> {
        let digest = self.digest.to_be_bytes();
        let mut known: Vec<Known> = tx
            .conn
            .prepare_cached(KNOWN)
            .and_then(|mut find| {
                find.query_map(params![self.description.arrival.sop_instance.as_str(), digest.as_slice()], |row| {
                    Ok(Known {
                        id: row.get(0)?,
                        version: row.get(1)?,
                        is_same: row.get(2)?,
                        is_removed: row.get(3)?,
                        is_unfinished: row.get(4)?,
                        is_copy: row.get(5)?,
                    })
                })?
                .collect()
            })
            .map_err(StoreError::index("look for an instance"))?;
        known.sort_unstable_by_key(|known| known.version);
        Ok(known)
    }

    fn insert(&self, tx: &mut Tx<'_>, version: u32) -> Result<i64, StoreError> {
        let Description { entry, .. } = self.description;
        let id = next_id(tx)?;
        if let Some(fetched) = &entry.fetched {
            self.insert_row(tx, id, version, None)?;
            prior::begin(tx, InstanceId(id), fetched)?;
            return Ok(id);
        }
        // What is done with it says the job that has asked for it; an index that was lost knows of none.
        if entry.is_again && version > 1 {
            self.insert_row(tx, id, version, None)?;
            again::stand_in(tx, id)?;
            return Ok(id);
        }
        let changes = tx.decider.and_then(|decider| decider.decide(self, id, version));
        let end = changes.as_ref().and_then(Changes::end);
        self.insert_row(tx, id, version, end.as_ref())?;
        match &changes {
            Some(changes) => drop(changes.make(tx)?),
            None => job::add_first(tx, id)?,
        }
        // The row says how it stands already: open, since a job waits, or ended.
        if changes.is_none() || end.is_some() {
            tx.touched.remove(&id);
        }
        Ok(id)
    }

    fn insert_row(&self, tx: &mut Tx<'_>, id: i64, version: u32, end: Option<&End>) -> Result<(), StoreError> {
        let Description { arrival, entry, received_at, file_meta_bytes, data_set_bytes, .. } = self.description;
        let (segment, offset) = self.record.columns();
        let (path, begins_at) = self.file();
        let (end_kind, end_json, ended_at) = ends::columns(tx, end)?;
        tx.conn
            .prepare_cached(
                "INSERT INTO instance (id, sop_instance, version, sop_class, transfer_syntax, study, series, digest,
                     size_bytes, path, begins_at, data_set_offset, attributes, calling_ae, called_ae, peer,
                     received_at, segment, record, end_kind, end_json, ended_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,
                     ?22)",
            )
            .and_then(|mut insert| {
                insert.execute(params![
                    id,
                    arrival.sop_instance.as_str(),
                    version,
                    arrival.sop_class.as_str(),
                    arrival.transfer_syntax.as_str(),
                    entry.study.as_ref().map(|uid| uid.as_str()),
                    entry.series.as_ref().map(|uid| uid.as_str()),
                    self.digest.to_be_bytes().as_slice(),
                    signed(*data_set_bytes),
                    path,
                    signed(begins_at),
                    signed(*file_meta_bytes),
                    entry.attributes.get(),
                    arrival.calling_ae.as_str(),
                    arrival.called_ae.as_str(),
                    arrival.peer_addr,
                    received_at,
                    segment,
                    offset,
                    end_kind,
                    end_json,
                    ended_at,
                ])
            })
            .map(drop)
            .map_err(StoreError::index("record an instance"))?;
        ends::count(tx, end);
        Ok(())
    }

    /// The file its bytes are in, inside the data folder, and where in it they begin.
    fn file(&self) -> (String, u64) {
        let in_segment = || (relative(self.record.segment), self.record.offset.saturating_add(HEAD as u64));
        self.description.file.clone().map_or_else(in_segment, |own| (own, 0))
    }

    /// As the index will show it.
    fn stored(&self, id: i64, version: u32, data_dir: &Path) -> StoredInstance {
        let Description { arrival, entry, received_at, file_meta_bytes, data_set_bytes, .. } = self.description;
        let (path, offset) = self.file();
        let length = file_meta_bytes.saturating_add(*data_set_bytes);
        let seal = Seal { from: *file_meta_bytes, digest: self.digest };
        StoredInstance {
            id: InstanceId(id),
            version,
            sop_class: arrival.sop_class.to_string(),
            sop_instance: arrival.sop_instance.to_string(),
            transfer_syntax: arrival.transfer_syntax.to_string(),
            study: entry.study.as_ref().map(Uid::to_string),
            series: entry.series.as_ref().map(Uid::to_string),
            file: StoredFile { path: Folders::resolve(data_dir, &path), offset, length, seal: Some(seal) },
            data_set_offset: *file_meta_bytes,
            size_bytes: *data_set_bytes,
            calling_ae: arrival.calling_ae.to_string(),
            called_ae: arrival.called_ae.to_string(),
            received_at: *received_at,
            removed_at: None,
        }
    }

    /// Puts the bytes in the place of those that were removed or lost: what was found out about them still holds.
    fn restore(&self, tx: &Tx<'_>, instance: i64) -> Result<(), StoreError> {
        let (segment, offset) = self.record.columns();
        let (path, begins_at) = self.file();
        let data_set_offset = signed(self.description.file_meta_bytes);
        tx.conn
            .prepare_cached(
                "UPDATE instance SET path = ?2, begins_at = ?3, data_set_offset = ?4, segment = ?5, record = ?6,
                     removed_at = NULL, removed_why = NULL, freed = 0,
                     ended_at = CASE WHEN ended_at IS NULL THEN NULL ELSE ?7 END WHERE id = ?1",
            )
            .and_then(|mut restore| {
                let now = tx.now;
                restore.execute(params![instance, path, signed(begins_at), data_set_offset, segment, offset, now])
            })
            .map(drop)
            .map_err(StoreError::index("restore an instance"))
    }

    /// Records an arrival beyond the first.
    fn again(&self, tx: &mut Tx<'_>, instance: i64, outcome: &'static str) -> Result<(), StoreError> {
        tx.count(Occurrence::Arrival(outcome));
        let Description { arrival, received_at, .. } = self.description;
        let (segment, offset) = self.record.columns();
        tx.conn
            .prepare_cached(
                "INSERT INTO arrival (instance, outcome, calling_ae, called_ae, peer, at, segment, record)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )
            .and_then(|mut insert| {
                let (calling, called) = (arrival.calling_ae.as_str(), arrival.called_ae.as_str());
                insert.execute(params![
                    instance,
                    outcome,
                    calling,
                    called,
                    arrival.peer_addr,
                    received_at,
                    segment,
                    offset
                ])
            })
            .map_err(StoreError::index("record an arrival"))?;
        Ok(())
    }

    /// What the index holds of this very record, if it was told before.
    pub(crate) fn indexed(&self, tx: &Tx<'_>) -> Result<bool, StoreError> {
        let (segment, offset) = self.record.columns();
        tx.conn
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM instance WHERE sop_instance = ?1 AND segment = ?2 AND record = ?3)
                     OR EXISTS (SELECT 1 FROM arrival JOIN instance ON instance.id = arrival.instance
                                WHERE instance.sop_instance = ?1 AND arrival.segment = ?2 AND arrival.record = ?3)",
            )
            .and_then(|mut find| {
                find.query_row(params![self.description.arrival.sop_instance.as_str(), segment, offset], |row| {
                    row.get(0)
                })
            })
            .map_err(StoreError::index("look for a record"))
    }
}

/// The number that the next instance has, which its rows and the decision on it name before it is there.
fn next_id(tx: &mut Tx<'_>) -> Result<i64, StoreError> {
    let last = match tx.last_instance {
        Some(last) => last,
        None => tx
            .conn
            .prepare_cached("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'instance'")
            .and_then(|mut find| find.query_row([], |row| row.get(0)))
            .map_err(StoreError::index("look for the last instance"))?,
    };
    let next: i64 = last.saturating_add(1);
    tx.last_instance = Some(next);
    Ok(next)
}

/// What the record of an arrival was to the index.
pub(crate) fn find(tx: &Tx<'_>, committed: &Committed) -> Result<Indexed, StoreError> {
    let (segment, offset) = committed.record.columns();
    let found = tx
        .conn
        .prepare_cached(
            "SELECT instance, 0, outcome FROM arrival JOIN instance ON instance.id = arrival.instance
             WHERE sop_instance = ?1 AND arrival.segment = ?2 AND arrival.record = ?3
               AND outcome IN ('duplicate', 'restored')
             UNION ALL
             SELECT id, version, 'kept' FROM instance WHERE sop_instance = ?1 AND segment = ?2 AND record = ?3",
        )
        .and_then(|mut find| {
            find.query_row(params![committed.sop_instance.as_str(), segment, offset], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?))
            })
            .optional()
        })
        .map_err(StoreError::index("look for an arrival"))?;
    let Some((instance, version, outcome)) = found else {
        let what = format!("no arrival of {} at {offset} of segment {segment}", committed.sop_instance);
        return Err(StoreError::Broken { what });
    };
    let kind = match (outcome.as_str(), version) {
        ("restored", _) => ArrivalKind::Restored,
        ("duplicate", _) => ArrivalKind::Duplicate,
        (_, 1) => ArrivalKind::New,
        (_, version) => ArrivalKind::Version(version),
    };
    Ok(Indexed { instance: InstanceId(instance), kind })
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;
    use dokuei_types::DeclineReason;

    use crate::change::Decision;
    use crate::config::Durability;
    use crate::priority::Priority;
    use crate::schema;

    fn description(number: u64) -> Description {
        let uid = |text: String| Uid::new(&text).unwrap();
        let arrival = Arrival {
            calling_ae: "CT".parse().unwrap(),
            called_ae: "NODE".parse().unwrap(),
            peer_addr: String::new(),
            sop_class: uid("1.2".into()),
            sop_instance: uid(format!("1.2.3.{number}")),
            transfer_syntax: uid("1.2.840.10008.1.2".into()),
            file_meta: Vec::new(),
        };
        Description {
            arrival,
            versions: VersionPolicy::Keep,
            entry: IndexEntry::default(),
            received_at: 0,
            file_meta_bytes: 0,
            data_set_bytes: 0,
            file: None,
        }
    }

    fn index(tx: &mut Tx<'_>, number: u64) -> i64 {
        let (description, record) = (description(number), RecordId { segment: 1, offset: number });
        let arriving = Arriving { record, digest: 0, description: &description, header: Some(&[]) };
        match arriving.index(tx).unwrap() {
            Outcome::Stored(Indexed { instance, .. }) => instance.0,
            Outcome::Refused => panic!("{number} is refused"),
        }
    }

    #[test]
    fn arrivals_prepare_their_statements_once() {
        let folder = tempfile::tempdir().unwrap();
        let conn = schema::open_owned(folder.path(), Durability::Os).unwrap();
        let mut tx = Tx::new(&conn, 0);
        for number in 1..10 {
            let id = index(&mut tx, number);
            // Without a job it has an end, for which every table is looked at.
            conn.execute("DELETE FROM job", []).unwrap();
            tx.touched.insert(id);
            ends::refresh(&mut tx).unwrap();
        }
        for statement in [KNOWN, ends::TASKS] {
            let again = conn.prepare_cached(statement).unwrap().get_status(StatementStatus::RePrepare);
            assert_eq!(again, 0, "{statement}");
        }
    }

    #[test]
    fn an_arrival_ends_as_what_is_known_of_it_adds_up_to() {
        let folder = tempfile::tempdir().unwrap();
        let conn = schema::open_owned(folder.path(), Durability::Os).unwrap();
        let decide = |stored: &StoredInstance, _: &[u8]| {
            let declined = DeclineReason::NoPixels("a report".to_owned());
            let decision = |declined| Decision { trace: Box::default(), declined };
            let changes = Changes::unleased();
            Some(match stored.id.0 {
                1 => changes.decide(stored.id, decision(None)),
                2 => changes.decide(stored.id, decision(Some(declined))),
                _ => changes.send_original(stored.id, "pacs", Priority::default()).decide(stored.id, decision(None)),
            })
        };
        let decider = Decider { decide: Box::new(decide), data_dir: folder.path().to_owned() };
        let mut tx = Tx { decider: Some(&decider), ..Tx::new(&conn, 7) };
        let row = |id: i64| -> (String, Option<String>, Option<i64>) {
            conn.query_row("SELECT end_kind, end_json, ended_at FROM instance WHERE id = ?1", [id], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .unwrap()
        };
        for (number, expected) in [(1, "no_rule_matched"), (2, "declined"), (3, "open")] {
            let id = index(&mut tx, number);
            ends::refresh(&mut tx).unwrap();
            let before = row(id);
            assert_eq!((id, before.0.as_str(), before.2), (number as i64, expected, (number < 3).then_some(7)));
            conn.execute("UPDATE instance SET end_kind = '', end_json = NULL WHERE id = ?1", [id]).unwrap();
            tx.touched.insert(id);
            ends::refresh(&mut tx).unwrap();
            assert_eq!(row(id), before);
        }
    }
}
