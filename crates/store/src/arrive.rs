use std::sync::Arc;

use dokuei_types::InstanceId;
use rusqlite::params;

use crate::config::VersionPolicy;
use crate::error::StoreError;
use crate::folder::{Folder, Placed};
use crate::incoming::{Arrival, IndexEntry};
use crate::job;
use crate::writer::{Request, Tx};

/// Proof that an instance is durable. Only the store makes one, and a success response needs one.
#[derive(Debug)]
pub struct Committed {
    instance: InstanceId,
    kind: ArrivalKind,
}

impl Committed {
    /// The instance's number in the store.
    #[must_use]
    pub fn instance(&self) -> InstanceId {
        self.instance
    }

    /// Whether it was new.
    #[must_use]
    pub fn kind(&self) -> ArrivalKind {
        self.kind
    }
}

/// What an arrival was to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArrivalKind {
    /// A SOP Instance UID never seen.
    New,
    /// The same bytes again: nothing kept, nothing to do.
    Duplicate,
    /// Other bytes under a known UID: kept as this version, from 2 on.
    Version(u32),
}

/// An instance on its way into the index.
pub(crate) struct Arriving<D> {
    versions: VersionPolicy,
    arrival: Arrival,
    entry: IndexEntry,
    placed: Option<Placed>,
    digest: [u8; 32],
    data_set_offset: u64,
    size_bytes: u64,
    outcome: Option<Outcome>,
    done: D,
}

#[derive(Clone, Copy)]
enum Outcome {
    Stored(InstanceId, ArrivalKind),
    Refused,
}

impl<D: FnOnce(Result<Committed, StoreError>) + Send + 'static> Arriving<D> {
    #[expect(clippy::too_many_arguments, reason = "made in one place, from the parts of what is arriving")]
    pub(crate) fn new(
        versions: VersionPolicy,
        arrival: Arrival,
        entry: IndexEntry,
        placed: Placed,
        digest: [u8; 32],
        data_set_offset: u64,
        size_bytes: u64,
        done: D,
    ) -> Self {
        let placed = Some(placed);
        Self { versions, arrival, entry, placed, digest, data_set_offset, size_bytes, outcome: None, done }
    }

    /// The versions of the instance that are stored: number, version, whether the bytes are the same.
    fn known(&self, tx: &Tx<'_>) -> Result<Vec<(i64, u32, bool)>, StoreError> {
        tx.conn
            .prepare_cached("SELECT id, version, digest = ?2 FROM instance WHERE sop_instance = ?1 ORDER BY version")
            .and_then(|mut find| {
                find.query_map(params![self.arrival.sop_instance.as_str(), self.digest.as_slice()], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })?
                .collect()
            })
            .map_err(StoreError::index("look for an instance"))
    }

    fn insert(&self, tx: &mut Tx<'_>, version: u32) -> Result<i64, StoreError> {
        let placed = self.placed.as_ref().ok_or(StoreError::Closed)?;
        let arrival = &self.arrival;
        tx.conn
            .prepare_cached(
                "INSERT INTO instance (sop_instance, version, sop_class, transfer_syntax, study, series, digest,
                     size_bytes, path, data_set_offset, attributes, calling_ae, called_ae, peer, received_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
            )
            .and_then(|mut insert| {
                insert.execute(params![
                    arrival.sop_instance.as_str(),
                    version,
                    arrival.sop_class.as_str(),
                    arrival.transfer_syntax.as_str(),
                    self.entry.study.as_ref().map(|uid| uid.as_str()),
                    self.entry.series.as_ref().map(|uid| uid.as_str()),
                    self.digest.as_slice(),
                    i64::try_from(self.size_bytes).unwrap_or(i64::MAX),
                    placed.relative,
                    i64::try_from(self.data_set_offset).unwrap_or(i64::MAX),
                    self.entry.attributes.to_string(),
                    arrival.calling_ae.as_str(),
                    arrival.called_ae.as_str(),
                    arrival.peer_addr,
                    tx.now,
                ])
            })
            .map_err(StoreError::index("record an instance"))?;
        let id = tx.conn.last_insert_rowid();
        job::add_first(tx, id)?;
        // New work: its end is open already, as the row says.
        tx.touched.remove(&id);
        Ok(id)
    }

    /// Records an arrival beyond the first.
    fn again(&self, tx: &Tx<'_>, instance: i64, outcome: &str) -> Result<(), StoreError> {
        let arrival = &self.arrival;
        tx.conn
            .prepare_cached(
                "INSERT INTO arrival (instance, outcome, calling_ae, called_ae, peer, at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )
            .and_then(|mut insert| {
                let (calling, called) = (arrival.calling_ae.as_str(), arrival.called_ae.as_str());
                insert.execute(params![instance, outcome, calling, called, arrival.peer_addr, tx.now])
            })
            .map_err(StoreError::index("record an arrival"))?;
        Ok(())
    }
}

impl<D: FnOnce(Result<Committed, StoreError>) + Send + 'static> Request for Arriving<D> {
    fn folders(&self) -> Vec<Arc<Folder>> {
        self.placed.iter().map(|placed| Arc::clone(&placed.folder)).collect()
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let known = self.known(tx)?;
        let outcome = if let Some((id, ..)) = known.iter().find(|(_, _, same)| *same) {
            self.again(tx, *id, "duplicate")?;
            Outcome::Stored(InstanceId(*id), ArrivalKind::Duplicate)
        } else if let Some((last, version, _)) = known.last() {
            match self.versions {
                VersionPolicy::Refuse => {
                    self.again(tx, *last, "refused")?;
                    Outcome::Refused
                }
                VersionPolicy::Keep => {
                    let version = version.saturating_add(1);
                    let id = self.insert(tx, version)?;
                    self.again(tx, *last, "superseded")?;
                    Outcome::Stored(InstanceId(id), ArrivalKind::Version(version))
                }
            }
        } else {
            Outcome::Stored(InstanceId(self.insert(tx, 1)?), ArrivalKind::New)
        };
        self.outcome = Some(outcome);
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { arrival, placed, outcome: decided, done, .. } = *self;
        let answer = match (outcome, decided) {
            (Ok(()), Some(Outcome::Stored(instance, kind))) => Ok(Committed { instance, kind }),
            (Ok(()), Some(Outcome::Refused)) => {
                Err(StoreError::OtherBytes { sop_instance: arrival.sop_instance.to_string() })
            }
            (Ok(()), None) => Err(StoreError::Closed),
            (Err(error), _) => Err(error),
        };
        let named = answer.as_ref().is_ok_and(|committed| committed.kind != ArrivalKind::Duplicate);
        // When the commit itself failed it may yet be found durable after a crash: the file stays for
        // recovery to judge.
        let uncertain = matches!(&answer, Err(StoreError::Index { doing: "commit", .. }));
        match placed {
            Some(placed) if named || uncertain => placed.keep(),
            other => drop(other),
        }
        done(answer);
    }
}
