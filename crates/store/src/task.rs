use dokuei_types::{DeclineReason, InstanceId, ModelIdentity};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::model::TaskId;
use crate::object;
use crate::priority::Priority;
use crate::writer::Tx;

/// A place that a result goes to, and what of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendTo {
    /// Name of the destination.
    pub destination: String,
    /// Roles of the objects it wants, such as `sr` and `sc`.
    pub roles: Vec<String>,
}

/// One model's work on one instance for one route, as decided when the route matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    /// The instance.
    pub instance: InstanceId,
    /// Name of the route.
    pub route: String,
    /// Name of the model.
    pub model: String,
    /// Where the result goes.
    pub send: Vec<SendTo>,
    /// What goes first.
    pub priority: Priority,
}

/// A task as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTask {
    /// Its number.
    pub id: TaskId,
    /// What it is about.
    pub task: NewTask,
}

/// What came of a task.
#[derive(Debug, Clone)]
pub enum TaskEnd {
    /// The model has spoken; the result is recorded under its identity.
    Reported(Box<ModelIdentity>),
    /// The model could not or would not look at it.
    Declined(DeclineReason),
}

/// Records a task as open, again if it was there before; its number.
pub(crate) fn open(tx: &mut Tx<'_>, task: &NewTask) -> Result<i64, StoreError> {
    let send = json(&task.send)?;
    tx.touched.insert(task.instance.0);
    tx.conn
        .prepare_cached(
            "INSERT INTO task (instance, route, model, send, priority, state, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, 'open', ?6)
             ON CONFLICT (instance, route, model) DO UPDATE
             SET send = excluded.send, priority = excluded.priority, state = 'open', reason = NULL, finished_at = NULL
             RETURNING id",
        )
        .and_then(|mut insert| {
            let priority = task.priority.number();
            insert.query_row(params![task.instance.0, task.route, task.model, send, priority, tx.now], |row| row.get(0))
        })
        .map_err(StoreError::index("record a task"))
}

/// Records what came of a task.
pub(crate) fn finish(tx: &mut Tx<'_>, task: TaskId, end: &TaskEnd) -> Result<(), StoreError> {
    let failed = StoreError::index;
    let instance: i64 = tx
        .conn
        .prepare_cached("SELECT instance FROM task WHERE id = ?1")
        .and_then(|mut find| find.query_row([task.0], |row| row.get(0)))
        .map_err(failed("find a task"))?;
    tx.touched.insert(instance);
    let (state, reason, result) = match end {
        TaskEnd::Reported(model) => {
            let result =
                object::find_id(tx.conn, InstanceId(instance), model).map_err(failed("find the result of a task"))?;
            if result.is_none() {
                return Err(StoreError::Broken { what: format!("task {task} is reported without a result") });
            }
            ("reported", None, result)
        }
        TaskEnd::Declined(reason) => ("declined", Some(json(reason)?), None),
    };
    tx.conn
        .prepare_cached("UPDATE task SET state = ?2, reason = ?3, result = ?4, finished_at = ?5 WHERE id = ?1")
        .and_then(|mut update| update.execute(params![task.0, state, reason, result, tx.now]))
        .map_err(failed("finish a task"))?;
    Ok(())
}

/// The task of a number.
pub(crate) fn find(conn: &Connection, task: TaskId) -> rusqlite::Result<Option<StoredTask>> {
    conn.prepare_cached("SELECT instance, route, model, send, priority FROM task WHERE id = ?1")?
        .query_row([task.0], |row| {
            let send = serde_json::from_str(&row.get::<_, String>(3)?).unwrap_or_default();
            let instance = InstanceId(row.get(0)?);
            let priority = Priority::from_number(row.get(4)?);
            let new = NewTask { instance, route: row.get(1)?, model: row.get(2)?, send, priority };
            Ok(StoredTask { id: task, task: new })
        })
        .optional()
}

pub(crate) fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Broken { what: error.to_string() })
}
