use std::time::Duration;

use dokuei_types::{InstanceId, Uid};
use rusqlite::params;

use crate::error::StoreError;
use crate::job;
use crate::model::UnitId;
use crate::priority::Priority;
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
    let unit: i64 = tx
        .conn
        .prepare_cached(
            "INSERT INTO unit (route, level, uid, models, send, priority, first_at, last_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)
             ON CONFLICT (route, level, uid) DO UPDATE
             SET models = excluded.models, send = excluded.send, priority = excluded.priority, last_at = excluded.last_at,
                 first_at = CASE WHEN EXISTS (SELECT 1 FROM member WHERE unit = unit.id AND pass IS NULL)
                                 THEN first_at ELSE excluded.first_at END
             RETURNING id",
        )
        .and_then(|mut insert| {
            let (level, priority) = (member.level.as_str(), member.priority.number());
            let about = params![member.route, level, member.uid.as_str(), models, send, priority, tx.now];
            insert.query_row(about, |row| row.get(0))
        })
        .map_err(failed("record a unit"))?;
    tx.conn
        .prepare_cached(
            "INSERT INTO member (unit, instance, joined_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (unit, instance) DO UPDATE SET joined_at = excluded.joined_at, pass = NULL",
        )
        .and_then(|mut insert| insert.execute(params![unit, member.instance.0, tx.now]))
        .map_err(failed("record a member"))?;
    let first_at: i64 = tx
        .conn
        .prepare_cached("SELECT first_at FROM unit WHERE id = ?1")
        .and_then(|mut find| find.query_row([unit], |row| row.get(0)))
        .map_err(failed("read a unit"))?;
    let quiet = tx.now.saturating_add(millis(member.settle_after));
    let cap = first_at.saturating_add(millis(member.settle_at_most));
    job::add_settle(tx, unit, quiet.min(cap))?;
    tx.touched.insert(member.instance.0);
    Ok(())
}

/// Settles a unit: each member that waits becomes a task for each model.
pub(crate) fn settle(tx: &mut Tx<'_>, unit: UnitId) -> Result<(), StoreError> {
    let failed = StoreError::index;
    let (route, models, send, priority): (String, String, String, i64) = tx
        .conn
        .prepare_cached("UPDATE unit SET pass = pass + 1 WHERE id = ?1 RETURNING route, models, send, priority")
        .and_then(|mut update| {
            update.query_row([unit.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        })
        .map_err(failed("settle a unit"))?;
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

fn parse<T: serde::de::DeserializeOwned>(unit: UnitId, json: &str) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|error| StoreError::Broken { what: format!("plan of unit {unit}: {error}") })
}

pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
