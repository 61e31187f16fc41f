use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use dokuei_store::{DeliveryEnd, DeliveryId, DeliveryLease, Inquiry, StoredObject};
use dokuei_types::{DimseStatus, InstanceId, Uid};

use crate::fetching::WantedPrior;
use crate::retrieving::WantedAgain;

/// A future on the heap.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A place that objects are sent to.
pub trait Destination: Send + Sync + 'static {
    /// Sends a batch; one outcome for each parcel, in their order. Brings its own time limits: the
    /// pipeline waits for it.
    fn deliver(&self, parcels: Vec<Parcel>) -> BoxFuture<'_, Vec<DeliveryOutcome>>;

    /// Asks whether it keeps what it has stored; one outcome for each object, in their order.
    fn confirm(&self, inquiry: Inquiry) -> BoxFuture<'_, Vec<ConfirmationOutcome>>;

    /// Asks how many instances it has of each series or study; one answer for each, in their order: the count, 0 where
    /// it has none, or why it is not known.
    fn count(&self, counted: Vec<Counted>) -> BoxFuture<'_, Vec<Result<u64, String>>>;

    /// Has it send the last earlier image of a patient, with what else is in its series, and stores that, unless it is
    /// here; the SOP Instance UIDs of what is here then, or why there are none. The pipeline ends it when it takes too long.
    fn fetch_prior(&self, _wanted: WantedPrior) -> BoxFuture<'_, Result<Vec<Uid>, String>> {
        Box::pin(std::future::ready(Err("it cannot be asked for images".to_owned())))
    }

    /// Has it send images again whose bytes were removed, and stores those that are the same ones by their UIDs and their
    /// patient; what is wrong with some of them, or why it cannot be asked now. The pipeline looks for itself what came.
    fn retrieve(&self, _wanted: WantedAgain) -> BoxFuture<'_, Result<Option<String>, String>> {
        Box::pin(std::future::ready(Err("it cannot be asked for images".to_owned())))
    }
}

/// A series or study to be counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Study Instance UID.
    pub study: String,
    /// Series Instance UID; `None` for the whole study.
    pub series: Option<String>,
}

/// One object to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// Its entry in the outbox.
    pub delivery: DeliveryId,
    /// The instance it is, or is about.
    pub instance: InstanceId,
    /// Study Instance UID of that instance.
    pub study: Option<String>,
    /// `original`, `sr`, `sc`.
    pub role: String,
    /// The first of these that the destination accepts is sent.
    pub alternatives: Vec<StoredObject>,
}

impl Parcel {
    pub(crate) fn of(lease: &DeliveryLease) -> Self {
        Self {
            delivery: lease.id,
            instance: lease.instance,
            study: lease.study.clone(),
            role: lease.role.clone(),
            alternatives: lease.alternatives.clone(),
        }
    }
}

/// What came of sending one parcel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The destination has it.
    Stored {
        /// Success or a warning.
        status: DimseStatus,
        /// Which of the alternatives it took.
        alternative: usize,
        /// The text of a warning.
        comment: Option<String>,
    },
    /// It answered with a failure status.
    Refused {
        /// The status.
        status: DimseStatus,
        /// The Error Comment (0000,0902), or what the status means.
        comment: String,
    },
    /// It accepts none of the alternatives in its presentation contexts.
    NotAccepted(String),
    /// No connection, association rejected, aborted, or no answer in time.
    Unreachable(String),
    /// The association ended before its turn came.
    Unsent(String),
    /// Our own file could not be read this time.
    Unread(String),
    /// Our own file is gone, damaged, or nothing that can be sent.
    Unreadable(String),
}

/// What a destination says of an object that it has stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfirmationOutcome {
    /// It keeps it.
    Kept,
    /// It has the question; the answer comes by itself ([`record_answer`](crate::record_answer)).
    Asked,
    /// It has not got it.
    Missing(String),
    /// It cannot say now.
    Unable(String),
    /// It was not reached.
    Unreachable(String),
    /// It will never say, or says that it does not keep it.
    Refused(String),
}

/// When a delivery or a job is tried again, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Wait after the first failure; doubled with each further one.
    pub first: Duration,
    /// Longest wait.
    pub max: Duration,
    /// Age at which a delivery becomes a dead letter.
    pub give_up_after: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(2),
            max: Duration::from_secs(600),
            give_up_after: Duration::from_secs(3 * 24 * 3_600),
        }
    }
}

impl RetryPolicy {
    /// The wait after `attempts` failures, longer or shorter by up to an eighth so that what failed
    /// together does not come back together; `number` decides by how much.
    #[must_use]
    pub fn wait(&self, attempts: u32, number: i64) -> Duration {
        let doubled = self.first.saturating_mul(1_u32.checked_shl(attempts.min(20)).unwrap_or(u32::MAX));
        let wait = doubled.min(self.max);
        // Fibonacci hashing spreads neighbours evenly over 0..=15.
        let spread = (number.unsigned_abs().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 60) as u32;
        wait.saturating_sub(wait / 8).saturating_add((wait / 64).saturating_mul(spread))
    }

    /// When what failed `attempts` times before and fails at `now` is tried again; all times in milliseconds since 1970.
    #[must_use]
    pub fn next_at(&self, attempts: u32, number: i64, now: i64) -> i64 {
        now.saturating_add(i64::try_from(self.wait(attempts, number).as_millis()).unwrap_or(i64::MAX))
    }

    /// Whether what began at `since` has been tried for long enough.
    #[must_use]
    pub fn is_over(&self, since: i64, now: i64) -> bool {
        let age_ms = u64::try_from(now.saturating_sub(since)).unwrap_or_default();
        Duration::from_millis(age_ms) >= self.give_up_after
    }

    /// How long that is, in days.
    pub(crate) fn days(&self) -> u64 {
        self.give_up_after.as_secs() / 86_400
    }
}

/// What an outcome is judged by; times in milliseconds since 1970.
pub(crate) struct Terms<'a> {
    /// When it is tried again.
    pub(crate) policy: &'a RetryPolicy,
    /// The time.
    pub(crate) now: i64,
    /// When the destination is asked whether it keeps what it has stored.
    pub(crate) confirm_at: Option<i64>,
    /// What was tried first at this time or before is given up; `None` where another destination gets it.
    pub(crate) give_up_before: Option<i64>,
}

/// What an outcome means for the outbox: kept as stored, tried again, or given up.
///
/// Refusals for want of resources, broken associations and silence pass with time (PS3.4 § B.2.3); a data
/// set that is not understood or not accepted stays so for that object.
pub(crate) fn judge(
    lease: &DeliveryLease,
    outcome: DeliveryOutcome,
    &Terms { policy, now, confirm_at, give_up_before }: &Terms<'_>,
) -> DeliveryEnd {
    let taken = |alternative: usize| {
        lease.alternatives.get(alternative).map(|object| object.sop_class.clone()).unwrap_or_default()
    };
    let again = |status: Option<DimseStatus>, reason: String| {
        if give_up_before.is_some_and(|before| lease.first_tried_at <= before) {
            let (attempts, days) = (lease.attempts.saturating_add(1), policy.days());
            let reason = format!("given up after {attempts} attempts over {days} days: {reason}");
            return DeliveryEnd::Dead { status, reason };
        }
        DeliveryEnd::Retry { at: policy.next_at(lease.attempts, lease.id.0, now), status, reason }
    };
    match outcome {
        DeliveryOutcome::Stored { status, alternative, comment } => {
            DeliveryEnd::Stored { status, sop_class: taken(alternative), comment, confirm_at }
        }
        // Some archives answer so for an instance they have already.
        DeliveryOutcome::Refused { status, comment } if status == DimseStatus::DUPLICATE_SOP_INSTANCE => {
            DeliveryEnd::Stored {
                status,
                sop_class: taken(0),
                comment: Some(format!("it was there already: {comment}")),
                confirm_at,
            }
        }
        DeliveryOutcome::Refused { status, comment } if passes(status) => {
            again(Some(status), format!("refused with {status}: {comment}"))
        }
        DeliveryOutcome::Refused { status, comment } => {
            DeliveryEnd::Dead { status: Some(status), reason: format!("refused with {status}: {comment}") }
        }
        DeliveryOutcome::NotAccepted(reason) | DeliveryOutcome::Unreadable(reason) => {
            DeliveryEnd::Dead { status: None, reason }
        }
        DeliveryOutcome::Unreachable(reason) | DeliveryOutcome::Unread(reason) => again(None, reason),
        DeliveryOutcome::Unsent(_) => DeliveryEnd::Released,
    }
}

impl DeliveryOutcome {
    /// Why it was not taken, for a reason that may pass.
    pub(crate) fn passing(&self) -> Option<String> {
        match self {
            Self::Unreachable(reason) => Some(reason.clone()),
            Self::Refused { status, comment } if passes(*status) => Some(format!("refused with {status}: {comment}")),
            _ => None,
        }
    }
}

/// Whether a refusal may pass: out of resources, or a failure that says nothing of the object.
fn passes(status: DimseStatus) -> bool {
    status.is_transient() || status == DimseStatus::PROCESSING_FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(attempts: u32) -> DeliveryLease {
        DeliveryLease {
            id: DeliveryId(7),
            fence: 1,
            destination: "pacs".into(),
            instance: InstanceId(1),
            study: None,
            role: "sr".into(),
            attempts,
            first_tried_at: 0,
            sender: String::new(),
            is_urgent: false,
            until: 0,
            alternatives: Vec::new(),
        }
    }

    #[test]
    fn transient_and_permanent_are_told_apart() {
        let policy = RetryPolicy::default();
        let terms = Terms { policy: &policy, now: 1_000, confirm_at: None, give_up_before: Some(-1) };
        let refused = |status: u16| DeliveryOutcome::Refused { status: DimseStatus(status), comment: String::new() };
        for (outcome, expected) in [
            (DeliveryOutcome::Stored { status: DimseStatus(0), alternative: 0, comment: None }, "stored"),
            (refused(0xA700), "retry"),
            (refused(0xA701), "retry"),
            (refused(0x0110), "retry"),
            (refused(0xA900), "dead"),
            (refused(0xC000), "dead"),
            (refused(0x0122), "dead"),
            (refused(0x0124), "dead"),
            (refused(0x0111), "stored"),
            (DeliveryOutcome::NotAccepted(String::new()), "dead"),
            (DeliveryOutcome::Unreadable(String::new()), "dead"),
            (DeliveryOutcome::Unreachable(String::new()), "retry"),
            (DeliveryOutcome::Unread(String::new()), "retry"),
            (DeliveryOutcome::Unsent(String::new()), "released"),
        ] {
            let end = match judge(&lease(0), outcome.clone(), &terms) {
                DeliveryEnd::Stored { .. } => "stored",
                DeliveryEnd::Retry { .. } => "retry",
                DeliveryEnd::Dead { .. } => "dead",
                DeliveryEnd::Released => "released",
            };
            assert_eq!(end, expected, "{outcome:?}");
        }
    }

    #[test]
    fn waits_double_up_to_the_longest_and_end_after_days() {
        let policy = RetryPolicy::default();
        let waits: Vec<f64> = (0..14).map(|attempts| policy.wait(attempts, 1).as_secs_f64()).collect();
        for (attempts, wait) in waits.iter().enumerate() {
            let plain = (2.0 * 2_f64.powi(i32::try_from(attempts).unwrap())).min(600.0);
            assert!((plain * 0.86..=plain * 1.13).contains(wait), "{attempts}: {wait}");
        }
        let spread: std::collections::BTreeSet<_> = (0..100).map(|number| policy.wait(3, number)).collect();
        assert!(spread.len() > 8, "what failed together comes back together");
        let judged = |give_up_before| {
            let terms = Terms { policy: &policy, now: 4 * 86_400_000, confirm_at: None, give_up_before };
            judge(&lease(500), DeliveryOutcome::Unreachable("no route".into()), &terms)
        };
        assert!(matches!(judged(None), DeliveryEnd::Retry { .. }), "another destination is to get it");
        assert!(matches!(judged(Some(-1)), DeliveryEnd::Retry { .. }), "it was closed for so long");
        let DeliveryEnd::Dead { reason, .. } = judged(Some(86_400_000)) else { panic!("{:?}", judged(Some(0))) };
        assert!(reason.contains("501 attempts over 3 days: no route"), "{reason}");
    }
}
