//! `dokuei send`: C-STORE files to a peer, over several associations at a time.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use dokuei_dimse::{
    AssociateError, Association, ProposedContext, RequestorConfig, SendError, StoreItem, StoreOutcome, plan_contexts,
};
use indicatif::ProgressBar;
use serde_json::json;
use tokio::fs::File;
use tokio::io::AsyncSeekExt;
use tokio::task::JoinSet;

use crate::args::Send;
use crate::files::{self, Sendable};
use crate::outcome::{self, Failure, say};
use crate::pace::{Pace, Paced};
use crate::requestor;
use crate::unsealed::Unsealed;

pub(crate) async fn run(arguments: &Send) -> Result<(), Failure> {
    let (instances, skipped) = instances(arguments)?;
    if instances.is_empty() {
        return Err(Failure::work("nothing to send: none of the files is a DICOM instance"));
    }
    let total = instances.len();
    let sending = Arc::new(Sending {
        config: requestor::config(&arguments.peer, &arguments.call)?,
        bar: outcome::progress("instances", Some(total as u64), arguments.json),
        json: arguments.json,
        tally: Mutex::default(),
    });
    for (contexts, queue) in groups(instances) {
        let queue = Arc::new(Mutex::new(queue));
        let mut senders = JoinSet::new();
        for _ in 0..arguments.associations {
            senders.spawn(sender(Arc::clone(&sending), contexts.clone(), Arc::clone(&queue)));
        }
        while senders.join_next().await.is_some() {}
        sending.never_sent(&queue);
    }
    sending.bar.finish_and_clear();
    let tally = sending.tally();
    let also = if skipped > 0 { format!(", {skipped} other files skipped") } else { String::new() };
    say(format!("{} of {total} instances stored at {}{also}", tally.stored, arguments.peer));
    match &tally.advice {
        _ if tally.stored == total => Ok(()),
        Some(advice) => Err(Failure::work(format!("{} instances are not stored", total - tally.stored)).help(advice)),
        None => Err(Failure::work(format!("{} instances are not stored", total - tally.stored))),
    }
}

/// What can be sent, and how many files of the folders are something else.
fn instances(arguments: &Send) -> Result<(Vec<Sendable>, usize), Failure> {
    let mut instances = Vec::new();
    let mut skipped = 0;
    for (path, named) in files::collect(&arguments.paths)? {
        match files::sendable_at(&path) {
            Some(instance) => instances.push(instance),
            None if named => return Err(Failure::work(format!("{} is not a DICOM instance", path.display()))),
            None => skipped += 1,
        }
    }
    Ok((instances, skipped))
}

/// Instances that fit one association, with the contexts it needs: just what is sent.
fn groups(instances: Vec<Sendable>) -> Vec<(Vec<ProposedContext>, VecDeque<Sendable>)> {
    let plan = plan_contexts(instances.iter().map(|instance| (&instance.sop_class, &instance.transfer_syntax)));
    let mut groups: Vec<_> = plan.associations.iter().map(|contexts| (contexts.clone(), VecDeque::new())).collect();
    for instance in instances {
        let index = plan.association_of(&instance.sop_class, &instance.transfer_syntax).unwrap_or_default();
        if let Some((_, queue)) = groups.get_mut(index) {
            queue.push_back(instance);
        }
    }
    groups
}

/// What all senders share.
struct Sending {
    config: RequestorConfig,
    bar: ProgressBar,
    json: bool,
    tally: Mutex<Tally>,
}

#[derive(Default, Clone)]
struct Tally {
    stored: usize,
    advice: Option<String>,
}

impl Sending {
    fn tally(&self) -> Tally {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn advise(&self, advice: String) {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).advice.get_or_insert(advice);
    }

    /// Says what became of one instance.
    fn report(&self, instance: &Sendable, outcome: Result<&StoreOutcome, String>) {
        self.bar.inc(1);
        if outcome.as_ref().is_ok_and(|outcome| outcome.status.is_stored()) {
            self.tally.lock().unwrap_or_else(PoisonError::into_inner).stored += 1;
        }
        if self.json {
            let line = json!({
                "path": instance.file.path,
                "sop_class": instance.sop_class,
                "sop_instance": instance.sop_instance,
                "transfer_syntax": instance.transfer_syntax,
                "status": outcome.as_ref().ok().map(|outcome| outcome.status.to_string()),
                "comment": outcome.as_ref().ok().map(|outcome| outcome.comment.as_str()),
                "error": outcome.as_ref().err(),
            });
            return outcome::json(&line, false);
        }
        let words = match outcome {
            Ok(outcome) if outcome.status.is_stored() && !outcome.status.is_warning() => return,
            Ok(outcome) => format!("status {} {}", outcome.status, outcome.comment),
            Err(words) => words,
        };
        self.bar.suspend(|| say(format!("{}: {words}", instance.file.path.display())));
    }

    /// Instances nobody got to, because there was no association.
    fn never_sent(&self, queue: &Mutex<VecDeque<Sendable>>) {
        for instance in std::mem::take(&mut *queue.lock().unwrap_or_else(PoisonError::into_inner)) {
            self.report(&instance, Err("not sent: no association".to_owned()));
        }
    }
}

/// Sends from the queue until it is empty or the peer takes no association.
async fn sender(sending: Arc<Sending>, contexts: Vec<ProposedContext>, queue: Arc<Mutex<VecDeque<Sendable>>>) {
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let mut association: Option<Association> = None;
    while let Some(instance) = next() {
        let usable = match association.take().filter(Association::is_usable) {
            Some(usable) => Ok(usable),
            None => Association::request(&sending.config, &contexts).await,
        };
        let mut usable = match usable {
            Ok(usable) => usable,
            Err(error) => {
                no_association(&sending, &queue, instance, &error);
                return;
            }
        };
        match store(&mut usable, &instance, None).await {
            Ok(outcome) => sending.report(&instance, Ok(&outcome)),
            Err(error) => sending.report(&instance, Err(words(&error))),
        }
        association = Some(usable);
    }
    if let Some(association) = association.filter(Association::is_usable) {
        drop(association.release().await);
    }
}

/// Puts the instance back: another sender may still have its association.
fn no_association(sending: &Sending, queue: &Mutex<VecDeque<Sendable>>, instance: Sendable, error: &AssociateError) {
    queue.lock().unwrap_or_else(PoisonError::into_inner).push_front(instance);
    sending.bar.suspend(|| say(format!("no association: {}", words(error))));
    sending.advise(error.advice());
}

/// Sends one file's data set as it is, at that pace.
pub(crate) async fn store(
    association: &mut Association,
    instance: &Sendable,
    pace: Option<&Arc<Pace>>,
) -> Result<StoreOutcome, SendError> {
    let Sendable { file: stored, data_set_offset, unsealing, .. } = instance;
    let mut file = File::open(&stored.path).await.map_err(SendError::Source)?;
    let begin = stored.offset.saturating_add(*data_set_offset);
    file.seek(io::SeekFrom::Start(begin)).await.map_err(SendError::Source)?;
    let item = StoreItem {
        sop_class: &instance.sop_class,
        sop_instance: &instance.sop_instance,
        transfer_syntax: &instance.transfer_syntax,
        data_set: Paced::new(Unsealed::new(file, unsealing.clone()), pace),
        length: stored.length.saturating_sub(*data_set_offset),
    };
    association.store(item).await
}

/// An error and its causes in one line.
pub(crate) fn words(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |words, cause| format!("{words}: {cause}"))
}
