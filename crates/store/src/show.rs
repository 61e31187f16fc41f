use std::collections::BTreeMap;
use std::path::Path;

use dokuei_types::{DimseStatus, End, InstanceId};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;

use crate::again;
use crate::error::StoreError;
use crate::job::JobKind;
use crate::model::ResultId;
use crate::number::unsigned;
use crate::object::{self, StoredObject};
use crate::outbox::REJECTION;
use crate::prior;
use crate::priority::Priority;
use crate::read::StoreReader;
use crate::schema::state;
use crate::stored_file::StoredFile;
use crate::tally::{self, Tallied};
use crate::unit::SettleReason;

/// How much there is of everything, for `dokuei status`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Instances by the word of their end, or `open`.
    pub instances: BTreeMap<String, u64>,
    /// Jobs that wait or run, by kind.
    pub jobs: BTreeMap<String, u64>,
    /// When the oldest job in the queue was queued, milliseconds since 1970.
    pub oldest_job_at: Option<i64>,
    /// Series and studies that are waited for.
    pub units_waiting: u64,
    /// Results made.
    pub results: u64,
    /// Destinations by name.
    pub destinations: BTreeMap<String, DestinationCounts>,
    /// What the rules said that is counted: conditions that could not be evaluated, shadow routes that applied.
    pub rules: Vec<Tallied>,
    /// Requests for storage commitment that peers made.
    pub commitments: CommitmentCounts,
    /// Dead letters: jobs, deliveries and requests for storage commitment.
    pub dead_letters: u64,
    /// When the newest instance was received, milliseconds since 1970.
    pub last_received_at: Option<i64>,
}

/// Peers' requests for storage commitment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CommitmentCounts {
    /// Their peers have the result.
    pub told: u64,
    /// Their peers are still to be told.
    pub waiting: u64,
    /// Given up.
    pub dead: u64,
}

/// What there is of one destination.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DestinationCounts {
    /// Objects that wait.
    pub waiting: u64,
    /// Objects being sent.
    pub sending: u64,
    /// Objects that arrived.
    pub stored: u64,
    /// Those of them that the destination has confirmed to keep.
    pub confirmed: u64,
    /// Those of them that it is still to confirm.
    pub unconfirmed: u64,
    /// Objects that another destination gets instead.
    pub elsewhere: u64,
    /// Dead letters.
    pub dead: u64,
    /// When the oldest that waits was queued, milliseconds since 1970.
    pub oldest_waiting_at: Option<i64>,
    /// When its hours begin, outside of which only what is urgent is sent, milliseconds since 1970; `None` within them.
    pub closed_until: Option<i64>,
}

/// Everything known of one instance, for `dokuei show`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShownInstance {
    /// Its number.
    pub id: InstanceId,
    /// SOP Instance UID.
    pub sop_instance: String,
    /// 1, or more when the UID came with other bytes.
    pub version: u32,
    /// SOP Class UID.
    pub sop_class: String,
    /// Transfer Syntax UID.
    pub transfer_syntax: String,
    /// Study Instance UID.
    pub study: Option<String>,
    /// Series Instance UID.
    pub series: Option<String>,
    /// Where the Part 10 file is.
    pub file: StoredFile,
    /// Bytes of the data set.
    pub size_bytes: u64,
    /// XXH3 (128 bits) of the data set as received, lower-case hexadecimal.
    pub xxh3: String,
    /// Attributes for lists, as the node chose them.
    pub attributes: serde_json::Value,
    /// How it ended; `None` while it is in work.
    #[serde(flatten)]
    pub end: Option<End>,
    /// When it ended, milliseconds since 1970.
    pub ended_at: Option<i64>,
    /// When its bytes were given up, milliseconds since 1970, and why.
    pub removed_at: Option<i64>,
    /// `age` or `space`.
    pub removed_why: Option<String>,
    /// For which route it was fetched, to be compared with; `None` where a sender has sent it by itself.
    pub fetched_for: Option<String>,
    /// Whether an archive has sent it on demand, in place of a version whose bytes were removed.
    pub stands_in: bool,
    /// Each time it came, the first one first.
    pub arrivals: Vec<ShownArrival>,
    /// What the rules said, route by route and condition by condition.
    pub decision: Option<serde_json::Value>,
    /// The series and studies that routes wait for, or waited for, with it.
    pub units: Vec<ShownUnit>,
    /// Each model's work on it.
    pub tasks: Vec<ShownTask>,
    /// What models said of it.
    pub results: Vec<ShownResult>,
    /// What was or will be sent where.
    pub deliveries: Vec<ShownDelivery>,
}

/// One time an instance came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownArrival {
    /// `new`, `duplicate` (same bytes), `superseded` (other bytes, kept as a further version), `replaced` (likewise, in
    /// place of this one) or `refused`.
    pub outcome: String,
    /// AE title of the sender.
    pub calling_ae: String,
    /// AE title it called.
    pub called_ae: String,
    /// Address of the sender.
    pub peer: String,
    /// When, milliseconds since 1970.
    pub at: i64,
}

/// A series or study that a route waits for the whole of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownUnit {
    /// Name of the route.
    pub route: String,
    /// `series` or `study`.
    pub level: String,
    /// Its UID.
    pub uid: String,
    /// Why it settled; `None` while it waits, and where an earlier version of this program did not record it.
    pub reason: Option<SettleReason>,
    /// The reason in more words, where there are some.
    pub detail: Option<String>,
    /// When it settled, milliseconds since 1970.
    pub settled_at: Option<i64>,
    /// When it is looked at next while it waits, milliseconds since 1970.
    pub next_at: Option<i64>,
    /// What it waited for when it was looked at last, in words.
    pub waits_for: Option<String>,
}

/// One model's work for one route.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShownTask {
    /// Name of the route.
    pub route: String,
    /// Name of the model.
    pub model: String,
    /// `open`, `reported`, `declined` or `failed`.
    pub state: String,
    /// Why it was declined or failed.
    pub reason: Option<String>,
    /// When it was finished, milliseconds since 1970.
    pub finished_at: Option<i64>,
}

/// What one model version said.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShownResult {
    /// Its number.
    pub id: ResultId,
    /// Whether it was withdrawn; the note that says so is among the objects.
    pub withdrawn: bool,
    /// Name of the model.
    pub model: String,
    /// Its version.
    pub version: String,
    /// What it said.
    pub findings: serde_json::Value,
    /// When, milliseconds since 1970.
    pub made_at: i64,
    /// The files.
    pub objects: Vec<StoredObject>,
}

/// A result object's place in a list.
pub type ShownObject = StoredObject;

/// One object for one destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownDelivery {
    /// Name of the destination.
    pub destination: String,
    /// `original`, `sr`, `sc`.
    pub role: String,
    /// `waiting`, `sending`, `unconfirmed` (stored, to be confirmed), `stored`, `elsewhere` (another destination gets it
    /// instead) or `dead`.
    pub state: &'static str,
    /// Attempts so far.
    pub attempts: u32,
    /// DIMSE status of the last response, four hexadecimal digits.
    pub status: Option<String>,
    /// What the last attempt came to, in words.
    pub reason: Option<String>,
    /// SOP Class UID of the alternative that was taken.
    pub sop_class: Option<String>,
    /// When it is tried next, or its destination asked next, milliseconds since 1970.
    pub next_at: Option<i64>,
    /// When the hours of its destination begin that it waits for, milliseconds since 1970.
    pub closed_until: Option<i64>,
    /// When the destination had it, milliseconds since 1970.
    pub stored_at: Option<i64>,
    /// When the destination confirmed that it keeps it, milliseconds since 1970.
    pub confirmed_at: Option<i64>,
    /// The destination that gets it instead.
    pub moved_to: Option<String>,
    /// The destination in whose place this one gets it.
    pub moved_from: Option<String>,
}

impl StoreReader {
    /// How much there is of everything.
    ///
    /// # Errors
    /// What the index says.
    pub fn counts(&self) -> Result<Counts, StoreError> {
        self.with("count", counts)
    }

    /// What the rules said that is counted, for each route and condition.
    ///
    /// # Errors
    /// What the index says.
    pub fn tallied(&self) -> Result<Vec<Tallied>, StoreError> {
        self.with("count what rules said", tally::all)
    }

    /// Everything known of one instance.
    ///
    /// # Errors
    /// What the index says.
    pub fn show(&self, id: InstanceId) -> Result<Option<ShownInstance>, StoreError> {
        self.with("read an instance", |conn| show(conn, self.data_dir(), id))
    }

    /// How an instance has ended; `None` while it is in work or when there is none of this number.
    ///
    /// # Errors
    /// What the index says.
    pub fn end(&self, id: InstanceId) -> Result<Option<End>, StoreError> {
        self.with("read an end", |conn| {
            let json: Option<Option<String>> = conn
                .prepare_cached("SELECT end_json FROM instance WHERE id = ?1")?
                .query_row([id.0], |row| row.get(0))
                .optional()?;
            Ok(json.flatten().and_then(|json| serde_json::from_str(&json).ok()))
        })
    }
}

fn commitments(conn: &Connection) -> rusqlite::Result<CommitmentCounts> {
    // A folder that this version's node has not opened yet is without.
    if !conn.table_exists(None, "commitment")? {
        return Ok(CommitmentCounts::default());
    }
    let count = |state: i64| {
        conn.prepare_cached("SELECT count(*) FROM commitment WHERE state = ?1")?
            .query_row([state], |row| row.get(0).map(unsigned))
    };
    Ok(CommitmentCounts { told: count(state::STORED)?, waiting: count(state::WAITING)?, dead: count(state::DEAD)? })
}

fn counts(conn: &Connection) -> rusqlite::Result<Counts> {
    let mut counts = Counts::default();
    let mut ends = conn.prepare_cached("SELECT end_kind, count(*) FROM instance GROUP BY end_kind")?;
    for row in ends.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))? {
        let (kind, count) = row?;
        counts.instances.insert(kind, unsigned(count));
    }
    let mut jobs =
        conn.prepare_cached("SELECT kind, count(*), min(created_at) FROM job WHERE state < ?1 GROUP BY kind")?;
    for row in jobs.query_map([state::STORED], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))? {
        let (kind, count, oldest): (i64, i64, Option<i64>) = row?;
        let Some(kind) = JobKind::from_number(kind) else { continue };
        if kind == JobKind::Settle {
            counts.units_waiting = unsigned(count);
        } else {
            counts.oldest_job_at = counts.oldest_job_at.into_iter().chain(oldest).min();
        }
        counts.jobs.insert(kind.as_str().to_owned(), unsigned(count));
    }
    let mut outbox = conn.prepare_cached(
        "SELECT destination, state, count(*), min(queued_at), count(confirmed_at) FROM delivery
         GROUP BY destination, state",
    )?;
    for row in outbox.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))? {
        let (destination, state, count, oldest, confirmed): (String, i64, i64, i64, i64) = row?;
        let entry = counts.destinations.entry(destination).or_default();
        match state {
            state::WAITING => {
                entry.waiting = unsigned(count);
                entry.oldest_waiting_at = Some(oldest);
            }
            state::LEASED => entry.sending = unsigned(count),
            state::STORED => {
                entry.stored = entry.stored.saturating_add(unsigned(count));
                entry.confirmed = unsigned(confirmed);
            }
            state::UNCONFIRMED => {
                entry.stored = entry.stored.saturating_add(unsigned(count));
                entry.unconfirmed = unsigned(count);
            }
            state::ELSEWHERE => entry.elsewhere = unsigned(count),
            _ => {
                entry.dead = unsigned(count);
                counts.dead_letters = counts.dead_letters.saturating_add(entry.dead);
            }
        }
    }
    let mut closed = conn.prepare_cached("SELECT destination, until FROM closed")?;
    for row in closed.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))? {
        let (destination, until) = row?;
        counts.destinations.entry(destination).or_default().closed_until = Some(until);
    }
    let one = |sql| conn.query_row(sql, [], |row| row.get::<_, Option<i64>>(0));
    counts.rules = tally::all(conn)?;
    counts.commitments = commitments(conn)?;
    let dead_jobs = conn.query_row("SELECT count(*) FROM job WHERE state = ?1", [state::DEAD], |row| row.get(0))?;
    counts.dead_letters =
        counts.dead_letters.saturating_add(unsigned(dead_jobs)).saturating_add(counts.commitments.dead);
    counts.results = unsigned(one("SELECT count(*) FROM result")?.unwrap_or_default());
    counts.last_received_at =
        one("SELECT received_at FROM instance WHERE id = (SELECT max(id) FROM instance)").optional()?.flatten();
    Ok(counts)
}

fn show(conn: &Connection, data_dir: &Path, id: InstanceId) -> rusqlite::Result<Option<ShownInstance>> {
    let shown = conn
        .prepare_cached(
            "SELECT path, begins_at, data_set_offset + size_bytes, data_set_offset, digest, sop_instance, version,
                    sop_class, transfer_syntax, study, series, size_bytes, lower(hex(digest)), attributes, end_json, ended_at, calling_ae, called_ae, peer, received_at,
                    removed_at, removed_why
             FROM instance WHERE id = ?1",
        )?
        .query_row([id.0], |row| instance_row(row, data_dir, id))
        .optional()?;
    let Some(mut shown) = shown else { return Ok(None) };
    let further = conn
        .prepare_cached("SELECT outcome, calling_ae, called_ae, peer, at FROM arrival WHERE instance = ?1 ORDER BY id")?
        .query_map([id.0], |row| {
            Ok(ShownArrival {
                outcome: row.get(0)?,
                calling_ae: row.get(1)?,
                called_ae: row.get(2)?,
                peer: row.get(3)?,
                at: row.get(4)?,
            })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    shown.arrivals.extend(further);
    shown.fetched_for = prior::fetched_for(conn, id)?;
    shown.stands_in = again::stands_in(conn, id)?;
    shown.decision = conn
        .prepare_cached("SELECT trace FROM decision WHERE instance = ?1")?
        .query_row([id.0], |row| json(row, 0))
        .optional()?;
    shown.units = conn
        .prepare_cached(
            "SELECT route, level, uid, settled.reason, settled.at, job.not_before, job.reason, settled.detail
             FROM member JOIN unit ON unit.id = member.unit
             LEFT JOIN settled ON settled.unit = member.unit AND settled.pass = member.pass
             LEFT JOIN job ON job.unit = member.unit AND member.pass IS NULL
             WHERE member.instance = ?1 ORDER BY unit.id",
        )?
        .query_map([id.0], unit_row)?
        .collect::<rusqlite::Result<_>>()?;
    shown.tasks = conn
        .prepare_cached("SELECT route, model, state, reason, finished_at FROM task WHERE instance = ?1 ORDER BY id")?
        .query_map([id.0], |row| {
            Ok(ShownTask {
                route: row.get(0)?,
                model: row.get(1)?,
                state: row.get(2)?,
                reason: row.get(3)?,
                finished_at: row.get(4)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    shown.results = results(conn, data_dir, id)?;
    shown.deliveries = conn
        .prepare_cached(
            "SELECT destination, role, state, attempts, status, reason, sop_class, not_before, stored_at,
                    confirmed_at, moved_to, moved_from, iif(state = ?2 AND rank > ?3, closed.until, NULL)
             FROM delivery LEFT JOIN closed USING (destination) WHERE instance = ?1 ORDER BY id",
        )?
        .query_map(params![id.0, state::WAITING, Priority::URGENT_RANK_MAX], delivery_row)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Some(shown))
}

fn instance_row(row: &Row<'_>, data_dir: &Path, id: InstanceId) -> rusqlite::Result<ShownInstance> {
    let end = row.get::<_, Option<String>>(14)?.and_then(|json| serde_json::from_str(&json).ok());
    let first = ShownArrival {
        outcome: "new".into(),
        calling_ae: row.get(16)?,
        called_ae: row.get(17)?,
        peer: row.get(18)?,
        at: row.get(19)?,
    };
    Ok(ShownInstance {
        id,
        file: StoredFile::of_row(row, data_dir)?,
        sop_instance: row.get(5)?,
        version: row.get(6)?,
        sop_class: row.get(7)?,
        transfer_syntax: row.get(8)?,
        study: row.get(9)?,
        series: row.get(10)?,
        size_bytes: unsigned(row.get(11)?),
        xxh3: row.get(12)?,
        attributes: json(row, 13)?,
        end,
        ended_at: row.get(15)?,
        removed_at: row.get(20)?,
        removed_why: row.get(21)?,
        fetched_for: None,
        stands_in: false,
        arrivals: vec![first],
        decision: None,
        units: Vec::new(),
        tasks: Vec::new(),
        results: Vec::new(),
        deliveries: Vec::new(),
    })
}

fn unit_row(row: &Row<'_>) -> rusqlite::Result<ShownUnit> {
    Ok(ShownUnit {
        route: row.get(0)?,
        level: row.get(1)?,
        uid: row.get(2)?,
        reason: row.get::<_, Option<String>>(3)?.as_deref().and_then(SettleReason::from_word),
        settled_at: row.get(4)?,
        next_at: row.get(5)?,
        waits_for: row.get(6)?,
        detail: row.get(7)?,
    })
}

fn results(conn: &Connection, data_dir: &Path, id: InstanceId) -> rusqlite::Result<Vec<ShownResult>> {
    let mut find = conn
        .prepare_cached("SELECT id, model, version, findings, made_at FROM result WHERE instance = ?1 ORDER BY id")?;
    let rows = find.query_map([id.0], |row| {
        let result = ShownResult {
            id: ResultId(row.get(0)?),
            withdrawn: false,
            model: row.get(1)?,
            version: row.get(2)?,
            findings: json(row, 3)?,
            made_at: row.get(4)?,
            objects: Vec::new(),
        };
        Ok(result)
    })?;
    let mut all = Vec::new();
    for row in rows {
        let mut result = row?;
        result.objects = object::objects(conn, data_dir, result.id.0, None)?;
        result.withdrawn = result.objects.iter().any(|object| object.role == REJECTION);
        all.push(result);
    }
    Ok(all)
}

fn delivery_row(row: &Row<'_>) -> rusqlite::Result<ShownDelivery> {
    let (state, closed_until): (i64, Option<i64>) = (row.get(2)?, row.get(12)?);
    let is_next = matches!(state, state::WAITING | state::UNCONFIRMED);
    Ok(ShownDelivery {
        destination: row.get(0)?,
        role: row.get(1)?,
        state: match state {
            state::WAITING => "waiting",
            state::LEASED => "sending",
            state::STORED => "stored",
            state::UNCONFIRMED => "unconfirmed",
            state::ELSEWHERE => "elsewhere",
            _ => "dead",
        },
        attempts: row.get(3)?,
        status: row.get::<_, Option<u16>>(4)?.map(|status| DimseStatus(status).to_string()),
        reason: row.get(5)?,
        sop_class: row.get(6)?,
        next_at: is_next.then(|| row.get(7)).transpose()?.max(closed_until),
        closed_until,
        stored_at: row.get(8)?,
        confirmed_at: row.get(9)?,
        moved_to: row.get(10)?,
        moved_from: row.get(11)?,
    })
}

fn json(row: &Row<'_>, index: usize) -> rusqlite::Result<serde_json::Value> {
    Ok(serde_json::from_str(&row.get::<_, String>(index)?).unwrap_or_default())
}
