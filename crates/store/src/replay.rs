use dokuei_types::InstanceId;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;

use crate::again;
use crate::commitment;
use crate::error::StoreError;
use crate::failed::{DELIVERY_AT, DELIVERY_WHAT, Filter, JOB_WHAT};
use crate::job;
use crate::outbox::{self, REJECTION};
use crate::read::StoreReader;
use crate::schema::state;
use crate::writer::Tx;

/// Instances in one transaction, so that the node that owns the index never waits for long.
const AT_ONCE: usize = 500;

/// What is to be set going again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replay {
    /// What failed of these instances; where nothing failed, what was sent is sent again, and where nothing was sent the
    /// rules are asked again.
    Instances(Vec<InstanceId>),
    /// Rules and models are asked again about these instances, also where something was reported: a model that has
    /// changed since makes a revision, one that has not says what it said, and nothing is sent twice.
    Analyze(Vec<InstanceId>),
    /// All of a part that was given up; also what was sent, unless `failed_only`.
    Part {
        /// Which part.
        filter: Filter,
        /// Whether what was sent is left alone.
        failed_only: bool,
    },
}

/// What a replay has set going again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// Dead jobs that wait again.
    pub jobs: usize,
    /// Dead deliveries that wait again.
    pub deliveries: usize,
    /// Deliveries that had arrived and are sent once more, the same bytes as before.
    pub sent_again: usize,
    /// Instances without a failure and without a delivery, for which the rules are asked again.
    pub matched_again: usize,
    /// What is done once an archive has sent an instance whose bytes were removed.
    pub retrieved: usize,
    /// Requests for storage commitment whose peers are to be told after all.
    pub commitments: usize,
    /// Instances still in work, left alone.
    pub in_work: usize,
    /// Numbers that no instance has.
    pub unknown: usize,
    /// What cannot go, since its bytes were removed.
    pub refused: Vec<ReplayRefused>,
    /// What goes, one by one; only of a dry run.
    pub listed: Vec<ReplayItem>,
}

/// Something that a replay sets going again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplayItem {
    /// The instance; `None` for a request of a peer.
    pub instance: Option<InstanceId>,
    /// `match`, `analyze` with the model's name, `deliver` with role and destination, or `tell` with the AE title of a
    /// peer.
    pub what: String,
}

/// Something whose bytes retention has removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplayRefused {
    /// The instance.
    pub instance: InstanceId,
    /// What was to be done, as in [`ReplayItem`].
    pub what: String,
    /// Whether it is about the received image, which an archive may have, and not about a result.
    pub is_image: bool,
    /// When they were removed, milliseconds since 1970.
    pub removed_at: i64,
    /// `age` or `space`.
    pub removed_why: String,
}

impl StoreReader {
    /// Sets going again what `replay` says; with `dry_run` nothing changes, and it is listed instead. An instance whose
    /// bytes were removed is refused in the outcome, the rest goes. A running node hears of it within half a second.
    ///
    /// Every instance is replayed as a whole; what an error leaves undone is of other instances.
    ///
    /// # Errors
    /// What the index says.
    pub fn set_going(&self, replay: &Replay, dry_run: bool) -> Result<Replayed, StoreError> {
        self.go(replay, dry_run, false)
    }

    /// As [`set_going`](Self::set_going), but that an archive is asked for images whose bytes were removed: what is to be
    /// done with them waits until they are here.
    ///
    /// # Errors
    /// What the index says.
    pub fn set_going_from_archive(&self, replay: &Replay, dry_run: bool) -> Result<Replayed, StoreError> {
        self.go(replay, dry_run, true)
    }

    fn go(&self, replay: &Replay, dry_run: bool, from_archive: bool) -> Result<Replayed, StoreError> {
        let mut replayed = Replayed::default();
        let instances = match replay {
            Replay::Instances(instances) | Replay::Analyze(instances) => instances.clone(),
            Replay::Part { filter, failed_only } => {
                self.with("list what is to be replayed", |conn| affected(conn, filter, *failed_only))?
            }
        };
        for some in instances.chunks(AT_ONCE) {
            self.change(dry_run, |tx| {
                tx.ring = true;
                if from_archive {
                    // A folder that this version's node has not opened yet is without.
                    tx.conn.execute_batch(again::TABLE).map_err(StoreError::index("make a table"))?;
                }
                let mut replaying = Replaying { tx, replayed: &mut replayed, is_listed: dry_run, from_archive };
                some.iter().try_for_each(|instance| replaying.instance(replay, instance.0))
            })?;
        }
        if let Replay::Part { filter, .. } = replay
            && !filter.is_of_deliveries()
            && filter.instances.is_none()
        {
            self.change(dry_run, |tx| {
                Replaying { tx, replayed: &mut replayed, is_listed: dry_run, from_archive }.commitments(filter)
            })?;
        }
        Ok(replayed)
    }

    /// As [`set_going`](Self::set_going) with [`Replay::Instances`].
    ///
    /// # Errors
    /// What the index says.
    pub fn replay(&self, instances: &[InstanceId]) -> Result<Replayed, StoreError> {
        self.set_going(&Replay::Instances(instances.to_vec()), false)
    }

    /// As [`set_going`](Self::set_going) with [`Replay::Analyze`].
    ///
    /// # Errors
    /// What the index says.
    pub fn match_again(&self, instances: &[InstanceId]) -> Result<Replayed, StoreError> {
        self.set_going(&Replay::Analyze(instances.to_vec()), false)
    }
}

/// As [`StoreReader::replay`], in the node that owns the index.
pub(crate) fn replay(tx: &mut Tx<'_>, instances: &[InstanceId]) -> Result<Replayed, StoreError> {
    let mut replayed = Replayed::default();
    tx.ring = true;
    let mut replaying = Replaying { tx, replayed: &mut replayed, is_listed: false, from_archive: false };
    instances.iter().try_for_each(|instance| replaying.named(instance.0))?;
    Ok(replayed)
}

/// The instances that have something in a part.
fn affected(conn: &Connection, filter: &Filter, failed_only: bool) -> rusqlite::Result<Vec<InstanceId>> {
    let text = format!(
        "SELECT instance FROM delivery
         WHERE (?1 IS NULL OR destination = ?1) AND state IN (SELECT value FROM json_each(?6))
           AND (?2 IS NULL OR instance IN (SELECT value FROM json_each(?2)))
           AND {DELIVERY_AT} >= ?3 AND {DELIVERY_AT} < ?4
         UNION
         SELECT instance FROM job
         WHERE ?1 IS NULL AND state = ?5 AND instance IS NOT NULL
           AND (?2 IS NULL OR instance IN (SELECT value FROM json_each(?2)))
           AND not_before >= ?3 AND not_before < ?4
         ORDER BY 1"
    );
    let (since, until) = (filter.since.unwrap_or(i64::MIN), filter.until.unwrap_or(i64::MAX));
    let states = format!("{:?}", states(filter, failed_only));
    conn.prepare_cached(&text)?
        .query_map(params![filter.destination, filter.instances(), since, until, state::DEAD, states], |row| {
            row.get(0).map(InstanceId)
        })?
        .collect()
}

/// The states of deliveries that a part has. What went elsewhere goes to a destination too where that is named: else it
/// would be sent to both.
fn states(filter: &Filter, failed_only: bool) -> &'static [i64] {
    const ALL: [i64; 4] = [state::DEAD, state::STORED, state::UNCONFIRMED, state::ELSEWHERE];
    match (failed_only, filter.is_of_deliveries()) {
        (true, _) => &ALL[..1],
        (false, false) => &ALL[..3],
        (false, true) => &ALL,
    }
}

/// A replay under way, in one transaction.
struct Replaying<'a, 'conn> {
    tx: &'a mut Tx<'conn>,
    replayed: &'a mut Replayed,
    is_listed: bool,
    /// Whether an archive is asked for what was removed.
    from_archive: bool,
}

/// A delivery that may be sent again.
struct Candidate {
    id: i64,
    what: String,
    state: i64,
    is_original: bool,
    gone: Gone,
}

/// When bytes were removed, and why, if they were.
type Gone = Option<(i64, String)>;

impl Replaying<'_, '_> {
    fn instance(&mut self, replay: &Replay, instance: i64) -> Result<(), StoreError> {
        match replay {
            Replay::Instances(_) => self.named(instance),
            Replay::Analyze(_) => self.analyze(instance),
            Replay::Part { filter, failed_only } => {
                if !filter.is_of_deliveries() {
                    self.jobs(instance, filter)?;
                }
                self.send(instance, states(filter, *failed_only), filter).map(drop)
            }
        }
    }

    fn named(&mut self, instance: i64) -> Result<(), StoreError> {
        let Some(end) = self.end_of(instance)? else {
            self.replayed.unknown = self.replayed.unknown.saturating_add(1);
            return Ok(());
        };
        let all = Filter::default();
        let jobs = self.jobs(instance, &all)?;
        let deliveries = self.send(instance, &[state::DEAD], &all)?;
        if jobs > 0 || deliveries > 0 {
            return Ok(());
        }
        match end.as_str() {
            "open" => self.replayed.in_work = self.replayed.in_work.saturating_add(1),
            "reported" | "forwarded" => {
                self.send(instance, &[state::STORED], &all)?;
            }
            _ => self.match_again(instance)?,
        }
        Ok(())
    }

    fn analyze(&mut self, instance: i64) -> Result<(), StoreError> {
        let count = match self.end_of(instance)?.as_deref() {
            None => &mut self.replayed.unknown,
            Some("open") => &mut self.replayed.in_work,
            Some(_) => return self.match_again(instance),
        };
        *count = count.saturating_add(1);
        Ok(())
    }

    /// The word for how an instance has ended, or `open`; `None` when there is none of this number.
    fn end_of(&self, instance: i64) -> Result<Option<String>, StoreError> {
        self.tx
            .conn
            .prepare_cached("SELECT end_kind FROM instance WHERE id = ?1")
            .and_then(|mut find| find.query_row([instance], |row| row.get(0)).optional())
            .map_err(StoreError::index("find an instance"))
    }

    fn match_again(&mut self, instance: i64) -> Result<(), StoreError> {
        let gone = self
            .tx
            .conn
            .prepare_cached("SELECT removed_at, removed_why FROM instance WHERE id = ?1")
            .and_then(|mut find| find.query_row([instance], |row| gone(row, 0)))
            .map_err(StoreError::index("look whether an instance is kept"))?;
        match gone {
            Some(_) if self.from_archive => return self.retrieve(instance, "match", 0),
            Some(gone) => {
                self.refuse(instance, "match", true, gone);
                return Ok(());
            }
            None => {}
        }
        job::add_match(self.tx, instance)?;
        self.list(Some(instance), "match");
        self.replayed.matched_again = self.replayed.matched_again.saturating_add(1);
        Ok(())
    }

    /// Has dead jobs wait again; how many.
    fn jobs(&mut self, instance: i64, filter: &Filter) -> Result<usize, StoreError> {
        let failed = StoreError::index;
        let (since, until) = (filter.since.unwrap_or(i64::MIN), filter.until.unwrap_or(i64::MAX));
        let jobs = self
            .tx
            .conn
            .prepare_cached(&format!(
                "SELECT job.id, {JOB_WHAT} FROM job LEFT JOIN task ON task.id = job.task
                 WHERE job.instance = ?1 AND +job.state = ?2 AND job.not_before >= ?3 AND job.not_before < ?4"
            ))
            .and_then(|mut find| {
                find.query_map(params![instance, state::DEAD, since, until], |row| Ok((row.get(0)?, row.get(1)?)))?
                    .collect::<rusqlite::Result<Vec<(i64, String)>>>()
            })
            .map_err(failed("look for dead jobs"))?;
        for (job, what) in &jobs {
            self.tx
                .conn
                .prepare_cached(
                    "UPDATE task SET state = 'open', reason = NULL, finished_at = NULL
                     WHERE id = (SELECT task FROM job WHERE id = ?1)",
                )
                .and_then(|mut update| update.execute([job]))
                .map_err(failed("open tasks again"))?;
            self.tx
                .conn
                .prepare_cached(
                    "UPDATE job SET state = ?2, attempts = 0, interrupted = 0, not_before = ?3, created_at = ?3 WHERE id = ?1",
                )
                .and_then(|mut update| update.execute(params![job, state::WAITING, self.tx.now]))
                .map_err(failed("revive jobs"))?;
            self.list(Some(instance), what);
        }
        if !jobs.is_empty() {
            self.tx.touched.insert(instance);
        }
        self.tx.queue = self.tx.queue.saturating_add(i64::try_from(jobs.len()).unwrap_or_default());
        self.replayed.jobs = self.replayed.jobs.saturating_add(jobs.len());
        Ok(jobs.len())
    }

    /// Puts deliveries of these states back into the queue, as if they were new; how many there are, also of those whose
    /// bytes are gone. Of a withdrawn result it is the note alone.
    fn send(&mut self, instance: i64, states: &[i64], filter: &Filter) -> Result<usize, StoreError> {
        let failed = StoreError::index;
        let mut found = self.candidates(instance, filter).map_err(failed("look for deliveries"))?;
        found.retain(|candidate| states.contains(&candidate.state));
        let count = found.len();
        for Candidate { id, what, state, is_original, gone } in found {
            match gone {
                Some(_) if is_original && self.from_archive => {
                    self.retrieve(instance, &what, id)?;
                    continue;
                }
                Some(gone) => {
                    self.refuse(instance, &what, is_original, gone);
                    continue;
                }
                None => {}
            }
            outbox::requeue(self.tx, id)?;
            self.tx.touched.insert(instance);
            self.list(Some(instance), &what);
            let count = match state {
                state::DEAD => &mut self.replayed.deliveries,
                _ => &mut self.replayed.sent_again,
            };
            *count = count.saturating_add(1);
        }
        Ok(count)
    }

    fn candidates(&self, instance: i64, filter: &Filter) -> rusqlite::Result<Vec<Candidate>> {
        // Objects of one role go together, and of alternatives the first is offered first: one that is gone is missed.
        let text = format!(
            "SELECT delivery.id, {DELIVERY_WHAT}, delivery.state, delivery.result = 0, coalesce(gone.removed_at, image.removed_at),
                    coalesce(gone.removed_why, image.removed_why)
             FROM delivery
             LEFT JOIN instance AS image ON image.id = delivery.instance AND delivery.result = 0
             LEFT JOIN object AS gone ON gone.result = delivery.result AND gone.role = delivery.role
                                     AND gone.removed_at IS NOT NULL
             WHERE delivery.instance = ?1 AND (?2 IS NULL OR delivery.destination = ?2)
               AND {DELIVERY_AT} >= ?3 AND {DELIVERY_AT} < ?4
               AND (delivery.role = ?5 OR NOT EXISTS
                    (SELECT 1 FROM object WHERE object.result = delivery.result AND object.role = ?5))
             GROUP BY delivery.id ORDER BY delivery.id"
        );
        let (since, until) = (filter.since.unwrap_or(i64::MIN), filter.until.unwrap_or(i64::MAX));
        self.tx
            .conn
            .prepare_cached(&text)?
            .query_map(params![instance, filter.destination, since, until, REJECTION], |row| {
                let (id, what, state, is_original) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
                Ok(Candidate { id, what, state, is_original, gone: gone(row, 4)? })
            })?
            .collect()
    }

    /// Has peers told what is committed to, whom nobody has told.
    fn commitments(&mut self, filter: &Filter) -> Result<(), StoreError> {
        for peer in commitment::revive(self.tx, filter.since, filter.until)? {
            self.list(None, &format!("tell {peer} what is committed to"));
            self.replayed.commitments = self.replayed.commitments.saturating_add(1);
        }
        Ok(())
    }

    fn list(&mut self, instance: Option<i64>, what: &str) {
        if self.is_listed {
            self.replayed.listed.push(ReplayItem { instance: instance.map(InstanceId), what: what.to_owned() });
        }
    }

    /// Has an archive asked for an instance, and then a delivery sent, or with 0 the rules asked.
    fn retrieve(&mut self, instance: i64, what: &str, delivery: i64) -> Result<(), StoreError> {
        again::want(self.tx, instance, delivery)?;
        self.list(Some(instance), &format!("retrieve, then {what}"));
        self.replayed.retrieved = self.replayed.retrieved.saturating_add(1);
        Ok(())
    }

    fn refuse(&mut self, instance: i64, what: &str, is_image: bool, (removed_at, removed_why): (i64, String)) {
        let (instance, what) = (InstanceId(instance), what.to_owned());
        self.replayed.refused.push(ReplayRefused { instance, what, is_image, removed_at, removed_why });
    }
}

/// Two columns that say when bytes were removed, and why.
fn gone(row: &Row<'_>, index: usize) -> rusqlite::Result<Gone> {
    let at: Option<i64> = row.get(index)?;
    let why: Option<String> = row.get(index.saturating_add(1))?;
    Ok(at.map(|at| (at, why.unwrap_or_default())))
}
