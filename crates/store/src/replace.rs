//! A later version takes the place of the earlier ones: what is left to do for those is not done. Where both are kept, it does
//! so at destinations, which have one instance of a UID.

use dokuei_types::DeclineReason;
use rusqlite::params;

use crate::error::StoreError;
use crate::outbox::{ORIGINAL, REJECTION};
use crate::schema::state;
use crate::task;
use crate::writer::Tx;

/// The outcome of the arrival that takes an instance's place, in the table of arrivals.
pub(crate) const REPLACED: &str = "replaced";

/// From the instance outwards: what a destination was sent is not searched.
const OVERTAKE: &str = "
    DELETE FROM delivery WHERE destination = ?2 AND role = ?3 AND +state IN (?4, ?5) AND instance IN (
        SELECT earlier.id FROM instance AS this JOIN instance AS earlier USING (sop_instance)
        JOIN instance AS later USING (sop_instance)
        JOIN delivery AS there ON there.instance = later.id
        WHERE this.id = ?1 AND earlier.version < later.version
          AND +there.destination = ?2 AND there.role = ?3 AND +there.state IN (?6, ?7))
    RETURNING instance";

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

/// Originals of earlier versions of an instance are not sent to `destination` after that of a later one is there: an archive
/// that keeps the last one would have them in its place.
pub(crate) fn overtake(tx: &mut Tx<'_>, instance: i64, destination: &str) -> Result<(), StoreError> {
    let failed = StoreError::index;
    let overtaken = tx
        .conn
        .prepare_cached(OVERTAKE)
        .and_then(|mut delete| {
            let (waiting, dead, stored, unconfirmed) = (state::WAITING, state::DEAD, state::STORED, state::UNCONFIRMED);
            delete
                .query_map(params![instance, destination, ORIGINAL, waiting, dead, stored, unconfirmed], |row| {
                    row.get::<_, i64>(0)
                })?
                .collect::<rusqlite::Result<Vec<_>>>()
        })
        .map_err(failed("overtake earlier versions"))?;
    let reason = task::json(&DeclineReason::Replaced(format!("a later version is at {destination} already")))?;
    for earlier in overtaken {
        tracing::info!(instance = earlier, destination, "not sent: a later version is there already");
        tx.touched.insert(earlier);
        tx.conn
            .prepare_cached(
                "UPDATE decision SET declined = coalesce(declined, ?2)
                 WHERE instance = ?1 AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.instance = ?1)",
            )
            .and_then(|mut update| update.execute(params![earlier, reason]))
            .map_err(failed("record that a version was overtaken"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::plan;

    #[test]
    fn what_a_destination_was_sent_is_not_searched_for_earlier_versions() {
        let steps = plan(OVERTAKE);
        assert!(steps.iter().all(|step| !step.starts_with("SCAN") && !step.contains("INDEX delivery_")), "{steps:#?}");
    }
}
