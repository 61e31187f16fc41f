use dokuei_types::InstanceId;
use rusqlite::{Connection, Row, params};
use serde::Serialize;

use crate::error::StoreError;
use crate::number::unsigned;
use crate::writer::Tx;

/// What rules say of instances that is counted, a row for each condition and route.
pub(crate) const TABLE: &str = "
CREATE TABLE IF NOT EXISTS rule_tally (
    what TEXT NOT NULL,
    route TEXT NOT NULL,
    condition TEXT NOT NULL,
    count INTEGER NOT NULL,
    last_instance INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    PRIMARY KEY (what, route, condition)
) WITHOUT ROWID;
";

/// Something the rules said of an instance that is counted over all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tally {
    /// A condition could not be evaluated, and so did not hold.
    Failed {
        /// Name of its route.
        route: String,
        /// The condition as it is written.
        condition: String,
    },
    /// A route applied of whose results nothing is sent.
    Shadow {
        /// Its name.
        route: String,
    },
    /// A route would return results to a sender that is no destination.
    NoWayBack {
        /// Its name.
        route: String,
        /// AE title of the sender.
        sender: String,
    },
    /// An instance came again as another patient's after a route had results of it made, which stand.
    OtherPatient {
        /// Its name.
        route: String,
    },
}

/// How often the rules said something, for `dokuei status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tallied {
    /// `failed`, `shadow`, `no_way_back` or `other_patient`.
    pub what: String,
    /// Name of the route.
    pub route: String,
    /// The condition; the AE title of a sender without a way back; else empty.
    pub condition: String,
    /// How often; an instance that was matched again counts again.
    pub count: u64,
    /// The instance it was last said of.
    pub last_instance: InstanceId,
    /// When, milliseconds since 1970.
    pub last_at: i64,
}

pub(crate) fn add(tx: &mut Tx<'_>, instance: InstanceId, tally: &Tally) -> Result<(), StoreError> {
    let (what, route, condition) = match tally {
        Tally::Failed { route, condition } => ("failed", route, condition.as_str()),
        Tally::Shadow { route } => ("shadow", route, ""),
        Tally::NoWayBack { route, sender } => ("no_way_back", route, sender.as_str()),
        Tally::OtherPatient { route } => ("other_patient", route, ""),
    };
    tx.conn
        .prepare_cached(
            "INSERT INTO rule_tally (what, route, condition, count, last_instance, last_at) VALUES (?1, ?2, ?3, 1, ?4, ?5)
             ON CONFLICT (what, route, condition) DO UPDATE
             SET count = count + 1, last_instance = excluded.last_instance, last_at = excluded.last_at",
        )
        .and_then(|mut insert| insert.execute(params![what, route, condition, instance.0, tx.now]))
        .map_err(StoreError::index("count what a rule said"))?;
    Ok(())
}

pub(crate) fn all(conn: &Connection) -> rusqlite::Result<Vec<Tallied>> {
    // A folder that this version's node has not opened yet is without.
    if !conn.table_exists(None, "rule_tally")? {
        return Ok(Vec::new());
    }
    conn.prepare_cached(
        "SELECT what, route, condition, count, last_instance, last_at FROM rule_tally ORDER BY what, route, condition",
    )?
    .query_map([], tallied)?
    .collect()
}

fn tallied(row: &Row<'_>) -> rusqlite::Result<Tallied> {
    Ok(Tallied {
        what: row.get(0)?,
        route: row.get(1)?,
        condition: row.get(2)?,
        count: unsigned(row.get(3)?),
        last_instance: InstanceId(row.get(4)?),
        last_at: row.get(5)?,
    })
}
