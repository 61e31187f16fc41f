//! What modalities and archives say of studies, so that it need not be told from silence when one has settled.
//!
//! A hint is a performed procedure step (PS3.4 Annex F) or an instance availability notification (Annex R), reduced to
//! what settling asks: UIDs, how far it is, when. Each image it names is marked once it is here and the rules have
//! decided on it. Hints are forgotten by age, and the oldest where there are too many: units settle then as if they had
//! never come.
//!
//! Many images are recorded in several transactions, so that arrivals do not wait for them, and take effect with the last
//! one, which is the durable one. What a crash leaves without it:
//!
//! | of | is left | which |
//! |---|---|---|
//! | a new hint | a row that is coming, with some of its images | nobody heeds; it goes when the peer says it again, or by age |
//! | a step in progress | that step, with other images than before | holds up the series it names, as before |
//! | images that are gone | notifications that no longer name some of them | says what the peer has said |

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dokuei_types::{InstanceId, Uid};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::job::JobKind;
use crate::model::HintId;
use crate::number::unsigned;
use crate::read::StoreReader;
use crate::schema::state;
use crate::store::Store;
use crate::unit::{StoredUnit, UnitLevel, millis};
use crate::writer::Tx;

/// How long a hint is kept after it came or was changed last.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Hints that are kept.
const HINTS_MAX: i64 = 20_000;
/// Images that one transaction records of a hint: so long arrivals wait for it at most.
const AT_ONCE: usize = 500;
/// The progress of a hint that is being recorded.
const COMING: &str = "coming";
/// Studies and images that the kept hints name in all.
const NAMED_MAX: i64 = 500_000;

/// What brings a layout without hints to one that has them.
pub(crate) const UPGRADE: &str = "
-- How many signs of the unit have come: members and hints.
ALTER TABLE unit ADD COLUMN signs INTEGER NOT NULL DEFAULT 0;
CREATE INDEX unit_uid ON unit (uid);
-- The reason in more words.
ALTER TABLE settled ADD COLUMN detail TEXT;

CREATE TABLE hint (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    sop_instance TEXT NOT NULL UNIQUE,
    peer_ae TEXT NOT NULL,
    progress TEXT NOT NULL,
    -- When it came or was changed last.
    at INTEGER NOT NULL,
    -- How many studies and images it names.
    named INTEGER NOT NULL
);
CREATE INDEX hint_at ON hint (at);
CREATE TABLE hint_study (
    study TEXT NOT NULL,
    hint INTEGER NOT NULL REFERENCES hint (id) ON DELETE CASCADE,
    PRIMARY KEY (study, hint)
) WITHOUT ROWID;
CREATE INDEX hint_study_hint ON hint_study (hint);
CREATE TABLE hint_image (
    hint INTEGER NOT NULL REFERENCES hint (id) ON DELETE CASCADE,
    sop_instance TEXT NOT NULL,
    series TEXT NOT NULL,
    here INTEGER NOT NULL,
    PRIMARY KEY (hint, sop_instance)
) WITHOUT ROWID;
CREATE INDEX hint_image_series ON hint_image (series);
CREATE INDEX hint_image_missing ON hint_image (hint, series) WHERE here = 0;
CREATE INDEX hint_image_arriving ON hint_image (sop_instance) WHERE here = 0;
";

/// Who gives a hint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HintKind {
    /// A modality: a performed procedure step.
    Mpps,
    /// An archive: a notification of the instances that can be had from it.
    Availability,
}

impl HintKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Mpps, Self::Availability];

    /// The word in tables and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mpps => "mpps",
            Self::Availability => "availability",
        }
    }
}

/// How far a performed procedure step is (PS3.3 § C.4.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More may come.
    InProgress,
    /// All that it made is named; so it is with a notification.
    Completed,
    /// It ended before it was done.
    Discontinued,
}

impl Progress {
    /// The word in tables and logs, as the standard has it but in lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "in progress",
            Self::Completed => "completed",
            Self::Discontinued => "discontinued",
        }
    }
}

/// An image that a hint names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedImage {
    /// Its series.
    pub series: Uid,
    /// Its SOP Instance UID.
    pub sop_instance: Uid,
}

/// A hint that comes for the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHint {
    /// Who gives it.
    pub kind: HintKind,
    /// SOP Instance UID of the step or notification.
    pub sop_instance: Uid,
    /// AE title of the peer that gives it.
    pub peer_ae: String,
    /// How far it is.
    pub progress: Progress,
    /// The studies it is about.
    pub studies: Vec<Uid>,
    /// The images it names.
    pub images: Vec<NamedImage>,
    /// Images that can no longer be had, whatever notifications before said.
    pub gone: Vec<Uid>,
}

/// What is new of a performed procedure step; `None` leaves it as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HintUpdate {
    /// How far it is.
    pub progress: Option<Progress>,
    /// All the images it names now.
    pub images: Option<Vec<NamedImage>>,
}

/// What came of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Updated {
    /// It is recorded.
    Recorded(HintId),
    /// There is no such step, or it is forgotten.
    Unknown,
    /// The step has ended, and changes no more.
    Final,
}

/// What hints say of a series or study that is waited for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hinted {
    /// Performed procedure steps of it that are in progress.
    pub in_progress: u64,
    /// Images of it that completed steps and notifications name.
    pub images: u64,
    /// Those of them that are not here.
    pub missing: u64,
    /// Those of its members that wait and that none of them names.
    pub unnamed: u64,
    /// Who names images of it: steps, where there are some.
    pub by: Option<HintKind>,
}

impl Store {
    /// Records a hint, durable when this returns; `None` when there is one of its SOP Instance UID.
    ///
    /// # Errors
    /// What the index says.
    pub fn add_hint(&self, hint: NewHint) -> Result<Option<HintId>, StoreError> {
        let _turn = self.hint_turn();
        let NewHint { images, gone, .. } = &hint;
        let (images, gone): (Arc<[_]>, Arc<[_]>) = (images.as_slice().into(), gone.as_slice().into());
        let progress = hint.progress;
        let Some(id) = self.writer().call_fleeting(move |tx| begin(tx, &hint))? else { return Ok(None) };
        self.in_parts(&gone, move |tx, gone| no_longer_available(tx, id, gone))?;
        self.in_parts(&images, move |tx, images| name(tx, id, images))?;
        self.writer().call(move |tx| take_effect(tx, id, Some(progress)))?;
        Ok(Some(id))
    }

    /// Records what is new of a performed procedure step, durable when this returns.
    ///
    /// # Errors
    /// What the index says.
    pub fn update_hint(&self, sop_instance: &Uid, update: HintUpdate) -> Result<Updated, StoreError> {
        let _turn = self.hint_turn();
        let id = match self.reader().with("look for a performed procedure step", |conn| step(conn, sop_instance))? {
            None => return Ok(Updated::Unknown),
            Some((_, false)) => return Ok(Updated::Final),
            Some((id, true)) => id,
        };
        if let Some(images) = update.images {
            let before = self.reader().with("list what a hint names", |conn| named(conn, id))?;
            let now: HashMap<&str, &str> =
                images.iter().map(|image| (image.sop_instance.as_str(), image.series.as_str())).collect();
            let is_other = |(image, series): &(&String, &String)| now.get(image.as_str()) != Some(&series.as_str());
            let other: Arc<[_]> = before.iter().filter(is_other).map(|(image, _)| image.clone()).collect();
            let is_new = |image: &&NamedImage| {
                before.get(image.sop_instance.as_str()).is_none_or(|series| series != image.series.as_str())
            };
            let new: Arc<[_]> = images.iter().filter(is_new).cloned().collect();
            self.in_parts(&other, move |tx, other| no_longer_named(tx, id, other))?;
            self.in_parts(&new, move |tx, new| name(tx, id, new))?;
        }
        self.writer().call(move |tx| take_effect(tx, id, update.progress))?;
        Ok(Updated::Recorded(id))
    }

    /// Runs `record` on all of `items`, so many in a transaction that others have their turn in between.
    fn in_parts<T: Send + Sync + 'static>(
        &self,
        items: &Arc<[T]>,
        record: impl Fn(&Tx<'_>, &[T]) -> Result<(), StoreError> + Copy + Send + 'static,
    ) -> Result<(), StoreError> {
        for begin in (0..items.len()).step_by(AT_ONCE) {
            let items = Arc::clone(items);
            self.writer().call_fleeting(move |tx| {
                let end = items.len().min(begin.saturating_add(AT_ONCE));
                record(tx, items.get(begin..end).unwrap_or_default())
            })?;
        }
        Ok(())
    }
}

impl StoreReader {
    /// What hints of these kinds say of a unit.
    ///
    /// # Errors
    /// What the index says.
    pub fn hinted(&self, unit: &StoredUnit, kinds: &[HintKind]) -> Result<Hinted, StoreError> {
        self.with("look for hints", |conn| hinted(conn, unit, kinds))
    }
}

/// Begins to record a hint, which has no effect yet.
fn begin(tx: &mut Tx<'_>, hint: &NewHint) -> Result<Option<HintId>, StoreError> {
    let failed = StoreError::index;
    tx.conn
        .prepare_cached("DELETE FROM hint WHERE sop_instance = ?1 AND progress = ?2")
        .and_then(|mut delete| delete.execute(params![hint.sop_instance.as_str(), COMING]))
        .map_err(failed("forget what was cut short"))?;
    let id = tx
        .conn
        .prepare_cached(
            "INSERT INTO hint (kind, sop_instance, peer_ae, progress, at, named) VALUES (?1, ?2, ?3, ?4, ?5, 0)
             ON CONFLICT (sop_instance) DO NOTHING RETURNING id",
        )
        .and_then(|mut insert| {
            let row = params![hint.kind.as_str(), hint.sop_instance.as_str(), hint.peer_ae, COMING, tx.now];
            insert.query_row(row, |row| row.get(0).map(HintId)).optional()
        })
        .map_err(failed("record a hint"))?;
    let Some(id) = id else { return Ok(None) };
    for study in &hint.studies {
        tx.conn
            .prepare_cached("INSERT OR IGNORE INTO hint_study (study, hint) VALUES (?1, ?2)")
            .and_then(|mut insert| insert.execute(params![study.as_str(), id.0]))
            .map_err(failed("record the study of a hint"))?;
    }
    Ok(Some(id))
}

/// Has the notifications on the studies of a hint no longer name images.
fn no_longer_available(tx: &Tx<'_>, id: HintId, gone: &[Uid]) -> Result<(), StoreError> {
    for image in gone {
        tx.conn
            .prepare_cached(
                "DELETE FROM hint_image WHERE sop_instance = ?1 AND hint IN (
                     SELECT other.hint FROM hint_study AS this JOIN hint_study AS other USING (study)
                     JOIN hint ON hint.id = other.hint WHERE this.hint = ?2 AND kind = ?3)",
            )
            .and_then(|mut delete| delete.execute(params![image.as_str(), id.0, HintKind::Availability.as_str()]))
            .map_err(StoreError::index("record that an image is gone"))?;
    }
    Ok(())
}

/// A performed procedure step, and whether it is in progress.
fn step(conn: &Connection, sop_instance: &Uid) -> rusqlite::Result<Option<(HintId, bool)>> {
    conn.prepare_cached("SELECT id, progress = ?2 FROM hint WHERE sop_instance = ?1 AND kind = ?3 AND progress <> ?4")?
        .query_row(
            params![sop_instance.as_str(), Progress::InProgress.as_str(), HintKind::Mpps.as_str(), COMING],
            |row| Ok((HintId(row.get(0)?), row.get(1)?)),
        )
        .optional()
}

/// The images that a hint names, each with its series.
fn named(conn: &Connection, id: HintId) -> rusqlite::Result<HashMap<String, String>> {
    conn.prepare_cached("SELECT sop_instance, series FROM hint_image WHERE hint = ?1")?
        .query_map([id.0], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// Records that a hint names images no longer.
fn no_longer_named(tx: &Tx<'_>, id: HintId, images: &[String]) -> Result<(), StoreError> {
    for image in images {
        tx.conn
            .prepare_cached("DELETE FROM hint_image WHERE hint = ?1 AND sop_instance = ?2")
            .and_then(|mut delete| delete.execute(params![id.0, image]))
            .map_err(StoreError::index("replace the images of a hint"))?;
    }
    Ok(())
}

/// Records images that a hint names, and which of them are here: ours too, which an archive has from us.
fn name(tx: &Tx<'_>, id: HintId, images: &[NamedImage]) -> Result<(), StoreError> {
    for image in images {
        tx.conn
            .prepare_cached(
                "INSERT OR IGNORE INTO hint_image (hint, sop_instance, series, here) VALUES (?1, ?2, ?3,
                     EXISTS (SELECT 1 FROM instance WHERE sop_instance = ?2
                         AND NOT EXISTS (SELECT 1 FROM fetched WHERE fetched.instance = instance.id)
                         AND NOT EXISTS (
                             SELECT 1 FROM job WHERE job.instance = instance.id AND +job.kind = ?4 AND +job.state < ?5))
                     OR EXISTS (SELECT 1 FROM object WHERE sop_instance = ?2))",
            )
            .and_then(|mut insert| {
                let (sop_instance, series) = (image.sop_instance.as_str(), image.series.as_str());
                insert.execute(params![id.0, sop_instance, series, JobKind::Match.number(), state::DEAD])
            })
            .map_err(StoreError::index("record an image that a hint names"))?;
    }
    Ok(())
}

/// Has a hint of which all is recorded take effect, from now on with this progress where it has another.
fn take_effect(tx: &mut Tx<'_>, id: HintId, progress: Option<Progress>) -> Result<(), StoreError> {
    let failed = StoreError::index;
    tx.conn
        .prepare_cached(
            "UPDATE hint SET progress = coalesce(?2, progress), at = ?3,
                 named = (SELECT count(*) FROM hint_study WHERE hint = ?1)
                       + (SELECT count(*) FROM hint_image WHERE hint = ?1) WHERE id = ?1",
        )
        .and_then(|mut set| set.execute(params![id.0, progress.map(Progress::as_str), tx.now]))
        .map_err(failed("record a hint"))?;
    forget(tx.conn, tx.now, id).map_err(failed("forget old hints"))?;
    wake(tx, id)
}

/// Forgets the hints that are too old or too many, but never the one that has just come.
fn forget(conn: &Connection, now: i64, newest: HintId) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM hint WHERE id <> ?1 AND (at < ?2 OR id <= (SELECT max(id) FROM hint) - ?3)")?
        .execute(params![newest.0, now.saturating_sub(millis(KEPT)), HINTS_MAX])?;
    let named: i64 = conn.prepare_cached("SELECT sum(named) FROM hint")?.query_row([], |row| row.get(0))?;
    if named > NAMED_MAX {
        conn.prepare_cached(
            "DELETE FROM hint WHERE id <> ?1 AND id IN (
                 SELECT id FROM (SELECT id, sum(named) OVER (ORDER BY at DESC, id DESC) AS kept FROM hint)
                 WHERE kept > ?2)",
        )?
        .execute([newest.0, NAMED_MAX])?;
    }
    Ok(())
}

/// Marks an instance that the rules have decided on as here, and has those looked at that may wait for it alone.
pub(crate) fn arrived(tx: &mut Tx<'_>, instance: InstanceId) -> Result<(), StoreError> {
    let failed = StoreError::index;
    // Looked for first: a statement that changes rows and returns them makes a table of its own even for none.
    let named = tx
        .conn
        .prepare_cached(
            "SELECT hint, series, sop_instance FROM hint_image
             WHERE here = 0 AND sop_instance = (SELECT sop_instance FROM instance WHERE id = ?1)",
        )
        .and_then(|mut find| {
            find.query_map([instance.0], |row| Ok((HintId(row.get(0)?), row.get(1)?, row.get(2)?)))?
                .collect::<rusqlite::Result<Vec<(HintId, String, String)>>>()
        })
        .map_err(failed("look for hints of an image"))?;
    for (hint, series, sop_instance) in named {
        tx.conn
            .prepare_cached("UPDATE hint_image SET here = 1 WHERE hint = ?1 AND sop_instance = ?2")
            .and_then(|mut mark| mark.execute(params![hint.0, sop_instance]))
            .map_err(failed("mark an image as here"))?;
        let is_last = tx
            .conn
            .prepare_cached(
                "SELECT NOT EXISTS (SELECT 1 FROM hint_image INDEXED BY hint_image_missing
                                    WHERE hint = ?1 AND series = ?2 AND here = 0)
                    AND EXISTS (SELECT 1 FROM hint WHERE id = ?1 AND progress = ?3)",
            )
            .and_then(|mut find| {
                find.query_row(params![hint.0, series, Progress::Completed.as_str()], |row| row.get::<_, bool>(0))
            })
            .map_err(failed("look for further images of a series"))?;
        if is_last {
            wake(tx, hint)?;
        }
    }
    Ok(())
}

/// Has the units that a hint is about looked at now.
fn wake(tx: &mut Tx<'_>, hint: HintId) -> Result<(), StoreError> {
    let failed = StoreError::index;
    let units = tx
        .conn
        .prepare_cached(
            "UPDATE unit SET signs = signs + 1 WHERE id IN (
                 SELECT member.unit FROM hint_study JOIN instance USING (study)
                 JOIN member ON member.instance = instance.id AND member.pass IS NULL WHERE hint_study.hint = ?1
                 UNION SELECT unit.id FROM hint_image JOIN unit ON unit.uid = hint_image.series
                 WHERE hint_image.hint = ?1)
             RETURNING id",
        )
        .and_then(|mut find| find.query_map([hint.0], |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>())
        .map_err(failed("look for what a hint is about"))?;
    for unit in units {
        tx.conn
            .prepare_cached("UPDATE job SET not_before = min(not_before, ?2) WHERE unit = ?1 AND state = ?3")
            .and_then(|mut hasten| hasten.execute(params![unit, tx.now, state::WAITING]))
            .map_err(failed("hasten a timer"))?;
        tx.ring = true;
    }
    Ok(())
}

/// A hint that is about a unit.
struct About {
    id: i64,
    kind: HintKind,
    is_completed: bool,
    names_it: bool,
}

fn hinted(conn: &Connection, unit: &StoredUnit, kinds: &[HintKind]) -> rusqlite::Result<Hinted> {
    let (study, series) = match unit.level {
        UnitLevel::Study => (Some(&unit.uid), None),
        UnitLevel::Series => (unit.study.as_ref(), Some(&unit.uid)),
    };
    let (completed, discontinued) = (Progress::Completed.as_str(), Progress::Discontinued.as_str());
    let mpps = HintKind::Mpps.as_str();
    let about: Vec<About> = conn
        .prepare_cached(
            "SELECT id, kind = ?3, progress = ?4,
                    ?2 IS NULL OR EXISTS (SELECT 1 FROM hint_image WHERE hint = hint.id AND series = ?2)
             FROM hint WHERE progress NOT IN (?5, ?6) AND id IN (
                 SELECT hint FROM hint_study WHERE study = ?1 UNION SELECT hint FROM hint_image WHERE series = ?2)",
        )?
        .query_map(params![study, series, mpps, completed, discontinued, COMING], |row| {
            let kind = if row.get(1)? { HintKind::Mpps } else { HintKind::Availability };
            Ok(About { id: row.get(0)?, kind, is_completed: row.get(2)?, names_it: row.get(3)? })
        })?
        .filter(|about| about.as_ref().map_or(true, |about| kinds.contains(&about.kind)))
        .collect::<rusqlite::Result<_>>()?;
    let completed: Vec<&About> = about.iter().filter(|about| about.is_completed && about.names_it).collect();
    // A series that a completed step names is done with, whatever else its study waits for.
    let in_progress = |about: &&About| !about.is_completed && (about.names_it || completed.is_empty());
    let mut hinted = Hinted {
        in_progress: about.iter().filter(in_progress).count() as u64,
        by: completed.iter().map(|about| about.kind).min(),
        ..Hinted::default()
    };
    if completed.is_empty() {
        return Ok(hinted);
    }
    let ids = serde_json::to_string(&completed.iter().map(|about| about.id).collect::<Vec<_>>()).unwrap_or_default();
    (hinted.images, hinted.missing) = conn
        .prepare_cached(
            "SELECT count(*), count(*) FILTER (WHERE NOT here) FROM (
                 SELECT max(here) AS here FROM hint_image
                 WHERE hint IN (SELECT value FROM json_each(?1)) AND (?2 IS NULL OR series = ?2) GROUP BY sop_instance)",
        )?
        .query_row(params![ids, series], |row| Ok((unsigned(row.get(0)?), unsigned(row.get(1)?))))?;
    hinted.unnamed = conn
        .prepare_cached(
            "SELECT count(*) FROM member JOIN instance ON instance.id = member.instance
             WHERE member.unit = ?1 AND pass IS NULL AND NOT EXISTS (
                 SELECT 1 FROM hint_image WHERE hint IN (SELECT value FROM json_each(?2))
                     AND sop_instance = instance.sop_instance)",
        )?
        .query_row(params![unit.id.0, ids], |row| row.get(0).map(unsigned))?;
    Ok(hinted)
}
