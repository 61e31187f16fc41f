//! Which images can be compared with each other: those of one patient, by when they were taken.
//!
//! The index holds no Patient ID. It holds what HMAC-SHA-256 makes of one and its issuer under a key that lies in a file of
//! its own: whoever has the ID and the key finds the results, whoever has the index alone finds nobody. Equal hashes are a
//! reason to look at the headers, never a proof of identity.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use dokuei_types::InstanceId;
use hmac::{Hmac, KeyInit, Mac};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::error::StoreError;
use crate::job;
use crate::priority::Priority;
use crate::read::StoreReader;
use crate::secret::secret;
use crate::task::{self, NewTask};
use crate::writer::Tx;

/// Name of the key inside the data folder.
const KEY_FILE: &str = "patients.key";
/// Of a hash of 32: two patients of a node never share them by chance.
const HASH_BYTES: usize = 16;

/// What can be compared.
pub(crate) const TABLE: &str = "
CREATE TABLE IF NOT EXISTS patient_image (
    instance INTEGER PRIMARY KEY REFERENCES instance (id),
    patient BLOB NOT NULL,
    taken_at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS patient_image_taken ON patient_image (patient, taken_at);
-- Images with a result that were noted before there was the table above, a row for each result.
CREATE TABLE IF NOT EXISTS comparable (
    result INTEGER PRIMARY KEY REFERENCES result (id),
    patient BLOB NOT NULL,
    taken_at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS comparable_patient ON comparable (patient, taken_at);

-- What was fetched to be compared with, for which route.
CREATE TABLE IF NOT EXISTS fetched (
    instance INTEGER PRIMARY KEY REFERENCES instance (id),
    route TEXT NOT NULL
);
";

/// A patient as the index knows one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PatientKey([u8; HASH_BYTES]);

/// Of which patient an image is, and when it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comparable {
    /// The patient.
    pub patient: PatientKey,
    /// Seconds from 1970-01-01 00:00:00 on the clock of the modality, whatever its time zone.
    pub taken_at: i64,
}

/// Which images another one may be compared with.
#[derive(Debug, Clone, Copy)]
pub struct Sought<'a> {
    /// Whose they are, and before when they were taken.
    pub this: Comparable,
    /// They were not taken before this, as [`Comparable::taken_at`].
    pub since: i64,
    /// They are of another study than this, by Study Instance UID.
    pub other_than: Option<&'a str>,
    /// What they have where the index says it, by the names of [`IndexEntry::attributes`](crate::IndexEntry::attributes).
    pub attributes: &'a [(&'a str, &'a str)],
}

/// What an instance was fetched for: some models look at it so that later results of theirs can be compared, no route takes
/// it, and nothing of it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetched {
    /// Name of the route that asked for it.
    pub route: String,
    /// The models, by name.
    pub models: Vec<String>,
    /// What goes first.
    pub priority: Priority,
}

/// An image that another one may be compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EarlierImage {
    /// Its number.
    pub instance: InstanceId,
    /// When it was taken, as [`Comparable::taken_at`].
    pub taken_at: i64,
}

/// Makes keys of patients, with the secret of a data folder.
pub(crate) struct Patients {
    path: PathBuf,
    /// Read or made when first needed.
    secret: Mutex<Option<Vec<u8>>>,
}

impl Patients {
    pub(crate) fn of(data_dir: &Path) -> Self {
        Self { path: data_dir.join(KEY_FILE), secret: Mutex::default() }
    }

    pub(crate) fn key(&self, patient_id: &str, issuer: &str) -> Result<PatientKey, StoreError> {
        let mut known = self.secret.lock().unwrap_or_else(PoisonError::into_inner);
        let secret = match known.take() {
            Some(secret) => secret,
            None => secret(&self.path).map_err(|source| StoreError::file("read or make", &self.path, source))?,
        };
        let key = hashed(&secret, patient_id, issuer);
        *known = Some(secret);
        Ok(key)
    }
}

fn hashed(secret: &[u8], patient_id: &str, issuer: &str) -> PatientKey {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    // The length keeps issuer and ID apart.
    mac.update(&(issuer.len() as u64).to_be_bytes());
    mac.update(issuer.as_bytes());
    mac.update(patient_id.as_bytes());
    let mut key = [0; HASH_BYTES];
    key.iter_mut().zip(mac.finalize().into_bytes()).for_each(|(byte, hash)| *byte = hash);
    PatientKey(key)
}

/// Notes what an image can be compared by; the first note stays.
pub(crate) fn add(tx: &Tx<'_>, instance: InstanceId, comparable: &Comparable) -> Result<(), StoreError> {
    let Comparable { patient: PatientKey(patient), taken_at } = comparable;
    tx.conn
        .prepare_cached("INSERT OR IGNORE INTO patient_image (instance, patient, taken_at) VALUES (?1, ?2, ?3)")
        .and_then(|mut insert| insert.execute(params![instance.0, patient.as_slice(), taken_at]))
        .map(drop)
        .map_err(StoreError::index("note what an image can be compared by"))
}

/// Begins the work on an instance that was fetched, in place of the rules.
pub(crate) fn begin(tx: &mut Tx<'_>, instance: InstanceId, fetched: &Fetched) -> Result<(), StoreError> {
    let Fetched { route, models, priority } = fetched;
    tx.conn
        .prepare_cached("INSERT INTO fetched (instance, route) VALUES (?1, ?2)")
        .and_then(|mut insert| insert.execute(params![instance.0, route]))
        .map_err(StoreError::index("note what an instance was fetched for"))?;
    for model in models {
        let (route, model) = (route.clone(), model.clone());
        let task = task::open(tx, &NewTask { instance, route, model, send: Vec::new(), priority: *priority })?;
        job::add_analyze(tx, instance.0, task, priority.rank(false), None)?;
    }
    Ok(())
}

/// Has the rules asked about an instance that was fetched, if it was: now a sender has sent it by itself.
pub(crate) fn is_sent(tx: &mut Tx<'_>, instance: i64) -> Result<(), StoreError> {
    let was_fetched = tx
        .conn
        .prepare_cached("DELETE FROM fetched WHERE instance = ?1")
        .and_then(|mut delete| delete.execute([instance]))
        .map_err(StoreError::index("note that an instance was sent"))?;
    if was_fetched > 0 { job::add_match(tx, instance) } else { Ok(()) }
}

impl StoreReader {
    /// For which route an instance was fetched to be compared with; `None` where a sender has sent it by itself.
    ///
    /// # Errors
    /// What the index says.
    pub fn fetched_for(&self, id: InstanceId) -> Result<Option<String>, StoreError> {
        self.with("look for what an instance was fetched for", |conn| fetched_for(conn, id))
    }

    /// The images of the same patient that were taken before, whether a model has looked at them or not; latest first and
    /// at most `limit`.
    ///
    /// # Errors
    /// What the index says.
    pub fn earlier_images(&self, sought: &Sought<'_>, limit: usize) -> Result<Vec<EarlierImage>, StoreError> {
        self.with("look for earlier images of a patient", |conn| earlier(conn, sought, limit))
    }

    /// Whether the model of this name has looked at an instance for a route without giving a result, or is still to look.
    ///
    /// # Errors
    /// What the index says.
    pub fn is_without_result(&self, id: InstanceId, model: &str) -> Result<bool, StoreError> {
        self.with("look for what a model made of an instance", |conn| {
            conn.prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM task WHERE instance = ?1 AND model = ?2 AND state <> 'reported')",
            )?
            .query_row(params![id.0, model], |row| row.get(0))
        })
    }
}

pub(crate) fn fetched_for(conn: &Connection, id: InstanceId) -> rusqlite::Result<Option<String>> {
    // A folder that this version's node has not opened yet is without.
    if !conn.table_exists(None, "fetched")? {
        return Ok(None);
    }
    conn.prepare_cached("SELECT route FROM fetched WHERE instance = ?1")?.query_row([id.0], |row| row.get(0)).optional()
}

/// The images are few, so that their rows are looked up one by one.
const EARLIER: &str = "
    SELECT instance.id, max(image.taken_at) FROM (
        SELECT instance, taken_at FROM patient_image WHERE patient = ?1 AND taken_at < ?2 AND taken_at >= ?3
        UNION ALL
        SELECT result.instance, taken_at FROM comparable JOIN result ON result.id = comparable.result
        WHERE patient = ?1 AND taken_at < ?2 AND taken_at >= ?3
    ) AS image JOIN instance ON instance.id = image.instance
    WHERE instance.study IS NOT ?4 AND NOT EXISTS (
        SELECT 1 FROM json_each(?5) AS wanted WHERE instance.attributes ->> wanted.key <> wanted.value)
    GROUP BY instance.id ORDER BY 2 DESC, 1 DESC LIMIT ?6";

/// Whose an image is, where that was noted.
pub(crate) fn patient_of(conn: &Connection, id: InstanceId) -> rusqlite::Result<Option<PatientKey>> {
    conn.prepare_cached(
        "SELECT patient FROM patient_image WHERE instance = ?1
         UNION ALL SELECT patient FROM comparable JOIN result ON result.id = comparable.result WHERE instance = ?1",
    )?
    .query_row([id.0], |row| row.get(0).map(PatientKey))
    .optional()
}

fn earlier(conn: &Connection, sought: &Sought<'_>, limit: usize) -> rusqlite::Result<Vec<EarlierImage>> {
    let Sought { this: Comparable { patient: PatientKey(patient), taken_at }, since, other_than, attributes } = sought;
    let attributes: serde_json::Map<_, _> =
        attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    let attributes = serde_json::Value::Object(attributes).to_string();
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    conn.prepare_cached(EARLIER)?
        .query_map(params![patient.as_slice(), taken_at, since, other_than, attributes, limit], |row| {
            Ok(EarlierImage { instance: InstanceId(row.get(0)?), taken_at: row.get(1)? })
        })?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::plan;

    #[test]
    fn earlier_images_are_looked_up_and_never_searched_for() {
        let steps = plan(EARLIER);
        // What was found by then, and what was asked for.
        let few = ["SCAN image", "SCAN wanted VIRTUAL TABLE"];
        let scans = |step: &&String| step.starts_with("SCAN") && !few.iter().any(|few| step.starts_with(few));
        assert_eq!(steps.iter().find(scans), None, "{steps:#?}");
        assert!(steps.iter().any(|step| step.contains("patient_image_taken")), "{steps:#?}");
    }

    #[test]
    fn patients_differ_by_id_and_by_issuer() {
        let key = |id, issuer| hashed(b"secret", id, issuer);
        let all = [key("12", "3"), key("1", "23"), key("123", ""), key("", "123"), key("12", "4")];
        for (index, one) in all.iter().enumerate() {
            assert!(all.iter().skip(index + 1).all(|other| other != one), "{index}");
        }
        assert_eq!(key("12", "3"), key("12", "3"));
    }
}
