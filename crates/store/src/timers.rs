//! What waits for a time of day waits no longer for it when the clock is set back.

use rusqlite::{Connection, OptionalExtension, params};

use crate::error::StoreError;
use crate::schema::state;

/// The latest time that the owner of the index has seen, for the next one.
pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS clock (latest INTEGER NOT NULL);";

/// Milliseconds by which a clock goes back without having been set: what is corrected little by little.
const TOLERANCE_MS: i64 = 2_000;
/// How many milliseconds may pass until the latest time is recorded anew.
const RECORDED_MS: i64 = 60_000;

/// Looks at the time so as to notice when it is set back, also between two runs.
pub(crate) struct Timers {
    latest: i64,
    recorded: i64,
}

impl Timers {
    pub(crate) fn open(conn: &Connection) -> Result<Self, StoreError> {
        let recorded = conn
            .query_row("SELECT max(latest) FROM clock", [], |row| row.get::<_, Option<i64>>(0))
            .optional()
            .map_err(StoreError::index("read the latest time"))?
            .flatten()
            .unwrap_or(i64::MIN);
        Ok(Self { latest: recorded, recorded })
    }

    /// Whether the latest time is to be recorded, or the clock was set back.
    pub(crate) fn is_due(&self, now: i64) -> bool {
        self.is_back(now) || now.saturating_sub(self.recorded) >= RECORDED_MS
    }

    fn is_back(&self, now: i64) -> bool {
        now < self.latest.saturating_sub(TOLERANCE_MS)
    }

    /// Notes the time; whether it was set back, and what waits was moved along with it.
    ///
    /// Only when something is due is moved, and what that is reckoned from. When something happened stays as it was
    /// recorded.
    pub(crate) fn note(&mut self, conn: &mut Connection, now: i64) -> Result<bool, StoreError> {
        if !self.is_due(now) {
            self.latest = self.latest.max(now);
            return Ok(false);
        }
        let failed = StoreError::index;
        let tx = conn.transaction().map_err(failed("begin to record the time"))?;
        let is_back = self.is_back(now);
        if is_back {
            move_back(&tx, self.latest.saturating_sub(now)).map_err(failed("move what waits"))?;
        }
        tx.execute("DELETE FROM clock", []).map_err(failed("record the time"))?;
        tx.execute("INSERT INTO clock VALUES (?1)", [now]).map_err(failed("record the time"))?;
        tx.commit().map_err(failed("record the time"))?;
        if is_back {
            let seconds = self.latest.saturating_sub(now) / 1_000;
            tracing::warn!(seconds, "the clock was set back: what waits for its time was moved along");
        }
        (self.latest, self.recorded) = (now, now);
        Ok(is_back)
    }
}

fn move_back(tx: &Connection, by_ms: i64) -> rusqlite::Result<()> {
    tx.execute("UPDATE job SET not_before = not_before - ?1 WHERE state = ?2", params![by_ms, state::WAITING])?;
    tx.execute(
        "UPDATE delivery SET not_before = not_before - ?1 WHERE state IN (?2, ?3)",
        params![by_ms, state::WAITING, state::UNCONFIRMED],
    )?;
    tx.execute("UPDATE commitment SET not_before = not_before - ?1 WHERE state = ?2", params![by_ms, state::WAITING])?;
    tx.execute(
        "UPDATE unit SET first_at = first_at - ?1, last_at = last_at - ?1, cap_at = cap_at - ?1
         WHERE id IN (SELECT unit FROM job WHERE unit IS NOT NULL)",
        [by_ms],
    )?;
    Ok(())
}
