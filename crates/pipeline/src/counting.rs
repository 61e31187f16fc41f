//! Asks the sources of what has been quiet how much of it there is. A source that fails or keeps silent holds up
//! nothing: its units settle as if nobody had been asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dokuei_store::{Changes, SettleReason, StoreError};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{JoinSet, spawn_blocking};
use tokio_util::sync::CancellationToken;

use crate::pipeline::Core;
use crate::settling::{Question, again, settled, until_quiet};
use crate::worker::chain;

/// Questions asked at a time; a source hears its share of them over one association.
const QUESTIONS_MAX: usize = 256;
/// Time for all of them. The lease of a question outlasts twice that: its wait for the ones before, and its own.
const ASKING_TIME_MAX: Duration = Duration::from_secs(30);

/// Asks what comes, source by source, until told to stop. What is not answered by then keeps its lease, which the next
/// start clears.
pub(crate) async fn drive(core: Arc<Core>, mut questions: UnboundedReceiver<Question>, stop: CancellationToken) {
    let ask = async {
        let mut asked = Vec::new();
        while questions.recv_many(&mut asked, QUESTIONS_MAX).await > 0 {
            let mut by_source: BTreeMap<String, Vec<Question>> = BTreeMap::new();
            for question in asked.drain(..) {
                by_source.entry(question.source.name.clone()).or_default().push(question);
            }
            let mut sources = JoinSet::new();
            for questions in by_source.into_values() {
                sources.spawn(count(Arc::clone(&core), questions));
            }
            sources.join_all().await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = ask => {}
    }
}

/// Asks one source, and settles what its answers settle.
async fn count(core: Arc<Core>, questions: Vec<Question>) {
    let Some(source) = questions.first().map(|question| Arc::clone(&question.source.destination)) else { return };
    let counted = questions.iter().map(|question| question.counted.clone()).collect();
    // A task of its own, so that a panic in it ends these questions alone.
    let counting = tokio::spawn(tokio::time::timeout(ASKING_TIME_MAX, async move { source.count(counted).await }));
    let mut answers = match counting.await {
        Ok(Ok(answers)) => answers,
        Ok(Err(_elapsed)) => vec![Err(format!("no answer within {} s", ASKING_TIME_MAX.as_secs())); questions.len()],
        Err(error) => vec![Err(error.to_string()); questions.len()],
    };
    answers.resize(questions.len(), Err("no answer".to_owned()));
    let recorded = spawn_blocking(move || record(&core, &questions, answers)).await;
    if let Ok(Err(error)) = recorded {
        tracing::error!(error = chain(&error), "what sources have cannot be recorded: they are asked again");
    }
}

fn record(core: &Core, questions: &[Question], answers: Vec<Result<u64, String>>) -> Result<(), StoreError> {
    let changes = questions.iter().zip(answers).map(|(question, answer)| judge(core, question, answer));
    for outcome in core.store.apply_all(changes.collect::<Result<_, _>>()?) {
        match outcome {
            // The router has it again, since this took too long.
            Ok(_) | Err(StoreError::LeaseLost { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What an answer means for its unit.
fn judge(core: &Core, question: &Question, answer: Result<u64, String>) -> Result<Changes, StoreError> {
    let Question { lease, unit, source, settle_after, .. } = question;
    let reader = core.store.reader();
    if let Some(now) = reader.unit(unit.id)?.filter(|now| now.signs != unit.signs) {
        return Ok(until_quiet(lease, &now, *settle_after));
    }
    let unknown = |reason: &str| {
        tracing::warn!(source = source.name, route = unit.route, unit = unit.uid, reason, "not counted at its source");
        settled(lease, unit, SettleReason::Quiet)
    };
    let count = match answer {
        Err(reason) => return Ok(unknown(&reason)),
        Ok(0) => return Ok(unknown("it has none of it")),
        Ok(count) => count,
    };
    let held = reader.held(unit.level, &unit.uid, &source.name)?;
    if held >= count {
        return Ok(settled(lease, unit, SettleReason::Count));
    }
    let reason = format!("{} has {count} instances of it, {held} are here", source.name);
    Ok(again(lease, unit, core.now(), *settle_after, &reason))
}
