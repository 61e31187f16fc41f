use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::arrive::{Arriving, Description, RecordId};
use crate::config::{Durability, StoreConfig};
use crate::disk::Step;
use crate::number::{signed, unsigned};

use crate::error::StoreError;
use crate::folder::{Folders, make_dir, remove};
use crate::log;
use crate::schema::Knowledge;
use crate::writer::Tx;
use crate::{ends, job, outbox, schema};

/// Name of the folder inside the data folder for what nothing names and that may yet be someone's.
const UNCLAIMED: &str = "unclaimed";

/// Brings the index to a state without owner: no lease is held, no work cut short is forgotten.
pub(crate) fn clear_leases(conn: &mut Connection, now: i64, interruptions_max: u32) -> Result<(), StoreError> {
    let failed = StoreError::index;
    let outer = conn.transaction().map_err(failed("begin recovery"))?;
    let mut tx = Tx::new(&outer, now);
    job::interrupted(&mut tx, None, interruptions_max)?;
    outbox::expire(&mut tx, None)?;
    ends::refresh(&mut tx)?;
    outer.commit().map_err(failed("commit recovery"))
}

/// Removes the files that a crash left in their final place before the index knew of them; how many those were. What
/// an index of [`Knowledge::Partial`] does not name may be an image that was acknowledged: it is kept under
/// [`UNCLAIMED`].
///
/// Where the index is whole, only the newest folders can hold such files.
pub(crate) fn clear_orphans(
    conn: &Connection,
    data_dir: &Path,
    (objects, results): (&Folders, &Folders),
    knowledge: Knowledge,
) -> Result<usize, StoreError> {
    let (objects, results) = match knowledge {
        Knowledge::Whole => (objects.unsettled()?, results.unsettled()?),
        Knowledge::Partial => (objects.all()?, results.all()?),
    };
    let (originals, results) = (unnamed(conn, objects, "instance")?, unnamed(conn, results, "object")?);
    results.iter().for_each(|path| remove(path));
    if knowledge == Knowledge::Whole {
        originals.iter().for_each(|path| remove(path));
        return Ok(originals.len().saturating_add(results.len()));
    }
    if !originals.is_empty() {
        let unclaimed = data_dir.join(UNCLAIMED);
        make_dir(&unclaimed, Durability::Fsync)?;
        for path in &originals {
            let moved = unclaimed.join(path.file_name().unwrap_or_default());
            fs::rename(path, &moved).map_err(|source| StoreError::file("rename to", &moved, source))?;
        }
        tracing::error!(
            files = originals.len(),
            folder = %unclaimed.display(),
            "files of which the log cannot tell whether they were acknowledged are kept aside; send them to this node again"
        );
    }
    Ok(results.len())
}

/// The files in `folders`, each with its name inside the data folder, that `table` does not name.
fn unnamed(conn: &Connection, folders: Vec<(String, PathBuf)>, table: &str) -> Result<Vec<PathBuf>, StoreError> {
    let mut found = Vec::new();
    for (name, path) in folders {
        let known = known(conn, table, &name)?;
        let failed = |source| StoreError::file("list", &path, source);
        for entry in fs::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if !known.contains(&format!("{name}/{}", entry.file_name().to_string_lossy())) {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}

/// The paths in one folder that `table` names.
fn known(conn: &Connection, table: &str, folder: &str) -> Result<HashSet<String>, StoreError> {
    let failed = StoreError::index;
    // `0` is the character after `/`: the range holds just what lies in the folder.
    let (from, to) = (format!("{folder}/"), format!("{folder}0"));
    conn.prepare(&format!("SELECT path FROM {table} WHERE path >= ?1 AND path < ?2"))
        .and_then(|mut find| find.query_map([from, to], |row| row.get(0))?.collect())
        .map_err(failed("list the files of a folder"))
}

/// Tells the index what it does not know of the log, and settles every segment that can be read; how many instances that were,
/// and how many segments cannot.
///
/// Runs before anything else of this owner is appended.
pub(crate) fn replay_log(conn: &mut Connection, config: &StoreConfig) -> Result<(usize, usize), StoreError> {
    let failed = StoreError::index;
    let (root, disk) = (config.data_dir.join(log::FOLDER), config.disk.as_ref());
    let settled: HashSet<u64> = conn
        .prepare("SELECT number FROM segment")
        .and_then(|mut list| list.query_map([], |row| row.get::<_, i64>(0))?.collect::<Result<Vec<_>, _>>())
        .map_err(failed("list the segments"))?
        .into_iter()
        .filter_map(|number| u64::try_from(number).ok())
        .collect();
    let (mut told, mut damaged) = (0_usize, 0_usize);
    for number in log::numbers(&root)?.into_iter().filter(|number| !settled.contains(number)) {
        let path = config.data_dir.join(log::relative(number));
        let Some(found) = log::read(disk, &path, &known_records(conn, number)?)? else {
            if log::trim(disk, &path, None)? {
                damaged = damaged.saturating_add(1);
                tracing::error!(path = %path.display(), "the first block of a segment is damaged; it is left as it is");
            } else {
                // Cut short while it was made.
                fs::remove_file(&path).map_err(|source| StoreError::file("remove", &path, source))?;
            }
            continue;
        };
        let tx = conn.transaction().map_err(failed("begin to read the log"))?;
        for record in &found.records {
            told = told.saturating_add(usize::from(tell(&tx, config, number, record)?));
        }
        settle(&tx, number)?;
        disk.before(Step::Transaction, &path).map_err(|source| StoreError::file("read", &path, source))?;
        // Before the segment counts as settled, since those are not looked at again.
        log::trim(disk, &path, found.unfinished)?;
        tx.commit().map_err(failed("read the log"))?;
        if config.durability == Durability::Fsync {
            // Before the file of a segment that turns out to hold nothing goes: its number is not given again.
            disk.durable(Path::new(schema::FILE), 0..u64::MAX);
        }
    }
    Ok((told, damaged))
}

/// Where those records of a segment begin that the index has instances of.
fn known_records(conn: &Connection, segment: u64) -> Result<HashSet<u64>, StoreError> {
    conn.prepare_cached("SELECT record FROM instance WHERE segment = ?1 AND freed = 0")
        .and_then(|mut list| list.query_map([signed(segment)], |row| row.get(0).map(unsigned))?.collect())
        .map_err(StoreError::index("list the records of a segment"))
}

/// Tells the index of one record; `false` when it knew.
fn tell(conn: &Connection, config: &StoreConfig, segment: u64, found: &log::FoundRecord) -> Result<bool, StoreError> {
    let record = RecordId { segment, offset: found.offset };
    let description = Description::read(&found.description, record)?;
    if !is_whole(&description, &config.data_dir) {
        // Its file went with a refusal or as a duplicate.
        return Ok(false);
    }
    let arriving = Arriving { record, digest: found.head.digest, description: &description, header: None };
    let mut tx = Tx::new(conn, config.clock.now_ms());
    if arriving.indexed(&tx)? {
        return Ok(false);
    }
    arriving.index(&mut tx)?;
    ends::refresh(&mut tx)?;
    Ok(true)
}

/// Whether the file of its own that a record speaks of is there, whole.
fn is_whole(description: &Description, data_dir: &Path) -> bool {
    let Some(own) = &description.file else { return true };
    let bytes = description.file_meta_bytes.saturating_add(description.data_set_bytes);
    fs::metadata(Folders::resolve(data_dir, own)).is_ok_and(|metadata| metadata.len() == bytes)
}

/// Notes that the index holds all records of a segment.
pub(crate) fn settle(conn: &Connection, number: u64) -> Result<(), StoreError> {
    conn.execute("INSERT OR IGNORE INTO segment (number) VALUES (?1)", [signed(number)])
        .map(drop)
        .map_err(StoreError::index("settle a segment"))
}

/// The highest number of a segment that was settled: its file may be gone, and no other must be taken for it.
pub(crate) fn last_settled(conn: &Connection) -> Result<u64, StoreError> {
    conn.query_row("SELECT coalesce(max(number), 0) FROM segment", [], |row| row.get::<_, i64>(0))
        .map(unsigned)
        .map_err(StoreError::index("look for the last segment"))
}
