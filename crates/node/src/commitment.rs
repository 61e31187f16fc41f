//! Storage commitment as its provider (PS3.4 Annex J): requests go into the store, and each peer is told what the store
//! holds. What peers report of our own requests is recorded too.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::{Dataset, VR};
use dokuei_dimse::{
    ALL_COMMITTED, Association, CommitmentResult, CommitmentService, Notice, Pending, ProposedContext, Refusal,
    RequestorConfig, SOME_FAILED, Ticket,
};
use dokuei_pipeline::{RetryPolicy, record_answer};
use dokuei_store::{CommitmentEnd, CommitmentId, Holding, NewCommitment, OpenCommitment, Store, StoreError};
use dokuei_types::{AeTitle, DimseStatus, Uid};
use serde_json::json;
use tokio::sync::Notify;
use tokio::task::{JoinSet, spawn_blocking};
use tokio_util::sync::CancellationToken;

use crate::audit::{Audit, What};
use crate::confirmation::Answer;
use crate::information;
use crate::send::words;

/// Peers told at a time over associations of ours.
const TOLD_AT_A_TIME: usize = 8;
/// Longest time between two looks into the store.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Pause after the store has failed.
const PAUSE: Duration = Duration::from_secs(1);

/// How each peer that may have to be called is reached, by its AE title.
pub(crate) type Peers = BTreeMap<AeTitle, RequestorConfig>;

/// The requests of all peers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Commitments(Arc<Shared>);

struct Shared {
    store: Store,
    /// Whether anything can be committed to: what is received is on stable storage.
    commits: bool,
    audit: Audit,
    peers: Mutex<Arc<Peers>>,
    /// Requests whose associations are open: they are told there.
    held: Mutex<HashSet<CommitmentId>>,
    /// Rung when somebody may have to be told.
    rung: Notify,
}

impl fmt::Debug for Commitments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commitments").finish_non_exhaustive()
    }
}

impl Commitments {
    pub(crate) fn new(store: Store, commits: bool, peers: Peers, audit: Audit) -> Self {
        let (peers, held, rung) = (Mutex::new(Arc::new(peers)), Mutex::default(), Notify::new());
        Self(Arc::new(Shared { store, commits, audit, peers, held, rung }))
    }

    /// Takes how peers are reached from another configuration.
    pub(crate) fn reload(&self, peers: Peers) {
        *lock(&self.0.peers) = Arc::new(peers);
    }

    /// Calls the peers that are not told over associations of their own, until `stop`.
    pub(crate) async fn drive(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            // Asked for first, so that nothing becomes due between the two questions unseen.
            let now = self.0.store.clock().now_ms();
            let next = match self.0.due().await {
                Ok(due) if !due.is_empty() => {
                    let telling: JoinSet<()> = due.into_iter().map(|id| Arc::clone(&self.0).tell(id)).collect();
                    tokio::select! {
                        () = stop.cancelled() => {}
                        _ = telling.join_all() => {}
                    }
                    continue;
                }
                Ok(_) => self.0.pause(now).await,
                Err(error) => Err(error),
            };
            let pause = match next {
                Ok(pause) => pause,
                Err(StoreError::Closed) => return,
                Err(error) => {
                    tracing::error!(error = words(&error), "cannot look for storage commitments");
                    PAUSE
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.0.rung.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}

impl CommitmentService for Commitments {
    fn request(&self, notice: Notice) -> Pending<Result<Ticket, Refusal>> {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            if !shared.commits {
                return Err(Refusal::new(DimseStatus::PROCESSING_FAILURE, "this node commits to keep nothing"));
            }
            let request = requested(&notice)?;
            let (instances, peer_ae) = (request.referenced.len(), request.peer_ae.clone());
            let transaction_uid = request.transaction_uid.clone();
            let audit = shared.audit.clone();
            let kept = spawn_blocking(move || {
                // Held before anyone who asks what is due can see it.
                let mut held = lock(&shared.held);
                let id = shared.store.ask_commitment(request)?;
                held.insert(id);
                Ok(id)
            });
            let CommitmentId(number) = kept.await.unwrap_or(Err(StoreError::Closed)).map_err(|error: StoreError| {
                tracing::error!(error = words(&error), "a request for storage commitment cannot be kept");
                Refusal::new(DimseStatus::PROCESSING_FAILURE, "the request cannot be kept")
            })?;
            tracing::info!(peer_ae, %transaction_uid, instances, "storage commitment asked for");
            let asked = json!({ "commitment": number, "calling_ae": peer_ae, "instances": instances });
            audit.record(What::CommitmentAsked, asked);
            Ok(Ticket(number))
        })
    }

    fn result(&self, Ticket(number): Ticket) -> Pending<Option<CommitmentResult>> {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { shared.worked_out(CommitmentId(number)).await.ok()?.map(|(_, result)| result) })
    }

    fn told(&self, Ticket(number): Ticket, told: bool) {
        let (shared, id) = (Arc::clone(&self.0), CommitmentId(number));
        let end = move || {
            if told {
                shared.end(id, CommitmentEnd::Told);
            }
            lock(&shared.held).remove(&id);
            shared.rung.notify_one();
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(end)),
            Err(_) => end(),
        }
    }

    fn reported(&self, notice: Notice) -> Pending<Result<(), Refusal>> {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            let Notice { calling_ae, information, transfer_syntax, .. } = notice;
            let answer = Answer::read(&information, &transfer_syntax)
                .map_err(|error| Refusal::new(DimseStatus::INVALID_ARGUMENT_VALUE, error))?;
            let recorded = spawn_blocking(move || {
                record_answer(&shared.store, &answer.transaction_uid, &RetryPolicy::default(), |object| {
                    answer.of(object)
                })
            });
            match recorded.await.unwrap_or(Err(StoreError::Closed)) {
                Ok(0) => {
                    tracing::warn!(%calling_ae, "a result of storage commitment that is not waited for");
                    Err(Refusal::new(DimseStatus::PROCESSING_FAILURE, "this node does not wait for it"))
                }
                Ok(instances) => {
                    tracing::info!(%calling_ae, instances, "the result of a storage commitment");
                    Ok(())
                }
                Err(error) => {
                    tracing::error!(error = words(&error), "the result of a storage commitment cannot be recorded");
                    Err(Refusal::new(DimseStatus::PROCESSING_FAILURE, "the result cannot be recorded"))
                }
            }
        })
    }
}

impl Shared {
    /// The requests that are due and that no association of their peer's is to tell.
    async fn due(self: &Arc<Self>) -> Result<Vec<CommitmentId>, StoreError> {
        let shared = Arc::clone(self);
        let due = spawn_blocking(move || {
            let limit = lock(&shared.held).len().saturating_add(TOLD_AT_A_TIME);
            let mut due = shared.store.due_commitments(limit)?;
            let held = lock(&shared.held);
            due.retain(|id| !held.contains(id));
            due.truncate(TOLD_AT_A_TIME);
            Ok(due)
        });
        due.await.unwrap_or(Err(StoreError::Closed))
    }

    /// How long until the first request that was not due at `asked_at` is.
    async fn pause(self: &Arc<Self>, asked_at: i64) -> Result<Duration, StoreError> {
        let shared = Arc::clone(self);
        let next = spawn_blocking(move || {
            let now = shared.store.clock().now_ms();
            let next = shared.store.next_commitment_at(asked_at)?;
            Ok(next.map(|at| u64::try_from(at.saturating_sub(now)).unwrap_or_default()))
        });
        let next: Option<u64> = next.await.unwrap_or(Err(StoreError::Closed))?;
        // What becomes due sooner rings, but for what is replayed beside the node.
        Ok(next.map_or(PAUSE_MAX, Duration::from_millis).min(PAUSE_MAX))
    }

    async fn worked_out(
        self: &Arc<Self>,
        id: CommitmentId,
    ) -> Result<Option<(OpenCommitment, CommitmentResult)>, StoreError> {
        let shared = Arc::clone(self);
        let found = spawn_blocking(move || shared.store.commitment(id)).await.unwrap_or(Err(StoreError::Closed));
        if let Err(error) = &found {
            tracing::error!(error = words(error), "what is committed to cannot be said");
        }
        Ok(found?.map(|(open, holdings)| {
            let result = result(&open.request, &holdings);
            (open, result)
        }))
    }

    /// Tells a peer over an association of ours, and records what came of it.
    async fn tell(self: Arc<Self>, id: CommitmentId) {
        let (open, result) = match self.worked_out(id).await {
            Ok(Some(found)) => found,
            Ok(None) => return,
            Err(_) => return tokio::time::sleep(PAUSE).await,
        };
        let outcome = self.call(&open, &result).await;
        let now = self.store.clock().now_ms();
        let end = end(&open, outcome, &RetryPolicy::default(), now);
        drop(spawn_blocking(move || self.end(id, end)).await);
    }

    async fn call(&self, open: &OpenCommitment, result: &CommitmentResult) -> Result<(), String> {
        let (peer_ae, own_ae) = (&open.request.peer_ae, &open.request.called_ae);
        let peers = Arc::clone(&*lock(&self.peers));
        let config = AeTitle::new(peer_ae).ok().and_then(|peer| peers.get(&peer)).ok_or_else(|| {
            format!("no [[peer]] {peer_ae} with report_to, and no [[destination]] with this ae_title")
        })?;
        let class = Uid::new(uids::STORAGE_COMMITMENT_PUSH_MODEL).expect("a UID of the standard");
        let calling_ae = AeTitle::new(own_ae).unwrap_or_else(|_| config.calling_ae.clone());
        let config = RequestorConfig { provides: vec![class], calling_ae, ..config.clone() };
        let contexts = [ProposedContext::storage_commitment()];
        let mut association = Association::request(&config, &contexts).await.map_err(|error| words(&error))?;
        let status = association.report_commitment(result).await.map_err(|error| words(&error))?;
        if association.is_usable() {
            drop(association.release().await);
        }
        if status == DimseStatus::SUCCESS || status.is_warning() {
            return Ok(());
        }
        Err(format!("the peer answers with status {status}"))
    }

    fn end(&self, id: CommitmentId, end: CommitmentEnd) {
        match &end {
            CommitmentEnd::Told => {
                self.audit.record(What::CommitmentTold, json!({ "commitment": id.0 }));
                tracing::info!(commitment = %id, "the result of a storage commitment is told");
            }
            CommitmentEnd::Retry { reason, .. } => {
                tracing::warn!(commitment = %id, reason, "the result of a storage commitment is not told yet");
            }
            CommitmentEnd::Dead { reason } => {
                self.audit.record(What::CommitmentGivenUp, json!({ "commitment": id.0 }));
                tracing::error!(commitment = %id, reason, "the result of a storage commitment is never told");
            }
        }
        if let Err(error) = self.store.end_commitment(id, end) {
            tracing::error!(error = words(&error), "a storage commitment cannot be recorded");
        }
    }
}

/// What telling a peer came to: done, to be tried again, or given up with its age.
fn end(open: &OpenCommitment, outcome: Result<(), String>, policy: &RetryPolicy, now: i64) -> CommitmentEnd {
    let Err(reason) = outcome else { return CommitmentEnd::Told };
    if policy.is_over(open.asked_at, now) {
        let attempts = open.attempts.saturating_add(1);
        return CommitmentEnd::Dead { reason: format!("given up after {attempts} attempts: {reason}") };
    }
    CommitmentEnd::Retry { at: policy.next_at(open.attempts, open.id.0, now), reason }
}

/// What an N-ACTION asks for (PS3.4 Table J.3-1).
fn requested(notice: &Notice) -> Result<NewCommitment, Refusal> {
    let wrong = |comment: String| Refusal::new(DimseStatus::INVALID_ARGUMENT_VALUE, comment);
    let asked = information::read(&notice.information, &notice.transfer_syntax);
    let asked = asked.map_err(|error| wrong(error.to_string()))?;
    let transaction_uid = asked.uid(tags::TRANSACTION_UID).ok_or_else(|| wrong("no Transaction UID".to_owned()))?;
    let items = asked.items(tags::REFERENCED_SOP_SEQUENCE);
    let referenced: Vec<(Uid, Uid)> = items.iter().map_while(information::referenced).collect();
    if referenced.is_empty() || referenced.len() < items.len() {
        return Err(wrong("Referenced SOP Sequence lacks a class or instance".to_owned()));
    }
    Ok(NewCommitment {
        transaction_uid,
        peer_ae: notice.calling_ae.to_string(),
        called_ae: notice.called_ae.to_string(),
        referenced,
    })
}

/// What is reported of a request (PS3.4 Table J.3-2).
fn result(request: &NewCommitment, holdings: &[Holding]) -> CommitmentResult {
    let (mut held, mut failed) = (Vec::new(), Vec::new());
    for ((sop_class, sop_instance), holding) in request.referenced.iter().zip(holdings) {
        let mut item = information::reference(sop_class.as_str(), sop_instance.as_str());
        match failure_reason(*holding) {
            None => held.push(item),
            Some(DimseStatus(reason)) => {
                item.put_u16(tags::FAILURE_REASON, &[reason]);
                failed.push(item);
            }
        }
    }
    let event_type = if failed.is_empty() { ALL_COMMITTED } else { SOME_FAILED };
    let mut dataset = Dataset::new();
    dataset.put_text(tags::TRANSACTION_UID, VR::UI, request.transaction_uid.as_str());
    for (tag, items) in [(tags::REFERENCED_SOP_SEQUENCE, held), (tags::FAILED_SOP_SEQUENCE, failed)] {
        if !items.is_empty() {
            dataset.put_items(tag, items);
        }
    }
    CommitmentResult { event_type, information: information::written(&dataset) }
}

/// Why there is no commitment to an instance (PS3.3 § C.14.1.1).
fn failure_reason(holding: Holding) -> Option<DimseStatus> {
    match holding {
        Holding::Held => None,
        // 0119, class/instance conflict.
        Holding::OtherClass => Some(DimseStatus::CLASS_INSTANCE_CONFLICT),
        // 0112, no such object instance.
        Holding::Absent => Some(DimseStatus::NO_SUCH_SOP_INSTANCE),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use dokuei_dataset::{Encoding, Limits, read_header, write_dataset};

    use super::*;

    const CR: &str = uids::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE;

    fn uid(text: &str) -> Uid {
        Uid::new(text).unwrap()
    }

    fn request(instances: &[&str]) -> NewCommitment {
        NewCommitment {
            transaction_uid: uid("1.9"),
            peer_ae: "CR_ROOM_1".into(),
            called_ae: "DOKUEI".into(),
            referenced: instances.iter().map(|instance| (uid(CR), uid(instance))).collect(),
        }
    }

    fn notice(information: Vec<u8>, transfer_syntax: &str) -> Notice {
        Notice {
            calling_ae: AeTitle::new("CR_ROOM_1").unwrap(),
            called_ae: AeTitle::new("DOKUEI").unwrap(),
            peer: ([127, 0, 0, 1], 1).into(),
            sop_class: uid(uids::STORAGE_COMMITMENT_PUSH_MODEL),
            sop_instance: None,
            information,
            transfer_syntax: uid(transfer_syntax),
        }
    }

    #[test]
    fn a_request_is_read_in_either_syntax_and_a_result_names_every_instance() {
        let asked = request(&["1.2.1", "1.2.2", "1.2.3"]);
        // The result of a request that is held lists just what the request does.
        let all = result(&asked, &[Holding::Held; 3]);
        assert_eq!(all.event_type, ALL_COMMITTED);
        for syntax in [uids::IMPLICIT_VR_LITTLE_ENDIAN, uids::EXPLICIT_VR_LITTLE_ENDIAN] {
            let information = all.information.in_syntax(&uid(syntax)).to_vec();
            assert_eq!(requested(&notice(information, syntax)).unwrap(), asked, "{syntax}");
        }

        let some = result(&asked, &[Holding::Absent, Holding::Held, Holding::OtherClass]);
        assert_eq!(some.event_type, SOME_FAILED);
        let explicit = uids::EXPLICIT_VR_LITTLE_ENDIAN;
        let dataset = read_header(&some.information.explicit, 0, explicit, &Limits::default()).unwrap().dataset;
        assert_eq!(dataset.uid(tags::TRANSACTION_UID), Some(uid("1.9")));
        let instances = |tag| -> Vec<_> {
            let items = dataset.items(tag).iter();
            items
                .map(|item| (item.uid(tags::REFERENCED_SOP_INSTANCE_UID).unwrap(), item.int(tags::FAILURE_REASON)))
                .collect()
        };
        assert_eq!(instances(tags::REFERENCED_SOP_SEQUENCE), [(uid("1.2.2"), None)]);
        let failed = [(uid("1.2.1"), Some(0x0112)), (uid("1.2.3"), Some(0x0119))];
        assert_eq!(instances(tags::FAILED_SOP_SEQUENCE), failed);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let without = |change: &dyn Fn(&mut Dataset)| {
            let explicit = uids::EXPLICIT_VR_LITTLE_ENDIAN;
            let information = result(&request(&["1.2.1", "1.2.2"]), &[Holding::Held; 2]).information.explicit;
            let mut dataset = read_header(&information, 0, explicit, &Limits::default()).unwrap().dataset;
            change(&mut dataset);
            requested(&notice(write_dataset(&dataset, Encoding::ExplicitLittle), explicit)).unwrap_err()
        };
        for refused in [
            without(&|dataset| drop(dataset.remove(tags::TRANSACTION_UID))),
            without(&|dataset| drop(dataset.remove(tags::REFERENCED_SOP_SEQUENCE))),
            without(&|dataset| dataset.put_items(tags::REFERENCED_SOP_SEQUENCE, vec![Dataset::new()])),
            requested(&notice(vec![8, 0, 0x95], uids::EXPLICIT_VR_LITTLE_ENDIAN)).unwrap_err(),
        ] {
            assert_eq!(refused.status, DimseStatus::INVALID_ARGUMENT_VALUE, "{refused}");
        }
    }

    #[test]
    fn a_peer_that_cannot_be_told_is_tried_again_until_it_is_given_up_with_the_reason() {
        let open = OpenCommitment { id: CommitmentId(1), request: request(&["1.2"]), attempts: 4, asked_at: 0 };
        let (policy, day) = (RetryPolicy::default(), 86_400_000);
        assert_eq!(end(&open, Ok(()), &policy, day), CommitmentEnd::Told);
        let CommitmentEnd::Retry { at, .. } = end(&open, Err("no route".into()), &policy, day) else {
            panic!("not tried again");
        };
        assert!(at > day);
        let dead = end(&open, Err("no route".into()), &policy, 4 * day);
        assert_eq!(dead, CommitmentEnd::Dead { reason: "given up after 5 attempts: no route".into() });
    }
}
