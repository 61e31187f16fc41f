//! A later version takes the place of the earlier ones: what is left to do for those is not done.

use dokuei_types::DeclineReason;
use rusqlite::params;

use crate::error::StoreError;
use crate::outbox::REJECTION;
use crate::schema::state;
use crate::task;
use crate::writer::Tx;

/// The outcome of the arrival that takes an instance's place, in the table of arrivals.
pub(crate) const REPLACED: &str = "replaced";

/// Ends what is left to do for `instance`, which is open or has failed, in favour of `version`: work is not begun, what
/// is in work finds its lease lost, what waits is not sent. Its bytes, its results and what was sent stay.
pub(crate) fn end_work(tx: &mut Tx<'_>, instance: i64, version: u32) -> Result<(), StoreError> {
    let failed = StoreError::index;
    tx.touched.insert(instance);
    let reason = task::json(&DeclineReason::Replaced(format!("version {version} has come in its place")))?;
    let open: i64 = tx
        .conn
        .prepare_cached("SELECT count(*) FROM job WHERE instance = ?1 AND +state < ?2")
        .and_then(|mut count| count.query_row(params![instance, state::DEAD], |row| row.get(0)))
        .map_err(failed("count the jobs of an instance"))?;
    tx.queue = tx.queue.saturating_sub(open);
    let change = |text: &str, values: &[&dyn rusqlite::ToSql]| {
        tx.conn
            .prepare_cached(text)
            .and_then(|mut change| change.execute(values))
            .map_err(failed("replace an instance"))
    };
    change("DELETE FROM job WHERE instance = ?1", &[&instance])?;
    change("DELETE FROM member WHERE instance = ?1 AND +pass IS NULL", &[&instance])?;
    change(
        "UPDATE task SET state = 'declined', reason = ?2, finished_at = ?3
         WHERE instance = ?1 AND +state IN ('open', 'failed')",
        &[&instance, &reason, &tx.now],
    )?;
    change(
        "INSERT INTO decision (instance, at, trace, declined) VALUES (?1, ?2, '[]', ?3)
         ON CONFLICT (instance) DO UPDATE SET declined = coalesce(declined, excluded.declined)",
        &[&instance, &tx.now, &reason],
    )?;
    change(
        "DELETE FROM delivery WHERE instance = ?1 AND +state IN (?2, ?3) AND role <> ?4",
        &[&instance, &state::WAITING, &state::DEAD, &REJECTION],
    )?;
    Ok(())
}
