use std::cmp::Ordering;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::again;
use crate::commitment;
use crate::config::Durability;
use crate::error::StoreError;
use crate::hint;
use crate::prior;
use crate::tally;
use crate::timers;

/// Name of the index inside the data folder.
pub(crate) const FILE: &str = "index.sqlite";

/// The layout this program writes: that of [`TABLES`], brought up to date by [`UPGRADES`].
pub(crate) const VERSION: i64 = 7;

/// Job, task and delivery states are numbers in the index.
pub(crate) mod state {
    pub(crate) const WAITING: i64 = 0;
    pub(crate) const LEASED: i64 = 1;
    pub(crate) const STORED: i64 = 2;
    pub(crate) const DEAD: i64 = 3;
    /// Stored at a destination that is still to confirm it.
    pub(crate) const UNCONFIRMED: i64 = 4;
    /// Another destination gets it instead.
    pub(crate) const ELSEWHERE: i64 = 5;
}

/// How long a connection waits for another process's small transaction.
const BUSY: Duration = Duration::from_secs(10);
/// Where [`Knowledge`] is noted: layouts have a table of their own.
const KNOWLEDGE: &str = "user_version";

const TABLES: &str = "
CREATE TABLE layout (version INTEGER NOT NULL);

-- One row per stored data set. `end_kind` is 'open' while there is work on it.
CREATE TABLE instance (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sop_instance TEXT NOT NULL,
    version INTEGER NOT NULL,
    sop_class TEXT NOT NULL,
    transfer_syntax TEXT NOT NULL,
    study TEXT,
    series TEXT,
    digest BLOB NOT NULL,
    size_bytes INTEGER NOT NULL,
    -- The Part 10 file begins at byte `begins_at` of the file `path`, its data set `data_set_offset` bytes later.
    path TEXT NOT NULL,
    begins_at INTEGER NOT NULL,
    data_set_offset INTEGER NOT NULL,
    attributes TEXT NOT NULL,
    calling_ae TEXT NOT NULL,
    called_ae TEXT NOT NULL,
    peer TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    -- Its record in the log.
    segment INTEGER NOT NULL,
    record INTEGER NOT NULL,
    end_kind TEXT NOT NULL DEFAULT 'open',
    end_json TEXT,
    ended_at INTEGER,
    -- When its bytes were given up, and why; `freed` once they are gone from the disk.
    removed_at INTEGER,
    removed_why TEXT,
    freed INTEGER NOT NULL DEFAULT 0,
    UNIQUE (sop_instance, version)
);
CREATE INDEX instance_study ON instance (study);
CREATE INDEX instance_series ON instance (series);
CREATE INDEX instance_end ON instance (end_kind);
CREATE INDEX instance_kept ON instance (ended_at) WHERE ended_at IS NOT NULL AND removed_at IS NULL;
CREATE INDEX instance_segment ON instance (segment) WHERE freed = 0;
CREATE INDEX instance_leaving ON instance (id) WHERE removed_at IS NOT NULL AND freed = 0;

-- Every further time an instance came: the same again, another version, or refused.
CREATE TABLE arrival (
    id INTEGER PRIMARY KEY,
    instance INTEGER NOT NULL REFERENCES instance (id),
    outcome TEXT NOT NULL,
    calling_ae TEXT NOT NULL,
    called_ae TEXT NOT NULL,
    peer TEXT NOT NULL,
    at INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    record INTEGER NOT NULL
);
CREATE INDEX arrival_instance ON arrival (instance);

-- The segments of the log whose records are all here; the others are read again at the next open.
CREATE TABLE segment (number INTEGER PRIMARY KEY);

-- What the rules said of an instance; `trace` is route by route and condition by condition.
CREATE TABLE decision (
    instance INTEGER PRIMARY KEY REFERENCES instance (id),
    at INTEGER NOT NULL,
    trace TEXT NOT NULL,
    declined TEXT
);

-- The work queue. Done work has no row; what came of it is in the other tables.
CREATE TABLE job (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind INTEGER NOT NULL,
    instance INTEGER REFERENCES instance (id),
    unit INTEGER REFERENCES unit (id),
    task INTEGER REFERENCES task (id),
    state INTEGER NOT NULL DEFAULT 0,
    rank INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    interrupted INTEGER NOT NULL DEFAULT 0,
    fence INTEGER NOT NULL DEFAULT 0,
    leased_until INTEGER,
    reason TEXT,
    created_at INTEGER NOT NULL
);
CREATE INDEX job_due ON job (kind, state, not_before, id);
CREATE INDEX job_turn ON job (kind, state, rank, not_before, id);
CREATE INDEX job_instance ON job (instance) WHERE instance IS NOT NULL;
CREATE INDEX job_interrupted ON job (interrupted) WHERE interrupted > 0;
CREATE UNIQUE INDEX job_unit ON job (unit) WHERE unit IS NOT NULL;
CREATE UNIQUE INDEX job_task ON job (task) WHERE task IS NOT NULL;

-- A series or study that a route waits for.
CREATE TABLE unit (
    id INTEGER PRIMARY KEY,
    route TEXT NOT NULL,
    level TEXT NOT NULL,
    uid TEXT NOT NULL,
    models TEXT NOT NULL,
    send TEXT NOT NULL,
    priority INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    pass INTEGER NOT NULL DEFAULT 0,
    UNIQUE (route, level, uid)
);
-- `pass` is NULL until the unit has settled with this member in it.
CREATE TABLE member (
    unit INTEGER NOT NULL REFERENCES unit (id),
    instance INTEGER NOT NULL REFERENCES instance (id),
    joined_at INTEGER NOT NULL,
    pass INTEGER,
    PRIMARY KEY (unit, instance)
) WITHOUT ROWID;
CREATE INDEX member_instance ON member (instance);

-- One model's work on one instance for one route.
CREATE TABLE task (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    instance INTEGER NOT NULL REFERENCES instance (id),
    route TEXT NOT NULL,
    model TEXT NOT NULL,
    send TEXT NOT NULL,
    priority INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    result INTEGER REFERENCES result (id),
    created_at INTEGER NOT NULL,
    finished_at INTEGER,
    UNIQUE (instance, route, model)
);

-- What one model version said of one instance: made once, kept as made.
CREATE TABLE result (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    instance INTEGER NOT NULL REFERENCES instance (id),
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    weights TEXT NOT NULL,
    findings TEXT NOT NULL,
    made_at INTEGER NOT NULL,
    UNIQUE (instance, model, version, weights)
);
-- Its objects; those of one role are alternatives, in the order in which a destination is offered them.
CREATE TABLE object (
    result INTEGER NOT NULL REFERENCES result (id),
    role TEXT NOT NULL,
    sop_class TEXT NOT NULL,
    alternative INTEGER NOT NULL,
    sop_instance TEXT NOT NULL,
    series TEXT NOT NULL,
    transfer_syntax TEXT NOT NULL,
    digest BLOB NOT NULL,
    size_bytes INTEGER NOT NULL,
    path TEXT NOT NULL,
    removed_at INTEGER,
    removed_why TEXT,
    freed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (result, role, sop_class)
) WITHOUT ROWID;
CREATE UNIQUE INDEX object_path ON object (path);
CREATE INDEX object_kept ON object (result) WHERE removed_at IS NULL;
CREATE INDEX object_leaving ON object (result) WHERE removed_at IS NOT NULL AND freed = 0;
-- Two objects of one UID would be one object to a PACS.
CREATE UNIQUE INDEX object_sop_instance ON object (sop_instance);

-- The outbox: one row per object and destination. `result` is 0 for an original.
CREATE TABLE delivery (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    destination TEXT NOT NULL,
    instance INTEGER NOT NULL REFERENCES instance (id),
    result INTEGER NOT NULL,
    role TEXT NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,
    rank INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    fence INTEGER NOT NULL DEFAULT 0,
    leased_until INTEGER,
    status INTEGER,
    reason TEXT,
    sop_class TEXT,
    queued_at INTEGER NOT NULL,
    first_tried_at INTEGER,
    last_tried_at INTEGER,
    stored_at INTEGER,
    UNIQUE (instance, destination, role, result)
);
CREATE INDEX delivery_due ON delivery (destination, state, not_before, id);
CREATE INDEX delivery_turn ON delivery (destination, state, rank, not_before, id);
CREATE INDEX delivery_state ON delivery (state);

INSERT INTO layout VALUES (3);
";

/// What brings a layout to the next, oldest first.
const UPGRADES: [(i64, &str); 4] = [
    (
        3,
        "-- The destination was asked as often, last under this Transaction UID, whether it keeps what it has stored.
         ALTER TABLE delivery ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;
         ALTER TABLE delivery ADD COLUMN transaction_uid TEXT;
         ALTER TABLE delivery ADD COLUMN confirmed_at INTEGER;
         CREATE INDEX delivery_transaction ON delivery (transaction_uid) WHERE transaction_uid IS NOT NULL;",
    ),
    (
        4,
        "-- When the unit settles in any case; 0: at its timer, as those did that waited before.
         ALTER TABLE unit ADD COLUMN cap_at INTEGER NOT NULL DEFAULT 0;
         -- When a pass of a unit settled, and why.
         CREATE TABLE settled (
             unit INTEGER NOT NULL REFERENCES unit (id),
             pass INTEGER NOT NULL,
             at INTEGER NOT NULL,
             reason TEXT NOT NULL,
             PRIMARY KEY (unit, pass)
         ) WITHOUT ROWID;",
    ),
    (
        5,
        "-- Since when it fails for reasons that may pass; the destination that gets it instead, and instead of which.
         ALTER TABLE delivery ADD COLUMN failing_since INTEGER;
         ALTER TABLE delivery ADD COLUMN moved_to TEXT;
         ALTER TABLE delivery ADD COLUMN moved_from TEXT;
         -- Destinations that are sent to at other hours.
         CREATE TABLE closed (destination TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;",
    ),
    (6, hint::UPGRADE),
];

/// Opens the index for the owner, making or upgrading it.
pub(crate) fn open_owned(data_dir: &Path, durability: Durability) -> Result<Connection, StoreError> {
    let failed = StoreError::index;
    let path = data_dir.join(FILE);
    // SQLite gives its other files the mode of this one.
    let made = OpenOptions::new().append(true).create(true).mode(0o640).open(&path);
    made.map_err(|source| StoreError::file("open", &path, source))?;
    let mut conn = Connection::open(&path).map_err(failed("open"))?;
    prepare(&conn)?;
    conn.pragma_update(None, "journal_mode", "WAL").map_err(failed("set the journal mode"))?;
    let synchronous = match durability {
        Durability::Fsync => "FULL",
        Durability::Os => "NORMAL",
    };
    conn.pragma_update(None, "synchronous", synchronous).map_err(failed("set the durability"))?;
    // The writer thread checkpoints when nobody waits for it.
    conn.pragma_update(None, "wal_autocheckpoint", 0).map_err(failed("set the checkpoint interval"))?;
    conn.set_prepared_statement_cache_capacity(128);
    let tx = conn.transaction().map_err(failed("begin"))?;
    if layout(&tx)?.is_none() {
        tx.execute_batch(TABLES).map_err(failed("make the tables"))?;
        set_knowledge(&tx, Knowledge::Partial)?;
    }
    // Added without a new layout: a folder from before it has none of its rows.
    tx.execute_batch(commitment::TABLE).map_err(failed("make the tables"))?;
    tx.execute_batch(tally::TABLE).map_err(failed("make the tables"))?;
    tx.execute_batch(prior::TABLE).map_err(failed("make the tables"))?;
    tx.execute_batch(again::TABLE).map_err(failed("make the tables"))?;
    tx.execute_batch(timers::TABLE).map_err(failed("make the tables"))?;
    for (before, upgrade) in UPGRADES {
        if layout(&tx)? == Some(before) {
            tx.execute_batch(upgrade).map_err(failed("upgrade the tables"))?;
            tx.execute("UPDATE layout SET version = ?1", [before.saturating_add(1)]).map_err(failed("upgrade"))?;
        }
    }
    let found = layout(&tx)?.unwrap_or_default();
    tx.commit().map_err(failed("make the tables"))?;
    check(data_dir, found)?;
    Ok(conn)
}

/// How far the index can be trusted to name every file that someone was told is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Knowledge {
    /// It names all but what a crash has cut short.
    Whole,
    /// It was made anew out of the log, or a part of the log that it was not told of cannot be read.
    Partial,
}

/// What was noted by [`set_knowledge`].
pub(crate) fn knowledge(conn: &Connection) -> Result<Knowledge, StoreError> {
    let noted = conn.pragma_query_value(None, KNOWLEDGE, |row| row.get::<_, i64>(0));
    let noted = noted.map_err(StoreError::index("ask whether it is whole"))?;
    Ok(if noted == 0 { Knowledge::Whole } else { Knowledge::Partial })
}

/// Notes it in the index itself, for the next open should this one be cut short.
pub(crate) fn set_knowledge(conn: &Connection, knowledge: Knowledge) -> Result<(), StoreError> {
    let noted = i64::from(knowledge == Knowledge::Partial);
    conn.pragma_update(None, KNOWLEDGE, noted).map_err(StoreError::index("note whether it is whole"))
}

/// Opens the index beside a node that may be running: no lock, nothing made.
pub(crate) fn open_beside(data_dir: &Path) -> Result<Connection, StoreError> {
    let path = data_dir.join(FILE);
    if !path.is_file() {
        return Err(StoreError::Absent { data_dir: data_dir.to_owned() });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(StoreError::index("open"))?;
    prepare(&conn)?;
    conn.pragma_update(None, "synchronous", "FULL").map_err(StoreError::index("set the durability"))?;
    match layout(&conn)? {
        Some(found) => check(data_dir, found).map(|()| conn),
        None => Err(StoreError::Absent { data_dir: data_dir.to_owned() }),
    }
}

fn prepare(conn: &Connection) -> Result<(), StoreError> {
    conn.busy_timeout(BUSY).map_err(StoreError::index("set the busy timeout"))?;
    conn.pragma_update(None, "foreign_keys", true).map_err(StoreError::index("set foreign keys"))
}

fn layout(conn: &Connection) -> Result<Option<i64>, StoreError> {
    let failed = StoreError::index;
    if !conn.table_exists(None, "layout").map_err(failed("look for the layout version"))? {
        return Ok(None);
    }
    conn.query_row("SELECT max(version) FROM layout", [], |row| row.get(0)).map_err(failed("read the layout version"))
}

fn check(data_dir: &Path, found: i64) -> Result<(), StoreError> {
    match found.cmp(&VERSION) {
        Ordering::Equal => Ok(()),
        Ordering::Greater => Err(StoreError::NewerLayout { data_dir: data_dir.to_owned(), found, known: VERSION }),
        Ordering::Less => Err(StoreError::OlderLayout { data_dir: data_dir.to_owned(), found, known: VERSION }),
    }
}

/// How SQLite goes about `statement` in a new index, a step a line.
#[cfg(test)]
pub(crate) fn plan(statement: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let conn = open_owned(folder.path(), Durability::Os).unwrap();
    let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
    let parameters = vec![rusqlite::types::Null; plan.parameter_count()];
    plan.query_map(rusqlite::params_from_iter(parameters), |row| row.get(3)).unwrap().map(Result::unwrap).collect()
}
