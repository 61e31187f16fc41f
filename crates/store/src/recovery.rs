use std::collections::HashSet;
use std::fs;

use rusqlite::Connection;

use crate::error::StoreError;
use crate::folder::{Folders, remove};
use crate::writer::Tx;
use crate::{ends, job, outbox};

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

/// Removes the files that a crash left in their final place before the index knew of them.
///
/// Only the newest folders can hold such files.
pub(crate) fn clear_orphans(conn: &Connection, folders: &Folders, table: &str) -> Result<usize, StoreError> {
    let mut count = 0_usize;
    for (name, path) in folders.unsettled()? {
        let known = known(conn, table, &name)?;
        let failed = |source| StoreError::file("list", &path, source);
        for entry in fs::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let relative = format!("{name}/{}", entry.file_name().to_string_lossy());
            if !known.contains(&relative) {
                remove(&entry.path());
                count = count.saturating_add(1);
            }
        }
    }
    Ok(count)
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
