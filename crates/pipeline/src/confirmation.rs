//! Whether destinations keep what they have stored: when they are asked, and what their answers mean.

use std::sync::Arc;
use std::time::Duration;

use dokuei_store::{Changes, Confirmation, Inquiry, Store, StoreError, Unconfirmed};
use dokuei_types::Uid;

use crate::delivery::{ConfirmationOutcome, RetryPolicy};
use crate::outbox::asking;
use crate::pipeline::{Core, DestinationSetup};

/// Objects in one question.
const OBJECTS_MAX: usize = 500;

/// Asks a destination about what is due, and records what it answers at once; whether it was reached.
pub(crate) async fn ask(core: &Arc<Core>, setup: &DestinationSetup, patience: Duration) -> Result<bool, StoreError> {
    let begin = move |core: &Core, name: &str| core.store.inquire(name, OBJECTS_MAX, patience);
    let Some(inquiry) = asking(core, &setup.name, begin).await? else { return Ok(true) };
    let (destination, asked) = (Arc::clone(&setup.destination), inquiry.clone());
    // A task of its own, so that a panic in it ends this question alone.
    let mut outcomes = tokio::spawn(async move { destination.confirm(asked).await }).await.unwrap_or_else(|error| {
        tracing::error!(destination = setup.name, %error, "the confirmation panicked");
        Vec::new()
    });
    outcomes.resize(inquiry.objects.len(), ConfirmationOutcome::Unable("no answer".to_owned()));
    let reached = !outcomes.iter().all(|outcome| matches!(outcome, ConfirmationOutcome::Unreachable(_)));
    let policy = core.config.retry;
    let Inquiry { transaction_uid, objects } = inquiry;
    let record =
        move |core: &Core, _: &str| record(&core.store, &transaction_uid, objects.iter().zip(outcomes), &policy);
    asking(core, &setup.name, record).await.map(|_| reached)
}

/// Records the answer to a question under `transaction_uid`, of which `answer` says what it is for each object (`None`:
/// nothing yet). How many objects it is about: 0 when nobody has asked, or it was answered before.
///
/// # Errors
/// What the index says.
pub fn record_answer(
    store: &Store,
    transaction_uid: &Uid,
    policy: &RetryPolicy,
    answer: impl Fn(&Unconfirmed) -> Option<ConfirmationOutcome>,
) -> Result<usize, StoreError> {
    let objects = store.inquiry(transaction_uid)?;
    let answered = objects.iter().filter_map(|object| Some((object, answer(object)?)));
    record(store, transaction_uid, answered, policy)
}

fn record<'a>(
    store: &Store,
    transaction_uid: &Uid,
    answers: impl Iterator<Item = (&'a Unconfirmed, ConfirmationOutcome)>,
    policy: &RetryPolicy,
) -> Result<usize, StoreError> {
    let now = store.clock().now_ms();
    let changes: Vec<Changes> = answers
        .filter_map(|(object, outcome)| {
            log(object, &outcome);
            Some(Changes::confirmed(object, transaction_uid, judge(object, outcome, policy, now)?))
        })
        .collect();
    let mut recorded = 0_usize;
    for outcome in store.apply_all(changes) {
        match outcome {
            Ok(_) => recorded = recorded.saturating_add(1),
            // Answered over another association in the meantime.
            Err(StoreError::LeaseLost { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(recorded)
}

/// What an answer means for the outbox; `None` while it is to come.
fn judge(object: &Unconfirmed, outcome: ConfirmationOutcome, policy: &RetryPolicy, now: i64) -> Option<Confirmation> {
    let dead = |reason: String| Confirmation::Dead { reason: format!("stored, but not confirmed: {reason}") };
    let given_up = |reason: String| dead(format!("given up after {} days: {reason}", policy.days()));
    let at = policy.next_at(object.asked, object.delivery.0, now);
    Some(match outcome {
        ConfirmationOutcome::Kept => Confirmation::Kept,
        ConfirmationOutcome::Asked if policy.is_over(object.stored_at, now) => given_up("no answer".to_owned()),
        ConfirmationOutcome::Asked => return None,
        ConfirmationOutcome::Refused(reason) => dead(reason),
        ConfirmationOutcome::Missing(reason) if policy.is_over(object.first_tried_at, now) => given_up(reason),
        ConfirmationOutcome::Missing(reason) => Confirmation::Missing { at, reason },
        ConfirmationOutcome::Unable(reason) | ConfirmationOutcome::Unreachable(reason)
            if policy.is_over(object.stored_at, now) =>
        {
            given_up(reason)
        }
        ConfirmationOutcome::Unable(reason) | ConfirmationOutcome::Unreachable(reason) => {
            Confirmation::Again { at, reason }
        }
    })
}

fn log(object: &Unconfirmed, outcome: &ConfirmationOutcome) {
    let Unconfirmed { instance, role, .. } = object;
    match outcome {
        ConfirmationOutcome::Kept => tracing::info!(%instance, role, "confirmed"),
        ConfirmationOutcome::Asked => {}
        other => tracing::warn!(%instance, role, outcome = ?other, "not confirmed"),
    }
}

#[cfg(test)]
mod tests {
    use dokuei_store::DeliveryId;
    use dokuei_types::InstanceId;

    use super::*;

    #[test]
    fn what_is_missing_is_sent_again_and_what_is_not_said_asked_again_until_days_have_passed() {
        let object = Unconfirmed {
            delivery: DeliveryId(1),
            instance: InstanceId(1),
            role: "sr".into(),
            sop_class: String::new(),
            sop_instance: String::new(),
            series: None,
            study: None,
            asked: 0,
            first_tried_at: 0,
            stored_at: 0,
        };
        let late = 4 * 86_400_000;
        let said = String::new;
        for (outcome, soon, later) in [
            (ConfirmationOutcome::Kept, "kept", "kept"),
            (ConfirmationOutcome::Asked, "nothing", "dead"),
            (ConfirmationOutcome::Missing(said()), "missing", "dead"),
            (ConfirmationOutcome::Unable(said()), "again", "dead"),
            (ConfirmationOutcome::Unreachable(said()), "again", "dead"),
            (ConfirmationOutcome::Refused(said()), "dead", "dead"),
        ] {
            let meant = |now| match judge(&object, outcome.clone(), &RetryPolicy::default(), now) {
                None => "nothing",
                Some(Confirmation::Kept) => "kept",
                Some(Confirmation::Missing { at, .. }) if at > now => "missing",
                Some(Confirmation::Again { at, .. }) if at > now => "again",
                Some(Confirmation::Dead { .. }) => "dead",
                Some(other) => panic!("{other:?} at {now}"),
            };
            assert_eq!((meant(1_000), meant(late)), (soon, later), "{outcome:?}");
        }
    }
}
