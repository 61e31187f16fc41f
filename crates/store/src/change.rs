use std::sync::Arc;
use std::time::Duration;

use dokuei_types::{DeclineReason, End, InstanceId, ModelIdentity, Uid};
use rusqlite::params;
use serde_json::value::RawValue;

use crate::again;
use crate::confirmation::{self, Confirmation, Unconfirmed};
use crate::error::StoreError;
use crate::folder::Folder;
use crate::hint;
use crate::job::{self, Fate, Lease};
use crate::model::{DeliveryId, JobId, TaskId, UnitId};
use crate::object::{self, NewResult, Staged};
use crate::outbox::{self, DeliveryEnd, DeliveryLease};
use crate::prior::{self, Comparable};
use crate::priority::Priority;
use crate::tally::{self, Tally};
use crate::task::{self, NewTask, TaskEnd};
use crate::unit::{self, NewMember, SettleReason, StoredUnit, millis};
use crate::writer::{Request, Tx};

/// What the rules said of an instance.
#[derive(Debug, Clone)]
pub struct Decision {
    /// Route by route and condition by condition, for people and `dokuei show`.
    pub trace: Box<RawValue>,
    /// Why nothing will be done although a route matched.
    pub declined: Option<DeclineReason>,
}

impl Decision {
    /// How an instance has ended that was only decided on.
    fn end(&self) -> End {
        self.declined.clone().map_or(End::NoRuleMatched, |reason| End::Declined { reason })
    }
}

/// Changes that happen together or not at all, and only while the lease they are made under is held.
pub struct Changes {
    guard: Option<Guard>,
    list: Vec<Change>,
    staged: Vec<(NewResult, Vec<Staged>)>,
}

enum Guard {
    Job { job: JobId, fence: i64, fate: Fate },
    Delivery { id: DeliveryId, fence: i64, end: DeliveryEnd },
    Inquiry { id: DeliveryId, transaction_uid: Uid, end: Confirmation },
}

enum Change {
    Decide {
        instance: InstanceId,
        decision: Decision,
    },
    Tally {
        instance: InstanceId,
        tally: Tally,
    },
    Begin {
        task: NewTask,
        lease: Option<Duration>,
    },
    Join(NewMember),
    Settle(UnitId, SettleReason, Option<String>),
    Heed {
        unit: UnitId,
        signs: i64,
    },
    Result(usize),
    Compare {
        instance: InstanceId,
        comparable: Comparable,
    },
    Resume(InstanceId),
    Finish {
        task: TaskId,
        end: TaskEnd,
    },
    SendOriginal {
        instance: InstanceId,
        destination: String,
        priority: Priority,
    },
    SendResult {
        instance: InstanceId,
        model: Box<ModelIdentity>,
        role: String,
        destination: String,
        priority: Priority,
    },
}

/// What came of a set of changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Tasks that were begun and leased at once, so that the work goes on without another turn.
    pub leases: Vec<Lease>,
}

impl Changes {
    /// Under no lease: what an arrival brings about ([`Decide`](crate::Decide)), and what is found out beside all work.
    #[must_use]
    pub fn unleased() -> Self {
        Self { guard: None, list: Vec::new(), staged: Vec::new() }
    }

    fn guarded(guard: Guard) -> Self {
        Self { guard: Some(guard), ..Self::unleased() }
    }

    fn job(lease: &Lease, fate: Fate) -> Self {
        Self::guarded(Guard::Job { job: lease.job, fence: lease.fence, fate })
    }

    /// The job is done.
    #[must_use]
    pub fn complete(lease: &Lease) -> Self {
        Self::job(lease, Fate::Complete)
    }

    /// The job is tried again at `at` (milliseconds since 1970).
    #[must_use]
    pub fn retry(lease: &Lease, at: i64, reason: &str) -> Self {
        Self::job(lease, Fate::Retry { at, reason: reason.to_owned() })
    }

    /// The job is not tried yet: it waits until `at` (milliseconds since 1970), or until it is hastened.
    #[must_use]
    pub fn postpone(lease: &Lease, at: i64, reason: &str) -> Self {
        Self::job(lease, Fate::Postpone { at, reason: reason.to_owned() })
    }

    /// The job becomes a dead letter.
    #[must_use]
    pub fn bury(lease: &Lease, reason: &str) -> Self {
        Self::job(lease, Fate::Bury { reason: reason.to_owned() })
    }

    /// The job is given back untried (the node stops).
    #[must_use]
    pub fn release(lease: &Lease) -> Self {
        Self::job(lease, Fate::Release)
    }

    /// The job goes on until `until` (milliseconds since 1970).
    #[must_use]
    pub fn renew(lease: &Lease, until: i64) -> Self {
        Self::job(lease, Fate::Renew { until })
    }

    /// What came of an attempt to deliver.
    #[must_use]
    pub fn delivered(lease: &DeliveryLease, end: DeliveryEnd) -> Self {
        Self::guarded(Guard::Delivery { id: lease.id, fence: lease.fence, end })
    }

    /// What came of asking a destination, under `transaction_uid`, whether it keeps an object.
    #[must_use]
    pub fn confirmed(object: &Unconfirmed, transaction_uid: &Uid, end: Confirmation) -> Self {
        Self::guarded(Guard::Inquiry { id: object.delivery, transaction_uid: transaction_uid.clone(), end })
    }

    /// Records what the rules said of `instance`, in place of what they said before.
    #[must_use]
    pub fn decide(mut self, instance: InstanceId, decision: Decision) -> Self {
        self.list.push(Change::Decide { instance, decision });
        self
    }

    /// Counts what the rules said of `instance`.
    #[must_use]
    pub fn tally(mut self, instance: InstanceId, tally: Tally) -> Self {
        self.list.push(Change::Tally { instance, tally });
        self
    }

    /// Queues a task; with `lease`, the caller goes on with it at once (see [`Applied::leases`]).
    #[must_use]
    pub fn begin(mut self, task: NewTask, lease: Option<Duration>) -> Self {
        self.list.push(Change::Begin { task, lease });
        self
    }

    /// Adds an instance to a series or study that is waited for.
    #[must_use]
    pub fn join(mut self, member: NewMember) -> Self {
        self.list.push(Change::Join(member));
        self
    }

    /// Settles a unit: a task for each member that waits and each model of the route.
    #[must_use]
    pub fn settle(mut self, unit: UnitId, reason: SettleReason) -> Self {
        self.list.push(Change::Settle(unit, reason, None));
        self
    }

    /// As [`settle`](Self::settle), with the reason in more words.
    #[must_use]
    pub fn settle_because(mut self, unit: UnitId, reason: SettleReason, detail: &str) -> Self {
        self.list.push(Change::Settle(unit, reason, Some(detail.to_owned())));
        self
    }

    /// Has a unit that goes on waiting looked at now after all, where a sign of it has come since it was read.
    #[must_use]
    pub fn heed(mut self, unit: &StoredUnit) -> Self {
        self.list.push(Change::Heed { unit: unit.id, signs: unit.signs });
        self
    }

    /// Keeps a result with its objects. When there is one of the same identity, that one stays and
    /// these objects are removed.
    #[must_use]
    pub fn result(mut self, result: NewResult, objects: Vec<Staged>) -> Self {
        self.list.push(Change::Result(self.staged.len()));
        self.staged.push((result, objects));
        self
    }

    /// Notes of which patient and when an image was taken, so that later ones can be compared with it.
    #[must_use]
    pub fn comparable(mut self, instance: InstanceId, comparable: Comparable) -> Self {
        self.list.push(Change::Compare { instance, comparable });
        self
    }

    /// Does what an instance was awaited for, which is [here](crate::Awaited::Here) again.
    #[must_use]
    pub fn resume(mut self, instance: InstanceId) -> Self {
        self.list.push(Change::Resume(instance));
        self
    }

    /// Records what came of a task.
    #[must_use]
    pub fn finish(mut self, task: TaskId, end: TaskEnd) -> Self {
        self.list.push(Change::Finish { task, end });
        self
    }

    /// Queues an original for a destination, unless it is or was.
    #[must_use]
    pub fn send_original(mut self, instance: InstanceId, destination: &str, priority: Priority) -> Self {
        self.list.push(Change::SendOriginal { instance, destination: destination.to_owned(), priority });
        self
    }

    /// Queues the objects of `role` of the result that `model` gave for `instance`, unless they are
    /// or were.
    #[must_use]
    pub fn send_result(
        mut self,
        instance: InstanceId,
        model: &ModelIdentity,
        role: &str,
        destination: &str,
        priority: Priority,
    ) -> Self {
        let (model, role) = (Box::new(model.clone()), role.to_owned());
        self.list.push(Change::SendResult { instance, model, role, destination: destination.to_owned(), priority });
        self
    }
}

impl Changes {
    /// How an instance has ended of which nothing but these is known; `None` where they leave something to do.
    pub(crate) fn end(&self) -> Option<End> {
        let mut end = None;
        for change in &self.list {
            match change {
                Change::Decide { decision, .. } => end = Some(decision.end()),
                Change::Tally { .. } | Change::Compare { .. } => {}
                _ => return None,
            }
        }
        end
    }

    /// Makes them; also which of `staged` the index names now.
    pub(crate) fn make(&self, tx: &mut Tx<'_>) -> Result<(Applied, Vec<bool>), StoreError> {
        match &self.guard {
            Some(Guard::Job { job, fence, fate }) => job::fenced(tx, *job, *fence, fate)?,
            Some(Guard::Delivery { id, fence, end }) => outbox::finish(tx, *id, *fence, end)?,
            Some(Guard::Inquiry { id, transaction_uid, end }) => confirmation::finish(tx, *id, transaction_uid, end)?,
            None => {}
        }
        let (mut applied, mut kept) = (Applied::default(), vec![false; self.staged.len()]);
        for change in &self.list {
            match change {
                Change::Decide { instance, decision } => decide(tx, *instance, decision)?,
                Change::Tally { instance, tally } => tally::add(tx, *instance, tally)?,
                Change::Begin { task, lease } => {
                    let id = task::open(tx, task)?;
                    let rank = task.priority.rank(false);
                    let lease = job::add_analyze(tx, task.instance.0, id, rank, lease.map(millis))?;
                    applied.leases.extend(lease);
                }
                Change::Join(member) => unit::join(tx, member)?,
                Change::Settle(unit, reason, detail) => unit::settle(tx, *unit, *reason, detail.as_deref())?,
                Change::Heed { unit, signs } => unit::heed(tx, *unit, *signs)?,
                Change::Result(index) => {
                    if let (Some((result, objects)), Some(kept)) = (self.staged.get(*index), kept.get_mut(*index)) {
                        *kept = object::add(tx, result, objects)?;
                    }
                }
                Change::Compare { instance, comparable } => prior::add(tx, *instance, comparable)?,
                Change::Resume(instance) => again::resume(tx, *instance)?,
                Change::Finish { task, end } => task::finish(tx, *task, end)?,
                Change::SendOriginal { instance, destination, priority } => {
                    outbox::add_original(tx, *instance, destination, *priority)?;
                }
                Change::SendResult { instance, model, role, destination, priority } => {
                    outbox::add_result(tx, *instance, model, role, destination, *priority)?;
                }
            }
        }
        Ok((applied, kept))
    }
}

/// A set of changes on its way through the writer.
pub(crate) struct Applying<D> {
    changes: Changes,
    applied: Applied,
    /// Which of `changes.staged` the index names now.
    kept: Vec<bool>,
    done: D,
}

impl<D: FnOnce(Result<Applied, StoreError>) + Send + 'static> Applying<D> {
    pub(crate) fn new(changes: Changes, done: D) -> Self {
        let kept = vec![false; changes.staged.len()];
        Self { changes, applied: Applied::default(), kept, done }
    }
}

impl<D: FnOnce(Result<Applied, StoreError>) + Send + 'static> Request for Applying<D> {
    fn folders(&self) -> Vec<Arc<Folder>> {
        self.changes.staged.iter().flat_map(|(_, objects)| objects).map(Staged::folder).collect()
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        (self.applied, self.kept) = self.changes.make(tx)?;
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<(), StoreError>) {
        // When the commit itself failed it may yet be found durable after a crash: the files stay for
        // recovery to judge.
        let uncertain = matches!(&outcome, Err(StoreError::Index { doing: "commit", .. }));
        let Self { changes, applied, kept, done } = *self;
        for ((_, objects), kept) in changes.staged.into_iter().zip(kept) {
            if (kept && outcome.is_ok()) || uncertain {
                objects.into_iter().for_each(Staged::keep);
            }
        }
        done(outcome.map(|()| applied));
    }
}

fn decide(tx: &mut Tx<'_>, instance: InstanceId, decision: &Decision) -> Result<(), StoreError> {
    let declined = decision.declined.as_ref().map(task::json).transpose()?;
    tx.conn
        .prepare_cached(
            "INSERT INTO decision (instance, at, trace, declined) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (instance) DO UPDATE
             SET at = excluded.at, trace = excluded.trace, declined = excluded.declined",
        )
        .and_then(|mut insert| insert.execute(params![instance.0, tx.now, decision.trace.get(), declined]))
        .map_err(StoreError::index("record a decision"))?;
    tx.touched.insert(instance.0);
    hint::arrived(tx, instance)
}
