use std::time::Duration;

use dokuei_types::{InstanceId, Uid};
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use crate::error::StoreError;
use crate::job;
use crate::model::UnitId;
use crate::number::unsigned;
use crate::priority::Priority;
use crate::schema::state;
use crate::task::{self, NewTask, SendTo};
use crate::writer::Tx;

/// What a route waits for the whole of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnitLevel {
    /// A series.
    Series,
    /// A study.
    Study,
}

impl UnitLevel {
    fn as_str(self) -> &'static str {
        match self {
            Self::Series => "series",
            Self::Study => "study",
        }
    }

    fn from_word(word: &str) -> Self {
        if word == "study" { Self::Study } else { Self::Series }
    }
}

/// Why a series or study counts as settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SettleReason {
    /// Nothing came for long enough.
    Quiet,
    /// It has waited for as long as it may.
    Cap,
    /// All that its source has is here.
    Count,
    /// All that completed procedure steps name is here.
    Mpps,
    /// All that an archive notified as available is here.
    Availability,
}

impl SettleReason {
    /// The word in tables and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Cap => "cap",
            Self::Count => "count",
            Self::Mpps => "mpps",
            Self::Availability => "availability",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        let all = [Self::Quiet, Self::Cap, Self::Count, Self::Mpps, Self::Availability];
        all.into_iter().find(|reason| reason.as_str() == word)
    }
}

/// A series or study that is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredUnit {
    /// Its number.
    pub id: UnitId,
    /// Name of the route that waits.
    pub route: String,
    /// Series or study.
    pub level: UnitLevel,
    /// Its UID.
    pub uid: String,
    /// Study Instance UID of its first member that waits.
    pub study: Option<String>,
    /// When its last member came, milliseconds since 1970.
    pub last_at: i64,
    /// When it settles in any case, milliseconds since 1970.
    pub cap_at: i64,
    /// How many signs of it have come, members and hints: where there are more, it is to be looked at again.
    pub signs: i64,
    /// Addresses and ports of those that brought the members which wait: each was one association.
    pub peers: Vec<String>,
}

/// An instance that belongs to a series or study a route waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMember {
    /// The instance.
    pub instance: InstanceId,
    /// Name of the route.
    pub route: String,
    /// Series or study.
    pub level: UnitLevel,
    /// Its UID.
    pub uid: Uid,
    /// Names of the models that look at each member once the unit has settled.
    pub models: Vec<String>,
    /// Where the results go.
    pub send: Vec<SendTo>,
    /// What goes first.
    pub priority: Priority,
    /// Settled after this long without a new member.
    pub settle_after: Duration,
    /// Settled this long after the first member in any case.
    pub settle_at_most: Duration,
}

/// Adds a member and sets the timer of its unit.
///
/// A member that comes after the unit has settled begins another pass, over the new ones alone.
pub(crate) fn join(tx: &mut Tx<'_>, member: &NewMember) -> Result<(), StoreError> {
    let failed = StoreError::index;
    let (models, send) = (task::json(&member.models)?, task::json(&member.send)?);
    let (level, uid) = (member.level.as_str(), member.uid.as_str());
    tx.conn
        .prepare_cached(
            "INSERT INTO unit (route, level, uid, models, send, priority, first_at, last_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)
             ON CONFLICT (route, level, uid) DO UPDATE
             SET models = excluded.models, send = excluded.send, priority = excluded.priority, last_at = excluded.last_at,
                 signs = signs + 1,
                 first_at = CASE WHEN EXISTS (SELECT 1 FROM member WHERE unit = unit.id AND pass IS NULL)
                                 THEN first_at ELSE excluded.first_at END",
        )
        .and_then(|mut insert| {
            let priority = member.priority.number();
            insert.execute(params![member.route, level, uid, models, send, priority, tx.now])
        })
        .map_err(failed("record a unit"))?;
    // A statement that returned this would make a table of its own for it.
    let (unit, first_at): (i64, i64) = tx
        .conn
        .prepare_cached("SELECT id, first_at FROM unit WHERE route = ?1 AND level = ?2 AND uid = ?3")
        .and_then(|mut find| find.query_row(params![member.route, level, uid], |row| Ok((row.get(0)?, row.get(1)?))))
        .map_err(failed("find a unit"))?;
    tx.conn
        .prepare_cached(
            "INSERT INTO member (unit, instance, joined_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (unit, instance) DO UPDATE SET joined_at = excluded.joined_at, pass = NULL",
        )
        .and_then(|mut insert| insert.execute(params![unit, member.instance.0, tx.now]))
        .map_err(failed("record a member"))?;
    let cap_at = first_at.saturating_add(millis(member.settle_at_most));
    tx.conn
        .prepare_cached("UPDATE unit SET cap_at = ?2 WHERE id = ?1 AND cap_at <> ?2")
        .and_then(|mut update| update.execute(params![unit, cap_at]))
        .map_err(failed("set the cap of a unit"))?;
    let quiet_at = tx.now.saturating_add(millis(member.settle_after));
    job::add_settle(tx, unit, quiet_at.min(cap_at))?;
    tx.touched.insert(member.instance.0);
    Ok(())
}

/// Settles a unit: each member that waits becomes a task for each model.
pub(crate) fn settle(
    tx: &mut Tx<'_>,
    unit: UnitId,
    reason: SettleReason,
    detail: Option<&str>,
) -> Result<(), StoreError> {
    let failed = StoreError::index;
    let (route, models, send, priority): (String, String, String, i64) = tx
        .conn
        .prepare_cached("UPDATE unit SET pass = pass + 1 WHERE id = ?1 RETURNING route, models, send, priority")
        .and_then(|mut update| {
            update.query_row([unit.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        })
        .map_err(failed("settle a unit"))?;
    tx.conn
        .prepare_cached(
            "INSERT INTO settled (unit, pass, at, reason, detail) SELECT id, pass, ?2, ?3, ?4 FROM unit WHERE id = ?1",
        )
        .and_then(|mut insert| insert.execute(params![unit.0, tx.now, reason.as_str(), detail]))
        .map_err(failed("record why a unit settled"))?;
    let models: Vec<String> = parse(unit, &models)?;
    let send: Vec<SendTo> = parse(unit, &send)?;
    let priority = Priority::from_number(priority);
    let members = tx
        .conn
        .prepare_cached("SELECT instance FROM member WHERE unit = ?1 AND pass IS NULL ORDER BY joined_at, instance")
        .and_then(|mut find| find.query_map([unit.0], |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>())
        .map_err(failed("list the members of a unit"))?;
    tx.conn
        .prepare_cached(
            "UPDATE member SET pass = (SELECT pass FROM unit WHERE id = ?1) WHERE unit = ?1 AND pass IS NULL",
        )
        .and_then(|mut update| update.execute([unit.0]))
        .map_err(failed("settle the members of a unit"))?;
    for instance in members {
        tx.touched.insert(instance);
        for model in &models {
            let task = NewTask {
                instance: InstanceId(instance),
                route: route.clone(),
                model: model.clone(),
                send: send.clone(),
                priority,
            };
            let id = task::open(tx, &task)?;
            job::add_analyze(tx, instance, id, priority.rank(true), None)?;
        }
    }
    Ok(())
}

/// Has a unit that goes on waiting looked at now, where a sign of it has come that was not counted among `signs`.
pub(crate) fn heed(tx: &mut Tx<'_>, unit: UnitId, signs: i64) -> Result<(), StoreError> {
    tx.conn
        .prepare_cached(
            "UPDATE job SET not_before = min(not_before, ?3)
             WHERE unit = ?1 AND EXISTS (SELECT 1 FROM unit WHERE id = ?1 AND signs <> ?2)",
        )
        .and_then(|mut hasten| hasten.execute(params![unit.0, signs, tx.now]))
        .map(drop)
        .map_err(StoreError::index("heed a sign"))
}

/// A unit, with those that brought what waits in it.
pub(crate) fn find(conn: &Connection, unit: UnitId) -> rusqlite::Result<Option<StoredUnit>> {
    let found = conn
        .prepare_cached(
            "SELECT route, level, uid, last_at, cap_at, signs,
                    (SELECT study FROM member JOIN instance ON instance.id = member.instance
                     WHERE member.unit = unit.id AND pass IS NULL ORDER BY instance LIMIT 1)
             FROM unit WHERE id = ?1",
        )?
        .query_row([unit.0], |row| {
            Ok(StoredUnit {
                id: unit,
                route: row.get(0)?,
                level: UnitLevel::from_word(&row.get::<_, String>(1)?),
                uid: row.get(2)?,
                last_at: row.get(3)?,
                cap_at: row.get(4)?,
                signs: row.get(5)?,
                study: row.get(6)?,
                peers: Vec::new(),
            })
        })
        .optional()?;
    let Some(mut found) = found else { return Ok(None) };
    found.peers = conn
        .prepare_cached(
            "SELECT DISTINCT peer FROM member JOIN instance ON instance.id = member.instance
             WHERE unit = ?1 AND pass IS NULL ORDER BY peer",
        )?
        .query_map([unit.0], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Some(found))
}

/// How many instances of a series or study are here, with those of our results that `destination` has stored: what it
/// would count itself if all of them had come from there.
pub(crate) fn held(conn: &Connection, level: UnitLevel, uid: &str, destination: &str) -> rusqlite::Result<u64> {
    let count: i64 = match level {
        UnitLevel::Series => conn
            .prepare_cached("SELECT count(DISTINCT sop_instance) FROM instance WHERE series = ?1")?
            .query_row([uid], |row| row.get(0))?,
        UnitLevel::Study => conn
            .prepare_cached(
                "SELECT count(*) FROM (
                     SELECT sop_instance FROM instance WHERE study = ?1
                     UNION SELECT object.sop_instance FROM instance
                     JOIN delivery ON delivery.instance = instance.id AND delivery.destination = ?2
                     JOIN object ON object.result = delivery.result AND object.role = delivery.role
                                AND object.sop_class = delivery.sop_class
                     WHERE instance.study = ?1 AND delivery.state IN (?3, ?4))",
            )?
            .query_row(params![uid, destination, state::STORED, state::UNCONFIRMED], |row| row.get(0))?,
    };
    Ok(unsigned(count))
}

fn parse<T: serde::de::DeserializeOwned>(unit: UnitId, json: &str) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|error| StoreError::Broken { what: format!("plan of unit {unit}: {error}") })
}

pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
