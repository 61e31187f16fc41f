use dokuei_types::{DeclineReason, End};
use rusqlite::{OptionalExtension, params};

use crate::error::StoreError;
use crate::job::JobKind;
use crate::schema::state;
use crate::totals::Occurrence;
use crate::writer::Tx;

/// Works out anew how the instances that were touched have ended, if they have.
pub(crate) fn refresh(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    for instance in std::mem::take(&mut tx.touched) {
        let end = find(tx, instance).map_err(StoreError::index("work out an end"))?;
        write(tx, instance, end.as_ref())?;
    }
    Ok(())
}

fn write(tx: &mut Tx<'_>, instance: i64, end: Option<&End>) -> Result<(), StoreError> {
    let (kind, json, ended_at) = columns(tx, end)?;
    let changed = tx
        .conn
        .prepare_cached(
            "UPDATE instance SET end_kind = ?2, end_json = ?3, ended_at = ?4
             WHERE id = ?1 AND (end_kind <> ?2 OR end_json IS NOT ?3)",
        )
        .and_then(|mut update| update.execute(params![instance, kind, json, ended_at]))
        .map_err(StoreError::index("record an end"))?;
    if changed > 0 {
        count(tx, end);
    }
    Ok(())
}

/// `end_kind`, `end_json` and `ended_at` of an instance.
pub(crate) fn columns(
    tx: &Tx<'_>,
    end: Option<&End>,
) -> Result<(&'static str, Option<String>, Option<i64>), StoreError> {
    let json =
        end.map(serde_json::to_string).transpose().map_err(|error| StoreError::Broken { what: error.to_string() })?;
    Ok((end.map_or("open", End::as_str), json, end.map(|_| tx.now)))
}

/// Counts an end that the index did not have before.
pub(crate) fn count(tx: &mut Tx<'_>, end: Option<&End>) {
    if let Some(end) = end {
        tx.count(Occurrence::End { end: end.as_str(), reason: end.declined().map(DeclineReason::kind) });
    }
}

/// Sorted by the caller: a cached statement with a parameter and `ORDER BY` is prepared anew whenever it is used.
pub(crate) const TASKS: &str = "SELECT id, state, reason FROM task WHERE instance = ?1";

// A plus before a column keeps it out of the choice of an index: the one on the instance is always right, and
// without statistics SQLite does not know.

/// The end that the rows about `instance` add up to; `None` while something is open.
///
/// What someone must act on outweighs what went well: failed before reported before declined.
fn find(tx: &Tx<'_>, instance: i64) -> rusqlite::Result<Option<End>> {
    let open: bool = tx
        .conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM job WHERE instance = ?1 AND +state < ?2)
                 OR EXISTS (SELECT 1 FROM task WHERE instance = ?1 AND +state = 'open')
                 OR EXISTS (SELECT 1 FROM member WHERE instance = ?1 AND +pass IS NULL)
                 OR EXISTS (SELECT 1 FROM delivery WHERE instance = ?1 AND (+state < ?2 OR +state = ?3))",
        )?
        .query_row(params![instance, state::STORED, state::UNCONFIRMED], |row| row.get(0))?;
    if open {
        return Ok(None);
    }
    // An archive that does not send an image again has not undone what came of it.
    let dead: Option<String> = tx
        .conn
        .prepare_cached(
            "SELECT reason FROM job WHERE instance = ?1 AND +state = ?2 AND +kind <> ?3
             UNION ALL SELECT destination || ': ' || reason FROM delivery WHERE instance = ?1 AND +state = ?2 LIMIT 1",
        )?
        .query_row(params![instance, state::DEAD, JobKind::Retrieve.number()], |row| row.get::<_, Option<String>>(0))
        .optional()?
        .map(Option::unwrap_or_default);
    if let Some(reason) = dead {
        return Ok(Some(End::Failed { reason }));
    }
    let mut tasks = tx.conn.prepare_cached(TASKS)?;
    let mut tasks = tasks
        .query_map([instance], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<Vec<(_, _, Option<String>)>>>()?;
    tasks.sort_unstable_by_key(|(id, ..)| *id);
    if let Some((.., reason)) = tasks.iter().find(|(_, state, _)| state == "failed") {
        return Ok(Some(End::Failed { reason: reason.clone().unwrap_or_default() }));
    }
    if tasks.iter().any(|(_, state, _)| state == "reported") {
        return Ok(Some(End::Reported));
    }
    if let Some((.., reason)) = tasks.iter().find(|(_, state, _)| state == "declined") {
        return Ok(Some(End::Declined { reason: declined(reason.as_deref()) }));
    }
    let decision: Option<Option<String>> = tx
        .conn
        .prepare_cached("SELECT declined FROM decision WHERE instance = ?1")?
        .query_row([instance], |row| row.get(0))
        .optional()?;
    if let Some(Some(reason)) = decision {
        return Ok(Some(End::Declined { reason: declined(Some(&reason)) }));
    }
    let sent: bool = tx
        .conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM delivery WHERE instance = ?1)")?
        .query_row([instance], |row| row.get(0))?;
    Ok(Some(if sent { End::Forwarded } else { End::NoRuleMatched }))
}

/// A reason as the index holds it.
fn declined(json: Option<&str>) -> DeclineReason {
    let json = json.unwrap_or_default();
    serde_json::from_str(json).unwrap_or_else(|_| DeclineReason::Malformed(json.to_owned()))
}
